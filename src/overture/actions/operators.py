"""Operators: members who may enter the console, and how they do.

Who becomes one is decided on the command line. The console is entered with a second factor, which is
asked again before what weighs; see `core.accounts` for how long it stays open.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from overture.actions.fields import Fields, Invalid
from overture.core import text
from overture.core.ids import ConversationId, MemberId
from overture.core.refusals import Refusal
from overture.store import audit, console
from overture.store import operators as store
from overture.store.console import Line, Text
from overture.store.db import Tx

# How those who act in the console are told from others in the audit log.
ACTOR = "operator"


def actor(member: MemberId) -> str:
    """Who does what an operator does in the console, for the audit log."""
    return f"{ACTOR}:{member}"


async def add(tx: Tx, member: MemberId, *, by: str, audit_id: str, now: datetime) -> bool:
    """Makes a member an operator; False where they are one, or have no account to sign in with, or have
    not verified its address."""
    if not await store.add(tx, member):
        return False
    await audit.record(
        tx, audit_id, now, actor=by, action="operator.added", member=member, detail={}
    )
    return True


async def remove(tx: Tx, member: MemberId, *, by: str, audit_id: str, now: datetime) -> bool:
    """Takes that back at once, in every browser; False where they are none."""
    if not await store.remove(tx, member):
        return False
    await audit.record(
        tx, audit_id, now, actor=by, action="operator.removed", member=member, detail={}
    )
    return True


async def enter(tx: Tx, member: MemberId, session: str, *, audit_id: str, now: datetime) -> bool:
    """Opens the console in a browser that has only just shown a second factor; else False."""
    if not await store.enter(tx, member, session):
        return False
    await _note(tx, member, "operator.entered", session, audit_id=audit_id, now=now)
    return True


async def leave(tx: Tx, member: MemberId, session: str, *, audit_id: str, now: datetime) -> None:
    """Shuts it in this browser; the second factor is asked for at the next entry."""
    if await store.leave(tx, member, session):
        await _note(tx, member, "operator.left", session, audit_id=audit_id, now=now)


# Conversations ------------------------------------------------------------------------------------

TEXTS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Opened:
    """What stands in a conversation, as an operator may read it for the reason that was given."""

    line: Line
    subject: str
    texts: Sequence[Text]


async def open_conversation(
    tx: Tx,
    member: MemberId,
    conversation: ConversationId,
    *,
    reason: str,
    before: int | None,
    by: str,
    audit_id: str,
    now: datetime,
) -> Opened | Refusal | Invalid:
    """Shows what two members wrote to each other, and notes who wanted to know, and why.

    Found through a row of `member`'s own, as everything in conversations is.
    """
    fields = Fields()
    why = fields.take("reason", text.line(reason, text.NOTE_CHARS_MAX, required=True))
    if (invalid := fields.invalid) is not None:
        return invalid
    line = await console.line(tx, member, conversation)
    if line is None:
        return Refusal.NO_SUCH_CONVERSATION
    detail: dict[str, object] = {"conversation_id": conversation, "of": member, "reason": why}
    if before is not None:
        detail["before"] = before
    # Not under the member, to whom it would go with their own data: the reason may name somebody else.
    await audit.record(tx, audit_id, now, actor=by, action="conversation.opened", detail=detail)
    return Opened(
        line,
        await console.subject(tx, line.home, conversation),
        await console.texts(tx, line.home, conversation, before=before, limit=TEXTS_AT_ONCE),
    )


async def _note(
    tx: Tx, member: MemberId, action: str, session: str, *, audit_id: str, now: datetime
) -> None:
    await audit.record(
        tx,
        audit_id,
        now,
        actor=actor(member),
        action=action,
        member=member,
        detail={"session": session},
    )
