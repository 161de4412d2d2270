"""Endpoints of webhooks in SQL, and the log of what was delivered to them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from overture.core.ids import EndpointId, MemberId
from overture.core.webhooks import LULL, SigningSecret
from overture.store import pages
from overture.store.db import Tx, all_rows, as_json, one_row
from overture.store.pages import Page, page_of

# So many are dropped in one go.
_DROPPED_AT_ONCE = 100_000


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Who is told, and of what. `disabled_at` and `failing_since` are of the real clock."""

    id: EndpointId
    url: str
    events: Sequence[str]
    description: str
    secrets: Sequence[SigningSecret] = field(repr=False)
    created_at: datetime
    disabled_at: datetime | None = None
    disabled_why: str | None = None
    failing_since: datetime | None = None


# Endpoints ------------------------------------------------------------------------------------------


async def add(tx: Tx, endpoint: Endpoint) -> None:
    await tx.execute(_INSERT, _params(endpoint))


async def write(tx: Tx, endpoint: Endpoint) -> None:
    """All that an operator may change of it; one that is enabled begins without failures."""
    await tx.execute(_UPDATE, _params(endpoint))


async def locked(tx: Tx, endpoint: EndpointId) -> Endpoint | None:
    """One endpoint, which stays as it is meanwhile."""
    row = await one_row(tx, _LOCKED, (endpoint,))
    return None if row is None else _endpoint(row)


async def one(tx: Tx, endpoint: EndpointId) -> Endpoint | None:
    row = await one_row(tx, _ONE, (endpoint,))
    return None if row is None else _endpoint(row)


async def staying(tx: Tx, endpoint: EndpointId) -> Endpoint | None:
    """The same; it is not deleted before the transaction ends, so that jobs for it go with it then."""
    row = await one_row(tx, _STAYING, (endpoint,))
    return None if row is None else _endpoint(row)


async def drop(tx: Tx, endpoint: EndpointId) -> None:
    """What was delivered to it stays, for `drop_log`."""
    await tx.execute("delete from webhook_endpoints where id = %s", (endpoint,))


async def newest(tx: Tx, *, cursor: str | None, limit: int) -> Page[Endpoint]:
    """All endpoints, the newest first. Raises BadCursor."""
    at, last = (None, None) if cursor is None else pages.decode(cursor, tuple[datetime, UUID])
    rows = await all_rows(tx, _NEWEST, {"at": at, "last": last, "limit": limit + 1})
    return page_of(rows, limit, _endpoint, lambda row: (row[5], row[0]))


async def enabled(tx: Tx) -> list[Endpoint]:
    """Those that are told of events now."""
    return [_endpoint(row) for row in await all_rows(tx, _ENABLED)]


async def enabled_and_staying(tx: Tx) -> list[Endpoint]:
    """The same; none of them is deleted before the transaction ends."""
    return [_endpoint(row) for row in await all_rows(tx, _ENABLED_AND_STAYING)]


async def in_trouble(tx: Tx) -> int:
    """How many take nothing, or were disabled because they did not."""
    row = await one_row(tx, _IN_TROUBLE)
    assert row is not None, "it counts"
    return int(row[0])


async def fared_well(tx: Tx, endpoint: EndpointId) -> None:
    await tx.execute(_FARED_WELL, (endpoint,))


async def fared_badly(tx: Tx, endpoint: EndpointId, now: datetime) -> datetime | None:
    """Since when nothing was taken, although it was tried again and again; None where it is gone."""
    params = {"id": endpoint, "now": now, "lull": now - LULL}
    row = await one_row(tx, _FARED_BADLY, params)
    return None if row is None else row[0]


async def disable(tx: Tx, endpoint: EndpointId, now: datetime, why: str) -> bool:
    """Whether it was enabled until now."""
    return await one_row(tx, _DISABLE, {"id": endpoint, "now": now, "why": why}) is not None


# Deliveries -----------------------------------------------------------------------------------------


class Outcome(StrEnum):
    """What became of a try. What failed is tried again; what was given up, when an operator says so."""

    DELIVERED = "delivered"
    FAILED = "failed"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True)
class Try:
    """One try to deliver an event; `event` is its number in the outbox, None for a test."""

    webhook_id: str
    event: int | None
    type: str
    member: MemberId | None
    tries: int
    outcome: Outcome
    status: int | None
    problem: str | None
    milliseconds: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """A try as it stands in the log, under its number there."""

    number: int
    tried_at: datetime
    told: Try


async def log(tx: Tx, endpoint: EndpointId, tries: Sequence[Try], now: datetime) -> None:
    """Writes down tries, unless the endpoint was deleted meanwhile."""
    await tx.execute(_LOG, {"id": endpoint, "now": now, "rows": as_json(tries)})


async def deliveries(
    tx: Tx, endpoint: EndpointId, outcome: Outcome | None, *, cursor: str | None, limit: int
) -> Page[Delivery]:
    """What was tried, the newest first; perhaps only what came out one way. Raises BadCursor."""
    (before,) = (None,) if cursor is None else pages.decode(cursor, tuple[int])
    params = {"id": endpoint, "before": before, "outcome": outcome, "limit": limit + 1}
    statement = _DELIVERIES if outcome in (None, Outcome.DELIVERED) else _FAILED_DELIVERIES
    rows = await all_rows(tx, statement, params)
    return page_of(rows, limit, _delivery, lambda row: (row[0],))


async def delivery(tx: Tx, endpoint: EndpointId, number: int) -> Delivery | None:
    row = await one_row(tx, _DELIVERY, (endpoint, number))
    return None if row is None else _delivery(row)


async def drop_log(tx: Tx, endpoint: EndpointId, limit: int) -> int:
    """Drops up to so many of an endpoint's deliveries; how many there were."""
    return len(await all_rows(tx, _DROP_LOG, {"id": endpoint, "limit": limit}))


async def forget_old(tx: Tx, kept_for: timedelta) -> None:
    """Drops what was tried so long ago by the real clock, of each endpoint the oldest first."""
    await tx.execute(_FORGET_OLD, {"kept_for": kept_for, "at_once": _DROPPED_AT_ONCE})


_secrets = msgspec.json.Decoder(list[SigningSecret]).decode


def _params(endpoint: Endpoint) -> dict[str, object]:
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "events": list(endpoint.events),
        "description": endpoint.description,
        "secrets": as_json(endpoint.secrets),
        "created_at": endpoint.created_at,
        "disabled_at": endpoint.disabled_at,
        "disabled_why": endpoint.disabled_why,
    }


def _endpoint(row: Sequence[Any]) -> Endpoint:
    endpoint, url, events, description, secrets, *rest = row
    return Endpoint(endpoint, url, events, description, _secrets(secrets), *rest)


def _delivery(row: Sequence[Any]) -> Delivery:
    number, tried_at, webhook_id, event, kind, member, tries, outcome, *rest = row
    told = Try(webhook_id, event, kind, member, tries, Outcome(outcome), *rest)
    return Delivery(number, tried_at, told)


_COLUMNS = """
    id, url, events, description, secrets, created_at, disabled_at, disabled_why, failing_since
"""
_INSERT = """
    insert into webhook_endpoints
        (id, url, events, description, secrets, created_at, disabled_at, disabled_why)
    values (%(id)s, %(url)s, %(events)s, %(description)s, %(secrets)s, %(created_at)s,
        %(disabled_at)s, %(disabled_why)s)
"""
_UPDATE = """
    update webhook_endpoints
    set url = %(url)s, events = %(events)s, description = %(description)s, secrets = %(secrets)s,
        failing_since = case when disabled_at is null then failing_since end,
        failed_at = case when disabled_at is null then failed_at end,
        disabled_at = %(disabled_at)s, disabled_why = %(disabled_why)s
    where id = %(id)s
"""
_ONE = f"select {_COLUMNS} from webhook_endpoints where id = %s"
_LOCKED = f"{_ONE} for no key update"
_STAYING = f"{_ONE} for key share"
_NEWEST = f"""
    select {_COLUMNS}
    from webhook_endpoints
    where %(at)s::timestamptz is null or (created_at, id) < (%(at)s::timestamptz, %(last)s::uuid)
    order by created_at desc, id desc
    limit %(limit)s
"""
_ENABLED = f"select {_COLUMNS} from webhook_endpoints where disabled_at is null order by id"
_ENABLED_AND_STAYING = f"{_ENABLED} for key share"
_IN_TROUBLE = """
    select count(*) from webhook_endpoints
    where (failing_since is not null and disabled_at is null) or disabled_why is not null
"""
_FARED_WELL = """
    update webhook_endpoints
    set failing_since = null, failed_at = null
    where id = %s and failing_since is not null
"""
_FARED_BADLY = """
    update webhook_endpoints
    set failing_since = case when failed_at >= %(lull)s then failing_since else %(now)s end,
        failed_at = %(now)s
    where id = %(id)s
    returning failing_since
"""
_DISABLE = """
    update webhook_endpoints
    set disabled_at = %(now)s, disabled_why = %(why)s
    where id = %(id)s and disabled_at is null
    returning id
"""
_LOG = """
    insert into webhook_deliveries
        (endpoint_id, webhook_id, event, type, member_id, tried_at, tries, outcome, status, problem,
        milliseconds)
    select e.id, r.webhook_id, r.event, r.type, r.member, %(now)s, r.tries, r.outcome, r.status,
        r.problem, r.milliseconds
    from webhook_endpoints e
    cross join json_to_recordset(%(rows)s) as r (webhook_id uuid, event bigint, type text,
        member uuid, tries integer, outcome text, status integer, problem text, milliseconds integer)
    where e.id = %(id)s
"""
_DELIVERY_COLUMNS = """
    number, tried_at, webhook_id, event, type, member_id, tries, outcome, status, problem, milliseconds
"""
_DELIVERIES = f"""
    select {_DELIVERY_COLUMNS}
    from webhook_deliveries
    where endpoint_id = %(id)s and (%(before)s::bigint is null or number < %(before)s)
        and (%(outcome)s::text is null or outcome = %(outcome)s)
    order by number desc
    limit %(limit)s
"""
# The failed ones are few, and have an index of their own.
_FAILED_DELIVERIES = f"""
    select {_DELIVERY_COLUMNS}
    from webhook_deliveries
    where endpoint_id = %(id)s and (%(before)s::bigint is null or number < %(before)s)
        and outcome <> 'delivered' and outcome = %(outcome)s
    order by number desc
    limit %(limit)s
"""
_DELIVERY = f"""
    select {_DELIVERY_COLUMNS}
    from webhook_deliveries
    where endpoint_id = %s and number = %s
"""
_DROP_LOG = """
    delete from webhook_deliveries
    where endpoint_id = %(id)s and number in (
        select number
        from webhook_deliveries
        where endpoint_id = %(id)s
        order by number
        limit %(limit)s
    )
    returning number
"""
_FORGET_OLD = """
    delete from webhook_deliveries d
    using webhook_endpoints e
    cross join lateral (
        select o.number
        from (
            select number, tried_at
            from webhook_deliveries
            where endpoint_id = e.id
            order by number
            limit %(at_once)s
        ) o
        where o.tried_at < now() - %(kept_for)s
    ) old
    where d.endpoint_id = e.id and d.number = old.number
"""
