"""A town whose members' browsers take notices, from a push service on this machine."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import http_ece
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from overture import ids
from overture.actions import push
from overture.core.ids import MemberId
from overture.core.push import encoded
from overture.jobs.runner import Runner
from overture.store import installation, sessions
from overture.store.db import Tx, all_rows
from tests.cast import SIGN_UP, Town, town_in
from tests.work import runner_in

HOST = "127.0.0.1"


@dataclass
class Device:
    """A browser: only it reads what is sent to its place."""

    member: MemberId
    session: str
    endpoint: str
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    auth: bytes = field(default_factory=lambda: ids.new_key()[:16])

    @property
    def public_key(self) -> bytes:
        return self.key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )

    def reads(self, body: bytes) -> dict[str, Any]:
        text = http_ece.decrypt(
            body, private_key=self.key, auth_secret=self.auth, version="aes128gcm"
        )
        return json.loads(text)


@dataclass(frozen=True)
class Got:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Service:
    """A push service: `answers` has what it says to a path, where that is not 201."""

    url: str = ""
    got: list[Got] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)

    async def take(self, request: web.Request) -> web.Response:
        self.got.append(Got(request.path, dict(request.headers), await request.read()))
        return web.Response(status=self.answers.get(request.path, 201))


@asynccontextmanager
async def serving() -> AsyncIterator[Service]:
    service = Service()
    app = web.Application()
    app.router.add_post("/{rest:.*}", service.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    service.url = f"http://{HOST}:{runner.addresses[0][1]}"
    try:
        yield service
    finally:
        await runner.cleanup()


@dataclass
class Pushtown:
    """What falls due is done by the runner; what came to the service is read as a device reads it."""

    town: Town
    service: Service
    runner: Runner

    async def member(self, handle: str, name: str = "", **plans: str) -> MemberId:
        made = await self.town.member(handle, **plans)
        rename = "update members set name = %s where id = %s"
        await self.town.do(lambda tx: tx.execute(rename, (name or handle.title(), made)))
        return made

    async def session(self, member: MemberId) -> str:
        session, secret = ids.new(), ids.new_key().hex()

        async def sign_in(tx: Tx) -> None:
            await sessions.add(tx, member, session=session, sha256=secret, client="", agent="")

        await self.town.do(sign_in)
        return session

    async def device(self, member: MemberId) -> Device:
        """A browser of the member's, signed in, that shows notices."""
        session = await self.session(member)
        device = Device(member, session, f"{self.service.url}/{session}")
        await self.shows(device)
        return device

    async def shows(self, device: Device) -> None:
        bad = await self.town.do(
            lambda tx: push.show_notices(
                tx,
                device.member,
                device.session,
                endpoint=device.endpoint,
                key=encoded(device.public_key),
                auth=encoded(device.auth),
                allowed_hosts={HOST},
            )
        )
        assert bad is None, bad

    async def passes(self, **duration: float) -> None:
        await self.runner.play(self.town.pass_by(**duration))

    async def real_time_passes(self, **duration: float) -> None:
        """What failed may be tried again, as if so much real time had passed."""
        self.runner._rests.clear()
        passed = {"by": timedelta(**duration)}
        again = "update jobs set not_before = not_before - %(by)s"
        await self.town.do(lambda tx: tx.execute(again, passed))

    def shown(self, device: Device) -> list[dict[str, Any]]:
        """What came to a device since this was asked last."""
        mine = [got for got in self.service.got if device.endpoint.endswith(got.path)]
        self.service.got = [got for got in self.service.got if got not in mine]
        return [device.reads(got.body) for got in mine]

    def titles(self, device: Device) -> list[str]:
        return [each["title"] for each in self.shown(device)]

    async def rows(self, statement: str) -> list[tuple[Any, ...]]:
        return await self.town.look(lambda tx: all_rows(tx, statement))  # type: ignore[arg-type]


@pytest.fixture
async def pushtown(database_url: str) -> AsyncIterator[Pushtown]:
    async with town_in(database_url) as town, serving() as service:
        await town.do(lambda tx: installation.set_test_clock(tx, SIGN_UP))
        runner = runner_in(town, push_allow_hosts=[HOST])
        yield Pushtown(town, service, runner)
