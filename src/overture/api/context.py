"""What the API works with: made once by the app, given to every operation."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from overture.actions.conversations import Ask, KeyReused, act
from overture.actions.lanes import Lane, Lanes
from overture.api.limits import RateLimit
from overture.clock import Clock, RealClock, real_now
from overture.core.policy import PolicyBook
from overture.core.sending import Answer
from overture.store.callers import Presented, Token, tokens_of
from overture.store.db import Database, Tx
from overture.store.idempotency import Kept

# While one waits for the database, the other decides.
LANES = 2


@dataclass(frozen=True, slots=True)
class Context:
    """`sends` gathers what is done in conversations, `callers` the look-ups of tokens."""

    db: Database
    clock: Clock
    book: PolicyBook
    sends: Lanes[Ask, Answer | Kept | KeyReused]
    callers: Lane[Presented, Token | None]
    requests: RateLimit
    writes: RateLimit

    async def instant(self) -> datetime:
        """The instant now, for what opens no transaction of its own."""
        if isinstance(self.clock, RealClock):
            return real_now()
        return await self.db.reading(self.clock.now)

    async def drain(self) -> None:
        """Returns when nothing is under way in the lanes any more."""
        await self.sends.drain()
        await self.callers.drain()


def make_context(
    db: Database,
    clock: Clock,
    book: PolicyBook,
    *,
    requests_per_minute: int = 600,
    writes_per_minute: int = 120,
) -> Context:
    """Builds the lanes and limits. A limit is one of a member's token; 0 is none."""

    async def send(asks: Sequence[Ask]) -> Sequence[Answer | Kept | KeyReused]:
        async def work(tx: Tx) -> Sequence[Answer | Kept | KeyReused]:
            return await act(tx, asks, await clock.now(tx), book)

        return await db.writing(work)

    async def look_up(presented: Sequence[Presented]) -> Sequence[Token | None]:
        return await db.reading(lambda tx: tokens_of(tx, presented))

    return Context(
        db=db,
        clock=clock,
        book=book,
        sends=Lanes(send, lanes=LANES),
        callers=Lane(look_up),
        requests=RateLimit(requests_per_minute),
        writes=RateLimit(writes_per_minute),
    )
