"""Photos of members, and how a member sets their own."""

from msgspec.structs import replace
from starlette.responses import Response

from overture.actions import pace, photos
from overture.actions.photos import PHOTO_BYTES_MAX
from overture.core.ids import MemberId
from overture.core.refusals import Refusal
from overture.core.text import BadText
from overture.store import photos as store
from overture.store.db import Tx
from overture.web.visit import Absent, Answer, Done, No, Visit, act, page

# More than is taken, so that a picture that is somewhat too large is refused in words of its own.
_FORM_BYTES_MAX = 3 * PHOTO_BYTES_MAX

_HEADERS = {
    # The address changes with the photo. For the browser alone: it is shown to members.
    "Cache-Control": "private, max-age=31536000, immutable",
    # Not by cookies: a notice that comes and goes would have it fetched anew.
    "Vary": "Accept-Encoding",
    "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
    "Content-Disposition": "inline",
}


@page("/photos/{member:uuid}/{version}")
async def photo(visit: Visit) -> Answer:
    large = visit.query.get("size") == "320"
    member = visit.id("member", MemberId)
    found = await store.one(visit.tx, member, visit.path["version"], large=large)
    if found is None:
        raise Absent
    return Response(found, media_type="image/webp", headers=_HEADERS)


@act("/profile/photo", transaction=False, form_bytes_max=_FORM_BYTES_MAX, files_max=1)
async def upload(visit: Visit) -> Answer:
    """The member's photo is this from now on."""
    viewer = visit.viewer.id
    if not await visit.site.db.writing(lambda tx: pace.allows_files(tx, viewer)):
        sentence = visit.words.gettext("You send files too fast. Wait some minutes, and try again.")
        return No(sentence, 429, "/profile")
    content = await visit.files[0].read() if visit.files else b""
    made = await photos.make(content)
    if isinstance(made, BadText):
        return No(visit.words.say(made.sentence), 422, "/profile")

    async def work(tx: Tx) -> Refusal | None:
        return await photos.put(tx, viewer, made, await visit.site.clock.now(tx))

    refused = await visit.site.db.writing(work)
    if refused is not None:
        return visit.refused(refused)
    return _changed(visit, made.version, visit.words.gettext("This is your photo from now on."))


@act("/profile/photo/remove")
async def remove(visit: Visit) -> Answer:
    refused = await photos.remove(visit.tx, visit.viewer.id, visit.now)
    if refused is not None:
        return visit.refused(refused)
    return _changed(visit, None, visit.words.gettext("Your photo is gone."))


def _changed(visit: Visit, version: str | None, notice: str) -> Done:
    # The rest of the page stays: there may be more on it that is not saved yet.
    values = {"viewer": replace(visit.viewer, photo=version)}
    return Done("/profile", patches="patches/photo.html", values=values, notice=notice)
