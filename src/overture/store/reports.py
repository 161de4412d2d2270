"""Reports to the operator, in SQL."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from overture.core.decisions import Measure
from overture.core.ids import ConversationId, MemberId, ReportId
from overture.store import pages
from overture.store.db import Tx, all_rows, as_json, one_row
from overture.store.pages import Page, page_of

# Of a conversation, so many of the reported member's last messages are kept with the report.
MESSAGES_MAX = 20


class Said(msgspec.Struct, frozen=True):
    """A message of the reported member's, as it read when it was reported."""

    id: str
    sent_at: datetime
    body: str


class Snapshot(msgspec.Struct, frozen=True):
    """What was reported, as it looked then: the profile, and the end of what they wrote."""

    handle: str
    name: str
    headline: str
    company: str
    about: str
    subject: str | None = None
    state: str | None = None
    messages: Sequence[Said] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """A member's report of another one. Not decided while `measure` is None; `answer` is what the
    reporter is told of it."""

    id: ReportId
    reporter: MemberId
    member: MemberId
    conversation: ConversationId | None
    reason: str
    note: str
    at: datetime
    decided_at: datetime | None = None
    measure: Measure | None = None
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """A report as it is to be decided. `snapshot` is None once somebody in it has left;
    `open_reports` counts those on this member that are not decided, by how many reporters."""

    report: Report
    snapshot: Snapshot | None
    open_reports: int
    reporters: int
    suspended: bool
    measures: Sequence[Measure] = field(default_factory=list[Measure])


async def is_with(tx: Tx, viewer: MemberId, conversation: ConversationId, member: MemberId) -> bool:
    """Whether the viewer has this conversation, and it is with this member."""
    return await one_row(tx, _IS_WITH, (viewer, conversation, member)) is not None


async def exists(tx: Tx, member: MemberId) -> bool:
    """Whether there ever was such a member."""
    return await one_row(tx, "select id from members where id = %s", (member,)) is not None


async def snapshot(
    tx: Tx, viewer: MemberId, member: MemberId, conversation: ConversationId | None
) -> Snapshot:
    """What the viewer sees of the member now, and of what they wrote in a conversation of the two."""
    profile = await one_row(tx, _PROFILE, (member,))
    assert profile is not None, "only a member is reported"
    handle, name, headline, company, about = profile
    if conversation is None:
        return Snapshot(handle, name, headline, company, about)
    of = {"viewer": viewer, "member": member, "conversation": conversation, "most": MESSAGES_MAX}
    thread = await one_row(tx, _THREAD, of)
    messages = [Said(*row) for row in await all_rows(tx, _SAID, of)]
    subject, state = (None, None) if thread is None else thread[:2]
    return Snapshot(handle, name, headline, company, about, subject, state, messages[::-1])


async def add(tx: Tx, report: Report, kept: Snapshot | None = None) -> None:
    await tx.execute(
        _INSERT,
        (
            report.reporter,
            report.id,
            report.member,
            report.conversation,
            report.reason,
            report.note,
            report.at,
            None if kept is None else as_json(kept),
        ),
    )


async def newest(
    tx: Tx,
    *,
    cursor: str | None,
    limit: int,
    decided: bool | None = None,
    member: MemberId | None = None,
) -> Page[Report]:
    """Those that were decided, those that wait, or all, perhaps of one member; the newest first."""
    params = _after(cursor, limit) | {"decided": decided, "member": member}
    rows = await all_rows(tx, _NEWEST if member is None else _ON_MEMBER, params)
    return page_of(rows, limit, _report, lambda row: (row[6], row[0]))


async def of_conversation(
    tx: Tx, conversation: ConversationId, parties: Sequence[MemberId]
) -> list[tuple[Report, Snapshot | None]]:
    """What was reported of a conversation's parties, with what was kept of it; the newest first."""
    rows = await all_rows(tx, _OF_CONVERSATION, (list(parties), conversation))
    return [(_report(row), None if row[10] is None else _decode(row[10])) for row in rows]


async def made_by(tx: Tx, reporter: MemberId, *, cursor: str | None, limit: int) -> Page[Report]:
    """A member's own, the newest first."""
    params = _after(cursor, limit) | {"reporter": reporter}
    rows = await all_rows(tx, _MADE_BY, params)
    return page_of(rows, limit, _report, lambda row: (row[6], row[0]))


async def own(tx: Tx, reporter: MemberId, report: ReportId) -> Report | None:
    row = await one_row(tx, f"{_REPORT} where owner_id = %s and id = %s", (reporter, report))
    return None if row is None else _report(row)


async def case(tx: Tx, report: ReportId) -> Case | None:
    row = await one_row(tx, _CASE, (report,))
    if row is None:
        return None
    return Case(
        _report(row),
        None if row[10] is None else _decode(row[10]),
        open_reports=row[11],
        reporters=row[12],
        suspended=row[13],
        measures=[Measure(each) for each in row[14]],
    )


async def lock(tx: Tx, report: ReportId) -> Report | None:
    """The report, kept from being decided by anybody else meanwhile."""
    row = await one_row(tx, f"{_REPORT} where id = %s for update", (report,))
    return None if row is None else _report(row)


async def decide(
    tx: Tx, report: ReportId, measure: Measure | None, answer: str, now: datetime | None
) -> None:
    """None: to be decided anew."""
    await tx.execute(_DECIDE, (now, measure, answer, report))


async def forget_before(tx: Tx, at: datetime) -> int:
    """Drops reports from before an instant, the oldest first; how many at once."""
    return len(await all_rows(tx, _FORGET, (at, _FORGOTTEN_AT_ONCE)))


def _after(cursor: str | None, limit: int) -> dict[str, object]:
    at, last = (None, None) if cursor is None else pages.decode(cursor, tuple[datetime, UUID])
    return {"at": at, "last": last, "limit": limit + 1}


def _report(row: Sequence[Any]) -> Report:
    measure, answer = row[8:10]
    made = Report(*row[:8])
    return replace(made, measure=None if measure is None else Measure(measure), answer=answer)


_decode = msgspec.json.Decoder(Snapshot).decode
_FORGOTTEN_AT_ONCE = 1000
_FORGET = """
    delete from reports
    where (owner_id, id) in (
        select owner_id, id
        from reports
        where at < %s
        order by at, id
        limit %s
    )
    returning id
"""
_IS_WITH = """
    select conversation_id
    from inbox
    where owner_id = %s and conversation_id = %s and counterpart_id = %s
"""
_PROFILE = "select handle, name, headline, company, about from members where id = %s"
_THREAD = """
    select subject, state
    from inbox
    where owner_id = %(viewer)s and conversation_id = %(conversation)s
"""
# Through the viewer's own row: what was withdrawn before they answered they have never seen.
_SAID = """
    select m.id, m.sent_at, m.body
    from inbox i
    join messages m on m.owner_id = i.home_id and m.conversation_id = i.conversation_id
    where i.owner_id = %(viewer)s and i.conversation_id = %(conversation)s
        and (i.begun or i.state <> 'withdrawn')
        and m.sender_id = %(member)s and m.deleted_at is null
    order by m.number desc
    limit %(most)s
"""
_INSERT = """
    insert into reports (owner_id, id, member_id, conversation_id, reason, note, at, snapshot)
    values (%s, %s, %s, %s, %s, %s, %s, %s)
"""
_COLUMNS = """
    id, owner_id, member_id, conversation_id, reason, note, at, decided_at, measure, answer
"""
_REPORT = f"select {_COLUMNS} from reports"
_OF_CONVERSATION = f"""
    select {_COLUMNS}, snapshot
    from reports
    where member_id = any (%s::uuid[]) and conversation_id = %s
    order by at desc, id desc
"""
_BEFORE = "(%(at)s::timestamptz is null or (at, id) < (%(at)s::timestamptz, %(last)s::uuid))"
_DECIDED = "(%(decided)s::boolean is null or (decided_at is not null) = %(decided)s::boolean)"
_NEWEST = f"""
    {_REPORT}
    where {_DECIDED} and {_BEFORE}
    order by at desc, id desc
    limit %(limit)s
"""
_ON_MEMBER = f"""
    {_REPORT}
    where member_id = %(member)s and {_DECIDED} and {_BEFORE}
    order by at desc, id desc
    limit %(limit)s
"""
_MADE_BY = f"""
    {_REPORT}
    where owner_id = %(reporter)s and {_BEFORE}
    order by at desc, id desc
    limit %(limit)s
"""
_CASE = """
    select r.id, r.owner_id, r.member_id, r.conversation_id, r.reason, r.note, r.at, r.decided_at,
        r.measure, r.answer, r.snapshot, o.count, o.reporters, m.suspended_at is not null,
        array(
            select d.measure from decisions d where d.owner_id = r.member_id order by d.at, d.id
        )
    from reports r
    join members m on m.id = r.member_id
    cross join lateral (
        select count(*) as count, count(distinct w.owner_id) as reporters
        from reports w
        where w.member_id = r.member_id and w.decided_at is null
    ) o
    where r.id = %s
"""
_DECIDE = "update reports set decided_at = %s, measure = %s, answer = %s where id = %s"
