"""Browsers that are signed in, in SQL. Who a cookie belongs to is found in `accounts`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from overture.core.accounts import PROVEN_FOR, SESSION_IDLE, SESSION_MAX
from overture.core.ids import MemberId
from overture.store.db import Tx, all_rows

# Of more browsers than this at once, those not used for longest are signed out.
SESSIONS_MAX = 50


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that is signed in: from where, and what it called itself, when it did so."""

    id: str
    created_at: datetime
    seen_at: datetime
    client: str
    agent: str


async def add(
    tx: Tx,
    member: MemberId,
    *,
    session: str,
    sha256: str,
    client: str,
    agent: str,
    by_identity: bool = False,
    frame: str | None = None,
    proven: bool = True,
    factor: bool = False,
) -> None:
    """Signs a browser in. `session` is the new session's id, `sha256` that of its secret, as hex.

    `frame`: the origin of the pages in whose frames alone it counts. Not `proven`: who it is is asked
    again at once before what nobody may do in their place. `factor`: a second factor was shown.
    """
    ago = timedelta(0) if proven else PROVEN_FOR
    row = (sha256, session, member, SESSION_MAX, client, agent, by_identity, frame, ago, factor)
    await tx.execute(_ADD, row)
    await tx.execute(_DROP_OLDEST, (member, SESSIONS_MAX))


async def mine(tx: Tx, member: MemberId) -> Sequence[Session]:
    """The member's, the last to be used first."""
    return [Session(*row) for row in await all_rows(tx, _MINE, (member, SESSION_IDLE))]


async def prove(tx: Tx, member: MemberId, session: str, sha256: str, *, factor: bool) -> bool:
    """Notes that the member has shown again who they are; the session gets another secret with it.

    `factor` says that it was with a second factor. False where the session has ended meanwhile.
    """
    return bool(await all_rows(tx, _PROVE, (sha256, factor, member, session)))


async def end(tx: Tx, sha256: str) -> tuple[MemberId, str, bool] | None:
    """Ends the session of this secret: whose it was, its id, and whether it came of the provider."""
    rows = await all_rows(tx, _END, (sha256,))
    return rows[0][:3] if rows else None


async def end_one(tx: Tx, member: MemberId, session: str) -> bool:
    """Ends one of the member's sessions; False where they have none of this id."""
    return bool(await all_rows(tx, _END_ONE, (member, session)))


async def end_all(tx: Tx, member: MemberId, *, but: str | None = None) -> list[str]:
    """Ends the member's sessions, all `but` the one of this id: the ids of those that ended."""
    return [row[0] for row in await all_rows(tx, _END_ALL, (member, but, but))]


_ADD = """
    insert into sessions
        (hash, id, member_id, expires_at, client, agent, by_identity, frame, proved_at, factor_at)
    values (
        decode(%s, 'hex'), %s, %s, now() + %s, %s, %s, %s, %s, now() - %s,
        case when %s then now() end
    )
"""
_DROP_OLDEST = """
    delete from sessions s
    where s.hash in (
        select o.hash
        from sessions o
        where o.member_id = %s
        order by o.seen_at desc, o.id desc
        offset %s
    )
"""
_MINE = """
    select s.id, s.created_at, s.seen_at, s.client, s.agent
    from sessions s
    where s.member_id = %s and s.expires_at > now() and s.seen_at > now() - %s
    order by s.seen_at desc, s.id desc
"""
_PROVE = """
    update sessions
    set hash = decode(%s, 'hex'), proved_at = now(),
        factor_at = case when %s then now() else factor_at end
    where member_id = %s and id = %s
    returning id
"""
_END = "delete from sessions where hash = decode(%s, 'hex') returning member_id, id, by_identity"
_END_ONE = "delete from sessions where member_id = %s and id = %s returning id"
_END_ALL = """
    delete from sessions
    where member_id = %s and (%s::uuid is null or id <> %s::uuid)
    returning id
"""
