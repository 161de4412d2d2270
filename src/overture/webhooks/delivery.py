"""Delivers events to the endpoints of webhooks, each of which has a queue of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from overture import ids
from overture.actions.webhooks import BY_ITSELF, By, Planned, endpoint_of, queue_of, write_down
from overture.clock import real_now
from overture.core.jobs import Again, Done, Job, Outcome, wait_after
from overture.core.text import BadText
from overture.core.webhooks import endpoint_url, signatures
from overture.store import webhooks as store
from overture.store.db import Database, Tx
from overture.store.idempotency import OPERATOR
from overture.store.webhooks import Endpoint, Try

if TYPE_CHECKING:
    from overture.outward import Outward

AT_ONCE = 16
# Longer than a request may take.
SECONDS = 20


@dataclass(frozen=True, slots=True)
class Delivered(Done):
    """It was taken, with this status."""

    status: int
    milliseconds: int


@dataclass(frozen=True, slots=True)
class Failed(Again):
    """It was not taken; without a status there was no answer."""

    status: int | None
    milliseconds: int


@dataclass(frozen=True, slots=True)
class NotTried(Again):
    """It was not even tried, which is nothing to log."""


@dataclass(slots=True)
class Deliveries:
    """`look` tells which endpoints there are; then `deliver` does their jobs, and `told` logs them."""

    db: Database
    allowed_hosts: frozenset[str]
    # As of the last look, which whoever works off queues takes twice a second.
    _endpoints: dict[str, Endpoint] = field(default_factory=dict[str, Endpoint])
    _outward: Outward | None = None

    async def look(self) -> Collection[str]:
        """The queues of the endpoints that are enabled now."""
        found = await self.db.reading(store.enabled)
        self._endpoints = {queue_of(each.id): each for each in found}
        return self._endpoints.keys()

    @asynccontextmanager
    async def connected(self, queue: str) -> AsyncGenerator[None]:
        """Keeps the connections to an endpoint open meanwhile."""
        endpoint = self._endpoints.get(queue)
        if endpoint is None:
            yield
            return
        async with self._out().session(endpoint.url):
            yield

    async def deliver(self, job: Job) -> Outcome:
        """One try. To the endpoint as it is now: its address, its secrets."""
        endpoint = self._endpoints.get(job.queue)
        if endpoint is None:
            return NotTried("The endpoint is disabled.")
        # Judged anew: what the setting allows may have changed since.
        url = endpoint_url(endpoint.url, self.allowed_hosts)
        if isinstance(url, BadText):
            return Failed(url.sentence, None, 0)
        planned = _planned(job.payload)
        body = bytes(planned.body)
        timestamp, signature = signatures(endpoint.secrets, planned.webhook_id, body, real_now())
        headers = {
            "Content-Type": "application/json",
            "webhook-id": planned.webhook_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": signature,
        }
        loop = asyncio.get_running_loop()
        began = loop.time()
        answer = await self._out().post(url, headers, body)
        took = int((loop.time() - began) * 1000)
        if not isinstance(answer, int):
            return Failed(answer.why, None, took)
        if 200 <= answer < 300:
            return Delivered(answer, took)
        return Failed(_refused(answer), answer, took)

    async def told(self, tx: Tx, became: Sequence[tuple[Job, Outcome]], now: datetime) -> None:
        """Logs tries of one queue, in the transaction that takes jobs off; may disable the endpoint."""
        tried = [each for each in became if not isinstance(each[1], NotTried)]
        if not tried:
            return
        queue = tried[0][0].queue
        tries = [_try(job, outcome) for job, outcome in tried]
        by = By(BY_ITSELF, ids.new(), now)
        if await write_down(tx, endpoint_of(queue), tries, real_now=real_now(), by=by):
            _ = self._endpoints.pop(queue, None)

    def _out(self) -> Outward:
        if self._outward is None:
            # Imported late: it takes a quarter of a second that installations without webhooks save.
            from overture.outward import Outward  # noqa: PLC0415

            self._outward = Outward(self.allowed_hosts)
        return self._outward


class _Body(msgspec.Struct):
    type: str


_planned = msgspec.json.Decoder(Planned).decode
_body = msgspec.json.Decoder(_Body).decode


def _refused(status: int) -> str:
    told = f"It answered {status}."
    return f"{told} Redirects are not followed." if 300 <= status < 400 else told


def _try(job: Job, outcome: Outcome) -> Try:
    planned = _planned(job.payload)
    known = outcome if isinstance(outcome, (Delivered, Failed)) else None
    became = store.Outcome.DELIVERED
    if not isinstance(outcome, Done):
        last = wait_after(job.tries, 0.5) is None
        became = store.Outcome.GIVEN_UP if last else store.Outcome.FAILED
    return Try(
        webhook_id=planned.webhook_id,
        event=planned.event,
        type=_body(planned.body).type,
        member=None if job.owner == OPERATOR else job.owner,
        tries=job.tries,
        outcome=became,
        status=None if known is None else known.status,
        problem=outcome.why if isinstance(outcome, Again) else None,
        milliseconds=0 if known is None else known.milliseconds,
    )
