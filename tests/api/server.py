"""The API behind a real socket, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import uvicorn

from overture.api.app import api_app
from overture.front import Surface, UnderWay, front
from overture.protocol import protocol_with
from tests.api.conftest import Site, site_in

T = TypeVar("T")


@contextmanager
def served(
    database_url: str,
    prepare: Callable[[Site], Awaitable[T]],
    *,
    connections_max: int = 10_000,
    requests_at_once: int = 1000,
    **limits: int,
) -> Iterator[tuple[str, T]]:
    """The address of a server on this database, and what `prepare` made there before it began."""
    started, made, servers = threading.Event(), [], []

    async def serve() -> None:
        try:
            async with site_in(database_url, **limits) as site:
                made.append(await prepare(site))
                surface, under_way = Surface(requests_at_once=requests_at_once), UnderWay()
                config = uvicorn.Config(
                    front(api_app(site.context), surface, under_way),
                    port=0,
                    http=protocol_with(
                        connections_max, lambda: requests_at_once - under_way.requests
                    ),
                    log_level="error",
                    lifespan="off",
                    ws="none",
                )
                server = uvicorn.Server(config)
                servers.append(server)
                serving = asyncio.create_task(server.serve())
                while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
                    await asyncio.sleep(0.01)
                started.set()
                await serving
        finally:
            started.set()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert started.wait(60)
        port = servers[0].servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}", made[0]
    finally:
        for server in servers:
            server.should_exit = True
        thread.join(30)
