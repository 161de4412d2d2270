"""Decisions on members, suspensions and complaints, in SQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from overture.core.decisions import About, Ground, Measure, Verdict
from overture.core.ids import ComplaintId, DecisionId, MemberId, ReportId
from overture.store import pages
from overture.store.db import Tx, all_rows, one_row
from overture.store.pages import Page, page_of


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision on a member, with its reasons; `report` where one led to it."""

    id: DecisionId
    member: MemberId
    measure: Measure
    ground: Ground
    statement: str
    report: ReportId | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Complaint:
    """What a member says against a decision; `about_id` is the decision's id, or the report's."""

    id: ComplaintId
    member: MemberId
    about: About
    about_id: str
    text: str
    at: datetime
    answered_at: datetime | None = None
    verdict: Verdict | None = None
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Suspended:
    """A member who is suspended now, and since when."""

    member: MemberId
    handle: str
    name: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """How much waits for an operator: what nobody has decided, answered or dismissed yet."""

    reports: int
    complaints: int
    suspicions: int


async def waiting(tx: Tx) -> Waiting:
    row = await one_row(tx, _WAITING, ())
    assert row is not None, "it counts"
    return Waiting(*row)


async def lock_suspended(tx: Tx, member: MemberId) -> bool | None:
    """Whether the member is suspended; None where there is none, or the account is closed.

    Their sends, and those to them, wait from now on.
    """
    row = await one_row(tx, _LOCK, (member,))
    return None if row is None else bool(row[0])


async def suspend(tx: Tx, member: MemberId, at: datetime | None) -> None:
    """None: not suspended any more."""
    await tx.execute("update members set suspended_at = %s where id = %s", (at, member))


async def suspended(tx: Tx, *, cursor: str | None, limit: int) -> Page[Suspended]:
    """Those who are suspended now, the last first."""
    rows = await all_rows(tx, _SUSPENDED, _after(cursor, limit))
    return page_of(rows, limit, lambda row: Suspended(*row), lambda row: (row[3], row[0]))


async def add(tx: Tx, made: Decision) -> None:
    await tx.execute(
        _ADD,
        (
            made.member,
            made.id,
            made.measure,
            made.ground,
            made.statement,
            made.report,
            made.at,
        ),
    )


async def on_member(tx: Tx, member: MemberId, decision: DecisionId) -> Decision | None:
    row = await one_row(tx, f"{_DECISION} where owner_id = %s and id = %s", (member, decision))
    return None if row is None else _decision(row)


async def all_on(tx: Tx, member: MemberId, *, cursor: str | None, limit: int) -> Page[Decision]:
    """The decisions on a member, the last first."""
    rows = await all_rows(tx, _ON, _after(cursor, limit) | {"member": member})
    return page_of(rows, limit, _decision, lambda row: (row[6], row[0]))


async def these(tx: Tx, decisions: Sequence[tuple[MemberId, DecisionId]]) -> Sequence[Decision]:
    """Those of these decisions on members that are still there."""
    members = [member for member, _ in decisions]
    made = [decision for _, decision in decisions]
    return [_decision(row) for row in await all_rows(tx, _THESE, (members, made))]


async def last_on(tx: Tx, members: Sequence[MemberId]) -> Sequence[Decision]:
    """The last decision on each of these members on whom there is one."""
    return [_decision(row) for row in await all_rows(tx, _LAST_ON, (list(members),))]


async def last_suspension(tx: Tx, member: MemberId) -> DecisionId | None:
    row = await one_row(tx, _LAST_SUSPENSION, (member,))
    return None if row is None else row[0]


async def complain(tx: Tx, made: Complaint) -> bool:
    """False where the member has complained of it before."""
    params = (made.member, made.id, made.about, made.about_id, made.text, made.at)
    return await one_row(tx, _COMPLAIN, params) is not None


async def complaints_of(tx: Tx, member: MemberId) -> dict[str, Complaint]:
    """All of a member's, by what they are about."""
    rows = await all_rows(tx, f"{_COMPLAINT} where owner_id = %s order by at, id", (member,))
    return {row[3]: _complaint(row) for row in rows}


async def complaint(tx: Tx, complaint_id: ComplaintId) -> Complaint | None:
    """Locked against being answered twice."""
    row = await one_row(tx, f"{_COMPLAINT} where id = %s for update", (complaint_id,))
    return None if row is None else _complaint(row)


async def complaints(
    tx: Tx, *, answered: bool | None, cursor: str | None, limit: int
) -> Page[Complaint]:
    """The newest first; those that were answered, those that wait, or all."""
    params = _after(cursor, limit) | {"answered": answered}
    rows = await all_rows(tx, _COMPLAINTS, params)
    return page_of(rows, limit, _complaint, lambda row: (row[5], row[0]))


async def answer(
    tx: Tx, complaint_id: ComplaintId, verdict: Verdict, text: str, now: datetime
) -> None:
    await tx.execute(_ANSWER, (now, verdict, text, complaint_id))


def _after(cursor: str | None, limit: int) -> dict[str, object]:
    at, last = (None, None) if cursor is None else pages.decode(cursor, tuple[datetime, UUID])
    return {"at": at, "last": last, "limit": limit + 1}


def _decision(row: tuple[object, ...]) -> Decision:
    made = Decision(*row)  # pyright: ignore[reportArgumentType]
    return Decision(
        made.id,
        made.member,
        Measure(made.measure),
        Ground(made.ground),
        made.statement,
        made.report,
        made.at,
    )


def _complaint(row: tuple[object, ...]) -> Complaint:
    made = Complaint(*row)  # pyright: ignore[reportArgumentType]
    return Complaint(
        made.id,
        made.member,
        About(made.about),
        made.about_id,
        made.text,
        made.at,
        made.answered_at,
        None if made.verdict is None else Verdict(made.verdict),
        made.answer,
    )


_LOCK = """
    select suspended_at is not null
    from members
    where id = %s and closed_at is null
    for update
"""
_SUSPENDED = """
    select id, handle, name, suspended_at
    from members
    where suspended_at is not null and closed_at is null
        and (%(at)s::timestamptz is null
            or (suspended_at, id) < (%(at)s::timestamptz, %(last)s::uuid))
    order by suspended_at desc, id desc
    limit %(limit)s
"""
_ADD = """
    insert into decisions (owner_id, id, measure, ground, statement, report_id, at)
    values (%s, %s, %s, %s, %s, %s, %s)
"""
_DECISION = """
    select id, owner_id, measure, ground, statement, report_id, at
    from decisions
"""
_ON = f"""
    {_DECISION}
    where owner_id = %(member)s
        and (%(at)s::timestamptz is null or (at, id) < (%(at)s::timestamptz, %(last)s::uuid))
    order by at desc, id desc
    limit %(limit)s
"""
_WAITING = """
    select (select count(*) from reports where decided_at is null),
        (select count(*) from complaints where answered_at is null),
        (select count(*) from suspicions where dismissed_at is null)
"""
_THESE = f"""
    {_DECISION}
    where (owner_id, id) in (select * from unnest(%s::uuid[], %s::uuid[]))
"""
_LAST_ON = """
    select d.id, d.owner_id, d.measure, d.ground, d.statement, d.report_id, d.at
    from unnest(%s::uuid[]) as m (id)
    cross join lateral (
        select id, owner_id, measure, ground, statement, report_id, at
        from decisions
        where owner_id = m.id
        order by at desc, id desc
        limit 1
    ) d
"""
_LAST_SUSPENSION = """
    select id
    from decisions
    where owner_id = %s and measure = 'suspension'
    order by at desc, id desc
    limit 1
"""
_COMPLAIN = """
    insert into complaints (owner_id, id, about, about_id, text, at)
    values (%s, %s, %s, %s, %s, %s)
    on conflict (owner_id, about_id) do nothing
    returning id
"""
_COMPLAINT = """
    select id, owner_id, about, about_id, text, at, answered_at, outcome, answer
    from complaints
"""
_COMPLAINTS = f"""
    {_COMPLAINT}
    where (%(answered)s::boolean is null or (answered_at is not null) = %(answered)s::boolean)
        and (%(at)s::timestamptz is null or (at, id) < (%(at)s::timestamptz, %(last)s::uuid))
    order by at desc, id desc
    limit %(limit)s
"""
_ANSWER = "update complaints set answered_at = %s, outcome = %s, answer = %s where id = %s"
