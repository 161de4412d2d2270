"""When the one reminder is due: aimed at 48 hours, within waking hours, never later than 72."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from overture.core.reminders import due_at
from tests.cast import policy

SEED = policy("seed").versions[0]


def sent(text: str) -> datetime:
    return datetime.fromisoformat(text + "+00:00")


@pytest.mark.parametrize(
    ("sent_at", "time_zone", "due"),
    [
        # In waking hours it comes at 48 hours, to the second.
        ("2025-03-03T12:00:05", "UTC", "2025-03-05T12:00:05"),
        # The edges of the waking hours: 08:00 is awake, 21:00 is not.
        ("2025-03-03T08:00:00", "UTC", "2025-03-05T08:00:00"),
        ("2025-03-03T07:59:59", "UTC", "2025-03-05T08:00:00"),
        ("2025-03-03T20:59:59", "UTC", "2025-03-05T20:59:59"),
        ("2025-03-03T21:00:00", "UTC", "2025-03-06T08:00:00"),
        ("2025-03-03T00:00:00", "UTC", "2025-03-05T08:00:00"),
        ("2025-03-03T23:59:59", "UTC", "2025-03-06T08:00:00"),
        # Zones with half and quarter hours, and on either side of the date line.
        ("2025-03-03T02:15:00", "Asia/Kathmandu", "2025-03-05T02:15:00"),
        ("2025-03-03T02:14:59", "Asia/Kathmandu", "2025-03-05T02:15:00"),
        ("2025-03-03T12:00:00", "Asia/Kolkata", "2025-03-05T12:00:00"),
        ("2025-03-03T12:00:00", "Pacific/Kiritimati", "2025-03-05T18:00:00"),
        ("2025-03-03T12:00:00", "Pacific/Pago_Pago", "2025-03-05T19:00:00"),
        ("2025-03-03T12:00:00", "Australia/Lord_Howe", "2025-03-05T21:00:00"),
        # The clocks go forward on 30 March in Berlin, back on 26 October.
        ("2025-03-28T22:00:00", "Europe/Berlin", "2025-03-31T06:00:00"),
        ("2025-03-28T19:30:00", "Europe/Berlin", "2025-03-31T06:00:00"),
        ("2025-03-28T18:59:59", "Europe/Berlin", "2025-03-30T18:59:59"),
        ("2025-10-24T03:00:00", "Europe/Berlin", "2025-10-26T07:00:00"),
        ("2025-10-24T19:59:59", "Europe/Berlin", "2025-10-26T19:59:59"),
    ],
)
def test_the_reminder_keeps_waking_hours(sent_at: str, time_zone: str, due: str) -> None:
    assert due_at(sent(sent_at), time_zone, SEED) == sent(due)


def test_it_never_comes_later_than_72_hours() -> None:
    """Where the waking hours are short, the latest hour wins over them."""
    from dataclasses import replace
    from datetime import time

    nap = replace(SEED, waking_from=time(12), waking_until=time(12, 30))
    at = sent("2025-03-03T12:30:00")
    assert due_at(at, "UTC", nap) == sent("2025-03-06T12:00:00")
    strict = replace(nap, reminder_latest=timedelta(hours=60))
    assert due_at(at, "UTC", strict) == at + timedelta(hours=60)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kathmandu", "Pacific/Apia"])
def test_through_a_year_it_is_within_its_bounds(zone: str) -> None:
    at = datetime(2025, 1, 1, tzinfo=UTC)
    while at.year == 2025:
        due = due_at(at, zone, SEED)
        assert timedelta(hours=48) <= due - at <= timedelta(hours=72)
        local = due.astimezone(ZoneInfo(zone)).time()
        assert SEED.waking_from <= local < SEED.waking_until
        at += timedelta(minutes=97)
