"""The network: invitations, connections, blocks, reports."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from overture import ids
from overture.actions import network as actions
from overture.actions import pace, reports
from overture.actions.fields import Invalid
from overture.actions.reports import Reason
from overture.api.operation import Call, Who, operation
from overture.api.operator_members import note
from overture.api.problems import Problem, rate_limited
from overture.api.wire import (
    TEXT,
    AConversationId,
    AMemberId,
    In,
    Instant,
    Out,
    Page,
    PageQuery,
    page_out,
)
from overture.core.ids import ConversationId, InvitationId, MemberId, ReportId
from overture.core.refusals import Refusal
from overture.core.text import NOTE_CHARS_MAX
from overture.store import network as store
from overture.store.network import Block, Card, Connection, Invitation, InvitationState
from overture.store.reports import Report

TAG = "Network"
PAIRS_BYTES_MAX = 2 * 1024 * 1024
# Where what a day allows is used up; how much of it is left is not worth a look-up.
_AGAIN_SECONDS = 3600

Note = Annotated[str, TEXT, Meta(extra_json_schema={"maxLength": NOTE_CHARS_MAX})]
ReportNote = Annotated[str, TEXT, Meta(extra_json_schema={"maxLength": reports.NOTE_CHARS_MAX})]


class InviteIn(In):
    member_id: AMemberId
    note: Note = ""


class MemberCard(Out):
    """A member as lists show them."""

    id: MemberId
    handle: str
    name: str
    headline: str
    company: str
    premium: bool


class InvitationOut(Out):
    """An invitation; `member` is the other side. `accepted` where both wanted it."""

    id: InvitationId
    member: MemberCard
    note: str
    state: InvitationState
    sent_at: Instant


class Listed(StrEnum):
    """Which list: connections, or the invitations that wait."""

    CONNECTED = "connected"
    RECEIVED = "received"
    SENT = "sent"


class ConnectionsQuery(PageQuery):
    state: Listed = Listed.CONNECTED


class ConnectionOut(Out):
    """A connection, with `since`; or a waiting invitation, with `id`, `note` and `sent_at`."""

    member: MemberCard
    state: Listed
    since: Instant | None = None
    id: InvitationId | None = None
    note: str | None = None
    sent_at: Instant | None = None


class PairsIn(In):
    """Pairs of members to be connected; the order within a pair does not matter."""

    pairs: Annotated[list[tuple[AMemberId, AMemberId]], Meta(max_length=actions.PAIRS_MAX)]


class PairsOut(Out):
    """How many different pairs are connected now, and how many of them were not before."""

    connected: int
    new: int


class BlockOut(Out):
    member: MemberCard
    at: Instant


class ReportIn(In):
    """`conversation_id`: one that the caller has with this member."""

    member_id: AMemberId
    reason: Reason
    conversation_id: AConversationId | None = None
    note: ReportNote = ""


class ReportOut(Out):
    id: ReportId
    member_id: MemberId
    conversation_id: ConversationId | None
    reason: Reason
    note: str
    at: Instant


@operation(
    "POST",
    "/connections",
    summary="Invite a member to connect",
    tag=TAG,
    status=201,
    refusals={
        Refusal.CANNOT_BE_YOURSELF: 422,
        Refusal.NO_SUCH_MEMBER: 404,
        Refusal.YOU_BLOCKED: 403,
        Refusal.ALREADY_CONNECTED: 409,
        Refusal.ALREADY_INVITED: 409,
    },
)
async def invite(call: Call, body: InviteIn) -> InvitationOut | Refusal | Invalid | Problem:
    """Where they have invited the caller already, this accepts: the state is `accepted` then."""
    made = await actions.invite(
        call.tx,
        call.viewer,
        body.member_id,
        note=body.note,
        invitation_id=InvitationId(ids.new()),
        now=call.now,
    )
    if not isinstance(made, Invitation):
        return made
    counts = made.outgoing and not call.by_operator
    if counts and not await pace.allows_invitation(call.tx, call.viewer):
        return rate_limited(_AGAIN_SECONDS)
    return invitation_out(made)


@operation(
    "POST",
    "/connections/{invitation_id}/accept",
    summary="Accept an invitation",
    tag=TAG,
    refusals={Refusal.NO_SUCH_INVITATION: 404},
)
async def accept(call: Call, invitation_id: InvitationId) -> InvitationOut | Refusal:
    """Once more changes nothing."""
    answered = await actions.accept(call.tx, call.viewer, invitation_id, call.now)
    return answered if isinstance(answered, Refusal) else invitation_out(answered)


@operation(
    "POST",
    "/connections/{invitation_id}/decline",
    summary="Decline an invitation",
    tag=TAG,
    refusals={Refusal.NO_SUCH_INVITATION: 404},
)
async def decline(call: Call, invitation_id: InvitationId) -> InvitationOut | Refusal:
    """Once more changes nothing."""
    answered = await actions.decline(call.tx, call.viewer, invitation_id, call.now)
    return answered if isinstance(answered, Refusal) else invitation_out(answered)


@operation(
    "DELETE",
    "/connections/{member_id}",
    summary="End a connection",
    tag=TAG,
    refusals={Refusal.CANNOT_BE_YOURSELF: 422, Refusal.NO_SUCH_MEMBER: 404},
)
async def disconnect(call: Call, member_id: MemberId) -> Refusal | None:
    """Or withdraw an invitation of the caller's. Once more changes nothing."""
    return await actions.disconnect(call.tx, call.viewer, member_id, call.now)


@operation("GET", "/connections", summary="The caller's network", tag=TAG)
async def connections(call: Call, query: ConnectionsQuery) -> Page[ConnectionOut]:
    """`state`: `connected` (the default), or invitations that wait, `received` or `sent`."""
    if query.state is Listed.CONNECTED:
        connected = await store.connections(
            call.tx, call.viewer, cursor=query.cursor, limit=query.limit, now=call.now
        )
        return page_out(connected, connection_out)
    outgoing = query.state is Listed.SENT
    waiting = await store.invitations(
        call.tx,
        call.viewer,
        outgoing=outgoing,
        cursor=query.cursor,
        limit=query.limit,
        now=call.now,
    )
    return page_out(waiting, waiting_out)


@operation(
    "PUT",
    "/connections",
    summary="Connect members in bulk",
    tag=TAG,
    who=Who.OPERATOR,
    body_bytes_max=PAIRS_BYTES_MAX,
)
async def upsert_pairs(call: Call, body: PairsIn) -> PairsOut | Invalid:
    """All of the pairs or, where a member is unknown, none. What waited between them is accepted."""
    connected = await actions.upsert_pairs(call.tx, body.pairs, call.now)
    if isinstance(connected, Invalid):
        return connected
    if connected.new:
        told = {"pairs": connected.pairs, "new": connected.new}
        await note(call, "connections.made", told)
    return PairsOut(connected=connected.pairs, new=connected.new)


@operation(
    "PUT",
    "/blocks/{member_id}",
    summary="Block a member",
    tag=TAG,
    refusals={Refusal.CANNOT_BE_YOURSELF: 422, Refusal.NO_SUCH_MEMBER: 404},
)
async def block(call: Call, member_id: MemberId) -> Refusal | None:
    """Neither can write to the other any more. A connection stays, an invitation does not."""
    return await actions.block(call.tx, call.viewer, member_id, call.now)


@operation(
    "DELETE",
    "/blocks/{member_id}",
    summary="Unblock a member",
    tag=TAG,
    refusals={Refusal.CANNOT_BE_YOURSELF: 422, Refusal.NO_SUCH_MEMBER: 404},
)
async def unblock(call: Call, member_id: MemberId) -> Refusal | None:
    return await actions.unblock(call.tx, call.viewer, member_id, call.now)


@operation("GET", "/blocks", summary="Whom the caller has blocked", tag=TAG)
async def blocks(call: Call, query: PageQuery) -> Page[BlockOut]:
    page = await store.blocks(
        call.tx, call.viewer, cursor=query.cursor, limit=query.limit, now=call.now
    )
    return page_out(page, block_out)


@operation(
    "POST",
    "/reports",
    summary="Report a member to the operator",
    tag=TAG,
    status=201,
    refusals={
        Refusal.CANNOT_BE_YOURSELF: 422,
        Refusal.NO_SUCH_MEMBER: 404,
        Refusal.NO_SUCH_CONVERSATION: 404,
    },
)
async def report(call: Call, body: ReportIn) -> ReportOut | Refusal | Invalid | Problem:
    """Nobody but the operator learns of it, and it is no response to an InMail."""
    made = await reports.report(
        call.tx,
        call.viewer,
        ReportId(ids.new()),
        member=body.member_id,
        conversation=body.conversation_id,
        reason=body.reason,
        note=body.note,
        now=call.now,
    )
    if not isinstance(made, Report):
        return made
    if not call.by_operator and not await pace.allows_report(call.tx, call.viewer):
        return rate_limited(_AGAIN_SECONDS)
    return ReportOut(
        id=made.id,
        member_id=made.member,
        conversation_id=made.conversation,
        reason=Reason(made.reason),
        note=made.note,
        at=made.at,
    )


def card_out(card: Card) -> MemberCard:
    return MemberCard(
        id=card.id,
        handle=card.handle,
        name=card.name,
        headline=card.headline,
        company=card.company,
        premium=card.premium,
    )


def invitation_out(invitation: Invitation) -> InvitationOut:
    return InvitationOut(
        id=invitation.id,
        member=card_out(invitation.member),
        note=invitation.note,
        state=invitation.state,
        sent_at=invitation.sent_at,
    )


def waiting_out(invitation: Invitation) -> ConnectionOut:
    return ConnectionOut(
        member=card_out(invitation.member),
        state=Listed.SENT if invitation.outgoing else Listed.RECEIVED,
        id=invitation.id,
        note=invitation.note,
        sent_at=invitation.sent_at,
    )


def connection_out(connection: Connection) -> ConnectionOut:
    return ConnectionOut(
        member=card_out(connection.member), state=Listed.CONNECTED, since=connection.since
    )


def block_out(block: Block) -> BlockOut:
    return BlockOut(member=card_out(block.member), at=block.at)
