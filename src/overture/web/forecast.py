"""What comes of a pool by itself, in sentences: what to do about it, and what happens when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from overture.actions.statements import Sheet
from overture.core.credits import Entry, Kind, Reason
from overture.core.forecast import Forecast
from overture.core.policy import PolicyBook
from overture.web.statements import lot_name
from overture.words import Words


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


def advice(sheet: Sheet, words: Words, now: datetime) -> Advice | None:
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


def coming(sheet: Sheet, words: Words, book: PolicyBook) -> list[Coming]:
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
