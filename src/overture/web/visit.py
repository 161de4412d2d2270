"""Pages and acts: how a request becomes a call of the actions, and their result an answer.

    @page("/premium")
    async def premium(visit: Visit) -> Answer:
        return Page("premium.html", {"pools": await credits.pools(visit.tx, visit.viewer.id, ...)})

    @act("/conversations/{id}/star")
    async def star(visit: Visit) -> Answer:
        done = await inbox.star(visit.tx, visit.viewer.id, visit.id("id", ConversationId), ...)
        if isinstance(done, Refusal):
            return visit.refused(done)
        return Done(f"/inbox/{visit.path['id']}", patches="patches/star.html", values={...})

A page (GET) runs on a reading connection, an act (POST) in one transaction, `visit.tx`; a No, and a
Page or Patch whose status is 400 or more, takes back what was written. With `transaction=False` it
sees to that itself: so does everything that goes through the lanes, with `visit.send`. Rendering comes
after, when the connection is free again.

A request with the header `X-Live` wants patches instead of a page: pieces of HTML in
`<template data-at="SELECTOR" data-how="replace">`, which live.js puts in their places. Its value is
`1`, or the name of a part that the page offers: `Page("inbox.html", {...}, parts={"thread":
"patches/thread.html"})` is rendered with that template for `<a href=… data-live="thread">`. Any page
begins with `{% extends layout %}`, which is base.html, or live.html with the same blocks, and says
where it stands with `{% set here = "inbox" %}`.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from hashlib import sha256
from typing import Any, TypeVar

import msgspec
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response

from overture.actions.conversations import Ask, KeyReused
from overture.actions.fields import Invalid
from overture.core.ids import ConversationId, MessageId
from overture.core.refusals import Refusal
from overture.core.sending import Command, Refused, Write
from overture.core.sending import Done as Carried
from overture.store.accounts import Viewer
from overture.store.db import Tx
from overture.store.idempotency import Kept, Once
from overture.web.context import Site
from overture.web.shell import NOBODY, Shell
from overture.words import Words

I = TypeVar("I", bound=str)  # noqa: E741

SESSION_COOKIE = "session"

FORM_BYTES_MAX = 128 * 1024
YEAR_SECONDS = 365 * 24 * 3600
# X-Live of what a page of the console asks for by itself, time and again, while somebody looks at it.
ANEW = "anew"


class Who(Enum):
    """Who may see a page. A member who is not signed in is sent to /login and back, one who signed in
    a while ago to /confirm and back; an operator to /ops/enter. For who is no operator there is no
    console.

    What changes the ways in is PROVEN_BY_FACTOR: an operator could else be robbed of the console by who
    has no more than the password, and makes up a second factor with it."""

    ANYONE = "anyone"
    MEMBER = "a member who is signed in"
    PROVEN = "a member who has shown only now who they are"
    PROVEN_BY_FACTOR = "the same; an operator who has a second factor, with that"
    OPERATOR = "an operator who is in the console"
    OPERATOR_PROVEN = "an operator who has shown only now a second factor"
    OPERATOR_OUTSIDE = "an operator, also before the console"

    @property
    def is_proven(self) -> bool:
        return self in (Who.PROVEN, Who.PROVEN_BY_FACTOR)

    @property
    def is_operator(self) -> bool:
        return self in (Who.OPERATOR, Who.OPERATOR_PROVEN, Who.OPERATOR_OUTSIDE)


def cookie_name(site: Site, name: str) -> str:
    """Over https no other site, and no page of a neighbouring host, can set or change ours."""
    return f"__Host-{name}" if site.https else name


# Answers ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Page:
    """A page, or its patches. `parts`: the templates for parts of it, by their names in X-Live."""

    template: str
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])
    status: int = 200
    parts: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Patch:
    """Patches alone, for what only a script asks for."""

    template: str
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])
    status: int = 200


@dataclass(frozen=True, slots=True)
class Done:
    """An act was carried out. For a script: the patches, or where there are none a live navigation
    to `url`. Else a redirect to `url`. The notice, a sentence, is shown either way."""

    url: str
    patches: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class No:
    """An expected no: a sentence, shown as an alert; `url` is where to go on without a script.

    With `patches`, a script gets these beside the alert. `wait`: for how many seconds, where it was for
    asking too much; little is made of that.
    """

    sentence: str
    status: int = 403
    url: str | None = None
    patches: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])
    wait: int = 0


@dataclass(frozen=True, slots=True)
class Go:
    """A redirect within the site."""

    url: str


Answer = Page | Patch | Done | No | Go | Response


class Absent(Exception):
    """There is no such page, or not for this viewer: the two look the same."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a command that the lanes carried out; the same for its repeats.

    `message` is None where nothing was added; `balance` is the pool's, None where it was free.
    """

    conversation: ConversationId
    message: MessageId | None
    credits: int
    pool: str | None
    balance: int | None


# The visit --------------------------------------------------------------------------------------


@dataclass(slots=True)
class Visit:
    """One request: who asks, in which words, and what they sent.

    `form` has the fields of a POST (the last of equal names; `request` knows all), `files` what was
    uploaded, `path` the placeholders. `live` is the value of X-Live, empty where a page is wanted.
    """

    request: Request
    site: Site
    words: Words
    visitor: Viewer | None
    live: str
    form: Mapping[str, str] = field(default_factory=dict[str, str])
    # Whether it is shown in a frame of the host's; see `web.frames`.
    framed: bool = False
    # What happened after this place in the outbox the page may not show yet; see `web.events`.
    after: int = 0
    files: list[UploadFile] = field(default_factory=list[UploadFile])
    # Set with the answer, by name; see `keep_cookie`.
    cookies: dict[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])
    # What surrounds the page; the app looks it up.
    shell: Shell = NOBODY
    _tx: Tx | None = None
    _now: datetime | None = None

    @property
    def viewer(self) -> Viewer:
        """The member who is signed in."""
        assert self.visitor is not None, "this page was declared to be for anyone"
        return self.visitor

    @property
    def path(self) -> Mapping[str, str]:
        return {name: str(value) for name, value in self.request.path_params.items()}

    @property
    def query(self) -> Mapping[str, str]:
        return self.request.query_params

    @property
    def tx(self) -> Tx:
        assert self._tx is not None, "this page was declared to open its transactions itself"
        return self._tx

    @property
    def now(self) -> datetime:
        assert self._now is not None, "this page was declared to ask the clock itself"
        return self._now

    def at(self, tx: Tx, now: datetime) -> None:
        self._tx, self._now = tx, now

    def id(self, name: str, kind: Callable[[str], I]) -> I:
        """The id in the path's placeholder, which is declared as `{name:uuid}`."""
        return kind(str(self.request.path_params[name]))

    def cookie(self, name: str) -> str:
        """A cookie of ours, as the browser sent it; empty where it sent none."""
        return self.request.cookies.get(cookie_name(self.site, name), "")

    def keep_cookie(self, name: str, value: str, seconds: int = YEAR_SECONDS) -> None:
        """Sets a cookie of ours with the answer; an empty value removes it."""
        self.cookies[name] = (value, seconds if value else 0)

    def refused(self, refusal: Refusal, status: int = 403, url: str | None = None) -> No:
        """A no of the rules, in the reader's language."""
        return No(self.words.say(refusal.sentence), status, url)

    def errors(self, invalid: Invalid) -> dict[str, str]:
        """What is wrong, by field, in the reader's language, for the page with the form."""
        return {name: self.words.say(sentence) for name, sentence in invalid.errors}

    async def send(self, command: Command, key: str) -> Sent | Refused | KeyReused:
        """Puts a command into the lanes. `key` stands in the form: sent again, it is one act."""
        files = command.files if isinstance(command, Write) else ()
        said = [sorted(self.form.items()), [sha256(each.content).hexdigest() for each in files]]
        fingerprint = sha256(msgspec.json.encode(said)).digest()
        once = Once(self.viewer.id, "web", key, fingerprint) if key else None
        ask = Ask(command, once, _render if once else None)
        if files:
            answer = await self.site.send_alone(ask)
        else:
            answer = await self.site.sends.submit(ask, self.viewer.id)
        match answer:
            case Carried():
                return _sent(answer)
            case Kept():
                return msgspec.json.decode(answer.body, type=Sent)
            case Refused() | KeyReused():
                return answer


def _sent(done: Carried) -> Sent:
    charge = done.charge
    return Sent(
        conversation=done.conversation.id,
        message=None if done.message is None else done.message.id,
        credits=0 if charge is None else charge.credits,
        pool=None if charge is None else charge.pool,
        balance=None if charge is None else charge.balance,
    )


def _render(done: Carried) -> tuple[int, bytes]:
    return 200, msgspec.json.encode(_sent(done))


# Declarations -----------------------------------------------------------------------------------

Run = Callable[[Visit], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Handler:
    """A declared page or act: what `app` makes a route of."""

    method: str
    path: str
    run: Run
    who: Who
    transaction: bool
    form_bytes_max: int
    files_max: int
    # Where one is sent after /confirm; empty: to the page itself, or to that of the form.
    again: str = ""
    # Of an act: whether it need not come from a page of ours.
    from_anywhere: bool = False
    # Whether a member who is suspended may see or do it too.
    while_suspended: bool = False
    # The parameter of the query with which it is a search, which takes its turn; empty for none.
    searches: str = ""


def page(
    path: str,
    *,
    who: Who = Who.MEMBER,
    transaction: bool = True,
    again: str = "",
    while_suspended: bool = False,
    searches: str = "",
) -> Callable[[Run], Handler]:
    """Declares a page, which changes nothing. `again`: where it is linked, if it only downloads.
    `while_suspended`: a member who is suspended may see it too. `searches`: with which parameter."""

    def declare(run: Run) -> Handler:
        handler = Handler("GET", path, run, who, transaction, 0, 0, again)
        return replace(handler, while_suspended=while_suspended, searches=searches)

    return declare


def act(
    path: str,
    *,
    who: Who = Who.MEMBER,
    transaction: bool = True,
    form_bytes_max: int = FORM_BYTES_MAX,
    files_max: int = 0,
    from_anywhere: bool = False,
    while_suspended: bool = False,
) -> Callable[[Run], Handler]:
    """Declares what a form posts to. `files_max`: how many files may come with it. `from_anywhere`: no
    cookie counts for it, so that it need not come from a page of ours."""

    def declare(run: Run) -> Handler:
        handler = Handler("POST", path, run, who, transaction, form_bytes_max, files_max)
        return replace(handler, from_anywhere=from_anywhere, while_suspended=while_suspended)

    return declare
