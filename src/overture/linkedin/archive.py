"""A LinkedIn data export: what may be opened, and what its files say.

    with open_archive(path) as archive:
        for row in archive.messages():
            match row:
                case Message(): ...
                case Skipped(): ...   # a draft, say: well, but not wanted
                case Problem(): ...   # bad: tell the member, go on

Every row of a file gives exactly one of the three, so that what went in can be reconciled with what
came out. Files that an export lacks give nothing. Iterating again reads the file again.
"""

import hashlib
import re
import struct
import zipfile
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import IO, TypeVar

from overture.linkedin import dates, plans
from overture.linkedin.cleaning import clean_body, clean_line
from overture.linkedin.markup import html_to_text, is_html
from overture.linkedin.people import people, person
from overture.linkedin.records import (
    Connection,
    Direction,
    Invitation,
    Message,
    Owner,
    Person,
    Position,
    Problem,
    Receipt,
    Skip,
    Skipped,
    SuggestedPlan,
)
from overture.linkedin.tables import Row, table

_T = TypeVar("_T")

CONNECTIONS = "connections.csv"
INVITATIONS = "invitations.csv"
MESSAGES = "messages.csv"
POSITIONS = "positions.csv"
PROFILE = "profile.csv"
RECEIPTS = "receipts_v2.csv"
_FILES = (CONNECTIONS, INVITATIONS, MESSAGES, POSITIONS, PROFILE, RECEIPTS)
_OLD_NAMES = {"receipts.csv": RECEIPTS}

_YES = frozenset({"yes", "true", "1", "y"})
_DRIVE = re.compile(r"[A-Za-z]:")
_CONVERSATION_ID_CHARS_MAX = 200
_DIRECTORY_BYTES_MAX = 8 << 20
_RATIO_COUNTS_FROM_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may ask of the machine. A real export of 20,000 messages has 45 files, 8 MB
    and a ratio of 14."""

    entries_max: int = 10_000
    unpacked_bytes_max: int = 2 << 30
    ratio_max: int = 200


class ArchiveRefused(Exception):
    """Why the archive as a whole cannot be taken: one sentence for the person who brought it."""


def open_archive(path: str | Path, limits: Limits | None = None) -> "Archive":
    """The archive, opened to be read and closed with `with`.

    Raises `ArchiveRefused` for what is not a LinkedIn export or not safe to unpack: here, and while
    its files are read, if one holds more than it said.
    """
    limits = limits or Limits()
    path = Path(path)
    if path.is_dir():
        raise ArchiveRefused(f"{path} is a folder. Give the zip file as LinkedIn sent it.")
    try:
        _refuse_a_long_directory(path)
        zipped = zipfile.ZipFile(path)
    except FileNotFoundError:
        raise ArchiveRefused(f"There is no file {path}.") from None
    except OSError as error:
        raise ArchiveRefused(f"{path} could not be read: {error.strerror or error}.") from error
    except (zipfile.BadZipFile, NotImplementedError, struct.error, ValueError) as error:
        raise ArchiveRefused(f"{path} is not a zip file, or only a part of one.") from error
    try:
        _refuse_what_is_unsafe(zipped, packed_bytes=path.stat().st_size, limits=limits)
        files = _files(zipped)
        if not files:
            raise ArchiveRefused(
                f"{path} holds none of the files of a LinkedIn export (Connections.csv, "
                "messages.csv, ...)."
            )
        _refuse_what_is_packed_oddly(files)
    except BaseException:
        zipped.close()
        raise
    return Archive(zipped, files, limits)


class Archive:
    """An open export. Each method that yields reads its file from the start, a row at a time."""

    def __init__(
        self, zipped: zipfile.ZipFile, files: Mapping[str, zipfile.ZipInfo], limits: Limits
    ) -> None:
        self._zipped = zipped
        self._files = files
        self._limits = limits
        self._bytes_read = 0

    def __enter__(self) -> "Archive":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._zipped.close()

    @property
    def found(self) -> tuple[str, ...]:
        """Which of the files that are read are there, by their lower-case names."""
        return tuple(name for name in _FILES if name in self._files)

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(name for name in _FILES if name not in self._files)

    @property
    def bytes_read(self) -> int:
        """How much of its files has been read so far; what is read twice counts twice."""
        return self._bytes_read

    @property
    def bytes_in_all(self) -> int:
        """How much its files hold, as the archive says."""
        return sum(info.file_size for info in self._files.values())

    def connections(self) -> Iterator[Connection | Skipped | Problem]:
        """The owner's connections. Those who hid themselves are rows with a date alone."""
        needed = frozenset({"firstname", "lastname", "connectedon"})
        return self._records(CONNECTIONS, needed, _connection)

    def invitations(self) -> Iterator[Invitation | Skipped | Problem]:
        """Invitations to connect that were sent and received, the answered ones among them."""
        needed = frozenset({"from", "to", "sentat", "direction"})
        return self._records(INVITATIONS, needed, _invitation)

    def messages(self) -> Iterator[Message | Skipped | Problem]:
        """Messages as the file has them: those of a conversation need not stand together, nor in
        the order of their dates."""
        order = 0

        def message(file: str, row: Row) -> Message | Skipped | Problem:
            nonlocal order
            order += 1
            return _message(file, row, order)

        return self._records(MESSAGES, frozenset({"from", "date", "content"}), message)

    def positions(self) -> Iterator[Position | Skipped | Problem]:
        return self._records(POSITIONS, frozenset({"companyname", "title"}), _position)

    def receipts(self) -> Iterator[Receipt | Skipped | Problem]:
        needed = frozenset({"transactionmadeat", "description"})
        return self._records(RECEIPTS, needed, _receipt)

    def owner(self) -> tuple[Owner | None, tuple[Problem, ...]]:
        """Whose export it is, and the rows that could not be read on the way.

        The profile's address stands nowhere in Profile.csv: invitations tell it, or else the
        messages, of which the owner is a party to every one. None if nothing names the owner.
        """
        problems: list[Problem] = []
        profile = self._first(self._table(PROFILE, frozenset({"firstname", "lastname"})), problems)
        positions = list(_sorted_out(self.positions(), Position, problems))
        first_name = clean_line(profile["firstname"]) if profile else ""
        last_name = clean_line(profile["lastname"]) if profile else ""
        name = clean_line(f"{first_name} {last_name}")
        party = self._owner_in_invitations() or self._owner_in_messages(name)
        if party is None and not name:
            return None, tuple(problems)
        held = max(
            (position for position in positions if position.held_now),
            key=lambda position: (position.started_on or date.min, -position.line),
            default=None,
        )
        owner = Owner(
            person=replace(party, name=name or party.name) if party else Person(name, "", None),
            first_name=first_name,
            last_name=last_name,
            headline=clean_line(profile["headline"]) if profile else "",
            location=clean_line(profile["geolocation"]) if profile else "",
            company=held.company if held else "",
            position=held.title if held else "",
            summary=clean_body(profile["summary"]) if profile else "",
        )
        return owner, tuple(problems)

    def suggested_plan(self) -> tuple[SuggestedPlan | None, tuple[Problem, ...]]:
        """The plan that the receipts speak of, and the rows of theirs that could not be read."""
        problems: list[Problem] = []
        receipts = _sorted_out(self.receipts(), Receipt, problems)
        return plans.suggestion(receipts), tuple(problems)

    def _owner_in_invitations(self) -> Person | None:
        seen = Counter[Person]()
        for row in self.invitations():
            if isinstance(row, Invitation) and row.owner.key:
                seen[row.owner] += 1
        return seen.most_common(1)[0][0] if seen else None

    def _owner_in_messages(self, name: str) -> Person | None:
        """Who is party to the most messages; of several such, the one of the owner's name."""
        times = Counter[str]()
        names: dict[str, Person] = {}
        for row in self.messages():
            if isinstance(row, Message):
                parties = {one.key: one for one in (*row.recipients, row.sender) if one.key}
                for key, one in parties.items():
                    times[key] += 1
                    if key not in names or not names[key].name:
                        names[key] = one
        most = max(times.values(), default=0)
        likely = [names[key] for key, count in times.items() if count == most]
        if len(likely) > 1:
            likely = [one for one in likely if name and one.name.casefold() == name.casefold()]
        return likely[0] if len(likely) == 1 else None

    def _records(
        self,
        file: str,
        needed: frozenset[str],
        record: Callable[[str, Row], _T | Skipped | Problem],
    ) -> Iterator[_T | Skipped | Problem]:
        for row in self._table(file, needed):
            yield row if isinstance(row, Problem) else record(self.shown(file), row)

    def _table(self, file: str, needed: frozenset[str]) -> Iterator[Row | Problem]:
        if file not in self._files:
            return
        with self._opened(self._files[file]) as stream:
            yield from table(self.shown(file), stream, needed)

    def _first(self, rows: Iterator[Row | Problem], problems: list[Problem]) -> Row | None:
        for row in rows:
            if not isinstance(row, Problem):
                return row
            problems.append(row)
        return None

    @contextmanager
    def _opened(self, info: zipfile.ZipInfo) -> Generator["Counted"]:
        try:
            stream = self._zipped.open(info)
        # The directory may say that a file begins where none can.
        except (zipfile.BadZipFile, RuntimeError, OSError, ValueError) as error:
            raise ArchiveRefused(f"{info.filename} in the archive cannot be unpacked.") from error
        with stream:
            yield Counted(stream, self._limits.unpacked_bytes_max, self._count)

    def _count(self, size: int) -> None:
        self._bytes_read += size

    def shown(self, file: str) -> str:
        """A file that was found, by its path in the archive."""
        return clean_line(self._files[file].filename)


class Counted:
    """A stream that ends in a refusal once more comes out of it than an archive may hold: what an
    archive says about its sizes is only what it says."""

    def __init__(
        self, stream: IO[bytes], bytes_max: int, count: Callable[[int], None] | None = None
    ) -> None:
        self._stream = stream
        self._bytes_left = bytes_max
        self._count = count

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(size)
        if self._count is not None:
            self._count(len(data))
        self._bytes_left -= len(data)
        if self._bytes_left < 0:
            raise ArchiveRefused("The archive holds more than it says. It was not unpacked.")
        return data


def _connection(file: str, row: Row) -> Connection | Skipped | Problem:
    name = clean_line(f"{row['firstname']} {row['lastname']}")
    email = clean_line(row["emailaddress"])
    given_day = row["connectedon"].strip()
    if not (name or row["url"].strip() or email):
        return Skipped(file, row.line, Skip.HIDDEN_CONNECTION)
    connected_on = dates.day(given_day) if given_day else None
    if given_day and connected_on is None:
        return Problem(file, row.line, f"the date {_quoted(given_day)} could not be read")
    return Connection(
        line=row.line,
        person=person(name, row["url"]),
        email=email if "@" in email else "",
        company=clean_line(row["company"]),
        position=clean_line(row["position"]),
        connected_on=connected_on,
    )


def _invitation(file: str, row: Row) -> Invitation | Skipped | Problem:
    if not any(cell.strip() for cell in row.cells()):
        return Skipped(file, row.line, Skip.EMPTY)
    given_direction = row["direction"].strip()
    try:
        direction = Direction(given_direction.lower())
    except ValueError:
        reason = f"the direction {_quoted(given_direction)} is neither incoming nor outgoing"
        return Problem(file, row.line, reason)
    sent_at = dates.moment(row["sentat"])
    if sent_at is None:
        return Problem(file, row.line, f"the date {_quoted(row['sentat'])} could not be read")
    sender = person(row["from"], row["inviterprofileurl"])
    recipient = person(row["to"], row["inviteeprofileurl"])
    outgoing = direction is Direction.OUTGOING
    return Invitation(
        line=row.line,
        direction=direction,
        owner=sender if outgoing else recipient,
        other=recipient if outgoing else sender,
        sent_at=sent_at,
        message=_as_text(row["message"]),
    )


def _message(file: str, row: Row, order: int) -> Message | Skipped | Problem:
    folder = clean_line(row["folder"]).upper()
    if (
        row["ismessagedraft"].strip().lower() in _YES
        or row["isconversationdraft"].strip().lower() in _YES
        or folder in {"DRAFT", "DRAFTS"}
    ):
        return Skipped(file, row.line, Skip.DRAFT)
    body = _as_text(row["content"])
    subject = clean_line(row["subject"])
    attachments = tuple(
        clean_line(word)
        for word in row["attachments"].split()
        if word.lower().startswith(("https://", "http://"))
    )
    body = body or "\n".join(attachments) or subject
    if not body:
        return Skipped(file, row.line, Skip.EMPTY)
    sent_at = dates.moment(row["date"])
    if sent_at is None:
        return Problem(file, row.line, f"the date {_quoted(row['date'])} could not be read")
    title = clean_line(row["conversationtitle"])
    sender = person(row["from"], row["senderprofileurl"])
    recipients = people(row["to"], row["recipientprofileurls"])
    return Message(
        line=row.line,
        order=order,
        conversation_id=_conversation_id(row["conversationid"], title, (sender, *recipients)),
        title=title,
        sender=sender,
        recipients=recipients,
        sent_at=sent_at,
        subject=subject,
        body=body,
        folder=folder,
        attachments=attachments,
    )


def _position(file: str, row: Row) -> Position | Skipped | Problem:
    company, title = clean_line(row["companyname"]), clean_line(row["title"])
    if not (company or title):
        return Skipped(file, row.line, Skip.EMPTY)
    started, finished = row["startedon"].strip(), row["finishedon"].strip()
    for given in (started, finished):
        if given and dates.month(given) is None:
            return Problem(file, row.line, f"the date {_quoted(given)} could not be read")
    return Position(
        line=row.line,
        company=company,
        title=title,
        location=clean_line(row["location"]),
        started_on=dates.month(started),
        finished_on=dates.month(finished),
        held_now=not finished,
    )


def _receipt(file: str, row: Row) -> Receipt | Skipped | Problem:
    if not any(cell.strip() for cell in row.cells()):
        return Skipped(file, row.line, Skip.EMPTY)
    paid_at = dates.moment(row["transactionmadeat"])
    if paid_at is None:
        reason = f"the date {_quoted(row['transactionmadeat'])} could not be read"
        return Problem(file, row.line, reason)
    description = clean_line(row["description"])
    returned = row["totalamount"].strip().startswith(("-", "("))
    plan = None if returned else plans.plan_of(description)
    return Receipt(row.line, paid_at, description, plan)


def _as_text(raw: str) -> str:
    return clean_body(html_to_text(raw) if is_html(raw) else raw)


def _conversation_id(given: str, title: str, parties: tuple[Person, ...]) -> str:
    """The export's own, or else one made from who takes part, the same in both directions."""
    shown = clean_line(given)
    if shown and len(shown) <= _CONVERSATION_ID_CHARS_MAX:
        return shown
    source = [shown] if shown else [title.casefold(), *sorted({one.label for one in parties})]
    return "derived-" + hashlib.sha256("\n".join(source).encode()).hexdigest()[:32]


def _sorted_out(
    rows: Iterator[_T | Skipped | Problem], kind: type[_T], problems: list[Problem]
) -> Iterator[_T]:
    for row in rows:
        if isinstance(row, kind):
            yield row
        elif isinstance(row, Problem):
            problems.append(row)


def _quoted(raw: str) -> str:
    """A cell as it may be shown in a report: one line, short, without anything that steers."""
    shown = clean_line(raw)
    return f"“{shown[:40]}…”" if len(shown) > 40 else f"“{shown}”"


def _refuse_a_long_directory(path: Path) -> None:
    """Before `zipfile` makes an object of every entry, half a kilobyte each for 46 bytes."""
    tail_bytes = 22 + 65_535 + 20 + 56
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - tail_bytes))
        tail = file.read(tail_bytes)
    end = len(tail) - 22
    if not (tail[end : end + 4] == b"PK\x05\x06" and tail.endswith(b"\0\0")):
        end = tail.rfind(b"PK\x05\x06")
    if end < 0 or len(tail) < end + 22:
        raise zipfile.BadZipFile
    directory_bytes: int = struct.unpack_from("<L", tail, end + 12)[0]
    # A zip64 archive says it once more, in the 56 bytes before the 20 bytes before the end.
    if end >= 76 and tail[end - 20 : end - 16] == b"PK\x06\x07":
        directory_bytes = struct.unpack_from("<Q", tail, end - 76 + 40)[0]
    if directory_bytes > _DIRECTORY_BYTES_MAX:
        raise ArchiveRefused("The archive holds far more files than a LinkedIn export.")


def _refuse_what_is_unsafe(zipped: zipfile.ZipFile, *, packed_bytes: int, limits: Limits) -> None:
    entries = zipped.infolist()
    if len(entries) > limits.entries_max:
        raise ArchiveRefused(
            f"The archive holds {len(entries)} files; a LinkedIn export has at most "
            f"{limits.entries_max}."
        )
    for entry in entries:
        # The name as it stands in the archive, before `zipfile` cuts it at a NUL.
        name = entry.orig_filename
        if (
            name.startswith("/")
            or "\\" in name
            or "\0" in name
            or _DRIVE.match(name)
            or ".." in name.split("/")
        ):
            raise ArchiveRefused(f"The archive names a path outside itself: {_quoted(name)}.")
    unpacked_bytes = sum(entry.file_size for entry in entries)
    if unpacked_bytes > limits.unpacked_bytes_max or (
        unpacked_bytes > _RATIO_COUNTS_FROM_BYTES
        and unpacked_bytes > packed_bytes * limits.ratio_max
    ):
        raise ArchiveRefused(
            f"The archive would be too large when unpacked: {unpacked_bytes >> 20} MB."
        )


def _refuse_what_is_packed_oddly(files: Mapping[str, zipfile.ZipInfo]) -> None:
    for entry in files.values():
        if entry.flag_bits & 1:
            raise ArchiveRefused(
                f"{_quoted(entry.filename)} in the archive is encrypted. Unpack it with its "
                "password, and zip it again without one."
            )
        if entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise ArchiveRefused(
                f"{_quoted(entry.filename)} in the archive is packed in an unusual way. Unpack it, "
                "and zip it again."
            )


def _files(zipped: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The files that are read, all from one folder: the one with most of them, of several such the
    least deep. An archive of two exports must not make one person of two."""
    folders: dict[str, dict[str, zipfile.ZipInfo]] = {}
    for entry in sorted(zipped.infolist(), key=lambda entry: entry.filename):
        folder, _, base = entry.filename.rpartition("/")
        # macOS puts a shadow of each file beside it.
        if base.startswith("._") or "__MACOSX" in folder.split("/"):
            continue
        name = _OLD_NAMES.get(base.lower(), base.lower())
        if name in _FILES:
            folders.setdefault(folder, {}).setdefault(name, entry)
    if not folders:
        return {}
    best = min(folders, key=lambda folder: (-len(folders[folder]), folder.count("/"), folder))
    return folders[best]
