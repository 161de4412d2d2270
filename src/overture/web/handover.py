"""Coming in from the host site: with a token that it signed, by a form or by a link.

The token is used up and the browser sent on at once, so that it stays in no address bar, history or
referrer; what says no stands on a page without it.
"""

import logging
import re
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response

from overture import ids
from overture.actions import handovers
from overture.actions.identities import Newcomer
from overture.clock import real_now
from overture.core.accounts import Denied
from overture.core.ids import MemberId
from overture.handover import HandoverProblem, origin_of
from overture.web import frames
from overture.web.frames import AGAIN
from overture.web.sessions import browser_of, fresh, keep, keep_framed, say
from overture.web.visit import SESSION_COOKIE, Absent, Answer, Page, Visit, Who, act, page

# Where one may be brought: nowhere but here.
_TO = re.compile(
    r"(?P<inbox>inbox)|(?P<compose>compose)(?:/(?P<to>[\w-]{1,40}))?"
    r"|conversation/(?P<conversation>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})",
    re.ASCII,
)
_SAID = (
    Denied.HANDOVER_FAILED,
    Denied.HANDOVER_UNKNOWN,
    Denied.IDENTITY_UNVERIFIED,
    Denied.ADDRESS_UNVERIFIED,
    Denied.IDENTITY_TAKEN,
)

_log = logging.getLogger("overture.web")


@page("/handover", who=Who.ANYONE, transaction=False)
async def by_link(visit: Visit) -> Answer:
    headers = visit.request.headers
    if visit.request.method == "HEAD" or "prefetch" in headers.get("sec-purpose", ""):
        # Whoever only looks must not use it up.
        return Response(status_code=503)
    return await _take(visit, visit.query.get("token", ""), visit.query.get("to", ""))


@act("/handover", who=Who.ANYONE, transaction=False, from_anywhere=True)
async def by_form(visit: Visit) -> Answer:
    return await _take(visit, visit.form.get("token", ""), visit.form.get("to", ""))


@page(AGAIN, who=Who.ANYONE, transaction=False)
async def again(visit: Visit) -> Answer:
    """What became of a hand-over that let nobody in, or of a frame whose session is over."""
    why = visit.query.get("why", "")
    said = [each for each in _SAID if each.value == why]
    sentence = visit.words.say(said[0].sentence) if said else ""
    return Page("handover.html", {"alert": sentence}, status=403 if said else 200)


async def _take(visit: Visit, token: str, to: str) -> Answer:
    site = visit.site
    if site.handovers is None:
        raise Absent
    at = real_now()
    try:
        handover = site.handovers.read(token, at)
    except HandoverProblem as problem:
        _log.warning("a hand-over was refused: %s", problem)
        return _refused(visit, Denied.HANDOVER_FAILED)
    frame = origin_of(handover, site.embed_origins) if visit.framed else None
    if visit.framed and frame is None:
        _log.warning("a hand-over was refused: it names an origin that --embed-origins does not")
        return _refused(visit, Denied.HANDOVER_FAILED)
    newcomer = Newcomer(
        MemberId(ids.new()), headline=handover.headline, external_id=handover.identity.subject
    )
    now = await site.instant()
    done = await site.db.writing(
        lambda tx: handovers.sign_in(
            tx,
            handover,
            browser_of(visit),
            newcomer=newcomer if site.handovers and site.handovers.host.creates else None,
            frame=frame,
            fresh=fresh(),
            at=at,
            now=now,
            before=visit.cookie(frames.FRAME_COOKIE if frame else SESSION_COOKIE),
        )
    )
    if isinstance(done, Denied):
        return _refused(visit, done)
    if frame is None:
        keep(visit, done)
    else:
        keep_framed(visit, done)
    return _on(_where(to))


def _where(to: str) -> str:
    """The page that the host means; the inbox where it means none."""
    found = _TO.fullmatch(to)
    if found is None or found["inbox"]:
        return "/inbox"
    if found["conversation"]:
        return f"/inbox/{found['conversation']}"
    return "/compose" + (f"?{urlencode({'to': found['to']})}" if found["to"] else "")


def _refused(visit: Visit, denied: Denied) -> Response:
    _ = say(visit, denied)
    return _on(f"{AGAIN}?{urlencode({'why': denied.value})}")


def _on(url: str) -> Response:
    return RedirectResponse(url, 303, headers={"Referrer-Policy": "no-referrer"})
