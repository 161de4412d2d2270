"""Reports: a member tells the operator of another one. No response, and nobody else learns of it."""

from datetime import datetime
from enum import StrEnum

from overture.actions.fields import Fields, Invalid
from overture.core import text
from overture.core.ids import ConversationId, MemberId, ReportId
from overture.core.refusals import Refusal
from overture.core.sending import Event
from overture.store import reports as store
from overture.store.db import Tx
from overture.store.outbox import tell
from overture.store.reports import Report

NOTE_CHARS_MAX = 2_000


class Reason(StrEnum):
    SPAM = "spam"
    HARASSMENT = "harassment"
    FAKE_PROFILE = "fake_profile"
    INAPPROPRIATE = "inappropriate"
    OTHER = "other"


async def report(
    tx: Tx,
    viewer: MemberId,
    report_id: ReportId,
    *,
    member: MemberId,
    conversation: ConversationId | None,
    reason: Reason,
    note: str,
    now: datetime,
) -> Report | Refusal | Invalid:
    """Reports a member, also one who has closed the account since; with a conversation with them."""
    fields = Fields()
    clean = fields.take("note", text.note(note, NOTE_CHARS_MAX))
    if (invalid := fields.invalid) is not None:
        return invalid
    if viewer == member:
        return Refusal.CANNOT_BE_YOURSELF
    if not await store.exists(tx, member):
        return Refusal.NO_SUCH_MEMBER
    if conversation is not None and not await store.is_with(tx, viewer, conversation, member):
        return Refusal.NO_SUCH_CONVERSATION
    made = Report(report_id, viewer, member, conversation, reason, clean, now)
    await store.add(tx, made, await store.snapshot(tx, viewer, member, conversation))
    told = {"report_id": report_id, "member_id": member, "conversation_id": conversation}
    await tell(tx, [Event(viewer, "report.created", now, told)])
    return made
