"""Files that members send each other: looked at before they are taken, found again by who may."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from typing import Any, cast
from zipfile import BadZipFile, LargeZipFile, ZipFile

import puremagic

from overture.actions import pictures
from overture.core import files
from overture.core.files import File, NewFile
from overture.core.ids import ConversationId, FileId, MemberId
from overture.core.refusals import Refusal
from overture.store import files as store
from overture.store.db import Tx
from overture.store.files import Stored
from overture.store.inbox import conversation_of

PREVIEW_PIXELS = 480
# A document has a few dozen parts; more are there to keep the server busy.
_PARTS_MAX = 5_000
_HEAD_BYTES = 4096
# One at a time: an image unpacked takes 200 times what it took on the way, and who waits here holds
# up nobody else.
_LOOKERS = ThreadPoolExecutor(max_workers=1, thread_name_prefix="files")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it came: nothing of it is believed yet."""

    id: FileId
    name: str
    content: bytes


async def examine(uploads: Sequence[Upload]) -> list[NewFile] | Refusal:
    """Looks at files that are to go with one message: what they are called, are, and look like.

    Whether they may go with it is decided when it is written. It may take a while, so this is done
    outside any transaction, in a thread of its own.
    """
    if len(uploads) > files.FILES_A_MESSAGE_MAX:
        return Refusal.TOO_MANY_FILES
    examined: list[NewFile] = []
    for upload in uploads:
        made = await asyncio.get_running_loop().run_in_executor(_LOOKERS, _examined, upload)
        if isinstance(made, Refusal):
            return made
        examined.append(made)
    return examined


async def find(
    tx: Tx,
    viewer: MemberId,
    conversation_id: ConversationId,
    file_id: FileId,
    *,
    start: int = 0,
) -> Stored | Refusal:
    """A file, for someone who takes part in its conversation: its part from `start` on."""
    held = await conversation_of(tx, viewer, conversation_id)
    if held is None:
        return Refusal.NO_SUCH_CONVERSATION
    return await store.one(tx, held, file_id, start) or Refusal.NO_SUCH_FILE


async def find_preview(
    tx: Tx, viewer: MemberId, conversation_id: ConversationId, file_id: FileId
) -> Stored | Refusal:
    """The still of an image, whole."""
    held = await conversation_of(tx, viewer, conversation_id)
    if held is None:
        return Refusal.NO_SUCH_CONVERSATION
    return await store.preview(tx, held, file_id) or Refusal.NO_SUCH_FILE


def _examined(upload: Upload) -> NewFile | Refusal:
    """The name promises a kind, and everything in the content has to agree."""
    name, content = files.clean_name(upload.name), upload.content
    kind = files.kind_by_name(name)
    if kind is None:
        return Refusal.FILE_KIND_NOT_TAKEN
    if not content:
        return Refusal.FILE_EMPTY
    if len(content) > files.FILE_BYTES_MAX:
        return Refusal.FILE_TOO_LARGE
    if not files.begins_as(kind, content) or not _is_known_as(kind, content):
        return Refusal.FILE_IS_OTHERWISE
    if kind.startswith("image/"):
        return _image(upload.id, name, kind, content)
    if kind.startswith("application/vnd.") and not _is_document(kind, content):
        return Refusal.FILE_IS_OTHERWISE
    return NewFile(File(upload.id, name, kind, len(content)), content)


def _is_known_as(kind: str, content: bytes) -> bool:
    """A second opinion on what begins with a mark of its own; a plain text has none."""
    if kind.startswith("text/"):
        return True
    try:
        # What its registry knows of the beginning; its untyped answers are (…, ending, …, type, …).
        found = cast("list[Any]", puremagic.magic_string(content[:_HEAD_BYTES]))  # pyright: ignore[reportUnknownMemberType]
    except (puremagic.PureError, ValueError):
        return False
    endings = {ending for ending, each in files.KINDS.items() if each == kind}
    # It reads archives badly: of those `_is_document` says which they are.
    endings |= {"zip"} if kind.startswith("application/vnd.") else set()
    return any(
        each.mime_type == kind or each.extension.lstrip(".").lower() in endings for each in found
    )


def _image(file_id: FileId, name: str, kind: str, content: bytes) -> NewFile | Refusal:
    """Read whole, so that a damaged one is told now; a still of it is what conversations show."""
    formats = (kind.partition("/")[2].upper(),)
    try:
        still = pictures.small(content, formats, PREVIEW_PIXELS)
    except (pictures.TooManyPixels, pictures.NoPicture):
        return Refusal.FILE_IS_OTHERWISE
    still.thumbnail((PREVIEW_PIXELS, PREVIEW_PIXELS))
    made = BytesIO()
    still.save(made, "WEBP", quality=80, method=4)
    file = File(file_id, name, kind, len(content), still.width, still.height)
    return NewFile(file, content, made.getvalue())


def _is_document(kind: str, content: bytes) -> bool:
    """Whether an archive is the office document that its name promises, and brings no macros."""
    try:
        with ZipFile(BytesIO(content)) as archive:
            parts = archive.namelist()
            if len(parts) > _PARTS_MAX or any(_is_macro(part) for part in parts):
                return False
            if "opendocument" in kind:
                # Its first part says what it is, not compressed and so to be read at its place.
                first = archive.infolist()[0]
                said = content[30 + 8 :][: len(kind)]
                return first.filename == "mimetype" and said == kind.encode()
            return "[Content_Types].xml" in parts and _MAIN_PARTS[kind] in parts
    except (BadZipFile, LargeZipFile, OSError, ValueError, IndexError, NotImplementedError):
        return False


def _is_macro(part: str) -> bool:
    lower = part.lower()
    return lower.endswith("vbaproject.bin") or lower.startswith(("basic/", "scripts/"))


_MAIN_PARTS = {
    files.KINDS["docx"]: "word/document.xml",
    files.KINDS["xlsx"]: "xl/workbook.xml",
    files.KINDS["pptx"]: "ppt/presentation.xml",
}
