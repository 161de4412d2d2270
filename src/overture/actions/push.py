"""Notices in a browser: whether the member wants them there."""

from collections.abc import Collection

from overture.core.ids import MemberId
from overture.core.push import PushAddress, push_address
from overture.core.text import BadText
from overture.store import push as store
from overture.store.db import Tx


async def show_notices(
    tx: Tx,
    member: MemberId,
    session: str,
    *,
    endpoint: str,
    key: str,
    auth: str,
    allowed_hosts: Collection[str],
) -> BadText | None:
    """Has notices sent to a browser that is signed in, to the place that it tells, until it is signed
    out. Whoever had them sent there before has not any more."""
    address = push_address(endpoint, key, auth, allowed_hosts)
    if not isinstance(address, PushAddress):
        return address
    await store.keep(tx, member, session, address)
    return None


async def show_no_notices(tx: Tx, member: MemberId, session: str) -> None:
    await store.drop(tx, member, session)


async def shows_notices(tx: Tx, member: MemberId, session: str) -> bool:
    return await store.reached(tx, member, session) is not None
