"""The whole server tells its endpoints, whichever of its processes does."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.running import PATIENCE, Running, serving
from tests.webhooks.conftest import Receiver


async def test_a_server_of_two_processes_tells_each_thing_once(database_url, receiver: Receiver):
    options = ("--database-url", database_url, "--processes", 2)
    with serving(*options, "--webhook-allow-hosts", "127.0.0.1") as server:
        made = await _post(server, "/operator/webhooks", {"url": receiver.url})
        members = [
            (await _post(server, "/members", {"handle": name, "name": name}))["id"]
            for name in ("ada", "bo", "grace")
        ]
        async with asyncio.timeout(PATIENCE):
            while len(receiver.got) < 3:
                receiver.arrived.clear()
                await receiver.arrived.wait()

        assert sorted(each["member_id"] for each in receiver.of("member.created")) == sorted(
            members
        )
        assert all(each.verified_by(made["secret"]) for each in receiver.got)
        path = f"/api/v1/operator/webhooks/{made['endpoint']['id']}/deliveries"
        async with asyncio.timeout(PATIENCE):
            while len(await _items(server, path)) < 3:  # noqa: ASYNC110 - another process logs
                await asyncio.sleep(0.05)
        assert {each["outcome"] for each in await _items(server, path)} == {"delivered"}
        assert server.stop() == 0


async def _post(server: Running, path: str, body: object) -> Any:
    answer = await asyncio.to_thread(server.request, "POST", f"/api/v1{path}", body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def _items(server: Running, path: str) -> list[Any]:
    return (await asyncio.to_thread(server.request, "GET", path)).json()["items"]
