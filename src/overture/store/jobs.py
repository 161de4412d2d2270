"""Due work in SQL: made from the outbox, claimed with a lease, done, tried again or parked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from overture.core.ids import MemberId
from overture.core.jobs import Job, Moved, NewJob
from overture.store import pages
from overture.store.db import Tx, all_rows, as_json, one_row
from overture.store.pages import Page, page_of

# Making ---------------------------------------------------------------------------------------------


async def add(tx: Tx, jobs: Sequence[NewJob]) -> None:
    """Adds what is not there yet, and makes what is there due as early as it is wanted now."""
    if jobs:
        await tx.execute(_ADD, (as_json([_row(each) for each in jobs]),))


async def drop_of(tx: Tx, member: MemberId, queues: Sequence[str]) -> None:
    """Drops all that these queues were to do for a member."""
    await tx.execute(_DROP_OF, (member, list(queues)))


async def drop_queue(tx: Tx, queue: str) -> None:
    await tx.execute("delete from jobs where queue = %s", (queue,))


# Doing ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Of:
    """A queue; `in_order`: of a member's jobs in it none is ready before the earlier ones are over."""

    queue: str
    in_order: bool


async def ready(tx: Tx, queues: Sequence[Of], now: datetime) -> list[str]:
    """Which of these queues have something to do."""
    return [row[0] for row in await all_rows(tx, _READY, _these(queues) | {"now": now})]


async def claim(tx: Tx, of: Of, now: datetime, *, limit: int, lease: timedelta) -> list[Job]:
    """Takes up to `limit` of a queue's ready jobs, the earliest first, for as long as the lease."""
    params = {
        "queue": of.queue,
        "in_order": of.in_order,
        "now": now,
        "limit": limit,
        "lease": lease,
    }
    found = await all_rows(tx, _CLAIM, params)
    return sorted((Job(*row) for row in found), key=lambda job: (job.due_at, job.number))


async def done(tx: Tx, jobs: Sequence[Job]) -> None:
    """Takes these off, unless their lease ended and somebody else tries them now."""
    if jobs:
        await tx.execute(_DONE, (_held(jobs),))


async def move(tx: Tx, moved: Sequence[tuple[Job, Moved]]) -> None:
    """Makes these due later."""
    rows = [
        {"number": job.number, "tries": job.tries, "due_at": to.due_at, "payload": to.payload}
        for job, to in moved
    ]
    if rows:
        await tx.execute(_MOVE, (as_json(rows),))


async def again(tx: Tx, job: Job, wait: timedelta, problem: str) -> None:
    """Lets it be tried again after `wait` of the real clock."""
    params = {"number": job.number, "tries": job.tries, "wait": wait, "problem": problem}
    await tx.execute(_AGAIN, params)


async def park(tx: Tx, job: Job, problem: str) -> None:
    params = {"number": job.number, "tries": job.tries, "problem": problem}
    await tx.execute(_PARK, params)


async def release(tx: Tx, jobs: Sequence[Job]) -> None:
    """Gives back what was not tried: whoever held it ends."""
    if jobs:
        await tx.execute(_RELEASE, (_held(jobs),))


@dataclass(frozen=True, slots=True)
class Due:
    """What is first to be done: when it is due, and whether somebody is at it already."""

    at: datetime
    held: bool


async def first_due(tx: Tx, queues: Sequence[Of], until: datetime) -> Due | None:
    """The earliest job up to an instant that is ready or being done; not what is to be tried again."""
    row = await one_row(tx, _FIRST_DUE, _these(queues) | {"until": until})
    return None if row is None else Due(*row)


# For the operator -----------------------------------------------------------------------------------


class Parked(msgspec.Struct, frozen=True):
    """A job that was given up."""

    number: int
    queue: str
    owner: MemberId
    due_at: datetime
    tries: int
    problem: str
    parked_at: datetime


async def parked(tx: Tx, *, cursor: str | None, limit: int) -> Page[Parked]:
    """What was given up, the newest first. Raises BadCursor."""
    (before,) = (None,) if cursor is None else pages.decode(cursor, tuple[int])
    rows = await all_rows(tx, _PARKED, {"before": before, "limit": limit + 1})
    return page_of(rows, limit, lambda row: Parked(*row), lambda row: (row[0],))


async def replay(tx: Tx, number: int | None) -> int:
    """Has a parked job, or all of them, tried anew from the first try; how many there were."""
    return len(await all_rows(tx, _REPLAY, {"number": number}))


class Waiting(msgspec.Struct, frozen=True):
    """What a queue has before it: jobs that are due, jobs that failed before, and parked ones."""

    queue: str
    due: int
    failing: int
    parked: int
    oldest_due_at: datetime | None


async def waiting(tx: Tx, now: datetime) -> list[Waiting]:
    return [Waiting(*row) for row in await all_rows(tx, _WAITING, {"now": now})]


# Reading the outbox ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Read:
    """How far a reader of the outbox has come; `gaps` are ranges below `top`, both ends in."""

    top: int
    gaps: list[tuple[int, int]]


async def read_so_far(tx: Tx, reader: str) -> Read | None:
    """Keeps other processes from reading on meanwhile; None where one does right now."""
    row = await one_row(tx, _READ_SO_FAR, (reader,))
    return None if row is None else Read(row[0], msgspec.json.decode(row[1], type=_GAPS))


async def peek_read(tx: Tx, reader: str) -> Read:
    """The same, without keeping anybody from anything."""
    row = await one_row(tx, "select top, gaps from outbox_readers where name = %s", (reader,))
    assert row is not None, "the readers are made with the schema"
    return Read(row[0], msgspec.json.decode(row[1], type=_GAPS))


async def remember_read(tx: Tx, reader: str, read: Read) -> None:
    await tx.execute(_REMEMBER_READ, (read.top, as_json(read.gaps), reader))


async def skip_to_now(tx: Tx, reader: str) -> None:
    """What has happened so far is past: no job will be made of it."""
    await tx.execute(_SKIP_TO_NOW, (reader,))


_GAPS = list[tuple[int, int]]


def _these(queues: Sequence[Of]) -> dict[str, object]:
    return {
        "queues": [each.queue for each in queues],
        "in_order": [each.in_order for each in queues],
    }


def _row(job: NewJob) -> dict[str, object]:
    return {
        "owner_id": job.owner,
        "queue": job.queue,
        "key": job.key,
        "due_at": job.due_at,
        "payload": job.payload,
    }


def _held(jobs: Sequence[Job]) -> str:
    return as_json([{"number": job.number, "tries": job.tries} for job in jobs])


_ADD = """
    insert into jobs as j (owner_id, queue, key, due_at, payload)
    select r.owner_id, r.queue, r.key, r.due_at, r.payload
    from json_to_recordset(%s) as r (owner_id uuid, queue text, key text, due_at timestamptz,
        payload json)
    on conflict (owner_id, queue, key) do update set due_at = excluded.due_at
    where j.due_at > excluded.due_at
"""
_DROP_OF = "delete from jobs where owner_id = %s and queue = any (%s)"
_IS_READY = """
    j.parked_at is null and j.due_at <= %(now)s and j.not_before <= clock_timestamp()
        and j.held_until <= clock_timestamp()
"""
_IS_FIRST = """
    not exists (
        select from jobs e
        where e.queue = j.queue and e.owner_id = j.owner_id and e.number < j.number
            and e.parked_at is null)
"""
_QUEUES = "unnest(%(queues)s::text[], %(in_order)s::boolean[]) as q (queue, in_order)"
_READY = f"""
    select q.queue
    from {_QUEUES}
    where exists (
        select from jobs j
        where j.queue = q.queue and {_IS_READY} and (not q.in_order or {_IS_FIRST}))
"""
# The conditions stand again in the update: of two that chose the same job, the second finds it held.
_CLAIM = f"""
    with chosen as materialized (
        select j.owner_id, j.queue, j.key
        from jobs j
        where j.queue = %(queue)s and {_IS_READY} and (not %(in_order)s or {_IS_FIRST})
        order by j.due_at, j.number
        limit %(limit)s
        for update skip locked
    )
    update jobs j
    set held_until = clock_timestamp() + %(lease)s, tries = j.tries + 1
    from chosen c
    where j.owner_id = c.owner_id and j.queue = c.queue and j.key = c.key and {_IS_READY}
    returning j.number, j.queue, j.owner_id, j.key, j.due_at, j.payload, j.tries
"""
_DONE = """
    delete from jobs j
    using json_to_recordset(%s) as r (number bigint, tries integer)
    where j.number = r.number and j.tries = r.tries
"""
_RELEASE = """
    update jobs j
    set held_until = '-infinity', tries = j.tries - 1
    from json_to_recordset(%s) as r (number bigint, tries integer)
    where j.number = r.number and j.tries = r.tries
"""
_MOVE = """
    update jobs j
    set due_at = r.due_at, payload = coalesce(r.payload, j.payload), held_until = '-infinity',
        tries = 0, problem = null
    from json_to_recordset(%s) as r (number bigint, tries integer, due_at timestamptz, payload json)
    where j.number = r.number and j.tries = r.tries
"""
# What failed within a transaction was counted in it, and is not counted any more.
_AGAIN = """
    update jobs
    set tries = %(tries)s, not_before = clock_timestamp() + %(wait)s, held_until = '-infinity',
        problem = %(problem)s
    where number = %(number)s and tries <= %(tries)s
"""
_PARK = """
    update jobs
    set tries = %(tries)s, parked_at = clock_timestamp(), held_until = '-infinity',
        problem = %(problem)s
    where number = %(number)s and tries <= %(tries)s
"""
_FIRST_DUE = f"""
    select f.due_at, f.held
    from {_QUEUES}
    cross join lateral (
        select j.due_at, j.held_until > clock_timestamp() as held
        from jobs j
        where j.queue = q.queue and j.parked_at is null and j.due_at <= %(until)s
            and j.not_before <= clock_timestamp() and (not q.in_order or {_IS_FIRST})
        order by j.due_at, j.number
        limit 1
    ) f
    order by f.due_at, f.held
    limit 1
"""
_PARKED = """
    select number, queue, owner_id, due_at, tries, problem, parked_at
    from jobs
    where parked_at is not null and (%(before)s::bigint is null or number < %(before)s)
    order by number desc
    limit %(limit)s
"""
_REPLAY = """
    update jobs set parked_at = null, tries = 0, not_before = '-infinity', problem = null
    where parked_at is not null and (%(number)s::bigint is null or number = %(number)s)
    returning number
"""
_WAITING = """
    select queue,
        count(*) filter (where parked_at is null and due_at <= %(now)s),
        count(*) filter (where parked_at is null and problem is not null),
        count(*) filter (where parked_at is not null),
        min(due_at) filter (where parked_at is null and due_at <= %(now)s)
    from jobs
    group by queue
    order by queue
"""
_READ_SO_FAR = """
    select top, gaps from outbox_readers where name = %s for update skip locked
"""
_REMEMBER_READ = "update outbox_readers set top = %s, gaps = %s where name = %s"
_SKIP_TO_NOW = """
    update outbox_readers
    set top = coalesce((select max(o.sequence) from outbox o), 0), gaps = '[]'
    where name = %s
"""
