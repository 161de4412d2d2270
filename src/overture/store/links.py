"""What links in mails permit, in SQL: once, for a while, by the SHA-256 of their secret."""

from collections.abc import Sequence
from dataclasses import dataclass

from overture.core.accounts import Purpose
from overture.core.ids import MemberId
from overture.store.db import Tx, one_row


@dataclass(frozen=True, slots=True)
class Link:
    """Who follows it has read the mail that went to `email`."""

    member: MemberId
    purpose: Purpose
    email: str


async def add(tx: Tx, link: Link, sha256: str) -> None:
    await tx.execute(
        _ADD, (sha256, link.member, link.purpose.value, link.email, link.purpose.lifetime)
    )


async def find(tx: Tx, sha256: str, purposes: Sequence[Purpose]) -> Link | None:
    """The link of this secret, where it is for one of these purposes and still holds."""
    return _link(await one_row(tx, _FIND, (sha256, [each.value for each in purposes])))


async def use(tx: Tx, sha256: str, purposes: Sequence[Purpose]) -> Link | None:
    """Uses a link up. Of two who come at once, one finds it gone."""
    return _link(await one_row(tx, _USE, (sha256, [each.value for each in purposes])))


async def drop(tx: Tx, member: MemberId) -> None:
    """None of the member's links holds any more."""
    await tx.execute("delete from account_links where member_id = %s", (member,))


def _link(row: tuple[MemberId, str, str] | None) -> Link | None:
    return None if row is None else Link(row[0], Purpose(row[1]), row[2])


# Lifetimes use the real clock.
_ADD = """
    insert into account_links (hash, member_id, purpose, email, expires_at)
    values (decode(%s, 'hex'), %s, %s, %s, now() + %s)
"""
_FIND = """
    select member_id, purpose, email
    from account_links
    where hash = decode(%s, 'hex') and purpose = any (%s) and expires_at > now()
"""
_USE = """
    delete from account_links
    where hash = decode(%s, 'hex') and purpose = any (%s) and expires_at > now()
    returning member_id, purpose, email
"""
