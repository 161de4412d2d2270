"""Counts over all that an installation holds, for the operator."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from overture.store.db import Tx, pipelined


@dataclass(frozen=True, slots=True)
class Counts:
    """`members`: open, closed, unclaimed, premium. The rest are rows as their statements name them."""

    members: tuple[int, int, int, int]
    connections: int
    conversations: Sequence[tuple[str, str, int]]
    messages: int
    ledger: Sequence[tuple[str, str, int, int, int]]
    outbox_head: int


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
