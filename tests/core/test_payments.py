"""What a provider's events make known of a contract, in whatever order, and what follows from it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overture.core.credits import Subscription
from overture.core.cycles import months_after
from overture.core.payments import (
    CancelAtPeriodEnd,
    CancelNow,
    Choose,
    Contract,
    Keep,
    Offers,
    Payment,
    Standing,
    Telling,
    Terms,
    Told,
    Wanted,
    change_refused,
    hear,
    hear_payment,
    look_again_at,
    next_step,
    understood,
    wanted,
)
from overture.core.refusals import Refusal
from tests.cast import policy

SEED = policy("seed").versions[0]
NOW = datetime(2025, 1, 31, 10, tzinfo=UTC)
GRACE = timedelta(days=14)
CAREER, BUSINESS = ("price_career",), ("price_business", "business_monthly")
OFFERS = Offers({"price_career": "premium_career", "business_monthly": "premium_business"})
PLANS = SEED.plans
FIELDS = ("standing", "prices", "ends_at")


def told(second: int, telling: Telling, terms: Terms, *changed: str) -> Told:
    at = NOW + timedelta(seconds=second)
    return Told("sub_1", "cus_1", at, telling, terms, frozenset(changed))


def terms(standing: Standing = Standing.PAID, *prices: tuple[str, ...], ends: int = 0) -> Terms:
    ends_at = NOW + timedelta(days=ends) if ends else None
    return Terms(standing, prices or (CAREER,), ends_at)


def known(standing: Standing = Standing.PAID, *prices: tuple[str, ...], ends: int = 0) -> Contract:
    heard = hear(None, told(0, Telling.BEGUN, terms(standing, *prices, ends=ends)), NOW, GRACE)
    assert heard is not None
    return heard


# What is known, in whatever order it comes --------------------------------------------------------

_TERMS = st.builds(
    Terms,
    st.sampled_from([Standing.NOT_BEGUN, Standing.PAID, Standing.FAILING]),
    st.sampled_from([(CAREER,), (BUSINESS,)]),
    st.sampled_from([None, NOW + timedelta(days=30), NOW + timedelta(days=300)]),
)


@st.composite
def _histories(draw: st.DrawFn) -> list[Told]:
    """A contract's events as they happened, several in one second. Within a second nothing is changed
    twice: of that, whole seconds cannot tell the order."""
    events = [told(0, Telling.BEGUN, draw(_TERMS))]
    second, changed_now = 0, set[str]()
    for _ in range(draw(st.integers(0, 6))):
        if draw(st.booleans()):
            second, changed_now = second + draw(st.integers(1, 3)), set()
        before = events[-1].terms
        after = draw(_TERMS)
        after = replace(after, **{each: getattr(before, each) for each in changed_now})
        changed = {each for each in FIELDS if getattr(before, each) != getattr(after, each)}
        changed_now |= changed
        events.append(told(second, Telling.CHANGED, after, *changed))
    if draw(st.booleans()):
        over = replace(events[-1].terms, standing=Standing.OVER)
        events.append(told(second, Telling.ENDED, over))
    return events


@given(_histories(), st.data())
def test_in_whatever_order_and_however_often_events_come_the_last_one_is_known(
    history: list[Told], data: st.DataObject
) -> None:
    arriving = data.draw(st.permutations(history + data.draw(st.lists(st.sampled_from(history)))))

    contract: Contract | None = None
    for event in arriving:
        contract = hear(contract, event, NOW, GRACE) or contract

    assert contract is not None
    assert contract.terms == history[-1].terms


def test_a_payment_and_the_terms_of_its_time_agree_in_either_order() -> None:
    begun = known()
    missing = Payment("sub_1", NOW + timedelta(seconds=5), paid=False)
    past_due = told(5, Telling.CHANGED, terms(Standing.FAILING), "standing")

    one = hear_payment(begun, missing, NOW, GRACE)
    other = hear(begun, past_due, NOW, GRACE)
    assert one is not None
    assert other is not None

    assert one.terms == other.terms == terms(Standing.FAILING)
    assert one.grace_until == other.grace_until == NOW + GRACE
    assert hear_payment(other, missing, NOW, GRACE) is None
    both = hear(one, past_due, NOW + timedelta(days=1), GRACE)
    assert both is not None
    assert both.grace_until == NOW + GRACE, "the grace begins once"


def test_terms_that_come_late_do_not_undo_a_later_payment() -> None:
    failing = known(Standing.FAILING)
    paid = hear_payment(
        failing, Payment("sub_1", NOW + timedelta(seconds=9), paid=True), NOW, GRACE
    )
    assert paid is not None
    assert paid.grace_until is None

    late = told(4, Telling.CHANGED, terms(Standing.FAILING, BUSINESS), "prices")
    heard = hear(paid, late, NOW, GRACE)

    assert heard is not None
    assert heard.terms == terms(Standing.PAID, BUSINESS)


def test_an_old_failure_does_not_undo_what_was_paid_since() -> None:
    paid = hear(known(), told(9, Telling.CHANGED, terms()), NOW, GRACE)
    assert paid is not None
    assert hear_payment(paid, Payment("sub_1", NOW, paid=False), NOW, GRACE) is None
    late = Payment("sub_1", NOW + timedelta(seconds=10), paid=False)
    assert hear_payment(paid, late, NOW, GRACE) is not None


def test_what_is_over_is_not_begun_again_by_a_payment() -> None:
    over = known(Standing.OVER)
    assert hear_payment(over, Payment("sub_1", NOW + GRACE, paid=True), NOW, GRACE) is None
    ended = hear(
        known(),
        told(3, Telling.ENDED, terms(Standing.OVER)),
        NOW,
        GRACE,
    )
    assert ended is not None
    later = Payment("sub_1", NOW + GRACE, paid=True)
    assert hear_payment(ended, later, NOW, GRACE) is None
    paid_first = replace(known(), standing_at=NOW + GRACE)
    heard = hear(paid_first, told(3, Telling.ENDED, terms(Standing.OVER)), NOW, GRACE)
    assert heard is not None
    assert heard.terms.standing is Standing.OVER


# What it gives --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("contracts", "gives"),
    [
        ([], None),
        ([known()], "premium_career"),
        ([known(Standing.PAID, BUSINESS)], "premium_business"),
        ([known(Standing.NOT_BEGUN)], None),
        ([known(Standing.OVER)], None),
        # Of two, the larger plan; while its payment is missing, what is held stays.
        ([known(), known(Standing.PAID, BUSINESS)], "premium_business"),
        ([known(Standing.FAILING)], "keep"),
        ([known(), known(Standing.FAILING, BUSINESS)], "keep"),
        ([known(Standing.FAILING), known(Standing.PAID, BUSINESS)], "premium_business"),
        # A price of another pool, and one that nobody knows.
        ([known(Standing.PAID, ("price_unheard_of",))], None),
        ([known(Standing.PAID, ("price_unheard_of",), CAREER)], "premium_career"),
        # The end has come.
        ([known(ends=-1)], None),
    ],
)
def test_what_contracts_give(contracts: list[Contract], gives: str | None) -> None:
    want = wanted(contracts, "premium", OFFERS, SEED, NOW)
    if gives == "keep":
        assert want == Keep()
    else:
        assert (want.plan.name if isinstance(want, Wanted) else want) == gives
    assert wanted(contracts, "recruiter", OFFERS, SEED, NOW) is None


def test_a_plan_stays_when_its_contract_comes_to_a_price_that_nobody_knows() -> None:
    clear = understood(known(), OFFERS, SEED)
    assert clear is not None
    assert clear.pools == ("premium",)
    strange = replace(clear, terms=terms(Standing.PAID, ("price_new",)))

    assert understood(strange, OFFERS, SEED) is None
    assert wanted([strange], "premium", OFFERS, SEED, NOW) == Keep()
    over = replace(strange, terms=terms(Standing.OVER, ("price_new",)))
    assert wanted([over], "premium", OFFERS, SEED, NOW) is None


def test_the_grace_ends() -> None:
    failing = known(Standing.FAILING)
    before, after = NOW + GRACE - timedelta(seconds=1), NOW + GRACE
    assert wanted([failing], "premium", OFFERS, SEED, before) == Keep()
    assert wanted([failing], "premium", OFFERS, SEED, after) is None
    assert look_again_at([failing], [], before) == after
    assert look_again_at([failing], [], after) is None


# What follows ---------------------------------------------------------------------------------------


def held(plan: str, **more: object) -> Subscription:
    return Subscription(plan, NOW, **more)  # pyright: ignore[reportArgumentType]


def want(plan: str, months: int | None = None, days: int = 0) -> Wanted:
    ends = None if months is None else months_after(NOW, months) + timedelta(days=days)
    return Wanted(PLANS[plan], ends)


CAREER_NAME, BUSINESS_NAME = "premium_career", "premium_business"
IN_A_MONTH = months_after(NOW, 1)


@pytest.mark.parametrize(
    ("before", "wanted_now", "step"),
    [
        (None, None, None),
        (None, Keep(), None),
        (None, want(CAREER_NAME), Choose(PLANS[CAREER_NAME])),
        (held(CAREER_NAME), want(CAREER_NAME), None),
        (held(CAREER_NAME), None, CancelNow()),
        (held(CAREER_NAME), Keep(), None),
        (held(CAREER_NAME), want(BUSINESS_NAME), Choose(PLANS[BUSINESS_NAME])),
        (held(BUSINESS_NAME), want(CAREER_NAME), Choose(PLANS[CAREER_NAME])),
        # A downgrade that waits is not asked for again, and is withdrawn by the plan itself.
        (
            held(BUSINESS_NAME, next_plan=CAREER_NAME, changes_at=IN_A_MONTH),
            want(CAREER_NAME),
            None,
        ),
        (
            held(BUSINESS_NAME, next_plan=CAREER_NAME, changes_at=IN_A_MONTH),
            want(BUSINESS_NAME),
            Choose(PLANS[BUSINESS_NAME]),
        ),
        # It ends with the running period, which a contract's end a little before belongs to.
        (held(CAREER_NAME), want(CAREER_NAME, 1), CancelAtPeriodEnd()),
        (held(CAREER_NAME), want(CAREER_NAME, 1, -3), CancelAtPeriodEnd()),
        (held(CAREER_NAME, ends_at=IN_A_MONTH), want(CAREER_NAME, 1), None),
        (held(BUSINESS_NAME), want(CAREER_NAME, 1), CancelAtPeriodEnd()),
        (held(CAREER_NAME), want(BUSINESS_NAME, 1), Choose(PLANS[BUSINESS_NAME])),
        # What is paid for a year does not end with the month.
        (held(CAREER_NAME), want(CAREER_NAME, 12), None),
        (held(CAREER_NAME), want(CAREER_NAME, 1, +1), None),
        # A cancel that was taken back.
        (held(CAREER_NAME, ends_at=IN_A_MONTH), want(CAREER_NAME), Choose(PLANS[CAREER_NAME])),
        (held(CAREER_NAME, ends_at=IN_A_MONTH), want(CAREER_NAME, 12), Choose(PLANS[CAREER_NAME])),
    ],
)
def test_each_step(before: Subscription | None, wanted_now: object, step: object) -> None:
    assert next_step(before, wanted_now, SEED, NOW) == step  # pyright: ignore[reportArgumentType]


def test_a_contract_of_a_year_is_looked_at_when_its_last_month_begins() -> None:
    year = replace(known(), terms=replace(terms(), ends_at=months_after(NOW, 12)))
    career = held(CAREER_NAME)

    last_month = look_again_at([year], [career], NOW)

    assert last_month == months_after(NOW, 11)
    end = next_step(career, want(CAREER_NAME, 12), SEED, last_month)
    assert end == CancelAtPeriodEnd()
    assert look_again_at([year], [career], last_month) == months_after(NOW, 12)


def test_who_may_change_a_subscription() -> None:
    assert change_refused(provider=False, operator=False) is None
    assert change_refused(provider=True, operator=True) is None
    assert change_refused(provider=True, operator=False) is Refusal.MANAGED_BY_PROVIDER
