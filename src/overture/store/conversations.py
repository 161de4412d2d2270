"""Conversations in SQL: the facts a batch of commands needs, and the record of what it decided."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from overture.core.boxes import is_focused
from overture.core.contact import Pair, Party
from overture.core.conversations import Channel, Conversation, Kind, Response, State
from overture.core.credits import Account
from overture.core.ids import ConversationId, MemberId, first_of, made_at
from overture.core.pace import WINDOW, Paced
from overture.core.policy import PolicyBook
from overture.core.sending import Command, Delivery, Desk, LastMessage, OwnRow, Record, Start
from overture.store import files
from overture.store.db import Conflict, Tx, all_rows, as_json, note, pipelined

MEMBER_COLUMNS = """
    m.id, m.handle, m.name, m.time_zone, m.claimed, m.closed_at is not null, m.accept_inmail,
    m.open_profile, m.receipts_and_typing, m.premium_until, m.created_at,
    m.suspended_at is not null, m.slowed_until
"""
MEMBER_COLUMNS_COUNT = 13
CONVERSATION_COLUMNS = """
    c.id, c.owner_id, c.recipient_id, c.kind, c.channel, c.state, c.subject, c.started_at,
    c.last_activity_at, c.pool, c.refundable_until, c.response, c.responded_at, c.withdrawn_at,
    c.sender_wrote_at, c.recipient_wrote_at, c.shared, c.messages
"""

# Whom each command is about: named by a Start, found through the viewer's own row by all others. A
# conversation that the viewer has no row of is simply absent.
_ASKED = """
    with asked as materialized (
        select a.viewer, coalesce(a.other, i.counterpart_id) as other, a.conversation, i.home_id
        from json_to_recordset(%(asked)s) as a (viewer uuid, other uuid, conversation uuid)
        left join inbox i on i.owner_id = a.viewer and i.conversation_id = a.conversation
    )
"""


@dataclass(slots=True)
class Loaded:
    """A desk, and what each row looked like when it was read, for the conditional writes."""

    desk: Desk
    accounts: dict[tuple[MemberId, str], int]
    conversations: dict[ConversationId, tuple[int, State]]
    open_profile_sends: dict[MemberId, int]
    file_space: dict[MemberId, int]


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom facts are wanted about: another member, or a conversation of the viewer's."""

    viewer: MemberId
    other: MemberId | None = None
    conversation: ConversationId | None = None


def asked_by(command: Command) -> Asked:
    if isinstance(command, Start):
        return Asked(command.viewer, other=command.to)
    return Asked(command.viewer, conversation=command.conversation_id)


async def facts(
    tx: Tx,
    asked: Sequence[Asked],
    now: datetime,
    book: PolicyBook,
    *,
    lock: bool = True,
    alone: bool = False,
    deciding: bool = True,
    with_files: Sequence[MemberId] = (),
    paced: Mapping[MemberId, Paced] | None = None,
) -> Loaded:
    """All that deciding on these needs, in one round trip.

    The members are locked against closing and against changes of who may write to them, in id order,
    before anything else is read: what is decided on these facts still holds when it is committed.
    Who is to change who may write to whom, by a block, decides `alone`: other sends between these
    members happen before or after. A preview is not `deciding` and takes no lock. `with_files` names
    those whose commands bring files, `paced` those who are held to a pace.

    The statements see one after the other. Raises Conflict where one saw an InMail pending and the
    next one, which is to bring the account that its answer refunds, saw it no more.
    """
    locking = _MEMBERS_ALONE if alone else _LOCKED_MEMBERS
    params = {"asked": as_json(asked)}
    statements: list[tuple[Any, Any]] = [
        (locking if lock else _MEMBERS, params),
        (_PAIRS, params),
        (_CONVERSATIONS, params),
        (_ACCOUNTS, params),
        (_OPEN_PROFILE_SENDS, params),
        (_OWN_ROWS, params),
    ]
    if paced:
        since = min(each.at for each in paced.values()) - WINDOW
        most = max(each.pace.most for each in paced.values())
        statements.append((_BEGUN_LATELY, (list(paced), first_of(since), most)))
    cursors = await pipelined(tx, statements)
    members, pairs, conversations, accounts, free_sends, rows = cursors[:6]
    desk = Desk(
        now=now,
        book=book,
        members={row[0]: party(row) for row in await members.fetchall()},
        pairs={
            (viewer, other): Pair(connected, writer_blocked, blocked_writer, [])
            for viewer, other, connected, writer_blocked, blocked_writer in await pairs.fetchall()
        },
        conversations={row[0]: conversation(row) for row in await conversations.fetchall()},
        accounts={},
        open_profile_sends={},
        own_rows={
            (row[0], row[1]): OwnRow(last_message(row[2:6]), row[6])
            for row in await rows.fetchall()
        },
    )
    loaded = Loaded(desk, {}, {}, {}, await files.space_of(tx, with_files) if with_files else {})
    desk.file_space = dict(loaded.file_space)
    if paced:
        for viewer, begun in await cursors[6].fetchall():
            desk.begun_lately.setdefault(viewer, []).append(made_at(begun))
    for each in desk.conversations.values():
        loaded.conversations[each.id] = (each.messages, each.state)
        if each.recipient is not None:
            for key in ((each.sender, each.recipient), (each.recipient, each.sender)):
                if key in desk.pairs:
                    desk.pairs[key].conversations.append(each)
    for owner, pool, version, state in await accounts.fetchall():
        desk.accounts.setdefault(owner, {})[pool] = decode_account(state)
        loaded.accounts[owner, pool] = version
    for owner, version, sent_at in await free_sends.fetchall():
        desk.open_profile_sends[owner] = sent_at
        loaded.open_profile_sends[owner] = version
    if deciding and any(_lacks_account(each, loaded) for each in desk.conversations.values()):
        raise Conflict
    return loaded


def _lacks_account(each: Conversation, loaded: Loaded) -> bool:
    if each.state is not State.PENDING or each.pool is None:
        return False
    return (each.sender, each.pool) not in loaded.accounts


async def record(tx: Tx, loaded: Loaded) -> None:
    """Writes what the desk recorded, in one round trip. Raises Conflict where a row had moved on."""
    made: Record = loaded.desk.record
    statements: list[tuple[Any, Any]] = []
    expected: list[int] = []

    def write(statement: str, rows: Sequence[object], *, exactly: bool = True) -> None:
        if rows:
            statements.append((statement, (as_json(rows),)))
            expected.append(len(rows) if exactly else -1)

    # The rows that may be contended come first, each table in key order, so that two batches that
    # want the same ones queue up instead of locking each other out.
    write(_UPDATE_ACCOUNTS, _account_rows(loaded))
    write(_UPSERT_OPEN_PROFILE_SENDS, _open_profile_rows(loaded))
    write(files.UPDATE_SPACE, _space_rows(loaded, known=True))
    write(files.INSERT_SPACE, _space_rows(loaded, known=False))
    write(_UPDATE_CONVERSATIONS, _changed_rows(loaded))
    write(_INSERT_CONVERSATIONS, [_conversation_row(c) for c in made.begun.values()])
    write(_INSERT_MESSAGES, _message_rows(made))
    # Where the conversation is new nobody can have a row of it yet: those need no upsert.
    deliveries = [made.deliveries[key] for key in sorted(made.deliveries)]
    write(_INSERT_ROWS, [_inbox_row(d) for d in deliveries if d.conversation.id in made.begun])
    write(_DELIVER, [_inbox_row(d) for d in deliveries if d.conversation.id not in made.begun])
    write(INSERT_ENTRIES, entry_rows(made.entries))
    write(_INSERT_BLOCKS, _block_rows(loaded), exactly=False)
    write(INSERT_EVENTS, event_rows(made.events))
    for row in files.file_rows(made):
        statements.append((files.INSERT_FILE, row))
        expected.append(1)
    if made.begun:
        # Last: whoever wrote of the same two at the same time was waited for by then.
        statements.append((_BETWEEN, (as_json(_pair_rows(made)),)))
        expected.append(-1)
    note(tx, entered(made.entries))
    cursors = await pipelined(tx, statements)
    for cursor, count in zip(cursors, expected, strict=True):
        if count not in (-1, cursor.rowcount):
            raise Conflict
    if made.begun:
        for found, state in await cursors[-1].fetchall():
            known = loaded.desk.conversations.get(found)
            if known is None or known.state != state:
                raise Conflict


def _pair_rows(made: Record) -> list[dict[str, object]]:
    return [{"owner_id": c.sender, "other_id": c.recipient} for c in made.begun.values()]


async def begun_lately(tx: Tx, member: MemberId, since: datetime, most: int) -> list[datetime]:
    """When the member began letters to strangers since then, the newest first; at most so many."""
    rows = await all_rows(tx, _BEGUN_LATELY, ([member], first_of(since), most))
    return [made_at(row[1]) for row in rows]


def party(row: Sequence[Any]) -> Party:
    """A member from MEMBER_COLUMNS."""
    return Party(*row)


def conversation(row: Sequence[Any]) -> Conversation:
    """A conversation from CONVERSATION_COLUMNS."""
    return Conversation(
        id=row[0],
        sender=row[1],
        recipient=row[2],
        kind=Kind(row[3]),
        channel=Channel(row[4]),
        state=State(row[5]),
        subject=row[6],
        started_at=row[7],
        last_activity_at=row[8],
        pool=row[9],
        refundable_until=row[10],
        response=None if row[11] is None else Response(row[11]),
        responded_at=row[12],
        withdrawn_at=row[13],
        sender_wrote_at=row[14],
        recipient_wrote_at=row[15],
        shared=row[16],
        messages=row[17],
    )


def last_message(row: Sequence[Any]) -> LastMessage | None:
    """The last message of an inbox row: its id, sender, instant and snippet."""
    return None if row[0] is None else LastMessage(*row)


decode_account = msgspec.json.Decoder(Account).decode


def entry_rows(entries: Sequence[tuple[MemberId, str, Any]]) -> list[dict[str, object]]:
    return [
        {
            "owner_id": owner,
            "pool": pool,
            "number": entry.number,
            "at": entry.at,
            "kind": entry.kind,
            "credits": entry.credits,
            "forfeited": entry.forfeited,
            "reason": entry.reason,
            "plan": entry.plan,
            "lot": entry.lot,
            "expires_at": entry.expires_at,
            "inmail_id": entry.inmail_id,
            "balance": entry.balance,
            "link": entry.link,
        }
        for owner, pool, entry in entries
    ]


def entered(entries: Sequence[tuple[MemberId, str, Any]]) -> Iterator[tuple[tuple[str, ...], int]]:
    """What these entries come to, for those who count: credits, by pool and kind."""
    for _, pool, entry in entries:
        if entry.credits:
            yield ("credits", pool, str(entry.kind)), abs(entry.credits)
        if entry.forfeited:
            yield ("credits", pool, "forfeited"), entry.forfeited


def event_rows(events: Sequence[Any]) -> list[dict[str, object]]:
    return [{"owner_id": e.owner, "kind": e.kind, "at": e.at, "payload": e.payload} for e in events]


def account_row(account: Account, version: int) -> dict[str, object]:
    """`version` is the one that was read; the row is written only where it still stands."""
    return {
        "owner_id": account.owner,
        "pool": account.pool,
        "version": version,
        "balance": account.balance,
        "next_due_at": account.next_due_at,
        "state": account,
    }


def _account_rows(loaded: Loaded) -> list[dict[str, object]]:
    changed = loaded.desk.record.accounts
    return [account_row(changed[key], loaded.accounts[key]) for key in sorted(changed)]


def _open_profile_rows(loaded: Loaded) -> list[dict[str, object]]:
    return [
        {
            "owner_id": owner,
            "version": loaded.open_profile_sends.get(owner, 0) + 1,
            "sent_at": sent_at,
        }
        for owner, sent_at in sorted(loaded.desk.record.open_profile_sends.items())
    ]


def _space_rows(loaded: Loaded, *, known: bool) -> list[dict[str, object]]:
    """Of those who had files before, or of those who have their first."""
    before = loaded.file_space
    return [
        {"owner_id": owner, "bytes": taken, "bytes_before": before.get(owner)}
        for owner, taken in sorted(loaded.desk.record.file_space.items())
        if (owner in before) is known
    ]


def _changed_rows(loaded: Loaded) -> list[dict[str, object]]:
    changed = loaded.desk.record.changed
    rows: list[dict[str, object]] = []
    for key in sorted(changed):
        messages, state = loaded.conversations[key]
        row = _conversation_row(changed[key])
        rows.append(row | {"messages_before": messages, "state_before": state})
    return rows


def _conversation_row(c: Conversation) -> dict[str, object]:
    return {
        "owner_id": c.sender,
        "id": c.id,
        "kind": c.kind,
        "recipient_id": c.recipient,
        "subject": c.subject,
        "channel": c.channel,
        "state": c.state,
        "started_at": c.started_at,
        "pool": c.pool,
        "refundable_until": c.refundable_until,
        "response": c.response,
        "responded_at": c.responded_at,
        "withdrawn_at": c.withdrawn_at,
        "last_activity_at": c.last_activity_at,
        "recipient_wrote_at": c.recipient_wrote_at,
        "sender_wrote_at": c.sender_wrote_at,
        "messages": c.messages,
    }


def _message_rows(made: Record) -> list[dict[str, object]]:
    return [
        {
            "owner_id": home.sender,
            "conversation_id": home.id,
            "number": message.number,
            "id": message.id,
            "sender_id": message.sender,
            "sent_at": message.sent_at,
            "body": message.body,
            "quick_reply": message.quick_reply,
            "files": message.files or None,
        }
        for home, message in made.messages
    ]


def _inbox_row(delivery: Delivery) -> dict[str, object]:
    c, message = delivery.conversation, delivery.message
    begun = c.sender == delivery.owner
    pending = c.state is State.PENDING
    withdrawn = c.state is State.WITHDRAWN and not begun
    return {
        "owner_id": delivery.owner,
        "conversation_id": c.id,
        "home_id": c.sender,
        "counterpart_id": delivery.counterpart.id,
        "counterpart_handle": delivery.counterpart.handle,
        "counterpart_name": delivery.counterpart.name,
        "kind": c.kind,
        "begun": begun,
        "state": c.state,
        "box": "requests" if pending and not begun else "inbox",
        "focused": is_focused(c.channel, begun=begun),
        # Of a withdrawn InMail the recipient sees only that it was withdrawn.
        "subject": "" if withdrawn else c.subject,
        "last_message_id": None if message is None else message.id,
        "last_sender_id": None if message is None else message.sender,
        "last_message_at": None if message is None else message.sent_at,
        "snippet": "" if message is None else message.snippet,
        "last_activity_at": c.last_activity_at,
        "unread": delivery.unread,
        "read_number": delivery.read_number,
        "pending_since": c.started_at if pending else None,
        "credits": len(c.refundable_until),
        "expires_refund_at": c.expires_refund_at if pending else None,
        "refund": c.refund if begun else None,
    }


def _block_rows(loaded: Loaded) -> list[dict[str, object]]:
    at = loaded.desk.now
    blocks = sorted(set(loaded.desk.record.blocks))
    return [{"owner_id": owner, "blocked_id": blocked, "at": at} for owner, blocked in blocks]


_MEMBERS = f"""
    {_ASKED}
    select {MEMBER_COLUMNS}
    from members m
    where m.id in (select viewer from asked union select other from asked)
    order by m.id
"""
_LOCKED_MEMBERS = f"{_MEMBERS} for key share of m"
_MEMBERS_ALONE = f"{_MEMBERS} for update of m"
_PAIRS = f"""
    {_ASKED}
    select distinct p.viewer, p.other,
        exists (select from connections k where k.owner_id = p.viewer and k.member_id = p.other),
        exists (select from blocks b where b.owner_id = p.viewer and b.blocked_id = p.other),
        exists (select from blocks b where b.owner_id = p.other and b.blocked_id = p.viewer)
    from asked p
    where p.other is not null
"""
_CONVERSATIONS = f"""
    {_ASKED}
    select {CONVERSATION_COLUMNS}
    from (
        select i.home_id, i.conversation_id
        from asked p
        join inbox i on i.owner_id = p.viewer and i.counterpart_id = p.other
        union
        select p.home_id, p.conversation
        from asked p
        where p.home_id is not null
    ) known
    join conversations c on c.owner_id = known.home_id and c.id = known.conversation_id
"""
# The viewer's own, for what they send; and of whoever waits for the viewer's answer, for the refund.
_ACCOUNTS = f"""
    {_ASKED}
    select a.owner_id, a.pool, a.version, a.state
    from credit_accounts a
    where a.owner_id in (
        select viewer from asked
        union
        select i.counterpart_id
        from asked p
        join inbox i on i.owner_id = p.viewer and i.counterpart_id = p.other
            and i.state = 'pending'
    )
"""
_OPEN_PROFILE_SENDS = f"""
    {_ASKED}
    select s.owner_id, s.version, s.sent_at
    from open_profile_sends s
    where s.owner_id in (select viewer from asked)
"""
# An id tells when it was made, so that the letters of a day lie side by side in the key.
_BEGUN_LATELY = """
    select c.owner_id, c.id
    from unnest(%s::uuid[]) as p (viewer)
    cross join lateral (
        select c.owner_id, c.id
        from conversations c
        where c.owner_id = p.viewer and c.id >= %s::uuid and c.kind = 'inmail'
        order by c.id desc
        limit %s
    ) c
"""
_OWN_ROWS = f"""
    {_ASKED}
    select i.owner_id, i.conversation_id, i.last_message_id, i.last_sender_id, i.last_message_at,
        i.snippet, i.unread
    from asked p
    join inbox i on i.owner_id = p.viewer and i.conversation_id = p.conversation
"""
_UPDATE_ACCOUNTS = """
    update credit_accounts a
    set version = a.version + 1, balance = r.balance, next_due_at = r.next_due_at, state = r.state
    from json_to_recordset(%s) as r (owner_id uuid, pool text, version bigint, balance integer,
        next_due_at timestamptz, state json)
    where a.owner_id = r.owner_id and a.pool = r.pool and a.version = r.version
"""
_UPSERT_OPEN_PROFILE_SENDS = """
    insert into open_profile_sends as s (owner_id, version, sent_at)
    select r.owner_id, r.version, r.sent_at
    from json_to_recordset(%s) as r (owner_id uuid, version bigint, sent_at timestamptz[])
    on conflict (owner_id) do update
    set version = excluded.version, sent_at = excluded.sent_at
    where s.version = excluded.version - 1
"""
_CONVERSATION_RECORD = """
    r (owner_id uuid, id uuid, kind text, recipient_id uuid, subject text, channel text, state text,
        started_at timestamptz, pool text, refundable_until timestamptz[], response text,
        responded_at timestamptz, withdrawn_at timestamptz, last_activity_at timestamptz,
        recipient_wrote_at timestamptz, sender_wrote_at timestamptz, messages integer,
        messages_before integer, state_before text)
"""
_UPDATE_CONVERSATIONS = f"""
    update conversations c
    set state = r.state, pool = r.pool, refundable_until = r.refundable_until,
        response = r.response, responded_at = r.responded_at, withdrawn_at = r.withdrawn_at,
        last_activity_at = r.last_activity_at, recipient_wrote_at = r.recipient_wrote_at,
        sender_wrote_at = r.sender_wrote_at, messages = r.messages
    from json_to_recordset(%s) as {_CONVERSATION_RECORD}
    where c.owner_id = r.owner_id and c.id = r.id
        and c.messages = r.messages_before and c.state = r.state_before
"""
_INSERT_CONVERSATIONS = f"""
    insert into conversations (owner_id, id, kind, recipient_id, subject, channel, state,
        started_at, pool, refundable_until, response, responded_at, withdrawn_at,
        last_activity_at, recipient_wrote_at, sender_wrote_at, messages)
    select r.owner_id, r.id, r.kind, r.recipient_id, r.subject, r.channel, r.state,
        r.started_at, r.pool, r.refundable_until, r.response, r.responded_at, r.withdrawn_at,
        r.last_activity_at, r.recipient_wrote_at, r.sender_wrote_at, r.messages
    from json_to_recordset(%s) as {_CONVERSATION_RECORD}
"""
# A letter is begun where nothing else lies between two members that would make it free, or forbid it.
_BETWEEN = """
    select i.conversation_id, i.state
    from json_to_recordset(%s) as r (owner_id uuid, other_id uuid)
    join inbox i on i.owner_id = r.owner_id and i.counterpart_id = r.other_id
"""
# A number that is taken means that the row it follows from had moved on. To be counted and tried
# again like the others: an error would cost the connection.
_INSERT_MESSAGES = """
    insert into messages (owner_id, conversation_id, number, id, sender_id, sent_at, body,
        quick_reply, files)
    select r.owner_id, r.conversation_id, r.number, r.id, r.sender_id, r.sent_at, r.body,
        r.quick_reply, r.files
    from json_to_recordset(%s) as r (owner_id uuid, conversation_id uuid, number integer, id uuid,
        sender_id uuid, sent_at timestamptz, body text, quick_reply text, files json)
    on conflict (owner_id, conversation_id, number) do nothing
"""
_INSERT_ROWS = """
    insert into inbox as i (owner_id, conversation_id, home_id, counterpart_id, counterpart_handle,
        counterpart_name, kind, begun, state, box, subject, last_message_id, last_sender_id,
        last_message_at, snippet, last_activity_at, unread, read_number, pending_since, credits,
        expires_refund_at, focused, refund)
    select r.owner_id, r.conversation_id, r.home_id, r.counterpart_id, r.counterpart_handle,
        r.counterpart_name, r.kind, r.begun, r.state, r.box, r.subject, r.last_message_id,
        r.last_sender_id, r.last_message_at, r.snippet, r.last_activity_at, r.unread,
        r.read_number, r.pending_since, r.credits, r.expires_refund_at, r.focused, r.refund
    from json_to_recordset(%s) as r (owner_id uuid, conversation_id uuid, home_id uuid,
        counterpart_id uuid, counterpart_handle text, counterpart_name text, kind text,
        begun boolean, state text, box text, subject text, last_message_id uuid,
        last_sender_id uuid, last_message_at timestamptz, snippet text,
        last_activity_at timestamptz, unread integer, read_number integer,
        pending_since timestamptz, credits integer, expires_refund_at timestamptz,
        focused boolean, refund text)
"""
# A member's own row follows the conversation: made by the first message, then kept. New messages
# bring it back from the archive, but not from spam; and whatever happens, from having been put off.
# What its member accepts is under Focused from then on.
_DELIVER = f"""
    {_INSERT_ROWS}
    on conflict (owner_id, conversation_id) do update
    set state = excluded.state,
        box = case when i.box = 'spam' or (i.box = 'archived' and excluded.last_message_id is null)
            then i.box else excluded.box end,
        subject = excluded.subject,
        last_message_id = coalesce(excluded.last_message_id, i.last_message_id),
        last_sender_id = coalesce(excluded.last_sender_id, i.last_sender_id),
        last_message_at = coalesce(excluded.last_message_at, i.last_message_at),
        snippet = case
            when excluded.state = 'withdrawn' and not i.begun then ''
            when excluded.last_message_id is null then i.snippet
            else excluded.snippet end,
        last_activity_at = excluded.last_activity_at,
        unread = case
            when excluded.state = 'withdrawn' and not i.begun then 0
            when excluded.read_number > 0 then excluded.unread
            else i.unread + excluded.unread end,
        read_number = greatest(i.read_number, excluded.read_number),
        -- Who writes here has read what stands before it.
        told_number = case when excluded.read_number > 0 then null else i.told_number end,
        pending_since = excluded.pending_since,
        credits = excluded.credits,
        expires_refund_at = excluded.expires_refund_at,
        focused = i.focused or (i.state = 'pending' and excluded.state = 'accepted'),
        marked_unread = i.marked_unread and excluded.read_number = 0
            and excluded.state = i.state,
        snoozed_until = case
            when excluded.last_message_id is null and excluded.state = i.state
            then i.snoozed_until end,
        refund = coalesce(excluded.refund, i.refund)
"""
INSERT_ENTRIES = """
    insert into ledger_entries (owner_id, pool, number, at, kind, credits, forfeited, reason, plan,
        lot, expires_at, inmail_id, balance, link)
    select r.owner_id, r.pool, r.number, r.at, r.kind, r.credits, r.forfeited, r.reason, r.plan,
        r.lot, r.expires_at, r.inmail_id, r.balance, r.link
    from json_to_recordset(%s) as r (owner_id uuid, pool text, number integer, at timestamptz,
        kind text, credits integer, forfeited integer, reason text, plan text, lot integer,
        expires_at timestamptz, inmail_id uuid, balance integer, link text)
    on conflict (owner_id, pool, number) do nothing
"""
_INSERT_BLOCKS = """
    insert into blocks (owner_id, blocked_id, at)
    select r.owner_id, r.blocked_id, r.at
    from json_to_recordset(%s) as r (owner_id uuid, blocked_id uuid, at timestamptz)
    on conflict (owner_id, blocked_id) do nothing
"""
INSERT_EVENTS = """
    insert into outbox (owner_id, kind, at, payload)
    select r.owner_id, r.kind, r.at, r.payload
    from json_to_recordset(%s) as r (owner_id uuid, kind text, at timestamptz, payload json)
"""
