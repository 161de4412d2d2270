"""Operations on what a member received: boxes, threads, what was read, search."""

from typing import Annotated
from urllib.parse import quote

import msgspec
from msgspec import Meta

from overture.actions import files, inbox
from overture.api import problems
from overture.api.operation import Call, Raw, operation
from overture.api.wire import (
    NOT_BLANK,
    TEXT,
    AMessageId,
    ConversationOut,
    In,
    LastMessageOut,
    MemberRef,
    MessageOut,
    Nothing,
    Page,
    PageQuery,
    Participant,
    attachments_out,
    from_policy,
    message_out,
    page_out,
)
from overture.core import text
from overture.core.ids import ConversationId, FileId, MessageId
from overture.core.refusals import Refusal
from overture.store import inbox as store
from overture.store.inbox import Box, Found, ListRow, Thread

TAG = "Conversations"
NOT_FOUND = {Refusal.NO_SUCH_CONVERSATION: 404}
CHANGING = {
    **NOT_FOUND,
    Refusal.NO_SUCH_MESSAGE: 404,
    Refusal.NOT_YOUR_MESSAGE: 403,
    Refusal.MESSAGE_DELETED: 409,
    Refusal.TOO_LATE_TO_CHANGE: 403,
}

# Wire -------------------------------------------------------------------------------------------


class BoxQuery(PageQuery, kw_only=True):
    """`inbox`: all but pending received, archived and spam; `requests`: pending, received; `sent`:
    begun by the caller; `unread`: with unread messages, but no spam."""

    box: Box = Box.INBOX


class SearchQuery(PageQuery, kw_only=True):
    q: Annotated[str, Meta(min_length=1, max_length=200), TEXT]


class UpTo(In):
    """The last message that was read."""

    up_to: AMessageId


class NewText(In):
    """What a message is to say instead."""

    body: Annotated[str, NOT_BLANK, from_policy("body_chars_max")]


class ThreadOut(ConversationOut, kw_only=True):
    """A conversation with where it lies, and the last message that the other side has read.

    `seen_up_to` is null where it is not told: unless both have receipts on, and to the sender of an
    InMail that was not answered.
    """

    box: Box
    seen_up_to: MessageId | None


class FoundOut(MessageOut, kw_only=True):
    """A message that was found, with its conversation's subject and other side (null in a group)."""

    subject: str
    with_: MemberRef | None = msgspec.field(name="with")


# Operations -------------------------------------------------------------------------------------


@operation("GET", "/conversations", summary="List conversations", tag=TAG)
async def conversations(call: Call, query: BoxQuery) -> Page[ConversationOut]:
    """A box, by last activity: the newest first. One that moves up is found on a fresh first page."""
    found = await store.page(call.tx, call.viewer, query.box, query.cursor, query.limit)
    return page_out(found, conversation_out)


@operation(
    "GET",
    "/conversations/{conversation_id}",
    summary="A conversation",
    tag=TAG,
    refusals=NOT_FOUND,
)
async def conversation(call: Call, conversation_id: ConversationId) -> ThreadOut | Refusal:
    """Of a withdrawn InMail its recipient sees neither subject nor messages."""
    return _told(await inbox.thread(call.tx, call.viewer, conversation_id))


@operation(
    "GET",
    "/conversations/{conversation_id}/messages",
    summary="A conversation's messages",
    tag=TAG,
    refusals=NOT_FOUND,
)
async def messages(
    call: Call, conversation_id: ConversationId, query: PageQuery
) -> Page[MessageOut] | Refusal:
    """The newest first."""
    found = await inbox.messages(call.tx, call.viewer, conversation_id, query.cursor, query.limit)
    return found if isinstance(found, Refusal) else page_out(found, message_out)


@operation(
    "POST",
    "/conversations/{conversation_id}/read",
    summary="Mark as read",
    tag=TAG,
    refusals={**NOT_FOUND, Refusal.NO_SUCH_MESSAGE: 404},
)
async def read(call: Call, conversation_id: ConversationId, body: UpTo) -> ThreadOut | Refusal:
    """Everything up to this message was read. Nothing is ever un-read: an earlier one is fine too."""
    return _told(await inbox.read(call.tx, call.viewer, conversation_id, body.up_to, call.now))


@operation(
    "POST",
    "/conversations/{conversation_id}/typing",
    summary="Tell that the caller is typing",
    tag=TAG,
    refusals=NOT_FOUND,
)
async def typing(call: Call, conversation_id: ConversationId, body: Nothing) -> Refusal | None:
    """The other side sees it for a moment, where receipts and typing are on for both."""
    _ = body
    return await inbox.typing(call.tx, call.viewer, conversation_id)


@operation(
    "POST",
    "/conversations/{conversation_id}/archive",
    summary="Archive a conversation",
    tag=TAG,
    refusals=NOT_FOUND,
)
async def archive(
    call: Call, conversation_id: ConversationId, body: Nothing
) -> ThreadOut | Refusal:
    """Out of the inbox, until a new message comes."""
    _ = body
    return _told(await inbox.archive(call.tx, call.viewer, conversation_id, call.now))


@operation(
    "POST",
    "/conversations/{conversation_id}/unarchive",
    summary="Bring a conversation back from the archive or from spam",
    tag=TAG,
    refusals=NOT_FOUND,
)
async def unarchive(
    call: Call, conversation_id: ConversationId, body: Nothing
) -> ThreadOut | Refusal:
    """A pending InMail that was received goes back to the requests, anything else to the inbox."""
    _ = body
    return _told(await inbox.unarchive(call.tx, call.viewer, conversation_id, call.now))


@operation(
    "POST",
    "/conversations/{conversation_id}/spam",
    summary="Put a conversation into spam",
    tag=TAG,
    refusals=NOT_FOUND,
)
async def spam(call: Call, conversation_id: ConversationId, body: Nothing) -> ThreadOut | Refusal:
    """It stays there, new messages too. This is no response, and the other side is not told."""
    _ = body
    return _told(await inbox.mark_spam(call.tx, call.viewer, conversation_id, call.now))


@operation(
    "PATCH",
    "/conversations/{conversation_id}/messages/{message_id}",
    summary="Change a message",
    tag=TAG,
    refusals={**CHANGING, Refusal.LETTER_STAYS: 409, Refusal.CONVERSATION_CLOSED: 403},
)
async def edit(
    call: Call, conversation_id: ConversationId, message_id: MessageId, body: NewText
) -> MessageOut | Refusal:
    """The caller's own, within 15 minutes of sending it, where they could still write. A letter
    stands as it was sent."""
    new = text.body(body.body, call.context.book.at(call.now).body_chars_max)
    if isinstance(new, text.BadText):
        raise problems.invalid("body", new.sentence)
    changed = await inbox.edit(
        call.tx, call.viewer, conversation_id, message_id, body=new, now=call.now
    )
    return changed if isinstance(changed, Refusal) else message_out(changed)


@operation(
    "DELETE",
    "/conversations/{conversation_id}/messages/{message_id}",
    summary="Delete a message",
    tag=TAG,
    refusals={**CHANGING, Refusal.LETTER_STAYS: 409},
)
async def delete(
    call: Call, conversation_id: ConversationId, message_id: MessageId
) -> MessageOut | Refusal:
    """The caller's own, within 15 minutes of sending it, for both sides: its place stays, with
    neither text nor files. A letter is withdrawn instead."""
    gone = await inbox.delete(call.tx, call.viewer, conversation_id, message_id, call.now)
    return gone if isinstance(gone, Refusal) else message_out(gone)


@operation(
    "GET",
    "/conversations/{conversation_id}/attachments/{file_id}",
    summary="A file that came with a message",
    tag=TAG,
    refusals={**NOT_FOUND, Refusal.NO_SUCH_FILE: 404},
    media_type="application/octet-stream",
)
async def attachment(call: Call, conversation_id: ConversationId, file_id: FileId) -> Raw | Refusal:
    """What is in it, under its name. Members add files where they write, in the web app."""
    content = bytearray()
    while True:
        found = await files.find(call.tx, call.viewer, conversation_id, file_id, start=len(content))
        if isinstance(found, Refusal):
            return found
        content += found.part
        if len(content) >= found.size:
            break
    disposition = f"attachment; filename*=UTF-8''{quote(found.name)}"
    return Raw(
        bytes(content),
        {
            "Content-Type": "application/octet-stream",
            "Content-Disposition": disposition,
            "Cache-Control": "no-store",
        },
    )


@operation("GET", "/search/messages", summary="Search in messages", tag=TAG, searches=True)
async def search(call: Call, query: SearchQuery) -> Page[FoundOut]:
    """The caller's messages in which every word of `q` begins a word, the newest first.

    A subject counts as part of its conversation's first message.
    """
    found = await inbox.search(call.tx, call.viewer, query.q, query.cursor, query.limit)
    return page_out(found, _found_out)


def conversation_out(row: ListRow) -> ConversationOut:
    return ConversationOut(
        id=row.id,
        subject=row.subject,
        kind=row.kind,
        state=row.state,
        with_=_with(row),
        last_message=_last_message(row),
        unread=row.unread,
        pending_since=row.pending_since,
        credits=row.credits,
        expires_refund_at=row.expires_refund_at,
        last_activity_at=row.last_activity_at,
        participants=_participants(row),
    )


def _told(thread: Thread | Refusal) -> ThreadOut | Refusal:
    return thread if isinstance(thread, Refusal) else thread_out(thread)


def thread_out(thread: Thread) -> ThreadOut:
    row = thread.row
    return ThreadOut(
        id=row.id,
        subject=row.subject,
        kind=row.kind,
        state=row.state,
        with_=_with(row),
        last_message=_last_message(row),
        unread=row.unread,
        pending_since=row.pending_since,
        credits=row.credits,
        expires_refund_at=row.expires_refund_at,
        last_activity_at=row.last_activity_at,
        participants=_participants(row),
        box=thread.box,
        seen_up_to=thread.seen_up_to,
    )


def _with(row: ListRow | Found) -> MemberRef | None:
    if row.counterpart_id is None:
        return None
    return MemberRef(
        id=row.counterpart_id, handle=row.counterpart_handle, name=row.counterpart_name
    )


def _last_message(row: ListRow) -> LastMessageOut | None:
    if row.hidden or row.last_message_id is None or row.last_message_at is None:
        return None
    return LastMessageOut(
        id=row.last_message_id,
        sender_id=row.last_sender_id,
        body=row.snippet,
        sent_at=row.last_message_at,
    )


def _participants(row: ListRow) -> list[Participant] | msgspec.UnsetType:
    if row.participants is None:
        return msgspec.UNSET
    return [Participant(id=p.id, handle=p.handle, name=p.name) for p in row.participants]


def _found_out(found: Found) -> FoundOut:
    message = found.message
    return FoundOut(
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
        subject=found.subject,
        with_=_with(found),
    )
