"""What members see of their conversations: boxes, threads, what was read, and search in messages.

All of it goes through the viewer's own row in `inbox`: a stranger's conversation is simply absent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, LiteralString
from uuid import UUID

import msgspec

from overture.core.conversations import Kind, Message, State
from overture.core.editing import Written
from overture.core.files import File
from overture.core.ids import ConversationId, MemberId, MessageId
from overture.core.receipts import receipts_are_shown, typing_is_shown
from overture.core.text import snippet
from overture.store import pages
from overture.store.db import Tx, all_rows, one_row, pipelined
from overture.store.pages import Page


class Box(StrEnum):
    """The lists of conversations; all but `sent` and `unread` are where a conversation lies."""

    INBOX = "inbox"
    REQUESTS = "requests"
    SENT = "sent"
    UNREAD = "unread"
    ARCHIVED = "archived"
    SPAM = "spam"


class Participant(msgspec.Struct, frozen=True):
    """One of an imported group, as `participants` holds them; an id and a handle are a member's."""

    name: str
    id: MemberId | None = None
    handle: str | None = None


class ListRow(msgspec.Struct, frozen=True, gc=False):
    """A conversation as a list shows it. In a group nobody is the counterpart.

    A member whose account is closed has an empty handle and name. `begun` is by the viewer.
    """

    id: ConversationId
    subject: str
    kind: Kind
    state: State
    counterpart_id: MemberId | None
    counterpart_handle: str
    counterpart_name: str
    participants: Sequence[Participant] | None
    last_message_id: MessageId | None
    last_sender_id: MemberId | None
    last_message_at: datetime | None
    snippet: str
    unread: int
    pending_since: datetime | None
    credits: int
    expires_refund_at: datetime | None
    last_activity_at: datetime
    begun: bool

    @property
    def hidden(self) -> bool:
        """Of a withdrawn InMail the recipient sees only that it was withdrawn."""
        return self.state is State.WITHDRAWN and not self.begun


@dataclass(frozen=True, slots=True)
class Thread:
    """A conversation as its own page shows it: `box` is where it lies, and `seen_up_to` the last
    message that the other side has read, None where that is not told."""

    row: ListRow
    box: Box
    seen_up_to: MessageId | None


@dataclass(frozen=True, slots=True)
class Held:
    """A conversation that a member may look into: made by `conversation_of` alone."""

    id: ConversationId
    viewer: MemberId
    home: MemberId
    counterpart: MemberId | None
    begun: bool
    kind: Kind
    state: State
    box: Box
    read_number: int

    @property
    def hidden(self) -> bool:
        """Of a withdrawn InMail the recipient sees only that it was withdrawn."""
        return self.state is State.WITHDRAWN and not self.begun


@dataclass(frozen=True, slots=True)
class Found:
    """A message that a search found, and the conversation that it stands in."""

    message: Message
    subject: str
    counterpart_id: MemberId | None
    counterpart_handle: str
    counterpart_name: str


# Boxes and threads ------------------------------------------------------------------------------


async def page(tx: Tx, viewer: MemberId, box: Box, cursor: str | None, limit: int) -> Page[ListRow]:
    """Newest first by (last activity, id). Raises BadCursor."""
    before = _before(cursor)
    rows = await all_rows(
        tx, _PAGES[box], {"viewer": viewer, "at": before[0], "id": before[1], "limit": limit + 1}
    )
    return pages.page_of(rows, limit, list_row, _place_in_list)


async def one(tx: Tx, viewer: MemberId, conversation_id: ConversationId) -> Thread | None:
    """The viewer's conversation with this id, if there is one."""
    row = await one_row(tx, _ONE, {"viewer": viewer, "id": conversation_id})
    if row is None:
        return None
    shown, (box, seen_up_to, both_on) = list_row(row), row[18:]
    told = receipts_are_shown(both_on=bool(both_on), begun=shown.begun, state=shown.state)
    return Thread(shown, Box(box), seen_up_to if told and not shown.hidden else None)


async def between(
    tx: Tx, viewer: MemberId, first: ConversationId, last: ConversationId
) -> list[tuple[ConversationId, datetime]]:
    """The viewer's conversations whose ids lie here, ends included, and when each was last active."""
    rows = await all_rows(tx, _IDS_BETWEEN, (viewer, first, last))
    return [(ConversationId(row[0]), row[1]) for row in rows]


async def conversation_of(
    tx: Tx, viewer: MemberId, conversation_id: ConversationId, *, lock: bool = False
) -> Held | None:
    """The only way to hold a conversation: through the viewer's own row, which `lock` locks."""
    row = await one_row(tx, _HOLD_LOCKED if lock else _HOLD, (viewer, conversation_id))
    if row is None:
        return None
    home, counterpart, begun, kind, state, box, read_number = row
    return Held(
        id=conversation_id,
        viewer=viewer,
        home=home,
        counterpart=counterpart,
        begun=begun,
        kind=Kind(kind),
        state=State(state),
        box=Box(box),
        read_number=read_number,
    )


async def messages(tx: Tx, held: Held, cursor: str | None, limit: int) -> Page[Message]:
    """Newest first by number; none at all where they are hidden. Raises BadCursor."""
    before = _LAST_NUMBER if cursor is None else pages.decode(cursor, tuple[int])[0]
    if held.hidden:
        return Page([], None)
    rows = await all_rows(tx, _MESSAGES, (held.home, held.id, before, limit + 1))
    return pages.page_of(rows, limit, message, lambda row: (row[2],))


# What changes in the viewer's own row -----------------------------------------------------------


async def number_of(tx: Tx, held: Held, message_id: MessageId) -> int | None:
    """The number of a message that the viewer sees in this conversation."""
    if held.hidden:
        return None
    row = await one_row(tx, _NUMBER_OF, (held.home, held.id, message_id))
    return None if row is None else row[0]


async def mark_read(tx: Tx, held: Held, number: int, now: datetime) -> bool:
    """Everything up to this number is read, and a mark set by hand is gone; so is a reminder that
    has come. False where nothing changed: nothing is ever un-read."""
    params = {"viewer": held.viewer, "id": held.id, "number": number, "now": now}
    return await one_row(tx, _MARK_READ, params) is not None


async def mark_unread(tx: Tx, held: Held) -> bool:
    """For the viewer's own eye. False where it is unread already."""
    return await one_row(tx, _MARK_UNREAD, (held.viewer, held.id)) is not None


async def star(tx: Tx, held: Held, *, on: bool) -> bool:
    """False where that is how it was; likewise below."""
    return await one_row(tx, _STAR, (on, held.viewer, held.id, on)) is not None


async def mute(tx: Tx, held: Held, *, on: bool) -> bool:
    return await one_row(tx, _MUTE, (on, held.viewer, held.id, on)) is not None


async def focus(tx: Tx, held: Held, *, on: bool) -> bool:
    return await one_row(tx, _FOCUS, (on, held.viewer, held.id, on)) is not None


async def snooze(tx: Tx, held: Held, until: datetime | None, box: Box) -> bool:
    """Puts it off and marks it unread, so that it is seen when it comes back; None ends that."""
    params = {"viewer": held.viewer, "id": held.id, "until": until, "box": box}
    return await one_row(tx, _SNOOZE if until else _WAKE, params) is not None


# One message ------------------------------------------------------------------------------------


async def written(tx: Tx, held: Held, message_id: MessageId) -> tuple[Message, Written] | None:
    """A message that the viewer sees here, and what decides over changing it.

    Both sides' rows are locked, in owner order: whoever reads or writes here waits.
    """
    if held.hidden:
        return None
    params = {"viewer": held.viewer, "other": held.counterpart, "id": held.id}
    await tx.execute(_LOCK_BOTH, params)
    found = await one_row(tx, _ONE_MESSAGE, (held.home, held.id, message_id))
    if found is None:
        return None
    row = await one_row(tx, _AROUND, params)
    assert row is not None, "the viewer has a row"
    connected, blocked, reachable = row
    one = message(found)
    return one, Written(
        mine=one.sender == held.viewer,
        number=one.number,
        sent_at=one.sent_at,
        deleted=one.deleted_at is not None,
        kind=held.kind,
        state=held.state,
        begun=held.begun,
        connected=connected,
        blocked=blocked,
        reachable=reachable,
    )


async def edit(tx: Tx, held: Held, old: Message, body: str, now: datetime) -> None:
    """Changes a message's text, and what both sides' lists show of it."""
    key = (held.home, held.id, old.number)
    line = _line_of(held, old) | {"snippet": snippet(body)}
    await pipelined(tx, ((_EDIT, (body, now, *key)), (_CHANGE_LINE, line)))


async def delete(tx: Tx, held: Held, old: Message, now: datetime) -> None:
    """Leaves the message's place without its text. Its files are another statement's."""
    key = (held.home, held.id, old.number)
    line = _line_of(held, old) | {"snippet": ""}
    await pipelined(
        tx,
        (
            (_DELETE, (now, *key)),
            (_CHANGE_LINE, line),
            (_ONE_UNREAD_LESS, line | {"number": old.number}),
        ),
    )


def _line_of(held: Held, old: Message) -> dict[str, object]:
    return {"viewer": held.viewer, "other": held.counterpart, "id": held.id, "message": old.id}


async def move(tx: Tx, held: Held, box: Box) -> bool:
    """Puts the conversation into another box. False where it lies there already."""
    params = {"viewer": held.viewer, "id": held.id, "box": box}
    return await one_row(tx, _MOVE, params) is not None


async def notify_typing(tx: Tx, held: Held) -> bool:
    """Tells listeners that the viewer types, where the rules let the other side see it.

    The payload of the channel `overture_typing` is the ids of the conversation, the one who types
    and the one who may see it. It is kept nowhere.
    """
    if held.counterpart is None:
        return False
    row = await one_row(tx, _BETWEEN, (held.viewer, held.counterpart, held.id))
    if row is None:
        return False
    both_on, connected, blocked = row
    if not typing_is_shown(
        both_on=both_on,
        begun=held.begun,
        kind=held.kind,
        state=held.state,
        connected=connected,
        blocked=blocked,
    ):
        return False
    payload = f"{held.id} {held.viewer} {held.counterpart}"
    await tx.execute("select pg_notify('overture_typing', %s)", (payload,))
    return True


# Search -----------------------------------------------------------------------------------------


async def search(
    tx: Tx, viewer: MemberId, wanted: str, cursor: str | None, limit: int
) -> Page[Found]:
    """The viewer's messages in which every word of `wanted` begins a word, newest first.

    A conversation's subject counts as part of its first message. Raises BadCursor.
    """
    before = _before(cursor)
    words = (await all_rows(tx, _WORDS, {"text": wanted} | _MARKS))[0][0]
    if not words:
        return Page([], None)
    params: dict[str, object] = {
        "viewer": viewer,
        "at": before[0],
        "id": before[1],
        "limit": limit + 1,
        # A word holds no sign that means something here: `_WORDS` has made them blanks.
        "within": [f"%{word}%" for word in words],
        "begins": [f"(^|[^[:alnum:]]){word}" for word in words],
        "query": " & ".join(f"'{word}':*" for word in words),
    }
    rows = await all_rows(tx, _SEARCH, params | _MARKS)
    return pages.page_of(rows, limit, _found, lambda row: (row[4], row[0]))


def list_row(row: Sequence[Any]) -> ListRow:
    """A conversation from `_SELECT_ROW`."""
    participants = row[7]
    return ListRow(
        row[0],
        row[1],
        KINDS[row[2]],
        STATES[row[3]],
        row[4],
        row[5],
        row[6],
        None if participants is None else decode_participants(participants),
        *row[8:18],
    )


decode_participants = msgspec.json.Decoder(list[Participant]).decode
decode_files = msgspec.json.Decoder(list[File]).decode

KINDS = {kind.value: kind for kind in Kind}
STATES = {state.value: state for state in State}
_LAST_NUMBER = 2**31 - 1


def _before(cursor: str | None) -> tuple[str, str]:
    """Where a list by instant and id goes on: at its newest without a cursor."""
    if cursor is None:
        return "infinity", "ffffffff-ffff-ffff-ffff-ffffffffffff"
    at, id_ = pages.decode(cursor, tuple[datetime, UUID])
    return at.isoformat(), str(id_)


def _place_in_list(row: Sequence[Any]) -> tuple[datetime, ConversationId]:
    return row[16], row[0]


def message(row: Sequence[Any]) -> Message:
    """A message from MESSAGE_COLUMNS."""
    return Message(
        *row[:7],
        files=() if row[7] is None else decode_files(row[7]),
        edited_at=row[8],
        deleted_at=row[9],
    )


def _found(row: Sequence[Any]) -> Found:
    files = () if row[12] is None else decode_files(row[12])
    return Found(Message(*row[:7], files=files, edited_at=row[11]), *row[7:11])


# Ids are made text in SQL: the driver's own loader of text is faster than ours of uuid, and a page
# has many of them.
ROW_COLUMNS = """
    i.conversation_id::text, i.subject, i.kind, i.state, i.counterpart_id::text,
    i.counterpart_handle, i.counterpart_name, i.participants, i.last_message_id::text,
    i.last_sender_id::text, i.last_message_at, i.snippet, i.unread, i.pending_since, i.credits,
    i.expires_refund_at, i.last_activity_at, i.begun
"""


_SELECT_ROW: LiteralString = f"select {ROW_COLUMNS}"


def _box(which: LiteralString) -> LiteralString:
    """A page of a box: one range of one index."""
    return f"""
        {_SELECT_ROW}
        from inbox i
        where i.owner_id = %(viewer)s and {which}
            and (i.last_activity_at, i.conversation_id) < (%(at)s::timestamptz, %(id)s::uuid)
        order by i.last_activity_at desc, i.conversation_id desc
        limit %(limit)s
    """


_PAGES: dict[Box, LiteralString] = {
    Box.INBOX: _box("i.box = 'inbox'"),
    Box.REQUESTS: _box("i.box = 'requests'"),
    Box.SENT: _box("i.begun"),
    Box.UNREAD: _box("i.unread > 0 and i.box <> 'spam'"),
    Box.ARCHIVED: _box("i.box = 'archived'"),
    Box.SPAM: _box("i.box = 'spam'"),
}
_IDS_BETWEEN = """
    select conversation_id, last_activity_at
    from inbox
    where owner_id = %s and conversation_id between %s and %s
"""
_ONE = f"""
    {_SELECT_ROW}, i.box, seen.id::text,
        me.receipts_and_typing and them.receipts_and_typing
    from inbox i
    join members me on me.id = i.owner_id
    left join members them on them.id = i.counterpart_id
    left join inbox other on other.owner_id = i.counterpart_id
        and other.conversation_id = i.conversation_id
    left join messages seen on seen.owner_id = i.home_id
        and seen.conversation_id = i.conversation_id
        and seen.number = coalesce(other.told_number, other.read_number)
    where i.owner_id = %(viewer)s and i.conversation_id = %(id)s
"""
_HOLD = """
    select i.home_id, i.counterpart_id, i.begun, i.kind, i.state, i.box, i.read_number
    from inbox i
    where i.owner_id = %s and i.conversation_id = %s
"""
_HOLD_LOCKED: LiteralString = f"{_HOLD} for update of i"
MESSAGE_COLUMNS = """
    m.id::text, m.conversation_id::text, m.number, m.sender_id::text, m.sent_at, m.body,
    m.quick_reply, m.files, m.edited_at, m.deleted_at
"""
_MESSAGES = f"""
    select {MESSAGE_COLUMNS}
    from messages m
    where m.owner_id = %s and m.conversation_id = %s and m.number < %s
    order by m.number desc
    limit %s
"""
# Read from the end, where a message that was just read stands.
_NUMBER_OF = """
    select m.number
    from messages m
    where m.owner_id = %s and m.conversation_id = %s and m.id = %s
    order by m.number desc
    limit 1
"""
_MARK_READ = """
    update inbox i
    set read_number = greatest(i.read_number, %(number)s),
        read_at = case
            when i.read_number < %(number)s and me.receipts_and_typing then %(now)s
            else i.read_at end,
        told_number = case
            when i.read_number >= %(number)s then i.told_number
            when not me.receipts_and_typing then coalesce(i.told_number, i.read_number) end,
        marked_unread = false,
        snoozed_until = case when i.snoozed_until > %(now)s then i.snoozed_until end,
        unread = case when i.read_number < %(number)s then (
            select count(*)
            from messages m
            where m.owner_id = i.home_id and m.conversation_id = i.conversation_id
                and m.number > %(number)s and m.sender_id is distinct from i.owner_id
                and m.deleted_at is null
        ) else i.unread end
    from members me
    where me.id = i.owner_id and i.owner_id = %(viewer)s and i.conversation_id = %(id)s
        and (i.read_number < %(number)s or i.marked_unread or i.snoozed_until <= %(now)s)
    returning i.unread
"""
_MARK_UNREAD = """
    update inbox i
    set marked_unread = true
    where i.owner_id = %s and i.conversation_id = %s and i.unread = 0 and not i.marked_unread
    returning i.unread
"""
_STAR = """
    update inbox i
    set starred = %s
    where i.owner_id = %s and i.conversation_id = %s and i.starred <> %s
    returning i.starred
"""
_MUTE = """
    update inbox i
    set muted = %s
    where i.owner_id = %s and i.conversation_id = %s and i.muted <> %s
    returning i.muted
"""
_FOCUS = """
    update inbox i
    set focused = %s
    where i.owner_id = %s and i.conversation_id = %s and i.focused <> %s
    returning i.focused
"""
_SNOOZE = """
    update inbox i
    set snoozed_until = %(until)s, marked_unread = true, box = %(box)s
    where i.owner_id = %(viewer)s and i.conversation_id = %(id)s
        and i.snoozed_until is distinct from %(until)s
    returning i.box
"""
_WAKE = """
    update inbox i
    set snoozed_until = null, marked_unread = false
    where i.owner_id = %(viewer)s and i.conversation_id = %(id)s and i.snoozed_until is not null
    returning i.box
"""
_LOCK_BOTH = """
    select from inbox i
    where i.owner_id in (%(viewer)s, %(other)s) and i.conversation_id = %(id)s
    order by i.owner_id
    for update of i
"""
_ONE_MESSAGE = f"""
    select {MESSAGE_COLUMNS}
    from messages m
    where m.owner_id = %s and m.conversation_id = %s and m.id = %s
    order by m.number desc
    limit 1
"""
# The other side has no row in an imported conversation that the viewer alone sees, nor once the
# account is closed.
_AROUND = """
    select
        exists (select from connections k
            where k.owner_id = i.owner_id and k.member_id = i.counterpart_id),
        exists (select from blocks b
            where b.owner_id = i.owner_id and b.blocked_id = i.counterpart_id)
            or exists (select from blocks b
                where b.owner_id = i.counterpart_id and b.blocked_id = i.owner_id),
        other.owner_id is not null
    from inbox i
    left join inbox other on other.owner_id = i.counterpart_id
        and other.conversation_id = i.conversation_id
    where i.owner_id = %(viewer)s and i.conversation_id = %(id)s
"""
_EDIT = """
    update messages m
    set body = %s, edited_at = %s
    where m.owner_id = %s and m.conversation_id = %s and m.number = %s
"""
_DELETE = """
    update messages m
    set body = '', quick_reply = null, deleted_at = %s
    where m.owner_id = %s and m.conversation_id = %s and m.number = %s
"""
_CHANGE_LINE = """
    update inbox i
    set snippet = %(snippet)s
    where i.owner_id in (%(viewer)s, %(other)s) and i.conversation_id = %(id)s
        and i.last_message_id = %(message)s
"""
_ONE_UNREAD_LESS = """
    update inbox i
    set unread = greatest(i.unread - 1, 0)
    where i.owner_id = %(other)s and i.conversation_id = %(id)s and i.read_number < %(number)s
"""
_MOVE = """
    update inbox i
    set box = %(box)s, snoozed_until = null
    where i.owner_id = %(viewer)s and i.conversation_id = %(id)s and i.box <> %(box)s
    returning i.box
"""
# No row where the other side has none: in an imported conversation that the importer alone sees, or
# once the account is closed.
_BETWEEN = """
    select me.receipts_and_typing and other.receipts_and_typing,
        exists (select from connections k where k.owner_id = me.id and k.member_id = other.id),
        exists (select from blocks b where b.owner_id = me.id and b.blocked_id = other.id)
            or exists (select from blocks b where b.owner_id = other.id and b.blocked_id = me.id)
    from members me
    cross join members other
    join inbox i on i.owner_id = other.id
    where me.id = %s and other.id = %s and i.conversation_id = %s
"""
# A word of a query or a message is what stands between blanks and punctuation. PostgreSQL's parser
# takes addresses, links and hyphenated words as one; without their signs it finds the parts too.
_PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
_MARKS = {"marks": _PUNCTUATION, "blanks": " " * len(_PUNCTUATION)}
_WORDS = """
    select tsvector_to_array(to_tsvector('simple', translate(%(text)s, %(marks)s, %(blanks)s)))
"""
# There is no index on the texts: it would cost every send. The viewer's own messages are walked
# through instead; what cannot match is dropped by the cheapest test first, and the full text search
# itself runs only on what is left, newest first, until the page is full.
_SEARCH = """
    select m.id::text, m.conversation_id::text, m.number, m.sender_id::text, m.sent_at, m.body,
        m.quick_reply, i.subject, i.counterpart_id::text, i.counterpart_handle, i.counterpart_name,
        m.edited_at, m.files
    from (
        select m.owner_id, m.conversation_id, m.number, m.sent_at, m.id
        from inbox i
        join messages m on m.owner_id = i.home_id and m.conversation_id = i.conversation_id
        where i.owner_id = %(viewer)s and (i.begun or i.state <> 'withdrawn')
            and (m.sent_at, m.id) < (%(at)s::timestamptz, %(id)s::uuid)
            and lower(case when m.number = 1 then i.subject || ' ' || m.body else m.body end)
                like all (%(within)s)
        order by m.sent_at desc, m.id desc
        offset 0
    ) near
    join messages m on m.owner_id = near.owner_id and m.conversation_id = near.conversation_id
        and m.number = near.number
    join inbox i on i.owner_id = %(viewer)s and i.conversation_id = near.conversation_id
    cross join lateral (
        select case when m.number = 1 then i.subject || ' ' || m.body else m.body end as text
    ) whole
    where lower(whole.text) ~ all (%(begins)s)
        and to_tsvector('simple', translate(whole.text, %(marks)s, %(blanks)s))
            @@ %(query)s::tsquery
    order by near.sent_at desc, near.id desc
    limit %(limit)s
"""
