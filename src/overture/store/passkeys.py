"""Passkeys in SQL: each a member's own, found by its credential only together with the member."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from overture.core.ids import MemberId, PasskeyId
from overture.store.db import Tx, all_rows, as_json, one_row


@dataclass(frozen=True, slots=True)
class Passkey:
    """`uses`: as its device counted when it last signed; `transports`: how browsers may reach it."""

    id: PasskeyId
    credential: bytes
    public_key: bytes
    uses: int
    transports: Sequence[str]
    name: str
    added_at: datetime
    used_at: datetime | None


async def mine(tx: Tx, member: MemberId) -> Sequence[Passkey]:
    """The member's, the oldest first."""
    return [_passkey(row) for row in await all_rows(tx, _MINE, (member,))]


async def find(tx: Tx, member: MemberId, credential: bytes) -> Passkey | None:
    row = await one_row(tx, _FIND, (member, credential))
    return None if row is None else _passkey(row)


async def add(
    tx: Tx,
    member: MemberId,
    passkey: PasskeyId,
    *,
    credential: bytes,
    public_key: bytes,
    uses: int,
    transports: Sequence[str],
    name: str,
) -> bool:
    """False where the member has it already."""
    row = (member, passkey, credential, public_key, uses, as_json(list(transports)), name)
    return await one_row(tx, _ADD, row) is not None


async def use(tx: Tx, member: MemberId, passkey: Passkey, uses: int) -> bool:
    """Notes that it signed; False where it was removed, or signed elsewhere, meanwhile."""
    return await one_row(tx, _USE, (uses, member, passkey.id, passkey.uses)) is not None


async def rename(tx: Tx, member: MemberId, passkey: PasskeyId, name: str) -> bool:
    return await one_row(tx, _RENAME, (name, member, passkey)) is not None


async def drop(tx: Tx, member: MemberId, passkey: PasskeyId) -> bool:
    return await one_row(tx, _DROP, (member, passkey)) is not None


def _passkey(row: tuple[Any, ...]) -> Passkey:
    id_, credential, public_key, uses, transports, *rest = row
    return Passkey(id_, credential, public_key, uses, _transports(transports), *rest)


_transports = msgspec.json.Decoder(list[str]).decode
_COLUMNS = "id, credential, public_key, uses, transports, name, added_at, used_at"
_MINE = f"select {_COLUMNS} from passkeys where member_id = %s order by added_at, id"
_FIND = f"select {_COLUMNS} from passkeys where member_id = %s and credential = %s"
_ADD = """
    insert into passkeys (member_id, id, credential, public_key, uses, transports, name)
    values (%s, %s, %s, %s, %s, %s, %s)
    on conflict (member_id, credential) do nothing
    returning id
"""
_USE = """
    update passkeys
    set uses = %s, used_at = now()
    where member_id = %s and id = %s and uses = %s
    returning id
"""
_RENAME = "update passkeys set name = %s where member_id = %s and id = %s returning id"
_DROP = "delete from passkeys where member_id = %s and id = %s returning id"
