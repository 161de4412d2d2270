"""The audit log: what operators did, and what concerns the safety of accounts.

It is added to and never changed: each entry seals all before it, as the ledger's do; see `core.chain`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, LiteralString
from uuid import UUID

import msgspec

from overture.core import chain
from overture.core.ids import MemberId
from overture.store import pages
from overture.store.db import Tx, all_rows, as_json, one_row, pipelined
from overture.store.pages import Page, page_of


@dataclass(frozen=True, slots=True)
class Entry:
    """`actor` is whose token it was (`token:ID`), the operator in the console (`operator:ID`), the
    member (`member:ID`), the command that was run, or `stripe`."""

    id: str
    at: datetime
    actor: str
    action: str
    member: MemberId | None
    detail: Mapping[str, Any]
    number: int
    link: str


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
    """Adds an entry, in the transaction of what it tells of. Others wait until that has ended."""
    head = await one_row(tx, "select number, link from audit_head for update")
    assert head is not None, "the head is made with the schema"
    number, told = head[0] + 1, as_json(detail)
    # As the database gives it back, whose link is compared.
    at = at.astimezone(UTC)
    link = chain.link(head[1], number, entry_id, at, actor, action, member, told)
    await pipelined(
        tx,
        (
            (_INSERT, (entry_id, at, actor, action, member, told, number, link)),
            ("update audit_head set number = %s, link = %s", (number, link)),
        ),
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for; all of it where nothing is said. `operators`: what members did not do
    themselves. `before`: what is older than this."""

    operators: bool = False
    member: MemberId | None = None
    action: str | None = None
    before: datetime | None = None


async def newest(
    tx: Tx, *, cursor: str | None, limit: int, wanted: Wanted | None = None
) -> Page[Entry]:
    wanted = wanted or Wanted()
    params: dict[str, object] = {"limit": limit + 1}
    # Each with a plan of its own, so that each finds its index.
    conditions: list[LiteralString] = ["true"]
    if cursor is not None:
        params["at"], params["last"] = pages.decode(cursor, tuple[datetime, UUID])
        conditions.append("(at, id) < (%(at)s::timestamptz, %(last)s::uuid)")
    if wanted.operators:
        conditions.append("actor not like 'member:%%'")
    if wanted.member is not None:
        params["member"] = wanted.member
        conditions.append("member_id = %(member)s")
    if wanted.action is not None:
        params["action"] = wanted.action
        conditions.append("action = %(action)s")
    if wanted.before is not None:
        params["before"] = wanted.before
        conditions.append("at < %(before)s")
    rows = await all_rows(tx, _NEWEST.replace("#wanted", " and ".join(conditions)), params)
    return page_of(rows, limit, _entry, lambda row: (row[1], row[0]))


async def actions(tx: Tx) -> list[str]:
    """Every kind of thing that stands in the log."""
    return [row[0] for row in await all_rows(tx, _ACTIONS)]


@dataclass(frozen=True, slots=True)
class Head:
    """How many entries there are, and the last one's link: it vouches for all of them."""

    number: int
    link: str


async def head(tx: Tx) -> Head:
    row = await one_row(tx, "select number, link from audit_head")
    assert row is not None, "the head is made with the schema"
    return Head(*row)


async def beginning(tx: Tx) -> Head:
    """After which entry the log begins: before the first one, or the last that was dropped as too old.

    That the drop was meant stands in the log itself, with the link that the rest goes on from.
    """
    row = await one_row(tx, _BEGINNING, (FORGOTTEN,))
    return Head(0, "") if row is None else Head(row[0], row[1])


async def forget_before(tx: Tx, at: datetime, entry_id: str, now: datetime) -> None:
    """Drops the entries before an instant, up to the first that is younger, and notes how far.

    Nobody may do that by right: it is given for this transaction alone.
    """
    head = await one_row(tx, "select number from audit_head for update")
    last = await one_row(tx, _LAST_BEFORE, (at,))
    if head is None or last is None:
        return
    number, link = last
    detail = {"number": number, "link": link}
    await record(tx, entry_id, now, actor=ITSELF, action=FORGOTTEN, detail=detail)
    await tx.execute("grant delete on audit to current_user")
    await tx.execute("delete from audit where number <= %s", (number,))
    await tx.execute("revoke delete on audit from current_user")


async def first_broken(tx: Tx, after: Head, limit: int) -> tuple[Head, int | None]:
    """Goes on checking the chain from an entry: how far it got, and the number of the first entry that
    is missing or does not follow the one before it. `after` comes back where there is nothing more."""
    at = after
    for number, link, *fields in await all_rows(tx, _CHAIN, (after.number, limit)):
        if number != at.number + 1 or link != chain.link(at.link, number, *fields):
            return at, at.number + 1
        at = Head(number, link)
    return at, None


def _entry(row: Sequence[Any]) -> Entry:
    return Entry(row[0], row[1], row[2], row[3], row[4], _detail(row[5]), row[6], row[7])


# From one kind to the next by the index: there are few of them, however long the log is.
_ACTIONS = """
    with recursive kinds as (
        (select action from audit order by action limit 1)
        union all
        select (select a.action from audit a where a.action > k.action order by a.action limit 1)
        from kinds k
        where k.action is not null
    )
    select action from kinds where action is not null
"""
# Who acts where the installation does by itself, and what it does to the log.
ITSELF = "overture"
FORGOTTEN = "audit.forgotten"
_BEGINNING = """
    select (detail ->> 'number')::bigint, detail ->> 'link'
    from audit
    where action = %s
        and (detail ->> 'number')::bigint = (select min(a.number) from audit a) - 1
    order by number desc
    limit 1
"""
# Entries are numbered as they were committed, and no clock goes back by much.
_LAST_BEFORE = """
    select a.number, a.link
    from audit a
    where a.number < coalesce(
            (select min(y.number) from audit y where y.at >= %s),
            (select max(y.number) + 1 from audit y)
        )
    order by a.number desc
    limit 1
"""
_detail = msgspec.json.Decoder(dict[str, Any]).decode
_INSERT = """
    insert into audit (id, at, actor, action, member_id, detail, number, link)
    values (%s, %s, %s, %s, %s, %s, %s, %s)
"""
_CHAIN = """
    select number, link, id, at, actor, action, member_id, detail::text
    from audit
    where number > %s
    order by number
    limit %s
"""
_NEWEST = """
    select id, at, actor, action, member_id, detail, number, link
    from audit
    where #wanted
    order by at desc, id desc
    limit %(limit)s
"""
