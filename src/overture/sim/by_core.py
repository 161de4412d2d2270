"""A day decided by the rules themselves: every letter and answer through `core.sending.Desk`.

Slow, and right by definition: what `by_columns` is held against, and what small networks can run on.
"""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from overture.core import credits
from overture.core.contact import Pair, Party
from overture.core.conversations import Channel, Conversation
from overture.core.credits import Account, Change, Entry, Kind, Reason
from overture.core.ids import ConversationId, MemberId, MessageId
from overture.core.policy import Outcome, Policy, PolicyBook
from overture.core.refusals import Refusal
from overture.core.sending import Desk, Done, Refused, Respond, Start, Write
from overture.sim.columns import DAY, NEVER, NO_PLAN, Act, Acts, Ints, Small, Written
from overture.sim.deeds import MORNING, Answers, Decided, Fate, Letters
from overture.sim.people import People


class ByCore:
    """Implements `deeds.Decider`, one act after another."""

    def __init__(self, policy: Policy, people: People, first_day: int) -> None:
        self._policy = policy
        self._book = PolicyBook((policy,))
        self._people = people
        self._day = first_day
        self._plans = list(policy.plans)
        start = self._now = _instant(first_day * DAY)
        self._pools = [policy.plans[self._plans[plan]].pool for plan in people.first_plan]
        self._accounts: dict[MemberId, dict[str, Account]] = {
            _id(member): {pool: Account(_id(member), pool, start)}
            for member, pool in zip(people.member, self._pools, strict=True)
        }
        self._members = {
            _id(member): Party(
                _id(member),
                str(member),
                str(member),
                accepts_inmail=bool(people.accepts[member]),
                open_profile=bool(people.open_profile[member]),
            )
            for member in range(people.count)
        }
        self._pairs: dict[tuple[MemberId, MemberId], Pair] = {}
        self._conversations: dict[ConversationId, Conversation] = {}
        self._free: dict[MemberId, list[datetime]] = {}
        self._entries: list[tuple[int, Entry]] = []

    @property
    def balance(self) -> Small:
        return np.array([each.balance for each in self._all()], np.int32)

    @property
    def plan(self) -> Small:
        return np.array([self._number(each) for each in self._all()], np.int32)

    @property
    def deferred(self) -> Small:
        return np.array([len(each.deferred) for each in self._all()], np.int32)

    @property
    def anniversary(self) -> Ints:
        ends = (credits.renews_at(each, self._now) for each in self._all())
        return np.array([NEVER if at is None else _seconds(at) for at in ends], np.int64)

    def premium_until(self) -> Ints:
        ends = (credits.premium_until(each) for each in self._all())
        return np.array([_until(at) for at in ends], np.int64)

    def dying(self, days: int) -> Small:
        end = _instant((self._day + days) * DAY)
        return np.array(
            [sum(lot.remaining for lot in a.lots if lot.expires_at < end) for a in self._all()],
            np.int32,
        )

    def begin(self, wishes: Acts) -> None:
        self._entries = []
        order = np.lexsort((np.arange(len(wishes.who)), wishes.at))
        for place in order:
            account_number, act = int(wishes.who[place]), Act(int(wishes.act[place]))
            now = _instant(int(wishes.at[place]))
            account = self._settled(account_number, now)
            if act is Act.CHOOSE:
                plan = self._policy.plans[self._plans[int(wishes.plan[place])]]
                self._store(account_number, credits.choose(account, plan, now, self._book))
            elif account.subscription is not None:
                cancel = credits.cancel_now
                if act is Act.CANCEL_AT_PERIOD_END:
                    cancel = credits.cancel_at_period_end
                self._store(account_number, cancel(account, now, self._book))
            member = _id(int(self._people.member[account_number]))
            until = credits.premium_until(self._account(account_number))
            self._members[member] = replace(self._members[member], premium_until=until)
        self._settle_all(self._day * DAY + MORNING - 1)

    def decide(self, letters: Letters, answers: Answers) -> Decided:
        fates = np.zeros(len(letters), np.int32)
        at = np.concatenate([answers.at, letters.at])
        order = np.lexsort((np.arange(len(at)), at))
        for place in order:
            if place < len(answers):
                self._answer(answers, int(place))
            else:
                number = int(place) - len(answers)
                fates[number] = self._write(letters, number)
        self._day += 1
        self._settle_all(self._day * DAY - 1)
        return Decided(fates, [self._written(number, entry) for number, entry in self._entries])

    def _write(self, letters: Letters, place: int) -> Fate:
        sender, recipient = _id(int(letters.sender[place])), _id(int(letters.recipient[place]))
        desk = self._desk(int(letters.at[place]))
        message = MessageId(f"{letters.number[place]}")
        if letters.into[place] >= 0:
            into = ConversationId(str(letters.into[place]))
            answer = desk.decide(Write(sender, into, message, "Once more."))
        else:
            for one, other in ((sender, recipient), (recipient, sender)):
                self._pairs.setdefault((one, other), Pair(False, False, False, []))
            number = ConversationId(str(letters.number[place]))
            answer = desk.decide(Start(sender, recipient, number, message, "Hello."))
        self._take(desk)
        match answer:
            case Refused():
                return _FATES[answer.code]
            case Done(charge=charge) if charge is not None and charge.credits:
                return Fate.PAID
            case Done(conversation=conversation):
                # Any other free letter would be one that the agents were not to write.
                begun = self._conversations[conversation.id].channel
                assert begun is not Channel.MESSAGE, "they write to strangers alone"
                return Fate.FREE

    def _answer(self, answers: Answers, place: int) -> None:
        conversation = self._conversations[ConversationId(str(answers.number[place]))]
        assert conversation.recipient is not None, "a letter has one"
        outcome = Outcome.ACCEPTED if answers.accepts[place] else Outcome.DECLINED
        desk = self._desk(int(answers.at[place]))
        done = desk.decide(Respond(conversation.recipient, conversation.id, outcome))
        assert isinstance(done, Done), "nobody answers twice"
        self._take(desk)

    def _desk(self, at: int) -> Desk:
        return Desk(
            now=_instant(at),
            book=self._book,
            members=self._members,
            pairs=self._pairs,
            conversations=self._conversations,
            accounts=self._accounts,
            open_profile_sends=self._free,
        )

    def _take(self, desk: Desk) -> None:
        for owner, _, entry in desk.record.entries:
            self._entries.append((int(self._people.account[int(owner)]), entry))

    def _store(self, number: int, change: Change) -> None:
        self._accounts[change.account.owner][change.account.pool] = change.account
        self._entries.extend((number, entry) for entry in change.entries)

    def _settled(self, number: int, now: datetime) -> Account:
        self._store(number, credits.settle(self._account(number), now, self._book))
        return self._account(number)

    def _settle_all(self, at: int) -> None:
        """So that members see what they would see if they looked."""
        self._now = _instant(at)
        for number in range(len(self._people.member)):
            self._settled(number, self._now)

    def _account(self, number: int) -> Account:
        return self._accounts[_id(int(self._people.member[number]))][self._pools[number]]

    def _all(self) -> list[Account]:
        return [self._account(number) for number in range(len(self._people.member))]

    def _number(self, account: Account) -> int:
        held = account.subscription
        return NO_PLAN if held is None else self._plans.index(held.plan)

    def _written(self, number: int, entry: Entry) -> Written:
        def one(value: int) -> Small:
            return np.array([value], np.int32)

        return Written(
            Kind(entry.kind),
            # A further letter costs like the first one.
            Reason.INMAIL if entry.reason == Reason.FOLLOW_UP else Reason(entry.reason),
            one(number),
            np.array([_seconds(entry.at)], np.int64),
            one(entry.credits),
            one(entry.forfeited),
            one(entry.balance),
            one(NO_PLAN if entry.plan is None else self._plans.index(entry.plan)),
        )


_FATES = {
    Refusal.PENDING_INMAIL: Fate.PENDING_INMAIL,
    Refusal.RECIPIENT_UNAVAILABLE: Fate.RECIPIENT_UNAVAILABLE,
    Refusal.OPEN_PROFILE_LIMIT: Fate.OPEN_PROFILE_LIMIT,
    Refusal.RECIPIENT_NOT_PREMIUM: Fate.RECIPIENT_NOT_PREMIUM,
    Refusal.NOT_PREMIUM: Fate.NOT_PREMIUM,
    Refusal.NO_CREDITS: Fate.NO_CREDITS,
}


def _id(member: int) -> MemberId:
    return MemberId(str(member))


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _seconds(at: datetime) -> int:
    return int(at.timestamp())


def _until(at: datetime | None) -> int:
    if at is None:
        return 0
    return int(NEVER) if at >= credits.FOREVER else _seconds(at)
