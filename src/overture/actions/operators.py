"""Operators: members who may enter the console, and how they do.

Who becomes one is decided on the command line. The console is entered with a second factor, which is
asked again before what weighs; see `core.accounts` for how long it stays open.
"""

from datetime import datetime

from overture.core.ids import MemberId
from overture.store import audit
from overture.store import operators as store
from overture.store.db import Tx

# How those who act in the console are told from others in the audit log.
ACTOR = "operator"


def actor(member: MemberId) -> str:
    """Who does what an operator does in the console, for the audit log."""
    return f"{ACTOR}:{member}"


async def add(tx: Tx, member: MemberId, *, by: str, audit_id: str, now: datetime) -> bool:
    """Makes a member an operator; False where they are one, or have no account to sign in with."""
    if not await store.add(tx, member):
        return False
    await audit.record(
        tx, audit_id, now, actor=by, action="operator.added", member=member, detail={}
    )
    return True


async def remove(tx: Tx, member: MemberId, *, by: str, audit_id: str, now: datetime) -> bool:
    """Takes that back at once, in every browser; False where they are none."""
    if not await store.remove(tx, member):
        return False
    await audit.record(
        tx, audit_id, now, actor=by, action="operator.removed", member=member, detail={}
    )
    return True


async def enter(tx: Tx, member: MemberId, session: str, *, audit_id: str, now: datetime) -> bool:
    """Opens the console in a browser that has only just shown a second factor; else False."""
    if not await store.enter(tx, member, session):
        return False
    await _note(tx, member, "operator.entered", session, audit_id=audit_id, now=now)
    return True


async def leave(tx: Tx, member: MemberId, session: str, *, audit_id: str, now: datetime) -> None:
    """Shuts it in this browser; the second factor is asked for at the next entry."""
    if await store.leave(tx, member, session):
        await _note(tx, member, "operator.left", session, audit_id=audit_id, now=now)


async def _note(
    tx: Tx, member: MemberId, action: str, session: str, *, audit_id: str, now: datetime
) -> None:
    await audit.record(
        tx,
        audit_id,
        now,
        actor=actor(member),
        action=action,
        member=member,
        detail={"session": session},
    )
