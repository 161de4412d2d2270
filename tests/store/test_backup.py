"""Backups: whole, private, and restored all or not at all."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import psycopg
import pytest
from psycopg import errors

from overture.store import embedded, migrate
from overture.store.backup import BackupProblem, backup, restore
from tests.databases import Databases

LEDGER = """
create table book (entry integer constraint book_key primary key, words text);
insert into book select n, repeat(md5(n::text), 10) from generate_series(1, 20000) n;
revoke update, delete, truncate on book from current_user;
grant select on book to public;
"""


@pytest.fixture
def url(database_url: str) -> str:
    """A database with a table that its own owner may only append to."""
    with psycopg.connect(database_url) as connection:
        connection.execute(LEDGER)
    return database_url


def test_what_goes_in_comes_out(url: str, empty_database_url: str, tmp_path: Path):
    backup(url, tmp_path / "a backup")
    restore(empty_database_url, tmp_path / "a backup")

    assert contents(empty_database_url) == contents(url)
    assert migrate.pending(empty_database_url) == []


def test_a_restored_ledger_can_still_only_be_appended_to(
    url: str, empty_database_url: str, tmp_path: Path
):
    backup(url, tmp_path / "backup")
    restore(empty_database_url, tmp_path / "backup")

    assert privileges(empty_database_url) == privileges(url)
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("insert into book values (0, 'added')")
        for change in (b"update book set words = ''", b"delete from book", b"truncate book"):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(change)


def test_a_ledger_restored_by_another_role_can_only_be_appended_to(
    url: str, databases: Databases, tmp_path: Path
):
    backup(url, tmp_path / "backup")
    other_url = databases.empty(owner=databases.another_role())
    restore(other_url, tmp_path / "backup")

    assert contents(other_url) == contents(url)
    with psycopg.connect(other_url) as connection:
        connection.execute("insert into book values (0, 'added')")
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("delete from book")


def test_a_backup_of_a_backup_is_the_same(url: str, empty_database_url: str, tmp_path: Path):
    backup(url, tmp_path / "first")
    restore(empty_database_url, tmp_path / "first")
    backup(empty_database_url, tmp_path / "second")

    assert script(tmp_path / "second") == script(tmp_path / "first")


def test_only_its_owner_may_read_a_backup(url: str, tmp_path: Path):
    backup(url, tmp_path / "backup")
    assert stat.S_IMODE((tmp_path / "backup").stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["backup"]


def test_an_existing_file_is_overwritten_only_when_told_to(url: str, tmp_path: Path):
    target = tmp_path / "backup"
    target.write_text("the only copy of a thesis")

    with pytest.raises(BackupProblem, match="exists already"):
        backup(url, target)
    assert target.read_text() == "the only copy of a thesis"

    backup(url, target, overwrite=True)
    assert target.read_bytes().startswith(b"PGDMP")


def test_a_backup_that_fails_leaves_no_file_and_spares_the_old_one(
    empty_database_url: str, tmp_path: Path
):
    target = tmp_path / "backup"
    target.write_text("last night's")

    with pytest.raises(BackupProblem, match="no data of Overture"):
        backup(empty_database_url, target, overwrite=True)
    assert target.read_text() == "last night's"
    assert [entry.name for entry in tmp_path.iterdir()] == ["backup"]

    with pytest.raises(BackupProblem, match="No such file or directory"):
        backup(empty_database_url, tmp_path / "nowhere" / "backup")


def test_progress_goes_from_nothing_to_all(url: str, tmp_path: Path):
    seen: list[tuple[int, int]] = []
    backup(url, tmp_path / "backup", progress=lambda done, total: seen.append((done, total)))

    total = seen[0][1]
    assert seen[0] == (0, total)
    assert seen[-1] == (total, total)
    assert seen == sorted(seen)


def test_progress_of_restoring_goes_through_the_file(
    url: str, empty_database_url: str, tmp_path: Path
):
    with psycopg.connect(url) as connection:
        connection.execute("create table noise (what text)")
        # More than goes at once, and nothing that could be compressed.
        connection.execute(
            """insert into noise select string_agg(md5(random()::text), '')
            from generate_series(1, 60000)"""
        )
    backup(url, tmp_path / "backup")
    seen: list[tuple[int, int]] = []
    restore(empty_database_url, tmp_path / "backup", lambda *told: seen.append(told))

    size = (tmp_path / "backup").stat().st_size
    assert len(seen) > 2
    assert seen[-1] == (size, size)
    assert seen == sorted(seen)
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("select length(what) from noise").fetchone() == (60_000 * 32,)


def test_a_database_with_anything_in_it_is_not_restored_into(
    url: str, empty_database_url: str, tmp_path: Path
):
    backup(url, tmp_path / "backup")
    with psycopg.connect(empty_database_url) as connection:
        connection.execute("create table mine (words text)")

    with pytest.raises(BackupProblem, match=r"not empty \(it has public\.mine\)"):
        restore(empty_database_url, tmp_path / "backup")
    assert tables(empty_database_url) == ["mine"]


def test_an_extension_that_is_there_already_is_no_obstacle(
    url: str, databases: Databases, empty_database_url: str, tmp_path: Path
):
    backup(url, tmp_path / "backup")
    databases.execute_as_admin(empty_database_url, "create extension pg_trgm")

    restore(empty_database_url, tmp_path / "backup")

    assert contents(empty_database_url) == contents(url)


def test_what_is_no_backup_of_overture_is_refused(
    url: str, empty_database_url: str, tmp_path: Path
):
    (tmp_path / "thesis").write_text("It was a dark and stormy night.")
    foreign = tmp_path / "foreign"
    subprocess.run(
        [embedded.binary("pg_dump"), "-Fc", "-f", foreign, "-T", "schema_migrations", "-d", url],
        check=True,
    )

    for file in (tmp_path / "thesis", foreign):
        with pytest.raises(BackupProblem, match="is not a backup of Overture"):
            restore(empty_database_url, file)
    with pytest.raises(BackupProblem, match="no backup at"):
        restore(empty_database_url, tmp_path / "nothing")
    assert tables(empty_database_url) == []


def test_a_backup_of_a_newer_overture_is_refused(url: str, empty_database_url: str, tmp_path: Path):
    with psycopg.connect(url) as connection:
        connection.execute(
            """
            insert into schema_migrations (number, name, checksum)
            values (9999, 'from_the_future', repeat('0', 64))
            """
        )
    backup(url, tmp_path / "backup")

    with pytest.raises(BackupProblem, match="does not know 9999_from_the_future"):
        restore(empty_database_url, tmp_path / "backup")
    assert tables(empty_database_url) == []


@pytest.mark.parametrize("damage", ["cut short", "altered"])
def test_a_damaged_backup_leaves_the_database_empty(
    url: str, empty_database_url: str, tmp_path: Path, damage: str
):
    file = tmp_path / "backup"
    backup(url, file)
    whole = file.read_bytes()
    middle = len(whole) // 2
    cut, altered = whole[:middle], whole[:middle] + bytes(1000) + whole[middle + 1000 :]
    file.write_bytes(cut if damage == "cut short" else altered)

    with pytest.raises(BackupProblem, match=r"damaged|could not be restored"):
        restore(empty_database_url, file)
    assert tables(empty_database_url) == []


def test_a_statement_that_fails_leaves_the_database_empty(
    url: str, empty_database_url: str, tmp_path: Path
):
    with psycopg.connect(url) as connection:
        # Its check passes for the row that it has, but no longer when the row comes back.
        connection.execute(
            """
            create table clock (at timestamptz);
            insert into clock values (now());
            alter table clock add check (at > now() - interval '1 second');
            """
        )
        connection.commit()
        backup(url, tmp_path / "backup")
        connection.execute("select pg_sleep(1.1)")

    with pytest.raises(BackupProblem, match="violates check constraint"):
        restore(empty_database_url, tmp_path / "backup")
    assert tables(empty_database_url) == []


# --- Helpers ------------------------------------------------------------------------------------


def contents(url: str) -> object:
    with psycopg.connect(url) as connection:
        book = connection.execute("select count(*), md5(string_agg(words, '')) from book")
        steps = connection.execute("select * from schema_migrations")
        return book.fetchall(), steps.fetchall(), tables(url)


def tables(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "select tablename from pg_tables where schemaname = 'public' order by 1"
        )
        return [name for (name,) in rows]


def privileges(url: str) -> list[tuple[str, str]]:
    with psycopg.connect(url) as connection:
        return connection.execute(
            """
            select relname, relacl::text
            from pg_class
            where relacl is not null and relnamespace = 'public'::regnamespace
            order by 1
            """
        ).fetchall()


def script(file: Path) -> list[str]:
    """The archive as SQL, without what is new each time."""
    made = subprocess.run(
        [embedded.binary("pg_restore"), "--no-comments", "--file=-", file],
        capture_output=True,
        text=True,
        check=True,
    )
    return [line for line in made.stdout.splitlines() if not line.startswith(("--", "\\"))]
