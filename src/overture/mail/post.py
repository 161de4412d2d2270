"""How mails leave: until there is a mail server to give them to, into a folder."""

import logging
from asyncio import to_thread
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol

_log = logging.getLogger("overture.mail")


class Post(Protocol):
    """Takes a mail for good, or raises; `name` is the same if the same mail comes again."""

    async def send(self, message: EmailMessage, name: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Folder:
    """Writes each mail as a file that mail programs open, and tells the log where it lies.

    For the eyes of whoever runs the server alone: the links in mails open accounts.
    """

    path: Path

    async def send(self, message: EmailMessage, name: str) -> None:
        file = self.path / f"{name}.eml"
        await to_thread(_write, file, bytes(message))
        # Not to whom: the log holds no addresses.
        _log.info("a mail, “%s”, lies in %s", message["Subject"], file)


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Whole or not at all, for whoever reads the folder meanwhile.
    part = file.with_suffix(".part")
    part.touch(mode=0o600)
    _ = part.write_bytes(content)
    part.replace(file)
