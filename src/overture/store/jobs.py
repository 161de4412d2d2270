"""Due work in SQL: made from the outbox, claimed with a lease, done, tried again or parked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from overture.core.ids import MemberId
from overture.core.jobs import Job, Moved, NewJob
from overture.store import pages
from overture.store.db import WORK_NAME, Tx, all_rows, as_json, one_row
from overture.store.pages import Page, page_of

# Making ---------------------------------------------------------------------------------------------


async def add(tx: Tx, jobs: Sequence[NewJob]) -> None:
    """Adds what is not there yet, and makes what is there due as early as it is wanted now.

    What was given up is tried anew. What is being done right now is done again after that.
    """
    wanted: dict[tuple[str, MemberId, str], NewJob] = {}
    for job in jobs:
        key = (job.queue, job.owner, job.key)
        if key not in wanted or job.due_at < wanted[key].due_at:
            wanted[key] = job
    if wanted:
        await tx.execute(_ADD, (as_json([_row(each) for each in wanted.values()]),))


async def add_anew(tx: Tx, jobs: Sequence[NewJob]) -> None:
    """Adds these as if none had been there before: what failed, or was given up, is tried from now on.

    What is being done right now is done again after that.
    """
    if jobs:
        await tx.execute(_DROP_WAITING, (as_json([_row(each) for each in jobs]),))
        await add(tx, jobs)


async def hurry(tx: Tx, queue: str) -> None:
    """Has what failed, and waits to be tried again, tried now."""
    await tx.execute(_HURRY, (queue,))


async def drop_of(tx: Tx, member: MemberId, queues: Sequence[str]) -> None:
    """Drops all that these queues were to do for a member."""
    await tx.execute(_DROP_OF, (member, list(queues)))


async def drop_of_queue(tx: Tx, queue: str, limit: int) -> int:
    """Drops up to so many of a queue's jobs; how many there were."""
    return len(await all_rows(tx, _DROP_OF_QUEUE, (queue, limit)))


# Doing ----------------------------------------------------------------------------------------------


async def need_not_last(tx: Tx) -> None:
    """The commit of this transaction does not wait for the disk.

    For what is done again where a crash of the database takes it back: that events were read, with the
    jobs that were made of them, and that something on the outside was done.
    """
    await tx.execute("set local synchronous_commit = off")


async def somebody_asks(tx: Tx) -> bool:
    """Whether the database works for somebody right now, other than for what is due."""
    row = await one_row(tx, _SOMEBODY_ASKS, (WORK_NAME,))
    return row is not None and bool(row[0])


@dataclass(frozen=True, slots=True)
class Of:
    """A queue; `in_order`: of a member's jobs in it none is ready before the earlier ones are over."""

    queue: str
    in_order: bool


async def ready(tx: Tx, queues: Sequence[str], now: datetime) -> list[str]:
    """Which of these queues have something to do; where order matters it may have to wait yet."""
    params = {"queues": list(queues), "now": now}
    return [row[0] for row in await all_rows(tx, _READY, params)]


async def take(tx: Tx, queue: str, now: datetime, *, limit: int) -> list[Job]:
    """Takes up to `limit` of a queue's ready jobs, the earliest first, until this transaction ends."""
    params = {"queue": queue, "now": now, "limit": limit}
    return [Job(*row) for row in await all_rows(tx, _TAKE, params)]


async def claim(tx: Tx, queue: str, now: datetime, *, limit: int, lease: timedelta) -> list[Job]:
    """Takes up to `limit` of a queue's ready jobs, the earliest first, for as long as the lease."""
    params = {"queue": queue, "now": now, "limit": limit, "lease": lease}
    found = await all_rows(tx, _CLAIM, params)
    return sorted((Job(*row) for row in found), key=lambda job: (job.due_at, job.number))


async def claim_in_order(
    tx: Tx, queue: str, now: datetime, *, limit: int, lease: timedelta, after: MemberId
) -> list[Job]:
    """Takes of up to `limit` members the job made first, where it is ready; for the lease.

    Members take turns: those whose ids follow `after` come first. What waits behind a job that is not
    ready is never looked at, so that it costs nothing. Nothing is sorted in the rest of the transaction
    where an index can be followed.
    """
    await tx.execute(_FOLLOW_THE_INDEX)
    params = {"queue": queue, "now": now, "lease": lease}
    following = {"limit": limit, "after": after, "up_to": None}
    found = await all_rows(tx, _CLAIM_IN_ORDER, params | following)
    if len(found) < limit:
        others = {"limit": limit - len(found), "after": None, "up_to": after}
        found += await all_rows(tx, _CLAIM_IN_ORDER, params | others)
    return sorted(
        (Job(*row) for row in found), key=lambda job: (job.owner <= after, job.owner, job.number)
    )


async def done(tx: Tx, jobs: Sequence[Job]) -> None:
    """Takes these off, unless their lease ended and somebody else tries them now."""
    if jobs:
        await tx.execute(_DONE, (_held(jobs),))


async def move(tx: Tx, moved: Sequence[tuple[Job, Moved]]) -> None:
    """Makes these due later."""
    rows = [
        {"number": job.number, "held": job.held, "due_at": to.due_at, "payload": to.payload}
        for job, to in moved
    ]
    if rows:
        await tx.execute(_MOVE, (as_json(rows),))


async def again(tx: Tx, job: Job, wait: timedelta, problem: str) -> None:
    """Lets it be tried again after `wait` of the real clock."""
    await tx.execute(_AGAIN, _failed(job, problem) | {"wait": wait})


async def park(tx: Tx, job: Job, problem: str) -> None:
    await tx.execute(_PARK, _failed(job, problem))


async def release(tx: Tx, jobs: Sequence[Job]) -> None:
    """Lets others try these now: whoever held them ends."""
    if jobs:
        await tx.execute(_RELEASE, (_held(jobs),))


@dataclass(frozen=True, slots=True)
class Due:
    """What is first to be done: in which queue, and when it is due."""

    queue: str
    at: datetime


async def first_due(tx: Tx, queues: Sequence[Of], until: datetime) -> Due | None:
    """The earliest job up to an instant that is ready or being done; not what is to be tried again."""
    params = {
        "queues": [each.queue for each in queues],
        "in_order": [each.in_order for each in queues],
        "until": until,
    }
    row = await one_row(tx, _FIRST_DUE, params)
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


async def given_up(tx: Tx) -> int:
    """How many jobs wait for an operator to have them done again."""
    row = await one_row(tx, "select count(*) from jobs where parked_at is not null")
    assert row is not None, "it counts"
    return int(row[0])


class Failing(msgspec.Struct, frozen=True):
    """Jobs of a queue that met the same, and are tried again: at the earliest at `next_at` by the
    real clock; None is at once."""

    queue: str
    problem: str
    count: int
    tries: int
    next_at: datetime | None


async def failing(tx: Tx, *, limit: int) -> list[Failing]:
    """What failed and waits to be tried again, what fails most first."""
    return [Failing(*row) for row in await all_rows(tx, _FAILING, (limit,))]


# Reading the outbox ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Read:
    """How far a reader of the outbox has come; `gaps` are ranges below `top`, both ends in."""

    top: int
    gaps: list[tuple[int, int]]


async def read_so_far(tx: Tx, reader: str, *, wait: bool) -> Read | None:
    """Keeps other processes from reading on meanwhile. Where one does right now, it is waited for, or
    the answer is None."""
    row = await one_row(tx, _READ_SO_FAR_WAITING if wait else _READ_SO_FAR, (reader,))
    return None if row is None else Read(row[0], msgspec.json.decode(row[1], type=_GAPS))


async def anything_to_read(tx: Tx, reader: str) -> bool:
    """Whether there is anything after what was read, or perhaps in a gap."""
    row = await one_row(tx, _ANYTHING_TO_READ, (reader,))
    assert row is not None, "the readers are made with the schema"
    return bool(row[0])


async def remember_read(tx: Tx, reader: str, read: Read) -> None:
    await tx.execute(_REMEMBER_READ, (read.top, as_json(read.gaps), reader))


async def skip_to_now(tx: Tx, reader: str) -> None:
    """What has happened so far is past: no job will be made of it."""
    await tx.execute(_SKIP_TO_NOW, (reader,))


_GAPS = list[tuple[int, int]]


def _row(job: NewJob) -> dict[str, object]:
    return {
        "owner_id": job.owner,
        "queue": job.queue,
        "key": job.key,
        "due_at": job.due_at,
        "payload": job.payload,
    }


def _held(jobs: Sequence[Job]) -> str:
    return as_json([{"number": job.number, "held": job.held} for job in jobs])


def _failed(job: Job, problem: str) -> dict[str, object]:
    return {"number": job.number, "held": job.held, "tries": job.tries, "problem": problem}


# A lease that is a little longer is another lease: whoever holds it will not take the job off.
_ADD = """
    insert into jobs as j (owner_id, queue, key, due_at, payload)
    select r.owner_id, r.queue, r.key, r.due_at, r.payload
    from json_to_recordset(%s) as r (owner_id uuid, queue text, key text, due_at timestamptz,
        payload json)
    on conflict (owner_id, queue, key) do update
    set due_at = least(j.due_at, excluded.due_at),
        held_until = case
            when j.held_until > clock_timestamp() then j.held_until + interval '1 microsecond'
            else j.held_until end,
        not_before = case when j.parked_at is null then j.not_before else '-infinity' end,
        tries = case when j.parked_at is null then j.tries else 0 end,
        problem = case when j.parked_at is null then j.problem end,
        parked_at = null
    where j.due_at > excluded.due_at or j.parked_at is not null or j.held_until > clock_timestamp()
"""
_DROP_WAITING = """
    delete from jobs j
    using json_to_recordset(%s) as r (owner_id uuid, queue text, key text)
    where j.owner_id = r.owner_id and j.queue = r.queue and j.key = r.key
        and j.held_until <= clock_timestamp()
"""
_HURRY = """
    update jobs
    set not_before = '-infinity'
    where queue = %s and parked_at is null and not_before > clock_timestamp()
        and held_until <= clock_timestamp()
"""
_DROP_OF_QUEUE = """
    delete from jobs
    where number in (select number from jobs where queue = %s limit %s)
    returning number
"""
_DROP_OF = "delete from jobs where owner_id = %s and queue = any (%s)"
_IS_READY = """
    j.parked_at is null and j.due_at <= %(now)s and j.not_before <= clock_timestamp()
        and j.held_until <= clock_timestamp()
"""
_SOMEBODY_ASKS = """
    select exists (
        select from pg_stat_activity
        where datname = current_database() and backend_type = 'client backend'
            and state <> 'idle' and application_name <> %s)
"""
_COLUMNS = "j.number, j.queue, j.owner_id, j.key, j.due_at, j.payload"
_READY = f"""
    select q.queue
    from unnest(%(queues)s::text[]) as q (queue)
    where exists (select from jobs j where j.queue = q.queue and {_IS_READY})
"""
_TAKE = f"""
    select {_COLUMNS}, j.tries + 1, j.held_until::text
    from jobs j
    where j.queue = %(queue)s and {_IS_READY}
    order by j.due_at, j.number
    limit %(limit)s
    for update skip locked
"""
_HOLD = f"""
    update jobs j
    set held_until = clock_timestamp() + %(lease)s, tries = j.tries + 1
    from chosen c
    where j.number = c.number
    returning {_COLUMNS}, j.tries, j.held_until::text
"""
_CLAIM = f"""
    with chosen as materialized (
        select j.number
        from jobs j
        where j.queue = %(queue)s and {_IS_READY}
        order by j.due_at, j.number
        limit %(limit)s
        for update skip locked
    )
    {_HOLD}
"""
_FIRST_OF_NEXT = """
    select f.owner_id, f.number, f.due_at, f.not_before, f.held_until
    from jobs f
    where f.queue = %(queue)s and f.parked_at is null
"""
# Where the statistics say that there are next to no jobs, as in the first minute of a rush, all of a
# queue's would else be read and sorted to find the first of each member.
_FOLLOW_THE_INDEX = """
    select set_config('enable_sort', 'off', true), set_config('enable_incremental_sort', 'off', true)
"""
_TO_THE_LAST = "(%(up_to)s::uuid is null or f.owner_id <= %(up_to)s::uuid)"
# From one member's first job to the next member's, until there are enough that are ready. To plan it
# takes longer than to run it: so those who come before `after` have no place in it, and are asked for
# only where they are needed.
_CLAIM_IN_ORDER = f"""
    with recursive first as (
        (
            {_FIRST_OF_NEXT} and (%(after)s::uuid is null or f.owner_id > %(after)s::uuid)
                and {_TO_THE_LAST}
            order by f.owner_id, f.number
            limit 1
        )
        union all
        select n.*
        from first m
        cross join lateral (
            {_FIRST_OF_NEXT} and f.owner_id > m.owner_id and {_TO_THE_LAST}
            order by f.owner_id, f.number
            limit 1
        ) n
    ),
    ready as materialized (
        select f.number
        from first f
        where f.due_at <= %(now)s and f.not_before <= clock_timestamp()
            and f.held_until <= clock_timestamp()
        limit %(limit)s
    ),
    -- By their number alone: beside conditions on when they are due, an index of those would do, too.
    locked as materialized (
        select j.number, j.due_at, j.not_before, j.held_until, j.parked_at
        from ready f
        join jobs j on j.number = f.number
        for update of j skip locked
    ),
    chosen as materialized (
        select j.number from locked j where {_IS_READY}
    )
    {_HOLD}
"""
_DONE = """
    delete from jobs j
    using json_to_recordset(%s) as r (number bigint, held timestamptz)
    where j.number = r.number and j.held_until = r.held
"""
_RELEASE = """
    update jobs j
    set held_until = '-infinity'
    from json_to_recordset(%s) as r (number bigint, held timestamptz)
    where j.number = r.number and j.held_until = r.held
"""
_MOVE = """
    update jobs j
    set due_at = r.due_at, payload = coalesce(r.payload, j.payload), held_until = '-infinity',
        tries = 0, problem = null
    from json_to_recordset(%s) as r (number bigint, held timestamptz, due_at timestamptz,
        payload json)
    where j.number = r.number and j.held_until = r.held
"""
_AGAIN = """
    update jobs
    set tries = %(tries)s, not_before = clock_timestamp() + %(wait)s, held_until = '-infinity',
        problem = %(problem)s
    where number = %(number)s and held_until = %(held)s
"""
_PARK = """
    update jobs
    set tries = %(tries)s, parked_at = clock_timestamp(), held_until = '-infinity',
        problem = %(problem)s
    where number = %(number)s and held_until = %(held)s
"""
_IS_FIRST = """
    not exists (
        select from jobs e
        where e.queue = j.queue and e.owner_id = j.owner_id and e.number < j.number
            and e.parked_at is null)
"""
_FIRST_DUE = f"""
    select q.queue, f.due_at
    from unnest(%(queues)s::text[], %(in_order)s::boolean[]) as q (queue, in_order)
    cross join lateral (
        select j.due_at, j.number, j.held_until > clock_timestamp() as held
        from jobs j
        where j.queue = q.queue and j.parked_at is null and j.due_at <= %(until)s
            and j.not_before <= clock_timestamp() and (not q.in_order or {_IS_FIRST})
        order by j.due_at, j.number
        limit 1
    ) f
    order by f.due_at, f.held, f.number
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
# What is due later is most of all, and is not counted: it is walked over from queue to queue.
_WAITING = """
    with recursive known as (
        (select j.queue from jobs j where j.parked_at is null order by j.queue limit 1)
        union all
        select n.queue
        from known k
        cross join lateral (
            select j.queue
            from jobs j
            where j.parked_at is null and j.queue > k.queue
            order by j.queue
            limit 1
        ) n
    ),
    parked as (
        select j.queue, count(*) as count from jobs j where j.parked_at is not null group by j.queue
    ),
    failing as (
        select j.queue, count(*) as count
        from jobs j
        where j.problem is not null and j.parked_at is null
        group by j.queue
    )
    select q.queue, d.count, coalesce(f.count, 0), coalesce(p.count, 0), d.oldest
    from (select queue from known union select queue from parked) q
    cross join lateral (
        select count(*) as count, min(j.due_at) as oldest
        from jobs j
        where j.queue = q.queue and j.parked_at is null and j.due_at <= %(now)s
    ) d
    left join parked p on p.queue = q.queue
    left join failing f on f.queue = q.queue
    order by q.queue
"""
_FAILING = """
    select queue, problem, count(*), max(tries), nullif(min(not_before), '-infinity')
    from jobs
    where problem is not null and parked_at is null
    group by queue, problem
    order by count(*) desc, queue, problem
    limit %s
"""
_ANYTHING_TO_READ = """
    select r.gaps::text <> '[]' or exists (select from outbox o where o.sequence > r.top)
    from outbox_readers r
    where r.name = %s
"""
_READ_SO_FAR = """
    select top, gaps from outbox_readers where name = %s for update skip locked
"""
_READ_SO_FAR_WAITING = "select top, gaps from outbox_readers where name = %s for update"
_REMEMBER_READ = "update outbox_readers set top = %s, gaps = %s where name = %s"
_SKIP_TO_NOW = """
    update outbox_readers
    set top = coalesce((select max(o.sequence) from outbox o), 0), gaps = '[]'
    where name = %s
"""
