"""Reports to the operator, in SQL."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from overture.core.ids import ConversationId, MemberId, ReportId
from overture.store import pages
from overture.store.db import Tx, all_rows, one_row
from overture.store.pages import Page, page_of


@dataclass(frozen=True, slots=True)
class Report:
    id: ReportId
    reporter: MemberId
    member: MemberId
    conversation: ConversationId | None
    reason: str
    note: str
    at: datetime


async def is_with(tx: Tx, viewer: MemberId, conversation: ConversationId, member: MemberId) -> bool:
    """Whether the viewer has this conversation, and it is with this member."""
    return await one_row(tx, _IS_WITH, (viewer, conversation, member)) is not None


async def exists(tx: Tx, member: MemberId) -> bool:
    """Whether there ever was such a member."""
    return await one_row(tx, "select id from members where id = %s", (member,)) is not None


async def add(tx: Tx, report: Report) -> None:
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
        ),
    )


async def newest(tx: Tx, *, cursor: str | None, limit: int) -> Page[Report]:
    at, last = (None, None) if cursor is None else pages.decode(cursor, tuple[datetime, UUID])
    rows = await all_rows(tx, _NEWEST, {"at": at, "last": last, "limit": limit + 1})
    return page_of(rows, limit, lambda row: Report(*row), lambda row: (row[6], row[0]))


async def forget_before(tx: Tx, at: datetime) -> int:
    """Drops reports from before an instant, the oldest first; how many at once."""
    return len(await all_rows(tx, _FORGET, (at, _FORGOTTEN_AT_ONCE)))


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
_INSERT = """
    insert into reports (owner_id, id, member_id, conversation_id, reason, note, at)
    values (%s, %s, %s, %s, %s, %s, %s)
"""
_NEWEST = """
    select id, owner_id, member_id, conversation_id, reason, note, at
    from reports
    where %(at)s::timestamptz is null or (at, id) < (%(at)s::timestamptz, %(last)s::uuid)
    order by at desc, id desc
    limit %(limit)s
"""
