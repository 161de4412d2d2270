"""The embedded database's whole history: base copies, and its log ever since, to restore any moment.

An archive is a folder of its own, best on another disk:

    base/20261126T080000Z/  a copy of the database, as `pg_basebackup` makes it, by when it was whole
    wal/                    PostgreSQL's log, piece by piece, as `basic_archive` puts it there

An archive is switched on in the database's own settings, so that whoever starts PostgreSQL archives.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from overture.store import embedded
from overture.store.backup import BackupProblem
from overture.store.durability import sync
from overture.store.embedded import DatabaseFailed, DataInUse, Embedded

# A piece of the log is closed after so long, also where little was written: what can be lost at most.
PIECE_SECONDS = 60
# In place of a folder: no archive.
NONE = "none"

_STAMP = "%Y%m%dT%H%M%SZ"
_DONE = re.compile(r"\d{8}T\d{6}Z")
_FIRST_PIECE = re.compile(r"START WAL LOCATION: \S+ \(file ([0-9A-F]{24})\)")
_TOO_SHORT = "recovery ended before configured recovery target was reached"


@dataclass(frozen=True, slots=True)
class Base:
    """A copy of the database that was whole at an instant."""

    folder: Path
    at: datetime


# Archiving ------------------------------------------------------------------------------------------


@contextmanager
def started(data: Path, wanted: str | None) -> Generator[Embedded]:
    """The embedded database, with its archive in the folder that is `wanted`; NONE for none, and None
    for what was set before. Raises a DataProblem.
    """
    with embedded.start(data) as server:
        restart = wanted is not None and _set(server, _folder(data, wanted))
        if not restart:
            yield server
            return
    with embedded.start(data) as server:
        if _shown(server, "archive_mode") != ("off" if wanted == NONE else "on"):
            raise DataInUse(
                "The archive is switched on or off when PostgreSQL starts, and another command keeps "
                + "it running. End that one, and start again."
            )
        yield server


def folder_of(server: Embedded) -> Path | None:
    """Where the database's archive is; None where it has none."""
    if _shown(server, "archive_mode") == "off":
        return None
    where = _setting(server, "basic_archive.archive_directory")
    return Path(where).parent if where else None


def base(server: Embedded, keep: int | None = None) -> Base:
    """Copies the whole database into its archive; servers may go on writing to it.

    With `keep`, copies but for the newest so many are dropped, and the log from before them. Raises
    BackupProblem.
    """
    folder = folder_of(server)
    if folder is None:
        raise BackupProblem(
            "The database has no archive. Start the server with --archive and a folder for it."
        )
    unfinished = folder / "base" / f".{os.getpid()}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(mode=0o700)
        _run(
            *("pg_basebackup", "--pgdata", str(unfinished), f"--dbname={server.admin_url}"),
            *("--checkpoint=fast", "--wal-method=stream", "--no-password"),
            failing="The database could not be copied",
        )
        # Rounded up: the copy is whole by then in any case.
        at = _now(server) + timedelta(seconds=1)
        made = unfinished.rename(folder / "base" / f"{at:{_STAMP}}")
        sync(folder / "base")
    except OSError as problem:
        raise BackupProblem(
            f"{folder} cannot be written: {(problem.strerror or 'no reason given').lower()}."
        ) from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    if keep is not None:
        _drop_old(folder, keep)
    return Base(made, at.replace(microsecond=0))


def bases(folder: Path) -> Sequence[Base]:
    """The copies in an archive, the oldest first. Raises BackupProblem where it is none."""
    if not (folder / "base").is_dir() or not (folder / "wal").is_dir():
        raise BackupProblem(f"{folder} is no archive of Overture's: it has no base and wal in it.")
    return [
        Base(each, datetime.strptime(each.name, _STAMP).replace(tzinfo=UTC))
        for each in sorted((folder / "base").iterdir())
        if _DONE.fullmatch(each.name)
    ]


# Restoring ------------------------------------------------------------------------------------------


def restore(folder: Path, data: Path, to: datetime | None) -> Base:
    """Makes a new data folder as the data stood at an instant, or as far as the archive goes.

    All of it or nothing. Returns the copy that it began with. Raises BackupProblem, and a DataProblem
    where the folder for the data cannot be used.
    """
    known = bases(folder)
    if not known:
        raise BackupProblem(f"The archive in {folder} holds no copy to begin with.")
    usable = [each for each in known if to is None or each.at <= to]
    if not usable:
        raise BackupProblem(
            f"The archive in {folder} begins at {known[0].at:%Y-%m-%dT%H:%M:%SZ}: nothing before that "
            + "can be restored."
        )
    begun = usable[-1]
    _run(
        *("pg_verifybackup", "--exit-on-error", "--quiet", str(begun.folder)),
        failing=f"The copy in {begun.folder} is damaged",
    )
    embedded.adopt(data, begun.folder, _recovery(folder, to))
    try:
        with embedded.start(data) as server, _admin(server) as connection:
            # From here on it is a database like any other; it has no archive until it is given one.
            for name in _RECOVERY:
                _ = connection.execute(
                    sql.SQL("alter system reset {}").format(sql.Identifier(name))
                )
            _ = connection.execute("select pg_reload_conf()")
    except DatabaseFailed as problem:
        embedded.discard(data)
        if _TOO_SHORT in str(problem):
            raise BackupProblem(
                f"The archive in {folder} does not reach so far. Its log is closed every "
                + f"{PIECE_SECONDS} seconds; leave --to out to restore all that is there."
            ) from None
        raise BackupProblem(f"It could not be restored. {problem}") from None
    return begun


_RECOVERY = (
    "restore_command",
    "recovery_target_time",
    "recovery_target_action",
    "recovery_target_timeline",
    "hot_standby",
)


def _recovery(folder: Path, to: datetime | None) -> str:
    """PostgreSQL's settings while it restores; nobody is let in before it is done."""
    pieces = str((folder / "wal").resolve()).replace("%", "%%")
    said = {
        "restore_command": f"cp '{_in_shell(pieces)}/%f' '%p'",
        "recovery_target_action": "promote",
        "recovery_target_timeline": "latest",
        "hot_standby": "off",
    }
    if to is not None:
        said["recovery_target_time"] = to.astimezone(UTC).isoformat()
    return "".join(f"{name} = '{_quoted(value)}'\n" for name, value in said.items())


def _in_shell(text: str) -> str:
    return text.replace("'", "'\\''")


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "''")


# Settings -------------------------------------------------------------------------------------------


def _folder(data: Path, wanted: str) -> Path | None:
    """The folder of the log's pieces, made where it is missing, so that PostgreSQL can write there."""
    if wanted == NONE:
        return None
    folder = Path(wanted).expanduser().resolve()
    if folder == data.resolve() or folder.is_relative_to(data.resolve()):
        raise embedded.DataProblem(
            f"The archive cannot lie in the data folder {data}: what takes the one takes the other."
        )
    try:
        for each in (folder, folder / "base", folder / "wal"):
            each.mkdir(mode=0o700 if each != folder else 0o755, parents=True, exist_ok=True)
    except OSError as problem:
        raise embedded.DataProblem(
            f"The archive {folder} cannot be made: {problem.strerror}."
        ) from None
    embedded.give(data, folder / "wal")
    return folder / "wal"


def _set(server: Embedded, pieces: Path | None) -> bool:
    """Whether PostgreSQL has to start anew for it."""
    mode = "off" if pieces is None else "on"
    running = _shown(server, "archive_mode")
    said = {"archive_mode": mode}
    if pieces is not None:
        said |= {
            "archive_library": "basic_archive",
            "basic_archive.archive_directory": str(pieces),
            "archive_timeout": f"{PIECE_SECONDS}s",
        }
    if running == mode and all(_setting(server, name) == value for name, value in said.items()):
        return False
    with _admin(server) as connection:
        # Which makes its settings known.
        _ = connection.execute("load 'basic_archive'")
        for name, value in said.items():
            _ = connection.execute(
                sql.SQL("alter system set {} = {}").format(_name(name), sql.Literal(value))
            )
        _ = connection.execute("select pg_reload_conf()")
    return running != mode


def _name(setting: str) -> sql.Composed:
    return sql.SQL(".").join(map(sql.Identifier, setting.split(".")))


def _shown(server: Embedded, name: LiteralString) -> str:
    with _admin(server) as connection:
        row = connection.execute(sql.SQL("show {}").format(sql.Identifier(name))).fetchone()
    assert row is not None, "every setting shows"
    return row[0]


def _setting(server: Embedded, name: str) -> str | None:
    """As it stands in the database's own settings."""
    with _admin(server) as connection:
        row = connection.execute(
            "select setting from pg_file_settings where name = %s order by seqno desc limit 1",
            [name],
        ).fetchone()
    return row[0] if row else None


def _now(server: Embedded) -> datetime:
    with _admin(server) as connection:
        row = connection.execute("select clock_timestamp()").fetchone()
    assert row is not None, "it has a row"
    return row[0].astimezone(UTC)


def _admin(server: Embedded) -> psycopg.Connection[tuple[Any, ...]]:
    return psycopg.connect(server.admin_url, autocommit=True)


# Programs and files ---------------------------------------------------------------------------------


def _drop_old(folder: Path, keep: int) -> None:
    kept = bases(folder)[-keep:]
    for each in bases(folder)[:-keep]:
        shutil.rmtree(each.folder)
    label = (kept[0].folder / "backup_label").read_text()
    first = _FIRST_PIECE.search(label)
    assert first is not None, "PostgreSQL's labels say where they begin"
    _run(
        *("pg_archivecleanup", str(folder / "wal"), first[1]),
        failing="Old pieces of the log could not be dropped",
    )


def _run(name: str, *arguments: str, failing: str) -> None:
    ran = subprocess.run(
        [embedded.binary(name), *arguments],
        capture_output=True,
        env=os.environ | {"LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if ran.returncode:
        said = ran.stderr.decode(errors="replace").splitlines()
        raise BackupProblem(f"{failing}: {said[-1] if said else 'it said nothing'}")
