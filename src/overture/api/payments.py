"""Payments: where a provider's events come in, and what the operator sees of its contracts."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from msgspec import Meta

from overture import ids
from overture.actions import payments as actions
from overture.api.operation import Call, Who, operation
from overture.api.operator_members import actor
from overture.api.problems import Problem, not_found
from overture.api.wire import AMemberId, In, Instant, Out, Page, PageQuery, page_out
from overture.context import Forged, NotUnderstood
from overture.core.ids import MemberId
from overture.core.payments import Standing
from overture.core.refusals import Refusal
from overture.store import audit, payments
from overture.store.payments import Listed, Trouble

TAG = "Payments"
EVENT_BYTES_MAX = 256 * 1024
_CUSTOMER_PATTERN = "^[A-Za-z0-9_-]{1,255}$"


class ReceivedOut(Out):
    """What became of an event. What is not for this installation, or was taken before, is `ignored` or
    `seen_before`; what nothing can follow from yet is remembered, and told to the operator."""

    outcome: str


class PaymentsOut(Out):
    """Without a provider (null) members choose, change and cancel plans at no charge. `prices` are what
    a price is for, by its names. Of the `contracts` that run, nothing follows from the `troubled`."""

    provider: str | None
    free_of_charge: bool
    prices: Mapping[str, str]
    grace_days: int | None
    contracts: int
    troubled: int


class ContractsQuery(PageQuery):
    troubled: bool = False


class ContractOut(Out):
    """A contract as the provider last told it. `prices` has the names of each price. `grace_until`: how
    long the plan stays while a payment is missing. `trouble` is why nothing follows from it."""

    id: str
    customer: str
    member_id: MemberId | None
    standing: Standing
    prices: Sequence[Sequence[str]]
    ends_at: Instant | None
    grace_until: Instant | None
    told_at: Instant
    trouble: Trouble | None


class AssignIn(In):
    member_id: AMemberId


class AssignedOut(Out):
    customer: str
    member_id: MemberId


@operation(
    "POST",
    "/payments/stripe",
    summary="Take what Stripe tells",
    tag=TAG,
    who=Who.ANYONE,
    transaction=False,
    body_bytes_max=EVENT_BYTES_MAX,
    problems={400: ("bad_signature",), 404: ("not_found",), 422: ("not_understood",)},
)
async def take_stripe_event(call: Call, body: bytes) -> ReceivedOut | Problem:
    """For Stripe's webhook alone: no token, but Stripe's signature, at most five minutes old. An event
    that comes again changes nothing, and one that was overtaken by a later one neither."""
    if call.signature is None:
        return _bad_signature()
    if call.context.payments is None:
        return not_found()
    try:
        return ReceivedOut(await call.context.payments.receive(body, call.signature))
    except Forged:
        return _bad_signature()
    except NotUnderstood as problem:
        return Problem(422, "not_understood", f"This event is not understood: {problem}")


@operation("GET", "/operator/payments", summary="How plans are paid for", tag=TAG, who=Who.OPERATOR)
async def read_payments(call: Call) -> PaymentsOut:
    counts, provider = await payments.counts(call.tx), call.context.payments
    return PaymentsOut(
        provider=provider and provider.provider,
        free_of_charge=provider is None,
        prices={} if provider is None else provider.dealing.offers.plans,
        grace_days=None if provider is None else provider.dealing.grace.days,
        contracts=counts.contracts,
        troubled=counts.troubled,
    )


@operation(
    "GET",
    "/operator/payments/contracts",
    summary="What members pay for",
    tag=TAG,
    who=Who.OPERATOR,
)
async def read_contracts(call: Call, query: ContractsQuery) -> Page[ContractOut]:
    """By their ids; with `troubled=true` only those that nothing follows from."""
    page = await payments.listed(
        call.tx, only_troubled=query.troubled, cursor=query.cursor, limit=query.limit
    )
    return page_out(page, _out)


@operation(
    "PUT",
    "/operator/payments/customers/{customer}",
    summary="Say whose a customer is",
    tag=TAG,
    who=Who.OPERATOR,
    refusals={Refusal.NO_SUCH_MEMBER: 404},
    problems={404: ("not_found",)},
)
async def assign_customer(
    call: Call, customer: Annotated[str, Meta(pattern=_CUSTOMER_PATTERN)], body: AssignIn
) -> AssignedOut | Refusal | Problem:
    """The provider's customer is this member from now on, and holds what the contracts pay for."""
    provider = call.context.payments
    if provider is None or not _is_customer(customer):
        return not_found()
    notes = await actions.assign(
        call.tx, customer, body.member_id, provider.dealing, now=call.now, book=call.book
    )
    if isinstance(notes, Refusal):
        return notes
    assigned = actions.Note("payments.customer_assigned", body.member_id, {"customer": customer})
    for note in (assigned, *notes):
        await audit.record(
            call.tx,
            ids.new(),
            call.now,
            actor=actor(call),
            action=note.action,
            member=note.member,
            detail=note.detail,
        )
    return AssignedOut(customer=customer, member_id=body.member_id)


def _bad_signature() -> Problem:
    return Problem(
        400, "bad_signature", "This was not signed with the webhook's secret, or too long ago."
    )


def _is_customer(text: str) -> bool:
    return len(text) <= 255 and text.isascii() and text.replace("_", "").replace("-", "").isalnum()


def _out(listed: Listed) -> ContractOut:
    contract = listed.contract
    return ContractOut(
        id=contract.id,
        customer=contract.customer,
        member_id=listed.member,
        standing=contract.terms.standing,
        prices=contract.terms.prices,
        ends_at=contract.terms.ends_at,
        grace_until=contract.grace_until,
        told_at=contract.told_at,
        trouble=listed.trouble,
    )
