"""What the lab found, for people and for programs: tables, pictures, a page, JSON."""

import json
from collections.abc import Callable, Mapping, Sequence
from html import escape
from math import isfinite, nan
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from overture.core.text import Sentence
from overture.sim import pictures
from overture.sim.figures import BY_MONTH, MEASURES, PLAN_MEASURES, Estimate, Figures, Measure
from overture.sim.lab import Outcome
from overture.sim.pictures import Series

Row = Sequence[str]
Say = Callable[[str], str]


def told(estimate: Estimate, measure: Measure, *, signed: bool = False) -> str:
    """A figure as people read it, with its interval."""
    if not isfinite(estimate.mean):
        return "–"
    by, unit, digits = (100, " %", 1) if measure.share else (1, "", measure.digits)
    sign = "+" if signed and estimate.mean > 0 else ""
    number = f"{sign}{estimate.mean * by:,.{digits}f}"
    if isfinite(estimate.half):
        number += f" ± {estimate.half * by:,.{digits}f}"
    return number + unit


def tables(
    outcome: Outcome, *, narrow: bool = False, say: Say = str
) -> list[tuple[str, Row, list[Row]]]:
    """Titles, columns and rows: all figures, then what the members of each plan feel.

    `narrow` leaves the intervals out of the latter, for terminals. `say` translates.
    """
    names = [each.policy for each in outcome.figures]
    columns = ["", *names]
    columns += [
        say(Sentence("%(name)s less %(first)s", name=name, first=names[0])) for name in names[1:]
    ]
    rows: list[Row] = []
    for measure in MEASURES:
        if measure.name not in outcome.figures[0].overall:
            continue
        row = [
            say(measure.title),
            *(told(each.overall[measure.name], measure) for each in outcome.figures),
        ]
        for differs in outcome.differences:
            difference = differs[measure.name]
            row.append(told(difference, measure, signed=True) + _sure(difference))
        rows.append(row)
    made: list[tuple[str, Row, list[Row]]] = [(outcome.title, columns, rows)]
    plan_rows: list[Row] = []
    for plan in _plans(outcome.figures):
        for each in outcome.figures:
            if plan in each.plans:
                figures = each.plans[plan]
                cells = [
                    told(_narrowed(figures[measure.name], narrow=narrow), measure)
                    for measure in PLAN_MEASURES
                ]
                plan_rows.append([plan, each.policy, *cells])
    plan_titles = [measure.short if narrow else say(measure.title) for measure in PLAN_MEASURES]
    plan_columns = [say(Sentence("Plan")), say(Sentence("Policy")), *plan_titles]
    made.append((say(Sentence("What the members of each plan feel")), plan_columns, plan_rows))
    months = len(next(iter(outcome.figures[0].months.values()), ()))
    for measure in BY_MONTH:
        if measure.name not in outcome.figures[0].months:
            continue
        month_rows: list[Row] = [
            [
                each.policy,
                *(
                    told(_narrowed(value, narrow=narrow), measure)
                    for value in each.months[measure.name]
                ),
            ]
            for each in outcome.figures
        ]
        title = say(Sentence("%(what)s, by month", what=say(measure.title)))
        made.append(
            (
                title,
                [say(Sentence("Policy")), *(str(month + 1) for month in range(months))],
                month_rows,
            )
        )
    return made


def charts(outcome: Outcome, say: Say = str) -> dict[str, str]:
    """The pictures by name, as SVG to stand in a page: those whose figures there are."""
    figures = outcome.figures
    months = len(next(iter(figures[0].months.values()), ()))
    steps = [str(month + 1) for month in range(months)]
    plans = _plans(figures)
    nothing = Estimate(nan, nan)

    def lines(title: str, name: str) -> str:
        series = [Series(each.policy, each.months[name]) for each in figures]
        return pictures.lines(title, steps, series, share=True)

    def bars(title: str, named: Mapping[str, Sentence]) -> str:
        series = [Series(each.policy, [each.overall[name] for name in named]) for each in figures]
        return pictures.bars(title, list(map(say, named.values())), series, share=False)

    made = {
        "answer-rate": lines(
            say(Sentence("Letters that were answered, by the month in which they were sent")),
            "answer_rate",
        ),
        "credits": bars(
            say(Sentence("What became of credits, a hundred members and month")), _CREDITS
        ),
        "ran-out": pictures.bars(
            say(Sentence("Months in which a member ran out of credits, by plan")),
            plans,
            [
                Series(
                    each.policy,
                    [
                        each.plans[plan]["ran_out"] if plan in each.plans else nothing
                        for plan in plans
                    ],
                )
                for each in figures
            ],
            share=True,
        ),
    }
    if "spam_weeks" in figures[0].months:
        made["received"] = bars(say(Sentence("Letters received in a week")), _RECEIVED)
        made["spam"] = lines(
            say(Sentence("Weeks in which a member received spam, by month")), "spam_weeks"
        )
        made["farming"] = bars(
            say(Sentence("What refund farming brings: letters to strangers, an account and year")),
            _FARMING,
        )
    return made


_CREDITS = {
    "granted": Sentence("granted"),
    "returned": Sentence("returned"),
    "spent": Sentence("spent"),
    "expired": Sentence("expired"),
    "forfeited": Sentence("forfeited"),
    "cut": Sentence("cut by the cap"),
}
_RECEIVED = {
    "received": Sentence("a member"),
    "received_reachable": Sentence("who can be written to"),
    "received_busiest": Sentence("the busiest hundredth"),
}
_FARMING = {
    "colluder_letters": Sentence("colluders"),
    "hoarder_letters": Sentence("who hoard alike"),
    "parked": Sentence("parked at most"),
}


def as_json(outcome: Outcome) -> dict[str, object]:
    return {
        **outcome.about,
        "policies": [
            {
                "policy": each.policy,
                "overall": _plain(each.overall),
                "plans": {plan: _plain(told) for plan, told in each.plans.items()},
                "months": {
                    name: [_one(value) for value in values] for name, values in each.months.items()
                },
            }
            for each in outcome.figures
        ],
        "differences": [_plain(each) for each in outcome.differences],
    }


def page(outcome: Outcome) -> str:
    """One file that holds all of it, and needs nothing from anywhere."""
    parts = [f"<figure>{picture}</figure>" for picture in charts(outcome).values()]
    body = "".join(parts)
    for title, columns, rows in tables(outcome):
        head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
        lines = "".join(
            f'<tr><th scope="row">{escape(row[0])}</th>'
            + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
            + "</tr>"
            for row in rows
        )
        body += (
            f"<h2>{escape(title)}</h2><div><table><thead><tr>{head}</tr></thead>"
            f"<tbody>{lines}</tbody></table></div>"
        )
    title = f"Policy lab: {', '.join(each.policy for each in outcome.figures)}"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1><p>{escape(outcome.title)}. {escape(NOTE)}</p>"
        f"<main>{body}</main></body></html>\n"
    )


def write_pictures(outcome: Outcome, folder: Path) -> None:
    """The charts as files, and `figures.json` with what they show."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in charts(outcome).items():
        (folder / f"{name}.svg").write_text(pictures.as_file(picture), encoding="utf-8")
    figures = json.dumps(as_json(outcome), indent=1)
    (folder / "figures.json").write_text(figures + "\n", encoding="utf-8")


def show(outcome: Outcome) -> None:
    """On the terminal."""
    console = Console()
    for title, columns, rows in tables(outcome, narrow=True):
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
        texts = 2 if len(columns) > 1 and columns[1] == "Policy" else 1
        for number, column in enumerate(columns):
            table.add_column(column, justify="left" if number < texts else "right")
        for row in rows:
            table.add_row(*row)
        console.print(table)
    console.print(NOTE, style="dim")


NOTE = (
    "± is the 95 % interval over the seeds; a * marks a difference whose interval leaves out zero. "
    "Read differences between policies, not levels."
)
_STYLE = (
    ":root{color-scheme:light dark;font:15px/1.5 system-ui,sans-serif}"
    "body{margin:2rem auto;max-width:76rem;padding:0 1rem}"
    "figure{display:inline-block;width:min(100%,36rem);margin:.5rem}"
    "div{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "th,td{padding:.25rem .75rem;text-align:end;border-bottom:1px solid #8884;white-space:nowrap}"
    "th:first-child{text-align:start}"
)


def _sure(difference: Estimate) -> str:
    return " *" if isfinite(difference.half) and abs(difference.mean) > difference.half else ""


def _narrowed(estimate: Estimate, *, narrow: bool) -> Estimate:
    return Estimate(estimate.mean, nan) if narrow else estimate


def _plans(figures: Sequence[Figures]) -> list[str]:
    return list(dict.fromkeys(plan for each in figures for plan in each.plans))


def _plain(told: Mapping[str, Estimate]) -> dict[str, object]:
    return {name: _one(value) for name, value in told.items()}


def _one(value: Estimate) -> dict[str, float | None]:
    return {
        "mean": value.mean if isfinite(value.mean) else None,
        "half": value.half if isfinite(value.half) else None,
    }
