"""Decisions: what an operator does about members, and what members say against it.

Whom a decision concerns is told of it with its reasons, and may complain once. Nothing is destroyed by
a suspension: letters, credits and plans stay as they are, and the rules go on counting.
"""

from dataclasses import dataclass
from datetime import datetime

from overture.actions.fields import Fields, Invalid
from overture.core import text
from overture.core.decisions import (
    STATEMENT_CHARS_MAX,
    About,
    Ground,
    Measure,
    Verdict,
    may_complain,
    may_take,
    suspended_after,
    undone_by,
)
from overture.core.ids import ComplaintId, DecisionId, MemberId, ReportId
from overture.core.refusals import Refusal
from overture.core.sending import Event
from overture.store import audit, reports
from overture.store import decisions as store
from overture.store.db import Tx
from overture.store.decisions import Complaint, Decision
from overture.store.outbox import tell
from overture.store.reports import Report


@dataclass(frozen=True, slots=True)
class Act:
    """An operator's act: whose it is, and the ids of what it makes."""

    actor: str
    audit_id: str
    decision_id: DecisionId
    at: datetime


async def decide(
    tx: Tx, act: Act, member: MemberId, measure: Measure, *, ground: Ground, statement: str
) -> Decision | Refusal | Invalid:
    """Warns, suspends or reinstates a member of the operator's own accord; `statement` says why."""
    fields = Fields()
    clean = fields.take("statement", text.body(statement, STATEMENT_CHARS_MAX))
    if (invalid := fields.invalid) is not None:
        return invalid
    suspended = await store.lock_suspended(tx, member)
    if suspended is None:
        return Refusal.NO_SUCH_MEMBER
    if (no := may_take(measure, suspended=suspended)) is not None:
        return no
    made = await _make(
        tx, act, member, measure, ground=ground, statement=clean, suspended=suspended
    )
    await _audit(tx, act, f"member.{_DONE[measure]}", member, {"decision_id": made.id})
    return made


async def decide_report(
    tx: Tx,
    act: Act,
    report_id: ReportId,
    measure: Measure,
    *,
    ground: Ground,
    statement: str,
    answer: str,
) -> Report | Refusal | Invalid:
    """Decides on a report: `answer` is what its reporter is told, `statement` the member, where a
    measure is taken. One who is suspended already stays so, and is told nothing new."""
    fields = Fields()
    told = fields.take("answer", text.body(answer, STATEMENT_CHARS_MAX))
    clean = ""
    if measure is not Measure.NONE:
        clean = fields.take("statement", text.body(statement, STATEMENT_CHARS_MAX))
    if (invalid := fields.invalid) is not None:
        return invalid
    report = await reports.lock(tx, report_id)
    if report is None:
        return Refusal.NO_SUCH_REPORT
    if report.decided_at is not None:
        return Refusal.ALREADY_DECIDED
    suspended = await store.lock_suspended(tx, report.member)
    if measure is not Measure.NONE and suspended is None:
        return Refusal.NO_SUCH_MEMBER
    if measure is not Measure.NONE and may_take(measure, suspended=suspended is True) is None:
        await _make(
            tx,
            act,
            report.member,
            measure,
            ground=ground,
            statement=clean,
            suspended=suspended is True,
            report=report.id,
        )
    await reports.decide(tx, report.id, measure, told, act.at)
    await tell(tx, [Event(report.reporter, "report.decided", act.at, {"report_id": report.id})])
    detail: dict[str, object] = {"report_id": report.id, "measure": measure}
    await _audit(tx, act, "report.decided", report.member, detail)
    decided = await reports.own(tx, report.reporter, report.id)
    assert decided is not None, "it is locked"
    return decided


async def complain(
    tx: Tx,
    viewer: MemberId,
    complaint_id: ComplaintId,
    *,
    about: About,
    about_id: str,
    words: str,
    now: datetime,
) -> Complaint | Refusal | Invalid:
    """A member complains, once, of a decision on them or of what became of their report."""
    fields = Fields()
    clean = fields.take("text", text.body(words, STATEMENT_CHARS_MAX))
    if (invalid := fields.invalid) is not None:
        return invalid
    decided_at: datetime | None
    if about is About.DECISION:
        decision = await store.on_member(tx, viewer, DecisionId(about_id))
        if decision is None or decision.measure is Measure.LIFTED:
            return Refusal.NO_SUCH_DECISION
        decided_at = decision.at
    else:
        report = await reports.own(tx, viewer, ReportId(about_id))
        if report is None:
            return Refusal.NO_SUCH_REPORT
        decided_at = report.decided_at
    before = await store.complaints_of(tx, viewer)
    if (no := may_complain(decided_at, now, complained=about_id in before)) is not None:
        return no
    made = Complaint(complaint_id, viewer, about, about_id, clean, now)
    if not await store.complain(tx, made):
        return Refusal.ALREADY_COMPLAINED
    await tell(tx, [Event(viewer, "complaint.made", now, {"complaint_id": complaint_id})])
    return made


async def answer_complaint(
    tx: Tx, act: Act, complaint_id: ComplaintId, verdict: Verdict, *, answer: str
) -> Complaint | Refusal | Invalid:
    """Answers a complaint. Reversed, a suspension that stands is lifted, and a report is open anew."""
    fields = Fields()
    clean = fields.take("answer", text.body(answer, STATEMENT_CHARS_MAX))
    if (invalid := fields.invalid) is not None:
        return invalid
    complaint = await store.complaint(tx, complaint_id)
    if complaint is None:
        return Refusal.NO_SUCH_COMPLAINT
    if complaint.answered_at is not None:
        return Refusal.ALREADY_DECIDED
    if verdict is Verdict.REVERSED:
        await _take_back(tx, act, complaint, clean)
    await store.answer(tx, complaint_id, verdict, clean, act.at)
    told = {"complaint_id": complaint_id, "about": complaint.about, "about_id": complaint.about_id}
    await tell(tx, [Event(complaint.member, "complaint.answered", act.at, told)])
    detail: dict[str, object] = {"complaint_id": complaint_id, "verdict": verdict}
    await _audit(tx, act, "complaint.answered", complaint.member, detail)
    answered = await store.complaint(tx, complaint_id)
    assert answered is not None, "it is locked"
    return answered


async def _take_back(tx: Tx, act: Act, complaint: Complaint, why: str) -> None:
    if complaint.about is About.REPORT:
        await reports.decide(tx, ReportId(complaint.about_id), None, "", None)
        return
    suspended = await store.lock_suspended(tx, complaint.member)
    decision = await store.on_member(tx, complaint.member, DecisionId(complaint.about_id))
    if suspended is None or decision is None:  # the account was closed meanwhile
        return
    last = await store.last_suspension(tx, complaint.member)
    undone = undone_by(decision.measure, stands=suspended and last == decision.id)
    if undone is not None:
        await _make(
            tx,
            act,
            complaint.member,
            undone,
            ground=decision.ground,
            statement=why,
            suspended=suspended,
        )


async def _make(
    tx: Tx,
    act: Act,
    member: MemberId,
    measure: Measure,
    *,
    ground: Ground,
    statement: str,
    suspended: bool,
    report: ReportId | None = None,
) -> Decision:
    """Takes a measure on a member who is locked, and tells them."""
    made = Decision(act.decision_id, member, measure, ground, statement, report, act.at)
    await store.add(tx, made)
    events = [Event(member, "decision.made", act.at, {"decision_id": made.id})]
    after = suspended_after(measure, suspended=suspended)
    if after != suspended:
        await store.suspend(tx, member, act.at if after else None)
        events.append(Event(member, f"member.{_DONE[measure]}", act.at, {}))
    await tell(tx, events)
    return made


async def _audit(
    tx: Tx, act: Act, action: str, member: MemberId, detail: dict[str, object]
) -> None:
    # Neither statements nor answers stand there: they may name people, and the log is for ever.
    await audit.record(
        tx, act.audit_id, act.at, actor=act.actor, action=action, member=member, detail=detail
    )


_DONE = {
    Measure.WARNING: "warned",
    Measure.SUSPENSION: "suspended",
    Measure.LIFTED: "reinstated",
}
