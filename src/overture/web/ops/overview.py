"""The overview: what waits for an operator, and what went on within a day."""

from datetime import timedelta
from typing import Any

from overture.core.text import Sentence
from overture.store import console, decisions, jobs, verifications, webhooks
from overture.web.ops.sections import Section
from overture.web.visit import ANEW, Answer, Page, Visit, Who, page

SECTION = Section("overview", icon="gauge", label=Sentence("Overview"))

SPAN = timedelta(days=1)


@page("/ops/overview", who=Who.OPERATOR)
async def overview(visit: Visit) -> Answer:
    _ = visit.words.gettext
    waiting = await decisions.waiting(visit.tx)
    lately = await console.lately(visit.tx, visit.now - SPAN)
    values: dict[str, Any] = {
        "waits": [
            (_("Reports"), waiting.reports, "/ops/reports"),
            (_("Complaints"), waiting.complaints, "/ops/reports/complaints"),
            (_("Suspicions"), waiting.suspicions, "/ops/reports/suspicions"),
            (_("Jobs that were given up"), await jobs.given_up(visit.tx), "/ops/jobs"),
            (_("Endpoints in trouble"), await webhooks.in_trouble(visit.tx), "/ops/webhooks"),
        ],
        "happened": [
            (_("New members"), lately.counts.get("member.created", 0)),
            (_("Letters to strangers"), lately.counts.get("inmail.sent", 0)),
            (_("Answers to letters"), lately.counts.get("inmail.responded", 0)),
            (_("Other messages"), lately.counts.get("message.sent", 0)),
        ],
        "since": None if lately.whole else lately.since,
        "verified": await verifications.last(visit.tx),
    }
    return Page("ops/overview.html", values, parts={ANEW: "ops/patches/overview.html"})
