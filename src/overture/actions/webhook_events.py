"""What webhooks tell of each event: ids and facts that an operator may know, never what was written.

Whoever wants more asks the API, acting as a member.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec

from overture.core.ids import ConversationId, EndpointId, MemberId, MessageId, ReportId
from overture.core.webhooks import TEST, EventType
from overture.store.outbox import Row


class InmailTold(msgspec.Struct, frozen=True):
    """An InMail was withdrawn by its sender, or its recipient was reminded of it."""

    conversation_id: ConversationId
    sender_id: MemberId
    recipient_id: MemberId


class InmailResponded(msgspec.Struct, frozen=True):
    """An InMail got its response, or cannot be delivered any more: the recipient closed the account.

    What became of the sender's credit is told by `credits.changed`.
    """

    conversation_id: ConversationId
    sender_id: MemberId
    recipient_id: MemberId
    outcome: Literal["accepted", "declined", "undeliverable"]


class MessageTold(msgspec.Struct, frozen=True):
    """A message was sent, edited or deleted. Of an InMail, `inmail.sent` tells of the first one."""

    conversation_id: ConversationId
    message_id: MessageId
    sender_id: MemberId
    recipient_id: MemberId


class CreditsChanged(msgspec.Struct, frozen=True):
    """Credits came or went; `balance` is what the member has in the pool now."""

    member_id: MemberId
    pool: str
    balance: int


class SubscriptionChanged(msgspec.Struct, frozen=True):
    """A member chose or canceled a plan, or what waited for the period's end has come; `next_plan` is
    what a waiting downgrade leads to."""

    member_id: MemberId
    pool: str
    plan: str
    status: str
    next_plan: str | None


class MemberTold(msgspec.Struct, frozen=True):
    """A member was created, changed their profile, or closed the account."""

    member_id: MemberId


class MemberBlocked(msgspec.Struct, frozen=True):
    """A member blocked another one, or unblocked them."""

    member_id: MemberId
    blocked_id: MemberId


class ReportCreated(msgspec.Struct, frozen=True):
    """A member reported another one, perhaps for a conversation."""

    report_id: ReportId
    reporter_id: MemberId
    member_id: MemberId
    conversation_id: ConversationId | None


class EndpointTested(msgspec.Struct, frozen=True):
    """An operator wanted to see whether deliveries arrive."""

    endpoint_id: EndpointId


Data = (
    InmailTold
    | InmailResponded
    | MessageTold
    | CreditsChanged
    | SubscriptionChanged
    | MemberTold
    | MemberBlocked
    | ReportCreated
    | EndpointTested
)

# What `data` is, by the event's type.
SHAPES: Mapping[str, type[Data]] = {
    EventType.INMAIL_SENT: MessageTold,
    EventType.INMAIL_RESPONDED: InmailResponded,
    EventType.INMAIL_WITHDRAWN: InmailTold,
    EventType.INMAIL_REMINDED: InmailTold,
    EventType.MESSAGE_SENT: MessageTold,
    EventType.MESSAGE_EDITED: MessageTold,
    EventType.MESSAGE_DELETED: MessageTold,
    EventType.CREDITS_CHANGED: CreditsChanged,
    EventType.SUBSCRIPTION_CHANGED: SubscriptionChanged,
    EventType.MEMBER_CREATED: MemberTold,
    EventType.MEMBER_CHANGED: MemberTold,
    EventType.MEMBER_CLOSED: MemberTold,
    EventType.MEMBER_BLOCKED: MemberBlocked,
    EventType.MEMBER_UNBLOCKED: MemberBlocked,
    EventType.REPORT_CREATED: ReportCreated,
    TEST: EndpointTested,
}


class Body(msgspec.Struct, frozen=True):
    """What is delivered; `timestamp` is when it happened."""

    type: str
    timestamp: datetime
    data: Data


def body_of(event: Row) -> Body | None:
    """What is told of an event of the outbox; None of a kind that endpoints are not told of."""
    shape = SHAPES.get(event.kind)
    return None if shape is None else Body(event.kind, event.at, _data(shape, event))


def _data(shape: type[Data], event: Row) -> Data:
    told = _decode(event.payload)
    if shape is MessageTold:
        # The outbox names who the conversation's two are, whichever of them wrote.
        two = (event.owner, told["recipient_id"])
        told["recipient_id"] = two[1] if told["sender_id"] == two[0] else two[0]
    elif shape is ReportCreated:
        told["reporter_id"] = event.owner
    elif shape is MemberBlocked:
        told = {"member_id": event.owner, "blocked_id": told["member_id"]}
    else:
        told |= {"sender_id": event.owner, "member_id": event.owner}
    return msgspec.convert(told, shape)


_decode = msgspec.json.Decoder(dict[str, object]).decode
