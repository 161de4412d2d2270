"""My Premium: what one holds, what comes of it, and where each credit went."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any

from overture.actions import members, statements
from overture.actions.statements import Answers, Held, Line, LotGroup, Month, Sheet, Show
from overture.core.credits import Kind
from overture.core.policy import PolicyBook
from overture.core.refusals import Refusal
from overture.store.accounts import Viewer
from overture.store.db import Tx
from overture.store.pages import Page as Lines
from overture.store.statements import Opened
from overture.web import charts
from overture.web.context import Site
from overture.web.forecast import advice, coming
from overture.web.plans import missing, offers
from overture.web.render import html
from overture.web.statements import Said, lot_name, say
from overture.web.visit import Absent, Answer, Page, Visit, page
from overture.words import DEFAULT, Words, words_of

LINES_FIRST = 10
LINES_MORE = 50
SOON = timedelta(days=14)

# Pages ------------------------------------------------------------------------------------------


@page("/premium")
async def premium(visit: Visit) -> Answer:
    """One pool at a time; without any, what Premium is."""
    held = await statements.held(visit.tx, visit.viewer.id, visit.now, visit.site.book)
    values: dict[str, Any] = {"plans": offers(visit, held)}
    pool = _chosen(held, visit.query.get("pool"))
    if pool is None:
        return Page("premium_welcome.html", values)
    found = await statements.sheet(
        visit.tx,
        visit.viewer.id,
        pool,
        _show(visit),
        limit=LINES_FIRST,
        now=visit.now,
        book=visit.site.book,
        zone=_zone(visit.words, visit.now),
    )
    assert isinstance(found, Sheet), "a pool that is held has its sheet"
    values |= _seen(found, held, visit.words, visit.now, visit.site.book)
    values["open_profile"] = await _open_profile(visit.tx, visit.viewer)
    values["missing"] = await missing(visit, pool)
    return Page(
        "premium.html",
        values,
        parts={"statement": "patches/statement.html", "more": "patches/premium.html"},
    )


@page("/premium/statement")
async def statement(visit: Visit) -> Answer:
    """The whole statement of one pool, newest first, as far as one reads it."""
    held = await statements.held(visit.tx, visit.viewer.id, visit.now, visit.site.book)
    pool = _chosen(held, visit.query.get("pool"))
    if pool is None:
        raise Absent
    show, cursor = _show(visit), visit.query.get("after")
    found = await statements.statement(
        visit.tx,
        visit.viewer.id,
        pool,
        show,
        cursor=cursor,
        limit=LINES_MORE,
        now=visit.now,
        book=visit.site.book,
    )
    if isinstance(found, Refusal):
        return visit.refused(found, 404)
    values = {
        "tabs": _tabs(held, pool, visit.words),
        "list": _list(pool, show, found, visit.words, visit.site.book),
        "begun": cursor is not None,
    }
    return Page("premium_statement.html", values, parts={"more": "patches/statement_more.html"})


async def patches_for_credits(site: Site, viewer: Viewer, words: Words | None = None) -> str:
    """What changes on any page of this member's when their credits have changed: the balances.

    Where My Premium is open, it fetches what else is new itself (`fresh.html`), so that a send costs
    no more than this. `words` are those of the page, where the viewer's browser has chosen them.
    """
    words = words or words_of(viewer.language or DEFAULT, viewer.time_zone)

    async def read(tx: Tx) -> tuple[Held, ...]:
        return await statements.held(tx, viewer.id, await site.clock.now(tx), site.book)

    return html("patches/credits.html", words, {"held": await site.db.reading(read)})


# What a page shows ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tab:
    pool: str
    name: str
    balance: int
    here: bool


@dataclass(frozen=True, slots=True)
class LotRow:
    """A row of lots: its colour, its name, and until when, which may be soon."""

    look: str
    name: str
    group: LotGroup
    until: str
    soon: bool


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the statement as it is shown."""

    said: Said
    kind: Kind
    at: datetime
    credits: int
    balance: int


@dataclass(frozen=True, slots=True)
class Listing:
    """A part of a pool's statement; `next` is the cursor of what follows."""

    pool: str
    show: Show
    shows: Sequence[tuple[Show, str]]
    rows: Sequence[Row]
    next: str | None


def _seen(
    sheet: Sheet, held: Sequence[Held], words: Words, now: datetime, book: PolicyBook
) -> dict[str, Any]:
    """The values of premium.html that are about one pool; also those of its patches."""
    mirrored = words.direction == "rtl"
    policy = book.at(now)
    plan = policy.plans[sheet.subscription.plan] if sheet.subscription else None
    changes_to = sheet.subscription.next_plan if sheet.subscription else None
    grants = [group for group in sheet.lots if group.kind is not Kind.REFUND]
    shades = {id(group): ("l1", "l2", "l3")[place % 3] for place, group in enumerate(grants)}
    lots = [_lot_row(group, shades.get(id(group), "ret"), words, now) for group in sheet.lots]
    cap = sheet.subscription.cap if sheet.subscription else 0
    parts = [(row.look, row.group.remaining) for row in lots]
    room = max(cap - sheet.balance, 0)
    return {
        "sheet": sheet,
        "tabs": _tabs(held, sheet.pool, words),
        "plan": plan,
        "next_plan": policy.plans[changes_to] if changes_to else None,
        "expiry_days": policy.expiry.days,
        "lots": lots,
        "bar": charts.segments([*parts, ("room", room)], sheet.balance + room, mirrored=mirrored),
        "advice": advice(sheet, words, now),
        "coming": coming(sheet, words, book),
        "answers": sheet.answers,
        "median": None if sheet.answers.median is None else words.span(sheet.answers.median),
        "points": _points(sheet.answers),
        "months_chart": _months_chart(sheet.months, words),
        "month_kinds": _month_kinds(sheet.months, words),
        "rate_chart": _rate_chart(sheet.answers, words),
        "list": _list(sheet.pool, sheet.show, sheet.statement, words, book),
    }


async def _open_profile(tx: Tx, viewer: Viewer) -> bool:
    preferences = await members.preferences(tx, viewer.id)
    return not isinstance(preferences, Refusal) and preferences.open_profile


def _chosen(held: Sequence[Held], wanted: str | None) -> str | None:
    """The pool asked for, else the first with a subscription, else the first that there was."""
    pools = [each.pool for each in held]
    if wanted in pools:
        return wanted
    running = [each.pool for each in held if each.plan]
    return next(iter(running + pools), None)


def _show(visit: Visit) -> Show:
    wanted = visit.query.get("show", Show.ALL)
    return Show(wanted) if wanted in list(Show) else Show.ALL


def _zone(words: Words, now: datetime) -> tzinfo:
    zone = words.local(now).tzinfo
    assert zone is not None, "a local instant has its zone"
    return zone


def pool_name(pool: str, words: Words) -> str:
    _ = words.gettext
    names = {
        "premium": _("Premium"),
        "sales_navigator": _("Sales Navigator"),
        "recruiter": _("Recruiter"),
    }
    return names.get(pool) or pool.replace("_", " ").capitalize()


def _tabs(held: Sequence[Held], here: str, words: Words) -> list[Tab]:
    return [
        Tab(each.pool, pool_name(each.pool, words), each.balance, each.pool == here)
        for each in held
    ]


def _lot_row(group: LotGroup, look: str, words: Words, now: datetime) -> LotRow:
    _ = words.gettext
    left = group.first_expires_at - now
    soon = left < SOON
    several = group.first_expires_at != group.last_expires_at
    if soon:
        days = {"days": words.days(left)}
        until = _("first in %(days)s") % days if several else _("%(days)s left") % days
    else:
        day = {"date": words.date(group.first_expires_at)}
        until = _("from %(date)s") % day if several else _("until %(date)s") % day
    name = lot_name(Opened(group.kind, group.since), words)
    return LotRow("soon" if soon else look, name, group, until, soon)


# Numbers ----------------------------------------------------------------------------------------


def _points(answers: Answers) -> int | None:
    """By how many points the answer rate moved against the 90 days before."""
    lately, before = answers.lately.share, answers.before.share
    if lately is None or before is None:
        return None
    return round(100 * lately) - round(100 * before)


# How each kind of entry looks in the chart, in the order in which it is stacked.
_LOOKS = {
    Kind.GRANT: "grant",
    Kind.REFUND: "return",
    Kind.SPEND: "spend",
    Kind.EXPIRE: "expired",
    Kind.FORFEIT: "forfeit",
    Kind.ADJUST: "adjust",
}


def _months_chart(months: Sequence[Month], words: Words) -> charts.Bars:
    columns = [
        charts.Column(
            words.short_month(month.start),
            [(look, max(month.sums.get(kind, 0), 0)) for kind, look in _LOOKS.items()],
            [(look, max(-month.sums.get(kind, 0), 0)) for kind, look in _LOOKS.items()],
        )
        for month in months
    ]
    mirrored = words.direction == "rtl"

    def number(value: int) -> str:
        return words.signed(value) if value < 0 else words.number(value)

    return charts.bars(columns, mirrored=mirrored, number=number)


def _month_kinds(months: Sequence[Month], words: Words) -> list[tuple[Kind, str, str]]:
    """The kinds that the chart tells of: the four usual ones, and others where there were any."""
    _ = words.gettext
    usual = (Kind.GRANT, Kind.REFUND, Kind.SPEND, Kind.EXPIRE)
    names = {
        Kind.GRANT: _("Granted"),
        Kind.REFUND: _("Returned"),
        Kind.SPEND: _("Spent"),
        Kind.EXPIRE: _("Expired"),
        Kind.FORFEIT: _("Forfeited"),
        Kind.ADJUST: _("Adjusted"),
    }
    return [
        (kind, look, names[kind])
        for kind, look in _LOOKS.items()
        if kind in usual or any(month.sums.get(kind) for month in months)
    ]


def _rate_chart(answers: Answers, words: Words) -> charts.Line | None:
    """None where no window has an InMail."""
    shares = [rate.share for _, rate in answers.windows]
    if all(share is None for share in shares):
        return None
    names = [words.day(at) for at, _ in answers.windows]
    mirrored = words.direction == "rtl"
    return charts.line(shares, names, mirrored=mirrored, percent=words.percent)


def _list(pool: str, show: Show, page: Lines[Line], words: Words, book: PolicyBook) -> Listing:
    _ = words.gettext
    shows = [
        (Show.ALL, _("All")),
        (Show.SPENT, _("Spent")),
        (Show.RETURNED, _("Returned")),
        (Show.GRANTED, _("Granted")),
        (Show.EXPIRED, _("Expired")),
        (Show.OTHER, _("Other")),
    ]
    rows = [
        Row(say(line, words, book), e.kind, e.at, e.credits, e.balance)
        for line in page.items
        for e in (line.entry,)
    ]
    return Listing(pool, show, shows, rows, page.next)
