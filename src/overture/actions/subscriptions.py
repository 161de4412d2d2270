"""What members do with their plans: choose, cancel, and see what they hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from overture.core import credits
from overture.core.credits import Account, Change, Kind, Reason
from overture.core.ids import MemberId
from overture.core.policy import PolicyBook
from overture.core.refusals import Refusal
from overture.core.replay import Wish, WishKind
from overture.core.sending import Event, credits_changed
from overture.store import credits as store
from overture.store.db import Tx


class Status(StrEnum):
    ACTIVE = "active"
    CANCELING = "canceling"
    CHANGING = "changing"
    ENDED = "ended"


class CancelAt(StrEnum):
    PERIOD_END = "period_end"
    NOW = "now"


@dataclass(frozen=True, slots=True)
class NextGrant:
    at: datetime
    credits: int


@dataclass(frozen=True, slots=True)
class LotView:
    granted_at: datetime
    expires_at: datetime
    granted: int
    remaining: int


@dataclass(frozen=True, slots=True)
class SubscriptionView:
    """A subscription and the credits that it brings. `deferred` counts refunds that wait for room.

    `renews_at` is None where it is to end, `ends_at` None where it is not. `next_plan` begins with
    the next period. `lots` stand in the order in which they will be spent.
    """

    pool: str
    plan: str
    status: Status
    since: datetime
    renews_at: datetime | None
    ends_at: datetime | None
    next_plan: str | None
    balance: int
    cap: int
    deferred: int
    next_grant: NextGrant | None
    lots: tuple[LotView, ...]

    @property
    def empties_at(self) -> datetime | None:
        """When a cancel or a downgrade that waits takes what is left; None where none does."""
        return self.ends_at or (self.renews_at if self.next_plan else None)


@dataclass(frozen=True, slots=True)
class Premium:
    """What a member holds: the subscriptions that run, in the policy's order of pools."""

    premium: bool
    pools: tuple[SubscriptionView, ...]


@dataclass(frozen=True, slots=True)
class SubscriptionChange:
    """What a choice or a cancel does, at `effective_at`.

    `forfeits` credits and `deferred_forfeits` waiting refunds are lost, `grants` credits come; what
    is to come later is told as if nothing were spent or returned until then.
    """

    subscription: SubscriptionView
    forfeits: int
    deferred_forfeits: int
    grants: int
    effective_at: datetime


async def choose(
    tx: Tx, member: MemberId, pool: str, plan: str, *, now: datetime, book: PolicyBook
) -> SubscriptionChange | Refusal:
    """Subscribes, upgrades at once, downgrades at the period's end; the current plan stays on."""
    if not await store.lock_member(tx, member):
        return Refusal.NO_SUCH_MEMBER
    held = await store.accounts(tx, member)
    decided = _choice(held, member, pool, plan, now=now, book=book)
    return (
        decided if isinstance(decided, Refusal) else await _carry_out(tx, decided, held, now, book)
    )


async def preview_choice(
    tx: Tx, member: MemberId, pool: str, plan: str, *, now: datetime, book: PolicyBook
) -> SubscriptionChange | Refusal:
    """What `choose` would do now."""
    decided = _choice(await store.accounts(tx, member), member, pool, plan, now=now, book=book)
    return decided if isinstance(decided, Refusal) else _told(decided, now, book)


async def cancel(
    tx: Tx, member: MemberId, pool: str, at: CancelAt, *, now: datetime, book: PolicyBook
) -> SubscriptionChange | Refusal:
    """Ends a subscription now or with its period, and with it the pool's credits."""
    if not await store.lock_member(tx, member):
        return Refusal.NO_SUCH_MEMBER
    held = await store.accounts(tx, member)
    decided = _cancel(held, pool, at, now, book)
    return (
        decided if isinstance(decided, Refusal) else await _carry_out(tx, decided, held, now, book)
    )


async def preview_cancel(
    tx: Tx, member: MemberId, pool: str, at: CancelAt, *, now: datetime, book: PolicyBook
) -> SubscriptionChange | Refusal:
    """What `cancel` would do now."""
    decided = _cancel(await store.accounts(tx, member), pool, at, now, book)
    return decided if isinstance(decided, Refusal) else _told(decided, now, book)


async def premium(tx: Tx, member: MemberId, now: datetime, book: PolicyBook) -> Premium:
    """The member's subscriptions and credits as they are at `now`; what has ended is not listed."""
    held = await store.accounts(tx, member)
    views = [
        view_of(account, now, book)
        for pool in book.at(now).pools
        if pool in held
        and (account := credits.settle(held[pool].account, now, book).account).subscription
    ]
    return Premium(bool(views), tuple(views))


@dataclass(frozen=True, slots=True)
class _Decided:
    """A wish, what fell due before it, and what it does beyond that."""

    wish: Wish
    version: int
    due: Change
    change: Change


def _choice(
    held: dict[str, store.Read],
    member: MemberId,
    pool: str,
    plan_name: str,
    *,
    now: datetime,
    book: PolicyBook,
) -> _Decided | Refusal:
    policy = book.at(now)
    if pool not in policy.pools:
        return Refusal.UNKNOWN_POOL
    plan = policy.plans.get(plan_name)
    if plan is None or plan.pool != pool:
        return Refusal.UNKNOWN_PLAN
    read = held.get(pool) or store.Read(Account(member, pool, settled_at=now), 0)
    due = credits.settle(read.account, now, book)
    change = credits.choose(due.account, plan, now, book)
    wish = Wish(change.account.settled_at, WishKind.CHOOSE, due.account.entries, plan.name)
    return _Decided(wish, read.version, due, change)


def _cancel(
    held: dict[str, store.Read], pool: str, at: CancelAt, now: datetime, book: PolicyBook
) -> _Decided | Refusal:
    if pool not in book.at(now).pools:
        return Refusal.UNKNOWN_POOL
    read = held.get(pool)
    if read is None:
        return Refusal.NO_SUBSCRIPTION
    due = credits.settle(read.account, now, book)
    if due.account.subscription is None:
        return Refusal.NO_SUBSCRIPTION
    if at is CancelAt.NOW:
        kind, change = WishKind.CANCEL_NOW, credits.cancel_now(due.account, now, book)
    else:
        kind = WishKind.CANCEL_AT_PERIOD_END
        change = credits.cancel_at_period_end(due.account, now, book)
    wish = Wish(change.account.settled_at, kind, due.account.entries)
    return _Decided(wish, read.version, due, change)


async def _carry_out(
    tx: Tx, decided: _Decided, held: dict[str, store.Read], now: datetime, book: PolicyBook
) -> SubscriptionChange:
    account = decided.change.account
    told = _told(decided, now, book)
    if not _changes(decided):
        return told
    entries = (*decided.due.entries, *decided.change.entries)
    others = (read.account for pool, read in held.items() if pool != account.pool)
    premium = store.PremiumUntil(account.owner, premium_until((account, *others), now, book))
    changed = store.Changed(account, decided.version, entries, decided.wish)
    await store.record(tx, [changed], _events(account, told, entries, now), premium)
    return told


def _changes(decided: _Decided) -> bool:
    """Whether there is anything to write: not where the current plan is chosen, or canceled again."""
    before, after = decided.due.account.subscription, decided.change.account.subscription
    return before != after or bool(decided.change.entries)


def premium_until(accounts: Sequence[Account], now: datetime, book: PolicyBook) -> datetime | None:
    """Until when the member is Premium: None without a subscription, FOREVER while one goes on."""
    settled = (credits.settle(account, now, book).account for account in accounts)
    untils = (credits.premium_until(account) for account in settled)
    return max((until for until in untils if until is not None), default=None)


def _events(
    account: Account, told: SubscriptionChange, entries: tuple[credits.Entry, ...], now: datetime
) -> list[Event]:
    view = told.subscription
    began = view.status is Status.ACTIVE and view.since == now
    events = [subscription_changed(account, view.plan, view.status, now, began=began)]
    if entries:
        events.append(credits_changed(Change(account, entries), now))
    return events


def subscription_changed(
    account: Account, plan: str, status: Status, now: datetime, *, began: bool
) -> Event:
    """Tells that a subscription is another now, by a wish or because what waited has come; `began` says
    that the plan began with it. `plan` is the one that was there, where it has ended."""
    held = account.subscription
    payload: dict[str, object] = {
        "pool": account.pool,
        "plan": plan,
        "status": status,
        "next_plan": None if held is None else held.next_plan,
        "began": began,
    }
    return Event(account.owner, "subscription.changed", now, payload)


def _told(decided: _Decided, now: datetime, book: PolicyBook) -> SubscriptionChange:
    """What the change does, at once or when what waits comes."""
    account = decided.change.account
    held = account.subscription
    entries, effective_at = decided.change.entries, account.settled_at
    if held is None:
        before = decided.due.account.subscription
        assert before is not None, "only a subscription that was there can have ended"
        view = _ended(account, before.plan, before.since)
    else:
        view = view_of(account, now, book)
        if (waits_until := held.ends_at or held.changes_at) is not None:
            entries = credits.settle(account, waits_until, book).entries
            entries = tuple(entry for entry in entries if entry.at == waits_until)
            effective_at = waits_until
    forfeits, deferred_forfeits = credits.lost_by(decided.change, book)
    starts = (Reason.SIGN_UP, Reason.PLAN_CHANGE)
    grants = sum(e.credits for e in entries if e.kind is Kind.GRANT and e.reason in starts)
    return SubscriptionChange(view, forfeits, deferred_forfeits, grants, effective_at)


def _ended(account: Account, plan: str, since: datetime) -> SubscriptionView:
    return SubscriptionView(
        pool=account.pool,
        plan=plan,
        status=Status.ENDED,
        since=since,
        renews_at=None,
        ends_at=account.settled_at,
        next_plan=None,
        balance=0,
        cap=0,
        deferred=0,
        next_grant=None,
        lots=(),
    )


def view_of(account: Account, now: datetime, book: PolicyBook) -> SubscriptionView:
    """A running subscription; the account is settled to `now`."""
    held = account.subscription
    assert held is not None, "a view is of an account with a subscription"
    status = Status.ACTIVE
    if held.ends_at is not None:
        status = Status.CANCELING
    elif held.next_plan is not None:
        status = Status.CHANGING
    grant = credits.next_grant(account, now, book)
    return SubscriptionView(
        pool=account.pool,
        plan=held.plan,
        status=status,
        since=held.since,
        renews_at=credits.renews_at(account, now) if held.ends_at is None else None,
        ends_at=held.ends_at,
        next_plan=held.next_plan,
        balance=account.balance,
        cap=credits.cap_of(account, book),
        deferred=len(account.deferred),
        next_grant=None if grant is None else NextGrant(*grant),
        lots=tuple(
            LotView(lot.granted_at, lot.expires_at, lot.granted, lot.remaining)
            for lot in account.lots
        ),
    )
