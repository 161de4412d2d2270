"""The data folder and its locks."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from overture.store.embedded.problems import DataNotOurs, DataNotReachable

_ABOUT = "ABOUT.txt"
_ABOUT_TEXT = """\
This folder is Overture's: its members, conversations and ledger live in postgres/.
Copying it while Overture runs gives a broken copy; `overture backup` gives a good one.
"""
_OURS = {
    _ABOUT,
    "change.lock",
    "engine.lock",
    "holders.lock",
    "postgres",
    "postgres.log",
    "postgres.log.1",
    "postgres.new",
    "serve.lock",
}
# A freshly mounted disk is not empty, and is meant to be used.
_HARMLESS = {"lost+found", ".DS_Store"}


def claim(data: Path) -> Path:
    """The folder's true path, once it is certain that it is Overture's and writable."""
    data = data.expanduser().resolve()
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        entries = {entry.name for entry in data.iterdir()}
        writable = os.access(data, os.W_OK | os.X_OK)
    except FileExistsError:
        raise DataNotOurs(f"{data} is a file; Overture's data needs a folder.") from None
    except OSError as error:
        raise DataNotReachable(
            f"The data folder {data} cannot be used: {error.strerror}."
        ) from None
    if not writable:
        raise DataNotReachable(f"The data folder {data} cannot be written to by this user.")
    if _ABOUT not in entries:
        if foreign := sorted(entries - _OURS - _HARMLESS):
            raise DataNotOurs(
                f"{data} is not a data folder of Overture and not empty (it holds {foreign[0]}). "
                + "Choose an empty or a new folder with --data."
            )
        _write_about(data)
    return data


def _write_about(data: Path) -> None:
    # Not under a lock: two processes write the same words.
    about = os.open(data / _ABOUT, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        _ = os.write(about, _ABOUT_TEXT.encode())
        give_to_owner(about, data)
    finally:
        os.close(about)


@contextmanager
def change(data: Path) -> Generator[None]:
    """Nobody else starts or stops this folder's PostgreSQL meanwhile."""
    lock = open_lock(data / "change.lock")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def open_lock(path: Path) -> int:
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise DataNotReachable(
            f"The data folder's {path} cannot be opened: {error.strerror}."
        ) from None
    give_to_owner(lock, path.parent)
    return lock


def give_to_owner(file: int, folder: Path) -> None:
    # Root may look after a folder of someone else's, who must still be able to use it afterwards.
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(file, owner.st_uid, owner.st_gid)


def try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
