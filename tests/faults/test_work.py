"""kill -9 between two steps of due work: what was due happens, and within the database once."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from overture.actions import ledger
from overture.clock import TestClock
from overture.core.ids import ConversationId
from overture.core.jobs import DONE, Job, NewJob, Outcome
from overture.core.refusals import Refusal
from overture.jobs.maker import Maker
from overture.jobs.runner import Outside, Queue, Runner
from overture.mail.smtp import Smtp
from overture.store import installation, jobs, mails
from overture.store.db import Tx
from overture.store.mails import Wanted
from overture.store.outbox import Row
from tests.cast import SIGN_UP, Town, town_in
from tests.databases import Databases
from tests.faults.work import (
    MakeRunner,
    beside,
    counted_wrong,
    mails_wrong,
    names_of,
    prepared,
    reads_mail,
    receivers,
    reminders_wrong,
    servers_killed,
    smtp_to,
    time_passes,
    wants_a_link,
    webhooks_wrong,
    works,
)
from tests.mail.conftest import listening
from tests.webhooks.conftest import Receiver, Told, receiving
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
    _, wrong = await killed_everywhere(databases, notes_first, reminders_wrong, stride=3, enough=1)

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
    with receivers() as told, prepared(120, told) as (data, sent):
        report = servers_killed(
            data, sent, told, tmp_path / "server.log", ["server", "postgres"] * 2
        )

    assert report.wrong == []
    assert report.reminders == len(sent)
    assert report.webhooks >= 2 * len(sent)
    assert report.mails >= 2 * len(sent)


async def test_killed_workers_deliver_each_webhook_once_more_for_a_kill_at_most(
    databases: Databases,
):
    with beside(receiving) as receiver:
        steps, wrong = await killed_everywhere(
            databases,
            runner_in,
            forgetting(receiver.got, partial(webhooks_wrong, receiver)),
            begin=partial(told, receiver),
            until=SIGN_UP,
        )

    assert wrong == []
    assert steps > 30


async def test_a_worker_that_takes_off_what_it_has_not_delivered_is_found(databases: Databases):
    with beside(receiving) as receiver:
        _, wrong = await killed_everywhere(
            databases,
            takes_off_first,
            forgetting(receiver.got, partial(webhooks_wrong, receiver)),
            begin=partial(told, receiver),
            until=SIGN_UP,
            enough=1,
        )

    assert any("never" in each for each in wrong)


async def test_killed_workers_send_each_mail_once_more_for_a_kill_at_most(databases: Databases):
    with beside(partial(listening, None)) as server:
        steps, wrong = await killed_everywhere(
            databases,
            partial(runner_in, smtp=smtp_to(server)),
            forgetting(server.taken, partial(mails_wrong, server)),
            begin=mails_wanted,
            # They take many steps.
            stride=2 * STRIDE if STRIDE > 1 else 1,
        )

    assert wrong == []
    assert steps > 30


async def test_a_worker_that_forgets_a_mail_before_it_went_is_found(databases: Databases):
    with beside(partial(listening, None)) as server:
        _, wrong = await killed_everywhere(
            databases,
            partial(forgets_first, smtp_to(server)),
            forgetting(server.taken, partial(mails_wrong, server)),
            begin=mails_wanted,
            enough=1,
        )

    assert any("never" in each for each in wrong)


async def killed_everywhere(
    databases: Databases,
    make: MakeRunner,
    look: Any,
    *,
    begin: Any = None,
    until: datetime = AFTER,
    stride: int = STRIDE,
    enough: float = math.inf,
) -> tuple[int, list[str]]:
    """What `begin` does is done; workers are killed before their n-th step; one does the rest. For
    every n, or until enough is wrong.

    Returns how many steps there were, and what was wrong: what `look` says of a database, its letters
    and the number of kills.
    """
    wrong: list[str] = []
    steps = 1
    while True:
        url = databases.fresh()
        sent = await (begin or letters)(url)
        kills = 0
        while kills < KILLS and works(url, make, until, steps=steps).killed:
            time_passes(url)
            kills += 1
        works(url, make, until)
        found = [*look(url, sent, kills), *await unsound(url)]
        wrong += [f"Killed {kills} times before step {steps}: {each}" for each in found]
        databases.take_back(url)
        if not kills or len(wrong) >= enough:
            return steps, wrong
        steps += stride


def forgetting(arrived: list[Any], look: Any) -> Any:
    """Looks, and then forgets what arrived: the next time begins anew."""

    def look_and_forget(*given: Any) -> list[str]:
        found = look(*given)
        arrived.clear()
        return found

    return look_and_forget


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


async def told(receiver: Receiver, url: str) -> list[ConversationId]:
    """The same, and an endpoint that is to hear of them."""
    sent = await letters(url, count=2)
    async with town_in(url) as town:
        await Told(town, runner_in(town)).endpoint(receiver.url, "inmail.sent")
    return sent


async def mails_wanted(url: str) -> list[str]:
    """A letter to a member who reads mail, and who wants to set a new password; what their mails are
    called."""
    async with town_in(url) as town:
        await town.do(lambda tx: installation.set_test_clock(tx, SIGN_UP))
        ada = await town.member("ada", **CAREER)
        recipient = await reads_mail(town, "recipient")
        letter = await town.sends(ada, recipient)
        assert not isinstance(letter, Refusal), letter
        return [*names_of(letter), await wants_a_link(town, "recipient")]


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


def takes_off_first(town: Town) -> Runner:
    """Has a planted mistake: what is claimed is taken off, and delivered after that."""
    claim = jobs.claim_in_order

    async def claim_and_forget(tx: Tx, *given: Any, **more: Any) -> list[Job]:
        claimed = await claim(tx, *given, **more)
        await jobs.done(tx, claimed)
        return claimed

    jobs.claim_in_order = claim_and_forget  # type: ignore[assignment]
    return runner_in(town)


def forgets_first(smtp: Smtp, town: Town) -> Runner:
    """Has a planted mistake: a mail is taken off before the mail server has it."""
    wanted = mails.wanted

    async def wanted_and_done(tx: Tx, name: str) -> Wanted | None:
        found = await wanted(tx, name)
        await mails.done(tx, name)
        return found

    mails.wanted = wanted_and_done  # type: ignore[assignment]
    return runner_in(town, smtp=smtp)
