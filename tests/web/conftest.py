"""The web app in a process of the test's own, on a real database, with a clock that the test moves."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from html import unescape
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher

from overture import ids
from overture.api.app import api_app
from overture.api.context import make_context
from overture.app import faces
from overture.clock import TestClock
from overture.context import share
from overture.core.findings import Finding
from overture.core.ids import MemberId
from overture.front import Surface, front, hosts_of
from overture.handover import Host
from overture.identity import Client
from overture.payments.door import Setup, open_door
from overture.store import accounts, installation, operators, sessions
from overture.store.db import Tx, all_rows
from overture.web.app import web_app
from overture.web.context import Push, Site, make_site
from tests.cast import SIGN_UP, Town, town_in
from tests.work import SECRET, runner_in

PUBLIC_URL = "http://overture.example"
# Of every member here, at ID@overture.example; hashed so that it takes no time.
PASSWORD = "correct horse battery"
_HASHED = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)


@dataclass
class Browser:
    """Someone at a browser: cookies are kept, redirects are followed on request."""

    http: httpx.AsyncClient
    id: MemberId | None = None

    async def get(self, path: str, *, live: str = "", **more: Any) -> httpx.Response:
        headers = {"X-Live": live} if live else {}
        return await self.http.get(path, headers=headers, **more)

    async def post(
        self, path: str, form: dict[str, Any] | None = None, *, live: str = "", **more: Any
    ) -> httpx.Response:
        headers = {"Sec-Fetch-Site": "same-origin"} | ({"X-Live": live} if live else {})
        headers |= more.pop("headers", {})
        return await self.http.post(path, data=form or {}, headers=headers, **more)

    async def follow(self, answer: httpx.Response) -> httpx.Response:
        """The page that an answer leads to."""
        assert answer.status_code == 303, (answer.status_code, text_of(answer))
        return await self.get(answer.headers["location"])


async def _nothing_found() -> list[Finding]:
    return []


@dataclass
class Place:
    """An installation and its town, behind the web app."""

    site: Site
    town: Town
    transport: httpx.ASGITransport
    browsers: list[httpx.AsyncClient] = field(default_factory=list)

    def browser(self) -> Browser:
        """A browser in which nobody is signed in."""
        http = httpx.AsyncClient(transport=self.transport, base_url=PUBLIC_URL)
        self.browsers.append(http)
        return Browser(http)

    async def member(self, handle: str, **plans: str) -> Browser:
        """A member who is signed in: `member("ada", premium="premium_career")`."""
        return await self.signed_in(await self.town.member(handle, **plans))

    async def signed_in(self, member: MemberId) -> Browser:
        """A browser with a session of this member's."""
        browser, secret = self.browser(), f"session-{ids.new()}"
        digest = sha256(secret.encode()).hexdigest()

        async def sign_in(tx: Tx) -> None:
            if await accounts.of(tx, member) is None:
                email = f"{member}@overture.example"
                await accounts.take_address(tx, email, member)
                await accounts.add(tx, member, email=email, password=_HASHED, verified=True)
            await sessions.add(
                tx, member, session=str(ids.new()), sha256=digest, client="", agent="a test"
            )

        await self.town.do(sign_in)
        browser.http.cookies.set("session", secret, domain="overture.example")
        browser.id = member
        return browser

    async def operator(self, handle: str) -> Browser:
        """An operator who has entered the console with a second factor, only now."""
        browser = await self.member(handle)
        member = browser.id
        assert member is not None

        async def enter(tx: Tx) -> None:
            await operators.add(tx, member)
            await tx.execute(
                "update sessions set factor_at = now() where member_id = %s", (member,)
            )
            for (session,) in await all_rows(
                tx, "select id from sessions where member_id = %s", (member,)
            ):
                assert await operators.enter(tx, member, session)

        await self.town.do(enter)
        return browser

    async def factor_grows_stale(self, member: MemberId) -> None:
        """The member has long since shown a second factor, in every browser."""
        await self.town.do(
            lambda tx: tx.execute(
                "update sessions set factor_at = factor_at - interval '10 minutes 1 second' "
                "where member_id = %s",
                (member,),
            )
        )

    async def grows_stale(self, member: MemberId) -> None:
        """The member has long since shown who they are, in every browser."""
        await self.town.do(
            lambda tx: tx.execute(
                "update sessions set proved_at = proved_at - interval '10 minutes 1 second' "
                "where member_id = %s",
                (member,),
            )
        )

    async def days_pass(self, days: float) -> None:
        """And what falls due by itself is done."""
        await self.site.play(self.town.pass_by(days=days))


class Crowd:
    """In place of work that takes long: until as many are at it as may; `most` were so at once."""

    def __init__(self, at_once: int, answer: Callable[[], object]) -> None:
        self._at_once, self._answer = at_once, answer
        self._all_are, self._goes_on = asyncio.Event(), asyncio.Event()
        self._now = self.most = 0

    async def __call__(self, *_given: object, **_named: object) -> Any:
        self._now += 1
        self.most = max(self.most, self._now)
        if self._now == self._at_once:
            self._all_are.set()
        await self._goes_on.wait()
        self._now -= 1
        return self._answer()

    @asynccontextmanager
    async def asked(
        self, ask: Callable[[], Awaitable[httpx.Response]], times: int
    ) -> AsyncGenerator[list[httpx.Response]]:
        """While as many are at it as may be; the answers are there at the end."""
        answers: list[httpx.Response] = []
        asking = [asyncio.ensure_future(ask()) for _ in range(times)]
        await self._all_are.wait()
        yield answers
        self._goes_on.set()
        answers += await asyncio.gather(*asking)


@asynccontextmanager
async def overtaken(
    monkeypatch: pytest.MonkeyPatch, store: Any, name: str
) -> AsyncGenerator[asyncio.Event]:
    """Who asks first for this of a store goes on, with what was found, once the block is over.

    The event is set when they have it.
    """
    right, looked, over = getattr(store, name), asyncio.Event(), asyncio.Event()

    async def asked(*given: Any, **more: Any) -> Any:
        found = await right(*given, **more)
        if not looked.is_set():
            looked.set()
            await over.wait()
        return found

    monkeypatch.setattr(store, name, asked)
    try:
        yield looked
    finally:
        over.set()


def text_of(answer: httpx.Response) -> str:
    """What a person reads: the text of a page, without tags and with single spaces."""
    shown = re.sub(r"<(script|style|head|template)\b.*?</\1>", " ", answer.text, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", shown)).split())


@asynccontextmanager
async def place_in(
    database_url: str,
    *,
    payments: Setup | None = None,
    identity: Client | None = None,
    host: Host | None = None,
    embed_origins: Sequence[str] = (),
    push: Push | None = None,
    public_url: str = PUBLIC_URL,
) -> AsyncGenerator[Place]:
    """The web app on this database; where payments are set up, Stripe can tell of them."""
    async with town_in(database_url) as town:
        await town.do(lambda tx: installation.set_test_clock(tx, SIGN_UP))
        clock = TestClock()
        door = payments and open_door(payments, town.db, clock, town.book)
        shared = share(town.db, clock, town.book, runner_in(town, payments=payments).play, door)
        site = make_site(
            shared,
            public_url=public_url,
            secret=SECRET,
            identity=identity,
            host=host,
            embed_origins=embed_origins,
            push=push,
            examine=_nothing_found,
        )
        context = make_context(shared, requests_per_minute=0, writes_per_minute=0)
        surface = Surface(hosts=hosts_of((), PUBLIC_URL, "127.0.0.1"))
        transport = httpx.ASGITransport(front(faces(api_app(context), web_app(site)), surface))
        made = Place(site, town, transport)
        yield made
        for http in made.browsers:
            await http.aclose()
        await site.drain()
        await context.drain()


@pytest.fixture
def identity_client() -> Client | None:
    """The host's identity provider: none, unless a test has one."""
    return None


@pytest.fixture
async def place(database_url: str, identity_client: Client | None) -> AsyncIterator[Place]:
    async with place_in(database_url, identity=identity_client) as made:
        yield made
