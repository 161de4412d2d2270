"""The second step of signing in, in SQL: the app that makes codes, and those for when it is lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from overture.core.ids import MemberId
from overture.store.db import Tx, all_rows, as_json, one_row


@dataclass(frozen=True, slots=True)
class CodeApp:
    """`secret` as apps take it, in base 32. Codes of the counters up to `used` are over."""

    secret: str
    used: int
    added_at: datetime


async def turn_on(tx: Tx, member: MemberId) -> None:
    """From now on a password alone does not sign the member in."""
    await tx.execute(_TURN_ON, (member,))


async def turn_off(tx: Tx, member: MemberId) -> bool:
    """From now on it does, and the app and the recovery codes are forgotten: whether it was on."""
    was_on = await one_row(tx, _TURN_OFF, (member,)) is not None
    await tx.execute("delete from code_apps where member_id = %s", (member,))
    await tx.execute("delete from recovery_codes where member_id = %s", (member,))
    return was_on


async def code_app(tx: Tx, member: MemberId) -> CodeApp | None:
    row = await one_row(tx, _CODE_APP, (member,))
    return None if row is None else CodeApp(*row)


async def set_code_app(tx: Tx, member: MemberId, secret: str, *, used: int) -> None:
    """Makes this the member's app, in the place of any other."""
    await tx.execute(_SET_CODE_APP, (member, secret, used))


async def drop_code_app(tx: Tx, member: MemberId) -> bool:
    """Whether there was one."""
    return bool(await all_rows(tx, _DROP_CODE_APP, (member,)))


async def use_counter(tx: Tx, member: MemberId, secret: str, counter: int) -> bool:
    """Takes the code of a counter; False where it, or a later one, was taken before."""
    return await one_row(tx, _USE_COUNTER, (counter, member, secret, counter)) is not None


async def set_recovery_codes(tx: Tx, member: MemberId, hashes: Sequence[str]) -> None:
    """Makes these the member's only ones."""
    await tx.execute("delete from recovery_codes where member_id = %s", (member,))
    await tx.execute(_ADD_RECOVERY_CODES, (member, as_json(list(hashes))))


async def recovery_codes(tx: Tx, member: MemberId) -> list[str]:
    """The hashes of those that are left."""
    return [row[0] for row in await all_rows(tx, _RECOVERY_CODES, (member,))]


async def use_recovery_code(tx: Tx, member: MemberId, hashed: str) -> bool:
    """Whether there was this one; it is used up."""
    return await one_row(tx, _USE_RECOVERY_CODE, (member, hashed)) is not None


_TURN_ON = """
    update accounts
    set two_steps_at = coalesce(two_steps_at, now())
    where member_id = %s
"""
_TURN_OFF = """
    update accounts
    set two_steps_at = null
    where member_id = %s and two_steps_at is not null
    returning member_id
"""
_CODE_APP = "select secret, used, added_at from code_apps where member_id = %s"
_SET_CODE_APP = """
    insert into code_apps (member_id, secret, used)
    values (%s, %s, %s)
    on conflict (member_id) do update
    set secret = excluded.secret, used = excluded.used, added_at = now()
"""
_DROP_CODE_APP = "delete from code_apps where member_id = %s returning member_id"
# By its secret too: the code may be of an app that was replaced meanwhile.
_USE_COUNTER = """
    update code_apps
    set used = %s
    where member_id = %s and secret = %s and used < %s
    returning used
"""
_ADD_RECOVERY_CODES = """
    insert into recovery_codes (member_id, hash)
    select %s, value from json_array_elements_text(%s)
"""
_RECOVERY_CODES = "select hash from recovery_codes where member_id = %s order by hash"
_USE_RECOVERY_CODE = """
    delete from recovery_codes
    where member_id = %s and hash = %s
    returning hash
"""
