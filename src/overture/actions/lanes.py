"""Lanes: commands that arrive while a transaction is under way go into the next one, together.

There is no timer, so nothing waits when a lane is idle; under load the batches grow by themselves.
Members are hashed to lanes, so that two lanes of one process do not contend for an account; while one
waits for the database, the other decides.
A batch that raises is tried again one command at a time, so that one bad command cannot fail its
neighbours; but not where the database was lost, and the batch may have been carried out already.

Turns are for what does not go together, and takes long.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from overture.store.db import Contended, Unavailable

C = TypeVar("C")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Traced:
    """How batches are traced: `here` is where a command comes from, and a batch is carried out within
    `around`, which is told whence its commands came."""

    here: Callable[[], Any]
    around: Callable[[Sequence[Any]], AbstractContextManager[Any]]


class Overloaded(Exception):
    """More commands wait than the lane will hold: come back a little later."""


class Turns:
    """Lets so many through at once, and has so many more wait: each has one of a process's few
    connections for long, and whoever asks again and again would else have them all."""

    def __init__(self, at_once: int, *, waiting_max: int) -> None:
        self._turns = asyncio.Semaphore(at_once)
        self._waiting_max = waiting_max
        self._waiting = 0

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        """Raises Overloaded where too many wait already."""
        if self._turns.locked() and self._waiting >= self._waiting_max:
            raise Overloaded
        self._waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turns.release()


class Lane(Generic[C, R]):
    """Runs commands in batches, one batch at a time, in the order in which they came."""

    def __init__(
        self,
        run: Callable[[Sequence[C]], Awaitable[Sequence[R]]],
        *,
        batch_max: int = 256,
        waiting_max: int = 4096,
        traced: Traced | None = None,
    ) -> None:
        self._run = run
        self._batch_max = batch_max
        self._waiting_max = waiting_max
        self._traced = traced
        self._waiting: deque[tuple[C, asyncio.Future[R], Any]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def submit(self, command: C) -> R:
        """The command's own result, or what it raised. Raises Overloaded when too many wait."""
        if len(self._waiting) >= self._waiting_max:
            raise Overloaded
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, future, self._traced and self._traced.here()))
        if self._task is None:
            # In a context of its own: it works for others too than who happens to begin it.
            self._task = asyncio.create_task(self._work(), context=Context())
        return await future

    async def drain(self) -> None:
        """Returns when nothing waits or runs any more."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _work(self) -> None:
        try:
            while self._waiting:
                size = min(len(self._waiting), self._batch_max)
                await self._serve([self._waiting.popleft() for _ in range(size)])
        finally:
            self._task = None

    async def _serve(self, batch: Sequence[tuple[C, asyncio.Future[R], Any]]) -> None:
        try:
            results = await self._carry_out(batch)
        except Exception as problem:  # noqa: BLE001 - handed to whoever asked
            in_doubt = isinstance(problem, Unavailable) and not isinstance(problem, Contended)
            if in_doubt or len(batch) == 1:
                for _, future, _ in batch:
                    _fail(future, problem)
                return
            for single in batch:
                await self._serve([single])
            return
        for (_, future, _), result in zip(batch, results, strict=True):
            # The one who asked may have gone away; what was committed stays.
            if not future.done():
                future.set_result(result)

    async def _carry_out(self, batch: Sequence[tuple[C, Any, Any]]) -> Sequence[R]:
        commands = [command for command, _, _ in batch]
        if self._traced is None:
            return await self._run(commands)
        with self._traced.around([whence for _, _, whence in batch]):
            return await self._run(commands)


def _fail(future: asyncio.Future[R], problem: Exception) -> None:
    if not future.done():
        future.set_exception(problem)


class Lanes(Generic[C, R]):
    """Several lanes side by side; commands with the same key go through the same one, in order."""

    def __init__(
        self,
        run: Callable[[Sequence[C]], Awaitable[Sequence[R]]],
        *,
        lanes: int,
        traced: Traced | None = None,
    ) -> None:
        self._lanes = [Lane(run, traced=traced) for _ in range(lanes)]

    async def submit(self, command: C, key: str) -> R:
        return await self._lanes[hash(key) % len(self._lanes)].submit(command)

    async def drain(self) -> None:
        for lane in self._lanes:
            await lane.drain()
