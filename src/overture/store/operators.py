"""Operators in SQL: whose accounts they are, and which of their browsers are in the console."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from overture.core.accounts import PROVEN_FOR
from overture.core.ids import MemberId
from overture.store.db import Tx, all_rows, one_row


@dataclass(frozen=True, slots=True)
class Operator:
    """`second_factor`: there is a passkey or an app with which the console can be entered."""

    member: MemberId
    handle: str
    name: str
    email: str
    since: datetime
    second_factor: bool


async def listed(tx: Tx) -> Sequence[Operator]:
    """All of them, the first to become one first."""
    return [Operator(*row) for row in await all_rows(tx, _LISTED)]


async def add(tx: Tx, member: MemberId) -> bool:
    """Makes a member's account an operator's; False where it is one, or there is no account, or nobody
    has shown that its address is theirs: whoever does could set up a second factor of their own."""
    return await one_row(tx, _ADD, (member,)) is not None


async def remove(tx: Tx, member: MemberId) -> bool:
    """Takes it back, and every browser of theirs out of the console; False where it is none."""
    removed = await one_row(tx, _REMOVE, (member,)) is not None
    await tx.execute(_OUT, (member,))
    return removed


async def has_factor(tx: Tx, member: MemberId) -> bool:
    """Whether there is anything that the console could be entered with."""
    row = await one_row(tx, _HAS_FACTOR, {"member": member})
    return row is not None and bool(row[0])


async def enter(tx: Tx, member: MemberId, session: str) -> bool:
    """Lets a browser into the console that has only just shown a second factor; else False."""
    return await one_row(tx, _ENTER, (member, session, PROVEN_FOR)) is not None


async def stay(tx: Tx, member: MemberId, session: str) -> None:
    """Notes, once in a minute, that the console is used."""
    await tx.execute(_STAY, (member, session))


async def leave(tx: Tx, member: MemberId, session: str) -> bool:
    """Takes a browser out of the console, where it was in it. A second factor is asked for again."""
    return await one_row(tx, _LEAVE, (member, session)) is not None


_LISTED = """
    select a.member_id, m.handle, m.name, a.email, a.operator_at,
        exists (select from passkeys p where p.member_id = a.member_id)
            or exists (select from code_apps c where c.member_id = a.member_id)
    from accounts a
    join members m on m.id = a.member_id
    where a.operator_at is not null
    order by a.operator_at, a.member_id
"""
_ADD = """
    update accounts
    set operator_at = now()
    where member_id = %s and operator_at is null and verified_at is not null
    returning member_id
"""
_REMOVE = """
    update accounts
    set operator_at = null
    where member_id = %s and operator_at is not null
    returning member_id
"""
_HAS_FACTOR = """
    select exists (select from passkeys p where p.member_id = %(member)s)
        or exists (select from code_apps c where c.member_id = %(member)s)
"""
_OUT = "update sessions set console_at = null, console_seen_at = null where member_id = %s"
_ENTER = """
    update sessions s
    set console_at = now(), console_seen_at = now()
    where s.member_id = %s and s.id = %s and s.factor_at > now() - %s
        and exists (
            select from accounts a where a.member_id = s.member_id and a.operator_at is not null
        )
    returning s.id
"""
_STAY = """
    update sessions
    set console_seen_at = now()
    where member_id = %s and id = %s and console_seen_at < now() - interval '1 minute'
"""
_LEAVE = """
    update sessions
    set console_at = null, console_seen_at = null, factor_at = null
    where member_id = %s and id = %s and console_at is not null
    returning id
"""
