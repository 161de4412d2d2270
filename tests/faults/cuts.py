"""A network that breaks between the server and PostgreSQL, under load."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import psycopg

from overture.store import embedded
from tests.faults.damage import damage
from tests.faults.ground import Ground
from tests.faults.load import replays, under_load
from tests.faults.proxy import Proxy, before
from tests.faults.servers import launch
from tests.faults.table import Row

# "terminated": PostgreSQL ends every connection. "cut": the network does. "answers lost": what is asked
# is carried out, but no answer comes, and then the connection is gone: commits are in doubt. "stalled":
# nothing comes through for a while, and then all of it. "delayed": all of it late.
KINDS = ("terminated", "cut", "answers lost", "stalled", "delayed")
STALLED_SECONDS = 1.0
ANSWERS_LOST_SECONDS = 0.1
DELAYED_SECONDS = 0.5
DELAY_SECONDS = 0.02


def cuts(ground: Ground, what: Sequence[str] = KINDS) -> Row:
    """Breaks connections in these ways, one after the other."""
    row = Row("connections cut, stalled, delayed", faults=len(what))
    with ground.copy() as data:
        asyncio.run(_cut(row, ground, data, what))
    return row


async def _cut(row: Row, ground: Ground, data: Path, what: Sequence[str]) -> None:
    with embedded.start(data) as postgres:
        async with before(data) as proxy:
            server = await asyncio.to_thread(
                launch, data.parent / "server.log", database_url=proxy.url
            )
            try:
                async with under_load(ground.cast, server.port) as load:
                    for each in what:
                        await load.flows_for_a_moment()
                        await _break(each, proxy, postgres.admin_url)
                        row.back_seconds.append(await load.serves_again(time.monotonic()))
                row.found.other += await replays(server.port, load.told)
            finally:
                await asyncio.to_thread(server.stop)
        row.tried, row.acknowledged = load.tried, len(load.told)
        found = await asyncio.to_thread(damage, postgres.url, load.told)
        found.other += row.found.other
        row.found = found


async def _break(kind: str, proxy: Proxy, admin_url: str) -> None:
    """Returns when the network is whole again."""
    match kind:
        case "terminated":
            await asyncio.to_thread(terminate_all, admin_url)
        case "cut":
            proxy.cut()
        case "answers lost":
            proxy.lose_answers()
            lost = proxy.answers_lost
            while proxy.answers_lost == lost:  # noqa: ASYNC110
                await asyncio.sleep(ANSWERS_LOST_SECONDS)
            proxy.cut()
        case "stalled":
            proxy.stall()
            await asyncio.sleep(STALLED_SECONDS)
            proxy.go_on()
        case "delayed":
            proxy.delay_seconds = DELAY_SECONDS
            await asyncio.sleep(DELAYED_SECONDS)
            proxy.delay_seconds = 0
        case _:
            raise AssertionError(kind)


def terminate_all(admin_url: str) -> None:
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where usename = %s",
            [embedded.ROLE],
        )
