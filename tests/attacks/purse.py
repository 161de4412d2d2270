"""The most that the rules let one member have in one pool, worked out from docs/rules.md alone.

A purse knows nothing of ledgers, entries or accounts: it is told which plans were held, what was sent
and what was answered in time, and counts months by itself. It shares no code with what it judges.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

EXPIRY = timedelta(days=120)
REFUND_WINDOW = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a plan brings."""

    name: str
    pool: str
    allotment: int
    cap: int


# "Plans (preset `seed`)", as the rules have them.
SEED = {
    terms.name: terms
    for terms in (
        Terms("premium_career", "premium", 5, 15),
        Terms("premium_business", "premium", 15, 45),
        Terms("sales_navigator_core", "sales_navigator", 50, 150),
        Terms("recruiter_lite", "recruiter", 30, 90),
    )
}


def months_later(instant: datetime, months: int) -> datetime:
    """Calendar months later, the day clamped to the month's last."""
    years, month = divmod(instant.month - 1 + months, 12)
    year, month = instant.year + years, month + 1
    return instant.replace(year=year, month=month, day=min(instant.day, monthrange(year, month)[1]))


def anniversary_after(since: datetime, instant: datetime) -> datetime:
    months = 1
    while (at := months_later(since, months)) <= instant:
        months += 1
    return at


@dataclass(frozen=True, slots=True)
class Purse:
    """What one has at an instant. `lots` are (expiry, credits), the first to expire first."""

    at: datetime
    plan: Terms | None = None
    since: datetime | None = None
    ends: datetime | None = None
    next_plan: Terms | None = None
    changes: datetime | None = None
    lots: tuple[tuple[datetime, int], ...] = ()
    waiting: int = 0
    granted: tuple[tuple[str, datetime], ...] = ()

    @property
    def balance(self) -> int:
        return sum(credits for _, credits in self.lots)

    def until(self, now: datetime) -> Purse:
        """All that happens by itself up to `now`, and at it."""
        purse = self
        while (due := purse._due()) is not None and due <= now:
            purse = purse._at(due)
        return replace(purse, at=max(purse.at, now))

    def chooses(self, plan: Terms) -> Purse:
        if self.plan is None:
            return self._begins(plan)
        if plan == self.plan:
            return replace(self, ends=None, next_plan=None, changes=None)
        if plan.allotment > self.plan.allotment:
            return self._loses_all()._begins(plan)
        return replace(self, ends=None, next_plan=plan, changes=self._next_anniversary())

    def cancels(self, *, at_once: bool) -> Purse | None:
        if self.plan is None:
            return None
        if at_once:
            return self._ends()
        return replace(self, ends=self._next_anniversary(), next_plan=None, changes=None)

    def spends(self) -> Purse | None:
        """None where there is nothing to spend."""
        if not self.lots:
            return None
        (expiry, credits), *others = self.lots
        first = [(expiry, credits - 1)] if credits > 1 else []
        return replace(self, lots=(*first, *others))._waiting_enter()

    def is_refunded(self) -> Purse:
        """The first response in time to a letter that this pool paid."""
        if self.plan is None:
            return self
        return replace(self, waiting=self.waiting + 1)._waiting_enter()

    def _due(self) -> datetime | None:
        if self.plan is None:
            return None
        dues = [self._next_anniversary(), self.ends, self.changes, *(at for at, _ in self.lots[:1])]
        return min(due for due in dues if due is not None)

    def _at(self, due: datetime) -> Purse:
        """Expire, end of subscription, grant, refunds that waited: in this order."""
        before = self
        purse = replace(self, at=due, lots=tuple(lot for lot in self.lots if lot[0] > due))
        if purse.plan is not None:
            if purse.ends == due:
                purse = purse._ends()
            elif purse.changes == due and purse.next_plan is not None:
                purse = purse._loses_all()._begins(purse.next_plan)
            elif before._next_anniversary() == due:
                purse = purse._is_granted(purse.plan)
        return purse._waiting_enter()

    def _next_anniversary(self) -> datetime:
        assert self.since is not None
        return anniversary_after(self.since, self.at)

    def _begins(self, plan: Terms) -> Purse:
        """Rule 9: nothing now, where the plan's last grant is less than a calendar month ago."""
        begun = replace(self, plan=plan, since=self.at, ends=None, next_plan=None, changes=None)
        last = dict(self.granted).get(plan.name)
        if last is not None and self.at < months_later(last, 1):
            return begun
        return begun._is_granted(plan)

    def _is_granted(self, plan: Terms) -> Purse:
        granted = dict(self.granted) | {plan.name: self.at}
        purse = replace(self, granted=tuple(sorted(granted.items())))
        return purse._with(min(plan.allotment, plan.cap - self.balance))

    def _with(self, credits: int) -> Purse:
        if credits <= 0:
            return self
        return replace(self, lots=tuple(sorted((*self.lots, (self.at + EXPIRY, credits)))))

    def _waiting_enter(self) -> Purse:
        purse = self
        while purse.plan and purse.waiting and purse.balance < purse.plan.cap:
            purse = replace(purse, waiting=purse.waiting - 1)._with(1)
        return purse

    def _loses_all(self) -> Purse:
        return replace(self, lots=(), waiting=0)

    def _ends(self) -> Purse:
        ended = self._loses_all()
        return replace(ended, plan=None, since=None, ends=None, next_plan=None, changes=None)


# What changes a purse: a plan chosen, a cancel ("now", "later"), a credit spent, one that comes back.
Step = Terms | str


def after_any_order(purses: Iterable[Purse], steps: Sequence[Step]) -> set[Purse]:
    """All that may be left where these were done at one instant, in an order that nobody knows.

    Empty where the rules allow them in no order at all.
    """
    seen: set[tuple[Purse, tuple[Step, ...]]] = set()
    left: list[tuple[Purse, tuple[Step, ...]]] = [(purse, tuple(steps)) for purse in purses]
    ends: set[Purse] = set()
    while left:
        state = left.pop()
        if state in seen:
            continue
        seen.add(state)
        purse, waiting = state
        if not waiting:
            ends.add(purse)
        for step in set(waiting):
            if (next_purse := _after(purse, step)) is not None:
                place = waiting.index(step)
                left.append((next_purse, (*waiting[:place], *waiting[place + 1 :])))
    return ends


def _after(purse: Purse, step: Step) -> Purse | None:
    match step:
        case Terms():
            return purse.chooses(step)
        case "spend":
            return purse.spends()
        case "refund":
            return purse.is_refunded()
        case _:
            return purse.cancels(at_once=step == "now")


def most_ever(held: Mapping[str, datetime], terms: Mapping[str, Terms], now: datetime) -> int:
    """What plans can have brought by now, at most, to whom has first held them then.

    Coarser than a purse, and hard to get wrong: between two grants of a plan lies a calendar month, of
    which the clamped ones are the shortest (31 Jan, 28 Feb, 28 Mar).
    """
    most = 0
    for plan, since in held.items():
        grants, at = 1, since
        while (at := months_later(at, 1)) <= now:
            grants += 1
        most += grants * terms[plan].allotment
    return most
