"""An upgrade while members write: the previous release's code goes on over the new schema.

The previous release is the commit before the last migration was added, its code taken from the history.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import threading
import time
from io import BytesIO
from pathlib import Path

import httpx
import psycopg
import pytest

from overture.store import migrate
from tests.running import OPERATOR_TOKEN, command, serving

ROOT = Path(__file__).parents[2]
MIGRATIONS = ROOT / "src" / "overture" / "store" / "migrations"
# What squawk is not asked about, and why.
NOT_ASKED = (
    # Each runs in a transaction of its own, with a lock_timeout that `store.migrate` sets.
    "require-timeout-settings",
    "require-concurrent-index-creation",
    "require-concurrent-index-deletion",
    "prefer-robust-stmts",
    # Of taste: the house has its own.
    "prefer-text-field",
    "prefer-bigint-over-int",
    "prefer-bigint-over-smallint",
    "prefer-identity",
)
# From before there was a release that anybody could upgrade from.
FOUND_BEFORE = {
    ("0010_chain.sql", "adding-not-nullable-field"),
    ("0016_identities.sql", "ban-drop-not-null"),
    ("0019_push.sql", "constraint-missing-not-valid"),
}


def found_in(*files: Path) -> set[tuple[str, str]]:
    """What squawk finds that would hold others up, or that running code would trip over."""
    squawk = Path(sys.executable).with_name("squawk")
    ran = subprocess.run(
        [
            *(squawk, "--reporter=gcc", "--assume-in-transaction", "--pg-version=15.0"),
            *(f"--exclude={rule}" for rule in NOT_ASKED),
            *files,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode in (0, 1), ran.stderr
    lines = [line for line in ran.stdout.splitlines() if ".sql:" in line]
    return {(Path(line.partition(":")[0]).name, line.split(": ")[2].split()[0]) for line in lines}


def test_no_migration_holds_up_or_trips_the_servers_that_run_meanwhile():
    assert found_in(*sorted(MIGRATIONS.glob("*.sql"))) <= FOUND_BEFORE


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("alter table members drop column name", "ban-drop-column"),
        ("alter table members rename column name to called", "renaming-column"),
        ("alter table members alter column name type varchar(10)", "changing-column-type"),
        ("alter table members add column x text not null", "adding-required-field"),
        ("drop table members", "ban-drop-table"),
    ],
)
def test_a_migration_that_would_is_found(tmp_path: Path, statement: str, rule: str):
    (tmp_path / "0099_planted.sql").write_text(statement + ";\n")

    assert ("0099_planted.sql", rule) in found_in(tmp_path / "0099_planted.sql")


def test_a_migration_that_meets_a_long_transaction_lets_others_through(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """It waits briefly for its lock, gives way, and tries again; whoever reads is held up no longer."""
    for each in MIGRATIONS.glob("*.sql"):
        (tmp_path / each.name).write_text(each.read_text())
    number = len(migrate.migrations()) + 1
    (tmp_path / f"{number:04}_next.sql").write_text("alter table members add column next text;\n")
    monkeypatch.setattr(migrate, "_LOCK_TIMEOUT", "200ms")
    with psycopg.connect(database_url) as holder, psycopg.connect(database_url) as reader:
        holder.execute("select * from members limit 1")
        migrating = threading.Thread(target=lambda: migrate.migrate(database_url, tmp_path))
        migrating.start()
        # Behind a migration that did not give way, a reader would wait for the long transaction.
        reader.execute("set statement_timeout = '20s'")
        reader.commit()
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            reader.execute("select count(*) from members")
            reader.commit()
        holder.rollback()
        migrating.join()

    assert migrate.pending(database_url, tmp_path) == []


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The previous release's code, and what it needs beside it."""
    last = max(MIGRATIONS.glob("*.sql")).relative_to(ROOT)
    added = git("log", "--diff-filter=A", "--format=%H", "-1", "--", str(last)).decode().strip()
    before = git("rev-parse", "--verify", "-q", f"{added}^") if added else b""
    if not before:
        pytest.skip("this checkout has no history: there is no previous release to upgrade from")
    folder = tmp_path_factory.mktemp("previous")
    with tarfile.open(
        fileobj=BytesIO(git("archive", before.decode().strip(), "src", "policies"))
    ) as tar:
        tar.extractall(folder, filter="data")
    assert not (folder / last).exists()
    return folder


def git(*arguments: str) -> bytes:
    ran = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False)
    return ran.stdout if ran.returncode == 0 else b""


def test_the_previous_release_goes_on_while_the_schema_is_brought_up_to_date(
    empty_database_url: str, previous: Path
):
    url = empty_database_url
    options = ("--database-url", url)
    with serving(*options, PYTHONPATH=str(previous / "src")) as before:
        people = [before.make_member(f"member-{number}").json()["id"] for number in range(12)]
        for each in people:
            before.request(
                "PUT",
                "/api/v1/me/subscriptions/premium",
                {"plan": "premium_business"},
                headers={"Act-As": each},
            ).raise_for_status()
        assert migrate.pending(url), "there is something to bring up to date"
        addresses = [before.address]
        over = threading.Event()
        answers: list[object] = []
        writing = threading.Thread(target=lambda: write(addresses, people, over, answers))
        writing.start()
        wait_for(answers, 5)
        done = command("migrate", *options)
        assert done.returncode == 0, done.stderr
        assert migrate.pending(url) == []
        wait_for(answers, len(answers) + 10)
        with serving(*options) as after:
            # Both answer for a while, as behind a balancer; then the old one ends.
            addresses[:] = [before.address, after.address]
            wait_for(answers, len(answers) + 10)
            addresses[:] = [after.address]
            wait_for(answers, len(answers) + 2)
            assert before.stop() == 0
            wait_for(answers, len(answers) + 10)
            over.set()
            writing.join()

    assert set(answers) <= {200, 201}, [each for each in answers if each not in (200, 201)][:3]
    assert answers.count(201) > 20
    assert command("ledger", "verify", *options).returncode == 0


def write(
    addresses: list[str], people: list[str], over: threading.Event, answers: list[object]
) -> None:
    """Letters and inboxes, until it is over; what each was answered."""
    pairs = iter([(one, other) for one in people for other in people if one < other])
    while not over.is_set():
        for address in tuple(addresses):
            pair = next(pairs, None)
            acting = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}
            if pair is None:
                answered = httpx.get(
                    f"{address}/api/v1/conversations",
                    headers=acting | {"Act-As": people[0]},
                    timeout=60,
                )
            else:
                answered = httpx.post(
                    f"{address}/api/v1/conversations",
                    json={"to": pair[1], "subject": "Hello", "body": "Do you have a minute?"},
                    headers=acting | {"Act-As": pair[0]},
                    timeout=60,
                )
            good = answered.status_code in (200, 201)
            answers.append(answered.status_code if good else answered.text)
            time.sleep(0.02)


def wait_for(answers: list[object], count: int) -> None:
    until = time.monotonic() + 60
    while len(answers) < count:
        assert time.monotonic() < until, answers[-3:]
        time.sleep(0.05)
