"""Drops the mails that lie in the folder: those of who closed the account, and what is old."""

from asyncio import to_thread
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import AddressHeader
from email.parser import BytesHeaderParser
from email.policy import default
from pathlib import Path

import msgspec

from overture.actions.closing import Forget, trace_of
from overture.core.jobs import DONE, Again, Job, Outcome


@dataclass(frozen=True, slots=True)
class Forgetting:
    """Of mails in this folder, which may not be there: an installation with a mail server has none."""

    folder: Path

    async def mails_of(self, job: Job) -> Outcome:
        """Drops the mails to addresses of which the job has the traces alone."""
        told = _forget(job.payload)
        try:
            await to_thread(_drop_to, self.folder, frozenset(told.traces))
        except OSError as problem:
            return Again(
                f"The folder could not be read: {(problem.strerror or 'unknown').lower()}."
            )
        return DONE

    async def older_than(self, instant: datetime) -> None:
        """Drops the mails that were written before an instant of the real clock. Raises OSError."""
        await to_thread(_drop_before, self.folder, instant.timestamp())


_forget = msgspec.json.Decoder(Forget).decode


def _drop_to(folder: Path, traces: Collection[str]) -> None:
    for file in _mails_in(folder):
        with suppress(FileNotFoundError):
            if any(trace_of(each) in traces for each in _addressees(file)):
                file.unlink()


def _drop_before(folder: Path, instant: float) -> None:
    for file in _mails_in(folder):
        with suppress(FileNotFoundError):
            if file.stat().st_mtime < instant:
                file.unlink()


def _mails_in(folder: Path) -> Iterator[Path]:
    """Those that were not written whole, too."""
    if folder.is_dir():
        yield from (file for file in folder.iterdir() if file.suffix in (".eml", ".part"))


def _addressees(file: Path) -> Iterator[str]:
    """To whom it goes, as mail servers write it and as people do."""
    try:
        with file.open("rb") as content:
            header = BytesHeaderParser(policy=default).parse(content)["To"]
    except MessageError:
        return
    if isinstance(header, AddressHeader):
        for each in header.addresses:
            yield each.addr_spec
            with suppress(UnicodeError):
                yield f"{each.username}@{each.domain.encode('ascii').decode('idna')}"
