"""Due work: what became of trying it, and when it is tried again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from overture.core.ids import MemberId

# Over about two and a half days: longer than a weekend's outage, shorter than anybody's patience.
TRIES_MAX = 10
_FIRST_WAIT = timedelta(seconds=10)
_WAIT_MAX = timedelta(days=1)
_JITTER = 0.2


@dataclass(frozen=True, slots=True)
class NewJob:
    """Work that is to be done for a member from `due_at` on.

    There is one job of a `queue`, an `owner` and a `key` at a time: whoever makes it from an event puts
    the event's number into its key, so that making it twice makes one.
    """

    queue: str
    owner: MemberId
    key: str
    due_at: datetime
    payload: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Job:
    """Work that is being tried for the `tries`th time; `payload` is JSON.

    `held` is the lease that it was taken with, as the database writes it: what became of the try is
    written down only while nobody took it with another.
    """

    number: int
    queue: str
    owner: MemberId
    key: str
    due_at: datetime
    payload: bytes
    tries: int
    held: str = "-infinity"


@dataclass(frozen=True, slots=True)
class Done:
    """It was done, or the reason for it is gone."""


@dataclass(frozen=True, slots=True)
class Moved:
    """It is due later, by the members' clock; that it was looked at is no try."""

    due_at: datetime
    payload: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Again:
    """It failed as things fail that may work later; `why` is a sentence for the operator."""

    why: str


@dataclass(frozen=True, slots=True)
class Hopeless:
    """It failed and would fail again; `why` is a sentence for the operator."""

    why: str


Outcome = Done | Moved | Again | Hopeless
DONE = Done()


def wait_after(tries: int, chance: float) -> timedelta | None:
    """How long to wait after the `tries`th try failed, by the real clock; None: it is given up.

    Four times longer each time, up to a day; `chance`, from 0 to 1, spreads what failed together.
    """
    if tries >= TRIES_MAX:
        return None
    wait = min(_FIRST_WAIT * 4 ** (tries - 1), _WAIT_MAX)
    return wait * (1 + _JITTER * (2 * chance - 1))
