"""`overture demo`: what a stranger sees first."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from zoneinfo import available_timezones

import httpx
import psycopg
import pytest

from overture.core import text
from overture.demo import letters
from overture.demo.cast import CAST
from overture.store import embedded
from tests.databases import temporary_folder
from tests.running import COMMAND, PATIENCE, command, environment

SAMPLE = Path(__file__).parent / "linkedin" / "sample"
LAST_LINE = "Ctrl+C ends the demo; the next one goes on from here. It lives in"


@dataclass
class Demo:
    """A demo that runs, and the page that it printed."""

    process: subprocess.Popen[str]
    page: list[str]

    @property
    def commands(self) -> list[str]:
        """What can be pasted, as the page shows it."""
        first = next(n for n, line in enumerate(self.page) if line.startswith("  API="))
        return [line[2:] for line in self.page[first:] if line.startswith("  ")]

    @property
    def variables(self) -> dict[str, str]:
        return dict(re.findall(r"^([A-Z_]+)=([^$'\n]+)$", "\n".join(self.commands), re.MULTILINE))

    @property
    def inmails(self) -> int:
        return int(next(line for line in self.page if " InMails, of which " in line).split()[0])

    def get(self, path: str, name: str) -> dict:
        headers = {"Authorization": f"Bearer {self.variables[name]}"}
        answer = httpx.get(self.variables["API"] + path, headers=headers, timeout=PATIENCE)
        assert answer.status_code == 200, answer.text
        return answer.json()


@contextmanager
def demo(folder: Path, *options: object, **settings: str) -> Iterator[Demo]:
    process = begin(folder, *options, **settings)
    assert process.stdout
    page: list[str] = []
    try:
        while not page or page[-1] != LAST_LINE:
            line = process.stdout.readline()
            assert line, f"the demo ended with {process.wait()}, having said {page}"
            page.append(line.rstrip("\n"))
        yield Demo(process, page)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(PATIENCE)
        process.stdout.close()


def begin(folder: Path, *options: object, **settings: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "demo", "--port", "0", "--data", str(folder), *map(str, options)],
        env=environment(**settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """The folder of one demo, which the tests below start in their order."""
    with temporary_folder() as made:
        yield made / "demo"


def test_every_line_of_the_page_works(folder):
    if not shutil.which("curl"):
        pytest.skip("there is no curl to paste the page's lines with")
    with demo(folder) as shown:
        answers = run_in_a_shell(shown.commands)
        statuses = [status for _, status in answers]
        assert statuses == [None, None, None, 201, None, 201, None, 402, 201, None]
        me, found, contact, sent, read, replied, ledger, refused, free, metrics = (
            answer for answer, _ in answers
        )

        assert me["premium"]
        recipient = sent["conversation"]["with"]
        assert recipient["handle"] in [each["handle"] for each in found["items"]]
        assert (contact["allowed"], contact["channel"], contact["credits"]) == (True, "inmail", 1)
        assert sent["charge"]["balance"] == contact["balance"] - 1
        assert read["items"][0]["id"] == sent["message"]["id"]
        assert replied["conversation"]["state"] == "accepted"
        assert [(each["kind"], each["credits"]) for each in ledger["items"][-2:]] == [
            ("spend", -1),
            ("refund", 1),
        ]
        assert ledger["items"][-1]["inmail_id"] == sent["conversation"]["id"]
        assert ledger["items"][-1]["balance"] == contact["balance"]
        assert (refused["code"], refused["remedy"]["kind"]) == ("no_credits", "wait")
        assert instant(refused["remedy"]["at"]) > datetime.now(UTC) + timedelta(days=7)
        assert (free["charge"]["credits"], free["conversation"]["kind"]) == (0, "inmail")
        assert metrics["members"]["open"] > 55

        again = run_in_a_shell(shown.commands)
        assert again[3] == answers[3], "the same key was used"


def test_the_page_is_true(folder):
    with demo(folder) as shown:
        rows = [line[2:].split(maxsplit=1) for line in shown.page if re.match(r"  [a-z]", line)]
        people = {handle: rest for handle, rest in rows if handle in handles()}
        assert len(people) == 5

        for handle, rest in people.items():
            name = handle.split("-")[0].upper()
            held = shown.get("/me/premium", name)["pools"]
            requests = shown.get("/conversations?box=requests", name)["items"]
            assert shown.get("/me", name)["handle"] == handle
            if not held:
                assert rest.startswith("Basic")
                continue
            assert f" {held[0]['balance']}/{held[0]['cap']} " in rest
            if "a full purse" in rest:
                assert held[0]["balance"] == held[0]["cap"]
            if " more on " in rest:
                grant = held[0]["next_grant"]
                at = instant(grant["at"])
                assert rest.endswith(f"  {grant['credits']} more on {at.day} {at:%B}")
            if " to answer" in rest:
                assert f"  {len(requests)} InMail" in rest
            if "Open Profile" in rest:
                assert shown.get("/me", name)["open_profile"]

        assert max(len(line) for line in shown.page[:-1]) <= 80
        assert not re.search(r"[\x00-\x1f]", "".join(shown.page)), "colour, on no terminal"


def test_everyone_on_the_page_signs_in_as_it_says(folder):
    with demo(folder) as shown:
        text = "\n".join(shown.page)
        (address, domain, password) = re.search(
            r"Sign in at (\S+)/login as HANDLE@(\S+);\n.* the same password: (.+)", text
        ).groups()
        for handle in re.findall(r"^  ([a-z-]+)  ", text, re.MULTILINE):
            own = {"Origin": address}
            with httpx.Client(base_url=address, headers=own, timeout=PATIENCE) as browser:
                form = {"email": f"{handle}@{domain}", "password": password}
                assert browser.post("/login", data=form).status_code == 303
                page = browser.get("/settings/account")
            assert f"/in/{handle}" in page.text


def test_the_year_leaves_a_ledger_that_holds(folder):
    with demo(folder) as shown:
        verified = command("ledger", "verify", "--json", "--data", folder)
        metrics = shown.get("/operator/metrics", "OPERATOR")

    assert verified.returncode == 0, verified.stderr
    checked = json.loads(verified.stdout)
    assert checked["sound"]
    assert checked["inmails"] == shown.inmails > 500
    pools = {total["pool"] for total in metrics["ledger"]}
    assert pools == {"premium", "sales_navigator", "recruiter"}
    kinds = {total["kind"] for total in metrics["ledger"]}
    assert kinds == {"grant", "spend", "refund", "defer", "no_refund", "expire", "forfeit"}
    states = {each["state"] for each in metrics["conversations"]}
    assert states >= {"open", "pending", "accepted", "declined", "withdrawn", "undeliverable"}


def test_a_second_start_goes_on_with_what_is_there(folder):
    with demo(folder) as first:
        sent = first.inmails
        known = first.get("/members", "OPERATOR")
    with demo(folder) as second:
        assert second.inmails == sent
        # Another year would have made others, of the same names.
        assert second.get("/members", "OPERATOR") == known
        assert second.variables["OPERATOR"] != first.variables["OPERATOR"]
        assert first.process.returncode == 0

        other = command("demo", "--data", folder, "--port", "0")
        assert other.returncode == 1
        assert "already serves the data" in other.stderr


def test_of_a_year_that_was_killed_nothing_is_left_and_the_next_demo_is_whole():
    with temporary_folder() as made:
        data, archive = made / "demo", made / "export.zip"
        with zipfile.ZipFile(archive, "w") as packed:
            for file in SAMPLE.iterdir():
                packed.write(file, file.name)
        process = begin(data, "--archive", archive)
        with holding(data) as server:
            wait_for_a_long_transaction(server)
            process.kill()
            process.communicate()

        with demo(data, "--archive", archive) as whole:
            assert any(line.startswith("Imported as you: ") for line in whole.page)
            assert whole.get("/me", "YOU")["premium"]
            assert whole.get("/conversations", "YOU")["items"]
            members = whole.get("/operator/metrics", "OPERATOR")["members"]
            signed_up = members["open"] - members["unclaimed"]
            told = "one of the cast has left; you and the operator have an account"
            assert signed_up == len(CAST) + 1, told
            verified = command("ledger", "verify", "--data", data)
            assert verified.returncode == 0, verified.stderr

        with demo(data, "--archive", archive) as second:
            assert not any(line.startswith("Imported") for line in second.page)
            assert second.get("/me", "YOU")["premium"]


def test_a_folder_with_other_data_is_left_alone():
    with temporary_folder() as made:
        assert command("migrate", "--data", made / "real").returncode == 0

        refused = command("demo", "--data", made / "real", "--port", "0")

        assert refused.returncode == 1
        assert "holds data that are not a demo's" in refused.stderr
        assert refused.stderr.count("\n") == 1


def test_it_lives_in_another_servers_database_that_is_empty_or_its_own(empty_database_url):
    there = ("--database-url", empty_database_url)
    unsafe = {"OVERTURE_ACCEPT_UNSAFE_DATABASE": "true"}
    with temporary_folder() as made:
        with demo(made / "one", *there, **unsafe) as first:
            assert first.get("/operator/metrics", "OPERATOR")["members"]["open"] > 55
            assert not (made / "one" / "postgres").exists()
        verified = command("ledger", "verify", "--json", *there)
        assert json.loads(verified.stdout)["accounts"] > 40, verified.stderr
        with demo(made / "two", *there, **unsafe) as second:
            assert second.inmails == first.inmails


def test_a_database_with_other_members_is_left_alone(database_url):
    with psycopg.connect(database_url) as connection:
        connection.execute(
            """insert into members (id, handle, name, created_at, search_text)
            values (gen_random_uuid(), 'ada', 'Ada', now(), 'ada')"""
        )
    with temporary_folder() as made:
        refused = command(
            *("demo", "--database-url", database_url, "--port", "0", "--data", made / "demo")
        )

        assert refused.returncode == 1
        assert "The database holds data that are not a demo's" in refused.stderr
        assert not (made / "demo").exists()


def test_without_a_folder_it_lives_beside_the_data_and_never_in_them():
    with temporary_folder() as made, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        refused = command("demo", "--port", port, OVERTURE_DATA=str(made / "real"))

        assert refused.returncode == 1
        assert f"Cannot listen on 127.0.0.1 port {port}: address already in use" in refused.stderr
        assert list(made.iterdir()) == [], "nothing was made for a demo that cannot be served"

        process = subprocess.Popen(
            [*COMMAND, "demo", "--port", "0"], env=environment(OVERTURE_DATA=str(made / "real"))
        )
        try:
            wait_until((made / "real-demo" / "DEMO.txt").exists)
            assert not (made / "real").exists()
        finally:
            process.terminate()
            assert process.wait(PATIENCE) == 0


def test_the_cast_can_be_nobody():
    assert len(CAST) == 60
    assert len(handles()) == len(CAST)
    # What the page calls them: each has a variable of their own.
    assert len({part.first_name for part in CAST}) == len(CAST)
    for part in CAST:
        assert not isinstance(text.handle(part.handle), text.BadText)
        assert part.company.endswith("(fictional)")
        assert part.time_zone in available_timezones()


def test_the_letters_fit_whoever_writes_and_reads():
    rng = Random(1)
    bodies = set()
    for sender, recipient in pairwise(CAST):
        for pool in ("premium", "sales_navigator", "recruiter", None):
            subject, body = letters.first_letter(rng, sender, recipient, pool)
            assert text.line(subject, 200) == subject
            assert text.body(body, 2000) == body
            assert "{" not in subject + body
            bodies.add(body)
        for turn in range(12):
            assert "{" not in letters.chat(turn, sender, recipient)
        assert len(text.note(letters.note(rng, sender, recipient))) <= text.NOTE_CHARS_MAX
    assert len(bodies) > 200


def run_in_a_shell(commands: list[str]) -> list[tuple[dict, int | None]]:
    """The answer and the status of each step: those that print one end with it."""
    steps = ("echo =====" if line.startswith("# ") else line for line in commands)
    done = subprocess.run(
        ["sh"],
        input="\n".join(["set -eu", *steps]),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    answers: list[tuple[dict, int | None]] = []
    for step in done.stdout.split("=====\n")[1:]:
        answer, *status = step.strip().split("\n")
        answers.append((json.loads(answer), int(status[0]) if status else None))
    return answers


@contextmanager
def holding(data: Path) -> Iterator[embedded.Embedded]:
    """The PostgreSQL of a demo that begins."""
    wait_until((data / "postgres" / "postmaster.pid").exists)
    with embedded.start(data) as server:
        yield server


def wait_for_a_long_transaction(server: embedded.Embedded) -> None:
    with psycopg.connect(server.admin_url, autocommit=True) as connection:
        wait_until(
            lambda: (
                connection.execute(
                    "select from pg_stat_activity "
                    "where backend_xid is not null and xact_start < clock_timestamp() - interval '1 s'"
                ).fetchone()
                is not None
            )
        )


def wait_until(true: object, seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.02)


def handles() -> set[str]:
    return {part.handle for part in CAST}


def instant(written: str) -> datetime:
    return datetime.fromisoformat(written)
