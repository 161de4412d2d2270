"""What members do with their network: invite, answer, part, block. And the operator's bulk."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from overture.actions.fields import Fields, Invalid
from overture.actions.members import QUERY_CHARS_MAX
from overture.core import text
from overture.core.ids import InvitationId, MemberId
from overture.core.refusals import Refusal
from overture.core.sending import Event
from overture.store import members as members_store
from overture.store import network as store
from overture.store.db import Tx
from overture.store.members import WORDS_MAX
from overture.store.network import Connection, Invitation, InvitationState
from overture.store.outbox import tell
from overture.store.pages import Page

PAIRS_MAX = 10_000
# So many of the unknown ids are named; more would only make the answer long.
NAMED_MAX = 20


@dataclass(frozen=True, slots=True)
class Connected:
    """What a bulk of pairs came to: how many there were, and how many of them are new."""

    pairs: int
    new: int


async def invite(
    tx: Tx,
    viewer: MemberId,
    to: MemberId,
    *,
    note: str,
    invitation_id: InvitationId,
    now: datetime,
) -> Invitation | Refusal | Invalid:
    """Asks a member to connect; where they have asked already, this accepts.

    Someone who has blocked the viewer never sees it: to the viewer it waits, like one that nobody
    answers.
    """
    fields = Fields()
    clean = fields.take("note", text.note(note))
    if (invalid := fields.invalid) is not None:
        return invalid
    if viewer == to:
        return Refusal.CANNOT_BE_YOURSELF
    found = await store.between(tx, viewer, to, now)
    if found.other is None:
        return Refusal.NO_SUCH_MEMBER
    if found.viewer_blocked:
        return Refusal.YOU_BLOCKED
    if found.connected:
        return Refusal.ALREADY_CONNECTED
    if found.sent is not None:
        return Refusal.ALREADY_INVITED
    if found.received is not None:
        await _connect(tx, viewer, to, found.received.id, now)
        return replace(found.received, state=InvitationState.ACCEPTED, outgoing=False)
    await store.add_invitation(
        tx,
        invitation_id,
        inviter=viewer,
        invitee=to,
        note=clean,
        now=now,
        shown=not found.other_blocked,
    )
    # The viewer's own open pages follow either way: they must not learn more than the one that asked.
    kind = "connection.unseen" if found.other_blocked else "connection.invited"
    told = {"invitation_id": invitation_id, "member_id": to}
    await tell(tx, [Event(viewer, kind, now, told)])
    return Invitation(
        invitation_id, found.other, clean, InvitationState.PENDING, now, outgoing=True
    )


async def accept(
    tx: Tx, viewer: MemberId, invitation_id: InvitationId, now: datetime
) -> Invitation | Refusal:
    """Accepts an invitation that the viewer received; once more changes nothing."""
    invitation = await store.received(tx, viewer, invitation_id, now)
    if invitation is None:
        return Refusal.NO_SUCH_INVITATION
    if invitation.state is InvitationState.ACCEPTED:
        return invitation
    if invitation.state is not InvitationState.PENDING:
        return Refusal.NO_SUCH_INVITATION
    await _connect(tx, viewer, invitation.member.id, invitation_id, now)
    return replace(invitation, state=InvitationState.ACCEPTED)


async def decline(
    tx: Tx, viewer: MemberId, invitation_id: InvitationId, now: datetime
) -> Invitation | Refusal:
    """Declines an invitation that the viewer received; once more changes nothing."""
    invitation = await store.received(tx, viewer, invitation_id, now)
    if invitation is None:
        return Refusal.NO_SUCH_INVITATION
    if invitation.state is InvitationState.DECLINED:
        return invitation
    if invitation.state is not InvitationState.PENDING:
        return Refusal.NO_SUCH_INVITATION
    inviter = invitation.member.id
    await store.end_invitations(
        tx, InvitationState.DECLINED, inviter=inviter, invitee=viewer, now=now
    )
    told = {"invitation_id": invitation_id, "member_id": inviter}
    await tell(tx, [Event(viewer, "connection.declined", now, told)])
    return replace(invitation, state=InvitationState.DECLINED)


async def disconnect(tx: Tx, viewer: MemberId, other: MemberId, now: datetime) -> Refusal | None:
    """Ends a connection, or withdraws the viewer's invitation; once more changes nothing."""
    if viewer == other:
        return Refusal.CANNOT_BE_YOURSELF
    found = await store.between(tx, viewer, other, now)
    if found.connected:
        await store.disconnect(tx, viewer, other)
        await tell(tx, [Event(viewer, "connection.ended", now, {"member_id": other})])
    elif found.other is None:
        return Refusal.NO_SUCH_MEMBER
    elif found.sent is not None:
        await store.end_invitations(
            tx, InvitationState.WITHDRAWN, inviter=viewer, invitee=other, now=now
        )
        told = {"invitation_id": found.sent.id, "member_id": other}
        await tell(tx, [Event(viewer, "connection.withdrawn", now, told)])
    return None


async def find_connections(
    tx: Tx, viewer: MemberId, q: str, *, cursor: str | None, limit: int, now: datetime
) -> Page[Connection] | Invalid:
    """The member's connections, the last made first: those in whose name, headline or company every
    word of `q` begins one."""
    fields = Fields()
    query = fields.take("q", text.line(q, QUERY_CHARS_MAX))
    if (invalid := fields.invalid) is not None:
        return invalid
    words = text.fold(query).split()[:WORDS_MAX]
    return await store.connections(tx, viewer, cursor=cursor, limit=limit, now=now, words=words)


async def upsert_pairs(
    tx: Tx, pairs: Sequence[tuple[MemberId, MemberId]], now: datetime
) -> Connected | Invalid:
    """Connects pairs of members in bulk, all or none; those that are connected stay as they are."""
    fields = Fields()
    wanted: dict[tuple[MemberId, MemberId], None] = {}
    for place, (one, other) in enumerate(pairs):
        if one == other:
            fields.refuse(f"pairs[{place}]", "A member cannot be connected to themselves.")
        wanted[min(one, other), max(one, other)] = None
    mentioned = {member for pair in wanted for member in pair}
    known = await members_store.locked(tx, sorted(mentioned))
    unknown = sorted(m for m in mentioned if m not in known or known[m].closed)
    for member in unknown[:NAMED_MAX]:
        fields.refuse("pairs", f"There is no member {member}.")
    if len(unknown) > NAMED_MAX:
        fields.refuse("pairs", f"And {len(unknown) - NAMED_MAX} more are unknown.")
    if (invalid := fields.invalid) is not None:
        return invalid
    new = await store.connect(tx, wanted, now)
    events = [Event(one, "connection.accepted", now, {"member_id": other}) for one, other in new]
    await tell(tx, events)
    return Connected(pairs=len(wanted), new=len(new))


async def block(tx: Tx, viewer: MemberId, other: MemberId, now: datetime) -> Refusal | None:
    """Blocks a member; once more changes nothing. A connection stays, an invitation does not.

    To the other side, an invitation of theirs looks declined.
    """
    if viewer == other:
        return Refusal.CANNOT_BE_YOURSELF
    found = await store.between(tx, viewer, other, now)
    if found.viewer_blocked:
        return None
    if found.other is None:
        return Refusal.NO_SUCH_MEMBER
    await store.add_block(tx, viewer, other, now)
    if found.sent is not None:
        await store.end_invitations(
            tx, InvitationState.WITHDRAWN, inviter=viewer, invitee=other, now=now
        )
    if found.received is not None:
        await store.end_invitations(
            tx, InvitationState.DECLINED, inviter=other, invitee=viewer, now=now
        )
    await tell(tx, [Event(viewer, "member.blocked", now, {"member_id": other})])
    return None


async def unblock(tx: Tx, viewer: MemberId, other: MemberId, now: datetime) -> Refusal | None:
    """Lifts a block; once more changes nothing.

    An invitation that the block kept from the viewer ends with it, as if declined: the other side
    can send another one, which is seen.
    """
    if viewer == other:
        return Refusal.CANNOT_BE_YOURSELF
    found = await store.between(tx, viewer, other, now)
    if found.viewer_blocked:
        await store.remove_block(tx, viewer, other)
        if found.received is not None:
            await store.end_invitations(
                tx, InvitationState.DECLINED, inviter=other, invitee=viewer, now=now
            )
        await tell(tx, [Event(viewer, "member.unblocked", now, {"member_id": other})])
    elif found.other is None:
        return Refusal.NO_SUCH_MEMBER
    return None


async def _connect(
    tx: Tx, viewer: MemberId, inviter: MemberId, invitation_id: InvitationId, now: datetime
) -> None:
    await store.connect(tx, [(viewer, inviter)], now)
    told = {"invitation_id": invitation_id, "member_id": inviter}
    await tell(tx, [Event(viewer, "connection.accepted", now, told)])
