"""What follows from a payment provider's events: whose they are, and what becomes of subscriptions.

Everything is followed from what is stored, not from the event at hand: so it does not matter in which
order events arrive, whether it becomes known later whose a customer is, or that a price is understood
only after a setting was mended.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from overture.actions import subscriptions
from overture.actions.subscriptions import CancelAt, SubscriptionChange, SubscriptionView
from overture.core import credits
from overture.core.credits import Subscription
from overture.core.ids import MemberId
from overture.core.jobs import DONE, Job, Moved, NewJob, Outcome
from overture.core.payments import (
    CancelAtPeriodEnd,
    CancelNow,
    Choose,
    Contract,
    Event,
    Offers,
    Payment,
    Standing,
    Step,
    Told,
    Wanted,
    hear,
    hear_payment,
    look_again_at,
    next_step,
    understood,
    wanted,
)
from overture.core.policy import PolicyBook
from overture.core.refusals import Refusal
from overture.store import credits as accounts
from overture.store import jobs
from overture.store import payments as store
from overture.store.db import Tx
from overture.store.outbox import Row
from overture.store.payments import Trouble

QUEUE = "payments"
ENDINGS = "payments-ending"
# A member has one job of the queue.
_KEY = "contracts"
# What an operator should see to.
NOT_UNDERSTOOD = "payments.not_understood"
OTHER_MEMBER = "payments.other_member_named"
WRONG = (NOT_UNDERSTOOD, OTHER_MEMBER)


@dataclass(frozen=True, slots=True)
class Dealing:
    """How an installation deals with its provider: what prices are for, and how long a plan stays
    while a payment is missing."""

    offers: Offers
    grace: timedelta


class Became(StrEnum):
    """What became of an event."""

    APPLIED = "applied"
    NOTHING_TO_DO = "nothing_to_do"
    SEEN_BEFORE = "seen_before"
    OVERTAKEN = "overtaken"
    UNKNOWN_MEMBER = "unknown_member"
    UNKNOWN_PRICE = "unknown_price"
    ACCOUNT_CLOSED = "account_closed"


@dataclass(frozen=True, slots=True)
class Note:
    """What the operator should find in the audit log."""

    action: str
    member: MemberId | None
    detail: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Taken:
    became: Became
    notes: Sequence[Note] = ()


async def take(tx: Tx, event: Event, dealing: Dealing, *, now: datetime, book: PolicyBook) -> Taken:
    """Takes an event of the provider's, once however often it comes."""
    if not await store.take_event(tx, event):
        return Taken(Became.SEEN_BEFORE)
    notes = await _introduce(tx, event)
    customer, overtaken = event.customer, False
    if event.news is not None:
        known = await store.contract(tx, event.news.contract)
        match event.news:
            case Told() as told:
                heard = hear(known, told, now, dealing.grace)
                overtaken = heard is None
            case Payment() as payment:
                # Of a contract that is not known yet, its own events will tell how it stands.
                heard = known and hear_payment(known, payment, now, dealing.grace)
                customer = customer if known is None else known.customer
        if heard is not None:
            await store.keep(tx, heard)
    followed = await _follow_customer(tx, customer, dealing, now, book)
    became = _became(event, followed, overtaken=overtaken)
    await store.note_outcome(tx, event, became)
    return Taken(became, [_of(event, note) for note in (*notes, *followed.notes)])


async def look(
    tx: Tx, due: Sequence[Job], dealing: Dealing, now: datetime, book: PolicyBook
) -> tuple[Sequence[Outcome], Sequence[Note]]:
    """Follows what falls due without an event: the end of a grace, of a contract."""
    outcomes: list[Outcome] = []
    notes: list[Note] = []
    for job in due:
        followed = await _follow(tx, job.owner, dealing, now, book)
        notes += followed.notes
        again = followed.look_again_at
        outcomes.append(DONE if again is None else Moved(again))
    return outcomes, notes


async def assign(
    tx: Tx, customer: str, member: MemberId, dealing: Dealing, *, now: datetime, book: PolicyBook
) -> Sequence[Note] | Refusal:
    """An operator says whose a customer is: their contracts give their plans to this member now."""
    before = await store.member_of(tx, customer) or member
    # In the order of their ids, like everything that locks two members.
    are_open = {each: await accounts.lock_member(tx, each) for each in sorted({before, member})}
    if not are_open[member]:
        return Refusal.NO_SUCH_MEMBER
    await store.reassign(tx, customer, member)
    notes: list[Note] = []
    for each in dict.fromkeys([before, member]):
        followed = await _follow_on(tx, each, dealing, now, book)
        notes += followed.notes
    return notes


async def look_at_troubled(tx: Tx, now: datetime) -> None:
    """Has contracts followed anew that were not understood: the settings may be others now."""
    members = await store.troubled(tx)
    await jobs.add(tx, [NewJob(QUEUE, each, _KEY, now, {}) for each in members])


async def plan_endings(tx: Tx, events: Sequence[Row]) -> list[NewJob]:
    """Work for each account that was closed while its member's contracts run: nobody should pay on."""
    closed = [row for row in events if row.kind == "member.closed"]
    if not closed:
        return []
    running = await store.running(tx, sorted({row.owner for row in closed}))
    return [
        NewJob(ENDINGS, row.owner, str(row.sequence), row.at, {})
        for row in closed
        if row.owner in running
    ]


async def stays_until(tx: Tx, member: MemberId, pool: str) -> datetime | None:
    """Until when the member's plan stays although a payment for it is missing; None where none is."""
    graces = [
        contract.grace_until
        for contract in await store.contracts_of(tx, member)
        if contract.grace_until is not None and pool in contract.pools
    ]
    return min(graces, default=None)


async def running(tx: Tx, member: MemberId) -> list[str]:
    """The member's contracts that run."""
    return (await store.running(tx, [member])).get(member, [])


@dataclass(frozen=True, slots=True)
class _Followed:
    """What following contracts did. `troubles` are those of contracts that nothing follows from."""

    changed: bool = False
    troubles: Mapping[str, Trouble] = field(default_factory=dict[str, Trouble])
    notes: Sequence[Note] = ()
    look_again_at: datetime | None = None


def _became(event: Event, followed: _Followed, *, overtaken: bool) -> Became:
    if followed.changed:
        return Became.APPLIED
    if event.news is not None and event.news.contract in followed.troubles:
        return Became(followed.troubles[event.news.contract])
    return Became.OVERTAKEN if overtaken else Became.NOTHING_TO_DO


def _of(event: Event, note: Note) -> Note:
    return Note(note.action, note.member, {**note.detail, "event": event.id})


async def _introduce(tx: Tx, event: Event) -> list[Note]:
    """Learns whose a customer is. What is known stays: who pays may have named somebody else."""
    if event.customer is None or not event.names:
        return []
    member = await store.member_named(tx, event.names)
    if member is None or await store.introduce(tx, event.customer, member):
        return []
    before = await store.member_of(tx, event.customer)
    if before is None or before == member:
        return []
    if not await store.is_open(tx, before):
        await store.reassign(tx, event.customer, member)
        return []
    # Said where a customer is introduced, and not again with all that follows.
    detail: dict[str, object] = {"customer": event.customer, "named": member}
    return [Note(OTHER_MEMBER, before, detail)] if event.news is None else []


async def _follow_customer(
    tx: Tx, customer: str | None, dealing: Dealing, now: datetime, book: PolicyBook
) -> _Followed:
    if customer is None:
        return _Followed()
    member = await store.member_of(tx, customer)
    if member is not None:
        return await _follow_on(tx, member, dealing, now, book)
    notes: list[Note] = []
    troubles: dict[str, Trouble] = {}
    for contract in await store.contracts_with(tx, customer):
        if contract.terms.standing is not Standing.OVER:
            troubles[contract.id] = Trouble.UNKNOWN_MEMBER
        notes += await _note_trouble(tx, contract, None, troubles.get(contract.id))
    return _Followed(troubles=troubles, notes=notes)


async def _follow_on(
    tx: Tx, member: MemberId, dealing: Dealing, now: datetime, book: PolicyBook
) -> _Followed:
    """Follows a member's contracts, now and when something falls due."""
    followed = await _follow(tx, member, dealing, now, book)
    if (due := followed.look_again_at) is not None:
        await jobs.add(tx, [NewJob(QUEUE, member, _KEY, due, {})])
    return followed


async def _follow(
    tx: Tx, member: MemberId, dealing: Dealing, now: datetime, book: PolicyBook
) -> _Followed:
    """Brings a member's subscriptions to what their contracts pay for now."""
    # Locked first: of two that follow at the same time, the second sees what the first was told.
    is_open = await accounts.lock_member(tx, member)
    contracts = await store.contracts_of(tx, member)
    if not is_open:
        return await _follow_closed(tx, member, contracts)
    policy = book.at(now)
    notes: list[Note] = []
    troubles: dict[str, Trouble] = {}
    for place, contract in enumerate(contracts):
        clear = understood(contract, dealing.offers, policy)
        trouble = None
        if clear is None and contract.terms.standing is not Standing.OVER:
            trouble = troubles[contract.id] = Trouble.UNKNOWN_PRICE
        elif clear is not None and clear.pools != contract.pools:
            await store.note_pools(tx, clear)
            contracts[place] = clear
        notes += await _note_trouble(tx, contract, member, trouble)
    ours = await store.pools_of(tx, member)
    running: list[Subscription] = []
    changed = False
    for pool in policy.pools:
        want = wanted(contracts, pool, dealing.offers, policy, now)
        if want is None and pool not in ours:
            continue
        held = await _held(tx, member, pool, now, book)
        last: SubscriptionChange | None = None
        while (step := next_step(held, want, policy, now)) is not None:
            last = await _carry_out(tx, member, pool, step, now=now, book=book)
            held = await _held(tx, member, pool, now, book)
        if held is not None:
            running.append(held)
        if want is None:
            await store.let_go(tx, member, pool)
        elif isinstance(want, Wanted):
            await store.take_over(tx, member, pool)
        if last is not None:
            changed = True
            notes.append(_changed(member, last.subscription))
    return _Followed(changed, troubles, notes, look_again_at(contracts, running, now))


async def _follow_closed(tx: Tx, member: MemberId, contracts: Sequence[Contract]) -> _Followed:
    """Of a closed account nothing follows, but that somebody pays for it still."""
    notes: list[Note] = []
    troubles: dict[str, Trouble] = {}
    for contract in contracts:
        if contract.terms.standing is not Standing.OVER:
            troubles[contract.id] = Trouble.ACCOUNT_CLOSED
            notes += await _note_trouble(tx, contract, member, Trouble.ACCOUNT_CLOSED)
    await store.forget_over(tx, member)
    return _Followed(troubles=troubles, notes=notes)


async def _held(
    tx: Tx, member: MemberId, pool: str, now: datetime, book: PolicyBook
) -> Subscription | None:
    read = (await accounts.accounts(tx, member)).get(pool)
    return None if read is None else credits.settle(read.account, now, book).account.subscription


async def _carry_out(
    tx: Tx, member: MemberId, pool: str, step: Step, *, now: datetime, book: PolicyBook
) -> SubscriptionChange:
    match step:
        case Choose(plan):
            done = await subscriptions.choose(tx, member, pool, plan.name, now=now, book=book)
        case CancelAtPeriodEnd():
            at = CancelAt.PERIOD_END
            done = await subscriptions.cancel(tx, member, pool, at, now=now, book=book)
        case CancelNow():
            done = await subscriptions.cancel(tx, member, pool, CancelAt.NOW, now=now, book=book)
    assert not isinstance(done, Refusal), (
        "the member, the pool and the plan were looked up just now"
    )
    return done


async def _note_trouble(
    tx: Tx, contract: Contract, member: MemberId | None, trouble: Trouble | None
) -> list[Note]:
    """Writes down why nothing follows from a contract; told once, when it is news."""
    if not await store.note_trouble(tx, contract.id, trouble) or trouble is None:
        return []
    detail: dict[str, object] = {
        "contract": contract.id,
        "customer": contract.customer,
        "prices": contract.terms.prices,
        "problem": trouble,
    }
    return [Note(NOT_UNDERSTOOD, member, detail)]


def _changed(member: MemberId, became: SubscriptionView) -> Note:
    detail: dict[str, object] = {
        "pool": became.pool,
        "plan": became.plan,
        "status": became.status,
        "next_plan": became.next_plan,
    }
    return Note("payments.subscription_changed", member, detail)
