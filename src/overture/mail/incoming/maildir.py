"""Mail that lies in a Maildir, where a mail server puts it, or a program that fetches it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from overture.mail.incoming import pipe
from overture.mail.incoming.reading import MAIL_BYTES_MAX, read
from overture.mail.incoming.taking import Fate, Intake, Told

EVERY_SECONDS = 2
AGAIN_SECONDS = 30

# Tells a member why their mail, of this name, was not taken; False where it has to be tried again.
Return = Callable[[Told, str], Awaitable[bool]]


async def watch(intake: Intake, folder: Path, give_back: Return) -> None:
    """Takes what lies in the Maildir's `new` and what comes, until it is cancelled."""
    while True:
        done = await take_all(intake, folder, give_back)
        await asyncio.sleep(EVERY_SECONDS if done else AGAIN_SECONDS)


async def take_all(intake: Intake, folder: Path, give_back: Return) -> bool:
    """Takes what lies in `new`, the oldest first, and moves it to `cur`; False where some has to wait.

    There it is marked as seen, and as answered where its writer was told why it was not taken.
    """
    for file in await asyncio.to_thread(_waiting, folder):
        flags = await _take(intake, file, give_back)
        if flags is None:
            return False
        await asyncio.to_thread(_move, file, folder / "cur", flags)
    return True


async def _take(intake: Intake, file: Path, give_back: Return) -> str | None:
    """How it is to be marked; None where it has to be tried again."""
    raw = await asyncio.to_thread(_content, file)
    header = await asyncio.to_thread(read, raw, ())
    recipient = pipe.ours(header.recipients, intake.addresses)
    if recipient is None:
        # It is none of ours: whose it is, others know.
        return "S"
    told = await intake.take(raw, recipient)
    if told.fate is Fate.LATER:
        return None
    # Only a good seal says to whom a mail can be given back: its sender is whoever it says.
    if told.fate is not Fate.REFUSED or told.member is None or header.return_path == "":
        return "S"
    return "RS" if await give_back(told, file.name) else None


def _waiting(folder: Path) -> Sequence[Path]:
    files = [each for each in (folder / "new").iterdir() if not each.name.startswith(".")]
    return sorted(files, key=lambda each: (each.stat().st_mtime, each.name))


def _content(file: Path) -> bytes:
    with file.open("rb") as open_file:
        # One more tells that it is too large.
        return open_file.read(MAIL_BYTES_MAX + 1)


def _move(file: Path, to: Path, flags: str) -> None:
    to.mkdir(mode=0o700, exist_ok=True)
    _ = file.rename(to / f"{file.name.partition(':')[0]}:2,{flags}")
