"""A real server with a database of its own, and the members who live there.

What a test only needs to be there is made by the actions, at once; what it is about happens in a
browser. The clock is a test clock: it stands, and moves when a test says so.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from threading import Thread
from typing import Any, TypeVar

from argon2 import PasswordHasher

from overture import ids
from overture.actions import members, network, subscriptions
from overture.core import seals
from overture.core.ids import ConversationId, MemberId, MessageId
from overture.core.policy import PolicyBook
from overture.core.refusals import Refusal
from overture.core.sending import Command, Done, Respond, Start, Write
from overture.store import accounts, installation, mailboxes, sessions
from overture.store.db import Tx
from tests.cast import Town, town_in
from tests.running import Running, serving

T = TypeVar("T")

NOW = datetime(2026, 11, 25, 10, tzinfo=UTC)

PASSWORD = "a password that only tests have"
# Cheaply: what it costs to guess plays no part here.
_HASHED = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)

# No two members of a run have the same one, so that a search finds whom it means.
_SYLLABLES = ("ba", "do", "fe", "gu", "hi", "ka", "lo", "me", "nu", "ri")
_SURNAMES = ("".join(each).title() for each in itertools.product(_SYLLABLES, repeat=3))


@dataclass(frozen=True)
class Member:
    id: MemberId
    handle: str
    name: str

    @property
    def profile(self) -> str:
        return f"/in/{self.handle}"


class Network:
    """The members of a served Overture. Its methods return when what they do is committed."""

    def __init__(self, running: Running, run: Callable[[Coroutine[Any, Any, T]], T], town: Town):
        self.address = running.address
        self._run = run
        self._town = town
        self._secrets: dict[MemberId, str] = {}

    @property
    def now(self) -> datetime:
        return self._town.now

    @property
    def book(self) -> PolicyBook:
        return self._town.book

    def member(self, first: str, **details: Any) -> Member:
        """A new member with an account; `premium="premium_career"` and the like are plans by pool."""
        surname = next(_SURNAMES)
        pools = {name: details.pop(name) for name in list(details) if name in _POOLS}
        preferences = {name: details.pop(name) for name in list(details) if name in _PREFERENCES}
        new = members.NewMember(
            MemberId(ids.new()), f"{first}-{surname}".lower(), f"{first} {surname}", **details
        )

        async def join(tx: Tx) -> None:
            made = await members.create(tx, new, self.now)
            assert isinstance(made, members.Profile), made
            await _open_account(tx, new.id, new.handle)

        self.do(join)
        for pool, plan in pools.items():
            self.subscribe(new.id, pool, plan)
        if preferences:
            changes = members.PreferenceChanges(**preferences)
            self.do(lambda tx: members.change_preferences(tx, new.id, changes, self.now))
        return Member(new.id, new.handle, new.name)

    def known(self, handle: str) -> Member:
        """A member who is there already; with an account, if they had none."""

        async def find(tx: Tx) -> Member:
            query = "select id, name from members where handle = %s"
            row = await (await tx.execute(query, (handle,))).fetchone()
            assert row, handle
            if await accounts.of(tx, MemberId(row[0])) is None:
                await _open_account(tx, row[0], handle)
            return Member(row[0], handle, row[1])

        return self.do(find)

    def subscribe(self, member: MemberId, pool: str, plan: str) -> None:
        book = self._town.book
        self.do(lambda tx: subscriptions.choose(tx, member, pool, plan, now=self.now, book=book))

    def session(self, member: Member) -> str:
        """The cookie of a browser that is signed in as this member."""
        secret = f"session-{ids.new()}"
        digest = sha256(secret.encode()).hexdigest()
        self.do(
            lambda tx: sessions.add(
                tx, member.id, session=ids.new(), sha256=digest, client="", agent="a test"
            )
        )
        return secret

    def letter(
        self, sender: Member, to: Member, body: str = "Shall we talk?", subject: str = ""
    ) -> ConversationId:
        """Writes to a member, however the rules allow."""
        start = Start(
            sender.id, to.id, ConversationId(ids.new()), MessageId(ids.new()), body, subject
        )
        return self.act(start).conversation.id

    def answer_link(self, member: Member, conversation: ConversationId, answer: str = "") -> str:
        """Where a mail about a letter leads to, for who wants to answer it at once."""

        async def seal(tx: Tx) -> str:
            secret = await installation.secret(tx)
            assert secret
            mailbox = (await mailboxes.of(tx, [member.id]))[member.id]
            return seals.for_answer(
                secret,
                member=member.id,
                conversation=conversation,
                address=mailbox.address,
                until=self.now + seals.ANSWER_LINKS_HOLD,
            )

        return f"/answer/{self.do(seal)}" + (f"?with={answer}" if answer else "")

    def unsubscribe_link(self, member: Member, kind: str) -> str:
        """Where a mail leads to for who wants no more like it."""
        secret = self.do(installation.secret)
        assert secret
        seal = seals.for_unsubscribing(secret, member=member.id, kind=kind)
        return f"/unsubscribe/{seal}"

    def answers(self, member: Member, conversation: ConversationId, outcome: Any) -> None:
        self.act(Respond(member.id, conversation, outcome))

    def writes(self, member: Member, conversation: ConversationId, body: str) -> None:
        self.act(Write(member.id, conversation, MessageId(ids.new()), body))

    def act(self, command: Command) -> Done:
        answer = self._run(self._town.acts(command))
        assert isinstance(answer, Done), answer
        return answer

    def connect(self, one: Member, other: Member) -> None:
        self.do(lambda tx: network.upsert_pairs(tx, [(one.id, other.id)], self.now))

    def block(self, viewer: Member, other: Member) -> None:
        self.do(lambda tx: network.block(tx, viewer.id, other.id, self.now))

    def days_pass(self, days: float) -> None:
        now = self._town.pass_by(days=days)
        self.do(lambda tx: installation.set_test_clock(tx, now))

    def do(self, verb: Callable[[Tx], Awaitable[T]]) -> T:
        """Runs an action in its transaction. A no is a fault of the test."""
        answer = self._run(self._town.do(verb))
        assert not isinstance(answer, Refusal), answer
        return answer

    def count(self, query: str, *values: object) -> int:
        """The one number that a query gives."""
        return int(self.text(query, *values))

    def text(self, query: str, *values: object) -> str:
        """The one value that a query gives."""

        async def look(tx: Tx) -> str:
            row = await (await tx.execute(query, values)).fetchone()  # pyright: ignore[reportArgumentType]
            assert row, query
            return str(row[0])

        return self._run(self._town.look(look))


async def _open_account(tx: Tx, member: MemberId, handle: str) -> None:
    email = f"{handle}@overture.example"
    await accounts.take_address(tx, email, member)
    await accounts.add(tx, member, email=email, password=_HASHED, verified=True)


_POOLS = ("premium", "recruiter", "sales_navigator")
_PREFERENCES = frozenset(members.PreferenceChanges.__dataclass_fields__)


@contextmanager
def served(database_url: str, *options: object) -> Iterator[Network]:
    with serving(
        *("--database-url", database_url, "--test-clock", f"{NOW:%Y-%m-%dT%H:%M:%SZ}"),
        *("--accept-unsafe-database", *options),
    ) as running:
        loop = asyncio.new_event_loop()
        # Playwright has the event loop of the tests' own thread.
        thread = Thread(target=loop.run_forever, daemon=True)
        thread.start()

        def run(work: Coroutine[Any, Any, T]) -> T:
            future: Future[T] = asyncio.run_coroutine_threadsafe(work, loop)
            # The demo's year takes a while where everything else wants the processor too.
            return future.result(600)

        opened = town_in(database_url)
        town = run(opened.__aenter__())
        town.now = NOW
        try:
            yield Network(running, run, town)
        finally:
            run(opened.__aexit__(None, None, None))
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            loop.close()
