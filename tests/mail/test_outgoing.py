"""Mails go out: once, with what is true when they are written, into a folder that only we can read."""

from __future__ import annotations

import logging
from email import message_from_bytes
from email.policy import default

import pytest

from overture import ids
from overture.actions import members
from overture.actions.accounts import Letter, Mail
from overture.core.ids import MemberId
from overture.mail.letters import message
from overture.mail.outgoing import Outgoing
from overture.mail.post import Folder
from overture.store import mails
from overture.store.db import all_rows
from overture.store.mails import Wanted
from overture.words import translations
from tests.cast import town_in

URL = "https://inmail.example.org"


class Refusing:
    """A post that is closed."""

    async def send(self, message, name):
        raise OSError("closed")


@pytest.fixture
async def town(database_url):
    async with town_in(database_url) as made:
        yield made


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "data" / "mail"


def english(_language):
    return translations("en").gettext


def post(town, to):
    return Outgoing(town.db, to, english, URL)


async def wants(town, email="grace@example.org", kind=Mail.RESET):
    wanted = Wanted(ids.new(), kind.value, email, None, "en")
    await town.db.writing(lambda tx: mails.want(tx, wanted))
    return wanted


async def grace(town, name="Grace Hopper", email="grace@example.org"):
    new = members.NewMember(MemberId(ids.new()), "grace", name, email=email)
    made = await town.do(lambda tx: members.create(tx, new, town.now))
    assert isinstance(made, members.Profile), made


def written(letter, url=URL):
    return message(letter, english("en"), public_url=url, name="1")


async def waiting(town):
    return await town.look(lambda tx: all_rows(tx, "select from mails"))


async def links(town):
    return await town.look(lambda tx: all_rows(tx, "select from account_links"))


async def test_a_mail_is_written_once_and_tells_the_log_where_it_lies(town, folder, caplog):
    await grace(town)
    wanted = await wants(town)
    caplog.set_level(logging.INFO)

    assert await post(town, Folder(folder)).one()
    assert not await post(town, Folder(folder)).one()

    (file,) = folder.iterdir()
    assert file.name == f"{wanted.id}.eml"
    mail = message_from_bytes(file.read_bytes(), policy=default)
    assert str(mail["to"]) == "Grace Hopper <grace@example.org>"
    assert str(mail["from"]) == "Overture <no-reply@inmail.example.org>"
    assert "https://inmail.example.org/reset/new?link=" in mail.get_content()
    assert str(file) in caplog.text
    assert "link=" not in caplog.text
    assert "grace@" not in caplog.text


async def test_only_the_server_reads_the_folder(town, folder):
    await grace(town)
    await wants(town)

    await post(town, Folder(folder)).one()

    (file,) = folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


async def test_nothing_is_written_to_an_address_that_nobody_has(town, folder):
    await wants(town)

    assert await post(town, Folder(folder)).one()

    assert not folder.exists()
    assert await waiting(town) == await links(town) == []


async def test_a_mail_that_the_post_does_not_take_waits_and_no_link_of_it_holds(town, folder):
    await grace(town)
    await wants(town)

    with pytest.raises(OSError, match="closed"):
        await post(town, Refusing()).one()

    assert len(await waiting(town)) == 1
    assert await links(town) == []
    assert await post(town, Folder(folder)).one()
    assert len(list(folder.iterdir())) == 1


async def test_an_address_that_cannot_stand_in_a_mail_holds_nothing_up(town, folder):
    await grace(town, email="grace:x@example.org")
    await wants(town, email="grace:x@example.org")
    assert await post(town, Folder(folder)).one()

    assert await waiting(town) == []


@pytest.mark.parametrize("name", ["Grace, Hopper", "<grace@evil.example>", '"; Bcc: x', "Γκρέις"])
def test_a_name_stays_a_name_in_a_mail(name):
    mail = written(Letter(Mail.RESET, "grace@example.org", name, "s"))

    (address,) = mail["to"].addresses
    assert (address.display_name, address.addr_spec) == (name, "grace@example.org")
    again = message_from_bytes(bytes(mail), policy=default)
    assert [each.addr_spec for each in again["to"].addresses] == ["grace@example.org"]


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://127.0.0.1:8080", "localhost"),
        ("http://[::1]:8080", "localhost"),
        ("https://inmail.example.org", "inmail.example.org"),
    ],
)
def test_mails_come_from_where_the_site_is(url, host):
    mail = written(Letter(Mail.KNOWN, "grace@example.org", "Grace", None), url)

    assert mail["from"].addresses[0].domain == host


@pytest.mark.parametrize("kind", list(Mail))
def test_every_mail_says_what_it_is_for_and_brings_its_link(kind):
    secret = None if kind is Mail.KNOWN else "the-secret"

    mail = written(Letter(kind, "grace@example.org", "Grace", secret))

    assert mail["subject"]
    assert mail["auto-submitted"] == "auto-generated"
    text = mail.get_content()
    assert "Hello Grace," in text
    assert f"{URL}/" in text
    assert secret is None or f"?link={secret}\n" in text
