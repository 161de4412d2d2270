"""Stripe: its signatures, and its events in our words.

The `stripe` library, an extra, checks signatures and cancels contracts. It is imported when first
needed, in a thread: that takes half a second. Events are decoded into the few fields that matter rather
than into its types, since their shape is that of the API version which the webhook was made with.
"""

import asyncio
import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw

from overture.context import Forged, NotUnderstood
from overture.core.payments import Event, Payment, Price, Standing, Telling, Terms, Told

NAME = "Stripe"
# How old a signature may be, by the real clock; what Stripe sends again it signs anew.
TOLERANCE_SECONDS = 300


def is_installed() -> bool:
    return find_spec("stripe") is not None


async def check(body: bytes, signature: str, secret: str) -> None:
    """Raises Forged unless Stripe signed this body with our secret, and lately."""
    stripe = await _library()
    try:
        stripe.WebhookSignature.verify_header(body, signature, secret, TOLERANCE_SECONDS)
    except (stripe.SignatureVerificationError, UnicodeDecodeError):
        # Without its cause, which holds the body.
        raise Forged from None


def event_of(body: bytes) -> Event | None:
    """What a body tells; None where it is of no concern. Raises NotUnderstood."""
    try:
        sent = msgspec.json.decode(body, type=_Sent)
        read = _KINDS.get(sent.type)
        return None if read is None else read(sent)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise NotUnderstood(str(problem)) from problem


@dataclass(frozen=True, slots=True)
class Client:
    """Speaks to Stripe with the operator's key. `address` is another one in tests."""

    api_key: str = field(repr=False)
    address: str | None = None

    async def cancel(self, contract: str) -> str | None:
        """Ends a contract at once; None where it has ended, else why not."""
        stripe = await _library()
        addresses = {"base_addresses": {"api": self.address}} if self.address else {}
        client = stripe.StripeClient(self.api_key, **addresses)
        try:
            await asyncio.to_thread(client.v1.subscriptions.cancel, contract)
        except stripe.InvalidRequestError as problem:
            # Canceled before, or never there: Stripe answers both alike.
            return None if problem.http_status == 404 else _reason(problem)
        except stripe.StripeError as problem:
            return _reason(problem)
        return None


async def _library() -> Any:
    return await asyncio.to_thread(importlib.import_module, "stripe")


def _reason(problem: Any) -> str:
    """A sentence without what Stripe quotes of the request."""
    status = problem.http_status or "no answer"
    return f"Stripe refused to cancel ({type(problem).__name__}, {status})."


# What is read of events -----------------------------------------------------------------------------

_Instant = Annotated[int, Meta(ge=0, le=253_402_300_799)]
_Id = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,255}$")]
# Names that people made up.
_NAME = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,255}")


class _Data(msgspec.Struct):
    object: Raw
    previous_attributes: Mapping[str, Any] = {}


class _Sent(msgspec.Struct):
    id: _Id
    type: str
    created: _Instant
    data: _Data


class _Object(msgspec.Struct):
    """Where an object is expanded, instead of its id."""

    id: _Id


_Reference = _Id | _Object
_Metadata = Mapping[str, str]


class _Product(msgspec.Struct):
    id: str


class _Price(msgspec.Struct):
    """Whoever makes prices and products may name them as they like."""

    id: str
    lookup_key: str | None = None
    product: str | _Product | None = None


class _Item(msgspec.Struct):
    """`plan` is how older versions of Stripe's API name a price."""

    price: _Price | None = None
    plan: _Price | None = None
    current_period_end: _Instant | None = None


class _Items(msgspec.Struct):
    data: tuple[_Item, ...]


class _Subscription(msgspec.Struct):
    id: _Id
    customer: _Reference
    status: str
    items: _Items
    metadata: _Metadata = {}
    cancel_at: _Instant | None = None
    cancel_at_period_end: bool = False
    current_period_end: _Instant | None = None


class _SubscriptionDetails(msgspec.Struct):
    subscription: _Reference | None = None


class _Parent(msgspec.Struct):
    subscription_details: _SubscriptionDetails | None = None


class _Invoice(msgspec.Struct):
    """Newer versions of the API name the subscription in `parent`."""

    customer: _Reference | None = None
    subscription: _Reference | None = None
    parent: _Parent | None = None


class _Session(msgspec.Struct):
    mode: str
    customer: _Reference | None = None
    client_reference_id: str | None = None
    metadata: _Metadata | None = None


class _Customer(msgspec.Struct):
    id: _Id
    metadata: _Metadata = {}


_STANDINGS = {
    "incomplete": Standing.NOT_BEGUN,
    "trialing": Standing.PAID,
    "active": Standing.PAID,
    "past_due": Standing.FAILING,
    "unpaid": Standing.FAILING,
    "paused": Standing.OVER,
    "canceled": Standing.OVER,
    "incomplete_expired": Standing.OVER,
}


def _session(sent: _Sent) -> Event | None:
    session = msgspec.json.decode(sent.data.object, type=_Session)
    if session.mode != "subscription":
        # Something else was bought, by whatever reference.
        return None
    metadata = session.metadata or {}
    names = _names(metadata.get("member_id"), session.client_reference_id, metadata)
    return _event(sent, session.customer, names, None)


def _customer(sent: _Sent) -> Event:
    customer = msgspec.json.decode(sent.data.object, type=_Customer)
    names = _names(customer.metadata.get("member_id"), None, customer.metadata)
    return _event(sent, customer.id, names, None)


def _subscription(telling: Telling) -> Callable[[_Sent], Event]:
    def read(sent: _Sent) -> Event:
        held = msgspec.json.decode(sent.data.object, type=_Subscription)
        terms = _terms(held)
        if telling is Telling.ENDED:
            terms = replace(terms, standing=Standing.OVER)
        told = Told(
            contract=held.id,
            customer=_id(held.customer),
            at=_instant(sent.created),
            telling=telling,
            terms=terms,
            changed=_changed(sent.data, terms),
        )
        names = _names(held.metadata.get("member_id"), None, held.metadata)
        return _event(sent, held.customer, names, told)

    return read


def _invoice(*, paid: bool) -> Callable[[_Sent], Event | None]:
    def read(sent: _Sent) -> Event | None:
        invoice = msgspec.json.decode(sent.data.object, type=_Invoice)
        contract = invoice.subscription
        if contract is None and invoice.parent and invoice.parent.subscription_details:
            contract = invoice.parent.subscription_details.subscription
        if contract is None:
            return None
        payment = Payment(_id(contract), _instant(sent.created), paid)
        return _event(sent, invoice.customer, (), payment)

    return read


_KINDS: Mapping[str, Callable[[_Sent], Event | None]] = {
    "checkout.session.completed": _session,
    "customer.created": _customer,
    "customer.updated": _customer,
    "customer.subscription.created": _subscription(Telling.BEGUN),
    "customer.subscription.updated": _subscription(Telling.CHANGED),
    "customer.subscription.paused": _subscription(Telling.CHANGED),
    "customer.subscription.resumed": _subscription(Telling.CHANGED),
    "customer.subscription.deleted": _subscription(Telling.ENDED),
    "invoice.paid": _invoice(paid=True),
    "invoice.payment_succeeded": _invoice(paid=True),
    "invoice.payment_failed": _invoice(paid=False),
}


def _event(
    sent: _Sent,
    customer: _Reference | None,
    names: tuple[str, ...],
    news: Told | Payment | None,
) -> Event:
    named = None if customer is None else _id(customer)
    return Event(sent.id, sent.type, _instant(sent.created), named, names, news)


def _names(member_id: str | None, reference: str | None, metadata: _Metadata) -> tuple[str, ...]:
    """What an event calls its member by, the most telling first."""
    found = (member_id, reference, metadata.get("external_id"))
    return tuple(name for name in found if name and _NAME.fullmatch(name))


def _terms(held: _Subscription) -> Terms:
    standing = _STANDINGS.get(held.status)
    if standing is None:
        raise NotUnderstood(f"A subscription has the unknown status {held.status[:40]!r}.")
    return Terms(standing, tuple(_price(each) for each in held.items.data), _ends_at(held))


def _changed(data: _Data, now: Terms) -> frozenset[str]:
    """Which terms were otherwise before, by the attributes that Stripe says were."""
    if not data.previous_attributes:
        return frozenset()
    whole = msgspec.json.decode(data.object, type=dict[str, Any]) | dict(data.previous_attributes)
    try:
        before = _terms(msgspec.convert(whole, _Subscription))
    except (msgspec.ValidationError, NotUnderstood):
        # Only of events within one second does it matter.
        return frozenset()
    names = ("standing", "prices", "ends_at")
    return frozenset(each for each in names if getattr(before, each) != getattr(now, each))


def _price(item: _Item) -> Price:
    price = item.price or item.plan
    if price is None:
        raise NotUnderstood("An item of a subscription has no price.")
    product = price.product.id if isinstance(price.product, _Product) else price.product
    names = (price.id, price.lookup_key, product)
    return tuple(name for name in names if name and _NAME.fullmatch(name))


def _ends_at(held: _Subscription) -> datetime | None:
    if held.cancel_at is not None:
        return _instant(held.cancel_at)
    if not held.cancel_at_period_end:
        return None
    # Newer versions of the API tell each item's period instead.
    ends = [held.current_period_end, *(item.current_period_end for item in held.items.data)]
    return max((_instant(end) for end in ends if end is not None), default=None)


def _id(reference: _Reference) -> str:
    return reference if isinstance(reference, str) else reference.id


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
