"""What is kept for a time is dropped after it: so much and no more, and never what is still needed."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import errors

from overture import ids, settings
from overture.actions.reports import report
from overture.app import Installation
from overture.clock import TestClock, real_now
from overture.core.ids import ReportId
from overture.housekeeping import Keeping, keeping_of, tidy
from overture.store import audit, installation, outbox
from overture.store.audit import Head
from overture.store.db import Tx, all_rows
from tests.cast import SIGN_UP, Town, town_in
from tests.work import SECRET, runner_in

FOR_EVER = Keeping(outbox=0, deliveries=0, reports=0, audit=0, mails=0)


@dataclass
class House:
    town: Town
    url: str
    mails: Path

    async def passes(self, days: float) -> None:
        self.town.pass_by(days=days)
        await self.town.do(lambda tx: installation.set_test_clock(tx, self.town.now))

    async def tidies(self, **kept: int) -> None:
        there = Installation(self.town.db, TestClock(), self.town.book, SECRET)
        await tidy(there, dataclasses.replace(FOR_EVER, **kept), self.mails)

    async def numbers(self, statement: str) -> list[int]:
        return [row[0] for row in await self.town.look(lambda tx: all_rows(tx, statement))]

    async def notes(self, count: int) -> None:
        for _ in range(count):
            await self.town.do(
                lambda tx: audit.record(
                    tx, ids.new(), self.town.now, actor="cli", action="x", detail={}
                )
            )

    async def broken(self) -> int | None:
        """As `overture audit verify` looks."""

        async def look(tx: Tx) -> int | None:
            at, found = await audit.first_broken(tx, await audit.beginning(tx), 1000)
            return found or (None if at == await audit.head(tx) else at.number + 1)

        return await self.town.look(look)


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[House]:
    async with town_in(database_url) as town:
        await town.do(lambda tx: installation.set_test_clock(tx, SIGN_UP))
        yield House(town, database_url, tmp_path / "mail")


def test_the_settings_say_how_long():
    read = settings.read({"outbox_days": "7"}, {"OVERTURE_AUDIT_DAYS": "400"})

    assert keeping_of(read) == Keeping(outbox=7, deliveries=30, reports=365, audit=400, mails=30)


async def test_events_are_dropped_once_they_are_old_and_read(
    house: House, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(outbox, "_NEWEST_KEPT", 2)
    all_numbers = "select sequence from outbox order by sequence"
    for name in ("ada", "grace", "alan", "eve"):
        await house.town.member(name)
    await house.passes(days=8)
    first, second, third, fourth = await house.numbers(all_numbers)

    await house.tidies(outbox=7)
    assert await house.numbers(all_numbers) == [first, second, third, fourth], "nobody read them"
    await runner_in(house.town, house.mails).play(house.town.now)
    await house.tidies()
    await house.tidies(outbox=9)
    assert await house.numbers(all_numbers) == [first, second, third, fourth]
    await house.tidies(outbox=7)

    assert await house.numbers(all_numbers) == [third, fourth]


async def test_an_event_that_waits_to_be_read_is_not_passed_over(
    house: House, monkeypatch: pytest.MonkeyPatch
):
    """One was told by a transaction that took longer than those after it: a gap."""
    monkeypatch.setattr(outbox, "_NEWEST_KEPT", 0)
    for name in ("ada", "grace", "alan"):
        await house.town.member(name)
    first, second, third = await house.numbers("select sequence from outbox order by sequence")
    with psycopg.connect(house.url) as connection:
        connection.execute(
            "update outbox_readers set top = %s, gaps = %s", (third, f"[[{second}, {second}]]")
        )
    await house.passes(days=8)

    await house.tidies(outbox=7)

    assert await house.numbers("select sequence from outbox order by sequence") == [second, third]
    assert first < second


async def test_reports_are_dropped_once_they_are_old(house: House):
    ada, eve = await house.town.member("ada"), await house.town.member("eve")
    for _ in range(2):
        made = await house.town.do(
            lambda tx: report(
                tx,
                ada,
                ReportId(ids.new()),
                member=eve,
                conversation=None,
                reason="spam",
                note="Look",
                now=house.town.now,
            )
        )
        assert made
        await house.passes(days=200)

    await house.tidies()
    assert len(await house.numbers("select 1 from reports")) == 2
    await house.tidies(reports=365)

    assert len(await house.numbers("select 1 from reports")) == 1


async def test_the_audit_log_stays_a_chain_when_its_beginning_is_dropped(house: House):
    await house.notes(3)
    await house.passes(days=30)
    await house.notes(2)
    kept = await house.town.look(audit.head)

    await house.tidies(audit=20)
    await house.tidies(audit=20)

    assert await house.numbers("select number from audit order by number") == [4, 5, 6]
    assert await house.town.look(audit.beginning) != Head(0, "")
    assert await house.broken() is None
    links = "select link from audit where number = 5"
    assert await house.numbers(links) == [kept.link], "a link that was kept elsewhere still holds"


@pytest.mark.parametrize(
    ("harm", "entry"),
    [
        ("delete from audit where number = 4", 1),
        ("update audit set actor = 'x' where number = 5", 5),
        ("delete from audit where number = 6", 1),
        ('update audit set detail = \'{"number": 4, "link": "x"}\' where number = 6', 1),
    ],
)
async def test_who_tampers_with_what_is_left_is_found(house: House, harm: str, entry: int):
    await house.notes(3)
    await house.passes(days=30)
    await house.notes(2)
    await house.tidies(audit=20)
    with psycopg.connect(house.url, autocommit=True) as connection:
        connection.execute("grant update, delete on audit to current_user")
        connection.execute(harm)

    assert await house.broken() == entry


async def test_nobody_may_drop_entries_of_the_audit_log_afterwards(house: House):
    await house.notes(2)
    await house.passes(days=30)
    await house.tidies(audit=20)

    with psycopg.connect(house.url) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute("delete from audit")


async def test_mails_in_the_folder_are_dropped_once_they_are_old(house: House):
    house.mails.mkdir()
    for days in (29, 31):
        file = house.mails / f"{days}.eml"
        file.touch()
        written = (real_now() - timedelta(days=days)).timestamp()
        os.utime(file, (written, written))

    await house.tidies()
    assert len(os.listdir(house.mails)) == 2  # noqa: PTH208
    await house.tidies(mails=30)

    assert os.listdir(house.mails) == ["29.eml"]  # noqa: PTH208
