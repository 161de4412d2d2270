"""What a member does with what they received: read, archive, mark as spam, type, search."""

import unicodedata
from datetime import datetime

from overture.core.conversations import Message, State
from overture.core.ids import ConversationId, MemberId, MessageId
from overture.core.refusals import Refusal
from overture.core.sending import Event
from overture.core.text import normal
from overture.store import inbox as store
from overture.store.db import Tx
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


async def _move(
    tx: Tx, viewer: MemberId, conversation_id: ConversationId, box: Box | None, now: datetime
) -> Thread | Refusal:
    held = await store.conversation_of(tx, viewer, conversation_id, lock=True)
    if held is None:
        return Refusal.NO_SUCH_CONVERSATION
    if await store.move(tx, held, box or _own_box(held)):
        await _tell(tx, held, "conversation.moved", now)
    return await thread(tx, viewer, conversation_id)


def _own_box(held: Held) -> Box:
    """Where a conversation lies that its member has put nowhere."""
    waits = held.state is State.PENDING and not held.begun
    return Box.REQUESTS if waits else Box.INBOX


async def _tell(tx: Tx, held: Held, kind: str, now: datetime, **more: object) -> None:
    payload = {"conversation_id": held.id, "other_id": held.counterpart, **more}
    await tell(tx, [Event(held.viewer, kind, now, payload)])
