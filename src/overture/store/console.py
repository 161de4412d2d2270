"""What only operators look at, in SQL: members by whatever is known of them, also those who left,
which conversations they have, and what happened lately."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from overture.core.ids import ConversationId, MemberId
from overture.store import pages
from overture.store.db import Tx, all_rows, one_row
from overture.store.members import literally
from overture.store.pages import Page, page_of

# Of those who are called so, the ones that are looked at to find the best.
CANDIDATES_MAX = 1_000
# Shorter words are in too many texts: they narrow nothing, and alone they find whose text begins so.
SEARCHED_CHARS_MIN = 3
# As many words as a name has that anybody types.
WORDS_MAX = 6
# Of what happened, so much is counted whenever somebody looks.
HAPPENED_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Named:
    """A member in a list of the console; name and handle are empty once the account is closed."""

    id: MemberId
    handle: str
    name: str
    photo: str | None
    suspended: bool
    closed: bool


@dataclass(frozen=True, slots=True)
class Listed:
    """A member among those that were found. `premium_until` may have passed; see `members`."""

    id: MemberId
    handle: str
    name: str
    photo: str | None
    email: str | None
    premium: bool
    claimed: bool
    suspended: bool
    closed: bool
    joined_at: datetime


@dataclass(frozen=True, slots=True)
class Dossier:
    """All that is known of a member, but for what they wrote.

    `signs_in_as` is None for who has no account; `failing_since` where mails come back from there.
    """

    id: MemberId
    handle: str
    name: str
    headline: str
    photo: str | None
    email: str | None
    external_id: str | None
    time_zone: str
    language: str | None
    claimed: bool
    joined_at: datetime
    closed_at: datetime | None
    suspended_at: datetime | None
    slowed_until: datetime | None
    accept_inmail: bool
    open_profile: bool
    receipts_and_typing: bool
    email_notifications: bool
    signs_in_as: str | None
    verified_at: datetime | None
    two_steps_at: datetime | None
    operator_at: datetime | None
    failing_since: datetime | None
    open_reports: int
    connections: int


@dataclass(frozen=True, slots=True)
class Line:
    """A conversation without a word of it. `other` is None in a group."""

    id: ConversationId
    home: MemberId
    other: MemberId | None
    other_name: str
    begun: bool
    kind: str
    channel: str
    state: str
    started_at: datetime
    last_activity_at: datetime
    messages: int
    reported: bool


@dataclass(frozen=True, slots=True)
class Text:
    """A message as it stands. `sender` is None where an archive names no one."""

    number: int
    sender: MemberId | None
    sent_at: datetime
    body: str
    edited_at: datetime | None
    deleted_at: datetime | None
    files: int


@dataclass(frozen=True, slots=True)
class Lately:
    """How often each kind of thing happened since an instant; `whole`: since the one that was asked
    for, and not only among the newest HAPPENED_MAX."""

    since: datetime
    counts: Mapping[str, int]
    whole: bool


# Members ------------------------------------------------------------------------------------------


async def named(tx: Tx, members: Sequence[MemberId]) -> Sequence[Named]:
    return [Named(*row) for row in await all_rows(tx, _NAMED, (list(members),))]


async def called(tx: Tx, name: str) -> MemberId | None:
    """Whose handle, address or id elsewhere this is, in small letters; None where it is nobody's."""
    row = await one_row(tx, _CALLED, {"name": name})
    return None if row is None else row[0]


async def these(tx: Tx, members: Sequence[MemberId], *, now: datetime) -> list[Listed]:
    rows = await all_rows(tx, _THESE, {"members": list(members), "now": now})
    return [Listed(*row) for row in rows]


async def found(
    tx: Tx, words: Sequence[str], *, limit: int, now: datetime
) -> tuple[list[Listed], bool]:
    """Members in whose name, headline and company each of these folded words is, but for the shortest;
    who is called so from the first letter on first. Also whether there are more than were looked at."""
    params: dict[str, object] = {
        "now": now,
        "limit": limit,
        "most": CANDIDATES_MAX,
        "first": f"{literally(' '.join(words))}%",
    }
    conditions: list[LiteralString] = []
    if all(len(word) < SEARCHED_CHARS_MIN for word in words):
        begins = " ".join(words)
        params |= {"from": begins, "to": begins + "\U0010ffff"}
        conditions.append("m.search_text ~>=~ %(from)s and m.search_text ~<~ %(to)s")
    for place, word in zip(_PLACES, words, strict=False):
        if len(word) >= SEARCHED_CHARS_MIN:
            params[f"within{place}"] = f"%{literally(word)}%"
            conditions.append(_FINDS.replace("#", place))
    rows = await all_rows(tx, _FOUND.replace("#found", " and ".join(conditions)), params)
    return [Listed(*row[:-1]) for row in rows], bool(rows) and rows[0][-1] >= CANDIDATES_MAX


async def newest(tx: Tx, *, cursor: str | None, limit: int, now: datetime) -> Page[Listed]:
    """All members, the last to be made first."""
    (last,) = (None,) if cursor is None else pages.decode(cursor, tuple[UUID])
    rows = await all_rows(tx, _NEWEST, {"now": now, "last": last or _LAST_ID, "limit": limit + 1})
    return page_of(rows, limit, lambda row: Listed(*row), lambda row: row[:1])


async def suspended(tx: Tx, *, cursor: str | None, limit: int, now: datetime) -> Page[Listed]:
    """Those who are suspended, the last to be so first."""
    at, last = (None, None) if cursor is None else pages.decode(cursor, tuple[datetime, UUID])
    params = {"now": now, "at": at or "infinity", "last": last or _LAST_ID, "limit": limit + 1}
    rows = await all_rows(tx, _SUSPENDED, params)
    return page_of(rows, limit, lambda row: Listed(*row[:-1]), lambda row: (row[-1], row[0]))


async def dossier(tx: Tx, member: MemberId) -> Dossier | None:
    row = await one_row(tx, _DOSSIER, {"member": member})
    return None if row is None else Dossier(*row)


# What happened ------------------------------------------------------------------------------------


async def lately(tx: Tx, since: datetime) -> Lately:
    rows = await all_rows(tx, _LATELY, {"since": since, "most": HAPPENED_MAX})
    counts = {kind: count for kind, count, _ in rows}
    if sum(counts.values()) < HAPPENED_MAX:
        return Lately(since, counts, whole=True)
    return Lately(min(first for _, _, first in rows), counts, whole=False)


# Conversations ------------------------------------------------------------------------------------


async def lines(tx: Tx, member: MemberId, *, cursor: str | None, limit: int) -> Page[Line]:
    """A member's conversations, the last to be begun first."""
    (last,) = (None,) if cursor is None else pages.decode(cursor, tuple[UUID])
    params = {"member": member, "last": last or _LAST_ID, "limit": limit + 1}
    rows = await all_rows(tx, f"{_LINES}{_AFTER}", params)
    return page_of(rows, limit, lambda row: Line(*row), lambda row: row[:1])


async def line(tx: Tx, member: MemberId, conversation: ConversationId) -> Line | None:
    """One of them; None where the member has no such conversation."""
    of = {"member": member, "conversation": conversation}
    row = await one_row(tx, f"{_LINES} and i.conversation_id = %(conversation)s", of)
    return None if row is None else Line(*row)


async def texts(
    tx: Tx, home: MemberId, conversation: ConversationId, *, before: int | None, limit: int
) -> list[Text]:
    """Its last messages, or the last before a number, in their order."""
    of = {"home": home, "conversation": conversation, "before": before or _NEVER, "limit": limit}
    return [Text(*row) for row in reversed(await all_rows(tx, _TEXTS, of))]


async def subject(tx: Tx, home: MemberId, conversation: ConversationId) -> str:
    row = await one_row(tx, _SUBJECT, (home, conversation))
    return "" if row is None else row[0]


_PLACES: tuple[LiteralString, ...] = ("1", "2", "3", "4", "5", "6")
_LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"
_NEVER = 2**31 - 1
_NAMED = """
    select m.id, m.handle, m.name, m.photo, m.suspended_at is not null, m.closed_at is not null
    from members m
    where m.id = any (%s::uuid[])
"""
# The address that they sign in with before one that is only told of them.
_CALLED = """
    select found.id
    from (
        select 1 as place, h.member_id as id from handles h where h.handle = %(name)s
        union all
        select 2, e.member_id from emails e where e.address = %(name)s
        union all
        select 3, m.id from members m where lower(m.email) = %(name)s and m.closed_at is null
        union all
        select 4, x.member_id from external_ids x where x.external_id = %(name)s
    ) found
    order by found.place, found.id
    limit 1
"""
_LISTED = """
    m.id, m.handle, m.name, m.photo, m.email, coalesce(m.premium_until > %(now)s, false), m.claimed,
    m.suspended_at is not null, m.closed_at is not null, m.created_at
"""
_THESE = f"select {_LISTED} from members m where m.id = any (%(members)s::uuid[])"
_FINDS = "m.search_text like %(within#)s"
# However many are called so, no more are read than can be looked through at once.
_FOUND = f"""
    with candidates as materialized (
        select m.id, m.search_text like %(first)s as first
        from members m
        where #found and m.closed_at is null
        limit %(most)s
    )
    select {_LISTED}, (select count(*) from candidates)
    from candidates c
    join members m on m.id = c.id
    order by c.first desc, m.id desc
    limit %(limit)s
"""
_NEWEST = f"""
    select {_LISTED}
    from members m
    where m.id < %(last)s::uuid
    order by m.id desc
    limit %(limit)s
"""
_SUSPENDED = f"""
    select {_LISTED}, m.suspended_at
    from members m
    where m.suspended_at is not null and (m.suspended_at, m.id) < (%(at)s::timestamptz, %(last)s::uuid)
    order by m.suspended_at desc, m.id desc
    limit %(limit)s
"""
_DOSSIER = """
    select m.id, m.handle, m.name, m.headline, m.photo, m.email, m.external_id, m.time_zone, m.language,
        m.claimed, m.created_at, m.closed_at, m.suspended_at, m.slowed_until, m.accept_inmail,
        m.open_profile, m.receipts_and_typing, m.email_notifications, a.email, a.verified_at,
        a.two_steps_at, a.operator_at,
        (select f.failed_at from failing_addresses f where f.member_id = m.id),
        (select count(*) from reports r where r.member_id = m.id and r.decided_at is null),
        (select count(*) from connections c where c.owner_id = m.id)
    from members m
    left join accounts a on a.member_id = m.id
    where m.id = %(member)s
"""
_LATELY = """
    select n.kind, count(*), min(n.at)
    from (
        select o.kind, o.at
        from outbox o
        order by o.sequence desc
        limit %(most)s
    ) n
    where n.at >= %(since)s
    group by n.kind
"""
_LINES = """
    select i.conversation_id, i.home_id, i.counterpart_id, i.counterpart_name, i.begun, i.kind,
        c.channel, c.state, c.started_at, i.last_activity_at, c.messages,
        exists (
            select
            from reports r
            where r.conversation_id = i.conversation_id
                and r.member_id in (i.owner_id, i.counterpart_id)
        )
    from inbox i
    join conversations c on c.owner_id = i.home_id and c.id = i.conversation_id
    where i.owner_id = %(member)s
"""
_AFTER = """
        and i.conversation_id < %(last)s::uuid
    order by i.conversation_id desc
    limit %(limit)s
"""
_TEXTS = """
    select m.number, m.sender_id, m.sent_at, m.body, m.edited_at, m.deleted_at,
        coalesce(json_array_length(m.files), 0)
    from messages m
    where m.owner_id = %(home)s and m.conversation_id = %(conversation)s and m.number < %(before)s
    order by m.number desc
    limit %(limit)s
"""
_SUBJECT = "select subject from conversations where owner_id = %s and id = %s"
