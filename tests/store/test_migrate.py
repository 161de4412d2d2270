"""Migrations: applied in order, once each, and never out of step with the code."""

from __future__ import annotations

import threading
from pathlib import Path

import psycopg
import pytest

from overture.store import migrate as migrating
from overture.store.durability import check_durability, check_version
from overture.store.migrate import MigrationProblem, migrate, migrations, pending


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with two migrations."""
    (tmp_path / "0001_first.sql").write_text(
        "-- Why.\ncreate table towns (name text);\ninsert into towns values ('Ely');\n"
    )
    (tmp_path / "0002_second.sql").write_text("alter table towns add mayor text;\n")
    (tmp_path / "README.md").write_text("no migration")
    return tmp_path


def test_migrations_are_applied_in_order_and_once(empty_database_url: str, source: Path):
    assert pending(empty_database_url, source) == ["0001_first", "0002_second"]
    assert migrate(empty_database_url, source) == ["0001_first", "0002_second"]
    assert pending(empty_database_url, source) == []
    assert migrate(empty_database_url, source) == []
    assert towns(empty_database_url) == [("Ely", None)]


def test_a_later_migration_is_applied_to_what_is_there(empty_database_url: str, source: Path):
    migrate(empty_database_url, source)
    (source / "0003_third.sql").write_text("update towns set mayor = 'Ada'")

    assert migrate(empty_database_url, source) == ["0003_third"]
    assert towns(empty_database_url) == [("Ely", "Ada")]


def test_asking_what_is_pending_changes_nothing(empty_database_url: str, source: Path):
    pending(empty_database_url, source)

    with psycopg.connect(empty_database_url) as connection:
        found = connection.execute("select to_regclass('schema_migrations')").fetchone()
    assert found == (None,)


def test_a_migration_that_fails_leaves_nothing_and_keeps_the_earlier_ones(
    empty_database_url: str, source: Path
):
    (source / "0003_third.sql").write_text("delete from towns; select 1 / 0")

    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(empty_database_url, source)

    assert pending(empty_database_url, source) == ["0003_third"]
    assert towns(empty_database_url) == [("Ely", None)]


def test_a_changed_migration_is_refused(empty_database_url: str, source: Path):
    migrate(empty_database_url, source)
    (source / "0001_first.sql").write_text("create table cities (name text)")

    for attempt in (migrate, pending):
        with pytest.raises(MigrationProblem, match="0001_first was applied in another wording"):
            attempt(empty_database_url, source)


def test_other_line_ends_are_no_change(empty_database_url: str, source: Path):
    migrate(empty_database_url, source)
    first = source / "0001_first.sql"
    first.write_bytes(first.read_bytes().replace(b"\n", b"\r\n"))

    assert migrate(empty_database_url, source) == []


def test_a_database_newer_than_the_code_is_refused(empty_database_url: str, source: Path):
    migrate(empty_database_url, source)
    (source / "0002_second.sql").unlink()

    for attempt in (migrate, pending):
        with pytest.raises(MigrationProblem, match="does not know 0002_second"):
            attempt(empty_database_url, source)


@pytest.mark.parametrize("name", ["0004_gap.sql", "0002_twin.sql"])
def test_numbers_have_no_gaps_and_no_twins(source: Path, name: str):
    (source / name).touch()
    with pytest.raises(AssertionError, match="without gaps or twins"):
        migrations(source)


def test_two_processes_at_once_apply_each_migration_once(empty_database_url: str, source: Path):
    (source / "0001_first.sql").write_text("select pg_sleep(0.3); create table towns (name text)")
    applied: list[str] = []
    both = [
        threading.Thread(target=lambda: applied.extend(migrate(empty_database_url, source)))
        for _ in range(2)
    ]
    for one in both:
        one.start()
    for one in both:
        one.join()

    assert applied == ["0001_first", "0002_second"]


def test_a_migration_waits_for_a_busy_table_and_then_goes_through(
    empty_database_url: str, source: Path, monkeypatch: pytest.MonkeyPatch
):
    impatiently(monkeypatch)
    # It may take a while until the other gives way.
    monkeypatch.setattr(migrating, "_ATTEMPTS_MAX", 100)
    (source / "0003_third.sql").write_text("alter table towns add river text")
    with psycopg.connect(empty_database_url) as reader:
        migrate_first_two(empty_database_url, source)
        reader.execute("select from towns")
        soon = threading.Timer(0.3, reader.rollback)
        soon.start()

        assert migrate(empty_database_url, source) == ["0003_third"]
        soon.join()


def test_a_migration_gives_up_on_a_table_that_stays_busy(
    empty_database_url: str, source: Path, monkeypatch: pytest.MonkeyPatch
):
    impatiently(monkeypatch)
    (source / "0003_third.sql").write_text("alter table towns add river text")
    with psycopg.connect(empty_database_url) as reader:
        migrate_first_two(empty_database_url, source)
        reader.execute("select from towns")

        with pytest.raises(MigrationProblem, match="0003_third found its tables in use"):
            migrate(empty_database_url, source)

    assert migrate(empty_database_url, source) == ["0003_third"]


def test_a_migrator_that_never_ends_is_not_waited_for_for_ever(
    empty_database_url: str, source: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(migrating, "_TURN_SECONDS_MAX", 0.2)
    with psycopg.connect(empty_database_url) as other:
        other.execute("select pg_advisory_lock(%s)", [migrating._ADVISORY_LOCK])

        with pytest.raises(MigrationProblem, match="Another process"):
            migrate(empty_database_url, source)


def test_the_packaged_migrations_make_the_schema(database_url: str):
    assert migrations()[0].number == 1
    assert pending(database_url) == []


def test_a_server_that_may_forget_is_noticed(empty_database_url: str):
    # That of the tests never waits for the disk; it is noticed like the rest.
    before = check_durability(empty_database_url)
    assert "synchronous_commit" not in before
    forgetful = empty_database_url + "&options=-csynchronous_commit%3Doff"
    assert set(check_durability(forgetful)) - set(before) == {"synchronous_commit"}


def test_a_server_new_enough_is_accepted(empty_database_url: str, monkeypatch: pytest.MonkeyPatch):
    assert check_version(empty_database_url) is None

    monkeypatch.setattr("overture.store.durability._MAJOR_VERSION_MIN", 99)
    assert "needs 99 or newer" in str(check_version(empty_database_url))


def towns(url: str) -> list[tuple[str, str | None]]:
    with psycopg.connect(url) as connection:
        return connection.execute("select name, mayor from towns").fetchall()


def impatiently(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrating, "_LOCK_TIMEOUT", "100ms")
    monkeypatch.setattr(migrating, "_PAUSE_SECONDS", 0.1)


def migrate_first_two(url: str, source: Path) -> None:
    third = (source / "0003_third.sql").rename(source / "later")
    migrate(url, source)
    third.rename(source / "0003_third.sql")
