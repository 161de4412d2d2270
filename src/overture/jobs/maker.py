"""Makes due work of what happened: reads the outbox, each event once, and adds the jobs it asks for.

How far it read stands in the database and moves on in the transaction that adds the jobs, so that a
crash neither forgets an event nor makes its jobs twice. Of several processes one reads at a time.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from overture.core.jobs import DONE, Job, NewJob, Outcome
from overture.live.horizon import Horizon
from overture.store import jobs as store
from overture.store import outbox
from overture.store.db import Database, Tx, Unavailable
from overture.store.jobs import Read
from overture.store.outbox import Row

log = logging.getLogger(__name__)

READER = "jobs"
# The queue of events that no work could be made of.
UNMADE = "events"
# So few that whoever waits for the same event loop hardly notices.
ROWS_MAX = 500
# After so long, gaps are asked about: most are filled by the next reading.
DOUBT_SECONDS = 0.25

# What work some events make, in the transaction that reads them. It must not tell events itself.
Making = Callable[[Tx, Sequence[Row]], Awaitable[Sequence[NewJob]]]


class Maker:
    """Reads on whenever `step` is called. `makings` see every event; most make nothing of most."""

    def __init__(self, db: Database, makings: Sequence[Making]) -> None:
        self._db = db
        self._makings = makings
        # What was asked about gaps: when, up to which number, and who was writing then.
        self._doubt: tuple[float, int, frozenset[str]] | None = None

    async def step(self, *, wait: bool = False) -> bool:
        """Reads what is new, up to a number of events; whether there may be more.

        Where another process reads right now it is left to that one; or waited for, and then it is
        certain that nothing that was there before is left unread. Raises Unavailable, Contended.
        """
        if not await self._db.reading(lambda tx: store.anything_to_read(tx, READER)):
            return False
        limit = ROWS_MAX
        while limit:
            try:
                return await self._db.writing(partial(self._step, limit=limit, wait=wait)) == limit
            except Unavailable:
                raise
            except Exception:
                if limit == 1:
                    log.exception("no work can be made of an event; it is tried again later")
                # One of them is at fault: those before it are read without it.
                limit //= 2
        await self._db.writing(partial(self._step, limit=1, wait=wait, passed_over=True))
        return True

    async def anew(self, tx: Tx, jobs: Sequence[Job]) -> Sequence[Outcome]:
        """Makes the work of events that none could be made of before."""
        for job in jobs:
            number = int(job.key)
            await store.add(
                tx, await self._made(tx, await outbox.within(tx, [(number, number)], 1))
            )
        return [DONE] * len(jobs)

    async def _step(self, tx: Tx, limit: int, *, wait: bool, passed_over: bool = False) -> int:
        await store.need_not_last(tx)
        read = await store.read_so_far(tx, READER, wait=wait)
        if read is None:
            return 0
        horizon = Horizon(read.top, read.gaps)
        # Asked before the reading, which then sees all that they wrote.
        settled = await self._settled(tx, horizon)
        rows = await outbox.within(tx, horizon.wanted(), limit)
        horizon.saw([row.sequence for row in rows])
        if settled is not None and len(rows) < limit:
            horizon.give_up(settled)
            self._doubt = None
        if passed_over:
            made = [NewJob(UNMADE, row.owner, str(row.sequence), row.at, {}) for row in rows]
        else:
            made = await self._made(tx, rows)
        await store.add(tx, made)
        await store.remember_read(tx, READER, Read(horizon.top, horizon.gaps))
        return len(rows)

    async def _settled(self, tx: Tx, horizon: Horizon) -> int | None:
        """Up to which number nobody can fill a gap any more; see `outbox.writers`."""
        if not horizon.gaps:
            self._doubt = None
            return None
        now = asyncio.get_running_loop().time()
        if self._doubt is None:
            self._doubt = (now, horizon.top, await outbox.writers(tx))
            return None
        since, top, before = self._doubt
        if now - since < DOUBT_SECONDS or before & await outbox.writers(tx):
            return None
        return top

    async def _made(self, tx: Tx, rows: Sequence[Row]) -> Sequence[NewJob]:
        return [job for making in self._makings for job in await making(tx, rows)] if rows else []
