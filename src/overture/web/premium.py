"""My Premium: what one holds, what comes of it, where each credit went, and the plans."""

import csv
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from io import StringIO
from typing import Any
from urllib.parse import quote

from starlette.responses import StreamingResponse

from overture.actions import members, statements, subscriptions
from overture.actions.payments import stays_until
from overture.actions.statements import Answers, Held, Line, LotGroup, Month, Sheet, Show
from overture.actions.subscriptions import (
    CancelAt,
    Status,
    SubscriptionChange,
    SubscriptionView,
)
from overture.core.credits import Entry, Kind, Reason
from overture.core.forecast import Forecast
from overture.core.payments import change_refused
from overture.core.policy import PolicyBook
from overture.core.refusals import Refusal
from overture.store import members as member_store
from overture.store.accounts import Viewer
from overture.store.db import Tx
from overture.store.pages import Page as Lines
from overture.store.statements import Opened
from overture.web import charts
from overture.web.context import Site
from overture.web.render import html
from overture.web.statements import Said, lot_name, say
from overture.web.visit import Absent, Answer, Done, No, Page, Visit, act, page
from overture.words import DEFAULT, Words, words_of

LINES_FIRST = 10
LINES_MORE = 50
LINES_FILE = 500
SOON = timedelta(days=14)

# Pages ------------------------------------------------------------------------------------------


@page("/premium")
async def premium(visit: Visit) -> Answer:
    """One pool at a time; without any, what Premium is."""
    held = await statements.held(visit.tx, visit.viewer.id, visit.now, visit.site.book)
    values: dict[str, Any] = {"plans": _plans(visit, held)}
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
    values["missing"] = await _missing(visit, pool)
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


@page("/premium/statement.csv", transaction=False)
async def statement_file(visit: Visit) -> Answer:
    """Every entry of every pool, oldest first, as a file for a spreadsheet."""
    now = await visit.site.instant()
    rows = _file(visit, now)
    # What goes wrong at once is still told as a page.
    first = await anext(rows)

    async def whole() -> AsyncGenerator[str]:
        yield first
        async for part in rows:
            yield part

    name = f"overture-statement-{visit.words.local(now):%Y-%m-%d}.csv"
    return StreamingResponse(
        whole(),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@page("/premium/change")
async def change(visit: Visit) -> Answer:
    """What a plan would bring and take, before one agrees."""
    pool, plan = visit.query.get("pool", ""), visit.query.get("plan", "")
    told = await subscriptions.preview_choice(
        visit.tx, visit.viewer.id, pool, plan, now=visit.now, book=visit.site.book
    )
    if isinstance(told, Refusal):
        return visit.refused(told, 404, "/premium")
    held = await statements.held(visit.tx, visit.viewer.id, visit.now, visit.site.book)
    return Page("premium_change.html", await _asked(visit, _choice(visit, plan, told, held)))


@act("/premium/change")
async def do_change(visit: Visit) -> Answer:
    if (no := _refused(visit)) is not None:
        return no
    pool, plan = visit.form.get("pool", ""), visit.form.get("plan", "")
    held = await statements.held(visit.tx, visit.viewer.id, visit.now, visit.site.book)
    done = await subscriptions.choose(
        visit.tx, visit.viewer.id, pool, plan, now=visit.now, book=visit.site.book
    )
    if isinstance(done, Refusal):
        return visit.refused(done, 404, "/premium")
    choice = _choice(visit, plan, done, held)
    if choice.token != visit.form.get("shown"):
        return await _changed_meanwhile(visit, choice)
    return Done(f"/premium?pool={pool}", notice=choice.done)


@page("/premium/cancel")
async def cancel(visit: Visit) -> Answer:
    """The two ways to end a subscription, each with what it takes."""
    pool = visit.query.get("pool", "")
    held = await statements.held(visit.tx, visit.viewer.id, visit.now, visit.site.book)
    ends = any(each.pool == pool and each.ends_at for each in held)
    choices: list[Choice] = []
    for at in (CancelAt.NOW,) if ends else CancelAt:
        told = await subscriptions.preview_cancel(
            visit.tx, visit.viewer.id, pool, at, now=visit.now, book=visit.site.book
        )
        if isinstance(told, Refusal):
            return visit.refused(told, 404, "/premium")
        choices.append(_cancel(visit, at, told))
    return Page("premium_change.html", await _asked(visit, *choices))


@act("/premium/cancel")
async def do_cancel(visit: Visit) -> Answer:
    if (no := _refused(visit)) is not None:
        return no
    pool = visit.form.get("pool", "")
    try:
        at = CancelAt(visit.form.get("at", ""))
    except ValueError:
        raise Absent from None
    done = await subscriptions.cancel(
        visit.tx, visit.viewer.id, pool, at, now=visit.now, book=visit.site.book
    )
    if isinstance(done, Refusal):
        return visit.refused(done, 404, "/premium")
    choice = _cancel(visit, at, done)
    if choice.token != visit.form.get("shown"):
        return await _changed_meanwhile(visit, choice)
    return Done(f"/premium?pool={pool}", notice=choice.done)


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
class Advice:
    """What to do, and what happens otherwise; `urgent` where something would be lost."""

    urgent: bool
    lead: str
    rest: Sequence[str]


@dataclass(frozen=True, slots=True)
class Coming:
    """Something that will happen by itself: when, what, and by how much the balance changes."""

    when: str
    sentence: str
    credits: int


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


@dataclass(frozen=True, slots=True)
class Offer:
    """A plan to choose; `state` is `now`, `next` or empty."""

    name: str
    title: str
    pool: str
    about: str
    allotment: int
    cap: int
    state: str


@dataclass(frozen=True, slots=True)
class Choice:
    """A change that one is asked to agree to: what it does, and the token of exactly that. `begins`:
    there is no plan yet."""

    action: str
    fields: Mapping[str, str]
    title: str
    about: str
    points: Sequence[tuple[str, str, bool]]
    button: str
    danger: bool
    later: bool
    token: str
    done: str
    begins: bool = False


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
        "advice": _advice(sheet, words, now),
        "coming": _coming(sheet, words, book),
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


# What comes -------------------------------------------------------------------------------------


def _advice(sheet: Sheet, words: Words, now: datetime) -> Advice | None:
    told, view = sheet.forecast, sheet.subscription
    if told is None or view is None:
        return None
    _, ngettext = words.gettext, words.ngettext
    day = {"day": _deadline(told.at, words, now)}
    if told.sends == 0:
        return Advice(False, _nothing_lost(told, words) % day, ())
    count = {"num": words.number(told.sends)}
    if told.ending is None:
        lead = ngettext(
            "Send %(num)s InMail before %(day)s and you lose none at the renewal.",
            "Send %(num)s InMails before %(day)s and you lose none at the renewal.",
            told.sends,
        )
    elif told.ending.reason == Reason.CANCELED:
        lead = ngettext(
            "Send %(num)s InMail before %(day)s and you lose none when your plan ends.",
            "Send %(num)s InMails before %(day)s and you lose none when your plan ends.",
            told.sends,
        )
    else:
        lead = ngettext(
            "Send %(num)s InMail before %(day)s and you lose none when your plan changes.",
            "Send %(num)s InMails before %(day)s and you lose none when your plan changes.",
            told.sends,
        )
    return Advice(True, lead % (count | day), _otherwise(told, view.cap, words, now))


def _nothing_lost(told: Forecast, words: Words) -> str:
    _ = words.gettext
    if told.grant is not None and told.grant.credits:
        return _("Nothing is lost at the renewal on %(day)s: all new credits fit.")
    return _("You have nothing to lose on %(day)s.")


def _otherwise(told: Forecast, cap: int, words: Words, now: datetime) -> list[str]:
    """What is lost if nothing is sent: what expires, what does not fit, what a change takes."""
    _, ngettext = words.gettext, words.ngettext
    expiring, grant, ending = told.expiring, told.grant, told.ending
    values: dict[str, str] = {"cap": words.number(cap)}
    count = -sum(entry.credits for entry in expiring)
    if expiring:
        values["num"] = words.number(count)
        first, last = expiring[0].at, expiring[-1].at
        values["when"] = _deadline(first, words, now)
        one_day = words.local(first).date() == words.local(last).date()
        if not one_day:
            values["when"] = words.days_between(first, last)
    else:
        one_day = False
    cut = grant if grant is not None and grant.forfeited and ending is None else None
    if cut is not None:
        values["fit"] = words.number(cut.credits)
        values["all"] = words.number(cut.credits + cut.forfeited)
    if one_day and cut is not None and cut.credits:
        # One sentence for the usual case.
        both = ngettext(
            "Otherwise %(num)s credit expires on %(when)s, and only %(fit)s of the %(all)s new ones"
            " fit under your limit of %(cap)s.",
            "Otherwise %(num)s credits expire on %(when)s, and only %(fit)s of the %(all)s new ones"
            " fit under your limit of %(cap)s.",
            count,
        )
        return [both % values]
    told_so: list[str] = []
    if expiring and one_day:
        expires = ngettext(
            "Otherwise %(num)s credit expires on %(when)s.",
            "Otherwise %(num)s credits expire on %(when)s.",
            count,
        )
        told_so.append(expires % values)
    elif expiring:
        told_so.append(_("Otherwise %(num)s credits expire, %(when)s.") % values)
    if cut is not None:
        sentence = (
            _("Only %(fit)s of the %(all)s new ones fit under your limit of %(cap)s.")
            if cut.credits
            else _("None of the %(all)s new ones fit under your limit of %(cap)s.")
        )
        told_so.append(sentence % values)
    if ending is not None:
        lost = ending.forfeited - ending.credits
        gone = ngettext(
            "What is left then is lost: %(num)s credit.",
            "What is left then is lost: %(num)s credits.",
            lost,
        )
        told_so.append(gone % {"num": words.number(lost)})
    return told_so


def _deadline(at: datetime, words: Words, now: datetime) -> str:
    """A day; within the same day, its time."""
    if words.local(at).date() == words.local(now).date():
        return words.time(at)
    return words.long_day(at)


def _coming(sheet: Sheet, words: Words, book: PolicyBook) -> list[Coming]:
    """What happens by itself in this period and the next: returned credits are told together."""
    told = sheet.forecast
    if told is None:
        return []
    rows: list[Coming] = []
    for entries in (told.entries, told.later):
        returned = [
            entry for entry in entries if entry.kind is Kind.EXPIRE and _is_returned(entry, sheet)
        ]
        for entry in entries:
            if entry in returned:
                if entry is returned[0]:
                    rows.append(_returned_expire(returned, words))
            else:
                sentence = _event(entry, sheet, words, book)
                rows.append(Coming(words.day(entry.at), sentence, entry.credits))
    return rows


def _is_returned(entry: Entry, sheet: Sheet) -> bool:
    opened = sheet.opened.get(entry.lot) if entry.lot else None
    return opened is not None and opened.kind is Kind.REFUND


def _returned_expire(entries: Sequence[Entry], words: Words) -> Coming:
    when = words.days_between(entries[0].at, entries[-1].at)
    lost = sum(entry.credits for entry in entries)
    sentence = words.ngettext("Returned one expires", "Returned ones expire", -lost)
    return Coming(when, sentence, lost)


def _event(entry: Entry, sheet: Sheet, words: Words, book: PolicyBook) -> str:
    _ = words.gettext
    plan = book.at(entry.at).plans.get(entry.plan or "")
    values = {
        "lot": lot_name(sheet.opened.get(entry.lot) if entry.lot else None, words),
        "plan": words.say(plan.title) if plan else "",
        "fit": words.number(entry.credits),
        "all": words.number(entry.credits + entry.forfeited),
    }
    match entry.kind:
        case Kind.EXPIRE:
            sentence = _("%(lot)s expires")
        case Kind.GRANT if entry.reason == Reason.PLAN_CHANGE:
            sentence = _("%(plan)s begins")
        case Kind.GRANT if entry.forfeited:
            sentence = _("Renewal, %(fit)s of %(all)s fit")
        case Kind.GRANT:
            sentence = _("Renewal")
        case Kind.FORFEIT if entry.reason == Reason.CANCELED:
            sentence = _("Your plan ends")
        case Kind.FORFEIT if entry.reason == Reason.PLAN_CHANGE:
            sentence = _("Credits of the old plan are lost")
        case Kind.FORFEIT:
            sentence = _("%(plan)s begins, granted this month already")
        case _:
            sentence = _("A waiting credit enters")
    return sentence % values


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


# Plans and changes ------------------------------------------------------------------------------


def _plans(visit: Visit, held: Sequence[Held]) -> list[Offer]:
    _, words = visit.words.gettext, visit.words
    about = {
        "premium_career": _("For a job search."),
        "premium_business": _("For a company of one or many."),
        "recruiter_lite": _("For hiring, in its own wallet."),
        "sales_navigator_core": _("For selling, in its own wallet."),
    }
    running = {each.plan for each in held}
    waiting = {each.next_plan for each in held}
    return [
        Offer(
            plan.name,
            words.say(plan.title),
            plan.pool,
            about.get(plan.name, ""),
            plan.allotment,
            plan.cap,
            "now" if plan.name in running else "next" if plan.name in waiting else "",
        )
        for plan in visit.site.book.at(visit.now).plans.values()
    ]


async def _asked(visit: Visit, *choices: Choice) -> dict[str, Any]:
    _ = visit.words.gettext
    title = choices[0].title if len(choices) == 1 else _("Cancel your plan")
    pool = choices[0].fields["pool"]
    return {
        "title": title,
        "choices": choices,
        "back": f"/premium?pool={pool}",
        "meanwhile": False,
        "desk": await _desk(visit, choices[0]),
    }


async def _changed_meanwhile(visit: Visit, choice: Choice) -> Page:
    """What one agreed to is no longer what it would do: it is shown anew, and nothing was done."""
    values = await _asked(visit, choice) | {"meanwhile": True}
    return Page("premium_change.html", values, status=409)


def _choice(visit: Visit, plan: str, told: SubscriptionChange, held: Sequence[Held]) -> Choice:
    """What choosing `plan` does; `held` is from before it."""
    _, words = visit.words.gettext, visit.words
    view = told.subscription
    wanted = visit.site.book.at(visit.now).plans[plan]
    title = {"plan": words.say(wanted.title)}
    before = next((each.plan for each in held if each.pool == view.pool), None)
    points = _effects(visit, told)
    if before == plan:
        heading = _("Keep %(plan)s?") % title
        about = _("What was to end or to change stays as it is. Nothing is lost.")
        button, done = _("Keep %(plan)s") % title, _("You keep %(plan)s.") % title
    elif before is None:
        heading = _("Start %(plan)s?") % title
        about = _("It begins at once, and you can cancel at any time.")
        button, done = _("Start %(plan)s") % title, _("You now have %(plan)s.") % title
    elif view.status is Status.CHANGING:
        day = {"day": words.long_date(told.effective_at)}
        heading = _("Change to %(plan)s?") % title
        about = _("It begins when the running period ends. Until then nothing changes.")
        button = _("Change on %(day)s") % day
        done = _("%(plan)s begins on %(day)s.") % (title | day)
    else:
        heading = _("Change to %(plan)s?") % title
        about = _("It begins at once. Credits don’t move to a new plan.")
        button, done = _("Change now"), _("You now have %(plan)s.") % title
    return Choice(
        action="/premium/change",
        fields={"pool": view.pool, "plan": plan},
        title=heading,
        about=about,
        points=points,
        button=button,
        danger=False,
        later=_is_later(view),
        token=_token(before, told),
        done=done,
        begins=before is None,
    )


def _cancel(visit: Visit, at: CancelAt, told: SubscriptionChange) -> Choice:
    _, words = visit.words.gettext, visit.words
    view = told.subscription
    title = {"plan": words.say(visit.site.book.at(visit.now).plans[view.plan].title)}
    if at is CancelAt.NOW:
        heading, about = _("End it now"), _("Your credits are gone at once.")
        button, done = _("End %(plan)s now") % title, _("%(plan)s has ended.") % title
    else:
        day = {"day": words.long_date(told.effective_at)}
        heading = _("End it when this period ends")
        about = _("Until then you keep your credits and can send them.")
        button = _("End on %(day)s") % day
        done = _("%(plan)s ends on %(day)s.") % (title | day)
    return Choice(
        action="/premium/cancel",
        fields={"pool": view.pool, "at": at},
        title=heading,
        about=about,
        points=_effects(visit, told),
        button=button,
        danger=True,
        later=_is_later(view),
        token=_token(view.plan, told),
        done=done,
    )


def _effects(visit: Visit, told: SubscriptionChange) -> list[tuple[str, str, bool]]:
    """What a change does, point by point; True where it takes something."""
    _, ngettext, words = visit.words.gettext, visit.words.ngettext, visit.words
    view = told.subscription

    def credits(count: int) -> str:
        if not count:
            return _("Nothing")
        return ngettext("%(num)s credit", "%(num)s credits", count) % {"num": words.number(count)}

    later = _is_later(view)
    when = words.long_date(told.effective_at) if later else _("At once")
    points = [
        (_("Takes effect"), when, False),
        (_("You lose"), credits(told.forfeits), told.forfeits > 0),
    ]
    if told.deferred_forfeits:
        waiting = ngettext(
            "%(num)s credit that waits for room",
            "%(num)s credits that wait for room",
            told.deferred_forfeits,
        )
        number = words.number(told.deferred_forfeits)
        points.append((_("And also"), waiting % {"num": number}, True))
    if view.status in (Status.CANCELING, Status.ENDED):
        return points
    points.append((_("You get"), credits(told.grants), False))
    if view.next_grant is not None and not later:
        points.append((_("The next credits"), words.long_date(view.next_grant.at), False))
    if visit.site.payments is None:
        free = _("Nothing: this installation does not take payments")
        points.append((_("Price"), free, False))
    return points


def _is_later(view: SubscriptionView) -> bool:
    return view.status in (Status.CANCELING, Status.CHANGING)


def _token(before: str | None, told: SubscriptionChange) -> str:
    """Exactly what was shown: where any of it is otherwise when one agrees, one is asked anew."""
    view = told.subscription
    at = told.effective_at.isoformat() if _is_later(view) else "now"
    parts = (before, view.plan, view.status, view.next_plan, told.forfeits)
    return "/".join(str(part) for part in (*parts, told.deferred_forfeits, told.grants, at))


# Where plans are paid for -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Desk:
    """Where one goes to pay for a plan, or to change what one pays for. `url` is None where the
    installation does not say where that is."""

    url: str | None
    label: str


@dataclass(frozen=True, slots=True)
class Missing:
    """A payment did not come; the plan stays until then."""

    until: datetime
    url: str | None


def _refused(visit: Visit) -> No | None:
    refusal = change_refused(provider=visit.site.payments is not None, operator=False)
    return None if refusal is None else visit.refused(refusal, url="/premium")


async def _desk(visit: Visit, choice: Choice) -> Desk | None:
    """None where plans are not paid for."""
    payments, _ = visit.site.payments, visit.words.gettext
    if payments is None:
        return None
    fields = choice.fields
    if choice.begins:
        url, label = payments.checkout_url or payments.portal_url, _("Go to payment")
    else:
        url, label = payments.portal_url or payments.checkout_url, _("Change it where you pay")
    return Desk(await _filled(visit, url, fields["pool"], fields.get("plan", "")), label)


async def _missing(visit: Visit, pool: str) -> Missing | None:
    payments = visit.site.payments
    if payments is None:
        return None
    until = await stays_until(visit.tx, visit.viewer.id, pool)
    if until is None or until <= visit.now:
        return None
    return Missing(until, await _filled(visit, payments.portal_url, pool, ""))


async def _filled(visit: Visit, url: str | None, pool: str, plan: str) -> str | None:
    """An operator's address with what stands in braces filled in; see `settings.LINK_WORDS`."""
    if url is None:
        return None
    own = await member_store.own(visit.tx, visit.viewer.id) if "{external_id}" in url else None
    values = {
        "member": visit.viewer.id,
        "external_id": (own and own.external_id) or "",
        "handle": visit.viewer.handle,
        "pool": pool,
        "plan": plan,
    }
    for name, value in values.items():
        url = url.replace(f"{{{name}}}", quote(value, safe=""))
    return url


# The file ---------------------------------------------------------------------------------------

COLUMNS = (
    "at",
    "pool",
    "plan",
    "kind",
    "reason",
    "entry",
    "credits",
    "forfeited",
    "balance",
    "lot",
    "expires_at",
    "inmail_id",
    "recipient",
    "number",
    "link",
)


async def _file(visit: Visit, now: datetime) -> AsyncGenerator[str]:
    """The file, a page of the ledger at a time. Its mark lets spreadsheets see that it is UTF-8."""
    site, viewer = visit.site, visit.viewer.id
    opened: dict[tuple[str, int], Opened] = {}
    cursor: str | None = None
    head = "\N{ZERO WIDTH NO-BREAK SPACE}" + _csv([COLUMNS])
    while True:
        at = cursor

        async def read(tx: Tx, at: str | None = at) -> Lines[Line]:
            return await statements.export(
                tx, viewer, opened, cursor=at, limit=LINES_FILE, now=now, book=site.book
            )

        found = await site.db.reading(read)
        yield head + _csv([_cells(line, visit.words, site.book) for line in found.items])
        head, cursor = "", found.next
        if cursor is None:
            return


def _cells(line: Line, words: Words, book: PolicyBook) -> tuple[str | int, ...]:
    entry = line.entry
    return (
        words.local(entry.at).isoformat(),
        line.pool,
        entry.plan or "",
        entry.kind,
        safe(entry.reason),
        safe(str(say(line, words, book))),
        entry.credits,
        entry.forfeited,
        entry.balance,
        "" if entry.lot is None else f"L{entry.lot}",
        words.local(entry.expires_at).isoformat() if entry.expires_at else "",
        entry.inmail_id or "",
        safe(line.letter.name if line.letter else ""),
        entry.number,
        entry.link,
    )


def safe(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return "'" + text if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _csv(rows: Sequence[Sequence[str | int]]) -> str:
    written = StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue()
