"""What changes between two versions of a policy, in sentences for an operator, and what they say side
by side.

Each sentence says what becomes of what exists already, since the past is never judged anew. Source:
docs/rules.md, "Where the rules are silent": a version holds for what happens from its instant on.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from overture.core.policy import GrantsOn, Outcome, Plan, Policy, QuickReply
from overture.core.text import Sentence

YES, NO = Sentence("yes"), Sentence("no")


@dataclass(frozen=True, slots=True)
class Difference:
    """`name` is what changes as the document calls it: `expiry_days`, `plans recruiter_lite cap`.
    `before` and `after` are its values, empty where there is none."""

    name: str
    before: str
    after: str
    sentence: Sentence


@dataclass(frozen=True, slots=True)
class Value:
    """One number of a policy: its name in the document, what it is for, and what it says there."""

    name: str
    label: Sentence
    value: str


def differences(before: Policy, after: Policy) -> tuple[Difference, ...]:
    """What changes where `after` takes the place of `before`, in the document's order."""
    found = [
        Difference(
            number.name,
            number.shown(before),
            number.shown(after),
            number.changed(number.shown(before), number.shown(after)),
        )
        for number in NUMBERS
        if number.shown(before) != number.shown(after)
    ]
    return (*found, *_of_plans(before, after), *_of_replies(before, after))


def values(policy: Policy) -> tuple[Value, ...]:
    """Everything that a policy says, in the document's order, but for titles and texts."""
    told = [Value(number.name, number.label, number.shown(policy)) for number in NUMBERS]
    for plan in policy.plans.values():
        told += [Value(part.of(plan), part.label(plan), part.shown(plan)) for part in _PARTS]
    told.append(Value("pools", _POOLS, ", ".join(policy.pools)))
    return tuple(told)


@dataclass(frozen=True, slots=True)
class _Number:
    """A value that every version has: what it is for, how it reads, and what its change means."""

    name: str
    label: Sentence
    shown: Callable[[Policy], str]
    changed: Callable[[str, str], Sentence]


def _amount(template: Sentence) -> Callable[[str, str], Sentence]:
    """A sentence with both values, whatever they are."""
    return lambda before, after: Sentence(template.template, before=before, after=after)


def _switch(on: Sentence, off: Sentence) -> Callable[[str, str], Sentence]:
    return lambda _before, after: on if after == YES else off


def _yes(value: bool) -> str:
    return YES if value else NO


def _hours(span: timedelta) -> str:
    return str(span // timedelta(hours=1))


NUMBERS = (
    _Number(
        "expiry_days",
        Sentence("Days until a lot of credits dies"),
        lambda policy: str(policy.expiry.days),
        _amount(
            Sentence(
                "Lots die after %(after)s days instead of %(before)s: lots that exist keep their date."
            )
        ),
    ),
    _Number(
        "refund_days",
        Sentence("Days in which an answer returns the credit"),
        lambda policy: str(policy.refund_window.days),
        _amount(
            Sentence(
                "An answer returns the credit within %(after)s days of the letter instead of "
                "%(before)s: letters that are sent by then keep their date."
            )
        ),
    ),
    _Number(
        "decline_unlocks",
        Sentence("After a decline, the sender may write another letter"),
        lambda policy: _yes(policy.decline_unlocks),
        _switch(
            Sentence(
                "Who was declined may write another letter to the same member, also where the decline "
                "came before."
            ),
            Sentence(
                "Who was declined may not write another letter to the same member, also where the "
                "decline came before; letters that are sent stay."
            ),
        ),
    ),
    _Number(
        "follow_ups",
        Sentence("A sender may follow up before the answer, for a credit each"),
        lambda policy: _yes(policy.follow_ups),
        _switch(
            Sentence(
                "A sender may write again before the answer, for a credit each, also on letters that "
                "are pending already."
            ),
            Sentence(
                "A sender waits for the answer before writing again; follow-ups that are sent keep "
                "their refund."
            ),
        ),
    ),
    _Number(
        "open_profile_daily",
        Sentence("Free letters to Open Profiles in 24 hours, a sender"),
        lambda policy: str(policy.open_profile_daily),
        _amount(
            Sentence(
                "Free letters to Open Profiles: at most %(after)s a sender in 24 hours instead of "
                "%(before)s. Those of the last 24 hours count."
            )
        ),
    ),
    _Number(
        "recipient_requires_premium",
        Sentence("Only members with a subscription can receive InMail"),
        lambda policy: _yes(policy.recipient_requires_premium),
        _switch(
            Sentence(
                "Members without a subscription no longer receive InMail; letters that they have stay, "
                "and can be answered."
            ),
            Sentence("Members without a subscription can receive InMail."),
        ),
    ),
    _Number(
        "subject_chars_max",
        Sentence("Characters that a subject may have"),
        lambda policy: str(policy.subject_chars_max),
        _amount(
            Sentence(
                "A subject has at most %(after)s characters instead of %(before)s; what is sent stays."
            )
        ),
    ),
    _Number(
        "body_chars_max",
        Sentence("Characters that a text may have"),
        lambda policy: str(policy.body_chars_max),
        _amount(
            Sentence(
                "A text has at most %(after)s characters instead of %(before)s; what is sent stays."
            )
        ),
    ),
    _Number(
        "reminder_aim_hours",
        Sentence("Hours until the reminder of a pending letter"),
        lambda policy: _hours(policy.reminder_aim),
        _amount(
            Sentence(
                "The reminder is aimed at %(after)s hours after the letter instead of %(before)s; "
                "letters that are sent by then keep theirs."
            )
        ),
    ),
    _Number(
        "reminder_latest_hours",
        Sentence("Hours after which no reminder comes any more"),
        lambda policy: _hours(policy.reminder_latest),
        _amount(
            Sentence(
                "The reminder comes at the latest %(after)s hours after the letter instead of "
                "%(before)s; letters that are sent by then keep theirs."
            )
        ),
    ),
    _Number(
        "waking_from",
        Sentence("Reminders come from this hour of the recipient's on"),
        lambda policy: policy.waking_from.isoformat(),
        _amount(
            Sentence(
                "Reminders of new letters come from %(after)s of the recipient's day on instead of "
                "%(before)s."
            )
        ),
    ),
    _Number(
        "waking_until",
        Sentence("Reminders come until this hour of the recipient's"),
        lambda policy: policy.waking_until.isoformat(),
        _amount(
            Sentence(
                "Reminders of new letters come until %(after)s of the recipient's day instead of "
                "%(before)s."
            )
        ),
    ),
)


# --- Plans --------------------------------------------------------------------------------------

_POOLS = Sentence("Which pool pays where the sender names none: the first that they have")
_GRANTED = {
    GrantsOn.ANNIVERSARY: Sentence("on the anniversary of the sign-up"),
    GrantsOn.FIRST_OF_MONTH: Sentence("on the 1st of the month, UTC"),
}


@dataclass(frozen=True, slots=True)
class _Part:
    """A value that every plan has."""

    name: str
    label: Callable[[Plan], Sentence]
    shown: Callable[[Plan], str]
    changed: Callable[[Plan, Plan], Sentence]

    def of(self, plan: Plan) -> str:
        return f"plans {plan.name} {self.name}"


def _cap_changed(before: Plan, after: Plan) -> Sentence:
    told = {"plan": after.title, "before": before.cap, "after": after.cap}
    if after.cap > before.cap:
        return Sentence(
            "%(plan)s holds at most %(after)s credits instead of %(before)s: refunds that wait for "
            "room come in at once.",
            **told,
        )
    return Sentence(
        "%(plan)s holds at most %(after)s credits instead of %(before)s: who holds more keeps them, "
        "and gets no new ones until there is room.",
        **told,
    )


_PARTS = (
    _Part(
        "title",
        lambda plan: Sentence("%(plan)s: its name for members", plan=plan.name),
        lambda plan: plan.title,
        lambda before, after: Sentence(
            "The plan %(plan)s is called “%(after)s” instead of “%(before)s”.",
            plan=after.name,
            before=before.title,
            after=after.title,
        ),
    ),
    _Part(
        "pool",
        lambda plan: Sentence("%(plan)s: the pool of its credits", plan=plan.title),
        lambda plan: plan.pool,
        lambda before, after: Sentence(
            "The credits of %(plan)s are of the pool %(after)s instead of %(before)s: this version "
            "cannot follow the other, as members may hold the plan.",
            plan=after.title,
            before=before.pool,
            after=after.pool,
        ),
    ),
    _Part(
        "allotment",
        lambda plan: Sentence("%(plan)s: credits a month", plan=plan.title),
        lambda plan: str(plan.allotment),
        lambda before, after: Sentence(
            "%(plan)s grants %(after)s credits a month instead of %(before)s, from each member's next "
            "grant on.",
            plan=after.title,
            before=before.allotment,
            after=after.allotment,
        ),
    ),
    _Part(
        "cap",
        lambda plan: Sentence("%(plan)s: credits held at most", plan=plan.title),
        lambda plan: str(plan.cap),
        _cap_changed,
    ),
    _Part(
        "grants_on",
        lambda plan: Sentence("%(plan)s: when credits are granted", plan=plan.title),
        lambda plan: _GRANTED[plan.grants_on],
        lambda _before, after: (
            Sentence(
                "%(plan)s grants its credits on the anniversary of the sign-up instead of the 1st of "
                "the month.",
                plan=after.title,
            )
            if after.grants_on is GrantsOn.ANNIVERSARY
            else Sentence(
                "%(plan)s grants its credits on the 1st of each month, at 00:00 UTC, instead of the "
                "anniversary of the sign-up.",
                plan=after.title,
            )
        ),
    ),
)


def _of_plans(before: Policy, after: Policy) -> Iterator[Difference]:
    for plan in before.plans.values():
        kept = after.plans.get(plan.name)
        if kept is None:
            gone = Sentence(
                "The plan %(plan)s is gone: this version cannot follow the other, as members may hold "
                "the plan.",
                plan=plan.title,
            )
            yield Difference(f"plans {plan.name}", plan.title, "", gone)
            continue
        for part in _PARTS:
            was, comes = part.shown(plan), part.shown(kept)
            if was != comes:
                yield Difference(part.of(kept), was, comes, part.changed(plan, kept))
    for plan in after.plans.values():
        if plan.name not in before.plans:
            new = Sentence(
                "There is a new plan, %(plan)s: %(allotment)s credits a month of the pool %(pool)s, at "
                "most %(cap)s held.",
                plan=plan.title,
                allotment=plan.allotment,
                pool=plan.pool,
                cap=plan.cap,
            )
            yield Difference(f"plans {plan.name}", "", plan.title, new)
    was, comes = ", ".join(before.pools), ", ".join(after.pools)
    if was != comes:
        order = Sentence(
            "Where a sender names no pool, the first of these that they have pays: %(after)s. Before, "
            "it was the first of %(before)s.",
            before=was,
            after=comes,
        )
        yield Difference("pools", was, comes, order)
    kept_order = [name for name in before.plans if name in after.plans]
    if was == comes and kept_order != [name for name in after.plans if name in before.plans]:
        order = Sentence("The plans are shown in another order.")
        yield Difference("plans", ", ".join(before.plans), ", ".join(after.plans), order)


# --- Quick replies ------------------------------------------------------------------------------


def _of_replies(before: Policy, after: Policy) -> Iterator[Difference]:
    known = {reply.id: reply for reply in before.quick_replies}
    coming = {reply.id: reply for reply in after.quick_replies}
    for reply in known.values():
        if reply.id not in coming:
            gone = Sentence(
                "The quick reply “%(text)s” is gone; answers that were given with it stay.",
                text=reply.text,
            )
            yield Difference(_name(reply), reply.text, "", gone)
    for reply in coming.values():
        was = known.get(reply.id)
        if was is None:
            new = Sentence(
                "There is a new quick reply, “%(text)s”, which declines a letter.", text=reply.text
            )
            if reply.outcome is Outcome.ACCEPTED:
                new = Sentence(
                    "There is a new quick reply, “%(text)s”, which accepts a letter.",
                    text=reply.text,
                )
            yield Difference(_name(reply), "", reply.text, new)
            continue
        if was.text != reply.text:
            text = Sentence(
                "The quick reply “%(before)s” says “%(after)s”.", before=was.text, after=reply.text
            )
            yield Difference(f"{_name(reply)} text", was.text, reply.text, text)
        if was.outcome is not reply.outcome:
            made = Sentence(
                "The quick reply “%(text)s” declines a letter instead of accepting it; letters that "
                "were answered stay as they are.",
                text=reply.text,
            )
            if reply.outcome is Outcome.ACCEPTED:
                made = Sentence(
                    "The quick reply “%(text)s” accepts a letter instead of declining it; letters that "
                    "were answered stay as they are.",
                    text=reply.text,
                )
            yield Difference(f"{_name(reply)} outcome", was.outcome, reply.outcome, made)
    order = [name for name in known if name in coming]
    if order != [name for name in coming if name in known]:
        told = Sentence("The quick replies are shown in another order.")
        yield Difference("quick_replies", ", ".join(known), ", ".join(coming), told)


def _name(reply: QuickReply) -> str:
    return f"quick_replies {reply.id}"
