"""Focused or Other, and what "remind me later" means where the member lives."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from overture.core.boxes import SNOOZE_MAX, Later, is_focused, later, may_snooze
from overture.core.conversations import Channel

BERLIN = ZoneInfo("Europe/Berlin")
# A Wednesday, 11:00 in Berlin.
NOW = datetime(2026, 11, 25, 10, tzinfo=UTC)


def test_a_strangers_free_letter_lies_under_other():
    assert not is_focused(Channel.OPEN_PROFILE, begun=False)


@pytest.mark.parametrize(
    ("channel", "begun"),
    [(Channel.INMAIL, False), (Channel.MESSAGE, False), (Channel.OPEN_PROFILE, True)],
)
def test_what_was_paid_for_or_is_ones_own_lies_under_focused(channel: Channel, begun: bool):
    assert is_focused(channel, begun=begun)


def test_an_imported_group_lies_under_other():
    assert not is_focused(Channel.MESSAGE, begun=True, group=True)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (Later.THIS_EVENING, datetime(2026, 11, 25, 18, tzinfo=BERLIN)),
        (Later.TOMORROW, datetime(2026, 11, 26, 8, tzinfo=BERLIN)),
        (Later.NEXT_WEEK, datetime(2026, 11, 30, 8, tzinfo=BERLIN)),
        (Later.NEXT_MONTH, datetime(2026, 12, 1, 8, tzinfo=BERLIN)),
    ],
)
def test_a_choice_is_an_hour_where_the_member_lives(choice: Later, expected: datetime):
    assert later(choice, NOW, BERLIN) == expected


def test_in_the_evening_this_evening_is_not_offered():
    evening = datetime(2026, 11, 25, 17, 30, tzinfo=BERLIN)

    assert later(Later.THIS_EVENING, evening, BERLIN) is None


def test_on_a_monday_next_week_is_the_next_monday():
    monday = datetime(2026, 11, 30, 12, tzinfo=UTC)

    assert later(Later.NEXT_WEEK, monday, BERLIN) == datetime(2026, 12, 7, 8, tzinfo=BERLIN)


def test_eight_in_the_morning_stays_eight_when_the_clocks_change():
    saturday = datetime(2026, 3, 28, 12, tzinfo=UTC)

    assert later(Later.TOMORROW, saturday, BERLIN) == datetime(2026, 3, 29, 6, tzinfo=UTC)


def test_one_is_reminded_of_what_is_to_come_within_a_year():
    assert may_snooze(NOW + timedelta(minutes=1), NOW)
    assert not may_snooze(NOW, NOW)
    assert not may_snooze(NOW + SNOOZE_MAX + timedelta(seconds=1), NOW)
