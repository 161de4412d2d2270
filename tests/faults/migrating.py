"""Migrations that are killed in the middle, and begun again: no step is half there."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import psycopg

from overture.store import embedded, migrate
from tests.faults.damage import damage
from tests.faults.ground import Ground
from tests.faults.load import replays, under_load
from tests.faults.mutants import and_more
from tests.faults.servers import launch
from tests.faults.table import Row

# Longer than the steps of mutants.next_version take, and than all steps of this version on nothing.
KILLED_AFTER_SECONDS_MAX = 0.5
BEGUN_SECONDS_MAX = 60


def migrations_killed(ground: Ground, times: int = 2) -> Row:
    """Kills, so many times each, whoever migrates an empty database, and whoever brings to the next
    version what a server of this one still serves under load. The last server of the next version is
    let through, and serves from there on."""
    row = Row("killed while migrating", faults=2 * times)
    with ground.copy() as data, embedded.start(data) as postgres:
        straight = _migrated(_database(postgres, "straight"))
        for number in range(times):
            url = _database(postgres, f"killed_{number}")
            _killed_while_migrating(url)
            if _migrated(url) != straight:
                row.found.other.append(f"After kill {number} an empty database has another schema.")
        straight = _migrated(_database(postgres, "next"), steps=2 * times)
        asyncio.run(
            _kill_under_load(row, ground, data, postgres.url, straight=straight, times=times)
        )
    return row


async def _kill_under_load(
    row: Row, ground: Ground, data: Path, url: str, *, straight: list[str], times: int
) -> None:
    steps = 2 * times
    server = launch(data.parent / "server.log", database_url=url)
    following = None
    try:
        async with under_load(ground.cast, server.port) as load:
            for _ in range(times):
                await load.flows_for_a_moment()
                await asyncio.to_thread(_killed_while_migrating, url, steps)
                row.back_seconds.append(await load.serves_again(time.monotonic()))
                row.found.other += await asyncio.to_thread(_half_there, url)
            following = await asyncio.to_thread(
                launch,
                data.parent / "next.log",
                database_url=url,
                mutant="next_version",
                also={"STEPS": str(steps)},
            )
            began = time.monotonic()
            load.ports[:] = [following.port]
            await asyncio.to_thread(server.stop)
            row.back_seconds.append(await load.serves_again(began))
            await load.flows()
        row.found.other += await replays(following.port, load.told)
    finally:
        for each in filter(None, (server, following)):
            await asyncio.to_thread(each.stop)
    row.tried, row.acknowledged = load.tried, len(load.told)
    found = await asyncio.to_thread(damage, url, load.told)
    found.other += row.found.other
    if await asyncio.to_thread(_schema, url) != straight:
        found.other.append("After the kills the next version has another schema.")
    row.found = found


def _killed_while_migrating(url: str, steps: int = 0) -> None:
    """Kills a command some time after its turn came."""
    with psycopg.connect(url, autocommit=True) as connection, _migrating(url, steps) as process:
        until = time.monotonic() + BEGUN_SECONDS_MAX
        while not connection.execute(
            "select from pg_locks where locktype = 'advisory' and database ="
            " (select oid from pg_database where datname = current_database())"
        ).rowcount:
            assert process.poll() is None, "it ended before it was killed"
            assert time.monotonic() < until, "it does not begin"
        time.sleep(random.uniform(0, KILLED_AFTER_SECONDS_MAX))
        process.kill()


def _migrated(url: str, steps: int = 0) -> list[str]:
    """Migrates to the end; the schema."""
    with patch.object(migrate, "migrations", and_more(steps)):
        migrate.migrate(url)
    return _schema(url)


@contextmanager
def _migrating(url: str, steps: int) -> Generator[subprocess.Popen[bytes]]:
    """`overture migrate`, or with so many steps more."""
    module = ["tests.faults.mutants", "next_version"] if steps else ["overture"]
    command = [sys.executable, "-m", *module, "migrate", "--database-url", url]
    with subprocess.Popen(
        command,
        cwd=Path(__file__).parent.parent.parent,
        env=os.environ | {"STEPS": str(steps)},
        stdout=subprocess.DEVNULL,
    ) as process:
        yield process


def _database(postgres: embedded.Embedded, name: str) -> str:
    with psycopg.connect(postgres.admin_url, autocommit=True) as connection:
        connection.execute(f"create database {name} owner {embedded.ROLE} template template0")
    return postgres.url.replace(f"/{embedded.DATABASE}?", f"/{name}?")


def _half_there(url: str) -> list[str]:
    """Of the next version's steps, those of which something is missing: table, column, record."""
    with psycopg.connect(url) as connection:
        found = connection.execute(
            """
            select
                (select array_agg(substr(table_name, 6) order by 1) from information_schema.tables
                    where table_name like 'next\\_%'),
                (select array_agg(substr(column_name, 6) order by 1) from information_schema.columns
                    where table_name = 'messages' and column_name like 'next\\_%'),
                (select array_agg(substr(name, 6) order by 1) from schema_migrations
                    where name like 'next\\_%')
            """
        ).fetchone()
    assert found is not None
    return [] if found[0] == found[1] == found[2] else [f"A step is half there: {found}."]


def _schema(url: str) -> list[str]:
    dumped = subprocess.run(
        [embedded.binary("pg_dump"), "--schema-only", f"--dbname={url}"],
        capture_output=True,
        text=True,
        check=True,
    )
    # Each dump has a key of its own in its `\\restrict`.
    return [
        line for line in dumped.stdout.splitlines() if line and not line.startswith(("--", "\\"))
    ]
