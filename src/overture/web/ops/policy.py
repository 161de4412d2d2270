"""The policy: what holds and what comes, the presets beside it, and having another one take effect.

A draft goes from the editor to its preview in the address, so that who shows a second factor on the way
still has it.
"""

import base64
import binascii
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from overture import ids, policies
from overture.core.differences import Difference
from overture.core.policy import (
    BEGINNING,
    DOCUMENT_CHARS_MAX,
    Mistake,
    Policy,
    PolicyBook,
    PolicyProblem,
    parse,
)
from overture.core.text import Sentence
from overture.policies import Step
from overture.web.ops.sections import Section, actor
from overture.web.visit import Absent, Answer, Done, Go, No, Page, Visit, Who, act, page

SECTION = Section("policy", icon="sliders-horizontal", label=Sentence("Policy"))

# Of an address, as browsers and proxies take it. A policy of a hundred plans is shorter.
DRAFT_CHARS_MAX = 6_000
FORM_BYTES_MAX = 4 * DOCUMENT_CHARS_MAX


@dataclass(frozen=True, slots=True)
class Version:
    """A version as it is shown: `at` is its date as it can be written again."""

    at: str
    holds_from: datetime
    state: str
    differences: Sequence[Difference]
    can_be_withdrawn: bool
    preset: str | None


@page("/ops/policy", who=Who.OPERATOR)
async def policy(visit: Visit) -> Answer:
    book = await _book(visit)
    versions = _versions(book, visit.now)
    values: dict[str, Any] = {
        "in_force": next(each for each in versions if each.state == "in_force"),
        "coming": [each for each in versions if each.state == "to_come"],
        "versions": versions[::-1],
        "table": policies.side_by_side(),
        "default": policies.DEFAULT,
    }
    return Page("ops/policy.html", values)


@page("/ops/policy/document", who=Who.OPERATOR)
async def document(visit: Visit) -> Answer:
    """What the editor begins with, as a file."""
    return Response(
        await _beginning(visit),
        media_type="application/toml; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="policy.toml"'},
    )


@page("/ops/policy/edit", who=Who.OPERATOR)
async def edit(visit: Visit) -> Answer:
    """Begins with a preset, a version, a draft that was seen, or with what holds now."""
    day, time = visit.query.get("day", ""), visit.query.get("time", "")
    return _editor(await _beginning(visit), day=day, time=time)


@act("/ops/policy/edit", who=Who.OPERATOR, form_bytes_max=FORM_BYTES_MAX)
async def check(visit: Visit) -> Answer:
    """Checks what was written; what is sound is shown with all that it changes."""
    document = visit.form.get("document", "").replace("\r\n", "\n")
    day, time = visit.form.get("day", "").strip(), visit.form.get("time", "").strip()
    try:
        chosen = parse(document)
        starts_at = _starts_at(day, time)
        _ = policies.proposed(await _book(visit), chosen, starts_at=starts_at, now=visit.now)
    except PolicyProblem as problem:
        return _editor(document, day=day, time=time, mistakes=problem.mistakes)
    draft = packed(chosen)
    if len(draft) > DRAFT_CHARS_MAX:
        too_long = Sentence(
            "This policy is too long to be shown here. It can be applied on the command line: "
            "`overture policy apply`"
        )
        return _editor(document, day=day, time=time, mistakes=[Mistake(too_long)])
    return Go(f"/ops/policy/preview?{urlencode({'draft': draft, 'day': day, 'time': time})}")


@page("/ops/policy/preview", who=Who.OPERATOR_PROVEN)
async def preview(visit: Visit) -> Answer:
    draft = visit.query.get("draft", "")
    day, time = visit.query.get("day", ""), visit.query.get("time", "")
    chosen = unpacked(draft)
    try:
        starts_at = _starts_at(day, time)
        _, steps = policies.proposed(await _book(visit), chosen, starts_at=starts_at, now=visit.now)
    except PolicyProblem as problem:
        # Time went by, or somebody else applied another one.
        return _editor(_text(chosen), day=day, time=time, mistakes=problem.mistakes)
    values = {
        "steps": steps,
        "draft": draft,
        "day": day,
        "time": time,
        "at_once": starts_at is None,
        "again": urlencode({"draft": draft, "day": day, "time": time}),
        "told_instant": policies.told_instant,
        "in_lab": visit.site.lab is not None,
    }
    return Page("ops/policy_preview.html", values)


@act("/ops/policy/apply", who=Who.OPERATOR_PROVEN)
async def apply(visit: Visit) -> Answer:
    chosen = unpacked(visit.form.get("draft", ""))
    try:
        steps = await policies.apply(
            visit.tx,
            chosen,
            starts_at=_starts_at(visit.form.get("day", ""), visit.form.get("time", "")),
            actor=actor(visit),
            audit_id=ids.new(),
            now=visit.now,
        )
    except PolicyProblem as problem:
        return No(_said(visit, problem), 409, "/ops/policy")
    return Done("/ops/policy", notice=_applied(visit, steps))


@page("/ops/policy/withdraw", who=Who.OPERATOR_PROVEN)
async def ask_to_withdraw(visit: Visit) -> Answer:
    at = visit.query.get("at", "")
    for each in _versions(await _book(visit), visit.now):
        if each.at == at and each.can_be_withdrawn:
            return Page("ops/policy_withdraw.html", {"version": each})
    raise Absent


@act("/ops/policy/withdraw", who=Who.OPERATOR_PROVEN)
async def withdraw(visit: Visit) -> Answer:
    try:
        gone = await policies.withdraw(
            visit.tx,
            policies.instant_of(visit.form.get("at", "")),
            actor=actor(visit),
            audit_id=ids.new(),
            now=visit.now,
        )
    except PolicyProblem as problem:
        return No(_said(visit, problem), 409, "/ops/policy")
    at = visit.words.moment(gone.holds_from)
    notice = visit.words.gettext("The version of %(at)s is withdrawn. What holds now goes on.")
    return Done("/ops/policy", notice=notice % {"at": at})


# --- What is shown ------------------------------------------------------------------------------


async def _book(visit: Visit) -> PolicyBook:
    return await policies.in_force(visit.tx) or visit.site.book


def _versions(book: PolicyBook, now: datetime) -> list[Version]:
    changes = [(), *(step.differences for step in policies.steps(book))]
    return [
        Version(
            at=policies.told_instant(version.holds_from),
            holds_from=version.holds_from,
            state=policies.state(version, book, now),
            differences=found,
            can_be_withdrawn=version is not book.versions[0]
            and policies.can_be_withdrawn(version, now),
            preset=policies.preset_of(version),
        )
        for version, found in zip(book.versions, changes, strict=True)
    ]


def _applied(visit: Visit, steps: Sequence[Step]) -> str:
    at = visit.words.moment(steps[0].version.holds_from)
    return visit.words.gettext("The policy takes effect on %(at)s.") % {"at": at}


def _said(visit: Visit, problem: PolicyProblem) -> str:
    return " ".join(visit.words.say(each.sentence) for each in problem.mistakes)


# --- The editor ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Told:
    """A mistake beside the line that it stands in."""

    mistake: Mistake
    text: str


def _editor(document: str, *, day: str, time: str, mistakes: Sequence[Mistake] = ()) -> Page:
    lines = document.split("\n")
    values = {
        "document": document,
        "day": day,
        "time": time,
        "mistakes": [
            Told(each, lines[each.line - 1].strip() if each.line else "") for each in mistakes
        ],
        "chars_max": DOCUMENT_CHARS_MAX,
    }
    return Page("ops/policy_edit.html", values, 422 if mistakes else 200)


async def _beginning(visit: Visit) -> str:
    if draft := visit.query.get("draft"):
        return _text(unpacked(draft))
    if preset := visit.query.get("preset"):
        document = policies.presets().get(preset)
        if document is None:
            raise Absent
        return document
    book = await _book(visit)
    version: Policy | None = book.at(visit.now)
    if at := visit.query.get("version"):
        version = next(
            (v for v in book.versions if policies.told_instant(v.holds_from) == at), None
        )
    if version is None:
        raise Absent
    return policies.written(version, dated=False)


def _starts_at(day: str, time: str) -> datetime | None:
    """The instant in UTC that is wanted; None is as soon as may be. Raises PolicyProblem."""
    if not day:
        return None
    return policies.instant_of(f"{day}T{time or '00:00'}Z").astimezone(UTC)


# --- A draft in an address ----------------------------------------------------------------------


def _text(book: PolicyBook) -> str:
    """As it is written by whoever edits it: without a date where it says none."""
    return "\n".join(
        policies.written(version, dated=version.holds_from != BEGINNING)
        for version in book.versions
    )


def packed(book: PolicyBook) -> str:
    """A draft as its preview's address has it."""
    return base64.urlsafe_b64encode(zlib.compress(_text(book).encode(), 9)).decode()


def unpacked(draft: str) -> PolicyBook:
    """The draft of such an address. Raises Absent for what no draft of ours is."""
    try:
        packed = base64.urlsafe_b64decode(draft.encode())
        # No more than a document has, whatever it would unfold into.
        text = zlib.decompressobj().decompress(packed, 4 * DOCUMENT_CHARS_MAX).decode()
        return parse(text)
    except (binascii.Error, zlib.error, UnicodeError, PolicyProblem):
        raise Absent from None
