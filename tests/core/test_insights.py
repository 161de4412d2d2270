"""What letters came to: counted as they were, with an interval that few letters make wide."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overture.core.insights import HOURS, Letter, Rate, insights, load, since
from overture.core.likeness import sketch_of

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
DAY = timedelta(days=1)
ASKS = """I read what you wrote about compilers, and would like to know whether you would speak to our
group of twelve people in spring, on whatever part of it you like best."""
OFFERS = """we are looking for somebody who brings order into old programs, three days a week, from
wherever you live. May I send you what the work would be, and what it pays?"""

letters = st.builds(
    lambda days, took, credits, chars: Letter(
        NOW - days * DAY, None if took is None else NOW - days * DAY + took * DAY, credits, chars
    ),
    st.floats(0, 300),
    st.none() | st.floats(0.01, 80),
    st.integers(0, 2),
    st.integers(1, 2000),
)


@given(st.lists(letters, max_size=60))
def test_every_way_to_part_the_letters_counts_each_once(some: list[Letter]):
    found = insights(some, NOW, UTC)

    for parts in (found.months, found.lengths, found.hours):
        assert sum(each.rate.sent for each in parts) == found.rate.sent == len(some)
        assert sum(each.rate.answered for each in parts) == found.rate.answered
    assert found.credits == sum(each.credits for each in some)
    assert found.paid.sent == sum(each.credits > 0 for each in some)


@given(st.integers(1, 500), st.data())
def test_a_rate_lies_in_its_interval_which_more_letters_make_narrower(
    sent: int, data: st.DataObject
):
    answered = data.draw(st.integers(0, sent))
    rate, more = Rate(sent, answered), Rate(sent * 10, answered * 10)

    low, high = rate.interval
    assert rate.share is not None
    assert 0 <= low <= rate.share + 1e-12
    assert rate.share <= high + 1e-12 <= 1 + 1e-12
    assert more.interval[1] - more.interval[0] < high - low


def test_the_interval_is_wilsons():
    low, high = Rate(10, 3).interval

    assert (round(low, 4), round(high, 4)) == (0.1078, 0.6032)
    assert Rate(0, 0).interval == (0.0, 1.0)
    assert Rate(0, 0).share is None


def test_an_hour_is_that_of_the_members_own_clock():
    sent = Letter(datetime(2026, 11, 20, 23, 30, tzinfo=UTC), None)

    for zone, hour in (("UTC", 21), ("Asia/Tokyo", 6), ("America/New_York", 18)):
        found = insights([sent], NOW, ZoneInfo(zone))
        assert [each.key for each in found.hours if each.rate.sent] == [hour]
        assert len(found.hours) == 24 // HOURS


@pytest.mark.parametrize(
    ("chars", "group"), [(1, 0), (200, 0), (201, 200), (400, 200), (401, 400), (1201, 1200)]
)
def test_a_length_is_in_the_group_that_says_so(chars: int, group: int):
    found = insights([Letter(NOW, None, chars=chars)], NOW, UTC)

    assert [each.key for each in found.lengths if each.rate.sent] == [group]


def test_twelve_months_are_told_of_from_the_first_day_of_the_oldest():
    assert since(NOW, UTC) == datetime(2025, 12, 1, tzinfo=UTC)

    months = insights([Letter(since(NOW, UTC), None)], NOW, UTC).months
    assert [each.rate.sent for each in months] == [1] + [0] * 11


def test_credits_an_answer_count_what_was_paid_and_not_what_was_free():
    paid = [Letter(NOW - 9 * DAY, NOW if place < 2 else None, credits=1) for place in range(5)]
    free = [Letter(NOW - 9 * DAY, NOW, credits=0) for _ in range(5)]

    assert insights(paid + free, NOW, UTC).credits_per_answer == 2.5
    assert insights(free, NOW, UTC).credits_per_answer is None


def test_letters_that_say_the_same_are_a_template_and_three_make_one():
    def letter(days: int, text: str, answered: bool) -> Letter:
        at = NOW - days * DAY
        name = f"Reader{days}"
        return Letter(
            at,
            at + DAY if answered else None,
            sketch=sketch_of(f"Hello {name},\n\n{text}", [name]),
        )

    asks = [letter(days, ASKS, days % 2 == 0) for days in (10, 12, 14, 15)]
    offers = [letter(days, OFFERS, False) for days in (2, 3)]

    assert [each.rate for each in insights(asks + offers, NOW, UTC).templates] == [Rate(4, 3)]
    offers.append(letter(1, OFFERS, True))
    found = insights(asks + offers, NOW, UTC).templates
    assert [each.rate for each in found] == [Rate(4, 3), Rate(3, 1)]
    # The newest speaks for them.
    assert [(asks + offers)[each.first].at for each in found] == [NOW - 10 * DAY, NOW - DAY]


def test_a_load_is_that_of_the_last_weeks():
    got = [Letter(NOW - days * DAY, NOW) for days in (1, 2, 80, 90, 200)]

    assert load(got, NOW, UTC).a_week == 3 / 12
    assert load(got, NOW, UTC).rate == Rate(5, 5)
