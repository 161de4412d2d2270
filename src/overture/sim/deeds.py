"""What members do on one simulated day, and what becomes of it.

There are two ways of deciding it: `by_columns`, all at once, and `by_core`, one after another by the
rules themselves. They answer alike, letter for letter, entry for entry; `tests/sim` makes sure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from overture.sim.columns import Acts, Flags, Ints, Small, Written

# Subscriptions change in a day's first hour, and letters are written after it.
MORNING = 3_600


class Fate(IntEnum):
    """What the rules say to a letter, in the order of their refusals."""

    PAID = 0
    FREE = 1
    PENDING_INMAIL = 2
    RECIPIENT_UNAVAILABLE = 3
    OPEN_PROFILE_LIMIT = 4
    RECIPIENT_NOT_PREMIUM = 5
    NOT_PREMIUM = 6
    NO_CREDITS = 7


@dataclass(frozen=True, slots=True)
class Letters:
    """New letters, or further ones (`into` is then the earlier letter's number, else -1).

    `pair` is for colluders, who write to the same accomplices again: a number of the two, or -1 for
    whoever was never written to before.
    """

    number: Ints
    sender: Small
    recipient: Small
    at: Ints
    into: Ints
    pair: Ints

    def __len__(self) -> int:
        return len(self.number)


@dataclass(frozen=True, slots=True)
class Answers:
    """`until1` and `until2`: how long an answer returns what the letter and its follow-up cost.

    0 where that was nothing.
    """

    number: Ints
    sender: Small
    at: Ints
    accepts: Flags
    until1: Ints
    until2: Ints

    def __len__(self) -> int:
        return len(self.number)


@dataclass(frozen=True, slots=True)
class Decided:
    """The fate of each letter, in the order given, and the day's entries."""

    fates: Small
    written: Sequence[Written]


# What is known of a letter that somebody will do something about.
SLIP = np.dtype(
    [
        ("number", np.int64),
        ("sender", np.int32),
        ("recipient", np.int32),
        ("sent_at", np.int64),
        ("at", np.int64),  # of the answer; NEVER where none is to come
        ("until1", np.int64),
        ("until2", np.int64),
        ("accepts", np.bool_),
        ("farmed", np.bool_),
    ]
)
Slips = NDArray[np.void]


class Decider(Protocol):
    """Holds the accounts, and decides day after day. Members' choices look at what it shows."""

    def begin(self, wishes: Acts) -> None:
        """A day begins: subscriptions change, in its first hour."""
        ...

    def decide(self, letters: Letters, answers: Answers) -> Decided:
        """The rest of the day. At one instant answers come first, then letters, in their order."""
        ...

    @property
    def balance(self) -> Small: ...

    @property
    def plan(self) -> Small: ...

    @property
    def deferred(self) -> Small: ...

    @property
    def anniversary(self) -> Ints: ...

    def premium_until(self) -> Ints: ...

    def dying(self, days: int) -> Small: ...
