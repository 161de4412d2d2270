"""A LinkedIn export brought in: its records as an import takes them, and a report of every row."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from pathlib import Path
from typing import TypeVar

from overture.actions import imports
from overture.actions.imports import Added, Imported, LeftOut, NotImported, Tally
from overture.core.policy import PolicyBook
from overture.linkedin import archive as archives
from overture.linkedin.archive import Archive, Limits, open_archive
from overture.linkedin.records import (
    DELETED_MEMBER,
    Connection,
    Direction,
    Invitation,
    Message,
    Person,
    Position,
    Problem,
    Receipt,
    Skip,
    Skipped,
)
from overture.store import imports as store
from overture.store.db import RETRIED, Conflict
from overture.store.inbox import Box

_T = TypeVar("_T")

# Called with what has been read and what there is to read, in bytes.
Progress = Callable[[int, int], None]

# More are counted, but not kept: an archive may be nothing but bad rows.
PROBLEMS_KEPT_MAX = 10_000
_TOLD_EVERY_ROWS = 250
_BOXES = {"ARCHIVE": Box.ARCHIVED, "ARCHIVED": Box.ARCHIVED, "SPAM": Box.SPAM}


class ImportRefused(Exception):
    """Why nothing was imported: one sentence for the person who asked."""


@dataclass(slots=True)
class FileReport:
    """What became of the rows of one file: `rows` is the sum of all others."""

    file: str
    rows: int = 0
    taken: int = 0
    already_there: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    problems: int = 0

    def leave_out(self, why: str, rows: int = 1) -> None:
        self.left_out[why] = self.left_out.get(why, 0) + rows


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A plan that the receipts speak of; `pool` is None where the policy has no such plan."""

    plan: str
    title: str
    pool: str | None
    signed_up_at: datetime

    @property
    def sentence(self) -> str:
        said = f"Receipts suggest {self.title} since {self.signed_up_at:%Y-%m-%d}"
        if self.pool is None:
            return f"{said}, a plan that this installation does not have."
        return f"{said}; subscribe with PUT /me/subscriptions/{self.pool}."


@dataclass(frozen=True, slots=True)
class Report:
    """What an import did. Of the problems and notices the first are listed, and all are counted."""

    imported: Imported
    files: tuple[FileReport, ...]
    problems: tuple[Problem, ...]
    problems_in_all: int
    notices: tuple[Problem, ...]
    notices_in_all: int
    suggestion: Suggestion | None


async def import_archive(
    url: str,
    path: str | Path,
    handle: str,
    *,
    now: datetime,
    book: PolicyBook,
    progress: Progress | None = None,
    limits: Limits | None = None,
) -> Report:
    """Imports an export into the database at `url`, whole or not at all.

    Raises ArchiveRefused for an archive that cannot be taken, and ImportRefused.
    """
    with open_archive(path, limits) as archive:
        try:
            return await _once(url, archive, handle, now=now, book=book, progress=progress)
        except (Conflict, *RETRIED):
            # Somebody made the same member or handle at the same time: now it is there.
            try:
                return await _once(url, archive, handle, now=now, book=book, progress=progress)
            except (Conflict, *RETRIED) as problem:
                raise ImportRefused(
                    "Others kept changing what this import is about. Nothing was imported; try "
                    "again in a moment."
                ) from problem


async def _once(
    url: str,
    archive: Archive,
    handle: str,
    *,
    now: datetime,
    book: PolicyBook,
    progress: Progress | None,
) -> Report:
    reading = _Reading(archive, progress)
    contents = imports.Archive(
        owner=reading.owner(handle),
        connections=reading.connections(),
        invitations=reading.invitations(),
        messages=reading.messages(),
    )
    suggestion = reading.suggestion(book, now)
    async with store.transaction(url) as tx:
        imported = await imports.bring_in(tx, contents, now)
        if isinstance(imported, NotImported):
            raise ImportRefused(imported.sentence)
        reading.tell()
    for file, tally in (
        (archives.CONNECTIONS, imported.connections),
        (archives.INVITATIONS, imported.invitations),
        (archives.MESSAGES, imported.messages),
    ):
        _settle(reading.files.get(file), tally)
    return Report(
        imported=imported,
        files=tuple(reading.files.values()),
        problems=tuple(reading.problems),
        problems_in_all=reading.problems_in_all,
        notices=tuple(reading.notices),
        notices_in_all=reading.notices_in_all,
        suggestion=suggestion,
    )


def _settle(report: FileReport | None, tally: Tally) -> None:
    if report is None:
        return
    report.taken = tally.taken
    report.already_there = tally.already_there
    for why, rows in tally.left_out.items():
        report.leave_out(why.value, rows)


class _Reading:
    """An archive while it is read: what an import takes goes on, all else is counted here."""

    def __init__(self, archive: Archive, progress: Progress | None) -> None:
        self.files = {name: FileReport(archive.shown(name)) for name in archive.found}
        self.problems: list[Problem] = []
        self.problems_in_all = 0
        self.notices: list[Problem] = []
        self.notices_in_all = 0
        self._archive = archive
        self._progress = progress
        self._read_before = archive.bytes_read
        self._rows = 0

    def owner(self, handle: str) -> imports.Owner:
        owner, problems = self._archive.owner()
        # Those of the positions come again when the positions are counted.
        profile = self.files.get(archives.PROFILE)
        if profile is not None:
            for problem in problems:
                if problem.file == profile.file:
                    profile.rows += 1
                    self._bad(profile, problem)
            if owner is not None and (owner.first_name or owner.last_name):
                profile.rows += 1
                profile.taken += 1
        positions = self._rows_of(archives.POSITIONS, self._archive.positions(), Position)
        for position in positions:
            report = self.files[archives.POSITIONS]
            if owner is not None and position.held_now and not report.taken:
                report.taken += 1
            else:
                report.leave_out("not_held_now")
        self._read_before = self._archive.bytes_read
        if owner is None:
            return imports.Owner(handle, imports.Person("", None))
        return imports.Owner(
            handle=handle,
            person=_person(owner.person) or imports.Person("", None),
            headline=owner.headline or owner.position,
            company=owner.company,
            location=owner.location,
        )

    def suggestion(self, book: PolicyBook, now: datetime) -> Suggestion | None:
        for receipt in self._rows_of(archives.RECEIPTS, self._archive.receipts(), Receipt):
            report = self.files[archives.RECEIPTS]
            if receipt.plan is None:
                report.leave_out("no_plan")
            else:
                report.taken += 1
        suggested, _ = self._archive.suggested_plan()
        self._read_before = self._archive.bytes_read
        if suggested is None:
            return None
        plan = book.at(now).plans.get(suggested.plan)
        title = suggested.plan.replace("_", " ").title() if plan is None else plan.title
        pool = None if plan is None else plan.pool
        return Suggestion(suggested.plan, title, pool, suggested.signed_up_at)

    def connections(self) -> Iterator[imports.Connection]:
        rows = self._archive.connections()
        for row in self._rows_of(archives.CONNECTIONS, rows, Connection):
            day = row.connected_on
            yield imports.Connection(
                person=_person(row.person),
                email=row.email,
                company=row.company,
                position=row.position,
                since=None if day is None else datetime.combine(day, time(), UTC),
            )

    def invitations(self) -> Iterator[imports.Invitation]:
        rows = self._archive.invitations()
        for row in self._rows_of(archives.INVITATIONS, rows, Invitation):
            yield imports.Invitation(
                other=_person(row.other),
                outgoing=row.direction is Direction.OUTGOING,
                sent_at=row.sent_at,
                note=row.message,
            )

    def messages(self) -> Iterator[imports.Message]:
        rows = self._archive.messages()
        for row in self._rows_of(archives.MESSAGES, rows, Message):
            body = row.body
            if len(body) > imports.BODY_CHARS_MAX:
                body = body.strip()[: imports.BODY_CHARS_MAX]
                self._notice(
                    self.files[archives.MESSAGES].file,
                    row.line,
                    f"the text was cut to {imports.BODY_CHARS_MAX:,} characters",
                )
            yield imports.Message(
                conversation=row.conversation_id,
                title=row.title,
                sender=_person(row.sender),
                recipients=tuple(_person(each) for each in row.recipients),
                sent_at=row.sent_at,
                subject=row.subject,
                body=body,
                box=_BOXES.get(row.folder, Box.INBOX),
            )

    def tell(self) -> None:
        if self._progress is not None:
            read = self._archive.bytes_read - self._read_before
            self._progress(min(read, self._archive.bytes_in_all), self._archive.bytes_in_all)

    def _rows_of(
        self, name: str, rows: Iterator[_T | Skipped | Problem], kind: type[_T]
    ) -> Iterator[_T]:
        for row in rows:
            report = self.files[name]
            report.rows += 1
            self._rows += 1
            if self._rows % _TOLD_EVERY_ROWS == 0:
                self.tell()
            if isinstance(row, kind):
                yield row
            elif isinstance(row, Problem):
                self._bad(report, row)
            elif isinstance(row, Skipped):
                report.leave_out(row.why.value)

    def _bad(self, report: FileReport, problem: Problem) -> None:
        report.problems += 1
        self.problems_in_all += 1
        if len(self.problems) < PROBLEMS_KEPT_MAX:
            self.problems.append(problem)

    def _notice(self, file: str, line: int, what: str) -> None:
        self.notices_in_all += 1
        if len(self.notices) < PROBLEMS_KEPT_MAX:
            self.notices.append(Problem(file, line, what))


def _person(person: Person) -> imports.Person | None:
    """Who has left LinkedIn is nobody."""
    name = "" if person.name == DELETED_MEMBER else person.name
    if person.key is None and not name:
        return None
    return imports.Person(name, person.key)


# Words ------------------------------------------------------------------------------------------

PROBLEMS_PRINTED_MAX = 50
_WHY = {
    Skip.HIDDEN_CONNECTION.value: "hidden by themselves",
    Skip.DRAFT.value: "never sent",
    Skip.EMPTY.value: "empty",
    LeftOut.ONESELF.value: "about the owner alone",
    LeftOut.REPEATED.value: "repeated",
    LeftOut.CONNECTED.value: "connected since",
    LeftOut.CLOSED_ACCOUNT.value: "closed their account here",
    LeftOut.BLOCKED.value: "blocked by the owner",
    LeftOut.NOT_THEIR_OWN.value: "from members who have an account here, and can invite themselves",
    LeftOut.NOBODY.value: "name nobody",
    "not_held_now": "not held now",
    "no_plan": "not for a plan",
}


def told(report: Report) -> list[str]:
    """The report in lines for people."""
    done, added = report.imported, report.imported.added
    who = "a new member" if done.created else "a member"
    if not done.claimed:
        who += " who has not claimed the account"
    lines = [f"Imported as {done.handle}: {done.name}, {who}."]
    if done.renamed_from is not None:
        lines.append(f"They were known here from another import, as {done.renamed_from}.")
    width = max((len(each.file) for each in report.files), default=0)
    lines += [f"  {each.file:{width}}  {_counted(each)}" for each in report.files]
    lines.append(_added(added))
    if report.suggestion is not None:
        lines.append(report.suggestion.sentence)
    lines += _listed("Shortened", report.notices, report.notices_in_all)
    lines += _listed("Not taken", report.problems, report.problems_in_all)
    return lines


def as_json(report: Report) -> dict[str, object]:
    """The report for scripts: instants as text, everything by name."""
    done, suggestion = report.imported, report.suggestion
    return {
        "member": {
            "id": done.owner,
            "handle": done.handle,
            "name": done.name,
            "claimed": done.claimed,
            "created": done.created,
            "renamed_from": done.renamed_from,
        },
        "files": [
            {
                "file": each.file,
                "rows": each.rows,
                "taken": each.taken,
                "already_there": each.already_there,
                "left_out": each.left_out,
                "problems": each.problems,
            }
            for each in report.files
        ],
        "added": {name: getattr(done.added, name) for name in Added.__slots__},
        "suggestion": None
        if suggestion is None
        else {
            "plan": suggestion.plan,
            "pool": suggestion.pool,
            "signed_up_at": f"{suggestion.signed_up_at:%Y-%m-%dT%H:%M:%SZ}",
        },
        "problems": [_as_row(each) for each in report.problems],
        "problems_in_all": report.problems_in_all,
        "notices": [_as_row(each) for each in report.notices],
        "notices_in_all": report.notices_in_all,
    }


def _as_row(problem: Problem) -> dict[str, object]:
    return {"file": problem.file, "line": problem.line, "reason": problem.reason}


def _counted(file: FileReport) -> str:
    parts = [f"{file.taken:,} taken"]
    if file.already_there:
        parts.append(f"{file.already_there:,} already there")
    parts += [f"{rows:,} {_WHY.get(why, why)}" for why, rows in file.left_out.items()]
    if file.problems:
        parts.append(f"{file.problems:,} could not be read")
    return f"{_number(file.rows, 'row')}: {', '.join(parts)}"


def _added(added: Added) -> str:
    if not any(getattr(added, name) for name in Added.__slots__):
        return "Nothing is new: all of it was here already."
    groups = f" ({_number(added.groups, 'group')} among them)" if added.groups else ""
    return (
        f"New here: {_number(added.members, 'member')}, {_number(added.connections, 'connection')}, "
        f"{_number(added.invitations, 'invitation')}, "
        f"{_number(added.conversations, 'conversation')}{groups}, "
        f"{_number(added.messages, 'message')}."
    )


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _listed(title: str, problems: tuple[Problem, ...], in_all: int) -> list[str]:
    if not in_all:
        return []
    shown = [f"  {each.sentence()}" for each in problems[:PROBLEMS_PRINTED_MAX]]
    more = in_all - len(shown)
    return [f"{title}:", *shown, *([f"  and {more:,} more"] if more else [])]
