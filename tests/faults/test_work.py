"""kill -9 between two steps of due work: what was due happens, and within the database once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from overture.actions import ledger
from overture.clock import TestClock
from overture.core.ids import ConversationId
from overture.core.jobs import DONE, Job, NewJob, Outcome
from overture.jobs.maker import Maker
from overture.jobs.runner import Outside, Queue, Runner
from overture.store import installation, jobs
from overture.store.db import Tx
from overture.store.outbox import Row
from tests.cast import SIGN_UP, Town, town_in
from tests.databases import Databases
from tests.faults.work import (
    MakeRunner,
    counted_wrong,
    prepared,
    reminders_wrong,
    servers_killed,
    time_passes,
    works,
)
from tests.work import runner_in

CAREER = {"premium": "premium_career"}
# A worker is killed before every so many steps; OVERTURE_KILL_STRIDE=1 is before each.
STRIDE = int(os.environ.get("OVERTURE_KILL_STRIDE", "4"))
AFTER = SIGN_UP + timedelta(days=4)
KILLS = 2


async def test_killed_workers_leave_each_reminder_to_come_once(databases: Databases):
    steps, wrong = await killed_everywhere(databases, runner_in, reminders_wrong)

    assert wrong == []
    assert steps > 30


async def test_a_reader_that_first_notes_what_it_read_is_found(databases: Databases):
    # For as many steps it has noted events whose jobs are not there.
    _, wrong = await killed_everywhere(databases, notes_first, reminders_wrong, stride=3)

    assert any("never" in each for each in wrong)


async def test_what_happens_on_the_outside_happens_once_more_for_a_kill_at_most(
    databases: Databases, tmp_path: Path
):
    def lines_wrong(url: str, sent: Sequence[ConversationId], kills: int) -> list[str]:
        written = Counter((tmp_path / "lines").read_text().split())
        (tmp_path / "lines").unlink()
        return counted_wrong(written, sent, kills)

    make = partial(writes_lines, tmp_path / "lines")
    steps, wrong = await killed_everywhere(databases, make, lines_wrong)

    assert wrong == []
    assert steps > 30


def test_killed_servers_bring_about_all_that_falls_due(tmp_path: Path):
    with prepared(letters=120) as (data, sent):
        report = servers_killed(data, sent, tmp_path / "server.log", ["server", "postgres"] * 2)

    assert report.wrong == []
    assert report.reminders == len(sent)


async def killed_everywhere(
    databases: Databases, make: MakeRunner, look: Any, stride: int = STRIDE
) -> tuple[int, list[str]]:
    """Letters are sent; workers are killed before their n-th step; one does the rest. For every n.

    Returns how many steps there were, and what was wrong: what `look` says of a database, its letters
    and the number of kills.
    """
    wrong: list[str] = []
    steps = 1
    while True:
        url = databases.fresh()
        sent = await letters(url)
        kills = 0
        while kills < KILLS and works(url, make, AFTER, steps=steps).killed:
            time_passes(url)
            kills += 1
        works(url, make, AFTER)
        found = [*look(url, sent, kills), *await unsound(url)]
        wrong += [f"Killed {kills} times before step {steps}: {each}" for each in found]
        databases.drop(url)
        if not kills:
            return steps, wrong
        steps += stride


async def letters(url: str, count: int = 3) -> list[ConversationId]:
    """Letters that wait for their answer, and a clock that nobody has moved yet."""
    async with town_in(url) as town:
        await town.do(lambda tx: installation.set_test_clock(tx, SIGN_UP))
        ada = await town.member("ada", **CAREER)
        sent: list[ConversationId] = []
        for number in range(count):
            recipient = await town.member(f"recipient-{number}", **CAREER)
            conversation = await town.sends(ada, recipient)
            assert isinstance(conversation, str)
            sent.append(ConversationId(conversation))
        return sent


async def unsound(url: str) -> list[str]:
    """What `overture ledger verify` finds."""
    async with town_in(url) as town:
        verified = await town.look(lambda tx: ledger.verify(tx, AFTER, town.book))
        return [each.sentence for each in verified.discrepancies]


# Workers ------------------------------------------------------------------------------------------


def writes_lines(file: Path, town: Town) -> Runner:
    """Writes a line for each letter: what happens on the outside, at its simplest."""

    async def make(tx: Tx, rows: Sequence[Row]) -> Sequence[NewJob]:
        return [
            NewJob("lines", row.owner, str(row.sequence), row.at, msgspec.json.decode(row.payload))
            for row in rows
            if row.kind == "inmail.sent"
        ]

    async def write(job: Job) -> Outcome:
        with file.open("a") as lines:
            lines.write(msgspec.json.decode(job.payload)["conversation_id"] + "\n")
        return DONE

    async def queues() -> Mapping[str, Queue]:
        return {"lines": Outside(write, at_once=2)}

    return Runner(town.db, TestClock(), Maker(town.db, [make]), queues)


def notes_first(town: Town) -> Runner:
    """Has a planted mistake: how far it read is committed before the jobs that were made."""
    remember, add = jobs.remember_read, jobs.add
    made: list[NewJob] = []

    async def add_later(tx: Tx, new: Sequence[NewJob]) -> None:
        made.extend(new)

    async def remember_first(tx: Tx, reader: str, read: jobs.Read) -> None:
        await remember(tx, reader, read)
        await tx.execute("commit")
        await tx.execute("begin")
        await add(tx, made)

    jobs.remember_read, jobs.add = remember_first, add_later  # type: ignore[assignment]
    return runner_in(town)
