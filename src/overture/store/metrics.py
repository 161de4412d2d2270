"""Counts over all that an installation holds, and how it fares, for the operator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from overture.store import jobs, verifications
from overture.store.db import Tx, pipelined
from overture.store.jobs import Waiting
from overture.store.verifications import Verified


@dataclass(frozen=True, slots=True)
class Counts:
    """`members`: open, closed, unclaimed, premium. The rest are rows as their statements name them."""

    members: tuple[int, int, int, int]
    connections: int
    conversations: Sequence[tuple[str, str, int]]
    messages: int
    ledger: Sequence[tuple[str, str, int, int, int]]
    outbox_head: int


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a reader of the outbox is behind: events, and seconds since the first of them."""

    reader: str
    events: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Server:
    """How PostgreSQL fares. `oldest_seconds` is the age of the oldest open transaction;
    `archive_failures` counts failed tries to archive the log, `archived_seconds` is how long ago the
    last one came right, None where nothing ever was archived."""

    bytes: int
    connections: int
    connections_max: int
    oldest_seconds: float
    archive_failures: int
    archived_seconds: float | None


@dataclass(frozen=True, slots=True)
class State:
    """What can be asked often: nothing here goes over a whole table. `webhooks`: the endpoints that
    are enabled, and those that are not."""

    at: datetime
    server: Server
    lags: Sequence[Lag]
    waiting: Sequence[Waiting]
    verified: Mapping[str, Verified]
    webhooks: tuple[int, int]


async def state(tx: Tx, now: datetime) -> State:
    server, lags, webhooks = await pipelined(
        tx, ((_SERVER, ()), (_LAGS, {"now": now}), (_WEBHOOKS, ()))
    )
    return State(
        at=now,
        server=Server(*(await server.fetchone())),
        lags=[Lag(*row) for row in await lags.fetchall()],
        webhooks=await webhooks.fetchone(),
        waiting=await jobs.waiting(tx, now),
        verified=await verifications.last(tx),
    )


async def counts(tx: Tx, now: datetime) -> Counts:
    cursors = await pipelined(
        tx,
        (
            (_MEMBERS, (now,)),
            ("select count(*) / 2 from connections", ()),
            (_CONVERSATIONS, ()),
            ("select count(*) from messages", ()),
            (_LEDGER, ()),
            ("select coalesce(max(sequence), 0) from outbox", ()),
        ),
    )
    members, connections, conversations, messages, ledger, outbox = [
        await cursor.fetchall() for cursor in cursors
    ]
    return Counts(
        members=members[0],
        connections=connections[0][0],
        conversations=conversations,
        messages=messages[0][0],
        ledger=ledger,
        outbox_head=outbox[0][0],
    )


_MEMBERS = """
    select count(*) filter (where closed_at is null), count(*) filter (where closed_at is not null),
        count(*) filter (where closed_at is null and not claimed),
        count(*) filter (where closed_at is null and premium_until > %s)
    from members
"""
_CONVERSATIONS = """
    select kind, state, count(*) from conversations group by kind, state order by kind, state
"""
_LEDGER = """
    select pool, kind, count(*), sum(credits)::bigint, sum(forfeited)::bigint
    from ledger_entries group by pool, kind order by pool, kind
"""
_SERVER = """
    select pg_database_size(current_database()),
        (select count(*)::integer from pg_stat_activity where backend_type = 'client backend'),
        current_setting('max_connections')::integer,
        coalesce((
            select extract(epoch from clock_timestamp() - min(a.xact_start))::float8
            from pg_stat_activity a
            where a.datname = current_database() and a.pid <> pg_backend_pid()), 0),
        r.failed_count::integer,
        extract(epoch from clock_timestamp() - r.last_archived_time)::float8
    from pg_stat_archiver r
"""
_LAGS = """
    select r.name, greatest(coalesce((select max(o.sequence) from outbox o), 0) - r.top, 0),
        greatest(coalesce((
            select extract(epoch from %(now)s - o.at)::float8
            from outbox o
            where o.sequence > r.top
            order by o.sequence
            limit 1), 0), 0)
    from outbox_readers r
    order by r.name
"""
_WEBHOOKS = """
    select count(*) filter (where disabled_at is null), count(*) filter (where disabled_at is not null)
    from webhook_endpoints
"""
