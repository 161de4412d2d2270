"""The database: connections, transactions, and what its errors mean.

Every statement is written out where it runs. Rows come as tuples; ids come as text, instants as aware
UTC datetimes, JSON as bytes to be decoded into a type.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any, LiteralString, TypeVar

import msgspec
import psycopg
from psycopg import AsyncConnection, errors
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from typing_extensions import override

T = TypeVar("T")

# A connection inside a transaction, or one that only reads.
Tx = AsyncConnection[tuple[Any, ...]]

_SETTINGS = (
    "timezone=UTC",
    "statement_timeout=30s",
    "lock_timeout=10s",
    "idle_in_transaction_session_timeout=60s",
    "enable_seqscan=off",
    "enable_hashjoin=off",
    "enable_mergejoin=off",
)
# A plan is kept: nested loops over indexes, which are right for full tables. Planning anew each time
# costs more than a small batch itself, and statistics of a growing table are always stale: a hash join
# over what was thought to be a small index took the facts of a batch from 2 to 36 ms. Work over whole
# tables opens connections of its own.
OPTIONS = " ".join(
    f"-c {setting}" for setting in (*_SETTINGS, "plan_cache_mode=force_generic_plan")
)
# For tables that are empty now and full a minute later, where the plan for the one is not the plan for
# the other: to take 100 jobs off went through all of them for each.
WORK_NAME = "overture-work"
WORK_OPTIONS = " ".join(
    f"-c {setting}"
    for setting in (
        *_SETTINGS,
        "plan_cache_mode=force_custom_plan",
        f"application_name={WORK_NAME}",
    )
)
# But a plan that was made while a table was all but empty reads all of it for good: over 16,000
# conversations a send came to cost six times as much. So each connection drops its plans at its uses 8,
# 16, 32 and so on, and after a minute.
REPLAN_USES = 8
REPLAN_SECONDS = 60.0
ATTEMPTS = 8
# How long a connection is waited for before it is asked for again.
ASK_SECONDS = 0.25
# How long one waits for a connection in all.
TURN_SECONDS = 5.0


class Conflict(Exception):
    """A conditional write found that another one came first: to be tried again on fresh facts."""


class Unavailable(Exception):
    """The database does not answer now. What was under way may or may not have been carried out."""


class Contended(Unavailable):
    """Others came first again and again. Nothing was carried out."""


# What a transaction noted: of what, how much.
Counts = Counter[tuple[str, ...]]
# Is entered around each statement, with its text.
Around = Callable[[str], AbstractContextManager[Any]]


class _Connection(AsyncConnection[tuple[Any, ...]]):
    """A connection that knows how old its plans are, and what its transaction notes."""

    noted: Counts | None = None

    _uses = 0
    _replan_uses = REPLAN_USES
    _replan_at = 0.0

    def plans_are_due(self, now: float) -> bool:
        """Counts a use: whether the plans should be made anew for it, and from it on."""
        self._uses += 1
        if self._uses < self._replan_uses and now < self._replan_at:
            return False
        if self._uses >= self._replan_uses:
            self._replan_uses *= 2
        self._replan_at = now + REPLAN_SECONDS
        # There are none yet at the very first use.
        return self._uses > 1


def _traced(around: Around) -> type[_Connection]:
    class Traced(_Connection):
        @override
        async def execute(self, query: Any, *given: Any, **options: Any) -> Any:
            with around(query):
                return await super().execute(query, *given, **options)

    return Traced


class Database:
    """A pool of connections. Made by `open`, ended by `close`."""

    def __init__(
        self, pool: AsyncConnectionPool[_Connection], url: str, connections: int = 10
    ) -> None:
        self._pool = pool
        # Whoever waits for a connection waits here, in the order in which they came: the pool is asked
        # again and again, and each time from the end of its queue.
        self._turns = asyncio.Semaphore(connections)
        # Of those who waited so, in the pool's own words.
        self._waits = Counter[str]()
        # For connections that are not of the pool.
        self.url = url
        # Called after every commit of a transaction that `writing` made.
        self.committed: Callable[[], None] | None = None
        # Told what such a transaction noted, where it noted anything.
        self.counted: Callable[[Mapping[tuple[str, ...], int]], None] | None = None

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        connections: int = 10,
        options: str = OPTIONS,
        around: Around | None = None,
    ) -> "Database":
        """Connects. Raises Unavailable when nothing answers within 30 seconds."""
        pool: AsyncConnectionPool[_Connection] = AsyncConnectionPool(
            url,
            connection_class=_Connection if around is None else _traced(around),
            kwargs={"autocommit": True, "options": options, "prepare_threshold": 2},
            min_size=2,
            max_size=connections,
            # An attempt is given up soon; the next request for a connection makes another.
            reconnect_timeout=ASK_SECONDS,
            configure=_configure,
            open=False,
        )
        await pool.open()
        db = cls(pool, url, connections)
        try:
            async with db._connection(30):
                return db
        except PoolTimeout as problem:
            await pool.close()
            raise Unavailable("The database does not answer.") from problem

    async def close(self) -> None:
        await self._pool.close()

    def stats(self) -> Mapping[str, int]:
        """What the pool counts of itself, as psycopg_pool names it; with who waited for a turn."""
        counted = Counter(self._pool.get_stats())
        counted.update(self._waits)
        return counted

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[Tx]:
        """A connection for single reading statements. Raises Unavailable."""
        try:
            async with self._connection() as connection:
                yield connection
        except LOST as problem:
            raise Unavailable from problem

    async def reading(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        """Runs reads; once more on a new connection where the first turns out to be dead."""
        try:
            async with self._connection() as connection:
                return await work(connection)
        except PoolTimeout as problem:
            raise Unavailable from problem
        except LOST:
            async with self.read() as connection:
                return await work(connection)

    async def writing(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        """Runs `work` in one transaction and commits it.

        Tried again with the same ids when concurrency got in the way, or when the connection was
        lost before the commit was asked for. Raises Unavailable when the database is away, and when
        the connection is lost during the commit: then nobody can know whether it took effect. Raises
        Contended when all attempts met others.
        """
        for attempt in range(ATTEMPTS):
            committing = False
            try:
                async with self._connection() as connection:
                    connection.noted = None
                    try:
                        # In a pipeline, `begin` and `commit` cost no round trips of their own.
                        async with connection.pipeline():
                            await connection.execute("begin")
                            result = await work(connection)
                            committing = True
                            await connection.execute("commit")
                    except BaseException:
                        if not connection.closed:
                            await connection.execute("rollback")
                        raise
                    if self.committed is not None:
                        self.committed()
                    if self.counted is not None and connection.noted:
                        self.counted(connection.noted)
                    return result
            except (Conflict, *RETRIED) as problem:
                if attempt == ATTEMPTS - 1:
                    raise Contended("Too many attempts met each other.") from problem
            except LOST as problem:
                if committing or attempt == ATTEMPTS - 1 or isinstance(problem, PoolTimeout):
                    raise Unavailable from problem
            await asyncio.sleep(random.uniform(0, 0.002 * 2**attempt))  # noqa: S311
        raise AssertionError("the last attempt returns or raises")

    @asynccontextmanager
    async def _connection(self, seconds: float | None = None) -> AsyncGenerator[_Connection]:
        """A connection of the pool's. Raises PoolTimeout when there is none within `seconds`."""
        seconds = TURN_SECONDS if seconds is None else seconds
        until = asyncio.get_running_loop().time() + seconds
        await self._turn(seconds)
        try:
            connection = await self._taken(until)
            try:
                async with connection:
                    if connection.plans_are_due(asyncio.get_running_loop().time()):
                        await connection.execute("discard plans")
                    yield connection
            except psycopg.Error:
                # What follows a failure in a pipeline is skipped, but psycopg may believe it prepared:
                # on this connection such a statement would fail for good.
                await connection.close()
                raise
            finally:
                await self._pool.putconn(connection)
        finally:
            self._turns.release()

    async def _turn(self, seconds: float) -> None:
        if not self._turns.locked():
            await self._turns.acquire()
            return
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._waits["requests_queued"] += 1
        try:
            async with asyncio.timeout(seconds):
                await self._turns.acquire()
        except TimeoutError:
            self._waits["requests_errors"] += 1
            raise PoolTimeout(f"no turn came within {seconds} s") from None
        finally:
            self._waits["requests_wait_ms"] += round(1000 * (loop.time() - began))

    async def _taken(self, until: float) -> _Connection:
        """Asks the pool again and again: it tries to connect when it is asked, so that someone who only
        waited would not notice that the server is back."""
        while True:
            try:
                return await self._pool.getconn(ASK_SECONDS)
            except PoolTimeout:
                if asyncio.get_running_loop().time() >= until:
                    raise


# Met by chance of timing: the same work on fresh facts will do. A broken unique key is such a case
# where two that looked at once both found a place free.
RETRIED = (
    errors.SerializationFailure,
    errors.DeadlockDetected,
    errors.LockNotAvailable,
    errors.UniqueViolation,
)
LOST = (psycopg.OperationalError, PoolTimeout, errors.AdminShutdown, errors.CrashShutdown)


def note(tx: Tx, counts: Iterable[tuple[tuple[str, ...], int]]) -> None:
    """Has these counted if the transaction commits; see `Database.counted`."""
    if isinstance(tx, _Connection):
        noted = tx.noted = tx.noted if tx.noted is not None else Counter()
        for what, much in counts:
            noted[what] += much


async def pipelined(tx: Tx, statements: Iterable[tuple[LiteralString, Any]]) -> list[Any]:
    """Runs statements in one round trip; a cursor each, in their order."""
    async with tx.pipeline():
        return [await tx.execute(statement, params) for statement, params in statements]


async def all_rows(tx: Tx, statement: LiteralString, params: Any = None) -> list[tuple[Any, ...]]:
    return await (await tx.execute(statement, params)).fetchall()


async def one_row(tx: Tx, statement: LiteralString, params: Any = None) -> tuple[Any, ...] | None:
    return await (await tx.execute(statement, params)).fetchone()


def as_json(rows: object) -> str:
    """A set of rows as one parameter, for `json_to_recordset`."""
    return msgspec.json.encode(rows).decode()


class _TextLoader(Loader):
    @override
    def load(self, data: Buffer) -> str:
        return bytes(data).decode()


class _BytesLoader(Loader):
    @override
    def load(self, data: Buffer) -> bytes:
        return bytes(data)


async def _configure(connection: Tx) -> None:
    connection.adapters.register_loader("uuid", _TextLoader)
    connection.adapters.register_loader("json", _BytesLoader)
    connection.adapters.register_loader("jsonb", _BytesLoader)
