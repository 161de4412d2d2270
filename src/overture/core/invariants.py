"""What must be true of credits and InMails, whatever happened: one `check` over plain data.

It knows the rules' promises, not how `core.credits` keeps them: lots are rebuilt from the entries
alone, and calendars are counted here anew. It serves the property tests, the kill tests and
`overture ledger verify`.
"""

from calendar import monthrange
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from overture.core.conversations import Channel, Conversation, State
from overture.core.credits import Account, Entry, Kind, Reason
from overture.core.ids import ConversationId, MemberId
from overture.core.policy import GrantsOn, Plan, PolicyBook


@dataclass(frozen=True, slots=True)
class Held:
    """An account and all of its entries, in order."""

    account: Account
    entries: Sequence[Entry]


@dataclass(frozen=True, slots=True)
class Facts:
    """Some members' accounts, and the InMails that those members sent: all of them, or none."""

    book: PolicyBook
    accounts: Sequence[Held]
    inmails: Sequence[Conversation]


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken, and where."""

    sentence: str
    owner: MemberId | None = None
    pool: str | None = None
    entry: int | None = None
    inmail: ConversationId | None = None


@dataclass(slots=True)
class Totals:
    """What entered and what left, over any number of accounts."""

    granted: int = 0
    refunded: int = 0
    adjusted: int = 0
    spent: int = 0
    expired: int = 0
    forfeited: int = 0
    held: int = 0

    def add(self, held: Held) -> None:
        for entry in held.entries:
            match entry.kind:
                case Kind.GRANT:
                    self.granted += entry.credits
                case Kind.REFUND:
                    self.refunded += entry.credits
                case Kind.ADJUST:
                    self.adjusted += entry.credits
                case Kind.SPEND:
                    self.spent -= entry.credits
                case Kind.EXPIRE:
                    self.expired -= entry.credits
                case Kind.FORFEIT:
                    self.forfeited -= entry.credits
                case Kind.DEFER | Kind.NO_REFUND:
                    pass
        self.held += held.account.balance

    @property
    def conserved(self) -> bool:
        entered = self.granted + self.refunded + self.adjusted
        return entered == self.spent + self.expired + self.forfeited + self.held


def check(facts: Facts) -> list[Violation]:
    """Every broken promise, in the accounts' order; of one account, in its ledger's order."""
    inmails = {inmail.id: inmail for inmail in facts.inmails}
    found: list[Violation] = []
    paid: dict[ConversationId, list[tuple[str, Entry]]] = defaultdict(list)
    answered: dict[ConversationId, list[tuple[str, Entry]]] = defaultdict(list)
    for held in facts.accounts:
        account = held.account
        for entry, sentence in _Walk(held, facts.book).all():
            found.append(
                Violation(
                    sentence,
                    account.owner,
                    account.pool,
                    None if entry is None else entry.number,
                    None if entry is None else entry.inmail_id,
                )
            )
        for entry in held.entries:
            if entry.inmail_id is None:
                continue
            inmail = inmails.get(entry.inmail_id)
            if inmail is None or inmail.sender != account.owner:
                sentence = "The InMail of this entry is none of this member's."
                found.append(
                    Violation(sentence, account.owner, account.pool, entry.number, entry.inmail_id)
                )
            if entry.kind is Kind.SPEND:
                paid[entry.inmail_id].append((account.pool, entry))
            elif entry.reason != Reason.DEFERRED:
                answered[entry.inmail_id].append((account.pool, entry))
    for inmail in facts.inmails:
        found.extend(
            Violation(sentence, inmail.sender, inmail.pool, None, inmail.id)
            for sentence in _inmail(inmail, paid[inmail.id], answered[inmail.id], facts.book)
        )
    found.extend(_pairs(facts.inmails))
    totals = Totals()
    for held in facts.accounts:
        totals.add(held)
    if not totals.conserved:
        found.append(Violation(f"Credits were made or lost: {totals}."))
    return found


def _inmail(
    inmail: Conversation,
    paid: Sequence[tuple[str, Entry]],
    answered: Sequence[tuple[str, Entry]],
    book: PolicyBook,
) -> Iterator[str]:
    """An InMail against the entries that name it."""
    charges = len(inmail.refundable_until)
    if len(paid) != charges:
        yield f"The InMail cost {charges} credits, but the ledger has {len(paid)} spent on it."
    if any(pool != inmail.pool for pool, _ in (*paid, *answered)):
        yield "An InMail's credits left or came back to another pool than its own."
    if charges > inmail.messages:
        yield f"{charges} credits paid for {inmail.messages} messages."
    if inmail.channel is Channel.INMAIL and charges == 0:
        yield "An InMail was sent without its charge."
    for (_, entry), until in zip(paid, inmail.refundable_until, strict=False):
        if until > entry.at + book.at(entry.at).refund_window:
            yield "A response would return the credit after the window of its time."
        if entry.at < inmail.started_at:
            yield "A credit was spent on the InMail before it was sent."
    yield from _answers(inmail, answered)
    if inmail.state is State.PENDING and inmail.response is not None:
        yield "The InMail is pending although it was responded to."
    if inmail.state is State.WITHDRAWN and inmail.response is not None:
        yield "The InMail was withdrawn although it was responded to."
    settled = (State.ACCEPTED, State.DECLINED, State.UNDELIVERABLE)
    if inmail.state in settled and inmail.response is None:
        yield f"The InMail is {inmail.state} without a response."
    if (inmail.response is None) != (inmail.responded_at is None):
        yield "The InMail's response and its instant do not go together."


def _answers(inmail: Conversation, answered: Sequence[tuple[str, Entry]]) -> Iterator[str]:
    """What a response did: for each credit charged, one entry that says what became of it."""
    due = len(inmail.refundable_until) if inmail.response is not None else 0
    if len(answered) != due:
        yield f"{due} entries should tell what the response did; there are {len(answered)}."
        return
    # Without a response there is none, however many charges there were.
    for (_, entry), until in zip(answered, inmail.refundable_until, strict=False):
        if entry.kind not in (Kind.REFUND, Kind.DEFER, Kind.NO_REFUND):
            yield f"An entry of kind {entry.kind} names the InMail."
        late = entry.reason == Reason.TOO_LATE
        if late != (entry.at > until):
            yield (
                "A refund came too late, or was refused in time."
                if not late
                else ("A response in time was called too late.")
            )
        if inmail.responded_at is not None and entry.at < inmail.responded_at:
            yield "The refund is dated before the response."


def _pairs(inmails: Sequence[Conversation]) -> Iterator[Violation]:
    """One pending InMail a pair, whichever way."""
    pending = Counter(
        tuple(sorted((inmail.sender, inmail.recipient)))
        for inmail in inmails
        if inmail.state is State.PENDING and inmail.recipient is not None
    )
    for pair, count in pending.items():
        if count > 1:
            yield Violation(
                f"{count} InMails are pending between {pair[0]} and {pair[1]}.", pair[0]
            )


@dataclass(slots=True)
class _OpenLot:
    number: int
    granted_at: datetime
    expires_at: datetime
    granted: int
    remaining: int

    @property
    def order(self) -> tuple[datetime, datetime, int]:
        return self.expires_at, self.granted_at, self.number


@dataclass(slots=True)
class _Billing:
    """Since when a plan runs without interruption, and the last instant at which it could grant."""

    plan: str
    anchor: datetime
    last: datetime


@dataclass(slots=True)
class _Walk:
    """One account's ledger, entry by entry, with what it amounts to so far."""

    held: Held
    book: PolicyBook
    balance: int = 0
    lots: dict[int, _OpenLot] = field(default_factory=dict)
    lots_opened: int = 0
    waiting: list[ConversationId] = field(default_factory=list)
    spent_on: Counter[ConversationId] = field(default_factory=Counter)
    answered: Counter[ConversationId] = field(default_factory=Counter)
    refunded: Counter[ConversationId] = field(default_factory=Counter)
    granted_at: dict[str, datetime] = field(default_factory=dict)
    billing: _Billing | None = None
    last: Entry | None = None

    def all(self) -> Iterator[tuple[Entry | None, str]]:
        for entry in self.held.entries:
            for sentence in self._entry(entry):
                yield entry, sentence
            self.last = entry
        for sentence in self._account():
            yield None, sentence

    def _entry(self, entry: Entry) -> Iterator[str]:
        before = self.last
        number = 1 if before is None else before.number + 1
        if entry.number != number:
            yield f"Entry {entry.number} stands where {number} should."
        if before is not None and entry.at < before.at:
            yield f"It is dated {entry.at}, before the entry above it."
        yield from self._overdue(entry)
        if self.waiting and entry.reason != Reason.DEFERRED and self._should_have_entered(entry):
            yield "A refund waits although there was room for it."
        yield from self._by_kind(entry)
        self.balance += entry.credits
        if entry.balance != self.balance:
            yield f"It says a balance of {entry.balance}; the entries add up to {self.balance}."
        if self.balance < 0:
            yield f"The balance is {self.balance}."
        if self.balance != sum(lot.remaining for lot in self.lots.values()):
            yield "The lots do not add up to the balance."
        if entry.forfeited < 0:
            yield "What was forfeited is a negative number."
        plan = self._plan(entry)
        if entry.credits > 0 and (plan is None or self.balance > plan.cap):
            yield f"Credits entered above the cap: {self.balance}."

    def _by_kind(self, entry: Entry) -> Iterator[str]:
        match entry.kind:
            case Kind.GRANT:
                yield from self._grant(entry)
            case Kind.SPEND:
                yield from self._spend(entry)
            case Kind.REFUND:
                yield from self._refund(entry)
            case Kind.DEFER:
                yield from self._defer(entry)
            case Kind.NO_REFUND:
                yield from self._no_refund(entry)
            case Kind.EXPIRE:
                yield from self._expire(entry)
            case Kind.FORFEIT:
                yield from self._forfeit(entry)
            case Kind.ADJUST:
                if entry.credits > 0:
                    yield from self._open(entry)
                elif entry.credits < 0:
                    yield from self._take(entry, -entry.credits)
                else:
                    yield "An adjustment of nothing."

    def _grant(self, entry: Entry) -> Iterator[str]:
        plan = self._plan(entry)
        if plan is None:
            yield "Credits were granted without a subscription."
            return
        if entry.credits < 0 or entry.credits + entry.forfeited != plan.allotment:
            yield f"The allotment of {plan.allotment} was granted as {_said(entry)}."
        if entry.forfeited and self.balance + entry.credits < plan.cap:
            yield f"The cap of {plan.cap} cut {_said(entry)} although there was room."
        if (entry.reason == Reason.CAP) != bool(entry.forfeited):
            yield f"A grant of {_said(entry)} gives the reason {entry.reason}."
        if entry.reason in (Reason.SIGN_UP, Reason.PLAN_CHANGE):
            yield from self._start(entry, plan)
            before = self.granted_at.get(plan.name)
            if before is not None and entry.at < _month_after(before):
                yield f"The plan's allotment was granted at {before}, less than a month before."
        else:
            yield from self._cycle(entry, plan)
        self.granted_at[plan.name] = entry.at
        if entry.credits:
            yield from self._open(entry)
        elif entry.lot is not None:
            yield "A grant of nothing opened a lot."

    def _start(self, entry: Entry, plan: Plan) -> Iterator[str]:
        if self.balance or self.waiting:
            yield "A plan began while credits of another were held."
        self.billing = _Billing(plan.name, entry.at, entry.at)

    def _cycle(self, entry: Entry, plan: Plan) -> Iterator[str]:
        """A monthly grant: at its anniversary, each month one."""
        billing = self.billing
        if billing is None or billing.plan != plan.name:
            yield "A monthly grant of a plan that had not begun."
            return
        same = len(self.book.versions) == 1
        if plan.grants_on is GrantsOn.FIRST_OF_MONTH:
            if (entry.at.day, entry.at.time()) != (1, entry.at.time().min):
                yield "A grant of the first of the month came at another time."
        elif not _is_anniversary(billing.anchor, entry.at):
            yield f"{entry.at} is no monthly anniversary of {billing.anchor}."
        if same and _months(entry.at) != _months(billing.last) + 1:
            yield f"After {billing.last} the next grant came at {entry.at}."
        billing.last = entry.at

    def _spend(self, entry: Entry) -> Iterator[str]:
        if entry.credits != -1:
            yield f"A send was charged {-entry.credits} credits."
        if entry.inmail_id is None:
            yield "A credit was spent on no InMail."
        else:
            self.spent_on[entry.inmail_id] += 1
        yield from self._take(entry, 1)

    def _refund(self, entry: Entry) -> Iterator[str]:
        if entry.credits != 1:
            yield f"A refund of {entry.credits} credits."
        if entry.inmail_id is None:
            yield "A refund names no InMail."
            return
        self.refunded[entry.inmail_id] += 1
        if entry.reason == Reason.DEFERRED:
            if not self.waiting or self.waiting[0] != entry.inmail_id:
                yield "A refund entered that was not the next to wait."
            if entry.inmail_id in self.waiting:
                self.waiting.remove(entry.inmail_id)
        else:
            self.answered[entry.inmail_id] += 1
        yield from self._within_charges(entry.inmail_id)
        yield from self._open(entry)

    def _defer(self, entry: Entry) -> Iterator[str]:
        if entry.credits:
            yield "A refund that waits changed the balance."
        plan = self._plan(entry)
        if plan is None or self.balance < plan.cap:
            yield "A refund waits although there is room, or nothing to wait for."
        if entry.inmail_id is None:
            yield "A refund that waits names no InMail."
            return
        self.waiting.append(entry.inmail_id)
        self.answered[entry.inmail_id] += 1
        yield from self._within_charges(entry.inmail_id)

    def _no_refund(self, entry: Entry) -> Iterator[str]:
        if entry.credits:
            yield "A response without a refund changed the balance."
        if entry.reason == Reason.NO_SUBSCRIPTION and entry.plan is not None:
            yield "A refund was refused for want of a subscription that was there."
        if entry.reason not in (Reason.NO_SUBSCRIPTION, Reason.TOO_LATE):
            yield f"A refund was refused for the reason {entry.reason}."
        if entry.inmail_id is None:
            yield "A refund that was refused names no InMail."
            return
        self.answered[entry.inmail_id] += 1
        yield from self._within_charges(entry.inmail_id)

    def _within_charges(self, inmail_id: ConversationId) -> Iterator[str]:
        """What comes back was spent before, and comes once."""
        spent = self.spent_on[inmail_id]
        if self.answered[inmail_id] > spent or self.refunded[inmail_id] > spent:
            yield f"More is said to come back than the {spent} credits spent on the InMail."

    def _expire(self, entry: Entry) -> Iterator[str]:
        lot = self.lots.pop(entry.lot or 0, None)
        if lot is None:
            yield f"Lot {entry.lot} expires, but is not there."
            return
        if entry.at != lot.expires_at:
            yield f"Lot {lot.number} expires at {entry.at} instead of {lot.expires_at}."
        if entry.credits != -lot.remaining:
            yield f"Of lot {lot.number}, {lot.remaining} were left, and {-entry.credits} expired."

    def _forfeit(self, entry: Entry) -> Iterator[str]:
        if entry.reason == Reason.ALREADY_GRANTED:
            yield from self._already_granted(entry)
            return
        if entry.reason not in (Reason.CANCELED, Reason.PLAN_CHANGE):
            yield f"Credits were forfeited for the reason {entry.reason}."
        if entry.credits != -self.balance:
            yield f"{-entry.credits} of {self.balance} credits were forfeited."
        if entry.forfeited != len(self.waiting):
            yield f"{entry.forfeited} of {len(self.waiting)} waiting refunds were forfeited."
        self.lots.clear()
        self.waiting.clear()

    def _already_granted(self, entry: Entry) -> Iterator[str]:
        plan = self._plan(entry)
        if plan is None:
            yield "A plan began, but the entry names none."
            return
        before = self.granted_at.get(plan.name)
        if before is None or entry.at >= _month_after(before):
            yield "A plan's allotment was withheld although it was not granted within a month."
        if entry.credits or entry.forfeited != plan.allotment:
            yield f"The withheld allotment of {plan.allotment} is told as {_said(entry)}."
        yield from self._start(entry, plan)

    def _open(self, entry: Entry) -> Iterator[str]:
        """The entry opens a lot."""
        if entry.lot != self.lots_opened + 1:
            yield f"It opens lot {entry.lot} after lot {self.lots_opened}."
        if entry.expires_at != entry.at + self.book.at(entry.at).expiry:
            yield f"Lot {entry.lot} of {entry.at} is to expire at {entry.expires_at}."
        self.lots_opened += 1
        number = entry.lot or self.lots_opened
        expires_at = entry.expires_at or entry.at
        self.lots[number] = _OpenLot(number, entry.at, expires_at, entry.credits, entry.credits)

    def _take(self, entry: Entry, credits: int) -> Iterator[str]:
        """The entry takes credits: from what expires first."""
        for _ in range(credits):
            lot = min(self.lots.values(), key=lambda each: each.order, default=None)
            if lot is None:
                yield "A credit was taken that was not there."
                return
            if entry.lot is not None and lot.number != entry.lot:
                yield f"Lot {entry.lot} paid, though lot {lot.number} expires first."
                lot = self.lots.get(entry.lot, lot)
            if lot.expires_at <= entry.at:
                yield f"Lot {lot.number} paid after its expiry at {lot.expires_at}."
            lot.remaining -= 1
            if lot.remaining == 0:
                del self.lots[lot.number]

    def _overdue(self, entry: Entry) -> Iterator[str]:
        """Nothing happens while a lot is held beyond its expiry, which comes first of all."""
        for lot in self.lots.values():
            if lot.expires_at < entry.at or (
                lot.expires_at == entry.at and entry.kind is not Kind.EXPIRE
            ):
                yield f"Lot {lot.number} was due to expire at {lot.expires_at}."

    def _should_have_entered(self, entry: Entry) -> bool:
        """Whether what waits should have entered before this entry."""
        before = self.last
        if before is None or (plan := self._plan(before)) is None:
            return False
        # At one instant what expires makes room first for a grant, then for what waits.
        same_instant = before.kind is Kind.EXPIRE and before.at == entry.at
        if same_instant and entry.kind in (Kind.EXPIRE, Kind.GRANT, Kind.FORFEIT):
            return False
        return self.balance < plan.cap

    def _account(self) -> Iterator[str]:
        """The account as it is stored, against what its ledger amounts to."""
        account = self.held.account
        if account.balance != self.balance:
            yield f"The account holds {account.balance}; its entries add up to {self.balance}."
        lots = sorted(self.lots.values(), key=lambda each: each.order)
        kept = [
            (x.number, x.granted_at, x.expires_at, x.granted, x.remaining) for x in account.lots
        ]
        if kept != [(x.number, x.granted_at, x.expires_at, x.granted, x.remaining) for x in lots]:
            yield f"The account's lots are {kept}, which its entries do not give."
        if [each.inmail_id for each in account.deferred] != self.waiting:
            yield "The account's waiting refunds are not those of its entries."
        if account.entries != len(self.held.entries) or account.lots_opened != self.lots_opened:
            yield f"The account counts {account.entries} entries and {account.lots_opened} lots."
        if dict(account.granted_at) != self.granted_at:
            yield "The account's last grants are not those of its entries."
        if self.last is not None and account.settled_at < self.last.at:
            yield f"The account was settled up to {account.settled_at}, before its last entry."
        yield from self._subscription()

    def _subscription(self) -> Iterator[str]:
        account, held = self.held.account, self.held.account.subscription
        if held is None:
            if account.balance or account.deferred:
                yield "Credits are held, or wait, without a subscription."
            return
        if self.billing is None or (held.plan, held.since) != (
            self.billing.plan,
            self.billing.anchor,
        ):
            yield f"The subscription is to {held.plan} since {held.since}, which no entry began."
        if account.lots and account.lots[0].expires_at <= account.settled_at:
            yield f"Lot {account.lots[0].number} is held beyond its expiry."
        for due in (held.ends_at, held.changes_at):
            if due is not None and due <= account.settled_at:
                yield f"What was to happen to the subscription at {due} has not happened."
        plan = self.book.at(account.settled_at).plans.get(held.plan)
        if plan is None:
            yield f"There is no plan {held.plan}."
        elif account.deferred and account.balance < plan.cap:
            yield "A refund waits although there is room for it."
        elif (
            self.billing is not None
            and len(self.book.versions) == 1
            and _grant_is_missing(plan, self.billing, account.settled_at)
        ):
            yield f"Since {self.billing.last} no monthly grant came."

    def _plan(self, entry: Entry) -> Plan | None:
        if entry.plan is None:
            return None
        return self.book.at(entry.at).plans.get(entry.plan)


def _said(entry: Entry) -> str:
    return f"{entry.credits} and {entry.forfeited} forfeited"


def _months(at: datetime) -> int:
    return at.year * 12 + at.month


def _month_after(at: datetime) -> datetime:
    """One calendar month on, the day clamped to the month's last."""
    year, month = (at.year, at.month + 1) if at.month < 12 else (at.year + 1, 1)
    return at.replace(year=year, month=month, day=min(at.day, monthrange(year, month)[1]))


def _is_anniversary(anchor: datetime, at: datetime) -> bool:
    """Whether `at` is the anchor's day of a later month, clamped to that month's last."""
    return (
        _months(at) > _months(anchor)
        and at.time() == anchor.time()
        and at.day == min(anchor.day, monthrange(at.year, at.month)[1])
    )


def _grant_is_missing(plan: Plan, billing: _Billing, settled_at: datetime) -> bool:
    due = _month_after(billing.last.replace(day=1))
    if plan.grants_on is GrantsOn.FIRST_OF_MONTH:
        due = due.replace(hour=0, minute=0, second=0, microsecond=0)
    else:
        last_day = monthrange(due.year, due.month)[1]
        due = due.replace(day=min(billing.anchor.day, last_day))
    return due <= settled_at
