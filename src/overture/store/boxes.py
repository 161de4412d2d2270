"""What the inbox's pages show: its folders, what is unread, and one conversation with all around it.

A page is one range of one index, or two that are merged; the members on it are looked up by their keys.
Everything goes through the viewer's own rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, LiteralString
from uuid import UUID

from overture.core.contact import Pair, Party
from overture.core.conversations import Conversation, Message, Refund
from overture.core.ids import ConversationId, MemberId
from overture.core.receipts import receipts_are_shown
from overture.store import pages
from overture.store.conversations import (
    CONVERSATION_COLUMNS,
    MEMBER_COLUMNS,
    MEMBER_COLUMNS_COUNT,
    conversation,
    party,
)
from overture.store.db import Tx, all_rows, one_row, pipelined
from overture.store.inbox import (
    KINDS,
    MESSAGE_COLUMNS,
    ROW_COLUMNS,
    STATES,
    Box,
    ListRow,
    decode_participants,
    message,
)

# More than so many unread are shown as "99+".
COUNTED_MAX = 100
REMINDERS_MAX = 20
PEOPLE_MAX = 5


class Folder(StrEnum):
    """The lists that pages offer."""

    FOCUSED = "focused"
    OTHER = "other"
    UNREAD = "unread"
    INMAIL = "inmail"
    PENDING = "pending"
    STARRED = "starred"
    LATER = "later"
    ARCHIVED = "archived"
    SPAM = "spam"


class Line(ListRow, frozen=True, gc=False):
    """A conversation as a page's list shows it; `premium` and `photo` are the other side's."""

    box: Box
    focused: bool
    starred: bool
    muted: bool
    marked_unread: bool
    snoozed_until: datetime | None
    reminded_at: datetime | None
    refund: Refund | None
    premium: bool
    photo: str | None

    @property
    def is_unread(self) -> bool:
        return self.unread > 0 or self.marked_unread


@dataclass(frozen=True, slots=True)
class Lines:
    """A page of a folder. `due` has come back from having been put off, and stands above all else;
    `newer` and `older` are cursors, None where there is nothing."""

    lines: Sequence[Line]
    due: Sequence[Line]
    newer: str | None
    older: str | None


@dataclass(frozen=True, slots=True)
class Unread:
    """Conversations with something new, up to COUNTED_MAX, neither muted nor put off; and invitations
    to connect that wait for the member."""

    focused: int
    other: int
    invitations: int = 0


@dataclass(frozen=True, slots=True)
class Range:
    """Which messages of a conversation: the newest, else those around, before or after a number."""

    before: int | None = None
    after: int | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """One conversation with all that its page says of it.

    `other` is None in a group. `seen` is the number of the last message that the other side has read,
    and `seen_at` when they last read: both None where that is not told. `messages` are in their order;
    `context` is the one before them, which is not shown, and `more_after` says that later ones follow.
    `draft` is the reply that the viewer has begun.
    """

    line: Line
    conversation: Conversation
    me: Party
    other: Party | None
    headline: str
    company: str
    pair: Pair
    read_number: int
    seen: int | None
    seen_at: datetime | None
    common: int
    messages: Sequence[Message]
    context: Message | None
    more_after: bool
    draft: str


# Lists ------------------------------------------------------------------------------------------


Statements = list[tuple[LiteralString, Any]]


async def lines(
    tx: Tx,
    viewer: MemberId,
    folder: Folder,
    now: datetime,
    *,
    limit: int,
    before: str | None = None,
    after: str | None = None,
) -> tuple[Lines, Unread]:
    """A page of a folder and what is unread, in one round trip. Raises BadCursor.

    `after` is the cursor of the page's end: what follows it; `before` that of its beginning.
    """
    asked = _ask_lines(viewer, folder, now, limit=limit, before=before, after=after)
    cursors = await pipelined(tx, asked)
    begins = before is None and after is None
    backwards = before is not None
    return await _lines(cursors, folder, limit, begins=begins, backwards=backwards)


def _ask_lines(
    viewer: MemberId,
    folder: Folder,
    now: datetime,
    *,
    limit: int,
    before: str | None = None,
    after: str | None = None,
) -> Statements:
    at, id_ = _place(before or after, first="-infinity" if folder is Folder.LATER else "infinity")
    params = {
        "viewer": viewer,
        "now": now,
        "at": at,
        "id": id_,
        "limit": limit + 1,
        "focused": folder is Folder.FOCUSED,
        "reminders": REMINDERS_MAX,
        "counted": 2 * COUNTED_MAX,
    }
    pages = FORWARDS if before is None else BACKWARDS
    asked: Statements = [(pages[folder], params), (_UNREAD, params)]
    if before is None and after is None and folder in (Folder.FOCUSED, Folder.OTHER):
        asked.append((_DUE, params))
    return asked


async def _lines(
    cursors: Sequence[Any], folder: Folder, limit: int, *, begins: bool, backwards: bool
) -> tuple[Lines, Unread]:
    rows = await cursors[0].fetchall()
    counts = await cursors[1].fetchone()
    due: list[Any] = await cursors[2].fetchall() if len(cursors) > 2 else []
    more, rows = len(rows) > limit, rows[:limit]
    if backwards:
        rows.reverse()
    shown = [line(row) for row in rows]
    has_older = bool(shown) if backwards else more
    has_newer = more if backwards else bool(shown) and not begins
    page = Lines(
        shown,
        [line(row) for row in due],
        _cursor(folder, shown[0]) if has_newer else None,
        _cursor(folder, shown[-1]) if has_older else None,
    )
    return page, Unread(*counts)


async def one_line(
    tx: Tx, viewer: MemberId, conversation_id: ConversationId, now: datetime
) -> tuple[Line | None, Unread]:
    """The viewer's own row of a conversation, and what is unread."""
    params = {"viewer": viewer, "id": conversation_id, "now": now, "counted": 2 * COUNTED_MAX}
    cursors = await pipelined(tx, ((_ONE_LINE, params), (_UNREAD, params)))
    row = await cursors[0].fetchone()
    return (None if row is None else line(row)), Unread(*await cursors[1].fetchone())


async def unread(tx: Tx, viewer: MemberId, now: datetime) -> Unread:
    params = {"viewer": viewer, "now": now, "counted": 2 * COUNTED_MAX}
    row = await one_row(tx, _UNREAD, params)
    assert row is not None, "a count has a row"
    return Unread(*row)


async def people(tx: Tx, viewer: MemberId, wanted: str, now: datetime) -> list[Line]:
    """The conversations, newest first, with those whose names have every word of `wanted`."""
    words = [f"%{_escaped(word)}%" for word in wanted.lower().split()]
    if not words:
        return []
    params = {"viewer": viewer, "words": words, "now": now, "limit": PEOPLE_MAX}
    return [line(row) for row in await all_rows(tx, _PEOPLE, params)]


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")


def line(row: Sequence[Any]) -> Line:
    """A line from `_LINE_COLUMNS`."""
    return Line(
        id=row[0],
        subject=row[1],
        kind=KINDS[row[2]],
        state=STATES[row[3]],
        counterpart_id=row[4],
        counterpart_handle=row[5],
        counterpart_name=row[6],
        participants=None if row[7] is None else decode_participants(row[7]),
        last_message_id=row[8],
        last_sender_id=row[9],
        last_message_at=row[10],
        snippet=row[11],
        unread=row[12],
        pending_since=row[13],
        credits=row[14],
        expires_refund_at=row[15],
        last_activity_at=row[16],
        begun=row[17],
        box=_BOXES[row[18]],
        focused=row[19],
        starred=row[20],
        muted=row[21],
        marked_unread=row[22],
        snoozed_until=row[23],
        reminded_at=row[24],
        refund=None if row[25] is None else Refund(row[25]),
        premium=row[26],
        photo=row[27],
    )


_BOXES = {box.value: box for box in Box}


def _place(cursor: str | None, *, first: str) -> tuple[str, str]:
    if cursor is None:
        return first, _LEAST_ID if first == "-infinity" else _GREATEST_ID
    at, id_ = pages.decode(cursor, tuple[datetime, UUID])
    return at.isoformat(), str(id_)


def _cursor(folder: Folder, line: Line) -> str:
    at = line.snoozed_until if folder is Folder.LATER else line.last_activity_at
    assert at is not None, "what is listed under Later is put off"
    return pages.encode(at, UUID(line.id))


# One conversation -------------------------------------------------------------------------------


async def opened(
    tx: Tx,
    viewer: MemberId,
    conversation_id: ConversationId,
    now: datetime,
    which: Range,
    *,
    limit: int,
) -> Opened | None:
    """The viewer's conversation with this id, in one round trip; None where there is none."""
    asked = _ask_opened(viewer, conversation_id, now, which, limit=limit)
    return await _read_opened(await pipelined(tx, asked), which, limit)


async def opened_beside(
    tx: Tx,
    viewer: MemberId,
    conversation_id: ConversationId,
    now: datetime,
    which: Range,
    *,
    limit: int,
    folder: Folder,
    lines_limit: int,
) -> tuple[Opened, Lines, Unread] | None:
    """The same beside the beginning of a folder, still in one round trip."""
    asked = _ask_opened(viewer, conversation_id, now, which, limit=limit)
    beside = _ask_lines(viewer, folder, now, limit=lines_limit)
    cursors = await pipelined(tx, [*asked, *beside])
    found = await _read_opened(cursors[:2], which, limit)
    if found is None:
        return None
    page, counts = await _lines(cursors[2:], folder, lines_limit, begins=True, backwards=False)
    return found, page, counts


def _ask_opened(
    viewer: MemberId, conversation_id: ConversationId, now: datetime, which: Range, *, limit: int
) -> Statements:
    params = {
        "viewer": viewer,
        "id": conversation_id,
        "now": now,
        "number": which.after if which.after is not None else which.before or _LAST_NUMBER,
        "limit": limit + 1,
    }
    return [(_HEAD, params), (_BEFORE if which.after is None else _AFTER, params)]


async def _read_opened(cursors: Sequence[Any], which: Range, limit: int) -> Opened | None:
    row = await cursors[0].fetchone()
    if row is None:
        return None
    found = [message(each) for each in await cursors[1].fetchall()]
    if which.after is not None:
        # From the given one on, which is not shown itself.
        context = found.pop(0) if found and found[0].number == which.after else None
        found = found[: limit - 1]
    else:
        context = found.pop() if len(found) > limit else None
        found.reverse()
    return _opened(row, found, context)


def _opened(row: Sequence[Any], messages: Sequence[Message], context: Message | None) -> Opened:
    shown = line(row)
    own = row[28:]
    read_number, seen, seen_at, connected, blocked_other, blocked_me, common = own[:7]
    width = MEMBER_COLUMNS_COUNT
    mine, theirs, rest = own[7 : 7 + width], own[7 + width : 7 + 2 * width], own[7 + 2 * width :]
    me, other = party(mine), None if theirs[0] is None else party(theirs)
    headline, company = rest[0] or "", rest[1] or ""
    whole = conversation(rest[2:20])
    told = (
        seen is not None
        and other is not None
        and receipts_are_shown(
            both_on=me.receipts_and_typing and other.receipts_and_typing,
            begun=shown.begun,
            state=shown.state,
        )
    )
    return Opened(
        line=shown,
        conversation=whole,
        me=me,
        other=other,
        headline=headline,
        company=company,
        pair=Pair(connected, blocked_other, blocked_me, [whole]),
        read_number=read_number,
        seen=seen if told else None,
        seen_at=seen_at if told else None,
        common=common,
        messages=messages,
        context=context,
        more_after=bool(messages) and messages[-1].number < whole.messages,
        draft=rest[20] or "",
    )


_LEAST_ID = "00000000-0000-0000-0000-000000000000"
_GREATEST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"
_LAST_NUMBER = 2**31 - 1

_LINE_COLUMNS: LiteralString = f"""
    {ROW_COLUMNS}, i.box, i.focused, i.starred, i.muted, i.marked_unread, i.snoozed_until,
    i.reminded_at, i.refund, coalesce(m.premium_until > %(now)s, false), m.photo
"""
_LISTED = "i.box in ('inbox', 'requests')"
_AWAKE = "(i.snoozed_until is null or i.snoozed_until <= %(now)s)"


def _range(which: LiteralString, order: LiteralString, side: LiteralString) -> LiteralString:
    way = "desc" if side == "<" else "asc"
    return f"""(
        select i.*
        from inbox i
        where i.owner_id = %(viewer)s and {which}
            and ({order}, i.conversation_id) {side} (%(at)s::timestamptz, %(id)s::uuid)
        order by {order} {way}, i.conversation_id {way}
        limit %(limit)s
    )"""


def _page(*which: LiteralString, side: LiteralString, order: LiteralString) -> LiteralString:
    """Each range has as many rows as the page; of them all the first are the page."""
    way = "desc" if side == "<" else "asc"
    ranges = " union all ".join([_range(each, order, side) for each in which])
    return f"""
        select {_LINE_COLUMNS}
        from ({ranges}) i
        left join members m on m.id = i.counterpart_id
        order by {order} {way}, i.conversation_id {way}
        limit %(limit)s
    """


_FOLDERS: dict[Folder, tuple[LiteralString, ...]] = {
    Folder.FOCUSED: (f"i.focused and {_LISTED} and i.snoozed_until is null",),
    Folder.OTHER: (f"not i.focused and {_LISTED} and i.snoozed_until is null",),
    Folder.UNREAD: (
        f"(i.unread > 0 or i.marked_unread) and i.box <> 'spam' and {_LISTED} and {_AWAKE}",
    ),
    Folder.INMAIL: (
        f"i.focused and {_LISTED} and i.kind = 'inmail' and {_AWAKE}",
        f"not i.focused and {_LISTED} and i.kind = 'inmail' and {_AWAKE}",
    ),
    Folder.PENDING: (
        "i.box = 'requests'",
        "i.begun and i.state = 'pending' and i.box <> 'spam'",
    ),
    Folder.STARRED: ("i.starred and i.box <> 'spam'",),
    Folder.LATER: (f"i.snoozed_until > %(now)s and {_LISTED}",),
    Folder.ARCHIVED: ("i.box = 'archived'",),
    Folder.SPAM: ("i.box = 'spam'",),
}


def _pages(*, forwards: bool) -> dict[Folder, LiteralString]:
    made: dict[Folder, LiteralString] = {}
    for folder, which in _FOLDERS.items():
        # What comes back soonest stands first; everything else is the newest first.
        if folder is Folder.LATER:
            made[folder] = _page(*which, side=">" if forwards else "<", order="i.snoozed_until")
        else:
            made[folder] = _page(*which, side="<" if forwards else ">", order="i.last_activity_at")
    return made


FORWARDS = _pages(forwards=True)
BACKWARDS = _pages(forwards=False)
_DUE: LiteralString = f"""
    select {_LINE_COLUMNS}
    from inbox i
    left join members m on m.id = i.counterpart_id
    where i.owner_id = %(viewer)s and i.snoozed_until <= %(now)s and i.focused = %(focused)s
        and {_LISTED}
    order by i.snoozed_until desc, i.conversation_id desc
    limit %(reminders)s
"""
_UNREAD: LiteralString = f"""
    select count(*) filter (where u.focused)::integer, count(*) filter (where not u.focused)::integer,
        (
            select count(*)::integer
            from (
                select v.id
                from invitations v
                where v.owner_id = %(viewer)s and not v.outgoing and v.state = 'pending'
                limit %(counted)s
            ) v
        )
    from (
        select i.focused
        from inbox i
        where i.owner_id = %(viewer)s and (i.unread > 0 or i.marked_unread) and i.box <> 'spam'
            and {_LISTED} and not i.muted and {_AWAKE}
        limit %(counted)s
    ) u
"""
_ONE_LINE: LiteralString = f"""
    select {_LINE_COLUMNS}
    from inbox i
    left join members m on m.id = i.counterpart_id
    where i.owner_id = %(viewer)s and i.conversation_id = %(id)s
"""
_PEOPLE: LiteralString = f"""
    select {_LINE_COLUMNS}
    from inbox i
    left join members m on m.id = i.counterpart_id
    where i.owner_id = %(viewer)s and i.box <> 'spam'
        and lower(i.counterpart_name) like all (%(words)s)
    order by i.last_activity_at desc, i.conversation_id desc
    limit %(limit)s
"""
_ME = MEMBER_COLUMNS.replace("m.", "me.")
_COUNTERPART = MEMBER_COLUMNS
_HEAD: LiteralString = f"""
    select {_LINE_COLUMNS}, i.read_number,
        coalesce(other.told_number, other.read_number), other.read_at,
        exists (select from connections k
            where k.owner_id = i.owner_id and k.member_id = i.counterpart_id),
        exists (select from blocks b
            where b.owner_id = i.owner_id and b.blocked_id = i.counterpart_id),
        exists (select from blocks b
            where b.owner_id = i.counterpart_id and b.blocked_id = i.owner_id),
        case when i.state = 'pending' and not i.begun then (
            select count(*)::integer
            from connections mine
            join connections theirs on theirs.owner_id = i.counterpart_id
                and theirs.member_id = mine.member_id
            where mine.owner_id = i.owner_id
        ) else 0 end,
        {_ME}, {_COUNTERPART}, m.headline, m.company, {CONVERSATION_COLUMNS}, d.body
    from inbox i
    join members me on me.id = i.owner_id
    join conversations c on c.owner_id = i.home_id and c.id = i.conversation_id
    left join members m on m.id = i.counterpart_id
    left join inbox other on other.owner_id = i.counterpart_id
        and other.conversation_id = i.conversation_id
    left join drafts d on d.owner_id = i.owner_id and d.place_id = i.conversation_id
    where i.owner_id = %(viewer)s and i.conversation_id = %(id)s
"""
_THROUGH = """
    from inbox i
    join messages m on m.owner_id = i.home_id and m.conversation_id = i.conversation_id
    where i.owner_id = %(viewer)s and i.conversation_id = %(id)s
        and (i.begun or i.state <> 'withdrawn')
"""
_BEFORE = f"""
    select {MESSAGE_COLUMNS}
    {_THROUGH} and m.number < %(number)s
    order by m.number desc
    limit %(limit)s
"""
_AFTER = f"""
    select {MESSAGE_COLUMNS}
    {_THROUGH} and m.number >= %(number)s
    order by m.number
    limit %(limit)s
"""
