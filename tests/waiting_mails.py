"""The mails about accounts that wait to be written."""

from __future__ import annotations

from overture.store.db import Tx, one_row
from overture.store.mails import Wanted


async def next_one(tx: Tx) -> Wanted | None:
    """The mail that waits for longest."""
    row = await one_row(
        tx, "select id, kind, address, member_id, language from mails order by id limit 1"
    )
    return row and Wanted(*row)
