"""The policy lab: two policies on invented members, or on what our own did, beside one another."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from overture import policies
from overture.core.policy import Policy
from overture.core.text import Sentence
from overture.web.context import CALLED, DRAFT, IN_FORCE, TO_COME, Trial, Whose
from overture.web.ops.policy import unpacked
from overture.web.ops.sections import Section
from overture.web.visit import ANEW, Answer, Page, Visit, Who, page

SECTION = Section("lab", icon="flask-conical", label=Sentence("Policy lab"))

# So many members that a trial takes some seconds to a minute; the command has no such bounds.
MEMBERS_MIN, MEMBERS_MAX, MONTHS_MAX, SEED_MAX = 500, 10_000, 12, 999_999


@page("/ops/lab", who=Who.OPERATOR)
async def lab(visit: Visit) -> Answer:
    draft = visit.query.get("draft", "")
    known = _known(visit, draft)
    asked = _asked(visit.query, known)
    other = DRAFT if draft else "linkedin-premium"
    values: dict[str, Any] = {
        "there": visit.site.lab is not None,
        "policies": {
            name: visit.words.say(CALLED[name]) if name in CALLED else name for name in known
        },
        "draft": draft,
        "whose": list(Whose),
        "asked": asked or Trial(IN_FORCE, other, members=3000, months=6, seed=1),
        "bounds": (MEMBERS_MIN, MEMBERS_MAX, MONTHS_MAX, SEED_MAX),
        "trying": None,
        "found": None,
        "charts": [],
    }
    if visit.site.lab is not None and asked is not None:
        tried = {name: known[name] for name in (asked.policy, asked.other)}
        lab = visit.site.lab
        trying = values["trying"] = lab.ask(asked, tried, visit.site.book, visit.now)
        if trying.show is not None:
            found = values["found"] = trying.show(visit.words.say)
            # Made of numbers, and of names that are escaped where they are drawn.
            values["charts"] = [
                Markup(chart.replace("<svg ", '<svg class="chart" ', 1))  # noqa: S704
                for chart in found.charts
            ]
    return Page("ops/lab.html", values, parts={ANEW: "ops/patches/lab.html"})


def _known(visit: Visit, draft: str) -> Mapping[str, Policy]:
    """What can be tried, by its name in the lab: what holds, comes next or is drafted; the presets."""
    book = visit.site.book
    known = {IN_FORCE: book.at(visit.now)}
    coming = next((each for each in book.versions if each.holds_from > visit.now), None)
    if coming is not None:
        known[TO_COME] = coming
    if draft:
        known[DRAFT] = unpacked(draft).versions[-1]
    return known | {name: policies.load(name).versions[-1] for name in policies.presets()}


def _asked(query: Mapping[str, str], known: Mapping[str, Policy]) -> Trial | None:
    """What the form asks for; None before it was sent. What lies outside the bounds is brought in."""
    policy, other = query.get("policy", ""), query.get("other", "")
    if policy not in known or other not in known or policy == other:
        return None
    return Trial(
        policy,
        other,
        members=_whole(query.get("members", ""), MEMBERS_MIN, MEMBERS_MAX),
        months=_whole(query.get("months", ""), 1, MONTHS_MAX),
        seed=_whole(query.get("seed", ""), 0, SEED_MAX),
        whose=_whose(query.get("whose", "")),
    )


def _whose(told: str) -> Whose:
    return Whose(told) if told in list(Whose) else Whose.INVENTED


def _whole(told: str, least: int, most: int) -> int:
    if not told.isascii() or not told.isdecimal() or len(told) > 9:
        return least
    return min(max(int(told), least), most)
