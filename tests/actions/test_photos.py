"""Photos: whatever is uploaded, what is kept is a small square picture and nothing else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import cast
from zipfile import ZipFile
from zlib import crc32

import pytest
from PIL import Image

from overture.actions import closing, members, photos
from overture.actions.export import export
from overture.core.ids import MemberId
from overture.core.refusals import Refusal
from overture.core.text import BadText
from overture.store import photos as store
from overture.store.db import all_rows
from overture.store.photos import Photo
from tests.cast import Town, town_in

RED, BLUE = (200, 30, 30), (30, 30, 200)


@pytest.fixture
async def town(database_url: str) -> AsyncIterator[Town]:
    async with town_in(database_url) as town:
        yield town


def picture(
    size: tuple[int, int] = (640, 480),
    kind: str = "JPEG",
    *,
    mode: str = "RGB",
    colour: object = RED,
    orientation: int = 0,
    note: str = "",
) -> bytes:
    """A picture of one colour, whose upper left corner is blue."""
    image = Image.new(mode, size, colour)  # pyright: ignore[reportArgumentType]
    if mode == "RGB":
        image.paste(BLUE, (0, 0, size[0] // 2, size[1] // 2))
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    if note:
        exif[0x010E] = note
    made = BytesIO()
    image.save(made, kind, exif=exif)
    return made.getvalue()


def shown(content: bytes) -> Image.Image:
    return Image.open(BytesIO(content))


def is_blue(image: Image.Image, x: int, y: int) -> bool:
    red, _, blue = cast("tuple[int, int, int]", image.convert("RGB").getpixel((x, y)))
    return blue > red


async def made(content: bytes) -> Photo:
    photo = await photos.make(content)
    assert isinstance(photo, Photo), photo
    return photo


async def keeps(town: Town, member: MemberId, content: bytes) -> Photo:
    photo = await made(content)
    assert await town.do(lambda tx: photos.put(tx, member, photo, town.now)) is None
    return photo


async def version_of(town: Town, member: MemberId) -> str | None:
    found = await town.look(lambda tx: members.profile(tx, None, member, town.now))
    assert found is not None
    return found.photo


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("size", [(640, 480), (300, 900), (40, 40), (3000, 20)])
async def test_every_picture_becomes_two_small_squares(kind: str, size: tuple[int, int]) -> None:
    photo = await made(picture(size, kind))

    small, large = shown(photo.small), shown(photo.large)
    assert (small.format, small.size) == ("WEBP", (96, 96))
    assert (large.format, large.size) == ("WEBP", (320, 320))


async def test_nothing_that_a_camera_wrote_into_a_picture_is_kept() -> None:
    content = picture(note="52.5200 N, 13.4050 E")
    assert b"13.4050" in content

    photo = await made(content)

    assert b"13.4050" not in photo.large + photo.small
    assert dict(shown(photo.large).getexif()) == {}
    assert not {"exif", "icc_profile", "xmp"} & set(shown(photo.large).info)


async def test_a_picture_stands_upright() -> None:
    # Turned by 180 degrees, the blue corner is below on the right.
    photo = await made(picture((400, 400), orientation=3))

    large = shown(photo.large)
    assert is_blue(large, 300, 300)
    assert not is_blue(large, 20, 20)


async def test_what_is_seen_through_is_white() -> None:
    photo = await made(picture(kind="PNG", mode="RGBA", colour=(0, 0, 0, 0)))

    assert shown(photo.large).convert("RGB").getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK", "I;16", "LA"])
async def test_pictures_of_every_mode_can_be_read(mode: str) -> None:
    image, content = Image.new(mode, (200, 200)), BytesIO()
    image.save(content, "JPEG" if mode == "CMYK" else "PNG")

    assert shown((await made(content.getvalue())).large).mode == "RGB"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GIF89a" + bytes(200),
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        picture()[:300],
        picture(kind="PNG")[:-200],
        picture() + bytes(photos.PHOTO_BYTES_MAX),
    ],
    ids=["nothing", "gif", "svg", "pdf", "broken", "cut off", "cut short", "too large"],
)
async def test_what_is_no_picture_is_refused_in_a_sentence(content: bytes) -> None:
    refused = await photos.make(content)

    assert isinstance(refused, BadText)
    assert refused.sentence.endswith(".")


async def test_a_gif_by_another_name_is_refused() -> None:
    content = BytesIO()
    Image.new("P", (50, 50)).save(content, "GIF")

    assert isinstance(await photos.make(content.getvalue()), BadText)


async def test_a_picture_that_would_fill_the_memory_is_refused_by_its_head() -> None:
    # Some 100 bytes that unpack to 10 GB.
    bomb = BytesIO()
    Image.new("1", (8, 8)).save(bomb, "PNG")
    content = bytearray(bomb.getvalue())
    content[16:24] = (100_000).to_bytes(4) + (100_000).to_bytes(4)
    content[29:33] = crc32(bytes(content[12:29])).to_bytes(4)

    assert isinstance(await photos.make(bytes(content)), BadText)


async def test_a_photo_is_a_members_until_another_one_is(town: Town) -> None:
    ada = await town.member("ada")
    first = await keeps(town, ada, picture())
    assert await version_of(town, ada) == first.version
    second = await keeps(town, ada, picture(colour=(20, 200, 20)))

    assert second.version != first.version
    assert await version_of(town, ada) == second.version
    found = await town.look(lambda tx: store.one(tx, ada, second.version, large=True))
    assert found == second.large
    assert await town.look(lambda tx: store.one(tx, ada, first.version, large=True)) is None


async def test_the_same_photo_once_more_keeps_its_address(town: Town) -> None:
    ada = await town.member("ada")
    first = await keeps(town, ada, picture())

    assert (await keeps(town, ada, picture())).version == first.version


async def test_a_photo_can_be_taken_away(town: Town) -> None:
    ada = await town.member("ada")
    photo = await keeps(town, ada, picture())

    assert await town.do(lambda tx: photos.remove(tx, ada, town.now)) is None

    assert await version_of(town, ada) is None
    assert await town.look(lambda tx: store.one(tx, ada, photo.version, large=False)) is None


async def test_a_closed_account_leaves_no_photo_and_can_have_none(town: Town) -> None:
    ada = await town.member("ada")
    photo = await keeps(town, ada, picture())
    await town.do(lambda tx: closing.close(tx, ada, town.now, town.book))

    assert await town.look(lambda tx: all_rows(tx, "select version from photos")) == []
    refused = await town.do(lambda tx: photos.put(tx, ada, photo, town.now))
    assert refused is Refusal.NO_SUCH_MEMBER
    refused = await town.do(lambda tx: photos.remove(tx, ada, town.now))
    assert refused is Refusal.NO_SUCH_MEMBER


async def test_members_take_their_photo_and_what_they_say_of_themselves_along(town: Town) -> None:
    ada = await town.member("ada")
    photo = await keeps(town, ada, picture())
    changes = members.ProfileChanges(about="I count.\nOn paper.")
    await town.do(lambda tx: members.update(tx, ada, changes, town.now))

    packed = await town.look(lambda tx: export(tx, ada, town.now, town.book))
    with packed, ZipFile(packed) as archive:
        assert archive.read("photo.webp") == photo.large
        assert b"I count.\\nOn paper." in archive.read("profile.json")


# With less memory than three copies of the picture take.
_IN_LITTLE_MEMORY = """
import resource, sys
from overture.actions import files, photos
from overture.actions.files import Upload
resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[1]), int(sys.argv[1])))
content = open(sys.argv[2], "rb").read()
print(type(photos._made(content)).__name__)
print(type(files._examined(Upload("1", "large.png", content))).__name__)
"""


@pytest.mark.parametrize(("mode", "colour"), [("RGBA", (9, 9, 9, 9)), ("P", 1)])
def test_a_large_picture_takes_no_more_memory_than_it_is_large(
    tmp_path: Path, mode: str, colour: object
) -> None:
    file, pixels = tmp_path / "large.png", 49_000_000
    Image.new(mode, (7000, 7000), colour).save(file, compress_level=1)  # pyright: ignore[reportArgumentType]
    limit = 4 * pixels * 2
    command = [sys.executable, "-c", _IN_LITTLE_MEMORY, str(limit), str(file)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.stdout.split() == ["Photo", "NewFile"], done.stderr


@pytest.mark.parametrize("size", [(2000, 1500), (1500, 2000), (2001, 1999)])
@pytest.mark.parametrize("orientation", [0, 6])
async def test_a_large_picture_is_whole_and_upright(
    size: tuple[int, int], orientation: int
) -> None:
    image = Image.new("RGB", size, RED)
    image.paste(BLUE, (0, 0, size[0] // 2, size[1]))
    exif, content = Image.Exif(), BytesIO()
    exif[0x0112] = orientation or 1
    image.save(content, "PNG", exif=exif)

    large = shown((await made(content.getvalue())).large)

    # What was on the left is above once it is turned.
    assert is_blue(large, *((200, 20) if orientation else (20, 200)))
    assert not is_blue(large, *((200, 300) if orientation else (300, 200)))
