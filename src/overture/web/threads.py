"""What a conversation's page shows: the letter, the chat by day and sender, and what is possible."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from markupsafe import Markup

from overture.actions.links import places
from overture.core import boxes, editing
from overture.core.boxes import Later
from overture.core.contact import Contact
from overture.core.conversations import (
    Channel,
    Kind,
    Message,
    Refund,
    Response,
    State,
    takes_files,
)
from overture.core.editing import Written
from overture.core.files import File
from overture.core.ids import ConversationId, MemberId, MessageId
from overture.core.policy import Policy, QuickReply
from overture.core.refusals import Refusal
from overture.store.boxes import Opened
from overture.web.lines import Face, name_of, state_chip
from overture.web.prose import chat, letter
from overture.web.render import avatar, icon
from overture.words import Words

# Messages of one sender closer together than this stand as one group.
_TOGETHER = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Sys:
    """A line of the system's own between messages."""

    icon: Markup
    sentence: str
    plain: bool = False


@dataclass(slots=True)
class Bubble:
    """A message as it is shown. `day` is the heading above it, where a new day begins.

    `seen` says that the other side has read up to here; `sys` is what happened right after it;
    `raw` is its text where it is being edited.
    """

    id: MessageId
    conversation_id: ConversationId
    number: int
    mine: bool
    face: Markup
    name: str
    html: Markup
    time: str
    at: str
    deleted: bool
    edited: str
    files: Sequence[File]
    letter: bool
    day: str = ""
    day_id: str = ""
    grouped: bool = False
    seen: str = ""
    sys: Sys | None = None
    may_edit: bool = False
    may_delete: bool = False
    raw: str | None = None
    # Beneath a stranger's letter that leads elsewhere.
    caution: str = ""


@dataclass(frozen=True, slots=True)
class Stamp:
    """The stamp on a letter: its tone and its word, and what the letter cost."""

    tone: str
    word: str
    cost: str


@dataclass(frozen=True, slots=True)
class Track:
    """Where the conversation stands, in one sentence."""

    tone: str
    icon: Markup
    label: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Shown:
    """All that a thread's templates need. `mode`: what stands at its foot: `answer`, `reply` or
    `closed` with its sentence in `why`."""

    id: ConversationId
    name: str
    first: str
    other_id: MemberId | None
    handle: str
    headline: str
    face: Markup
    premium: bool
    group: bool
    subject: str
    begun: bool
    starred: bool
    muted: bool
    focused: bool
    unread: bool
    box: str
    snoozed: bool
    track: Track | None
    stamp: Stamp | None
    bubbles: Sequence[Bubble]
    alone: bool
    older: str | None
    newer: str | None
    sys: Sys | None
    sys_after: MessageId | None
    read_up_to: MessageId | None
    mode: str
    why: str
    unblock: bool
    withdraw: bool
    price: int
    files: bool
    key: str
    draft: str
    chars_max: int
    quick_replies: Sequence[QuickReply]
    answer: QuickReply | None
    writing: bool
    back: bool
    laters: Sequence[tuple[str, str, str]]
    soonest: str
    latest: str

    def only(self, message: MessageId) -> "Shown":
        """The same with one message of it."""
        return replace(self, bubbles=[each for each in self.bubbles if each.id == message])


def shown(
    words: Words,
    o: Opened,
    may: Contact,
    policy: Policy,
    now: datetime,
    *,
    key: str,
    answer: str,
    edited: str,
) -> Shown:
    line = o.line
    name = name_of(words, o.me.id, line)
    face = Face(line.counterpart_id or line.id, name, line.photo)
    waits = line.state is State.PENDING and not line.begun
    mode = "closed"
    if may.allowed:
        mode = "answer" if waits else "reply"
    elif waits:
        # Accept and decline carry no words, and so are always possible.
        mode = "answer"
    first = name.split(" ")[0] if line.counterpart_name else name
    bubbles = _bubbles(words, o, name, now, edited)
    happened = _answered(words, o, first)
    sys_after = _place_sys(bubbles, o, happened)
    quick = policy.quick_reply(answer)
    last = o.messages[-1] if o.messages and not o.more_after else None
    zone = ZoneInfo(o.me.time_zone) if o.me.time_zone else ZoneInfo("UTC")
    return Shown(
        id=line.id,
        name=name,
        first=first,
        other_id=line.counterpart_id,
        handle=line.counterpart_handle,
        headline=_headline(words, o),
        face=avatar(face, 44),
        premium=line.premium,
        group=line.participants is not None,
        subject="" if line.hidden else line.subject,
        begun=line.begun,
        starred=line.starred,
        muted=line.muted,
        focused=line.focused,
        unread=line.is_unread,
        box=line.box,
        snoozed=line.snoozed_until is not None and line.snoozed_until > now,
        track=_track(words, o, first, now),
        stamp=_stamp(words, o),
        bubbles=bubbles,
        alone=len(bubbles) == 1 and bubbles[0].letter and not o.more_after,
        older=None
        if o.context is None or not o.messages
        else f"/inbox/{line.id}?before={o.messages[0].number}",
        newer=f"/inbox/{line.id}?after={o.messages[-1].number}" if o.more_after else None,
        sys=happened,
        sys_after=sys_after,
        read_up_to=last.id
        if last is not None and (last.number > o.read_number or line.is_unread)
        else None,
        mode=mode,
        why=_why(words, o, may, first),
        unblock=may.code is Refusal.YOU_BLOCKED,
        withdraw=line.begun and line.state is State.PENDING,
        price=may.credits if may.allowed else 0,
        files=mode == "reply" and takes_files(o.conversation, connected=o.pair.connected),
        key=key,
        draft=words.say(quick.text) if quick is not None and waits else o.draft,
        chars_max=policy.body_chars_max,
        quick_replies=policy.quick_replies if waits else (),
        answer=quick if waits else None,
        writing=waits
        and may.allowed
        and (quick is not None or answer == "reply" or (bool(o.draft) and answer != "none")),
        back=_comes_back(o, now),
        laters=_laters(words, now, zone),
        soonest=_local(now + timedelta(minutes=5), zone),
        latest=_local(now + boxes.SNOOZE_MAX, zone),
    )


def _headline(words: Words, o: Opened) -> str:
    """Beneath the name: what the member says of themselves, and whom both know."""
    said = o.headline or o.company
    if not o.common:
        return said
    common = words.ngettext("%(num)s person in common", "%(num)s people in common", o.common) % {
        "num": words.number(o.common)
    }
    return f"{said} · {common}" if said else common


def _comes_back(o: Opened, now: datetime) -> bool:
    """Whether any answer now returns the sender's credit."""
    until = o.line.expires_refund_at
    return o.line.credits > 0 and until is not None and until >= now


def _local(at: datetime, zone: ZoneInfo) -> str:
    """As a field for an instant has it."""
    return at.astimezone(zone).strftime("%Y-%m-%dT%H:%M")


def _laters(words: Words, now: datetime, zone: ZoneInfo) -> list[tuple[str, str, str]]:
    """What "remind me later" offers: its value, its name, and when that is."""
    _ = words.gettext
    names = {
        Later.THIS_EVENING: _("This evening"),
        Later.TOMORROW: _("Tomorrow"),
        Later.NEXT_WEEK: _("Next week"),
        Later.NEXT_MONTH: _("Next month"),
    }
    found: list[tuple[str, str, str]] = []
    for each in Later:
        at = boxes.later(each, now, zone)
        if at is not None:
            found.append((each.value, names[each], words.moment(at)))
    return found


# Messages ---------------------------------------------------------------------------------------


def _bubbles(words: Words, o: Opened, name: str, now: datetime, edited: str) -> list[Bubble]:
    line, viewer = o.line, o.me.id
    names = {each.id: each.name for each in line.participants or () if each.id is not None}
    faces: dict[str | None, tuple[str, Markup]] = {
        viewer: (o.me.name, avatar(Face(viewer, o.me.name), 28))
    }
    if line.counterpart_id is not None:
        face = Face(line.counterpart_id, name, line.photo)
        faces[line.counterpart_id] = (name, avatar(face, 28))
    earliest_change = now - editing.EDIT_WINDOW
    before = o.context
    before_day = None if before is None else words.local(before.sent_at).date()
    made: list[Bubble] = []
    for message in o.messages:
        sender = message.sender
        if sender not in faces:
            said = names.get(sender, "") if sender else ""
            called = said or words.gettext("Member who left")
            faces[sender] = (called, avatar(Face(sender, called), 28))
        day = words.local(message.sent_at).date()
        bubble = _bubble(words, o, message, now, who=faces[sender])
        if day != before_day and not bubble.letter:
            bubble.day = words.heading(message.sent_at, now)
            bubble.day_id = day.isoformat()
        elif before is not None:
            bubble.grouped = _stand_together(before, message, o)
        if sender == viewer and message.sent_at >= earliest_change:
            _offer_changes(bubble, o, message, now)
            if edited == message.id and bubble.may_edit:
                bubble.raw = message.body
        made.append(bubble)
        before, before_day = message, day
    _show_seen(words, o, made, now)
    return made


def _bubble(
    words: Words, o: Opened, message: Message, now: datetime, *, who: tuple[str, Markup]
) -> Bubble:
    is_letter = message.number == 1 and o.line.kind is Kind.INMAIL
    deleted = message.deleted_at is not None
    edited_at = None if deleted else message.edited_at
    when = f"{words.heading(message.sent_at, now)}, {words.time(message.sent_at)}"
    face = who[1]
    if is_letter:
        other = o.me.name if message.sender == o.me.id else who[0]
        face = avatar(Face(message.sender, other, _photo(o, message)), 36)
    return Bubble(
        id=message.id,
        conversation_id=message.conversation_id,
        number=message.number,
        mine=message.sender == o.me.id,
        face=face,
        name=who[0],
        html=letter(message.body) if is_letter else chat(message.body),
        time=when if is_letter else words.time(message.sent_at),
        at=message.sent_at.isoformat(timespec="seconds"),
        deleted=deleted,
        edited="" if edited_at is None else words.moment(edited_at),
        files=message.files,
        caution=_caution(words, o, message) if is_letter and not deleted else "",
        letter=is_letter,
    )


def _photo(o: Opened, message: Message) -> str | None:
    return o.line.photo if message.sender == o.line.counterpart_id else None


def _caution(words: Words, o: Opened, message: Message) -> str:
    """Where a letter leads that waits for its reader's answer, and whose writer they do not know."""
    if o.line.state is not State.PENDING or message.sender == o.me.id or o.pair.connected:
        return ""
    found = places(message.body)
    if not found:
        return ""
    sentence = words.gettext(
        "This letter leads to %(places)s, and its writer is not among your connections. Look twice "
        "before you follow it."
    )
    return sentence % {"places": ", ".join(found)}


def _stand_together(before: Message, message: Message, o: Opened) -> bool:
    """Whether two messages of one day are shown as one group; the letter stands alone."""
    if before.number == 1 and o.line.kind is Kind.INMAIL:
        return False
    return before.sender == message.sender and message.sent_at - before.sent_at < _TOGETHER


def _offer_changes(bubble: Bubble, o: Opened, message: Message, now: datetime) -> None:
    written = Written(
        mine=True,
        number=message.number,
        sent_at=message.sent_at,
        deleted=bubble.deleted,
        kind=o.line.kind,
        state=o.line.state,
        begun=o.line.begun,
        connected=o.pair.connected,
        blocked=o.pair.writer_blocked or o.pair.blocked_writer,
        reachable=o.other is not None and not o.other.closed,
    )
    bubble.may_edit = editing.no_edit(written, now) is None
    bubble.may_delete = editing.no_deletion(written, now) is None


def _show_seen(words: Words, o: Opened, bubbles: Sequence[Bubble], now: datetime) -> None:
    """Under the last message of the viewer's that the other side has read."""
    if o.seen is None:
        return
    for bubble, message in zip(reversed(bubbles), reversed(o.messages), strict=True):
        if bubble.mine and bubble.number <= o.seen:
            bubble.seen = _read(words, o.seen_at, message, now)
            return


def _read(words: Words, at: datetime | None, message: Message, now: datetime) -> str:
    # Who answers has read, without having said when.
    if at is None or at < message.sent_at:
        return words.gettext("Read")
    today = words.local(at).date() == words.local(now).date()
    when = words.time(at) if today else words.moment(at)
    return words.gettext("Read %(when)s") % {"when": when}


# What happened ----------------------------------------------------------------------------------


def _answered(words: Words, o: Opened, name: str) -> Sys | None:
    """What became of an InMail, as a line between the messages."""
    _ = words.gettext
    line, c = o.line, o.conversation
    who = {"name": name}
    if line.state is State.WITHDRAWN:
        if line.begun:
            return Sys(icon("undo-2"), _("You withdrew this InMail."), plain=True)
        return Sys(icon("undo-2"), _("%(name)s withdrew this InMail.") % who, plain=True)
    if c.response is None:
        return None
    if not line.begun:
        yes = c.response is Response.ACCEPTED
        return Sys(
            icon("check") if yes else icon("x"),
            _("You accepted.") if yes else _("You declined."),
            plain=True,
        )
    accepted = c.response is Response.ACCEPTED
    match c.response, line.refund:
        case Response.UNDELIVERABLE, Refund.REFUNDED:
            sentence = _("The account was closed. Your credit is back.")
        case Response.UNDELIVERABLE, _:
            sentence = _("The account was closed. The letter could not be delivered.")
        case Response.ACCEPTED, Refund.REFUNDED:
            sentence = _("%(name)s accepted. Your credit is back.")
        case Response.ACCEPTED, Refund.DEFERRED:
            sentence = _("%(name)s accepted. Your credit comes back when there is room for it.")
        case Response.ACCEPTED, _:
            sentence = _("%(name)s accepted.")
        case _, Refund.REFUNDED:
            sentence = _("%(name)s declined. Your credit is back.")
        case _, Refund.DEFERRED:
            sentence = _("%(name)s declined. Your credit comes back when there is room for it.")
        case _:
            sentence = _("%(name)s declined.")
    back = line.refund in (Refund.REFUNDED, Refund.DEFERRED)
    picture = icon("undo-2") if back else icon("check") if accepted else icon("x")
    return Sys(picture, sentence % who, plain=not back)


def _place_sys(bubbles: Sequence[Bubble], o: Opened, line: Sys | None) -> MessageId | None:
    """Puts the line after the last message written by then, if that one is shown here."""
    at = o.conversation.responded_at or o.conversation.withdrawn_at
    if line is None or at is None:
        return None
    later = None if not o.more_after else datetime.max.replace(tzinfo=at.tzinfo)
    place: Bubble | None = None
    for bubble, message in zip(bubbles, o.messages, strict=True):
        if message.sent_at > at:
            later = None
            break
        place = bubble
    if place is None or later is not None:
        return None
    place.sys = line
    return place.id


def _stamp(words: Words, o: Opened) -> Stamp | None:
    _ = words.gettext
    line = o.line
    if line.kind is not Kind.INMAIL:
        return None
    if o.conversation.channel is Channel.OPEN_PROFILE:
        return Stamp("free", words.pgettext("stamp", "FREE"), _("Free: Open Profile"))
    cost = words.ngettext("InMail, %(num)s credit", "InMail, %(num)s credits", line.credits)
    cost %= {"num": words.number(line.credits)}
    if line.begun and line.refund is Refund.REFUNDED:
        return Stamp("back", words.pgettext("stamp", "BACK"), cost)
    return Stamp("", words.pgettext("stamp", "INMAIL"), cost if line.begun else "")


def _track(words: Words, o: Opened, name: str, now: datetime) -> Track | None:
    """The line beneath the header."""
    _ = words.gettext
    line = o.line
    who = {"name": name}
    if line.participants is not None:
        sentence = _("Imported from an archive. It can be read, but not written in.")
        return Track("", icon("users"), _("Group"), sentence)
    if line.state is State.IMPORTED:
        sentence = _("Brought along from an archive.")
        return Track("", icon("archive"), _("Imported"), sentence)
    chip = state_chip(words, line, now)
    if line.state is State.OPEN or (chip is None and line.state is State.CLOSED):
        return None
    if chip is None:
        sentence = _("You can write to each other freely from here.")
        return Track("ok", icon("check"), _("Open"), _in_days(words, o) or sentence)
    tone, picture, label = chip
    match line.state:
        case State.PENDING if not line.begun and line.reminded_at is not None:
            sentence = (
                _("It still waits for your answer. %(name)s can’t see whether you read it.") % who
            )
        case State.PENDING if not line.begun:
            sentence = _("%(name)s can’t see whether you read this until you answer.") % who
        case State.PENDING:
            sentence = _waiting(words, o, name, now)
        case State.ACCEPTED:
            sentence = _in_days(words, o) or _("You can write to each other freely from here.")
        case State.DECLINED if not line.begun and o.pair.writer_blocked:
            sentence = _("You declined.")
        case State.DECLINED if not line.begun:
            sentence = _("You declined. What you write here opens the conversation again.")
        case State.DECLINED:
            sentence = _("%(name)s declined, and this conversation is closed.") % who
        case State.WITHDRAWN if line.begun:
            sentence = _("You withdrew it. A withdrawn InMail returns no credit.")
        case State.WITHDRAWN:
            sentence = _("%(name)s took this InMail back before you answered.") % who
        case _:
            sentence = _("The account was closed before the InMail was answered.")
    return Track(tone, picture, label, sentence)


def _in_days(words: Words, o: Opened) -> str:
    """How soon it was answered."""
    c = o.conversation
    if c.responded_at is None or c.response is not Response.ACCEPTED:
        return ""
    days = (c.responded_at - c.started_at) // timedelta(days=1)
    if days == 0:
        return words.gettext("Answered within a day. You can write to each other freely from here.")
    sentence = words.ngettext(
        "Answered in %(num)s day. You can write to each other freely from here.",
        "Answered in %(num)s days. You can write to each other freely from here.",
        days,
    )
    return sentence % {"num": words.number(days)}


def _waiting(words: Words, o: Opened, name: str, now: datetime) -> str:
    """Of the sender's letter that waits."""
    _ = words.gettext
    until = o.line.expires_refund_at
    if o.line.credits == 0:
        return _("Waiting for %(name)s to answer. It was free.") % {"name": name}
    if until is None or until < now:
        return _("Too late for the credit; %(name)s can still answer.") % {"name": name}
    sentence = words.ngettext(
        "Your credit comes back if %(name)s answers by %(day)s.",
        "Your credits come back if %(name)s answers by %(day)s.",
        o.line.credits,
    )
    return sentence % {"name": name, "day": words.long_date(until)}


def _why(words: Words, o: Opened, may: Contact, name: str) -> str:
    """Why nothing can be written here, and what can be done."""
    _ = words.gettext
    if may.code is None:
        return ""
    who = {"name": name}
    line = o.line
    match may.code:
        case Refusal.READ_ONLY:
            return _("A group that was imported can be read, but not written in.")
        case Refusal.YOU_BLOCKED:
            return _("You have blocked %(name)s. Unblock them to write.") % who
        case Refusal.PENDING_INMAIL if line.state is State.WITHDRAWN:
            return _("You can write again once %(name)s has written to you.") % who
        case Refusal.PENDING_INMAIL:
            return _("You can write again once %(name)s answers.") % who
        case Refusal.CONVERSATION_CLOSED if line.state is State.WITHDRAWN:
            return _("Nothing can be answered here any more.")
        case Refusal.CONVERSATION_CLOSED | Refusal.RECIPIENT_UNAVAILABLE if (
            not line.counterpart_name
        ):
            return _("This member has left. What was written stays here for you.")
        case Refusal.CONVERSATION_CLOSED if _takes_letters(o) and (
            line.state in (State.CLOSED, State.IMPORTED)
        ):
            return _("You are not connected with %(name)s. Connect, or write an InMail.") % who
        case Refusal.CONVERSATION_CLOSED if _takes_letters(o):
            return _("This conversation is closed. You can write %(name)s a new InMail.") % who
        case Refusal.CONVERSATION_CLOSED | Refusal.RECIPIENT_UNAVAILABLE:
            return _("%(name)s can’t be written to here any more.") % who
        case _:
            return words.say(may.code.sentence)


def _takes_letters(o: Opened) -> bool:
    """Whether the other side can be written to anew; a block, a switch, a closed account: one no."""
    other = o.other
    return (
        other is not None and other.accepts_inmail and not (other.closed or o.pair.blocked_writer)
    )
