"""An import in SQL: rows are gathered in temporary tables, then written set by set.

It has one transaction on a connection of its own, whose plans are made for the tables as they are.
Nothing is locked before everything has been read.
"""

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from psycopg import AsyncConnection

from overture.core.boxes import is_focused
from overture.core.conversations import Channel
from overture.core.ids import ConversationId, InvitationId, MemberId, MessageId
from overture.core.text import SNIPPET_CHARS_MAX, snippet
from overture.store.db import Tx, all_rows, as_json, one_row
from overture.store.inbox import Box, Participant, decode_participants
from overture.store.members import search_text

OPTIONS = "-c timezone=UTC -c lock_timeout=30s"


@dataclass(frozen=True, slots=True)
class Known:
    """A member as an import finds them."""

    id: MemberId
    handle: str
    name: str
    headline: str
    company: str
    location: str
    email: str | None
    claimed: bool
    closed: bool


@dataclass(frozen=True, slots=True)
class Between:
    """What lies between the importer and another member; a pending invitation of either side."""

    connected: bool
    importer_blocked: bool
    other_blocked: bool
    invited: bool


@dataclass(frozen=True, slots=True)
class Invitation:
    """A pending invitation to be made; the invitee does not get to see all of them."""

    id: InvitationId
    inviter: MemberId
    invitee: MemberId
    note: str
    sent_at: datetime
    shown: bool


@dataclass(frozen=True, slots=True)
class KnownConversation:
    """A conversation as an import finds it. `exposed`: someone who has an account here sees it."""

    home: MemberId
    id: ConversationId
    recipient: MemberId | None
    participants: Sequence[Participant] | None
    messages: int
    shared: bool
    exposed: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where the messages of an archive's conversation go. `place` is its number in the import.

    `identity` is the same in every archive, and gives its messages their ids. Those that stand in
    any of the `known` conversations, each with its home, are there already.
    """

    place: int
    identity: str
    home: MemberId
    id: ConversationId
    messages_before: int
    known: Sequence[tuple[MemberId, ConversationId]]


@dataclass(frozen=True, slots=True)
class Fresh:
    """What an import adds to one conversation."""

    place: int
    messages: int
    first_at: datetime
    first_sender: MemberId | None
    last_number: int
    last_id: MessageId
    last_sender: MemberId | None
    last_at: datetime
    snippet: str
    # The last message that was not written by the importer; 0 where there is none.
    last_of_others: int


@dataclass(frozen=True, slots=True)
class NewConversation:
    home: MemberId
    id: ConversationId
    recipient: MemberId | None
    participants: Sequence[Participant] | None
    subject: str
    shared: bool
    started_at: datetime
    last_activity_at: datetime
    messages: int


@dataclass(frozen=True, slots=True)
class NewRow:
    """One member's own row of a new conversation."""

    owner: MemberId
    conversation: NewConversation
    counterpart: Known | None
    begun: bool
    box: Box
    read_number: int
    fresh: Fresh


@asynccontextmanager
async def transaction(url: str) -> AsyncGenerator[Tx]:
    """One transaction on a connection of its own: committed at the end, rolled back on an error."""
    async with await AsyncConnection.connect(url, options=OPTIONS) as connection:
        yield connection


# Gathering --------------------------------------------------------------------------------------


async def begin(tx: Tx) -> None:
    for statement in _TABLES:
        await tx.execute(statement)


async def gather_messages(
    tx: Tx, rows: Iterable[tuple[int, int, int | None, datetime, str]]
) -> None:
    """Copies messages as they come: place of the conversation, order, sender, instant, body."""
    async with tx.cursor() as cursor:
        async with cursor.copy(_COPY_MESSAGES) as copy:
            for row in rows:
                await copy.write_row(row)
        await cursor.execute("analyze import_messages")


# People -----------------------------------------------------------------------------------------


async def holder(tx: Tx, handle: str) -> Known | None:
    """Who has this handle."""
    row = await one_row(tx, _HOLDER, (handle,))
    return None if row is None else Known(*row)


async def member(tx: Tx, wanted: MemberId) -> Known | None:
    """A member whose account is open, not locked yet."""
    row = await one_row(tx, _MEMBER, (wanted,))
    return None if row is None else Known(*row)


async def is_taken(tx: Tx, member: MemberId) -> bool:
    """Whether there is or was a member of this id."""
    return await one_row(tx, "select from members where id = %s", (member,)) is not None


async def profile_keys(tx: Tx, member: MemberId) -> list[str]:
    """By which profiles archives know this member."""
    return [row[0] for row in await all_rows(tx, _PROFILE_KEYS, (member,))]


async def members_of(tx: Tx, wanted: Iterable[tuple[str, MemberId]]) -> dict[str, MemberId]:
    """Whom profile keys stand for, where that is known; each with the id that is made from it.

    A closed account has no profile any more, and is found by its id.
    """
    rows = [{"profile_key": key, "id": member} for key, member in wanted]
    return {row[0]: row[1] for row in await all_rows(tx, _MEMBERS_OF, (as_json(rows),))}


async def locked(tx: Tx, importer: MemberId, others: Iterable[MemberId]) -> dict[MemberId, Known]:
    """The importer, locked like one who changes who may write to them, and others, like those who
    are written to: all in id order, so that whoever locks the same members queues up."""
    ids = sorted(set(others) - {importer})
    before = as_json([member for member in ids if member < importer])
    after = as_json([member for member in ids if member > importer])
    rows = await all_rows(tx, _LOCK_OTHERS, (before,))
    rows += await all_rows(tx, _LOCK_IMPORTER, (importer,))
    rows += await all_rows(tx, _LOCK_OTHERS, (after,))
    return {row[0]: Known(*row) for row in rows}


async def taken_handles(tx: Tx, wanted: Iterable[str]) -> set[str]:
    return {row[0] for row in await all_rows(tx, _TAKEN_HANDLES, (as_json(sorted(wanted)),))}


async def take_handles(tx: Tx, handles: Iterable[tuple[str, MemberId]]) -> None:
    rows = [{"handle": handle, "member_id": member} for handle, member in sorted(handles)]
    await tx.execute(_TAKE_HANDLES, (as_json(rows),))


async def remember_profiles(tx: Tx, profiles: Iterable[tuple[str, MemberId]]) -> None:
    """From now on these profile keys stand for these members; what stands for someone stays."""
    rows = [{"profile_key": key, "member_id": member} for key, member in sorted(profiles)]
    await tx.execute(_REMEMBER_PROFILES, (as_json(rows),))


async def fill(tx: Tx, members: Sequence[Known]) -> None:
    """Stores what was empty of unclaimed members; what others' lists call them follows."""
    rows = [
        {
            "id": m.id,
            "name": m.name,
            "headline": m.headline,
            "company": m.company,
            "location": m.location,
            "email": m.email,
            "search_text": search_text(m.name, m.headline, m.company),
        }
        for m in members
    ]
    if rows:
        await tx.execute(_FILL, (as_json(rows),))
        await tx.execute(_RENAME, (as_json(rows),))


# The network ------------------------------------------------------------------------------------


async def between(
    tx: Tx, importer: MemberId, others: Iterable[MemberId]
) -> dict[MemberId, Between]:
    params = {"importer": importer, "others": as_json(sorted(others))}
    return {row[0]: Between(*row[1:]) for row in await all_rows(tx, _BETWEEN, params)}


async def connect(tx: Tx, importer: MemberId, others: Iterable[tuple[MemberId, datetime]]) -> None:
    """Connects the importer with members to whom they are not connected, since these instants."""
    rows = [
        {"owner_id": owner, "member_id": member, "since": since}
        for other, since in others
        for owner, member in ((importer, other), (other, importer))
    ]
    rows.sort(key=lambda row: (str(row["owner_id"]), str(row["member_id"])))
    await tx.execute(_CONNECT, (as_json(rows),))


async def invite(tx: Tx, invitations: Iterable[Invitation]) -> set[InvitationId]:
    """Makes those that were never made before, whatever became of them: their ids."""
    rows: list[dict[str, object]] = []
    for each in invitations:
        row: dict[str, object] = {
            "id": each.id,
            "inviter_id": each.inviter,
            "note": each.note,
            "sent_at": each.sent_at,
        }
        rows.append(row | {"owner_id": each.inviter, "other_id": each.invitee, "outgoing": True})
        if each.shown:
            rows.append(
                row | {"owner_id": each.invitee, "other_id": each.inviter, "outgoing": False}
            )
    rows.sort(key=lambda row: (str(row["owner_id"]), str(row["id"])))
    return {row[0] for row in await all_rows(tx, _INVITE, (as_json(rows),))}


# Conversations ----------------------------------------------------------------------------------


async def known_conversations(
    tx: Tx, wanted: Iterable[tuple[MemberId, ConversationId]]
) -> dict[ConversationId, KnownConversation]:
    """Those that are there, locked in key order: whoever writes in one meanwhile waits."""
    rows = [{"owner_id": owner, "id": conversation} for owner, conversation in wanted]
    found = await all_rows(tx, _KNOWN_CONVERSATIONS, (as_json(rows),))
    return {
        row[1]: KnownConversation(
            home=row[0],
            id=row[1],
            recipient=row[2],
            participants=None if row[3] is None else decode_participants(row[3].encode()),
            messages=row[4],
            shared=row[5],
            exposed=row[6],
        )
        for row in found
    }


async def add_messages(
    tx: Tx,
    importer: MemberId,
    places: Sequence[Place],
    people: Iterable[tuple[int, MemberId]],
) -> list[Fresh]:
    """Adds the gathered messages that are not there yet, numbered by date after those that are.

    A message is known again by its conversation, instant and text, and by which of several equal
    ones it is. Its sender does not count: who leaves LinkedIn has no name in the next archive.
    """
    rows = [
        {
            "place": p.place,
            "identity": p.identity,
            "owner_id": p.home,
            "conversation_id": p.id,
            "messages": p.messages_before,
        }
        for p in places
    ]
    known = [
        {"owner_id": home, "conversation_id": conversation}
        for p in places
        for home, conversation in p.known
    ]
    senders = [{"place": place, "member_id": member} for place, member in people]
    await tx.execute(
        _MAKE_FRESH,
        {"places": as_json(rows), "known": as_json(known), "people": as_json(senders)},
    )
    await tx.execute("analyze import_fresh")
    await tx.execute(_ADD_MESSAGES)
    params = {"importer": importer, "chars": SNIPPET_CHARS_MAX * 2}
    found = await all_rows(tx, _FRESH, params)
    return [Fresh(*row[:8], snippet=snippet(row[8]), last_of_others=row[9]) for row in found]


async def add_conversations(
    tx: Tx, conversations: Sequence[NewConversation], rows: Sequence[NewRow]
) -> None:
    made = [
        {
            "owner_id": c.home,
            "id": c.id,
            "recipient_id": c.recipient,
            "participants": c.participants,
            "subject": c.subject,
            "shared": c.shared,
            "started_at": c.started_at,
            "last_activity_at": c.last_activity_at,
            "messages": c.messages,
        }
        for c in conversations
    ]
    await tx.execute(_ADD_CONVERSATIONS, (as_json(made),))
    await tx.execute(_ADD_ROWS, (as_json([_inbox_row(row) for row in rows]),))


async def continue_conversations(
    tx: Tx, importer: MemberId, changed: Sequence[tuple[KnownConversation, Fresh]]
) -> None:
    """Conversations that were there go on: what was added is history, and nothing to read anew."""
    rows = [
        {
            "owner_id": known.home,
            "id": known.id,
            "messages": known.messages + fresh.messages,
            "last_id": fresh.last_id,
            "last_sender": fresh.last_sender,
            "last_at": fresh.last_at,
            "snippet": fresh.snippet,
        }
        for known, fresh in changed
    ]
    params = {"rows": as_json(rows), "importer": importer}
    await tx.execute(_CONTINUE_CONVERSATIONS, params)
    await tx.execute(_CONTINUE_ROWS, params)


async def change_participants(
    tx: Tx, importer: MemberId, groups: Sequence[tuple[ConversationId, Sequence[Participant]]]
) -> None:
    rows = [
        {"owner_id": importer, "id": group, "participants": participants}
        for group, participants in groups
    ]
    await tx.execute(_CHANGE_PARTICIPANTS, (as_json(rows),))
    await tx.execute(_CHANGE_PARTICIPANTS_IN_LISTS, (as_json(rows),))


def _inbox_row(row: NewRow) -> dict[str, object]:
    c, fresh, counterpart = row.conversation, row.fresh, row.counterpart
    return {
        "owner_id": row.owner,
        "conversation_id": c.id,
        "home_id": c.home,
        "counterpart_id": None if counterpart is None else counterpart.id,
        "counterpart_handle": "" if counterpart is None else counterpart.handle,
        "counterpart_name": "" if counterpart is None else counterpart.name,
        "participants": c.participants,
        "begun": row.begun,
        "box": row.box,
        "focused": is_focused(Channel.MESSAGE, begun=row.begun, group=c.participants is not None),
        "subject": c.subject,
        "last_message_id": fresh.last_id,
        "last_sender_id": fresh.last_sender,
        "last_message_at": fresh.last_at,
        "snippet": fresh.snippet,
        "last_activity_at": c.last_activity_at,
        "read_number": row.read_number,
    }


_TABLES: Sequence[LiteralString] = (
    """
    create temporary table import_messages (
        place   integer not null,
        ordinal integer not null,
        sender  integer,
        sent_at timestamptz not null,
        body    text not null
    ) on commit drop
    """,
    """
    create temporary table import_fresh (
        place           integer not null,
        ordinal         integer not null,
        owner_id        uuid not null,
        conversation_id uuid not null,
        number          integer not null,
        id              uuid not null,
        sender_id       uuid,
        sent_at         timestamptz not null
    ) on commit drop
    """,
)
_COPY_MESSAGES = """
    copy import_messages (place, ordinal, sender, sent_at, body) from stdin
"""
_KNOWN_COLUMNS = """
    m.id::text, m.handle, m.name, m.headline, m.company, m.location, m.email, m.claimed,
    m.closed_at is not null
"""
_HOLDER = f"""
    select {_KNOWN_COLUMNS}
    from handles h
    join members m on m.id = h.member_id
    where h.handle = %s
"""
_MEMBER = f"select {_KNOWN_COLUMNS} from members m where m.id = %s and m.closed_at is null"
_PROFILE_KEYS = """
    select p.profile_key
    from imported_profiles p
    where p.member_id = %s
    order by p.profile_key
"""
_MEMBERS_OF = """
    select r.profile_key, m.id::text
    from json_to_recordset(%s) as r (profile_key text, id uuid)
    left join imported_profiles p on p.profile_key = r.profile_key
    join members m on m.id = coalesce(p.member_id, r.id)
"""
_LOCK_OTHERS = f"""
    select {_KNOWN_COLUMNS}
    from members m
    where m.id in (select value::uuid from json_array_elements_text(%s))
    order by m.id
    for key share of m
"""
_LOCK_IMPORTER = f"select {_KNOWN_COLUMNS} from members m where m.id = %s for update of m"
_TAKEN_HANDLES = """
    select h.handle
    from handles h
    where h.handle in (select value from json_array_elements_text(%s))
"""
_TAKE_HANDLES = """
    insert into handles (handle, member_id)
    select r.handle, r.member_id
    from json_to_recordset(%s) as r (handle text, member_id uuid)
"""
_REMEMBER_PROFILES = """
    insert into imported_profiles (profile_key, member_id)
    select r.profile_key, r.member_id
    from json_to_recordset(%s) as r (profile_key text, member_id uuid)
    on conflict (profile_key) do nothing
"""
_FILL = """
    update members m
    set name = r.name, headline = r.headline, company = r.company, location = r.location,
        email = r.email, search_text = r.search_text
    from json_to_recordset(%s) as r (id uuid, name text, headline text, company text,
        location text, email text, search_text text)
    where m.id = r.id and not m.claimed
"""
# The members' own rows say whose lists they stand in, and under which key.
_RENAME = """
    update inbox i
    set counterpart_name = r.name
    from json_to_recordset(%s) as r (id uuid, name text)
    join inbox mine on mine.owner_id = r.id
    where i.owner_id = mine.counterpart_id and i.conversation_id = mine.conversation_id
        and i.counterpart_name <> r.name
"""
# An invitation that its invitee does not see stands in the inviter's own list alone.
_BETWEEN = """
    select o.id::text,
        exists (
            select from connections k where k.owner_id = %(importer)s and k.member_id = o.id
        ),
        exists (
            select from blocks b where b.owner_id = %(importer)s and b.blocked_id = o.id
        ),
        exists (
            select from blocks b where b.owner_id = o.id and b.blocked_id = %(importer)s
        ),
        exists (
            select from invitations i
            where i.owner_id = %(importer)s and i.other_id = o.id and i.state = 'pending'
        )
        or exists (
            select from invitations i
            where i.owner_id = o.id and i.other_id = %(importer)s and i.state = 'pending'
        )
    from (select value::uuid as id from json_array_elements_text(%(others)s)) o
"""
_CONNECT = """
    insert into connections (owner_id, member_id, since)
    select r.owner_id, r.member_id, r.since
    from json_to_recordset(%s) as r (owner_id uuid, member_id uuid, since timestamptz)
"""
_INVITE = """
    insert into invitations (owner_id, id, other_id, outgoing, note, state, sent_at)
    select r.owner_id, r.id, r.other_id, r.outgoing, r.note, 'pending', r.sent_at
    from json_to_recordset(%s) as r (owner_id uuid, id uuid, inviter_id uuid, other_id uuid,
        outgoing boolean, note text, sent_at timestamptz)
    where not exists (
        select from invitations i where i.owner_id = r.inviter_id and i.id = r.id
    )
    returning id::text
"""
_KNOWN_CONVERSATIONS = """
    select c.owner_id::text, c.id::text, c.recipient_id::text, c.participants::text, c.messages,
        c.shared,
        c.shared and exists (
            select from members m
            where m.id = c.recipient_id and m.claimed and m.closed_at is null
        )
    from json_to_recordset(%s) as r (owner_id uuid, id uuid)
    join conversations c on c.owner_id = r.owner_id and c.id = r.id
    order by c.owner_id, c.id
    for update of c
"""
_MAKE_FRESH = """
    insert into import_fresh (place, ordinal, owner_id, conversation_id, number, id, sender_id,
        sent_at)
    with places as materialized (
        select r.*
        from json_to_recordset(%(places)s) as r (place integer, identity text, owner_id uuid,
            conversation_id uuid, messages integer)
    ),
    people as materialized (
        select r.* from json_to_recordset(%(people)s) as r (place integer, member_id uuid)
    ),
    known as materialized (
        select m.id
        from json_to_recordset(%(known)s) as r (owner_id uuid, conversation_id uuid)
        join messages m on m.owner_id = r.owner_id and m.conversation_id = r.conversation_id
    ),
    digested as (
        select m.place, m.ordinal, m.sender, m.sent_at,
            sha256(convert_to(m.body, 'UTF8')) as digest
        from import_messages m
    ),
    repeated as (
        select d.*, row_number() over (
            partition by d.place, d.sent_at, d.digest order by d.ordinal
        ) as repetition
        from digested d
    ),
    named as (
        select p.*, r.ordinal, r.sender, r.sent_at,
            encode(substring(sha256(convert_to(concat_ws(' ', p.identity,
                extract(epoch from r.sent_at), r.repetition, encode(r.digest, 'hex')
            ), 'UTF8')) for 16), 'hex')::uuid as id
        from repeated r
        join places p on p.place = r.place
    )
    select n.place, n.ordinal, n.owner_id, n.conversation_id,
        n.messages + row_number() over (partition by n.place order by n.sent_at, n.ordinal),
        n.id, p.member_id, n.sent_at
    from named n
    left join people p on p.place = n.sender
    where not exists (select from known k where k.id = n.id)
"""
_ADD_MESSAGES = """
    insert into messages (owner_id, conversation_id, number, id, sender_id, sent_at, body)
    select f.owner_id, f.conversation_id, f.number, f.id, f.sender_id, f.sent_at, m.body
    from import_fresh f
    join import_messages m on m.ordinal = f.ordinal
    order by f.owner_id, f.conversation_id, f.number
"""
_FRESH = """
    select s.place, s.messages, first.sent_at, first.sender_id::text, last.number, last.id::text,
        last.sender_id::text, last.sent_at, left(m.body, %(chars)s), s.last_of_others
    from (
        select f.place, count(*) as messages, min(f.number) as first_number,
            max(f.number) as last_number,
            coalesce(
                max(f.number) filter (where f.sender_id is distinct from %(importer)s::uuid), 0
            ) as last_of_others
        from import_fresh f
        group by f.place
    ) s
    join import_fresh first on first.place = s.place and first.number = s.first_number
    join import_fresh last on last.place = s.place and last.number = s.last_number
    join import_messages m on m.ordinal = last.ordinal
    order by s.place
"""
_ADD_CONVERSATIONS = """
    insert into conversations (owner_id, id, kind, recipient_id, participants, subject, channel,
        state, started_at, last_activity_at, shared, messages)
    select r.owner_id, r.id, 'direct', r.recipient_id, r.participants, r.subject, 'message',
        'imported', r.started_at, r.last_activity_at, r.shared, r.messages
    from json_to_recordset(%s) as r (owner_id uuid, id uuid, recipient_id uuid, participants json,
        subject text, started_at timestamptz, last_activity_at timestamptz, shared boolean,
        messages integer)
"""
_ADD_ROWS = """
    insert into inbox (owner_id, conversation_id, home_id, counterpart_id, counterpart_handle,
        counterpart_name, participants, kind, begun, state, box, subject, last_message_id,
        last_sender_id, last_message_at, snippet, last_activity_at, read_number, focused)
    select r.owner_id, r.conversation_id, r.home_id, r.counterpart_id, r.counterpart_handle,
        r.counterpart_name, r.participants, 'direct', r.begun, 'imported', r.box, r.subject,
        r.last_message_id, r.last_sender_id, r.last_message_at, r.snippet, r.last_activity_at,
        r.read_number, r.focused
    from json_to_recordset(%s) as r (owner_id uuid, conversation_id uuid, home_id uuid,
        counterpart_id uuid, counterpart_handle text, counterpart_name text, participants json,
        begun boolean, box text, subject text, last_message_id uuid, last_sender_id uuid,
        last_message_at timestamptz, snippet text, last_activity_at timestamptz,
        read_number integer, focused boolean)
"""
_CONTINUED = """
    json_to_recordset(%(rows)s) as r (owner_id uuid, id uuid, messages integer, last_id uuid,
        last_sender uuid, last_at timestamptz, snippet text)
"""
_CONTINUE_CONVERSATIONS = f"""
    update conversations c
    set messages = r.messages, last_activity_at = greatest(c.last_activity_at, r.last_at)
    from {_CONTINUED}
    where c.owner_id = r.owner_id and c.id = r.id
"""
_NEWER = "coalesce(r.last_at > i.last_message_at, true)"
# Both sides' rows: the home's and, where the conversation is shared, the recipient's.
_CONTINUE_ROWS = f"""
    update inbox i
    set last_message_id = case when {_NEWER} then r.last_id else i.last_message_id end,
        last_sender_id = case when {_NEWER} then r.last_sender else i.last_sender_id end,
        snippet = case when {_NEWER} then r.snippet else i.snippet end,
        last_message_at = case when {_NEWER} then r.last_at else i.last_message_at end,
        last_activity_at = greatest(i.last_activity_at, r.last_at),
        read_number = case when i.owner_id = %(importer)s::uuid and i.unread = 0
            then r.messages else i.read_number end
    from {_CONTINUED}
    join conversations c on c.owner_id = r.owner_id and c.id = r.id
    cross join lateral (
        values (c.owner_id), (case when c.shared then c.recipient_id end)
    ) as side (owner_id)
    where i.owner_id = side.owner_id and i.conversation_id = r.id
"""
_CHANGE_PARTICIPANTS = """
    update conversations c
    set participants = r.participants
    from json_to_recordset(%s) as r (owner_id uuid, id uuid, participants json)
    where c.owner_id = r.owner_id and c.id = r.id
"""
_CHANGE_PARTICIPANTS_IN_LISTS = """
    update inbox i
    set participants = r.participants
    from json_to_recordset(%s) as r (owner_id uuid, id uuid, participants json)
    where i.owner_id = r.owner_id and i.conversation_id = r.id
"""
