"""Mails that are to be written, in SQL: asked for in the transaction of what they tell of."""

from dataclasses import dataclass

from overture.core.ids import MemberId
from overture.store.db import Tx, one_row


@dataclass(frozen=True, slots=True)
class Wanted:
    """A mail to be written. `member` is None where only the address was named."""

    id: str
    kind: str
    address: str
    member: MemberId | None
    language: str


async def want(tx: Tx, mail: Wanted) -> None:
    await tx.execute(_WANT, (mail.id, mail.kind, mail.address, mail.member, mail.language))


async def next_one(tx: Tx) -> Wanted | None:
    """The oldest that nobody else is at; locked, so that nobody else takes it."""
    row = await one_row(tx, _NEXT)
    return None if row is None else Wanted(*row)


async def done(tx: Tx, mail: str) -> None:
    await tx.execute("delete from mails where id = %s", (mail,))


_WANT = """
    insert into mails (id, kind, address, member_id, language)
    values (%s, %s, %s, %s, %s)
"""
_NEXT = """
    select id, kind, address, member_id, language
    from mails
    order by id
    limit 1
    for update skip locked
"""
