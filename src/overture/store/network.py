"""The network in SQL: connections, invitations, blocks, and what they do to conversations."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, LiteralString
from uuid import UUID

from overture.core.ids import InvitationId, MemberId
from overture.store import pages
from overture.store.db import Tx, all_rows, as_json, one_row, pipelined
from overture.store.members import LOCK_MEMBERS, literally
from overture.store.pages import Page, page_of

CARD_COLUMNS = """
    m.id, m.handle, m.name, m.headline, m.company, coalesce(m.premium_until > %(now)s, false), m.photo
"""
_CARD_LENGTH = 7


@dataclass(frozen=True, slots=True)
class Card:
    """A member as lists show them; `photo` is the version of their photo."""

    id: MemberId
    handle: str
    name: str
    headline: str
    company: str
    premium: bool
    photo: str | None


class InvitationState(StrEnum):
    PENDING = "pending"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation as one side sees it: `member` is the other one."""

    id: InvitationId
    member: Card
    note: str
    state: InvitationState
    sent_at: datetime
    outgoing: bool


@dataclass(frozen=True, slots=True)
class Connection:
    member: Card
    since: datetime


@dataclass(frozen=True, slots=True)
class Block:
    member: Card
    at: datetime


@dataclass(frozen=True, slots=True)
class Counts:
    """How many connections a member has, and invitations that wait, to them and of theirs."""

    connections: int
    received: int
    sent: int


@dataclass(frozen=True, slots=True)
class Between:
    """What lies between a viewer and another member, both locked.

    `other` is None where there never was such a member, or the account is closed. `sent` and
    `received` are the pending invitations, each as its inviter's row tells.
    """

    other: Card | None
    connected: bool
    viewer_blocked: bool
    other_blocked: bool
    sent: Invitation | None
    received: Invitation | None


async def between(tx: Tx, viewer: MemberId, other: MemberId, now: datetime) -> Between:
    """Locks the two, in id order, and reads what lies between them."""
    params = {"viewer": viewer, "other": other, "now": now, "members": as_json([viewer, other])}
    _, facts, invitations = await pipelined(
        tx, ((LOCK_MEMBERS, params), (_BETWEEN, params), (_PENDING_BETWEEN, params))
    )
    row = await facts.fetchone()
    card = None if row[0] is None else Card(*row[:_CARD_LENGTH])
    pending = {each[0]: each for each in await invitations.fetchall()}
    sent, received = pending.get(viewer), pending.get(other)
    return Between(
        card,
        *row[_CARD_LENGTH:],
        sent=None if sent is None or card is None else _invitation(card, sent[1:]),
        received=None if received is None or card is None else _invitation(card, received[1:]),
    )


async def add_invitation(
    tx: Tx,
    invitation: InvitationId,
    *,
    inviter: MemberId,
    invitee: MemberId,
    note: str,
    now: datetime,
    shown: bool,
) -> None:
    """A pending invitation, in the inviter's own list and, where `shown`, in the invitee's."""
    row = {"id": invitation, "note": note, "sent_at": now}
    rows = [row | {"owner_id": inviter, "other_id": invitee, "outgoing": True}]
    if shown:
        rows.append(row | {"owner_id": invitee, "other_id": inviter, "outgoing": False})
    await tx.execute(_INSERT_INVITATIONS, (as_json(rows),))


async def received(
    tx: Tx, viewer: MemberId, invitation: InvitationId, now: datetime
) -> Invitation | None:
    """An invitation that this member received, whatever became of it; both sides locked."""
    row = await one_row(tx, _INVITER, (viewer, invitation))
    if row is None:
        return None
    params = {
        "viewer": viewer,
        "invitation": invitation,
        "now": now,
        "members": as_json([viewer, row[0]]),
    }
    _, found = await pipelined(tx, ((LOCK_MEMBERS, params), (_RECEIVED, params)))
    row = await found.fetchone()
    return None if row is None else _invitation(Card(*row[:_CARD_LENGTH]), row[_CARD_LENGTH:])


async def end_invitations(
    tx: Tx, state: InvitationState, *, inviter: MemberId, invitee: MemberId, now: datetime
) -> list[InvitationId]:
    """Ends the pending invitation of one to the other, in both lists."""
    params = {"one": inviter, "other": invitee, "state": state, "now": now}
    return list(dict.fromkeys(row[0] for row in await all_rows(tx, _END_INVITATIONS, params)))


async def connect(
    tx: Tx, pairs: Iterable[tuple[MemberId, MemberId]], now: datetime
) -> list[tuple[MemberId, MemberId]]:
    """Connects pairs of locked members: those that were not connected before, as given.

    What waited between them is accepted, and their direct conversation opens.
    """
    given = list(pairs)
    params = {"sides": _sides(given), "now": now, "before": "closed", "after": "open"}
    made, _, _, _ = await pipelined(
        tx,
        (
            (_CONNECT, params),
            (_ACCEPT_INVITATIONS, params),
            (_TURN_CONVERSATIONS, params),
            (_TURN_INBOX, params),
        ),
    )
    fresh = {(row[0], row[1]) for row in await made.fetchall()}
    return [pair for pair in given if pair in fresh]


async def disconnect(tx: Tx, one: MemberId, other: MemberId) -> bool:
    """Ends a connection of locked members, and closes their direct conversation."""
    params = {"sides": _sides([(one, other)]), "before": "open", "after": "closed"}
    ended, _, _ = await pipelined(
        tx, ((_DISCONNECT, params), (_TURN_CONVERSATIONS, params), (_TURN_INBOX, params))
    )
    return bool(await ended.fetchall())


async def add_block(tx: Tx, owner: MemberId, blocked: MemberId, now: datetime) -> bool:
    """Whether it was not there before."""
    return await one_row(tx, _BLOCK, (owner, blocked, now)) is not None


async def remove_block(tx: Tx, owner: MemberId, blocked: MemberId) -> bool:
    """Whether it was there."""
    return await one_row(tx, _UNBLOCK, (owner, blocked)) is not None


async def connections(
    tx: Tx,
    viewer: MemberId,
    *,
    cursor: str | None,
    limit: int,
    now: datetime,
    words: Sequence[str] = (),
) -> Page[Connection]:
    """Last made first; with folded words, those in whose name, headline or company each begins one."""
    page = _page(viewer, cursor, limit, now)
    if words:
        patterns = [f"% {literally(word)}%" for word in words]
        rows = await all_rows(tx, _CONNECTIONS_FOUND, page | {"words": patterns})
    else:
        rows = await all_rows(tx, _CONNECTIONS, page)
    return page_of(
        rows,
        limit,
        lambda row: Connection(Card(*row[:_CARD_LENGTH]), row[_CARD_LENGTH]),
        lambda row: (row[_CARD_LENGTH], row[0]),
    )


async def count(tx: Tx, viewer: MemberId) -> Counts:
    row = await one_row(tx, _COUNTS, {"viewer": viewer})
    assert row is not None, "counts are always there"
    return Counts(*row)


async def invitations(
    tx: Tx, viewer: MemberId, *, outgoing: bool, cursor: str | None, limit: int, now: datetime
) -> Page[Invitation]:
    """Those that wait for an answer: the member's own ones, or those that they received."""
    params = _page(viewer, cursor, limit, now) | {"outgoing": outgoing}
    rows = await all_rows(tx, _INVITATIONS, params)
    return page_of(
        rows,
        limit,
        lambda row: _invitation(Card(*row[:_CARD_LENGTH]), row[_CARD_LENGTH:]),
        lambda row: (row[_CARD_LENGTH + 3], row[_CARD_LENGTH]),
    )


async def waiting(tx: Tx, viewer: MemberId, inviter: MemberId, now: datetime) -> Invitation | None:
    """What this member asks the viewer, who has not answered yet."""
    row = await one_row(tx, _WAITING, {"viewer": viewer, "inviter": inviter, "now": now})
    return None if row is None else _invitation(Card(*row[:_CARD_LENGTH]), row[_CARD_LENGTH:])


async def blocks(
    tx: Tx, viewer: MemberId, *, cursor: str | None, limit: int, now: datetime
) -> Page[Block]:
    rows = await all_rows(tx, _BLOCKS, _page(viewer, cursor, limit, now))
    return page_of(
        rows,
        limit,
        lambda row: Block(Card(*row[:_CARD_LENGTH]), row[_CARD_LENGTH]),
        lambda row: (row[_CARD_LENGTH], row[0]),
    )


def _page(viewer: MemberId, cursor: str | None, limit: int, now: datetime) -> dict[str, object]:
    at, last = (None, None) if cursor is None else pages.decode(cursor, tuple[datetime, UUID])
    return {"viewer": viewer, "at": at, "last": last, "limit": limit + 1, "now": now}


def _invitation(member: Card, row: Sequence[Any]) -> Invitation:
    """From _INVITATION_COLUMNS."""
    return Invitation(row[0], member, row[1], InvitationState(row[2]), row[3], row[4])


def _sides(pairs: Sequence[tuple[MemberId, MemberId]]) -> str:
    """Both directions of each pair, in key order, so that two who write the same rows queue up."""
    both = sorted({side for one, other in pairs for side in ((one, other), (other, one))})
    return as_json([{"owner_id": owner, "member_id": member} for owner, member in both])


_INVITATION_COLUMNS = "i.id, i.note, i.state, i.sent_at, i.outgoing"
_BETWEEN = f"""
    select {CARD_COLUMNS},
        exists (
            select from connections k
            where k.owner_id = %(viewer)s and k.member_id = %(other)s
        ),
        exists (
            select from blocks b where b.owner_id = %(viewer)s and b.blocked_id = %(other)s
        ),
        exists (
            select from blocks b where b.owner_id = %(other)s and b.blocked_id = %(viewer)s
        )
    from (values (%(other)s::uuid)) as asked (id)
    left join members m on m.id = asked.id and m.closed_at is null
"""
_PENDING_BETWEEN = f"""
    select i.owner_id, {_INVITATION_COLUMNS}
    from (
        values (%(viewer)s::uuid, %(other)s::uuid), (%(other)s::uuid, %(viewer)s::uuid)
    ) as p (owner_id, other_id)
    join invitations i on i.owner_id = p.owner_id and i.other_id = p.other_id
        and i.state = 'pending' and i.outgoing
"""
_INSERT_INVITATIONS = """
    insert into invitations (owner_id, id, other_id, outgoing, note, state, sent_at)
    select r.owner_id, r.id, r.other_id, r.outgoing, r.note, 'pending', r.sent_at
    from json_to_recordset(%s) as r (owner_id uuid, id uuid, other_id uuid, outgoing boolean,
        note text, sent_at timestamptz)
"""
_INVITER = "select other_id from invitations where owner_id = %s and id = %s and not outgoing"
_RECEIVED = f"""
    select {CARD_COLUMNS}, {_INVITATION_COLUMNS}
    from invitations i
    join members m on m.id = i.other_id and m.closed_at is null
    where i.owner_id = %(viewer)s and i.id = %(invitation)s and not i.outgoing
"""
_END_INVITATIONS = """
    update invitations i
    set state = %(state)s, answered_at = %(now)s
    from (
        values (%(one)s::uuid, %(other)s::uuid, true), (%(other)s::uuid, %(one)s::uuid, false)
    ) as p (owner_id, other_id, outgoing)
    where i.owner_id = p.owner_id and i.other_id = p.other_id and i.outgoing = p.outgoing
        and i.state = 'pending'
    returning i.id
"""
_SIDES: LiteralString = """
    json_to_recordset(%(sides)s) as p (owner_id uuid, member_id uuid)
"""
_CONNECT = f"""
    insert into connections (owner_id, member_id, since)
    select p.owner_id, p.member_id, %(now)s
    from {_SIDES}
    on conflict (owner_id, member_id) do nothing
    returning owner_id, member_id
"""
_DISCONNECT = f"""
    delete from connections k
    using {_SIDES}
    where k.owner_id = p.owner_id and k.member_id = p.member_id
    returning k.owner_id
"""
_ACCEPT_INVITATIONS = f"""
    update invitations i
    set state = 'accepted', answered_at = %(now)s
    from {_SIDES}
    where i.owner_id = p.owner_id and i.other_id = p.member_id and i.state = 'pending'
"""
# A conversation's home is with the member who began it, whose own row says so.
_TURN_CONVERSATIONS = f"""
    update conversations c
    set state = %(after)s
    from {_SIDES}
    join inbox i on i.owner_id = p.owner_id and i.counterpart_id = p.member_id
        and i.kind = 'direct' and i.begun and i.state = %(before)s
    where c.owner_id = i.home_id and c.id = i.conversation_id and c.state = %(before)s
"""
_TURN_INBOX = f"""
    update inbox i
    set state = %(after)s
    from {_SIDES}
    where i.owner_id = p.owner_id and i.counterpart_id = p.member_id
        and i.kind = 'direct' and i.state = %(before)s
"""
_BLOCK = """
    insert into blocks (owner_id, blocked_id, at)
    values (%s, %s, %s)
    on conflict (owner_id, blocked_id) do nothing
    returning at
"""
_UNBLOCK = "delete from blocks where owner_id = %s and blocked_id = %s returning at"
_CONNECTIONS = f"""
    select {CARD_COLUMNS}, k.since
    from (
        select k.member_id, k.since
        from connections k
        where k.owner_id = %(viewer)s
            and (%(at)s::timestamptz is null
                or (k.since, k.member_id) < (%(at)s::timestamptz, %(last)s::uuid))
        order by k.since desc, k.member_id desc
        limit %(limit)s
    ) k
    join members m on m.id = k.member_id
    order by k.since desc, k.member_id desc
"""
# Of one member's connections, so that no index is needed.
_CONNECTIONS_FOUND = f"""
    select {CARD_COLUMNS}, k.since
    from connections k
    join members m on m.id = k.member_id
    where k.owner_id = %(viewer)s and ' ' || m.search_text like all (%(words)s)
        and (%(at)s::timestamptz is null
            or (k.since, k.member_id) < (%(at)s::timestamptz, %(last)s::uuid))
    order by k.since desc, k.member_id desc
    limit %(limit)s
"""
_COUNTS = """
    select (select count(*) from connections k where k.owner_id = %(viewer)s),
        count(*) filter (where not i.outgoing), count(*) filter (where i.outgoing)
    from invitations i
    where i.owner_id = %(viewer)s and i.state = 'pending'
"""
_INVITATIONS = f"""
    select {CARD_COLUMNS}, {_INVITATION_COLUMNS}
    from invitations i
    join members m on m.id = i.other_id
    where i.owner_id = %(viewer)s and i.outgoing = %(outgoing)s and i.state = 'pending'
        and (%(at)s::timestamptz is null
            or (i.sent_at, i.id) < (%(at)s::timestamptz, %(last)s::uuid))
    order by i.sent_at desc, i.id desc
    limit %(limit)s
"""
_WAITING = f"""
    select {CARD_COLUMNS}, {_INVITATION_COLUMNS}
    from invitations i
    join members m on m.id = i.other_id
    where i.owner_id = %(viewer)s and i.other_id = %(inviter)s and not i.outgoing
        and i.state = 'pending'
"""
_BLOCKS = f"""
    select {CARD_COLUMNS}, b.at
    from (
        select b.blocked_id, b.at
        from blocks b
        where b.owner_id = %(viewer)s
            and (%(at)s::timestamptz is null
                or (b.at, b.blocked_id) < (%(at)s::timestamptz, %(last)s::uuid))
        order by b.at desc, b.blocked_id desc
        limit %(limit)s
    ) b
    join members m on m.id = b.blocked_id
    order by b.at desc, b.blocked_id desc
"""
