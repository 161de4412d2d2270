"""Values out of a header, whatever stands in it.

The standard library's readers take long over long values and raise over odd ones: here nothing is read
that is longer than any mail program writes, and what cannot be read is not there.
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.errors import MessageError
from email.header import decode_header
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import TypeAlias, TypeVar, cast

from overture.mail.incoming.charsets import decoded

T = TypeVar("T")

# A mail, or a part of one.
Part: TypeAlias = "Message[str, str]"


VALUE_CHARS_MAX = 2_000
_VALUES_MAX = 10


def value(part: Part, name: str) -> str:
    """The first one of this name, on one line; empty where there is none."""
    return next(iter(values(part, name)), "")


def values(part: Part, name: str) -> list[str]:
    found = part.get_all(name) or []
    return [" ".join(str(each)[:VALUE_CHARS_MAX].split()) for each in found[:_VALUES_MAX]]


def parts(part: Part) -> list[Part]:
    """What it is put together of; empty where it is one thing."""
    if not part.is_multipart():
        return []
    inner = part.get_payload()
    return [
        cast("Part", each) for each in cast("Sequence[object]", inner) if isinstance(each, Message)
    ]


def undecoded(part: Part) -> str:
    """The text of a part that has no parts, as it came; empty where it cannot be had."""
    found = attempt(part.get_payload)
    return found if isinstance(found, str) else ""


def words(text: str) -> str:
    """A value for people, whose letters may be encoded."""
    if "=?" not in text:
        return text
    pieces = attempt(lambda: decode_header(text)) or [(text, None)]
    return "".join(
        piece if isinstance(piece, str) else decoded(piece, charset or "")
        for piece, charset in pieces
    )


def param(part: Part, name: str, header: str = "content-type") -> str:
    """A parameter of a header, decoded; empty where there is none."""
    found = attempt(lambda: part.get_param(name, "", header))
    if isinstance(found, tuple):
        charset, _, text = found
        content = text.encode("latin-1", "replace")
        return decoded(content, charset or "utf-8")
    return str(found or "")


def addresses(text: str) -> list[str]:
    """What looks like an address, in the order in which it stands there."""
    return [each.strip(".'").lower() for each in _ADDRESS.findall(text)]


def moment(text: str) -> datetime | None:
    found = attempt(lambda: parsedate_to_datetime(text))
    if found is None:
        return None
    aware = found if found.tzinfo else found.replace(tzinfo=UTC)
    return attempt(lambda: aware.astimezone(UTC))


def attempt(reads: Callable[[], T]) -> T | None:
    """What a reader of the standard library makes of it; None where it cannot."""
    try:
        return reads()
    except (ArithmeticError, AttributeError, LookupError, MessageError, TypeError, ValueError):
        return None


_ADDRESS = re.compile(r"[^\s<>\"(),:;\[\]\\@]{1,200}@[^\s<>\"(),:;\[\]\\@]{1,250}")
