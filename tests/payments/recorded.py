"""Events in the shape in which Stripe sends them, signed with its own scheme.

Of the API versions since 2025, in which a subscription's period is told by its items and an invoice
names its subscription in `parent`; and of those before, which many accounts still have.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from stripe import WebhookSignature

SECRET = "whsec_of_the_tests_alone"
PRICES = {
    "premium_career": ("price_1PgCareer", "career_monthly", "prod_QiCareer"),
    "premium_business": ("price_1PgBusiness", "business_monthly", "prod_QiBusiness"),
    "recruiter_lite": ("price_1PgRecruiter", None, "prod_QiRecruiter"),
}
# By id, by lookup key and by product: each is one of the ways to name a price.
PLANS = {
    "price_1PgCareer": "premium_career",
    "business_monthly": "premium_business",
    "prod_QiRecruiter": "recruiter_lite",
}
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Contract:
    """A subscription at Stripe. `begun_at` is the anchor of its periods."""

    customer: str
    begun_at: datetime
    plans: tuple[str, ...] = ("premium_career",)
    id: str = field(default_factory=lambda: f"sub_1PgTest{next(_numbers):06}")
    status: str = "active"
    period_ends_at: datetime | None = None
    cancel_at_period_end: bool = False
    metadata: dict[str, str] = field(default_factory=dict)
    old: bool = False

    def but(self, **changes: Any) -> Contract:
        return replace(self, **changes)

    def object(self) -> dict[str, Any]:
        begun, ends = _seconds(self.begun_at), _seconds(self.period_ends_at or self.begun_at)
        period = {"current_period_start": begun, "current_period_end": ends}
        items = [_item(plan, period, old=self.old) for plan in self.plans]
        return {
            "id": self.id,
            "object": "subscription",
            "application": None,
            "application_fee_percent": None,
            "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
            "billing_cycle_anchor": begun,
            "cancel_at": ends if self.cancel_at_period_end and not self.old else None,
            "cancel_at_period_end": self.cancel_at_period_end,
            "canceled_at": None,
            "cancellation_details": {"comment": None, "feedback": None, "reason": None},
            "collection_method": "charge_automatically",
            "created": begun,
            "currency": "eur",
            **(period if self.old else {}),
            "customer": self.customer,
            "default_payment_method": "pm_1PgTest",
            "ended_at": None,
            "items": {
                "object": "list",
                "data": items,
                "has_more": False,
                "total_count": len(items),
                "url": f"/v1/subscription_items?subscription={self.id}",
            },
            "latest_invoice": "in_1PgTest",
            "livemode": False,
            "metadata": self.metadata,
            "pause_collection": None,
            "pending_setup_intent": None,
            **({"plan": items[0]["plan"], "quantity": 1} if self.old else {}),
            "schedule": None,
            "start_date": begun,
            "status": self.status,
            "trial_end": None,
            "trial_start": None,
        }


def _item(plan: str, period: dict[str, int], *, old: bool) -> dict[str, Any]:
    price, lookup_key, product = PRICES.get(plan, (plan, None, "prod_QiOther"))
    of_both = {"active": True, "currency": "eur", "livemode": False, "metadata": {}}
    return {
        "id": f"si_{price}",
        "object": "subscription_item",
        **({} if old else period),
        "metadata": {},
        "plan": {"id": price, "object": "plan", "product": product, "interval": "month", **of_both},
        "price": {
            "id": price,
            "object": "price",
            "lookup_key": lookup_key,
            "product": product,
            "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"},
            "type": "recurring",
            "unit_amount": 2999,
            **of_both,
        },
        "quantity": 1,
    }


def created(contract: Contract, at: datetime) -> dict[str, Any]:
    return _event("customer.subscription.created", contract.object(), at)


def updated(contract: Contract, at: datetime, *, before: Contract) -> dict[str, Any]:
    """With the attributes that were otherwise before, as Stripe tells them."""
    now, then = contract.object(), before.object()
    previous = {name: then[name] for name in now if name in then and now[name] != then[name]}
    return _event("customer.subscription.updated", now, at, previous)


def deleted(contract: Contract, at: datetime) -> dict[str, Any]:
    over = contract.but(status="canceled").object() | {"ended_at": _seconds(at)}
    return _event("customer.subscription.deleted", over, at)


def checkout(
    contract: Contract,
    at: datetime,
    *,
    reference: str | None = None,
    metadata: dict[str, str] | None = None,
) -> dict[str, Any]:
    session = {
        "id": "cs_test_a1PgTest",
        "object": "checkout.session",
        "amount_total": 2999,
        "client_reference_id": reference,
        "currency": "eur",
        "customer": contract.customer,
        "customer_details": {"email": "payer@overture.example", "name": "A Payer"},
        "livemode": False,
        "metadata": metadata or {},
        "mode": "subscription",
        "payment_link": None,
        "payment_status": "paid",
        "status": "complete",
        "subscription": contract.id,
    }
    return _event("checkout.session.completed", session, at)


def customer(name: str, at: datetime, metadata: dict[str, str]) -> dict[str, Any]:
    of = {"id": name, "object": "customer", "email": "payer@overture.example", "metadata": metadata}
    return _event("customer.created", of | {"created": _seconds(at), "livemode": False}, at)


def invoice(contract: Contract, kind: str, at: datetime) -> dict[str, Any]:
    """`invoice(contract, "invoice.payment_failed", at)`"""
    paid = kind != "invoice.payment_failed"
    of: dict[str, Any] = {
        "id": "in_1PgTest",
        "object": "invoice",
        "amount_due": 2999,
        "attempt_count": 1,
        "billing_reason": "subscription_cycle",
        "customer": contract.customer,
        "lines": {"object": "list", "data": [], "has_more": False},
        "livemode": False,
        "status": "paid" if paid else "open",
    }
    if contract.old:
        of |= {"subscription": contract.id, "paid": paid}
    else:
        details = {"metadata": {}, "subscription": contract.id}
        parent = {"quote_details": None, "type": "subscription_details"}
        of["parent"] = parent | {"subscription_details": details}
    return _event(kind, of, at)


def _event(
    kind: str, of: dict[str, Any], at: datetime, previous: dict[str, Any] | None = None
) -> dict[str, Any]:
    data = {"object": of} | ({} if previous is None else {"previous_attributes": previous})
    return {
        "id": f"evt_1PgTest{next(_numbers):06}",
        "object": "event",
        "api_version": "2025-09-30.clover",
        "created": _seconds(at),
        "data": data,
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
    }


def signed(
    event: dict[str, Any], *, secret: str = SECRET, at: int | None = None
) -> tuple[bytes, str]:
    """The body, and the header Stripe-Signature; `at` is another instant of signing than now."""
    text = json.dumps(event, indent=2)
    return text.encode(), WebhookSignature.generate_signature_header(text, secret, at)


def _seconds(at: datetime) -> int:
    return int(at.timestamp())
