"""A proxy before a server, which does what proxies are set up to do, wrongly where a test wants it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress


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

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with _closing(writer):
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await pass_on(reader, writer)

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        there, back = await asyncio.open_connection("127.0.0.1", port)
        async with _closing(back):
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
            try:
                if holds:
                    writer.write(await there.read())
                else:
                    await _pour(there, writer)
            finally:
                upwards.cancel()

    async def serve() -> None:
        server = await asyncio.start_server(take, "127.0.0.1", 0)
        address.append(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        started.set()
        async with server:
            with suppress(asyncio.CancelledError):
                await server.serve_forever()
        # Who is still being answered is let go of here, or their connections would outlive the loop;
        # and who came at the last moment, of whom it hears only meanwhile.
        while left := asyncio.all_tasks() - {asyncio.current_task()}:
            for each in left:
                each.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    running = loop.create_task(serve())
    thread = threading.Thread(target=lambda: loop.run_until_complete(running))
    thread.start()
    started.wait()
    try:
        yield address[0]
    finally:
        loop.call_soon_threadsafe(running.cancel)
        thread.join()
        loop.close()


@asynccontextmanager
async def _closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    try:
        yield
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def _pour(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while part := await source.read(65536):
            sink.write(part)
            await sink.drain()
