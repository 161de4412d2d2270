"""Subscriptions that Stripe drives: what it tells, in whatever order, becomes plans by the rules."""

from __future__ import annotations

import asyncio
import itertools
import json
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import pytest

from overture.core.cycles import months_after
from tests.api.conftest import Site, site_in
from tests.cast import SIGN_UP
from tests.payments import recorded
from tests.payments.conftest import GRACE_DAYS, Paid, setup
from tests.payments.recorded import Contract, signed

CAREER = {"premium": ("premium_career", "active")}
BUSINESS = {"premium": ("premium_business", "active")}


async def member(paid: Paid, handle: str = "ada", **more: str) -> Any:
    return await paid.site.member(handle, **more)


# The usual ways -------------------------------------------------------------------------------------


async def test_a_checkout_begins_a_plan_and_renewals_leave_it_to_the_rules(paid: Paid):
    ada = await member(paid)
    contract = await paid.begins(ada)
    assert await paid.holds(ada) == CAREER
    assert await paid.ledger(ada) == [("grant", 5, "sign_up")]

    await paid.site.clock(months_after(SIGN_UP, 1) + timedelta(minutes=3))
    contract, became = await paid.changes(contract, period_ends_at=months_after(SIGN_UP, 2))
    assert became == "nothing_to_do"
    assert await paid.tells(recorded.invoice(contract, "invoice.paid", paid.now)) == "nothing_to_do"

    assert await paid.holds(ada) == CAREER
    assert await paid.ledger(ada) == [("grant", 5, "sign_up"), ("grant", 5, "cycle")]


@pytest.mark.parametrize("old", [False, True], ids=["new API", "old API"])
async def test_an_upgrade_comes_at_once_and_a_downgrade_with_the_next_period(paid: Paid, old: bool):
    ada = await member(paid)
    contract = await paid.begins(ada, old=old)

    contract, became = await paid.changes(contract, plans=("premium_business",))
    assert became == "applied"
    assert await paid.holds(ada) == BUSINESS
    assert (await paid.ledger(ada))[1:] == [
        ("forfeit", -5, "plan_change"),
        ("grant", 15, "plan_change"),
    ]

    await paid.site.days_pass(3)
    contract, became = await paid.changes(contract, plans=("premium_career",))
    assert became == "applied"
    assert await paid.holds(ada) == {"premium": ("premium_business", "changing")}
    await paid.site.clock(months_after(SIGN_UP, 1))
    assert await paid.holds(ada) == CAREER


@pytest.mark.parametrize("old", [False, True], ids=["new API", "old API"])
async def test_a_cancel_ends_with_the_period_and_can_be_taken_back(paid: Paid, old: bool):
    ada = await member(paid)
    ends = months_after(SIGN_UP, 1)
    contract = await paid.begins(ada, old=old, period_ends_at=ends)

    contract, _ = await paid.changes(contract, cancel_at_period_end=True)
    assert await paid.holds(ada) == {"premium": ("premium_career", "canceling")}
    await paid.site.days_pass(1)
    contract, _ = await paid.changes(contract, cancel_at_period_end=False)
    assert await paid.holds(ada) == CAREER
    await paid.site.days_pass(1)
    contract, _ = await paid.changes(contract, cancel_at_period_end=True)
    await paid.site.clock(ends)
    assert await paid.holds(ada) == {}

    assert await paid.tells(recorded.deleted(contract, ends)) == "nothing_to_do"
    assert (await paid.ledger(ada))[-1] == ("forfeit", -5, "canceled")


async def test_a_contract_that_ends_at_once_ends_the_plan_at_once(paid: Paid):
    ada = await member(paid)
    contract = await paid.begins(ada)
    await paid.site.days_pass(2)

    assert await paid.tells(recorded.deleted(contract, paid.now)) == "applied"

    assert await paid.holds(ada) == {}


async def test_what_is_paid_for_a_year_lasts_for_it_although_it_is_canceled(paid: Paid):
    ada = await member(paid)
    year = months_after(SIGN_UP, 12)
    contract = await paid.begins(ada, period_ends_at=year)

    await paid.changes(contract, cancel_at_period_end=True)

    assert await paid.holds(ada) == CAREER
    await paid.site.clock(months_after(SIGN_UP, 11) - timedelta(seconds=1))
    assert await paid.holds(ada) == CAREER
    await paid.site.clock(months_after(SIGN_UP, 11))
    assert await paid.holds(ada) == {"premium": ("premium_career", "canceling")}
    await paid.site.clock(year)
    assert await paid.holds(ada) == {}


async def test_one_contract_may_be_for_plans_of_several_pools(paid: Paid):
    ada = await member(paid)
    both = ("premium_career", "recruiter_lite")
    contract = Contract("cus_1", paid.now, both, metadata={"member_id": ada.id})

    assert await paid.tells(recorded.created(contract, paid.now)) == "applied"

    assert await paid.holds(ada) == CAREER | {"recruiter": ("recruiter_lite", "active")}
    await paid.site.days_pass(1)
    await paid.changes(contract, plans=("premium_career",))
    assert await paid.holds(ada) == CAREER


async def test_a_first_payment_that_has_not_come_begins_nothing(paid: Paid):
    ada = await member(paid)
    contract = Contract("cus_1", paid.now, status="incomplete", metadata={"member_id": ada.id})
    assert await paid.tells(recorded.created(contract, paid.now)) == "nothing_to_do"
    assert await paid.tells(recorded.invoice(contract, "invoice.payment_failed", paid.now))
    assert await paid.holds(ada) == {}

    contract, became = await paid.changes(contract, status="active")

    assert became == "applied"
    assert await paid.holds(ada) == CAREER


# A payment that fails -------------------------------------------------------------------------------


async def test_a_plan_stays_for_the_grace_and_then_ends(paid: Paid):
    ada = await member(paid)
    contract = await paid.begins(ada)
    await paid.site.clock(months_after(SIGN_UP, 1) + timedelta(hours=1))
    failed_at = paid.now
    failed = recorded.invoice(contract, "invoice.payment_failed", failed_at)
    assert await paid.tells(failed) == "nothing_to_do"
    _, became = await paid.changes(contract, status="past_due")
    assert became == "nothing_to_do"

    over = failed_at + timedelta(days=GRACE_DAYS)
    await paid.site.clock(over - timedelta(seconds=1))
    assert await paid.holds(ada) == CAREER
    await paid.site.clock(over + timedelta(days=200))
    assert await paid.holds(ada) == {}

    items = (await ada.get("/me/ledger?limit=100")).json()["items"]
    assert items[-1]["reason"] == "canceled"
    assert items[-1]["at"] == over.isoformat().replace("+00:00", "Z"), "not when somebody looked"
    (ended,) = [each for each in await paid.audit() if each["detail"].get("status") == "ended"]
    assert ended["member_id"] == ada.id


async def test_further_failures_do_not_prolong_the_grace(paid: Paid):
    ada = await member(paid)
    contract = await paid.begins(ada)
    for _ in range(4):
        await paid.site.days_pass(3)
        await paid.tells(recorded.invoice(contract, "invoice.payment_failed", paid.now))
    await paid.site.days_pass(5)
    assert await paid.holds(ada) == {}


@pytest.mark.parametrize("recovery", ["invoice.paid", "invoice.payment_succeeded", "updated"])
async def test_a_payment_within_the_grace_lets_everything_go_on(paid: Paid, recovery: str):
    ada = await member(paid)
    contract = await paid.begins(ada)
    await paid.site.days_pass(3)
    failing, _ = await paid.changes(contract, status="past_due")
    await paid.site.days_pass(GRACE_DAYS - 1)

    if recovery == "updated":
        await paid.changes(failing, status="active")
    else:
        await paid.tells(recorded.invoice(contract, recovery, paid.now))

    await paid.site.days_pass(100)
    assert await paid.holds(ada) == CAREER
    assert "canceled" not in {reason for _, _, reason in await paid.ledger(ada)}


async def test_a_payment_after_the_grace_begins_the_plan_anew_without_a_second_grant(paid: Paid):
    ada = await member(paid)
    contract = await paid.begins(ada)
    await paid.site.days_pass(1)
    failing, _ = await paid.changes(contract, status="past_due")
    await paid.site.days_pass(GRACE_DAYS)
    assert await paid.holds(ada) == {}

    _, became = await paid.changes(failing, status="active")

    assert became == "applied"
    assert await paid.holds(ada) == CAREER
    assert (await paid.ledger(ada))[-1] == ("forfeit", 0, "already_granted")


async def test_a_failing_payment_does_not_bring_what_it_would_have_paid_for(paid: Paid):
    ada = await member(paid)
    contract = await paid.begins(ada)
    await paid.site.days_pass(1)
    _, became = await paid.changes(contract, plans=("premium_business",), status="past_due")
    assert became == "nothing_to_do"
    assert await paid.holds(ada) == CAREER

    await paid.tells(recorded.invoice(contract, "invoice.paid", paid.now + timedelta(seconds=1)))
    assert await paid.holds(ada) == BUSINESS


# Events twice, late, in any order -------------------------------------------------------------------


async def test_an_event_that_comes_again_changes_nothing(paid: Paid):
    ada = await member(paid)
    contract = Contract("cus_1", paid.now, metadata={"member_id": ada.id})
    event = recorded.created(contract, paid.now)
    assert await paid.tells(event) == "applied"
    await paid.site.operator.call(
        "DELETE", "/me/subscriptions/premium?at=now", headers={"Act-As": ada.id}
    )

    assert await paid.tells(event) == "seen_before"

    assert await paid.holds(ada) == {}


async def test_events_that_come_at_once_are_taken_once(paid: Paid):
    ada = await member(paid)
    contract = Contract("cus_1", paid.now, metadata={"member_id": ada.id})
    event = recorded.created(contract, paid.now)

    became = await asyncio.gather(*(paid.tells(event) for _ in range(8)))

    assert sorted(became) == ["applied"] + ["seen_before"] * 7
    assert await paid.ledger(ada) == [("grant", 5, "sign_up")]


async def test_two_contracts_that_begin_at_once_give_the_larger_plan(paid: Paid):
    for number in range(5):
        ada = await member(paid, f"ada-{number}")
        both = [
            Contract(f"cus_{number}", paid.now, (plan,), metadata={"member_id": ada.id})
            for plan in ("premium_business", "premium_career")
        ]
        await asyncio.gather(*(paid.tells(recorded.created(each, paid.now)) for each in both))
        assert await paid.holds(ada) == BUSINESS


def _history(begun: Contract, reference: str) -> list[dict[str, Any]]:
    """A checkout, an upgrade and a cancel that was taken back, several within one second."""
    at = begun.begun_at
    active = begun.but(status="active")
    business = active.but(plans=("premium_business",))
    canceling = business.but(cancel_at_period_end=True)
    later = at + timedelta(seconds=2)
    return [
        recorded.created(begun, at),
        recorded.updated(active, at, before=begun),
        recorded.checkout(active, at, reference=reference),
        recorded.invoice(active, "invoice.paid", at),
        recorded.updated(business, later, before=active),
        recorded.updated(canceling, later, before=business),
    ]


async def test_in_whatever_order_events_come_the_plan_is_the_same(paid: Paid):
    """Every eleventh of the 720 orders, each event twice."""
    for number in range(0, 720, 11):
        ada = await member(paid, f"ada-{number}")
        ends = months_after(paid.now, 1)
        begun = Contract(f"cus_{number}", paid.now, status="incomplete", period_ends_at=ends)
        order = next(
            itertools.islice(itertools.permutations(_history(begun, ada.id)), number, None)
        )

        for event in order:
            await paid.tells(event)
            await paid.tells(event)

        assert await paid.holds(ada) == {"premium": ("premium_business", "canceling")}, number
        told = (await ada.get("/me/premium")).json()["pools"][0]
        assert told["balance"] == 15
        assert told["ends_at"] == months_after(paid.now, 1).isoformat().replace("+00:00", "Z")


async def test_what_was_overtaken_is_left_out(paid: Paid):
    ada = await member(paid)
    contract = await paid.begins(ada)
    old = recorded.updated(contract.but(status="past_due"), paid.now, before=contract)
    await paid.site.days_pass(1)
    business, _ = await paid.changes(contract, plans=("premium_business",))

    assert await paid.tells(old) == "overtaken"
    await paid.site.days_pass(GRACE_DAYS + 1)
    assert await paid.holds(ada) == BUSINESS

    assert await paid.tells(recorded.deleted(business, paid.now)) == "applied"
    late = recorded.updated(business, paid.now - timedelta(seconds=5), before=contract)
    assert await paid.tells(late) == "overtaken"
    assert await paid.holds(ada) == {}


# Whose it is ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["reference", "reference to external id", "metadata", "external id"])
async def test_a_member_is_known_by(paid: Paid, by: str):
    made = await paid.site.operator.post(
        "/members", {"handle": "ada", "name": "Ada", "external_id": "user 17"}
    )
    ada = made.json()["id"]
    contract = Contract("cus_1", paid.now)
    event = {
        "reference": recorded.checkout(contract, paid.now, reference=ada),
        "reference to external id": recorded.checkout(contract, paid.now, reference="user 17"),
        "metadata": recorded.checkout(contract, paid.now, metadata={"member_id": ada}),
        "external id": recorded.customer("cus_1", paid.now, {"external_id": "user 17"}),
    }[by]
    assert await paid.tells(event) == "nothing_to_do"

    assert await paid.tells(recorded.created(contract, paid.now)) == "applied"

    told = await paid.site.operator.get("/me/premium", headers={"Act-As": ada})
    assert told.json()["premium"] is True


async def test_a_contract_waits_until_it_is_known_whose_it_is(paid: Paid):
    ada = await member(paid)
    contract = Contract("cus_1", paid.now)
    assert await paid.tells(recorded.created(contract, paid.now)) == "unknown_member"
    await paid.site.days_pass(1)
    assert (
        await paid.tells(recorded.invoice(contract, "invoice.paid", paid.now)) == "unknown_member"
    )
    (told,) = await paid.audit()
    assert told["action"] == "payments.not_understood"
    assert told["actor"] == "stripe"
    assert told["detail"] | {"event": None} == {
        "contract": contract.id,
        "customer": "cus_1",
        "prices": [["price_1PgCareer", "career_monthly", "prod_QiCareer"]],
        "problem": "unknown_member",
        "event": None,
    }

    assert await paid.tells(recorded.checkout(contract, paid.now, reference=ada.id)) == "applied"

    assert await paid.holds(ada) == CAREER
    contracts = await paid.site.operator.get("/operator/payments/contracts")
    (listed,) = contracts.json()["items"]
    assert (listed["member_id"], listed["standing"], listed["trouble"]) == (ada.id, "paid", None)


async def test_who_pays_cannot_say_that_they_are_somebody_else(paid: Paid):
    ada, grace = await member(paid), await member(paid, "grace")
    contract = await paid.begins(ada)

    await paid.tells(recorded.checkout(contract, paid.now, reference=grace.id))

    assert (await paid.holds(ada), await paid.holds(grace)) == (CAREER, {})
    (told,) = [each for each in await paid.audit() if each["action"].endswith("member_named")]
    assert (told["member_id"], told["detail"]["named"]) == (ada.id, grace.id)


async def test_whoever_pays_for_somebody_elses_smaller_plan_takes_nothing_from_them(paid: Paid):
    ada = await member(paid)
    await paid.begins(ada, "premium_business")
    await paid.site.days_pass(1)
    gift = Contract("cus_of_a_stranger", paid.now, ("premium_career",))
    await paid.tells(recorded.created(gift, paid.now))
    assert await paid.tells(recorded.checkout(gift, paid.now, reference=ada.id)) == "nothing_to_do"
    assert await paid.holds(ada) == BUSINESS

    await paid.tells(recorded.deleted(gift, paid.now))
    assert await paid.holds(ada) == BUSINESS


async def test_the_operator_says_whose_a_customer_is(paid: Paid):
    ada, grace = await member(paid), await member(paid, "grace")
    contract = await paid.begins(ada)
    path = f"/operator/payments/customers/{contract.customer}"

    answer = await paid.site.operator.put(path, {"member_id": grace.id})

    assert answer.status_code == 200, answer.text
    assert (await paid.holds(ada), await paid.holds(grace)) == ({}, CAREER)
    assert [each["action"] for each in await paid.audit()][-3:] == [
        "payments.customer_assigned",
        "payments.subscription_changed",
        "payments.subscription_changed",
    ]
    nobody = "01a206ae-50e2-768d-8c9c-477b24b2b656"
    assert (await paid.site.operator.put(path, {"member_id": nobody})).status_code == 404
    assert (await ada.put(path, {"member_id": ada.id})).status_code == 403


# Prices ---------------------------------------------------------------------------------------------


async def test_a_price_that_nobody_knows_is_told_to_the_operator_and_begins_nothing(paid: Paid):
    ada = await member(paid)
    contract = Contract("cus_1", paid.now, ("price_other",), metadata={"member_id": ada.id})

    assert await paid.tells(recorded.created(contract, paid.now)) == "unknown_price"

    assert await paid.holds(ada) == {}
    (told,) = await paid.audit()
    assert (told["member_id"], told["detail"]["problem"]) == (ada.id, "unknown_price")
    overview = (await paid.site.operator.get("/operator/payments")).json()
    assert (overview["contracts"], overview["troubled"]) == (1, 1)
    listed = await paid.site.operator.get("/operator/payments/contracts?troubled=true")
    assert [each["id"] for each in listed.json()["items"]] == [contract.id]


async def test_a_plan_stays_when_its_price_becomes_one_that_nobody_knows(paid: Paid):
    ada = await member(paid)
    contract = await paid.begins(ada)
    await paid.site.days_pass(1)

    strange, became = await paid.changes(contract, plans=("price_new",))
    assert became == "unknown_price"
    assert await paid.holds(ada) == CAREER

    await paid.site.days_pass(1)
    assert await paid.tells(recorded.deleted(strange, paid.now)) == "applied"
    assert await paid.holds(ada) == {}


async def test_what_was_not_understood_is_once_the_setting_is_mended(database_url: str):
    from overture.actions import payments

    async with site_in(database_url, payments=setup()) as site:
        ada = await site.member("ada")
        before = Paid(site)
        contract = Contract("cus_1", before.now, ("price_new",), metadata={"member_id": ada.id})
        await before.tells(recorded.created(contract, before.now))

    plans = recorded.PLANS | {"price_new": "premium_business"}
    async with site_in(database_url, payments=setup(plans=plans)) as site:
        after = Paid(site)
        await site.town.do(lambda tx: payments.look_at_troubled(tx, site.town.now))
        ada = type(ada)(site.http, ada.token, ada.id)
        assert await after.holds(ada) == {}
        await site.days_pass(0.01)
        assert await after.holds(ada) == BUSINESS
        assert (await site.operator.get("/operator/payments")).json()["troubled"] == 0


# Closed accounts ------------------------------------------------------------------------------------


async def test_a_closed_account_that_still_pays_is_told_to_the_operator(paid: Paid):
    ada = await member(paid)
    before = await paid.begins(ada)
    await paid.tells(recorded.deleted(before, paid.now))
    contract = await paid.begins(ada)
    await ada.delete("/me")
    await paid.site.days_pass(0.01)
    (runs_on,) = [each for each in await paid.audit() if each["action"].endswith("runs_on")]
    assert runs_on["detail"]["contract"] == contract.id
    listed = (await paid.site.operator.get("/operator/payments/contracts")).json()["items"]
    assert [each["id"] for each in listed] == [contract.id], "what was over is forgotten at once"

    _, became = await paid.changes(contract, plans=("premium_business",))
    assert became == "account_closed"

    assert await paid.tells(recorded.deleted(contract, paid.now)) == "nothing_to_do"
    assert (await paid.site.operator.get("/operator/payments/contracts")).json()["items"] == []


# Who may change -------------------------------------------------------------------------------------


async def test_what_one_pays_for_is_in_ones_export(paid: Paid):
    ada = await member(paid)
    contract = await paid.begins(ada)

    packed = await ada.get("/me/export")

    with ZipFile(BytesIO(packed.content)) as archive:
        (told,) = json.loads(archive.read("contracts.json"))
    assert (told["id"], told["customer_id"]) == (contract.id, contract.customer)
    assert told["prices"] == [["price_1PgCareer", "career_monthly", "prod_QiCareer"]]


async def test_members_are_sent_to_the_provider_and_the_operator_is_not(paid: Paid):
    ada = await member(paid)
    token = await paid.site.token(ada)
    path, career = "/me/subscriptions/premium", {"plan": "premium_career"}

    refused = await token.put(path, career)
    assert (refused.status_code, refused.json()["code"]) == (403, "managed_by_provider")
    preview = await token.put(f"{path}?preview=true", career)
    assert (preview.status_code, preview.json()["grants"]) == (200, 5)
    assert (await ada.put(path, career)).status_code == 200

    refused = await token.delete(path)
    assert (refused.status_code, refused.json()["code"]) == (403, "managed_by_provider")
    assert (await token.delete(f"{path}?preview=true")).status_code == 200
    assert (await ada.delete(path)).status_code == 200


async def test_what_the_operator_gave_is_the_members_until_a_contract_pays_for_it(paid: Paid):
    ada = await member(paid, premium="premium_business")
    over = Contract("cus_1", paid.now, metadata={"member_id": ada.id})
    await paid.tells(recorded.deleted(over, paid.now))
    assert await paid.holds(ada) == BUSINESS

    assert await paid.begins(ada)
    assert await paid.holds(ada) == {"premium": ("premium_business", "changing")}


async def test_without_a_provider_there_is_no_door_and_plans_are_free(site: Site):
    paid = Paid(site)
    ada = await member(paid)
    token = await site.token(ada)
    event = recorded.created(Contract("cus_1", paid.now, metadata={"member_id": ada.id}), paid.now)

    assert (await paid.post(*signed(event))).status_code == 404

    told = (await site.operator.get("/operator/payments")).json()
    assert (told["provider"], told["free_of_charge"]) == (None, True)
    chosen = await token.put("/me/subscriptions/premium", {"plan": "premium_career"})
    assert chosen.status_code == 200


@pytest.fixture
async def site(database_url: str) -> Any:
    async with site_in(database_url) as made:
        yield made


# Forgeries ------------------------------------------------------------------------------------------


async def test_what_stripe_did_not_sign_is_refused_and_changes_nothing(paid: Paid):
    ada = await member(paid)
    event = recorded.created(Contract("cus_1", paid.now, metadata={"member_id": ada.id}), paid.now)
    body, signature = signed(event)
    other, _ = signed(event | {"id": "evt_other"})
    stale = int(datetime.now(UTC).timestamp()) - 301
    for forged in (
        (body, None),
        (body, ""),
        (body, "nonsense"),
        (body, signature.replace("v1=", "v0=")),
        (body, signed(event, secret="whsec_of_somebody_else")[1]),
        (body, signed(event, at=stale)[1]),
        (other, signature),
        (body + b" ", signature),
        (b"\xff\xfe", signature),
        (b"", signature),
    ):
        answer = await paid.post(*forged)
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_signature"), forged
    assert await paid.holds(ada) == {}

    rotated = f"{signature},v1={'0' * 64}"
    answer = await paid.post(body, rotated)
    assert answer.json() == {"outcome": "applied"}, "of two secrets that overlap, one is ours"


async def test_what_is_too_large_is_refused_before_it_is_read(paid: Paid):
    answer = await paid.post(b"{" + b" " * 256 * 1024, "t=1,v1=0")
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def test_what_is_signed_but_not_understood_will_come_again(paid: Paid):
    of = {"id": "sub_1", "customer": "cus_1", "status": "active"}
    strange = of | {"status": "unheard_of", "items": {"data": []}}
    for spoiled in (
        {"data": {}},
        {"created": "yesterday"},
        {"created": 10**30},
        {"id": "evt\u0000"},
        {"data": {"object": of}},
        {"data": {"object": strange}},
    ):
        event = recorded.created(Contract("cus_1", paid.now), paid.now)
        answer = await paid.post(*signed(event | spoiled))
        assert (answer.status_code, answer.json()["code"]) == (422, "not_understood"), spoiled
        if "id" not in spoiled:
            # Once it is understood, it has not been taken before.
            assert await paid.tells(event) == "unknown_member"


async def test_what_is_of_no_concern_is_ignored(paid: Paid):
    other = recorded.invoice(Contract("cus_1", paid.now), "invoice.paid", paid.now)
    assert await paid.tells(other | {"type": "charge.succeeded"}) == "ignored"
    del other["data"]["object"]["parent"]
    assert await paid.tells(other) == "ignored"
    bought = recorded.checkout(Contract("cus_1", paid.now), paid.now, reference="17")
    bought["data"]["object"] |= {"mode": "payment", "subscription": None}
    assert await paid.tells(bought) == "ignored"
    stranger = Contract("cus_of_nobody", paid.now)
    assert await paid.tells(recorded.customer("cus_of_nobody", paid.now, {})) == "nothing_to_do"
    assert await paid.tells(recorded.invoice(stranger, "invoice.paid", paid.now)) == "nothing_to_do"
    assert await paid.tells(recorded.deleted(stranger, paid.now)) == "nothing_to_do"
    assert await paid.audit() == []
