"""What a line of the statement says: a sentence for every kind and reason."""

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup, escape
from typing_extensions import override

from overture.actions.statements import Line
from overture.core.conversations import Response
from overture.core.credits import Entry, Kind, Reason
from overture.core.policy import PolicyBook
from overture.store.statements import Letter, Opened
from overture.words import Words


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence with placeholders, and what stands in them; `name` is the recipient's."""

    sentence: str
    values: Mapping[str, str]
    letter: Letter | None

    @override
    def __str__(self) -> str:
        return self.sentence % self.values

    def __html__(self) -> str:
        """The recipient's name leads to the conversation."""
        values: dict[str, str] = dict(self.values)
        if self.letter is not None and "name" in values:
            values["name"] = Markup('<a href="/inbox/{}">{}</a>').format(
                self.letter.id, values["name"]
            )
        return escape(self.sentence) % values


def say(line: Line, words: Words, book: PolicyBook) -> Said:
    entry, letter = line.entry, line.letter
    values = {
        "name": letter.name if letter and letter.name else words.gettext("a former member"),
        "plan": _title(entry, words, book),
        "cut": words.number(entry.forfeited),
        "reason": entry.reason,
    }
    match entry.kind:
        case Kind.GRANT:
            sentence = _grant(entry, words)
        case Kind.SPEND:
            _ = words.gettext
            follows = entry.reason == Reason.FOLLOW_UP
            sentence = _("Follow-up to %(name)s") if follows else _("InMail to %(name)s")
        case Kind.REFUND:
            sentence = _refund(entry, letter, words)
        case Kind.DEFER:
            sentence = _defer(entry, words)
        case Kind.NO_REFUND:
            sentence = _no_refund(entry, words)
        case Kind.EXPIRE:
            return _expire(entry, line.opened, words)
        case Kind.FORFEIT:
            sentence = _forfeit(entry, words)
        case Kind.ADJUST:
            _ = words.gettext
            sentence = (
                _("Added by the operator: %(reason)s")
                if entry.credits > 0
                else _("Taken by the operator: %(reason)s")
            )
    return Said(sentence, values, letter)


def lot_name(opened: Opened | None, words: Words) -> str:
    """Credits that came together: August grant, Returned in August."""
    _ = words.gettext
    if opened is None:
        return _("Credits")
    month = {"month": words.month(opened.at)}
    match opened.kind:
        case Kind.GRANT:
            return _("%(month)s grant") % month
        case Kind.ADJUST:
            return _("Added in %(month)s") % month
        case _:
            return _("Returned in %(month)s") % month


def _grant(entry: Entry, words: Words) -> str:
    _ = words.gettext
    match entry.reason, entry.forfeited > 0:
        case Reason.SIGN_UP, False:
            return _("First grant, %(plan)s")
        case Reason.SIGN_UP, True:
            return _("First grant, %(plan)s (%(cut)s over the limit)")
        case Reason.PLAN_CHANGE, False:
            return _("Grant of the new plan, %(plan)s")
        case Reason.PLAN_CHANGE, True:
            return _("Grant of the new plan, %(plan)s (%(cut)s over the limit)")
        case _, False:
            return _("Monthly grant, %(plan)s")
        case _:
            return _("Monthly grant, %(plan)s (%(cut)s over the limit)")


def _refund(entry: Entry, letter: Letter | None, words: Words) -> str:
    _ = words.gettext
    if entry.reason == Reason.DEFERRED:
        return _("Returned, now that there is room: %(name)s")
    if entry.reason == Reason.UNDELIVERABLE:
        return _("Returned: an InMail could not be delivered")
    match letter.response if letter else None:
        case Response.ACCEPTED:
            return _("Returned: %(name)s accepted")
        case Response.DECLINED:
            return _("Returned: %(name)s declined")
        case _:
            return _("Returned: %(name)s answered")


def _defer(entry: Entry, words: Words) -> str:
    _ = words.gettext
    if entry.reason == Reason.UNDELIVERABLE:
        return _("Waits for room: an InMail could not be delivered")
    return _("Waits for room under your limit: %(name)s answered")


def _no_refund(entry: Entry, words: Words) -> str:
    _ = words.gettext
    if entry.reason == Reason.NO_SUBSCRIPTION:
        return _("Nothing returned: %(name)s answered when you had no plan")
    return _("Nothing returned: %(name)s answered too late")


def _expire(entry: Entry, opened: Opened | None, words: Words) -> Said:
    _ = words.gettext
    if opened is None:
        return Said(_("Unused credits expired"), {}, None)
    values = {"month": words.month(opened.at), "days": words.days(entry.at - opened.at)}
    match opened.kind:
        case Kind.GRANT:
            return Said(_("%(month)s grant, unused after %(days)s"), values, None)
        case Kind.ADJUST:
            return Said(_("Added in %(month)s, unused after %(days)s"), values, None)
        case _:
            return Said(_("Returned in %(month)s, unused after %(days)s"), values, None)


def _forfeit(entry: Entry, words: Words) -> str:
    _ = words.gettext
    if entry.reason == Reason.ALREADY_GRANTED:
        return _("No second grant within a month, %(plan)s (%(cut)s not granted)")
    match entry.reason, entry.forfeited > 0:
        case Reason.PLAN_CHANGE, False:
            return _("Plan changed: the credits of the old one are gone")
        case Reason.PLAN_CHANGE, True:
            return _("Plan changed: the credits of the old one are gone, and %(cut)s that waited")
        case _, False:
            return _("Plan ended: its credits are gone")
        case _:
            return _("Plan ended: its credits are gone, and %(cut)s that waited")


def _title(entry: Entry, words: Words, book: PolicyBook) -> str:
    plan = book.at(entry.at).plans.get(entry.plan) if entry.plan else None
    return words.say(plan.title) if plan else (entry.plan or "")
