"""Webhooks: endpoints as the operator keeps them, what they are still to be told, and how that went."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec

from overture.actions.fields import Fields, Invalid
from overture.actions.webhook_events import SHAPES, Body, EndpointTested, body_of
from overture.core import text
from overture.core.ids import EndpointId
from overture.core.jobs import DONE, Job, NewJob, Outcome
from overture.core.refusals import Refusal
from overture.core.webhooks import (
    GIVEN_UP_AFTER,
    TEST,
    SigningSecret,
    endpoint_url,
    event_id,
    filters,
    rotated,
    wants,
)
from overture.store import audit, jobs, mails, outbox
from overture.store import webhooks as store
from overture.store.db import Tx
from overture.store.idempotency import OPERATOR
from overture.store.outbox import Row
from overture.store.webhooks import Endpoint, Try

DESCRIPTION_CHARS_MAX = 200
# Who did it, where nobody did: for the audit log.
BY_ITSELF = "overture"

# The queue of an endpoint is its own, so that none waits for another.
QUEUE_PREFIX = "webhook:"
REPLAYS = "webhook-replays"
ENDINGS = "webhook-endings"
_CHUNK = 500
_DROPPED_AT_ONCE = 10_000
# Clocks of several processes may differ by so much, and a transaction may take so long.
_OUT_OF_ORDER = timedelta(minutes=10)
_LAST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class By:
    """Who does something to endpoints, and when by the members' clock: what the audit log is told."""

    actor: str
    audit_id: str
    now: datetime


# Keeping endpoints ----------------------------------------------------------------------------------


async def create(
    tx: Tx,
    endpoint: EndpointId,
    secret: str,
    *,
    url: str,
    events: Sequence[str],
    description: str,
    allowed_hosts: Collection[str],
    by: By,
) -> Endpoint | Invalid:
    """An endpoint that is told of events from now on."""
    fields = Fields()
    made = Endpoint(
        endpoint,
        fields.take("url", endpoint_url(url, allowed_hosts)),
        _filters(fields, events),
        fields.take("description", text.line(description, DESCRIPTION_CHARS_MAX)),
        [SigningSecret(secret)],
        by.now,
    )
    if (invalid := fields.invalid) is not None:
        return invalid
    await store.add(tx, made)
    await _record(tx, by, "created", made, url=made.url, events=made.events)
    return made


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to change; None stays."""

    url: str | None = None
    events: Sequence[str] | None = None
    description: str | None = None
    enabled: bool | None = None


async def change(
    tx: Tx,
    endpoint: EndpointId,
    changes: Changes,
    *,
    allowed_hosts: Collection[str],
    real_now: datetime,
    by: By,
) -> Endpoint | Refusal | Invalid:
    """What waits for it goes to where it is then; it waits while it is disabled, and no longer."""
    known = await store.locked(tx, endpoint)
    if known is None:
        return Refusal.NO_SUCH_ENDPOINT
    fields = Fields()
    made = known
    if changes.url is not None:
        made = replace(made, url=fields.take("url", endpoint_url(changes.url, allowed_hosts)))
    if changes.events is not None:
        made = replace(made, events=_filters(fields, changes.events))
    if changes.description is not None:
        clean = fields.take("description", text.line(changes.description, DESCRIPTION_CHARS_MAX))
        made = replace(made, description=clean)
    if (invalid := fields.invalid) is not None:
        return invalid
    if changes.enabled is True and known.disabled_at is not None:
        made = replace(made, disabled_at=None, disabled_why=None, failing_since=None)
        await jobs.hurry(tx, queue_of(endpoint))
    elif changes.enabled is False and known.disabled_at is None:
        made = replace(made, disabled_at=real_now)
    if made != known:
        await store.write(tx, made)
        enabled = made.disabled_at is None
        await _record(tx, by, "changed", made, url=made.url, events=made.events, enabled=enabled)
    return made


async def delete(tx: Tx, endpoint: EndpointId, *, by: By) -> Refusal | None:
    """Nothing more is delivered to it, also not what waits; what there was of it goes in parts."""
    known = await store.locked(tx, endpoint)
    if known is None:
        return Refusal.NO_SUCH_ENDPOINT
    await store.drop(tx, endpoint)
    await jobs.add(tx, [NewJob(ENDINGS, OPERATOR, endpoint, by.now, {})])
    await _record(tx, by, "deleted", known, url=known.url)
    return None


async def clear(tx: Tx, due: Sequence[Job], now: datetime) -> Sequence[Outcome]:
    """Drops some of what is left of endpoints that were deleted, and sees to the rest."""
    for job in due:
        endpoint, _, part = job.key.partition("/")
        dropped = await jobs.drop_of_queue(tx, QUEUE_PREFIX + endpoint, _DROPPED_AT_ONCE)
        dropped += await store.drop_log(tx, EndpointId(endpoint), _DROPPED_AT_ONCE)
        if dropped:
            key = f"{endpoint}/{int(part or 0) + 1}"
            await jobs.add(tx, [NewJob(ENDINGS, job.owner, key, now, {})])
    return [DONE] * len(due)


async def rotate(
    tx: Tx, endpoint: EndpointId, secret: str, *, overlap: timedelta, real_now: datetime, by: By
) -> Endpoint | Refusal:
    """Signs with a fresh secret from now on, and for a while with those before it too."""
    known = await store.locked(tx, endpoint)
    if known is None:
        return Refusal.NO_SUCH_ENDPOINT
    made = replace(known, secrets=rotated(known.secrets, secret, overlap, real_now))
    await store.write(tx, made)
    await _record(tx, by, "secret_rotated", made, overlap_seconds=int(overlap.total_seconds()))
    return made


def _filters(fields: Fields, wanted: Sequence[str]) -> Sequence[str]:
    known = filters()
    if not wanted:
        fields.refuse("events", text.Sentence("Choose what it is to be told of."))
    if unknown := [each for each in wanted if each not in known]:
        sentence = text.Sentence(
            "“%(name)s” is no event. Take one of the documentation’s, or “*” for all.",
            name=unknown[0],
        )
        fields.refuse("events", sentence)
    return [each for each in known if each in wanted]


async def _record(tx: Tx, by: By, what: str, endpoint: Endpoint, **detail: object) -> None:
    detail = {"endpoint_id": endpoint.id} | detail
    action = f"webhook.{what}"
    await audit.record(tx, by.audit_id, by.now, actor=by.actor, action=action, detail=detail)


# What is to be delivered ----------------------------------------------------------------------------


class Planned(msgspec.Struct, frozen=True):
    """The job of a delivery: `body` is what is sent, byte for byte."""

    webhook_id: str
    event: int | None
    body: msgspec.Raw


def queue_of(endpoint: EndpointId) -> str:
    return QUEUE_PREFIX + endpoint


def endpoint_of(queue: str) -> EndpointId:
    return EndpointId(queue.removeprefix(QUEUE_PREFIX))


async def plan(tx: Tx, events: Sequence[Row]) -> list[NewJob]:
    """A delivery of each event to each endpoint that wants it."""
    if not any(row.kind in SHAPES for row in events):
        return []
    endpoints = await store.enabled_and_staying(tx)
    return _deliveries(endpoints, events) if endpoints else []


def _deliveries(endpoints: Sequence[Endpoint], events: Sequence[Row]) -> list[NewJob]:
    made: list[NewJob] = []
    for row in events:
        wanting = [each for each in endpoints if wants(each.events, row.kind)]
        body = body_of(row) if wanting else None
        if body is not None:
            made += [_delivery(each.id, row, body) for each in wanting]
    return made


def _delivery(endpoint: EndpointId, row: Row, body: Body) -> NewJob:
    payload = {
        "webhook_id": event_id(endpoint, row.sequence, row.at),
        "event": row.sequence,
        "body": body,
    }
    # With whom it concerns: of one member's events none is delivered before the earlier ones.
    return NewJob(queue_of(endpoint), row.owner, str(row.sequence), row.at, payload)


async def test(tx: Tx, endpoint: EndpointId, webhook_id: str, *, by: By) -> Refusal | None:
    """Has an event delivered that means nothing, on the way of all others."""
    known = await _enabled(tx, endpoint)
    if isinstance(known, Refusal):
        return known
    await jobs.add_anew(tx, [_test(endpoint, webhook_id, by.now)])
    await _record(tx, by, "tested", known)
    return None


def _test(endpoint: EndpointId, webhook_id: str, now: datetime) -> NewJob:
    body = Body(TEST, now, EndpointTested(endpoint))
    payload = {"webhook_id": webhook_id, "event": None, "body": body}
    return NewJob(queue_of(endpoint), OPERATOR, webhook_id, now, payload)


# Delivering again -----------------------------------------------------------------------------------


async def replay_one(tx: Tx, endpoint: EndpointId, number: int, *, by: By) -> str | Refusal:
    """Has what a delivery of the log brought delivered again, now; its webhook's id."""
    known = await _enabled(tx, endpoint)
    if isinstance(known, Refusal):
        return known
    delivery = await store.delivery(tx, endpoint, number)
    if delivery is None:
        return Refusal.NO_SUCH_DELIVERY
    told = delivery.told
    if told.event is None:
        job = _test(endpoint, told.webhook_id, by.now)
    else:
        rows = await outbox.within(tx, [(told.event, told.event)], 1)
        if not rows:
            # It was dropped as too old.
            return Refusal.NO_SUCH_DELIVERY
        (row,) = rows
        body = body_of(row)
        assert body is not None, "what was delivered is what endpoints are told of"
        job = _delivery(endpoint, row, body)
    await jobs.add_anew(tx, [job])
    await _record(tx, by, "replayed", known, webhook_id=told.webhook_id)
    return told.webhook_id


class _Span(msgspec.Struct, frozen=True):
    """The job of a replay: the events still to look at begin with the number `first`."""

    endpoint_id: EndpointId
    since: datetime
    until: datetime
    first: int


async def replay_span(
    tx: Tx, endpoint: EndpointId, replay_id: str, *, since: datetime, until: datetime, by: By
) -> Refusal | None:
    """Has all that happened from `since` to `until` delivered again, as far as it is wanted now."""
    known = await _enabled(tx, endpoint)
    if isinstance(known, Refusal):
        return known
    first = await outbox.number_at(tx, since - _OUT_OF_ORDER)
    payload = msgspec.structs.asdict(_Span(endpoint, since, until, first))
    await jobs.add(tx, [NewJob(REPLAYS, OPERATOR, replay_id, by.now, payload)])
    await _record(tx, by, "replayed", known, since=since, until=until)
    return None


async def replay(tx: Tx, due: Sequence[Job], now: datetime) -> Sequence[Outcome]:
    """Goes on with replays of spans: with some of their events, and with a job for what follows."""
    for job in due:
        await _go_on(tx, job, now)
    return [DONE] * len(due)


async def _go_on(tx: Tx, job: Job, now: datetime) -> None:
    span = _decode_span(job.payload)
    endpoint = await store.staying(tx, span.endpoint_id)
    if endpoint is None or endpoint.disabled_at is not None:
        return
    rows = await outbox.within(tx, [(span.first, _LAST)], _CHUNK)
    within = [row for row in rows if span.since <= row.at <= span.until]
    await jobs.add_anew(tx, _deliveries([endpoint], within))
    if len(rows) < _CHUNK or rows[-1].at > span.until + _OUT_OF_ORDER:
        return
    following = msgspec.structs.replace(span, first=rows[-1].sequence + 1)
    key = f"{job.key.partition('/')[0]}/{following.first}"
    await jobs.add(tx, [NewJob(REPLAYS, job.owner, key, now, msgspec.structs.asdict(following))])


async def _enabled(tx: Tx, endpoint: EndpointId) -> Endpoint | Refusal:
    known = await store.staying(tx, endpoint)
    if known is None:
        return Refusal.NO_SUCH_ENDPOINT
    return known if known.disabled_at is None else Refusal.ENDPOINT_DISABLED


# How it went ----------------------------------------------------------------------------------------


class Disabled(msgspec.Struct, frozen=True):
    """The job of a mail to the operator: an endpoint disabled itself."""

    id: str
    endpoint_id: EndpointId


async def write_down(
    tx: Tx, endpoint: EndpointId, tries: Sequence[Try], *, real_now: datetime, by: By
) -> bool:
    """Writes tries into the log; whether the endpoint is disabled for them: it is gone, or long dead.

    Then it is told of nothing until an operator, who is written to, enables it again.
    """
    await store.log(tx, endpoint, tries, real_now)
    why = await _why_to_disable(tx, endpoint, tries, real_now)
    if why is None or not await store.disable(tx, endpoint, real_now, why):
        return False
    detail = {"endpoint_id": endpoint, "why": why}
    action = "webhook.disabled"
    await audit.record(tx, by.audit_id, by.now, actor=by.actor, action=action, detail=detail)
    mail = msgspec.structs.asdict(Disabled(by.audit_id, endpoint))
    await jobs.add(tx, [NewJob(mails.TO_OPERATOR, OPERATOR, by.audit_id, by.now, mail)])
    return True


async def _why_to_disable(
    tx: Tx, endpoint: EndpointId, tries: Sequence[Try], real_now: datetime
) -> str | None:
    if any(each.status == _GONE for each in tries):
        return "It answered 410 Gone: it wants no more."
    if any(each.outcome is store.Outcome.DELIVERED for each in tries):
        await store.fared_well(tx, endpoint)
        return None
    since = await store.fared_badly(tx, endpoint, real_now)
    if since is None or real_now - since < GIVEN_UP_AFTER:
        return None
    return f"Nothing could be delivered to it for {GIVEN_UP_AFTER.days} days."


_GONE = 410
_decode_span = msgspec.json.Decoder(_Span).decode
