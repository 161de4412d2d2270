"""My Premium where plans are paid for: what it would do is shown, and done where one pays."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.payments import recorded
from tests.payments.conftest import GRACE_DAYS, setup
from tests.payments.recorded import Contract
from tests.web.conftest import Browser, Place, place_in, text_of

CHECKOUT = "https://shop.overture.example/pay?who={external_id}&plan={plan}&at={pool}"
PORTAL = "https://shop.overture.example/{handle}/mine?member={member}"


@pytest.fixture
async def paid(database_url: str) -> AsyncIterator[Place]:
    given = setup(checkout_url=CHECKOUT, portal_url=PORTAL)
    async with place_in(database_url, payments=given) as place:
        yield place


async def tells(place: Place, event: dict[str, Any]) -> None:
    body, signature = recorded.signed(event)
    headers = {"Stripe-Signature": signature}
    http = place.browser().http
    answer = await http.post("/api/v1/payments/stripe", content=body, headers=headers)
    assert answer.status_code == 200, answer.text


async def pays(place: Place, member: Browser) -> Contract:
    assert member.id is not None
    now = place.town.now
    contract = Contract(f"cus_{member.id[-12:]}", now, metadata={"member_id": member.id})
    await tells(place, recorded.created(contract, now))
    return contract


def links_out(answer: httpx.Response) -> list[str]:
    found = re.findall(r'href="(https://shop[^"]*)"', answer.text)
    return [link.replace("&amp;", "&") for link in found]


async def test_who_has_no_plan_is_shown_what_it_brings_and_sent_to_pay(paid: Place):
    ada = await paid.member("ada")
    await paid.town.do(
        lambda tx: tx.execute(
            "update members set external_id = %s where id = %s", ("a b&c", ada.id)
        )
    )
    welcome = await ada.get("/premium")
    assert "does not take payments" not in text_of(welcome)

    page = await ada.get("/premium/change?pool=premium&plan=premium_business")

    assert "You get 15 credits" in text_of(page)
    assert "Price" not in text_of(page)
    assert links_out(page) == [
        "https://shop.overture.example/pay?who=a%20b%26c&plan=premium_business&at=premium"
    ]
    assert '<form method="post" action="/premium/' not in page.text


async def test_who_has_a_plan_changes_and_cancels_it_where_they_pay(paid: Place):
    ada = await paid.member("ada")
    await pays(paid, ada)
    portal = f"https://shop.overture.example/ada/mine?member={ada.id}"
    for path in (
        "/premium/change?pool=premium&plan=premium_business",
        "/premium/cancel?pool=premium",
    ):
        page = await ada.get(path)
        assert "You lose 5 credits" in text_of(page)
        assert links_out(page) == [portal]
        assert '<form method="post" action="/premium/' not in page.text


async def test_a_form_of_before_is_refused(paid: Place):
    ada = await paid.member("ada", premium="premium_career")
    for path, form in (
        ("/premium/change", {"pool": "premium", "plan": "premium_business"}),
        ("/premium/cancel", {"pool": "premium", "at": "now"}),
    ):
        answer = await ada.post(path, form)
        assert answer.status_code == 403
        assert "Plans are paid for here" in text_of(answer)
    assert "Premium Career" in text_of(await ada.get("/premium"))


async def test_without_an_address_it_is_only_said(database_url: str):
    async with place_in(database_url, payments=setup()) as place:
        ada = await place.member("ada")
        page = await ada.get("/premium/change?pool=premium&plan=premium_career")
        assert links_out(page) == []
        assert "change and cancel them where you pay" in text_of(page)


async def test_a_missing_payment_is_told_until_it_comes_or_the_plan_ends(paid: Place):
    ada = await paid.member("ada")
    contract = await pays(paid, ada)
    assert "did not go through" not in text_of(await ada.get("/premium"))
    failed = recorded.invoice(contract, "invoice.payment_failed", paid.town.pass_by(seconds=1))
    await tells(paid, failed)

    page = await ada.get("/premium")

    assert "The plan stays until 14 February 2025" in text_of(page)
    assert links_out(page) == [f"https://shop.overture.example/ada/mine?member={ada.id}"]
    await paid.days_pass(GRACE_DAYS)
    assert "did not go through" not in text_of(await ada.get("/premium"))
