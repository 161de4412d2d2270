"""Bearer tokens: issued once, stored as their SHA-256, revoked at once.

A token's text is made at the edge (`ids.new_token`) and shown once. Tokens live by the real clock, also
where an installation has a test clock; `now` below is the instant in the audit log.
"""

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

from overture.actions.fields import Fields, Invalid
from overture.core import text
from overture.core.ids import MemberId, TokenId
from overture.core.refusals import Refusal
from overture.store import audit, members
from overture.store import tokens as store
from overture.store.db import Tx
from overture.store.tokens import TokenRow

LABEL_CHARS_MAX = 100


class TokenScope(StrEnum):
    READ = "read"
    WRITE = "write"


ALL_SCOPES = frozenset(TokenScope)


async def issue(
    tx: Tx,
    secret: str,
    token_id: TokenId,
    *,
    member: MemberId | None,
    scopes: Collection[TokenScope] = ALL_SCOPES,
    label: str = "",
    expires_at: datetime | None = None,
    actor: str,
    audit_id: str,
    now: datetime,
) -> TokenRow | Refusal | Invalid:
    """A token for a member, or for an operator where `member` is None. `secret` is its text."""
    fields = Fields()
    clean = fields.take("label", text.line(label, LABEL_CHARS_MAX))
    if not scopes:
        fields.refuse("scopes", "A token needs a scope: read, write or both.")
    if (invalid := fields.invalid) is not None:
        return invalid
    if member is not None:
        holder = (await members.locked(tx, [member])).get(member)
        if holder is None or holder.closed:
            return Refusal.NO_SUCH_MEMBER
    token = TokenRow(token_id, member, sorted(set(scopes)), clean, expires_at)
    added = await store.add(tx, token, _hash(secret))
    assert added, "a fresh token's text was never there before"
    await audit.record(
        tx,
        audit_id,
        now,
        actor=actor,
        action="token.issued",
        member=member,
        detail={"token_id": token_id, "scopes": token.scopes, "expires_at": expires_at},
    )
    return token


async def ensure_operator_token(tx: Tx, secret: str, token_id: TokenId) -> bool:
    """Makes this text an operator's token where it is none yet: whether it is one that is valid.

    It is not where it was revoked: that is not undone by a setting that nobody has changed yet.
    """
    token = TokenRow(token_id, None, sorted(ALL_SCOPES), "OVERTURE_OPERATOR_TOKEN", None)
    await store.add(tx, token, _hash(secret))
    return await store.is_operators(tx, _hash(secret))


async def revoke(tx: Tx, token_id: TokenId, *, actor: str, audit_id: str, now: datetime) -> bool:
    """Ends a token at once; False where there is none of this id."""
    if not await store.revoke(tx, token_id):
        return False
    detail = {"token_id": token_id}
    await audit.record(tx, audit_id, now, actor=actor, action="token.revoked", detail=detail)
    return True


def _hash(secret: str) -> bytes:
    return sha256(secret.encode()).digest()
