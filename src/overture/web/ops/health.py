"""How the installation fares: its figures now, and what the doctor finds."""

from collections.abc import Sequence

from overture.core.findings import Finding, worst
from overture.core.text import Sentence
from overture.store import metrics
from overture.web.ops.jobs import queue_of
from overture.web.ops.sections import Section
from overture.web.visit import ANEW, Absent, Answer, Page, Visit, Who, page

SECTION = Section("health", icon="heart-pulse", label=Sentence("Health"))


@page("/ops/health", who=Who.OPERATOR)
async def health(visit: Visit) -> Answer:
    state = await metrics.state(visit.tx, visit.now)
    values = {
        "state": state,
        "queues": [queue_of(visit, each) for each in state.waiting],
        "streams": visit.site.hub.streams,
    }
    return Page("ops/health.html", values, parts={ANEW: "ops/patches/health.html"})


@page("/ops/health/examined", who=Who.OPERATOR, transaction=False)
async def examined(visit: Visit) -> Answer:
    """Takes as long as what is asked takes to answer, some twenty seconds at most."""
    if visit.site.examine is None:
        raise Absent
    found: Sequence[Finding] = await visit.site.examine()
    return Page("ops/health_examined.html", {"found": found, "worst": worst(found)})
