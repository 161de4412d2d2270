"""Files that go with messages: what they may be called, what kinds there are, how much is too much.

Source: docs/rules.md, "Files". What a file is, its content says; its name has to agree.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from overture.core.ids import FileId

FILE_BYTES_MAX = 10_000_000
FILES_A_MESSAGE_MAX = 5
# What one member's files may take in all. What is deleted makes room again.
SPACE_BYTES_MAX = 500_000_000
NAME_CHARS_MAX = 120
UNNAMED = "file"

# The media type that each ending stands for. Nothing that a browser or an office would run: no
# markup, no SVG, no macros, no archive.
KINDS: Mapping[str, str] = {
    "pdf": "application/pdf",
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "odt": "application/vnd.oasis.opendocument.text",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odp": "application/vnd.oasis.opendocument.presentation",
}


@dataclass(frozen=True, slots=True)
class File:
    """A file as its message shows it. `width` and `height` are of an image's preview, else None."""

    id: FileId
    name: str
    kind: str
    bytes: int
    width: int | None = None
    height: int | None = None

    @property
    def is_image(self) -> bool:
        return self.kind.startswith("image/")


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file that was looked at and may go with a message. `preview` is a small still of an image."""

    file: File
    content: bytes
    preview: bytes | None = None


def clean_name(raw: str) -> str:
    """A name that is safe to store, to show and to save under: without a path, and of one line.

    What makes a name read as another is dropped: controls, direction marks and invisible characters.
    The ending stays whole when the rest is cut. Never empty.
    """
    last = raw.replace("\\", "/").rpartition("/")[2]
    visible = "".join(char for char in unicodedata.normalize("NFC", last) if not _is_hidden(char))
    name = " ".join(_RESERVED.sub("_", visible).split()).strip(". ")
    stem, dot, ending = name.rpartition(".")
    if not dot:
        stem, ending = name, ""
    stem = stem.rstrip(". ") or UNNAMED
    kept = stem[: max(NAME_CHARS_MAX - len(dot + ending), 1)].rstrip(". ") or UNNAMED
    return f"{kept}{dot}{ending}"[:NAME_CHARS_MAX]


def kind_by_name(name: str) -> str | None:
    """The media type that a name's ending promises; None for one that is not taken."""
    _, dot, ending = name.rpartition(".")
    return KINDS.get(ending.lower()) if dot else None


def begins_as(kind: str, content: bytes) -> bool:
    """Whether the content begins as that kind does. A text begins as nothing else, and is text."""
    if kind.startswith("text/"):
        return _is_text(content)
    if kind == "image/webp":
        return content[:4] == b"RIFF" and content[8:12] == b"WEBP"
    return content.startswith(_BEGINNINGS.get(kind, _ZIP))


def _is_hidden(char: str) -> bool:
    # Controls, formats (direction, joiners, byte order), surrogates, private use, unassigned; and
    # what separates lines.
    return unicodedata.category(char)[0] == "C" or char in "\u2028\u2029"


def _is_text(content: bytes) -> bool:
    """No byte that only other things have, whatever the encoding of the letters. UTF-16 has a mark."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return "\0" not in content.decode("utf-16")
        except UnicodeDecodeError:
            return False
    if _CONTROLS.search(content):
        return False
    return not _MARKUP.match(content) and not content.startswith(b"%PDF-")


# Not allowed in a name by one system or another, or read by it as more than a name.
_RESERVED = re.compile(r'[<>:"|?*%]')
_CONTROLS = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
_MARKUP = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype\b|!--|\?xml\b|(?:html|head|body|script|svg|iframe|style|meta)\b)",
    re.IGNORECASE,
)
_ZIP = b"PK\x03\x04"
_BEGINNINGS: Mapping[str, bytes | tuple[bytes, ...]] = {
    "application/pdf": b"%PDF-",
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff",
    "image/gif": (b"GIF87a", b"GIF89a"),
}
