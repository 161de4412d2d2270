"""How a request looks when it arrives, for `overture doctor`: whether a proxy passes on what is needed.

It tells whoever asks about their own request alone.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

SEEN = "/healthz/seen"
SLOWLY = "/healthz/slowly"
# Between the two halves of an answer that must not be held back.
PAUSE_SECONDS = 1.0
FIRST, LAST = b"first\n", b"last\n"


class Seen(msgspec.Struct, frozen=True):
    """`client`: whence the request comes, as far as is believed. `forwarded`: `no`, where no proxy told
    it; `believed`; or `ignored`, where a proxy told that is not in --trusted-proxies."""

    client: str
    forwarded: str


async def show(
    path: str,
    peer: Sequence[Any] | None,
    client: Sequence[Any] | None,
    *,
    told: bool,
    send: Any,
) -> None:
    """Answers one of the two paths. `peer` connected to us, for `client`."""
    kind = b"application/json" if path == SEEN else b"text/event-stream"
    headers = [(b"content-type", kind), (b"x-accel-buffering", b"no")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if path == SEEN:
        forwarded = "no" if not told else "ignored" if peer == client else "believed"
        seen = Seen(str(client[0]) if client else "", forwarded)
        await send({"type": "http.response.body", "body": msgspec.json.encode(seen)})
        return
    await send({"type": "http.response.body", "body": FIRST, "more_body": True})
    await asyncio.sleep(PAUSE_SECONDS)
    await send({"type": "http.response.body", "body": LAST})
