"""What members are told by mail, in SQL: who reads it, what it rests on, and what was told already."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from overture.core.conversations import Kind as ConversationKind
from overture.core.conversations import Message, Refund, Response, State
from overture.core.ids import ConversationId, InvitationId, MemberId
from overture.core.jobs import NewJob
from overture.store import jobs
from overture.store.db import Tx, all_rows, one_row
from overture.store.inbox import KINDS, MESSAGE_COLUMNS, STATES, Box, message

# Who reads ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mailed:
    """A member whom mails reach, as they chose to be told. `language` is None where they chose none."""

    member: MemberId
    name: str
    address: str
    language: str | None
    time_zone: str
    mails: bool
    daily: bool
    silent: Sequence[str]
    suspended: bool = False


async def reached(tx: Tx, members: Sequence[MemberId]) -> dict[MemberId, Mailed]:
    """Those of these members whom mails reach: their address was shown to be theirs, and nothing came
    back from it; and their account is not closed."""
    rows = await all_rows(tx, _REACHED, (list(members),))
    return {row[0]: Mailed(*row) for row in rows}


# What it rests on -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Other:
    """The other side. Their name is empty once they have closed their account.

    `blocked`: one of the two has blocked the other.
    """

    id: MemberId
    handle: str
    name: str
    headline: str
    blocked: bool


@dataclass(frozen=True, slots=True)
class Thread:
    """A conversation as its reader has it; `begun` is by the reader.

    `told` is the number of the last message that the reader was told of by mail. `pool` paid for it,
    and `back_until` is until when an answer returns a credit; both None where none was charged.
    """

    id: ConversationId
    home: MemberId
    other: Other
    begun: bool
    kind: ConversationKind
    state: State
    box: Box
    muted: bool
    subject: str
    read_number: int
    told: int
    refund: Refund | None
    response: Response | None
    responded_at: datetime | None
    sender_wrote_at: datetime | None
    pool: str | None
    back_until: datetime | None


async def thread(tx: Tx, reader: MemberId, conversation: ConversationId) -> Thread | None:
    """The reader's conversation with one other; None where there is none, or it is a group."""
    row = await one_row(tx, _THREAD, {"reader": reader, "id": conversation})
    if row is None:
        return None
    id_, home, *other, begun, kind, state, box, muted, subject, read, told = row[:15]
    refund, response = row[15:17]
    return Thread(
        id_,
        home,
        Other(*other),
        begun,
        KINDS[kind],
        STATES[state],
        Box(box),
        muted,
        subject,
        read,
        told,
        None if refund is None else Refund(refund),
        None if response is None else Response(response),
        *row[17:],
    )


async def first_message(tx: Tx, thread: Thread) -> Message | None:
    row = await one_row(tx, _FIRST_MESSAGE, (thread.home, thread.id))
    return None if row is None else message(row)


async def answer_in_words(tx: Tx, thread: Thread) -> Message | None:
    """What the other side wrote as its answer; None where they answered without words."""
    key = (thread.home, thread.id, thread.other.id, thread.responded_at)
    row = await one_row(tx, _ANSWER, key)
    return None if row is None else message(row)


async def unread(tx: Tx, thread: Thread, limit: int) -> list[Message]:
    """What the other side wrote that the reader has not read, the oldest first."""
    key = (thread.home, thread.id, thread.read_number, thread.other.id, limit)
    return [message(row) for row in await all_rows(tx, _UNREAD, key)]


async def invitation(tx: Tx, reader: MemberId, id_: InvitationId) -> tuple[Other, str] | None:
    """Who invited the reader, and their note; None where it does not wait any more."""
    row = await one_row(tx, _INVITATION, {"reader": reader, "id": id_})
    return None if row is None else (Other(*row[:5]), row[5])


async def connection(tx: Tx, reader: MemberId, other: MemberId) -> Other | None:
    row = await one_row(tx, _CONNECTION, {"reader": reader, "other": other})
    return None if row is None else Other(*row)


async def inmail_of_entry(
    tx: Tx, reader: MemberId, pool: str, number: int
) -> ConversationId | None:
    """Which InMail an entry of the reader's ledger is about."""
    row = await one_row(tx, _INMAIL_OF_ENTRY, (reader, pool, number))
    return None if row is None else row[0]


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A browser that signed in, and the place it did so from, as it was then.

    `alone`: the password was set within the hour before, and no other browser has signed in since.
    """

    client: str
    agent: str
    alone: bool


async def signed_in(tx: Tx, reader: MemberId, session: str) -> SignedIn | None:
    """None where it has signed out since."""
    row = await one_row(tx, _SIGNED_IN, {"reader": reader, "session": session})
    return None if row is None else SignedIn(*row)


# What was told --------------------------------------------------------------------------------------


async def told(tx: Tx, reader: MemberId, conversation: ConversationId, number: int) -> None:
    """The reader was told of the messages up to this one."""
    await tx.execute(_TOLD, (reader, conversation, number))


# The digest -----------------------------------------------------------------------------------------


async def keep_for_digest(tx: Tx, reader: MemberId, key: str, payload: bytes, due: NewJob) -> None:
    """Keeps what is to be told for the reader's next digest, and has one written."""
    await tx.execute(_KEEP, (reader, key, payload.decode()))
    await jobs.add(tx, [due])


async def kept(tx: Tx, reader: MemberId) -> list[tuple[int, bytes]]:
    """What waits for the reader's digest, in the order in which it came: its numbers and payloads."""
    return [(row[0], row[1]) for row in await all_rows(tx, _KEPT, (reader,))]


async def drop_kept(tx: Tx, reader: MemberId, numbers: Sequence[int]) -> None:
    """Drops what was told. What came again meanwhile has another number, and stays."""
    await tx.execute(_DROP_KEPT, (reader, list(numbers)))


_REACHED = """
    select m.id, m.name, a.email, m.language, m.time_zone, m.email_notifications, m.daily_digest,
        m.silent_kinds, m.suspended_at is not null
    from members m
    join accounts a on a.member_id = m.id
    where m.id = any (%s) and m.closed_at is null and a.verified_at is not null
        and not exists (
            select from failing_addresses f
            where f.member_id = m.id and f.address = a.email)
"""
_OTHER = """
    o.id, o.handle, o.name, o.headline,
    exists (
        select from blocks b
        where (b.owner_id, b.blocked_id) in ((%(reader)s, o.id), (o.id, %(reader)s)))
"""
_THREAD = f"""
    select i.conversation_id, i.home_id, {_OTHER}, i.begun, i.kind, i.state, i.box, i.muted, i.subject,
        i.read_number, coalesce(t.number, 0), i.refund, c.response, c.responded_at,
        c.sender_wrote_at, c.pool, c.refundable_until[cardinality(c.refundable_until)]
    from inbox i
    join members o on o.id = i.counterpart_id
    join conversations c on c.owner_id = i.home_id and c.id = i.conversation_id
    left join told_by_mail t on t.owner_id = i.owner_id and t.conversation_id = i.conversation_id
    where i.owner_id = %(reader)s and i.conversation_id = %(id)s
"""
_FIRST_MESSAGE = f"""
    select {MESSAGE_COLUMNS}
    from messages m
    where m.owner_id = %s and m.conversation_id = %s and m.number = 1 and m.deleted_at is null
"""
_ANSWER = f"""
    select {MESSAGE_COLUMNS}
    from messages m
    where m.owner_id = %s and m.conversation_id = %s and m.sender_id = %s and m.sent_at = %s
        and m.deleted_at is null
    order by m.number
    limit 1
"""
_UNREAD = f"""
    select {MESSAGE_COLUMNS}
    from messages m
    where m.owner_id = %s and m.conversation_id = %s and m.number > %s and m.sender_id = %s
        and m.deleted_at is null
    order by m.number
    limit %s
"""
_INVITATION = f"""
    select {_OTHER}, v.note
    from invitations v
    join members o on o.id = v.other_id and o.closed_at is null
    where v.owner_id = %(reader)s and v.id = %(id)s and v.state = 'pending' and not v.outgoing
"""
_CONNECTION = f"""
    select {_OTHER}
    from connections k
    join members o on o.id = k.member_id and o.closed_at is null
    where k.owner_id = %(reader)s and k.member_id = %(other)s
"""
_INMAIL_OF_ENTRY = """
    select l.inmail_id::text
    from ledger_entries l
    where l.owner_id = %s and l.pool = %s and l.number = %s
"""
# Sessions and passwords live by one clock, the real one.
_SIGNED_IN = """
    select s.client, s.agent,
        s.created_at - a.password_at < interval '1 hour' and not exists (
            select from sessions e where e.member_id = s.member_id and e.id <> s.id)
    from sessions s
    join accounts a on a.member_id = s.member_id
    where s.member_id = %(reader)s and s.id = %(session)s
"""
_TOLD = """
    insert into told_by_mail as t (owner_id, conversation_id, number)
    values (%s, %s, %s)
    on conflict (owner_id, conversation_id) do update
    set number = greatest(t.number, excluded.number)
"""
_KEEP = """
    insert into digest_items (owner_id, key, payload)
    values (%s, %s, %s)
    on conflict (owner_id, key) do update set payload = excluded.payload, number = default
"""
_KEPT = "select number, payload from digest_items where owner_id = %s order by number"
_DROP_KEPT = "delete from digest_items where owner_id = %s and number = any (%s)"
