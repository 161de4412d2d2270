"""Whether a member may be told, as tables."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from overture.core.notifying import CHOICES, Channel, How, Kind, Reader, may_tell, next_morning

ADA = Reader(reached_by=tuple(Channel), mails=True, daily=False, silent=())


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("channel", Channel)
def test_who_has_chosen_nothing_is_told_of_everything_at_once(kind: Kind, channel: Channel):
    assert may_tell(ADA, kind, channel) is How.AT_ONCE


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("channel", Channel)
def test_nobody_is_told_who_has_left_or_whom_the_channel_does_not_reach(
    kind: Kind, channel: Channel
):
    others = [each for each in Channel if each is not channel]

    assert may_tell(replace(ADA, closed=True), kind, channel) is None
    assert may_tell(replace(ADA, reached_by=others), kind, channel) is None


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("channel", Channel)
def test_what_is_about_one_who_is_blocked_is_not_told(kind: Kind, channel: Channel):
    told = may_tell(ADA, kind, channel, blocked=True)

    assert told is (How.AT_ONCE if kind is Kind.SECURITY else None)


@pytest.mark.parametrize("channel", Channel)
def test_a_kind_that_is_silent_is_not_told_and_the_others_are(channel: Channel):
    for silent in CHOICES:
        reader = replace(ADA, silent=(silent,))
        told = {kind for kind in Kind if may_tell(reader, kind, channel)}
        assert told == set(Kind) - {silent}


def test_without_mails_only_the_safety_of_the_account_is_mailed_and_push_goes_on():
    reader = replace(ADA, mails=False)

    assert [kind for kind in Kind if may_tell(reader, kind, Channel.MAIL)] == [Kind.SECURITY]
    assert all(may_tell(reader, kind, Channel.PUSH) for kind in Kind)


def test_the_safety_of_the_account_cannot_be_switched_off():
    reader = replace(ADA, mails=False, daily=True, silent=tuple(Kind))

    assert may_tell(reader, Kind.SECURITY, Channel.MAIL) is How.AT_ONCE


@pytest.mark.parametrize("channel", Channel)
def test_who_is_suspended_hears_of_the_safety_of_the_account_alone(channel: Channel):
    reader = replace(ADA, suspended=True)

    assert [kind for kind in Kind if may_tell(reader, kind, channel)] == [Kind.SECURITY]


def test_a_digest_holds_what_can_wait():
    reader = replace(ADA, daily=True)
    told = {kind: may_tell(reader, kind, Channel.MAIL) for kind in Kind}

    at_once = {kind for kind, how in told.items() if how is How.AT_ONCE}
    assert at_once == {Kind.PLANS, Kind.SECURITY}
    assert all(may_tell(reader, kind, Channel.PUSH) is How.AT_ONCE for kind in Kind)


@pytest.mark.parametrize(
    ("now", "zone", "day", "due_at"),
    [
        ("2025-01-31T07:59", "UTC", date(2025, 1, 31), "2025-01-31T08:00"),
        ("2025-01-31T08:00", "UTC", date(2025, 2, 1), "2025-02-01T08:00"),
        ("2025-01-31T23:30", "Asia/Tokyo", date(2025, 2, 2), "2025-02-01T23:00"),
        # The night in which the clocks are put forward has an hour less.
        ("2025-03-29T20:00", "Europe/Berlin", date(2025, 3, 30), "2025-03-30T06:00"),
    ],
)
def test_a_digest_comes_in_the_next_morning_where_the_reader_lives(
    now: str, zone: str, day: date, due_at: str
):
    at = datetime.fromisoformat(now).replace(tzinfo=UTC)

    assert next_morning(at, zone) == (day, datetime.fromisoformat(due_at).replace(tzinfo=UTC))
