"""What the mails about what happened say. Each comes because its reader has not chosen otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from overture.actions.notifying import (
    Alert,
    Answer,
    Connection,
    Expiry,
    Grant,
    Invitation,
    Letter,
    Messages,
    News,
    Plan,
    Returned,
    Telling,
)
from overture.actions.subscriptions import Status, SubscriptionView
from overture.core import seals
from overture.core.browsers import told_of
from overture.core.conversations import Kind as ConversationKind
from overture.core.conversations import Message, Refund, Response
from overture.core.ids import ConversationId
from overture.core.notifying import NAMES, Kind
from overture.core.policy import Policy
from overture.core.seals import ANSWER_LINKS_HOLD, Secret
from overture.core.text import SNIPPET_CHARS_MAX, snippet
from overture.headlines import called, headline, path, plan_title
from overture.mail.said import (
    Button,
    Buttons,
    Facts,
    Item,
    Items,
    Note,
    Part,
    Said,
    Text,
    Tone,
    Written,
)
from overture.store.notifying import Mailed, Thread
from overture.words import Words

# The choices of an answer link that are no quick reply.
ACCEPT, DECLINE = "accept", "decline"
# Under which a digest can be ended: all mails, since it is made of all of them.
EVERYTHING = "everything"


def answer_path(seal: str, choice: str) -> str:
    return f"/answer/{seal}?with={choice}"


def unsubscribe_path(secret: Secret, reader: Mailed, kind: str) -> str:
    return "/unsubscribe/" + seals.for_unsubscribing(secret, member=reader.member, kind=kind)


@dataclass(frozen=True, slots=True)
class Notice:
    """What a mail says, and what it is part of.

    `name` and `thread` are as in `message.Cover`. `writer` is whose words it brings, empty where they
    are nobody's; `about` the conversation that an answer to it would go to.
    """

    said: Said
    name: str
    thread: str | None = None
    writer: str = ""
    about: ConversationId | None = None


@dataclass(frozen=True, slots=True)
class Desk:
    """What notices are written with: the reader's words, the policy, what links are sealed with, and
    whether a mail can be answered."""

    words: Words
    policy: Policy
    secret: Secret
    now: datetime
    answerable: bool


def notice(telling: Telling, key: str, desk: Desk) -> Notice:
    """The mail that tells of one thing; `key` is what the work has it by."""
    said = _said(telling, desk)
    match telling.news:
        case Letter() | Answer() | Messages() as news:
            thread = news.thread
            root = f"{thread.id}.{1 if thread.begun else 2}"
            return Notice(said, _name(news, root), root, thread.other.name, thread.id)
        case Invitation() | Connection() as news:
            return Notice(said, f"{key}.{telling.reader.member}", writer=news.other.name)
        case _:
            return Notice(said, f"{key}.{telling.reader.member}")


def digest(tellings: Sequence[Telling], key: str, desk: Desk) -> Notice:
    """One mail that tells of many things, in the order of their kinds."""
    words, reader = desk.words, tellings[0].reader
    _ = words.gettext
    parts: list[Part] = []
    for kind in Kind:
        items = [_item(each, desk) for each in tellings if each.kind is kind]
        if items:
            parts.append(Items(_title(kind, words), items))
    heading = words.ngettext(
        "%(num)s thing since your last digest",
        "%(num)s things since your last digest",
        len(tellings),
    ) % {"num": words.number(len(tellings))}
    unsubscribe = unsubscribe_path(desk.secret, reader, EVERYTHING)
    said = Said(
        subject=_("What waits for you, %(day)s") % {"day": words.long_day(desk.now)},
        preview=" · ".join(_item(each, desk).heading for each in tellings[:3]),
        heading=heading,
        parts=parts,
        why=_(
            "You get one mail a day, as you chose in the settings, and none where nothing waits."
        ),
        ends=[
            Button(_("No more mails"), unsubscribe),
            Button(_("Choose which mails you get"), "/settings/notifications"),
        ],
        unsubscribe=unsubscribe,
    )
    return Notice(said, f"digest-{key}.{reader.member}")


def _name(news: Letter | Answer | Messages, root: str) -> str:
    match news:
        case Letter():
            return f"{root}.again" if news.again else root
        case Answer():
            return f"{root}.answer"
        case Messages():
            return f"{news.messages[0].id}.{root[-1]}"


# One thing ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Body:
    subject: str
    preview: str
    heading: str
    parts: Sequence[Part]


def _said(telling: Telling, desk: Desk) -> Said:
    _ = desk.words.gettext
    body = _body(telling.news, telling.reader, desk)
    told = (body.subject, body.preview, body.heading, body.parts)
    if telling.kind is Kind.SECURITY:
        return Said(*told, _("Mails about the safety of your account cannot be switched off."))
    chosen = desk.words.say(NAMES[telling.kind])
    why = _("You get this mail because of your choice “%(choice)s”.") % {"choice": chosen}
    unsubscribe = unsubscribe_path(desk.secret, telling.reader, telling.kind)
    ends = [
        Button(_("No more mails like this"), unsubscribe),
        Button(_("Choose which mails you get"), "/settings/notifications"),
    ]
    return Said(*told, why, ends, unsubscribe)


def _body(news: News, reader: Mailed, desk: Desk) -> _Body:
    match news:
        case Letter():
            return _letter(news, reader, desk)
        case Answer():
            return _answer(news, desk)
        case Messages():
            return _messages(news, desk)
        case Returned():
            return _returned(news, desk)
        case Grant():
            return _grant(news, desk)
        case Expiry():
            return _expiry(news, desk)
        case Plan():
            return _plan(news, desk)
        case Invitation():
            return _invitation(news, desk)
        case Connection():
            return _connection(news, desk)
        case Alert():
            return _alert(news, desk)
        case _:
            assert_never(news)


# Conversations --------------------------------------------------------------------------------------


def _letter(news: Letter, reader: Mailed, desk: Desk) -> _Body:
    words, thread = desk.words, news.thread
    _ = words.gettext
    who = {"name": called(thread.other, words)}
    seal = seals.for_answer(
        desk.secret,
        member=reader.member,
        conversation=thread.id,
        address=reader.address,
        until=news.sent_at + ANSWER_LINKS_HOLD,
    )
    answers = [
        Button(_("Accept"), answer_path(seal, ACCEPT), main=True),
        Button(_("Decline"), answer_path(seal, DECLINE)),
    ]
    quick = [Button(words.say(q.text), answer_path(seal, q.id)) for q in news.quick_replies]
    letter = Written(
        writer=who["name"],
        about=thread.other.headline,
        texts=[news.body],
        subject=thread.subject,
        stamp=words.pgettext("stamp", "INMAIL"),
        end=_("Sent on %(when)s") % {"when": words.moment(news.sent_at)},
    )
    if news.back:
        back = _("Any answer gives %(name)s the credit back, a no as much as a yes.") % who
    else:
        back = _("%(name)s will be glad of any answer, a no as much as a yes.") % who
    parts: list[Part] = [letter, Note(back, Tone.GOOD), Buttons(answers), Buttons(quick)]
    if desk.answerable:
        parts.append(Text(_("Or reply to this mail: what you write is your answer.")))
    parts.append(_open(thread, desk))
    subject = _subject(thread, desk, again=news.again)
    return _Body(subject, _short(news.body), _heading(news, desk), parts)


def _answer(news: Answer, desk: Desk) -> _Body:
    words, thread = desk.words, news.thread
    _ = words.gettext
    yes = news.response is Response.ACCEPTED
    parts: list[Part] = []
    preview = heading = _heading(news, desk)
    if (became := _refund(news, desk)) is not None:
        parts.append(became)
        preview = became.text
    if news.message is not None:
        preview = _short(news.message.body)
        parts.append(_written(thread, [news.message], desk))
        if yes and desk.answerable:
            parts.append(Text(_("Reply to this mail to write back.")))
    elif yes:
        parts.append(Text(_("You can write to each other freely now.")))
    parts.append(_open(thread, desk, main=True))
    return _Body(_subject(thread, desk, again=True), preview, heading, parts)


def _refund(news: Answer, desk: Desk) -> Note | None:
    words, purse = desk.words, news.purse
    _ = words.gettext
    match news.refund:
        case Refund.REFUNDED if purse is not None:
            sentence = words.ngettext(
                "Your credit is back: you have %(num)s now.",
                "Your credit is back: you have %(num)s now.",
                purse.balance,
            )
            return Note(sentence % {"num": words.number(purse.balance)}, Tone.GOOD)
        case Refund.REFUNDED:
            return Note(_("Your credit is back."), Tone.GOOD)
        case Refund.DEFERRED:
            return Note(
                _(
                    "Your credit comes back when there is room for it: you are at your plan’s limit."
                ),
                Tone.PLAIN,
            )
        case Refund.NONE:
            sentence = _("The credit does not come back: the answer came too late for it.")
            if purse is None:
                sentence = _("The credit does not come back: the plan that paid has ended.")
            return Note(sentence, Tone.MIND)
        case None:
            return None


def _messages(news: Messages, desk: Desk) -> _Body:
    thread = news.thread
    _ = desk.words.gettext
    parts: list[Part] = [_written(thread, news.messages, desk)]
    if desk.answerable:
        parts.append(Text(_("Reply to this mail to write back.")))
    parts.append(_open(thread, desk, main=True))
    preview = _short(news.messages[-1].body)
    return _Body(_subject(thread, desk, again=True), preview, _heading(news, desk), parts)


def _written(thread: Thread, messages: Sequence[Message], desk: Desk) -> Written:
    words = desk.words
    files = sum(len(each.files) for each in messages)
    end = ""
    if files:
        end = words.ngettext(
            "With %(num)s file, which is on the site.",
            "With %(num)s files, which are on the site.",
            files,
        ) % {"num": words.number(files)}
    return Written(
        writer=called(thread.other, words),
        about=thread.other.headline,
        texts=[each.body for each in messages],
        end=end,
    )


def _open(thread: Thread, desk: Desk, *, main: bool = False) -> Buttons:
    label = desk.words.gettext("Open the conversation")
    return Buttons([Button(label, f"/inbox/{thread.id}", main=main)])


def _subject(thread: Thread, desk: Desk, *, again: bool) -> str:
    """The same for all mails of a conversation, or mail programs would not show them as one."""
    _ = desk.words.gettext
    names = {"name": called(thread.other, desk.words)}
    if thread.kind is ConversationKind.DIRECT and not thread.subject:
        return _("Messages from %(name)s") % names
    mine, theirs = _("Your InMail to %(name)s"), _("InMail from %(name)s")
    own = thread.subject or (mine if thread.begun else theirs) % names
    # Not translated: by it, too, mail programs know what belongs together.
    return f"Re: {own}" if again else own


# Credits and plans ----------------------------------------------------------------------------------


def _returned(news: Returned, desk: Desk) -> _Body:
    thread, heading = news.thread, _heading(news, desk)
    _ = desk.words.gettext
    if news.undeliverable:
        why = _("Your InMail could not be delivered, since the account that it went to was closed.")
    elif thread is not None and thread.other.name:
        why = _("It is for your InMail to %(name)s, and had waited until there was room for it.")
        why %= {"name": thread.other.name}
    else:
        why = _(
            "It is for an InMail that was answered, and had waited until there was room for it."
        )
    facts = Facts([_holds(news.purse, desk)])
    return _Body(heading, why, heading, [Text(why), facts, _credits(news.purse, desk)])


def _grant(news: Grant, desk: Desk) -> _Body:
    words, purse = desk.words, news.purse
    _ = words.gettext
    heading = _heading(news, desk)
    facts = [_holds(purse, desk)]
    if news.expires_at is not None:
        facts.append((_("The new ones expire on"), words.long_date(news.expires_at)))
    facts += _next(purse, desk)
    parts: list[Part] = [Facts(facts)]
    if news.forfeited:
        sentence = words.ngettext(
            "%(num)s more did not fit under your limit of %(cap)s.",
            "%(num)s more did not fit under your limit of %(cap)s.",
            news.forfeited,
        )
        counted = {"num": words.number(news.forfeited), "cap": words.number(purse.cap)}
        parts.append(Note(sentence % counted, Tone.MIND))
    parts.append(_credits(purse, desk))
    return _Body(heading, f"{facts[0][0]}: {facts[0][1]}", heading, parts)


def _expiry(news: Expiry, desk: Desk) -> _Body:
    words = desk.words
    _ = words.gettext
    heading = _heading(news, desk)
    what = words.ngettext(
        "Unless you use it, it is gone on %(day)s.",
        "Those that you do not use are gone on %(day)s.",
        news.credits,
    ) % {"day": words.long_date(news.expires_at)}
    hint = _("An InMail that is answered gives its credit back, with a new life.")
    parts = [
        Note(what, Tone.MIND if news.last else Tone.PLAIN),
        Text(hint),
        Facts([_holds(news.purse, desk)]),
        Buttons([Button(_("Find someone to write to"), "/members", main=True)]),
        _credits(news.purse, desk, main=False),
    ]
    return _Body(heading, what, heading, parts)


def _plan(news: Plan, desk: Desk) -> _Body:
    view, heading = news.view, _heading(news, desk)
    _ = desk.words.gettext
    if view is None:
        text = _(
            "Its credits have ended with it. Your conversations stay, and you can write on in them."
        )
        plans = Buttons([Button(_("See the plans"), "/premium")])
        return _Body(heading, text, heading, [Text(text), plans])
    facts = [_holds(view, desk)]
    match view.status:
        case Status.CANCELING:
            text = _(
                "Until then all stays as it is. What is left of its credits then ends with it."
            )
        case Status.CHANGING:
            text = _("Until then you keep %(plan)s. What is left of its credits then ends with it.")
            text %= {"plan": plan_title(news.plan, desk.words, desk.policy)}
        case _ if news.began:
            text = _("Your credits are here. One sends one InMail, and an answer brings it back.")
            facts += _next(view, desk)
        case _:
            text = _("What you had asked to happen at the period’s end does not happen.")
    return _Body(heading, text, heading, [Text(text), Facts(facts), _credits(view, desk)])


def _holds(purse: SubscriptionView, desk: Desk) -> tuple[str, str]:
    """What there is in a pool: “Credits now”, “14 of 15”."""
    words = desk.words
    counts = {"num": words.number(purse.balance), "all": words.number(purse.cap)}
    name = words.gettext("Credits of %(plan)s") % {
        "plan": plan_title(purse.plan, words, desk.policy)
    }
    return name, words.gettext("%(num)s of at most %(all)s") % counts


def _next(purse: SubscriptionView, desk: Desk) -> list[tuple[str, str]]:
    words, grant = desk.words, purse.next_grant
    # Where none will fit there is nothing to look forward to.
    if grant is None or grant.credits == 0:
        return []
    told = {"num": words.number(grant.credits), "day": words.long_date(grant.at)}
    return [(words.gettext("Next ones"), words.gettext("%(num)s on %(day)s") % told)]


def _credits(purse: SubscriptionView, desk: Desk, *, main: bool = True) -> Buttons:
    label = desk.words.gettext("See My Premium")
    return Buttons([Button(label, f"/premium?pool={purse.pool}", main=main)])


# The network ----------------------------------------------------------------------------------------


def _invitation(news: Invitation, desk: Desk) -> _Body:
    words = desk.words
    _ = words.gettext
    heading = _heading(news, desk)
    texts = [news.note] if news.note else []
    note = Written(called(news.other, words), news.other.headline, texts)
    see = Buttons([Button(_("See the invitation"), path(news), main=True)])
    return _Body(heading, _short(news.note) or news.other.headline, heading, [note, see])


def _connection(news: Connection, desk: Desk) -> _Body:
    words = desk.words
    _ = words.gettext
    heading = _heading(news, desk)
    text = _("You are connected now, and can write to each other freely.")
    card = Written(called(news.other, words), news.other.headline, [])
    write = Button(_("Write a message"), f"/compose?to={news.other.handle}", main=True)
    return _Body(heading, text, heading, [card, Text(text), Buttons([write])])


# The safety of the account --------------------------------------------------------------------------


def _alert(news: Alert, desk: Desk) -> _Body:
    words = desk.words
    _ = words.gettext
    facts = [(_("When"), words.moment(news.at))]
    mend = _("If it was not you, set a new password now. That signs out every browser.")
    where = _("Where you are signed in")
    match news.what:
        case "account.signed_in":
            text = _("A browser that had not done so before has signed in.")
            facts += _browser(news, words)
        case "account.password_changed":
            text = _("All other browsers were signed out.")
        case "account.passkey_added" | "account.identity_linked":
            text = _("Whoever has the device that holds it can sign in with it.")
            if news.what == "account.identity_linked":
                text = _("It was linked to an account at the identity provider of this site.")
            # A new password leaves these ways in open.
            mend = _("If it was not you, remove it under “Signing in”, and set a new password.")
            where = _("Signing in")
        case "account.two_steps_on":
            text = _("After the password, a code of your authenticator app is asked for.")
        case "account.two_steps_off":
            text = _("A password alone signs in to your account from now on.")
        case "account.code_app_added":
            text = _("The codes of the app that you had before open nothing any more.")
            mend = _(
                "If it was not you, set a new password, sign in with a recovery code, and take another "
                "app under “Signing in”."
            )
            where = _("Signing in")
        case "account.recovery_codes_made":
            text = _("Those that you had before open nothing any more.")
            mend = _("If it was not you, make others under “Signing in”, and set a new password.")
            where = _("Signing in")
        case "account.second_step_failed":
            text = _(
                "Three did not fit. Whoever gave them knows your password, or sits at a browser where "
                "you are signed in."
            )
        case _:
            text = _("Someone signed in with it in place of a code of your authenticator app.")
    heading = _heading(news, desk)
    parts = [
        Text(text),
        Facts(facts),
        Note(mend, Tone.MIND),
        Buttons([Button(_("Set a new password"), "/reset", main=True)]),
        Buttons([Button(where, path(news))]),
    ]
    return _Body(heading, text, heading, parts)


def _browser(news: Alert, words: Words) -> list[tuple[str, str]]:
    if news.browser is None:
        return []
    _ = words.gettext
    told = told_of(news.browser.agent)
    name = told.browser or told.system or _("A program")
    if told.browser and told.system:
        name = _("%(browser)s on %(system)s") % {"browser": told.browser, "system": told.system}
    facts = [(_("Browser"), name)]
    return [*facts, (_("From the address"), news.browser.client)] if news.browser.client else facts


# In a digest ----------------------------------------------------------------------------------------


def _item(telling: Telling, desk: Desk) -> Item:
    news = telling.news
    body = _body(news, telling.reader, desk)
    # What the heading says is not said twice.
    text = "" if body.preview == body.heading else body.preview
    if isinstance(news, (Letter, Answer, Messages)):
        text = ": ".join(each for each in (news.thread.subject, text) if each)
    return Item(body.heading, text, path(news))


def _title(kind: Kind, words: Words) -> str:
    _ = words.gettext
    match kind:
        case Kind.INMAIL:
            return _("Letters")
        case Kind.ANSWERS:
            return _("Answers")
        case Kind.MESSAGES:
            return _("Messages")
        case Kind.NETWORK:
            return _("Network")
        case Kind.CREDITS:
            return _("Credits")
        case Kind.PLANS | Kind.SECURITY:
            raise AssertionError("these are told at once")
        case _:
            assert_never(kind)


def _heading(news: News, desk: Desk) -> str:
    return headline(news, desk.words, desk.policy, desk.now)


def _short(text: str) -> str:
    """The beginning of what a member wrote, on one line."""
    begin = snippet(text)
    return begin if len(begin) < SNIPPET_CHARS_MAX else f"{begin.rstrip()}…"
