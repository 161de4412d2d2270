"""The database that the server is on: the embedded one is kept running, and its log archived."""

import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager

from overture.app import StartProblem
from overture.settings import Settings
from overture.store import archive, embedded

# How often is looked whether it still runs.
WATCH_SECONDS = 0.25

log = logging.getLogger("overture.serve")


@contextmanager
def database(settings: Settings) -> Generator[str]:
    """The URL of the database, which answers meanwhile. Raises StartProblem and DataProblem."""
    if settings.database_url is None:
        with (
            embedded.serve_lock(settings.data),
            archive.started(settings.data, settings.archive) as server,
            _watched(server),
        ):
            yield server.url
        return
    if settings.archive is not None:
        raise StartProblem(
            "--archive is for the embedded PostgreSQL. Of your own, archive the log as "
            "docs/backup.md says."
        )
    yield settings.database_url


@contextmanager
def _watched(server: embedded.Embedded) -> Generator[None]:
    """Starts PostgreSQL again whenever it was killed."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(WATCH_SECONDS):
            if server.is_running():
                continue
            log.error("PostgreSQL ended unexpectedly; starting it again")
            try:
                server.revive()
            except embedded.DataProblem as problem:
                log.error("PostgreSQL could not be started again: %s", problem)
                over.wait(2)
            else:
                log.warning("PostgreSQL runs again")

    watcher = threading.Thread(target=watch, name="postgres-watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
