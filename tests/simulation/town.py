"""Members who write through several servers to one database, while things go wrong.

A seed draws everything: who does what and when, the order of what happens at once, how long each step
takes, which connections are lost, which servers die and when the database is away. `play` is one seed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any
from unittest import mock
from uuid import UUID
from zlib import crc32

import msgspec

from overture.actions import conversations
from overture.actions.conversations import Ask, KeyReused, act
from overture.actions.lanes import Lanes, Overloaded
from overture.actions.subscriptions import CancelAt
from overture.context import LANES
from overture.core.contact import Contact
from overture.core.conversations import Conversation, State
from overture.core.ids import ConversationId, MemberId, MessageId
from overture.core.policy import Outcome, PolicyBook
from overture.core.refusals import Refusal
from overture.core.sending import Answer, Command, Done, Refused, Respond, Start, Withdraw, Write
from overture.store.db import Database, Tx, Unavailable
from overture.store.idempotency import Kept, Once
from tests.machine import BOOKS, STARTS
from tests.simulation.loop import VirtualLoop
from tests.simulation.shelf import Broken, Key, Pool, Shelf, Weather

DAY = 86_400.0
SERVERS = 2
MEMBERS = 10
# What a member does, and how often of so many.
HABITS = {
    "start": 40, "flood": 3, "answer": 22, "write": 8, "withdraw": 6, "repeat": 4, "prefer": 3,
    "connect": 3, "block": 3, "choose": 6, "cancel": 3, "adjust": 2, "close": 0.4,
}  # fmt: skip


class Gone(Exception):
    """The server died before it answered: nobody knows what became of the request."""


NO_ANSWER = (Unavailable, Overloaded, Gone)


class _Spread(str):
    """A lane's key that is spread the same way in every process."""

    def __hash__(self) -> int:
        return crc32(self.encode())


@dataclass(slots=True)
class Played:
    """What one seed came to."""

    seed: int
    days: int
    steps: int = 0
    member_days: int = 0
    commits: int = 0
    requests: int = 0
    acknowledged: int = 0
    refused: int = 0
    unanswered: int = 0
    crashes: int = 0
    outages: int = 0
    fingerprint: int = 0


class _Server:
    """Lanes on a pool, as `overture.context.share` makes them; it can die at any step."""

    def __init__(self, shelf: Shelf, book: PolicyBook, died: Callable[[], None]) -> None:
        self._died = died
        self._pool = Pool(shelf, 4, self.die)
        self.is_dead = False
        pool: Any = self._pool
        self.db = Database(pool, "")

        async def send(asks: Sequence[Ask]) -> Sequence[Answer | Kept | KeyReused]:
            async def work(tx: Tx) -> Sequence[Answer | Kept | KeyReused]:
                answers = await act(tx, asks, shelf.now, book)
                _were_not_refused_for_what_they_did(shelf, tx, asks, answers)
                return answers

            return await self.db.writing(work)

        self.sends: Lanes[Ask, Answer | Kept | KeyReused] = Lanes(send, lanes=LANES)
        self._working: dict[asyncio.Task[Any], None] = {}

    async def run(self, work: Any) -> Any:
        """The result of a request; raises Gone where the server dies meanwhile."""
        if self.is_dead:
            work.close()
            raise Gone
        task = asyncio.ensure_future(work)
        self._working[task] = None
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            raise Gone from None
        finally:
            self._working.pop(task, None)

    def die(self) -> None:
        if self.is_dead:
            return
        self.is_dead = True
        self._died()
        self._pool.lose_all()
        for lane in self.sends._lanes:
            if lane._task is not None:
                lane._task.cancel()
        for task in list(self._working):
            task.cancel()


def _were_not_refused_for_what_they_did(
    shelf: Shelf, tx: Any, asks: Sequence[Ask], answers: Sequence[object]
) -> None:
    """A repeat meets what its own first attempt left: that is no reason to refuse it."""
    for ask, answer in zip(asks, answers, strict=True):
        assert ask.once is not None
        done = shelf.carried_out.get(ask.once.key)
        if isinstance(answer, Refused) and done is not None and done <= tx.seen:
            raise Broken(f"{ask.once.key} was refused for its own effect.")


@dataclass(slots=True)
class _Request:
    """Something that a member asks for under a key, as often as it takes to get an answer."""

    viewer: MemberId
    key: str
    make: Any
    answer: bytes | None = None


@dataclass
class Town:
    rng: Random
    shelf: Shelf
    book: PolicyBook
    days: int
    played: Played
    servers: dict[int, _Server] = field(default_factory=dict)
    members: list[MemberId] = field(default_factory=list)
    answered: list[_Request] = field(default_factory=list)
    _ids: int = 0
    _under_way: int = 0
    _begun: int = 0

    def id(self) -> str:
        self._ids += 1
        return str(UUID(int=self._ids))

    async def run(self) -> None:
        for place in range(SERVERS):
            self._raise(place)
        for _ in range(MEMBERS):
            self._join()
        until = self.days * DAY
        async with asyncio.TaskGroup() as group:
            outages = group.create_task(self._outage())
            lives = [group.create_task(self._live(place, until)) for place in range(MEMBERS)]
            await asyncio.wait(lives)
            for each in (outages, *lives):
                if each.done() and (problem := each.exception()) is not None:
                    raise problem
                each.cancel()
        self._look_at_all()

    def _join(self, place: int | None = None) -> MemberId:
        member = MemberId(self.id())
        self.shelf.memory.join(member, f"m{self._ids}")
        if place is None:
            self.members.append(member)
        else:
            self.members[place] = member
        return member

    # What goes wrong -----------------------------------------------------------------------------

    def _raise(self, place: int) -> None:
        """A server that, once it has died, comes back some time later."""
        server = _Server(self.shelf, self.book, lambda: self._died(place))
        self.servers[place] = server

    def _died(self, place: int) -> None:
        self.played.crashes += 1
        later = self.rng.choice([0.01, 2.0, 60.0])
        asyncio.get_running_loop().call_later(later, self._raise, place)

    async def _outage(self) -> None:
        while True:
            await asyncio.sleep(self.rng.expovariate(1 / (10 * DAY)))
            self.shelf.away = True
            for each in self.servers.values():
                each._pool.lose_all()
            self.played.outages += 1
            await asyncio.sleep(self.rng.uniform(0.1, 90))
            self.shelf.away = False

    # Members -------------------------------------------------------------------------------------

    async def _live(self, place: int, until: float) -> None:
        loop = asyncio.get_running_loop()
        habits, weights = list(HABITS), list(HABITS.values())
        if self.rng.random() < 0.7:
            await self._choose(place, place)
        while True:
            await self._wait(place)
            if loop.time() >= until:
                return
            # What one does alone meets nobody: much is done by two and more at once, to each other.
            other = self.rng.randrange(MEMBERS)
            doing = self.rng.choice([1, 1, 2, 4])
            async with asyncio.TaskGroup() as group:
                for _ in range(doing):
                    habit = self.rng.choices(habits, weights)[0]
                    pair = (place, other) if self.rng.random() < 0.6 else (other, place)
                    group.create_task(getattr(self, f"_{habit}")(*pair))

    async def _wait(self, place: int) -> None:
        """Until one feels like it; or until something is about to happen, to the microsecond."""
        if self.rng.random() < 0.25 and (edges := self._edges(self.members[place])):
            at, here = self.rng.choice(edges[:6])
            beside = self.rng.choice([-1.0, -1e-6, 0.0, 0.0, 1e-6, 1.0])
            due = (at - self.shelf.start).total_seconds() + beside
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
            if here is not None:
                await self._answer_to(self.members[place], here)
            return
        await asyncio.sleep(self.rng.expovariate(1 / (1.5 * DAY)))

    def _edges(self, member: MemberId) -> list[tuple[datetime, ConversationId | None]]:
        """When something is due by itself, soon: credits, plans, the time to answer for a refund."""
        now = self.shelf.now
        found: list[tuple[datetime | None, ConversationId | None]] = []
        for account in self.shelf.memory.accounts.get(member, {}).values():
            held = account.subscription
            found += [(at, None) for at in (account.next_due_at, held and held.ends_at)]
            found += [(lot.expires_at, None) for lot in account.lots]
        for each in self.shelf.of(member):
            if each.state is State.PENDING and each.recipient == member:
                found.append((each.expires_refund_at, each.id))
        for at in self.shelf.memory.free_sends.get(member, [])[:1]:
            found.append((at + timedelta(hours=24), None))
        last = now + timedelta(days=60)
        return sorted(
            ((at, here) for at, here in found if at is not None and now < at < last),
            key=lambda edge: (edge[0], edge[1] or ""),
        )

    async def _start(self, place: int, other: int) -> None:
        viewer, to = self.members[place], self.members[other]
        pool = self.rng.choice([None, None, *self.book.at(self.shelf.now).pools])
        most = self.rng.choice([None, None, None, None, 0, 1])

        def make(body: str) -> Command:
            here, message = ConversationId(self.id()), MessageId(self.id())
            return Start(viewer, to, here, message, body, pool=pool, max_credits=most)

        if most is None and self.rng.random() < 0.4:
            await self._start_as_told(viewer, to, pool, make)
            return
        # Several times at once, as who is impatient does.
        async with asyncio.TaskGroup() as group:
            for _ in range(self.rng.choice([1, 1, 1, 2, 3])):
                group.create_task(self._ask(viewer, make))

    async def _start_as_told(
        self, viewer: MemberId, to: MemberId, pool: str | None, make: Any
    ) -> None:
        """The price that one is told is the price that one pays, where nothing came between."""
        shelf = self.shelf

        async def look(tx: Tx) -> Contact:
            return await conversations.preview(
                tx, viewer, to, pool=pool, now=shelf.now, book=self.book
            )

        server, at = self._server(), shelf.now
        alone = self._under_way == 0
        begun = self._begun
        try:
            told = await server.run(server.db.reading(look))
        except (Unavailable, Gone):
            return
        sent = await self._ask(viewer, make)
        if sent is None or shelf.now != at or not alone or self._begun != begun + 1:
            return
        if told.code is not None:
            if sent != b"":
                raise Broken(f"It was refused as {told.code}, and then sent.")
        elif sent == b"":
            raise Broken("It was allowed, and then refused.")
        elif (paid := msgspec.json.decode(sent)["charge"]) != [told.credits, told.pool]:
            raise Broken(f"{told.credits} of {told.pool} was told, {paid} paid.")

    async def _flood(self, place: int, _other: int) -> None:
        """To everybody, and no longer than anybody lets one."""
        viewer = self.members[place]
        async with asyncio.TaskGroup() as group:
            for to in list(self.members):
                group.create_task(self._ask(viewer, self._hello(viewer, to)))

    def _hello(self, viewer: MemberId, to: MemberId) -> Callable[[str], Command]:
        return lambda body: Start(viewer, to, ConversationId(self.id()), MessageId(self.id()), body)

    async def _answer(self, place: int, _other: int) -> None:
        viewer = self.members[place]
        here = self._pick(viewer, lambda c: c.state is State.PENDING and c.recipient == viewer)
        if here is not None:
            await self._answer_to(viewer, here)

    async def _answer_to(self, viewer: MemberId, here: ConversationId) -> None:
        drawn = self.rng.random()
        quick = self.rng.choice(self.book.at(self.shelf.now).quick_replies)
        outcome = self.rng.choice([Outcome.DECLINED, Outcome.DECLINED, Outcome.ACCEPTED])

        def make(body: str) -> Command:
            if drawn < 0.2:
                return Write(viewer, here, MessageId(self.id()), body)
            if drawn < 0.4:
                return Write(viewer, here, MessageId(self.id()), body, quick_reply=quick)
            block = drawn > 0.93 and outcome is Outcome.DECLINED
            return Respond(viewer, here, outcome, block=block)

        async with asyncio.TaskGroup() as group:
            for _ in range(self.rng.choice([1, 1, 1, 2])):
                group.create_task(self._ask(viewer, make))

    async def _write(self, place: int, _other: int) -> None:
        viewer = self.members[place]
        here = self._pick(viewer, lambda c: True)
        if here is not None:
            await self._ask(viewer, lambda body: Write(viewer, here, MessageId(self.id()), body))

    async def _withdraw(self, place: int, _other: int) -> None:
        viewer = self.members[place]
        here = self._pick(viewer, lambda c: c.state is State.PENDING and c.sender == viewer)
        if here is not None:
            await self._ask(viewer, lambda body: Withdraw(viewer, here))

    async def _repeat(self, place: int, _other: int) -> None:
        """An answer that was given before is given again, to the letter."""
        if self.answered:
            before = self.rng.choice(self.answered[-20:])
            answer = await self._attempt(before)
            if answer is not None and answer != before.answer:
                raise Broken(f"{before.answer!r} became {answer!r} when it was asked again.")

    async def _prefer(self, place: int, _other: int) -> None:
        member, memory = self.members[place], self.shelf.memory
        accept, free = self.rng.random() < 0.8, self.rng.random() < 0.4
        await self._alone(
            [member], list, lambda: memory.prefer(member, accept_inmail=accept, open_profile=free)
        )

    async def _connect(self, place: int, other: int) -> None:
        one, another = self.members[place], self.members[other]
        memory = self.shelf.memory
        verb = memory.connect if self.rng.random() < 0.4 else memory.disconnect

        def rows() -> list[Key]:
            return [("conversation", each.id) for each in self.shelf.between(one, another)]

        if one != another:
            await self._alone([one, another], rows, lambda: verb(one, another))

    async def _block(self, place: int, other: int) -> None:
        one, another = self.members[place], self.members[other]
        memory = self.shelf.memory
        verb = memory.block if self.rng.random() < 0.4 else memory.unblock
        if one != another:
            await self._alone([one, another], list, lambda: verb(one, another))

    async def _choose(self, place: int, _other: int) -> None:
        member, memory = self.members[place], self.shelf.memory
        plan = self.rng.choice(list(self.book.at(self.shelf.now).plans.values()))
        await self._alone(
            [member], self._accounts(member), lambda: memory.choose(member, plan.pool, plan.name)
        )

    async def _cancel(self, place: int, _other: int) -> None:
        member, memory = self.members[place], self.shelf.memory
        pool = self.rng.choice(self.book.at(self.shelf.now).pools)
        at = self.rng.choice(list(CancelAt))
        await self._alone([member], self._accounts(member), lambda: memory.cancel(member, pool, at))

    async def _adjust(self, place: int, _other: int) -> None:
        member, memory = self.members[place], self.shelf.memory
        pool, count = (
            self.rng.choice(self.book.at(self.shelf.now).pools),
            self.rng.choice([-2, 1, 3]),
        )
        await self._alone(
            [member], self._accounts(member), lambda: memory.adjust(member, pool, count)
        )

    async def _close(self, place: int, _other: int) -> None:
        """Somebody leaves, and somebody else comes in their place."""
        member, memory = self.members[place], self.shelf.memory

        def rows() -> list[Key]:
            own = self.shelf.of(member)
            found: list[Key] = [("conversation", each.id) for each in own]
            pending = [each for each in own if each.state is State.PENDING and each.pool]
            found += [("account", (each.sender, each.pool)) for each in pending]
            return found + self._accounts(member)()

        def close() -> None:
            memory.close(member)
            self._join(place)

        await self._alone([member], rows, close)

    def _accounts(self, member: MemberId) -> Any:
        return lambda: [
            ("account", (member, pool)) for pool in self.shelf.memory.accounts.get(member, {})
        ]

    def _pick(self, viewer: MemberId, fits: Any) -> ConversationId | None:
        found: list[Conversation] = [each for each in self.shelf.of(viewer) if fits(each)]
        return self.rng.choice(found[-4:]).id if found else None

    # Asking --------------------------------------------------------------------------------------

    async def _alone(self, members: list[MemberId], rows: Any, do: Any) -> None:
        server = self._server()

        async def work(tx: Tx) -> Any:
            return await self.shelf.alone(tx, sorted(members), rows, do)

        with self._asking():
            try:
                await server.run(server.db.writing(work))
            except (Unavailable, Gone):
                self.played.unanswered += 1

    def _server(self) -> _Server:
        return self.servers[self.rng.randrange(SERVERS)]

    async def _ask(self, viewer: MemberId, make: Any) -> bytes | None:
        """The answer's bytes; empty of a refusal, None where the member did not wait for it."""
        with self._asking():
            return await self._until_answered(_Request(viewer, f"key-{self.id()}", make))

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Counts what is under way: what is done alone meets nobody."""
        self._begun += 1
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    async def _until_answered(self, request: _Request) -> bytes | None:
        self.played.requests += 1
        while (answer := await self._attempt(request)) is None:
            if self.rng.random() < 0.05:
                self.played.unanswered += 1
                return None
            await asyncio.sleep(self.rng.uniform(0.0, 5))
        if answer == b"":
            self.played.refused += 1
            return answer
        self.played.acknowledged += 1
        request.answer = answer
        self.answered.append(request)
        return answer

    async def _attempt(self, request: _Request) -> bytes | None:
        """The answer's bytes; empty of a refusal, None where there came no answer."""
        server = self._server()
        once = Once(request.viewer, "POST", request.key, b"the same")
        # Each request has ids of its own, as the edge gives them.
        ask = Ask(request.make(request.key), once, _render)
        asked = asyncio.ensure_future(server.run(server.sends.submit(ask, _Spread(request.viewer))))
        # Who hears nothing asks again, while the first may still be under way.
        _ = await asyncio.wait([asked], timeout=self.rng.choice([0.01, 1.0, 30.0, 30.0]))
        if not asked.done():
            asked.add_done_callback(_look_away)
            return None
        try:
            answer = asked.result()
        except NO_ANSWER:
            return None
        match answer:
            case Kept():
                return answer.body
            case Done():
                self._is_there(answer)
                return _render(answer)[1]
            case Refused():
                if answer.code is Refusal.OPEN_PROFILE_LIMIT:
                    self._has_none_left(request.viewer)
                return b""
            case _:
                raise Broken("A key was taken for another request's.")

    def _has_none_left(self, sender: MemberId) -> None:
        """Of free letters; the answer took some seconds. A follow-up, which counts, is no letter."""
        opened = self.shelf.now - timedelta(hours=24, minutes=2)
        if self.book.at(self.shelf.now).follow_ups:
            return
        sends = [at for at in self.shelf.free_sends[sender] if at > opened]
        if len(sends) < self.book.at(opened).open_profile_daily:
            raise Broken("Free letters ran out too early.")

    def _is_there(self, done: Done) -> None:
        if done.conversation.id not in self.shelf.memory.conversations:
            raise Broken("What was acknowledged is not there.")

    def _look_at_all(self) -> None:
        """Once more over everything, and over everything that was ever acknowledged."""
        shelf, now = self.shelf, self.shelf.now
        shelf.check(set(shelf.memory.accounts), now)
        for each in self.answered:
            assert each.answer is not None
            said = msgspec.json.decode(each.answer)
            if said["conversation"] not in shelf.memory.conversations:
                raise Broken("What was acknowledged is lost.")
            if said["message"] and shelf.bodies[each.key] != 1:
                raise Broken(
                    f"{each.key} was acknowledged, and stands {shelf.bodies[each.key]} times."
                )
        self.played.steps = asyncio.get_running_loop().steps  # pyright: ignore
        self.played.commits = shelf.commits
        self.played.member_days = self.days * MEMBERS
        ledgers = sorted((k, [repr(e) for e in v]) for k, v in shelf.memory.entries.items())
        self.played.fingerprint = crc32(repr(ledgers).encode())


def _look_away(asked: asyncio.Future[object]) -> None:
    """Nobody waits for this answer any more; what is broken is heard of all the same."""
    problem = None if asked.cancelled() else asked.exception()
    if problem is not None and not isinstance(problem, NO_ANSWER):
        asyncio.get_running_loop().call_exception_handler({"exception": problem})


def _render(done: Done) -> tuple[int, bytes]:
    said = {
        "conversation": done.conversation.id,
        "state": done.conversation.state,
        "message": done.message.id if done.message else None,
        "charge": [done.charge.credits, done.charge.pool] if done.charge else None,
    }
    return 201, msgspec.json.encode(said)


def play(seed: int, days: int = 200) -> Played:
    """Plays one seed. Raises Broken at the first promise that does not hold."""
    rng = Random(seed)
    random.seed(seed)  # what waits between two attempts is drawn by `Database` itself
    book = BOOKS[rng.choice(["early", "tight", "tight", "seed", "linkedin-premium"])]()
    start = rng.choice(STARTS)
    weather = Weather(
        rng,
        losses=rng.choice([0.0, 0.002, 0.02]),
        deaths=rng.choice([0.0, 0.002, 0.02]),
        slow=rng.choice([0.0, 0.1, 0.6]),
    )
    played = Played(seed, days)

    shelf = Shelf(book, start, weather)

    async def main() -> None:
        with ExitStack() as stack:
            for name, stands_in in (
                ("store", shelf), ("kept", shelf.kept_of), ("keep", shelf.keep),
            ):  # fmt: skip
                stack.enter_context(mock.patch.object(conversations, name, stands_in))
            await Town(rng, shelf, book, days, played).run()

    loop = VirtualLoop(rng)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        try:
            runner.run(main())
        except BaseExceptionGroup as problems:
            loop.problems.insert(0, _first(problems))
    found = [shelf.broken, *(each for each in loop.problems if not isinstance(each, NO_ANSWER))]
    for problem in found:
        if problem is not None:
            raise Broken(f"seed {seed}: {problem}") from problem
    return played


def _first(problem: BaseException) -> BaseException:
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    return problem
