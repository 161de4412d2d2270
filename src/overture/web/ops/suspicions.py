"""Suspicions: what looks like abuse, with the evidence it rests on; dismissed or acted on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from overture import ids
from overture.actions import decisions
from overture.actions import suspicions as actions
from overture.core import suspicions as rules
from overture.core.decisions import STATEMENT_CHARS_MAX, Measure
from overture.core.ids import MemberId
from overture.core.refusals import Refusal
from overture.core.suspicions import Kind, Partner
from overture.store import decisions as decisions_store
from overture.store import suspicions as store
from overture.store.decisions import Decision
from overture.store.suspicions import Suspicion
from overture.web.ops.people import Named, named
from overture.web.ops.reports import acting, came_of, chosen, must_show_factor, said_measures
from overture.web.ops.sections import actor
from overture.web.visit import ANEW, Absent, Answer, Done, Page, Visit, Who, act, page
from overture.words import Words

URL = "/ops/reports/suspicions"
ONE = URL + "/{member:uuid}/{kind}"
ROWS = 50


@dataclass(frozen=True, slots=True)
class Row:
    """A suspicion in words; `last` is what was decided of the member last, and `came` says it."""

    suspicion: Suspicion
    who: Named
    kind: str
    says: str
    last: Decision | None
    came: str

    @property
    def url(self) -> str:
        return f"{URL}/{self.suspicion.member}/{self.suspicion.evidence.kind}"


@dataclass(frozen=True, slots=True)
class With:
    """One whose answers brought the member credits, and how soon."""

    partner: Partner
    who: Named
    after: str


@page(URL, who=Who.OPERATOR)
async def suspicions(visit: Visit) -> Answer:
    kinds = said_kinds(visit.words)
    asked = visit.query.get("kind", "")
    kind = Kind(asked) if asked in set(Kind) else None
    found = await store.newest(
        visit.tx, kind=kind, cursor=visit.query.get("cursor") or None, limit=ROWS
    )
    after = {"kind": kind or "", "cursor": found.next or ""}
    values: dict[str, Any] = {
        "rows": await rows_of(visit, found.items),
        "kinds": kinds,
        "kind": kind,
        "next": found.next and f"{URL}?{urlencode({k: v for k, v in after.items() if v})}",
        "waiting": await decisions_store.waiting(visit.tx),
        "again": "cursor" not in visit.query,
    }
    return Page("ops/suspicions.html", values, parts={ANEW: "ops/patches/suspicions.html"})


@page(ONE, who=Who.OPERATOR)
async def suspicion(visit: Visit) -> Answer:
    return await _suspicion(visit)


@act(ONE + "/dismiss", who=Who.OPERATOR)
async def dismiss(visit: Visit) -> Answer:
    dismissed = await actions.dismiss(
        visit.tx,
        visit.id("member", MemberId),
        _kind(visit),
        actor=actor(visit),
        audit_id=ids.new(),
        now=visit.now,
    )
    if isinstance(dismissed, Refusal):
        raise Absent
    return Done(URL, notice=visit.words.gettext("Dismissed."))


@act(ONE + "/decide", who=Who.OPERATOR)
async def decide(visit: Visit) -> Answer:
    """Warns or suspends; the suspicion stands until somebody finds it to be nothing."""
    if await store.of(visit.tx, visit.id("member", MemberId), _kind(visit)) is None:
        raise Absent
    wanted = chosen(visit, "measure", (Measure.WARNING, Measure.SUSPENSION))
    if not isinstance(wanted, tuple):
        return wanted
    measure, ground = wanted
    if must_show_factor(visit, measure):
        return await _suspicion(visit, factor=True, status=403)
    made = await decisions.decide(
        visit.tx,
        acting(visit),
        visit.id("member", MemberId),
        measure,
        ground=ground,
        statement=visit.form.get("statement", ""),
    )
    return await came_of(
        visit,
        made,
        Done(URL, notice=said_measures(visit.words)[measure]),
        gone=Refusal.NO_SUCH_MEMBER,
        there=URL,
        again=lambda errors: _suspicion(visit, errors, status=422),
    )


async def _suspicion(
    visit: Visit,
    errors: Mapping[str, str] | None = None,
    *,
    factor: bool = False,
    status: int = 200,
) -> Page:
    found = await store.of(visit.tx, visit.id("member", MemberId), _kind(visit))
    if found is None:
        raise Absent
    (row,) = await rows_of(visit, [found])
    values = {
        "row": row,
        "partners": await _partners(visit, found.evidence.partners),
        "choices": _choices(visit, row.who),
        "form": visit.form,
        "most": STATEMENT_CHARS_MAX,
        "errors": errors or {},
        "factor": factor,
    }
    return Page("ops/suspicion.html", values, status)


def _kind(visit: Visit) -> Kind:
    kind = visit.path["kind"]
    if kind not in set(Kind):
        raise Absent
    return Kind(kind)


async def rows_of(visit: Visit, found: Sequence[Suspicion]) -> list[Row]:
    members = [each.member for each in found]
    names = await named(visit.tx, members)
    last = {each.member: each for each in await decisions_store.last_on(visit.tx, members)}
    kinds, said = said_kinds(visit.words), said_measures(visit.words)
    return [
        Row(
            suspicion=each,
            who=names[each.member],
            kind=kinds[each.evidence.kind],
            says=_says(visit.words, each),
            last=last.get(each.member),
            came=said[last[each.member].measure] if each.member in last else "",
        )
        for each in found
    ]


async def _partners(visit: Visit, partners: Sequence[Partner]) -> list[With]:
    names = await named(visit.tx, [each.member_id for each in partners])
    return [
        With(each, names[each.member_id], _after(visit.words, each.median_seconds))
        for each in partners
    ]


def _after(words: Words, seconds: int) -> str:
    if seconds >= 120:
        return words.span(timedelta(seconds=seconds))
    said = words.ngettext("%(num)s second", "%(num)s seconds", seconds)
    return said % {"num": words.number(seconds)}


def _choices(visit: Visit, who: Named) -> list[tuple[Measure, str, str]]:
    """What can be done, and what it means; nothing to who has left."""
    _ = visit.words.gettext
    if who.closed:
        return []
    offered = [(Measure.WARNING, _("Warn"), _("They read why, and may go on."))]
    if not who.suspended:
        says = _("They can do nothing but read why, complain, take their data along and leave.")
        offered.append((Measure.SUSPENSION, _("Suspend"), says))
    return offered


def said_kinds(words: Words) -> Mapping[Kind, str]:
    _ = words.gettext
    return {
        Kind.SAME_LETTER: _("One letter to many"),
        Kind.LINKS: _("Letters that lead to one place"),
        Kind.REFUNDS: _("Refunds among few"),
    }


def _says(words: Words, found: Suspicion) -> str:
    """What was counted, in one sentence."""
    weight = found.evidence.weight
    match found.evidence.kind:
        case Kind.SAME_LETTER:
            sentence = words.ngettext(
                "%(num)s letter to strangers within %(days)s days says the same.",
                "%(num)s letters to strangers within %(days)s days say the same.",
                weight,
            )
            window = rules.LETTERS_WINDOW
        case Kind.LINKS:
            sentence = words.ngettext(
                "%(num)s letter to strangers within %(days)s days leads there.",
                "%(num)s letters to strangers within %(days)s days lead there.",
                weight,
            )
            window = rules.LETTERS_WINDOW
        case Kind.REFUNDS:
            sentence = words.ngettext(
                "%(num)s refund within %(days)s days came from few who answer at once or in turn.",
                "%(num)s refunds within %(days)s days came from few who answer at once or in turn.",
                weight,
            )
            window = rules.REFUNDS_WINDOW
    return sentence % {"num": words.number(weight), "days": words.number(window.days)}
