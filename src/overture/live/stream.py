"""A stream over HTTP: Server-Sent Events, as ASGI messages.

The `id:` of an event is a number of the outbox up to which its reader was told everything, and so a
place to go on from: its own number, unless one below it was still under way. After a break an event may
come again, never not at all. Heartbeats carry the number too.
"""

import asyncio
import random
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from overture.actions.lanes import Overloaded
from overture.live.hub import Batch, End, Subscription
from overture.live.told import Told
from overture.store.db import Unavailable

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

HEARTBEAT_SECONDS = 20.0
# How often it is asked whether whoever opened the stream may still read it.
CHECK_SECONDS = 60.0
# Who takes in nothing for so long is dropped.
SEND_SECONDS = 15.0

HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    # For proxies that would gather an answer before they pass it on.
    (b"x-accel-buffering", b"no"),
)


@dataclass(frozen=True, slots=True)
class Piece:
    """An event as its reader gets it; `number` is None for what is not in the outbox."""

    name: str
    data: str
    number: int | None = None


Render = Callable[[Sequence[tuple[int | None, Told]]], Awaitable[Sequence[Piece]]]


@dataclass(frozen=True, slots=True)
class Stream:
    """An open subscription, what its events look like, and whether it may still be read."""

    subscription: Subscription
    render: Render
    allowed: Callable[[], Awaitable[bool]]


async def pour(
    stream: Stream, receive: Receive, send: Send, more: Sequence[tuple[bytes, bytes]] = ()
) -> None:
    """Answers a request with the stream, until one side ends it; closes the subscription.

    `more`: further headers.
    """
    subscription = stream.subscription
    watching = asyncio.ensure_future(_close_when_gone(subscription, receive))
    try:
        headers = [*HEADERS, *more]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async for chunk in _chunks(stream):
            # Nobody else waits for a reader that is slow, but what it holds is not held for ever.
            async with asyncio.timeout(SEND_SECONDS):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    except TimeoutError:
        subscription.end(End.SLOW)
    except (Unavailable, Overloaded):
        # What was taken and not told comes after the last number, when the reader is back.
        await send({"type": "http.response.body", "body": b""})
    except asyncio.CancelledError:
        # The server does not wait any longer for what is under way.
        if subscription.ended is not End.STOPPING:
            raise
        with suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await send({"type": "http.response.body", "body": b""})
    finally:
        watching.cancel()
        subscription.close()


async def _chunks(stream: Stream) -> AsyncGenerator[bytes]:
    clock = asyncio.get_running_loop().time
    checked_at = clock()
    # They do not all come back in the same moment when a server starts again.
    retry = b"retry: %d\n" % random.randint(500, 2500)  # noqa: S311
    began_at = stream.subscription.began_at
    yield retry + (b"\n" if began_at is None else b"id: %d\n\n" % began_at)
    beat_at = clock() + HEARTBEAT_SECONDS
    while (batch := await stream.subscription.next(max(beat_at - clock(), 0))) is not None:
        if clock() - checked_at >= CHECK_SECONDS:
            checked_at = clock()
            if not await stream.allowed():
                stream.subscription.end(End.REVOKED)
                break
        chunk = await _chunk(batch, stream.render)
        # Of what the reader may not see they do not even learn that it happened: nothing is sent, and
        # the heart beats when it would have.
        if chunk is None and clock() < beat_at:
            continue
        beat_at = clock() + HEARTBEAT_SECONDS
        yield b": \nid: %d\n\n" % batch.position if chunk is None else chunk
    if stream.subscription.ended is End.REVOKED:
        yield event(Piece("bye", "{}"), None)


async def _chunk(batch: Batch, render: Render) -> bytes | None:
    """A batch in one; its last block says the position. None where there is nothing to tell."""
    pieces = [Piece("reset", "{}")] if batch.anew else []
    if batch.events:
        pieces += await render(batch.events)
    blocks = [
        event(each, None if each.number is None else min(each.number, batch.position))
        for each in pieces[:-1]
    ]
    if not pieces:
        return None
    blocks.append(event(pieces[-1], batch.position))
    return b"".join(blocks)


_LINE_END = re.compile(r"\r\n|\r|\n")


def event(piece: Piece, number: int | None) -> bytes:
    """One event; its data may have several lines."""
    lines = [] if number is None else [f"id: {number}"]
    lines.append(f"event: {piece.name}")
    lines += [f"data: {line}" for line in _LINE_END.split(piece.data)]
    return ("\n".join(lines) + "\n\n").encode()


async def _close_when_gone(subscription: Subscription, receive: Receive) -> None:
    with suppress(asyncio.CancelledError):
        while (await receive())["type"] != "http.disconnect":
            pass
        subscription.close()
