"""Reports: what members reported, as it looked then, and what is decided of it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from overture import ids
from overture.actions import decisions
from overture.actions.decisions import Act
from overture.actions.fields import Invalid
from overture.actions.reports import Reason
from overture.core.decisions import STATEMENT_CHARS_MAX, Ground, Measure
from overture.core.ids import DecisionId, ReportId
from overture.core.refusals import Refusal
from overture.core.text import Sentence
from overture.store import decisions as decisions_store
from overture.store import reports as store
from overture.store.decisions import Complaint, Decision
from overture.store.reports import Case, Report
from overture.web import prose
from overture.web.members import said_reasons
from overture.web.ops.people import Named, member_asked, named
from overture.web.ops.sections import Section, actor
from overture.web.visit import ANEW, Absent, Answer, Done, No, Page, Visit, Who, act, page
from overture.words import Words

SECTION = Section("reports", icon="flag", label=Sentence("Reports"))

ROWS = 50


@dataclass(frozen=True, slots=True)
class Row:
    """A report in the list: of whom, by whom, why, and what came of it (empty until it is decided)."""

    report: Report
    of: Named
    by: Named
    reason: str
    came: str


@page("/ops/reports", who=Who.OPERATOR)
async def reports(visit: Visit) -> Answer:
    decided = visit.query.get("state") == "decided"
    who = visit.query.get("member", "")
    member = await member_asked(visit.tx, who) if who else None
    if who and member is None:
        raise Absent
    found = await store.newest(
        visit.tx,
        cursor=visit.query.get("cursor") or None,
        limit=ROWS,
        decided=decided,
        member=member,
    )
    parties = [each for r in found.items for each in (r.member, r.reporter)]
    names = await named(visit.tx, [*parties, *([member] if member else [])])
    reasons, came = said_reasons(visit.words), said_measures(visit.words)
    values: dict[str, Any] = {
        "rows": [
            Row(
                report=each,
                of=names[each.member],
                by=names[each.reporter],
                reason=reasons[Reason(each.reason)],
                came="" if each.measure is None else came[each.measure],
            )
            for each in found.items
        ],
        "decided": decided,
        "of": member and names[member],
        "next": found.next
        and _url(
            {
                "state": "decided" if decided else "",
                "member": member or "",
                "cursor": found.next,
            }
        ),
        "waiting": await decisions_store.waiting(visit.tx),
    }
    return Page("ops/reports.html", values, parts={ANEW: "ops/patches/reports.html"})


@page("/ops/reports/{report:uuid}", who=Who.OPERATOR)
async def report(visit: Visit) -> Answer:
    return await _case(visit)


@act("/ops/reports/{report:uuid}/decide", who=Who.OPERATOR)
async def decide(visit: Visit) -> Answer:
    form, report_id = visit.form, visit.id("report", ReportId)
    wanted = chosen(visit, "measure", (Measure.NONE, Measure.WARNING, Measure.SUSPENSION))
    if isinstance(wanted, No):
        return wanted
    measure, ground = wanted
    if must_show_factor(visit, measure):
        return await _case(visit, factor=True, status=403)
    made = await decisions.decide_report(
        visit.tx,
        acting(visit),
        report_id,
        measure,
        ground=ground,
        statement=form.get("statement", ""),
        answer=form.get("answer", ""),
    )
    notice = visit.words.gettext("Decided. Both sides are told, each its own part.")
    return await came_of(
        visit,
        made,
        Done("/ops/reports", notice=notice),
        gone=Refusal.NO_SUCH_REPORT,
        there=f"/ops/reports/{report_id}",
        again=lambda errors: _case(visit, errors, status=422),
    )


async def _case(
    visit: Visit,
    errors: Mapping[str, str] | None = None,
    *,
    factor: bool = False,
    status: int = 200,
) -> Page:
    """`factor`: the second factor has to be shown anew before what was asked for."""
    found = await store.case(visit.tx, visit.id("report", ReportId))
    if found is None:
        raise Absent
    made = found.report
    names = await named(visit.tx, [made.member, made.reporter])
    values = {
        "case": found,
        "of": names[made.member],
        "by": names[made.reporter],
        "reason": said_reasons(visit.words)[Reason(made.reason)],
        "messages": _messages(found),
        "choices": _choices(visit, found, closed=names[made.member].closed),
        "measures": said_measures(visit.words),
        "form": visit.form,
        "most": STATEMENT_CHARS_MAX,
        "errors": errors or {},
        "factor": factor,
    }
    return Page("ops/report.html", values, status)


def _messages(found: Case) -> list[tuple[Any, Any]]:
    """Each message that was kept, with when it was sent."""
    if found.snapshot is None:
        return []
    return [(each.sent_at, prose.letter(each.body)) for each in found.snapshot.messages]


def _choices(visit: Visit, found: Case, *, closed: bool) -> list[tuple[Measure, str, str]]:
    """What can be done, and what it means; of who has left nothing but to say so."""
    _ = visit.words.gettext
    offered = [
        (
            Measure.NONE,
            _("Nothing"),
            _("The reporter reads your answer; the member learns of nothing."),
        )
    ]
    if closed:
        return offered
    suspends = (
        _("They are suspended already, and stay so.")
        if found.suspended
        else _("They can do nothing but read why, complain, take their data along and leave.")
    )
    return [
        *offered,
        (Measure.WARNING, _("Warn"), _("They read why, and may go on.")),
        (Measure.SUSPENSION, _("Suspend"), suspends),
    ]


# What deciding has in common, of a report, on suspicion or of a complaint -------------------------


def acting(visit: Visit) -> Act:
    return Act(actor(visit), ids.new(), DecisionId(ids.new()), visit.now)


def chosen(visit: Visit, name: str, offered: tuple[Measure, ...]) -> tuple[Measure, Ground] | No:
    """The measure and what it rests on, as the form has them."""
    measure, ground = visit.form.get(name, ""), visit.form.get("ground", Ground.TERMS)
    if measure not in offered or ground not in set(Ground):
        return No(visit.words.gettext("Choose what is to be done."), 422)
    return Measure(measure), Ground(ground)


def must_show_factor(visit: Visit, measure: Measure) -> bool:
    """Whether the second factor is to be shown again first. Asked here and not at the door, so that
    what was written stays in the form."""
    return measure is Measure.SUSPENSION and not visit.viewer.factor_proven


async def came_of(
    visit: Visit,
    made: Report | Decision | Complaint | Refusal | Invalid,
    done: Done,
    *,
    gone: Refusal,
    there: str,
    again: Callable[[Mapping[str, str]], Awaitable[Page]],
) -> Answer:
    """Where one goes on: `there` where it was refused, to the page `again` where words are missing.
    `gone` refuses because there is not what was to be decided of."""
    match made:
        case Refusal():
            if made is gone:
                raise Absent
            return visit.refused(made, 409, there)
        case Invalid():
            return await again(visit.errors(made))
        case _:
            return done


def said_measures(words: Words) -> Mapping[Measure, str]:
    _ = words.gettext
    return {
        Measure.NONE: _("Nothing was done"),
        Measure.WARNING: _("Warned"),
        Measure.SUSPENSION: _("Suspended"),
        Measure.LIFTED: _("Suspension lifted"),
    }


def _url(asked: Mapping[str, str]) -> str:
    said = {name: value for name, value in asked.items() if value}
    return "/ops/reports" + (f"?{urlencode(said)}" if said else "")
