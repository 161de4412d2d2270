"""A town on a test clock, and what happens by itself in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import pytest

from overture.jobs.runner import Runner
from overture.store import installation
from overture.store.db import all_rows
from tests.cast import SIGN_UP, Town, town_in
from tests.work import runner_in


@dataclass
class Worked:
    """A town whose clock brings about what falls due."""

    town: Town
    runner: Runner

    async def passes(self, **duration: float) -> None:
        await self.runner.play(self.town.pass_by(**duration))

    async def told(self, *kinds: str) -> Sequence[tuple[str, datetime, bytes]]:
        """The events of these kinds, with when and what."""
        rows = await self.town.look(
            lambda tx: all_rows(
                tx,
                "select kind, at, payload from outbox where kind = any (%s) order by sequence",
                (list(kinds),),
            )
        )
        return [tuple(row) for row in rows]


@pytest.fixture
async def worked(database_url: str) -> AsyncIterator[Worked]:
    async with town_in(database_url) as town:
        await town.do(lambda tx: installation.set_test_clock(tx, SIGN_UP))
        yield Worked(town, runner_in(town))
