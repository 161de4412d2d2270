"""A deployment's own history, played again under another policy, by the rules themselves.

What members did is taken from the record, each deed at its instant: what they wished of subscriptions,
the letters they sent, the answers they gave. Under another policy some letters would have been refused,
and then nobody answers them. What members would have done with more credits no record tells: a replay
never adds a letter. Under the policy that held, it comes to the recorded ledger, entry for entry.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from heapq import merge
from itertools import count
from math import nan
from statistics import median

from overture.core import credits
from overture.core.contact import Pair, Party
from overture.core.conversations import Channel, Conversation, Response
from overture.core.credits import Account, Change, Entry, Kind
from overture.core.ids import ConversationId, MemberId, MessageId
from overture.core.policy import Outcome, PolicyBook, PolicyProblem
from overture.core.refusals import Refusal
from overture.core.replay import WishKind
from overture.core.sending import Desk, Done, Refused, Respond, Start, Withdraw, Write
from overture.sim.figures import Run
from overture.store.history import Deed, History, Letter, Wished

Key = tuple[MemberId, str]
Progress = Callable[[int, int], None]
WEEK = timedelta(days=7)

# Of one account at one instant, entries tell the order; a free letter comes after the subscription
# of whoever may receive it, and its answer after that.
_FREE, _LAST = 1e12, float("inf")


@dataclass(slots=True)
class Replayed:
    """What a history comes to under a policy."""

    ledgers: dict[Key, list[Entry]] = field(default_factory=dict[Key, list[Entry]])
    accounts: dict[MemberId, dict[str, Account]] = field(
        default_factory=dict[MemberId, dict[str, Account]]
    )
    sent: dict[ConversationId, Letter] = field(default_factory=dict[ConversationId, Letter])
    plan_of: dict[ConversationId, str | None] = field(
        default_factory=dict[ConversationId, "str | None"]
    )
    answered: dict[ConversationId, datetime] = field(default_factory=dict[ConversationId, datetime])
    accepted: int = 0
    refused: dict[Refusal, int] = field(default_factory=dict[Refusal, int])
    short: dict[str, set[tuple[MemberId, int]]] = field(
        default_factory=dict[str, "set[tuple[MemberId, int]]"]
    )
    weeks: dict[str, int] = field(default_factory=dict[str, int])
    dry_weeks: dict[str, int] = field(default_factory=dict[str, int])


def replay(
    history: History,
    book: PolicyBook,
    until: datetime,
    progress: Progress = lambda _done, _total: None,
) -> Replayed:
    """Everything up to and including `until`. Raises PolicyProblem where a wished plan is missing."""
    _check_plans(history, book)
    played = _Played(history, book)
    events = list(_events(history))
    week = events[0][0] + WEEK if events else until
    for number, (at, _, _, deed) in enumerate(events):
        while week <= min(at, until):
            played.week_ends(week)
            week += WEEK
        if at <= until:
            played.play(deed, at)
        if number % 1000 == 0:
            progress(number, len(events))
    while week <= until:
        played.week_ends(week)
        week += WEEK
    played.settle_all(until)
    return played.result


def run_of(history: History, replayed: Replayed, book: PolicyBook, until: datetime) -> Run:
    """The lab's figures of a replay."""
    policy, sent = book.at(until), replayed.sent
    began = min((letter.sent_at for letter in history.letters), default=until)
    months = max((until - began) / timedelta(days=365 / 12), 1 / 30)
    members = max(history.habits.members, 1)
    hundred = members * months / 100
    totals = dict.fromkeys(Kind, 0)
    by_plan = {plan: dict.fromkeys(Kind, 0) for plan in policy.plans}
    cut = dict.fromkeys(policy.plans, 0)
    for ledger in replayed.ledgers.values():
        for entry in ledger:
            totals[entry.kind] += abs(entry.credits)
            if entry.plan in by_plan:
                by_plan[entry.plan][entry.kind] += abs(entry.credits)
                cut[entry.plan] += entry.forfeited if entry.kind is Kind.GRANT else 0
    waits = [(at - sent[id].sent_at) / timedelta(hours=1) for id, at in replayed.answered.items()]
    refused = sum(replayed.refused.values())
    answered = len(replayed.answered)
    overall = {
        "answer_rate": _over(answered, len(sent)),
        "answered_in_30_days": _over(sum(hours <= 720 for hours in waits), len(sent)),
        "accepted": _over(replayed.accepted, answered),
        "hours_to_answer": median(waits) if waits else nan,
        "sent": len(sent) / members / months,
        "unmet": _over(replayed.refused.get(Refusal.NO_CREDITS, 0), len(sent) + refused),
        "refused": _over(refused, len(sent) + refused),
        "wasted": (len(sent) - answered) / members / months,
        "received": len(sent) / members / months / (365 / 12 / 7),
        "granted": totals[Kind.GRANT] / hundred,
        "spent": totals[Kind.SPEND] / hundred,
        "returned": totals[Kind.REFUND] / hundred,
        "expired": totals[Kind.EXPIRE] / hundred,
        "forfeited": totals[Kind.FORFEIT] / hundred,
        "cut": sum(cut.values()) / hundred,
        "answers_per_credit": _over(answered, totals[Kind.SPEND]),
    }
    plans: dict[str, Mapping[str, float]] = {}
    for name, plan in policy.plans.items():
        mine = [id for id, held in replayed.plan_of.items() if held == name]
        weeks = replayed.weeks.get(name, 0)
        held = weeks * 12 * 7 / 365
        told = sum(id in replayed.answered for id in mine)
        plans[plan.title] = {
            "members": 1000 * held / months / members,
            "sent": _over(len(mine), held),
            "answer_rate": _over(told, len(mine)),
            "answers_per_credit": _over(told, by_plan[name][Kind.SPEND]),
            "ran_out": _over(len(replayed.short.get(name, ())), held),
            "dry_weeks": _over(replayed.dry_weeks.get(name, 0), weeks),
            "expired": _over(by_plan[name][Kind.EXPIRE], held),
            "cut": _over(cut[name], held),
        }
    return Run(overall, plans, {"answer_rate": _by_month(history, replayed)})


def _by_month(history: History, replayed: Replayed) -> list[float]:
    """Of all months with letters in the record, so that policies are told side by side."""
    sent: dict[int, int] = {_month(letter.sent_at): 0 for letter in history.letters}
    answered = dict.fromkeys(sent, 0)
    for id, letter in replayed.sent.items():
        sent[_month(letter.sent_at)] += 1
        answered[_month(letter.sent_at)] += id in replayed.answered
    return [_over(answered[month], sent[month]) for month in sorted(sent)]


def _check_plans(history: History, book: PolicyBook) -> None:
    for wished in history.wishes:
        wish = wished.wish
        plan = book.at(wish.at).plans.get(wish.plan or "")
        if wish.kind is WishKind.CHOOSE and (plan is None or plan.pool != wished.pool):
            raise PolicyProblem(
                f"Members chose the plan {wish.plan} of the pool {wished.pool}, which the policy "
                "does not have: its history cannot be replayed under it."
            )


# What happened, in order -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Sent:
    letter: Letter


@dataclass(frozen=True, slots=True)
class _Further:
    id: ConversationId
    owner: MemberId


@dataclass(frozen=True, slots=True)
class _Answered:
    letter: Letter
    response: Response


@dataclass(frozen=True, slots=True)
class _Withdrawn:
    letter: Letter


_Event = Wished | Deed | _Sent | _Further | _Answered | _Withdrawn
_Dated = tuple[datetime, float, int, _Event]


def _events(history: History) -> Iterator[_Dated]:
    number = count()
    letters = {letter.id: letter for letter in history.letters}
    paid: dict[ConversationId, int] = {}
    answers: dict[ConversationId, int] = {}
    further: list[_Dated] = []
    for deed in history.deeds:
        if deed.inmail_id is None:
            if deed.kind is Kind.ADJUST:
                further.append((deed.at, deed.number, next(number), deed))
        elif deed.kind is not Kind.SPEND:
            answers.setdefault(deed.inmail_id, deed.number)
        elif deed.inmail_id in letters and deed.reason != credits.Reason.FOLLOW_UP:
            paid[deed.inmail_id] = deed.number
        else:
            again = _Further(deed.inmail_id, deed.owner)
            further.append((deed.at, deed.number, next(number), again))
    wishes = [
        (each.wish.at, each.wish.after_entry + 0.5, next(number), each) for each in history.wishes
    ]
    begun: list[_Dated] = []
    ended: list[_Dated] = []
    for each in history.letters:
        begun.append((each.sent_at, paid.get(each.id, _FREE), next(number), _Sent(each)))
        if each.response is not None and each.answered_at is not None:
            place = answers.get(each.id, _LAST)
            answered = _Answered(each, each.response)
            ended.append((each.answered_at, place, next(number), answered))
        elif each.withdrawn_at is not None:
            ended.append((each.withdrawn_at, _LAST, next(number), _Withdrawn(each)))
    return merge(*(sorted(part, key=_when) for part in (wishes, further, begun, ended)), key=_when)


def _when(dated: _Dated) -> tuple[datetime, float, int]:
    return dated[:3]


class _Played:
    """The network as far as it is replayed."""

    def __init__(self, history: History, book: PolicyBook) -> None:
        self.book = book
        self.result = Replayed()
        self._members: dict[MemberId, Party] = {}
        self._pairs: dict[tuple[MemberId, MemberId], Pair] = {}
        self._conversations: dict[ConversationId, Conversation] = {}
        self._free: dict[MemberId, list[datetime]] = {}
        for letter in history.letters:
            for member in (letter.sender, letter.recipient):
                self._members.setdefault(member, Party(member, "", ""))
        for wished in history.wishes:
            self._members.setdefault(wished.owner, Party(wished.owner, "", ""))

    def play(self, event: _Event, at: datetime) -> None:
        match event:
            case Wished():
                self._wish(event, at)
            case Deed():
                self._adjust(event, at)
            case _Sent(letter):
                self._send(letter, at)
            case _Further(id, owner):
                self._further(id, owner, at)
            case _Answered(letter, response):
                self._answer(letter, response, at)
            case _Withdrawn(letter):
                if letter.id in self.result.sent:
                    desk = self._desk(at)
                    desk.decide(Withdraw(letter.sender, letter.id))
                    self._take(desk)

    def week_ends(self, at: datetime) -> None:
        """Counts what each subscription's member sees on that day."""
        self.settle_all(at)
        for accounts in self.result.accounts.values():
            for account in accounts.values():
                if account.subscription is not None:
                    plan = account.subscription.plan
                    self.result.weeks[plan] = self.result.weeks.get(plan, 0) + 1
                    if not account.balance:
                        self.result.dry_weeks[plan] = self.result.dry_weeks.get(plan, 0) + 1

    def settle_all(self, at: datetime) -> None:
        for accounts in self.result.accounts.values():
            for account in list(accounts.values()):
                self._store(credits.settle(account, at, self.book))

    def _wish(self, wished: Wished, at: datetime) -> None:
        accounts = self.result.accounts.setdefault(wished.owner, {})
        account = accounts.get(wished.pool) or Account(wished.owner, wished.pool, at)
        settled = credits.settle(account, at, self.book)
        self._store(settled)
        wish = wished.wish
        if wish.kind is WishKind.CHOOSE:
            plan = self.book.at(at).plans[wish.plan or ""]
            self._store(credits.choose(settled.account, plan, at, self.book))
        elif settled.account.subscription is not None:
            cancel = credits.cancel_now
            if wish.kind is WishKind.CANCEL_AT_PERIOD_END:
                cancel = credits.cancel_at_period_end
            self._store(cancel(settled.account, at, self.book))
        ends = [credits.premium_until(each) for each in accounts.values()]
        until = max((end for end in ends if end is not None), default=None)
        self._members[wished.owner] = replace(self._members[wished.owner], premium_until=until)

    def _adjust(self, deed: Deed, at: datetime) -> None:
        account = self.result.accounts.get(deed.owner, {}).get(deed.pool)
        if account is None:
            return
        change = credits.adjust(account, at, self.book, credits=deed.credits, reason=deed.reason)
        if not isinstance(change, Refusal):
            self._store(change)

    def _send(self, letter: Letter, at: datetime) -> None:
        for one, other in (
            (letter.sender, letter.recipient),
            (letter.recipient, letter.sender),
        ):
            self._pairs.setdefault((one, other), Pair(False, False, False, []))
        # Whether a profile was open is told by how the letter went, not by how the profile is now.
        opened = letter.channel is Channel.OPEN_PROFILE
        recipient = self._members[letter.recipient]
        self._members[letter.recipient] = replace(recipient, open_profile=opened)
        desk = self._desk(at)
        start = Start(
            letter.sender, letter.recipient, letter.id, MessageId(letter.id), "–", pool=letter.pool
        )
        answer = desk.decide(start)
        self._take(desk)
        if isinstance(answer, Refused):
            self._refused(letter.sender, letter.pool, answer.code, at)
        elif answer.conversation.id == letter.id:
            self.result.sent[letter.id] = letter
            self.result.plan_of[letter.id] = self._plan(letter.sender, letter.pool)

    def _further(self, id: ConversationId, owner: MemberId, at: datetime) -> None:
        if id not in self.result.sent:
            return
        desk = self._desk(at)
        answer = desk.decide(Write(owner, id, MessageId(f"{id}+"), "–"))
        self._take(desk)
        if isinstance(answer, Refused):
            self._refused(owner, self._conversations[id].pool, answer.code, at)

    def _answer(self, letter: Letter, response: Response, at: datetime) -> None:
        if letter.id not in self.result.sent:
            return
        desk = self._desk(at)
        if response is Response.UNDELIVERABLE:
            desk.fail_to_deliver(self._conversations[letter.id])
            self._take(desk)
            return
        done = desk.decide(Respond(letter.recipient, letter.id, Outcome(response.value)))
        self._take(desk)
        if isinstance(done, Done):
            self.result.answered[letter.id] = at
            self.result.accepted += response is Response.ACCEPTED

    def _refused(self, sender: MemberId, pool: str | None, code: Refusal, at: datetime) -> None:
        self.result.refused[code] = self.result.refused.get(code, 0) + 1
        plan = self._plan(sender, pool)
        if code is Refusal.NO_CREDITS and plan is not None:
            self.result.short.setdefault(plan, set()).add((sender, _month(at)))

    def _plan(self, member: MemberId, pool: str | None) -> str | None:
        account = self.result.accounts.get(member, {}).get(pool or "")
        held = None if account is None else account.subscription
        return None if held is None else held.plan

    def _desk(self, at: datetime) -> Desk:
        return Desk(
            now=at,
            book=self.book,
            members=self._members,
            pairs=self._pairs,
            conversations=self._conversations,
            accounts=self.result.accounts,
            open_profile_sends=self._free,
        )

    def _take(self, desk: Desk) -> None:
        for owner, pool, entry in desk.record.entries:
            self.result.ledgers.setdefault((owner, pool), []).append(entry)

    def _store(self, change: Change) -> None:
        account = change.account
        self.result.accounts.setdefault(account.owner, {})[account.pool] = account
        key = (account.owner, account.pool)
        self.result.ledgers.setdefault(key, []).extend(change.entries)


def _month(at: datetime) -> int:
    return at.year * 12 + at.month


def _over(part: float, whole: float) -> float:
    return part / whole if whole else nan
