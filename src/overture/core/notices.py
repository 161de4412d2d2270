"""What members are told of their credits although nobody did anything: grants, and expiries ahead."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from overture.core.credits import Account, Entry, Kind, Reason
from overture.core.policy import PolicyBook

# How long before credits expire it is told, once each.
WARNINGS = (timedelta(days=14), timedelta(days=3))
# The grants of a plan's beginning are told with the plan.
_TOLD_WITH_THE_PLAN = (Reason.SIGN_UP, Reason.PLAN_CHANGE)


@dataclass(frozen=True, slots=True)
class Expiring:
    """Credits that are about to expire, told for the first or for the last time."""

    credits: int
    expires_at: datetime
    last: bool


def grants(entries: Sequence[Entry], since: datetime, until: datetime) -> list[Entry]:
    """The grants that came by themselves after `since`, up to and including `until`."""
    return [
        entry
        for entry in entries
        if entry.kind is Kind.GRANT
        and entry.credits > 0
        and entry.plan is not None
        and entry.reason not in _TOLD_WITH_THE_PLAN
        and since < entry.at <= until
    ]


def expiring(account: Account, since: datetime, until: datetime) -> list[Expiring]:
    """The warnings that fell due after `since`, up to and including `until`; of a lot's, the latest.

    The account is settled to `until`. Lots that expire together are told together.
    """
    found: dict[tuple[datetime, bool], int] = {}
    for lot in account.lots:
        due = [each for each in WARNINGS if since < lot.expires_at - each <= until]
        # What lives for less than the time of a warning was known to when it came.
        due = [each for each in due if lot.expires_at - each > lot.granted_at]
        if due:
            key = (lot.expires_at, min(due) == WARNINGS[-1])
            found[key] = found.get(key, 0) + lot.remaining
    return [Expiring(credits, at, last) for (at, last), credits in sorted(found.items())]


def look_again_at(account: Account, now: datetime, book: PolicyBook) -> datetime | None:
    """When something is next to be told of a settled account; None while nothing will be."""
    if account.subscription is None:
        return None
    dues = [account.next_due_at, book.change_after(now)]
    dues += [lot.expires_at - each for lot in account.lots for each in WARNINGS]
    return min((due for due in dues if due is not None and due > now), default=None)
