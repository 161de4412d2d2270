"""Calendar arithmetic: anniversaries of a sign-up and firsts of the month. Instants are UTC."""

from calendar import monthrange
from datetime import UTC, datetime


def months_after(instant: datetime, months: int) -> datetime:
    """The same day and time so many calendar months on, the day clamped to the month's last."""
    month = instant.month - 1 + months
    year, month = instant.year + month // 12, month % 12 + 1
    return instant.replace(year=year, month=month, day=min(instant.day, monthrange(year, month)[1]))


def anniversary_after(anchor: datetime, instant: datetime) -> datetime:
    """The first monthly anniversary of `anchor` that lies after `instant` (never at it).

    Always counted from the anchor itself, so that 31 January is followed by 28 February and then by
    31 March. `instant` is not before the anchor.
    """
    months = (instant.year - anchor.year) * 12 + instant.month - anchor.month
    candidate = months_after(anchor, months)
    return candidate if candidate > instant else months_after(anchor, months + 1)


def first_of_month_after(instant: datetime) -> datetime:
    """The first midnight of a month, UTC, that lies after `instant`."""
    return months_after(datetime(instant.year, instant.month, 1, tzinfo=UTC), 1)
