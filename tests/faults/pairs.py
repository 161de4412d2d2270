"""Two servers on one database, under load that goes to whichever answers."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from overture.store import embedded
from tests.faults.damage import damage
from tests.faults.ground import Ground
from tests.faults.load import replays, under_load
from tests.faults.servers import launch
from tests.faults.table import Row


def two_servers(ground: Ground, times: int = 2) -> Row:
    """Kills the one and the other in turn: a request is repeated at the other one, under its key."""
    row = Row("one of two servers killed", faults=times)
    with ground.copy() as data:
        asyncio.run(_kill_in_turn(row, ground, data, times))
    return row


async def _kill_in_turn(row: Row, ground: Ground, data: Path, times: int) -> None:
    with embedded.start(data) as postgres:

        def begin(number: int, port: int | None = None):
            log = data.parent / f"server-{number}.log"
            return launch(log, database_url=postgres.url, port=port)

        servers = list(await asyncio.gather(*(asyncio.to_thread(begin, n) for n in range(2))))
        try:
            async with under_load(ground.cast, *(each.port for each in servers)) as load:
                for time_ in range(times):
                    await load.flows_for_a_moment()
                    number = time_ % 2
                    began = time.monotonic()
                    servers[number].kill()
                    row.back_seconds.append(await load.serves_again(began))
                    if time_ + 1 < times:
                        port = servers[number].port
                        servers[number] = await asyncio.to_thread(begin, number, port)
            # Whichever answered first, the one that is left gives the same answer.
            row.found.other += await replays(servers[times % 2].port, load.told)
        finally:
            for each in servers:
                await asyncio.to_thread(each.stop)
        row.tried, row.acknowledged = load.tried, len(load.told)
        found = await asyncio.to_thread(damage, postgres.url, load.told)
        found.other += row.found.other
        row.found = found
