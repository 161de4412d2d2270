"""How the installation fares: its figures now, and what the doctor finds."""

from collections.abc import Sequence
from dataclasses import dataclass

from overture.core.findings import Finding, worst
from overture.core.text import Sentence
from overture.store import metrics
from overture.web.ops.sections import Section
from overture.web.visit import ANEW, Absent, Answer, Page, Visit, Who, page

SECTION = Section("health", icon="heart-pulse", label=Sentence("Health"))


@dataclass(frozen=True, slots=True)
class Queue:
    """Due work of one kind: how many are due, failing and given up, and for how many seconds the
    oldest has been due."""

    name: str
    due: int
    failing: int
    parked: int
    seconds: int


@page("/ops/health", who=Who.OPERATOR)
async def health(visit: Visit) -> Answer:
    state = await metrics.state(visit.tx, visit.now)
    queues = [
        Queue(
            each.queue,
            each.due,
            each.failing,
            each.parked,
            int(max(0.0, (visit.now - each.oldest_due_at).total_seconds()))
            if each.oldest_due_at
            else 0,
        )
        for each in state.waiting
    ]
    values = {"state": state, "queues": queues, "streams": visit.site.hub.streams}
    return Page("ops/health.html", values, parts={ANEW: "ops/patches/health.html"})


@page("/ops/health/examined", who=Who.OPERATOR, transaction=False)
async def examined(visit: Visit) -> Answer:
    """Takes as long as what is asked takes to answer, some twenty seconds at most."""
    if visit.site.examine is None:
        raise Absent
    found: Sequence[Finding] = await visit.site.examine()
    return Page("ops/health_examined.html", {"found": found, "worst": worst(found)})
