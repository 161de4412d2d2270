"""The operator's own: tokens for members, the audit log."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from msgspec import Meta

from overture import ids
from overture.actions import tokens
from overture.actions.fields import Invalid
from overture.actions.tokens import TokenScope
from overture.api import problems
from overture.api.operation import Call, Who, operation
from overture.api.problems import Problem
from overture.api.wire import (
    LINE,
    SECRET,
    AMemberId,
    In,
    Instant,
    Out,
    Page,
    PageQuery,
    page_out,
)
from overture.clock import real_now
from overture.core.ids import MemberId, TokenId
from overture.core.refusals import Refusal
from overture.store import audit as audit_store
from overture.store.audit import Entry
from overture.store.tokens import TokenRow

TAG = "Operator"
# A day less than what an instant can be, so that it has a place in every time zone.
END_OF_TIME = datetime(9999, 12, 31, tzinfo=UTC)


class NewTokenIn(In):
    """`expires_at` is in real time, also where the installation has a test clock; null is never."""

    member_id: AMemberId
    scopes: Annotated[tuple[TokenScope, ...], Meta(min_length=1, max_length=2)] = (
        TokenScope.READ,
        TokenScope.WRITE,
    )
    label: Annotated[str, LINE, Meta(extra_json_schema={"maxLength": tokens.LABEL_CHARS_MAX})] = ""
    expires_at: Instant | None = None


class TokenOut(Out):
    """`token` is shown this once: it is not stored, and null when the answer is given again."""

    id: TokenId
    token: Annotated[str | None, SECRET]
    member_id: MemberId
    scopes: list[TokenScope]
    label: str
    expires_at: Instant | None


class AuditEntryOut(Out):
    """`actor` is whose token it was (`token:ID`), the operator in the console (`operator:ID`), the
    member (`member:ID`), the command that was run or the payment provider (`stripe`). `link` seals the
    entry and all before it, counted by `number`: see the reference of the ledger's."""

    id: str
    at: Instant
    actor: str
    action: str
    member_id: MemberId | None
    detail: Mapping[str, Any]
    number: int
    link: str


@operation(
    "POST",
    "/operator/tokens",
    summary="Issue a token for a member",
    tag=TAG,
    who=Who.OPERATOR,
    status=201,
    refusals={Refusal.NO_SUCH_MEMBER: 404},
)
async def issue_token(call: Call, body: NewTokenIn) -> TokenOut | Refusal | Invalid | Problem:
    expires_at = body.expires_at
    if expires_at is not None and not real_now() < expires_at < END_OF_TIME:
        return problems.invalid("expires_at", "This must lie in the future.")
    secret = ids.new_token()
    issued = await tokens.issue(
        call.tx,
        secret,
        TokenId(ids.new()),
        member=body.member_id,
        scopes=body.scopes,
        label=body.label,
        expires_at=expires_at and expires_at.astimezone(UTC),
        actor=actor(call),
        audit_id=ids.new(),
        now=call.now,
    )
    if not isinstance(issued, TokenRow):
        return issued
    return TokenOut(
        id=issued.id,
        token=secret,
        member_id=body.member_id,
        scopes=[TokenScope(scope) for scope in issued.scopes],
        label=issued.label,
        expires_at=issued.expires_at,
    )


@operation("GET", "/operator/audit", summary="What operators did", tag=TAG, who=Who.OPERATOR)
async def audit(call: Call, query: PageQuery) -> Page[AuditEntryOut]:
    page = await audit_store.newest(call.tx, cursor=query.cursor, limit=query.limit)
    return page_out(page, audit_entry_out)


def actor(call: Call) -> str:
    """Who does what an operator does, for the audit log: the token, never its text."""
    assert call.caller is not None, "what is audited takes a token"
    return f"token:{call.caller.token}"


async def note(
    call: Call, action: str, detail: Mapping[str, Any], *, member: MemberId | None = None
) -> None:
    """Puts what an operator does into the audit log, in the transaction that does it."""
    await audit_store.record(
        call.tx,
        ids.new(),
        call.now,
        actor=actor(call),
        action=action,
        member=member,
        detail=detail,
    )


def audit_entry_out(entry: Entry) -> AuditEntryOut:
    return AuditEntryOut(
        id=entry.id,
        at=entry.at,
        actor=entry.actor,
        action=entry.action,
        member_id=entry.member,
        detail=entry.detail,
        number=entry.number,
        link=entry.link,
    )
