"""Keyset pages: the next one begins where the last one ended, however much was added since."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar
from uuid import UUID

import msgspec

T = TypeVar("T")
R = TypeVar("R")
Parts = TypeVar("Parts", bound=tuple[object, ...])

CURSOR_CHARS_MAX = 512
_BIGINT = 2**63


class BadCursor(ValueError):
    """The cursor is none that this list gave out."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items of a list, in its order; `next` is the cursor of what follows, None at the end."""

    items: list[T]
    next: str | None


def page_of(
    rows: Sequence[R], limit: int, item: Callable[[R], T], key: Callable[[R], Sequence[object]]
) -> Page[T]:
    """A page from the rows of a statement that asked for one more than `limit`.

    `key` gives what the list is ordered by, of one row: the parts of the cursor.
    """
    shown = rows[:limit]
    more = len(rows) > limit
    return Page([item(row) for row in shown], encode(*key(shown[-1])) if more else None)


def encode(*parts: object) -> str:
    """The cursor of these parts: instants, ids, numbers and texts."""
    plain = [_instant(part) if isinstance(part, datetime) else part for part in parts]
    return urlsafe_b64encode(msgspec.json.encode(plain)).rstrip(b"=").decode()


def decode(cursor: str, shape: type[Parts]) -> Parts:
    """The parts of a cursor, as a tuple type says: `decode(cursor, tuple[datetime, UUID])`.

    Raises BadCursor for every text that `encode` would not have made of parts of this shape.
    """
    if len(cursor) > CURSOR_CHARS_MAX:
        raise BadCursor
    try:
        raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        parts = msgspec.json.decode(raw, type=shape)
        # What comes back otherwise than it came in is not ours: other spellings of an instant,
        # padding, white space, characters that base64 skips.
        ours = encode(*parts) == cursor
    except (binascii.Error, ValueError, OverflowError) as problem:
        raise BadCursor from problem
    if not ours or not all(_fits(part) for part in parts):
        raise BadCursor
    return parts


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _fits(part: object) -> bool:
    """Whether PostgreSQL has a value for it."""
    match part:
        case str():
            return "\0" not in part
        case int():
            return -_BIGINT <= part < _BIGINT
        case _:
            return isinstance(part, (UUID, datetime, float))
