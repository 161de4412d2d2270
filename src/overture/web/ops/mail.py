"""Mail: what waits, what went out and came in, why some did not, and where it comes back from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from overture.actions.mailings import Addresses
from overture.core import text
from overture.core.ids import MemberId
from overture.core.text import Sentence
from overture.store import jobs, mail_counts, mailboxes
from overture.store.mail_counts import Came, Count
from overture.store.mailboxes import Failing
from overture.web.ops.jobs import queue_of
from overture.web.ops.people import Named, addresses, masked, named
from overture.web.ops.sections import Section
from overture.web.visit import ANEW, Answer, Page, Visit, Who, act, page

SECTION = Section("mail", icon="mail", label=Sentence("Mail"))

ROWS = 50
SPAN = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Row:
    """An address that mail came back from; `address` is in whole where it was asked for."""

    failing: Failing
    who: Named
    address: str


@page("/ops/mail", who=Who.OPERATOR)
async def mail(visit: Visit) -> Answer:
    return await _mail(visit)


@act("/ops/mail/{member:uuid}/address", who=Who.OPERATOR)
async def show_address(visit: Visit) -> Answer:
    """In whole, for a reason: it stands in the answer alone."""
    member = visit.id("member", MemberId)
    shown = await addresses(visit, member)
    if isinstance(shown, Addresses):
        return await _mail(visit, shown={member: shown.mail or ""})
    return await _mail(visit, errors=visit.errors(shown) | {"id": member}, status=422)


async def _mail(
    visit: Visit,
    *,
    shown: Mapping[MemberId, str] | None = None,
    errors: Mapping[str, str] | None = None,
    status: int = 200,
) -> Page:
    queues = [
        queue_of(visit, each)
        for each in await jobs.waiting(visit.tx, visit.now)
        if each.queue.startswith("mail")
    ]
    counts = await mail_counts.lately(visit.tx, SPAN)
    failing = await mailboxes.failing(
        visit.tx, cursor=visit.query.get("cursor") or None, limit=ROWS
    )
    values: dict[str, Any] = {
        "queues": queues,
        "waits": sum(each.found.due for each in queues),
        "given_up": sum(each.found.parked for each in queues),
        "sums": _sums(counts),
        "said": _said(visit),
        "reasons": [each for each in counts if each.why],
        "rows": await _rows(visit, failing.items, shown or {}),
        "next": failing.next and f"/ops/mail?{urlencode({'cursor': failing.next})}",
        "form": visit.form,
        "most": text.NOTE_CHARS_MAX,
        "errors": errors or {},
    }
    return Page("ops/mail.html", values, status, parts={ANEW: "ops/patches/mail.html"})


def _sums(counts: Sequence[Count]) -> Mapping[Came, int]:
    return {came: sum(each.count for each in counts if each.came is came) for came in Came}


async def _rows(visit: Visit, found: Sequence[Failing], shown: Mapping[MemberId, str]) -> list[Row]:
    names = await named(visit.tx, [each.member for each in found])
    return [
        Row(each, names[each.member], shown.get(each.member) or masked(each.address))
        for each in found
    ]


def _said(visit: Visit) -> Mapping[Came, str]:
    _ = visit.words.gettext
    return {
        Came.SENT: _("Sent"),
        Came.FAILED: _("Failed, is tried again"),
        Came.REFUSED: _("Refused for good"),
        Came.TAKEN: _("Came in and was taken"),
        Came.PASSED_OVER: _("Came in, written by no person"),
        Came.NOT_TAKEN: _("Came in and was refused"),
        Came.LATER: _("Came in, to come again later"),
    }
