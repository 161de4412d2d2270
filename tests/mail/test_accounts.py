"""Mails about accounts go out: once, with what is true when they are written."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import pytest

from overture import ids
from overture.actions import members
from overture.actions.accounts import Letter, Mail
from overture.core.ids import MemberId
from overture.jobs.runner import Runner
from overture.mail.letters import said
from overture.mail.message import BadAddress, Cover, Letterhead, mail
from overture.store import installation, mails
from overture.store.db import all_rows
from overture.store.mails import Wanted
from overture.words import words_of
from overture.worker import means_of
from tests.cast import SIGN_UP, Town, town_in
from tests.mail.conftest import Server
from tests.mail.town import html_of, mail_in, text_of
from tests.work import runner_in

URL = "https://overture.example"
HEAD = Letterhead(URL, "no-reply@overture.example", "overture.example")
ENGLISH = words_of("en", "UTC")


@dataclass
class Office:
    """A town whose mails lie in a folder."""

    town: Town
    folder: Path
    runner: Runner

    async def works(self) -> None:
        await self.runner.play(self.town.now)

    async def wants(self, email: str = "grace@example.org", kind: Mail = Mail.RESET) -> Wanted:
        wanted = Wanted(ids.new(), kind.value, email, None, "en")
        await self.town.do(lambda tx: mails.want(tx, wanted, self.town.now))
        return wanted

    async def grace(self, name: str = "Grace Hopper", email: str = "grace@example.org") -> None:
        new = members.NewMember(MemberId(ids.new()), "grace", name, email=email)
        made = await self.town.do(lambda tx: members.create(tx, new, self.town.now))
        assert isinstance(made, members.Profile), made

    async def rows(self, table: str) -> list[tuple[object, ...]]:
        return await self.town.look(lambda tx: all_rows(tx, f"select * from {table}"))


@pytest.fixture
async def office(database_url: str, tmp_path: Path):
    async with town_in(database_url) as town:
        await town.do(lambda tx: installation.set_test_clock(tx, SIGN_UP))
        folder = tmp_path / "data" / "mail"
        yield Office(town, folder, runner_in(town, folder))


async def test_a_mail_is_written_once_and_tells_the_log_where_it_lies(
    office: Office, caplog: pytest.LogCaptureFixture
):
    await office.grace()
    wanted = await office.wants()
    caplog.set_level(logging.INFO)

    await office.works()
    await office.works()

    (file,) = office.folder.iterdir()
    assert file.name == f"{wanted.id}.eml"
    mail = mail_in(file)
    assert str(mail["to"]) == "Grace Hopper <grace@example.org>"
    assert str(mail["from"]) == "Overture <no-reply@overture.example>"
    assert "https://overture.example/reset/new?link=" in text_of(mail)
    assert str(file) in caplog.text
    assert "link=" not in caplog.text
    assert "grace@" not in caplog.text
    assert await office.rows("mails") == await office.rows("jobs") == []


async def test_only_the_server_reads_the_folder(office: Office):
    await office.grace()
    await office.wants()

    await office.works()

    (file,) = office.folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert office.folder.stat().st_mode & 0o777 == 0o700


async def test_nothing_is_written_to_an_address_that_nobody_has(office: Office):
    await office.wants()

    await office.works()

    assert not office.folder.exists()
    for table in ("mails", "jobs", "account_links"):
        assert await office.rows(table) == []


async def test_a_mail_that_the_server_does_not_take_yet_goes_later_with_a_link_that_holds(
    office: Office, server: Server, smtp_to
):
    await office.grace()
    await office.wants()
    runner = runner_in(office.town, smtp=smtp_to(server))
    server.answers["RCPT"] = "451 4.3.0 later"

    await runner.play(office.town.now)
    assert server.taken == []
    assert len(await office.rows("mails")) == 1

    server.answers.clear()
    await office.town.do(lambda tx: tx.execute("update jobs set not_before = '-infinity'"))
    await runner.play(office.town.now)

    (taken,) = server.taken
    assert taken.to == "grace@example.org"
    assert await office.rows("mails") == []


async def test_an_address_that_no_mail_can_be_sent_to_holds_nothing_up(office: Office):
    await office.grace(email="grace:x@example.org")
    await office.wants(email="grace:x@example.org")
    await office.works()

    (row,) = await office.town.look(
        lambda tx: all_rows(tx, "select problem from jobs where parked_at is not null")
    )
    assert row == ("It has an address that no mail can be sent to.",)


@pytest.mark.parametrize("kind", list(Mail))
def test_every_mail_says_what_it_is_for_and_brings_its_link(kind: Mail):
    secret = None if kind in (Mail.KNOWN, Mail.MOVED) else "the-secret"
    letter = Letter(kind, "grace@example.org", "Grace", secret)

    made = mail(
        said(letter, ENGLISH), Cover("1", SIGN_UP, letter.to, letter.name), ENGLISH, HEAD
    ).message

    assert made["subject"]
    assert made["auto-submitted"] == "auto-generated"
    assert "Hello Grace," in text_of(made)
    assert "Hello Grace," in html_of(made)
    assert kind is Mail.MOVED or f"{URL}/" in text_of(made)
    if secret:
        assert f"?link={secret}\n" in text_of(made)
        assert f'?link={secret}"' in html_of(made)


def test_it_goes_to_one_address_whatever_the_address_says():
    for hostile in ("grace@example.org\r\nBcc: eve@example.org", "a@example.org, eve@example.org"):
        with pytest.raises(BadAddress):
            mail(
                said(Letter(Mail.KNOWN, "", "", None), ENGLISH),
                Cover("1", SIGN_UP, hostile, ""),
                ENGLISH,
                HEAD,
            )


@pytest.mark.parametrize(
    ("url", "domain"),
    [
        ("http://127.0.0.1:8080", "localhost"),
        ("http://[::1]:8080", "localhost"),
        ("https://inmail.example.org", "inmail.example.org"),
    ],
)
def test_mails_come_from_where_the_site_is(url: str, domain: str):
    from overture.settings import read

    means = means_of(read({"public_url": None}, {}), url)

    assert (means.mail_from, means.mail_domain) == (f"no-reply@{domain}", domain)
    named = means_of(read({"mail_domain": "mail.example.org"}, {}), url)
    assert (named.mail_from, named.mail_domain) == ("no-reply@mail.example.org", "mail.example.org")
