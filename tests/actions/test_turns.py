"""Turns: a few at a time, a few more wait, and nobody for nothing."""

from __future__ import annotations

import asyncio
from inspect import signature

import pytest

from overture import app, context
from overture.actions.lanes import Overloaded, Turns


async def test_one_more_than_may_wait_is_refused_and_who_waits_has_a_turn() -> None:
    turns = Turns(1, waiting_max=1)

    async def goes() -> str:
        async with turns.turn():
            return "went"

    async with turns.turn():
        waiting = asyncio.ensure_future(goes())
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await goes()

    assert await waiting == "went"
    assert await goes() == "went"


async def test_who_gives_up_or_fails_leaves_the_turn_to_the_next() -> None:
    turns = Turns(1, waiting_max=1)

    async def fails() -> None:
        async with turns.turn():
            raise ValueError("it failed")

    async with turns.turn():
        waiting = asyncio.ensure_future(fails())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    with pytest.raises(ValueError, match="it failed"):
        await fails()

    async with turns.turn():
        pass


def test_what_takes_turns_leaves_most_connections_of_a_process_to_the_rest() -> None:
    connections = signature(app.opened).parameters["connections"].default

    assert connections * 0.6 >= context.SEARCHES_AT_ONCE + context.EXPORTS_AT_ONCE
