"""The audit log: what an operator did, added to and never changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from overture.core.ids import MemberId
from overture.store import pages
from overture.store.db import Tx, all_rows, as_json
from overture.store.pages import Page, page_of


@dataclass(frozen=True, slots=True)
class Entry:
    """`actor` is whose token it was (`token:ID`), or the command that was run (`cli`)."""

    id: str
    at: datetime
    actor: str
    action: str
    member: MemberId | None
    detail: Mapping[str, Any]


async def record(
    tx: Tx,
    entry_id: str,
    at: datetime,
    *,
    actor: str,
    action: str,
    member: MemberId | None = None,
    detail: Mapping[str, Any],
) -> None:
    """Adds an entry, in the transaction of what it tells of."""
    await tx.execute(_INSERT, (entry_id, at, actor, action, member, as_json(detail)))


async def newest(tx: Tx, *, cursor: str | None, limit: int) -> Page[Entry]:
    at, last = (None, None) if cursor is None else pages.decode(cursor, tuple[datetime, UUID])
    rows = await all_rows(tx, _NEWEST, {"at": at, "last": last, "limit": limit + 1})
    return page_of(rows, limit, _entry, lambda row: (row[1], row[0]))


def _entry(row: Sequence[Any]) -> Entry:
    return Entry(row[0], row[1], row[2], row[3], row[4], _detail(row[5]))


_detail = msgspec.json.Decoder(dict[str, Any]).decode
_INSERT = """
    insert into audit (id, at, actor, action, member_id, detail)
    values (%s, %s, %s, %s, %s, %s)
"""
_NEWEST = """
    select id, at, actor, action, member_id, detail
    from audit
    where %(at)s::timestamptz is null or (at, id) < (%(at)s::timestamptz, %(last)s::uuid)
    order by at desc, id desc
    limit %(limit)s
"""
