"""What a list of conversations shows of each: names, instants and marks as ready sentences."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from markupsafe import Markup

from overture.core.conversations import Kind, Refund, State
from overture.core.ids import ConversationId, MemberId
from overture.store.boxes import Folder, Line
from overture.store.inbox import Found, ListRow
from overture.web.render import avatar, icon
from overture.words import Words

FOUND_AROUND = 70


@dataclass(frozen=True, slots=True)
class Face:
    """Whose picture stands beside something."""

    id: str | None
    name: str
    photo: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A conversation in a list; `chips` are marks: a tone, an icon, a word or two.

    `order` says where it stands among others; `due` has come back from having been put off.
    """

    id: ConversationId
    url: str
    face: Markup
    name: str
    premium: bool
    when: str
    at: str
    order: int
    subject: str
    snippet: str
    mine: bool
    unread: bool
    starred: bool
    muted: bool
    focused: bool
    listed: bool
    due: bool
    chips: Sequence[tuple[str, Markup, str]]


@dataclass(frozen=True, slots=True)
class FoundRow:
    """A message that a search found: what stands around the first word of it."""

    url: str
    face: Markup
    name: str
    when: str
    subject: str
    excerpt: str


def rows(
    words: Words,
    viewer: MemberId,
    lines: Sequence[Line],
    now: datetime,
    folder: Folder | None = None,
) -> list[Row]:
    return [row(words, viewer, line, now, folder) for line in lines]


def row(
    words: Words, viewer: MemberId, line: Line, now: datetime, folder: Folder | None = None
) -> Row:
    name = name_of(words, viewer, line)
    face = Face(line.counterpart_id or line.id, name, line.photo)
    at = line.last_activity_at
    here = folder is None or folder is Folder.FOCUSED
    asleep = line.snoozed_until is not None and line.snoozed_until > now
    return Row(
        id=line.id,
        url=f"/inbox/{line.id}" if here else f"/inbox/{line.id}?box={folder}",
        face=avatar(face, 44),
        name=name,
        premium=line.premium,
        when=words.when(at, now),
        at=at.isoformat(timespec="seconds"),
        # The newest first.
        order=-round(at.timestamp() * 1_000_000),
        subject=line.subject,
        snippet=_snippet(words, line),
        mine=line.last_sender_id == viewer and not line.hidden,
        unread=line.is_unread and not asleep,
        starred=line.starred,
        muted=line.muted,
        focused=line.focused,
        listed=line.box in ("inbox", "requests") and not asleep,
        due=line.snoozed_until is not None and not asleep,
        chips=_chips(words, line, now),
    )


def name_of(words: Words, viewer: MemberId, line: ListRow) -> str:
    """The other side; in a group all the others."""
    if line.participants is not None:
        others = [each.name for each in line.participants if each.id != viewer and each.name]
        return words.listed(others) if others else words.gettext("Group conversation")
    return line.counterpart_name or words.gettext("Member who left")


def found_lines(words: Words, found: Sequence[Found], now: datetime) -> list[FoundRow]:
    _ = words.gettext
    made: list[FoundRow] = []
    for each in found:
        message = each.message
        # Of a group a search knows no names.
        nobody = _("Member who left") if each.counterpart_id else _("Conversation")
        name = each.counterpart_name or nobody
        made.append(
            FoundRow(
                url=f"/inbox/{message.conversation_id}?at={message.number}#m-{message.id}",
                face=avatar(Face(each.counterpart_id or message.conversation_id, name), 44),
                name=name,
                when=words.when(message.sent_at, now),
                subject=each.subject,
                excerpt=" ".join(message.body[: 2 * FOUND_AROUND].split()),
            )
        )
    return made


def folder_links(words: Words, now: Folder) -> list[tuple[str, str, bool]]:
    """The filters beneath the two halves: a word, an address, and whether it is this one."""
    _ = words.gettext
    whole = now in (Folder.FOCUSED, Folder.OTHER)
    all_of = "/inbox?box=other" if now is Folder.OTHER else "/inbox"
    named = (
        (Folder.UNREAD, _("Unread")),
        (Folder.INMAIL, _("InMail")),
        (Folder.PENDING, _("Pending")),
        (Folder.STARRED, _("Starred")),
        (Folder.LATER, _("Later")),
        (Folder.ARCHIVED, _("Archived")),
        (Folder.SPAM, _("Spam")),
    )
    links = [(label, f"/inbox?box={folder}", folder is now) for folder, label in named]
    return [(_("All"), all_of, whole), *links]


def _snippet(words: Words, line: Line) -> str:
    if line.hidden:
        return words.gettext("This InMail was withdrawn.")
    if line.last_message_id is not None and not line.snippet:
        return words.gettext("This message was deleted.")
    return line.snippet


def _chips(words: Words, line: Line, now: datetime) -> list[tuple[str, Markup, str]]:
    chips: list[tuple[str, Markup, str]] = []
    if line.snoozed_until is not None and line.snoozed_until == line.reminded_at:
        chips.append(("warn", icon("bell"), words.gettext("Reminder")))
    elif line.snoozed_until is not None:
        chips.append(("", icon("alarm-clock"), back_at(words, line.snoozed_until, now)))
    if line.kind is Kind.INMAIL and (chip := state_chip(words, line, now)) is not None:
        chips.append(chip)
    return chips


def state_chip(words: Words, line: Line, now: datetime) -> tuple[str, Markup, str] | None:
    """Where an InMail stands, in a word or two; None where there is nothing to say any more."""
    _ = words.gettext
    match line.state:
        case State.PENDING if not line.begun:
            free = line.credits == 0
            label = _("Free InMail") if free else _("InMail")
            return ("gold" if free else "ink", icon("stamp"), label)
        case State.PENDING:
            return ("warn", icon("hourglass"), _pending(words, line, now))
        case State.ACCEPTED | State.DECLINED | State.UNDELIVERABLE if line.begun and (
            line.refund in (Refund.REFUNDED, Refund.DEFERRED)
        ):
            back = line.refund is Refund.REFUNDED
            label = _("Credit back") if back else _("Credit waits for room")
            return ("ok", icon("undo-2"), label)
        case State.DECLINED:
            return ("", icon("x"), _("Declined"))
        case State.WITHDRAWN:
            return ("", icon("undo-2"), _("Withdrawn"))
        case State.UNDELIVERABLE:
            return ("", icon("mail-x"), _("Not delivered"))
        case _:
            return None


def _pending(words: Words, line: Line, now: datetime) -> str:
    until = line.expires_refund_at
    if until is None or until < now:
        return words.gettext("Pending")
    count = -(-(until - now) // timedelta(days=1))
    sentence = words.ngettext("Pending, %(num)s day left", "Pending, %(num)s days left", count)
    return sentence % {"num": words.number(count)}


def back_at(words: Words, at: datetime, now: datetime) -> str:
    """When something put off comes back, or since when it is."""
    _ = words.gettext
    if at <= now:
        return _("Reminder")
    days = (words.local(at).date() - words.local(now).date()).days
    if days == 0:
        return _("Back at %(time)s") % {"time": words.time(at)}
    if days == 1:
        return _("Back tomorrow")
    return _("Back on %(day)s") % {"day": words.day(at)}
