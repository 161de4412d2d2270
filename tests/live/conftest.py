"""Hubs on a real database, and streams to look into."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from overture.core.ids import MemberId
from overture.live.hub import Hub, Subscription
from overture.live.told import Told
from overture.store.db import Database
from tests.cast import Town, town_in

# Long enough for a busy machine; what is awaited comes within milliseconds.
PATIENCE = 60


@pytest.fixture
async def town(database_url: str) -> AsyncIterator[Town]:
    async with town_in(database_url) as made:
        yield made


@asynccontextmanager
async def hub_of(db: Database) -> AsyncIterator[Hub]:
    hub = Hub(db)
    await hub.start()
    try:
        yield hub
    finally:
        await hub.stop()


@pytest.fixture
async def hub(town: Town) -> AsyncIterator[Hub]:
    async with hub_of(town.db) as made:
        yield made


async def heard(stream: Subscription, count: int = 1) -> list[Told]:
    """So many events, in the order in which they came."""
    found: list[Told] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < count:
            batch = await stream.next(PATIENCE)
            assert batch is not None, f"the stream ended: {stream.ended}"
            found += [told for _, told in batch.events]
    return found


async def nothing_more(stream: Subscription, town: Town, member: MemberId) -> None:
    """Nothing is waiting for the stream: what happens now is the next that it brings."""
    await town.chooses(member, "sales_navigator", "sales_navigator_core")
    told = await heard(stream)
    assert getattr(told[0], "pool", None) == "sales_navigator", told
