"""Members: found by whatever is known of them, and seen as the rules see them; warned, suspended and
reinstated, and their credits adjusted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from overture import ids
from overture.actions import conversations, credits, decisions, statements, subscriptions
from overture.actions.credits import Adjusted
from overture.actions.decisions import Act
from overture.actions.mailings import Addresses
from overture.clock import real_now
from overture.core import pace, text
from overture.core.contact import Contact
from overture.core.decisions import STATEMENT_CHARS_MAX, Ground, Measure
from overture.core.ids import DecisionId, MemberId
from overture.core.text import BadText, Sentence
from overture.store import console
from overture.store import conversations as conversations_store
from overture.store import decisions as decisions_store
from overture.store import suspicions as suspicions_store
from overture.store.console import Dossier, Listed
from overture.store.decisions import Decision
from overture.web.ops.people import Named, addresses, masked, member_asked, named
from overture.web.ops.reports import said_measures
from overture.web.ops.sections import Section, actor
from overture.web.ops.suspicions import rows_of
from overture.web.visit import ANEW, Absent, Answer, Done, Go, No, Page, Visit, Who, act, page

SECTION = Section("members", icon="users", label=Sentence("Members"))

ROWS = 50
DECISIONS = 20
QUERY_CHARS_MAX = 320


@dataclass(frozen=True, slots=True)
class Paced:
    """How many letters to strangers the member has begun within a day, of how many."""

    begun: int
    limit: int
    slowed_until: datetime | None
    next_at: datetime | None


@dataclass(frozen=True, slots=True)
class Written:
    """What a letter to this member, or of theirs, would meet now."""

    sender: Named
    to: Named
    contact: Contact
    said: str


@page("/ops/members", who=Who.OPERATOR)
async def members(visit: Visit) -> Answer:
    q, show = visit.query.get("q", "").strip(), visit.query.get("show", "")
    cursor = visit.query.get("cursor") or None
    values: dict[str, Any] = {"q": q, "show": show, "rows": [], "next": None, "more": False}
    if q:
        values["rows"], values["more"] = await _found(visit, q)
    else:
        listed = console.suspended if show == "suspended" else console.newest
        found = await listed(visit.tx, cursor=cursor, limit=ROWS, now=visit.now)
        values["rows"] = found.items
        if found.next:
            asked = {"show": show, "cursor": found.next}
            values["next"] = f"/ops/members?{urlencode({k: v for k, v in asked.items() if v})}"
    values["rows"] = [
        replace(each, email=each.email and masked(each.email)) for each in values["rows"]
    ]
    # What comes as one types stays until one goes there.
    values["again"] = not q and cursor is None and visit.live != "suggest"
    patches = "ops/patches/members.html"
    return Page("ops/members.html", values, parts={"suggest": patches, ANEW: patches})


async def _found(visit: Visit, q: str) -> tuple[Sequence[Listed], bool]:
    """Whom exactly this names stands alone; else whoever is called so."""
    if isinstance(text.line(q, QUERY_CHARS_MAX), BadText):
        return (), False
    words = [each for each in text.fold(q).split() if any(map(str.isalnum, each))]
    rows: list[Listed] = []
    if (exact := await member_asked(visit.tx, q)) is not None:
        rows = await console.these(visit.tx, [exact], now=visit.now)
    if not words or "@" in q:
        return rows, False
    found, more = await console.found(
        visit.tx, words[: console.WORDS_MAX], limit=ROWS, now=visit.now
    )
    known = {each.id for each in rows}
    return [*rows, *(each for each in found if each.id not in known)], more


# One member ---------------------------------------------------------------------------------------


@page("/ops/members/{member:uuid}", who=Who.OPERATOR)
async def member(visit: Visit) -> Answer:
    return await _member(visit)


@act("/ops/members/{member:uuid}/address", who=Who.OPERATOR)
async def show_address(visit: Visit) -> Answer:
    """In whole, for a reason: it stands in the answer alone."""
    shown = await addresses(visit, visit.id("member", MemberId))
    if isinstance(shown, Addresses):
        return await _member(visit, shown=shown)
    return await _member(visit, errors=visit.errors(shown), status=422)


async def _member(
    visit: Visit,
    *,
    shown: Addresses | None = None,
    errors: Mapping[str, str] | None = None,
    status: int = 200,
) -> Page:
    found = await _dossier(visit)
    values: dict[str, Any] = {
        "m": found,
        "addresses": shown or _masked(found),
        "shown": shown is not None,
        "premium": await subscriptions.premium(visit.tx, found.id, visit.now, visit.site.book),
        "plans": visit.site.book.at(visit.now).plans,
        "pace": await _pace(visit, found),
        "decisions": await _decided(visit, found.id),
        "suspicions": await rows_of(visit, await suspicions_store.on(visit.tx, found.id)),
        "asked": {"other": visit.query.get("other", ""), "way": visit.query.get("way", "to")},
        "written": None,
        "unknown": False,
        "form": visit.form,
        "most": text.NOTE_CHARS_MAX,
        "errors": errors or {},
    }
    if who := visit.query.get("other", "").strip():
        values["written"] = await _written(visit, found.id, who)
        values["unknown"] = values["written"] is None
    return Page("ops/member.html", values, status, parts={ANEW: "ops/patches/member.html"})


def _masked(found: Dossier) -> Addresses:
    mail, signs_in_as = found.email, found.signs_in_as
    return Addresses(mail and masked(mail), signs_in_as and masked(signs_in_as))


async def _dossier(visit: Visit) -> Dossier:
    found = await console.dossier(visit.tx, visit.id("member", MemberId))
    if found is None:
        raise Absent
    return found


async def _pace(visit: Visit, found: Dossier) -> Paced:
    """As a letter of theirs would be held to it; it goes by real time. See `core.sending`."""
    rule, at = visit.site.pace, real_now()
    slowed = found.slowed_until if found.slowed_until and found.slowed_until > visit.now else None
    limit = rule.limit(visit.now - found.joined_at, slowed=slowed is not None)
    begun = await conversations_store.begun_lately(
        visit.tx, found.id, at - pace.WINDOW, rule.most + 1
    )
    return Paced(len(begun), limit, slowed, pace.next_at(begun, limit, at))


async def _decided(visit: Visit, member: MemberId) -> Sequence[tuple[str, Decision]]:
    made = await decisions_store.all_on(visit.tx, member, cursor=None, limit=DECISIONS)
    said = said_measures(visit.words)
    return [(said[each.measure], each) for each in made.items]


async def _written(visit: Visit, member: MemberId, who: str) -> Written | None:
    """What the rules decide between the two; None where the other one is nobody."""
    other = await member_asked(visit.tx, who)
    if other is None or other == member:
        return None
    sender, to = (member, other) if visit.query.get("way") == "from" else (other, member)
    contact = await conversations.preview(
        visit.tx,
        sender,
        to,
        pool=None,
        now=visit.now,
        book=visit.site.book,
        paced=visit.site.paced(),
    )
    names = await named(visit.tx, [sender, to])
    return Written(names[sender], names[to], contact, _said(visit, contact))


def _said(visit: Visit, contact: Contact) -> str:
    words = visit.words
    if contact.code is not None:
        return words.say(contact.code.sentence)
    if not contact.credits:
        return words.gettext("They may write, and it costs nothing.")
    sentence = words.ngettext(
        "They may write, for %(num)s credit.",
        "They may write, for %(num)s credits.",
        contact.credits,
    )
    return sentence % {"num": words.number(contact.credits)}


# Decisions ----------------------------------------------------------------------------------------


@page("/ops/members/{member:uuid}/decide", who=Who.OPERATOR_PROVEN)
async def ask_decision(visit: Visit) -> Answer:
    found = await _dossier(visit)
    if found.closed_at is not None:
        return Go(_url(found.id))
    return _decision_form(visit, found)


@act("/ops/members/{member:uuid}/decide", who=Who.OPERATOR_PROVEN)
async def decide(visit: Visit) -> Answer:
    found, form = await _dossier(visit), visit.form
    measure, ground = form.get("measure", ""), form.get("ground", "")
    if measure not in _choices(found) or ground not in list(Ground):
        return No(visit.words.gettext("Choose what is to be done."), 422, _url(found.id))
    made = await decisions.decide(
        visit.tx,
        Act(actor(visit), ids.new(), DecisionId(ids.new()), visit.now),
        found.id,
        Measure(measure),
        ground=Ground(ground),
        statement=form.get("statement", ""),
    )
    match made:
        case Decision():
            return Done(_url(found.id), notice=said_measures(visit.words)[made.measure])
        case str():
            return visit.refused(made, 409, _url(found.id))
        case _:
            return _decision_form(visit, found, visit.errors(made), 422)


def _choices(found: Dossier) -> Sequence[Measure]:
    if found.suspended_at is not None:
        return (Measure.LIFTED, Measure.WARNING)
    return (Measure.SUSPENSION, Measure.WARNING)


def _decision_form(
    visit: Visit, found: Dossier, errors: Mapping[str, str] | None = None, status: int = 200
) -> Page:
    _ = visit.words.gettext
    choices = _choices(found)
    said = {
        Measure.SUSPENSION: (
            _("Suspend"),
            _("They can do nothing but read why, complain, take their data along and leave."),
        ),
        Measure.LIFTED: (_("Lift the suspension"), _("Everything is as it was.")),
        Measure.WARNING: (_("Warn"), _("They read why, and may go on.")),
    }
    values = {
        "m": found,
        "choices": [(each, *said[each]) for each in choices],
        "chosen": visit.form.get("measure", choices[0]),
        "ground": visit.form.get("ground", Ground.TERMS),
        "statement": visit.form.get("statement", ""),
        "most": STATEMENT_CHARS_MAX,
        "errors": errors or {},
    }
    return Page("ops/member_decide.html", values, status)


# Credits ------------------------------------------------------------------------------------------


@page("/ops/members/{member:uuid}/credits", who=Who.OPERATOR_PROVEN)
async def ask_credits(visit: Visit) -> Answer:
    return await _credits_form(visit)


@act("/ops/members/{member:uuid}/credits", who=Who.OPERATOR_PROVEN)
async def adjust(visit: Visit) -> Answer:
    found, form = await _dossier(visit), visit.form
    count = _whole(form.get("credits", ""))
    if count is None:
        error = visit.words.gettext("A whole number: 3 adds three credits, -3 takes them.")
        return await _credits_form(visit, {"credits": error}, 422)
    made = await credits.adjust_as_operator(
        visit.tx,
        found.id,
        form.get("pool", ""),
        credits=count,
        reason=form.get("reason", ""),
        actor=actor(visit),
        audit_id=ids.new(),
        now=visit.now,
        book=visit.site.book,
    )
    match made:
        case Adjusted():
            notice = visit.words.gettext("Adjusted: the balance is %(balance)s now.")
            return Done(
                _url(found.id), notice=notice % {"balance": visit.words.number(made.balance)}
            )
        case str():
            return await _credits_form(visit, {"credits": visit.words.say(made.sentence)}, 409)
        case _:
            return await _credits_form(visit, visit.errors(made), 422)


async def _credits_form(
    visit: Visit, errors: Mapping[str, str] | None = None, status: int = 200
) -> Answer:
    found = await _dossier(visit)
    held = await statements.held(visit.tx, found.id, visit.now, visit.site.book)
    pools = [each for each in held if each.plan is not None]
    values = {
        "m": found,
        "pools": pools,
        "plans": visit.site.book.at(visit.now).plans,
        "form": {name: visit.form.get(name, "") for name in ("pool", "credits", "reason")},
        "most": text.NOTE_CHARS_MAX,
        "errors": errors or {},
    }
    return Page("ops/member_credits.html", values, status)


# As many credits as an account can hold in any policy; the rules know the cap.
_DIGITS_MAX = 9


def _whole(raw: str) -> int | None:
    """The number that was written; also with a plus, or with a minus as it is printed."""
    sign, digits = 1, raw.strip().replace("\N{MINUS SIGN}", "-")
    if digits[:1] in ("+", "-"):
        sign, digits = -1 if digits[0] == "-" else 1, digits[1:]
    return sign * int(digits) if digits.isdecimal() and len(digits) <= _DIGITS_MAX else None


def _url(member: MemberId) -> str:
    return f"/ops/members/{member}"
