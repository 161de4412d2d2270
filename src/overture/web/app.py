"""The web app as an ASGI application: finds the page, checks who asks, runs it, renders its answer."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from types import ModuleType
from typing import Any
from urllib.parse import quote, unquote

from starlette.applications import Starlette
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from overture import asked, ids, tracing
from overture.actions.lanes import Overloaded
from overture.store import operators
from overture.store.accounts import Viewer
from overture.store.db import Tx, Unavailable
from overture.store.pages import BadCursor
from overture.web import (
    accounts,
    answers,
    assets,
    compose,
    decisions,
    embed,
    events,
    files,
    frames,
    guard,
    handover,
    home,
    identity,
    inbox,
    insights,
    installable,
    members,
    network,
    passkeys,
    photos,
    plans,
    premium,
    security,
    settings,
    statement_file,
    two_steps,
)
from overture.web.context import Site
from overture.web.ops import pages as console
from overture.web.render import html
from overture.web.shell import NOBODY, shell
from overture.web.visit import (
    ANEW,
    FORM_BYTES_MAX,
    SESSION_COOKIE,
    Absent,
    Answer,
    Done,
    Go,
    Handler,
    No,
    Page,
    Patch,
    Visit,
    Who,
    cookie_name,
)
from overture.words import wanted_language, words_of

# Every module of pages; a new one is added here.
MODULES: tuple[ModuleType, ...] = (
    accounts,
    answers,
    compose,
    decisions,
    embed,
    events,
    files,
    handover,
    home,
    identity,
    inbox,
    insights,
    installable,
    members,
    network,
    passkeys,
    photos,
    plans,
    premium,
    security,
    settings,
    statement_file,
    two_steps,
    console,
    *console.MODULES,
)

_NOTICE_COOKIE = "notice"
_POLICY = (b"content-security-policy", guard.POLICY.encode())
FIELDS_MAX, FIELDS_BESIDE_FILES_MAX = 200, 16
# How long an act or page may be worked on once its form has come.
WORK_SECONDS = 120.0
# What no database of text can hold; halves of pairs come in forms that name an odd encoding.
_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")
# All that an address may have beside letters and digits (RFC 3986).
_URL_SIGNS = "%!#$&'()*+,/:;=?@[]~"
# Longer than any id.
_SECRET = re.compile(r"[\w-]{40,}")

_log = logging.getLogger("overture.web")


def web_app(site: Site) -> ASGIApp:
    """Answers everything that is not the API's."""
    routes = [Route(each.path, _endpoint(site, each), methods=[each.method]) for each in handlers()]
    # A path may be both a page and what its form posts to.
    routes.append(Route("/static/{release}/{name:path}", _asset))
    app = Starlette(
        routes=_merged(routes),
        exception_handlers={HTTPException: _unrouted(site)},
    )
    return _Guarded(app)


def handlers() -> list[Handler]:
    return [each for module in MODULES for each in vars(module).values() if type(each) is Handler]


class _TakenBack(Exception):
    """Carries an answer out of a transaction that the database is to roll back."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer)
        self.answer = answer


class _TooLarge(Exception):
    """More was sent than the page takes."""


class _Guarded:
    """Sets the policy that every page has; the front adds what all answers have."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                if _POLICY[0] not in own:
                    message["headers"] = [*message["headers"], _POLICY]
            await send(message)

        await self._app(scope, receive, guarded)


def _merged(routes: list[Route]) -> list[Route]:
    """One route a path, so that a wrong method is told from an unknown path."""
    by_path: dict[str, dict[str, Any]] = {}
    for route in routes:
        for method in (route.methods or set()) - {"HEAD"}:
            methods = by_path.setdefault(route.path, {})
            assert method not in methods, f"{method} {route.path} stands twice"
            methods[method] = route.endpoint

    def dispatch(methods: Mapping[str, Callable[[Request], Awaitable[Response]]]) -> Any:
        async def endpoint(request: Request) -> Response:
            return await methods["GET" if request.method == "HEAD" else request.method](request)

        return endpoint

    return [
        Route(path, dispatch(methods), methods=list(methods)) for path, methods in by_path.items()
    ]


# One request ------------------------------------------------------------------------------------


def _endpoint(site: Site, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        in_conversation = handler.path.startswith("/inbox/{id")
        asked.found(handler.path, str(request.path_params["id"]) if in_conversation else None)
        visit = await _visit(site, request)
        try:
            return await _response(await _answer(handler, visit), visit)
        except Exception as problem:  # noqa: BLE001  a fault ends here: logged once, and answered
            return await _response(_problem(problem, visit), visit)
        finally:
            # What was uploaded.
            await request.close()

    return endpoint


async def _visit(site: Site, request: Request) -> Visit:
    framed = frames.is_framed(site, request)
    visitor: Viewer | None = None
    try:
        visitor = await _visitor(site, request, framed=framed)
    except (Unavailable, Overloaded):
        # Nobody, for the page that says so.
        request.state.away = True
    language = visitor.language if visitor else None
    words = words_of(
        language or wanted_language(request.headers.get("accept-language", "")),
        visitor.time_zone if visitor else "UTC",
    )
    live = request.headers.get("x-live", "")
    framed = framed or (visitor is not None and visitor.frame is not None)
    return Visit(request, site, words, visitor, live, framed=framed, after=site.hub.position)


async def _visitor(site: Site, request: Request, *, framed: bool) -> Viewer | None:
    """Who is signed in where the request comes from: in a window of ours, or in a frame."""
    named = [
        None if framed else SESSION_COOKIE,
        frames.FRAME_COOKIE if site.embed_origins and not frames.is_window(request) else None,
    ]
    found: list[Viewer | None] = []
    for name in named:
        secret = request.cookies.get(cookie_name(site, name), "") if name else ""
        digest = sha256(secret.encode()).hexdigest()
        found.append(await site.sessions.submit(digest) if secret else None)
    return frames.the_one(site, *found)


async def _answer(handler: Handler, visit: Visit) -> Answer:
    request, site = visit.request, visit.site
    _ = visit.words.gettext
    if getattr(request.state, "away", False):
        raise Unavailable
    if visit.visitor is not None and not handler.path.startswith("/photos/"):
        # A page of faces asks for as many photos, once.
        wait = site.requests.hit(visit.visitor.id)
        if wait:
            return No(_("You ask for more than a person reads. Wait a moment."), 429, wait=wait)
    own = handler.method == "GET" or handler.from_anywhere
    if not own and not guard.is_own(request.headers, site.public_url):
        _log.info("POST %s was refused: it came from another site", handler.path)
        return No(_("This did not come from a page of this site. Load the page anew."), 403)
    if handler.who.is_operator:
        if (door := await _door(handler, visit)) is not None:
            return door
    elif handler.who is not Who.ANYONE and visit.visitor is None:
        return Go(frames.AGAIN if visit.framed else _login(request))
    if visit.visitor is not None and visit.framed and not frames.may_embed(handler.path):
        return Page("apart.html", {"url": _wanted(request)})
    shut = visit.visitor is not None and visit.visitor.suspended and not handler.while_suspended
    if handler.who is not Who.ANYONE and shut:
        return Go("/suspended")
    if handler.who.is_proven and not visit.viewer.proven:
        return Go(f"/confirm?next={quote(handler.again or _wanted(request))}")
    if handler.who is Who.PROVEN_BY_FACTOR and await _lacks_factor(visit):
        return Go(f"/confirm?factor=1&next={quote(handler.again or _wanted(request))}")
    if handler.method != "GET":
        await _take_form(handler, visit)
    if any(_NOT_TEXT.search(text) for text in visit.path.values()):
        raise Absent
    names = (each.filename or "" for each in visit.files)
    sent = (*visit.form.values(), *visit.query.values(), *names)
    if any(_NOT_TEXT.search(text) for text in sent):
        return No(_("The text contains characters that cannot be sent."), 400)
    async with asyncio.timeout(WORK_SECONDS):
        return await _carry_out_in_turn(handler, visit)


async def _carry_out_in_turn(handler: Handler, visit: Visit) -> Answer:
    if handler.files_max:
        # What came with it is in memory meanwhile: of a few at a time, however many there are.
        async with visit.site.uploads:
            return await _carry_out(handler, visit)
    if handler.searches and visit.query.get(handler.searches):
        async with visit.site.searches.turn():
            return await _carry_out(handler, visit)
    return await _carry_out(handler, visit)


async def _run(handler: Handler, visit: Visit) -> Answer:
    with tracing.action(handler.run):
        return await handler.run(visit)


async def _carry_out(handler: Handler, visit: Visit) -> Answer:
    site = visit.site
    if not handler.transaction:
        return await _run(handler, visit)
    if handler.method == "GET":

        async def read(tx: Tx) -> Answer:
            visit.at(tx, await site.clock.now(tx))
            answer = await _run(handler, visit)
            if isinstance(answer, Page) and visit.live not in answer.parts:
                await _surround(tx, visit)
            return answer

        return await site.db.reading(read)

    async def write(tx: Tx) -> Answer:
        visit.at(tx, await site.clock.now(tx))
        # A second attempt begins anew.
        visit.cookies.clear()
        answer = await _run(handler, visit)
        if isinstance(answer, No) or (isinstance(answer, (Page, Patch)) and answer.status >= 400):
            raise _TakenBack(answer)
        return answer

    try:
        return await site.db.writing(write)
    except _TakenBack as taken_back:
        return taken_back.answer


async def _door(handler: Handler, visit: Visit) -> Go | None:
    """Where an operator is to go first; None where they may see it. To others there is no such page."""
    visitor = visit.visitor
    if visitor is None or not visitor.operator or visitor.suspended or visit.framed:
        raise Absent
    if handler.who is Who.OPERATOR_OUTSIDE:
        return None
    unproven = handler.who is Who.OPERATOR_PROVEN and not visitor.factor_proven
    if unproven or not visitor.in_console:
        return Go(f"/ops/enter?next={quote(handler.again or _wanted(visit.request))}")
    if visit.live != ANEW:
        await visit.site.db.reading(lambda tx: operators.stay(tx, visitor.id, visitor.session))
    return None


async def _lacks_factor(visit: Visit) -> bool:
    """Whether an operator has a second factor, and has not shown it only now."""
    viewer = visit.viewer
    if not viewer.operator or viewer.factor_proven:
        return False
    return await visit.site.db.reading(lambda tx: operators.has_factor(tx, viewer.id))


def _login(request: Request) -> str:
    """Where to sign in, and what to come back to."""
    target = _wanted(request)
    return "/login" if target in ("", "/") else f"/login?next={quote(target)}"


def _wanted(request: Request) -> str:
    """The page that was asked for, or that of the form."""
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if request.method != "GET" or request.headers.get("x-live"):
        came = request.headers.get("referer", "")
        base = f"{request.url.scheme}://{request.url.netloc}"
        target = came.removeprefix(base) if came.startswith(base + "/") else "/"
    return target


async def _take_form(handler: Handler, visit: Visit) -> None:
    """Reads the form, of no more bytes than declared, before a transaction is opened."""
    request = visit.request
    most = handler.form_bytes_max
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length[:12]) > most:
        raise _TooLarge
    counted = 0
    receive = request.receive

    async def limited() -> Message:
        nonlocal counted
        message = await receive()
        counted += len(message.get("body", b""))
        if counted > most:
            raise _TooLarge
        return message

    reading = Request(request.scope, limited)
    # Files wait on the disk; the fields beside them are in memory, and few.
    form: FormData = await reading.form(
        max_files=handler.files_max,
        max_fields=FIELDS_BESIDE_FILES_MAX if handler.files_max else FIELDS_MAX,
        max_part_size=min(most, FORM_BYTES_MAX) if handler.files_max else most,
    )
    request._form = form  # pyright: ignore[reportPrivateUsage]  read by `request.form()` again
    visit.form = {name: value for name, value in form.multi_items() if isinstance(value, str)}
    visit.files = [
        value for _, value in form.multi_items() if isinstance(value, UploadFile) and value.filename
    ]


def _problem(problem: Exception, visit: Visit) -> No:
    _ = visit.words.gettext
    match problem:
        case Absent():
            return No(_("There is no such page."), 404)
        case BadCursor():
            return No(_("This list goes on elsewhere now. Begin at its top."), 400)
        case _TooLarge():
            return No(_("That is larger than can be sent."), 413)
        case MultiPartException() | HTTPException():
            return No(_("The form could not be read. Load the page anew."), 400)
        case Unavailable() | Overloaded() | TimeoutError():
            return No(_("The server is busy or away for a moment. Try again shortly."), 503)
        case ClientDisconnect():
            return No("", 400)
        case _:
            reference = ids.new()
            request = visit.request
            # Without what a link in a mail permits, which stands in its path.
            path = _SECRET.sub("…", request.url.path)
            _log.error("%s %s failed, %s", request.method, path, reference, exc_info=problem)
            sentence = _("Something went wrong on our side. Its reference is %(reference)s.")
            return No(sentence % {"reference": reference}, 500)


# Answers ----------------------------------------------------------------------------------------


async def _response(answer: Answer, visit: Visit) -> Response:
    match answer:
        case Response():
            response = answer
        case Go():
            # A script goes there itself: it must not take the other page for patches.
            response = (
                HTMLResponse("", headers={"X-Go": _written(answer.url)})
                if visit.live
                else RedirectResponse(answer.url, 303)
            )
        case Patch():
            response = HTMLResponse(_render(answer.template, visit, answer.values), answer.status)
        case Page():
            response = await _page(answer, visit)
        case Done():
            response = _done(answer, visit)
        case No():
            response = await _no(answer, visit)
            if answer.wait:
                response.headers["Retry-After"] = str(answer.wait)
    _set_cookies(response, visit)
    response.headers.setdefault("Cache-Control", "no-store")
    path = visit.request.url.path
    if who := frames.ancestors(visit.site, visit.visitor, path, framed=visit.framed):
        response.headers["Content-Security-Policy"] = guard.policy(who)
    # The same address gives a page or patches.
    response.headers.setdefault("Vary", "X-Live, Cookie, Accept-Language")
    return response


async def _page(answer: Page, visit: Visit) -> Response:
    part = answer.parts.get(visit.live)
    if part is not None:
        return HTMLResponse(_render(part, visit, answer.values), answer.status)
    values = dict(answer.values)
    values["layout"] = "live.html" if visit.live else "base.html"
    if visit.visitor is not None and visit.shell is NOBODY:
        await visit.site.db.reading(lambda tx: _surround(tx, visit))
    values["shell"] = visit.shell
    values["notice"] = _kept_notice(visit)
    return HTMLResponse(_render(answer.template, visit, values), answer.status)


async def _surround(tx: Tx, visit: Visit) -> None:
    # A page that knows what is unread has said so already.
    if visit.visitor is not None and visit.shell is NOBODY:
        visit.shell = await shell(tx, visit.visitor.id, await visit.site.clock.now(tx))


def _done(answer: Done, visit: Visit) -> Response:
    if not visit.live:
        if answer.notice:
            visit.keep_cookie(_NOTICE_COOKIE, quote(answer.notice), seconds=60)
        return RedirectResponse(answer.url, 303)
    patches = _render(answer.patches, visit, answer.values) if answer.patches else ""
    if answer.notice:
        patches += _render("patches/notice.html", visit, {"notice": answer.notice})
    return HTMLResponse(patches, headers={} if answer.patches else {"X-Go": _written(answer.url)})


def _written(url: str) -> str:
    """As a header has it: in ASCII. What was written so before stays as it is."""
    return quote(url, safe=_URL_SIGNS)


async def _no(answer: No, visit: Visit) -> Response:
    values = {"alert": answer.sentence, "status": answer.status, "back": answer.url}
    if visit.live:
        patches = _render(answer.patches, visit, answer.values) if answer.patches else ""
        patches += _render("patches/alert.html", visit, values)
        return HTMLResponse(patches, answer.status)
    if answer.status >= 500 or answer.wait:
        # The shell needs the database, which may be what is away, or is to be spared.
        values |= {"layout": "base.html", "shell": NOBODY, "notice": None}
        return HTMLResponse(_render("no.html", visit, values), answer.status)
    return await _page(Page("no.html", values, answer.status), visit)


def _render(template: str, visit: Visit, values: Mapping[str, Any]) -> str:
    shared = {
        "viewer": visit.visitor,
        "visit": visit,
        "now": visit._now,  # pyright: ignore[reportPrivateUsage]
        "sections": console.SECTIONS,
    }
    return html(template, visit.words, {**shared, **values})


def _kept_notice(visit: Visit) -> str | None:
    """The notice of an act that led here, which is shown once."""
    kept = visit.request.cookies.get(cookie_name(visit.site, _NOTICE_COOKIE))
    if kept is None:
        return None
    visit.keep_cookie(_NOTICE_COOKIE, "")
    return unquote(kept)


def _set_cookies(response: Response, visit: Visit) -> None:
    for name, (value, seconds) in visit.cookies.items():
        # Over https alone may a cookie go to frames of other sites: one for each such site (CHIPS).
        apart = name == frames.FRAME_COOKIE and visit.site.https
        response.set_cookie(
            cookie_name(visit.site, name),
            value,
            max_age=seconds,
            path="/",
            secure=visit.site.https,
            httponly=True,
            samesite="none" if apart else "lax",
        )
        if apart:
            last, said = response.raw_headers[-1]
            response.raw_headers[-1] = last, said + b"; Partitioned"


async def _asset(request: Request) -> Response:
    made = assets.assets()
    found = made.files.get(request.path_params["name"])
    if found is None or request.path_params["release"] != made.release:
        return Response(status_code=404)
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(found.gzipped, media_type=found.media_type, headers=headers)
    return Response(found.plain, media_type=found.media_type, headers=headers)


def _unrouted(site: Site) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def unrouted(request: Request, problem: Exception) -> Response:
        visit = await _visit(site, request)
        _ = visit.words.gettext
        if isinstance(problem, HTTPException) and problem.status_code == 405:
            answer = No(_("This address does not take that."), 405)
        else:
            answer = No(_("There is no such page."), 404)
        return await _response(answer, visit)

    return unrouted
