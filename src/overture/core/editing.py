"""Whether a member may still change or take back what they wrote.

Source: docs/rules.md, "Where the rules are silent", Editing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from overture.core.conversations import Kind, State
from overture.core.refusals import Refusal

EDIT_WINDOW = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Written:
    """A message, and what decides over changing it. `begun`: by the one who asks; `blocked`: in either
    direction; `reachable`: the other side has an account still."""

    mine: bool
    number: int
    sent_at: datetime
    deleted: bool
    kind: Kind
    state: State
    begun: bool
    connected: bool
    blocked: bool
    reachable: bool = True

    @property
    def is_letter(self) -> bool:
        """The InMail itself, and not the chat that may follow."""
        return self.kind is Kind.INMAIL and self.number == 1


def no_edit(written: Written, now: datetime) -> Refusal | None:
    """Why this message cannot be changed now; None where it can.

    An edit puts new words before the other side, so it needs a conversation in which its writer could
    write. A letter stands as it was sent: were it changed only while nobody has read it, or not once
    its sender is blocked, its sender would learn of that by trying.
    """
    if (no := _not_theirs(written, now)) is not None:
        return no
    if written.is_letter:
        return Refusal.LETTER_STAYS
    return None if _may_write(written) else Refusal.CONVERSATION_CLOSED


def no_deletion(written: Written, now: datetime) -> Refusal | None:
    """Why this message cannot be deleted now; None where it can. Taking back words is always free,
    but a letter is withdrawn, not deleted."""
    if (no := _not_theirs(written, now)) is not None:
        return no
    return Refusal.LETTER_STAYS if written.is_letter else None


def _not_theirs(written: Written, now: datetime) -> Refusal | None:
    if not written.mine:
        return Refusal.NOT_YOUR_MESSAGE
    if written.deleted:
        return Refusal.MESSAGE_DELETED
    return Refusal.TOO_LATE_TO_CHANGE if now > written.sent_at + EDIT_WINDOW else None


def _may_write(written: Written) -> bool:
    if _is_shut(written):
        return False
    if written.state is State.ACCEPTED:
        return True
    if written.state is State.DECLINED:
        return not written.begun
    return written.connected and (written.kind is Kind.DIRECT or written.state is State.PENDING)


def _is_shut(written: Written) -> bool:
    return written.blocked or not written.reachable
