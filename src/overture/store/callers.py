"""Who stands behind bearer tokens: one statement for as many requests as come together."""

from collections.abc import Sequence
from dataclasses import dataclass

from overture.core.ids import MemberId, TokenId
from overture.store.db import Tx, all_rows, as_json


@dataclass(frozen=True, slots=True)
class Presented:
    """What a request shows: its token's SHA-256 in hexadecimal, and whom it wants to act as."""

    hash: str
    act_as: MemberId | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """A token that is valid now.

    `member` is its own member, or whom an operator's token asked to act as; None where it asked for
    nobody, or for one who does not exist or has closed the account. `suspended` is of that member.
    """

    id: TokenId
    operator: bool
    scopes: frozenset[str]
    member: MemberId | None
    suspended: bool = False


async def tokens_of(tx: Tx, presented: Sequence[Presented]) -> list[Token | None]:
    """The token of each, None where it is unknown, revoked, expired, or of a closed account."""
    asked = [
        {"place": place, "hash": each.hash, "act_as": each.act_as}
        for place, each in enumerate(presented)
    ]
    found: list[Token | None] = [None] * len(presented)
    rows = await all_rows(tx, _TOKENS, (as_json(asked),))
    for place, token, operator, scopes, member, suspended in rows:
        if operator or member is not None:
            found[place] = Token(token, operator, frozenset(scopes), member, suspended)
    return found


# Lifetimes of tokens use the real clock, `now()`, also where the installation has a test clock.
_TOKENS = """
    select p.place, t.id, t.operator, t.scopes, m.id, m.suspended_at is not null
    from json_to_recordset(%s) as p (place integer, hash text, act_as uuid)
    join tokens t on t.hash = decode(p.hash, 'hex')
        and t.revoked_at is null and (t.expires_at is null or t.expires_at > now())
    left join members m on m.id = coalesce(t.member_id, p.act_as) and m.closed_at is null
"""
