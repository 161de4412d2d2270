"""How mails leave: to a mail server, or where there is none, into a folder."""

import logging
from asyncio import to_thread
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol

from overture.core.jobs import DONE, Again, Done, Hopeless

_log = logging.getLogger("overture.mail")


@dataclass(frozen=True, slots=True)
class Ready:
    """A mail that is ready to go. `name` is unlike any other's, and the same if it is sent again;
    `returns_to` is the address that mail servers tell when they cannot deliver it."""

    name: str
    to: str
    returns_to: str
    message: EmailMessage


@dataclass(frozen=True, slots=True)
class NoSuchMailbox(Hopeless):
    """The address is nobody's, by the mail server's `status`, such as 5.1.1."""

    status: str


class Post(Protocol):
    """Takes a mail for good, or says why not."""

    async def send(self, mail: Ready) -> Done | Again | Hopeless: ...


@dataclass(frozen=True, slots=True)
class Folder:
    """Writes each mail as a file that mail programs open, and tells the log where it lies.

    For the eyes of whoever runs the server alone: the links in mails open accounts.
    """

    path: Path

    async def send(self, mail: Ready) -> Done | Again | Hopeless:
        file = self.path / f"{mail.name}.eml"
        try:
            await to_thread(_write, file, bytes(mail.message))
        except OSError as problem:
            return Again(f"It could not be written: {(problem.strerror or 'unknown').lower()}.")
        # Neither to whom nor what about: a letter's subject is for those two alone.
        _log.info("a mail lies in %s", file)
        return DONE


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Whole or not at all, for whoever reads the folder meanwhile.
    part = file.with_suffix(".part")
    part.touch(mode=0o600)
    _ = part.write_bytes(content)
    part.replace(file)
