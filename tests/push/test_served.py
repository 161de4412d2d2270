"""The whole server sends a notice, to a service that a setting allows."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg

from overture import ids
from tests.push.conftest import HOST, Device, serving
from tests.running import PATIENCE, Running
from tests.running import serving as overture


async def test_a_server_tells_a_device(database_url: str):
    options = ("--database-url", database_url, "--push-allow-hosts", HOST)
    async with serving() as service:
        with overture(*options) as server:
            ada, grace = [await _member(server, name) for name in ("ada", "grace")]
            session = ids.new()
            device = Device(grace, session, f"{service.url}/{session}")
            _signs_in(database_url, device)

            letter = {"to": grace, "body": "May I?"}
            await _ask(server, "POST", "/conversations", letter, ada)
            shown: set[str] = set()
            async with asyncio.timeout(PATIENCE):
                while "Ada wrote you an InMail" not in shown:
                    await asyncio.sleep(0.05)
                    shown = {device.reads(got.body)["title"] for got in service.got}


async def _member(server: Running, handle: str) -> Any:
    made = await _ask(server, "POST", "/members", {"handle": handle, "name": handle.title()})
    plan = {"plan": "premium_career"}
    await _ask(server, "PUT", "/me/subscriptions/premium", plan, made["id"])
    return made["id"]


async def _ask(server: Running, method: str, path: str, body: object, viewer: str = "") -> Any:
    headers = {"Act-As": viewer} if viewer else {}
    answer = await asyncio.to_thread(
        server.request, method, f"/api/v1{path}", body, headers=headers
    )
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


def _signs_in(url: str, device: Device) -> None:
    """As a browser in which notices were switched on."""
    with psycopg.connect(url) as connection:
        connection.execute(
            """
            insert into sessions (hash, id, member_id, expires_at, client, agent,
                push_endpoint, push_key, push_auth)
            values (%s, %s, %s, now() + interval '1 hour', '', '', %s, %s, %s)
            """,
            (
                ids.new_key(),
                device.session,
                device.member,
                device.endpoint,
                device.public_key,
                device.auth,
            ),
        )
