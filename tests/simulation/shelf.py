"""A database in memory, as PostgreSQL is used: transactions, locks, conditional writes, failures.

It stands in for `store.conversations` and `store.idempotency` below the real
`actions.conversations.act`, and for the pool below the real `store.db.Database`: whatever those do
about concurrency, repeats and failures is what runs here. Each statement sees what was committed before
it, and no more.
"""

from __future__ import annotations

import asyncio
from collections import ChainMap, Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Sequence
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

from psycopg import OperationalError, errors
from psycopg_pool import PoolTimeout

from overture.actions import ledger, subscriptions
from overture.core import credits
from overture.core.contact import Pair
from overture.core.conversations import Channel, Conversation, Kind, State
from overture.core.ids import ConversationId, MemberId
from overture.core.policy import PolicyBook
from overture.core.sending import Command, Desk, Record, Start
from overture.store.conversations import Asked, Loaded, _lacks_account
from overture.store.db import Conflict
from overture.store.idempotency import Kept, Once
from tests.worlds import Memory

# What a lock is held on: a member, or a row of a table.
Key = tuple[str, Hashable]
LOCK_SECONDS = 10.0


class Broken(AssertionError):
    """A promise that was broken; the seed plays it again."""


@dataclass(slots=True)
class _Lock:
    holders: dict[Connection, bool] = field(default_factory=dict)  # whether exclusively
    waiting: list[asyncio.Future[None]] = field(default_factory=list)


@dataclass(slots=True)
class Weather:
    """What goes wrong, drawn from the seed: chances a step, and how long a step takes."""

    rng: Random
    losses: float
    deaths: float
    slow: float

    async def step(self, connection: Connection | None = None) -> None:
        """Between any two statements: time passes, others run, and the connection may be lost."""
        drawn = self.rng.random()
        if drawn < self.slow:
            await asyncio.sleep(self.rng.choice([0.001, 0.004, 0.02, 3.0]))
        else:
            await asyncio.sleep(0)
        if connection is None:
            return
        if self.rng.random() < self.losses:
            connection.lose()
        if self.rng.random() < self.deaths:
            connection.die()
            # Cancelled here, as everything of that server is.
            await asyncio.sleep(0)
        if connection.closed:
            raise OperationalError("the connection was lost")


class Shelf:
    """What is committed, with the locks on it; and the promises that hold after every commit."""

    # As `store.conversations` calls it.
    Asked = Asked

    def __init__(self, book: PolicyBook, start: datetime, weather: Weather) -> None:
        self.memory = Memory(book, start)
        self.weather = weather
        self.start = start
        self.versions: Counter[Hashable] = Counter()
        self.kept: dict[tuple[MemberId, str, str], Kept] = {}
        self.bodies: Counter[str] = Counter()
        # By which commit each request was carried out.
        self.carried_out: dict[str, int] = {}
        self.free_sends: dict[MemberId, list[datetime]] = defaultdict(list)
        self.locks: dict[Key, _Lock] = {}
        self.away = False
        self.commits = 0
        # The first promise that did not hold.
        self.broken: Exception | None = None
        self._of: dict[MemberId, list[ConversationId]] = defaultdict(list)

    @property
    def now(self) -> datetime:
        seconds = asyncio.get_running_loop().time()
        return self.start + timedelta(microseconds=round(seconds * 1e6))

    def between(self, one: MemberId, other: MemberId) -> list[Conversation]:
        found = (self.memory.conversations[each] for each in self._of[one])
        return [each for each in found if other in (each.sender, each.recipient)]

    def of(self, member: MemberId) -> list[Conversation]:
        return [self.memory.conversations[each] for each in self._of[member]]

    # Locks -------------------------------------------------------------------------------------

    def free_locks(self, connection: Connection) -> None:
        for key in connection.held:
            lock = self.locks[key]
            del lock.holders[connection]
            for each in lock.waiting:
                if not each.done():
                    each.set_result(None)
            if not lock.holders and not lock.waiting:
                del self.locks[key]
        connection.held.clear()

    async def lock(self, connection: Connection, keys: Sequence[Key], *, alone: bool) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + LOCK_SECONDS
        for key in sorted(keys, key=repr):
            while True:
                lock = self.locks.setdefault(key, _Lock())
                others = [each for each in lock.holders if each is not connection]
                if not others or not (alone or any(lock.holders[each] for each in others)):
                    lock.holders[connection] = alone or lock.holders.get(connection, False)
                    connection.held[key] = None
                    break
                waiting: asyncio.Future[None] = loop.create_future()
                lock.waiting.append(waiting)
                _, late = await asyncio.wait([waiting], timeout=until - loop.time())
                lock.waiting.remove(waiting)
                if connection.closed:
                    raise OperationalError("the connection was lost")
                if late:
                    raise errors.LockNotAvailable("a lock was waited for too long")

    # What a batch asks and writes ------------------------------------------------------------------

    async def facts(
        self,
        tx: Any,
        asked: Sequence[Asked],
        now: datetime,
        book: PolicyBook,
        *,
        lock: bool = True,
        alone: bool = False,
        deciding: bool = True,
        with_files: Sequence[MemberId] = (),
        paced: object = None,
    ) -> Loaded:
        """`store.conversations.facts`: six statements, each of which sees a later moment."""
        connection: Connection = tx
        memory, step = self.memory, self.weather.step
        named = [self._named(each) for each in asked]
        everybody = {member for pair in named for member in pair if member is not None}
        await step(connection)
        if lock:
            await self.lock(connection, [("member", each) for each in everybody], alone=alone)
        members = {each: memory.parties[each] for each in everybody if each in memory.parties}
        await step(connection)
        pairs = {
            (viewer, other): Pair(
                frozenset((viewer, other)) in memory.connections,
                (viewer, other) in memory.blocks,
                (other, viewer) in memory.blocks,
                [],
            )
            for one, another in named
            if another is not None
            for viewer, other in ((one, another), (another, one))
        }
        await step(connection)
        connection.seen = self.commits
        own = connection.own
        known = {
            each.id: _copy(each)
            for one, another in named
            if another is not None
            for each in (*self.between(one, another), *own.between(one, another))
        }
        await step(connection)
        accounts: dict[MemberId, dict[str, credits.Account]] = {}
        versions: dict[tuple[MemberId, str], int] = {}
        wanted = {(viewer, pool) for viewer, _ in named for pool in memory.accounts.get(viewer, {})}
        for each in known:
            held = own.conversations.get(each) or memory.conversations[each]
            if held.state is State.PENDING and held.pool is not None:
                wanted.add((held.sender, held.pool))
        for owner, pool in sorted(wanted):
            stands = own.accounts.get((owner, pool)) or memory.accounts[owner][pool]
            accounts.setdefault(owner, {})[pool] = stands
            versions[owner, pool] = self._version(connection, ("account", owner, pool))
        await step(connection)
        sends = {**memory.free_sends, **own.free_sends}
        free = {viewer: list(sends.get(viewer, [])) for viewer, _ in named}
        free_versions = {viewer: self._version(connection, ("free", viewer)) for viewer in free}
        desk = Desk(now, book, members, pairs, known, accounts, free)
        for each in known.values():
            for key in ((each.sender, each.recipient), (each.recipient, each.sender)):
                if key in pairs:
                    pairs[key].conversations.append(each)
        loaded = Loaded(
            desk,
            versions,
            {each.id: (each.messages, each.state) for each in known.values()},
            free_versions,
            {},
        )
        if deciding and any(_lacks_account(each, loaded) for each in known.values()):
            raise Conflict
        return loaded

    def _named(self, asked: Asked) -> tuple[MemberId, MemberId | None]:
        if asked.conversation is None:
            return asked.viewer, asked.other
        held = self.memory.conversations.get(asked.conversation)
        parties = () if held is None else (held.sender, held.recipient)
        return asked.viewer, held.other(asked.viewer) if held and asked.viewer in parties else None

    @staticmethod
    def asked_by(command: Command) -> Asked:
        if isinstance(command, Start):
            return Asked(command.viewer, other=command.to)
        return Asked(command.viewer, conversation=command.conversation_id)

    async def record(self, tx: Any, loaded: Loaded) -> None:
        """`store.conversations.record`: conditional writes, of which each waits for its row."""
        connection: Connection = tx
        made = loaded.desk.record
        await self.weather.step(connection)
        await self.lock(connection, [("account", key) for key in made.accounts], alone=True)
        for key in made.accounts:
            if self._version(connection, ("account", *key)) != loaded.accounts[key]:
                raise Conflict
        await self.weather.step(connection)
        await self.lock(connection, [("free", key) for key in made.open_profile_sends], alone=True)
        for key in made.open_profile_sends:
            if self._version(connection, ("free", key)) != loaded.open_profile_sends[key]:
                raise Conflict
        await self.weather.step(connection)
        await self.lock(connection, [("conversation", key) for key in made.changed], alone=True)
        for key in made.changed:
            stands = connection.own.conversations.get(key) or self.memory.conversations[key]
            if (stands.messages, stands.state) != loaded.conversations[key]:
                raise Conflict
        # The unique index `inbox_by_counterpart`: of a pair one letter that waits, and one thread.
        await self.weather.step(connection)
        places = {_place(each): each for each in made.begun.values()}
        await self.lock(connection, [("pair", place) for place in places], alone=True)
        for place, each in places.items():
            assert each.recipient is not None
            between = {c.id: c for c in self.between(each.sender, each.recipient)}
            between |= connection.own.conversations | made.changed
            if any(_place(c) == place for c in between.values()):
                raise errors.UniqueViolation("inbox_by_counterpart")
        await self.weather.step(connection)
        for each in made.begun.values():
            assert each.recipient is not None
            read = loaded.desk.pairs[each.sender, each.recipient].conversations
            states = {c.id: c.state for c in read}
            lie = {c.id: c for c in self.between(each.sender, each.recipient)}
            lie |= {k: c for k, c in connection.own.conversations.items() if k in lie}
            if any(
                states.get(c.id) is not c.state for c in lie.values() if c.id not in made.changed
            ):
                raise Conflict
        connection.own.add(made)
        known = set(loaded.conversations)
        connection.writes.append(lambda: self._write(made, loaded.desk.now, known))

    def _version(self, connection: Connection, row: tuple[Hashable, ...]) -> int:
        """Of a row as this transaction sees it."""
        return self.versions[row] + connection.own.versions[row]

    async def kept_of(
        self, tx: Any, asked: Sequence[Once]
    ) -> dict[tuple[MemberId, str, str], Kept]:
        await self.weather.step(tx)
        kept = ChainMap(tx.own.kept, self.kept)
        return {each.scope: kept[each.scope] for each in asked if each.scope in kept}

    async def keep(self, tx: Any, answers: Sequence[tuple[Once, Kept]]) -> None:
        connection: Connection = tx
        await self.weather.step(connection)
        await self.lock(connection, [("key", once.scope) for once, _ in answers], alone=True)
        if any(once.scope in self.kept for once, _ in answers):
            raise Conflict
        made = {once.scope: kept for once, kept in answers}
        connection.own.kept |= made
        connection.writes.append(lambda: self.kept.update(made))

    def _write(self, made: Record, now: datetime, known: set[ConversationId]) -> None:
        self._may_begin(made, now, known)
        for each in (*made.begun.values(), *made.changed.values()):
            self.memory.conversations[each.id] = each
        for each in made.begun.values():
            for member in {each.sender, each.recipient}:
                assert member is not None
                self._of[member].append(each.id)
        self.memory._apply(made)
        for key in made.accounts:
            self.versions["account", *key] += 1
        for key in made.open_profile_sends:
            self.versions["free", key] += 1
        self.bodies.update(message.body for _, message in made.messages)
        self.carried_out.update({m.body: self.commits + 1 for _, m in made.messages})
        for _, message in made.messages:
            if self.bodies[message.body] > 1:
                raise Broken(f"A message stands twice: {message.body}.")
        told = Counter(event.payload.get("message_id") for event in made.events)
        for _, message in made.messages:
            if told[message.id] == 0:
                raise Broken("A message was written, and nobody is told.")
        touched = {key[0] for key in made.accounts}
        touched |= {each.sender for each in (*made.begun.values(), *made.changed.values())}
        self.check(touched, now)

    # Promises ----------------------------------------------------------------------------------

    def _may_begin(self, made: Record, now: datetime, known: set[ConversationId]) -> None:
        """What must be so at the commit, whatever was so when it was decided."""
        memory, policy = self.memory, self.memory.book.at(now)
        for each in made.begun.values():
            to = each.recipient
            assert to is not None
            writer, other = memory.parties[each.sender], memory.parties[to]
            if {(each.sender, to), (to, each.sender)} & (memory.blocks - set(made.blocks)):
                raise Broken("Somebody was written to over a block.")
            if writer.closed or other.closed:
                raise Broken("A closed account wrote, or was written to.")
            between = [made.changed.get(c.id, c) for c in self.between(each.sender, to)]
            if each.kind is not Kind.INMAIL:
                if frozenset((each.sender, to)) not in memory.connections:
                    raise Broken("A free message went to somebody who is no connection.")
                continue
            # One that was there may be opened again at the same time: that counts as later.
            free = [c for c in between if c.id not in known and c.state is State.ACCEPTED]
            if free or frozenset((each.sender, to)) in memory.connections:
                raise Broken("A letter was begun where one could write freely.")
            if not other.accepts_inmail:
                raise Broken("An InMail went to somebody who accepts none.")
            if policy.recipient_requires_premium and not other.is_premium(now):
                raise Broken("An InMail went to somebody without Premium.")
            if any(c.sender == each.sender and c.state is State.PENDING for c in between):
                raise Broken("A second letter went out before the first was answered.")
            if each.channel is Channel.OPEN_PROFILE:
                sends = self.free_sends[each.sender]
                sends.append(now)
                recent = [at for at in sends if at > now - timedelta(hours=24)]
                if len(recent) > policy.open_profile_daily:
                    raise Broken("More free letters went out than a day has.")

    def check(self, owners: set[MemberId], now: datetime) -> None:
        """The same check as of `overture ledger verify`, of these members' books."""
        memory = self.memory
        for owner in owners:
            pools = memory.accounts.get(owner, {})
            own = [c for c in self.of(owner) if c.sender == owner and c.kind is Kind.INMAIL]
            books = list(self.books(owner))
            for wrong in ledger.differences(books, own, now, memory.book):
                raise Broken(str(wrong))
            shown = memory.parties[owner].premium_until
            runs = subscriptions.premium_until(tuple(pools.values()), now, memory.book)
            if (shown if shown is not None and shown > now else None) != runs:
                raise Broken("Premium is shown without, or not with, a subscription.")

    def books(self, owner: MemberId) -> Iterator[Any]:
        memory = self.memory
        for pool, account in sorted(memory.accounts.get(owner, {}).items()):
            yield ledger.Books(
                account,
                account.balance,
                account.next_due_at,
                memory.entries.get((owner, pool), []),
                memory.wishes.get((owner, pool), []),
            )

    # What is done alone ----------------------------------------------------------------------------

    async def alone(
        self,
        tx: Any,
        members: Sequence[MemberId],
        rows: Callable[[], list[Key]],
        do: Callable[[], Any],
    ) -> Any:
        """A change that locks its members and their rows, and is made of what stands there then."""
        connection: Connection = tx
        await self.weather.step(connection)
        await self.lock(connection, [("member", each) for each in members], alone=True)
        wanted = rows()
        await self.weather.step(connection)
        await self.lock(connection, wanted, alone=True)
        if set(rows()) - set(wanted):
            raise Conflict
        result: list[Any] = []
        now = self.now

        def write() -> None:
            self.memory.now = now
            result.append(do())
            for kind, key in wanted:
                if kind == "account":
                    self.versions["account", *key] += 1  # pyright: ignore[reportGeneralTypeIssues]
            self.check(set(members) | {key[0] for kind, key in wanted if kind == "account"}, now)  # pyright: ignore

        connection.writes.append(write)
        return result


@dataclass(slots=True)
class _Own:
    """What a transaction wrote, which it alone sees until the commit."""

    conversations: dict[ConversationId, Conversation] = field(default_factory=dict)
    accounts: dict[tuple[MemberId, str], credits.Account] = field(default_factory=dict)
    free_sends: dict[MemberId, list[datetime]] = field(default_factory=dict)
    kept: dict[tuple[MemberId, str, str], Kept] = field(default_factory=dict)
    versions: Counter[Hashable] = field(default_factory=Counter)

    def add(self, made: Record) -> None:
        self.conversations |= made.changed | made.begun
        self.accounts |= made.accounts
        self.free_sends |= made.open_profile_sends
        self.versions.update(("account", *key) for key in made.accounts)
        self.versions.update(("free", key) for key in made.open_profile_sends)

    def between(self, one: MemberId, other: MemberId) -> Iterator[Conversation]:
        for each in self.conversations.values():
            if {each.sender, each.recipient} == {one, other}:
                yield each


class Connection:
    """What `Database` takes for a connection of psycopg's: one transaction at a time."""

    def __init__(self, shelf: Shelf, die: Callable[[], None]) -> None:
        self.shelf = shelf
        self.die = die
        self.closed = False
        # A set has another order in each process.
        self.held: dict[Key, None] = {}
        self.own = _Own()
        # How many commits its facts show.
        self.seen = 0
        self.writes: list[Callable[[], None]] = []

    async def execute(self, statement: str) -> None:
        match statement:
            case "commit":
                await self._commit()
            case "rollback":
                self._end()
            case _:
                await self.shelf.weather.step(self)

    async def _commit(self) -> None:
        await self.shelf.weather.step(self)
        try:
            for write in self.writes:
                write()
        except Exception as problem:
            # A lane would try again, and what follows tells less.
            self.shelf.broken = self.shelf.broken or problem
            raise
        self.shelf.commits += 1
        self._end()
        # Whoever is lost from here on has been carried out, and does not know it.
        await self.shelf.weather.step(self)

    def _end(self) -> None:
        self.writes.clear()
        self.own = _Own()
        self.shelf.free_locks(self)

    def lose(self) -> None:
        self.closed = True
        self._end()

    async def close(self) -> None:
        self.lose()

    def plans_are_due(self, now: float) -> bool:
        return False

    @asynccontextmanager
    async def pipeline(self) -> AsyncIterator[None]:
        yield

    async def __aenter__(self) -> Connection:
        return self

    async def __aexit__(self, *problem: object) -> None:
        self._end()


class Pool:
    """So many connections; none while the database is away."""

    def __init__(self, shelf: Shelf, connections: int, die: Callable[[], None]) -> None:
        self._shelf = shelf
        self._die = die
        self._free = connections
        self._out: dict[Connection, None] = {}

    async def getconn(self, seconds: float) -> Connection:
        if self._shelf.away or not self._free:
            await asyncio.sleep(seconds)
        if self._shelf.away or not self._free:
            raise PoolTimeout("no connection came free")
        self._free -= 1
        made = Connection(self._shelf, self._die)
        self._out[made] = None
        return made

    async def putconn(self, connection: Connection) -> None:
        self._out.pop(connection, None)
        self._free += 1

    def lose_all(self) -> None:
        for each in list(self._out):
            each.lose()


def _place(conversation: Conversation) -> tuple[Hashable, ...]:
    """What there is one of between two members; every other conversation is a place of its own."""
    pair = tuple(sorted((conversation.sender, conversation.other(conversation.sender))))
    if conversation.state is State.PENDING:
        return (pair, "pending")
    if conversation.kind is Kind.DIRECT:
        return (pair, "direct")
    return (pair, conversation.id)


def _copy(conversation: Conversation) -> Conversation:
    made = copy(conversation)
    return replace(made, refundable_until=list(made.refundable_until))
