"""Who calls: bearer tokens, Act-As, scopes. Nothing is cached: a revoked token ends at once."""

import re
from dataclasses import dataclass
from hashlib import sha256

from overture.actions.lanes import Lane
from overture.api import problems
from overture.api.wire import UUID_PATTERN
from overture.core.ids import MemberId, TokenId
from overture.core.refusals import Refusal
from overture.store.callers import Presented, Token

# An operator may have chosen the first token, so any visible ASCII may stand in one.
_BEARER = re.compile(rb"(?i:bearer) +([!-~]{1,512}) *")
_UUID = re.compile(UUID_PATTERN[1:-1].encode())


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: `member` acts; None where the operator does, without acting as anyone."""

    token: TokenId
    operator: bool
    scopes: frozenset[str]
    member: MemberId | None
    suspended: bool = False


async def caller_of(
    authorization: bytes | None, act_as: bytes | None, look_up: Lane[Presented, Token | None]
) -> Caller:
    """The caller that these two headers name. Raises the Problem that says why there is none."""
    bearer = _BEARER.fullmatch(authorization) if authorization is not None else None
    if bearer is None:
        raise problems.unauthorized()
    wanted = _member_id(act_as)
    token = await look_up.submit(Presented(sha256(bearer[1]).hexdigest(), wanted))
    if token is None:
        raise problems.unauthorized()
    if act_as is not None:
        if not token.operator:
            raise problems.act_as_forbidden()
        if wanted is None:
            raise problems.invalid("Act-As", "This is no member's id.", 400)
        if token.member is None:
            raise problems.refused(Refusal.NO_SUCH_MEMBER, 404)
    return Caller(token.id, token.operator, token.scopes, token.member, token.suspended)


def _member_id(header: bytes | None) -> MemberId | None:
    if header is None or _UUID.fullmatch(header) is None:
        return None
    return MemberId(header.decode())
