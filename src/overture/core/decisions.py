"""What an operator may decide of a member, and until when the member may complain.

Source: docs/abuse.md, "Reports" and "Suspension".
"""

from datetime import datetime
from enum import StrEnum

from overture.core.cycles import months_after
from overture.core.refusals import Refusal

COMPLAINT_MONTHS = 6
STATEMENT_CHARS_MAX = 2_000


class Measure(StrEnum):
    """What is done. `LIFTED` ends a suspension."""

    NONE = "none"
    WARNING = "warning"
    SUSPENSION = "suspension"
    LIFTED = "lifted"


class Ground(StrEnum):
    """What a decision rests on: what members agreed to, or the law."""

    TERMS = "terms"
    LAW = "law"


class About(StrEnum):
    """What a complaint is about: a decision on oneself, or what became of one's own report."""

    DECISION = "decision"
    REPORT = "report"


class Verdict(StrEnum):
    """What becomes of a complaint: what was decided stands, or is taken back."""

    STANDS = "stands"
    REVERSED = "reversed"


def may_take(measure: Measure, *, suspended: bool) -> Refusal | None:
    """Whether a measure can be taken on a member as they are now."""
    if measure is Measure.SUSPENSION and suspended:
        return Refusal.ALREADY_SUSPENDED
    if measure is Measure.LIFTED and not suspended:
        return Refusal.NOT_SUSPENDED
    return None


def suspended_after(measure: Measure, *, suspended: bool) -> bool:
    """Whether a member is suspended once a measure was taken."""
    match measure:
        case Measure.SUSPENSION:
            return True
        case Measure.LIFTED:
            return False
        case Measure.NONE | Measure.WARNING:
            return suspended


def complain_until(decided_at: datetime) -> datetime:
    return months_after(decided_at, COMPLAINT_MONTHS)


def may_complain(decided_at: datetime | None, now: datetime, *, complained: bool) -> Refusal | None:
    """Whether somebody whom a decision concerns may complain of it; None is not decided yet."""
    if decided_at is None:
        return Refusal.NOT_DECIDED_YET
    if complained:
        return Refusal.ALREADY_COMPLAINED
    return None if now <= complain_until(decided_at) else Refusal.TOO_LATE_TO_COMPLAIN


def undone_by(measure: Measure, *, stands: bool) -> Measure | None:
    """What takes a measure back when a complaint of it is right; None where nothing has to be done.

    `stands`: it is what the member is suspended by now.
    """
    return Measure.LIFTED if measure is Measure.SUSPENSION and stands else None
