"""The API in a process of the test's own, on a real database, with a clock that the test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

import httpx
import pytest

from overture import ids
from overture.api.app import api_app
from overture.api.context import Context, make_context
from overture.clock import TestClock
from overture.context import share
from overture.core.ids import MemberId, TokenId
from overture.core.pace import Pace
from overture.core.policy import PolicyBook
from overture.front import Surface, front
from overture.payments.door import Setup, open_door
from overture.store import installation, tokens
from overture.store.tokens import TokenRow
from tests.cast import SIGN_UP, Town, town_in
from tests.work import runner_in

OPERATOR_TOKEN = "operator-token-of-the-tests"


@dataclass
class Caller:
    """Someone who calls the API with a token, perhaps acting as a member."""

    http: httpx.AsyncClient
    token: str
    id: MemberId | None = None

    async def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        if self.id is not None:
            headers["Act-As"] = self.id
        headers |= more.pop("headers", {})
        return await self.http.request(method, path, headers=headers, **more)

    async def get(self, path: str, **more: Any) -> httpx.Response:
        return await self.call("GET", path, **more)

    async def post(self, path: str, json: Any = None, **more: Any) -> httpx.Response:
        return await self.call("POST", path, json={} if json is None else json, **more)

    async def put(self, path: str, json: Any = None, **more: Any) -> httpx.Response:
        return await self.call("PUT", path, json={} if json is None else json, **more)

    async def patch(self, path: str, json: Any = None, **more: Any) -> httpx.Response:
        return await self.call("PATCH", path, json={} if json is None else json, **more)

    async def delete(self, path: str, **more: Any) -> httpx.Response:
        return await self.call("DELETE", path, **more)

    async def writes(
        self, to: Caller, body: str = "Hello", *, key: str | None = None, **more: Any
    ) -> httpx.Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        return await self.post(
            "/conversations", {"to": to.id, "body": body, **more}, headers=headers
        )


@dataclass
class Site:
    """An installation, its operator, and its town behind the API."""

    context: Context
    town: Town
    http: httpx.AsyncClient
    operator: Caller = field(init=False)

    def __post_init__(self) -> None:
        self.operator = Caller(self.http, OPERATOR_TOKEN)

    async def member(self, handle: str, **plans: str) -> Caller:
        """A member, called for by the operator: `member("ada", premium="premium_career")`."""
        return Caller(self.http, OPERATOR_TOKEN, await self.town.member(handle, **plans))

    async def token(self, member: Caller, *scopes: str) -> Caller:
        """The member with a personal access token."""
        secret = f"token-{ids.new()}"
        row = TokenRow(TokenId(ids.new()), member.id, scopes or ("read", "write"), "", None)
        await self.town.do(lambda tx: tokens.add(tx, row, sha256(secret.encode()).digest()))
        return Caller(self.http, secret)

    async def clock(self, now: datetime) -> None:
        answer = await self.operator.put("/operator/clock", {"now": now.isoformat()})
        assert answer.status_code == 200, answer.text
        self.town.now = now

    async def days_pass(self, days: float) -> None:
        await self.clock(self.town.pass_by(days=days))


@asynccontextmanager
async def site_in(
    database_url: str,
    *,
    book: PolicyBook | None = None,
    payments: Setup | None = None,
    pace: Pace | None = None,
    **limits: int,
) -> AsyncIterator[Site]:
    """The API on this database, whose clock starts where it stands, at SIGN_UP if it has none."""
    async with town_in(database_url, book) as town:
        row = TokenRow(TokenId(ids.new()), None, ("read", "write"), "", None)
        await town.do(lambda tx: installation.set_test_clock(tx, SIGN_UP))
        await town.do(lambda tx: tokens.add(tx, row, sha256(OPERATOR_TOKEN.encode()).digest()))
        clock = TestClock()
        town.now = await town.look(clock.now)
        no_limits = {"requests_per_minute": 0, "writes_per_minute": 0}
        door = payments and open_door(payments, town.db, clock, town.book)
        play = runner_in(town, payments=payments).play
        shared = share(town.db, clock, town.book, play, door, pace=pace)
        context = make_context(shared, webhook_allow_hosts=["127.0.0.1"], **(no_limits | limits))
        app = front(api_app(context), Surface())
        transport = httpx.ASGITransport(app, raise_app_exceptions=True)
        base = "http://overture.example/api/v1"
        async with httpx.AsyncClient(transport=transport, base_url=base) as http:
            yield Site(context, town, http)
        await context.drain()


@pytest.fixture
async def site(database_url: str) -> AsyncIterator[Site]:
    async with site_in(database_url) as made:
        yield made
