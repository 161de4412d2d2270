"""Mails about accounts that are to be written, in SQL: wanted in the transaction of what they tell.

Each has a job, which writes it and sends it.
"""

from dataclasses import dataclass
from datetime import datetime

from overture.core.ids import MemberId
from overture.core.jobs import NewJob
from overture.store import jobs
from overture.store.db import Tx, one_row

QUEUE = "mail:accounts"
TO_OPERATOR = "mail:operator"
# Mails that lie in a folder and are to go.
FORGET = "mail:forget"
# Whose job it is where only an address is known.
NOBODY = MemberId("00000000-0000-0000-0000-000000000000")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A mail to be written. `member` is None where only the address was named."""

    id: str
    kind: str
    address: str
    member: MemberId | None
    language: str


async def want(tx: Tx, mail: Wanted, now: datetime) -> None:
    await tx.execute(_WANT, (mail.id, mail.kind, mail.address, mail.member, mail.language))
    await jobs.add(tx, [NewJob(QUEUE, mail.member or NOBODY, mail.id, now, {})])


async def wanted(tx: Tx, mail: str) -> Wanted | None:
    """None where it was sent, or nobody waits for it any more."""
    row = await one_row(tx, _WANTED, (mail,))
    return None if row is None else Wanted(*row)


async def done(tx: Tx, mail: str) -> None:
    await tx.execute("delete from mails where id = %s", (mail,))


_WANT = """
    insert into mails (id, kind, address, member_id, language)
    values (%s, %s, %s, %s, %s)
"""
_WANTED = """
    select id, kind, address, member_id, language
    from mails
    where id = %s
"""
