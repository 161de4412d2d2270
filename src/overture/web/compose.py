"""Compose: a letter to a member, as a pop-up over any page and as a page of its own.

Both show one fragment, `parts/compose.html`. `<a href="/compose?to=HANDLE" data-live>` opens the pop-up
from any page. What is written is kept as a draft while one types; the answer to that also brings
advice and, where they have changed meanwhile, the price and what will happen.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import assert_never
from urllib.parse import urlencode

from markupsafe import Markup
from starlette.responses import Response

from overture import ids
from overture.actions import conversations, drafts, members, network, pace, subscriptions
from overture.actions.conversations import KeyReused
from overture.actions.drafts import NOBODY, Draft, Listed, Place
from overture.actions.fields import Invalid
from overture.core import advice, text
from overture.core.advice import Hint, Kind, Person
from overture.core.contact import Contact, RemedyKind
from overture.core.conversations import Channel, State
from overture.core.ids import ConversationId, MemberId, MessageId
from overture.core.policy import Policy
from overture.core.refusals import Refusal
from overture.core.sending import Refused, Start
from overture.core.text import BadText
from overture.store.db import Tx
from overture.store.idempotency import Once, kept
from overture.store.members import Profile
from overture.web.render import icon
from overture.web.visit import Answer, Done, Go, No, Page, Patch, Sent, Visit, act, page
from overture.words import Words

# So many are offered while one types a name.
PEOPLE_MAX = 8
KEY_CHARS_MAX = 64


@dataclass(frozen=True, slots=True)
class Action:
    """The one thing to do where a letter cannot be sent; `post` says that it changes something."""

    label: str
    url: str
    post: bool = False


@dataclass(frozen=True, slots=True)
class Situation:
    """What will happen, in one sentence, and what can be done. Without an action: send."""

    kind: str
    icon: Markup
    tone: str
    sentence: str
    action: Action | None = None
    price: int = 0
    pool: str = ""
    balance: int | None = None
    into: ConversationId | None = None

    @property
    def sendable(self) -> bool:
        return self.action is None

    @property
    def mark(self) -> str:
        """Tells this situation from another, so that only a changed one is shown anew."""
        into = self.into or ""
        return f"{self.kind} {self.price} {self.pool} {self.balance} {into}"


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool that the writer could pay from."""

    name: str
    title: str
    balance: int


@dataclass(frozen=True, slots=True)
class Letter:
    """All that the fragment shows. `to` is None while nobody is chosen; `picking` shows the search."""

    key: str
    place: Place
    to: Profile | None
    pop: bool
    subject: str = ""
    body: str = ""
    picking: bool = False
    q: str = ""
    found: list[Profile] | None = None
    situation: Situation | None = None
    pools: list[Pool] = field(default_factory=list[Pool])
    hints: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    saved: bool = False
    errors: Mapping[str, str] = field(default_factory=dict[str, str])
    alert: str = ""
    subject_chars_max: int = 200
    body_chars_max: int = 2000

    @property
    def subject_chars(self) -> int:
        return len(text.normal(self.subject))

    @property
    def body_chars(self) -> int:
        return len(text.normal(self.body))

    @property
    def advised(self) -> str:
        """Which hints are shown, so that only changed ones are said anew."""
        return " ".join(kind for kind, _ in self.hints)

    @property
    def at(self) -> str:
        """Whose letter it is, as the form says it: the member's id."""
        return self.place.id if self.place.kind is drafts.Kind.LETTER else ""

    @property
    def url(self) -> str:
        """Where the page of this letter is."""
        return _url(self.to)


# Pages ------------------------------------------------------------------------------------------


@page("/compose", searches="q")
async def compose(visit: Visit) -> Answer:
    """The letter under way to a member, or to nobody yet; `change` chooses another recipient."""
    wanted, q = visit.query.get("to", ""), visit.query.get("q", "")
    to, alert = await _recipient(visit, wanted)
    place = _place(visit, to, wanted)
    draft = await drafts.draft(visit.tx, visit.viewer.id, place)
    letter = await _letter(
        visit,
        visit.tx,
        visit.now,
        to=to,
        draft=draft,
        key=ids.new(),
        pop=visit.live == "over",
        pool=visit.query.get("pool"),
        picking="change" in visit.query or to is None,
        alert=alert,
        q=q,
    )
    listed = await _under_way(visit.tx, visit.viewer.id, place) if not letter.pop else []
    values = {"c": letter, "listed": listed}
    return Page("compose.html", values, parts={"over": "patches/compose_over.html"})


@page("/compose/people", searches="q")
async def people(visit: Visit) -> Answer:
    """Members whose name, headline or company begins so, while one types."""
    found = await _found(visit.tx, visit, visit.query.get("q", ""))
    values = {"key": _key(visit.query), "found": found, "q": visit.query.get("q", "")}
    return Patch("patches/compose_people.html", values)


# While one writes -------------------------------------------------------------------------------


@act("/compose/draft")
async def save(visit: Visit) -> Answer:
    """Keeps the draft; brings advice and, where they changed, the price and what will happen."""
    letter = await _written(visit, visit.tx, visit.now)
    if letter is None:
        return Response("")
    if letter.errors:
        return Patch("patches/compose_saved.html", _shown(visit, letter), status=422)
    if not visit.live:
        return Done(letter.url, notice=visit.words.gettext("Draft saved."))
    return Patch("patches/compose_saved.html", _shown(visit, letter))


@act("/compose/check", transaction=False)
async def check(visit: Visit) -> Answer:
    """Keeps the draft, and says whether it can be sent: before it waits its seconds, not after."""

    async def work(tx: Tx) -> Letter | None:
        return await _written(visit, tx, await visit.site.clock.now(tx), send=True)

    letter = await visit.site.db.writing(work)
    if letter is None:
        return _sent_already(visit)
    sendable = not letter.errors and (letter.situation is None or letter.situation.sendable)
    values = _shown(visit, letter) | {"checked": True}
    return Patch("patches/compose_saved.html", values, status=200 if sendable else 422)


@act("/compose/find")
async def find(visit: Visit) -> Answer:
    """Looks for a recipient without a script: the letter is kept, the page shows who was found."""
    _ = await _written(visit, visit.tx, visit.now)
    to = await _known(visit.tx, visit, visit.form.get("to", ""), visit.now)
    return Go(_url(to, change="1", q=visit.form.get("q", "")))


@act("/compose/change")
async def change(visit: Visit) -> Answer:
    """Another recipient is wanted: the letter is kept, and the search shown."""
    return await _again(visit, picking=True)


@act("/compose/keep")
async def keep(visit: Visit) -> Answer:
    """The recipient stays after all."""
    return await _again(visit, picking=False)


@act("/compose/to")
async def choose(visit: Visit) -> Answer:
    """The letter is to this member: it goes along, unless one to them is under way already."""
    _ = await _written(visit, visit.tx, visit.now)
    to, alert = await _recipient(visit, visit.form.get("pick", ""))
    if to is None:
        return No(alert, 404, "/compose")
    before = await _where(visit)
    has_text = bool(_blankless(visit.form))
    draft = await drafts.redirect(visit.tx, visit.viewer.id, to.id, before=before, now=visit.now)
    if draft and has_text and draft.body != text.normal(visit.form.get("body", "")):
        sentence = visit.words.gettext(
            "You had begun a letter to %(name)s before. The other one is kept among your drafts."
        )
        alert = sentence % {"name": to.name}
    if visit.form.get("pop") and visit.live:
        letter = await _letter(
            visit,
            visit.tx,
            visit.now,
            to=to,
            draft=draft,
            key=_key(visit.form),
            pop=True,
            alert=alert,
        )
        return Patch("patches/compose_again.html", {"c": letter})
    return Done(_url(to), notice=alert or None)


@act("/compose/unblock")
async def unblock(visit: Visit) -> Answer:
    """Lifts the block that stands before the letter."""
    _ = await _written(visit, visit.tx, visit.now)
    to, alert = await _recipient(visit, visit.form.get("to", ""))
    if to is None:
        return No(alert, 404, "/compose")
    refused = await network.unblock(visit.tx, visit.viewer.id, to.id, visit.now)
    if refused is not None:
        return visit.refused(refused)
    return await _again(visit, picking=False)


@act("/compose/discard")
async def discard(visit: Visit) -> Answer:
    """The letter is not wanted any more."""
    await drafts.discard(visit.tx, visit.viewer.id, await _where(visit))
    notice = visit.words.gettext("Draft discarded.")
    if visit.form.get("pop"):
        values = {"key": _key(visit.form)}
        return Done("/inbox", patches="patches/compose_gone.html", values=values, notice=notice)
    return Done("/inbox", notice=notice)


# Sending ----------------------------------------------------------------------------------------


@act("/compose", transaction=False)
async def send(visit: Visit) -> Answer:
    """Sends the letter at the price that was shown, or shows why not and keeps it."""
    db, clock = visit.site.db, visit.site.clock

    async def before(tx: Tx) -> tuple[Profile | None, Mapping[str, str]]:
        now = await clock.now(tx)
        to = await _known(tx, visit, visit.form.get("to", ""), now)
        return to, _unsendable(visit, to, visit.site.book.at(now))

    to, errors = await db.reading(before)
    if errors or to is None:
        return await _not_sent(visit, errors)
    if not await db.writing(lambda tx: pace.allows_letter(tx, visit.viewer.id)):
        alert = visit.words.gettext("You send letters too fast. This one is kept: wait a minute.")
        return await _not_sent(visit, {}, alert=alert, status=429)
    shown = visit.form.get("price", "")
    command = Start(
        visit.viewer.id,
        to.id,
        ConversationId(ids.new()),
        MessageId(ids.new()),
        body=text.normal(visit.form.get("body", "")),
        subject=text.normal(visit.form.get("subject", "")).strip(),
        pool=visit.form.get("pool") or None,
        max_credits=int(shown) if shown.isdecimal() and len(shown) < 4 else 0,
        paced=visit.site.paced(),
    )
    answer = await visit.send(command, _key(visit.form))
    match answer:
        case Sent():
            place = Place.letter(to.id)
            await db.writing(lambda tx: drafts.discard(tx, visit.viewer.id, place))
            return _sent(visit, to, answer)
        case Refused():
            status = 429 if answer.code is Refusal.SENDING_LIMIT else 422
            return await _not_sent(visit, {}, alert=_why(visit, answer.code, to), status=status)
        case KeyReused():
            return _sent_already(visit)
        case _:
            assert_never(answer)


def _sent(visit: Visit, to: Profile, sent: Sent) -> Answer:
    _ = visit.words.gettext
    if sent.credits:
        sentence = visit.words.ngettext(
            "Sent to %(name)s. You have %(num)s credit left.",
            "Sent to %(name)s. You have %(num)s credits left.",
            sent.balance or 0,
        )
        sentence %= {"name": to.name, "num": visit.words.number(sent.balance or 0)}
    else:
        sentence = _("Sent to %(name)s.") % {"name": to.name}
    if not visit.live:
        return Done(f"/inbox/{sent.conversation}", notice=sentence)
    values = {"key": _key(visit.form), "sent": sent, "sentence": sentence}
    return Patch("patches/compose_sent.html", values)


def _sent_already(visit: Visit) -> Answer:
    sentence = visit.words.gettext(
        "This letter was sent before. What you changed since is not in it."
    )
    return No(sentence, 409, "/inbox")


def _why(visit: Visit, code: Refusal, to: Profile) -> str:
    """Why nothing was sent; what can be done stands beside the letter."""
    _ = visit.words.gettext
    if code is Refusal.PRICE_EXCEEDS_MAX:
        sentence = _("Nothing was sent: writing to %(name)s costs more than you were shown.")
        return sentence % {"name": to.name}
    return _("Nothing was sent. %(reason)s") % {"reason": visit.words.say(code.sentence)}


async def _not_sent(
    visit: Visit, errors: Mapping[str, str], *, alert: str = "", status: int = 422
) -> Answer:
    """The letter again, as it was written, with what is wrong; it is kept as a draft meanwhile."""

    async def work(tx: Tx) -> Letter | None:
        now = await visit.site.clock.now(tx)
        return await _written(visit, tx, now, errors=errors, alert=alert)

    letter = await visit.site.db.writing(work)
    if letter is None:
        return _sent_already(visit)
    if visit.live:
        values = _shown(visit, letter) | {"checked": True}
        return Patch("patches/compose_saved.html", values, status)
    return Page("compose.html", {"c": letter, "listed": []}, status=status)


# The letter -------------------------------------------------------------------------------------


async def _written(
    visit: Visit,
    tx: Tx,
    now: datetime,
    *,
    send: bool = False,
    errors: Mapping[str, str] | None = None,
    alert: str = "",
) -> Letter | None:
    """What the form holds, kept as a draft; None where this letter was sent already.

    With `send` the errors tell why it cannot be sent, else why it cannot be kept.
    """
    form, viewer = visit.form, visit.viewer
    key = _key(form)
    if key and await kept(tx, [Once(viewer.id, "web", key, b"")]):
        return None
    to = await _known(tx, visit, form.get("to", ""), now)
    place = _place(visit, to, form.get("to", ""))
    subject, body, pool = form.get("subject", ""), form.get("body", ""), _pool(visit, now)
    done = await drafts.save(tx, viewer.id, place, subject=subject, body=body, pool=pool, now=now)
    found = dict(errors or {})
    if isinstance(done, Invalid):
        found |= visit.errors(done)
    elif isinstance(done, Refusal):
        found |= {"to": visit.words.say(done.sentence)}
    if send:
        found |= _unsendable(visit, to, visit.site.book.at(now))
    return await _letter(
        visit,
        tx,
        now,
        to=to,
        draft=Draft(place, subject, body, pool, now),
        key=key,
        pop=bool(form.get("pop")),
        pool=pool,
        picking=bool(form.get("picking")) or to is None,
        errors=found,
        alert=alert,
        saved=isinstance(done, Draft),
    )


def _unsendable(visit: Visit, to: Profile | None, policy: Policy) -> dict[str, str]:
    """What is to be mended before the rules are asked, by field."""
    cleaned = {
        "subject": text.line(visit.form.get("subject", ""), policy.subject_chars_max),
        "body": text.body(visit.form.get("body", ""), policy.body_chars_max),
    }
    bad = {
        name: visit.words.say(value.sentence)
        for name, value in cleaned.items()
        if isinstance(value, BadText)
    }
    return bad if to else {"to": visit.words.gettext("Choose whom to write to.")} | bad


async def _again(visit: Visit, *, picking: bool) -> Answer:
    """The letter that the form holds, kept and shown anew."""
    letter = await _written(visit, visit.tx, visit.now)
    if letter is None:
        return _sent_already(visit)
    if not (visit.live and letter.pop):
        return Go(_url(letter.to, **({"change": "1"} if picking else {})))
    again = await _letter(
        visit,
        visit.tx,
        visit.now,
        to=letter.to,
        draft=await drafts.draft(visit.tx, visit.viewer.id, letter.place),
        key=letter.key,
        pop=True,
        pool=_pool(visit, visit.now),
        picking=picking or letter.to is None,
    )
    return Patch("patches/compose_again.html", {"c": again})


async def _letter(
    visit: Visit,
    tx: Tx,
    now: datetime,
    *,
    to: Profile | None,
    draft: Draft | None,
    key: str,
    pop: bool,
    pool: str | None = None,
    picking: bool = False,
    q: str = "",
    errors: Mapping[str, str] | None = None,
    alert: str = "",
    saved: bool | None = None,
) -> Letter:
    book = visit.site.book
    policy = book.at(now)
    held = (await subscriptions.premium(tx, visit.viewer.id, now, book)).pools
    say = visit.words.say
    pools = [Pool(each.pool, say(policy.plans[each.plan].title), each.balance) for each in held]
    situation: Situation | None = None
    if to is not None and not picking:
        # A draft may be older than the plan that was to pay for it.
        kept_pool = draft.pool if draft and any(each.name == draft.pool for each in pools) else None
        contact = await conversations.preview(
            tx,
            visit.viewer.id,
            to.id,
            pool=pool or kept_pool,
            now=now,
            book=book,
            paced=visit.site.paced(),
        )
        situation = situation_of(visit.words, contact, to, now=now, policy=policy)
        if situation.price == 0:
            pools = []
    subject, body = (draft.subject, draft.body) if draft else ("", "")
    return Letter(
        key=key,
        place=draft.place if draft else _place(visit, to, ""),
        to=to,
        pop=pop,
        subject=subject,
        body=body,
        picking=picking,
        q=q,
        found=await _found(tx, visit, q) if q else None,
        situation=situation,
        pools=pools if len(pools) > 1 and situation is not None else [],
        hints=await _hints(visit, tx, now, to=to, subject=subject, body=body),
        saved=draft is not None if saved is None else saved,
        errors=errors or {},
        alert=alert,
        subject_chars_max=policy.subject_chars_max,
        body_chars_max=policy.body_chars_max,
    )


def _shown(visit: Visit, letter: Letter) -> dict[str, object]:
    """What of the letter is to be shown anew: not what the page says already."""
    form, situation = visit.form, letter.situation
    return {
        "c": letter,
        "new_status": letter.saved != (form.get("saved") == "1"),
        "new_hints": letter.advised != form.get("advised", ""),
        "new_situation": situation is not None and situation.mark != form.get("mark", ""),
        "checked": False,
    }


async def _under_way(tx: Tx, viewer: MemberId, place: Place) -> list[Listed]:
    """The other letters that the member has begun."""
    return [each for each in await drafts.letters(tx, viewer) if each.draft.place != place]


# Whom it is to ----------------------------------------------------------------------------------


async def _recipient(visit: Visit, wanted: str) -> tuple[Profile | None, str]:
    """Who that is, or a sentence why it is nobody; neither where nobody was named."""
    if not wanted:
        return None, ""
    found = await _known(visit.tx, visit, wanted, visit.now)
    if found is None:
        return None, visit.words.say(Refusal.NO_SUCH_MEMBER.sentence)
    if found.id == visit.viewer.id:
        return None, visit.words.gettext("You cannot write to yourself. Choose another member.")
    return found, ""


async def _known(tx: Tx, visit: Visit, wanted: str, now: datetime) -> Profile | None:
    return await members.profile(tx, visit.viewer.id, wanted, now) if wanted else None


def _place(visit: Visit, to: Profile | None, wanted: str) -> Place:
    """Where the letter's draft lies: also that of one to a member who has left since."""
    if to is not None:
        return Place.letter(to.id) if to.id != visit.viewer.id else NOBODY
    return Place.letter(MemberId(wanted)) if _ID.fullmatch(wanted) else NOBODY


async def _where(visit: Visit) -> Place:
    """Where the draft of the letter in the form lies."""
    wanted = visit.form.get("to", "")
    return _place(visit, await _known(visit.tx, visit, wanted, visit.now), wanted)


_ID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


async def _found(tx: Tx, visit: Visit, q: str) -> list[Profile]:
    if not q.strip():
        return []
    now = await visit.site.clock.now(tx)
    found = await members.search(tx, visit.viewer.id, q, cursor=None, limit=PEOPLE_MAX, now=now)
    if isinstance(found, Invalid):
        return []
    return [each for each in found.items if each.id != visit.viewer.id]


def _pool(visit: Visit, now: datetime) -> str | None:
    """The pool that is to pay, where the form names one that there is."""
    wanted = visit.form.get("pool")
    return wanted if wanted in visit.site.book.at(now).pools else None


def _key(form: Mapping[str, str]) -> str:
    return "".join(c for c in form.get("key", "")[:KEY_CHARS_MAX] if c.isalnum() or c == "-")


def _blankless(form: Mapping[str, str]) -> str:
    return (form.get("subject", "") + form.get("body", "")).strip()


def _url(to: Profile | None, **more: str) -> str:
    query = ({"to": to.handle} if to else {}) | {
        name: value for name, value in more.items() if value
    }
    return "/compose" + (f"?{urlencode(query)}" if query else "")


# What will happen -------------------------------------------------------------------------------


def situation_of(
    words: Words, contact: Contact, to: Profile, *, now: datetime, policy: Policy
) -> Situation:
    """The decision of the rules as one sentence, with the action that it leaves."""
    if contact.code is not None:
        return _refused(words, contact, contact.code, to, now=now, policy=policy)
    _ = words.gettext
    name = {"name": to.name}
    into = None if contact.into is None else contact.into.id
    match contact.channel:
        case Channel.INMAIL:
            back = now + policy.refund_window
            sentence = words.ngettext(
                "Uses <b>%(num)s credit</b>, which comes back if %(name)s answers by <b>%(day)s</b>.",
                "Uses <b>%(num)s credits</b>, which come back if %(name)s answers by <b>%(day)s</b>.",
                contact.credits,
            )
            values = name | {"num": words.number(contact.credits), "day": _day(words, back, now)}
            return Situation(
                "ready",
                icon("stamp"),
                "ink",
                Markup(sentence) % values,  # noqa: S704  what is filled in is escaped
                price=contact.credits,
                pool=contact.pool or "",
                balance=contact.balance,
                into=into,
            )
        case Channel.OPEN_PROFILE:
            sentence = _("Free, whatever the answer: %(name)s has an Open Profile.")
        case _ if contact.responds:
            sentence = _("Free: it goes to the InMail that %(name)s sent you, and answers it.")
        case _ if into is not None:
            sentence = _("Free: it goes to your open conversation with %(name)s.")
        case _:
            sentence = _("Free: you and %(name)s are connected.")
    return Situation("free", icon("badge-check"), "ok", sentence % name, into=into)


def _refused(
    words: Words, contact: Contact, code: Refusal, to: Profile, *, now: datetime, policy: Policy
) -> Situation:
    _ = words.gettext
    name = {"name": to.name}
    at = contact.remedy.at if contact.remedy else None
    someone_else = Action(_("Choose someone else"), "/compose/change", post=True)
    premium = Action(_("See My Premium"), "/premium")
    inbox = Action(_("Keep as a draft"), "/inbox")
    pool, balance = contact.pool or "", contact.balance
    match code:
        case Refusal.NO_CREDITS:
            if at is not None:
                sentence = _("You have no credits left; the next come on %(day)s.")
                sentence %= {"day": _day(words, at, now)}
            else:
                sentence = _("You have no credits left, and this plan brings no more.")
            return Situation(
                "no_credits", icon("hourglass"), "warn", sentence, premium, 1, pool, balance
            )
        case Refusal.NOT_PREMIUM:
            if pool in policy.pools:
                sentence = _("You have no plan whose credits could pay for this letter.")
            else:
                sentence = _("Writing to %(name)s takes a plan with InMail credits.") % name
            plans = Action(_("See the plans"), "/premium#plans")
            return Situation("not_premium", icon("gem"), "gold", sentence, plans, 1, pool)
        case Refusal.PENDING_INMAIL:
            earlier = contact.into
            if earlier is not None and earlier.state is State.PENDING:
                sentence = _("Your last InMail waits for an answer; then you can write again.")
            else:
                sentence = _("You took your last InMail back; %(name)s has to write next.") % name
            action = inbox
            if earlier is not None:
                action = Action(_("Go to that InMail"), f"/inbox/{earlier.id}")
            return Situation("pending_inmail", icon("hourglass"), "warn", sentence, action)
        case Refusal.YOU_BLOCKED:
            sentence = _("You have blocked %(name)s, so that neither of you can write.") % name
            action = Action(_("Unblock"), "/compose/unblock", post=True)
            return Situation("you_blocked", icon("ban"), "bad", sentence, action)
        case Refusal.RECIPIENT_UNAVAILABLE:
            sentence = _("%(name)s cannot be reached by InMail.") % name
            return Situation(
                "recipient_unavailable", icon("mail-x"), "warn", sentence, someone_else
            )
        case Refusal.RECIPIENT_NOT_PREMIUM:
            sentence = _("%(name)s has no Premium plan and receives no InMail; you can connect.")
            action = Action(_("Go to their profile"), f"/in/{to.handle}")
            return Situation(
                "recipient_not_premium", icon("user-plus"), "warn", sentence % name, action
            )
        case Refusal.OPEN_PROFILE_LIMIT if at is not None:
            sentence = _(
                "Your free letters to Open Profiles are used up; the next can go %(when)s."
            )
            sentence %= {"when": words.moment(at)}
            assert contact.remedy is not None, "an instant stands in a remedy"
            assert contact.remedy.kind is RemedyKind.WAIT, "and says until when to wait"
            return Situation("open_profile_limit", icon("hourglass"), "warn", sentence, inbox)
        case Refusal.SENDING_LIMIT if at is not None:
            sentence = _(
                "You have begun as many letters to strangers as a day allows; the next can go %(when)s."
            )
            sentence %= {"when": words.moment(at)}
            return Situation("sending_limit", icon("hourglass"), "warn", sentence, inbox)
        case _:
            sentence = words.say(code.sentence)
            return Situation(code.value, icon("circle-alert"), "warn", sentence, someone_else)


def _day(words: Words, at: datetime, now: datetime) -> str:
    """20 February; with the year where it could be taken for another one's."""
    return words.long_day(at) if at - now < _SAME_DAY_AGAIN else words.long_date(at)


_SAME_DAY_AGAIN = timedelta(days=300)


# Advice -----------------------------------------------------------------------------------------


async def _hints(
    visit: Visit, tx: Tx, now: datetime, *, to: Profile | None, subject: str, body: str
) -> list[tuple[str, str]]:
    """The hints for the letter as it stands: their kinds, and sentences."""
    if len(body) < advice.BEGUN_CHARS_MIN and not _PERHAPS_ODD & set(subject + body):
        return []
    viewer = visit.viewer
    own = await members.profile(tx, viewer.id, viewer.id, now)
    found = advice.advice(
        text.normal(body),
        subject=text.normal(subject),
        sender=Person(viewer.name, viewer.headline, own.company if own else ""),
        recipient=Person(to.name, to.headline, to.company) if to else None,
        copies=await drafts.copies(tx, viewer.id, body, now),
    )
    return [(hint.kind.value, _said(visit.words, hint, to)) for hint in found]


# Without any of these a short text has nothing to be said about.
_PERHAPS_ODD = frozenset("{[<%X,:\n")


def _said(words: Words, hint: Hint, to: Profile | None) -> str:
    _ = words.gettext
    count, found = words.number(hint.count), hint.found
    name = to.name if to else ""
    match hint.kind:
        case Kind.PLACEHOLDER:
            return _("“%(found)s” is still to be filled in.") % {"found": found}
        case Kind.OTHER_NAME:
            sentence = _("You greet %(found)s, and this letter is to %(name)s.")
            return sentence % {"found": found, "name": name}
        case Kind.WHY_YOU:
            sentence = _("Say why you write to %(name)s and not to anybody else.")
            return sentence % {"name": name}
        case Kind.WHO_I_AM:
            return _("Say who you are, in a few words.")
        case Kind.ASK:
            return _("End with one clear question that is easy to answer.")
        case Kind.MANY_ASKS:
            sentence = _("You ask %(count)s questions; one is easier to answer.")
            return sentence % {"count": count}
        case Kind.COPIED:
            sentence = words.ngettext(
                "You have sent this text %(num)s time lately; a line of its own helps.",
                "You have sent this text %(num)s times lately; a line of its own helps.",
                hint.count,
            )
            return sentence % {"num": count}
        case Kind.SHOUTING:
            return _("Capitals and rows of exclamation marks read like advertising.")
        case Kind.LINKS:
            return _("One link is plenty; %(count)s look like advertising.") % {"count": count}
        case Kind.WALL:
            return _("A blank line here and there makes it easier to read.")
        case Kind.VERY_LONG:
            sentence = _("Very long: letters under %(best)s characters are answered most.")
            return sentence % {"best": words.number(advice.BEST_CHARS_MAX)}
        case Kind.LONG:
            sentence = _("Letters under %(best)s characters are answered most.")
            return sentence % {"best": words.number(advice.BEST_CHARS_MAX)}
        case _:
            assert_never(hint.kind)
