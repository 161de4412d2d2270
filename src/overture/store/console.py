"""What only operators look at, in SQL: members by whatever is known of them, also those who left."""

from collections.abc import Sequence
from dataclasses import dataclass

from overture.core.ids import MemberId
from overture.store.db import Tx, all_rows, one_row


@dataclass(frozen=True, slots=True)
class Named:
    """A member in a list of the console; name and handle are empty once the account is closed."""

    id: MemberId
    handle: str
    name: str
    photo: str | None
    suspended: bool
    closed: bool


async def named(tx: Tx, members: Sequence[MemberId]) -> Sequence[Named]:
    return [Named(*row) for row in await all_rows(tx, _NAMED, (list(members),))]


async def called(tx: Tx, name: str) -> MemberId | None:
    """Whose handle or address this is, in small letters; None where it is nobody's."""
    row = await one_row(tx, _CALLED, {"name": name})
    return None if row is None else row[0]


_NAMED = """
    select m.id, m.handle, m.name, m.photo, m.suspended_at is not null, m.closed_at is not null
    from members m
    where m.id = any (%s::uuid[])
"""
# The address that they sign in with before one that is only told of them.
_CALLED = """
    select found.id
    from (
        select 1 as place, h.member_id as id from handles h where h.handle = %(name)s
        union all
        select 2, e.member_id from emails e where e.address = %(name)s
        union all
        select 3, m.id from members m where lower(m.email) = %(name)s and m.closed_at is null
    ) found
    order by found.place, found.id
    limit 1
"""
