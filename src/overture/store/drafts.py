"""Drafts in SQL: one a place, owned by the member who writes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from overture.core.ids import ConversationId, MemberId
from overture.store.db import Tx, all_rows, one_row, pipelined

SUBJECT_CHARS_MAX = 1000
BODY_CHARS_MAX = 20_000
# Nobody writes so many letters at once; whoever does gives up the draft left alone for longest.
DRAFTS_MAX = 500
_LETTERS_LOOKED_AT = 100
_NIL = "00000000-0000-0000-0000-000000000000"


class Kind(StrEnum):
    REPLY = "reply"
    LETTER = "letter"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a draft is being written; `id` is the conversation's or the member's."""

    kind: Kind
    id: str = _NIL

    @classmethod
    def reply(cls, conversation: ConversationId) -> "Place":
        return cls(Kind.REPLY, conversation)

    @classmethod
    def letter(cls, to: MemberId) -> "Place":
        return cls(Kind.LETTER, to)


# A letter to nobody yet.
NOBODY = Place(Kind.NOBODY)


@dataclass(frozen=True, slots=True)
class Draft:
    """What was written so far; `pool` is the one that the writer chose to pay from, if any."""

    place: Place
    subject: str
    body: str
    pool: str | None
    saved_at: datetime


@dataclass(frozen=True, slots=True)
class Listed:
    """A draft, and whom it is to: both empty where that is nobody, a group or a closed account."""

    draft: Draft
    handle: str
    name: str


async def save(tx: Tx, owner: MemberId, draft: Draft) -> None:
    """Keeps a draft in place of what was there, and lets go of the oldest beyond DRAFTS_MAX."""
    of = {
        "owner": owner,
        "place": draft.place.id,
        "kind": draft.place.kind,
        "subject": draft.subject,
        "body": draft.body,
        "pool": draft.pool,
        "at": draft.saved_at,
        "max": DRAFTS_MAX,
    }
    await pipelined(tx, ((_SAVE, of), (_TRIM, of)))


async def remove(tx: Tx, owner: MemberId, place: Place) -> None:
    await tx.execute("delete from drafts where owner_id = %s and place_id = %s", (owner, place.id))


async def in_place(tx: Tx, owner: MemberId, place: Place) -> Draft | None:
    row = await one_row(tx, _IN_PLACE, (owner, place.id))
    return None if row is None else _draft(row)


async def replies(
    tx: Tx, owner: MemberId, conversations: Sequence[ConversationId]
) -> dict[ConversationId, Draft]:
    """The drafts of replies in any of these conversations."""
    found = map(_draft, await all_rows(tx, _REPLIES, (owner, list(conversations))))
    return {ConversationId(draft.place.id): draft for draft in found}


async def newest(tx: Tx, owner: MemberId, kinds: Sequence[Kind], limit: int) -> list[Listed]:
    """The member's drafts of these kinds, the one written on last first."""
    rows = await all_rows(tx, _NEWEST, {"owner": owner, "kinds": list(kinds), "limit": limit})
    return [Listed(_draft(row), row[6], row[7]) for row in rows]


async def has_conversation(tx: Tx, owner: MemberId, conversation: ConversationId) -> bool:
    return await one_row(tx, _HAS_CONVERSATION, (owner, conversation)) is not None


async def is_member(tx: Tx, member: MemberId) -> bool:
    return await one_row(tx, "select from members where id = %s", (member,)) is not None


async def copies(tx: Tx, owner: MemberId, tail: str, since: datetime) -> int:
    """How many of the member's last letters since then end with this text."""
    of = {"owner": owner, "tail": tail, "since": since, "limit": _LETTERS_LOOKED_AT}
    row = await one_row(tx, _COPIES, of)
    assert row is not None, "a count has a row"
    return int(row[0])


def _draft(row: Sequence[object]) -> Draft:
    place_id, kind, subject, body, pool, saved_at = row[:6]
    assert isinstance(saved_at, datetime)
    return Draft(
        Place(Kind(str(kind)), str(place_id)),
        str(subject),
        str(body),
        None if pool is None else str(pool),
        saved_at,
    )


_SAVE = """
    insert into drafts (owner_id, place_id, kind, subject, body, pool, saved_at)
    values (%(owner)s, %(place)s, %(kind)s, %(subject)s, %(body)s, %(pool)s, %(at)s)
    on conflict on constraint drafts_pk do update
    set subject = excluded.subject, body = excluded.body, pool = excluded.pool,
        saved_at = excluded.saved_at
"""
_TRIM = """
    delete from drafts d
    using (
        select o.place_id
        from drafts o
        where o.owner_id = %(owner)s
        order by o.saved_at desc, o.place_id = %(place)s desc, o.place_id
        offset %(max)s
    ) old
    where d.owner_id = %(owner)s and d.place_id = old.place_id
"""
_IN_PLACE = """
    select place_id, kind, subject, body, pool, saved_at
    from drafts
    where owner_id = %s and place_id = %s
"""
_REPLIES = """
    select place_id, kind, subject, body, pool, saved_at
    from drafts
    where owner_id = %s and place_id = any(%s::uuid[]) and kind = 'reply'
"""
_NEWEST = """
    select d.place_id, d.kind, d.subject, d.body, d.pool, d.saved_at,
        coalesce(m.handle, i.counterpart_handle, ''), coalesce(m.name, i.counterpart_name, '')
    from drafts d
    left join members m on d.kind = 'letter' and m.id = d.place_id
    left join inbox i on d.kind = 'reply' and i.owner_id = d.owner_id
        and i.conversation_id = d.place_id
    where d.owner_id = %(owner)s and d.kind = any(%(kinds)s)
    order by d.saved_at desc, d.place_id
    limit %(limit)s
"""
_HAS_CONVERSATION = "select from inbox where owner_id = %s and conversation_id = %s"
_COPIES = """
    select count(*)
    from (
        select i.conversation_id
        from inbox i
        where i.owner_id = %(owner)s and i.begun and i.last_activity_at > %(since)s
        order by i.last_activity_at desc, i.conversation_id desc
        limit %(limit)s
    ) recent
    join messages m on m.owner_id = %(owner)s and m.conversation_id = recent.conversation_id
        and m.number = 1
    where right(m.body, char_length(%(tail)s)) = %(tail)s and m.sent_at > %(since)s
"""
