"""The geometry of the charts: within the frame, true to the numbers, mirrored where the language is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from overture.web import charts
from overture.web.charts import HEIGHT, WIDTH, Column

counts = st.integers(0, 5000)
columns = st.lists(
    st.builds(
        lambda up, down: Column("Jan", [("a", up), ("b", down)], [("c", down)]), counts, counts
    ),
    min_size=1,
    max_size=12,
)


def percent(share: float) -> str:
    return f"{share:.0%}"


@given(columns, st.booleans())
def test_every_bar_stands_within_the_frame(drawn: list[Column], mirrored: bool) -> None:
    made = charts.bars(drawn, mirrored=mirrored, number=str)

    assert all(0 <= bar.x <= WIDTH - made.bar_width for bar in made.bars)
    assert all(bar.y >= 0 and bar.y + bar.height <= HEIGHT for bar in made.bars)
    assert 2 <= len(made.down) <= 8


def test_bars_are_as_high_as_their_numbers() -> None:
    made = charts.bars([Column("Jan", [("a", 10), ("b", 20)], [])], mirrored=False, number=str)

    ten, twenty = made.bars
    assert abs((twenty.height + 1.5) / (ten.height + 1.5) - 2) < 0.02
    assert twenty.y < ten.y < made.zero


def test_time_runs_with_the_language() -> None:
    shares = [0.5, None, 0.25, 0.75]

    there = charts.line(shares, list("abcd"), mirrored=False, percent=percent)
    back = charts.line(shares, list("abcd"), mirrored=True, percent=percent)

    assert there.last is not None
    assert back.last is not None
    assert there.last[0] > WIDTH / 2 > back.last[0]
    assert there.last[2] == "75%"
    assert [tick.name for tick in there.across] == list("dcba")


def test_a_line_breaks_where_there_is_no_number() -> None:
    made = charts.line([0.5, None, 0.25, 0.75], list("abcd"), mirrored=False, percent=percent)

    assert len(made.paths) == 1
    assert len(made.dots) == 1


def test_a_bar_of_lots_fills_its_width() -> None:
    parts = [("soon", 5), ("l1", 10), ("room", 30)]

    there = charts.segments(parts, 45, mirrored=False)
    back = charts.segments(parts, 45, mirrored=True)

    assert [piece.look for piece in there] == ["soon", "l1", "room"]
    assert there[0].x == 0
    assert abs(there[-1].x + there[-1].width - 100) < 1
    assert back[0].x > back[-1].x
