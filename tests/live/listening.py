"""Applications behind a real socket in the test's own loop, and readers of their streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn

# Long enough for a busy machine; what is awaited comes within milliseconds.
PATIENCE = 60


@asynccontextmanager
async def behind_a_socket(app: Any) -> AsyncIterator[str]:
    """The address of a server that runs this application."""
    config = uvicorn.Config(
        app,
        port=0,
        log_level="error",
        lifespan="off",
        ws="none",
        http="httptools",
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


@dataclass
class Event:
    name: str
    text: str
    id: str

    @property
    def data(self) -> Any:
        return json.loads(self.text)


@dataclass
class Reader:
    """Reads a stream as the standard says; `last` is the last id that came."""

    answer: httpx.Response
    last: str = ""
    _lines: AsyncIterator[str] = field(init=False)

    def __post_init__(self) -> None:
        self._lines = self.answer.aiter_lines()

    async def next(self) -> Event | None:
        """The next event; None where the stream has ended."""
        name, data = "message", []
        async with asyncio.timeout(PATIENCE):
            async for line in self._lines:
                kind, _, value = line.partition(":")
                value = value.removeprefix(" ")
                match kind:
                    case "id":
                        self.last = value
                    case "event":
                        name = value
                    case "data":
                        data.append(value)
                    case "" if not line and data:
                        return Event(name, "\n".join(data), self.last)
                    case "" if not line:
                        name = "message"
                    case _:
                        pass
        return None

    async def until(self, name: str) -> Event:
        """The next event of this name; others that come before it are let pass."""
        while True:
            event = await self.next()
            assert event is not None, f"the stream ended before any {name}"
            if event.name == name:
                return event

    async def position(self) -> str:
        """Where the stream began; asked before anything else."""
        async with asyncio.timeout(PATIENCE):
            async for line in self._lines:
                if line.startswith("id:"):
                    self.last = line[3:].strip()
                    return self.last
        raise AssertionError("the stream ended")
