"""A conversation and its life: what it is, and what a response or a withdrawal makes of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from overture.core.files import File
from overture.core.ids import ConversationId, MemberId, MessageId
from overture.core.policy import Outcome
from overture.core.refusals import Refusal


class Kind(StrEnum):
    DIRECT = "direct"
    INMAIL = "inmail"


class Channel(StrEnum):
    """By which right a conversation was begun, and what a message now would be."""

    MESSAGE = "message"
    OPEN_PROFILE = "open_profile"
    INMAIL = "inmail"


class State(StrEnum):
    OPEN = "open"
    CLOSED = "closed"
    IMPORTED = "imported"
    PENDING = "pending"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
    UNDELIVERABLE = "undeliverable"


class Response(StrEnum):
    """What ended an InMail's waiting."""

    ACCEPTED = "accepted"
    DECLINED = "declined"
    UNDELIVERABLE = "undeliverable"


class Refund(StrEnum):
    """What became of the credits that an answered InMail had cost; of several, the best."""

    REFUNDED = "refunded"
    DEFERRED = "deferred"
    NONE = "none"


@dataclass(slots=True)
class Conversation:
    """A conversation as its home keeps it; `sender` began it and `recipient` is the other side.

    `recipient` is None in an imported group. `refundable_until` has one instant a credit charged;
    `refund` is set by the answer alone, for the sender's own row, and not kept here.
    Changed in place by `core.sending` while a batch is decided, then stored.
    """

    id: ConversationId
    sender: MemberId
    recipient: MemberId | None
    kind: Kind
    channel: Channel
    state: State
    subject: str
    started_at: datetime
    last_activity_at: datetime
    pool: str | None = None
    refundable_until: list[datetime] = field(default_factory=list)
    response: Response | None = None
    responded_at: datetime | None = None
    withdrawn_at: datetime | None = None
    sender_wrote_at: datetime | None = None
    recipient_wrote_at: datetime | None = None
    shared: bool = True
    messages: int = 0
    refund: Refund | None = None

    def begun_by(self, member: MemberId) -> bool:
        return self.sender == member

    def other(self, member: MemberId) -> MemberId:
        """The other side of a conversation of two."""
        assert self.recipient is not None, "a group has no other side"
        return self.recipient if self.sender == member else self.sender

    @property
    def expires_refund_at(self) -> datetime | None:
        """Until when a response returns a credit: of several, the last."""
        return self.refundable_until[-1] if self.refundable_until else None

    def wrote(self, member: MemberId, now: datetime, counts_at: datetime) -> None:
        if self.sender == member:
            self.sender_wrote_at = counts_at
        else:
            self.recipient_wrote_at = counts_at
        self.messages += 1
        self.last_activity_at = now


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `number` counts from 1 within its conversation, without gaps."""

    id: MessageId
    conversation_id: ConversationId
    number: int
    sender: MemberId | None
    sent_at: datetime
    body: str
    quick_reply: str | None = None
    files: Sequence[File] = ()
    edited_at: datetime | None = None
    deleted_at: datetime | None = None


def takes_files(conversation: Conversation, *, connected: bool) -> bool:
    """Whether files may go with a message here: only once both may write freely.

    Never on a letter, nor on its answer. Source: docs/rules.md, "Files".
    """
    if conversation.state is State.ACCEPTED:
        return True
    return connected and conversation.kind is Kind.DIRECT


def response_to(
    conversation: Conversation, viewer: MemberId, wanted: Outcome
) -> Outcome | Refusal | None:
    """What a response does: the outcome to record, None where it is there already, or a no.

    The first response counts; the same again changes nothing; a contrary one is refused.
    """
    if conversation.begun_by(viewer):
        return Refusal.NOT_THE_RECIPIENT
    if conversation.state is State.PENDING:
        return wanted
    if conversation.response in (Response.ACCEPTED, Response.DECLINED):
        return None if conversation.response == wanted else Refusal.ALREADY_ANSWERED
    return Refusal.NOT_PENDING


def withdrawal_of(conversation: Conversation, viewer: MemberId) -> State | Refusal | None:
    """What withdrawing does: the new state, None where it was withdrawn before, or a no."""
    if not conversation.begun_by(viewer):
        return Refusal.NOT_THE_SENDER
    if conversation.state is State.PENDING:
        return State.WITHDRAWN
    if conversation.state is State.WITHDRAWN:
        return None
    if conversation.response in (Response.ACCEPTED, Response.DECLINED):
        return Refusal.ALREADY_ANSWERED
    return Refusal.NOT_PENDING
