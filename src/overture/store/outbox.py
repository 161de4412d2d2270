"""The outbox: what happened, told in the transaction that made it so, and read by sequence."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from overture.core.ids import MemberId
from overture.core.sending import Event
from overture.store.conversations import INSERT_EVENTS, event_rows
from overture.store.db import Tx, all_rows, as_json, one_row


@dataclass(frozen=True, slots=True)
class Row:
    """An event as it is stored; `payload` is JSON."""

    sequence: int
    owner: MemberId
    kind: str
    payload: bytes
    at: datetime


async def tell(tx: Tx, events: Sequence[Event]) -> None:
    if events:
        await tx.execute(INSERT_EVENTS, (as_json(event_rows(events)),))


async def ends(tx: Tx) -> tuple[int, int]:
    """The first and the last number that are stored; 0 and 0 where nothing is."""
    return (await all_rows(tx, _ENDS))[0][:2]


async def within(tx: Tx, ranges: Sequence[tuple[int, int]], limit: int) -> list[Row]:
    """The events in these ascending ranges of numbers, both ends in, in their order."""
    return [Row(*row) for row in await all_rows(tx, _WITHIN, _params(ranges, limit))]


async def number_at(tx: Tx, at: datetime) -> int:
    """The number of the first event from an instant on, as far as they are told in time's order.

    It is looked for by halves: no index would be worth its price to every write.
    """
    low, high = await ends(tx)
    while low <= high:
        row = await one_row(tx, _FROM, ((middle := (low + high) // 2),))
        if row is None or row[1] >= at:
            high = middle - 1
        else:
            low = row[0] + 1
    return low


async def forget_before(tx: Tx, at: datetime) -> int:
    """Drops events before an instant that everybody has read, the oldest first; how many at once.

    The newest stay in any case: from their numbers it is known how far things went.
    """
    before = await number_at(tx, at)
    params = {"before": before, "newest": _NEWEST_KEPT, "limit": _FORGOTTEN_AT_ONCE}
    return len(await all_rows(tx, _FORGET, params))


async def numbers_within(tx: Tx, ranges: Sequence[tuple[int, int]], limit: int) -> list[int]:
    """The same, of each the number alone."""
    return [row[0] for row in await all_rows(tx, _NUMBERS_WITHIN, _params(ranges, limit))]


async def writers(tx: Tx) -> frozenset[str]:
    """The transactions that have told something and not ended yet.

    A transaction locks the table before it is given a number there, and keeps the lock until what it
    wrote can be seen: where none of those that wrote at one time does so any more, all the numbers
    given out by then are settled.
    """
    return frozenset(row[0] for row in await all_rows(tx, _WRITERS))


async def concerning(tx: Tx, members: Sequence[MemberId], *, after: int, up_to: int) -> list[Row]:
    """The events after a number that name one of these members, in their order."""
    params = {"members": list(members), "after": after, "up_to": up_to}
    return [Row(*row) for row in await all_rows(tx, _CONCERNING, params)]


def _params(ranges: Sequence[tuple[int, int]], limit: int) -> tuple[object, ...]:
    return [first for first, _ in ranges], [last for _, last in ranges], limit, limit


_NEWEST_KEPT = 1000
_FORGOTTEN_AT_ONCE = 10_000
_FORGET = """
    delete from outbox
    where sequence in (
        select o.sequence
        from outbox o
        where o.sequence < %(before)s
            and o.sequence <= (select max(n.sequence) from outbox n) - %(newest)s
            and o.sequence < all (
                select least(r.top + 1, (g.value ->> 0)::bigint)
                from outbox_readers r
                left join json_array_elements(r.gaps) g on true
            )
        order by o.sequence
        limit %(limit)s
    )
    returning sequence
"""
_ENDS = """
    select coalesce((select min(o.sequence) from outbox o), 0),
        coalesce((select max(o.sequence) from outbox o), 0)
"""
_FROM = "select o.sequence, o.at from outbox o where o.sequence >= %s order by o.sequence limit 1"
_WITHIN = """
    select o.sequence, o.owner_id::text, o.kind, o.payload, o.at
    from unnest(%s::bigint[], %s::bigint[]) as r (first, last)
    cross join lateral (
        select o.sequence, o.owner_id, o.kind, o.payload, o.at
        from outbox o
        where o.sequence between r.first and r.last
        order by o.sequence
        limit %s
    ) o
    order by o.sequence
    limit %s
"""
_NUMBERS_WITHIN = """
    select o.sequence
    from unnest(%s::bigint[], %s::bigint[]) as r (first, last)
    cross join lateral (
        select o.sequence
        from outbox o
        where o.sequence between r.first and r.last
        order by o.sequence
        limit %s
    ) o
    order by o.sequence
    limit %s
"""
_WRITERS = """
    select l.virtualtransaction
    from pg_locks l
    where l.locktype = 'relation' and l.mode = 'RowExclusiveLock'
        and l.database = (select d.oid from pg_database d where d.datname = current_database())
        and l.relation = 'outbox'::regclass
"""
# Nothing but the range can use an index, and none is worth its price to every write.
_CONCERNING = """
    select o.sequence, o.owner_id::text, o.kind, o.payload, o.at
    from outbox o
    where o.sequence > %(after)s and o.sequence <= %(up_to)s
        and (o.owner_id = any (%(members)s::uuid[])
            or (o.payload ->> 'recipient_id')::uuid = any (%(members)s::uuid[])
            or (o.payload ->> 'other_id')::uuid = any (%(members)s::uuid[])
            or (o.payload ->> 'member_id')::uuid = any (%(members)s::uuid[]))
    order by o.sequence
"""
