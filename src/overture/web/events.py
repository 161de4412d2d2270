"""The stream of a browser: what happens to its member, as patches of the pages that are open.

One connection a browser, whatever its tabs show: a patch whose place is not on a page changes nothing
there. What an event changes is rendered by the module whose fragments it changes.
"""

from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from typing import Any
from uuid import UUID

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from overture.actions.lanes import Overloaded
from overture.core.ids import MemberId
from overture.live.hub import Subscription, TooManyStreams
from overture.live.stream import Piece, Stream, event, pour
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
from overture.store import presence
from overture.store.accounts import Viewer
from overture.store.db import Unavailable
from overture.web import decisions, inbox, network, premium
from overture.web.context import Site
from overture.web.frames import FRAME_COOKIE
from overture.web.render import html
from overture.web.visit import SESSION_COOKIE, Answer, Patch, Visit, Who, page
from overture.words import Words

Patches = Callable[[Site, Viewer, Words, Any], Awaitable[str]]


async def _credits(site: Site, viewer: Viewer, words: Words, _told: CreditsTold) -> str:
    return await premium.patches_for_credits(site, viewer, words)


async def _presence(_site: Site, _viewer: Viewer, words: Words, told: PresenceTold) -> str:
    return html("patches/presence.html", words, {"found": [(told.other, told.here)]})


# What an event changes on pages, by its kind; what is not named changes nothing.
PATCHES: dict[type[Told], Patches] = {
    MessageTold: inbox.patches_for,
    ConversationTold: inbox.patches_for,
    ReceiptTold: inbox.patches_for,
    ReminderTold: inbox.patches_for,
    TypingTold: inbox.patches_for,
    CreditsTold: _credits,
    NetworkTold: network.patches_for,
    DecisionTold: decisions.patches_for,
    PresenceTold: _presence,
}

# Faces on one page.
HERE_MAX = 100
# The longest number that is taken for one of the outbox's.
_DIGITS_MAX = 18


@page("/events", who=Who.ANYONE, transaction=False)
async def events(visit: Visit) -> Answer:
    """Server-Sent Events, each with patches. `after`: what was read before the page was made, where
    the browser has no `Last-Event-ID` yet; a malformed one is none, and the page begins anew."""
    viewer = visit.visitor
    if viewer is None or viewer.suspended:
        # The browser would take any other answer for a fault, and come back for ever.
        return Response(event(Piece("bye", "{}"), None), media_type="text/event-stream")
    after = visit.request.headers.get("last-event-id") or visit.query.get("after", "")
    known = after.isascii() and after.isdigit() and len(after) <= _DIGITS_MAX
    try:
        subscription = await visit.site.hub.subscribe(
            viewer.id,
            after=(int(after) if known else -1) if after else None,
            session=viewer.session,
        )
    except TooManyStreams:
        return Response(status_code=429, headers={"Retry-After": "30"})
    # That by which they are signed in: of a frame's session the browser has another one.
    kept = visit.cookie(SESSION_COOKIE if viewer.frame is None else FRAME_COOKIE)
    secret = sha256(kept.encode()).hexdigest()
    return Streamed(_stream(visit.site, viewer, visit.words, secret, subscription))


@page("/here")
async def here(visit: Visit) -> Answer:
    """Who of those shown (`ids`, with commas between) the viewer may see to be here now, as patches."""
    asked = [MemberId(each) for each in visit.query.get("ids", "").split(",") if _is_id(each)]
    found = await presence.here(visit.tx, visit.viewer.id, asked[:HERE_MAX])
    return Patch("patches/presence.html", {"found": [(each, True) for each in sorted(found)]})


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


class Streamed(Response):
    """An answer that goes on for as long as its stream does."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self._stream = stream

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await pour(self._stream, receive, send)


def _stream(
    site: Site, viewer: Viewer, words: Words, secret: str, subscription: Subscription
) -> Stream:
    async def render(told: Sequence[tuple[int | None, Told]]) -> Sequence[Piece]:
        async with site.hub.turns:
            if subscription.ended is not None:
                return []
            patches = await _patches(site, viewer, words, [each for _, each in told])
        return [Piece("message", patches)] if patches else []

    async def allowed() -> bool:
        try:
            now = await site.sessions.submit(secret)
        except (Unavailable, Overloaded):
            return True
        return now is not None and now.id == viewer.id and not now.suspended

    return Stream(subscription, render, allowed)


async def _patches(site: Site, viewer: Viewer, words: Words, told: Sequence[Told]) -> str:
    """Of equal events the last is enough, since what is shown is read now."""
    once = dict.fromkeys(reversed(told))
    found: dict[Any, None] = {}
    for each in reversed(once):
        if (make := PATCHES.get(type(each))) is not None:
            found[await make(site, viewer, words, each)] = None
    return "".join(found)
