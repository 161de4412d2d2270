"""Makes due work of what happened: reads the outbox, each event once, and adds the jobs it asks for.

How far it read stands in the database and moves on in the transaction that adds the jobs, so that a
crash neither forgets an event nor makes its jobs twice. Of several processes one reads at a time.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from psycopg import OperationalError

from overture.core.jobs import DONE, Job, NewJob, Outcome
from overture.live.horizon import Horizon
from overture.store import jobs as store
from overture.store import outbox
from overture.store.db import Conflict, Database, Tx, Unavailable
from overture.store.jobs import Read
from overture.store.outbox import Row

log = logging.getLogger(__name__)

READER = "jobs"
# The queue of events that no work could be made of.
UNMADE = "events"
# So few that whoever waits for the same event loop hardly notices.
ROWS_MAX = 500
# Where something is wrong with one of them, fewer: each then takes statements of its own.
APART_MAX = 100
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

    async def step(self, *, wait: bool = False, rows: int = ROWS_MAX) -> bool:
        """Reads what is new, up to so many events; whether there may be more.

        Where another process reads right now it is left to that one; or waited for, and then it is
        certain that nothing that was there before is left unread. Raises Unavailable, Contended.
        """
        if not await self._db.reading(lambda tx: store.anything_to_read(tx, READER)):
            return False
        try:
            return await self._db.writing(partial(self._step, wait=wait, limit=rows)) == rows
        except Unavailable:
            raise
        except Exception as problem:  # noqa: BLE001  which is told when it is found again
            log.warning("some events cannot be read together: %s", type(problem).__name__)
        await self._db.writing(
            partial(self._step, wait=wait, limit=min(rows, APART_MAX), apart=True)
        )
        return True

    async def anew(self, tx: Tx, jobs: Sequence[Job]) -> Sequence[Outcome]:
        """Makes the work of events that could not be made of them before."""
        for job in jobs:
            number, _, name = job.key.partition("/")
            rows = await outbox.within(tx, [(int(number), int(number))], 1)
            (making,) = (each for each in self._makings if _name(each) == name)
            await store.add(tx, await making(tx, rows))
        return [DONE] * len(jobs)

    async def _step(self, tx: Tx, *, wait: bool, limit: int, apart: bool = False) -> int:
        """Reads events in one go, or each apart, where something is wrong with one; how many."""
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
        for making in self._makings if rows else ():
            if apart:
                await _make_apart(tx, making, rows)
            else:
                await store.add(tx, await making(tx, rows))
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


async def _make_apart(tx: Tx, making: Making, rows: Sequence[Row]) -> None:
    """Adds what can be made of each event; where nothing can, a job to try this making again.

    What other makings make of these events is not touched by that.
    """
    unmade: list[NewJob] = []
    for row in rows:
        try:
            async with tx.transaction():
                await store.add(tx, await making(tx, [row]))
        except (Conflict, OperationalError):
            raise
        except Exception:
            # Of many that fail alike, one tells how.
            if not unmade:
                log.exception("nothing can be made of event %d; it is tried again", row.sequence)
            key = f"{row.sequence}/{_name(making)}"
            unmade.append(NewJob(UNMADE, row.owner, key, row.at, {}))
    await store.add(tx, unmade)


def _name(making: Making) -> str:
    return f"{making.__module__}.{making.__qualname__}"
