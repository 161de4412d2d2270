"""Does due work: claims it, tries it, and writes down what became of it.

Each queue is worked off by itself, so that what hangs or fails in one delays no other. Work within the
database is done in the transaction that takes it off, and so exactly once; what happens on the outside
is taken off once it happened, and after a crash happens again.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from overture import ids
from overture.clock import Clock
from overture.core.ids import MemberId
from overture.core.jobs import (
    DONE,
    TRIES_MAX,
    Again,
    Done,
    Hopeless,
    Job,
    Moved,
    Outcome,
    wait_after,
)
from overture.jobs.maker import ROWS_MAX, Maker
from overture.store import installation
from overture.store import jobs as store
from overture.store.db import Database, Tx, Unavailable
from overture.store.jobs import Of

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
# What somebody else is at is asked about again after so long.
AT_IT_SECONDS = 0.01
# What is over so soon after another is written down together with it, and as many are claimed: that
# costs the database the same for several as for one.
TOGETHER_SECONDS = 0.005
# While others wait for answers, work is done in small parts, with a rest after each that is so many
# times as long, one rest at a time: its share is a fifth then, whatever there is to do.
REST_TIMES = 4
REST_MAX_SECONDS = 0.5
# Where many queues want to rest, none waits longer for its turn: what it has claimed is its own for a
# while only.
TURN_SECONDS = 5
FEW = 6
# What begins at once takes turns at once, between two requests.
BEGUN_TOGETHER = 4
# What of the time of this process something on the outside takes, about: waiting for it takes none.
OUTSIDE_SECONDS = 0.0005
# A queue in which everything fails rests before more of it is tried.
FAILURES_IN_A_ROW = 3
REST_SECONDS_MAX = 60
# A job that ends the process that tries it would else do so for ever.
BEGUN_MAX = 2 * TRIES_MAX
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
    `told` writes down more of what became of jobs, in the transaction that does, before it does.
    `meanwhile` is held while a queue is worked off, by its name: connections, say.
    """

    run: Callable[[Job], Awaitable[Outcome]]
    at_once: int = 8
    seconds: float = 60
    in_order: bool = False
    told: Callable[[Tx, Sequence[tuple[Job, Outcome]], datetime], Awaitable[None]] | None = None
    meanwhile: Callable[[str], AbstractAsyncContextManager[None]] | None = None


Queue = Within | Outside


@dataclass(slots=True)
class _Rest:
    """How a queue fares: failures in a row, and until when it rests, by the loop's clock."""

    failures: int = 0
    until: float = 0


@dataclass(slots=True)
class Runner:
    """`queues` tells which there are now: some come and go. Run it with `run`, or `play` it.

    `busy` tells whether somebody waits for an answer of the site: to them work gives way.
    """

    db: Database
    clock: Clock
    maker: Maker
    queues: Callable[[], Awaitable[Mapping[str, Queue]]]
    busy: Callable[[], bool] = lambda: False
    # Told the queue and the outcome of each try, once that is known.
    tried: Callable[[str, Outcome], None] = lambda _queue, _outcome: None
    _rests: dict[str, _Rest] = field(default_factory=dict[str, _Rest])
    _working: dict[str, asyncio.Task[None]] = field(default_factory=dict[str, asyncio.Task[None]])
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    # After whose job a queue in which order matters goes on.
    _turns: dict[str, MemberId] = field(default_factory=dict[str, MemberId])
    _playing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _resting: asyncio.Lock = field(default_factory=asyncio.Lock)
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
        while await self.maker.step(wait=True):
            pass
        queues = await self._awake()
        these = _of(queues)
        due = await self.db.reading(lambda tx: store.first_due(tx, these, until))
        if due is None:
            return False
        if not await self._work_off(due.queue, queues[due.queue], due.at):
            # Somebody else is at it.
            await asyncio.sleep(AT_IT_SECONDS)
        return True

    # Looking for work ---------------------------------------------------------------------------

    async def _make(self) -> None:
        began = asyncio.get_running_loop().time()
        if await self.maker.step(rows=FEW if self.busy() else ROWS_MAX):
            self._woken.set()
            await self._give_way(asyncio.get_running_loop().time() - began)
            return
        self._woken.set()
        await asyncio.sleep(POLL_SECONDS)

    async def _tend(self) -> None:
        """Begins to work off every queue that has something to do."""
        queues = await self._awake()
        idle = [name for name in queues if name not in self._working]

        async def look(tx: Tx) -> list[str]:
            return await store.ready(tx, idle, await self.clock.now(tx))

        for name in await self.db.reading(look):
            task = asyncio.create_task(self._work_off_safely(name, queues[name]))
            self._working[name] = task
            task.add_done_callback(lambda _, name=name: self._working.pop(name, None))
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await self._woken.wait()
        self._woken.clear()

    async def _awake(self) -> Mapping[str, Queue]:
        """The queues that do not rest."""
        now = asyncio.get_running_loop().time()
        queues = await self.queues()
        for gone in self._rests.keys() - queues.keys():
            del self._rests[gone]
        for gone in self._turns.keys() - queues.keys():
            del self._turns[gone]
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

    async def _give_way(self, took: float) -> None:
        """Rests after something that took so many seconds, where others wait for answers."""
        await asyncio.sleep(0)
        if self.busy():
            with suppress(TimeoutError):
                async with asyncio.timeout(TURN_SECONDS), self._resting:
                    await asyncio.sleep(min(REST_TIMES * took, REST_MAX_SECONDS))

    # Doing it -----------------------------------------------------------------------------------

    async def _work_off_safely(self, name: str, queue: Queue) -> None:
        try:
            await self._work_off(name, queue)
        except Unavailable:
            log.info("the queue %s waits for the database", name)
        except Exception:
            log.exception("the queue %s met a fault; it goes on", name)

    async def _work_off(self, name: str, queue: Queue, at: datetime | None = None) -> int:
        """Does what is due in a queue until nothing is, or the queue rests; how much was tried.

        `at` is where the test clock is to be moved before, where it is this that moves it.
        """
        if isinstance(queue, Within):
            return await self._within(name, queue, at)
        if at is not None:
            await self.db.writing(lambda tx: installation.set_test_clock(tx, at))
        async with nullcontext() if queue.meanwhile is None else queue.meanwhile(name):
            return await self._outside(name, queue, gives_way=at is None)

    async def _within(self, name: str, queue: Within, at: datetime | None) -> int:
        tried, one_by_one = 0, 0
        loop = asyncio.get_running_loop()
        while not self._rests_now(name):
            taken: list[Job] = []
            became: list[Outcome] = []
            began = loop.time()
            at_once = min(queue.at_once, FEW) if at is None and self.busy() else queue.at_once
            limit = 1 if one_by_one else at_once

            async def work(
                tx: Tx,
                taken: list[Job] = taken,
                became: list[Outcome] = became,
                limit: int = limit,
            ) -> None:
                if at is not None:
                    await installation.set_test_clock(tx, at)
                now = await self.clock.now(tx)
                taken[:] = await store.take(tx, name, now, limit=limit)
                if taken:
                    became[:] = await queue.run(tx, taken, now)
                    await self._write_down(tx, list(zip(taken, became, strict=True)), now)

            outcome: Outcome = DONE
            try:
                await self.db.writing(work)
            except Unavailable:
                raise
            except Exception as problem:
                if len(taken) > 1:
                    # One of them is at fault: each by itself.
                    one_by_one = len(taken)
                    continue
                if not taken:
                    raise
                became[:] = [outcome := _fault(taken[0], problem)]
                await self.db.writing(partial(self._fail, taken[0], outcome))
            if taken:
                self._fared(name, outcome)
            for each in became:
                self.tried(name, each)
            tried += len(taken)
            if len(taken) < limit:
                break
            one_by_one = max(0, one_by_one - 1)
            if at is None:
                await self._give_way(loop.time() - began)
        return tried

    async def _outside(self, name: str, queue: Outside, *, gives_way: bool) -> int:
        tried, under_way = 0, dict[asyncio.Task[Outcome], Job]()
        became: list[tuple[Job, Outcome]] = []
        loop = asyncio.get_running_loop()
        heard = loop.time()
        try:
            while True:
                free = 0 if self._rests_now(name) else queue.at_once - len(under_way)
                if gives_way and self.busy():
                    free = min(free, BEGUN_TOGETHER)
                began = loop.time()
                try:
                    claimed = await self._next(name, queue, became, free)
                except Unavailable:
                    # What is under way may end meanwhile, and what became of it should be known.
                    if not under_way and not became:
                        raise
                    if loop.time() - heard > LEASE_MARGIN.total_seconds():
                        raise
                    await asyncio.sleep(POLL_SECONDS)
                else:
                    heard = loop.time()
                    became = []
                    tried += len(claimed)
                    for job in claimed:
                        under_way[asyncio.create_task(_tried(queue, job))] = job
                    if claimed and gives_way:
                        took = loop.time() - began + OUTSIDE_SECONDS * len(claimed)
                        await self._give_way(took)
                if not under_way and not became:
                    return tried
                if under_way:
                    over, rest = await asyncio.wait(
                        under_way, timeout=POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED
                    )
                    if over and rest:
                        await asyncio.wait(rest, timeout=TOGETHER_SECONDS)
                became += self._over(name, under_way)
        finally:
            if under_way or became:
                await self._give_back(name, queue, under_way, became)

    async def _next(
        self, name: str, queue: Outside, became: Sequence[tuple[Job, Outcome]], free: int
    ) -> list[Job]:
        """Writes down what became of jobs, and claims as many as are `free` to be begun."""
        if not became and not free:
            return []
        lease = timedelta(seconds=queue.seconds) + LEASE_MARGIN

        async def work(tx: Tx) -> list[Job]:
            await store.need_not_last(tx)
            now = await self.clock.now(tx)
            if became and queue.told is not None:
                await queue.told(tx, became, now)
            await self._write_down(tx, became, now)
            if not free:
                return []
            if queue.in_order:
                after = self._turns.setdefault(name, _anywhere())
                claimed = await store.claim_in_order(
                    tx, name, now, limit=free, lease=lease, after=after
                )
            else:
                claimed = await store.claim(tx, name, now, limit=free, lease=lease)
            for job in claimed:
                if job.tries > BEGUN_MAX:
                    await store.park(tx, job, "Each time it was begun, the process ended.")
            return [job for job in claimed if job.tries <= BEGUN_MAX]

        claimed = await self.db.writing(work)
        if claimed:
            self._turns[name] = claimed[-1].owner
        return claimed

    def _over(
        self, name: str, under_way: dict[asyncio.Task[Outcome], Job]
    ) -> list[tuple[Job, Outcome]]:
        """Takes out what is over, with what became of it."""
        over = [task for task in under_way if task.done()]
        became = [
            (under_way.pop(task), Again("It was cut short.") if task.cancelled() else task.result())
            for task in over
        ]
        for _, outcome in became:
            self._fared(name, outcome)
            self.tried(name, outcome)
        return became

    async def _give_back(
        self,
        name: str,
        queue: Outside,
        under_way: dict[asyncio.Task[Outcome], Job],
        became: list[tuple[Job, Outcome]],
    ) -> None:
        """Cuts short what is under way, so that somebody else may try it at once."""
        became += self._over(name, under_way)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

        async def work(tx: Tx) -> None:
            now = await self.clock.now(tx)
            if became and queue.told is not None:
                await queue.told(tx, became, now)
            await self._write_down(tx, became, now)
            await store.release(tx, list(under_way.values()))

        with suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await self.db.writing(work)

    async def _write_down(
        self, tx: Tx, became: Sequence[tuple[Job, Outcome]], now: datetime
    ) -> None:
        await store.done(tx, [job for job, outcome in became if isinstance(outcome, Done)])
        moved = [(job, to) for job, to in became if isinstance(to, Moved) and to.due_at > now]
        await store.move(tx, moved)
        for job, outcome in became:
            match outcome:
                case Again() | Hopeless():
                    await self._fail(job, outcome, tx)
                case Moved(due_at) if due_at <= now:
                    # It would be done over and over.
                    await self._fail(job, Again("It was put off to an instant that is past."), tx)
                case Done() | Moved():
                    pass

    async def _fail(self, job: Job, outcome: Again | Hopeless, tx: Tx) -> None:
        wait = None
        if isinstance(outcome, Again):
            wait = wait_after(job.tries, random.random())  # noqa: S311
        if wait is None:
            await store.park(tx, job, outcome.why)
        else:
            await store.again(tx, job, wait, outcome.why)

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


def _anywhere() -> MemberId:
    return MemberId(str(UUID(int=random.getrandbits(128))))


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
