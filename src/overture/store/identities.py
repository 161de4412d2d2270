"""Who members are to the host's identity provider, in SQL."""

from dataclasses import dataclass
from datetime import datetime

from overture.core.accounts import Identity
from overture.core.ids import MemberId
from overture.store.db import Tx, one_row


@dataclass(frozen=True, slots=True)
class Linked:
    """That a member signs in through the provider as `subject`."""

    issuer: str
    subject: str
    linked_at: datetime
    used_at: datetime | None


async def whose(tx: Tx, identity: Identity) -> MemberId | None:
    row = await one_row(tx, _WHOSE, (identity.issuer, identity.subject))
    return None if row is None else MemberId(row[0])


async def mine(tx: Tx, member: MemberId) -> Linked | None:
    row = await one_row(tx, _MINE, (member,))
    return None if row is None else Linked(*row)


async def link(tx: Tx, member: MemberId, identity: Identity) -> bool:
    """Links the two; False where either is linked to another already."""
    return await one_row(tx, _LINK, (identity.issuer, identity.subject, member)) is not None


async def use(tx: Tx, identity: Identity) -> None:
    await tx.execute(_USE, (identity.issuer, identity.subject))


async def drop(tx: Tx, member: MemberId) -> bool:
    return await one_row(tx, _DROP, (member,)) is not None


async def by_external_id(tx: Tx, external_id: str) -> MemberId | None:
    """Whom the operator knows by this id."""
    row = await one_row(tx, _BY_EXTERNAL_ID, (external_id,))
    return None if row is None else MemberId(row[0])


_WHOSE = "select member_id from identities where issuer = %s and subject = %s"
_MINE = "select issuer, subject, linked_at, used_at from identities where member_id = %s"
_LINK = """
    insert into identities (issuer, subject, member_id)
    values (%s, %s, %s)
    on conflict do nothing
    returning subject
"""
_USE = "update identities set used_at = now() where issuer = %s and subject = %s"
_DROP = "delete from identities where member_id = %s returning subject"
_BY_EXTERNAL_ID = """
    select e.member_id
    from external_ids e
    join members m on m.id = e.member_id and m.closed_at is null
    where e.external_id = %s
"""
