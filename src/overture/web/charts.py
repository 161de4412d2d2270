"""The geometry of the charts: numbers to places in an SVG, which the templates draw.

Where a language runs from right to left, so does time. All texts come in already translated.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

WIDTH = 440
HEIGHT = 216
_AXIS = 40  # for the numbers beside the lines
_BELOW = 24  # for the names below
_ABOVE = 12
_END = 8


@dataclass(frozen=True, slots=True)
class Frame:
    """The drawing's size, and where its lines run; mirrored where the language is."""

    mirrored: bool

    width: int = WIDTH
    height: int = HEIGHT

    @property
    def start(self) -> float:
        return _END if self.mirrored else _AXIS

    @property
    def end(self) -> float:
        return WIDTH - (_AXIS if self.mirrored else _END)

    @property
    def numbers(self) -> float:
        """Where the numbers beside the lines end."""
        return WIDTH - _AXIS + 8 if self.mirrored else _AXIS - 8

    def across(self, share: float) -> float:
        """The place of a share of the way in reading direction."""
        share = 1 - share if self.mirrored else share
        return round(self.start + share * (self.end - self.start), 1)


@dataclass(frozen=True, slots=True)
class Tick:
    """A name at the place `at`, across or down."""

    at: float
    name: str


@dataclass(frozen=True, slots=True)
class Bar:
    x: float
    y: float
    height: float
    look: str


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars above and below a zero line."""

    bars: Sequence[Bar]
    bar_width: float
    across: Sequence[Tick]
    down: Sequence[Tick]
    zero: float
    frame: Frame


@dataclass(frozen=True, slots=True)
class Line:
    """A line that breaks where there is no number. `paths` and `areas` are SVG path data."""

    paths: Sequence[str]
    areas: Sequence[str]
    dots: Sequence[tuple[float, float]]
    last: tuple[float, float, str] | None
    across: Sequence[Tick]
    down: Sequence[Tick]
    zero: float
    frame: Frame


@dataclass(frozen=True, slots=True)
class Column:
    """One bar upwards and one downwards, of parts: each a look and a number above zero."""

    name: str
    up: Sequence[tuple[str, int]]
    down: Sequence[tuple[str, int]]


def bars(columns: Sequence[Column], *, mirrored: bool, number: Callable[[int], str]) -> Bars:
    """`number` says how a number is written."""
    frame = Frame(mirrored)
    highest = max((sum(n for _, n in each.up) for each in columns), default=0)
    lowest = max((sum(n for _, n in each.down) for each in columns), default=0)
    step = _step(highest + lowest)
    top, bottom = ceil(highest / step) * step, ceil(lowest / step) * step
    if not top + bottom:
        top = step
    place = _Scale(top, -bottom)
    width = (frame.end - frame.start) / max(len(columns), 1) * 0.42
    drawn: list[Bar] = []
    names: list[Tick] = []
    for number_of, column in enumerate(columns):
        middle = frame.across((number_of + 0.5) / len(columns))
        names.append(Tick(middle, column.name))
        for parts, sign in ((column.up, 1), (column.down, -1)):
            reached = 0
            for look, count in parts:
                if count:
                    ends = sorted((place(reached), place(reached + sign * count)))
                    # A hair of paper between two parts.
                    height = max(ends[1] - ends[0] - 1.5, 1)
                    drawn.append(Bar(round(middle - width / 2, 1), ends[0], round(height, 1), look))
                    reached += sign * count
    ticks = [Tick(place(at), number(at)) for at in range(-bottom, top + 1, step)]
    return Bars(drawn, round(width, 1), names, ticks, place(0), frame)


def line(
    shares: Sequence[float | None],
    names: Sequence[str],
    *,
    mirrored: bool,
    percent: Callable[[float], str],
) -> Line:
    """Shares from 0 to 1 at even distances; of their names every few are shown, the last always."""
    frame = Frame(mirrored)
    place = _Scale(100, 0)
    steps = max(len(shares) - 1, 1)
    points = [
        None if share is None else (frame.across(number / steps), place(100 * share))
        for number, share in enumerate(shares)
    ]
    runs: list[list[tuple[float, float]]] = [[]]
    for point in points:
        if point is not None:
            runs[-1].append(point)
        elif runs[-1]:
            runs.append([])
    runs = [run for run in runs if run]
    base = place(0)
    paths = [_path(run) for run in runs if len(run) > 1]
    areas = [f"{_path(run)}V{base}H{run[0][0]}Z" for run in runs if len(run) > 1]
    shown = range(len(names) - 1, -1, -max(len(names) // 3, 1))
    final, share = points[-1] if points else None, shares[-1] if shares else None
    return Line(
        paths,
        areas,
        [run[0] for run in runs if len(run) == 1],
        None if final is None or share is None else (*final, percent(share)),
        [Tick(frame.across(number / steps), names[number]) for number in shown],
        [Tick(place(at), percent(at / 100)) for at in (0, 25, 50, 75, 100)],
        base,
        frame,
    )


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a bar, in per cent of its width."""

    x: float
    width: float
    look: str


def segments(parts: Sequence[tuple[str, int]], whole: int, *, mirrored: bool) -> list[Segment]:
    """A bar of parts, each a look and a number, with a gap between them."""
    made: list[Segment] = []
    reached = 0.0
    for look, count in parts:
        width = 100 * count / max(whole, 1)
        seen = max(width - 0.5, 0.3)
        x = 100 - reached - seen if mirrored else reached
        made.append(Segment(round(x, 2), round(seen, 2), look))
        reached += width
    return made


class _Scale:
    """Numbers between two ends to places down the drawing."""

    def __init__(self, top: int, bottom: int) -> None:
        self._top = top
        self._unit = (HEIGHT - _ABOVE - _BELOW) / (top - bottom)

    def __call__(self, number: float) -> float:
        return round(_ABOVE + (self._top - number) * self._unit, 1)


def _step(span: int) -> int:
    """A round distance between lines, of which some five are to cover the span."""
    unit = 1
    while True:
        for round_number in (1, 2, 5):
            if round_number * unit * 5 >= span:
                return round_number * unit
        unit *= 10


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x} {y}" for x, y in points)
