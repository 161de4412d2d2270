"""A day decided all at once, on columns. The ladder is that of `core.contact`, for strangers."""

import numpy as np

from overture.core.policy import Policy
from overture.sim.columns import DAY, Accounts, Act, Acts, Ints, Small, Terms, Written
from overture.sim.deeds import MORNING, Answers, Decided, Fate, Letters
from overture.sim.people import ACCOMPLICES, People

WINDOW = DAY
# What a spend that is refused says of the letter, by its `Result`.
_FATES = np.array([Fate.PAID, Fate.NO_CREDITS, Fate.NOT_PREMIUM], np.int32)


class ByColumns:
    """Implements `deeds.Decider` for very many members."""

    def __init__(self, policy: Policy, people: People, first_day: int, most_daily: int) -> None:
        """`most_daily`: nobody writes more letters than that on one day."""
        self._policy = policy
        self._people = people
        self._window = int(policy.refund_window.total_seconds())
        self._accounts = Accounts(Terms.of(policy), len(people.member), first_day)
        self._free = _Free(policy.open_profile_daily, most_daily, people.count)
        # Which pairs of colluders a decline has shut; the last place is everybody else's, and open.
        self._shut = np.zeros(len(people.colluders) * ACCOMPLICES + 1, np.bool_)
        self._early: list[Written] = []

    @property
    def balance(self) -> Small:
        return self._accounts.balance

    @property
    def plan(self) -> Small:
        return self._accounts.plan

    @property
    def deferred(self) -> Small:
        return self._accounts.deferred

    @property
    def anniversary(self) -> Ints:
        return self._accounts.anniversary

    def premium_until(self) -> Ints:
        return self._accounts.premium_until()

    def dying(self, days: int) -> Small:
        return self._accounts.dying(days)

    def begin(self, wishes: Acts) -> None:
        _, self._early = self._accounts.play(wishes, until=MORNING)

    def decide(self, letters: Letters, answers: Answers) -> Decided:
        fates = self._without_price(letters)
        asked = np.flatnonzero(fates == Fate.PAID)
        senders = self._people.account[letters.sender[asked]]
        paying = self._people.account[answers.sender]
        acts = Acts.together(
            [
                # A letter and its follow-up are given back one after the other.
                *(
                    Acts.of(paying[due], answers.at[due], Act.GIVE_BACK, until=until[due])
                    for until in (answers.until1, answers.until2)
                    for due in (np.flatnonzero(until > 0),)
                ),
                Acts.of(senders, letters.at[asked], Act.SPEND),
            ]
        )
        result, written = self._accounts.play(acts)
        fates[asked] = _FATES[result[len(result) - len(asked) :]]
        sent = (letters.pair >= 0) & (fates == Fate.PAID)
        if not self._policy.decline_unlocks:
            # An accomplice declines on the next day, before anything is written again.
            self._shut[letters.pair[sent]] = True
        return Decided(fates, [*self._early, *written])

    def _without_price(self, letters: Letters) -> Small:
        """Rules 5 to 9: every fate but for what the credits say; PAID where they are to be asked."""
        people, at = self._people, letters.at
        account = people.account[letters.recipient]
        until = self._accounts.premium_until()
        premium = (account >= 0) & (until[account] > at) if len(until) else np.zeros(len(at), bool)
        fates = np.full(len(letters), Fate.PAID, np.int32)
        fates[people.account[letters.sender] < 0] = Fate.NOT_PREMIUM
        if self._policy.recipient_requires_premium:
            fates[~premium] = Fate.RECIPIENT_NOT_PREMIUM
        free = premium & people.open_profile[letters.recipient]
        fates[free] = Fate.FREE
        unavailable = ~people.accepts[letters.recipient]
        fates[unavailable] = Fate.RECIPIENT_UNAVAILABLE
        fates[self._shut[letters.pair]] = Fate.PENDING_INMAIL
        open_ones = np.flatnonzero(fates == Fate.FREE)
        taken = self._free.take(letters.sender[open_ones], at[open_ones])
        fates[open_ones[~taken]] = Fate.OPEN_PROFILE_LIMIT
        return fates


class _Free:
    """The free letters of the last 24 hours: of each sender the last so many instants."""

    def __init__(self, daily: int, most_daily: int, members: int) -> None:
        self._daily = daily
        # Twice a day's letters is more than any 24 hours can hold.
        self._limited = 0 < daily < 2 * most_daily
        self._members = members
        self._rows: Small = np.full(members if self._limited else 0, -1, np.int32)
        self._last: Ints = np.full((0, daily), -2 * WINDOW, np.int64)
        self._sent: Ints = np.zeros(0, np.int64)

    def take(self, sender: Small, at: Ints) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Whether each letter has a place, in the order of the instants."""
        if self._daily == 0:
            return np.zeros(len(sender), np.bool_)
        taken = np.ones(len(sender), np.bool_)
        if not self._limited:
            return taken
        row = self._row(sender)
        order = np.lexsort((np.arange(len(row)), at, row))
        rank = np.empty(len(row), np.int64)
        if len(row):
            sorted_rows = row[order]
            new = np.flatnonzero(np.append(True, sorted_rows[1:] != sorted_rows[:-1]))
            counts = np.diff(np.append(new, len(row)))
            rank[order] = np.arange(len(row)) - np.repeat(new, counts)
        for each in range(int(rank.max()) + 1 if len(row) else 0):
            here = np.flatnonzero(rank == each)
            who = row[here]
            place = self._sent[who] % self._daily
            # The one so many letters ago must have left the window.
            fits = self._last[who, place] <= at[here] - WINDOW
            taken[here] = fits
            who, place = who[fits], place[fits]
            self._last[who, place] = at[here][fits]
            self._sent[who] += 1
        return taken

    def _row(self, sender: Small) -> Small:
        new = np.unique(sender[self._rows[sender] < 0])
        if len(new):
            have = len(self._sent)
            self._rows[new] = np.arange(have, have + len(new), dtype=np.int32)
            more = np.full((len(new), self._daily), -2 * WINDOW, np.int64)
            self._last = np.concatenate([self._last, more])
            self._sent = np.concatenate([self._sent, np.zeros(len(new), np.int64)])
        return self._rows[sender]
