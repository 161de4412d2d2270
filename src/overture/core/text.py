"""What members may write, and how it is counted: in Unicode code points, after NFC.

Source: docs/rules.md, "Who may write to whom", Text.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

# Direction overrides, embeddings and isolates: they can make a name or subject read as another.
_DIRECTION_CONTROLS = re.compile("[\u202a-\u202e\u2066-\u2069]")
# Control characters other than newline and tab, and surrogates, which no encoding of text has.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_FORBIDDEN_IN_LINES = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")
_HANDLE = re.compile(r"[a-z0-9][a-z0-9-]{1,39}")

NAME_CHARS_MAX = 100
HEADLINE_CHARS_MAX = 220
NOTE_CHARS_MAX = 300
ABOUT_CHARS_MAX = 2_000
SNIPPET_CHARS_MAX = 160


class Sentence(str):
    """A sentence for people, in English, that remembers how it was made, so that it can be translated.

    `Sentence("It has %(count)s letters.", count=3)` is the text "It has 3 letters."
    """

    template: str
    values: Mapping[str, object]

    def __new__(cls, template: str, **values: object) -> "Sentence":
        made = super().__new__(cls, template % values if values else template)
        made.template, made.values = template, values
        return made


@dataclass(frozen=True, slots=True)
class BadText:
    """Why a text cannot be taken: one sentence for the person who wrote it."""

    sentence: str


def normal(raw: str) -> str:
    """The text as it is stored and counted: CRLF and CR become LF, then NFC."""
    return unicodedata.normalize("NFC", raw.replace("\r\n", "\n").replace("\r", "\n"))


def body(raw: str, chars_max: int) -> str | BadText:
    """A message's text: not blank, at most `chars_max` code points."""
    if _FORBIDDEN.search(text := normal_or_raw(raw)):
        return BadText("The text contains control characters that cannot be sent.")
    if not text.strip():
        return BadText("Write something: the text is empty.")
    if len(text) > chars_max:
        return BadText(
            Sentence(
                "The text has %(count)s characters; at most %(most)s can be sent.",
                count=len(text),
                most=chars_max,
            )
        )
    return text


def line(raw: str, chars_max: int, *, required: bool = False) -> str | BadText:
    """A subject, name or headline: one line, no direction controls, trimmed."""
    text = normal_or_raw(raw)
    if _FORBIDDEN_IN_LINES.search(text):
        return BadText("This must be one line without control characters.")
    if _DIRECTION_CONTROLS.search(text):
        return BadText("Characters that change the direction of text are not allowed here.")
    text = text.strip()
    if required and not text:
        return BadText("This cannot be empty.")
    if len(text) > chars_max:
        return BadText(
            Sentence(
                "This has %(count)s characters; at most %(most)s are allowed.",
                count=len(text),
                most=chars_max,
            )
        )
    return text


def note(raw: str, chars_max: int = NOTE_CHARS_MAX) -> str | BadText:
    """A note that may be empty, such as an invitation's or a report's."""
    text = normal_or_raw(raw)
    if _FORBIDDEN.search(text):
        return BadText("The text contains control characters that cannot be sent.")
    if len(text) > chars_max:
        return BadText(
            Sentence(
                "The text has %(count)s characters; at most %(most)s are allowed.",
                count=len(text),
                most=chars_max,
            )
        )
    return text.strip()


def handle(raw: str) -> str | BadText:
    """A handle: 2 to 40 of a to z, 0 to 9 and the hyphen, not beginning with a hyphen."""
    if _HANDLE.fullmatch(raw):
        return raw
    return BadText("A handle has 2 to 40 of a-z, 0-9 and '-', and begins with a letter or digit.")


def normal_or_raw(raw: str) -> str:
    """`normal`, but an ASCII text without carriage returns, the usual case, is left as it is."""
    return raw if raw.isascii() and "\r" not in raw else normal(raw)


def fold(text: str) -> str:
    """Text as it is searched: without accents, case and repeated spaces."""
    stripped = "".join(
        char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char)
    )
    return " ".join(stripped.casefold().split())


def snippet(text: str) -> str:
    """The beginning of a message, on one line, for a list."""
    return " ".join(text[: SNIPPET_CHARS_MAX * 2].split())[:SNIPPET_CHARS_MAX]
