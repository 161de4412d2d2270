"""A disk that fills up under the database, and is given room again. Only root may mount such a disk."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from overture.store import embedded
from tests.faults.damage import damage
from tests.faults.ground import Ground
from tests.faults.load import CLIENTS, Load, replays, under_load
from tests.faults.servers import kill_postgres, launch
from tests.faults.table import Row

DISK_BYTES = 300 * 2**20
FULL_SECONDS = 1.0
NOTICED_SECONDS_MAX = 60
PIECE = b"\0" * 2**20


def disk_full(ground: Ground, times: int = 1) -> Row:
    """Fills the disk so many times, until nothing more is acknowledged."""
    row = Row("disk full", faults=times)
    if (why := _not_here()) is not None:
        row.skipped = why
        return row
    with _small_disk() as folder, ground.copy(folder) as data:
        asyncio.run(_fill_and_free(row, ground, data, times))
    return row


async def _fill_and_free(row: Row, ground: Ground, data: Path, times: int) -> None:
    server = launch(data.parent / "server.log", data=data)
    try:
        async with under_load(ground.cast, server.port) as load:
            for _ in range(times):
                await load.flows_for_a_moment()
                filling = data.parent / "filling"
                await _fill(filling, load)
                filling.unlink()
                row.back_seconds.append(await load.serves_again(time.monotonic()))
        row.tried, row.acknowledged = load.tried, len(load.told)
        repeated = await replays(server.port, load.told)
        with await asyncio.to_thread(embedded.start, data) as found:
            row.found = await asyncio.to_thread(damage, found.url, load.told)
        row.found.other += repeated
    finally:
        await asyncio.to_thread(server.stop)


async def _fill(path: Path, load: Load) -> None:
    """To the last byte, again and again, until the database notices: it has some room of its own."""
    until = time.monotonic() + NOTICED_SECONDS_MAX
    put_off = load.put_off
    with path.open("wb", buffering=0) as file:
        # As many requests as there are clients were refused, or not answered.
        while load.put_off < put_off + CLIENTS:
            with suppress(OSError):
                while file.write(PIECE):  # noqa: ASYNC110
                    await asyncio.sleep(0)
            await asyncio.sleep(0.05)
            assert time.monotonic() < until, "the full disk hinders nobody"
    await asyncio.sleep(FULL_SECONDS)


@contextmanager
def _small_disk() -> Generator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="overture-faults-"))
    _mount(folder)
    try:
        yield folder
    finally:
        kill_postgres(folder / "data")
        subprocess.run(["umount", "--lazy", folder], check=True)
        folder.rmdir()


def _mount(folder: Path) -> None:
    options = f"size={DISK_BYTES},mode=755"
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "overture-faults", folder],
        check=True,
        capture_output=True,
    )


def _not_here() -> str | None:
    """Why it cannot be tried here."""
    if os.geteuid() != 0:
        return "only root may mount a small disk"
    folder = Path(tempfile.mkdtemp(prefix="overture-faults-"))
    try:
        _mount(folder)
    except (OSError, subprocess.CalledProcessError):
        return "no disk may be mounted here"
    else:
        subprocess.run(["umount", folder], check=True)
    finally:
        folder.rmdir()
    return None
