"""How fast a member may begin letters to strangers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from overture import ids
from overture.core.ids import first_of, made_at
from overture.core.pace import WINDOW, Pace, next_at

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MICROSECOND = timedelta.resolution
instants = st.lists(
    st.integers(-(3 * 24 * 3600), 0).map(lambda seconds: NOW + timedelta(seconds=seconds))
)


def test_an_account_is_new_until_its_days_are_over():
    pace = Pace(daily=200, daily_new=30, new_for=timedelta(days=7))

    assert pace.limit(timedelta(days=7) - MICROSECOND) == 30
    assert pace.limit(timedelta(days=7)) == 200
    assert pace.limit(timedelta(days=70), slowed=True) == 30


def test_the_oldest_leaves_the_window_before_one_more_may_begin():
    begun = [NOW - timedelta(hours=hours) for hours in (1, 5, 23)]

    assert next_at(begun, 4, NOW) is None
    assert next_at(begun, 3, NOW) == NOW + timedelta(hours=1)
    # Where more went than the limit now allows, several have to leave.
    assert next_at(begun, 2, NOW) == NOW + timedelta(hours=19)


@given(instants, st.integers(1, 6))
def test_when_it_says_so_there_is_room_and_not_a_moment_before(begun, limit):
    free_at = next_at(begun, limit, NOW)

    if free_at is None:
        assert len([each for each in begun if each > NOW - WINDOW]) < limit
    else:
        assert NOW < free_at <= NOW + WINDOW
        assert next_at(begun, limit, free_at) is None
        assert next_at(begun, limit, free_at - MICROSECOND) == free_at


@given(instants, st.integers(1, 6))
def test_whoever_waits_as_told_never_has_more_in_a_day_than_the_limit(begun, limit):
    sent: list[datetime] = []
    for wanted in sorted(begun):
        at = max(wanted, sent[-1]) if sent else wanted
        at = next_at(sent, limit, at) or at
        sent.append(at)

    for last in sent:
        assert len([each for each in sent if last - WINDOW < each <= last]) <= limit


@given(instants)
def test_zero_is_no_limit(begun):
    assert next_at(begun, 0, NOW) is None


@given(st.datetimes(datetime(1990, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_no_id_of_an_instant_sorts_before_the_first_of_it(at):
    at = at.replace(microsecond=at.microsecond // 1000 * 1000)

    assert made_at(first_of(at)) == at
    assert first_of(at) < first_of(at + timedelta(milliseconds=1))


def test_an_id_tells_when_it_was_made():
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    made = ids.new()

    assert before <= made_at(made) <= datetime.now(UTC)
    assert first_of(made_at(made)) <= made
