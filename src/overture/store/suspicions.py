"""Suspicions in SQL: what they rest on, and what the operator makes of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from overture.core.ids import ConversationId, MemberId
from overture.core.suspicions import Evidence, Kind
from overture.store import pages
from overture.store.db import Tx, all_rows, as_json, one_row
from overture.store.pages import Page, page_of

# Of one sender, so many letters are looked back at.
_LOOKED_BACK = 100


@dataclass(frozen=True, slots=True)
class Letter:
    """A first letter to a stranger as it reads now, with the names that stand in it."""

    sender: MemberId
    conversation: ConversationId
    at: datetime
    body: str
    names: Sequence[str]


@dataclass(frozen=True, slots=True)
class Sketched:
    """What is kept of a letter."""

    sender: MemberId
    conversation: ConversationId
    at: datetime
    sketch: bytes
    places: Sequence[str]


@dataclass(frozen=True, slots=True)
class Refund:
    """A credit that came back to a member: by whose answer, and when that was asked for and given."""

    member: MemberId
    partner: MemberId
    sent_at: datetime
    answered_at: datetime


@dataclass(frozen=True, slots=True)
class Suspicion:
    member: MemberId
    since: datetime
    at: datetime
    evidence: Evidence
    dismissed_at: datetime | None
    dismissed_weight: int


async def letters(tx: Tx, sent: Sequence[tuple[MemberId, ConversationId]]) -> list[Letter]:
    """These, where they are still there: in the order of the time."""
    asked = [{"owner_id": owner, "id": conversation} for owner, conversation in sent]
    rows = await all_rows(tx, _LETTERS, (as_json(asked),))
    return [
        Letter(sender, conversation, at, body, names)
        for sender, conversation, at, body, *names in rows
    ]


async def sketches(tx: Tx, senders: Mapping[MemberId, datetime]) -> dict[MemberId, list[Sketched]]:
    """What is kept of each sender's letters since an instant, the newest last."""
    asked = [{"owner_id": sender, "since": since} for sender, since in sorted(senders.items())]
    found: dict[MemberId, list[Sketched]] = {}
    for sender, *columns in await all_rows(tx, _SKETCHES, (as_json(asked), _LOOKED_BACK)):
        found.setdefault(sender, []).append(Sketched(sender, *columns))
    return found


async def keep_sketches(tx: Tx, made: Sequence[Sketched]) -> None:
    rows = [
        {
            "owner_id": each.sender,
            "conversation_id": each.conversation,
            "at": each.at,
            "sketch": each.sketch.hex(),
            "places": list(each.places),
        }
        for each in made
    ]
    await tx.execute(_KEEP_SKETCHES, (as_json(rows),))


async def forget_before(tx: Tx, at: datetime) -> int:
    """Drops what is kept of letters from before an instant; how many at once."""
    return len(await all_rows(tx, _FORGET, (at, _FORGOTTEN_AT_ONCE)))


async def refunds(tx: Tx, members: Sequence[MemberId], since: datetime) -> list[Refund]:
    """By the ledger: the credits that answers brought these members since an instant."""
    return [Refund(*row) for row in await all_rows(tx, _REFUNDS, (list(members), since))]


async def joined_at(tx: Tx, members: Sequence[MemberId]) -> dict[MemberId, datetime]:
    """When each made the account; without those who have closed it."""
    return dict(await all_rows(tx, _JOINED, (list(members),)))


async def in_one_network(
    tx: Tx, member: MemberId, others: Sequence[MemberId]
) -> frozenset[MemberId]:
    """Those of the others who are signed in from the same address as the member."""
    return frozenset(row[0] for row in await all_rows(tx, _NETWORK, (list(others), member)))


async def of(tx: Tx, member: MemberId, kind: Kind) -> Suspicion | None:
    row = await one_row(tx, f"{_SUSPICION} where owner_id = %s and kind = %s", (member, kind))
    return None if row is None else _suspicion(row)


async def on(tx: Tx, member: MemberId) -> list[Suspicion]:
    """Those of a member that nobody has dismissed."""
    rows = await all_rows(tx, _ON, (member,))
    return [_suspicion(row) for row in rows]


async def put(tx: Tx, member: MemberId, evidence: Evidence, at: datetime, *, again: bool) -> None:
    """Keeps the newest evidence; `again` opens what was dismissed."""
    params = {
        "member": member,
        "kind": evidence.kind,
        "at": at,
        "weight": evidence.weight,
        "evidence": as_json(evidence),
        "again": again,
    }
    await tx.execute(_PUT, params)


async def newest(tx: Tx, *, kind: Kind | None, cursor: str | None, limit: int) -> Page[Suspicion]:
    """Those that nobody has dismissed, the newest first."""
    at, last = (None, None) if cursor is None else pages.decode(cursor, tuple[datetime, UUID])
    params = {"at": at, "last": last, "limit": limit + 1, "kind": kind}
    rows = await all_rows(tx, _NEWEST, params)
    return page_of(rows, limit, _suspicion, lambda row: (row[2], row[0]))


async def dismiss(tx: Tx, member: MemberId, kind: Kind, now: datetime) -> bool:
    """Whether there was one to dismiss."""
    return await one_row(tx, _DISMISS, (now, member, kind)) is not None


async def slow(tx: Tx, member: MemberId, until: datetime | None) -> None:
    """Holds a member to a new account's pace; None lets them go."""
    await tx.execute("update members set slowed_until = %s where id = %s", (until, member))


def _suspicion(row: Sequence[Any]) -> Suspicion:
    return Suspicion(row[0], row[1], row[2], _decode(row[3]), row[4], row[5])


_decode = msgspec.json.Decoder(Evidence).decode
_FORGOTTEN_AT_ONCE = 1000
_LETTERS = """
    select c.owner_id, c.id, c.started_at, m.body, s.name, r.name
    from json_to_recordset(%s) as e (owner_id uuid, id uuid)
    join conversations c on c.owner_id = e.owner_id and c.id = e.id and c.kind = 'inmail'
    join messages m on m.owner_id = c.owner_id and m.conversation_id = c.id and m.number = 1
        and m.deleted_at is null
    join members s on s.id = c.owner_id and s.closed_at is null
    join members r on r.id = c.recipient_id
    order by c.started_at, c.id
"""
_SKETCHES = """
    select k.owner_id, k.conversation_id, k.at, k.sketch, k.places
    from json_to_recordset(%s) as e (owner_id uuid, since timestamptz)
    cross join lateral (
        select k.owner_id, k.conversation_id, k.at, k.sketch, k.places
        from letter_sketches k
        where k.owner_id = e.owner_id and k.at >= e.since
        order by k.at desc
        limit %s
    ) k
    order by k.owner_id, k.at, k.conversation_id
"""
_KEEP_SKETCHES = """
    insert into letter_sketches (owner_id, conversation_id, at, sketch, places)
    select r.owner_id, r.conversation_id, r.at, decode(r.sketch, 'hex'),
        array(select json_array_elements_text(r.places))
    from json_to_recordset(%s) as r (owner_id uuid, conversation_id uuid, at timestamptz,
        sketch text, places json)
    on conflict (owner_id, conversation_id) do nothing
"""
_FORGET = """
    delete from letter_sketches
    where (owner_id, conversation_id) in (
        select owner_id, conversation_id
        from letter_sketches
        where at < %s
        order by at
        limit %s
    )
    returning conversation_id
"""
_REFUNDS = """
    select l.owner_id, c.recipient_id, c.started_at, c.responded_at
    from ledger_entries l
    join conversations c on c.owner_id = l.owner_id and c.id = l.inmail_id
    where l.owner_id = any (%s) and l.kind in ('refund', 'defer') and l.reason = 'response'
        and l.at >= %s and c.responded_at is not null and c.recipient_id is not null
    order by l.owner_id, l.at, l.number
"""
_JOINED = "select id, created_at from members where id = any (%s) and closed_at is null"
_NETWORK = """
    select distinct o.member_id
    from sessions s
    join sessions o on o.member_id = any (%s) and o.client = s.client
    where s.member_id = %s and s.client <> ''
"""
_COLUMNS = "owner_id, since, at, evidence, dismissed_at, dismissed_weight"
_SUSPICION = f"select {_COLUMNS} from suspicions"
_ON = f"{_SUSPICION} where owner_id = %s and dismissed_at is null order by kind"
_PUT = """
    insert into suspicions (owner_id, kind, since, at, weight, evidence)
    values (%(member)s, %(kind)s, %(at)s, %(at)s, %(weight)s, %(evidence)s)
    on conflict (owner_id, kind) do update
    set at = excluded.at, weight = excluded.weight, evidence = excluded.evidence,
        dismissed_at = case when %(again)s then null else suspicions.dismissed_at end
"""
_NEWEST = f"""
    {_SUSPICION}
    where dismissed_at is null and (%(kind)s::text is null or kind = %(kind)s)
        and (%(at)s::timestamptz is null or (at, owner_id) < (%(at)s::timestamptz, %(last)s::uuid))
    order by at desc, owner_id desc, kind
    limit %(limit)s
"""
_DISMISS = """
    update suspicions
    set dismissed_at = %s, dismissed_weight = weight
    where owner_id = %s and kind = %s and dismissed_at is null
    returning owner_id
"""
