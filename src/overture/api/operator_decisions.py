"""The operator's: reports with what was reported, decisions, suspensions, complaints."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Literal

from msgspec import Meta

from overture import ids
from overture.actions import decisions as actions
from overture.actions.decisions import Act
from overture.actions.fields import Invalid
from overture.actions.reports import Reason
from overture.api.decisions import (
    ComplaintOut,
    DecisionOut,
    Statement,
    complaint_out,
    decision_out,
)
from overture.api.operation import Call, Who, operation
from overture.api.operator_members import actor
from overture.api.wire import AMemberId, In, Instant, Out, Page, PageQuery, page_out
from overture.core.decisions import Ground, Measure, Verdict
from overture.core.ids import ComplaintId, ConversationId, DecisionId, MemberId, ReportId
from overture.core.refusals import Refusal
from overture.store import decisions as store
from overture.store import reports as reports_store
from overture.store.decisions import Complaint, Decision, Suspended
from overture.store.reports import Case, Report, Snapshot

TAG = "Operator"


class Which(StrEnum):
    """All, those that wait for the operator, or those that are decided."""

    ALL = "all"
    OPEN = "open"
    DECIDED = "decided"


class StateQuery(PageQuery):
    state: Which = Which.ALL

    @property
    def decided(self) -> bool | None:
        return None if self.state is Which.ALL else self.state is Which.DECIDED


class OperatorsReportOut(Out):
    """`measure` is null until it is decided; `answer` is what the reporter was told."""

    id: ReportId
    at: Instant
    reporter_id: MemberId
    member_id: MemberId
    conversation_id: ConversationId | None
    reason: Reason
    note: str
    decided_at: Instant | None
    measure: Measure | None
    answer: str


class SaidOut(Out):
    id: str
    sent_at: Instant
    body: str


class SnapshotOut(Out):
    """What was reported as it looked then: the member's profile and, with a conversation, the end of
    what they wrote there. What the reporter wrote is not in it."""

    handle: str
    name: str
    headline: str
    company: str
    about: str
    subject: str | None
    state: str | None
    messages: list[SaidOut]


class CaseOut(Out):
    """A report to decide on. `snapshot` is null once one of the two has closed the account;
    `open_reports` on this member come from so many `reporters`; `measures` were taken before."""

    report: OperatorsReportOut
    snapshot: SnapshotOut | None
    open_reports: int
    reporters: int
    suspended: bool
    measures: Sequence[Measure]


class DecideIn(In):
    """`answer` goes to the reporter; `statement`, where a measure is taken, to the member: which facts,
    which rule or law, and why. Each reads only their own."""

    measure: Literal["none", "warning", "suspension"]
    answer: Statement
    ground: Ground = Ground.TERMS
    statement: Statement | None = None


# What the struct cannot say: a measure has its reasons.
DecideBody = Annotated[
    DecideIn,
    Meta(
        extra_json_schema={
            "anyOf": [
                {"properties": {"measure": {"enum": ["none"]}}},
                {"required": ["statement"], "properties": {"statement": {"type": "string"}}},
            ]
        }
    ),
]


class MeasureIn(In):
    """`statement` is what the member reads: which facts, which rule or law, and why."""

    member_id: AMemberId
    statement: Statement
    ground: Ground = Ground.TERMS


class LiftIn(In):
    statement: Statement
    ground: Ground = Ground.TERMS


class SuspendedOut(Out):
    member_id: MemberId
    handle: str
    name: str
    since: Instant


class OperatorsComplaintOut(Out):
    """Who complains, and of what: of a decision on them, or of what became of their report."""

    member_id: MemberId
    complaint: ComplaintOut


class AnswerIn(In):
    verdict: Verdict
    answer: Statement


@operation("GET", "/operator/reports", summary="What members reported", tag=TAG, who=Who.OPERATOR)
async def reports(call: Call, query: StateQuery) -> Page[OperatorsReportOut]:
    """`state`: `all` (the default), `open` or `decided`."""
    page = await reports_store.newest(
        call.tx, cursor=query.cursor, limit=query.limit, decided=query.decided
    )
    return page_out(page, report_out)


@operation(
    "GET",
    "/operator/reports/{report_id}",
    summary="A report, with what was reported",
    tag=TAG,
    who=Who.OPERATOR,
    refusals={Refusal.NO_SUCH_REPORT: 404},
)
async def case(call: Call, report_id: ReportId) -> CaseOut | Refusal:
    found = await reports_store.case(call.tx, report_id)
    return Refusal.NO_SUCH_REPORT if found is None else case_out(found)


@operation(
    "POST",
    "/operator/reports/{report_id}/decide",
    summary="Decide on a report",
    tag=TAG,
    who=Who.OPERATOR,
    refusals={
        Refusal.NO_SUCH_REPORT: 404,
        Refusal.NO_SUCH_MEMBER: 404,
        Refusal.ALREADY_DECIDED: 409,
    },
)
async def decide(
    call: Call, report_id: ReportId, body: DecideBody
) -> OperatorsReportOut | Refusal | Invalid:
    """Both sides are told with the reasons, and may complain for six months. A member who is suspended
    already stays so."""
    decided = await actions.decide_report(
        call.tx,
        _act(call),
        report_id,
        Measure(body.measure),
        ground=body.ground,
        statement=body.statement or "",
        answer=body.answer,
    )
    return report_out(decided) if isinstance(decided, Report) else decided


@operation(
    "POST",
    "/operator/warnings",
    summary="Warn a member",
    tag=TAG,
    who=Who.OPERATOR,
    status=201,
    refusals={Refusal.NO_SUCH_MEMBER: 404},
)
async def warn(call: Call, body: MeasureIn) -> DecisionOut | Refusal | Invalid:
    """The member reads why, and may go on."""
    return await _decide(call, body.member_id, Measure.WARNING, body.ground, body.statement)


@operation(
    "POST",
    "/operator/suspensions",
    summary="Suspend a member",
    tag=TAG,
    who=Who.OPERATOR,
    status=201,
    refusals={Refusal.NO_SUCH_MEMBER: 404, Refusal.ALREADY_SUSPENDED: 409},
)
async def suspend(call: Call, body: MeasureIn) -> DecisionOut | Refusal | Invalid:
    """Until it is lifted the member can do nothing but read why, complain, take their data along and
    close the account (`suspended`), also where the operator acts as them; nobody can write to them.
    Letters, credits and plans stay as they are."""
    return await _decide(call, body.member_id, Measure.SUSPENSION, body.ground, body.statement)


@operation(
    "GET",
    "/operator/suspensions",
    summary="Who is suspended",
    tag=TAG,
    who=Who.OPERATOR,
)
async def suspensions(call: Call, query: PageQuery) -> Page[SuspendedOut]:
    page = await store.suspended(call.tx, cursor=query.cursor, limit=query.limit)
    return page_out(page, suspended_out)


@operation(
    "POST",
    "/operator/suspensions/{member_id}/lift",
    summary="Lift a suspension",
    tag=TAG,
    who=Who.OPERATOR,
    refusals={Refusal.NO_SUCH_MEMBER: 404, Refusal.NOT_SUSPENDED: 409},
)
async def lift(call: Call, member_id: MemberId, body: LiftIn) -> DecisionOut | Refusal | Invalid:
    """Everything is as it was, and what fell due meanwhile has come."""
    return await _decide(call, member_id, Measure.LIFTED, body.ground, body.statement)


@operation(
    "GET",
    "/operator/complaints",
    summary="What members say against decisions",
    tag=TAG,
    who=Who.OPERATOR,
)
async def complaints(call: Call, query: StateQuery) -> Page[OperatorsComplaintOut]:
    """`state`: `all` (the default), `open` or `decided`."""
    page = await store.complaints(
        call.tx, answered=query.decided, cursor=query.cursor, limit=query.limit
    )
    return page_out(page, operators_complaint_out)


@operation(
    "POST",
    "/operator/complaints/{complaint_id}/answer",
    summary="Answer a complaint",
    tag=TAG,
    who=Who.OPERATOR,
    refusals={Refusal.NO_SUCH_COMPLAINT: 404, Refusal.ALREADY_DECIDED: 409},
)
async def answer(
    call: Call, complaint_id: ComplaintId, body: AnswerIn
) -> OperatorsComplaintOut | Refusal | Invalid:
    """`reversed`: a suspension that still stands is lifted; a report is open to be decided anew."""
    answered = await actions.answer_complaint(
        call.tx, _act(call), complaint_id, body.verdict, answer=body.answer
    )
    return operators_complaint_out(answered) if isinstance(answered, Complaint) else answered


async def _decide(
    call: Call, member: MemberId, measure: Measure, ground: Ground, statement: str
) -> DecisionOut | Refusal | Invalid:
    made = await actions.decide(
        call.tx, _act(call), member, measure, ground=ground, statement=statement
    )
    return decision_out(made, {}) if isinstance(made, Decision) else made


def _act(call: Call) -> Act:
    return Act(actor(call), ids.new(), DecisionId(ids.new()), call.now)


def report_out(report: Report) -> OperatorsReportOut:
    return OperatorsReportOut(
        id=report.id,
        at=report.at,
        reporter_id=report.reporter,
        member_id=report.member,
        conversation_id=report.conversation,
        reason=Reason(report.reason),
        note=report.note,
        decided_at=report.decided_at,
        measure=report.measure,
        answer=report.answer,
    )


def case_out(found: Case) -> CaseOut:
    return CaseOut(
        report=report_out(found.report),
        snapshot=None if found.snapshot is None else _snapshot_out(found.snapshot),
        open_reports=found.open_reports,
        reporters=found.reporters,
        suspended=found.suspended,
        measures=found.measures,
    )


def _snapshot_out(kept: Snapshot) -> SnapshotOut:
    return SnapshotOut(
        handle=kept.handle,
        name=kept.name,
        headline=kept.headline,
        company=kept.company,
        about=kept.about,
        subject=kept.subject,
        state=kept.state,
        messages=[SaidOut(id=m.id, sent_at=m.sent_at, body=m.body) for m in kept.messages],
    )


def suspended_out(found: Suspended) -> SuspendedOut:
    return SuspendedOut(
        member_id=found.member, handle=found.handle, name=found.name, since=found.since
    )


def operators_complaint_out(made: Complaint) -> OperatorsComplaintOut:
    return OperatorsComplaintOut(member_id=made.member, complaint=complaint_out(made))
