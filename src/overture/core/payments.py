"""Plans that are paid for with a payment provider: what it told, and what follows for subscriptions.

The provider keeps contracts: a customer, prices, whether they are paid. It tells of them in events that
may come twice, late and in any order. `hear` makes of each what is known of the contract now; `wanted`
says which plan its contracts give a member, and `next_step` what brings the subscription there by the
rules: upgrades at once, downgrades and cancels at the period's end.

A contract and a subscription are not the same: the provider renews the one and charges for it, the
rules grant the other's credits by its own anniversaries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum

from overture.core.credits import FOREVER, Subscription
from overture.core.cycles import anniversary_after
from overture.core.policy import Plan, Policy
from overture.core.refusals import Refusal


class Standing(StrEnum):
    """How a contract stands: not begun, since its first payment has not come; paid, trials included;
    a payment is missing; over for good or for now."""

    NOT_BEGUN = "not_begun"
    PAID = "paid"
    FAILING = "failing"
    OVER = "over"


class Telling(IntEnum):
    """What an event told of a contract; of one second, the greater was the later."""

    BEGUN = 0
    CHANGED = 1
    ENDED = 2


# The names that a price goes by, the most telling first: its own id, its lookup key, its product's id.
Price = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Terms:
    """A contract as one event of the provider's told it. `ends_at` is None while it is to go on."""

    standing: Standing
    prices: tuple[Price, ...]
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class Told:
    """News of a contract, of the provider's instant `at`, which knows whole seconds only.

    `changed` names the terms that were otherwise before, where it says so.
    """

    contract: str
    customer: str
    at: datetime
    telling: Telling
    terms: Terms
    changed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Payment:
    """News of a payment for a contract, of the provider's instant `at`."""

    contract: str
    at: datetime
    paid: bool


@dataclass(frozen=True, slots=True)
class Contract:
    """What is known of a contract.

    `told_at`, `telling` and `changed` are of the last event that told the terms, `standing_at` of the
    last that told whether it is paid; all by the provider's clock. `grace_until`, by the members'
    clock, is set while a payment is missing: until then the plan stays. `pools` are those for which it
    gave plans when all of its prices were last known.
    """

    id: str
    customer: str
    terms: Terms
    told_at: datetime
    telling: Telling
    changed: frozenset[str]
    standing_at: datetime
    grace_until: datetime | None = None
    pools: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """An event of the provider's. `names` are what it calls its member by, ids or external ids, the
    most telling first."""

    id: str
    kind: str
    at: datetime
    customer: str | None
    names: tuple[str, ...]
    news: Told | Payment | None


def change_refused(*, provider: bool, operator: bool) -> Refusal | None:
    """Whether whoever asks may not change a subscription: where plans are paid for, the provider's
    events and the operator do, and without a provider a member does at no charge."""
    return Refusal.MANAGED_BY_PROVIDER if provider and not operator else None


def hear(known: Contract | None, told: Told, now: datetime, grace: timedelta) -> Contract | None:
    """What is known after an event has told a contract's terms; None where it says nothing new, since a
    later one was heard before."""
    if known is None:
        heard = Contract(
            id=told.contract,
            customer=told.customer,
            terms=told.terms,
            told_at=told.at,
            telling=told.telling,
            changed=told.changed,
            standing_at=told.at,
        )
        return _with_grace(heard, now, grace)
    if (told.at, told.telling) < (known.told_at, known.telling):
        return None
    heard = replace(
        known,
        terms=told.terms,
        told_at=told.at,
        telling=told.telling,
        changed=told.changed,
    )
    if told.at == known.told_at and told.telling is known.telling is Telling.CHANGED:
        heard = _of_one_second(known, told)
    if told.at >= known.standing_at or told.terms.standing is Standing.OVER:
        heard = replace(heard, standing_at=told.at)
    else:
        # A later payment was heard of before.
        heard = replace(heard, terms=replace(heard.terms, standing=known.terms.standing))
    heard = _with_grace(heard, now, grace)
    return None if heard == known else heard


def hear_payment(
    known: Contract, payment: Payment, now: datetime, grace: timedelta
) -> Contract | None:
    """What is known after an event has told of a payment; None where it says nothing new.

    Of one second, what is good for the member counts.
    """
    standing = known.terms.standing
    if payment.paid:
        news = standing in (Standing.FAILING, Standing.NOT_BEGUN)
        if not news or payment.at < known.standing_at:
            return None
        now_standing = Standing.PAID
    else:
        if standing is not Standing.PAID or payment.at <= known.standing_at:
            return None
        now_standing = Standing.FAILING
    terms = replace(known.terms, standing=now_standing)
    return _with_grace(replace(known, terms=terms, standing_at=payment.at), now, grace)


@dataclass(frozen=True, slots=True)
class Offers:
    """What prices are for: the names of plans, by any name of a price."""

    plans: Mapping[str, str]

    def plan_of(self, price: Price, policy: Policy) -> Plan | None:
        name = next((self.plans[each] for each in price if each in self.plans), None)
        return None if name is None else policy.plans.get(name)


def understood(contract: Contract, offers: Offers, policy: Policy) -> Contract | None:
    """The contract with the pools for which it gives plans; None where one of its prices is unknown."""
    plans = [offers.plan_of(price, policy) for price in contract.terms.prices]
    known = [plan.pool for plan in plans if plan is not None]
    return (
        replace(contract, pools=tuple(dict.fromkeys(known))) if len(known) == len(plans) else None
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """The plan that a member's contracts give them in a pool, and when it ends with its contract."""

    plan: Plan
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class Keep:
    """What they hold stays as it is, and nothing begins."""


def wanted(
    contracts: Sequence[Contract], pool: str, offers: Offers, policy: Policy, now: datetime
) -> Wanted | Keep | None:
    """What of a pool a member is to hold by all of their contracts; None: nothing.

    Of several the one with the largest plan counts, so that nobody loses by paying twice. While its
    payment is missing, or a contract that gave a plan of the pool is at a price that nobody knows, what
    is held stays.
    """
    found: list[tuple[Wanted, bool]] = []
    unknown = False
    for contract in contracts:
        if not _holds(contract, now):
            continue
        plans = [offers.plan_of(price, policy) for price in contract.terms.prices]
        unknown = unknown or (pool in contract.pools and None in plans)
        paid = contract.terms.standing is Standing.PAID
        found += [
            (Wanted(plan, contract.terms.ends_at), paid)
            for plan in plans
            if plan is not None and plan.pool == pool
        ]
    if not found:
        return Keep() if unknown else None
    best, paid = max(found, key=_weight)
    return best if paid else Keep()


@dataclass(frozen=True, slots=True)
class Choose:
    plan: Plan


@dataclass(frozen=True, slots=True)
class CancelAtPeriodEnd:
    pass


@dataclass(frozen=True, slots=True)
class CancelNow:
    pass


Step = Choose | CancelAtPeriodEnd | CancelNow


def next_step(
    held: Subscription | None, want: Wanted | Keep | None, policy: Policy, now: datetime
) -> Step | None:
    """What is next to be asked for, so that a subscription becomes what the contracts pay for.

    None once it is. To be asked again after each step.
    """
    if want is None:
        return None if held is None else CancelNow()
    if isinstance(want, Keep):
        return None
    if held is None:
        return Choose(want.plan)
    ends = _ends_with_this_period(held, want, now)
    if held.plan == want.plan.name:
        if held.next_plan is not None or (held.ends_at is not None and not ends):
            # The current plan withdraws what waits.
            return Choose(want.plan)
    elif held.next_plan != want.plan.name and not (ends and _is_smaller(want.plan, held, policy)):
        return Choose(want.plan)
    if ends and held.ends_at is None:
        return CancelAtPeriodEnd()
    return None


def look_again_at(
    contracts: Sequence[Contract], held: Sequence[Subscription], now: datetime
) -> datetime | None:
    """When something will follow from contracts without an event: a grace is over, or a contract ends
    with the period of a subscription that has begun by then. None while nothing will."""
    running = [c for c in contracts if c.terms.standing in (Standing.PAID, Standing.FAILING)]
    ends = [contract.terms.ends_at for contract in running]
    dues = [contract.grace_until for contract in running] + ends
    dues += [_period_of(each, end) for each in held for end in ends if end is not None]
    return min((due for due in dues if due is not None and due > now), default=None)


def _of_one_second(known: Contract, told: Told) -> Contract:
    """Of changes within one second, which came in any order, each has the last word on what it changed
    itself."""
    changed = {each: getattr(told.terms, each) for each in told.changed}
    terms = replace(known.terms, **changed)
    return replace(known, terms=terms, changed=known.changed | told.changed)


def _with_grace(contract: Contract, now: datetime, grace: timedelta) -> Contract:
    """The grace begins when a payment is first missing, and is over with the payment."""
    if contract.terms.standing is not Standing.FAILING:
        return replace(contract, grace_until=None)
    return replace(contract, grace_until=contract.grace_until or now + grace)


def _holds(contract: Contract, now: datetime) -> bool:
    """Whether it gives a plan now."""
    if contract.terms.ends_at is not None and contract.terms.ends_at <= now:
        return False
    match contract.terms.standing:
        case Standing.PAID:
            return True
        case Standing.FAILING:
            return contract.grace_until is not None and contract.grace_until > now
        case Standing.NOT_BEGUN | Standing.OVER:
            return False


def _weight(found: tuple[Wanted, bool]) -> tuple[int, bool, datetime]:
    want, paid = found
    return want.plan.allotment, paid, want.ends_at or FOREVER


def _is_smaller(plan: Plan, held: Subscription, policy: Policy) -> bool:
    now_held = policy.plans.get(held.plan)
    return now_held is not None and plan.allotment <= now_held.allotment


def _ends_with_this_period(held: Subscription, want: Wanted, now: datetime) -> bool:
    return want.ends_at is not None and want.ends_at <= anniversary_after(held.since, now)


def _period_of(held: Subscription, instant: datetime) -> datetime:
    """When the period begins in which `instant` lies; the first where it lies before all."""
    begins = held.since
    while (following := anniversary_after(held.since, begins)) < instant:
        begins = following
    return begins
