"""Plans, subscriptions, credits and their ledger."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from overture import ids
from overture.actions import credits as statement
from overture.actions import subscriptions
from overture.actions.credits import LedgerEntry
from overture.actions.fields import Invalid
from overture.actions.subscriptions import CancelAt, Status, SubscriptionChange, SubscriptionView
from overture.api.operation import Call, Who, operation
from overture.api.operator_members import actor
from overture.api.wire import (
    NOT_BLANK_LINE,
    AMemberId,
    Count,
    In,
    Instant,
    Out,
    Page,
    PageQuery,
    PlanName,
    PoolName,
    page_out,
)
from overture.core import text
from overture.core.credits import Kind
from overture.core.ids import ConversationId, EntryId
from overture.core.payments import change_refused
from overture.core.policy import GrantsOn
from overture.core.refusals import Refusal

TAG = "Premium and credits"
CREDITS_MAX = 1_000_000

# Wire -------------------------------------------------------------------------------------------


class PlanOut(Out):
    """`allotment` credits a month into `pool`, which holds at most `cap`."""

    name: str
    title: str
    pool: str
    allotment: int
    cap: int
    grants_on: GrantsOn


class ChooseIn(In):
    plan: PlanName


class PreviewQuery(In):
    preview: bool = False


class CancelQuery(In):
    at: CancelAt = CancelAt.PERIOD_END
    preview: bool = False


class NextGrantOut(Out):
    at: Instant
    credits: int


class LotOut(Out):
    granted_at: Instant
    expires_at: Instant
    granted: int
    remaining: int


class SubscriptionOut(Out):
    """`renews_at` is null where it is to end, `next_plan` begins with the next period."""

    pool: str
    plan: str
    status: Status
    since: Instant
    renews_at: Instant | None
    ends_at: Instant | None
    next_plan: str | None
    balance: int
    cap: int
    deferred: int
    next_grant: NextGrantOut | None
    lots: Sequence[LotOut]


class ChangeOut(Out):
    """What the change does at `effective_at`: `forfeits` credits and `deferred_forfeits` waiting
    refunds are lost, `grants` credits come. What is to come later is told as if nothing were spent
    or returned until then."""

    subscription: SubscriptionOut
    forfeits: Count
    deferred_forfeits: Count
    grants: Count
    effective_at: Instant


class PremiumOut(Out):
    premium: bool
    pools: Sequence[SubscriptionOut]


class LedgerQuery(PageQuery):
    pool: PoolName | None = None


class EntryOut(Out):
    """`credits` is the signed change of the balance, `forfeited` what never entered.

    `number` counts the account's entries, `expires_at` is when the lot that this entry opened dies.
    `link` is the SHA-256 of the entry and of the link before it: who keeps one can tell later that
    nothing was rewritten.
    """

    id: EntryId
    at: Instant
    pool: str
    kind: Kind
    credits: int
    forfeited: Count
    reason: str
    lot: str | None
    inmail_id: ConversationId | None
    balance: Count
    plan: str | None
    number: Count
    expires_at: Instant | None
    link: str


class AdjustIn(In):
    """`credits` to add, or to take where it is negative; not 0."""

    member_id: AMemberId
    pool: PoolName
    credits: Annotated[
        int,
        Meta(ge=-CREDITS_MAX, le=CREDITS_MAX, extra_json_schema={"not": {"const": 0}}),
    ]
    reason: Annotated[
        str, NOT_BLANK_LINE, Meta(extra_json_schema={"maxLength": text.NOTE_CHARS_MAX})
    ]


class AdjustedOut(Out):
    entry: EntryOut
    balance: Count


# Operations -------------------------------------------------------------------------------------


@operation("GET", "/plans", summary="The plans", tag=TAG, who=Who.READER)
async def plans(call: Call) -> Page[PlanOut]:
    """What the policy in force offers."""
    offered = call.book.at(call.now).plans.values()
    items = [
        PlanOut(
            name=plan.name,
            title=plan.title,
            pool=plan.pool,
            allotment=plan.allotment,
            cap=plan.cap,
            grants_on=plan.grants_on,
        )
        for plan in offered
    ]
    return Page(items=items, next=None)


@operation(
    "PUT",
    "/me/subscriptions/{pool}",
    summary="Choose a plan",
    tag=TAG,
    refusals={
        Refusal.UNKNOWN_POOL: 404,
        Refusal.UNKNOWN_PLAN: 422,
        Refusal.NO_SUCH_MEMBER: 404,
        Refusal.MANAGED_BY_PROVIDER: 403,
    },
)
async def choose(call: Call, pool: str, query: PreviewQuery, body: ChooseIn) -> ChangeOut | Refusal:
    """Subscribes; upgrades at once; downgrades at the period's end. The current plan withdraws a
    waiting cancel or downgrade. With `preview=true` nothing changes. Where a payment provider is
    configured, only it and the operator do this."""
    if not query.preview and (no := _refused(call)) is not None:
        return no
    choosing = subscriptions.preview_choice if query.preview else subscriptions.choose
    change = await choosing(call.tx, call.viewer, pool, body.plan, now=call.now, book=call.book)
    return change if isinstance(change, Refusal) else change_out(change)


@operation(
    "DELETE",
    "/me/subscriptions/{pool}",
    summary="Cancel a subscription",
    tag=TAG,
    refusals={
        Refusal.UNKNOWN_POOL: 404,
        Refusal.NO_SUBSCRIPTION: 404,
        Refusal.NO_SUCH_MEMBER: 404,
        Refusal.MANAGED_BY_PROVIDER: 403,
    },
)
async def cancel(call: Call, pool: str, query: CancelQuery) -> ChangeOut | Refusal:
    """At the period's end, or now. The pool's credits and waiting refunds are lost then. With
    `preview=true` nothing changes. Where a payment provider is configured, only it and the operator
    do this."""
    if not query.preview and (no := _refused(call)) is not None:
        return no
    canceling = subscriptions.preview_cancel if query.preview else subscriptions.cancel
    change = await canceling(call.tx, call.viewer, pool, query.at, now=call.now, book=call.book)
    return change if isinstance(change, Refusal) else change_out(change)


@operation("GET", "/me/premium", summary="One's subscriptions and credits", tag=TAG)
async def premium(call: Call) -> PremiumOut:
    """The subscriptions that run, with their lots in the order in which they will be spent."""
    held = await subscriptions.premium(call.tx, call.viewer, call.now, call.book)
    return PremiumOut(premium=held.premium, pools=[subscription_out(each) for each in held.pools])


@operation(
    "GET",
    "/me/ledger",
    summary="One's statement",
    tag=TAG,
    refusals={Refusal.UNKNOWN_POOL: 422},
)
async def ledger(call: Call, query: LedgerQuery) -> Page[EntryOut] | Refusal:
    """Every entry with its running balance, oldest first, of one pool or of all."""
    page = await statement.ledger(
        call.tx,
        call.viewer,
        query.pool,
        cursor=query.cursor,
        limit=query.limit,
        now=call.now,
        book=call.book,
    )
    return page if isinstance(page, Refusal) else page_out(page, entry_out)


@operation(
    "POST",
    "/operator/credits",
    summary="Add or take credits, with a reason",
    tag="Operator",
    who=Who.OPERATOR,
    status=201,
    refusals={
        Refusal.NO_SUCH_MEMBER: 404,
        Refusal.UNKNOWN_POOL: 422,
        Refusal.ADJUSTS_NO_SUBSCRIPTION: 409,
        Refusal.ADJUSTS_ABOVE_CAP: 409,
        Refusal.ADJUSTS_BELOW_ZERO: 409,
    },
)
async def adjust(call: Call, body: AdjustIn) -> AdjustedOut | Refusal | Invalid:
    """Plus is a lot of its own; minus takes what expires first. Both stand in the audit log."""
    adjusted = await statement.adjust_as_operator(
        call.tx,
        body.member_id,
        body.pool,
        credits=body.credits,
        reason=body.reason,
        actor=actor(call),
        audit_id=ids.new(),
        now=call.now,
        book=call.book,
    )
    if not isinstance(adjusted, statement.Adjusted):
        return adjusted
    return AdjustedOut(entry=entry_out(adjusted.entry), balance=adjusted.balance)


def _refused(call: Call) -> Refusal | None:
    provider = call.context.payments is not None
    return change_refused(provider=provider, operator=call.by_operator)


def change_out(change: SubscriptionChange) -> ChangeOut:
    return ChangeOut(
        subscription=subscription_out(change.subscription),
        forfeits=change.forfeits,
        deferred_forfeits=change.deferred_forfeits,
        grants=change.grants,
        effective_at=change.effective_at,
    )


def subscription_out(view: SubscriptionView) -> SubscriptionOut:
    grant = view.next_grant
    return SubscriptionOut(
        pool=view.pool,
        plan=view.plan,
        status=view.status,
        since=view.since,
        renews_at=view.renews_at,
        ends_at=view.ends_at,
        next_plan=view.next_plan,
        balance=view.balance,
        cap=view.cap,
        deferred=view.deferred,
        next_grant=None if grant is None else NextGrantOut(at=grant.at, credits=grant.credits),
        lots=[
            LotOut(
                granted_at=lot.granted_at,
                expires_at=lot.expires_at,
                granted=lot.granted,
                remaining=lot.remaining,
            )
            for lot in view.lots
        ],
    )


def entry_out(line: LedgerEntry) -> EntryOut:
    entry = line.entry
    return EntryOut(
        id=line.id,
        at=entry.at,
        pool=line.pool,
        kind=entry.kind,
        credits=entry.credits,
        forfeited=entry.forfeited,
        reason=entry.reason,
        lot=None if entry.lot is None else f"L{entry.lot}",
        inmail_id=entry.inmail_id,
        balance=entry.balance,
        plan=entry.plan,
        number=entry.number,
        expires_at=entry.expires_at,
        link=entry.link,
    )
