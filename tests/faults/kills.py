"""kill -9 of servers, workers and PostgreSQL under load.

What a worker does by itself is told to an endpoint of webhooks: each InMail, at least once.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx

from overture.store import embedded
from tests.faults.damage import Acknowledged, damage
from tests.faults.ground import Ground
from tests.faults.load import replays, under_load
from tests.faults.servers import (
    OPERATOR_TOKEN,
    Server,
    kill_postgres,
    launch,
    launch_worker,
)
from tests.faults.table import Row
from tests.faults.work import beside, counted_wrong, time_passes
from tests.running import PATIENCE
from tests.webhooks.conftest import Receiver, receiving

WORKED_OFF_SECONDS_MAX = 300


def kills(
    ground: Ground,
    what: Sequence[str],
    *,
    mutant: str | None = None,
    also: Callable[[Path], list[str]] | None = None,
    **settings: str,
) -> Row:
    """Kills "server", "worker" and "postgres" in this order, under load.

    Where workers are among them, the server leaves the work to one. `also` finds more in the data
    folder while the server still runs.
    """
    row = Row("kills", faults=len(what))
    how: dict[str, Any] = {"what": what, "mutant": mutant, "settings": settings}
    with ground.copy() as data:
        if "worker" in what:
            with beside(receiving) as receiver:
                asyncio.run(_kill(row, ground, data, receiver=receiver, **how))
        else:
            asyncio.run(_kill(row, ground, data, receiver=None, **how))
        if also is not None:
            row.found.other += also(data)
    return row


async def _kill(
    row: Row,
    ground: Ground,
    data: Path,
    *,
    what: Sequence[str],
    receiver: Receiver | None,
    mutant: str | None,
    settings: dict[str, str],
) -> None:
    log = data.parent / "server.log"
    if receiver is not None:
        settings |= {"jobs": "false", "webhook_allow_hosts": "127.0.0.1"}
    server = launch(log, data=data, mutant=mutant, **settings)
    worker: Server | None = None
    try:
        if receiver is not None:
            _tell(server.port, receiver.url)
            worker = _launch_worker(data)
        async with under_load(ground.cast, server.port) as load:
            for each in what:
                await load.flows_for_a_moment()
                began = time.monotonic()
                if each == "server":
                    server.kill()
                    server = await asyncio.to_thread(
                        launch, log, data=data, port=server.port, mutant=mutant, **settings
                    )
                elif each == "postgres":
                    await asyncio.to_thread(kill_postgres, data)
                else:
                    assert worker is not None
                    worker.kill()
                    worker = await asyncio.to_thread(_launch_worker, data)
                row.back_seconds.append(await load.serves_again(began))
        row.tried, row.acknowledged = load.tried, len(load.told)
        repeated = await replays(server.port, load.told)
        with await asyncio.to_thread(embedded.start, data) as found:
            row.found = await asyncio.to_thread(damage, found.url, load.told)
            if receiver is not None:
                row.found.other += await asyncio.to_thread(
                    _untold, found.url, load.told, receiver, len(what)
                )
        row.found.other += repeated
    finally:
        for process in filter(None, (worker, server)):
            process.stop()


def _launch_worker(data: Path) -> Server:
    return launch_worker(data.parent / "worker.log", data=data, webhook_allow_hosts="127.0.0.1")


def _tell(port: int, url: str) -> None:
    """The receiver is told of InMails."""
    answer = httpx.post(
        f"http://127.0.0.1:{port}/api/v1/operator/webhooks",
        json={"url": url, "events": ["inmail.sent"]},
        headers={"Authorization": f"Bearer {OPERATOR_TOKEN}"},
        timeout=PATIENCE,
    )
    assert answer.status_code == 201, answer.text


def _untold(url: str, told: Sequence[Acknowledged], receiver: Receiver, kills: int) -> list[str]:
    """What the receiver should have been told of and was not, or more often than there were kills."""
    sent = [
        each.answer.json["conversation"]["id"]
        for each in told
        if each.path == "/conversations" and each.answer.status == 201
    ]
    until = time.monotonic() + WORKED_OFF_SECONDS_MAX
    # What a killed worker held would be its own for half a minute.
    time_passes(url)
    while True:
        came = Counter(
            each.told["data"]["conversation_id"]
            for each in list(receiver.got)
            if each.type == "inmail.sent"
        )
        if came.keys() >= set(sent) or time.monotonic() > until:
            return counted_wrong(came, sent, kills)
        time.sleep(0.2)
