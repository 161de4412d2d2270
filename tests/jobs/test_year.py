"""Some weeks of what `make year` plays: each reminder is as it should be, and a mistake shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from overture.actions import reminders as reminding
from overture.core import reminders
from overture.core.jobs import NewJob
from overture.core.policy import Policy
from overture.jobs.runner import Runner
from overture.store import installation
from overture.store import reminders as store
from tests.jobs.year import Year, played


async def test_every_reminder_comes_once_in_its_window_and_only_with_reason(database_url: str):
    year = await played(database_url, people=60, days=40, letters=240)

    assert year.wrong() == {}
    assert year.counts["things wrong elsewhere"] == 0
    # Enough happened for that to mean something.
    assert sum(map(len, year.reminded.values())) > 100
    for what in ("answered", "withdrawn", "blocked", "opted out", "connected", "moved", "left"):
        assert year.counts[what] > 0, what
    print(year.summary())


# It has teeth: with a mistake it fails -----------------------------------------------------------

Plant = Callable[[pytest.MonkeyPatch], None]


def thinks(**otherwise: object) -> Plant:
    """Takes letters for what they are not when it is time to remind of them."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        right = reminders.remind_at

        def wrong(letter: reminders.Waiting, now: datetime, policy: Policy) -> datetime | None:
            return right(replace(letter, **otherwise), now, policy)

        patch.setattr(reminders, "remind_at", wrong)

    return plant


def plans(change: Callable[[Sequence[NewJob]], Sequence[NewJob]]) -> Plant:
    """Makes other jobs of the letters than it should."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        right = reminding.plan

        async def wrong(*given: Any) -> Sequence[NewJob]:
            return change(await right(*given))

        patch.setattr(reminding, "plan", wrong)

    return plant


def aims_late(patch: pytest.MonkeyPatch) -> None:
    right = reminders.due_at

    def wrong(sent_at: datetime, time_zone: str, policy: Policy) -> datetime:
        return right(sent_at + timedelta(hours=3), time_zone, policy)

    patch.setattr(reminders, "due_at", wrong)


def knows_no_time_zones(patch: pytest.MonkeyPatch) -> None:
    thinks(time_zone="UTC")(patch)

    async def nowhere(*given: Any) -> dict[Any, str]:
        return {}

    patch.setattr(store, "time_zones", nowhere)


def reminds_twice(patch: pytest.MonkeyPatch) -> None:
    thinks(reminded=False)(patch)
    plans(lambda jobs: [*jobs, *(replace(each, key=f"{each.key} again") for each in jobs)])(patch)


def moves_the_clock_first(patch: pytest.MonkeyPatch) -> None:
    right = Runner.play

    async def wrong(self: Runner, until: datetime) -> None:
        await self.db.writing(lambda tx: installation.set_test_clock(tx, until))
        await right(self, until)

    patch.setattr(Runner, "play", wrong)


@pytest.mark.parametrize(
    ("plant", "shows", "fate"),
    [
        (thinks(pending=True), "although answered", "answers"),
        (thinks(reachable=True), "although blocked", "blocks"),
        (thinks(connected=True), "missed", "moves"),
        (thinks(connected=False), "although connected", "connects"),
        (knows_no_time_zones, "outside of the waking hours", "moves"),
        (reminds_twice, "double", "moves"),
        (plans(lambda jobs: [each for each in jobs if int(each.key) % 5]), "missed", "moves"),
        (aims_late, "not when it was due", "answers"),
        (moves_the_clock_first, "not when it was due", "answers"),
    ],
    ids=[
        "the answered", "the blocked", "nobody", "the connected", "time zones", "twice", "forgotten",
        "late", "the clock",
    ],
)  # fmt: skip
async def test_a_mistake_shows(
    database_url: str, monkeypatch: pytest.MonkeyPatch, plant: Plant, shows: str, fate: str
):
    plant(monkeypatch)

    year: Year = await played(database_url, people=20, days=10, letters=50, fates={fate: 60})

    assert year.wrong().get(shows), {kind: len(each) for kind, each in year.wrong().items()}
