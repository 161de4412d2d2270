"""The plans: what there is to choose, what a change would bring and take, and where one pays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from overture.actions import statements, subscriptions
from overture.actions.payments import stays_until
from overture.actions.statements import Held
from overture.actions.subscriptions import (
    CancelAt,
    Status,
    SubscriptionChange,
    SubscriptionView,
)
from overture.core.payments import change_refused
from overture.core.refusals import Refusal
from overture.store import members
from overture.web.visit import Absent, Answer, Done, No, Page, Visit, act, page

# Pages ------------------------------------------------------------------------------------------


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


# The plans there are ----------------------------------------------------------------------------


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


def offers(visit: Visit, held: Sequence[Held]) -> list[Offer]:
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


# Changes ----------------------------------------------------------------------------------------


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


async def missing(visit: Visit, pool: str) -> Missing | None:
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
    own = await members.own(visit.tx, visit.viewer.id) if "{external_id}" in url else None
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
