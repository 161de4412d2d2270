"""Backups made while sends go on, restored; and points in time, gone back to by the archived log."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import errors, sql

from overture.store import embedded
from overture.store.backup import backup, restore
from tests.faults.copies import copied, execute
from tests.faults.damage import Acknowledged, damage
from tests.faults.ground import Ground, configure
from tests.faults.load import Load, under_load
from tests.faults.servers import launch
from tests.faults.table import Row

ARCHIVED_SECONDS_MAX = 60


@dataclass(frozen=True, slots=True)
class Point:
    """What is to come back: what was acknowledged before, and where it is known, the state then."""

    name: str
    told: Sequence[Acknowledged]
    state: str | None = None


def backups_restored(ground: Ground, times: int = 1) -> Row:
    """Makes backups under load and restores each: what was acknowledged before one began is in it."""
    row = Row("backup made under load, restored", faults=times)
    with ground.copy() as data, embedded.start(data) as postgres:
        points = asyncio.run(_back_up(row, ground, postgres, times))
        for point in points:
            url = _new_database(postgres, point.name)
            began = time.monotonic()
            restore(url, data.parent / point.name)
            row.back_seconds.append(time.monotonic() - began)
            row.found.add(damage(url, point.told))
    return row


def points_in_time_reached(ground: Ground, times: int = 1) -> Row:
    """Notes the state of all tables at points in time under load, while the log is archived; then
    recovers to each from a copy made under load. What it finds there must be the state noted."""
    row = Row("recovery to a point in time", faults=times)
    with ground.copy() as data:
        archive = data.parent / "archive"
        archive.mkdir()
        # PostgreSQL, which has a user of its own where we are root, writes into it.
        archive.chmod(0o777)
        configure(data, archive_mode="on", archive_command=f"cp %p {archive}/%f")
        with embedded.start(data) as postgres:
            points = asyncio.run(_note_points(row, ground, postgres, times))
        for point in points:
            _recover(row, data.parent, archive, point)
    return row


async def _back_up(
    row: Row, ground: Ground, postgres: embedded.Embedded, times: int
) -> Sequence[Point]:
    points: list[Point] = []
    async with _served(row, ground, postgres) as load:
        for number in range(times):
            await load.flows_for_a_moment()
            points.append(Point(f"backup_{number}", list(load.told)))
            await asyncio.to_thread(backup, postgres.url, postgres.data.parent / points[-1].name)
            await load.flows()
    return points


async def _note_points(
    row: Row, ground: Ground, postgres: embedded.Embedded, times: int
) -> Sequence[Point]:
    points: list[Point] = []
    async with _served(row, ground, postgres) as load:
        await load.flows()
        await asyncio.to_thread(copied, postgres, postgres.data.parent / "base")
        for number in range(times):
            await load.flows_for_a_moment()
            name, told = f"point_{number}", list(load.told)
            state = await asyncio.to_thread(_note, postgres, name)
            points.append(Point(name, told, state))
        # What comes after it must be gone again.
        await load.flows()
    await asyncio.to_thread(_archive_all, postgres)
    return points


@asynccontextmanager
async def _served(row: Row, ground: Ground, postgres: embedded.Embedded) -> AsyncGenerator[Load]:
    log = postgres.data.parent / "server.log"
    server = await asyncio.to_thread(launch, log, database_url=postgres.url)
    try:
        async with under_load(ground.cast, server.port) as load:
            yield load
        row.tried, row.acknowledged = load.tried, len(load.told)
        row.found.add(await asyncio.to_thread(damage, postgres.url, load.told))
    finally:
        await asyncio.to_thread(server.stop)


def _note(postgres: embedded.Embedded, name: str) -> str:
    """Names this point in time in the log; the state, which stands still meanwhile."""
    while True:
        # Whoever writes takes the tables in another order.
        with suppress(errors.DeadlockDetected):
            return _note_once(postgres, name)


def _note_once(postgres: embedded.Embedded, name: str) -> str:
    with psycopg.connect(postgres.admin_url, dbname=embedded.DATABASE) as connection:
        tables = _tables(connection)
        lock = sql.SQL("lock table {} in share mode")
        connection.execute(lock.format(sql.SQL(", ").join(map(sql.Identifier, tables))))
        connection.execute("select pg_create_restore_point(%s)", [name])
        return _state(connection, tables)


def _tables(connection: psycopg.Connection) -> list[str]:
    """Those in the log, and so all but the unlogged ones."""
    found = connection.execute(
        "select relname from pg_class where relnamespace = 'public'::regnamespace"
        " and relkind in ('r', 'p') and relpersistence = 'p' order by relname"
    )
    return [name for (name,) in found]


def _state(connection: psycopg.Connection, tables: Sequence[str]) -> str:
    """A hash of every row of these tables."""
    of_one = sql.SQL(
        "(select md5(coalesce(string_agg(t::text, '|' order by t::text), '')) from {} t)"
    )
    of_all = sql.SQL(" || ").join(of_one.format(sql.Identifier(each)) for each in tables)
    row = connection.execute(sql.SQL("select md5({})").format(of_all)).fetchone()
    assert row is not None
    return row[0]


def _archive_all(postgres: embedded.Embedded) -> None:
    """Returns when all that was logged until now lies in the archive."""
    ((last,),) = execute(postgres.admin_url, "select pg_walfile_name(pg_switch_wal())")
    until = time.monotonic() + ARCHIVED_SECONDS_MAX
    archived = "select coalesce(last_archived_wal, '') from pg_stat_archiver"
    while execute(postgres.admin_url, archived)[0][0] < last:
        assert time.monotonic() < until, "the log is not archived"
        time.sleep(0.05)


def _recover(row: Row, folder: Path, archive: Path, point: Point) -> None:
    """Takes the copy forward to the point, looks at all that is there, and lets it go again."""
    data = folder / point.name
    data.mkdir()
    data.chmod(0o711)
    subprocess.run(["cp", "-a", folder / "base" / "postgres", data / "postgres"], check=True)
    configure(
        data,
        archive_mode="off",
        restore_command=f"cp {archive}/%f %p",
        recovery_target_name=point.name,
        recovery_target_action="promote",
    )
    (data / "postgres" / "recovery.signal").touch()
    began = time.monotonic()
    with embedded.start(data) as recovered:
        while execute(recovered.admin_url, "select pg_is_in_recovery()")[0][0]:
            time.sleep(0.02)
        row.back_seconds.append(time.monotonic() - began)
        with psycopg.connect(recovered.admin_url, dbname=embedded.DATABASE) as connection:
            state = _state(connection, _tables(connection))
        if state != point.state:
            row.found.other.append(f"At {point.name} there is another state than the one noted.")
        row.found.add(damage(recovered.url, point.told))
        checked = subprocess.run(
            [
                *(embedded.binary("pg_amcheck"), "--install-missing", "--heapallindexed"),
                *("--host", data / "postgres", "--username", "postgres", embedded.DATABASE),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if checked.returncode:
            row.found.other.append(f"pg_amcheck: {checked.stdout}{checked.stderr}")


def _new_database(postgres: embedded.Embedded, name: str) -> str:
    execute(
        postgres.admin_url,
        f"create database {name} owner {embedded.ROLE} template template0",
    )
    return postgres.url.replace(f"/{embedded.DATABASE}?", f"/{name}?")
