"""Where members' mail goes, in SQL: their addresses, and which of them mail comes back from."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from overture.core.ids import MemberId
from overture.store.db import Tx, all_rows


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
_DOUBT = "update accounts set verified_at = null where member_id = %s and email = %s"
