"""The hub: one reader of the outbox a process, and the open streams of the members it concerns.

The outbox is read by sequence whenever something woke the reader: a commit of this process, a NOTIFY of
another one, or a slow poll, so that nothing is lost with a wake-up. NOTIFY carries no news, is never
part of a write's transaction, and comes at most once in `ANNOUNCE_SECONDS` from each process.

A stream goes on where another one ended, by a number up to which its member was told everything: what
they missed is read from the outbox, whichever process they come to. Where they missed too much, or the
number is unknown here, they are told to begin anew.

Nobody waits for a slow reader: what it is to be told is held up to `QUEUE_MAX`, then its stream ends.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any

from overture import ids
from overture.actions.lanes import Lane
from overture.core.conversations import Message
from overture.core.ids import ConversationId, MemberId, MessageId
from overture.live.horizon import Horizon
from overture.live.presence import Presence
from overture.live.told import Ended, SeenByOthers, Told, TypingTold, concerns
from overture.store import live as store
from overture.store import outbox
from overture.store.db import Database, Tx, Unavailable
from overture.store.inbox import Thread
from overture.store.outbox import Row

log = logging.getLogger(__name__)

# Between two readings, so that a busy outbox is read in handfuls.
READ_SECONDS = 0.015
ANNOUNCE_SECONDS = 0.03
POLL_SECONDS = 1.0
# How often it is looked, without streams, how far the outbox got.
IDLE_POLL_SECONDS = 3.0
ROWS_MAX = 2000
# After so long, gaps are asked about: most are filled by the next reading.
DOUBT_SECONDS = 0.25
# Numbers passed over before the start that are waited for; those older belong to transactions that
# outlived so many events of others.
GAPS_BEFORE_START = 10_000

# Of events, whoever they concern: beyond that a client begins anew instead of catching up.
MISSED_MAX = 50_000
QUEUE_MAX = 500
# Of the pool's connections; the rest are for those who ask.
TURNS = 3
STREAMS_A_MEMBER_MAX = 20


class End(Enum):
    """Why a stream is over."""

    SLOW = "its reader was too slow"
    REVOKED = "whoever opened it may not read it any more"
    STOPPING = "the server ends"
    GONE = "its reader went away"


class TooManyStreams(Exception):
    """The member has as many open streams as one may have."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What a stream brings at once, in order; `number` is None for what is not in the outbox.

    Who was told all of it, and everything before, has been told everything up to `position`. `anew`:
    some was missed for good.
    """

    events: Sequence[tuple[int | None, Told]]
    position: int
    anew: bool = False


class Hub:
    """Made by the server; `start` it before the first subscription, and `stop` it."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._horizon = Horizon(0)
        self._streams: dict[MemberId, list[Subscription]] = {}
        self._count = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._woken = asyncio.Event()
        self._unannounced = asyncio.Event()
        self._after_reading: list[asyncio.Future[None]] = []
        self._doubt: tuple[float, int, frozenset[str]] | None = None
        self._name = ids.new()
        self._missed = Lane(self._read_missed)
        # What is told is read for as many streams as want it at one time.
        self.messages = Lane(self._read_messages)
        self.threads = Lane(self._read_threads)
        # Streams that read more than `messages` and `threads` take turns. What comes for a stream while
        # it waits is told in one go after that.
        self.turns = asyncio.Semaphore(TURNS)
        self._stopping = False
        self.presence = Presence(db, self.members, self.deliver)

    async def start(self) -> None:
        """Begins to read from what is there now. Raises Unavailable."""
        await self._db.reading(self._begin)
        self._tasks = [
            asyncio.create_task(self._forever(work))
            for work in (self._read_on, self._announce, self._listen, self.presence.keep)
        ]
        self._db.committed = self.nudge

    async def stop(self) -> None:
        self._db.committed = None
        self.end_streams()
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        self._tasks = []

    def end_streams(self) -> None:
        """Ends all streams, and those that begin later: the server is about to end."""
        self._stopping = True
        for stream in [each for streams in self._streams.values() for each in streams]:
            stream.end(End.STOPPING)

    @property
    def position(self) -> int:
        """Everything up to this number had been committed, or will never be, a moment ago.

        What is read after asking shows all of it: a page may be brought up to date from here.
        """
        return self._horizon.settled

    @property
    def streams(self) -> int:
        return self._count

    def members(self) -> Sequence[MemberId]:
        """Those who have an open stream here."""
        return list(self._streams)

    def nudge(self) -> None:
        """Something was committed."""
        self._unannounced.set()
        self._wake()

    async def subscribe(
        self, member: MemberId, *, after: int | None, session: str | None = None
    ) -> "Subscription":
        """A stream of what concerns the member, from now on, or from after the number `after`.

        To be closed by whoever opened it. Raises TooManyStreams, Unavailable, Overloaded.
        """
        if not self._tasks:
            raise Unavailable
        if len(self._streams.get(member, ())) >= STREAMS_A_MEMBER_MAX:
            raise TooManyStreams
        stream = Subscription(member, session, self)
        self._streams.setdefault(member, []).append(stream)
        self._count += 1
        try:
            if self._stopping:
                stream.end(End.STOPPING)
            elif after is None:
                await self._read_up_to_now()
                stream.begin(self.position)
            else:
                stream.resume(await self._missed.submit((member, after)), after)
        except BaseException:
            stream.close()
            raise
        self.presence.came(member)
        return stream

    def forget(self, stream: "Subscription") -> None:
        mine = self._streams.get(stream.member, [])
        if stream in mine:
            mine.remove(stream)
            self._count -= 1
            if not mine:
                del self._streams[stream.member]

    def deliver(
        self, member: MemberId, told: Told | Ended | SeenByOthers, number: int | None = None
    ) -> None:
        """Tells the member's streams in this process."""
        if isinstance(told, SeenByOthers):
            self.presence.look_again(member)
            return
        for stream in list(self._streams.get(member, ())):
            if not isinstance(told, Ended):
                stream.put(number, told)
            elif told.sessions is None or stream.session in told.sessions:
                stream.end(End.REVOKED)

    # Reading ------------------------------------------------------------------------------------

    async def _begin(self, tx: Tx) -> None:
        _, top = await outbox.ends(tx)
        first = max(1, top - GAPS_BEFORE_START + 1)
        self._horizon = Horizon(top, [(first, top)] if top else [])
        while await self._read(tx):
            pass
        writers = await outbox.writers(tx)
        self._doubt = (asyncio.get_running_loop().time() - DOUBT_SECONDS, top, writers)
        if not writers:
            await self._settle(tx)

    async def _read_on(self) -> None:
        while True:
            self._woken.clear()
            waiting, self._after_reading = self._after_reading, []
            try:
                more = await self._db.reading(self._read)
                if self._horizon.gaps:
                    await self._db.reading(self._settle)
                else:
                    self._doubt = None
            except BaseException as problem:
                for each in waiting:
                    if not each.done():
                        each.set_exception(
                            problem if isinstance(problem, Exception) else Unavailable()
                        )
                raise
            for each in waiting:
                if not each.done():
                    each.set_result(None)
            if more:
                continue
            await asyncio.sleep(READ_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS if self._count else IDLE_POLL_SECONDS):
                    await self._woken.wait()

    async def _read(self, tx: Tx) -> bool:
        """Reads what is new and tells it; whether there is more."""
        wanted = self._horizon.wanted()
        if not self._count:
            numbers = await outbox.numbers_within(tx, wanted, ROWS_MAX)
            if self._count:
                # Of one who came meanwhile nobody knows whether this is older than what they missed.
                return True
            self._horizon.saw(numbers)
            return len(numbers) == ROWS_MAX
        rows = await outbox.within(tx, wanted, ROWS_MAX)
        # From here on nothing waits: what a stream takes at one time is whole up to the horizon.
        self._horizon.saw([row.sequence for row in rows])
        for row in rows:
            for member, told in concerns(row.kind, row.owner, row.payload):
                self.deliver(member, told, row.sequence)
        return len(rows) == ROWS_MAX

    async def _settle(self, tx: Tx) -> None:
        """Gives up gaps that nobody can fill any more; see `outbox.writers`."""
        now = asyncio.get_running_loop().time()
        if self._doubt is None:
            top = self._horizon.top
            self._doubt = (now, top, await outbox.writers(tx))
            return
        since, top, writers = self._doubt
        if now - since < DOUBT_SECONDS:
            return
        if writers & await outbox.writers(tx):
            self._doubt = (now, top, writers)
            return
        # All have ended: what they wrote can be seen now.
        while await self._read(tx):
            pass
        self._horizon.give_up(top)
        self._doubt = None

    def _wake(self) -> None:
        if self._count:
            self._woken.set()

    async def _read_up_to_now(self) -> None:
        """Returns once a reading that began after this call is over. Raises Unavailable."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._after_reading.append(done)
        self._woken.set()
        await done

    # Catching up --------------------------------------------------------------------------------

    async def _read_missed(
        self, asked: Sequence[tuple[MemberId, int]]
    ) -> "list[list[tuple[int, Told]] | None]":
        """What each of these members missed after a number; None where it is unknown or too much."""

        async def work(tx: Tx) -> list[list[tuple[int, Told]] | None]:
            first, last = await outbox.ends(tx)
            known = [max(first - 1, last - MISSED_MAX) <= after <= last for _, after in asked]
            afters = [after for ok, (_, after) in zip(known, asked, strict=True) if ok]
            if not afters:
                return [None] * len(asked)
            members = sorted({member for ok, (member, _) in zip(known, asked, strict=True) if ok})
            rows = await outbox.concerning(tx, members, after=min(afters), up_to=last)
            missed = _by_member(rows)
            return [
                [each for each in missed.get(member, []) if each[0] > after] if ok else None
                for ok, (member, after) in zip(known, asked, strict=True)
            ]

        return await self._db.reading(work)

    async def _read_messages(
        self, asked: Sequence[tuple[MemberId, ConversationId, MessageId]]
    ) -> list[Message | None]:
        return await self._db.reading(lambda tx: store.messages(tx, asked))

    async def _read_threads(
        self, asked: Sequence[tuple[MemberId, ConversationId]]
    ) -> list[Thread | None]:
        return await self._db.reading(lambda tx: store.threads(tx, asked))

    # Wake-ups -----------------------------------------------------------------------------------

    async def _announce(self) -> None:
        """Tells the other processes that something was committed here."""
        while True:
            await self._unannounced.wait()
            self._unannounced.clear()
            await self._db.reading(lambda tx: store.announce(tx, self._name))
            await asyncio.sleep(ANNOUNCE_SECONDS)

    async def _listen(self) -> None:
        async with store.listening(self._db) as notices:
            # Whatever was announced while nobody listened is found by reading.
            self._wake()
            async for channel, payload in notices:
                if channel == store.OUTBOX and payload != self._name:
                    self._wake()
                elif channel == store.TYPING:
                    self._tell_typing(payload)

    def _tell_typing(self, payload: str) -> None:
        conversation, typist, viewer = payload.split(" ")
        self.deliver(MemberId(viewer), TypingTold(ConversationId(conversation), MemberId(typist)))

    async def _forever(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Does it again after a fault: the database comes back, and nothing was lost meanwhile."""
        while True:
            try:
                await work()
            except Unavailable:
                log.info("the hub waits for the database")
            except Exception:
                log.exception("the hub met a fault; it goes on")
            await asyncio.sleep(0.5)


def _by_member(rows: Sequence[Row]) -> dict[MemberId, list[tuple[int, Told]]]:
    missed: dict[MemberId, list[tuple[int, Told]]] = {}
    for row in rows:
        for member, told in concerns(row.kind, row.owner, row.payload):
            # A stream that ended is over, and whoever opened this one may read it.
            if not isinstance(told, (Ended, SeenByOthers)):
                missed.setdefault(member, []).append((row.sequence, told))
    return missed


class Subscription:
    """One open stream of a member's. `session` is that of the browser, if it is one."""

    __slots__ = (
        "_anew",
        "_caught_up",
        "_hub",
        "_queue",
        "_woken",
        "began_at",
        "ended",
        "member",
        "session",
    )

    def __init__(self, member: MemberId, session: str | None, hub: Hub) -> None:
        self.member = member
        self.session = session
        self.ended: End | None = None
        # The position of one that began without going on from another.
        self.began_at: int | None = None
        self._hub = hub
        self._queue: list[tuple[int | None, Told]] = []
        # What was read from the outbox while the reader may not have come to it yet.
        self._caught_up: frozenset[int] = frozenset()
        self._anew = False
        self._woken = asyncio.Event()

    def begin(self, position: int) -> None:
        """From now on; what came up to this number is past."""
        self.began_at = position
        self._queue = [each for each in self._queue if each[0] is None or each[0] > position]
        if not self._queue:
            self._woken.clear()

    def resume(self, missed: Sequence[tuple[int, Told]] | None, after: int) -> None:
        """First what was missed, then what came since; None begins anew."""
        if missed is None:
            self._anew = True
            self._woken.set()
            return
        self._caught_up = frozenset(number for number, _ in missed)
        since = [
            (number, told)
            for number, told in self._queue
            if number is None or (number > after and number not in self._caught_up)
        ]
        self._queue = [*missed, *since]
        if self._queue:
            self._woken.set()

    def put(self, number: int | None, told: Told) -> None:
        if self.ended is not None or number in self._caught_up:
            return
        if len(self._queue) >= QUEUE_MAX:
            self.end(End.SLOW)
            return
        if number is None and (number, told) in self._queue:
            return
        self._queue.append((number, told))
        self._woken.set()

    async def next(self, seconds: float) -> Batch | None:
        """What is to be told, after `seconds` perhaps nothing; None once the stream has ended."""
        if not self._woken.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._woken.wait()
        self._woken.clear()
        if self.ended is not None:
            return None
        events, self._queue = self._queue, []
        anew, self._anew = self._anew, False
        position = self._hub.position
        if self._caught_up and position >= max(self._caught_up):
            self._caught_up = frozenset()
        return Batch(sorted(events, key=_place), position, anew)

    def end(self, why: End) -> None:
        """Ends the stream from this side: nothing more is told."""
        if self.ended is None:
            self.ended = why
        self._queue = []
        self._woken.set()
        self._hub.forget(self)

    def close(self) -> None:
        """Whoever opened it is through with it."""
        self.end(End.GONE)


def _place(event: tuple[int | None, Told]) -> int:
    return -1 if event[0] is None else event[0]
