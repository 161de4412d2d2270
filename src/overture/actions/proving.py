"""Showing again who one is, before what nobody may do who only found the browser open."""

from dataclasses import dataclass
from datetime import datetime

from overture.actions import accounts, two_steps
from overture.actions.accounts import Fresh, hash_of
from overture.core import accounts as rules
from overture.core.accounts import Denied
from overture.core.ids import MemberId
from overture.core.sending import Event
from overture.store import attempts, sessions
from overture.store.db import Database, Tx
from overture.store.outbox import tell


@dataclass(frozen=True, slots=True)
class Proven:
    """The session's new secret, which the browser is to keep."""

    secret: str


async def by_password(
    db: Database, member: MemberId, password: str, *, session: str, fresh: Fresh, now: datetime
) -> Proven | Denied:
    """The session, with another secret, if this is the member's password."""
    own = await accounts.confirmed(db, member, password)
    if isinstance(own, Denied):
        return own
    return await db.writing(lambda tx: proven(tx, member, session, fresh, now, by="password"))


async def by_code(
    db: Database,
    member: MemberId,
    code: str,
    *,
    session: str,
    fresh: Fresh,
    at: datetime,
    now: datetime,
) -> Proven | Denied:
    """The same, if the member's app shows this code at this instant of the real clock."""
    limit = rules.CODES_BY_MEMBER
    tried = (limit, limit.key(member))

    async def work(tx: Tx) -> Proven | Denied:
        count = await attempts.counted(tx, tried)
        if count > limit.count:
            return Denied.CODES_TOO_OFTEN
        if not await two_steps.take_code(tx, member, code, at):
            if count == rules.SLIPS_TOLD:
                await tell(tx, [Event(member, "account.second_step_failed", now, {})])
            return Denied.WRONG_CODE
        await attempts.forget(tx, [tried])
        return await proven(tx, member, session, fresh, now, by="code")

    return await db.writing(work)


async def proven(
    tx: Tx, member: MemberId, session: str, fresh: Fresh, now: datetime, *, by: str
) -> Proven | Denied:
    """Notes that the member has shown who they are; BEGIN_AGAIN where the session has ended."""
    factor = by in rules.FACTORS
    if not await sessions.prove(tx, member, session, hash_of(fresh.secret), factor=factor):
        return Denied.BEGIN_AGAIN
    await tell(tx, [Event(member, "account.proven", now, {"session": session, "by": by})])
    return Proven(fresh.secret)
