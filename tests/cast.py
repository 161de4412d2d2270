"""A small town to test in: members, a clock that the test moves, and the database they live in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from overture import ids
from overture.actions import conversations, members, subscriptions
from overture.actions.conversations import Ask
from overture.core.ids import ConversationId, MemberId, MessageId
from overture.core.policy import Outcome, PolicyBook, parse
from overture.core.refusals import Refusal
from overture.core.sending import Command, Done, Refused, Respond, Start
from overture.store.db import Database, Tx

T = TypeVar("T")

POLICIES = Path(__file__).parent.parent / "policies"
SIGN_UP = datetime(2025, 1, 31, 10, tzinfo=UTC)


def policy(name: str) -> PolicyBook:
    """A policy that ships with Overture."""
    return parse((POLICIES / f"{name}.toml").read_text())


class TakenBack(Exception):
    """A no, raised so that what was written before it is rolled back, as the edge does."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


@dataclass
class Town:
    db: Database
    book: PolicyBook
    now: datetime = SIGN_UP

    def pass_by(self, **duration: float) -> datetime:
        """Moves the clock: `pass_by(days=90)`."""
        self.now += timedelta(**duration)
        return self.now

    async def do(self, verb: Callable[[Tx], Awaitable[T]]) -> T | Refusal:
        """Runs an action in its transaction; a Refusal takes back what it wrote."""

        async def work(tx: Tx) -> T:
            result = await verb(tx)
            if isinstance(result, Refusal):
                raise TakenBack(result)
            return result

        try:
            return await self.db.writing(work)
        except TakenBack as no:
            return no.refusal

    async def look(self, verb: Callable[[Tx], Awaitable[T]]) -> T:
        return await self.db.reading(verb)

    async def member(self, handle: str, **plans: str) -> MemberId:
        """A new member, subscribed to plans by pool: `member("ada", premium="premium_career")`."""
        new = members.NewMember(MemberId(ids.new()), handle, handle.title())
        made = await self.do(lambda tx: members.create(tx, new, self.now))
        assert isinstance(made, members.Profile), made
        for pool, plan in plans.items():
            chosen = await self.chooses(new.id, pool, plan)
            assert not isinstance(chosen, Refusal), chosen
        return new.id

    async def chooses(
        self, member: MemberId, pool: str, plan: str
    ) -> subscriptions.SubscriptionChange | Refusal:
        return await self.do(
            lambda tx: subscriptions.choose(tx, member, pool, plan, now=self.now, book=self.book)
        )

    async def cancels(
        self, member: MemberId, pool: str, at: str = "period_end"
    ) -> subscriptions.SubscriptionChange | Refusal:
        when = subscriptions.CancelAt(at)
        return await self.do(
            lambda tx: subscriptions.cancel(tx, member, pool, when, now=self.now, book=self.book)
        )

    async def acts(self, command: Command) -> Done | Refused:
        answers = await self.db.writing(
            lambda tx: conversations.act(tx, [Ask(command)], self.now, self.book)
        )
        assert isinstance(answers[0], Done | Refused)
        return answers[0]

    async def sends(
        self, sender: MemberId, to: MemberId, pool: str | None = None
    ) -> ConversationId | Refusal:
        """Writes to a member; the conversation's id, or the no."""
        conversation, message = ConversationId(ids.new()), MessageId(ids.new())
        answer = await self.acts(Start(sender, to, conversation, message, "Hello", pool=pool))
        return answer.conversation.id if isinstance(answer, Done) else answer.code

    async def accepts(self, viewer: MemberId, conversation: ConversationId) -> Done | Refused:
        return await self.acts(Respond(viewer, conversation, Outcome.ACCEPTED))


@asynccontextmanager
async def town_in(database_url: str, book: PolicyBook | None = None) -> AsyncIterator[Town]:
    db = await Database.open(database_url, connections=4)
    try:
        yield Town(db, book or policy("seed"))
    finally:
        await db.close()
