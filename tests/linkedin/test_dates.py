"""Dates in their many shapes."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overture.linkedin.dates import day, moment, month


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("1842-07-10 08:14:00 UTC", datetime(1842, 7, 10, 8, 14, tzinfo=UTC)),
        ("2026-01-29T14:37:00Z", datetime(2026, 1, 29, 14, 37, tzinfo=UTC)),
        ("2026-01-29T14:37:00+02:00", datetime(2026, 1, 29, 12, 37, tzinfo=UTC)),
        ("2026-01-29", datetime(2026, 1, 29, tzinfo=UTC)),
        ("1/29/26, 2:37 PM", datetime(2026, 1, 29, 14, 37, tzinfo=UTC)),
        ("1/29/26, 2:37\u202fPM", datetime(2026, 1, 29, 14, 37, tzinfo=UTC)),
        ("12/1/2015, 12:05 AM", datetime(2015, 12, 1, 0, 5, tzinfo=UTC)),
        ("12/1/15, 12:05:09 pm", datetime(2015, 12, 1, 12, 5, 9, tzinfo=UTC)),
        (" 05 Jun 1833 ", datetime(1833, 6, 5, tzinfo=UTC)),
    ],
)
def test_a_moment_is_read(raw, expected):
    assert moment(raw) == expected


@pytest.mark.parametrize(
    "raw",
    [
        *("", "yesterday", "29/1/26, 2:37 PM", "1/29/26, 13:37 PM", "2026-02-30 00:00:00 UTC"),
        *("9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00", "1/2/3"),
        "2026-01-29 " + "0" * 99,
    ],
)
def test_what_is_no_moment_is_none(raw):
    assert moment(raw) is None


@pytest.mark.parametrize(
    "raw", ["05 Jun 1833", "5 June 1833", "Jun 5, 1833", "1833-06-05", "6/5/1833", "05-Jun-1833"]
)
def test_a_day_is_read(raw):
    assert day(raw) == date(1833, 6, 5)


@pytest.mark.parametrize(
    "raw", ["", "31 Feb 2020", "5 Juin 1833", "Jun 1833", "\u0660\u0665 Jun 1833"]
)
def test_what_is_no_day_is_none(raw):
    assert day(raw) is None


def test_a_month_or_a_year_is_its_first_day():
    assert month("Oct 2022") == date(2022, 10, 1)
    assert month("2022") == date(2022, 1, 1)
    assert month("01 Oct 2022") == date(2022, 10, 1)
    assert month("Never 2022") is None
    assert month("0000") is None


@given(st.text() | st.from_regex(r"[0-9/:. ,TZ+-]{0,30}( ?[AP]M| UTC)?", fullmatch=True))
def test_any_text_is_a_date_or_none(raw):
    found = moment(raw)
    assert found is None or found.utcoffset() == timedelta(0)
    day(raw)
    month(raw)


@given(st.datetimes(timezones=st.just(UTC)))
def test_every_moment_in_utc_is_read_back(when):
    assert moment(when.isoformat(sep=" ").removesuffix("+00:00") + " UTC") == when
