"""What goes over the wire: the shapes that several operations share.

`In` is what clients send, where an unknown name is an error; `Out` is what they get. Instants print
as RFC 3339 with Z, whole seconds unless the fraction is not zero.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Generic, TypeVar

import msgspec
from msgspec import Meta

from overture.core.conversations import Kind, Message, State
from overture.core.ids import ConversationId, FileId, MemberId, MessageId
from overture.core.sending import View
from overture.store import pages

T = TypeVar("T")
R = TypeVar("R")

UUID_PATTERN = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
_UUID = Meta(pattern=UUID_PATTERN, min_length=36, max_length=36)

# Ids in bodies and queries. One that no UUID can be is a mistake that names its field; in a path it
# is an unknown id.
AnyId = Annotated[str, _UUID]
AMemberId = Annotated[MemberId, _UUID]
AConversationId = Annotated[ConversationId, _UUID]
AMessageId = Annotated[MessageId, _UUID]

Instant = Annotated[datetime, Meta(tz=True)]
INT_MAX = 2**31 - 1
Count = Annotated[int, Meta(ge=0, le=INT_MAX)]

# On a field: shown once, and null when the answer is given again to the same Idempotency-Key.
SECRET = Meta(extra={"secret": True})


def from_policy(what: str) -> Meta:
    """Marks a field whose values the policy in force names; the OpenAPI document lists them.

    `what`: pools, plans, quick_replies, body_chars_max, subject_chars_max.
    """
    return Meta(extra_json_schema={FROM_POLICY: what})


FROM_POLICY = "x-policy"
PoolName = Annotated[str, from_policy("pools")]
PlanName = Annotated[str, from_policy("plans")]

# What `core.text` takes, for the OpenAPI document: clients are told before they try.
_CHAR = r"[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]"
_NO_LINE_CHARS = r"\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069"
_LINE_CHAR = f"[^{_NO_LINE_CHARS}]"
LINE = Meta(extra_json_schema={"pattern": f"^{_LINE_CHAR}*$"})
NOT_BLANK_LINE = Meta(
    extra_json_schema={"pattern": rf"^{_LINE_CHAR}*[^\s{_NO_LINE_CHARS}]{_LINE_CHAR}*$"}
)
TEXT = Meta(extra_json_schema={"pattern": f"^{_CHAR}*$"})
NOT_BLANK = Meta(
    extra_json_schema={"pattern": rf"^{_CHAR}*[^\s\u0000-\u001f\u007f-\u009f]{_CHAR}*$"}
)


class In(msgspec.Struct, forbid_unknown_fields=True):
    """What a client sends: a body, or the parameters of a query."""


class Nothing(In):
    """No fields."""


class Out(msgspec.Struct):
    """What a client gets."""


# Lists ------------------------------------------------------------------------------------------


class Page(Out, Generic[T]):
    """A part of a list; `next` is the cursor of what follows, null at the end."""

    items: Sequence[T]
    next: str | None


class PageQuery(In):
    limit: Annotated[int, Meta(ge=1, le=100)] = 30
    # A BadCursor that the list raises is answered as a mistake in this parameter.
    cursor: Annotated[str, Meta(max_length=pages.CURSOR_CHARS_MAX)] | None = None


def page_out(page: pages.Page[R], item: Callable[[R], T]) -> Page[T]:
    return Page(items=[item(each) for each in page.items], next=page.next)


# Conversations ----------------------------------------------------------------------------------


class MemberRef(Out):
    """A member as others name them; a closed account has no name any more."""

    id: MemberId
    handle: str
    name: str


class Participant(Out):
    name: str
    id: MemberId | None = None
    handle: str | None = None


class LastMessageOut(Out):
    """The last message of a conversation, its beginning only."""

    id: MessageId
    sender_id: MemberId | None
    body: str
    sent_at: Instant


class ConversationOut(Out):
    """A conversation as the caller sees it; a group has `participants`, and nobody in `with`."""

    id: ConversationId
    subject: str
    kind: Kind
    state: State
    with_: MemberRef | None = msgspec.field(name="with")
    last_message: LastMessageOut | None
    unread: int
    pending_since: Instant | None
    credits: int
    expires_refund_at: Instant | None
    last_activity_at: Instant
    participants: Sequence[Participant] | msgspec.UnsetType = msgspec.UNSET


class AttachmentOut(Out):
    """A file that came with a message; `kind` is its media type. What is in it: `GET
    /conversations/{id}/attachments/{id}`."""

    id: FileId
    name: str
    kind: str
    bytes: int


class MessageOut(Out):
    """One message; `number` counts from 1 within its conversation.

    `edited_at` and `deleted_at` are null unless it was changed or taken back after it was sent; of a
    deleted one the `body` is empty.
    """

    id: MessageId
    conversation_id: ConversationId
    number: int
    sender_id: MemberId | None
    body: str
    sent_at: Instant
    quick_reply: str | None
    edited_at: Instant | None
    deleted_at: Instant | None
    attachments: Sequence[AttachmentOut]


def conversation_out(view: View) -> ConversationOut:
    other, last = view.with_, view.last_message
    return ConversationOut(
        id=view.id,
        subject=view.subject,
        kind=view.kind,
        state=view.state,
        with_=MemberRef(id=other.id, handle=other.handle, name=other.name),
        last_message=None
        if last is None
        else LastMessageOut(
            id=last.id, sender_id=last.sender, body=last.snippet, sent_at=last.sent_at
        ),
        unread=view.unread,
        pending_since=view.pending_since,
        credits=view.credits,
        expires_refund_at=view.expires_refund_at,
        last_activity_at=view.last_activity_at,
    )


def message_out(message: Message) -> MessageOut:
    return MessageOut(
        id=message.id,
        conversation_id=message.conversation_id,
        number=message.number,
        sender_id=message.sender,
        body=message.body,
        sent_at=message.sent_at,
        quick_reply=message.quick_reply,
        edited_at=message.edited_at,
        deleted_at=message.deleted_at,
        attachments=attachments_out(message),
    )


def attachments_out(message: Message) -> list[AttachmentOut]:
    return [
        AttachmentOut(id=each.id, name=each.name, kind=each.kind, bytes=each.bytes)
        for each in message.files
    ]
