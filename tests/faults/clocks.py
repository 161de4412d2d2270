"""Clocks that jump, of the server and of PostgreSQL, by libfaketime (Debian's package faketime)."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import psycopg

from overture.clock import real_now
from overture.store import embedded
from tests.faults.damage import damage
from tests.faults.ground import Ground
from tests.faults.load import replays, under_load
from tests.faults.servers import launch
from tests.faults.table import Row

DAYS_91 = timedelta(days=91)
HOURS_2 = timedelta(hours=2)
# What the clocks of the server and of PostgreSQL are ahead of the real one, step by step.
JUMPS = (
    (DAYS_91, timedelta(0)),
    (DAYS_91, DAYS_91),
    (DAYS_91 - HOURS_2, DAYS_91),
    (DAYS_91 - HOURS_2, DAYS_91 - HOURS_2),
)
NEAR = timedelta(minutes=5)
LIBRARIES = ("/usr/lib", "/usr/local/lib")


def clocks_jump(ground: Ground, jumps: Sequence[tuple[timedelta, timedelta]] = JUMPS) -> Row:
    row = Row("clocks jump 91 days on, 2 hours back", faults=len(jumps))
    library = _library()
    if library is None:
        row.skipped = "libfaketime is not here (on Debian: apt install faketime)"
        return row
    with ground.copy() as data:
        asyncio.run(_jump(row, ground, data, library, jumps))
    return row


async def _jump(
    row: Row,
    ground: Ground,
    data: Path,
    library: Path,
    jumps: Sequence[tuple[timedelta, timedelta]],
) -> None:
    ours, theirs = (_Clock(data.parent / f"clock-{name}") for name in ("server", "postgres"))
    with patch.dict(os.environ, theirs.followed_by(library)):
        postgres = embedded.start(data)
    with postgres:
        server = launch(
            data.parent / "server.log", database_url=postgres.url, also=ours.followed_by(library)
        )
        try:
            async with under_load(ground.cast, server.port) as load:
                for of_server, of_postgres in jumps:
                    await load.flows_for_a_moment()
                    ours.is_ahead(of_server)
                    theirs.is_ahead(of_postgres)
                    row.back_seconds.append(await load.serves_again(time.monotonic()))
                    row.found.other += await asyncio.to_thread(
                        _still, postgres.url, of_server, of_postgres
                    )
                await load.flows_for_a_moment()
            row.found.other += await replays(server.port, load.told)
        finally:
            await asyncio.to_thread(server.stop)
        row.tried, row.acknowledged = load.tried, len(load.told)
        latest = real_now() + max(each for each, _ in jumps)
        found = await asyncio.to_thread(damage, postgres.url, load.told, latest)
        found.other += row.found.other
        row.found = found


def _still(url: str, of_server: timedelta, of_postgres: timedelta) -> list[str]:
    """Which of the clocks did not jump: PostgreSQL's by what it says, the server's by what it wrote."""
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "select clock_timestamp(), sent_at from messages order by id desc limit 1"
        ).fetchone()
    assert found is not None
    return [
        f"The clock of {whose} did not jump: it shows {shown}."
        for whose, shown, ahead in (
            ("PostgreSQL", found[0], of_postgres),
            ("the server", found[1], of_server),
        )
        if abs(shown - real_now() - ahead) > NEAR
    ]


class _Clock:
    """A clock that stands in a file, as an offset from the real one."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.is_ahead(timedelta(0))
        # PostgreSQL, which has a user of its own, must come to it.
        file.parent.chmod(0o711)
        file.chmod(0o644)

    def is_ahead(self, offset: timedelta) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset.total_seconds():+.0f}\n")
        new.chmod(0o644)
        new.replace(self._file)

    def followed_by(self, library: Path) -> Mapping[str, str]:
        """The environment of who follows it. What measures durations goes on evenly, as it does when
        a real clock is set."""
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }


def _library() -> Path | None:
    for folder in map(Path, LIBRARIES):
        for pattern in ("*/faketime/libfaketimeMT.so.1", "faketime/libfaketimeMT.so.1"):
            if found := next(folder.glob(pattern), None):
                return found
    return None
