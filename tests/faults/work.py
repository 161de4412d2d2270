"""Kills in the midst of due work, by the step and by chance.

By the step: a worker is let run up to its n-th statement to the database, and no further. What lies
between two statements (a mail that goes out, an answer that is awaited) is a place to end at as well.

By chance: a whole server and its PostgreSQL are killed while the test clock is being moved through an
hour in which much falls due.

    python -m tests.faults.work --kills 30

kills the server and PostgreSQL in turn, so many times each.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import psycopg

from overture.actions import ledger, members
from overture.core.ids import ConversationId, MemberId
from overture.core.refusals import Refusal
from overture.jobs.runner import Runner
from overture.store import embedded, installation
from overture.store.db import WORK_OPTIONS, Database
from overture.store.migrate import migrate
from tests.cast import SIGN_UP, Town, policy, town_in
from tests.faults.servers import OPERATOR_TOKEN, kill_postgres, launch
from tests.jobs.year import ZONES

CAREER = {"premium": "premium_career"}
BACK_SECONDS_MAX = 120

# How a worker is put together, in its own process.
MakeRunner = Callable[[Town], Runner]

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([__name__, "overture.worker", "tests.work"])


@dataclass(frozen=True)
class Ended:
    """How a worker ended: killed, or with nothing left to do."""

    killed: bool


def works(url: str, make: MakeRunner, until: datetime, *, steps: int | None = None) -> Ended:
    """Has a worker move the clock to `until`, in a process of its own, which is killed before its
    `steps`th step."""
    process = _processes.Process(target=_work, args=(url, make, until, steps))
    process.start()
    process.join(120)
    assert process.exitcode is not None, "The worker hangs."
    assert process.exitcode in (0, -signal.SIGKILL), f"The worker ended with {process.exitcode}."
    return Ended(process.exitcode != 0)


def time_passes(url: str) -> None:
    """As if all leases had ended, and all that failed had waited."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("update jobs set held_until = '-infinity', not_before = '-infinity'")


# Servers ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Report:
    """What killed servers made of what was due."""

    kills: int
    reminders: int
    wrong: list[str]


@contextmanager
def prepared(letters: int) -> Generator[tuple[Path, list[ConversationId]]]:
    """A data folder with letters that wait for their answers; nothing runs on it."""
    folder = Path(tempfile.mkdtemp(prefix="overture-work-"))
    try:
        with embedded.start(folder / "data") as server:
            migrate(server.url)
            sent = asyncio.run(_send(server.url, letters))
        yield folder / "data", sent
    finally:
        kill_postgres(folder / "data")
        shutil.rmtree(folder)


def servers_killed(
    data: Path, sent: Sequence[ConversationId], log: Path, kills: Sequence[str]
) -> Report:
    """Moves the clock over all reminders while "server" and "postgres" are killed in this order."""
    start = partial(launch, log, data=data, test_clock=f"{SIGN_UP:%Y-%m-%dT%H:%M:%SZ}")
    server = start()
    port = server.port
    # The reminders come between the 48th and the 60th hour.
    targets = [SIGN_UP + timedelta(hours=46 + 14 * (n + 1) / len(kills)) for n in range(len(kills))]
    try:
        for what, target in zip(kills, targets, strict=True):
            moving = Thread(target=_move_clock, args=(port, target))
            moving.start()
            time.sleep(random.uniform(0.02, 0.3))
            if what == "server":
                server.kill()
                moving.join()
                server = launch(
                    log, data=data, port=server.port, test_clock=f"{SIGN_UP:%Y-%m-%dT%H:%M:%SZ}"
                )
            else:
                kill_postgres(data)
                moving.join()
            _until(lambda target=target: _move_clock(port, target) == 200)
        _until(lambda: _move_clock(port, SIGN_UP + timedelta(days=4)) == 200)
    finally:
        server.stop()
        kill_postgres(data)
    with embedded.start(data) as found:
        wrong = reminders_wrong(found.url, sent, len(kills))
        with psycopg.connect(found.url) as connection:
            told = connection.execute("select from outbox where kind = 'inmail.reminded'").rowcount
        wrong += asyncio.run(_unsound(found.url))
    return Report(len(kills), told, wrong)


def _move_clock(port: int, to: datetime) -> int:
    """The answer's status; 0 where none came."""
    headers = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}
    address = f"http://127.0.0.1:{port}/api/v1/operator/clock"
    try:
        body = {"now": to.isoformat()}
        return httpx.put(address, json=body, headers=headers, timeout=BACK_SECONDS_MAX).status_code
    except httpx.HTTPError:
        return 0


def _until(done: Callable[[], bool]) -> None:
    until = time.monotonic() + BACK_SECONDS_MAX
    while not done():
        assert time.monotonic() < until, "The server does not come back."
        time.sleep(0.05)


async def _send(url: str, count: int) -> list[ConversationId]:
    """Letters to members everywhere, whose mornings come at other hours."""
    async with town_in(url) as town:
        await town.do(lambda tx: installation.set_test_clock(tx, SIGN_UP))
        sent: list[ConversationId] = []
        sender = ""
        for number in range(count):
            if number % 5 == 0:
                sender = await town.member(f"sender-{number}", **CAREER)
            recipient = await town.member(f"recipient-{number}", **CAREER)
            zone = members.ProfileChanges(time_zone=ZONES[number % len(ZONES)])
            await town.do(
                lambda tx, who=recipient, zone=zone: members.update(tx, who, zone, town.now)
            )
            town.pass_by(minutes=1)
            conversation = await town.sends(MemberId(sender), recipient)
            assert not isinstance(conversation, Refusal)
            sent.append(conversation)
        return sent


async def _unsound(url: str) -> list[str]:
    """What `overture ledger verify` finds."""
    async with town_in(url) as town:
        at = SIGN_UP + timedelta(days=4)
        verified = await town.look(lambda tx: ledger.verify(tx, at, town.book))
        return [each.sentence for each in verified.discrepancies]


# Checks -----------------------------------------------------------------------------------------


def reminders_wrong(url: str, sent: Sequence[ConversationId], kills: int) -> list[str]:
    with psycopg.connect(url) as connection:
        told = connection.execute("select payload from outbox where kind = 'inmail.reminded'")
        came = Counter(payload["conversation_id"] for (payload,) in told)
        noted = connection.execute(
            "select conversation_id::text from inbox where reminded_at is not null"
        ).fetchall()
        left = connection.execute("select key from jobs where queue = 'reminders'").fetchall()
    return [
        # Within the database a kill repeats nothing.
        *counted_wrong(came, sent, kills=0),
        *counted_wrong(Counter(each for (each,) in noted), sent, kills=0),
        *(f"The reminder {key} is still to come." for (key,) in left),
    ]


def counted_wrong(came: Counter[str], sent: Sequence[ConversationId], kills: int) -> list[str]:
    return [
        *(f"What was due for {each} never came." for each in sent if not came[each]),
        *(
            f"What was due for {each} came {came[each]} times."
            for each in sent
            if came[each] > 1 + kills
        ),
        *(f"Something came for {each}." for each in came.keys() - set(sent)),
    ]


# In the worker's process ------------------------------------------------------------------------


def _work(url: str, make: MakeRunner, until: datetime, steps: int | None) -> None:
    asyncio.run(_play(url, make, until, steps))


async def _play(url: str, make: MakeRunner, until: datetime, steps: int | None) -> None:
    db = await Database.open(url, connections=4, options=WORK_OPTIONS)
    runner = make(Town(db, policy("seed")))
    if steps is not None:
        _end_before(steps)
    await runner.play(until)
    await db.close()


def _end_before(steps: int) -> None:
    """From now on steps are counted, and this process ends in the place of one."""
    execute = psycopg.AsyncConnection.execute
    count = itertools.count(1)

    async def counted(self: psycopg.AsyncConnection[Any], *given: Any, **options: Any) -> Any:
        if next(count) == steps:
            os.kill(os.getpid(), signal.SIGKILL)
        return await execute(self, *given, **options)

    psycopg.AsyncConnection.execute = counted  # type: ignore[method-assign,assignment]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.faults.work")
    parser.add_argument("--kills", type=int, default=30, help="kills of each (default 30)")
    given = parser.parse_args()
    with prepared(letters=20 * given.kills) as (data, sent):
        report = servers_killed(
            data, sent, data.parent / "server.log", ["server", "postgres"] * given.kills
        )
    print(
        f"{report.kills} kills, {len(sent)} letters, {report.reminders} reminders, "
        f"{len(report.wrong)} things wrong."
    )
    for each in report.wrong[:20]:
        print(f"  {each}")
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
