"""Due work: what waits in each queue, what fails, and what was given up, which can be done again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from overture import ids
from overture.actions import jobs as actions
from overture.actions import notifying, payments, reminders, watching, webhooks
from overture.core.text import Sentence
from overture.store import jobs as store
from overture.store import mails
from overture.store.jobs import Failing, Parked, Waiting
from overture.web.ops.people import Named, named
from overture.web.ops.sections import Section, actor
from overture.web.visit import ANEW, Answer, Done, No, Page, Visit, Who, act, page
from overture.words import Words

SECTION = Section("jobs", icon="list-todo", label=Sentence("Jobs"))

ROWS = 50
# Of what fails in one way there is mostly much, and of ways few.
FAILING = 20
_BIGINT = 2**63


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue in words; `waits` is for how long its oldest job is due, empty where none is."""

    found: Waiting
    label: str
    waits: str


@dataclass(frozen=True, slots=True)
class Fails:
    """What fails in one way, and in which queue."""

    found: Failing
    label: str


@dataclass(frozen=True, slots=True)
class Row:
    """A job that was given up, and whose it is; None where it is nobody's."""

    job: Parked
    label: str
    whose: Named | None


@page("/ops/jobs", who=Who.OPERATOR)
async def jobs(visit: Visit) -> Answer:
    parked = await store.parked(visit.tx, cursor=visit.query.get("cursor") or None, limit=ROWS)
    queues = await store.waiting(visit.tx, visit.now)
    values: dict[str, Any] = {
        "queues": [queue_of(visit, each) for each in queues],
        "failing": [
            Fails(each, _label(visit.words, each.queue))
            for each in await store.failing(visit.tx, limit=FAILING)
        ],
        "rows": await _rows(visit, parked.items),
        "given_up": sum(each.parked for each in queues),
        "next": parked.next and f"/ops/jobs?{urlencode({'cursor': parked.next})}",
        "first": "cursor" in visit.query,
    }
    return Page("ops/jobs.html", values, parts={ANEW: "ops/patches/jobs.html"})


@act("/ops/jobs/{number:int}/replay", who=Who.OPERATOR)
async def replay(visit: Visit) -> Answer:
    number = int(visit.path["number"])
    if not (number < _BIGINT and await _replay(visit, number)):
        return No(visit.words.gettext("That was done again already."), 404, "/ops/jobs")
    return Done("/ops/jobs", notice=visit.words.gettext("It is done again, from its first try."))


@act("/ops/jobs/replay", who=Who.OPERATOR)
async def replay_all(visit: Visit) -> Answer:
    count = await _replay(visit, None)
    notice = visit.words.ngettext(
        "%(num)s job is done again, from its first try.",
        "%(num)s jobs are done again, each from its first try.",
        count,
    )
    return Done("/ops/jobs", notice=notice % {"num": visit.words.number(count)})


async def _replay(visit: Visit, number: int | None) -> int:
    return await actions.replay(
        visit.tx, number, actor=actor(visit), audit_id=ids.new(), now=visit.now
    )


async def _rows(visit: Visit, found: Sequence[Parked]) -> list[Row]:
    names = await named(visit.tx, [each.owner for each in found])
    return [Row(each, _label(visit.words, each.queue), names.get(each.owner)) for each in found]


def queue_of(visit: Visit, found: Waiting) -> Queue:
    return Queue(
        found, _label(visit.words, found.queue), _waits(visit.words, found.oldest_due_at, visit.now)
    )


def _waits(words: Words, since: datetime | None, now: datetime) -> str:
    return "" if since is None else words.span(max(now - since, now - now))


def _label(words: Words, queue: str) -> str:
    """What a queue does; empty where its name alone can say it."""
    if queue.startswith(webhooks.QUEUE_PREFIX):
        return words.gettext("Deliveries to an endpoint")
    return _said(words).get(queue, "")


def _said(words: Words) -> Mapping[str, str]:
    _ = words.gettext
    return {
        "events": _("Work made of what happened"),
        mails.QUEUE: _("Mails that accounts need"),
        mails.TO_OPERATOR: _("Mails to you"),
        mails.FORGET: _("Mails in a folder, of who left"),
        notifying.QUEUE: _("Mails of what happened"),
        notifying.SAFETY: _("Mails about the safety of accounts"),
        notifying.DIGEST: _("Digests"),
        notifying.PUSH: _("Notices on devices"),
        payments.QUEUE: _("Bookings of payments"),
        payments.ENDINGS: _("Contracts to end at the payment provider"),
        reminders.QUEUE: _("Reminders of letters"),
        watching.QUEUE: _("Credits to tell of"),
        webhooks.REPLAYS: _("Replays for endpoints"),
        webhooks.ENDINGS: _("What is left of deleted endpoints"),
    }
