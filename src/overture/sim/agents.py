"""The agents: who writes to whom on a day, how well, and who answers when.

Every member chooses by what can be seen: an own balance, what is about to die, whether the other can be
written to at all. The rules are never asked here, and chance is never asked there: a `Decider` says
what becomes of what was chosen. docs/lab.md explains the model and where its numbers come from.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from overture.core.policy import Policy
from overture.sim.columns import DAY, NEVER, NO_PLAN, Act, Acts, Flags, Ints, Small, Terms
from overture.sim.deeds import MORNING, SLIP, Answers, Decided, Decider, Fate, Letters, Slips
from overture.sim.knobs import Knobs
from overture.sim.people import (
    ACCOMPLICES,
    COLLUDER,
    HOARDER,
    HONEST,
    SPAMMER,
    People,
    Reals,
    stream,
)
from overture.sim.tally import Tally

Doubles = NDArray[np.float64]

# The virtual clock begins on Monday, 1 January 2029.
FIRST_DAY = 21_550
# Nobody writes more letters on a day; the pace of docs/abuse.md lets an account write 200.
MOST_DAILY = 60
# The simulation goes on for so long after what is measured, so that its last letters can be answered.
AFTERWARDS = 31
# Colluders begin so long before a grant to make room for it, and before credits die to renew them.
LEAD = 5
_NIGHT = 8 * 3_600
_SIGN_UPS, _WISHES, _COUNTS, _TARGETS, _HOURS, _ANSWERS, _MORE = range(2, 9)


class Town:
    """The agents of one network, played day by day against one decider."""

    def __init__(
        self,
        policy: Policy,
        knobs: Knobs,
        people: People,
        *,
        decider: Decider,
        tally: Tally,
        seed: int,
    ) -> None:
        self.policy = policy
        self.knobs = knobs
        self.people = people
        self.decider = decider
        self.tally = tally
        self.seed = seed
        self.day = FIRST_DAY
        self._mood: Reals = np.ones(people.count, np.float32)
        self._received: Small = np.zeros(people.count, np.int32)
        self._spam: Small = np.zeros(people.count, np.int32)
        self._answers: dict[int, list[Slips]] = {}
        self._follow_ups: dict[int, list[Slips]] = {}
        self._turn: Ints = np.zeros(len(people.colluders), np.int64)
        self._met = _Met(people, float(people.wish.sum()) * 550)
        self._letters = 0
        self._reachable = 0
        self._role_of_account = people.role[people.member]
        self._window = int(policy.refund_window.total_seconds())
        self._allotment = np.array([p.allotment for p in policy.plans.values()], np.int32)
        self._cap = np.array([p.cap for p in policy.plans.values()], np.int32)
        self._on_the_first = Terms.of(policy).on_the_first
        self._pool_plans = _pool_plans(policy)
        self._spammers = np.flatnonzero(people.role == SPAMMER).astype(np.int32)

    def live(self) -> Decided:
        """One day."""
        self.decider.begin(self._subscriptions())
        today = self._writing()
        answers = _joined(self._answers.pop(self.day, []))
        decided = self.decider.decide(today.letters, _answers(answers))
        self._delivered(today, decided)
        self.tally.answered(self.day, self.people, answers, self.decider.plan)
        self.tally.entries(self.day, decided.written, self._role_of_account)
        self.day += 1
        if (self.day - FIRST_DAY) % 7 == 0:
            self._week_ends()
        return decided

    # Subscriptions --------------------------------------------------------------------------------

    def _subscriptions(self) -> Acts:
        people, knobs = self.people, self.knobs
        rng = stream(self.seed, _SIGN_UPS, self.day)
        first = np.flatnonzero(people.signs_up == self.day - FIRST_DAY).astype(np.int32)
        parts = [(first, Act.CHOOSE, people.first_plan[first])]
        roll = rng.random(len(people.member)) * 365 / 12
        plan = self.decider.plan
        honest = (self._role_of_account == HONEST) & (people.signs_up < self.day - FIRST_DAY)
        held = honest & (plan != NO_PLAN)
        bounds = np.cumsum([knobs.cancel_share, knobs.upgrade_share, knobs.downgrade_share])
        leaving = np.flatnonzero(held & (roll < bounds[0])).astype(np.int32)
        # One in ten does not wait for the period's end.
        at_once = roll[leaving] < bounds[0] / 10
        nothing = np.full(len(leaving), NO_PLAN, np.int32)
        parts.append((leaving[~at_once], Act.CANCEL_AT_PERIOD_END, nothing[~at_once]))
        parts.append((leaving[at_once], Act.CANCEL_NOW, nothing[at_once]))
        for low, high, step in ((bounds[0], bounds[1], 1), (bounds[1], bounds[2], -1)):
            changing = np.flatnonzero(held & (roll >= low) & (roll < high)).astype(np.int32)
            parts.append((changing, Act.CHOOSE, self._pool_plans(plan[changing], step)))
        # Spammers throw their accounts away after a while.
        gone = (self._role_of_account == SPAMMER) & (
            people.signs_up + knobs.spammer_days == self.day - FIRST_DAY
        )
        thrown = np.flatnonzero(gone).astype(np.int32)
        parts.append((thrown, Act.CANCEL_NOW, np.full(len(thrown), NO_PLAN, np.int32)))
        back = np.flatnonzero(honest & (plan == NO_PLAN) & (roll < knobs.return_share))
        parts.append((back.astype(np.int32), Act.CHOOSE, people.first_plan[back]))
        return Acts.together(
            [
                Acts.of(who, self.day * DAY + rng.integers(0, MORNING, len(who)), act, plan=chosen)
                for who, act, chosen in parts
            ]
        )

    # Writing --------------------------------------------------------------------------------------

    def _writing(self) -> "_Today":
        eligible = self._eligible()
        strangers = self._to_strangers(eligible)
        farmed = self._to_accomplices()
        more = self._further()
        parts = [strangers, farmed, more]
        letters = Letters(
            *(
                np.concatenate([getattr(part.letters, name) for part in parts])
                for name in ("number", "sender", "recipient", "at", "into", "pair")
            )
        )
        return _Today(
            letters,
            np.concatenate([part.quality for part in parts]),
            np.concatenate([part.length for part in parts]),
            more.slips,
        )

    def _eligible(self) -> Doubles:
        """How likely each member is to be written to by anybody: 0 who cannot be, as all can see."""
        people = self.people
        popularity = people.popularity.astype(np.float64)
        if self.policy.recipient_requires_premium:
            premium = np.zeros(people.count, np.bool_)
            premium[people.member] = self.decider.premium_until() > self.day * DAY + MORNING
            popularity *= premium
        self._reachable = int(np.count_nonzero(popularity))
        return popularity

    def _to_strangers(self, eligible: Doubles) -> "_Today":
        people, knobs = self.people, self.knobs
        counts_rng = stream(self.seed, _COUNTS, self.day)
        plan, balance = self.decider.plan, self.decider.balance
        role = self._role_of_account
        allotment = np.where(plan == NO_PLAN, 0, self._allotment[plan])
        scarcity = people.wish * (365 / 12) / np.maximum(allotment + balance / 3, 1)
        scarcity = np.clip(scarcity, 0, 3)
        mean = people.wish * self._weekday_share()
        wanted = counts_rng.poisson(mean).astype(np.int64)
        wanted[(role != HONEST) | (plan == NO_PLAN)] = 0
        # Hoarders and colluders write nothing for months, and then as much as they can.
        since = self.day - FIRST_DAY - 30 * knobs.warm_up_months
        campaign = 365 / 12 * knobs.campaign_months
        in_campaign = since % campaign >= campaign - knobs.campaign_days
        hoarding = (role == COLLUDER) | (role == HOARDER)
        wanted[hoarding] = np.minimum(balance[hoarding] + self.decider.deferred[hoarding],
            knobs.campaign_daily) if in_campaign else 0  # fmt: skip
        paying = role == SPAMMER
        wanted[paying] = np.minimum(knobs.spam_daily, balance[paying])
        wanted = np.minimum(wanted, MOST_DAILY)
        # Beside what they pay for, all spammers write to Open Profiles, which costs nothing.
        free = min(knobs.spam_daily, MOST_DAILY)
        arrived = people.arrives[self._spammers] <= self.day - FIRST_DAY
        left = people.arrives[self._spammers] + knobs.spammer_days <= self.day - FIRST_DAY
        spamming = self._spammers[arrived & ~left]
        sender = np.concatenate([np.repeat(people.member, wanted), np.repeat(spamming, free)])
        free_only = np.arange(len(sender)) >= wanted.sum()
        rng = stream(self.seed, _TARGETS, self.day)
        account = people.account[sender]
        spam = people.role[sender] == SPAMMER
        has = account >= 0
        scarce = np.where(has & ~spam, scarcity[account] if len(scarcity) else 0, 0)
        looked_through = 1 + knobs.choosiness * scarce
        fit = rng.random(len(sender)) ** (1 / looked_through)
        effort = np.where(has, people.effort[account] if len(people.effort) else 0, 0)
        effort = np.clip(effort + knobs.care * scarce, 0, 1)
        quality = knobs.fit_weight * (fit - 0.5) + knobs.effort_weight * (effort - 0.5)
        # Spam fits nobody, and costs no effort.
        blunt = -0.5 * (knobs.fit_weight + knobs.effort_weight) + knobs.spam_effect
        quality = np.where(spam, blunt, quality).astype(np.float32)
        shares = np.cumsum(knobs.length_shares) / sum(knobs.length_shares)
        length = np.minimum(np.searchsorted(shares, rng.random(len(sender))), 3)
        recipient = self._met.strangers(rng, sender, eligible, free_only=free_only)
        found = recipient >= 0
        return self._begun(
            sender[found], recipient[found], quality[found], length[found].astype(np.int32)
        )

    def _weekday_share(self) -> float:
        weekend = self.knobs.weekend
        return weekend if self._weekday() >= 5 else (7 - 2 * weekend) / 5

    def _weekday(self) -> int:
        """0 is Monday. Day 0 of 1970 was a Thursday."""
        return (self.day + 3) % 7

    def _to_accomplices(self) -> "_Today":
        """Colluders have answered what would die or be cut off, so that it comes back."""
        people, accounts = self.people, self.people.colluders
        balance = self.decider.balance[accounts]
        plan = self.decider.plan[accounts]
        held = plan != NO_PLAN
        over = balance + self._allotment[plan] - self._cap[plan]
        lead = (self.day + LEAD) * DAY
        soon = np.where(
            self._on_the_first[plan],
            _first_after(self.day) * DAY < lead,
            self.decider.anniversary[accounts] < lead,
        )
        parked = np.where(soon, np.maximum(over, 0), 0)
        renewed = self.decider.dying(LEAD)[accounts] if len(accounts) else parked
        count = np.where(held, np.minimum(np.minimum(parked + renewed, ACCOMPLICES), balance), 0)
        colluder = np.repeat(np.arange(len(accounts), dtype=np.int32), count)
        firsts = np.repeat(np.cumsum(count) - count, count)
        turn = self._turn[colluder] + np.arange(len(colluder)) - firsts
        self._turn += count
        return self._begun(
            people.member[accounts[colluder]],
            people.accomplices(colluder, turn),
            np.zeros(len(colluder), np.float32),
            np.ones(len(colluder), np.int32),
            pair=colluder.astype(np.int64) * ACCOMPLICES + turn % ACCOMPLICES,
        )

    def _begun(
        self,
        sender: Small,
        recipient: Small,
        quality: Reals,
        length: Small,
        pair: Ints | None = None,
    ) -> "_Today":
        count = len(sender)
        rng = stream(self.seed, _HOURS, self.day * 2 + (pair is not None))
        number = np.arange(self._letters, self._letters + count)
        self._letters += count
        # What colluders write comes after the day's answers.
        begin = MORNING if pair is None else MORNING + _NIGHT
        at = self.day * DAY + rng.integers(begin, DAY, count)
        nothing = np.full(count, -1, np.int64)
        return _Today(
            Letters(number, sender, recipient, at, nothing, nothing if pair is None else pair),
            quality,
            length,
            np.empty(0, SLIP),
        )

    def _further(self) -> "_Today":
        """Letters that follow an earlier one up."""
        slips = _joined(self._follow_ups.pop(self.day, []))
        rng = stream(self.seed, _MORE, self.day)
        at = self.day * DAY + rng.integers(MORNING, DAY, len(slips))
        nothing = np.full(len(slips), -1, np.int64)
        letters = Letters(
            np.arange(self._letters, self._letters + len(slips)),
            slips["sender"],
            slips["recipient"],
            at,
            slips["number"],
            nothing,
        )
        self._letters += len(slips)
        quality = np.full(len(slips), -0.7, np.float32)
        return _Today(letters, quality, np.zeros(len(slips), np.int32), slips)

    # Reading and answering ------------------------------------------------------------------------

    def _delivered(self, today: "_Today", decided: Decided) -> None:
        """What arrived is read or not, and answered or not; the answers are due on later days."""
        letters, fates = today.letters, decided.fates
        self.tally.letters(self.day, self.people, letters, fates, self.decider.plan)
        arrived = np.flatnonzero(fates <= Fate.FREE)
        recipient, sender = letters.recipient[arrived], letters.sender[arrived]
        spam = self.people.role[sender] == SPAMMER
        farmed = letters.pair[arrived] >= 0
        np.add.at(self._received, recipient[~farmed], 1)
        np.add.at(self._spam, recipient[spam], 1)
        rng = stream(self.seed, _ANSWERS, self.day)
        rolls = rng.random((5, len(arrived)))
        read = rolls[0] * self._received[recipient] < self.people.attention[recipient]
        odds = (
            self.knobs.answer_base
            + self.people.taste[recipient]
            + today.quality[arrived]
            - self.knobs.mood_weight * (1 - self._mood[recipient])
        )
        chance = self._day_effect() * np.array(self.knobs.length_effects)[today.length[arrived]]
        chance = np.minimum(chance / (1 + np.exp(-odds)), 1)
        annoyed = recipient[spam & read]
        np.multiply.at(self._mood, annoyed, np.float32(1 - self.knobs.mood_loss))
        answers = (read & (rolls[1] < chance)) | farmed
        # A reminder finds some who would have answered, and had not seen it.
        reminded = ~answers & (rolls[2] < self.knobs.reminded_share * chance)
        delay = np.exp(self.knobs.delay_spread * rng.standard_normal(len(arrived)))
        delay = self.knobs.delay_median_hours * 3_600 * delay
        delay += reminded * self.policy.reminder_aim.total_seconds()
        sent_at = letters.at[arrived]
        at: Ints = sent_at + np.minimum(delay, 400 * DAY).astype(np.int64)
        # The next morning at the earliest; accomplices just then.
        morning = (self.day + 1) * DAY + MORNING + (rolls[3] * _NIGHT).astype(np.int64)
        at += np.where(at % DAY < MORNING, MORNING, 0)
        at = np.where(farmed, morning, np.maximum(at, morning))
        slips = np.empty(len(arrived), SLIP)
        slips["number"], slips["sender"], slips["recipient"] = (
            letters.number[arrived],
            sender,
            recipient,
        )
        slips["sent_at"] = sent_at
        slips["at"] = np.where(answers | reminded, at, NEVER)
        slips["until1"] = np.where(fates[arrived] == Fate.PAID, sent_at + self._window, 0)
        slips["until2"] = 0
        slips["accepts"] = ~farmed & (rolls[4] >= self._declines(today.quality[arrived]))
        slips["farmed"] = farmed
        first = letters.into[arrived] < 0
        self._plan_answers(slips[first], rng)
        self._plan_further(today, decided, slips[~first])

    def _declines(self, quality: Reals) -> Reals:
        """The share of declines among the answers: the worse the letter, the more."""
        base = np.log(self.knobs.decline_share / max(1 - self.knobs.decline_share, 1e-9))
        return 1 / (1 + np.exp(quality - base))

    def _day_effect(self) -> float:
        return {4: self.knobs.friday_effect, 5: self.knobs.saturday_effect}.get(
            self._weekday(), 1.0
        )

    def _plan_answers(self, slips: Slips, rng: np.random.Generator) -> None:
        """Some senders follow up what was not answered after days, where the policy lets them."""
        follow_up_at = slips["sent_at"] + self.knobs.follow_up_after_days * DAY
        follow = np.zeros(len(slips), np.bool_)
        if self.policy.follow_ups:
            likes = rng.random(len(slips)) < self.knobs.follow_up_share
            honest = self.people.role[slips["sender"]] == HONEST
            # The answer must not come on the very day: it would have to be seen while writing.
            day = follow_up_at // DAY
            follow = likes & honest & (slips["at"] // DAY > day)
            _file(self._follow_ups, slips[follow], day[follow])
        coming = ~follow & (slips["at"] < NEVER)
        _file(self._answers, slips[coming], slips["at"][coming] // DAY)

    def _plan_further(self, today: "_Today", decided: Decided, further: Slips) -> None:
        """A letter that was followed up is answered once, for the first or for the second."""
        slips = today.slips
        if not len(slips):
            return
        fates = decided.fates[len(decided.fates) - len(slips) :]
        arrived = fates <= Fate.FREE
        # The plan for the follow-up itself, where it arrived; its own letter's number is the first's.
        slips["until2"][arrived] = further["until1"]
        sooner = further["at"] < slips["at"][arrived]
        at = slips["at"][arrived]
        at[sooner] = further["at"][sooner]
        slips["at"][arrived] = at
        coming = slips["at"] < NEVER
        _file(self._answers, slips[coming], slips["at"][coming] // DAY)

    def _week_ends(self) -> None:
        self.tally.week(
            self.day - 1,
            self._received,
            self._spam,
            self.people,
            plan=self.decider.plan,
            balance=self.decider.balance,
            deferred=self.decider.deferred,
            reachable=self._reachable,
        )
        self._received[:] = 0
        self._spam[:] = 0
        self._mood += (1 - self._mood) * np.float32(self.knobs.mood_recovery)


@dataclass(frozen=True, slots=True)
class _Today:
    """The day's letters with what they are like; `slips` are those of the last, the follow-ups."""

    letters: Letters
    quality: Reals
    length: Small
    slips: Slips


class _Met:
    """To whom nobody has written yet, as far as each sender remembers.

    Two strangers write in one direction only, the one to the next half of all members: so nobody
    writes to somebody whose own letter is waiting, for which the columns have no answer. Who was
    written to is remembered in a Bloom filter: now and then somebody new is passed over.
    """

    def __init__(self, people: People, letters: float) -> None:
        self._people = people
        bits = 1 << max(16, int(np.ceil(np.log2(max(letters, 1) * 16))))
        self._bits = min(bits, 1 << 30)
        self._seen = np.zeros(self._bits // 8, np.uint8)

    def strangers(
        self, rng: np.random.Generator, sender: Small, eligible: Doubles, *, free_only: Flags
    ) -> Small:
        """Somebody for each letter, -1 where nobody was found."""
        found = np.full(len(sender), -1, np.int32)
        open_ones = eligible * self._people.open_profile
        for chosen, weights in ((~free_only, eligible), (free_only, open_ones)):
            left = np.flatnonzero(chosen)
            reached = np.concatenate([[0.0], np.cumsum(weights)])
            for _ in range(3):
                if not len(left):
                    break
                picked = self._picked(rng, sender[left], reached)
                new = self._new(sender[left], picked)
                found[left[new]] = picked[new]
                left = left[~new]
        return found

    def _picked(self, rng: np.random.Generator, sender: Small, reached: Doubles) -> Small:
        count = self._people.count
        half = (count - 1) // 2
        low = reached[sender + 1]
        end = sender + 1 + half
        high = reached[np.minimum(end, count)] + reached[np.maximum(end - count, 0)]
        place = low + rng.random(len(sender)) * (high - low)
        place = np.where(place >= reached[-1], place - reached[-1], place)
        picked = np.searchsorted(reached, place, side="right") - 1
        picked = np.minimum(picked, count - 1)
        ahead = (picked - sender) % count
        real = (
            (high > low) & (ahead >= 1) & (ahead <= half) & (reached[picked + 1] > reached[picked])
        )
        return np.where(real, picked, -1).astype(np.int32)

    def _new(self, sender: Small, picked: Small) -> Flags:
        key = sender.astype(np.uint64) * np.uint64(self._people.count) + picked.astype(np.uint64)
        new = picked >= 0
        # Of the same two on one day the first.
        _, firsts = np.unique(key, return_index=True)
        once = np.zeros(len(key), np.bool_)
        once[firsts] = True
        places = [_mixed(key, salt) % np.uint64(self._bits) for salt in (1, 2)]
        known = np.ones(len(key), np.bool_)
        for place in places:
            known &= (
                self._seen[place >> np.uint64(3)] >> (place & np.uint64(7)).astype(np.uint8)
            ) & 1 > 0
        new &= once & ~known
        for place in places:
            taken = place[new]
            bit = np.left_shift(np.uint8(1), (taken & np.uint64(7)).astype(np.uint8))
            np.bitwise_or.at(self._seen, taken >> np.uint64(3), bit)
        return new


def _mixed(key: NDArray[np.uint64], salt: int) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64, which spreads neighbouring numbers over all."""
    mixed = key + np.uint64(0x9E3779B97F4A7C15 * salt & 0xFFFFFFFFFFFFFFFF)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _pool_plans(policy: Policy) -> Callable[[Small, int], Small]:
    """The next larger or smaller plan of the same pool, by places; the same where there is none."""
    plans = list(policy.plans.values())
    up = np.arange(len(plans), dtype=np.int32)
    down = up.copy()
    for number, plan in enumerate(plans):
        alike = [n for n, each in enumerate(plans) if each.pool == plan.pool]
        alike.sort(key=lambda n: plans[n].allotment)
        place = alike.index(number)
        up[number] = alike[min(place + 1, len(alike) - 1)]
        down[number] = alike[max(place - 1, 0)]
    return lambda held, step: (up if step > 0 else down)[held]


def _first_after(day: int) -> int:
    """The next day that begins a month."""
    month = np.datetime64(day, "D").astype("datetime64[M]") + 1
    return int(month.astype("datetime64[D]").astype(np.int64))


def _answers(slips: Slips) -> Answers:
    return Answers(
        slips["number"],
        slips["sender"],
        slips["at"],
        slips["accepts"],
        slips["until1"],
        slips["until2"],
    )


def _joined(parts: list[Slips]) -> Slips:
    return np.concatenate(parts) if parts else np.empty(0, SLIP)


def _file(calendar: dict[int, list[Slips]], slips: Slips, days: Ints) -> None:
    """Puts each slip to its day."""
    order = np.argsort(days, kind="stable")
    if not len(order):
        return
    days = days[order]
    firsts = np.flatnonzero(np.append(True, days[1:] != days[:-1]))
    for day, part in zip(days[firsts], np.split(slips[order], firsts[1:]), strict=True):
        calendar.setdefault(int(day), []).append(part)
