"""What is counted while the agents live, month by month, by who wrote and with which plan."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from overture.core.credits import Kind, Reason
from overture.sim.columns import KINDS, NO_PLAN, Small, Written
from overture.sim.deeds import Fate, Letters, Slips
from overture.sim.people import COLLUDER, HONEST, ROLES, People

Counts = NDArray[np.int64]

# An answer within so many hours is told by the hour, a week's letters up to so many by their number.
HOURS = 24 * 100
WEEKLY = 200


class Tally:
    """Counts of the measured months; what happens before and after them is not counted.

    `months` tells of each simulated day, from the first on, which measured month it lies in, -1 for
    none. The plan is a place in the policy's order, and one more for those without.
    """

    def __init__(self, months: Small, first_day: int, plans: int, people: People) -> None:
        self._month_of_day = months
        self._first_day = first_day
        self._plans = plans
        count = int(months.max()) + 1
        shape = (count, len(ROLES), plans + 1)
        self.credits: Counts = np.zeros((*shape, len(KINDS)), np.int64)
        self.cut: Counts = np.zeros((*shape, len(KINDS)), np.int64)
        self.fates: Counts = np.zeros((*shape, len(Fate)), np.int64)
        # Declined, accepted; by the month in which the letter was sent.
        self.answers: Counts = np.zeros((*shape, 2), np.int64)
        self.within_month: Counts = np.zeros(shape, np.int64)
        self.delays: Counts = np.zeros(HOURS + 1, np.int64)
        self.farmed: Counts = np.zeros(count, np.int64)
        self.farmed_back: Counts = np.zeros(count, np.int64)
        # Answers that brought a credit back, at once or when there will be room.
        self.returning = 0
        self.members: Counts = np.zeros((count, plans), np.int64)
        self.ran_out: Counts = np.zeros((count, plans), np.int64)
        self.weeks: Counts = np.zeros(plans, np.int64)
        self.dry_weeks: Counts = np.zeros(plans, np.int64)
        self.received: Counts = np.zeros(WEEKLY + 1, np.int64)
        self.reachable_weeks = 0
        self.member_weeks = 0
        self.spammed_weeks: Counts = np.zeros(count, np.int64)
        self.weeks_of_month: Counts = np.zeros(count, np.int64)
        self.held_first: Counts | None = None
        self.held_last: Counts | None = None
        self.parked_most = 0
        role = people.role[people.member]
        self.accounts_of_role: Counts = np.bincount(role, minlength=len(ROLES))
        self._unmet = np.zeros(len(role), np.bool_)
        self._month = -1

    def begin_day(self, day: int, people: People, plan: Small, balance: Small) -> None:
        """Closes the month that ended with yesterday."""
        month = self._of(day)
        if month == self._month:
            return
        role = people.role[people.member]
        if self._month >= 0:
            here = (role == HONEST) & (plan != NO_PLAN)
            self.members[self._month] = np.bincount(plan[here], minlength=self._plans)
            unmet = here & self._unmet
            self.ran_out[self._month] = np.bincount(plan[unmet], minlength=self._plans)
        held = np.bincount(role, weights=balance, minlength=len(ROLES)).astype(np.int64)
        if self._month < 0 <= month:
            self.held_first = held
        if month < 0 <= self._month:
            self.held_last = held
        self._unmet[:] = False
        self._month = month

    def letters(
        self, day: int, people: People, letters: Letters, fates: Small, plan: Small
    ) -> None:
        account = people.account[letters.sender]
        short = account[(fates == Fate.NO_CREDITS) & (account >= 0)]
        self._unmet[short] = True
        month = self._of(day)
        if month < 0:
            return
        strangers = letters.pair < 0
        self.farmed[month] += int((~strangers & (fates == Fate.PAID)).sum())
        key = self._segment(people.role[letters.sender], self._plan(people, letters.sender, plan))
        key = key[strangers] * len(Fate) + fates[strangers]
        counted = np.bincount(key, minlength=self.fates[0].size)
        self.fates[month] += counted.reshape(self.fates[0].shape)

    def answered(self, day: int, people: People, slips: Slips, plan: Small) -> None:
        if (today := self._of(day)) >= 0:
            self.farmed_back[today] += int((slips["farmed"] & (slips["until1"] > 0)).sum())
        slips = slips[~slips["farmed"]]
        month = self._month_of_day[slips["sent_at"] // 86_400 - self._first_day]
        slips, month = slips[month >= 0], month[month >= 0]
        sender = slips["sender"]
        key = self._segment(people.role[sender], self._plan(people, sender, plan))
        key = month * self.within_month[0].size + key
        waited = (slips["at"] - slips["sent_at"]) // 3_600
        soon = key[waited <= 30 * 24]
        counted = np.bincount(soon, minlength=self.within_month.size)
        self.within_month += counted.reshape(self.within_month.shape)
        key = key * 2 + slips["accepts"]
        counted = np.bincount(key, minlength=self.answers.size)
        self.answers += counted.reshape(self.answers.shape)
        honest = people.role[sender] == HONEST
        self.delays += np.bincount(np.minimum(waited[honest], HOURS), minlength=HOURS + 1)

    def entries(self, day: int, written: Sequence[Written], role: NDArray[np.int8]) -> None:
        month = self._of(day)
        if month < 0:
            return
        self.returning += sum(
            len(each.who)
            for each in written
            if each.kind is Kind.DEFER
            or (each.kind is Kind.REFUND and each.reason is not Reason.DEFERRED)
        )
        for place, kind in enumerate(KINDS):
            parts = [each for each in written if each.kind is kind]
            if not parts:
                continue
            who = np.concatenate([each.who for each in parts])
            plan = np.concatenate([each.plan for each in parts])
            key = self._segment(role[who], plan)
            for counts, values in (
                (self.credits, [np.abs(each.credits) for each in parts]),
                (self.cut, [each.forfeited for each in parts]),
            ):
                size = counts[0, ..., 0].size
                counted = np.bincount(key, weights=np.concatenate(values), minlength=size)
                counts[month, ..., place] += counted.reshape(counts.shape[1:3]).astype(np.int64)

    def week(
        self,
        day: int,
        received: Small,
        spam: Small,
        people: People,
        *,
        plan: Small,
        balance: Small,
        deferred: Small,
        reachable: int,
    ) -> None:
        month = self._of(day)
        if month < 0:
            return
        self.received += np.bincount(np.minimum(received, WEEKLY), minlength=WEEKLY + 1)
        self.member_weeks += people.count
        self.reachable_weeks += reachable
        self.spammed_weeks[month] += int((spam > 0).sum())
        self.weeks_of_month[month] += people.count
        role = people.role[people.member]
        here = (role == HONEST) & (plan != NO_PLAN)
        self.weeks += np.bincount(plan[here], minlength=self._plans)
        self.dry_weeks += np.bincount(plan[here & (balance == 0)], minlength=self._plans)
        self.parked_most = max(self.parked_most, int(deferred[role == COLLUDER].sum()))

    def kind(self, kind: Kind) -> Counts:
        """Credits that entries of this kind moved: by month, role and plan."""
        return self.credits[..., KINDS.index(kind)]

    def _of(self, day: int) -> int:
        return int(self._month_of_day[day - self._first_day])

    def _segment(self, role: NDArray[np.int8], plan: Small) -> Counts:
        return role.astype(np.int64) * (self._plans + 1) + np.where(plan < 0, self._plans, plan)

    def _plan(self, people: People, sender: Small, plan: Small) -> Small:
        account = people.account[sender]
        if not len(plan):
            return np.full(len(sender), NO_PLAN, np.int32)
        return np.where(account < 0, NO_PLAN, plan[account])
