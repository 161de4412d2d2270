"""Accounts as columns: what `core.credits` does to one account, done to very many at once.

A day is played as a whole. What falls due by itself (lots that die, periods that end, grants) and what
members do are put in the order of each account's instants; then the first event of every account is
played, then every account's second, and so on: no round touches an account twice, so each is a few
operations on arrays.

All lots of a policy live equally long, so that they die in the order in which they came, and are spent
in it. Of an account's lots two numbers are therefore enough, how many credits ever `opened` and how
many were `consumed`, beside the openings of the last days: a lot that opened as the credits up to
number `n` has `n - consumed` left when its time has come, if that is more than nothing.

`tests/sim/test_columns.py` holds this against `core.credits`, entry for entry.
Instants are whole seconds since 1970, UTC.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from overture.core.credits import Kind, Reason
from overture.core.policy import GrantsOn, Policy

Ints = NDArray[np.int64]
Small = NDArray[np.int32]
Flags = NDArray[np.bool_]

DAY = 86_400
NEVER = np.int64(1 << 60)
NO_PLAN = -1

KINDS = tuple(Kind)
REASONS = tuple(Reason)


class Act(IntEnum):
    """What happens to an account, in the rules' order at one instant; from CHOOSE on members act."""

    EXPIRE = 0
    DUE = 1
    CHOOSE = 2
    CANCEL_NOW = 3
    CANCEL_AT_PERIOD_END = 4
    SPEND = 5
    GIVE_BACK = 6


class Result(IntEnum):
    """What became of an act."""

    DONE = 0
    NO_CREDITS = 1
    NOT_PREMIUM = 2
    DEFERRED = 3
    TOO_LATE = 4


@dataclass(frozen=True, slots=True)
class Acts:
    """What members do on one day; of one account at one instant in the order given.

    `plan` is the number of the plan that is chosen, `until` the last instant at which an answer
    returns the credit; neither means anything for other acts.
    """

    who: Small
    at: Ints
    act: Small
    plan: Small
    until: Ints

    @classmethod
    def of(
        cls,
        who: Small,
        at: Ints,
        act: Act,
        *,
        plan: Small | None = None,
        until: Ints | None = None,
    ) -> "Acts":
        count = len(who)
        return cls(
            who.astype(np.int32),
            at.astype(np.int64),
            np.full(count, act, np.int32),
            np.full(count, NO_PLAN, np.int32) if plan is None else plan.astype(np.int32),
            np.full(count, NEVER, np.int64) if until is None else until.astype(np.int64),
        )

    @classmethod
    def together(cls, parts: "Sequence[Acts]") -> "Acts":
        if not parts:
            nobody = np.empty(0, np.int32)
            return cls.of(nobody, np.empty(0, np.int64), Act.SPEND)
        return cls(
            np.concatenate([part.who for part in parts]),
            np.concatenate([part.at for part in parts]),
            np.concatenate([part.act for part in parts]),
            np.concatenate([part.plan for part in parts]),
            np.concatenate([part.until for part in parts]),
        )


@dataclass(frozen=True, slots=True)
class Written:
    """Entries of one kind and reason, at most one an account unless they enter after waiting."""

    kind: Kind
    reason: Reason
    who: Small
    at: Ints
    credits: Small
    forfeited: Small
    balance: Small
    plan: Small


@dataclass(frozen=True, slots=True)
class Terms:
    """A policy's numbers as columns; a plan is known by its place in the policy's order."""

    plans: tuple[str, ...]
    allotment: Small
    cap: Small
    on_the_first: Flags
    expiry_days: int

    @classmethod
    def of(cls, policy: Policy) -> "Terms":
        plans = list(policy.plans.values())
        return cls(
            tuple(plan.name for plan in plans),
            np.array([plan.allotment for plan in plans], np.int32),
            np.array([plan.cap for plan in plans], np.int32),
            np.array([plan.grants_on is GrantsOn.FIRST_OF_MONTH for plan in plans]),
            policy.expiry.days,
        )


@dataclass(slots=True)
class _Openings:
    """The lots that opened on one day: whose, when, and as which credits of the account's."""

    who: list[Small] = field(default_factory=list["Small"])
    at: list[Ints] = field(default_factory=list["Ints"])
    upto: list[Small] = field(default_factory=list["Small"])


class Accounts:
    """Very many accounts, each of one member in one pool, played day by day from `first_day` on.

    `first_day` counts days since 1970. An account is known by its number; none has a plan at first.
    """

    def __init__(self, terms: Terms, count: int, first_day: int) -> None:
        self.terms = terms
        self.day = first_day
        self.plan: Small = np.full(count, NO_PLAN, np.int32)
        self.since: Ints = np.zeros(count, np.int64)
        self.ends_at: Ints = np.full(count, NEVER, np.int64)
        self.changes_at: Ints = np.full(count, NEVER, np.int64)
        self.next_plan: Small = np.full(count, NO_PLAN, np.int32)
        self.opened: Small = np.zeros(count, np.int32)
        self.consumed: Small = np.zeros(count, np.int32)
        self.deferred: Small = np.zeros(count, np.int32)
        self._months: Small = np.zeros(count, np.int32)
        self._anniversary: Ints = np.full(count, NEVER, np.int64)
        self._granted_at: Ints = np.full((count, len(terms.plans)), -NEVER, np.int64)
        self._openings: deque[_Openings] = deque(
            (_Openings() for _ in range(terms.expiry_days)), maxlen=terms.expiry_days
        )
        self._today = _Openings()
        self._expiring = Acts.together([])
        self._clock = 0
        self._written: list[Written] = []

    @property
    def balance(self) -> Small:
        return self.opened - self.consumed

    @property
    def anniversary(self) -> Ints:
        """When the running period ends; NEVER without a subscription."""
        return self._anniversary

    def premium_until(self) -> Ints:
        """Until when each subscription runs: 0 without one, NEVER while none is to end."""
        return np.where(self.plan == NO_PLAN, 0, self.ends_at)

    def dying(self, days: int) -> Small:
        """Credits of each account that die within so many days from today, unless they are spent."""
        upto = np.zeros(len(self.plan), np.int32)
        begun = self._clock > 0
        if begun:
            np.maximum.at(upto, self._expiring.who, self._expiring.until.astype(np.int32))
        for openings in list(self._openings)[: days - begun]:
            for who, reached in zip(openings.who, openings.upto, strict=True):
                np.maximum.at(upto, who, reached)
        return np.maximum(upto - self.consumed, 0)

    def play(self, acts: Acts, *, until: int = DAY) -> tuple[Small, list[Written]]:
        """Plays the day on, to its second `until`, by default to its end.

        Says what became of each act (`Result`), and which entries were written.
        """
        self._written = []
        if self._clock == 0:
            self._today = _Openings()
            self._expiring = self._dying_today(self._openings.popleft())
        result = self._rounds(acts, self.day * DAY + until)
        self._clock = until % DAY
        if until == DAY:
            self._openings.append(self._today)
            self.day += 1
        return result, self._written

    def _rounds(self, acts: Acts, end: int) -> Small:
        dying, due = self._dying_before(end), self._due_before(end)
        first_own = len(dying.who) + len(due.who)
        every = Acts.together([dying, due, acts])
        number = np.arange(len(every.who))
        # Of one account at one instant: lots in the order of their numbers, then what is due, then
        # what members do, in the order given. The numbers say just that.
        order = np.lexsort((number, every.at, every.who))
        who, at, act = every.who[order], every.at[order], every.act[order]
        plan, until = every.plan[order], every.until[order]
        new = np.ones(len(who), np.bool_)
        new[1:] = who[1:] != who[:-1]
        firsts = np.flatnonzero(new)
        rank = np.arange(len(who)) - np.repeat(firsts, np.diff(np.append(firsts, len(who))))
        by_itself = act <= Act.DUE
        last_of_instant = by_itself.copy()
        same = (who[1:] == who[:-1]) & (at[1:] == at[:-1]) & by_itself[1:]
        last_of_instant[:-1] &= ~same
        result = np.zeros(len(who), np.int32)
        by_rank = np.argsort(rank, kind="stable")
        counts = np.bincount(rank) if len(rank) else np.empty(0, np.int64)
        done = 0
        for count in counts.tolist():
            here = by_rank[done : done + count]
            done += count
            for each in np.flatnonzero(np.bincount(act[here])):
                chosen = here[act[here] == each]
                result[chosen] = self._one(
                    Act(int(each)), who[chosen], at[chosen], plan[chosen], until[chosen]
                )
            ended = here[last_of_instant[here]]
            self._enter_deferred(who[ended], at[ended])
        unsorted = np.empty_like(result)
        unsorted[order] = result
        return unsorted[first_own:]

    def _dying_today(self, expiring: _Openings) -> Acts:
        if not expiring.who:
            return Acts.together([])
        who = np.concatenate(expiring.who)
        at = np.concatenate(expiring.at) + self.terms.expiry_days * DAY
        upto = np.concatenate(expiring.upto)
        # What is spent until then is found out in its round.
        left = upto > self.consumed[who]
        acts = Acts.of(who[left], at[left], Act.EXPIRE, until=upto[left].astype(np.int64))
        order = np.lexsort((acts.until, acts.who))
        return Acts(acts.who[order], acts.at[order], acts.act, acts.plan, acts.until[order])

    def _dying_before(self, end: int) -> Acts:
        now = self.day * DAY + self._clock
        each = self._expiring
        here = (each.at >= now) & (each.at < end)
        return Acts(
            each.who[here], each.at[here], each.act[here], each.plan[here], each.until[here]
        )

    def _due_before(self, end: int) -> Acts:
        midnight = self.day * DAY
        who = np.flatnonzero(self._anniversary < end).astype(np.int32)
        at = self._anniversary[who]
        if self._clock == 0 and self._is_first():
            on_the_first = (self.plan != NO_PLAN) & self.terms.on_the_first[self.plan]
            # One whose period ends at this very midnight is due already.
            on_the_first[who[at == midnight]] = False
            others = np.flatnonzero(on_the_first).astype(np.int32)
            who = np.concatenate([who, others])
            at = np.concatenate([at, np.full(len(others), midnight, np.int64)])
        return Acts.of(who, at, Act.DUE)

    def _is_first(self) -> bool:
        return bool(_month_of(self.day * DAY + np.zeros(1, np.int64))[1][0] == 0)

    def _one(self, act: Act, who: Small, at: Ints, plan: Small, until: Ints) -> "Small | int":
        """One act of each of these accounts, no two the same."""
        match act:
            case Act.EXPIRE:
                return self._expire(who, at, until)
            case Act.DUE:
                return self._due(who, at)
            case Act.CHOOSE:
                return self._choose(who, at, plan)
            case Act.CANCEL_NOW:
                held = self.plan[who] != NO_PLAN
                self._end(who[held], at[held])
                return np.where(held, Result.DONE, Result.NOT_PREMIUM).astype(np.int32)
            case Act.CANCEL_AT_PERIOD_END:
                held = self.plan[who] != NO_PLAN
                self._wait(who[held], NO_PLAN)
                self.ends_at[who[held]] = self._anniversary[who[held]]
                return np.where(held, Result.DONE, Result.NOT_PREMIUM).astype(np.int32)
            case Act.SPEND:
                return self._spend(who, at)
            case Act.GIVE_BACK:
                return self._give_back(who, at, until)

    def _expire(self, who: Small, at: Ints, upto: Ints) -> int:
        left = (upto - self.consumed[who]).astype(np.int32)
        some = left > 0
        who, at, left = who[some], at[some], left[some]
        self.consumed[who] += left
        self._write(Kind.EXPIRE, Reason.EXPIRED, who, at, credits=-left)
        return Result.DONE

    def _due(self, who: Small, at: Ints) -> int:
        held = self.plan[who] != NO_PLAN
        who, at = who[held], at[held]
        ending_period = self._anniversary[who] == at
        ends = ending_period & (self.ends_at[who] == at)
        changes = ending_period & ~ends & (self.changes_at[who] == at)
        stays = ~ends & ~changes
        first = self.terms.on_the_first[self.plan[who]]
        # What began at this very midnight has had its grant.
        new_month = (at == self.day * DAY) & (at > self.since[who]) & self._is_first()
        grants = stays & ((first & new_month) | (~first & ending_period))
        onward = who[ending_period & stays]
        self._months[onward] += 1
        self._anniversary[onward] = months_after(self.since[onward], self._months[onward])
        self._end(who[ends], at[ends])
        self._change_plan(who[changes], at[changes], self.next_plan[who[changes]])
        self._grant(who[grants], at[grants], Reason.CYCLE)
        return Result.DONE

    def _choose(self, who: Small, at: Ints, plan: Small) -> int:
        held = self.plan[who]
        none = held == NO_PLAN
        upgrade = ~none & (self.terms.allotment[plan] > self.terms.allotment[held])
        same = held == plan
        downgrade = ~none & ~upgrade & ~same
        self._wait(who[same], NO_PLAN)
        self._wait(who[downgrade], plan[downgrade])
        self.changes_at[who[downgrade]] = self._anniversary[who[downgrade]]
        self._change_plan(who[upgrade], at[upgrade], plan[upgrade])
        self._start(who[none], at[none], plan[none], Reason.SIGN_UP)
        return Result.DONE

    def _wait(self, who: Small, plan: "Small | int") -> None:
        """What waits for the period's end is this plan, or nothing."""
        self.ends_at[who] = NEVER
        self.changes_at[who] = NEVER
        self.next_plan[who] = plan

    def _spend(self, who: Small, at: Ints) -> Small:
        can = self.balance[who] > 0
        result = np.where(self.plan[who] == NO_PLAN, Result.NOT_PREMIUM, Result.NO_CREDITS)
        result[can] = Result.DONE
        who, at = who[can], at[can]
        self.consumed[who] += 1
        self._write(Kind.SPEND, Reason.INMAIL, who, at, credits=np.full(len(who), -1, np.int32))
        self._enter_deferred(who, at)
        return result.astype(np.int32)

    def _give_back(self, who: Small, at: Ints, until: Ints) -> Small:
        late = at > until
        ended = ~late & (self.plan[who] == NO_PLAN)
        room = ~late & ~ended & (self._room(who) > 0)
        waits = ~late & ~ended & ~room
        self._write(Kind.NO_REFUND, Reason.TOO_LATE, who[late], at[late])
        self._write(Kind.NO_REFUND, Reason.NO_SUBSCRIPTION, who[ended], at[ended])
        ones = np.ones(int(room.sum()), np.int32)
        self._open(Kind.REFUND, Reason.RESPONSE, who[room], at[room], ones)
        self.deferred[who[waits]] += 1
        self._write(Kind.DEFER, Reason.RESPONSE, who[waits], at[waits])
        result = np.full(len(who), Result.DONE, np.int32)
        result[late] = Result.TOO_LATE
        result[ended] = Result.NOT_PREMIUM
        result[waits] = Result.DEFERRED
        return result

    def _start(self, who: Small, at: Ints, plan: Small, reason: Reason) -> None:
        self.plan[who] = plan
        self.since[who] = at
        self._wait(who, NO_PLAN)
        self._months[who] = 1
        self._anniversary[who] = months_after(at, np.ones(len(who), np.int32))
        granted_at = self._granted_at[who, plan]
        ever = granted_at != -NEVER
        lately = np.zeros(len(who), np.bool_)
        lately[ever] = at[ever] < months_after(granted_at[ever], np.ones(int(ever.sum()), np.int32))
        self._write(
            Kind.FORFEIT,
            Reason.ALREADY_GRANTED,
            who[lately],
            at[lately],
            forfeited=self.terms.allotment[plan[lately]],
        )
        self._grant(who[~lately], at[~lately], reason)

    def _change_plan(self, who: Small, at: Ints, plan: Small) -> None:
        self._forfeit_all(who, at, Reason.PLAN_CHANGE)
        self._start(who, at, plan, Reason.PLAN_CHANGE)

    def _end(self, who: Small, at: Ints) -> None:
        self._forfeit_all(who, at, Reason.CANCELED)
        self.plan[who] = NO_PLAN
        self._wait(who, NO_PLAN)
        self._anniversary[who] = NEVER

    def _forfeit_all(self, who: Small, at: Ints, reason: Reason) -> None:
        lost, waiting = self.balance[who], self.deferred[who]
        self.consumed[who] = self.opened[who]
        self.deferred[who] = 0
        some = (lost > 0) | (waiting > 0)
        self._write(
            Kind.FORFEIT, reason, who[some], at[some], credits=-lost[some], forfeited=waiting[some]
        )

    def _grant(self, who: Small, at: Ints, reason: Reason) -> None:
        plan = self.plan[who]
        allotment = self.terms.allotment[plan]
        size = np.clip(self._room(who), 0, allotment)
        cut = allotment - size
        self._granted_at[who, plan] = at
        for why, chosen in ((reason, cut == 0), (Reason.CAP, cut > 0)):
            self._open(
                Kind.GRANT, why, who[chosen], at[chosen], size[chosen], forfeited=cut[chosen]
            )

    def _enter_deferred(self, who: Small, at: Ints) -> None:
        waiting = self.deferred[who] > 0
        who, at = who[waiting], at[waiting]
        if not len(who):
            return
        enters = np.minimum(self.deferred[who], np.maximum(self._room(who), 0))
        self.deferred[who] -= enters
        while (some := enters > 0).any():
            who, at, enters = who[some], at[some], enters[some] - 1
            self._open(Kind.REFUND, Reason.DEFERRED, who, at, np.ones(len(who), np.int32))

    def _room(self, who: Small) -> Small:
        plan = self.plan[who]
        return np.where(plan == NO_PLAN, 0, self.terms.cap[plan] - self.balance[who])

    def _open(
        self,
        kind: Kind,
        reason: Reason,
        who: Small,
        at: Ints,
        credits: Small,
        *,
        forfeited: Small | None = None,
    ) -> None:
        self.opened[who] += credits
        # A grant that the cap cuts to nothing opens no lot.
        some = credits > 0
        if some.any():
            self._today.who.append(who[some])
            self._today.at.append(at[some])
            self._today.upto.append(self.opened[who[some]])
        self._write(kind, reason, who, at, credits=credits, forfeited=forfeited)

    def _write(
        self,
        kind: Kind,
        reason: Reason,
        who: Small,
        at: Ints,
        *,
        credits: Small | None = None,
        forfeited: Small | None = None,
    ) -> None:
        """Adds entries; the balances have been changed already."""
        if not len(who):
            return
        nothing = np.zeros(len(who), np.int32)
        self._written.append(
            Written(
                kind,
                reason,
                who,
                at,
                nothing if credits is None else credits.astype(np.int32),
                nothing if forfeited is None else forfeited.astype(np.int32),
                self.balance[who],
                self.plan[who],
            )
        )


def months_after(at: Ints, months: Small) -> Ints:
    """`core.cycles.months_after` for columns: so many calendar months on, the day clamped."""
    month, day = _month_of(at)
    target = month + months
    day = np.minimum(day, _MONTHS[target + 1] - _MONTHS[target] - 1)
    return (_MONTHS[target] + day) * DAY + at % DAY


def _month_of(at: Ints) -> tuple[Ints, Ints]:
    """The month, counted from January 1970, and the day in it, counted from 0."""
    month = at.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64)
    return month, at // DAY - _MONTHS[month]


# On which day since 1970 each month begins, to the year 2170.
_MONTHS: Ints = (
    np.arange(0, 12 * 200).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
)
