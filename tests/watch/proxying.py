"""A proxy before a server, which does what proxies are set up to do, wrongly where a test wants it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def proxied(
    port: int,
    *,
    host: str | None = None,
    forwarded: str | None = "203.0.113.9",
    holds: bool = False,
) -> Iterator[str]:
    """Its address. It passes on another `host`, tells of the client `forwarded`, and `holds` answers
    back until they are complete."""
    loop = asyncio.new_event_loop()
    started = threading.Event()
    address: list[str] = []

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            there, back = await asyncio.open_connection("127.0.0.1", port)
            lines = head.decode("latin-1").split("\r\n")[:-2]
            kept = [line for line in lines if not line.lower().startswith("connection:")]
            if host is not None:
                kept = [line for line in kept if not line.lower().startswith("host:")]
                kept.append(f"Host: {host}")
            if forwarded is not None:
                kept.append(f"X-Forwarded-For: {forwarded}")
            kept.append("Connection: close")
            back.write("\r\n".join([*kept, "", ""]).encode("latin-1"))
            upwards = asyncio.create_task(_pour(reader, back))
            if holds:
                writer.write(await there.read())
            else:
                await _pour(there, writer)
            upwards.cancel()
            back.close()
        writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(pass_on, "127.0.0.1", 0)
        address.append(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        started.set()
        async with server:
            with suppress(asyncio.CancelledError):
                await server.serve_forever()

    running = loop.create_task(serve())
    thread = threading.Thread(target=lambda: loop.run_until_complete(running))
    thread.start()
    started.wait()
    yield address[0]
    loop.call_soon_threadsafe(running.cancel)
    thread.join()
    loop.close()


async def _pour(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while part := await source.read(65536):
            sink.write(part)
            await sink.drain()
