"""What a mail says, part by part, before it is HTML or plain text. All of it is in the reader's words.

A `path` begins with a slash and leads to a page of this site.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Written:
    """What a member wrote, as they wrote it: a letter with its `stamp` and subject, or messages.

    `about` is a line about the writer and `end` one about the whole; each may be empty.
    """

    writer: str
    about: str
    texts: Sequence[str]
    subject: str = ""
    stamp: str = ""
    end: str = ""


@dataclass(frozen=True, slots=True)
class Button:
    """A link to a page where one more press does it. `main`: what most want."""

    label: str
    path: str
    main: bool = False


@dataclass(frozen=True, slots=True)
class Buttons:
    buttons: Sequence[Button]


class Tone(StrEnum):
    """What a note is, by its colour: something good, something to mind, or neither."""

    GOOD = "good"
    MIND = "mind"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence that stands out."""

    text: str
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True)
class Facts:
    """Lines of a name and what it is: “Next credits”, “5 on 28 February”."""

    facts: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Item:
    """One of several things told together: its heading, a line about it, and where it is."""

    heading: str
    text: str
    path: str


@dataclass(frozen=True, slots=True)
class Items:
    heading: str
    items: Sequence[Item]


Part = Text | Written | Buttons | Note | Facts | Items


@dataclass(frozen=True, slots=True)
class Said:
    """A whole mail. `preview` is what lists of mails show beside the subject.

    `why` says why it came, and `ends` what to do against it. `unsubscribe` is the path at which one
    request without a cookie ends mails like it; None where nothing does.
    """

    subject: str
    preview: str
    heading: str
    parts: Sequence[Part]
    why: str
    ends: Sequence[Button] = ()
    unsubscribe: str | None = None
