"""PostgreSQL under a data folder: made, started, shared, recovered and stopped here.

A data folder holds:

    postgres/       PGDATA; also the socket, so that only the folder's user can reach it
    postgres.log    what PostgreSQL says
    change.lock     held while PostgreSQL is being started or stopped
    holders.lock    shared by every process that uses it; the last one out stops PostgreSQL
    engine.lock     inherited by PostgreSQL and all its children: free means that none lives
    serve.lock      held by the one `overture serve` on this folder

The locks are `flock`s: the kernel frees them however a process ends, so a kill leaves nothing
stuck. The engine's lock is what tells a live server from a stale `postmaster.pid`, whose process
id may meanwhile belong to anyone, and what tells that the children of a killed postmaster have
let go of its memory.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from typing import Self, final

from overture.store.durability import sync
from overture.store.embedded.account import account_of
from overture.store.embedded.engine import DATABASE, ROLE, bring_up, shut_down
from overture.store.embedded.folder import change, claim, open_lock, try_lock
from overture.store.embedded.problems import (
    DatabaseFailed,
    DataInUse,
    DataNotOurs,
    DataNotReachable,
    DataProblem,
    DataVersion,
)
from overture.store.embedded.programs import bundled
from overture.store.embedded.records import Server, process_name

__all__ = [
    "DATABASE",
    "ROLE",
    "DataInUse",
    "DataNotOurs",
    "DataNotReachable",
    "DataProblem",
    "DataVersion",
    "DatabaseFailed",
    "Embedded",
    "ServeLock",
    "adopt",
    "binary",
    "discard",
    "give",
    "serve_lock",
    "start",
]


def start(data: Path) -> Embedded:
    """Hold the PostgreSQL of a data folder, making and starting it where needed.

    Returns when it answers, however long its recovery after a crash takes. May be called by any
    number of processes, and several times in one; each result must be released. A process that
    forks calls it after forking, or in each child: the hold is not inherited one by one.

    Raises a `DataProblem` when the folder cannot be used.
    """
    data = claim(data)
    with change(data):
        holder = open_lock(data / "holders.lock")
        try:
            fcntl.flock(holder, fcntl.LOCK_SH)
            return Embedded(data, holder, bring_up(data))
        except (KeyboardInterrupt, SystemExit):
            # Whoever is asked to end while it starts leaves no server behind that nobody holds.
            try:
                if try_lock(holder):
                    shut_down(data)
            finally:
                os.close(holder)
            raise
        except BaseException:
            os.close(holder)
            raise


def serve_lock(data: Path) -> ServeLock:
    """Be the one server of a data folder, until released.

    Raises `DataInUse` when another process is.
    """
    lock = open_lock(claim(data) / "serve.lock")
    if not try_lock(lock):
        other = os.pread(lock, 32, 0).decode()
        os.close(lock)
        raise DataInUse(
            f"Another overture serve (process {other}) already serves the data in {data}. "
            + "Stop it first, or give this one a folder of its own with --data."
        )
    os.ftruncate(lock, 0)
    _ = os.pwrite(lock, str(os.getpid()).encode(), 0)
    return ServeLock(lock)


def adopt(data: Path, copy: Path, settings: str) -> None:
    """Make a new data folder of a copy of a database, with these settings, and have it recover.

    Raises a `DataProblem` when the folder cannot be used, or holds a database already.
    """
    data = claim(data)
    with change(data):
        pgdata = data / "postgres"
        if pgdata.exists():
            raise DataNotOurs(f"{data} holds data already. Restore into a new folder with --data.")
        new = data / "postgres.new"
        shutil.rmtree(new, ignore_errors=True)
        # Root's copies become those of the database's user when it is started.
        _ = shutil.copytree(copy, new, symlinks=True)
        new.chmod(0o700)
        _ = (new / "postgresql.auto.conf").write_text(settings)
        (new / "recovery.signal").touch(mode=0o600)
        os.sync()
        _ = new.rename(pgdata)
        sync(data)


def discard(data: Path) -> None:
    """Remove the database of a folder, in which nothing runs: restoring it failed."""
    data = claim(data)
    with change(data):
        shut_down(data)
        shutil.rmtree(data / "postgres", ignore_errors=True)


def give(data: Path, folder: Path) -> None:
    """Let the database of a data folder write into a folder outside. Raises `DataNotReachable`."""
    account = account_of(data / "postgres")
    account.take(folder)
    tested = subprocess.run(
        ["/bin/sh", "-c", 'test -w "$1" && test -x "$1"', "sh", str(folder)],
        cwd="/",
        check=False,
        **account.as_subprocess_user(),
    )
    if tested.returncode:
        raise DataNotReachable(
            f"PostgreSQL runs as a user of its own, who cannot write into {folder}. Choose a folder "
            + "that every user may walk to."
        )


def binary(name: str) -> Path:
    """One of PostgreSQL's bundled programs: `pg_dump`, `pg_restore`, `psql`, `pgbench`, ..."""
    return bundled() / "bin" / name


@final
class Embedded:
    """A hold on a running PostgreSQL. Releasing the last hold stops it.

    `url` logs in as the owner of Overture's database, `admin_url` as the superuser; both go
    through the private socket and stay the same as long as the folder stays where it is.
    """

    def __init__(self, data: Path, holder: int, server: Server) -> None:
        self.data = data
        self.url = server.url(role=ROLE, database=DATABASE)
        self.admin_url = server.url(role="postgres", database="postgres")
        self.postmaster_pid = server.pid
        self._holder: int | None = holder

    def is_running(self) -> bool:
        """Whether the PostgreSQL that was started or revived last still lives. Quick to ask."""
        return process_name(self.postmaster_pid) == "postgres"

    def revive(self) -> None:
        """Start PostgreSQL again if it was killed; otherwise do nothing.

        `url` stays the same, `postmaster_pid` changes. Raises a `DataProblem` like `start`.
        """
        with change(self.data):
            self.postmaster_pid = bring_up(self.data).pid

    def release(self) -> None:
        """Let go, and stop PostgreSQL if nobody else holds it. Further calls do nothing."""
        if self._holder is None:
            return
        holder, self._holder = self._holder, None
        try:
            with change(self.data):
                if try_lock(holder):
                    shut_down(self.data)
        finally:
            os.close(holder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


@final
class ServeLock:
    """The right to serve a data folder. Releasing it twice does nothing."""

    def __init__(self, lock: int) -> None:
        self._lock: int | None = lock

    def release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
