"""Towns whose happenings are told to real receivers on this machine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from standardwebhooks.webhooks import Webhook

from overture import ids
from overture.actions import webhooks
from overture.actions.webhooks import By
from overture.core.ids import EndpointId
from overture.core.webhooks import secret_text
from overture.jobs.runner import Runner
from overture.store import installation
from overture.store import webhooks as store
from overture.store.db import all_rows
from overture.store.webhooks import Delivery, Endpoint
from tests.cast import SIGN_UP, Town, town_in
from tests.work import runner_in


@dataclass(frozen=True)
class Got:
    """What arrived."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def told(self) -> dict[str, Any]:
        return json.loads(self.body)

    @property
    def type(self) -> str:
        return self.told["type"]

    def verified_by(self, secret: str) -> dict[str, Any]:
        """What it tells, if it was signed with this secret; else raises."""
        return Webhook(secret).verify(self.body, dict(self.headers))


Behaviour = Callable[[Got, web.Request], Awaitable[web.StreamResponse]]


def answering(status: int, **headers: str) -> Behaviour:
    async def answer(got: Got, request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers=headers)

    return answer


async def hang_up(got: Got, request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def hang(got: Got, request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    return web.Response()


@dataclass
class Receiver:
    """An HTTP server that remembers what came, and behaves as it is told."""

    url: str = ""
    got: list[Got] = field(default_factory=list)
    behaves: Behaviour = field(default_factory=lambda: answering(204))
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def types(self) -> list[str]:
        return [each.type for each in self.got]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [each.told["data"] for each in self.got if each.type == kind]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        got = Got(request.path, dict(request.headers), await request.read())
        self.got.append(got)
        self.arrived.set()
        return await self.behaves(got, request)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", receiver.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hooks"
    try:
        yield receiver
    finally:
        await runner.cleanup()


@dataclass
class Told:
    """A town, and the endpoints that are told of what happens in it."""

    town: Town
    runner: Runner
    secrets: dict[EndpointId, str] = field(default_factory=dict)

    def by(self) -> By:
        return By("cli", ids.new(), self.town.now)

    async def endpoint(self, url: str, *events: str) -> EndpointId:
        made, secret = EndpointId(ids.new()), secret_text(ids.new_key())
        added = await self.town.do(
            lambda tx: webhooks.create(
                tx,
                made,
                secret,
                url=url,
                events=events or ("*",),
                description="",
                allowed_hosts={"127.0.0.1"},
                by=self.by(),
            )
        )
        assert isinstance(added, Endpoint), added
        self.secrets[made] = secret
        return made

    async def works(self) -> None:
        """Delivers what is due, as far as it goes."""
        await self.runner.play(self.town.now)

    async def passes(self, **duration: float) -> None:
        await self.runner.play(self.town.pass_by(**duration))

    async def works_again(self, **real_time: float) -> None:
        """The same once what failed may be tried again: as if so much real time had passed."""
        await self.real_time_passes(**real_time)
        await self.works()

    async def real_time_passes(self, **duration: float) -> None:
        passed = {"by": timedelta(**duration)}
        self.runner._rests.clear()
        for statement in (
            "update jobs set not_before = not_before - %(by)s, held_until = held_until - %(by)s",
            """update webhook_endpoints
                set failing_since = failing_since - %(by)s, failed_at = failed_at - %(by)s""",
            "update webhook_deliveries set tried_at = tried_at - %(by)s",
        ):
            await self.town.do(lambda tx, statement=statement: tx.execute(statement, passed))

    async def known(self, endpoint: EndpointId) -> Endpoint:
        found = await self.town.look(lambda tx: store.one(tx, endpoint))
        assert found is not None
        return found

    async def log(self, endpoint: EndpointId) -> Sequence[Delivery]:
        """The newest first."""
        page = await self.town.look(
            lambda tx: store.deliveries(tx, endpoint, None, cursor=None, limit=1000)
        )
        return page.items

    async def waiting(self) -> list[tuple[Any, ...]]:
        """What is left to do of webhooks: key, tries, whether it was given up, and why it failed."""
        return await self.town.look(
            lambda tx: all_rows(
                tx,
                "select key, tries, parked_at is not null, problem from jobs"
                " where queue like 'webhook%%' order by number",
            )
        )

    async def audited(self) -> list[tuple[Any, ...]]:
        return await self.town.look(
            lambda tx: all_rows(tx, "select actor, action, detail from audit order by id")
        )


@pytest.fixture
async def told(database_url: str) -> AsyncIterator[Told]:
    async with town_in(database_url) as town:
        await town.do(lambda tx: installation.set_test_clock(tx, SIGN_UP))
        yield Told(town, runner_in(town))


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made
