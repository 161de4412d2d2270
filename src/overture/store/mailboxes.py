"""Where members' mail goes, in SQL: their addresses, and which of them mail comes back from."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from overture.core.ids import MemberId
from overture.store import pages
from overture.store.db import Tx, all_rows
from overture.store.pages import Page, page_of


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A member's address, as they wrote it. `verified`: they have shown that it is theirs; it is the
    host's word alone where they have no `account` here. `failing`: mail to it came back for good, so
    that nothing more may go there. `language` is None where they have chosen none."""

    member: MemberId
    address: str
    account: bool
    verified: bool
    failing: bool
    name: str = ""
    language: str | None = None


async def of(tx: Tx, members: Sequence[MemberId]) -> dict[MemberId, Mailbox]:
    """The mailboxes of those of these members who have one, and have not closed their account."""
    rows = await all_rows(tx, _OF, (list(members),))
    return {row[0]: Mailbox(*row) for row in rows}


async def fail(tx: Tx, mailbox: Mailbox, why: str, now: datetime) -> None:
    """Marks an address from which mail came back: it has to be verified again."""
    await tx.execute(_FAIL, (mailbox.member, mailbox.address, now, why))
    await tx.execute(_DOUBT, (mailbox.member, mailbox.address))


@dataclass(frozen=True, slots=True)
class Failing:
    """An address that mail came back from for good: whose, since when, and with what answer."""

    member: MemberId
    address: str
    at: datetime
    why: str


async def failing(tx: Tx, *, cursor: str | None, limit: int) -> Page[Failing]:
    """Those that are still their member's, the newest first. Raises BadCursor."""
    at, last = (None, None) if cursor is None else pages.decode(cursor, tuple[datetime, UUID])
    rows = await all_rows(tx, _FAILING, {"at": at, "last": last, "limit": limit + 1})
    return page_of(rows, limit, lambda row: Failing(*row), lambda row: (row[2], row[0]))


async def works(tx: Tx, member: MemberId) -> None:
    """The member has shown that mail reaches them."""
    await tx.execute("delete from failing_addresses where member_id = %s", (member,))


# A mark is of an address: who has moved to another one is not concerned.
_OF = """
    select m.id, m.email, a.member_id is not null, coalesce(a.verified_at is not null, false),
        f.member_id is not null, m.name, m.language
    from members m
    left join accounts a on a.member_id = m.id
    left join failing_addresses f on f.member_id = m.id and f.address = m.email
    where m.id = any (%s) and m.email is not null and m.closed_at is null
"""
_FAIL = """
    insert into failing_addresses (member_id, address, failed_at, why)
    values (%s, %s, %s, %s)
    on conflict (member_id) do update
    set address = excluded.address, failed_at = excluded.failed_at, why = excluded.why
"""
_FAILING = """
    select f.member_id, f.address, f.failed_at, f.why
    from failing_addresses f
    join members m on m.id = f.member_id and m.email = f.address and m.closed_at is null
    where %(at)s::timestamptz is null
        or (f.failed_at, f.member_id) < (%(at)s::timestamptz, %(last)s::uuid)
    order by f.failed_at desc, f.member_id desc
    limit %(limit)s
"""
_DOUBT = "update accounts set verified_at = null where member_id = %s and email = %s"
