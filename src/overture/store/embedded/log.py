"""What PostgreSQL says, in postgres.log."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from io import BufferedWriter
from pathlib import Path

from overture.store.embedded.folder import give_to_owner

_LOG_BYTES_MAX = 10_000_000
_LOG_TAIL_LINES = 15


@contextmanager
def log_file(data: Path) -> Generator[BufferedWriter]:
    descriptor = os.open(data / "postgres.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    give_to_owner(descriptor, data)
    with os.fdopen(descriptor, "ab") as file:
        yield file


def rotate_log(data: Path) -> None:
    path = data / "postgres.log"
    if path.exists() and path.stat().st_size > _LOG_BYTES_MAX:
        _ = path.replace(data / "postgres.log.1")


def tail(path: Path, start: int) -> str:
    with path.open("rb") as file:
        _ = file.seek(start)
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-_LOG_TAIL_LINES:])
