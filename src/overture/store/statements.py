"""What a statement needs beyond the ledger's own pages: backwards, with names, and for its sums."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from overture.core.conversations import Response
from overture.core.credits import Entry, Kind, Lot
from overture.core.ids import ConversationId, MemberId
from overture.store.credits import ENTRY_COLUMNS, entry
from overture.store.db import Tx, all_rows, as_json, pipelined


@dataclass(frozen=True, slots=True)
class Letter:
    """The InMail that an entry is about; its name is empty where the recipient's account is closed.

    `response` is None while there is none.
    """

    id: ConversationId
    name: str
    response: Response | None


@dataclass(frozen=True, slots=True)
class Opened:
    """How a lot came: by which entry, and when."""

    kind: Kind
    at: datetime


@dataclass(frozen=True, slots=True)
class Sent:
    """An InMail that a pool paid; `answered_at` is None where nobody answered."""

    at: datetime
    answered_at: datetime | None


async def entries_before(
    tx: Tx, member: MemberId, pool: str, number: int, *, kinds: Collection[Kind], limit: int
) -> list[Entry]:
    """The stored entries of these kinds with smaller numbers, newest first: one index range."""
    found = await all_rows(
        tx,
        _ENTRIES_BEFORE,
        {"member": member, "pool": pool, "number": number, "kinds": list(kinds), "limit": limit},
    )
    return [entry(row) for row in found]


async def sums_and_lots(
    tx: Tx, member: MemberId, pool: str, starts: Sequence[datetime], lots: Sequence[Lot]
) -> tuple[dict[tuple[int, Kind], int], dict[int, Opened]]:
    """What stored entries did to the balance, by kind and by the place in `starts` of the span that
    begins there; and how these lots came. All of it is read once.
    """
    params = {
        "member": member,
        "pool": pool,
        "since": min([starts[0], *(lot.granted_at for lot in lots)]),
        "starts": list(starts),
        "lots": [lot.number for lot in lots],
    }
    sums: dict[tuple[int, Kind], int] = {}
    opened: dict[int, Opened] = {}
    for place, kind, total, lot, at in await all_rows(tx, _SUMS_AND_LOTS, params):
        if lot is not None:
            opened[lot] = Opened(Kind(kind), at)
        elif place > 0:
            sums[place - 1, Kind(kind)] = total
    return sums, opened


async def letters_and_lots(
    tx: Tx,
    member: MemberId,
    pool: str,
    inmails: Sequence[ConversationId],
    expired: Mapping[int, int],
) -> tuple[dict[ConversationId, Letter], dict[int, Opened]]:
    """The letters with these ids, and how lots came: `expired` has the entry that ended each."""
    asked = [{"lot": lot, "number": number} for lot, number in expired.items()]
    letters, lots = await pipelined(
        tx,
        (
            (_LETTERS, {"member": member, "inmails": inmails}),
            (_OPENED, {"member": member, "pool": pool, "asked": as_json(asked)}),
        ),
    )
    return (
        {
            id: Letter(id, name, Response(response) if response else None)
            for id, name, response in await letters.fetchall()
        },
        {lot: Opened(Kind(kind), at) for lot, kind, at in await lots.fetchall()},
    )


async def sent_since(tx: Tx, member: MemberId, pool: str, since: datetime) -> list[Sent]:
    """The InMails that this pool paid from an instant on, oldest first."""
    params = {"member": member, "pool": pool, "since": since}
    return [Sent(*row) for row in await all_rows(tx, _SENT_SINCE, params)]


_ENTRIES_BEFORE = f"""
    select {ENTRY_COLUMNS}
    from ledger_entries e
    where e.owner_id = %(member)s and e.pool = %(pool)s and e.number < %(number)s
        and e.kind = any(%(kinds)s)
    order by e.number desc
    limit %(limit)s
"""
_SUMS_AND_LOTS = """
    with recent as materialized (
        select at, kind, credits, lot, expires_at
        from ledger_entries
        where owner_id = %(member)s and pool = %(pool)s and at >= %(since)s
    )
    select width_bucket(at, %(starts)s::timestamptz[]) as place, kind, sum(credits)::integer,
        null::integer, null::timestamptz
    from recent
    group by place, kind
    union all
    select 0, kind, 0, lot, at
    from recent
    where expires_at is not null and lot = any(%(lots)s::integer[])
"""
# The recipient's name is as the sender's own list has it.
_LETTERS = """
    select i.conversation_id, i.counterpart_name, c.response
    from inbox i
    join conversations c on c.owner_id = i.home_id and c.id = i.conversation_id
    where i.owner_id = %(member)s and i.conversation_id = any(%(inmails)s::uuid[])
"""
# Looked for backwards from the entry that ended the lot, so that no more than its life is read.
_OPENED = """
    select a.lot, o.kind, o.at
    from json_to_recordset(%(asked)s) as a (lot integer, number integer)
    cross join lateral (
        select e.kind, e.at
        from ledger_entries e
        where e.owner_id = %(member)s and e.pool = %(pool)s and e.number < a.number
            and e.lot = a.lot and e.expires_at is not null
        order by e.number desc
        limit 1
    ) o
"""
# A letter's last activity is never before its start: the index brings few that are too old.
_SENT_SINCE = """
    select c.started_at, case when c.response in ('accepted', 'declined') then c.responded_at end
    from inbox i
    join conversations c on c.owner_id = i.owner_id and c.id = i.conversation_id
    where i.owner_id = %(member)s and i.begun and i.last_activity_at >= %(since)s
        and c.pool = %(pool)s and c.started_at >= %(since)s
    order by c.started_at, c.id
"""
