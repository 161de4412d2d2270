"""Conversations: what was reported of them; all else only for a reason, which stands in the audit log
before any of it is shown."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from overture import ids
from overture.actions import operators
from overture.actions.operators import Opened
from overture.actions.reports import Reason
from overture.core import text
from overture.core.ids import ConversationId, MemberId
from overture.core.text import Sentence
from overture.store import console, reports
from overture.store.console import Line
from overture.web.members import said_reasons
from overture.web.ops.people import member_asked, named
from overture.web.ops.sections import Section, actor
from overture.web.visit import ANEW, Absent, Answer, No, Page, Visit, Who, act, page

SECTION = Section("conversations", icon="messages-square", label=Sentence("Conversations"))

ROWS = 50


@page("/ops/conversations", who=Who.OPERATOR)
async def conversations(visit: Visit) -> Answer:
    """A member's, without a word of any of them."""
    who = visit.query.get("member", "").strip()
    member = await member_asked(visit.tx, who) if who else None
    values: dict[str, Any] = {
        "who": who,
        "unknown": bool(who) and member is None,
        "m": None,
        "rows": (),
        "next": None,
        "again": "cursor" not in visit.query,
    }
    if member is not None:
        cursor = visit.query.get("cursor") or None
        found = await console.lines(visit.tx, member, cursor=cursor, limit=ROWS)
        values["m"] = (await named(visit.tx, [member]))[member]
        values["rows"] = [(each, _state(visit, each)) for each in found.items]
        if found.next:
            asked = {"member": member, "cursor": found.next}
            values["next"] = f"/ops/conversations?{urlencode(asked)}"
    return Page("ops/conversations.html", values, parts={ANEW: "ops/patches/conversations.html"})


@page("/ops/conversations/{member:uuid}/{id:uuid}", who=Who.OPERATOR)
async def conversation(visit: Visit) -> Answer:
    """What is known of it without opening it, and what was reported of it."""
    return await _sealed(visit)


@act("/ops/conversations/{member:uuid}/{id:uuid}", who=Who.OPERATOR_PROVEN)
async def open_(visit: Visit) -> Answer:
    """Answered with the page itself: whoever wants to read it again says again why."""
    before = visit.form.get("before", "")
    opened = await operators.open_conversation(
        visit.tx,
        visit.id("member", MemberId),
        visit.id("id", ConversationId),
        reason=visit.form.get("reason", ""),
        before=int(before) if before.isdecimal() and len(before) < 9 else None,
        by=actor(visit),
        audit_id=ids.new(),
        now=visit.now,
    )
    match opened:
        case Opened():
            return await _opened(visit, opened)
        case str():
            return No(visit.words.say(opened.sentence), 404, "/ops/conversations")
        case _:
            return await _sealed(visit, visit.errors(opened), 422)


async def _sealed(visit: Visit, errors: Mapping[str, str] | None = None, status: int = 200) -> Page:
    member = visit.id("member", MemberId)
    line = await console.line(visit.tx, member, visit.id("id", ConversationId))
    if line is None:
        raise Absent
    parties = [member, *([line.other] if line.other else [])]
    told = await reports.of_conversation(visit.tx, line.id, parties)
    names = await named(visit.tx, [*parties, *(each.reporter for each, _ in told)])
    reasons = said_reasons(visit.words)
    values = {
        "line": line,
        "state": _state(visit, line),
        "me": names[member],
        "other": names.get(line.other) if line.other else None,
        "reports": [
            (each, reasons[Reason(each.reason)], kept, names.get(each.reporter))
            for each, kept in told
        ],
        "reason": visit.form.get("reason", ""),
        "most": text.NOTE_CHARS_MAX,
        "errors": errors or {},
    }
    return Page("ops/conversation.html", values, status)


async def _opened(visit: Visit, opened: Opened) -> Page:
    member, line = visit.id("member", MemberId), opened.line
    writers = {each.sender for each in opened.texts if each.sender is not None}
    names = await named(visit.tx, [member, *writers])
    first = opened.texts[0].number if opened.texts else 1
    values = {
        "line": line,
        "state": _state(visit, line),
        "me": names[member],
        "subject": opened.subject,
        "texts": [(each, each.sender and names.get(each.sender)) for each in opened.texts],
        "before": first if first > 1 else None,
        "reason": visit.form.get("reason", ""),
    }
    return Page("ops/conversation_opened.html", values)


def _state(visit: Visit, line: Line) -> str:
    _ = visit.words.gettext
    said = {
        "open": _("open"),
        "closed": _("closed"),
        "imported": _("imported"),
        "pending": _("pending"),
        "accepted": _("accepted"),
        "declined": _("declined"),
        "withdrawn": _("withdrawn"),
        "undeliverable": _("undeliverable"),
    }
    return said[line.state]
