"""Several serving processes, and the parent that keeps them."""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from tempfile import TemporaryDirectory

import msgspec

from overture import figures
from overture.app import StartProblem
from overture.serve.orders import Orders
from overture.serve.signals import on_signals
from overture.serve.sockets import notify, ready

CHILD_SECONDS = 3

log = logging.getLogger("overture.serve")


class Processes:
    """The parent's view of its children, one an order."""

    def __init__(
        self,
        orders: Sequence[Orders],
        sockets: Sequence[socket.socket],
        announce: Callable[[], None],
    ) -> None:
        self._orders = orders
        self._sockets = sockets
        self._announce = announce
        # Where they count, so that one of them can tell of all; see `figures`.
        self._figures = TemporaryDirectory(prefix="overture-figures-")
        self._children: dict[int, asyncio.subprocess.Process] = {}
        self._ready: set[int] = set()
        self._all_ready = asyncio.Event()
        self._stopping = asyncio.Event()
        self._problem: StartProblem | None = None

    async def serve(self) -> None:
        """Until a signal. Raises StartProblem when a child cannot even start."""
        on_signals(self._stop)
        try:
            async with asyncio.TaskGroup() as tasks:
                for each in self._orders:
                    tasks.create_task(self._keep(each))
                announcing = tasks.create_task(self._announce_when_ready())
                await self._stopping.wait()
                announcing.cancel()
        finally:
            self._kill()
            self._figures.cleanup()
        if self._problem:
            raise self._problem

    def _stop(self) -> None:
        if self._stopping.is_set():
            return
        self._stopping.set()
        notify("STOPPING=1")
        # The kernel refuses new connections once nobody holds the sockets any more.
        for each in self._sockets:
            each.close()
        for child in self._children.values():
            with suppress(ProcessLookupError):
                child.terminate()
        seconds = CHILD_SECONDS + self._orders[0].drain_seconds
        asyncio.get_running_loop().call_later(seconds, self._kill)

    def _kill(self) -> None:
        for child in self._children.values():
            with suppress(ProcessLookupError):
                child.kill()

    async def _keep(self, orders: Orders) -> None:
        """One child, and its successors."""
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            began = loop.time()
            passed = (orders.listener, orders.mail_listener, orders.metrics_listener)
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "overture.serve"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                pass_fds=tuple(filter(None, passed)),
                env=os.environ | figures.in_several_processes(self._figures.name),
                # A terminal's interrupt reaches the parent alone, which passes it on once.
                start_new_session=True,
            )
            assert child.stdin
            assert child.stdout
            self._children[orders.listener] = child
            if self._stopping.is_set():
                child.terminate()
            with suppress(ConnectionError):
                child.stdin.write(msgspec.json.encode(orders) + b"\n")
                await child.stdin.drain()
            if await child.stdout.readline():
                self._ready.add(orders.listener)
                if len(self._ready) == len(self._orders):
                    self._all_ready.set()
            status = await child.wait()
            del self._children[orders.listener]
            figures.ended(child.pid, self._figures.name)
            if self._stopping.is_set():
                return
            if orders.listener not in self._ready:
                self._problem = StartProblem(
                    "A serving process could not start; the lines above say why."
                )
                self._stop()
                return
            log.error("a serving process ended unexpectedly (%d); starting another", status)
            await asyncio.sleep(max(0.0, 1 - (loop.time() - began)))

    async def _announce_when_ready(self) -> None:
        await self._all_ready.wait()
        await ready(self._sockets[0].getsockname())
        self._announce()
