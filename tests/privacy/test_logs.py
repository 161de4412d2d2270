"""No log tells what members wrote, where they are, or what opens an account; not even of faults."""

from __future__ import annotations

import asyncio
import logging
import re
import smtplib
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import httpx
import psycopg
import pytest

from overture.logs import Discreet
from overture.store import embedded
from tests.databases import temporary_folder
from tests.ports import free_port
from tests.running import PATIENCE, Running, serving

# In every text and address that anybody gives here.
WORD = "zyzzyva"
EMAIL = f"zoe.{WORD}@example.org"
PASSWORD = f"{WORD} marmalade 7 lamps"
CLIENT = "203.0.113.77"
FORM = "r+*@inmail.example.org"


@dataclass
class Lived:
    """What the logs say after a run, and what they must not say."""

    server_log: str
    database_log: str
    secrets: dict[str, str]


@pytest.fixture(scope="module")
def lived() -> Lived:
    with temporary_folder() as folder, (folder / "server.log").open("wb") as errors:
        data = folder / "data"
        port = free_port()
        options = ("--data", data, "--log-level", "debug", "--reply-address", FORM)
        listens = ("--replies-listen", f"127.0.0.1:{port}", "--webhook-allow-hosts", "127.0.0.1")
        with serving(*options, *listens, errors=errors) as server, embedded.start(data) as database:
            secrets = live(server, data, port)
            go_wrong(server, database.url, port)
            assert server.stop() == 0
        logs = [path.read_text() for path in data.glob("postgres.log*")]
        return Lived((folder / "server.log").read_text(), "\n".join(logs), secrets)


def live(server: Running, data: Path, mail_port: int) -> dict[str, str]:
    """Signing up and in, letters and answers, tokens, mails both ways, webhooks. Returns secrets."""
    secrets: dict[str, str] = {}
    with browser(server) as zoe:
        signed_up = zoe.post(
            "/signup", data={"name": f"Zoe {WORD}", "email": EMAIL, "password": PASSWORD}
        )
        assert signed_up.status_code == 303, signed_up.text
        secrets["link in a mail"] = link = until(lambda: link_in(data / "mail"))
        assert zoe.post("/verify", data={"link": link}).status_code == 303
        assert zoe.post("/login", data={"email": EMAIL, "password": "wrong"}).status_code == 422
        assert zoe.post("/login", data={"email": EMAIL, "password": PASSWORD}).status_code == 303
        secrets["cookie"] = zoe.cookies["session"]
        secrets["device"] = zoe.cookies["device"]
        assert zoe.get("/inbox").status_code == 200

    zoe_is, ada = zoe_id(server), member(server, "ada", f"ada.{WORD}@example.org")
    for each in (zoe_is, ada):
        subscribed = server.request(
            "PUT",
            "/api/v1/me/subscriptions/premium",
            {"plan": "premium_business"},
            headers={"Act-As": each},
        )
        assert subscribed.is_success, subscribed.text
    issued = server.request(
        "POST",
        "/api/v1/operator/tokens",
        {"member_id": ada, "scopes": ["read", "write"], "label": WORD},
    )
    assert issued.status_code == 201, issued.text
    secrets["token"] = token = issued.json()["token"]
    endpoint = server.request(
        "POST", "/api/v1/operator/webhooks", {"url": f"http://127.0.0.1:{free_port()}/{WORD}"}
    )
    assert endpoint.status_code == 201, endpoint.text
    secrets["webhook's secret"] = endpoint.json()["secret"]
    letter = server.request(
        "POST",
        "/api/v1/conversations",
        {"to": zoe_is, "subject": f"{WORD} subject", "body": f"{WORD} body"},
        headers={"Authorization": f"Bearer {token}", "X-Forwarded-For": CLIENT},
    )
    assert letter.status_code == 201, letter.text
    to = until(lambda: reply_address_in(data / "mail"))
    secrets["reply address"] = to.removeprefix("r+").partition("@")[0]
    assert hand_over(mail_port, to, f"An answer with {WORD} in it") == {}
    return secrets


def go_wrong(server: Running, database: str, mail_port: int) -> None:
    """Whatever can be wrong with a request, and faults of the server's own."""
    with psycopg.connect(database) as connection:
        for table, column in (("messages", "body"), ("mails", "address"), ("members", "name")):
            connection.execute(
                f"alter table {table} add constraint {table}_planted"
                f" check ({column} not like '%fault%')"
            )
    ada = server.request("GET", "/api/v1/members?q=ada").json()["items"][0]["id"]
    with browser(server) as zoe:
        faults = [
            server.request(
                "POST",
                "/api/v1/members",
                {"handle": "eve", "name": f"{WORD} fault", "email": f"eve.{WORD}@example.org"},
            ),
            server.request(
                "POST",
                "/api/v1/conversations",
                {"to": zoe_id(server), "body": f"{WORD} fault"},
                headers={"Act-As": ada},
            ),
            zoe.post("/reset", data={"email": f"fault.{WORD}@example.org"}),
        ]
        assert [each.status_code for each in faults][1:] == [500, 500], faults
        assert faults[0].status_code == 500
        wrong = [
            zoe.get("/nowhere/" + WORD),
            zoe.get("/reset/new", params={"link": f"{WORD}-" + "x" * 43}),
            zoe.post("/verify", data={"link": WORD}),
            zoe.post("/login", content=b"\xff\xfe" + WORD.encode(), headers=FORM_TYPE),
            zoe.post("/login", data={"email": EMAIL}, headers={"Sec-Fetch-Site": "cross-site"}),
            zoe.get("/inbox", headers={"Cookie": f"session={WORD}\x01"}),
            server.request("GET", "/api/v1/me", headers={"Authorization": f"Bearer {WORD}"}),
            server.request("GET", f"/api/v1/conversations/{WORD}"),
            server.request("POST", "/api/v1/conversations", {"to": WORD, "body": f"{WORD}\0"}),
            server.post("/api/v1/members", content=b'{"name": "' + WORD.encode() + b"\xff"),
        ]
    assert all(400 <= each.status_code < 500 or each.is_redirect for each in wrong), wrong
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(f"GET /{WORD} HTTP/9\r\nCookie: {WORD}\r\n\r\n".encode())
        raw.settimeout(PATIENCE)
        raw.recv(4096)
    with pytest.raises(smtplib.SMTPException):
        hand_over(mail_port, f"r+{WORD}@inmail.example.org", WORD)


def test_no_log_tells_what_members_wrote_or_where_they_are(lived: Lived):
    """At the most talkative level that there is."""
    for log in (lived.server_log, lived.database_log):
        for word in (WORD, CLIENT, "marmalade"):
            assert lines_with(word, log) == []


def test_no_log_tells_what_opens_an_account(lived: Lived):
    assert len(lived.secrets) == 6
    for name, secret in lived.secrets.items():
        assert len(secret) > 20, name
        for log in (lived.server_log, lived.database_log):
            assert lines_with(secret, log) == [], name
            assert lines_with(secret[:20], log) == [], name


def test_faults_are_told_with_what_finds_them(lived: Lived):
    for table in ("messages", "mails", "members"):
        assert f"23514 {table} {table}_planted" in lived.server_log
    assert 'violates check constraint "messages_planted"' in lived.database_log
    assert re.search(r"POST /api/v1/conversations failed, [0-9a-f-]{36}\n  File", lived.server_log)
    assert "a mail that came in was taken" in lived.server_log
    assert "a mail lies in" in lived.server_log


def test_who_was_kept_out_is_told_with_the_reason(lived: Lived):
    for told in (
        "was denied it: wrong_sign_in",
        "was denied it: link_gone",
        "GET /me was refused to an unknown token: unauthorized",
        "POST /login was refused: it came from another site",
    ):
        assert told in lived.server_log


@pytest.mark.parametrize(
    ("raise_it", "told"),
    [
        (lambda: int(WORD), "ValueError"),
        (lambda: {}[WORD], "KeyError"),
        (lambda: WORD.encode() + WORD, "TypeError"),
        (lambda: Path(f"/{WORD}").read_text(), "FileNotFoundError: No such file or directory"),
        (lambda: ExceptionGroup(WORD, [ValueError(WORD)]), "ExceptionGroup"),
    ],
)
def test_of_a_fault_only_what_quotes_nobody_is_told(raise_it: Callable[[], object], told: str):
    try:
        made = raise_it()
        if isinstance(made, Exception):
            raise made
    except Exception as problem:  # noqa: BLE001
        try:
            raise RuntimeError(WORD) from problem
        except RuntimeError as outer:
            text = Discreet().formatException((type(outer), outer, outer.__traceback__))

    without_source = "\n".join(line for line in text.splitlines() if not line.startswith("    "))
    assert WORD not in without_source
    assert told in without_source.splitlines()
    assert without_source.endswith("RuntimeError")


async def test_asyncio_tells_of_a_lost_fault_without_its_values(caplog: pytest.LogCaptureFixture):
    from overture.logs import _without_values

    logger = logging.getLogger("asyncio")
    logger.addFilter(_without_values)
    try:
        context = {"message": "It was lost", "future": WORD, "exception": ValueError(WORD)}
        asyncio.get_running_loop().default_exception_handler(context)
    finally:
        logger.removeFilter(_without_values)

    (record,) = caplog.records
    assert record.getMessage() == "It was lost"


# A browser, mails, and patience ---------------------------------------------------------------------

FORM_TYPE = {"Content-Type": "application/x-www-form-urlencoded"}


def browser(server: Running) -> httpx.Client:
    """One that comes through a proxy on this machine."""
    return httpx.Client(
        base_url=server.address,
        timeout=PATIENCE,
        headers={
            "Sec-Fetch-Site": "same-origin",
            "X-Forwarded-For": CLIENT,
            "User-Agent": f"Mozilla/5.0 {WORD}",
        },
    )


def member(server: Running, handle: str, email: str) -> str:
    made = server.request(
        "POST", "/api/v1/members", {"handle": handle, "name": f"{handle} {WORD}", "email": email}
    )
    assert made.status_code == 201, made.text
    return made.json()["id"]


def zoe_id(server: Running) -> str:
    return server.request("GET", "/api/v1/members?q=zoe").json()["items"][0]["id"]


def link_in(folder: Path) -> str | None:
    for file in folder.glob("*.eml"):
        if found := re.search(r"link=3D([\w-]+)|link=([\w-]+)", unfolded(file)):
            return found[1] or found[2]
    return None


def reply_address_in(folder: Path) -> str | None:
    for file in folder.glob("*.eml"):
        if found := re.search(r"r\+[\w.-]+@inmail\.example\.org", unfolded(file)):
            return found[0]
    return None


def unfolded(file: Path) -> str:
    return file.read_text().replace("=\n", "").replace("\n ", "")


def hand_over(port: int, to: str, text: str) -> dict[str, tuple[int, bytes]]:
    message = EmailMessage()
    message["From"], message["To"] = EMAIL, to
    message["Subject"] = f"Re: {WORD}"
    message["Message-ID"] = f"<{WORD}@example.org>"
    message["Date"] = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime())
    message.set_content(text)
    with smtplib.LMTP("127.0.0.1", port) as client:
        return client.sendmail(EMAIL, [to], message.as_bytes())


def until(look: Callable[[], str | None]) -> str:
    for _ in range(10 * PATIENCE):
        if (found := look()) is not None:
            return found
        time.sleep(0.1)
    raise AssertionError("it did not come")


def lines_with(word: str, log: str) -> list[str]:
    return [line for line in log.splitlines() if word.lower() in line.lower()]
