"""Members: the search, their profiles, what one does about another, and one's own profile."""

import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup

from overture import ids
from overture.actions import conversations, members, network, pace, profiles, reports
from overture.actions.fields import Invalid
from overture.actions.members import ProfileChanges
from overture.actions.reports import Reason
from overture.core import text
from overture.core.contact import Contact
from overture.core.conversations import Channel, State
from overture.core.ids import InvitationId, MemberId, ReportId
from overture.core.policy import PolicyBook
from overture.core.refusals import Refusal
from overture.store.db import Tx
from overture.store.members import InvitationSeen, Profile, Relation
from overture.store.reports import Report
from overture.web.compose import Action, Situation, situation_of
from overture.web.context import Site
from overture.web.prose import letter
from overture.web.visit import Absent, Answer, Done, Go, No, Page, Visit, act, page
from overture.words import Words, words_of

PEOPLE_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class Door:
    """The way to write to a member: where it is, what it costs in a few words, and all about it.

    `action` is what else can be done where no letter can be sent.
    """

    url: str
    price: str
    situation: Situation
    action: Action | None

    @property
    def open(self) -> bool:
        return self.situation.sendable


# The search -------------------------------------------------------------------------------------


@page("/members", searches="q")
async def search(visit: Visit) -> Answer:
    """Whoever is called so, while one types too; without a word the newest members."""
    q = visit.query.get("q", "")
    found = await members.search(
        visit.tx,
        visit.viewer.id,
        q,
        cursor=visit.query.get("cursor") or None,
        limit=PEOPLE_AT_ONCE,
        now=visit.now,
    )
    values: dict[str, Any] = {"q": q, "found": [], "next": None, "alert": ""}
    if isinstance(found, Invalid):
        values["alert"] = visit.errors(found)["q"]
        return Page("members.html", values, 422, parts={"suggest": "patches/members.html"})
    if found.next is not None:
        values["next"] = "/members?" + urlencode({"q": q, "cursor": found.next})
    parts = {"suggest": "patches/members.html", "more": "patches/members_more.html"}
    return Page("members.html", values | {"found": found.items}, parts=parts)


# A profile --------------------------------------------------------------------------------------


@page("/in/{handle}")
async def profile(visit: Visit) -> Answer:
    found = await _member(visit)
    if found.handle != visit.path["handle"]:
        return Go(f"/in/{found.handle}")
    values = await shown(visit.site, visit.words, visit.viewer.id, found, visit.tx)
    return Page("profile.html", values, parts={"more": "patches/profile.html"})


async def _member(visit: Visit) -> Profile:
    """Whom the address names, by handle or id; closed accounts and strangers to us look the same."""
    found = await members.profile(visit.tx, visit.viewer.id, visit.path["handle"], visit.now)
    if found is None:
        raise Absent
    return found


async def shown(
    site: Site, words: Words, viewer: MemberId, found: Profile, tx: Tx
) -> dict[str, Any]:
    """What a profile's page shows of a member to this viewer."""
    now, book = await site.clock.now(tx), site.book
    beside, answers = await profiles.beside(tx, viewer, found.id, now)
    mine = found.relation is Relation.SELF
    return {
        "p": found,
        "mine": mine,
        "beside": beside,
        "answers": answers,
        "about": letter(found.about),
        "more_shared": (found.shared_connections or 0) - len(beside.shared),
        # Whoever never chose a zone is in UTC: that says nothing of the time where they are.
        "their_time": words_of(words.language, beside.time_zone).time(now)
        if beside.time_zone != "UTC" and not mine
        else None,
        "cover": cover(zlib.crc32(found.id.encode()) % COVERS),
        "door": None if mine else await _door(tx, words, viewer, found, now=now, book=book),
        "window": words.number(book.at(now).refund_window.days),
        "asks": _asks(words),
        "connected": found.relation is Relation.CONNECTION,
        "invited": found.invitation is InvitationSeen.SENT,
        "invites": found.invitation is InvitationSeen.RECEIVED,
    }


async def _door(
    tx: Tx, words: Words, viewer: MemberId, to: Profile, *, now: datetime, book: PolicyBook
) -> Door:
    contact = await conversations.preview(tx, viewer, to.id, pool=None, now=now, book=book)
    situation = situation_of(words, contact, to, now=now, policy=book.at(now))
    url = "/compose?" + urlencode({"to": to.handle})
    if contact.allowed and contact.channel is Channel.MESSAGE and contact.into is not None:
        url = f"/inbox/{contact.into.id}"
    elsewhere = situation.action
    if elsewhere is not None and not elsewhere.url.startswith(("/premium", "/inbox/")):
        elsewhere = None
    return Door(url, _price(words, contact), situation, elsewhere)


def _price(words: Words, contact: Contact) -> str:
    """What a letter costs, or why none can be sent, in a few words."""
    _ = words.gettext
    match contact.code, contact.channel:
        case None, Channel.INMAIL:
            sentence = words.ngettext(
                "InMail, %(num)s credit of %(balance)s",
                "InMail, %(num)s credits of %(balance)s",
                contact.credits,
            )
            balance = words.number(contact.balance or 0)
            return sentence % {"num": words.number(contact.credits), "balance": balance}
        case None, Channel.OPEN_PROFILE:
            return _("Free: Open Profile")
        case None, _channel if contact.responds:
            return _("Free: answers their InMail")
        case None, _channel if contact.into is not None:
            return _("Free: your open conversation")
        case None, _channel:
            return _("Free: you are connected")
        case Refusal.NO_CREDITS, _channel:
            return _("No credits left")
        case Refusal.NOT_PREMIUM, _channel:
            return _("Takes a plan with InMail credits")
        case Refusal.PENDING_INMAIL, _channel:
            waits = contact.into is not None and contact.into.state is State.PENDING
            return _("Your last InMail waits") if waits else _("You took your last InMail back")
        case Refusal.YOU_BLOCKED, _channel:
            return _("You have blocked them")
        case Refusal.RECIPIENT_NOT_PREMIUM, _channel:
            return _("No Premium: connect first")
        case Refusal.OPEN_PROFILE_LIMIT, _channel:
            return _("Free letters used up for now")
        case _code, _channel:
            return _("Cannot be reached by InMail")


# What one does about another --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asks:
    """What the forms about a member offer."""

    note_chars_max: int
    report_chars_max: int
    reasons: tuple[tuple[str, str], ...]


def said_reasons(words: Words) -> Mapping[Reason, str]:
    """What a report can be about, in the reader's words."""
    _ = words.gettext
    return {
        Reason.SPAM: _("Spam or advertising"),
        Reason.HARASSMENT: _("Harassment or threats"),
        Reason.FAKE_PROFILE: _("A false profile"),
        Reason.INAPPROPRIATE: _("Inappropriate content"),
        Reason.OTHER: _("Something else"),
    }


def _asks(words: Words) -> Asks:
    return Asks(
        text.NOTE_CHARS_MAX,
        reports.NOTE_CHARS_MAX,
        tuple((reason.value, said) for reason, said in said_reasons(words).items()),
    )


def _asking(what: str) -> Callable[[Visit], Awaitable[Answer]]:
    """The page with one of the forms that a profile also opens over itself."""

    async def asking(visit: Visit) -> Answer:
        found = await _member(visit)
        if not _is_asked(found, what):
            return Go(f"/in/{found.handle}")
        return _asked(visit, found, what)

    return asking


def _is_asked(found: Profile, what: str) -> bool:
    """Whether it can be done as things stand."""
    strangers = found.relation is Relation.NONE
    match what:
        case "connect":
            return strangers and found.invitation is InvitationSeen.NONE and not found.blocked
        case "disconnect":
            return found.relation is Relation.CONNECTION
        case "block":
            return found.relation is not Relation.SELF and not found.blocked
        case _:
            return found.relation is not Relation.SELF


def _asked(
    visit: Visit, found: Profile, what: str, errors: Mapping[str, str] | None = None
) -> Page:
    values = {
        "p": found,
        "what": what,
        "asks": _asks(visit.words),
        "errors": errors or {},
        "form": visit.form,
    }
    return Page("profile_ask.html", values, 422 if errors else 200)


ask_connect = page("/in/{handle}/connect")(_asking("connect"))
ask_disconnect = page("/in/{handle}/disconnect")(_asking("disconnect"))
ask_block = page("/in/{handle}/block")(_asking("block"))
ask_report = page("/in/{handle}/report")(_asking("report"))


@act("/in/{handle}/connect")
async def connect(visit: Visit) -> Answer:
    """Asks the member to connect; where they have asked already, this accepts."""
    found, _ = await _member(visit), visit.words.gettext
    made = await network.invite(
        visit.tx,
        visit.viewer.id,
        found.id,
        note=visit.form.get("note", "").strip(),
        invitation_id=InvitationId(ids.new()),
        now=visit.now,
    )
    if isinstance(made, Invalid):
        return _asked(visit, found, "connect", visit.errors(made))
    if isinstance(made, Refusal):
        return visit.refused(made, url=f"/in/{found.handle}")
    accepted = found.invitation is InvitationSeen.RECEIVED
    if not accepted and not await pace.allows_invitation(visit.tx, visit.viewer.id):
        sentence = _("You have invited as many members as a day allows. Try again tomorrow.")
        return No(sentence, 429, f"/in/{found.handle}")
    said = _("You and %(name)s are connected.") if accepted else _("Your invitation is on its way.")
    return _done(found, said % {"name": found.name})


@act("/in/{handle}/disconnect")
async def disconnect(visit: Visit) -> Answer:
    """Ends the connection, or withdraws an invitation."""
    found, _ = await _member(visit), visit.words.gettext
    refused = await network.disconnect(visit.tx, visit.viewer.id, found.id, visit.now)
    if refused is not None:
        return visit.refused(refused, url=f"/in/{found.handle}")
    if found.relation is Relation.CONNECTION:
        said = _("You and %(name)s are not connected any more.") % {"name": found.name}
    else:
        said = _("Your invitation is withdrawn.")
    return _done(found, said)


@act("/in/{handle}/block")
async def block(visit: Visit) -> Answer:
    found, _ = await _member(visit), visit.words.gettext
    refused = await network.block(visit.tx, visit.viewer.id, found.id, visit.now)
    if refused is not None:
        return visit.refused(refused, url=f"/in/{found.handle}")
    return _done(found, _("You have blocked %(name)s.") % {"name": found.name})


@act("/in/{handle}/unblock")
async def unblock(visit: Visit) -> Answer:
    found, _ = await _member(visit), visit.words.gettext
    refused = await network.unblock(visit.tx, visit.viewer.id, found.id, visit.now)
    if refused is not None:
        return visit.refused(refused, url=f"/in/{found.handle}")
    return _done(found, _("You no longer block %(name)s.") % {"name": found.name})


@act("/in/{handle}/report")
async def report(visit: Visit) -> Answer:
    """Tells the operator of the member, and nobody else."""
    found, _ = await _member(visit), visit.words.gettext
    try:
        reason = Reason(visit.form.get("reason", ""))
    except ValueError:
        return _asked(visit, found, "report", {"reason": _("Choose what it is about.")})
    made = await reports.report(
        visit.tx,
        visit.viewer.id,
        ReportId(ids.new()),
        member=found.id,
        conversation=None,
        reason=reason,
        note=visit.form.get("note", "").strip(),
        now=visit.now,
    )
    if isinstance(made, Invalid):
        return _asked(visit, found, "report", visit.errors(made))
    if not isinstance(made, Report):
        return visit.refused(made, url=f"/in/{found.handle}")
    if not await pace.allows_report(visit.tx, visit.viewer.id):
        sentence = _("You have reported as much as a day allows. Try again tomorrow.")
        return No(sentence, 429, f"/in/{found.handle}")
    said = _("Thank you. What becomes of your report stands under Settings, Reports and decisions.")
    return _done(found, said)


def _done(found: Profile, notice: str) -> Done:
    return Done(f"/in/{found.handle}", notice=notice)


# One's own profile ------------------------------------------------------------------------------


@page("/profile")
async def edit(visit: Visit) -> Answer:
    own = await members.profile(visit.tx, visit.viewer.id, visit.viewer.id, visit.now)
    if own is None:
        raise Absent
    form = {
        "name": own.name,
        "headline": own.headline,
        "company": own.company,
        "location": own.location,
        "handle": own.handle,
        "about": own.about,
    }
    return _editing(form, {})


@act("/profile")
async def save(visit: Visit) -> Answer:
    form = visit.form
    changes = ProfileChanges(
        handle=form.get("handle"),
        name=form.get("name"),
        headline=form.get("headline"),
        company=form.get("company"),
        location=form.get("location"),
        about=form.get("about"),
    )
    changed = await members.update(visit.tx, visit.viewer.id, changes, visit.now)
    if isinstance(changed, Invalid):
        return _editing(form, visit.errors(changed))
    if changed is Refusal.HANDLE_TAKEN:
        return _editing(form, {"handle": visit.words.say(changed.sentence)})
    if isinstance(changed, Refusal):
        return visit.refused(changed)
    return _done(changed, visit.words.gettext("Your profile is saved."))


def _editing(form: Mapping[str, str], errors: Mapping[str, str]) -> Page:
    values = {
        "form": form,
        "errors": errors,
        "name_chars_max": text.NAME_CHARS_MAX,
        "headline_chars_max": text.HEADLINE_CHARS_MAX,
        "about_chars_max": text.ABOUT_CHARS_MAX,
    }
    return Page("profile_edit.html", values, 422 if errors else 200)


# What stands over a profile ---------------------------------------------------------------------

COVERS = 8


@cache
def cover(number: int) -> Markup:
    """Waves on ink, one of COVERS; drawn, so that nothing is fetched."""
    lines: list[str] = []
    for place in range(18):
        # They swell towards the end, each a little behind the one above it.
        rise = 22 + number * 5 % 17 + place
        start = -360 + (number * 97 + place * 9) % 360
        lines.append(f"M{start} {place * 11 - 4}q90 {-rise} 180 0" + "t180 0" * 6)
    # Where the gold comes up.
    corner = 84 + number * 7 % 24
    return Markup(
        '<svg class="cover" viewBox="0 0 800 180" preserveAspectRatio="xMidYMid slice" '
        'aria-hidden="true"><defs><linearGradient id="cover-ink" x2="1" y2="1">'
        '<stop stop-color="#2a3590"/><stop offset=".55" stop-color="#4557cf"/>'
        '<stop offset="1" stop-color="#3b49b4"/></linearGradient>'
        '<radialGradient id="cover-gold" cx="{}%" cy="120%" r="75%">'
        '<stop stop-color="#d3a449" stop-opacity=".95"/>'
        '<stop offset="1" stop-color="#d3a449" stop-opacity="0"/></radialGradient></defs>'
        '<path fill="url(#cover-ink)" d="M0 0h800v180H0z"/>'
        '<path fill="url(#cover-gold)" d="M0 0h800v180H0z"/>'
        '<path fill="none" stroke="#fff" stroke-opacity=".18" d="{}"/></svg>'
    ).format(corner, "".join(lines))
