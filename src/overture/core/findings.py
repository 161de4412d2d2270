"""What an examination of an installation finds: each thing good, doubtful or wrong, and what to do."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """`about` is what was looked at, `says` what was found, `do` what to do; None where nothing is."""

    about: str
    grade: Grade
    says: str
    do: str | None = None


def ok(about: str, says: str) -> Finding:
    return Finding(about, Grade.OK, says)


def warning(about: str, says: str, do: str) -> Finding:
    return Finding(about, Grade.WARNING, says, do)


def fault(about: str, says: str, do: str) -> Finding:
    return Finding(about, Grade.FAULT, says, do)


def worst(found: Iterable[Finding]) -> Grade:
    order = list(Grade)
    return max((each.grade for each in found), key=order.index, default=Grade.OK)
