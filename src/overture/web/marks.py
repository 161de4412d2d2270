"""Overture's mark, a perforated stamp: drawn for browsers' tabs and for where the app is installed."""

from functools import cache
from io import BytesIO

from PIL import Image, ImageDraw

INK = "#2340ba"
PAPER = "#fbf9f6"

# On a square of this side; what is maskable keeps to the circle of 4/5 of it.
SIDE = 512
_STAMP = (120, 392)
_HOLES = 8
_HOLE_RADIUS = 10.5
_RING = (74, 44)
_CORNER = 112


# By name: how large, and how round its corners are. `mask` and `touch` are rounded by the device.
_PICTURES = {
    "icon-192.png": (192, _CORNER),
    "icon-512.png": (512, _CORNER),
    "mask-512.png": (512, 0),
    "touch-180.png": (180, 0),
}


@cache
def picture(name: str) -> tuple[str, bytes] | None:
    """The media type and the bytes of one of them; drawn when it is first asked for."""
    if name == "icon.svg":
        return "image/svg+xml", _svg().encode()
    if name not in _PICTURES:
        return None
    side, corner = _PICTURES[name]
    written = BytesIO()
    small = _drawn(corner).resize((side, side))
    # Few colours, so that it is small.
    small.quantize(64).save(written, "PNG", optimize=True)
    return "image/png", written.getvalue()


def _holes() -> list[tuple[float, float]]:
    """The middles of the holes along the four edges."""
    first, last = _STAMP
    step = (last - first) / _HOLES
    along = [first + step * (n + 0.5) for n in range(_HOLES)]
    return [place for a in along for place in ((a, first), (a, last), (first, a), (last, a))]


def _svg() -> str:
    first, last = _STAMP
    middle, side = SIDE // 2, last - first
    outer, inner = _RING
    holes = "".join(f'<circle cx="{x:g}" cy="{y:g}" r="{_HOLE_RADIUS}"/>' for x, y in _holes())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIDE} {SIDE}" fill="{INK}">'
        f'<rect width="{SIDE}" height="{SIDE}" rx="{_CORNER}"/>'
        f'<rect x="{first}" y="{first}" width="{side}" height="{side}" fill="{PAPER}"/>{holes}'
        f'<circle cx="{middle}" cy="{middle}" r="{outer}"/>'
        f'<circle cx="{middle}" cy="{middle}" r="{inner}" fill="{PAPER}"/></svg>'
    )


def _drawn(corner: int) -> Image.Image:
    picture = Image.new("RGBA", (SIDE * 2, SIDE * 2))
    pen = ImageDraw.Draw(picture)

    def disc(x: float, y: float, radius: float, colour: str) -> None:
        pen.ellipse(
            [(each) * 2 for each in (x - radius, y - radius, x + radius, y + radius)], colour
        )

    pen.rounded_rectangle((0, 0, SIDE * 2 - 1, SIDE * 2 - 1), corner * 2, INK)
    first, last = _STAMP
    pen.rectangle((first * 2, first * 2, last * 2 - 1, last * 2 - 1), PAPER)
    for x, y in _holes():
        disc(x, y, _HOLE_RADIUS, INK)
    for radius, colour in zip(_RING, (INK, PAPER), strict=True):
        disc(SIDE / 2, SIDE / 2, radius, colour)
    return picture
