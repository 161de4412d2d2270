"""The schema's way forward: numbered migrations, applied once each and never changed.

They are the files `migrations/NNNN_name.sql`. Each runs in a transaction of its own and is recorded
in `schema_migrations` in that same transaction. Processes take turns by an advisory lock.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

import psycopg
from psycopg import Connection, errors
from psycopg.rows import TupleRow

# Any constant will do, as long as nothing else in the database takes it.
_ADVISORY_LOCK = 0x4F766572  # "Over"
_TURN_SECONDS_MAX = 60.0
_LOCK_TIMEOUT = "5s"
_ATTEMPTS_MAX = 5
_PAUSE_SECONDS = 1.0
_FILE_NAME = re.compile(r"(\d{4})_(\w+)\.sql")


class MigrationProblem(Exception):
    """The database and this code do not fit together, or could not be brought together now."""


@dataclass(frozen=True)
class Migration:
    """One step of the schema, as it is in the code."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def label(self) -> str:
        return f"{self.number:04}_{self.name}"


@dataclass(frozen=True)
class Applied:
    """One step of the schema, as a database or a backup remembers it."""

    number: int
    name: str
    checksum: str

    @property
    def label(self) -> str:
        return f"{self.number:04}_{self.name}"


def migrate(url: str, source: Traversable | None = None) -> list[str]:
    """Bring a database up to this code; the names of the migrations that it took.

    Those applied before a failure stay applied. Raises `MigrationProblem` when the database is
    newer than the code, when an applied migration was changed since, and when another process
    holds what a migration needs for too long.
    """
    known = migrations(source)
    with psycopg.connect(url, autocommit=True) as connection, _turn(connection):
        _ = connection.execute(
            """
            create table if not exists schema_migrations (
                number integer constraint schema_migrations_key primary key,
                name text not null,
                checksum text not null,
                applied_at timestamptz not null default now()
            )
            """
        )
        missing = remaining(known, _applied(connection))
        for migration in missing:
            _apply_patiently(connection, migration)
    return [migration.label for migration in missing]


def pending(url: str, source: Traversable | None = None) -> list[str]:
    """The names of the migrations that `migrate` would apply. Changes nothing.

    Raises `MigrationProblem` like `migrate`.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        present = connection.execute("select to_regclass('schema_migrations')").fetchone()
        applied = _applied(connection) if present and present[0] else []
    return [migration.label for migration in remaining(migrations(source), applied)]


def migrations(source: Traversable | None = None) -> list[Migration]:
    """The migrations of this code, or of another folder, in their order."""
    folder = source or resources.files("overture.store") / "migrations"
    found = [
        # Line ends are normalised on reading, so that a checkout's settings change no checksum.
        Migration(int(match[1]), match[2], file.read_text(encoding="utf-8"))
        for file in folder.iterdir()
        if (match := _FILE_NAME.fullmatch(file.name))
    ]
    found.sort(key=lambda migration: migration.number)
    numbers = [migration.number for migration in found]
    assert numbers == list(range(1, len(found) + 1)), (
        f"migrations are numbered from 1 on, without gaps or twins: {numbers}"
    )
    return found


def remaining(known: Sequence[Migration], applied: Sequence[Applied]) -> list[Migration]:
    """The known migrations that are not applied yet.

    Raises `MigrationProblem` when what is applied is not a beginning of what is known.
    """
    code = {migration.number: migration for migration in known}
    for step in applied:
        if step.number not in code:
            raise MigrationProblem(
                f"The data are newer than this Overture, which does not know {step.label}. "
                + "Use the newer Overture that wrote them."
            )
        if step.checksum != code[step.number].checksum:
            raise MigrationProblem(
                f"The migration {step.label} was applied in another wording than this Overture "
                + "has. Use the Overture that wrote the data, or restore the file that was changed."
            )
    done = {step.number for step in applied}
    return [migration for migration in known if migration.number not in done]


@contextmanager
def _turn(connection: Connection[TupleRow]) -> Generator[None]:
    """Nobody else migrates this database meanwhile."""
    given_up_at = time.monotonic() + _TURN_SECONDS_MAX
    # Asked for again and again, since a waiting statement would keep its snapshot, and with it
    # every `create index concurrently` of the one it waits for.
    while not _scalar(connection, f"select pg_try_advisory_lock({_ADVISORY_LOCK})"):
        if time.monotonic() > given_up_at:
            raise MigrationProblem(
                "Another process has been migrating this database for a minute. "
                + "Wait until it is done, then try again."
            )
        time.sleep(_PAUSE_SECONDS / 10)
    try:
        yield
    finally:
        # A connection that was lost has let go of it already.
        if not connection.closed:
            _ = connection.execute("select pg_advisory_unlock(%s)", [_ADVISORY_LOCK])


def _scalar(connection: Connection[TupleRow], query: str) -> object:
    row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


def _applied(connection: Connection[TupleRow]) -> list[Applied]:
    rows = connection.execute(
        "select number, name, checksum from schema_migrations order by number"
    )
    return [Applied(*row) for row in rows]


def _apply_patiently(connection: Connection[TupleRow], migration: Migration) -> None:
    """Apply it, trying again when readers and writers hold its tables.

    While a migration waits for a table, everyone else queues behind it: so it waits briefly, and
    lets them through in between.
    """
    for _attempt in range(_ATTEMPTS_MAX):
        try:
            _apply(connection, migration)
        except errors.LockNotAvailable:
            time.sleep(_PAUSE_SECONDS)
        else:
            return
    raise MigrationProblem(
        f"The migration {migration.label} found its tables in use {_ATTEMPTS_MAX} times "
        + "and gave up. Nothing of it was applied. Try again when less is going on, or stop the "
        + "servers."
    )


def _apply(connection: Connection[TupleRow], migration: Migration) -> None:
    with connection.transaction():
        _ = connection.execute("select set_config('lock_timeout', %s, true)", [_LOCK_TIMEOUT])
        # Without parameters, and so with as many statements as the file has.
        _ = connection.execute(migration.text.encode())
        _ = connection.execute(
            "insert into schema_migrations (number, name, checksum) values (%s, %s, %s)",
            [migration.number, migration.name, migration.checksum],
        )
