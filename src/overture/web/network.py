"""One's network: the connections, the invitations that wait, and whom one has blocked."""

from typing import Any
from urllib.parse import urlencode

from overture.actions import members, network
from overture.actions.fields import Invalid
from overture.core.ids import InvitationId, MemberId
from overture.core.refusals import Refusal
from overture.live.told import NetworkTold
from overture.store import network as store
from overture.store.accounts import Viewer
from overture.store.db import Tx
from overture.store.network import Card, Invitation
from overture.store.pages import Page as Listed
from overture.web.context import Site
from overture.web.members import shown
from overture.web.render import html
from overture.web.shell import shell
from overture.web.visit import Answer, Done, Page, Visit, act, page
from overture.words import Words

PEOPLE_AT_ONCE = 20


@page("/network", searches="q")
async def connections(visit: Visit) -> Answer:
    """Who is connected with the member, or would be; `q` looks among them as one types."""
    q = visit.query.get("q", "")
    found = await network.find_connections(
        visit.tx, visit.viewer.id, q, cursor=_cursor(visit), limit=PEOPLE_AT_ONCE, now=visit.now
    )
    parts = {"suggest": "patches/network.html", "more": "patches/network_more.html"}
    values = await _values(visit, "connections", q=q)
    if isinstance(found, Invalid):
        values["alert"] = visit.errors(found)["q"]
        return Page("network.html", values, 422, parts=parts)
    values |= {"found": found.items, "next": _next("/network", found.next, q=q)}
    if not visit.live or visit.live == "1":
        received = await _invitations(visit, outgoing=False, cursor=None)
        values |= {
            "received": received.items,
            "next_received": _next("/network/received", received.next),
        }
    return Page("network.html", values, parts=parts)


@page("/network/received")
async def received(visit: Visit) -> Answer:
    """The invitations that wait for the member."""
    found = await _invitations(visit, outgoing=False, cursor=_cursor(visit))
    values = await _values(visit, "received")
    values |= {"found": found.items, "next": _next("/network/received", found.next)}
    return Page("network.html", values, parts={"more": "patches/network_more.html"})


@page("/network/sent")
async def sent(visit: Visit) -> Answer:
    """The member's own invitations that nobody has answered yet."""
    found = await _invitations(visit, outgoing=True, cursor=_cursor(visit))
    values = await _values(visit, "sent")
    values |= {"found": found.items, "next": _next("/network/sent", found.next)}
    return Page("network.html", values, parts={"more": "patches/network_more.html"})


@page("/network/blocked")
async def blocked(visit: Visit) -> Answer:
    found = await store.blocks(
        visit.tx, visit.viewer.id, cursor=_cursor(visit), limit=PEOPLE_AT_ONCE, now=visit.now
    )
    values = await _values(visit, "blocked")
    values |= {"found": found.items, "next": _next("/network/blocked", found.next)}
    return Page("network.html", values, parts={"more": "patches/network_more.html"})


@act("/network/{invitation:uuid}/accept")
async def accept(visit: Visit) -> Answer:
    return await _answered(visit, accepts=True)


@act("/network/{invitation:uuid}/decline")
async def decline(visit: Visit) -> Answer:
    return await _answered(visit, accepts=False)


@act("/network/{member:uuid}/withdraw")
async def withdraw(visit: Visit) -> Answer:
    """Takes an invitation of the member's own back."""
    other = visit.id("member", MemberId)
    refused = await network.disconnect(visit.tx, visit.viewer.id, other, visit.now)
    if refused is not None:
        return visit.refused(refused, url="/network/sent")
    said = visit.words.gettext("Your invitation is withdrawn.")
    return _row(visit, "/network/sent", f"sent-{other}", said)


@act("/network/{member:uuid}/unblock")
async def unblock(visit: Visit) -> Answer:
    other = visit.id("member", MemberId)
    refused = await network.unblock(visit.tx, visit.viewer.id, other, visit.now)
    if refused is not None:
        return visit.refused(refused, url="/network/blocked")
    said = visit.words.gettext("You no longer block them.")
    return _row(visit, "/network/blocked", f"blocked-{other}", said)


async def _answered(visit: Visit, *, accepts: bool) -> Answer:
    _ = visit.words.gettext
    invitation = visit.id("invitation", InvitationId)
    answer = network.accept if accepts else network.decline
    made = await answer(visit.tx, visit.viewer.id, invitation, visit.now)
    if isinstance(made, Refusal):
        return visit.refused(made, 404, "/network")
    name = {"name": made.member.name}
    if accepts:
        said = _("You and %(name)s are connected.") % name
    else:
        said = _("You have declined the invitation of %(name)s.") % name
    if visit.form.get("from") == "profile":
        return Done(f"/in/{made.member.handle}", notice=said)
    return _row(
        visit, "/network", f"invitation-{invitation}", said, made.member if accepts else None
    )


def _row(visit: Visit, url: str, row: str, said: str, member: Card | None = None) -> Done:
    """Says what became of a row, in its place; without a script, on the page that comes."""
    values = {"row": row, "said": said, "member": member}
    notice = None if visit.live else said
    return Done(url, patches="patches/network_row.html", values=values, notice=notice)


def _cursor(visit: Visit) -> str | None:
    return visit.query.get("cursor") or None


async def _invitations(visit: Visit, *, outgoing: bool, cursor: str | None) -> Listed[Invitation]:
    return await store.invitations(
        visit.tx,
        visit.viewer.id,
        outgoing=outgoing,
        cursor=cursor,
        limit=PEOPLE_AT_ONCE,
        now=visit.now,
    )


async def _values(visit: Visit, show: str, *, q: str = "") -> dict[str, Any]:
    counts = await store.count(visit.tx, visit.viewer.id)
    nothing: dict[str, Any] = {
        "found": [],
        "next": None,
        "received": [],
        "next_received": None,
        "alert": "",
    }
    return nothing | {"show": show, "q": q, "counts": counts}


def _next(path: str, cursor: str | None, **query: str) -> str | None:
    """Where what follows is, if anything does."""
    if cursor is None:
        return None
    return f"{path}?" + urlencode({**{k: v for k, v in query.items() if v}, "cursor": cursor})


# As it happens ----------------------------------------------------------------------------------


async def patches_for(site: Site, viewer: Viewer, words: Words, told: NetworkTold) -> str:
    """What something new between two members changes on the open pages of one of them."""

    async def look(tx: Tx) -> dict[str, Any]:
        now = await site.clock.now(tx)
        other = await members.profile(tx, viewer.id, told.other, now)
        return {
            "other": told.other,
            "p": None,
            "now": now,
            "viewer": viewer,
            "shell": await shell(tx, viewer.id, now),
            "counts": await store.count(tx, viewer.id),
            "invitation": await store.waiting(tx, viewer.id, told.other, now),
        } | ({} if other is None else await shown(site, words, viewer.id, other, tx))

    return html("patches/network_news.html", words, await site.db.reading(look))
