"""Files that came with messages, for those who take part in the conversation."""

from collections.abc import AsyncGenerator, Sequence
from urllib.parse import quote

from starlette.datastructures import UploadFile
from starlette.responses import Response, StreamingResponse

from overture import ids
from overture.actions import files
from overture.actions.files import Upload
from overture.core.files import FILE_BYTES_MAX, FILES_A_MESSAGE_MAX, NewFile
from overture.core.ids import ConversationId, FileId
from overture.core.refusals import Refusal
from overture.store.files import Stored
from overture.web.visit import FORM_BYTES_MAX, Absent, Answer, Visit, page

# What a form with files may weigh, with what stands around each of them. A byte more is refused while
# it comes in.
WITH_FILES_BYTES_MAX = FILES_A_MESSAGE_MAX * (FILE_BYTES_MAX + 4096) + FORM_BYTES_MAX

# Whatever a file turns out to be, it runs nothing and belongs to no site.
_SAFE = {
    "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
    # Kept by the browser alone, and asked for anew each time: access may have ended.
    "Cache-Control": "private, no-cache",
    "Vary": "Cookie",
}


@page("/files/{conversation:uuid}/{file:uuid}/{name}")
async def file(visit: Visit) -> Answer:
    """Saved, not shown: but for the still of an image, `?preview`, which we made ourselves."""
    viewer = visit.viewer.id
    conversation, wanted = visit.id("conversation", ConversationId), visit.id("file", FileId)
    preview = "preview" in visit.query
    find = files.find_preview if preview else files.find
    found = await find(visit.tx, viewer, conversation, wanted)
    if isinstance(found, Refusal):
        raise Absent
    headers = dict(_SAFE)
    # A file never changes: its id says it all.
    headers["ETag"] = tag = f'"{wanted}{"-preview" if preview else ""}"'
    if tag in visit.request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if not preview:
        headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(found.name)}"
    # Without a guess at the encoding of a text: whatever opens it knows better.
    headers["Content-Type"] = found.kind
    if len(found.part) == found.size:
        return Response(found.part, headers=headers)
    headers["Content-Length"] = str(found.size)
    return StreamingResponse(_parts(visit, conversation, wanted, found), headers=headers)


async def _parts(
    visit: Visit, conversation: ConversationId, wanted: FileId, found: Stored
) -> AsyncGenerator[bytes]:
    """One part after the other, each read once the one before it is on its way."""
    sent, part = 0, found.part
    while True:
        yield part
        sent += len(part)
        if sent == found.size:
            return
        following = await visit.site.db.reading(
            lambda tx, at=sent: files.find(tx, visit.viewer.id, conversation, wanted, start=at)
        )
        # Deleted meanwhile: the answer ends short of its length, which tells the browser so.
        if isinstance(following, Refusal):
            return
        part = following.part


async def received(uploads: Sequence[UploadFile]) -> list[NewFile] | Refusal:
    """The files that came with a form, looked at; to go with `Write`."""
    if len(uploads) > FILES_A_MESSAGE_MAX:
        return Refusal.TOO_MANY_FILES
    given: list[Upload] = []
    for each in uploads:
        # Not into memory what is refused anyway.
        if (each.size or 0) > FILE_BYTES_MAX:
            return Refusal.FILE_TOO_LARGE
        given.append(Upload(FileId(ids.new()), each.filename or "", await each.read()))
    return await files.examine(given)
