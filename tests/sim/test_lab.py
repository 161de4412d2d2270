"""The lab's command: what it prints and writes, and what it says to what it cannot take."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from math import isnan, nan
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from overture.sim import figures, lab, pictures, report
from overture.sim.figures import Estimate
from overture.sim.knobs import KnobProblem, Knobs, read, written
from tests.cast import policy
from tests.running import command

ROOT = Path(__file__).parents[2]
SMALL = ("--members", 600, "--months", 1, "--processes", 1)
BRISK = "warm_up_months = 1\nspammer_share = 0.02\ncolluder_share = 0.08\n"


@pytest.fixture(scope="module")
def experiment() -> lab.Experiment:
    policies = {name: policy(name).versions[-1] for name in ("seed", "linkedin-premium")}
    return lab.Experiment(policies, members=600, months=1, seed=1, seeds=2, knobs=read(BRISK))


@pytest.fixture(scope="module")
def outcome(experiment: lab.Experiment) -> lab.Outcome:
    return lab.run(experiment, processes=1)


def test_two_policies_stand_side_by_side_on_the_terminal_in_json_and_as_a_page(
    tmp_path: Path,
) -> None:
    knobs, page, folder = tmp_path / "knobs.toml", tmp_path / "lab.html", tmp_path / "pictures"
    knobs.write_text(BRISK)
    asked = ("seed", "--against", "linkedin-premium", *SMALL, "--seeds", 2, "--knobs", knobs)

    printed = command("simulate", *asked, "--html", page, "--pictures", folder)
    as_json = command("simulate", *asked, "--json")

    assert printed.returncode == 0, printed.stderr
    assert "600 members for 1 month, 2 seeds from 1 on" in printed.stdout
    assert "Letters that were answered" in printed.stdout
    found = json.loads(as_json.stdout)
    assert [each["policy"] for each in found["policies"]] == ["seed", "linkedin-premium"]
    assert found["knobs"]["spammer_share"] == 0.02
    seed, other = (each["overall"]["answer_rate"]["mean"] for each in found["policies"])
    assert found["differences"][0]["answer_rate"]["mean"] == pytest.approx(other - seed)
    assert json.loads((folder / "figures.json").read_text()) == found
    told = page.read_text()
    assert told.count("<svg") == len(list(folder.glob("*.svg"))) == 6
    assert "Sales Navigator Core" in told
    assert "http" not in told.replace("http://www.w3.org", "")


def test_several_processes_find_what_one_finds(
    experiment: lab.Experiment, outcome: lab.Outcome
) -> None:
    assert repr(lab.run(experiment, processes=2)) == repr(outcome)


def test_presets_that_differ_in_the_order_of_their_pools_alone_come_to_the_same() -> None:
    names = ("linkedin-premium", "sales-navigator", "recruiter")
    policies = {name: policy(name).versions[-1] for name in names}
    experiment = lab.Experiment(policies, members=300, months=1, seed=1, seeds=1, knobs=read(BRISK))

    first, *others = lab.run(experiment, processes=1).figures

    for other in others:
        assert repr(other.overall) == repr(first.overall)
        assert {plan: repr(told) for plan, told in other.plans.items()} == {
            plan: repr(told) for plan, told in first.plans.items()
        }


def test_every_picture_is_drawn_of_the_figures_that_the_tables_tell(outcome: lab.Outcome) -> None:
    for picture in report.charts(outcome).values():
        drawn = ElementTree.fromstring(pictures.as_file(picture))
        assert drawn.tag.endswith("svg")
        assert "nan" not in picture
    (_, columns, rows), (_, _, plans), *_ = report.tables(outcome)
    assert columns == ["", "seed", "linkedin-premium", "linkedin-premium less seed"]
    # But for what only a replay can tell.
    assert len(rows) == len(figures.MEASURES) - 1
    assert len(plans) == 2 * 4


# The rows of the page's table, which have shorter names there.
IN_THE_DOCS = (
    "answer_rate", "sent", "unmet", "wasted", "received_reachable", "granted", "spent", "returned",
    "expired", "forfeited", "cut", "spam_received", "spam_free", "colluder_letters",
    "hoarder_letters",
)  # fmt: skip
OF_PLANS = ("members", "sent", "answer_rate", "ran_out", "dry_weeks", "expired", "cut")


def test_the_tables_and_the_pictures_of_the_docs_show_the_figures_beside_them() -> None:
    folder = ROOT / "docs/pictures/lab"
    shown = outcome_of(json.loads((folder / "figures.json").read_text()))
    page = (ROOT / "docs/lab.md").read_text().split("## The presets")[1].split("\n## ")[0]
    all_rows, plan_rows = (
        [tuple(cell.strip() for cell in line.split("|")[1:-1]) for line in table.splitlines()[2:]]
        for table in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE)
    )
    measures = {each.name: each for each in figures.MEASURES}
    of_plans = {each.name: each for each in figures.PLAN_MEASURES}

    assert [row[1:] for row in all_rows] == [
        (
            *(report.told(each.overall[name], measures[name]) for each in shown.figures),
            report.told(shown.differences[0][name], measures[name], signed=True).replace(
                "-", "\N{MINUS SIGN}"
            ),
        )
        for name in IN_THE_DOCS
    ]
    assert plan_rows == [
        (
            plan if number == 0 else "",
            each.policy,
            *(report.told(each.plans[plan][name], of_plans[name]) for name in OF_PLANS),
        )
        for plan in shown.figures[0].plans
        for number, each in enumerate(shown.figures)
    ]
    for name, picture in report.charts(shown).items():
        assert (folder / f"{name}.svg").read_text() == pictures.as_file(picture), name


def outcome_of(told: dict[str, Any]) -> lab.Outcome:
    """What `overture simulate --json` printed."""

    def estimates(of: dict[str, dict[str, float | None]]) -> dict[str, Estimate]:
        return {name: estimate(each) for name, each in of.items()}

    def estimate(of: dict[str, float | None]) -> Estimate:
        mean, half = of["mean"], of["half"]
        return Estimate(nan if mean is None else mean, nan if half is None else half)

    found = [
        figures.Figures(
            each["policy"],
            estimates(each["overall"]),
            {plan: estimates(of) for plan, of in each["plans"].items()},
            {name: [estimate(one) for one in of] for name, of in each["months"].items()},
        )
        for each in told["policies"]
    ]
    return lab.Outcome("", {}, found, [estimates(each) for each in told["differences"]])


def test_an_interval_is_that_of_student() -> None:
    told = figures.estimate([1.0, 2.0, 3.0])

    assert told.mean == 2
    assert told.half == pytest.approx(4.303 / 3**0.5)
    assert isnan(figures.estimate([1.0]).half)
    assert figures.estimate([float("nan"), 2.0]).mean == 2
    assert report.told(Estimate(0.123, 0.01), figures.MEASURES[0]) == "12.3 ± 1.0 %"


def test_knobs_are_written_and_read_alike() -> None:
    turned = replace(Knobs(), attention=2.5, wishes={"x": 3.0}, length_shares=(0.1, 0.2, 0.3, 0.4))

    assert read(written(turned)) == turned
    assert read("", turned) == turned


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ("attention = ", "not valid TOML"),
        ("intention = 3", "There is no knob `intention`."),
        ("attention = 'all'", "The knob `attention` is a number."),
        ("premium_share = 1.5", "is a share, from 0 to 1"),
        ("spam_daily = -1", "is a whole number, not below 0"),
        ("length_shares = [1.0]", "is a list of four numbers"),
        ("wishes = 3", "is a table of numbers, by plan"),
        ("campaign_months = 0", "are at least 1"),
    ],
)
def test_knobs_that_cannot_be_taken_are_refused_with_a_sentence(
    document: str, sentence: str
) -> None:
    with pytest.raises(KnobProblem, match=sentence):
        read(document)


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["nobody"], 2, "There is no policy nobody"),
        (["seed", "--against", "seed"], 2, "not with itself"),
        (["seed", "--members", "3"], 2, "100<=x"),
        (["seed", "--knobs", "/nowhere.toml"], 1, "No such file"),
    ],
)
def test_what_cannot_be_simulated_is_said(arguments: list[str], status: int, sentence: str) -> None:
    refused = command("simulate", *arguments)

    assert refused.returncode == status
    assert sentence in refused.stderr


def test_without_numpy_it_says_how_to_get_it(tmp_path: Path) -> None:
    # A path entry that hides it: the finder looks there first.
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as util\n"
        "found = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'numpy' else found(name, *rest)\n"
    )

    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))

    refused = command("simulate", "seed", PYTHONPATH=path)

    assert refused.returncode == 1
    assert refused.stderr.strip() == (
        "overture: The policy lab needs numpy: pip install 'overture[lab]'."
    )
