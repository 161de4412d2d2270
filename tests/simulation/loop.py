"""An event loop whose time is virtual, and whose order is drawn from a seed.

Nothing waits: when nobody is ready, time goes to the next timer. Whoever is ready at the same time runs
in an order that the seed draws, so one seed is one schedule, and another seed another one.
"""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any


class Stuck(AssertionError):
    """Everybody waits for somebody, and no time will end it."""


class VirtualLoop(asyncio.BaseEventLoop):
    """`steps` counts the callbacks that ran; `time()` is in seconds and begins at 0."""

    def __init__(self, rng: Random) -> None:
        super().__init__()
        self.steps = 0
        # What ended a task that nobody waits for.
        self.problems: list[BaseException] = []
        self.set_exception_handler(self._keep)
        self._now = 0.0
        self._rng = rng
        self._selector = self  # asked once a round: what is ready may be shuffled then
        # Of a float of some 10^8 seconds the last digit is worth 10^-8.
        self._clock_resolution = 1e-7

    def time(self) -> float:
        return self._now

    def select(self, timeout: float | None) -> list[Any]:
        ready: Any = self._ready  # pyright: ignore[reportAttributeAccessIssue]
        if not ready:
            scheduled: Any = self._scheduled  # pyright: ignore[reportAttributeAccessIssue]
            if timeout is None or not scheduled:
                raise Stuck("Everybody waits for somebody.")
            self._now = max(self._now, scheduled[0].when())
        elif len(ready) > 1:
            shuffled = list(ready)
            self._rng.shuffle(shuffled)
            ready.clear()
            ready.extend(shuffled)
        self.steps += max(1, len(ready))
        return []

    def _keep(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if (problem := context.get("exception")) is not None:
            self.problems.append(problem)

    def _process_events(self, event_list: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """No other thread wakes this loop."""
