"""Bearer tokens in SQL, by the SHA-256 of their text. Who presents one is found in `callers`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from overture.core.ids import MemberId, TokenId
from overture.store.db import Tx, all_rows, one_row


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token as it is stored; `member` is None for an operator's. Lives by the real clock."""

    id: TokenId
    member: MemberId | None
    scopes: Sequence[str]
    label: str
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Held:
    """A token that opens something now, with whose it is: a member's handle, None for an operator."""

    token: TokenRow
    handle: str | None
    created_at: datetime


async def held(tx: Tx) -> list[Held]:
    """Every token that is valid now, the oldest first."""
    return [Held(TokenRow(*row[:5]), *row[5:]) for row in await all_rows(tx, _HELD)]


async def add(tx: Tx, token: TokenRow, sha256: bytes) -> bool:
    """False where a token of this text is there already; it stays as it is."""
    operator = token.member is None
    params = (
        sha256,
        token.id,
        token.member,
        operator,
        list(token.scopes),
        token.label,
        token.expires_at,
    )
    return await one_row(tx, _INSERT, params) is not None


async def is_operators(tx: Tx, sha256: bytes) -> bool:
    """Whether this is an operator's token that is valid now."""
    return await one_row(tx, _OPERATORS, (sha256,)) is not None


async def revoke(tx: Tx, token: TokenId) -> bool:
    """Ends a token at once; False where there is none of this id. Once more changes nothing."""
    return await one_row(tx, _REVOKE, (token,)) is not None


_INSERT = """
    insert into tokens (hash, id, member_id, operator, scopes, label, expires_at)
    values (%s, %s, %s, %s, %s, %s, %s)
    on conflict (hash) do nothing
    returning id
"""
_HELD = """
    select t.id, t.member_id, t.scopes, t.label, t.expires_at, m.handle, t.created_at
    from tokens t
    left join members m on m.id = t.member_id
    where t.revoked_at is null and (t.expires_at is null or t.expires_at > now())
    order by t.created_at, t.id
"""
_OPERATORS = """
    select id
    from tokens
    where hash = %s and operator and revoked_at is null and (expires_at is null or expires_at > now())
"""
_REVOKE = """
    update tokens
    set revoked_at = coalesce(revoked_at, now())
    where id = %s
    returning id
"""
