"""What every face works with: made once by the server, shared by the API and the web app."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import IO
from weakref import WeakKeyDictionary

from overture import figures, tracing
from overture.actions.conversations import Ask, KeyReused, act
from overture.actions.export import export
from overture.actions.lanes import Lanes, Overloaded, Traced, Turns
from overture.actions.payments import Dealing
from overture.clock import Clock, real_now
from overture.core.ids import MemberId
from overture.core.pace import Pace, Paced
from overture.core.policy import PolicyBook
from overture.core.sending import Answer, Done
from overture.live.hub import Hub
from overture.store.db import Database, Tx
from overture.store.idempotency import Kept

# While one waits for the database, the other decides.
LANES = 2
# Of ten connections of a process, so that pages are left some.
EXPORTS_AT_ONCE, EXPORTS_WAITING = 2, 50
# They lie on the disk until they were fetched, however slowly: so many of all members', and of one.
EXPORTS_FETCHED, EXPORTS_FETCHED_BY_ONE = 20, 2
SEARCHES_AT_ONCE, SEARCHES_WAITING = 4, 100


class Forged(Exception):
    """What came in a payment provider's name does not come from it."""


class NotUnderstood(Exception):
    """What a payment provider told is not of a form that is known; the text says what is not."""


@dataclass(frozen=True, slots=True)
class Payments:
    """The payment provider, where there is one: it and the operator alone change subscriptions.

    `receive` takes the body and the signature of an event and says what became of it; it raises Forged,
    NotUnderstood and Unavailable. The addresses are where members go to pay, and to change what they
    pay for; see `web.plans` for the placeholders in them.
    """

    provider: str
    dealing: Dealing
    checkout_url: str | None
    portal_url: str | None
    receive: Callable[[bytes, str], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Shared:
    """`sends` gathers what is done in conversations, whoever asks for it; `hub` tells of what was done,
    once it is started. `play` moves a test clock, and returns once all that falls due on the way is
    done. Without `payments` members choose and change plans at no charge. `pace` is how fast they may
    begin letters to strangers. What packs a member's data, or searches, takes its turn among `exports`
    or `searches`; what is packed and being fetched is in `fetched`."""

    db: Database
    clock: Clock
    book: PolicyBook
    sends: Lanes[Ask, Answer | Kept | KeyReused]
    hub: Hub
    play: Callable[[datetime], Awaitable[None]]
    payments: Payments | None
    pace: Pace
    exports: Turns
    fetched: WeakKeyDictionary[IO[bytes], MemberId]
    searches: Turns

    def paced(self) -> Paced:
        """A wish of a member's own to write, as it comes now."""
        return Paced(self.pace, real_now())

    async def instant(self) -> datetime:
        """The instant now, for what opens no transaction of its own."""
        return self.clock.at_once() or await self.db.reading(self.clock.now)

    async def export(self, member: MemberId) -> IO[bytes]:
        """All about a member, in one file. Raises lanes.Overloaded."""

        async def pack(tx: Tx) -> IO[bytes]:
            return await export(tx, member, await self.clock.now(tx), self.book)

        async with self.exports.turn():
            by_member = list(self.fetched.values()).count(member)
            if len(self.fetched) >= EXPORTS_FETCHED or by_member >= EXPORTS_FETCHED_BY_ONE:
                raise Overloaded
            packed = await self.db.reading(pack)
        self.fetched[packed] = member
        return packed

    async def send_alone(self, ask: Ask) -> Answer | Kept | KeyReused:
        """The same as through `sends`, in a transaction of its own: what takes long, such as a message
        with files, holds up nobody else's."""

        async def work(tx: Tx) -> Answer | Kept | KeyReused:
            return (await act(tx, [ask], await self.clock.now(tx), self.book))[0]

        answer = await self.db.writing(work)
        figures.sent([_became(ask, answer)])
        return answer


def share(
    db: Database,
    clock: Clock,
    book: PolicyBook,
    play: Callable[[datetime], Awaitable[None]],
    payments: Payments | None = None,
    *,
    pace: Pace | None = None,
) -> Shared:
    async def send(asks: Sequence[Ask]) -> Sequence[Answer | Kept | KeyReused]:
        async def work(tx: Tx) -> Sequence[Answer | Kept | KeyReused]:
            return await act(tx, asks, await clock.now(tx), book)

        answers = await db.writing(work)
        figures.sends(list(map(_became, asks, answers)))
        return answers

    db.counted = figures.committed
    return Shared(
        db=db,
        clock=clock,
        book=book,
        sends=Lanes(
            send,
            lanes=LANES,
            traced=Traced(tracing.here, tracing.batch) if tracing.is_on() else None,
        ),
        hub=Hub(db),
        play=play,
        payments=payments,
        pace=pace or Pace(),
        exports=Turns(EXPORTS_AT_ONCE, waiting_max=EXPORTS_WAITING),
        fetched=WeakKeyDictionary(),
        searches=Turns(SEARCHES_AT_ONCE, waiting_max=SEARCHES_WAITING),
    )


def _became(ask: Ask, answer: Answer | Kept | KeyReused) -> tuple[str, str]:
    """A command and what became of it, as the figures name them."""
    match answer:
        case Done():
            outcome = "done"
        case Kept():
            outcome = "repeated"
        case KeyReused():
            outcome = "key_reused"
        case _:
            outcome = str(answer.code)
    return type(ask.command).__name__.lower(), outcome
