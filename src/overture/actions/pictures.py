"""Pictures as they come, unpacked with care.

What takes 200 kB on the way may take 200 MB in memory, and each copy of it as much again: so it is made
small strip by strip, before anything else is done with it.
"""

from io import BytesIO
from math import ceil

from PIL import ExifTags, Image, ImageOps

# What a large camera makes; more is there to fill the memory.
PIXELS_MAX = 50_000_000
_STRIP_ROWS = 64
# Of what becomes a square, no more is looked at than so many squares beside one another.
_SQUARES = 8


class TooManyPixels(ValueError):
    """It would not fit into the memory that it may have."""


class NoPicture(ValueError):
    """It cannot be read as one of these kinds."""


def small(
    content: bytes, formats: tuple[str, ...], pixels: int, *, square: bool = False
) -> Image.Image:
    """The picture upright, in RGB or RGBA, of a few times as many `pixels` in its longer side; in the
    shorter one, where it is to be cut to a `square`. Raises TooManyPixels, NoPicture."""
    try:
        with Image.open(BytesIO(content), formats=formats) as image:
            # Its head alone has been read so far.
            if image.width * image.height > PIXELS_MAX:
                raise TooManyPixels
            # A JPEG is read at a fraction of its size where that is enough.
            _ = image.draft("RGB", (pixels, pixels))
            turned = image.getexif().get(ExifTags.Base.Orientation)
            side = min(image.size) if square else max(image.size)
            room = _SQUARES * side if square else side
            made = _reduced(image, max(side // (2 * pixels), 1), room)
            if turned is not None:
                made.getexif()[ExifTags.Base.Orientation] = turned
            return ImageOps.exif_transpose(made)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as problem:
        if isinstance(problem, TooManyPixels):
            raise
        raise NoPicture from None


def _reduced(image: Image.Image, factor: int, room: int) -> Image.Image:
    """With so many pixels in a row, and so many rows, made into one; the middle of what has no room."""
    left, above = max(image.width - room, 0) // 2, max(image.height - room, 0) // 2
    right, below = image.width - left, image.height - above
    mode = "RGBA" if image.has_transparency_data else "RGB"
    made = Image.new(mode, (ceil((right - left) / factor), ceil((below - above) / factor)))
    for top in range(above, below, factor * _STRIP_ROWS):
        strip = image.crop((left, top, right, min(top + factor * _STRIP_ROWS, below)))
        made.paste(strip.convert(mode).reduce(factor), (0, (top - above) // factor))
    return made
