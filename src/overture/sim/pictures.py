"""Charts of the lab as SVG: numbers to places, in colours that light and dark both bear.

Each picture has its numbers in a table beside it; a picture alone says nothing that the table does not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, isfinite

from overture.sim.figures import Estimate

WIDTH = 560
HEIGHT = 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 44, 30
# Told apart by those who see no red or green, too; the order is the legend's.
COLOURS = ("#2f6fb5", "#d98032", "#3f9a6d", "#8a63b0", "#b5446e", "#6f6f6f")


@dataclass(frozen=True, slots=True)
class Series:
    """A name, and a number with its interval for each group or step."""

    name: str
    values: Sequence[Estimate]


def bars(title: str, groups: Sequence[str], series: Sequence[Series], *, share: bool) -> str:
    """Bars side by side, a group of them for each name; whiskers show the intervals."""
    place = _Scale(series, share=share)
    drawn = place.lines()
    room = (WIDTH - _LEFT - _RIGHT) / max(len(groups), 1)
    width = min(room * 0.72 / max(len(series), 1), 46)
    for group, name in enumerate(groups):
        middle = _LEFT + (group + 0.5) * room
        drawn.append(_text(middle, HEIGHT - 10, _short(name, room), anchor="middle"))
        for number, each in enumerate(series):
            value = each.values[group]
            if not isfinite(value.mean):
                continue
            x, y = middle + (number - len(series) / 2) * width, place(value.mean)
            height = max(place(0) - y, 0.5)
            drawn.append(
                f'<rect x="{x + 1:.1f}" y="{y:.1f}" width="{width - 2:.1f}" height="{height:.1f}" '
                + f'rx="2" fill="{COLOURS[number % len(COLOURS)]}"/>'
            )
            drawn += _whisker(x + width / 2, value, place)
    return _picture(title, series, drawn)


def lines(title: str, steps: Sequence[str], series: Sequence[Series], *, share: bool) -> str:
    """A line for each series; the band about it is its interval."""
    place = _Scale(series, share=share)
    drawn = place.lines()
    between = (WIDTH - _LEFT - _RIGHT) / max(len(steps) - 1, 1)
    every = ceil(len(steps) / 12)
    for step in range(0, len(steps), every):
        drawn.append(_text(_LEFT + step * between, HEIGHT - 10, steps[step], anchor="middle"))
    for number, each in enumerate(series):
        colour = COLOURS[number % len(COLOURS)]
        points = [
            (_LEFT + step * between, value)
            for step, value in enumerate(each.values)
            if isfinite(value.mean)
        ]
        banded = [(x, value) for x, value in points if isfinite(value.half)]
        if banded:
            upper = [f"{x:.1f} {place(value.mean + value.half):.1f}" for x, value in banded]
            lower = [f"{x:.1f} {place(value.mean - value.half):.1f}" for x, value in banded]
            path = "L".join([*upper, *reversed(lower)])
            drawn.append(f'<path d="M{path}Z" fill="{colour}" opacity=".18"/>')
        path = "L".join(f"{x:.1f} {place(value.mean):.1f}" for x, value in points)
        if path:
            stroke = f'stroke="{colour}" stroke-width="2.2" stroke-linejoin="round"'
            drawn.append(f'<path d="M{path}" fill="none" {stroke}/>')
        drawn += [
            f'<circle cx="{x:.1f}" cy="{place(value.mean):.1f}" r="2.6" fill="{colour}"/>'
            for x, value in points
        ]
    return _picture(title, series, drawn)


def as_file(picture: str) -> str:
    """A picture that stands alone, on paper of its own."""
    paper = f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
    head, _, rest = picture.partition(">")
    return f'{head} xmlns="http://www.w3.org/2000/svg" color="#222">{paper}{rest}\n'


class _Scale:
    """Numbers from 0 up to places down the drawing."""

    def __init__(self, series: Sequence[Series], *, share: bool) -> None:
        ends = [
            value.mean + (value.half if isfinite(value.half) else 0)
            for each in series
            for value in each.values
            if isfinite(value.mean)
        ]
        highest = max([*ends, 0.0])
        self._step = _step(highest)
        self._top = self._step * max(ceil(highest / self._step - 1e-9), 1)
        self._share = share

    def __call__(self, number: float) -> float:
        free = HEIGHT - _TOP - _BOTTOM
        return _TOP + free * (1 - min(max(number, 0), self._top) / self._top)

    def lines(self) -> list[str]:
        drawn: list[str] = []
        for number in range(round(self._top / self._step) + 1):
            at = number * self._step
            y = self(at)
            drawn.append(
                f'<path d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}" stroke="currentColor" '
                f'opacity="{0.5 if number == 0 else 0.14}"/>'
            )
            drawn.append(_text(_LEFT - 7, y + 4, self._told(at), anchor="end"))
        return drawn

    def _told(self, number: float) -> str:
        if self._share:
            return f"{100 * number:.{0 if self._step >= 0.01 else 1}f} %"
        return f"{number:,.{0 if self._step >= 1 else 1 if self._step >= 0.1 else 2}f}"


def _whisker(x: float, value: Estimate, place: _Scale) -> list[str]:
    if not isfinite(value.half) or value.half == 0:
        return []
    top, bottom = place(value.mean + value.half), place(value.mean - value.half)
    path = f"M{x:.1f} {top:.1f}V{bottom:.1f}M{x - 4:.1f} {top:.1f}h8M{x - 4:.1f} {bottom:.1f}h8"
    return [f'<path d="{path}" stroke="currentColor" fill="none" opacity=".75"/>']


def _picture(title: str, series: Sequence[Series], drawn: Sequence[str]) -> str:
    legend: list[str] = []
    x = float(_LEFT)
    for number, each in enumerate(series):
        colour = COLOURS[number % len(COLOURS)]
        legend.append(f'<rect x="{x:.1f}" y="25" width="10" height="10" rx="2" fill="{colour}"/>')
        legend.append(_text(x + 15, 34, each.name))
        x += 30 + 6.4 * len(each.name)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}" '
        'font-family="system-ui, sans-serif" font-size="11">'
        + _text(_LEFT, 15, title, weight="600", size=13)
        + "".join([*legend, *drawn])
        + "</svg>"
    )


def _text(
    x: float, y: float, words: str, *, anchor: str = "start", weight: str = "400", size: int = 11
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" '
        f'font-size="{size}" fill="currentColor">{escape(words)}</text>'
    )


def _short(name: str, room: float) -> str:
    most = max(int(room / 5.6), 4)
    return name if len(name) <= most else name[: most - 1] + "…"


def _step(highest: float) -> float:
    """A round distance between lines, of which some five are to reach the highest."""
    if highest <= 0:
        return 1.0
    unit = 1.0
    while unit > highest / 5:
        unit /= 10
    while unit * 10 <= highest / 5:
        unit *= 10
    return next(unit * by for by in (1, 2, 5, 10) if unit * by >= highest / 5)
