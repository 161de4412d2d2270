"""A network that can be spoiled: a TCP port before a PostgreSQL's socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from overture.store import embedded

_PIECE = 65536


class Proxy:
    """Passes on what comes, both ways, unless it is told otherwise. `before` opens one."""

    def __init__(self, data: Path) -> None:
        self.goes_to(data)
        self.port = 0
        # Of every piece, each way.
        self.delay_seconds = 0.0
        self._flows = asyncio.Event()
        self._flows.set()
        self._answers_get_lost = False
        self.answers_lost = 0
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        """Overture's database, over this network."""
        return f"postgresql://{embedded.ROLE}@127.0.0.1:{self.port}/{embedded.DATABASE}"

    def goes_to(self, data: Path) -> None:
        """From now on new connections lead to this data folder's PostgreSQL."""
        self._socket = str(data / "postgres" / ".s.PGSQL.5432")

    def cut(self) -> None:
        """Breaks every connection; new ones are taken."""
        self._answers_get_lost = False
        for writer in self._writers:
            writer.transport.abort()

    def stall(self) -> None:
        """Nothing comes through, and nobody is told."""
        self._flows.clear()

    def go_on(self) -> None:
        self._flows.set()

    def lose_answers(self) -> None:
        """What is asked arrives, what is answered gets lost, until the next cut: so commits are in
        doubt."""
        self._answers_get_lost = True

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A client's connection."""
        try:
            there = await asyncio.open_unix_connection(self._socket)
        except OSError:
            writer.transport.abort()
            return
        ends = (writer, there[1])
        self._writers.update(ends)
        try:
            await asyncio.gather(
                self._pass_on(reader, there[1], answers=False),
                self._pass_on(there[0], writer, answers=True),
            )
        finally:
            self._writers.difference_update(ends)
            for each in ends:
                each.transport.abort()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        with suppress(OSError):
            while piece := await reader.read(_PIECE):
                if self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds)
                await self._flows.wait()
                if answers and self._answers_get_lost:
                    self.answers_lost += 1
                    continue
                writer.write(piece)
                await writer.drain()
        # Either end's end is the other's.
        writer.transport.abort()


@asynccontextmanager
async def before(data: Path) -> AsyncGenerator[Proxy]:
    """A proxy before a data folder's PostgreSQL, on a free port."""
    proxy = Proxy(data)
    server = await asyncio.start_server(proxy.take, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.go_on()
        proxy.cut()
        # So that each sees its end.
        await asyncio.sleep(0.05)
