"""Mails in the folder: those of who closed the account go, and so do old ones; others stay."""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from overture import ids
from overture.actions import closing, members
from overture.core.ids import MemberId
from overture.jobs.runner import Runner
from overture.mail.forgetting import Forgetting
from overture.store import installation, mails
from overture.store.mails import Wanted
from tests.cast import SIGN_UP, Town, town_in
from tests.work import runner_in


@dataclass
class Office:
    """A town whose mails lie in a folder."""

    town: Town
    folder: Path
    runner: Runner

    async def is_written_to(self, handle: str, email: str) -> MemberId:
        """A new member, to whom a mail lies in the folder."""
        new = members.NewMember(MemberId(ids.new()), handle, handle.title(), email=email)
        made = await self.town.do(lambda tx: members.create(tx, new, self.town.now))
        assert isinstance(made, members.Profile), made
        wanted = Wanted(ids.new(), "reset", email, None, "en")
        await self.town.do(lambda tx: mails.want(tx, wanted, self.town.now))
        await self.runner.play(self.town.now)
        return new.id

    def holds(self) -> str:
        return "\n".join(file.read_text() for file in self.folder.iterdir())


@pytest.fixture
async def office(database_url: str, tmp_path: Path) -> AsyncIterator[Office]:
    async with town_in(database_url) as town:
        await town.do(lambda tx: installation.set_test_clock(tx, SIGN_UP))
        yield Office(town, tmp_path / "mail", runner_in(town, tmp_path / "mail"))


@pytest.mark.parametrize("address", ["Zoe@example.org", "zoe@bücher.example"])
async def test_the_mails_of_who_closed_the_account_go_from_the_folder(office: Office, address: str):
    town = office.town
    zoe = await office.is_written_to("zoe", address)
    await office.is_written_to("ada", "ada@example.org")
    assert "zoe" in office.holds().lower()

    assert await town.do(lambda tx: closing.close(tx, zoe, town.now, town.book)) is True
    await office.runner.play(town.now)

    assert "zoe" not in office.holds().lower()
    assert "ada@example.org" in office.holds()


async def test_old_mails_go_from_the_folder(office: Office):
    await office.is_written_to("ada", "ada@example.org")
    (old,) = office.folder.iterdir()
    await office.is_written_to("zoe", "zoe@example.org")
    now = datetime.now(UTC)
    written = (now - timedelta(days=31)).timestamp()
    os.utime(old, (written, written))

    await Forgetting(office.folder).older_than(now - timedelta(days=30))

    assert "ada@example.org" not in office.holds()
    assert "zoe@example.org" in office.holds()


async def test_where_there_is_no_folder_nothing_is_to_be_forgotten(tmp_path: Path):
    await Forgetting(tmp_path / "none").older_than(datetime.now(UTC))

    assert os.listdir(tmp_path) == []  # noqa: PTH208
