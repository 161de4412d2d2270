"""Copies of a running PostgreSQL, by its own pg_basebackup: to follow it, or to go on from a past."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import psycopg

from overture.store import embedded
from tests.faults.ground import configure


def copied(of: embedded.Embedded, data: Path, *, follows: bool = False) -> Path:
    """A new data folder with a copy, on which nothing runs yet. `follows`: a standby, once started."""
    data.mkdir()
    # PostgreSQL has a user of its own where we are root, and must come from the one to the other.
    for folder in (of.data.parent, of.data, data):
        folder.chmod(0o711)
    command = [
        *(str(embedded.binary("pg_basebackup")), "--dbname", of.admin_url),
        *("--pgdata", str(data / "postgres"), "--checkpoint=fast", "--no-sync"),
    ]
    if follows:
        command.append("--write-recovery-conf")
    subprocess.run(command, check=True, capture_output=True, text=True)
    # It waits for nobody, unless it is told to.
    configure(data, synchronous_standby_names="")
    return data


def execute(url: str, statement: str) -> list[tuple[Any, ...]]:
    """The rows, if there are any."""
    with psycopg.connect(url, autocommit=True) as connection:
        done = connection.execute(statement.encode())
        return done.fetchall() if done.description else []
