"""Has members' browsers show what happened, each by the service that takes notices for it.

A notice says who wrote, never what. It is told with what is true when it goes; no transaction is open
while a service has it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from overture.actions import notifying
from overture.actions.notifying import Pushing
from overture.clock import Clock, real_now
from overture.core.jobs import DONE, Again, Done, Hopeless, Job, Outcome
from overture.core.notifying import Kind
from overture.core.policy import PolicyBook
from overture.core.push import HOLDS, PushAddress, topic
from overture.core.seals import Secret
from overture.core.text import BadText
from overture.core.webhooks import endpoint_url
from overture.headlines import headline, path
from overture.push.encryption import NoSuchKey, sealed
from overture.store import push as store
from overture.store.db import Database, Tx
from overture.words import DEFAULT, words_of

if TYPE_CHECKING:
    from overture.outward import Outward

AT_ONCE = 16
# Longer than a request may take.
SECONDS = 20

_GONE = (404, 410)
_LATER = (408, 429)
# How much a battery should be spared (RFC 8030), where that is not as usual.
_URGENCY = {
    Kind.SECURITY: "high",
    Kind.NETWORK: "low",
    Kind.CREDITS: "low",
    Kind.PLANS: "low",
}


@dataclass(frozen=True, slots=True)
class Pushed(Done):
    """A service took it; else it is done because there was nothing to tell any more."""


@dataclass(slots=True)
class Pushes:
    """`contact` is where services may complain about us: an address of mail or of the site."""

    db: Database
    clock: Clock
    book: PolicyBook
    secret: Secret
    contact: str
    allowed_hosts: Collection[str]
    _outward: Outward | None = None

    async def notice(self, job: Job) -> Outcome:
        """One try, in one browser."""

        async def look(tx: Tx) -> tuple[Pushing | None, datetime]:
            now = await self.clock.now(tx)
            return await notifying.pushed(tx, job.owner, job.payload, now, self.book), now

        told, now = await self.db.reading(look)
        if told is None or now - job.due_at > HOLDS:
            return DONE
        address = told.reader.address
        # Judged anew: what the setting allows may have changed since.
        if isinstance(endpoint_url(address.endpoint, self.allowed_hosts), BadText):
            return await self._without(address)
        about = _about(told, job)
        text = _text(told, about, self.book, now)
        try:
            request = await sealed(
                text, address, secret=self.secret, contact=self.contact, now=real_now()
            )
        except NoSuchKey:
            return await self._without(address)
        headers = {
            **request.headers,
            "TTL": str(int(HOLDS.total_seconds())),
            "Topic": topic(about),
            "Urgency": _URGENCY.get(told.kind, "normal"),
        }
        answer = await self._out().post(address.endpoint, headers, request.body)
        if not isinstance(answer, int):
            return Again(answer.why)
        if answer in _GONE:
            return await self._without(address)
        if 200 <= answer < 300:
            return Pushed()
        why = f"The push service answered {answer}."
        return Hopeless(why) if 400 <= answer < 500 and answer not in _LATER else Again(why)

    async def _without(self, address: PushAddress) -> Outcome:
        await self.db.writing(lambda tx: store.drop_place(tx, address.endpoint))
        return DONE

    def _out(self) -> Outward:
        if self._outward is None:
            # Imported late: it takes a quarter of a second that installations without it save.
            from overture.outward import Outward  # noqa: PLC0415

            self._outward = Outward(self.allowed_hosts)
        return self._outward


class _Notice(msgspec.Struct):
    """As `static/js/sw.js` reads it. A device shows one of a `tag`: the last."""

    title: str
    url: str
    tag: str
    lang: str
    dir: str


def _about(told: Pushing, job: Job) -> str:
    """What the notice is about: a later one of the same conversation takes its place."""
    place = path(told.news)
    return place if place.startswith("/inbox/") else job.key


def _text(told: Pushing, about: str, book: PolicyBook, now: datetime) -> bytes:
    words = words_of(told.reader.language or DEFAULT, told.reader.time_zone)
    title = headline(told.news, words, book.at(now), now)
    notice = _Notice(title, path(told.news), about, words.language, words.direction)
    return msgspec.json.encode(notice)
