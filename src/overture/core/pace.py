"""How fast a member may begin conversations with strangers: slower while the account is new.

What a letter costs and whom it may reach are the rules' business. This holds back whom credits alone
do not: a stolen or thrown-away account that writes to as many strangers as it can before anybody
looks. It goes by real time, as all limits of its kind do. Source: docs/abuse.md, "How fast".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

WINDOW = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Pace:
    """How many letters to strangers a member may begin in any 24 hours; 0 for no such limit.

    An account is new until it is `new_for` old; whoever is slowed has a new account's pace.
    """

    daily: int = 200
    daily_new: int = 30
    new_for: timedelta = timedelta(days=7)

    def limit(self, age: timedelta, *, slowed: bool = False) -> int:
        """`slowed`: of whom sends one letter to many, whatever the account's age."""
        return self.daily_new if slowed or age < self.new_for else self.daily

    @property
    def most(self) -> int:
        """So many letters have to be known of to decide on one more."""
        return max(self.daily, self.daily_new)


@dataclass(frozen=True, slots=True)
class Paced:
    """A wish to write that is held to a pace; `at` is when it came, in real time."""

    pace: Pace
    at: datetime


def next_at(begun: Sequence[datetime], limit: int, at: datetime) -> datetime | None:
    """When one more may begin; None where it may now.

    `begun` are the instants of those before, in any order; `limit` 0 is none.
    """
    recent = sorted(each for each in begun if each > at - WINDOW)
    if limit == 0 or len(recent) < limit:
        return None
    # As many as are too many have to leave the window, the oldest first.
    return recent[-limit] + WINDOW
