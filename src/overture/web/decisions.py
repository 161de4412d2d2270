"""What those who run the site decided: of the member, of their reports and complaints; and complaining.

Who is suspended sees one page alone, with the reasons and what they can still do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from markupsafe import Markup

from overture import ids
from overture.actions import decisions, reports
from overture.actions.fields import Invalid
from overture.core.decisions import (
    STATEMENT_CHARS_MAX,
    About,
    Ground,
    Measure,
    Verdict,
    complain_until,
)
from overture.core.ids import ComplaintId
from overture.core.refusals import Refusal
from overture.live.told import DecisionTold
from overture.store import decisions as store
from overture.store import reports as reports_store
from overture.store.accounts import Viewer
from overture.store.decisions import Complaint, Decision
from overture.store.reports import Report
from overture.web import prose
from overture.web.context import Site
from overture.web.members import said_reasons
from overture.web.render import html
from overture.web.visit import Absent, Answer, Done, Go, Page, Visit, act, page
from overture.words import Words

_AT_ONCE = 50
_NONE_SUCH = (Refusal.NO_SUCH_DECISION, Refusal.NO_SUCH_REPORT)


@dataclass(frozen=True, slots=True)
class Said:
    """A complaint as its member sees it; `verdict` is empty until it is answered."""

    text: Markup
    at: datetime
    verdict: str
    answer: Markup


@dataclass(frozen=True, slots=True)
class Shown:
    """A decision on the member, or a report of theirs. `until` is when complaining ends; None where it
    has ended, or there is nothing to complain of."""

    about: About
    id: str
    at: datetime
    heading: str
    details: Sequence[str]
    text: Markup
    until: datetime | None
    complaint: Said | None


@page("/settings/decisions")
async def mine(visit: Visit) -> Answer:
    return Page("settings/decisions.html", await _values(visit))


@page("/suspended", while_suspended=True)
async def suspended(visit: Visit) -> Answer:
    return await _suspended(visit) if visit.viewer.suspended else Go("/inbox")


@act("/settings/decisions/complain", while_suspended=True)
async def complain(visit: Visit) -> Answer:
    """Of a decision on the member, or of what became of their report."""
    form = visit.form
    try:
        about, about_id = About(form.get("about", "")), _id(form.get("id", ""))
    except ValueError:
        raise Absent from None
    made = await decisions.complain(
        visit.tx,
        visit.viewer.id,
        ComplaintId(ids.new()),
        about=about,
        about_id=about_id,
        words=form.get("text", ""),
        now=visit.now,
    )
    url = "/suspended" if visit.viewer.suspended else "/settings/decisions"
    if isinstance(made, Refusal):
        return visit.refused(made, 404 if made in _NONE_SUCH else 409, url)
    if isinstance(made, Invalid):
        errors = visit.errors(made) | {"id": about_id}
        if visit.viewer.suspended:
            return await _suspended(visit, errors, 422)
        return Page("settings/decisions.html", await _values(visit, errors), 422)
    return Done(url, notice=visit.words.gettext("Thank you. Your complaint will be answered here."))


async def patches_for(_site: Site, _viewer: Viewer, words: Words, told: DecisionTold) -> str:
    """A word of it on any open page; what was decided stands under Settings."""
    _ = words.gettext
    match told.about:
        case "report":
            notice = _(
                "Your report was decided on. Read more under Settings, Reports and decisions."
            )
        case "complaint":
            notice = _(
                "Your complaint was answered. Read more under Settings, Reports and decisions."
            )
        case _:
            notice = _(
                "Those who run this site have written to you. Read it under Settings, Reports and "
                "decisions."
            )
    return html("patches/notice.html", words, {"notice": notice})


async def _suspended(
    visit: Visit, errors: Mapping[str, str] | None = None, status: int = 200
) -> Page:
    """Without what surrounds other pages: nothing of it can be used."""
    page = await store.all_on(visit.tx, visit.viewer.id, cursor=None, limit=_AT_ONCE)
    complaints = await store.complaints_of(visit.tx, visit.viewer.id)
    standing = next(each for each in page.items if each.measure is Measure.SUSPENSION)
    values = {
        "viewer": None,
        "shown": _decision(visit, standing, complaints),
        "errors": errors or {},
        "form": visit.form,
        "most": STATEMENT_CHARS_MAX,
    }
    return Page("suspended.html", values, status)


async def _values(visit: Visit, errors: Mapping[str, str] | None = None) -> dict[str, object]:
    me = visit.viewer.id
    complaints = await store.complaints_of(visit.tx, me)
    on_me = await store.all_on(visit.tx, me, cursor=None, limit=_AT_ONCE)
    made = await reports_store.made_by(
        visit.tx, me, cursor=visit.query.get("cursor"), limit=_AT_ONCE
    )
    return {
        "decisions": [_decision(visit, each, complaints) for each in on_me.items],
        "reports": [_report(visit, each, complaints) for each in made.items],
        "next": made.next,
        "errors": errors or {},
        "form": visit.form,
        "most": STATEMENT_CHARS_MAX,
    }


def _decision(visit: Visit, made: Decision, complaints: Mapping[str, Complaint]) -> Shown:
    _ = visit.words.gettext
    heading = {
        Measure.WARNING: _("A warning"),
        Measure.SUSPENSION: _("Your account was suspended"),
        Measure.LIFTED: _("Your account is open again"),
    }[made.measure]
    details = [
        _("It rests on the law.")
        if made.ground is Ground.LAW
        else _("It rests on the terms of use."),
        _("A report led to it.") if made.report else _("No report led to it."),
        _("People decided it, not a program."),
    ]
    ended = made.measure is Measure.LIFTED
    until = None if ended else complain_until(made.at)
    return Shown(
        About.DECISION,
        made.id,
        made.at,
        heading,
        [] if ended else details,
        prose.letter(made.statement),
        _open(until, visit.now),
        _said(visit.words, complaints.get(made.id)),
    )


def _report(visit: Visit, made: Report, complaints: Mapping[str, Complaint]) -> Shown:
    _ = visit.words.gettext
    if made.measure is None:
        heading = _("Not decided yet")
    elif made.measure is Measure.NONE:
        heading = _("Nothing was done")
    else:
        heading = _("Something was done")
    about = said_reasons(visit.words)[reports.Reason(made.reason)]
    until = None if made.decided_at is None else complain_until(made.decided_at)
    return Shown(
        About.REPORT,
        made.id,
        made.at,
        heading,
        [about],
        prose.letter(made.answer) if made.answer else Markup(""),
        _open(until, visit.now),
        _said(visit.words, complaints.get(made.id)),
    )


def _open(until: datetime | None, now: datetime) -> datetime | None:
    return until if until is not None and now <= until else None


def _said(words: Words, made: Complaint | None) -> Said | None:
    if made is None:
        return None
    _ = words.gettext
    verdict = {
        None: "",
        Verdict.STANDS: _("What was decided stands."),
        Verdict.REVERSED: _("You were right; it is taken back."),
    }[made.verdict]
    return Said(prose.letter(made.text), made.at, verdict, prose.letter(made.answer))


def _id(text: str) -> str:
    """Raises ValueError for what is no id."""
    return str(UUID(text))
