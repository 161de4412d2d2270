"""`overture doctor`, with the faults that it is there to find."""

from __future__ import annotations

import json
import socket
from collections import namedtuple
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiodns
import psycopg
import pytest
from aiosmtpd.controller import Controller

from overture import doctor
from overture.core.findings import Finding, Grade
from overture.settings import Settings, read
from overture.store import embedded
from overture.store.migrate import migrate
from overture.worker import means_of
from tests.databases import temporary_folder
from tests.ports import free_port
from tests.running import PATIENCE, command, serving
from tests.watch.names import answering
from tests.watch.proxying import proxied

DOMAIN = "inmail.example"
GOOD_RECORDS = {
    (DOMAIN, "TXT"): "v=spf1 mx -all",
    (f"_dmarc.{DOMAIN}", "TXT"): "v=DMARC1; p=reject",
    (f"mail._domainkey.{DOMAIN}", "TXT"): "v=DKIM1; k=rsa; p=MIGf",
    (DOMAIN, "MX"): f"mx.{DOMAIN}",
}


def settings(**given: str) -> Settings:
    return read(given, {})


def grades(found: list[Finding]) -> Mapping[str, Grade]:
    """The worst of each thing that was looked at."""
    order = list(Grade)
    worst: dict[str, Grade] = {}
    for each in found:
        worst[each.about] = max(each.grade, worst.get(each.about, Grade.OK), key=order.index)
    return worst


def says(found: list[Finding], about: str) -> str:
    return " ".join(each.says for each in found if each.about == about)


def test_a_sound_installation_has_no_fault_and_the_exit_status_says_so():
    with temporary_folder() as folder, embedded.start(folder / "data") as server:
        migrate(server.url)
        for what in ("ledger", "audit"):
            assert command(what, "verify", "--data", folder / "data").returncode == 0
        looked = command("doctor", "--json", "--data", folder / "data")

    assert looked.returncode == 0, looked.stdout
    told = json.loads(looked.stdout)
    found = [Finding(**each) for each in told["findings"]]
    assert told["grade"] == "warning"
    assert "Extras: lab, push, stripe, otel." in says(found, "versions")
    assert {"durability", "schema", "ledger", "audit", "outbox", "jobs", "clocks", "role"} & {
        each.about for each in found if each.grade == Grade.OK
    } == {"durability", "schema", "ledger", "audit", "outbox", "jobs", "clocks"}
    assert "were" not in says(found, "mail")
    assert all(each.do for each in found if each.grade != Grade.OK)


def test_a_database_at_another_port_is_a_fault_in_one_sentence():
    url = f"postgresql://overture@127.0.0.1:{free_port()}/overture"
    looked = command("doctor", "--database-url", url)

    assert looked.returncode == 1
    assert "fault    database" in looked.stdout
    assert "It cannot be reached: " in looked.stdout
    assert "→ See that PostgreSQL runs" in looked.stdout
    assert looked.stderr.startswith("overture: ")
    assert "Traceback" not in looked.stderr


def test_where_there_are_no_data_yet_none_are_made(tmp_path: Path):
    looked = command("doctor", "--data", tmp_path / "none")

    assert looked.returncode == 1
    assert "There are no data" in looked.stdout
    assert not (tmp_path / "none").exists()


async def test_a_database_that_does_not_wait_for_the_disk_is_a_fault(database_url: str):
    """As that of the tests is."""
    found = await doctor.examine(settings(), database_url)

    assert grades(found)["durability"] is Grade.FAULT
    assert "fsync" in says(found, "durability")
    assert grades(found)["schema"] is Grade.OK


async def test_a_schema_that_is_behind_is_a_fault_and_says_what_to_do(empty_database_url: str):
    migrate(empty_database_url)
    with psycopg.connect(empty_database_url) as connection:
        connection.execute("drop table verifications")
        connection.execute("delete from schema_migrations where name = 'verifications'")
    found = await doctor.examine(settings(), empty_database_url)

    assert grades(found)["schema"] is Grade.FAULT
    assert [each.do for each in found if each.about == "schema"] == ["overture migrate"]


@pytest.mark.parametrize(
    ("late", "grade"),
    [
        (timedelta(seconds=5), Grade.OK),
        (timedelta(minutes=5), Grade.WARNING),
        (timedelta(hours=3), Grade.FAULT),
    ],
)
async def test_work_that_nobody_does_is_found(database_url: str, late: timedelta, grade: Grade):
    before = datetime.now(UTC) - late
    with psycopg.connect(database_url) as connection:
        member = "00000000-0000-7000-8000-000000000001"
        connection.execute(
            "insert into outbox (owner_id, kind, at, payload) values (%s, 'member.created', %s, '{}')",
            [member, before],
        )
        connection.execute(
            "insert into jobs (owner_id, queue, key, due_at, payload)"
            " values (%s, 'mails', '1', %s, '{}')",
            [member, before],
        )
    found = await doctor.examine(settings(), database_url)

    assert grades(found)["outbox"] is grade
    assert grades(found)["jobs"] is grade


async def test_what_was_given_up_and_what_was_never_verified_is_a_warning(database_url: str):
    with psycopg.connect(database_url) as connection:
        connection.execute(
            """
            insert into jobs (owner_id, queue, key, due_at, payload, parked_at, problem)
            values ('00000000-0000-7000-8000-000000000001', 'mails', '1', now(), '{}', now(), 'No.')
            """
        )
    found = await doctor.examine(settings(), database_url)

    assert grades(found)["jobs"] is Grade.WARNING
    assert "1 jobs in mails were given up." in says(found, "jobs")
    assert grades(found)["ledger"] is Grade.WARNING
    assert "never verified" in says(found, "ledger")


async def test_a_balance_and_a_head_that_do_not_fit_are_faults(databases):
    url = databases.fresh()
    owner = "00000000-0000-7000-8000-000000000001"
    databases.execute_as_admin(
        url,
        f"insert into credit_accounts (owner_id, pool, version, balance, state)"
        f" values ('{owner}', 'premium', 1, 14, '{{}}')",
    )
    databases.execute_as_admin(
        url,
        f"insert into ledger_entries (owner_id, pool, number, at, kind, credits, forfeited, reason,"
        f" balance, link) values ('{owner}', 'premium', 1, now(), 'grant', 15, 0, 'x', 15, 'x')",
    )
    databases.execute_as_admin(url, "update audit_head set number = 7")
    found = await doctor.examine(settings(), url)
    databases.drop(url)

    assert grades(found)["ledger"] is Grade.FAULT
    assert grades(found)["audit"] is Grade.FAULT


@pytest.mark.parametrize(
    ("apart", "grade"), [(0, Grade.OK), (-10, Grade.WARNING), (3600, Grade.FAULT)]
)
def test_clocks_that_are_apart_are_found_whatever_the_way_took(apart: int, grade: Grade):
    before = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    after = before + timedelta(seconds=1.5)
    there = before + timedelta(seconds=0.7 + apart)

    assert doctor._clocks(there, before, after).grade is grade


async def test_a_disk_that_fills_is_found_before_it_is_full(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    usage = namedtuple("usage", "total used free")
    found: dict[float, Grade] = {}
    for free in (50e9, 5e9, 0.1e9):
        monkeypatch.setattr("shutil.disk_usage", lambda _, free=free: usage(100e9, 0, free))
        found[free] = grades(await doctor._disk(settings(data=str(tmp_path))))["disk"]

    assert list(found.values()) == [Grade.OK, Grade.WARNING, Grade.FAULT]


async def test_it_looks_where_each_thing_lies_and_says_what_fails_without_room(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    usage = namedtuple("usage", "total used free")
    full = {"archive", "data"}
    monkeypatch.setattr(
        "shutil.disk_usage", lambda at: usage(100e9, 0, 0 if at.name in full else 50e9)
    )
    for name in (*full, "temporary"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    given = {"data": str(tmp_path / "data"), "archive": str(tmp_path / "archive")}
    embedded_one = await doctor._disk(settings(**given))
    own = await doctor._disk(settings(**given, database_url="postgresql://elsewhere/overture"))

    assert [each.grade for each in embedded_one] == [Grade.FAULT, Grade.OK, Grade.FAULT]
    assert str(tmp_path / "temporary") in embedded_one[1].says
    assert "PostgreSQL stops" in str(embedded_one[0].do)
    assert "cannot archive" in str(embedded_one[2].do)
    # Of a PostgreSQL elsewhere nothing is claimed.
    assert "PostgreSQL stops" not in str(own[0].do)
    assert "shows where it runs" in says(own, "disk")


# Mail ---------------------------------------------------------------------------------------------


class Takes:
    def __init__(self) -> None:
        self.mails = 0

    async def handle_DATA(self, *_: object) -> str:  # noqa: N802  aiosmtpd's name
        self.mails += 1
        return "250 OK"


async def mail(**given: str) -> list[Finding]:
    asked = {"smtp_host": "127.0.0.1", "smtp_seconds": str(PATIENCE)} | given
    return await doctor._mail(means_of(settings(**asked), "http://127.0.0.1:8000"))


async def test_a_mail_server_is_spoken_to_and_sent_nothing():
    handler = Takes()
    controller = Controller(handler, hostname="127.0.0.1", port=free_port(), ready_timeout=PATIENCE)
    controller.start()
    try:
        (good,) = await mail(smtp_port=str(controller.port), smtp_security="none")
        (no_tls,) = await mail(smtp_port=str(controller.port), smtp_security="starttls")
        (no_sign_in,) = await mail(
            smtp_port=str(controller.port),
            smtp_security="none",
            smtp_user="ada",
            smtp_password="secret",  # not-a-secret
        )
    finally:
        controller.stop()

    assert good.grade is Grade.OK
    assert "Nothing was sent." in good.says
    assert no_tls.grade is Grade.FAULT
    assert "does not offer what the settings ask" in no_tls.says
    assert no_sign_in.grade is Grade.FAULT
    assert handler.mails == 0


async def test_no_mail_server_and_one_that_is_away_are_found():
    (away,) = await mail(smtp_port=str(free_port()), smtp_security="none")
    (none,) = await mail(smtp_host="")

    assert away.grade is Grade.FAULT
    assert "could not be reached" in away.says
    assert none.grade is Grade.WARNING


# Names --------------------------------------------------------------------------------------------


def names_at(place: str, *, seconds: float = 5) -> Callable[[], aiodns.DNSResolver]:
    return lambda: aiodns.DNSResolver(nameservers=[place], timeout=seconds, tries=1)


async def names(records: Mapping[tuple[str, str], str], *dkim: str, **given: str) -> list[Finding]:
    asked = settings(mail_domain=DOMAIN, **given)
    with answering(records) as place:
        return await doctor._dns(asked, means_of(asked, "http://x"), dkim, names_at(place))


async def test_a_domain_whose_records_are_right_is_good():
    found = await names(GOOD_RECORDS, "mail")

    assert grades(found) == dict.fromkeys(("spf", "dmarc", "dkim", "mx"), Grade.OK)
    assert f"mx.{DOMAIN}" in says(found, "mx")


async def test_records_that_are_missing_or_wrong_are_found():
    nothing = await names({}, "mail", reply_address=f"r+*@{DOMAIN}")
    lax = await names(
        GOOD_RECORDS
        | {
            (DOMAIN, "TXT"): "v=spf1 +all",
            (f"_dmarc.{DOMAIN}", "TXT"): "v=DMARC1; p=none",
            (f"mail._domainkey.{DOMAIN}", "TXT"): "v=DKIM1; p=",
        },
        "mail",
    )

    assert grades(nothing) == {
        "spf": Grade.WARNING,
        "dmarc": Grade.WARNING,
        "dkim": Grade.FAULT,
        "mx": Grade.FAULT,
    }
    assert grades(lax) == {
        "spf": Grade.FAULT,
        "dmarc": Grade.WARNING,
        "dkim": Grade.FAULT,
        "mx": Grade.OK,
    }


async def test_where_no_resolver_answers_that_is_said_and_nothing_is_claimed():
    asked = settings(mail_domain=DOMAIN)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        soon = names_at(place, seconds=0.2)
        found = await doctor._dns(asked, means_of(asked, "http://x"), (), soon)

    assert grades(found) == {"dns": Grade.WARNING}
    assert "No resolver answers here" in says(found, "dns")


# The way here -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def port(databases):
    url = databases.fresh()
    with serving("--database-url", url, "--jobs", "false") as server:
        yield server.port
    databases.drop(url)


async def test_a_proxy_that_passes_on_what_is_needed_is_good(port: int):
    with proxied(port) as address:
        found = await doctor._proxy(settings(public_url=address))

    assert grades(found) == dict.fromkeys(("proxy", "tls", "client", "streams", "size"), Grade.OK)
    assert says(found, "client") == "We are seen as 203.0.113.9."


async def test_a_proxy_that_holds_answers_back_is_found(port: int):
    with proxied(port, holds=True) as address:
        found = await doctor._proxy(settings(public_url=address))

    assert grades(found)["streams"] is Grade.FAULT
    assert grades(found)["client"] is Grade.OK


async def test_a_proxy_that_passes_another_name_on_is_found(port: int):
    with proxied(port, host="backend.internal") as address:
        found = await doctor._proxy(settings(public_url=address))

    assert grades(found) == {"proxy": Grade.FAULT}
    assert "under another name" in says(found, "proxy")


async def test_a_proxy_that_is_not_believed_is_found(databases):
    url = databases.fresh()
    options = ("--database-url", url, "--jobs", "false", "--trusted-proxies", "none")
    with serving(*options) as server, proxied(server.port) as address:
        found = await doctor._proxy(settings(public_url=address))
    databases.drop(url)

    assert grades(found)["client"] is Grade.FAULT
    assert [each.do for each in found if each.about == "client"] == [
        "Name it: --trusted-proxies 127.0.0.1"
    ]


async def test_a_site_that_does_not_answer_and_one_without_an_address_are_found():
    found = await doctor._proxy(settings(public_url=f"http://127.0.0.1:{free_port()}"))
    none = await doctor._proxy(settings())

    assert grades(found) == {"proxy": Grade.FAULT}
    assert grades(none) == {"proxy": Grade.WARNING}
