"""What a member does with what they received: read, archive, mark as spam, type, search."""

import unicodedata
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from functools import partial

from overture.core.boxes import may_snooze
from overture.core.conversations import Message, State
from overture.core.editing import Written, no_deletion, no_edit
from overture.core.ids import ConversationId, MemberId, MessageId
from overture.core.refusals import Refusal
from overture.core.sending import Event
from overture.core.text import normal
from overture.store import inbox as store
from overture.store.db import Tx
from overture.store.files import delete_of_message
from overture.store.inbox import Box, Found, Held, Thread
from overture.store.outbox import tell
from overture.store.pages import Page


async def thread(tx: Tx, viewer: MemberId, conversation_id: ConversationId) -> Thread | Refusal:
    """One conversation, whole; somebody else's is none."""
    return await store.one(tx, viewer, conversation_id) or Refusal.NO_SUCH_CONVERSATION


async def messages(
    tx: Tx, viewer: MemberId, conversation_id: ConversationId, cursor: str | None, limit: int
) -> Page[Message] | Refusal:
    """A conversation's messages, newest first. Raises BadCursor."""
    held = await store.conversation_of(tx, viewer, conversation_id)
    if held is None:
        return Refusal.NO_SUCH_CONVERSATION
    return await store.messages(tx, held, cursor, limit)


async def read(
    tx: Tx, viewer: MemberId, conversation_id: ConversationId, up_to: MessageId, now: datetime
) -> Thread | Refusal:
    """Everything up to this message is read. Nothing is ever un-read."""
    held = await store.conversation_of(tx, viewer, conversation_id, lock=True)
    if held is None:
        return Refusal.NO_SUCH_CONVERSATION
    number = await store.number_of(tx, held, up_to)
    if number is None:
        return Refusal.NO_SUCH_MESSAGE
    if await store.mark_read(tx, held, number, now):
        await _tell(tx, held, "conversation.read", now, message_id=up_to)
    return await thread(tx, viewer, conversation_id)


async def archive(
    tx: Tx, viewer: MemberId, conversation_id: ConversationId, now: datetime
) -> Thread | Refusal:
    """Out of the inbox, until a new message comes."""
    return await _move(tx, viewer, conversation_id, Box.ARCHIVED, now)


async def unarchive(
    tx: Tx, viewer: MemberId, conversation_id: ConversationId, now: datetime
) -> Thread | Refusal:
    """Back to where it would lie, from the archive and from spam alike."""
    return await _move(tx, viewer, conversation_id, None, now)


async def mark_spam(
    tx: Tx, viewer: MemberId, conversation_id: ConversationId, now: datetime
) -> Thread | Refusal:
    """Into the spam, for good. It is no response, and the other side learns nothing of it."""
    return await _move(tx, viewer, conversation_id, Box.SPAM, now)


async def mark_unread(
    tx: Tx, viewer: MemberId, conversation_id: ConversationId, now: datetime
) -> Thread | Refusal:
    """To be looked at again. The other side's receipts stay as they are."""
    return await _arrange(tx, viewer, conversation_id, now, store.mark_unread)


async def star(
    tx: Tx, viewer: MemberId, conversation_id: ConversationId, now: datetime, *, on: bool
) -> Thread | Refusal:
    return await _arrange(tx, viewer, conversation_id, now, partial(store.star, on=on))


async def mute(
    tx: Tx, viewer: MemberId, conversation_id: ConversationId, now: datetime, *, on: bool
) -> Thread | Refusal:
    """It stays in the list, but counts in no badge and notifies of nothing."""
    return await _arrange(tx, viewer, conversation_id, now, partial(store.mute, on=on))


async def focus(
    tx: Tx, viewer: MemberId, conversation_id: ConversationId, now: datetime, *, on: bool
) -> Thread | Refusal:
    """Moves it under Focused, or under Other; it stays there."""
    return await _arrange(tx, viewer, conversation_id, now, partial(store.focus, on=on))


async def snooze(
    tx: Tx,
    viewer: MemberId,
    conversation_id: ConversationId,
    now: datetime,
    *,
    until: datetime | None,
) -> Thread | Refusal:
    """Remind me later: out of the inbox until then, or until something happens there. It is no
    response, and the other side learns nothing of it. None takes it back."""
    if until is not None and not may_snooze(until, now):
        return Refusal.NOT_AN_HOUR_TO_COME

    async def put_off(tx: Tx, held: Held) -> bool:
        return await store.snooze(tx, held, until, _own_box(held))

    return await _arrange(tx, viewer, conversation_id, now, put_off)


async def edit(
    tx: Tx,
    viewer: MemberId,
    conversation_id: ConversationId,
    message_id: MessageId,
    *,
    body: str,
    now: datetime,
) -> Message | Refusal:
    """Changes the viewer's own message, whose new text is clean already; the change is marked."""
    found = await _own_message(tx, viewer, conversation_id, message_id)
    if isinstance(found, Refusal):
        return found
    held, old, written = found
    if (no := no_edit(written, now)) is not None:
        return no
    if body != old.body:
        await store.edit(tx, held, old, body, now)
        await _tell_both(tx, held, "message.edited", now, old)
        old = replace(old, body=body, edited_at=now)
    return old


async def delete(
    tx: Tx,
    viewer: MemberId,
    conversation_id: ConversationId,
    message_id: MessageId,
    now: datetime,
) -> Message | Refusal:
    """Takes back the viewer's own message, for both sides: its place stays, without text or files."""
    found = await _own_message(tx, viewer, conversation_id, message_id)
    if isinstance(found, Refusal):
        return found
    held, old, written = found
    if (no := no_deletion(written, now)) is not None:
        return no
    await store.delete(tx, held, old, now)
    if old.files:
        await delete_of_message(tx, held.home, held.id, old.number)
    await _tell_both(tx, held, "message.deleted", now, old)
    return replace(old, body="", quick_reply=None, files=(), deleted_at=now)


async def typing(tx: Tx, viewer: MemberId, conversation_id: ConversationId) -> Refusal | None:
    """The viewer types. Whether anyone is told, they do not learn."""
    held = await store.conversation_of(tx, viewer, conversation_id)
    if held is None:
        return Refusal.NO_SUCH_CONVERSATION
    await store.notify_typing(tx, held)
    return None


async def search(
    tx: Tx, viewer: MemberId, wanted: str, cursor: str | None, limit: int
) -> Page[Found]:
    """The viewer's messages that have words beginning like those of `wanted`. Raises BadCursor."""
    printable = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in normal(wanted))
    return await store.search(tx, viewer, printable, cursor, limit)


async def _arrange(
    tx: Tx,
    viewer: MemberId,
    conversation_id: ConversationId,
    now: datetime,
    change: Callable[[Tx, Held], Awaitable[bool]],
) -> Thread | Refusal:
    """Changes how it lies in the viewer's own list, which the other side never learns of."""
    held = await store.conversation_of(tx, viewer, conversation_id, lock=True)
    if held is None:
        return Refusal.NO_SUCH_CONVERSATION
    if await change(tx, held):
        await _tell(tx, held, "conversation.moved", now)
    return await thread(tx, viewer, conversation_id)


async def _own_message(
    tx: Tx, viewer: MemberId, conversation_id: ConversationId, message_id: MessageId
) -> tuple[Held, Message, Written] | Refusal:
    held = await store.conversation_of(tx, viewer, conversation_id)
    if held is None:
        return Refusal.NO_SUCH_CONVERSATION
    found = await store.written(tx, held, message_id)
    if found is None:
        return Refusal.NO_SUCH_MESSAGE
    # As it is now that nobody else can change it.
    held = await store.conversation_of(tx, viewer, conversation_id)
    assert held is not None, "a row that is locked stays"
    old, written = found
    return held, old, replace(written, state=held.state)


async def _move(
    tx: Tx, viewer: MemberId, conversation_id: ConversationId, box: Box | None, now: datetime
) -> Thread | Refusal:
    async def move(tx: Tx, held: Held) -> bool:
        return await store.move(tx, held, box or _own_box(held))

    return await _arrange(tx, viewer, conversation_id, now, move)


def _own_box(held: Held) -> Box:
    """Where a conversation lies that its member has put nowhere."""
    waits = held.state is State.PENDING and not held.begun
    return Box.REQUESTS if waits else Box.INBOX


async def _tell_both(tx: Tx, held: Held, kind: str, now: datetime, changed: Message) -> None:
    """Owned by the home, like everything that both sides of a conversation see."""
    recipient = held.counterpart if held.begun else held.viewer
    payload = {
        "conversation_id": held.id,
        "recipient_id": recipient,
        "message_id": changed.id,
        "sender_id": held.viewer,
        "number": changed.number,
    }
    await tell(tx, [Event(held.home, kind, now, payload)])


async def _tell(tx: Tx, held: Held, kind: str, now: datetime, **more: object) -> None:
    payload = {"conversation_id": held.id, "other_id": held.counterpart, **more}
    await tell(tx, [Event(held.viewer, kind, now, payload)])
