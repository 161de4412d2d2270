"""What was decided of the caller and of their reports, and complaining of it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from msgspec import Meta

from overture import ids
from overture.actions import decisions as actions
from overture.actions.fields import Invalid
from overture.actions.reports import Reason
from overture.api.operation import Call, operation
from overture.api.wire import NOT_BLANK, AnyId, In, Instant, Out, Page, PageQuery, page_out
from overture.core.decisions import (
    STATEMENT_CHARS_MAX,
    About,
    Ground,
    Measure,
    Verdict,
    complain_until,
)
from overture.core.ids import ComplaintId, ConversationId, DecisionId, MemberId, ReportId
from overture.core.refusals import Refusal
from overture.store import decisions as store
from overture.store import reports
from overture.store.decisions import Complaint, Decision
from overture.store.reports import Report

TAG = "Decisions"

Statement = Annotated[str, NOT_BLANK, Meta(extra_json_schema={"maxLength": STATEMENT_CHARS_MAX})]


class ComplaintOut(Out):
    """`verdict` is null until it is answered: `stands`, or `reversed` where the complaint was right."""

    id: ComplaintId
    about: About
    about_id: str
    text: str
    at: Instant
    answered_at: Instant | None
    verdict: Verdict | None
    answer: str


class DecisionOut(Out):
    """A statement of reasons: what was decided, on what ground, why, and whether a report led to it.
    People decide, never a program. Complaining is free, once, until `complain_until`."""

    id: DecisionId
    at: Instant
    measure: Measure
    ground: Ground
    statement: str
    after_report: bool
    complain_until: Instant
    complaint: ComplaintOut | None


class OwnReportOut(Out):
    """`acted` is null until it is decided: whether something was done. `answer` says why."""

    id: ReportId
    at: Instant
    member_id: MemberId
    conversation_id: ConversationId | None
    reason: Reason
    note: str
    decided_at: Instant | None
    acted: bool | None
    answer: str
    complain_until: Instant | None
    complaint: ComplaintOut | None


class ComplainIn(In):
    """`id`: of a decision on the caller, or of a report of theirs, as `about` says."""

    about: About
    id: AnyId
    text: Statement


@operation(
    "GET",
    "/me/decisions",
    summary="What the operator decided of the caller",
    tag=TAG,
    while_suspended=True,
)
async def decisions(call: Call, query: PageQuery) -> Page[DecisionOut]:
    """Warnings and suspensions with their reasons, and the end of suspensions."""
    page = await store.all_on(call.tx, call.viewer, cursor=query.cursor, limit=query.limit)
    complaints = await store.complaints_of(call.tx, call.viewer)
    return page_out(page, lambda each: decision_out(each, complaints))


@operation(
    "GET",
    "/me/reports",
    summary="What became of the caller's reports",
    tag=TAG,
    while_suspended=True,
)
async def own_reports(call: Call, query: PageQuery) -> Page[OwnReportOut]:
    page = await reports.made_by(call.tx, call.viewer, cursor=query.cursor, limit=query.limit)
    complaints = await store.complaints_of(call.tx, call.viewer)
    return page_out(page, lambda each: own_report_out(each, complaints))


@operation(
    "POST",
    "/me/complaints",
    summary="Complain of a decision",
    tag=TAG,
    status=201,
    refusals={
        Refusal.NO_SUCH_DECISION: 404,
        Refusal.NO_SUCH_REPORT: 404,
        Refusal.NOT_DECIDED_YET: 409,
        Refusal.ALREADY_COMPLAINED: 409,
        Refusal.TOO_LATE_TO_COMPLAIN: 409,
    },
    while_suspended=True,
)
async def complain(call: Call, body: ComplainIn) -> ComplaintOut | Refusal | Invalid:
    """Of a decision on the caller, or of what became of a report of theirs: once, for six months."""
    made = await actions.complain(
        call.tx,
        call.viewer,
        ComplaintId(ids.new()),
        about=body.about,
        about_id=body.id,
        words=body.text,
        now=call.now,
    )
    return complaint_out(made) if isinstance(made, Complaint) else made


def complaint_out(made: Complaint) -> ComplaintOut:
    return ComplaintOut(
        id=made.id,
        about=made.about,
        about_id=made.about_id,
        text=made.text,
        at=made.at,
        answered_at=made.answered_at,
        verdict=made.verdict,
        answer=made.answer,
    )


def decision_out(made: Decision, complaints: Mapping[str, Complaint]) -> DecisionOut:
    return DecisionOut(
        id=made.id,
        at=made.at,
        measure=made.measure,
        ground=made.ground,
        statement=made.statement,
        after_report=made.report is not None,
        complain_until=complain_until(made.at),
        complaint=_about(made.id, complaints),
    )


def own_report_out(made: Report, complaints: Mapping[str, Complaint]) -> OwnReportOut:
    decided_at: datetime | None = made.decided_at
    return OwnReportOut(
        id=made.id,
        at=made.at,
        member_id=made.member,
        conversation_id=made.conversation,
        reason=Reason(made.reason),
        note=made.note,
        decided_at=decided_at,
        acted=None if made.measure is None else made.measure is not Measure.NONE,
        answer=made.answer,
        complain_until=None if decided_at is None else complain_until(decided_at),
        complaint=_about(made.id, complaints),
    )


def _about(what: str, complaints: Mapping[str, Complaint]) -> ComplaintOut | None:
    found = complaints.get(what)
    return None if found is None else complaint_out(found)
