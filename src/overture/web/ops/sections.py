"""How a page of the console is added, and what all of them share.

A module of pages declares the section it makes, and is named in `ops.pages.MODULES`:

    SECTION = Section("jobs", "list-todo", Sentence("Jobs"))

    @page("/ops/jobs", who=Who.OPERATOR)
    async def jobs(visit: Visit) -> Answer:
        return Page("ops/jobs.html", {...}, parts={ANEW: "ops/patches/jobs.html"})

    @act("/ops/jobs/{number:int}/replay", who=Who.OPERATOR_PROVEN)
    async def replay(visit: Visit) -> Answer:
        ...                             # the same action as the API's
        await note(visit, "job.replayed", {"job": number})
        return Done("/ops/jobs", notice=...)

`Who.OPERATOR` is one who is in the console; `OPERATOR_PROVEN` is asked for the second factor again
where they showed it some while ago: a link to such a page is none of `data-live`. The template extends
`ops/_shell.html` and says `{% set section = "jobs" %}`. J and K go through what has `data-row`, Enter
opens it; a field with `data-key="/"` is focused by that key, and U follows a link with `data-key="u"`.
`<div id="jobs" data-again="10">` has the part ANEW of its page fetched every ten seconds while somebody
looks; its patches put the piece in its place. That keeps no console open: only what a person does. Of
a list only where it begins comes anew, and its rows alone: a table that was scrolled along stays so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from overture import ids
from overture.actions import operators
from overture.core.ids import MemberId
from overture.core.text import Sentence
from overture.store import audit
from overture.web.visit import Visit


@dataclass(frozen=True, slots=True)
class Section:
    """An entry of the navigation: at /ops/NAME, with an icon of lucide's."""

    name: str
    icon: str
    label: Sentence

    @property
    def url(self) -> str:
        return f"/ops/{self.name}"


def actor(visit: Visit) -> str:
    """Who acts, in the audit log."""
    return operators.actor(visit.viewer.id)


async def note(
    visit: Visit, action: str, detail: Mapping[str, Any], *, member: MemberId | None = None
) -> None:
    """Puts what an operator does into the audit log, in the transaction that does it."""
    await audit.record(
        visit.tx,
        ids.new(),
        visit.now,
        actor=actor(visit),
        action=action,
        member=member,
        detail=detail,
    )
