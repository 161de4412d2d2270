"""The stream of what happens to the caller, as it happens."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from overture.api import problems
from overture.api.inbox import ThreadOut, thread_out
from overture.api.operation import Call, Stream, operation
from overture.api.problems import Problem
from overture.api.wire import MessageOut, Out, message_out
from overture.core.ids import ConversationId, MemberId, MessageId
from overture.live.hub import STREAMS_A_MEMBER_MAX, Hub, TooManyStreams
from overture.live.stream import Piece
from overture.live.told import (
    ConversationTold,
    CreditsTold,
    DecisionTold,
    MessageTold,
    NetworkTold,
    PresenceTold,
    ReceiptTold,
    ReminderTold,
    Told,
    TypingTold,
)

# Of the outbox's numbers; longer ones are none.
_DIGITS_MAX = 18


class ReceiptOut(Out):
    """The other side has read everything up to this message."""

    conversation_id: ConversationId
    up_to: MessageId


class TypingOut(Out):
    """The other side is typing, for the next few seconds."""

    conversation_id: ConversationId
    member_id: MemberId


class CreditsOut(Out):
    """A pool's balance after a change; null where only the subscription changed."""

    pool: str
    balance: int | None


class ReminderOut(Out):
    """An InMail that the caller received still waits for an answer."""

    conversation_id: ConversationId


class DecisionNewsOut(Out):
    """The operator decided on the caller (`decision`), on a report of theirs (`report`) or on a
    complaint of theirs (`complaint`); read `GET /me/decisions` and `GET /me/reports`."""

    about: str
    id: str


@operation(
    "GET",
    "/events",
    summary="What happens, as it happens",
    tag="Events",
    problems={429: ("too_many_streams",)},
    transaction=False,
    media_type="text/event-stream",
    events={
        "message": MessageOut,
        "conversation": ThreadOut,
        "receipt": ReceiptOut,
        "typing": TypingOut,
        "credits": CreditsOut,
        "reminder": ReminderOut,
        "decision": DecisionNewsOut,
    },
)
async def events(call: Call) -> Stream | Problem:
    """Server-Sent Events, from now on. Open the stream first and read the state then: between the two
    nothing is lost.

    `message`: one was written, by either side, or changed. `conversation`: one began, or its state, its
    box, its answer or what the caller read of it changed. `receipt` and `typing` come only where both
    have receipts on, and never to the sender of an InMail that was not answered. What is told is what
    the caller would read at that moment. `decision`: an operator decided what concerns the caller.

    The `id` is a place to go on from: send the last one as `Last-Event-ID` and what was missed comes
    first, from any process and also after a restart. An event may come again then. `reset` says that
    too much was missed, or that the id is unknown: read the state anew; the stream goes on from there.
    `bye` says that the token or the account has ended: do not come back. A reader that is too slow is
    dropped, and can go on from its last id. `typing` has no id and is kept nowhere.
    """
    after = _after(call.last_event_id)
    try:
        subscription = await call.context.hub.subscribe(call.viewer, after=after)
    except TooManyStreams:
        return Problem(
            429,
            "too_many_streams",
            f"A member may have {STREAMS_A_MEMBER_MAX} streams open at once.",
            headers={"Retry-After": "30"},
        )
    hub, viewer = call.context.hub, call.viewer

    async def render(told: Sequence[tuple[int | None, Told]]) -> Sequence[Piece]:
        return await _pieces(hub, viewer, told)

    return Stream(subscription, render, call.still_allowed)


def _after(last_event_id: bytes | None) -> int | None:
    """Raises Problem for what is no id of an event."""
    if not last_event_id:
        return None
    if not (last_event_id.isdigit() and len(last_event_id) <= _DIGITS_MAX):
        raise problems.invalid("Last-Event-ID", "This is no id of an event.", 400)
    return int(last_event_id)


async def _pieces(
    hub: Hub, viewer: MemberId, told: Sequence[tuple[int | None, Told]]
) -> list[Piece]:
    """The events with what the viewer sees of them now. A conversation comes once, the last time."""
    last = {each: place for place, (_, each) in enumerate(told)}
    pieces: list[Piece] = []
    for place, (number, each) in enumerate(told):
        if isinstance(each, MessageTold) or last[each] == place:
            pieces += [
                Piece(name, _encode(value).decode(), number)
                for name, value in await _READ[type(each)](hub, viewer, each)
            ]
    return pieces


_encode = msgspec.json.Encoder().encode
_Found = list[tuple[str, Out]]


async def _message(hub: Hub, viewer: MemberId, told: MessageTold) -> _Found:
    message = await hub.messages.submit((viewer, told.conversation, told.message))
    if message is None:
        return []
    found: _Found = [("message", message_out(message))]
    if message.number == 1:
        return [*await _thread(hub, viewer, ConversationTold(told.conversation)), *found]
    return found


async def _thread(hub: Hub, viewer: MemberId, told: ConversationTold) -> _Found:
    thread = await hub.threads.submit((viewer, told.conversation))
    return [] if thread is None else [("conversation", thread_out(thread))]


async def _receipt(hub: Hub, viewer: MemberId, told: ReceiptTold) -> _Found:
    thread = await hub.threads.submit((viewer, told.conversation))
    if thread is None or thread.seen_up_to is None:
        return []
    return [("receipt", ReceiptOut(told.conversation, thread.seen_up_to))]


async def _typing(hub: Hub, viewer: MemberId, told: TypingTold) -> _Found:
    _ = hub, viewer
    return [("typing", TypingOut(told.conversation, told.typist))]


async def _decision(hub: Hub, viewer: MemberId, told: DecisionTold) -> _Found:
    _ = hub, viewer
    return [("decision", DecisionNewsOut(told.about, told.id))]


async def _credits(hub: Hub, viewer: MemberId, told: CreditsTold) -> _Found:
    _ = hub, viewer
    return [("credits", CreditsOut(told.pool, told.balance))]


async def _reminder(hub: Hub, viewer: MemberId, told: ReminderTold) -> _Found:
    _ = hub, viewer
    return [("reminder", ReminderOut(told.conversation))]


async def _nothing(hub: Hub, viewer: MemberId, told: NetworkTold | PresenceTold) -> _Found:
    """The network and who is here are told to pages alone."""
    _ = hub, viewer, told
    return []


_READ: dict[type[Told], Callable[[Hub, MemberId, Any], Awaitable[_Found]]] = {
    MessageTold: _message,
    ConversationTold: _thread,
    ReceiptTold: _receipt,
    TypingTold: _typing,
    CreditsTold: _credits,
    ReminderTold: _reminder,
    DecisionTold: _decision,
    NetworkTold: _nothing,
    PresenceTold: _nothing,
}
