"""Photos of members: made anew from what was uploaded, so that nothing else of it is kept or shown."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from hashlib import sha256
from io import BytesIO

from PIL import Image, ImageOps

from overture.actions import pictures
from overture.core.ids import MemberId
from overture.core.refusals import Refusal
from overture.core.sending import Event
from overture.core.text import BadText
from overture.store import members
from overture.store import photos as store
from overture.store.db import Tx
from overture.store.outbox import tell
from overture.store.photos import Photo

PHOTO_BYTES_MAX = 5 * 1024 * 1024
SMALL_PIXELS, LARGE_PIXELS = 96, 320
_FORMATS = ("JPEG", "PNG", "WEBP")
# Of a picture that is taller than wide, the face is above the middle.
_CENTRE = (0.5, 0.4)
_WHITE = (255, 255, 255, 255)
# One at a time: a picture unpacked takes 200 times what it took on the way, and who waits here holds
# up nobody else.
_MAKERS = ThreadPoolExecutor(max_workers=1, thread_name_prefix="photos")


async def make(content: bytes) -> Photo | BadText:
    """The photo to be shown, from what was uploaded: nothing of it is believed.

    It may take a while, so this is done outside any transaction, in a thread of its own.
    """
    if not content:
        return BadText("Choose a picture first.")
    if len(content) > PHOTO_BYTES_MAX:
        return BadText("This picture is larger than 5 MB. Take a smaller one.")
    return await asyncio.get_running_loop().run_in_executor(_MAKERS, _made, content)


async def put(tx: Tx, member: MemberId, photo: Photo, now: datetime) -> Refusal | None:
    """Makes this the member's photo. The same one once more changes nothing."""
    if await members.own(tx, member) is None:
        return Refusal.NO_SUCH_MEMBER
    await store.put(tx, member, photo)
    await tell(tx, [Event(member, "member.changed", now, {})])
    return None


async def remove(tx: Tx, member: MemberId, now: datetime) -> Refusal | None:
    """Takes the member's photo away, for good; once more changes nothing."""
    if await members.own(tx, member) is None:
        return Refusal.NO_SUCH_MEMBER
    await store.drop(tx, member)
    await tell(tx, [Event(member, "member.changed", now, {})])
    return None


def _made(content: bytes) -> Photo | BadText:
    """Upright, square, in two sizes, and without what cameras write into pictures."""
    try:
        whole = pictures.small(content, _FORMATS, LARGE_PIXELS, square=True)
    except pictures.TooManyPixels:
        return BadText("This picture has more pixels than can be read. Take a smaller one.")
    except pictures.NoPicture:
        return BadText("This cannot be read as a picture. JPEG, PNG and WebP can.")
    if whole.mode == "RGBA":
        whole = Image.alpha_composite(Image.new("RGBA", whole.size, _WHITE), whole).convert("RGB")
    large = _square(whole, LARGE_PIXELS)
    small = _square(whole, SMALL_PIXELS)
    return Photo(sha256(large).hexdigest()[:16], small, large)


def _square(image: Image.Image, pixels: int) -> bytes:
    cut = ImageOps.fit(image, (pixels, pixels), Image.Resampling.LANCZOS, centering=_CENTRE)
    # Drawn anew, so that no profile or note of the picture comes along.
    plain = Image.new("RGB", cut.size)
    plain.paste(cut)
    made = BytesIO()
    plain.save(made, "WEBP", quality=82, method=4)
    return made.getvalue()
