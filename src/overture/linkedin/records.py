"""What an export holds, as plain data.

Text in records is clean: NFC, no control characters, no surrogates; names, titles and subjects are
one line without direction controls. Nothing is cut to a length, since only the reader knows its
limits. Absent text is the empty string; moments are aware and in UTC.
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum

# What LinkedIn writes in place of a member who closed the account.
DELETED_MEMBER = "LinkedIn Member"


@dataclass(frozen=True, slots=True)
class Person:
    """Someone as one row names them.

    `key` tells people apart and is the same for every spelling of one profile's address; names do
    not, since many people share one. It is None where the row has no address of a profile: for
    deleted members, companies and old exports. `name` may be empty where only the address is known.
    """

    name: str
    url: str
    key: str | None

    @property
    def label(self) -> str:
        """What to call them: never empty."""
        return self.name or self.key or DELETED_MEMBER


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose export it is. Company and position are those of the position held now, if any."""

    person: Person
    first_name: str
    last_name: str
    headline: str
    location: str
    company: str
    position: str
    summary: str


@dataclass(frozen=True, slots=True)
class Position:
    line: int
    company: str
    title: str
    location: str
    started_on: date | None
    finished_on: date | None
    held_now: bool


@dataclass(frozen=True, slots=True)
class Connection:
    """`connected_on` is None where the export leaves it empty."""

    line: int
    person: Person
    email: str
    company: str
    position: str
    connected_on: date | None


class Direction(Enum):
    INCOMING = "incoming"
    OUTGOING = "outgoing"


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation between the owner and `other`. An export lists answered ones as well."""

    line: int
    direction: Direction
    owner: Person
    other: Person
    sent_at: datetime
    message: str


@dataclass(frozen=True, slots=True)
class Message:
    """A sent message. `order` counts the file's rows from 1, in the order LinkedIn wrote them.

    The recipients are those of this row: in a group, what others wrote names the owner alone, so
    that only all rows of a conversation tell who is in it. `body` is never blank: a message without
    text shows its attachments' addresses or else its subject.
    """

    line: int
    order: int
    conversation_id: str
    title: str
    sender: Person
    recipients: tuple[Person, ...]
    sent_at: datetime
    subject: str
    body: str
    folder: str
    attachments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Receipt:
    """A payment. `plan` is the plan's name in a policy; None for anything else that was bought."""

    line: int
    paid_at: datetime
    description: str
    plan: str | None


@dataclass(frozen=True, slots=True)
class SuggestedPlan:
    """The plan paid for last, and the first payment for it."""

    plan: str
    signed_up_at: datetime


class Skip(Enum):
    """Why a row that is well was left out."""

    HIDDEN_CONNECTION = "hidden_connection"
    DRAFT = "draft"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class Skipped:
    file: str
    line: int
    why: Skip


@dataclass(frozen=True, slots=True)
class Problem:
    """A row that could not be taken. `line` is the physical line, from 1, on which it begins."""

    file: str
    line: int
    reason: str

    def sentence(self) -> str:
        return f"{self.file}, line {self.line}: {self.reason}"
