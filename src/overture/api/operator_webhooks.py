"""Webhooks: the endpoints that are told of what happens, and how telling them went."""

from collections.abc import Sequence
from datetime import UTC, timedelta
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from overture import ids
from overture.actions import webhooks
from overture.actions.fields import Invalid
from overture.actions.webhooks import By, Changes
from overture.api import problems
from overture.api.operation import Call, Who, operation
from overture.api.operator_members import actor
from overture.api.problems import Problem
from overture.api.wire import (
    LINE,
    SECRET,
    UUID_PATTERN,
    In,
    Instant,
    Nothing,
    Out,
    Page,
    PageQuery,
    page_out,
)
from overture.clock import real_now
from overture.core import webhooks as rules
from overture.core.ids import EndpointId, MemberId
from overture.core.refusals import Refusal
from overture.store import webhooks as store
from overture.store.webhooks import Delivery, Endpoint, Outcome

TAG = "Webhooks"
_GONE = {Refusal.NO_SUCH_ENDPOINT: 404}
_IDLE = {**_GONE, Refusal.ENDPOINT_DISABLED: 409}
_OVERLAP_SECONDS_MAX = int(rules.OVERLAP_MAX.total_seconds())
# Beyond any number that a log gives out.
_NUMBER_CHARS_MAX = 18

Url = Annotated[
    str,
    Meta(
        extra_json_schema={"format": "uri", "maxLength": rules.URL_CHARS_MAX},
        examples=["https://example.org/overture"],
    ),
]
Filter = Annotated[str, Meta(extra_json_schema={"enum": list(rules.filters())})]
Filters = Annotated[tuple[Filter, ...], Meta(min_length=1, max_length=100)]
Description = Annotated[
    str, LINE, Meta(extra_json_schema={"maxLength": webhooks.DESCRIPTION_CHARS_MAX})
]


class EndpointIn(In):
    """`url` is https, and its host on the public internet, unless a setting allows the host. `events`
    are types, `inmail.*` for all of a noun, or `*` for all there are and will be."""

    url: Url
    events: Filters = (rules.ALL,)
    description: Description = ""


class EndpointChangesIn(In):
    """What is to change; what is left out stays. Enabling takes up what waited."""

    url: Url | UnsetType = UNSET
    events: Filters | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class EndpointOut(Out):
    """While it is disabled it is told of nothing. `disabled_why` says what made Overture disable it;
    null where an operator did. `failing_since`: from then on no try succeeded. Both in real time."""

    id: EndpointId
    url: str
    events: Sequence[Filter]
    description: str
    created_at: Instant
    enabled: bool
    disabled_at: Instant | None
    disabled_why: str | None
    failing_since: Instant | None


class NewSecretOut(Out):
    """`secret` is shown this once, and null when the answer is given again."""

    endpoint: EndpointOut
    secret: Annotated[str | None, SECRET]


class RotationIn(In):
    """For so long deliveries carry a signature by the secret before as well; 0 ends it at once."""

    overlap_seconds: Annotated[int, Meta(ge=0, le=_OVERLAP_SECONDS_MAX)] = 24 * 60 * 60


class DeliveryOut(Out):
    """One try. What `failed` is tried again by itself; what was `given_up` is not. `webhook_id` is the
    header of that name; `member_id` is whom the event concerns, null for a test; `at` is in real time;
    without a `status` there was no answer. Where it was not taken, `problem` says why."""

    id: str
    webhook_id: str
    type: str
    member_id: MemberId | None
    at: Instant
    tries: int
    outcome: Outcome
    status: int | None
    problem: str | None
    milliseconds: int


class DeliveryQuery(PageQuery):
    # Not null, for which a query has no form but the text "null".
    outcome: Outcome | UnsetType = UNSET


class QueuedOut(Out):
    """The id under which it is delivered, and stands in the log."""

    webhook_id: Annotated[str, Meta(pattern=UUID_PATTERN)]


class SpanIn(In):
    """Both ends belong to it, by the clock of the events' own `timestamp`; null is now."""

    since: Instant
    until: Instant | None = None


class SpanOut(Out):
    since: Instant
    until: Instant


@operation(
    "POST", "/operator/webhooks", summary="Add an endpoint", tag=TAG, who=Who.OPERATOR, status=201
)
async def create(call: Call, body: EndpointIn) -> NewSecretOut | Invalid:
    """It is told of what happens from now on. Keep the secret: its deliveries are signed with it."""
    secret = rules.secret_text(ids.new_key())
    made = await webhooks.create(
        call.tx,
        EndpointId(ids.new()),
        secret,
        url=body.url,
        events=body.events,
        description=body.description,
        allowed_hosts=call.context.webhook_allow_hosts,
        by=_by(call),
    )
    return made if isinstance(made, Invalid) else NewSecretOut(endpoint_out(made), secret)


@operation("GET", "/operator/webhooks", summary="All endpoints", tag=TAG, who=Who.OPERATOR)
async def endpoints(call: Call, query: PageQuery) -> Page[EndpointOut]:
    page = await store.newest(call.tx, cursor=query.cursor, limit=query.limit)
    return page_out(page, endpoint_out)


@operation(
    "GET",
    "/operator/webhooks/{endpoint_id}",
    summary="An endpoint",
    tag=TAG,
    who=Who.OPERATOR,
    refusals=_GONE,
)
async def endpoint(call: Call, endpoint_id: EndpointId) -> EndpointOut | Refusal:
    return _answer(await store.one(call.tx, endpoint_id) or Refusal.NO_SUCH_ENDPOINT)


@operation(
    "PATCH",
    "/operator/webhooks/{endpoint_id}",
    summary="Change, disable or enable an endpoint",
    tag=TAG,
    who=Who.OPERATOR,
    refusals=_GONE,
)
async def change(
    call: Call, endpoint_id: EndpointId, body: EndpointChangesIn
) -> EndpointOut | Refusal | Invalid:
    """What waits to be delivered to it goes to where it is then, and waits while it is disabled."""
    changes = Changes(
        url=None if body.url is UNSET else body.url,
        events=None if body.events is UNSET else body.events,
        description=None if body.description is UNSET else body.description,
        enabled=None if body.enabled is UNSET else body.enabled,
    )
    made = await webhooks.change(
        call.tx,
        endpoint_id,
        changes,
        allowed_hosts=call.context.webhook_allow_hosts,
        real_now=real_now(),
        by=_by(call),
    )
    return made if isinstance(made, Invalid) else _answer(made)


@operation(
    "DELETE",
    "/operator/webhooks/{endpoint_id}",
    summary="Delete an endpoint",
    tag=TAG,
    who=Who.OPERATOR,
    refusals=_GONE,
)
async def delete(call: Call, endpoint_id: EndpointId) -> Refusal | None:
    """What waits for it is not delivered any more, and its log is gone."""
    return await webhooks.delete(call.tx, endpoint_id, by=_by(call))


@operation(
    "POST",
    "/operator/webhooks/{endpoint_id}/secret",
    summary="Give an endpoint a new secret",
    tag=TAG,
    who=Who.OPERATOR,
    refusals=_GONE,
)
async def rotate(call: Call, endpoint_id: EndpointId, body: RotationIn) -> NewSecretOut | Refusal:
    """Deliveries are signed with it from now on, and with the one before for as long as wanted."""
    secret = rules.secret_text(ids.new_key())
    made = await webhooks.rotate(
        call.tx,
        endpoint_id,
        secret,
        overlap=timedelta(seconds=body.overlap_seconds),
        real_now=real_now(),
        by=_by(call),
    )
    return made if isinstance(made, Refusal) else NewSecretOut(endpoint_out(made), secret)


@operation(
    "POST",
    "/operator/webhooks/{endpoint_id}/test",
    summary="Send an endpoint a test",
    tag=TAG,
    who=Who.OPERATOR,
    status=202,
    refusals=_IDLE,
)
async def test(call: Call, endpoint_id: EndpointId, body: Nothing) -> QueuedOut | Refusal:
    """An event of the type `webhook.test`, whatever the endpoint wants to be told of."""
    _ = body
    webhook_id = ids.new()
    refused = await webhooks.test(call.tx, endpoint_id, webhook_id, by=_by(call))
    return refused or QueuedOut(webhook_id)


@operation(
    "GET",
    "/operator/webhooks/{endpoint_id}/deliveries",
    summary="What was delivered to an endpoint, and how",
    tag=TAG,
    who=Who.OPERATOR,
    refusals=_GONE,
)
async def deliveries(
    call: Call, endpoint_id: EndpointId, query: DeliveryQuery
) -> Page[DeliveryOut] | Refusal:
    """Every try of the last 30 days, the newest first."""
    if await store.one(call.tx, endpoint_id) is None:
        return Refusal.NO_SUCH_ENDPOINT
    outcome = None if query.outcome is UNSET else query.outcome
    page = await store.deliveries(
        call.tx, endpoint_id, outcome, cursor=query.cursor, limit=query.limit
    )
    return page_out(page, delivery_out)


@operation(
    "POST",
    "/operator/webhooks/{endpoint_id}/deliveries/{delivery_id}/replay",
    summary="Deliver something again",
    tag=TAG,
    who=Who.OPERATOR,
    status=202,
    refusals={**_IDLE, Refusal.NO_SUCH_DELIVERY: 404},
)
async def replay_one(
    call: Call, endpoint_id: EndpointId, delivery_id: str, body: Nothing
) -> QueuedOut | Refusal:
    """Under the same `webhook_id`, from its first try on, also where it was taken or given up."""
    _ = body
    if not (delivery_id.isascii() and delivery_id.isdigit()) or len(delivery_id) > (
        _NUMBER_CHARS_MAX
    ):
        return Refusal.NO_SUCH_DELIVERY
    queued = await webhooks.replay_one(call.tx, endpoint_id, int(delivery_id), by=_by(call))
    return queued if isinstance(queued, Refusal) else QueuedOut(queued)


@operation(
    "POST",
    "/operator/webhooks/{endpoint_id}/replay",
    summary="Deliver all of a time again",
    tag=TAG,
    who=Who.OPERATOR,
    status=202,
    refusals=_IDLE,
)
async def replay_span(
    call: Call, endpoint_id: EndpointId, body: SpanIn
) -> SpanOut | Refusal | Problem:
    """All that the endpoint wants to be told of now, in order, under the ids that it had before; also
    what was never delivered: what happened while the endpoint was disabled, or not there yet."""
    until = call.now if body.until is None else body.until.astimezone(UTC)
    since = body.since.astimezone(UTC)
    if since > until:
        return problems.invalid("since", "This lies after the end.")
    refused = await webhooks.replay_span(
        call.tx, endpoint_id, ids.new(), since=since, until=until, by=_by(call)
    )
    return refused or SpanOut(since, until)


def endpoint_out(endpoint: Endpoint) -> EndpointOut:
    return EndpointOut(
        id=endpoint.id,
        url=endpoint.url,
        events=endpoint.events,
        description=endpoint.description,
        created_at=endpoint.created_at,
        enabled=endpoint.disabled_at is None,
        disabled_at=endpoint.disabled_at,
        disabled_why=endpoint.disabled_why,
        failing_since=endpoint.failing_since,
    )


def delivery_out(delivery: Delivery) -> DeliveryOut:
    told = delivery.told
    return DeliveryOut(
        id=str(delivery.number),
        webhook_id=told.webhook_id,
        type=told.type,
        member_id=told.member,
        at=delivery.tried_at,
        tries=told.tries,
        outcome=told.outcome,
        status=told.status,
        problem=told.problem,
        milliseconds=told.milliseconds,
    )


def _answer(made: Endpoint | Refusal) -> EndpointOut | Refusal:
    return made if isinstance(made, Refusal) else endpoint_out(made)


def _by(call: Call) -> By:
    return By(actor(call), ids.new(), call.now)
