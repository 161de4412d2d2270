"""Due work that was given up, which an operator has done again."""

from datetime import datetime

from overture.store import audit
from overture.store import jobs as store
from overture.store.db import Tx


async def replay(tx: Tx, number: int | None, *, actor: str, audit_id: str, now: datetime) -> int:
    """Has a job that was given up, or all of them, done again from its first try; how many."""
    replayed = await store.replay(tx, number)
    if replayed:
        detail = {"id": None if number is None else str(number), "replayed": replayed}
        await audit.record(tx, audit_id, now, actor=actor, action="jobs.replay", detail=detail)
    return replayed
