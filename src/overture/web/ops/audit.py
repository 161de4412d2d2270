"""The audit log: what operators did and what concerns the safety of accounts, found and proven."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

import msgspec

from overture.actions import auditing, operators
from overture.core.ids import MemberId
from overture.core.text import Sentence
from overture.store import audit as store
from overture.store.audit import Entry, Wanted
from overture.web.ops.people import Named, member_asked, named
from overture.web.ops.sections import Section
from overture.web.visit import ANEW, Answer, Page, Visit, Who, page

SECTION = Section("audit", icon="scroll-text", label=Sentence("Audit log"))

ROWS = 50


@dataclass(frozen=True, slots=True)
class Row:
    """An entry as it is shown: `who` acted, as a member where it was one, else `actor` says it."""

    entry: Entry
    who: Named | None
    actor: str
    whom: Named | None
    detail: Sequence[tuple[str, str]]


@page("/ops/audit", who=Who.OPERATOR)
async def audit(visit: Visit) -> Answer:
    wanted, unknown = await _wanted(visit)
    found = await store.newest(
        visit.tx, cursor=visit.query.get("cursor") or None, limit=ROWS, wanted=wanted
    )
    asked = {name: visit.query.get(name, "") for name in ("member", "of", "action", "until")}
    values: dict[str, Any] = {
        "rows": [] if unknown else await _rows(visit, found.items),
        "next": found.next and not unknown and _url(asked | {"cursor": found.next}),
        "first": _url(asked) if "cursor" in visit.query else None,
        "asked": asked,
        "kinds": await store.actions(visit.tx),
        "unknown": unknown,
        "again": "cursor" not in visit.query,
    }
    return Page("ops/audit.html", values, parts={ANEW: "ops/patches/audit.html"})


@page("/ops/audit/verify", who=Who.OPERATOR, transaction=False)
async def verify(visit: Visit) -> Answer:
    """Follows the chain; in as many parts as it takes, on a connection of its own meanwhile."""
    checked = await visit.site.db.reading(auditing.verify)
    return Page("ops/audit_verified.html", {"checked": checked})


async def _wanted(visit: Visit) -> tuple[Wanted, bool]:
    """What is looked for, and whether it names a member who is none."""
    who = visit.query.get("member", "").strip()
    member = await member_asked(visit.tx, who) if who else None
    return Wanted(
        operators=visit.query.get("of") != "all",
        member=member,
        action=visit.query.get("action") or None,
        before=_end_of(visit, visit.query.get("until", "")),
    ), bool(who) and member is None


def _end_of(visit: Visit, day: str) -> datetime | None:
    """The end of a day as the reader's zone has it; None for what is no day, or the calendar's last."""
    zone = visit.words.local(visit.now).tzinfo
    try:
        at = datetime.combine(datetime.fromisoformat(day), time(), zone)
        return (at + timedelta(days=1)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


async def _rows(visit: Visit, found: Sequence[Entry]) -> list[Row]:
    acting = {each.id: _acting(each.actor) for each in found}
    everyone = {*acting.values(), *(each.member for each in found)} - {None}
    names = await named(visit.tx, [each for each in everyone if each is not None])
    return [
        Row(
            entry=each,
            who=_of(names, acting[each.id]),
            actor=each.actor,
            whom=_of(names, each.member),
            detail=_told(each.detail),
        )
        for each in found
    ]


def _of(names: Mapping[MemberId, Named], member: MemberId | None) -> Named | None:
    return None if member is None else names.get(member)


def _acting(actor: str) -> MemberId | None:
    kind, _, who = actor.partition(":")
    return MemberId(who) if kind in ("member", operators.ACTOR) and who else None


def _told(detail: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (name, value if isinstance(value, str) else msgspec.json.encode(value).decode())
        for name, value in detail.items()
        if value not in (None, "", [])
    ]


def _url(asked: Mapping[str, str]) -> str:
    said = {name: value for name, value in asked.items() if value}
    return "/ops/audit" + (f"?{urlencode(said)}" if said else "")
