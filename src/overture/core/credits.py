"""Credits: one member's account in one pool, and every way in which it changes.

An account is settled lazily. `settle(account, now)` plays what fell due since it was last touched
(expiries, the end of a subscription, grants, deferred refunds), each at its true instant, so that the
ledger is the same whether one looks every second or once a year. Everything else is a change that
a member, a recipient or an operator asked for, on a settled account: it returns the account that
should be stored and the entries that should be added.

Source: docs/rules.md, "Credits".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum

from overture.core import chain
from overture.core.cycles import anniversary_after, first_of_month_after, months_after
from overture.core.ids import ConversationId, MemberId
from overture.core.policy import GrantsOn, Plan, PolicyBook
from overture.core.refusals import Refusal

# "While none is to end", as an instant that every store can hold.
FOREVER = datetime(9999, 1, 1, tzinfo=UTC)


class Kind(StrEnum):
    GRANT = "grant"
    SPEND = "spend"
    REFUND = "refund"
    DEFER = "defer"
    NO_REFUND = "no_refund"
    EXPIRE = "expire"
    FORFEIT = "forfeit"
    ADJUST = "adjust"


class Reason(StrEnum):
    """Why an entry stands in the ledger; an adjustment carries the operator's own words instead."""

    SIGN_UP = "sign_up"
    CYCLE = "cycle"
    PLAN_CHANGE = "plan_change"
    CAP = "cap"
    ALREADY_GRANTED = "already_granted"
    CANCELED = "canceled"
    INMAIL = "inmail"
    FOLLOW_UP = "follow_up"
    RESPONSE = "response"
    UNDELIVERABLE = "undeliverable"
    DEFERRED = "deferred"
    TOO_LATE = "too_late"
    NO_SUBSCRIPTION = "no_subscription"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Lot:
    """Credits granted together. Kept only while some remain."""

    number: int
    granted_at: datetime
    expires_at: datetime
    granted: int
    remaining: int


@dataclass(frozen=True, slots=True)
class Deferred:
    """A refund that waits for room under the cap."""

    inmail_id: ConversationId
    since: datetime


@dataclass(frozen=True, slots=True)
class Subscription:
    """A member's plan since its sign-up or last change, which is the billing anchor.

    What waits for the period's end is either `ends_at`, a cancel, or `next_plan` at `changes_at`.
    """

    plan: str
    since: datetime
    ends_at: datetime | None = None
    next_plan: str | None = None
    changes_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger. `credits` is the signed change of the balance, `balance` its result.

    `forfeited` counts credits that never entered. `expires_at` is set where the entry opened the lot.
    `link` seals this entry and all before it; see `core.chain`.
    """

    number: int
    at: datetime
    kind: Kind
    credits: int
    reason: str
    balance: int
    plan: str | None
    forfeited: int = 0
    lot: int | None = None
    expires_at: datetime | None = None
    inmail_id: ConversationId | None = None
    link: str = ""


def linked(entry: Entry, owner: MemberId, pool: str, before: str) -> str:
    """The link of an entry that follows the one with the link `before`. docs/ledger.md, "The chain"."""
    return chain.link(
        before,
        owner,
        pool,
        entry.number,
        entry.at,
        entry.kind,
        entry.credits,
        entry.forfeited,
        entry.plan,
        entry.lot,
        entry.expires_at,
        entry.inmail_id,
        entry.balance,
        # An operator's own words: the only field that may have lines.
        entry.reason,
    )


@dataclass(frozen=True, slots=True)
class Account:
    """One member's credits in one pool, settled up to `settled_at`.

    `entries` and `lots_opened` count what was ever written, so that the next number is known.
    `granted_at` tells when each plan's allotment was last granted (rule 9). `next_due_at` is the next
    instant at which something happens by itself; None when nothing will. `link` is the last entry's.
    """

    owner: MemberId
    pool: str
    settled_at: datetime
    subscription: Subscription | None = None
    lots: tuple[Lot, ...] = ()
    deferred: tuple[Deferred, ...] = ()
    granted_at: Mapping[str, datetime] = field(default_factory=dict[str, datetime])
    entries: int = 0
    lots_opened: int = 0
    next_due_at: datetime | None = None
    link: str = ""

    @property
    def balance(self) -> int:
        return sum([lot.remaining for lot in self.lots])


@dataclass(frozen=True, slots=True)
class Change:
    """What to store after a change: the account as it is now, and the entries to add."""

    account: Account
    entries: tuple[Entry, ...]


def settle(account: Account, now: datetime, book: PolicyBook) -> Change:
    """Plays all that fell due up to and including `now`. Rule 10: lateness changes nothing."""
    if not _anything_due(account, now, book):
        return Change(account, ())
    return _settled(account, now, book).change()


def choose(account: Account, plan: Plan, now: datetime, book: PolicyBook) -> Change:
    """Subscribes, upgrades at once, or downgrades at the period's end. Rule 7.

    Choosing the current plan withdraws a waiting cancel or downgrade. `plan` is of the account's pool.
    """
    ledger = _settled(account, now, book)
    held = ledger.subscription
    if held is None:
        ledger.start(plan, Reason.SIGN_UP)
    elif held.plan == plan.name:
        ledger.subscription = Subscription(held.plan, held.since)
    elif plan.allotment > ledger.plan_named(held.plan).allotment:
        ledger.change_plan(plan)
    else:
        ledger.subscription = Subscription(
            held.plan,
            held.since,
            next_plan=plan.name,
            changes_at=anniversary_after(held.since, ledger.at),
        )
    return ledger.change()


def cancel_at_period_end(account: Account, now: datetime, book: PolicyBook) -> Change:
    """The subscription ends with its running period; replaces a waiting downgrade. Rule 6."""
    ledger = _settled(account, now, book)
    held = ledger.subscription
    assert held is not None, "only a subscription can be canceled"
    ledger.subscription = Subscription(
        held.plan, held.since, ends_at=anniversary_after(held.since, ledger.at)
    )
    return ledger.change()


def cancel_now(account: Account, now: datetime, book: PolicyBook) -> Change:
    """The subscription ends, and with it the balance and the deferred refunds. Rule 6."""
    ledger = _settled(account, now, book)
    assert ledger.subscription is not None, "only a subscription can be canceled"
    ledger.end()
    return ledger.change()


def spend(
    account: Account,
    now: datetime,
    book: PolicyBook,
    *,
    inmail_id: ConversationId,
    reason: Reason = Reason.INMAIL,
) -> Change | Refusal:
    """Takes one credit for an InMail, from the lot that expires first. Rule 3."""
    ledger = _settled(account, now, book)
    if not ledger.lots:
        return Refusal.NO_CREDITS
    lot = ledger.take_one()
    ledger.write(Kind.SPEND, reason, credits=-1, lot=lot, inmail_id=inmail_id)
    ledger.enter_deferred()
    return ledger.change()


def give_back(
    account: Account,
    now: datetime,
    book: PolicyBook,
    *,
    inmail_id: ConversationId,
    refundable_until: datetime,
    reason: Reason = Reason.RESPONSE,
) -> Change:
    """What the first response to an InMail does for the account that paid. Rules 4, 5 and 6.

    One credit enters as a new lot; or waits where the cap leaves no room; or does not come back, and
    the ledger says why. To be called once for each credit charged.
    """
    ledger = _settled(account, now, book)
    if ledger.at > refundable_until:
        ledger.write(Kind.NO_REFUND, Reason.TOO_LATE, inmail_id=inmail_id)
    elif ledger.subscription is None:
        ledger.write(Kind.NO_REFUND, Reason.NO_SUBSCRIPTION, inmail_id=inmail_id)
    elif ledger.room() > 0:
        ledger.open_lot(Kind.REFUND, reason, 1, inmail_id=inmail_id)
    else:
        ledger.deferred.append(Deferred(inmail_id, ledger.at))
        ledger.write(Kind.DEFER, reason, inmail_id=inmail_id)
    return ledger.change()


def adjust(
    account: Account, now: datetime, book: PolicyBook, *, credits: int, reason: str
) -> Change | Refusal:
    """An operator's adjustment: plus is a new lot, minus takes what expires first."""
    ledger = _settled(account, now, book)
    if ledger.subscription is None:
        return Refusal.ADJUSTS_NO_SUBSCRIPTION
    if credits > ledger.room():
        return Refusal.ADJUSTS_ABOVE_CAP
    if ledger.balance + credits < 0:
        return Refusal.ADJUSTS_BELOW_ZERO
    if credits > 0:
        ledger.open_lot(Kind.ADJUST, reason, credits)
    else:
        touched = {ledger.take_one() for _ in range(-credits)}
        lot = touched.pop() if len(touched) == 1 else None
        ledger.write(Kind.ADJUST, reason, credits=credits, lot=lot)
        ledger.enter_deferred()
    return ledger.change()


def cap_of(account: Account, book: PolicyBook) -> int:
    """The most credits the account may hold now; zero without a subscription."""
    held = account.subscription
    return 0 if held is None else book.at(account.settled_at).plans[held.plan].cap


def renews_at(account: Account, now: datetime) -> datetime | None:
    """When the running billing period ends; None without a subscription.

    The account is settled to `now`, which does not say that `settled_at` is `now`: a period can end
    without anything to settle.
    """
    held = account.subscription
    return None if held is None else anniversary_after(held.since, now)


def premium_until(account: Account) -> datetime | None:
    """Until when this account's subscription runs: None without one, FOREVER while none is to end."""
    held = account.subscription
    return None if held is None else held.ends_at or FOREVER


def next_grant(account: Account, now: datetime, book: PolicyBook) -> tuple[datetime, int] | None:
    """When credits come next, and how many if nothing is spent or returned until then."""
    account = settle(account, now, book).account
    while account.next_due_at is not None:
        change = settle(account, account.next_due_at, book)
        for entry in change.entries:
            if entry.kind is Kind.GRANT:
                return entry.at, entry.credits
        account = change.account
    return None


def had_waited(entry: Entry) -> bool:
    """Whether this is a refund that had waited for room, and entered now."""
    return entry.kind is Kind.REFUND and entry.reason == Reason.DEFERRED


def lost_by(change: Change, book: PolicyBook) -> tuple[int, int]:
    """Credits and deferred refunds that a plan change or cancel forfeits, at once or when it comes.

    What is to be lost at the period's end is told as if nothing were spent or returned until then.
    """
    entries = change.entries
    held = change.account.subscription
    if held is not None and (waits_until := held.ends_at or held.changes_at) is not None:
        entries = settle(change.account, waits_until, book).entries
    lost = [e for e in entries if e.kind is Kind.FORFEIT and e.reason in _ENDINGS]
    return sum(-e.credits for e in lost), sum(e.forfeited for e in lost)


_ENDINGS = frozenset({Reason.CANCELED, Reason.PLAN_CHANGE})


def _anything_due(account: Account, now: datetime, book: PolicyBook) -> bool:
    if account.next_due_at is not None and account.next_due_at <= now:
        return True
    boundary = book.change_after(account.settled_at)
    return boundary is not None and boundary <= now


def _settled(account: Account, now: datetime, book: PolicyBook) -> "_Ledger":
    ledger = _Ledger(account, book)
    if not _anything_due(account, now, book):
        ledger.at = max(ledger.at, now)
        return ledger
    while (due := ledger.next_due()) is not None and due <= now:
        ledger.play(due)
    # Clocks of two servers may differ by a little: an account never goes back in time.
    ledger.at = max(ledger.at, now)
    return ledger


class _Ledger:
    """An account while it is being changed. Lots are kept soonest to expire first."""

    def __init__(self, account: Account, book: PolicyBook) -> None:
        self.account = account
        self.book = book
        self.at = account.settled_at
        self.subscription = account.subscription
        self.lots = list(account.lots)
        self.deferred = list(account.deferred)
        self.granted_at = dict(account.granted_at)
        self.lots_opened = account.lots_opened
        self.balance = account.balance
        self.link = account.link
        self.entries: list[Entry] = []

    def change(self) -> Change:
        account = Account(
            owner=self.account.owner,
            pool=self.account.pool,
            settled_at=self.at,
            subscription=self.subscription,
            lots=tuple(self.lots),
            deferred=tuple(self.deferred),
            granted_at=self.granted_at,
            entries=self.account.entries + len(self.entries),
            lots_opened=self.lots_opened,
            next_due_at=self._known_next_due(),
            link=self.link,
        )
        return Change(account, tuple(self.entries))

    def next_due(self) -> datetime | None:
        """The next instant at which anything happens; a new policy version is such an instant."""
        dues = [self._own_next_due(), self.book.change_after(self.at)]
        return min((due for due in dues if due is not None), default=None)

    def play(self, instant: datetime) -> None:
        """All that happens by itself at one instant, in the rules' order."""
        before, self.at = self.at, instant
        self._expire()
        held = self.subscription
        if held is not None and held.ends_at == instant:
            self.end()
        elif held is not None and held.next_plan is not None and held.changes_at == instant:
            self.change_plan(self.plan_named(held.next_plan))
        elif held is not None and self._next_grant_after(before) == instant:
            self._grant(self.plan_named(held.plan), Reason.CYCLE)
        self.enter_deferred()

    def start(self, plan: Plan, reason: Reason) -> None:
        """A plan begins here: its anchor, and its allotment unless granted within a month (rule 9)."""
        self.subscription = Subscription(plan.name, self.at)
        granted_at = self.granted_at.get(plan.name)
        if granted_at is not None and self.at < months_after(granted_at, 1):
            self.write(Kind.FORFEIT, Reason.ALREADY_GRANTED, forfeited=plan.allotment)
        else:
            self._grant(plan, reason)

    def change_plan(self, plan: Plan) -> None:
        self._forfeit_all(Reason.PLAN_CHANGE)
        self.start(plan, Reason.PLAN_CHANGE)

    def end(self) -> None:
        self._forfeit_all(Reason.CANCELED)
        self.subscription = None

    def room(self) -> int:
        held = self.subscription
        return 0 if held is None else self.plan_named(held.plan).cap - self.balance

    def plan_named(self, name: str) -> Plan:
        return self.book.at(self.at).plans[name]

    def take_one(self) -> int:
        """Takes a credit from the lot that expires first; returns the lot's number."""
        lot = self.lots[0]
        self.balance -= 1
        if lot.remaining == 1:
            del self.lots[0]
        else:
            self.lots[0] = Lot(
                lot.number, lot.granted_at, lot.expires_at, lot.granted, lot.remaining - 1
            )
        return lot.number

    def open_lot(
        self,
        kind: Kind,
        reason: str,
        credits: int,
        *,
        forfeited: int = 0,
        inmail_id: ConversationId | None = None,
    ) -> None:
        self.lots_opened += 1
        expires_at = self.at + self.book.at(self.at).expiry
        self.lots.append(Lot(self.lots_opened, self.at, expires_at, credits, credits))
        # Soonest to expire first, of equal ones the older grant: members lose as little as possible.
        self.lots.sort(key=_spending_order)
        self.balance += credits
        self.write(
            kind,
            reason,
            credits=credits,
            forfeited=forfeited,
            lot=self.lots_opened,
            expires_at=expires_at,
            inmail_id=inmail_id,
        )

    def enter_deferred(self) -> None:
        """Refunds that waited enter as soon as there is room, the oldest first. Rule 5."""
        while self.deferred and self.room() > 0:
            waiting = self.deferred.pop(0)
            self.open_lot(Kind.REFUND, Reason.DEFERRED, 1, inmail_id=waiting.inmail_id)

    def write(
        self,
        kind: Kind,
        reason: str,
        *,
        credits: int = 0,
        forfeited: int = 0,
        lot: int | None = None,
        expires_at: datetime | None = None,
        inmail_id: ConversationId | None = None,
    ) -> None:
        """Adds an entry; the balance has been changed already."""
        entry = Entry(
            number=self.account.entries + len(self.entries) + 1,
            at=self.at,
            kind=kind,
            credits=credits,
            reason=reason,
            balance=self.balance,
            plan=None if self.subscription is None else self.subscription.plan,
            forfeited=forfeited,
            lot=lot,
            expires_at=expires_at,
            inmail_id=inmail_id,
        )
        self.link = linked(entry, self.account.owner, self.account.pool, self.link)
        self.entries.append(replace(entry, link=self.link))

    def _expire(self) -> None:
        """A lot is unusable from its expiry on. Rule 2."""
        while self.lots and self.lots[0].expires_at <= self.at:
            lot = self.lots.pop(0)
            self.balance -= lot.remaining
            self.write(Kind.EXPIRE, Reason.EXPIRED, credits=-lot.remaining, lot=lot.number)

    def _grant(self, plan: Plan, reason: Reason) -> None:
        """A cycle's allotment, trimmed so that the balance ends within the cap. Rule 1."""
        size = max(0, min(plan.allotment, plan.cap - self.balance))
        cut = plan.allotment - size
        self.granted_at[plan.name] = self.at
        why = Reason.CAP if cut else reason
        if size:
            self.open_lot(Kind.GRANT, why, size, forfeited=cut)
        else:
            self.write(Kind.GRANT, why, forfeited=cut)

    def _forfeit_all(self, reason: Reason) -> None:
        lost, waiting = self.balance, len(self.deferred)
        self.lots.clear()
        self.deferred.clear()
        self.balance = 0
        if lost or waiting:
            self.write(Kind.FORFEIT, reason, credits=-lost, forfeited=waiting)

    def _known_next_due(self) -> datetime | None:
        """As the account had it, where what it rests on has not changed: the usual send."""
        before = self.account
        known = before.next_due_at
        if (
            known is not None
            and known > self.at
            and self.subscription is before.subscription
            and self.lots
            and before.lots
            and self.lots[0].expires_at == before.lots[0].expires_at
            and self.book.at(before.settled_at) is self.book.at(self.at)
        ):
            return known
        return self._own_next_due()

    def _own_next_due(self) -> datetime | None:
        held = self.subscription
        if held is None:
            # Without a subscription there are no credits and nothing waits: the account rests.
            return None
        dues = [held.ends_at, held.changes_at, self._next_grant_after(self.at)]
        if self.lots:
            dues.append(self.lots[0].expires_at)
        return min(due for due in dues if due is not None)

    def _next_grant_after(self, instant: datetime) -> datetime | None:
        """By the policy that holds now: one that begins on a day of grants brings them already."""
        held = self.subscription
        if held is None:
            return None
        if self.plan_named(held.plan).grants_on is GrantsOn.FIRST_OF_MONTH:
            return first_of_month_after(instant)
        return anniversary_after(held.since, instant)


def _spending_order(lot: Lot) -> tuple[datetime, datetime, int]:
    return lot.expires_at, lot.granted_at, lot.number
