"""Photos in SQL: one a member, in two sizes, found by the version that stands with the member."""

from dataclasses import dataclass

from overture.core.ids import MemberId
from overture.store.db import Tx, pipelined


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo as it is shown, as WebP; `version` differs where what is shown does."""

    version: str
    small: bytes
    large: bytes


async def put(tx: Tx, member: MemberId, photo: Photo) -> None:
    """Makes this the photo of a member whose row is locked."""
    # In binary: text would double it on the way.
    params = (member, photo.version, photo.small, photo.large)
    _ = await tx.execute(_PUT, params, binary=True)
    await tx.execute("update members set photo = %s where id = %s", (photo.version, member))


async def drop(tx: Tx, member: MemberId) -> None:
    of = {"member": member}
    _ = await pipelined(
        tx,
        (
            ("delete from photos where owner_id = %(member)s", of),
            ("update members set photo = null where id = %(member)s", of),
        ),
    )


async def one(tx: Tx, member: MemberId, version: str, *, large: bool) -> bytes | None:
    """This version of a member's photo; None once it is another one, or none."""
    statement = _LARGE if large else _SMALL
    cursor = await tx.execute(statement, (member, version), binary=True)
    row = await cursor.fetchone()
    return None if row is None else row[0]


async def own(tx: Tx, member: MemberId) -> bytes | None:
    """The member's own photo, large, for their copy of everything."""
    cursor = await tx.execute(
        "select large from photos where owner_id = %s", (member,), binary=True
    )
    row = await cursor.fetchone()
    return None if row is None else row[0]


_PUT = """
    insert into photos (owner_id, version, small, large)
    values (%s, %s, %b, %b)
    on conflict (owner_id) do update
    set version = excluded.version, small = excluded.small, large = excluded.large
"""
_SMALL = "select small from photos where owner_id = %s and version = %s"
_LARGE = "select large from photos where owner_id = %s and version = %s"
