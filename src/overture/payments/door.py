"""The door by which a provider's events come in, and what falls due of them, with its audit log."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from overture import ids
from overture.actions import payments
from overture.actions.payments import WRONG, Dealing, Note, Taken
from overture.clock import Clock
from overture.context import NotUnderstood, Payments
from overture.core.jobs import DONE, Again, Job, Outcome
from overture.core.payments import Offers
from overture.core.policy import PolicyBook
from overture.payments import stripe
from overture.store import audit
from overture.store.db import Database, Tx

log = logging.getLogger(__name__)

# Who acts, in the audit log.
ACTOR = "stripe"
IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Setup:
    """What the settings say of the provider; of plain values, to be passed on to processes."""

    webhook_secret: str = field(repr=False)
    plans: dict[str, str]
    grace_days: int
    api_key: str | None = field(default=None, repr=False)
    checkout_url: str | None = None
    portal_url: str | None = None

    @property
    def dealing(self) -> Dealing:
        return Dealing(Offers(self.plans), timedelta(days=self.grace_days))

    @property
    def client(self) -> stripe.Client | None:
        return None if self.api_key is None else stripe.Client(self.api_key)


def open_door(setup: Setup, db: Database, clock: Clock, book: PolicyBook) -> Payments:
    """What the faces work with."""

    async def receive(body: bytes, signature: str) -> str:
        await stripe.check(body, signature, setup.webhook_secret)
        try:
            event = stripe.event_of(body)
        except NotUnderstood as problem:
            log.error("an event of Stripe's is not understood, and will come again: %s", problem)
            raise
        if event is None:
            return IGNORED

        async def work(tx: Tx) -> Taken:
            now = await clock.now(tx)
            taken = await payments.take(tx, event, setup.dealing, now=now, book=book)
            await record(tx, taken.notes, now)
            return taken

        taken = await db.writing(work)
        wrong = any(note.action in WRONG for note in taken.notes)
        level = logging.WARNING if wrong else logging.INFO
        log.log(level, "%s %s: %s", event.kind, event.id, taken.became)
        return taken.became

    return Payments(
        provider=stripe.NAME,
        dealing=setup.dealing,
        checkout_url=setup.checkout_url,
        portal_url=setup.portal_url,
        receive=receive,
    )


@dataclass(frozen=True, slots=True)
class Bookkeeper:
    """Does what falls due of contracts. `client` is None where Stripe may only speak to us."""

    dealing: Dealing
    client: stripe.Client | None
    db: Database
    clock: Clock
    book: PolicyBook

    async def look(self, tx: Tx, due: Sequence[Job], now: datetime) -> Sequence[Outcome]:
        """Follows contracts whose grace or time is over."""
        outcomes, notes = await payments.look(tx, due, self.dealing, now, self.book)
        await record(tx, notes, now)
        return outcomes

    async def end(self, job: Job) -> Outcome:
        """Cancels the contracts of an account that was closed, or says that somebody must."""
        contracts = await self.db.reading(lambda tx: payments.running(tx, job.owner))
        for contract in contracts if self.client else ():
            assert self.client is not None
            if (why := await self.client.cancel(contract)) is not None:
                return Again(why)

        async def write_down(tx: Tx) -> None:
            action = "payments.contract_canceled" if self.client else "payments.contract_runs_on"
            notes = [Note(action, job.owner, {"contract": each}) for each in contracts]
            await record(tx, notes, await self.clock.now(tx))

        await self.db.writing(write_down)
        if contracts and not self.client:
            log.warning("a closed account still pays: cancel %s with Stripe", ", ".join(contracts))
        return DONE


async def record(tx: Tx, notes: Sequence[Note], now: datetime) -> None:
    """Puts what happened into the audit log."""
    for note in notes:
        await audit.record(
            tx,
            ids.new(),
            now,
            actor=ACTOR,
            action=note.action,
            member=note.member,
            detail=note.detail,
        )
