"""Complaints: what members say against decisions, and what they are answered."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup

from overture.actions import decisions
from overture.core.decisions import STATEMENT_CHARS_MAX, About, Verdict
from overture.core.ids import ComplaintId, DecisionId
from overture.core.refusals import Refusal
from overture.store import decisions as store
from overture.store.decisions import Complaint, Decision
from overture.web import prose
from overture.web.ops.people import Named, named
from overture.web.ops.reports import acting, came_of, said_measures
from overture.web.visit import ANEW, Answer, Done, No, Page, Visit, Who, act, page

URL = "/ops/reports/complaints"
ROWS = 20


@dataclass(frozen=True, slots=True)
class Row:
    """A complaint; `decision` is what it is about, with its `measure`, where it is no report."""

    complaint: Complaint
    who: Named
    text: Markup
    answer: Markup
    decision: Decision | None
    statement: Markup
    measure: str


@page(URL, who=Who.OPERATOR)
async def complaints(visit: Visit) -> Answer:
    return await _complaints(visit)


@act(URL + "/{complaint:uuid}/answer", who=Who.OPERATOR)
async def answer(visit: Visit) -> Answer:
    verdict, complaint = visit.form.get("verdict", ""), visit.id("complaint", ComplaintId)
    if verdict not in set(Verdict):
        return No(visit.words.gettext("Choose whether what was decided stands."), 422, URL)
    made = await decisions.answer_complaint(
        visit.tx,
        acting(visit),
        complaint,
        Verdict(verdict),
        answer=visit.form.get("answer", ""),
    )
    return await came_of(
        visit,
        made,
        Done(URL, notice=visit.words.gettext("Answered. They are told.")),
        gone=Refusal.NO_SUCH_COMPLAINT,
        there=URL,
        again=lambda errors: _complaints(visit, {**errors, "id": complaint}, 422),
    )


async def _complaints(
    visit: Visit, errors: Mapping[str, str] | None = None, status: int = 200
) -> Page:
    answered = visit.query.get("state") == "answered"
    found = await store.complaints(
        visit.tx, answered=answered, cursor=visit.query.get("cursor") or None, limit=ROWS
    )
    asked = {"state": "answered" if answered else "", "cursor": found.next or ""}
    values: dict[str, Any] = {
        "rows": await _rows(visit, found.items),
        "answered": answered,
        "next": found.next and f"{URL}?{urlencode({k: v for k, v in asked.items() if v})}",
        "waiting": await store.waiting(visit.tx),
        "again": "cursor" not in visit.query,
        "form": visit.form,
        "most": STATEMENT_CHARS_MAX,
        "errors": errors or {},
    }
    parts = {ANEW: "ops/patches/complaints.html"}
    return Page("ops/complaints.html", values, status, parts=parts)


async def _rows(visit: Visit, found: list[Complaint]) -> list[Row]:
    names = await named(visit.tx, [each.member for each in found])
    about = [
        (each.member, DecisionId(each.about_id)) for each in found if each.about is About.DECISION
    ]
    made: dict[str, Decision] = {each.id: each for each in await store.these(visit.tx, about)}
    said = said_measures(visit.words)

    def row(complaint: Complaint) -> Row:
        decision = made.get(complaint.about_id)
        return Row(
            complaint=complaint,
            who=names[complaint.member],
            text=prose.letter(complaint.text),
            answer=prose.letter(complaint.answer),
            decision=decision,
            statement=prose.letter(decision.statement) if decision else Markup(""),
            measure=said[decision.measure] if decision else "",
        )

    return [row(each) for each in found]
