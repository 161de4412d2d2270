"""Insights: what a member's letters to strangers came to, and what comes from strangers to them.

No recipient is named: letters are counted, not people.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from overture.actions import insights as actions
from overture.core.insights import HOURS, LENGTHS, Group, Rate
from overture.web import charts
from overture.web.visit import Answer, Page, Visit, page
from overture.words import Words

K = TypeVar("K")


@page("/insights")
async def insights(visit: Visit) -> Answer:
    """The last twelve months, of both sides."""
    words = visit.words
    zone = words.local(visit.now).tzinfo
    assert zone is not None, "what is local has a zone"
    seen = await actions.seen(
        visit.tx, visit.viewer.id, visit.viewer.name, now=visit.now, zone=zone
    )
    _ = words.gettext
    sent, got = seen.sent, seen.got
    values: dict[str, Any] = {
        "seen": seen,
        "median": sent.median and words.span(sent.median),
        "per_answer": None
        if sent.credits_per_answer is None
        else words.decimal(sent.credits_per_answer),
        "got_median": got.median and words.span(got.median),
        "a_week": words.decimal(got.a_week),
        "sent_months": _months("sent", sent.months, words),
        "got_months": _months("got", got.months, words),
        "tables": (
            Table(
                "length",
                _("By length"),
                _("Characters"),
                _rows(sent.lengths, lambda key: _length(key, words), words),
            ),
            Table(
                "hour",
                _("By hour"),
                _("Sent between"),
                _rows(sent.hours, lambda key: _hour(key, words), words),
            ),
        ),
        "templates": [_row(each.excerpt, each.rate, words) for each in seen.templates],
    }
    return Page("insights.html", values)


# What the page shows ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """A rate as a bar with its interval, in per cent of the way; `said` is the interval in words."""

    name: str
    rate: Rate
    x: float
    width: float
    low: float
    high: float
    said: str


@dataclass(frozen=True, slots=True)
class Table:
    id: str
    title: str
    head: str
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Months:
    """The letters of each month, those that were answered and those that were not, as bars."""

    id: str
    months: Sequence[Group[Any]]
    chart: charts.Bars


def _rows(groups: Iterable[Group[K]], name: Callable[[K], str], words: Words) -> list[Row]:
    return [_row(name(each.key), each.rate, words) for each in groups]


def _row(name: str, rate: Rate, words: Words) -> Row:
    low, high = rate.interval
    width = 100 * (rate.share or 0)
    said = words.gettext("%(low)s to %(high)s") % {
        "low": words.percent(low),
        "high": words.percent(high),
    }
    if words.direction == "rtl":
        return Row(name, rate, 100 - width, width, 100 - 100 * low, 100 - 100 * high, said)
    return Row(name, rate, 0, width, 100 * low, 100 * high, said)


def _length(beyond: int, words: Words) -> str:
    """`beyond` is the length that the letters of the group go beyond."""
    _ = words.gettext
    ends = dict(zip((0, *LENGTHS), LENGTHS, strict=False))
    if beyond not in ends:
        return _("more than %(num)s") % {"num": words.number(beyond)}
    if not beyond:
        return _("up to %(num)s") % {"num": words.number(ends[beyond])}
    values = {"first": words.number(beyond + 1), "last": words.number(ends[beyond])}
    return _("%(first)s to %(last)s") % values


def _hour(hour: int, words: Words) -> str:
    values = {"first": words.hour(hour), "last": words.hour((hour + HOURS) % 24)}
    return words.gettext("%(first)s to %(last)s") % values


def _months(id: str, months: Sequence[Group[Any]], words: Words) -> Months:
    # Every second has its name, the last one among them: in some languages more would run into another.
    columns = [
        charts.Column(
            words.short_month(each.key) if (len(months) - place) % 2 else "",
            [("return", each.rate.answered), ("spend", each.rate.sent - each.rate.answered)],
            [],
        )
        for place, each in enumerate(months)
    ]
    chart = charts.bars(columns, mirrored=words.direction == "rtl", number=words.number)
    return Months(id, months, chart)
