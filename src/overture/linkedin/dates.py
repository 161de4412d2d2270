"""Dates as exports write them. The month names are English in every export, whatever the locale."""

import re
from datetime import UTC, date, datetime

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            ("jan", "january"),
            ("feb", "february"),
            ("mar", "march"),
            ("apr", "april"),
            ("may",),
            ("jun", "june"),
            ("jul", "july"),
            ("aug", "august"),
            ("sep", "sept", "september"),
            ("oct", "october"),
            ("nov", "november"),
            ("dec", "december"),
        ),
        start=1,
    )
    for name in names
}
# Newer exports have a narrow no-break space before AM and PM; `\s` knows it.
_CLOCK = r"(\d{1,2}):(\d{2})(?::(\d{2}))?(?:\s?([AP])\.?M\.?)?"
_AMERICAN = re.compile(rf"([0-9]+)/([0-9]+)/([0-9]+)(?:,?\s+{_CLOCK})?", re.IGNORECASE)
_DAY_FIRST = re.compile(r"([0-9]{1,2})[ -]([A-Za-z]+)\.?[ -]([0-9]{4})")
_MONTH_FIRST = re.compile(r"([A-Za-z]+)\.? ([0-9]{1,2}),? ([0-9]{4})")
_MONTH_ALONE = re.compile(r"(?:([A-Za-z]+)\.? )?([0-9]{4})")
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_UTC = re.compile(r"\s*(?:UTC|GMT|Z)$", re.IGNORECASE)
_CHARS_MAX = 64


def moment(raw: str) -> datetime | None:
    """The moment in UTC, where no zone is given as well; None if it cannot be read.

    "1842-07-10 08:14:00 UTC", "2026-01-29T14:37:00Z", "1/29/26, 2:37 PM", "05 Jun 1833".
    """
    text = raw.strip()
    if len(text) > _CHARS_MAX:
        return None
    try:
        return _with_clock(text) or _without_clock(text)
    except (ValueError, OverflowError):  # 31 Feb, or the end of the year 9999 further west.
        return None


def day(raw: str) -> date | None:
    """The day: "05 Jun 1833", "Jun 5, 1833", "1833-06-05", "6/5/33"; None if it cannot be read."""
    found = moment(raw)
    return found and found.date()


def month(raw: str) -> date | None:
    """As `day`, and "Oct 2022" or "2022" too: the first day of it."""
    if found := _MONTH_ALONE.fullmatch(raw.strip()):
        try:
            return date(int(found[2]), _MONTHS.get(found[1].lower(), 0) if found[1] else 1, 1)
        except ValueError:
            return None
    return day(raw)


def _with_clock(text: str) -> datetime | None:
    if _ISO.match(text):
        found = datetime.fromisoformat(_UTC.sub("", text))
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    american = _AMERICAN.fullmatch(text)
    return american and _american(american)


def _without_clock(text: str) -> datetime | None:
    if found := _DAY_FIRST.fullmatch(text):
        return _midnight(found[3], found[2], found[1])
    if found := _MONTH_FIRST.fullmatch(text):
        return _midnight(found[3], found[1], found[2])
    return None


def _midnight(year: str, month_name: str, day_of_month: str) -> datetime:
    return datetime(int(year), _MONTHS.get(month_name.lower(), 0), int(day_of_month), tzinfo=UTC)


def _american(found: re.Match[str]) -> datetime:
    """Month, day, year. Where the first cannot be a month this fails rather than take it for a day:
    the same file's other rows would be read the wrong way round in silence."""
    year_digits = found[3]
    if len(year_digits) not in {2, 4}:
        raise ValueError
    # LinkedIn began in 2003, so that two digits leave no doubt.
    year = int(year_digits) + (2000 if len(year_digits) == 2 else 0)
    hour, minute, second = (int(part or 0) for part in found.group(4, 5, 6))
    if half := found[7]:
        if not 1 <= hour <= 12:
            raise ValueError
        hour = hour % 12 + (12 if half in "Pp" else 0)
    return datetime(year, int(found[1]), int(found[2]), hour, minute, second, tzinfo=UTC)
