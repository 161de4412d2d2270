"""Members in SQL: their profiles as others see them, the search, their preferences."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, LiteralString
from uuid import UUID

from overture.core.contact import Party
from overture.core.ids import MemberId
from overture.core.notifying import Kind
from overture.core.text import fold
from overture.store import pages
from overture.store.conversations import MEMBER_COLUMNS, party
from overture.store.db import Tx, all_rows, as_json, one_row, pipelined
from overture.store.pages import Page, page_of

# More words than this only make a search slower; nobody remembers more of whom they look for.
WORDS_MAX = 8
# From this length on a word is found anywhere in another, and may have two letters swapped; a shorter
# one has no three letters to go by, and must begin a word.
LONG_WORD_CHARS = 3
# From this length on it may be misspelt otherwise: of three letters nearly all begin like "ada".
SPELT_WORD_CHARS = 4
# Of a word's trigrams, the part that must be found. Lower brings in strangers; at 0.5 one wrong
# letter in five is too many.
SIMILARITY_MIN = "0.4"


class Relation(StrEnum):
    SELF = "self"
    CONNECTION = "connection"
    NONE = "none"


class InvitationSeen(StrEnum):
    """Whether an invitation waits between the viewer and a member, and whose it is."""

    SENT = "sent"
    RECEIVED = "received"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Private:
    """What only the member and the operator see of a profile."""

    email: str | None
    time_zone: str
    external_id: str | None


@dataclass(frozen=True, slots=True)
class Profile:
    """A member as the viewer may see them.

    `open_profile` says whether it is in effect, which takes Premium too. `blocked` is by the
    viewer; that the member has blocked the viewer is never told. `shared_connections` is None in
    lists. `photo` is the version of their photo.
    """

    id: MemberId
    handle: str
    name: str
    headline: str
    company: str
    location: str
    about: str
    photo: str | None
    claimed: bool
    premium: bool
    open_profile: bool
    relation: Relation
    invitation: InvitationSeen
    blocked: bool
    shared_connections: int | None
    private: Private | None


@dataclass(frozen=True, slots=True)
class Member:
    """What is stored of a member's own account; the texts are clean."""

    id: MemberId
    handle: str
    name: str
    headline: str = ""
    company: str = ""
    location: str = ""
    time_zone: str = "UTC"
    email: str | None = None
    external_id: str | None = None
    claimed: bool = True
    about: str = ""


@dataclass(frozen=True, slots=True)
class Preferences:
    accept_inmail: bool
    open_profile: bool
    receipts_and_typing: bool
    email_notifications: bool
    time_zone: str


@dataclass(frozen=True, slots=True)
class MailPreferences:
    """How a member wants to be told by mail: of which kinds not at all, and of the others one by one or
    in a digest a day. `on` is the switch for all of them."""

    on: bool
    daily: bool
    silent: frozenset[Kind]


@dataclass(frozen=True, slots=True)
class Display:
    """How pages look to a member; None is as the browser asks. `shortcuts`: single keys do things."""

    language: str | None
    theme: str | None
    shortcuts: bool


def search_text(name: str, headline: str, company: str) -> str:
    """What a member is found by; the name comes first, and counts most."""
    return fold(f"{name} {headline} {company}")


async def locked(tx: Tx, members: Sequence[MemberId]) -> dict[MemberId, Party]:
    """These members, those who ever were, locked in id order against what decides on them.

    Whoever sends takes their rows for key share, so that a send and a change of who may write to
    whom happen one after the other.
    """
    found = await all_rows(tx, LOCK_MEMBERS, {"members": as_json(members)})
    return {row[0]: party(row) for row in found}


async def take_names(
    tx: Tx, member: MemberId, *, handle: str | None = None, external_id: str | None = None
) -> tuple[bool, bool]:
    """Makes names that are unique over all members this member's: whether each could be had.

    None is none to take. Names that were taken before another one was refused stay taken until the
    transaction is rolled back.
    """
    names = {"member": member, "handle": handle, "external_id": external_id}
    cursors = await pipelined(tx, ((_TAKE_HANDLE, names), (_TAKE_EXTERNAL_ID, names)))
    (took_handle, took_external_id) = [await cursor.fetchone() for cursor in cursors]
    return (
        handle is None or took_handle is not None,
        external_id is None or took_external_id is not None,
    )


async def name_externally(tx: Tx, member: MemberId, external_id: str) -> bool:
    """Gives a member who has none an external id: whether it could be had."""
    _, had = await take_names(tx, member, external_id=external_id)
    if had:
        await tx.execute("update members set external_id = %s where id = %s", (external_id, member))
    return had


async def any_has_handle(tx: Tx, handles: Sequence[str]) -> bool:
    statement = "select from handles where handle = any(%s) limit 1"
    return await one_row(tx, statement, (list(handles),)) is not None


async def drop_handle(tx: Tx, member: MemberId, handle: str) -> None:
    await tx.execute("delete from handles where handle = %s and member_id = %s", (handle, member))


async def insert(tx: Tx, members: Sequence[Member], now: datetime) -> None:
    """Adds members whose names have been taken."""
    rows = [
        {
            "id": m.id,
            "handle": m.handle,
            "name": m.name,
            "headline": m.headline,
            "company": m.company,
            "location": m.location,
            "time_zone": m.time_zone,
            "email": m.email,
            "external_id": m.external_id,
            "claimed": m.claimed,
            "about": m.about,
            "created_at": now,
            "search_text": search_text(m.name, m.headline, m.company),
        }
        for m in members
    ]
    await tx.execute(_INSERT, (as_json(rows),))


async def own(tx: Tx, member: MemberId) -> Member | None:
    """A member's own account, locked as by `locked`; None where it is closed or never was."""
    row = await one_row(tx, _OWN, (member,))
    return None if row is None else Member(*row)


async def change(tx: Tx, member: Member) -> None:
    """Stores a member as they are now; what others' lists call them follows."""
    await pipelined(
        tx,
        (
            (
                _UPDATE,
                {
                    "id": member.id,
                    "handle": member.handle,
                    "name": member.name,
                    "headline": member.headline,
                    "company": member.company,
                    "location": member.location,
                    "time_zone": member.time_zone,
                    "email": member.email,
                    "about": member.about,
                    "search_text": search_text(member.name, member.headline, member.company),
                },
            ),
            (_RENAME, {"id": member.id, "handle": member.handle, "name": member.name}),
        ),
    )


async def preferences(tx: Tx, member: MemberId, *, lock: bool = False) -> Preferences | None:
    """None where the account is closed or never was. `lock` is as by `locked`."""
    row = await one_row(tx, _LOCKED_PREFERENCES if lock else _PREFERENCES, (member,))
    return None if row is None else Preferences(*row)


async def change_preferences(tx: Tx, member: MemberId, preferences: Preferences) -> None:
    await tx.execute(
        _UPDATE_PREFERENCES,
        (
            preferences.accept_inmail,
            preferences.open_profile,
            preferences.receipts_and_typing,
            preferences.email_notifications,
            preferences.time_zone,
            member,
        ),
    )


async def mail_preferences(
    tx: Tx, member: MemberId, *, lock: bool = False
) -> MailPreferences | None:
    """None where the account is closed or never was. `lock` is as by `locked`."""
    row = await one_row(tx, _LOCKED_MAIL_PREFERENCES if lock else _MAIL_PREFERENCES, (member,))
    # What an older version knew, and this one does not, is nobody's choice any more.
    known = [] if row is None else [kind for kind in Kind if kind in row[2]]
    return None if row is None else MailPreferences(row[0], row[1], frozenset(known))


async def change_mail_preferences(tx: Tx, member: MemberId, preferences: MailPreferences) -> None:
    params = (preferences.on, preferences.daily, sorted(preferences.silent), member)
    await tx.execute(_UPDATE_MAIL_PREFERENCES, params)


async def display(tx: Tx, member: MemberId) -> Display | None:
    """None where the account is closed or never was."""
    row = await one_row(tx, _DISPLAY, (member,))
    return None if row is None else Display(*row)


async def change_display(tx: Tx, member: MemberId, display: Display) -> None:
    await tx.execute(_UPDATE_DISPLAY, (display.language, display.theme, display.shortcuts, member))


async def profile(
    tx: Tx,
    viewer: MemberId | None,
    *,
    member: MemberId | None = None,
    handle: str | None = None,
    now: datetime,
) -> Profile | None:
    """The member of this id, else of this handle; None where the account is closed or never was."""
    row = await one_row(
        tx, _PROFILE, {"viewer": viewer, "member": member, "handle": handle, "now": now}
    )
    return None if row is None else _profile(row, viewer)


async def search(
    tx: Tx,
    viewer: MemberId | None,
    words: Sequence[str],
    *,
    cursor: str | None,
    limit: int,
    now: datetime,
) -> Page[Profile]:
    """Members in whose text every one of these folded words is found, best first."""
    score, last = (None, None) if cursor is None else pages.decode(cursor, tuple[int, UUID])
    params: dict[str, object] = {
        "viewer": viewer,
        "now": now,
        "limit": limit + 1,
        "score": score,
        "last": last,
    }
    conditions: list[LiteralString] = []
    scores: list[LiteralString] = []
    for place, word in zip(_PLACES, words, strict=False):
        finds, scored = _FINDS_SHORT, _SCORE
        if len(word) >= SPELT_WORD_CHARS:
            finds, scored = _FINDS_SPELT, _SCORE + _SCORE_LONG + _SCORE_SPELT
        elif len(word) >= LONG_WORD_CHARS:
            finds, scored = _FINDS_LONG, _SCORE + _SCORE_LONG
        conditions.append(finds.replace("#", place))
        scores.append(f"case {scored} end".replace("#", place))
        text = literally(word)
        params |= {
            f"word{place}": word,
            f"first{place}": f"{text}%",
            f"begins{place}": f"% {text}%",
            f"within{place}": f"%{text}%",
            f"swapped{place}": [f"%{text}%", *(f"%{literally(each)}%" for each in _swaps(word))],
        }
    statement = _SEARCH.replace("#found", " and ".join(conditions)).replace(
        "#score", " + ".join(scores)
    )
    # Both go in one pipeline, which is one transaction to PostgreSQL: the setting ends with it.
    _, found = await pipelined(tx, ((_SET_SIMILARITY, (SIMILARITY_MIN,)), (statement, params)))
    return page_of(
        await found.fetchall(), limit, lambda row: _profile(row, viewer), lambda row: row[-1:-3:-1]
    )


async def newest(
    tx: Tx, viewer: MemberId | None, *, cursor: str | None, limit: int, now: datetime
) -> Page[Profile]:
    """All members, the last to be made first; to the operator also those who are suspended."""
    (last,) = (None,) if cursor is None else pages.decode(cursor, tuple[UUID])
    params = {"viewer": viewer, "now": now, "last": last, "limit": limit + 1}
    rows = await all_rows(tx, _NEWEST, params)
    return page_of(rows, limit, lambda row: _profile(row, viewer), lambda row: row[:1])


def _profile(row: Sequence[Any], viewer: MemberId | None) -> Profile:
    # Behind _PUBLIC: who is shared, and what lies between the two.
    shared, connected, outgoing, blocked = row[14:18]
    relation = Relation.CONNECTION if connected else Relation.NONE
    invitation = InvitationSeen.NONE
    if outgoing is not None:
        invitation = InvitationSeen.SENT if outgoing else InvitationSeen.RECEIVED
    own_profile = viewer == row[0]
    return Profile(
        id=row[0],
        handle=row[1],
        name=row[2],
        headline=row[3],
        company=row[4],
        location=row[5],
        about=row[6],
        photo=row[7],
        claimed=row[8],
        premium=row[9],
        open_profile=row[9] and row[10],
        relation=Relation.SELF if own_profile else relation,
        invitation=invitation,
        blocked=blocked,
        shared_connections=shared,
        private=Private(*row[11:14]) if own_profile or viewer is None else None,
    )


def literally(word: str) -> str:
    """A word for `like`, in which it stands for itself."""
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _swaps(word: str) -> list[str]:
    """The word with two neighbouring letters exchanged: the slip that trigrams are blind to."""
    return [
        f"{word[:at]}{word[at + 1]}{word[at]}{word[at + 2 :]}"
        for at in range(min(len(word) - 1, 12))
        if word[at] != word[at + 1]
    ]


LOCK_MEMBERS = f"""
    select {MEMBER_COLUMNS}
    from members m
    where m.id in (select value::uuid from json_array_elements_text(%(members)s))
    order by m.id
    for update of m
"""
_TAKE_HANDLE = """
    insert into handles (handle, member_id)
    select %(handle)s::text, %(member)s::uuid
    where %(handle)s::text is not null
    on conflict (handle) do nothing
    returning handle
"""
_TAKE_EXTERNAL_ID = """
    insert into external_ids (external_id, member_id)
    select %(external_id)s::text, %(member)s::uuid
    where %(external_id)s::text is not null
    on conflict (external_id) do nothing
    returning external_id
"""
_INSERT = """
    insert into members (id, handle, name, headline, company, location, time_zone, email,
        external_id, claimed, about, created_at, search_text)
    select r.id, r.handle, r.name, r.headline, r.company, r.location, r.time_zone, r.email,
        r.external_id, r.claimed, r.about, r.created_at, r.search_text
    from json_to_recordset(%s) as r (id uuid, handle text, name text, headline text, company text,
        location text, time_zone text, email text, external_id text, claimed boolean, about text,
        created_at timestamptz, search_text text)
"""
_OWN = """
    select m.id, m.handle, m.name, m.headline, m.company, m.location, m.time_zone, m.email,
        m.external_id, m.claimed, m.about
    from members m
    where m.id = %s and m.closed_at is null
    for update of m
"""
_UPDATE = """
    update members
    set handle = %(handle)s, name = %(name)s, headline = %(headline)s, company = %(company)s,
        location = %(location)s, time_zone = %(time_zone)s, email = %(email)s,
        about = %(about)s, search_text = %(search_text)s
    where id = %(id)s
"""
# The member's own rows say whose lists they stand in, and under which key.
_RENAME = """
    update inbox i
    set counterpart_handle = %(handle)s, counterpart_name = %(name)s
    from inbox mine
    where mine.owner_id = %(id)s
        and i.owner_id = mine.counterpart_id and i.conversation_id = mine.conversation_id
        and (i.counterpart_handle, i.counterpart_name) is distinct from (%(handle)s, %(name)s)
"""
_PREFERENCES = """
    select m.accept_inmail, m.open_profile, m.receipts_and_typing, m.email_notifications,
        m.time_zone
    from members m
    where m.id = %s and m.closed_at is null
"""
_LOCKED_PREFERENCES = f"{_PREFERENCES} for update of m"
_MAIL_PREFERENCES = """
    select m.email_notifications, m.daily_digest, m.silent_kinds
    from members m
    where m.id = %s and m.closed_at is null
"""
_LOCKED_MAIL_PREFERENCES = f"{_MAIL_PREFERENCES} for update of m"
_UPDATE_MAIL_PREFERENCES = """
    update members
    set email_notifications = %s, daily_digest = %s, silent_kinds = %s
    where id = %s
"""
_DISPLAY = """
    select m.language, m.theme, m.shortcuts
    from members m
    where m.id = %s and m.closed_at is null
"""
_UPDATE_DISPLAY = """
    update members
    set language = %s, theme = %s, shortcuts = %s
    where id = %s
"""
_UPDATE_PREFERENCES = """
    update members
    set accept_inmail = %s, open_profile = %s, receipts_and_typing = %s, email_notifications = %s,
        time_zone = %s
    where id = %s
"""
_PUBLIC = """
    m.id, m.handle, m.name, m.headline, m.company, m.location, m.about, m.photo, m.claimed,
    coalesce(m.premium_until > %(now)s, false), m.open_profile, m.email, m.time_zone, m.external_id
"""
_TO_VIEWER = """
    exists (
        select from connections k where k.owner_id = %(viewer)s::uuid and k.member_id = m.id
    ),
    (
        select i.outgoing
        from invitations i
        where i.owner_id = %(viewer)s::uuid and i.other_id = m.id and i.state = 'pending'
    ),
    exists (select from blocks b where b.owner_id = %(viewer)s::uuid and b.blocked_id = m.id)
"""
_PROFILE = f"""
    select {_PUBLIC},
        case when %(viewer)s::uuid <> m.id then (
            select count(*)
            from connections mine
            join connections theirs on theirs.owner_id = m.id
                and theirs.member_id = mine.member_id
            where mine.owner_id = %(viewer)s::uuid
                and not exists (
                    select from blocks b
                    where b.owner_id = mine.owner_id and b.blocked_id = mine.member_id
                )
        ) end,
        {_TO_VIEWER}
    from members m
    where m.id = coalesce(
            %(member)s::uuid, (select h.member_id from handles h where h.handle = %(handle)s)
        )
        and m.closed_at is null
"""
_NEWEST = f"""
    select {_PUBLIC}, null, {_TO_VIEWER}
    from members m
    where m.closed_at is null and (%(last)s::uuid is null or m.id < %(last)s::uuid)
        and (%(viewer)s::uuid is null or m.suspended_at is null)
    order by m.id desc
    limit %(limit)s
"""
_PLACES: tuple[LiteralString, ...] = ("0", "1", "2", "3", "4", "5", "6", "7")
assert len(_PLACES) == WORDS_MAX
_SET_SIMILARITY = "select set_config('pg_trgm.word_similarity_threshold', %s, true)"
_FINDS_SHORT = "(m.search_text like %(first#)s or m.search_text like %(begins#)s)"
_FINDS_LONG = "m.search_text like any (%(swapped#)s)"
_FINDS_SPELT = f"({_FINDS_LONG} or %(word#)s <%% m.search_text)"
# The beginning of the name counts most, then that of any word, then the middle of one, then two
# letters swapped, then what is only spelt much like it.
_SCORE = """
    when m.search_text like %(first#)s then 400
    when m.search_text like %(begins#)s then 300
"""
_SCORE_LONG = """
    when m.search_text like %(within#)s then 200
    when m.search_text like any (%(swapped#)s) then 150
"""
_SCORE_SPELT = "else (word_similarity(%(word#)s, m.search_text) * 100)::integer"
_SEARCH = f"""
    select {_PUBLIC}, null, {_TO_VIEWER}, m.id, best.score
    from (
        select *
        from (
            select m.id, #score + case when m.id in (
                    select k.member_id from connections k where k.owner_id = %(viewer)s::uuid
                ) then 50 else 0 end as score
            from members m
            where m.closed_at is null and m.suspended_at is null and #found
            offset 0  -- so that a score is worked out once, not again for each place it stands in
        ) scored
        where %(score)s::bigint is null or (score, id) < (%(score)s::bigint, %(last)s::uuid)
        order by score desc, id desc
        limit %(limit)s
    ) best
    join members m on m.id = best.id
    order by best.score desc, best.id desc
"""
