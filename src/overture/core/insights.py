"""What a member's letters to strangers came to: how many were answered, how soon, and which.

Letters are counted, never people: nothing here knows to whom one was written. A rate of few letters
says little, so each comes with the interval in which the true one lies 19 times out of 20 (Wilson's).
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from math import sqrt
from statistics import median
from typing import Generic, TypeVar

from overture.core.cycles import months_after
from overture.core.likeness import are_alike, hashes_of

K = TypeVar("K")

MONTHS = 12
# A week's load is that of these weeks, on average.
LOAD_WEEKS = 12
# Where the lengths part, in code points; as the advice on letters has them, see docs/advice.md.
LENGTHS = (200, 400, 800, 1200)
HOURS = 3
# So many letters that say the same are a template, of which at most so many are told.
TEMPLATE_LETTERS_MIN = 3
TEMPLATES_MAX = 5
_NORMAL_95 = 1.959964


@dataclass(frozen=True, slots=True)
class Rate:
    """Of `sent` letters, `answered` have an answer by now."""

    sent: int
    answered: int

    @property
    def share(self) -> float | None:
        return self.answered / self.sent if self.sent else None

    @property
    def interval(self) -> tuple[float, float]:
        """Where the share lies that many more such letters would have; all of 0 to 1 without any."""
        if not self.sent:
            return 0.0, 1.0
        square = _NORMAL_95**2
        share = self.answered / self.sent
        whole = 1 + square / self.sent
        middle = (share + square / (2 * self.sent)) / whole
        spread = share * (1 - share) / self.sent + square / (4 * self.sent**2)
        reach = _NORMAL_95 * sqrt(spread) / whole
        return max(middle - reach, 0.0), min(middle + reach, 1.0)


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter to a stranger. `chars` are its first message's; `credits` what was charged for it and
    what followed it; `sketch` as `core.likeness` makes it, empty where it is not known."""

    at: datetime
    answered_at: datetime | None
    credits: int = 0
    chars: int = 0
    sketch: bytes = b""


@dataclass(frozen=True, slots=True)
class Group(Generic[K]):
    """The letters that have `key` in common: their month's start, their hour, their length."""

    key: K
    rate: Rate


@dataclass(frozen=True, slots=True)
class Template:
    """Letters that say the same; `first` is the place of the newest of them."""

    first: int
    rate: Rate


@dataclass(frozen=True, slots=True)
class Insights:
    """`credits` were charged for the letters of which `paid` tells; `templates` are of those letters
    alone that have a sketch, the most used first."""

    rate: Rate
    median: timedelta | None
    credits: int
    paid: Rate
    months: Sequence[Group[datetime]]
    lengths: Sequence[Group[int]]
    hours: Sequence[Group[int]]
    templates: Sequence[Template]

    @property
    def credits_per_answer(self) -> float | None:
        return self.credits / self.paid.answered if self.paid.answered else None


@dataclass(frozen=True, slots=True)
class Load:
    """What comes from strangers: a week on average, by month, and how much of it was answered."""

    rate: Rate
    median: timedelta | None
    a_week: float
    months: Sequence[Group[datetime]]


def insights(letters: Sequence[Letter], now: datetime, zone: tzinfo) -> Insights:
    """`letters` are those of the last twelve months, in any order; hours and months are `zone`'s."""
    paid = [each for each in letters if each.credits]
    return Insights(
        rate=_rate(letters),
        median=_median(letters),
        credits=sum(each.credits for each in paid),
        paid=_rate(paid),
        months=_months(letters, now, zone),
        lengths=_groups(letters, (0, *LENGTHS), lambda each: length_of(each.chars)),
        hours=_groups(letters, range(0, 24, HOURS), lambda each: _hours_of(each, zone)),
        templates=_templates(letters),
    )


def load(letters: Sequence[Letter], now: datetime, zone: tzinfo) -> Load:
    """`letters` are those that one got from strangers within the last twelve months."""
    weeks = timedelta(weeks=LOAD_WEEKS)
    return Load(
        rate=_rate(letters),
        median=_median(letters),
        a_week=sum(each.at > now - weeks for each in letters) / LOAD_WEEKS,
        months=_months(letters, now, zone),
    )


def since(now: datetime, zone: tzinfo) -> datetime:
    """The start of the oldest month that is told of."""
    return months_after(month_of(now, zone), 1 - MONTHS)


def month_of(at: datetime, zone: tzinfo) -> datetime:
    """The first midnight of the instant's month in a time zone."""
    local = at.astimezone(zone)
    return datetime(local.year, local.month, 1, tzinfo=zone)


def length_of(chars: int) -> int:
    """The length that the group begins after in which a letter of so many characters is."""
    return max((each for each in LENGTHS if chars > each), default=0)


def _months(letters: Iterable[Letter], now: datetime, zone: tzinfo) -> list[Group[datetime]]:
    last = month_of(now, zone)
    starts = [months_after(last, back) for back in range(1 - MONTHS, 1)]
    return _groups(letters, starts, lambda each: month_of(each.at, zone))


def _groups(
    letters: Iterable[Letter], keys: Iterable[K], key_of: Callable[[Letter], K]
) -> list[Group[K]]:
    """One for each key, also where no letter has it."""
    found: Mapping[K, list[Letter]] = defaultdict(list)
    for each in letters:
        found[key_of(each)].append(each)
    return [Group(key, _rate(found.get(key, ()))) for key in keys]


def _hours_of(letter: Letter, zone: tzinfo) -> int:
    return letter.at.astimezone(zone).hour // HOURS * HOURS


def _rate(letters: Iterable[Letter]) -> Rate:
    answered = [each.answered_at is not None for each in letters]
    return Rate(len(answered), sum(answered))


def _median(letters: Iterable[Letter]) -> timedelta | None:
    seconds = [(e.answered_at - e.at).total_seconds() for e in letters if e.answered_at]
    return timedelta(seconds=median(seconds)) if seconds else None


def _templates(letters: Sequence[Letter]) -> list[Template]:
    """Each letter goes to the group of the first that it is like; of most, none is."""
    groups: list[list[int]] = []
    by_hash: dict[int, list[int]] = defaultdict(list)
    order = sorted(range(len(letters)), key=lambda place: letters[place].at, reverse=True)
    for place in order:
        sketch = letters[place].sketch
        if not sketch:
            continue
        hashes = hashes_of(sketch)
        # Only those with which it has something in common are worth a look, the likest first.
        common = Counter(group for each in hashes for group in by_hash.get(each, ()))
        for group, _ in common.most_common(3):
            if are_alike(letters[groups[group][0]].sketch, sketch):
                groups[group].append(place)
                break
        else:
            for each in hashes:
                by_hash[each].append(len(groups))
            groups.append([place])
    used = sorted((g for g in groups if len(g) >= TEMPLATE_LETTERS_MIN), key=len, reverse=True)
    return [Template(g[0], _rate(letters[place] for place in g)) for g in used[:TEMPLATES_MAX]]
