"""What the API works with: made once by the server, given to every operation."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from overture.actions.lanes import Lane
from overture.context import Shared
from overture.core.webhooks import host_name
from overture.limits import RateLimit
from overture.store.callers import Presented, Token, tokens_of


@dataclass(frozen=True, slots=True)
class Context(Shared):
    """`callers` gathers the look-ups of tokens; `webhook_allow_hosts` may lie where others may not."""

    callers: Lane[Presented, Token | None]
    requests: RateLimit
    writes: RateLimit
    webhook_allow_hosts: frozenset[str]

    async def drain(self) -> None:
        """Returns when nothing is under way in the lanes any more."""
        await self.sends.drain()
        await self.callers.drain()


def make_context(
    shared: Shared,
    *,
    requests_per_minute: int = 600,
    writes_per_minute: int = 120,
    webhook_allow_hosts: Collection[str] = (),
) -> Context:
    """Builds the look-up and the limits. A limit is one of a member's token; 0 is none."""
    db = shared.db

    async def look_up(presented: Sequence[Presented]) -> Sequence[Token | None]:
        return await db.reading(lambda tx: tokens_of(tx, presented))

    return Context(
        db=db,
        clock=shared.clock,
        book=shared.book,
        sends=shared.sends,
        hub=shared.hub,
        play=shared.play,
        payments=shared.payments,
        pace=shared.pace,
        exports=shared.exports,
        fetched=shared.fetched,
        searches=shared.searches,
        callers=Lane(look_up),
        requests=RateLimit(requests_per_minute),
        writes=RateLimit(writes_per_minute),
        webhook_allow_hosts=frozenset(map(host_name, webhook_allow_hosts)),
    )
