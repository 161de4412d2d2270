"""PostgreSQL started, waited for and stopped."""

import logging
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg import pq, sql

from overture.store.embedded.account import Account, account_of, as_seen_from_inside, environment
from overture.store.embedded.folder import open_lock, try_lock
from overture.store.embedded.log import log_file, rotate_log, tail
from overture.store.embedded.making import make_database
from overture.store.embedded.problems import DatabaseFailed, DataInUse
from overture.store.embedded.programs import programs_of
from overture.store.embedded.records import (
    PORT,
    SOCKET_NAME,
    Server,
    check_version,
    is_ready,
    note_whereabouts,
    process_name,
    recorded,
    refuse_elsewhere,
    refuse_unlocked_server,
    remove_stale_records,
)

log = logging.getLogger("overture.store.embedded")

ROLE = "overture"
DATABASE = "overture"

_SOCKET_PATH_BYTES_MAX = 103 if sys.platform == "darwin" else 107
_POLL_SECONDS = 0.01
_SILENT_SECONDS_MAX = 10


def bring_up(data: Path) -> Server:
    """A server that answers and has Overture's role and database. Needs `change`."""
    engine = open_lock(data / "engine.lock")
    try:
        server = _running(data, engine) or _launch(data, engine)
    finally:
        os.close(engine)
    _prepare(server)
    return server


def _running(data: Path, engine: int) -> Server | None:
    """The server that runs on the folder, once it answers. None, with `engine` locked, if none.

    Waits for a recovery, for an end of one that is stopping, and for the last children of a
    killed one.
    """
    waited_since = time.monotonic()
    silent_since: float | None = None
    while not try_lock(engine):
        refuse_elsewhere(data, engine)
        server = recorded(data)
        if server and process_name(server.pid) == "postgres":
            match server.ping():
                case pq.Ping.OK:
                    return server
                case pq.Ping.REJECT:
                    silent_since = None
                case _ if is_ready(data):
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


def _launch(data: Path, engine: int) -> Server:
    """Start PostgreSQL, which inherits the lock on `engine`, and wait until it answers."""
    pgdata = data / "postgres"
    account = account_of(pgdata)
    programs = programs_of(account)
    rotate_log(data)
    if not pgdata.exists() or not any(pgdata.iterdir()):
        make_database(data, programs, account, engine)
    check_version(pgdata)
    refuse_unlocked_server(pgdata)
    socket_folder = _socket_folder(pgdata, account, stale=recorded(data))
    remove_stale_records(pgdata, socket_folder)
    note_whereabouts(engine)

    settings = {
        "listen_addresses": "",
        "port": str(PORT),
        # Relative to PGDATA, where PostgreSQL changes to: no path is too long for it.
        "unix_socket_directories": "." if socket_folder == pgdata else str(socket_folder),
        "unix_socket_permissions": "0700",
        "logging_collector": "off",
        "log_destination": "stderr",
    }
    command = [str(programs / "postgres"), "-D", as_seen_from_inside(pgdata)]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]

    with log_file(data) as output:
        log_start = output.seek(0, os.SEEK_END)
        # The shell in between ends at once, so that the server is nobody's child: no zombie stays
        # with us when it ends. A session of its own keeps the terminal's signals from it.
        spawned = subprocess.run(
            ["/bin/sh", "-c", '{ exec "$@"; } >&2 & echo $!', "sh", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            cwd=pgdata,
            env=environment(),
            pass_fds=(engine,),
            start_new_session=True,
            check=True,
            **account.as_subprocess_user(),
        )
    server = Server(int(spawned.stdout), socket_folder)
    while server.ping() is not pq.Ping.OK:
        if process_name(server.pid) is None:
            raise DatabaseFailed(
                f"PostgreSQL could not start on the data in {data}. The end of its log:\n"
                + tail(data / "postgres.log", log_start)
            )
        time.sleep(_POLL_SECONDS)
    return server


def _prepare(server: Server) -> None:
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


def shut_down(data: Path) -> None:
    """End the folder's server, if it runs, and wait for it. Needs `change`.

    A fast shutdown: whoever is still connected is disconnected.
    """
    engine = open_lock(data / "engine.lock")
    try:
        asked = None
        socket_folder = None
        while not try_lock(engine):
            server = recorded(data)
            if server and server.pid != asked and process_name(server.pid) == "postgres":
                os.kill(server.pid, signal.SIGINT)
                asked, socket_folder = server.pid, server.socket_folder
            time.sleep(_POLL_SECONDS)
    finally:
        os.close(engine)
    if socket_folder and socket_folder != data / "postgres":
        with suppress(OSError):
            socket_folder.rmdir()


def _socket_folder(pgdata: Path, account: Account, stale: Server | None) -> Path:
    """PGDATA itself, private as it is; when no client could name that, a folder made in /tmp.

    The folder of a killed server is used again, so that its clients find the new one.
    """
    path = os.fsencode(pgdata / SOCKET_NAME)
    # A client takes a comma for the start of a second host.
    if len(path) <= _SOCKET_PATH_BYTES_MAX and b"," not in path:
        return pgdata
    if stale and stale.socket_folder != pgdata and _is_private(stale.socket_folder, account):
        return stale.socket_folder
    folder = Path(tempfile.mkdtemp(prefix="overture-", dir="/tmp"))
    account.take(folder)
    return folder


def _is_private(folder: Path, account: Account) -> bool:
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    mode = stat.S_IMODE(found.st_mode)
    return stat.S_ISDIR(found.st_mode) and mode == 0o700 and found.st_uid == account.uid
