"""How far the outbox was read, when numbers appear out of their order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from overture.live.horizon import LAST, Horizon


def test_numbers_in_their_order_leave_no_gap():
    horizon = Horizon(4)
    horizon.saw([5, 6, 7])

    assert (horizon.settled, horizon.wanted()) == (7, [(8, LAST)])


def test_a_number_that_was_passed_over_is_looked_for_until_it_appears():
    horizon = Horizon(4)
    horizon.saw([6, 9])
    assert (horizon.settled, horizon.wanted()) == (4, [(5, 5), (7, 8), (10, LAST)])

    horizon.saw([5, 8])
    assert (horizon.settled, horizon.wanted()) == (6, [(7, 7), (10, LAST)])

    horizon.saw([7])
    assert (horizon.settled, horizon.gaps) == (9, [])


def test_what_is_given_up_is_not_looked_for_any_more():
    horizon = Horizon(0)
    horizon.saw([3, 9, 12])

    horizon.give_up(7)

    assert (horizon.settled, horizon.gaps) == (7, [(8, 8), (10, 11)])


@given(st.lists(st.sets(st.integers(1, 60), min_size=1), max_size=8))
def test_every_number_is_seen_or_looked_for_and_the_settled_ones_were_seen(readings):
    horizon, seen = Horizon(0), set()
    for reading in readings:
        new = sorted(reading - seen)
        horizon.saw(new)
        seen |= reading
        wanted = {n for first, last in horizon.wanted() for n in range(first, min(last, 70) + 1)}
        assert wanted == set(range(1, 71)) - seen
        assert set(range(1, horizon.settled + 1)) <= seen
