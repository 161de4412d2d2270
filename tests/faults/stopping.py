"""SIGTERM under load, with many streams open: what was asked is answered, streams go on elsewhere."""

from __future__ import annotations

import asyncio
import math
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from overture.core.ids import MemberId
from overture.store import embedded
from tests.faults.damage import damage
from tests.faults.ground import Ground
from tests.faults.load import replays, under_load
from tests.faults.servers import OPERATOR_TOKEN, Line, Server, launch
from tests.faults.table import Row
from tests.running import PATIENCE

STREAMS = 200
# Of one member, who may have more than one window open.
STREAMS_EACH = 4
# How long requests wait for the database, before the server is asked to end and after.
HELD_SECONDS = 0.5
CAUGHT_UP_SECONDS_MAX = 60


def stops(ground: Ground, times: int = 1, *, seconds_max: float = math.inf) -> Row:
    """Ends a server so many times while requests are under way, and starts the next one.

    `back_seconds`: until it had ended, which must not take longer than `seconds_max`.
    """
    row = Row(f"SIGTERM with {STREAMS} open streams", faults=times)
    with ground.copy() as data:
        asyncio.run(_stop(row, ground, data))
    row.found.other += [
        f"It ended after {seconds:.1f} s." for seconds in row.back_seconds if seconds > seconds_max
    ]
    return row


async def _stop(row: Row, ground: Ground, data: Path) -> None:
    log = data.parent / "server.log"
    with embedded.start(data) as postgres:
        server = await asyncio.to_thread(launch, log, database_url=postgres.url)
        readers = [
            Reader(ground.cast.recipients[number // STREAMS_EACH], server.port)
            for number in range(STREAMS)
        ]
        try:
            await asyncio.gather(*(reader.opened() for reader in readers))
            async with under_load(ground.cast, server.port) as load:
                for number in range(row.faults):
                    await load.flows_for_a_moment()
                    row.found.other += await _ended(row, ground, server, postgres, number)
                    server = await asyncio.to_thread(
                        launch, log, database_url=postgres.url, port=server.port
                    )
                    await load.serves_again(time.monotonic())
            sent = [
                (each.body["to"], each.answer.json["message"]["id"])
                for each in load.told
                if each.path == "/conversations" and each.answer.status == 201
            ]
            row.found.other += await _gaps(readers, sent)
            row.found.other += await replays(server.port, load.told)
        finally:
            for reader in readers:
                reader.close()
            await asyncio.to_thread(server.stop)
        row.tried += load.tried
        row.acknowledged += len(load.told)
        row.found.add(await asyncio.to_thread(damage, postgres.url, load.told))


async def _ended(
    row: Row, ground: Ground, server: Server, postgres: embedded.Embedded, number: int
) -> list[str]:
    """Asks the server to end while requests wait in it; those that were not answered."""
    senders, recipients = ground.cast.senders, ground.cast.recipients
    lines = [Line(server.port) for _ in senders]
    with psycopg.connect(postgres.url) as holder:
        holder.execute("lock table conversations")
        # To those whom the load does not reach, so that none is refused for what it sends.
        asked = [
            asyncio.create_task(
                line.post(
                    "/conversations",
                    {"to": recipients[-1 - number], "body": f"Under way: {number}-{each}"},
                    as_member=sender,
                    key=f"under-way-{number}-{each}",
                )
            )
            for each, (line, sender) in enumerate(zip(lines, senders, strict=True))
        ]
        await asyncio.to_thread(_until_one_waits, postgres)
        await asyncio.sleep(HELD_SECONDS)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(HELD_SECONDS)
    answers = await asyncio.gather(*asked, return_exceptions=True)
    status = await asyncio.to_thread(server.process.wait, PATIENCE)
    took = time.monotonic() - began
    row.back_seconds.append(took)
    row.tried += len(asked)
    row.acknowledged += sum(not isinstance(each, BaseException) for each in answers)
    for line in lines:
        line.close()
    return [
        *(
            f"Under way and not answered: {each!r}"
            for each in answers
            if isinstance(each, BaseException)
        ),
        *(
            f"Under way and refused: {each.status} {each.body.decode()}"
            for each in answers
            if not isinstance(each, BaseException) and each.status != 201
        ),
        *([f"It ended with {status}."] if status else []),
    ]


def _until_one_waits(postgres: embedded.Embedded) -> None:
    """Until the first of what was asked stands before the table: the others are not far behind."""
    until = time.monotonic() + CAUGHT_UP_SECONDS_MAX
    waits = "select from pg_stat_activity where wait_event_type = 'Lock'"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        while not connection.execute(waits).rowcount:
            assert time.monotonic() < until, "nothing waits for the table"
            time.sleep(0.02)


async def _gaps(readers: Sequence[Reader], sent: Sequence[tuple[str, str]]) -> list[str]:
    """Letters that a stream of their recipient never told of."""
    until = time.monotonic() + CAUGHT_UP_SECONDS_MAX
    while True:
        missing = [
            f"A stream of {reader.member} has a gap at {message}."
            for reader in readers
            for to, message in sent
            if to == reader.member and message not in reader.told
        ]
        if not missing or time.monotonic() > until:
            return missing
        await asyncio.sleep(0.1)


@dataclass
class Reader:
    """A member's stream of events, opened again from its last id whenever it ends."""

    member: MemberId
    port: int
    # Ids of messages.
    told: set[str] = field(default_factory=set)
    _last: str = ""
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    async def opened(self) -> None:
        self._task = asyncio.create_task(self._read())
        await self._open.wait()

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _read(self) -> None:
        while True:
            try:
                await self._read_one()
            except (OSError, EOFError):
                await asyncio.sleep(0.1)

    async def _read_one(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            head = (
                f"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAct-As: {self.member}\r\n"
                f"Authorization: Bearer {OPERATOR_TOKEN}\r\n"
            )
            if self._last:
                head += f"Last-Event-ID: {self._last}\r\n"
            writer.write(head.encode() + b"\r\n")
            name = ""
            while line := (await reader.readuntil(b"\n")).rstrip():
                pass
            while True:
                line = (await reader.readuntil(b"\n")).rstrip().decode()
                kind, _, value = line.partition(": ")
                if kind == "id":
                    self._last = value
                    self._open.set()
                elif kind == "event":
                    name = value
                    assert name != "reset", "what was missed is lost to this stream"
                elif kind == "data" and name == "message":
                    self._note(msgspec.json.decode(value))
        finally:
            writer.close()

    def _note(self, message: Any) -> None:
        self.told.add(message["id"])
