"""The primary dies, and the standby takes its place, after nothing more went to it for a while."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path

from overture.store import embedded
from tests.faults.copies import copied, execute
from tests.faults.damage import damage
from tests.faults.ground import Ground
from tests.faults.load import CLIENTS, replays, under_load
from tests.faults.proxy import Proxy, before
from tests.faults.servers import kill_postgres, launch
from tests.faults.table import Row

FROZEN_SECONDS = 0.25
FOLLOWS_SECONDS_MAX = 60


def failovers(
    ground: Ground,
    times: int = 1,
    *,
    synchronous: bool = True,
    frozen_seconds: float = FROZEN_SECONDS,
) -> Row:
    """Freezes what sends the primary's log to the standby, kills the primary and promotes the standby,
    which gets a standby of its own for the next time."""
    name = f"failover to {'a synchronous' if synchronous else 'an asynchronous'} standby"
    if frozen_seconds > FROZEN_SECONDS:
        name += f", {frozen_seconds:.0f} s without it"
    row = Row(name, faults=times)
    with ground.copy() as data, ExitStack() as held:
        asyncio.run(
            _fail_over(
                row, ground, data, held, synchronous=synchronous, frozen_seconds=frozen_seconds
            )
        )
    return row


async def _fail_over(
    row: Row,
    ground: Ground,
    data: Path,
    held: ExitStack,
    *,
    synchronous: bool,
    frozen_seconds: float,
) -> None:
    primary = held.enter_context(embedded.start(data))
    async with before(data) as proxy:
        server = await asyncio.to_thread(launch, data.parent / "server.log", database_url=proxy.url)
        try:
            async with under_load(ground.cast, server.port) as load:
                for number in range(row.faults):
                    standby = await asyncio.to_thread(
                        _followed, primary, data.parent / f"standby-{number}", held
                    )
                    if synchronous:
                        await asyncio.to_thread(_wait_for_standby, primary)
                    await load.flows_for_a_moment()
                    _freeze(primary)
                    if not synchronous:
                        # What was under way then, and more: there is something to lose.
                        await load.flows(2 * CLIENTS)
                    await asyncio.sleep(frozen_seconds)
                    began = time.monotonic()
                    await asyncio.to_thread(kill_postgres, primary.data)
                    await asyncio.to_thread(_take_over, standby, proxy)
                    row.back_seconds.append(await load.serves_again(began))
                    primary = standby
                await load.flows()
            row.found.other += await replays(server.port, load.told)
        finally:
            await asyncio.to_thread(server.stop)
    row.tried, row.acknowledged = load.tried, len(load.told)
    found = await asyncio.to_thread(damage, primary.url, load.told)
    found.other += row.found.other
    row.found = found


def _followed(primary: embedded.Embedded, data: Path, held: ExitStack) -> embedded.Embedded:
    """A standby that has come up with it."""
    standby = held.enter_context(embedded.start(copied(primary, data, follows=True)))
    _until(primary, "select pid from pg_stat_replication where state = 'streaming'")
    return standby


def _wait_for_standby(primary: embedded.Embedded) -> None:
    """From now on nothing is acknowledged that the standby does not have."""
    execute(primary.admin_url, "alter system set synchronous_standby_names = '*'")
    execute(primary.admin_url, "select pg_reload_conf()")
    _until(primary, "select pid from pg_stat_replication where sync_state = 'sync'")


def _until(primary: embedded.Embedded, row_is_there: str) -> None:
    until = time.monotonic() + FOLLOWS_SECONDS_MAX
    while not execute(primary.admin_url, row_is_there):
        assert time.monotonic() < until, "the standby does not follow"
        time.sleep(0.02)


def _freeze(primary: embedded.Embedded) -> None:
    for (pid,) in execute(primary.admin_url, "select pid from pg_stat_replication"):
        os.kill(pid, signal.SIGSTOP)


def _take_over(standby: embedded.Embedded, proxy: Proxy) -> None:
    execute(standby.admin_url, "select pg_promote()")
    proxy.goes_to(standby.data)
