"""What may be decided of a member, and until when they may complain."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from overture.core.decisions import (
    Measure,
    complain_until,
    may_complain,
    may_take,
    suspended_after,
    undone_by,
)
from overture.core.refusals import Refusal

AT = datetime(2025, 8, 31, 10, tzinfo=UTC)
MICROSECOND = timedelta.resolution


@given(st.lists(st.sampled_from(Measure)))
def test_suspended_is_who_was_last_suspended_and_not_reinstated(wanted):
    suspended, taken = False, []
    for measure in wanted:
        if may_take(measure, suspended=suspended) is None:
            taken.append(measure)
            suspended = suspended_after(measure, suspended=suspended)

    turns = [each for each in taken if each in {Measure.SUSPENSION, Measure.LIFTED}]
    # One follows the other, and the first is a suspension.
    assert turns == [
        Measure.SUSPENSION if place % 2 == 0 else Measure.LIFTED for place in range(len(turns))
    ]
    assert suspended == (len(turns) % 2 == 1)


def test_nobody_is_suspended_twice_or_reinstated_for_nothing():
    assert may_take(Measure.SUSPENSION, suspended=True) is Refusal.ALREADY_SUSPENDED
    assert may_take(Measure.SUSPENSION, suspended=False) is None
    assert may_take(Measure.LIFTED, suspended=False) is Refusal.NOT_SUSPENDED
    assert may_take(Measure.LIFTED, suspended=True) is None
    assert may_take(Measure.WARNING, suspended=True) is None


def test_a_decision_can_be_complained_of_for_six_months_and_once():
    end = datetime(2026, 2, 28, 10, tzinfo=UTC)
    assert complain_until(AT) == end
    assert may_complain(AT, end, complained=False) is None
    assert may_complain(AT, end + MICROSECOND, complained=False) is Refusal.TOO_LATE_TO_COMPLAIN
    assert may_complain(AT, AT, complained=True) is Refusal.ALREADY_COMPLAINED
    assert may_complain(None, AT, complained=False) is Refusal.NOT_DECIDED_YET


def test_only_a_suspension_that_stands_is_lifted_when_a_complaint_is_right():
    assert undone_by(Measure.SUSPENSION, stands=True) is Measure.LIFTED
    assert undone_by(Measure.SUSPENSION, stands=False) is None
    assert undone_by(Measure.WARNING, stands=True) is None
