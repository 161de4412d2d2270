"""Whether what is written stays: in a database, as it is set up, and on the disk."""

from __future__ import annotations

import os
from pathlib import Path

import psycopg

_MAJOR_VERSION_MIN = 15


def check_durability(url: str) -> list[str]:
    """The settings that are off, of those without which an acknowledged write can be lost.

    Among `fsync`, `full_page_writes` and `synchronous_commit`, as they hold for connections made
    with this URL. Anything but off makes a commit wait for the disk of this server at least.
    """
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            """
            select name
            from pg_settings
            where name in ('fsync', 'full_page_writes', 'synchronous_commit') and setting = 'off'
            order by name
            """
        )
        return [name for (name,) in rows]


def check_version(url: str) -> str | None:
    """A sentence for people when the server is too old for Overture; None when it will do."""
    with psycopg.connect(url) as connection:
        version = connection.info.server_version
    if version >= _MAJOR_VERSION_MIN * 10_000:
        return None
    return (
        f"The database is PostgreSQL {version // 10_000}; Overture needs {_MAJOR_VERSION_MIN} "
        + "or newer."
    )


def sync(path: Path) -> None:
    """Returns once a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
