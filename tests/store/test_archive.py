"""Restoring any moment: what was committed by then is there, what came later is not."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from overture.store import embedded
from tests.databases import temporary_folder
from tests.running import Running, command, serving
from tests.watch.scraping import send_a_letter


@dataclass
class Lived:
    """An archive, and the moment between the second letter and the third."""

    folder: Path
    between: datetime
    begun: datetime
    data: Path


@pytest.fixture(scope="module")
def lived() -> Iterator[Lived]:
    # Where the user whom PostgreSQL runs as may walk to.
    archive = Path(tempfile.mkdtemp(prefix="overture-archive-", dir="/tmp"))
    archive.chmod(0o755)
    with temporary_folder() as folder:
        data = folder / "data"
        with serving("--data", data, "--archive", archive) as server:
            letter(server, "first")
            made = command("backup", "--base", "--json", "--data", data)
            assert made.returncode == 0, made.stderr
            begins = datetime.fromisoformat(json.loads(made.stdout)["at"])
            letter(server, "second")
            with embedded.start(data) as database:
                # The archive begins with a whole second, which may lie ahead a little.
                while now(database) <= begins:
                    time.sleep(0.05)
                between = now(database)
            time.sleep(0.05)
            letter(server, "third")
            # At the end, PostgreSQL archives what it has.
            assert server.stop() == 0
        yield Lived(archive, between, begins, data)
    shutil.rmtree(archive)


def letter(server: Running, name: str) -> None:
    send_a_letter(server, f"{name}-writer", f"{name}-reader")


def now(database: embedded.Embedded) -> datetime:
    with psycopg.connect(database.admin_url) as connection:
        row = connection.execute("select clock_timestamp()").fetchone()
    assert row is not None
    return row[0].astimezone(UTC)


def restored(lived: Lived, folder: Path, *options: str) -> Path:
    data = folder / "again"
    ran = command("restore", lived.folder, *options, "--data", data)
    assert ran.returncode == 0, ran.stderr
    return data


def writers(data: Path) -> list[str]:
    with embedded.start(data) as database, psycopg.connect(database.url) as connection:
        rows = connection.execute(
            "select m.handle from conversations c join members m on m.id = c.owner_id order by 1"
        ).fetchall()
    return [handle.partition("-")[0] for (handle,) in rows]


def test_a_moment_between_two_letters_has_the_one_and_not_the_other(lived: Lived):
    with temporary_folder() as folder:
        data = restored(lived, folder, "--to", lived.between.isoformat())

        assert writers(data) == ["first", "second"]
        for what in ("ledger", "audit"):
            verified = command(what, "verify", "--data", data)
            assert verified.returncode == 0, verified.stderr
        # And it goes on from there, as a database like any other.
        with serving("--data", data) as server:
            letter(server, "fourth")
        assert writers(data) == ["first", "fourth", "second"]


def test_without_a_moment_all_that_was_archived_is_there(lived: Lived):
    with temporary_folder() as folder:
        assert writers(restored(lived, folder)) == ["first", "second", "third"]


def test_a_moment_before_the_archive_and_one_after_it_are_refused_and_nothing_is_left(lived: Lived):
    with temporary_folder() as folder:
        data = folder / "again"
        for moment, why in (
            (lived.begun - timedelta(hours=1), "nothing before that can be restored"),
            (datetime.now(UTC) + timedelta(hours=1), "does not reach so far"),
        ):
            ran = command("restore", lived.folder, "--to", moment.isoformat(), "--data", data)
            assert ran.returncode == 1
            assert why in ran.stderr
            assert not (data / "postgres").exists()
        # So that the folder can be used for what was meant.
        assert writers(restored(lived, folder)) == ["first", "second", "third"]


def test_a_folder_with_data_a_damaged_copy_and_what_is_no_archive_are_refused(lived: Lived):
    with temporary_folder() as folder:
        onto = command("restore", lived.folder, "--data", lived.data)
        nothing = command("restore", folder, "--data", folder / "again")
        damaged = folder / "archive"
        shutil.copytree(lived.folder, damaged)
        (base,) = (damaged / "base").iterdir()
        victim = max((base / "base").rglob("*"), key=lambda file: file.stat().st_size)
        victim.write_bytes(b"x" + victim.read_bytes()[1:])
        broken = command("restore", damaged, "--data", folder / "again")

        assert "holds data already" in onto.stderr
        assert "is no archive of Overture's" in nothing.stderr
        assert "is damaged" in broken.stderr
        assert not (folder / "again" / "postgres").exists()


def test_old_copies_go_with_the_log_from_before_them_and_the_rest_still_restores(lived: Lived):
    with temporary_folder() as folder:
        archive = Path(tempfile.mkdtemp(prefix="overture-archive-", dir="/tmp"))
        archive.chmod(0o755)
        data = folder / "data"
        shutil.copytree(lived.data, data)
        with serving("--data", data, "--archive", archive) as server:
            for name in ("fifth", "sixth"):
                letter(server, name)
                assert command("backup", "--base", "--data", data).returncode == 0
                time.sleep(1.1)
            before = sorted(each.name for each in (archive / "wal").iterdir())
            assert command("backup", "--base", "--keep", "1", "--data", data).returncode == 0
            after = sorted(each.name for each in (archive / "wal").iterdir())
        assert len(list((archive / "base").iterdir())) == 1
        assert set(before) - set(after)
        begun = Lived(archive, lived.between, lived.begun, data)
        assert {"fifth", "sixth"} <= set(writers(restored(begun, folder)))
        shutil.rmtree(archive)


def test_what_needs_an_archive_says_so(database_url: str, tmp_path: Path):
    with temporary_folder() as folder:
        none = command("backup", "--base", "--data", folder / "data")
        inside = command("serve", "--data", folder / "data", "--archive", folder / "data" / "a")
    elsewhere = command("serve", "--database-url", database_url, "--archive", tmp_path)

    assert "The database has no archive." in none.stderr
    assert "cannot lie in the data folder" in inside.stderr
    assert "--archive is for the embedded PostgreSQL" in elsewhere.stderr
    assert {none.returncode, inside.returncode, elsewhere.returncode} == {1}
