"""Where members' browsers take notices, in SQL: a part of their sessions."""

from collections.abc import Sequence
from dataclasses import dataclass

from overture.core.accounts import SESSION_IDLE
from overture.core.ids import MemberId
from overture.core.push import PushAddress
from overture.store.db import Tx, all_rows, one_row


async def keep(tx: Tx, member: MemberId, session: str, address: PushAddress) -> bool:
    """Has notices sent to this browser, for this member alone. False where the session has ended."""
    params = {
        "member": member,
        "session": session,
        "endpoint": address.endpoint,
        "key": address.key,
        "auth": address.auth,
    }
    await tx.execute(_LEAVE, params)
    return await one_row(tx, _KEEP, params) is not None


async def drop(tx: Tx, member: MemberId, session: str) -> None:
    """Has nothing sent to this browser any more."""
    await tx.execute(_DROP, (member, session))


async def drop_place(tx: Tx, endpoint: str) -> None:
    """The place is no more."""
    await tx.execute(_DROP_PLACE, (endpoint,))


async def sessions_with(tx: Tx, members: Sequence[MemberId]) -> list[tuple[MemberId, str]]:
    """The sessions of these members in whose browsers they want notices."""
    rows = await all_rows(tx, _SESSIONS_WITH, (list(members), SESSION_IDLE))
    return [(row[0], row[1]) for row in rows]


@dataclass(frozen=True, slots=True)
class Pushed:
    """A member in a browser that takes notices. `language` is None where they chose none."""

    member: MemberId
    address: PushAddress
    language: str | None
    time_zone: str
    silent: Sequence[str]
    suspended: bool


async def reached(tx: Tx, member: MemberId, session: str) -> Pushed | None:
    """The member in this browser; None where none are wanted there, or they are signed out."""
    row = await one_row(tx, _REACHED, (member, session, SESSION_IDLE))
    return None if row is None else Pushed(row[0], PushAddress(*row[1:4]), *row[4:])


_LEAVE = """
    update sessions
    set push_endpoint = null, push_key = null, push_auth = null
    where push_endpoint = %(endpoint)s and id <> %(session)s
"""
_KEEP = """
    update sessions
    set push_endpoint = %(endpoint)s, push_key = %(key)s, push_auth = %(auth)s
    where member_id = %(member)s and id = %(session)s
    returning id
"""
_DROP = """
    update sessions
    set push_endpoint = null, push_key = null, push_auth = null
    where member_id = %s and id = %s
"""
_DROP_PLACE = """
    update sessions
    set push_endpoint = null, push_key = null, push_auth = null
    where push_endpoint = %s
"""
_SESSIONS_WITH = """
    select s.member_id, s.id
    from sessions s
    where s.member_id = any (%s) and s.push_endpoint is not null
        and s.expires_at > now() and s.seen_at > now() - %s
    order by s.member_id, s.id
"""
_REACHED = """
    select m.id, s.push_endpoint, s.push_key, s.push_auth, m.language, m.time_zone, m.silent_kinds,
        m.suspended_at is not null
    from sessions s
    join members m on m.id = s.member_id and m.closed_at is null
    where s.member_id = %s and s.id = %s and s.push_endpoint is not null
        and s.expires_at > now() and s.seen_at > now() - %s
"""
