"""What a browser began and is to end soon, in SQL: once, for a while, by the SHA-256 of its cookie."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from overture.core.accounts import CEREMONY_MAX, Ceremony
from overture.core.ids import MemberId
from overture.store.db import Tx, as_json, one_row


@dataclass(frozen=True, slots=True)
class Begun:
    """`member` is None where nobody is known yet."""

    kind: Ceremony
    member: MemberId | None
    payload: Mapping[str, Any]


async def begin(tx: Tx, begun: Begun, sha256: str) -> None:
    row = (sha256, begun.kind.value, begun.member, as_json(begun.payload), CEREMONY_MAX)
    await tx.execute(_BEGIN, row)


async def find(tx: Tx, sha256: str, kind: Ceremony) -> Begun | None:
    """What the browser of this cookie began, where it is of this kind and not over."""
    return _begun(await one_row(tx, _FIND, (sha256, kind.value)))


async def end(tx: Tx, sha256: str, kind: Ceremony) -> Begun | None:
    """Ends it. Of two who come at once, one finds it gone."""
    return _begun(await one_row(tx, _END, (sha256, kind.value)))


async def slip(tx: Tx, sha256: str) -> int:
    """Notes that it was not ended rightly: how often by now."""
    row = await one_row(tx, _SLIP, (sha256,))
    return 0 if row is None else int(row[0])


async def drop(tx: Tx, member: MemberId) -> None:
    """Nothing that was begun as this member can be ended any more."""
    await tx.execute("delete from ceremonies where member_id = %s", (member,))


def _begun(row: tuple[Any, ...] | None) -> Begun | None:
    return None if row is None else Begun(Ceremony(row[0]), row[1], _payload(row[2]))


_payload = msgspec.json.Decoder(dict[str, Any]).decode
# Lifetimes use the real clock.
_BEGIN = """
    insert into ceremonies (hash, kind, member_id, payload, expires_at)
    values (decode(%s, 'hex'), %s, %s, %s, now() + %s)
"""
_FIND = """
    select kind, member_id, payload
    from ceremonies
    where hash = decode(%s, 'hex') and kind = %s and expires_at > now()
"""
_END = """
    delete from ceremonies
    where hash = decode(%s, 'hex') and kind = %s and expires_at > now()
    returning kind, member_id, payload
"""
_SLIP = "update ceremonies set slips = slips + 1 where hash = decode(%s, 'hex') returning slips"
