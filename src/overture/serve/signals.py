"""SIGTERM and SIGINT: before an event loop takes them over, and after."""

import asyncio
import os
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


@contextmanager
def ended_by_signals() -> Generator[None]:
    """Until an event loop takes the signals over, they end the process, but not before all it
    holds is released."""

    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        # Not a KeyboardInterrupt, for which Python makes exit statuses of its own.
        raise SystemExit(0)

    before = {each: signal.signal(each, stop) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def on_signals(stop: Callable[[], None]) -> None:
    """The first signal asks to stop, a second one ends at once."""
    loop = asyncio.get_running_loop()
    asked = False

    def handle() -> None:
        nonlocal asked
        if asked:
            _exit_at_once()
        asked = True
        stop()

    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, handle)


def _exit_at_once() -> NoReturn:
    os._exit(1)
