"""Does due work: claims it, tries it, and writes down what became of it.

Each queue is worked off by itself, so that what hangs or fails in one delays no other. Work within the
database is done in the transaction that takes it off, and so exactly once; what happens on the outside
is taken off once it happened, and after a crash happens again.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from overture import ids
from overture.clock import Clock
from overture.core.jobs import Again, Done, Hopeless, Job, Moved, Outcome, wait_after
from overture.jobs.maker import Maker
from overture.store import installation
from overture.store import jobs as store
from overture.store.db import Database, Tx, Unavailable
from overture.store.jobs import Of

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
# A queue in which everything fails rests before more of it is tried.
FAILURES_IN_A_ROW = 3
REST_SECONDS_MAX = 60
# What is under way at the end may take so long before it is cut short.
END_SECONDS = 1
# Beyond the time that a try may take; then somebody else tries.
LEASE_MARGIN = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Within:
    """A queue whose work is in the database alone, `at_once` jobs in one transaction."""

    run: Callable[[Tx, Sequence[Job], datetime], Awaitable[Sequence[Outcome]]]
    at_once: int = 100


@dataclass(frozen=True, slots=True)
class Outside:
    """A queue whose work is on the outside: `at_once` jobs side by side, each within `seconds`.

    `in_order`: of a member's jobs none is begun before those made earlier are done or given up.
    """

    run: Callable[[Job], Awaitable[Outcome]]
    at_once: int = 8
    seconds: float = 60
    in_order: bool = False


Queue = Within | Outside


@dataclass(slots=True)
class _Rest:
    """How a queue fares: failures in a row, and until when it rests, by the loop's clock."""

    failures: int = 0
    until: float = 0


@dataclass(slots=True)
class Runner:
    """`queues` tells which there are now: some come and go. Run it with `run`, or `play` it."""

    db: Database
    clock: Clock
    maker: Maker
    queues: Callable[[], Awaitable[Mapping[str, Queue]]]
    _rests: dict[str, _Rest] = field(default_factory=dict[str, _Rest])
    _working: dict[str, asyncio.Task[None]] = field(default_factory=dict[str, asyncio.Task[None]])
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _playing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _ending: bool = False

    async def run(self) -> None:
        """Makes work and does it, until it is cancelled. What is under way then may end, if soon."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._forever(self._make))
                tasks.create_task(self._forever(self._tend))
        finally:
            self._ending = True
            if working := list(self._working.values()):
                _, late = await asyncio.wait(working, timeout=END_SECONDS)
                for task in late:
                    task.cancel()
                await asyncio.gather(*late, return_exceptions=True)

    async def play(self, until: datetime) -> None:
        """Moves the test clock to `until`, and does what falls due on the way in its order, each at its
        own instant. Returns when all of it is done; what failed waits to be tried again.

        Raises Unavailable.
        """
        async with self._playing:
            while await self._play_a_step(until):
                pass
            await self.db.writing(lambda tx: installation.set_test_clock(tx, until))

    async def _play_a_step(self, until: datetime) -> bool:
        """Does what is due first; False where nothing is up to `until`."""
        while await self.maker.step():
            pass
        queues = await self._awake()
        these = _of(queues)
        due = await self.db.reading(lambda tx: store.first_due(tx, these, until))
        if due is None:
            return False

        async def arrive(tx: Tx) -> list[str]:
            await installation.set_test_clock(tx, due.at)
            return await store.ready(tx, these, await self.clock.now(tx))

        ready = await self.db.writing(arrive)
        for name in ready:
            await self._work_off(name, queues[name])
        if not ready:
            # Somebody else is at it.
            await asyncio.sleep(0.01)
        return True

    # Looking for work ---------------------------------------------------------------------------

    async def _make(self) -> None:
        if await self.maker.step():
            self._woken.set()
            await asyncio.sleep(0)
            return
        self._woken.set()
        await asyncio.sleep(POLL_SECONDS)

    async def _tend(self) -> None:
        """Begins to work off every queue that has something to do."""
        queues = await self._awake()
        idle = _of({name: each for name, each in queues.items() if name not in self._working})

        async def look(tx: Tx) -> list[str]:
            return await store.ready(tx, idle, await self.clock.now(tx))

        for name in await self.db.reading(look):
            task = asyncio.create_task(self._work_off_safely(name, queues[name]))
            self._working[name] = task
            task.add_done_callback(lambda _, name=name: self._working.pop(name, None))
        await self._woken.wait()
        self._woken.clear()

    async def _awake(self) -> Mapping[str, Queue]:
        """The queues that do not rest."""
        now = asyncio.get_running_loop().time()
        queues = await self.queues()
        for gone in self._rests.keys() - queues.keys():
            del self._rests[gone]
        return {
            name: queue
            for name, queue in queues.items()
            if name not in self._rests or self._rests[name].until <= now
        }

    async def _forever(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except Unavailable:
                await asyncio.sleep(POLL_SECONDS)
            except Exception:
                log.exception("due work met a fault; it goes on")
                await asyncio.sleep(POLL_SECONDS)

    # Doing it -----------------------------------------------------------------------------------

    async def _work_off_safely(self, name: str, queue: Queue) -> None:
        try:
            await self._work_off(name, queue)
        except Unavailable:
            log.info("the queue %s waits for the database", name)
        except Exception:
            log.exception("the queue %s met a fault; it goes on", name)

    async def _work_off(self, name: str, queue: Queue) -> None:
        """Does what is due in a queue until nothing is, or the queue rests."""
        if isinstance(queue, Within):
            await self._within(name, queue)
        else:
            await self._outside(name, queue)

    async def _within(self, name: str, queue: Within) -> None:
        at_once, of = queue.at_once, Of(name, in_order=False)
        while not self._rests_now(name):
            claimed: list[Job] = []

            async def work(tx: Tx, claimed: list[Job] = claimed, limit: int = at_once) -> None:
                now = await self.clock.now(tx)
                lease = LEASE_MARGIN
                claimed[:] = await store.claim(tx, of, now, limit=limit, lease=lease)
                if claimed:
                    outcomes = await queue.run(tx, claimed, now)
                    await self._write_down(tx, list(zip(claimed, outcomes, strict=True)))

            try:
                await self.db.writing(work)
            except Unavailable:
                raise
            except Exception as problem:
                if len(claimed) > 1:
                    # One of them is at fault: each by itself.
                    at_once = 1
                    continue
                if not claimed:
                    raise
                failed = _fault(claimed[0], problem)
                await self.db.writing(
                    lambda tx, each=(claimed[0], failed): self._write_down(tx, [each])
                )
                self._fared(name, failed)
                continue
            if not claimed:
                return
            self._fared(name, Done())

    async def _outside(self, name: str, queue: Outside) -> None:
        under_way: dict[asyncio.Task[Outcome], Job] = {}
        of, lease = Of(name, queue.in_order), timedelta(seconds=queue.seconds) + LEASE_MARGIN
        try:
            while True:
                free = 0 if self._rests_now(name) else queue.at_once - len(under_way)

                async def claim(tx: Tx, free: int = free) -> list[Job]:
                    now = await self.clock.now(tx)
                    return await store.claim(tx, of, now, limit=free, lease=lease)

                for job in await self.db.writing(claim) if free else ():
                    under_way[asyncio.create_task(_tried(queue, job))] = job
                if not under_way:
                    return
                over, _ = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                became = [(under_way[task], task.result()) for task in over]
                await self.db.writing(lambda tx, became=became: self._write_down(tx, became))
                for task in over:
                    del under_way[task]
                for _, outcome in became:
                    self._fared(name, outcome)
        finally:
            for task in under_way:
                task.cancel()

    async def _write_down(self, tx: Tx, became: Sequence[tuple[Job, Outcome]]) -> None:
        await store.done(tx, [job for job, outcome in became if isinstance(outcome, Done)])
        await store.move(tx, [(job, to) for job, to in became if isinstance(to, Moved)])
        for job, outcome in became:
            match outcome:
                case Again(why):
                    wait = wait_after(job.tries, random.random())  # noqa: S311
                    if wait is None:
                        await store.park(tx, job, why)
                    else:
                        await store.again(tx, job, wait, why)
                case Hopeless(why):
                    await store.park(tx, job, why)
                case Done() | Moved():
                    pass

    # How queues fare ----------------------------------------------------------------------------

    def _rests_now(self, name: str) -> bool:
        rest = self._rests.get(name)
        now = asyncio.get_running_loop().time()
        return self._ending or (rest is not None and rest.until > now)

    def _fared(self, name: str, outcome: Outcome) -> None:
        if not isinstance(outcome, Again):
            self._rests.pop(name, None)
            return
        rest = self._rests.setdefault(name, _Rest())
        rest.failures += 1
        if (over := rest.failures - FAILURES_IN_A_ROW) >= 0:
            seconds = min(2 ** min(over, 10), REST_SECONDS_MAX)
            rest.until = asyncio.get_running_loop().time() + seconds


def _of(queues: Mapping[str, Queue]) -> list[Of]:
    return [
        Of(name, isinstance(queue, Outside) and queue.in_order) for name, queue in queues.items()
    ]


async def _tried(queue: Outside, job: Job) -> Outcome:
    try:
        async with asyncio.timeout(queue.seconds):
            return await queue.run(job)
    except TimeoutError:
        return Again(f"It took longer than {queue.seconds:g} seconds.")
    except Unavailable:
        return Again("The database was away.")
    except Exception as problem:  # noqa: BLE001  the job waits; the others go on
        return _fault(job, problem)


def _fault(job: Job, problem: Exception) -> Again:
    reference = ids.new()
    log.error("job %d in %s failed, %s", job.number, job.queue, reference, exc_info=problem)
    return Again(f"A fault of the server's: see its log for {reference}.")
