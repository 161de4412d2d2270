"""A site whose plans are paid for with Stripe, which a test speaks for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
import pytest

from overture.core.credits import Kind
from overture.payments.door import Setup
from tests.api.conftest import Caller, Site, site_in
from tests.payments import recorded
from tests.payments.recorded import Contract

GRACE_DAYS = 14


@dataclass
class Paid:
    """The site, and Stripe: what it tells arrives signed at our webhook."""

    site: Site

    @property
    def now(self) -> datetime:
        return self.site.town.now

    async def post(self, body: bytes, signature: str | None) -> httpx.Response:
        headers = {"Content-Type": "application/json; charset=utf-8"}
        if signature is not None:
            headers["Stripe-Signature"] = signature
        return await self.site.http.post("/payments/stripe", content=body, headers=headers)

    async def tells(self, event: dict[str, Any]) -> str:
        """What became of an event."""
        answer = await self.post(*recorded.signed(event))
        assert answer.status_code == 200, answer.text
        return answer.json()["outcome"]

    async def begins(self, member: Caller, plan: str = "premium_career", **more: Any) -> Contract:
        """A contract that a checkout made, as Stripe usually tells it."""
        contract = Contract(f"cus_{str(member.id)[-12:]}", self.now, (plan,), **more)
        assert member.id is not None
        await self.tells(recorded.checkout(contract, self.now, reference=member.id))
        assert await self.tells(recorded.created(contract, self.now)) == "applied"
        return contract

    async def changes(self, before: Contract, **changes: Any) -> tuple[Contract, str]:
        after = before.but(**changes)
        return after, await self.tells(recorded.updated(after, self.now, before=before))

    async def holds(self, member: Caller) -> dict[str, tuple[str, str]]:
        """The member's plans and how they stand, by pool."""
        told = (await member.get("/me/premium")).json()
        return {each["pool"]: (each["plan"], each["status"]) for each in told["pools"]}

    async def ledger(self, member: Caller) -> list[tuple[str, int, str]]:
        items = (await member.get("/me/ledger?limit=100")).json()["items"]
        return [(Kind(each["kind"]).value, each["credits"], each["reason"]) for each in items]

    async def audit(self) -> list[dict[str, Any]]:
        """What the audit log has of payments, the oldest first."""
        items = (await self.site.operator.get("/operator/audit?limit=100")).json()["items"]
        return [each for each in reversed(items) if each["action"].startswith("payments.")]


def setup(**more: Any) -> Setup:
    given: dict[str, Any] = {
        "webhook_secret": recorded.SECRET,
        "plans": recorded.PLANS,
        "grace_days": GRACE_DAYS,
    }
    return Setup(**(given | more))


@pytest.fixture
async def paid(database_url: str) -> AsyncIterator[Paid]:
    async with site_in(database_url, payments=setup()) as site:
        yield Paid(site)
