"""The real server: what it says of payments at its start, and an event that comes over the network."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.payments import recorded
from tests.payments.recorded import PLANS, SECRET, Contract
from tests.running import command, serving

PRICES = ",".join(f"{price}={plan}" for price, plan in PLANS.items())


def test_what_stripe_tells_any_of_its_processes_is_a_plan(database_url: str, capfd: Any):
    options = ("--database-url", database_url, "--processes", "2", "--stripe-prices", PRICES)
    with serving(*options, OVERTURE_STRIPE_WEBHOOK_SECRET=SECRET) as server:
        ada = server.make_member("ada").json()["id"]
        now = datetime.now(UTC)
        contract = Contract("cus_1", now, metadata={"member_id": ada})
        body, signature = recorded.signed(recorded.created(contract, now))

        answer = server.post(
            "/api/v1/payments/stripe", content=body, headers={"Stripe-Signature": signature}
        )

        assert answer.json() == {"outcome": "applied"}
        premium = server.request("GET", "/api/v1/me/premium", headers={"Act-As": ada})
        assert premium.json()["pools"][0]["plan"] == "premium_career"
    said = capfd.readouterr().err
    assert said.count("plans are paid for with Stripe") == 1
    assert SECRET not in said
    assert signature not in said


def test_without_a_provider_the_start_says_that_plans_are_free(database_url: str, capfd: Any):
    with serving("--database-url", database_url) as server:
        told = server.request("GET", "/api/v1/operator/payments").json()
    assert told["free_of_charge"] is True
    assert "members choose and change plans at no charge" in capfd.readouterr().err


def test_a_plan_that_the_policy_does_not_have_is_refused_at_the_start(database_url: str):
    refused = command(
        *("serve", "--port", "0", "--database-url", database_url),
        *("--stripe-prices", "price_1=premium_deluxe"),
        OVERTURE_STRIPE_WEBHOOK_SECRET=SECRET,
    )
    assert refused.returncode == 1
    assert "premium_deluxe, which the policy does not have" in refused.stderr
