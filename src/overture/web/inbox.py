"""The inbox: its folders, a conversation with its letter and its chat, and what members do with them.

A list and a thread stand side by side, each a fragment of its own: a link to a conversation with
`data-live="thread"` changes the thread alone. What an act or an event changes is shown by the same
fragments. `web/threads.py` makes of a conversation what is shown of it, `web/lines.py` of a list.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, assert_never
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from starlette.responses import Response

from overture import ids
from overture.actions import conversations, drafts, inbox, network, pace
from overture.actions.conversations import KeyReused
from overture.actions.drafts import Place
from overture.actions.fields import Invalid
from overture.core import contact, text
from overture.core.boxes import Later, later
from overture.core.contact import Contact, Wallet
from overture.core.conversations import Message, State
from overture.core.ids import ConversationId, MemberId, MessageId
from overture.core.policy import Outcome, PolicyBook
from overture.core.refusals import Refusal
from overture.core.sending import Refused, Respond, Withdraw, Write
from overture.core.text import BadText
from overture.live.told import (
    ConversationTold,
    MessageTold,
    ReceiptTold,
    ReminderTold,
    Told,
    TypingTold,
)
from overture.store import boxes
from overture.store.accounts import Viewer
from overture.store.boxes import Folder, Line, Lines, Opened, Range, Unread
from overture.store.db import Tx
from overture.store.inbox import Thread, conversation_of, number_of
from overture.web import guard
from overture.web.context import Site
from overture.web.files import WITH_FILES_BYTES_MAX, received
from overture.web.lines import Face, folder_links, found_lines, name_of, row, rows
from overture.web.render import avatar, html
from overture.web.shell import shell_of
from overture.web.threads import Shown, shown
from overture.web.visit import Absent, Answer, Done, No, Page, Patch, Sent, Visit, act, page
from overture.words import Words

LINES = 20
MESSAGES = 20
FOUND = 20
NEWEST = Range()
KEY_CHARS_MAX = 64
# A few more than a message takes, so that too many are answered with a sentence.
_FILES_MAX = 10

# Pages ------------------------------------------------------------------------------------------


@page("/inbox", searches="q")
async def listing(visit: Visit) -> Answer:
    """A folder, or with `q` what was found."""
    values = await _list(visit)
    if visit.live == "more":
        return Page("inbox.html", values, parts={"more": "patches/more_lines.html"})
    values |= {"t": None}
    return Page("inbox.html", values)


@page("/inbox/{id:uuid}")
async def conversation(visit: Visit) -> Answer:
    """One conversation beside the list. `before`, `after`: which of its messages; `answer`: what the
    panel is to write; `edit`: the message that is to be changed."""
    here, which = visit.id("id", ConversationId), _which(visit)
    more = "older" if which.before is not None else "newer" if which.after is not None else "thread"
    parts = {
        "thread": "patches/thread.html",
        "answer": "patches/answer.html",
        "edit": "patches/message.html",
        "more": f"patches/{more}.html",
    }
    tx, reader, now, folder = visit.tx, _reader(visit), visit.now, _folder(visit)
    if visit.live in parts:
        made = await _thread(tx, reader, here, which, now)
        if made is None:
            raise Absent
        return Page("inbox.html", {"t": made[1], "box": folder, "q": ""}, parts=parts)
    found = await boxes.opened_beside(
        tx, reader.id, here, now, which, limit=MESSAGES, folder=folder, lines_limit=LINES
    )
    if found is None:
        raise Absent
    t = await _shown(tx, reader, found[0], now)
    return Page("inbox.html", _lines_values(visit, folder, *found[1:]) | {"t": t}, parts=parts)


@page("/inbox/{id:uuid}/seen", transaction=False)
async def seen(visit: Visit) -> Answer:
    """Marks as read without a script: a picture that only a page on a screen fetches."""
    headers = visit.request.headers
    # Not what a link in somebody's letter leads to.
    a_picture = headers.get("sec-fetch-dest", "image") == "image"
    if not a_picture or not guard.is_own(headers, visit.site.public_url):
        return Response(status_code=403)
    up_to = MessageId(visit.query.get("up_to", ""))

    async def work(tx: Tx) -> None:
        now = await visit.site.clock.now(tx)
        _ = await _read(tx, visit.viewer.id, visit.id("id", ConversationId), up_to, now)

    await visit.site.db.writing(work)
    return Response(status_code=204)


async def _list(visit: Visit) -> dict[str, Any]:
    q = visit.query.get("q", "").strip()[:200]
    tx, viewer, now, folder = visit.tx, visit.viewer.id, visit.now, _folder(visit)
    before, after = visit.query.get("before"), visit.query.get("after")
    if not q:
        page, unread = await boxes.lines(
            tx, viewer, folder, now, limit=LINES, before=before, after=after
        )
        return _lines_values(visit, folder, page, unread)
    unread = await boxes.unread(tx, viewer, now)
    found = await inbox.search(tx, viewer, q, after, FOUND)
    people = [] if after else await boxes.people(tx, viewer, q, now)
    visit.shell = shell_of(unread)
    return {
        "box": folder,
        "q": q,
        "rows": rows(visit.words, viewer, people, now),
        "due": [],
        "found": found_lines(visit.words, found.items, now),
        "older": f"/inbox?{urlencode({'q': q, 'after': found.next})}" if found.next else None,
        "newer": None,
        "unread": unread,
        "folders": folder_links(visit.words, folder),
    }


def _lines_values(visit: Visit, folder: Folder, page: Lines, unread: Unread) -> dict[str, Any]:
    viewer, now = visit.viewer.id, visit.now
    visit.shell = shell_of(unread)
    return {
        "box": folder,
        "q": "",
        "rows": rows(visit.words, viewer, page.lines, now, folder),
        "due": rows(visit.words, viewer, page.due, now, folder),
        "found": None,
        "older": page.older and _list_url(folder, after=page.older),
        "newer": page.newer and _list_url(folder, before=page.newer),
        "unread": unread,
        "folders": folder_links(visit.words, folder),
    }


def _folder(visit: Visit) -> Folder:
    try:
        return Folder(visit.query.get("box", Folder.FOCUSED))
    except ValueError:
        return Folder.FOCUSED


def _list_url(folder: Folder, **more: str) -> str:
    query = ({} if folder is Folder.FOCUSED else {"box": folder.value}) | more
    return "/inbox" + (f"?{urlencode(query)}" if query else "")


def _which(visit: Visit) -> Range:
    def number(name: str) -> int | None:
        said = visit.query.get(name, "")
        return int(said) if said.isdecimal() and len(said) < 10 else None

    around = number("at")
    before = around + MESSAGES // 2 if around is not None else number("before")
    return Range(before=before, after=number("after"))


@dataclass(frozen=True, slots=True)
class Reader:
    """For whom a thread is shown; `answer` and `edit` say what they are writing."""

    id: MemberId
    words: Words
    book: PolicyBook
    answer: str = ""
    edit: str = ""


def _reader(visit: Visit) -> Reader:
    query = visit.query
    return Reader(
        visit.viewer.id,
        visit.words,
        visit.site.book,
        query.get("answer", ""),
        query.get("edit", ""),
    )


async def _thread(
    tx: Tx, reader: Reader, here: ConversationId, which: Range, now: datetime
) -> tuple[Opened, Shown] | None:
    """A conversation, and what its thread shows: with what may be written there."""
    found = await boxes.opened(tx, reader.id, here, now, which, limit=MESSAGES)
    return None if found is None else (found, await _shown(tx, reader, found, now))


async def _shown(tx: Tx, reader: Reader, found: Opened, now: datetime) -> Shown:
    may = await _may_write(tx, reader, found, now)
    return shown(
        reader.words,
        found,
        may,
        reader.book.at(now),
        now,
        key=ids.new(),
        answer=reader.answer,
        edited=reader.edit,
    )


async def _may_write(tx: Tx, reader: Reader, found: Opened, now: datetime) -> Contact:
    """The rules' decision on a further message here."""
    if found.other is None:
        return Contact(Refusal.READ_ONLY)
    book = reader.book
    waits = found.line.state is State.PENDING and found.line.begun
    if waits and book.at(now).follow_ups and not found.pair.connected:
        # A follow-up has a price, which takes more to say.
        other = found.other.id
        return await conversations.preview(tx, reader.id, other, pool=None, now=now, book=book)
    return contact.write_on(
        found.me, found.other, found.pair, found.conversation, Wallet({}, ()), now=now, book=book
    )


async def _values(
    tx: Tx,
    reader: Reader,
    here: ConversationId,
    now: datetime,
    *,
    which: Range = NEWEST,
    told: MessageId | None = None,
    folder: Folder = Folder.FOCUSED,
) -> dict[str, Any] | None:
    """What the patches of a conversation show: its thread, its line in the list, what is unread."""
    made = await _thread(tx, reader, here, which, now)
    if made is None:
        return None
    found, t = made
    unread = await boxes.unread(tx, reader.id, now)
    return {
        "t": t,
        "box": folder,
        "r": row(reader.words, reader.id, found.line, now),
        "unread": unread,
        "shell": shell_of(unread),
        "told": told,
        "key": None,
        "now": now,
    }


# Writing and answering --------------------------------------------------------------------------


@act(
    "/inbox/{id:uuid}/messages",
    transaction=False,
    form_bytes_max=WITH_FILES_BYTES_MAX,
    files_max=_FILES_MAX,
)
async def write(visit: Visit) -> Answer:
    """Writes on; by the recipient of a pending InMail it is the answer."""
    here = visit.id("id", ConversationId)
    policy = visit.site.book.at(await visit.site.instant())
    reply = policy.quick_reply(visit.form.get("quick_reply", ""))
    raw = visit.form.get("body", "")
    body = text.body(raw, policy.body_chars_max)
    if isinstance(body, BadText):
        return await _unsent(visit, visit.words.say(body.sentence), 422)
    viewer = visit.viewer.id
    if visit.files and not await visit.site.db.writing(lambda tx: pace.allows_files(tx, viewer)):
        sentence = visit.words.gettext("You send files too fast. Wait some minutes, and try again.")
        return await _unsent(visit, sentence, 429)
    files = await received(visit.files)
    if isinstance(files, Refusal):
        return await _unsent(visit, visit.words.say(files.sentence), 422)
    command = Write(viewer, here, MessageId(ids.new()), body, reply, files)
    return await _send(visit, command, wrote=True)


@act("/inbox/{id:uuid}/accept", transaction=False)
async def accept(visit: Visit) -> Answer:
    """Accepts without words."""
    here = visit.id("id", ConversationId)
    return await _send(visit, Respond(visit.viewer.id, here, Outcome.ACCEPTED))


@act("/inbox/{id:uuid}/decline", transaction=False)
async def decline(visit: Visit) -> Answer:
    """Declines without words; with `block`, for good."""
    here = visit.id("id", ConversationId)
    block = visit.form.get("block") == "1"
    return await _send(visit, Respond(visit.viewer.id, here, Outcome.DECLINED, block))


@act("/inbox/{id:uuid}/withdraw", transaction=False)
async def withdraw(visit: Visit) -> Answer:
    return await _send(visit, Withdraw(visit.viewer.id, visit.id("id", ConversationId)))


async def _send(
    visit: Visit, command: Write | Respond | Withdraw, *, wrote: bool = False
) -> Answer:
    """Through the lanes, once; then the thread as it is now."""
    here, viewer = command.conversation_id, visit.viewer.id
    answer = await visit.send(command, _key(visit.form))
    match answer:
        case Sent():
            if wrote:
                place = Place.reply(here)
                await visit.site.db.writing(lambda tx: drafts.discard(tx, viewer, place))
            return await _after(visit, here, said=answer.message)
        case Refused():
            sentence = visit.words.say(answer.code.sentence)
            if answer.code is Refusal.NO_SUCH_CONVERSATION:
                raise Absent
            if wrote:
                return await _unsent(visit, sentence, 403)
            return await _no(visit, here, sentence, 409)
        case KeyReused():
            sentence = visit.words.gettext(
                "This was sent before. What you changed since is not in it."
            )
            return await _unsent(visit, sentence, 409)
        case _:
            assert_never(answer)


async def _unsent(visit: Visit, sentence: str, status: int) -> Answer:
    """Nothing was written: what the member wrote stays in the form, also without a script."""
    here = visit.id("id", ConversationId)
    if visit.live:
        renewed = {"id": here, "key": ids.new()}
        return No(sentence, status, f"/inbox/{here}", "patches/key.html", renewed)

    async def keep(tx: Tx) -> None:
        now = await visit.site.clock.now(tx)
        body = visit.form.get("body", "")
        _ = await drafts.save(tx, visit.viewer.id, Place.reply(here), body=body, now=now)

    await visit.site.db.writing(keep)
    return No(sentence, status, f"/inbox/{here}")


async def _no(visit: Visit, here: ConversationId, sentence: str, status: int) -> Answer:
    """A no that may come from a page that is out of date: it is brought up to date beside it."""
    if not visit.live:
        return No(sentence, status, f"/inbox/{here}")
    values = await _now_there(visit, here)
    return No(sentence, status, None, "patches/thread.html" if values else None, values or {})


async def _after(visit: Visit, here: ConversationId, said: MessageId | None) -> Answer:
    """What an act left: the message alone, where the rest of the thread stays as it was."""
    url = f"/inbox/{here}"
    if not visit.live:
        return Done(f"{url}#end")
    values = await _now_there(visit, here, said)
    if values is None:
        return Done("/inbox")
    if said is None or visit.form.get("whole"):
        return Patch("patches/whole.html", values)
    return Patch("patches/conversation.html", values | {"key": ids.new()})


async def _now_there(
    visit: Visit, here: ConversationId, told: MessageId | None = None
) -> dict[str, Any] | None:
    async def look(tx: Tx) -> dict[str, Any] | None:
        now = await visit.site.clock.now(tx)
        return await _values(tx, _reader(visit), here, now, told=told, folder=_folder(visit))

    return await visit.site.db.reading(look)


def _key(form: Mapping[str, str]) -> str:
    return "".join(c for c in form.get("key", "")[:KEY_CHARS_MAX] if c.isalnum() or c == "-")


# Arranging --------------------------------------------------------------------------------------

Verb = Callable[[Tx, MemberId, ConversationId, datetime], Awaitable[Thread | Refusal]]


async def _arrange(visit: Visit, verb: Verb, notice: str | None = None, *, away: bool) -> Answer:
    """Changes how a conversation lies in the list. `away`: out of the folder that is looked at."""
    here = visit.id("id", ConversationId)
    done = await verb(visit.tx, visit.viewer.id, here, visit.now)
    if isinstance(done, Refusal):
        if done is Refusal.NO_SUCH_CONVERSATION:
            raise Absent
        return visit.refused(done, 422, f"/inbox/{here}")
    folder = _folder(visit)
    if away:
        return Done(_list_url(folder), notice=notice)
    url = f"/inbox/{here}" + ("" if folder is Folder.FOCUSED else f"?box={folder}")
    if not visit.live:
        return Done(url, notice=notice)
    values = await _values(visit.tx, _reader(visit), here, visit.now, folder=folder)
    assert values is not None, "who arranges a conversation has it"
    return Done(url, "patches/arranged.html", values, notice)


@act("/inbox/{id:uuid}/star")
async def star(visit: Visit) -> Answer:
    on = visit.form.get("on") == "1"

    async def verb(
        tx: Tx, viewer: MemberId, here: ConversationId, now: datetime
    ) -> Thread | Refusal:
        return await inbox.star(tx, viewer, here, now, on=on)

    return await _arrange(visit, verb, away=False)


@act("/inbox/{id:uuid}/mute")
async def mute(visit: Visit) -> Answer:
    on = visit.form.get("on") == "1"
    _ = visit.words.gettext

    async def verb(
        tx: Tx, viewer: MemberId, here: ConversationId, now: datetime
    ) -> Thread | Refusal:
        return await inbox.mute(tx, viewer, here, now, on=on)

    notice = _("Muted: it counts in no badge and notifies of nothing.") if on else _("Not muted.")
    return await _arrange(visit, verb, notice, away=False)


@act("/inbox/{id:uuid}/focus")
async def focus(visit: Visit) -> Answer:
    on = visit.form.get("on") == "1"
    _ = visit.words.gettext

    async def verb(
        tx: Tx, viewer: MemberId, here: ConversationId, now: datetime
    ) -> Thread | Refusal:
        return await inbox.focus(tx, viewer, here, now, on=on)

    notice = _("Moved to Focused.") if on else _("Moved to Other.")
    return await _arrange(visit, verb, notice, away=True)


@act("/inbox/{id:uuid}/archive")
async def archive(visit: Visit) -> Answer:
    notice = visit.words.gettext("Archived. A new message brings it back.")
    return await _arrange(visit, inbox.archive, notice, away=True)


@act("/inbox/{id:uuid}/unarchive")
async def unarchive(visit: Visit) -> Answer:
    """Back from the archive, and from spam."""
    return await _arrange(visit, inbox.unarchive, visit.words.gettext("Moved back."), away=True)


@act("/inbox/{id:uuid}/spam")
async def spam(visit: Visit) -> Answer:
    notice = visit.words.gettext("Moved to spam. It is no answer, and the other side is not told.")
    return await _arrange(visit, inbox.mark_spam, notice, away=True)


@act("/inbox/{id:uuid}/unread")
async def unread(visit: Visit) -> Answer:
    notice = visit.words.gettext("Marked as unread.")
    return await _arrange(visit, inbox.mark_unread, notice, away=True)


@act("/inbox/{id:uuid}/snooze")
async def snooze(visit: Visit) -> Answer:
    """Remind me later: at one of the offered instants, or at one that the member typed."""
    words = visit.words
    until = _until(visit)
    if until is None and "wake" not in visit.form:
        sentence = words.say(Refusal.NOT_AN_HOUR_TO_COME.sentence)
        return No(sentence, 422, f"/inbox/{visit.path['id']}")

    async def verb(
        tx: Tx, viewer: MemberId, here: ConversationId, now: datetime
    ) -> Thread | Refusal:
        return await inbox.snooze(tx, viewer, here, now, until=until)

    if until is None:
        return await _arrange(visit, verb, words.gettext("Back in the inbox."), away=False)
    notice = words.gettext("You will be reminded on %(when)s.") % {"when": words.moment(until)}
    return await _arrange(visit, verb, notice, away=True)


def _until(visit: Visit) -> datetime | None:
    """The instant that the form names, in the member's time zone."""
    zone = ZoneInfo(visit.viewer.time_zone)
    choice, typed = visit.form.get("until", ""), visit.form.get("at", "")
    if choice in list(Later):
        return later(Later(choice), visit.now, zone)
    try:
        at = datetime.fromisoformat(typed)
        return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)
    # At the edges of the calendar there is no such instant in another zone.
    except (ValueError, OverflowError):
        return None


@act("/inbox/{id:uuid}/read")
async def read(visit: Visit) -> Answer:
    """What a page on a screen tells once it is looked at."""
    here, up_to = visit.id("id", ConversationId), MessageId(visit.form.get("up_to", ""))
    done = await _read(visit.tx, visit.viewer.id, here, up_to, visit.now)
    if isinstance(done, Refusal):
        raise Absent
    if not visit.live:
        return Done(f"/inbox/{here}")
    line, unread = await boxes.one_line(visit.tx, visit.viewer.id, here, visit.now)
    assert line is not None, "who reads a conversation has it"
    r = row(visit.words, visit.viewer.id, line, visit.now)
    shell = shell_of(unread)
    return Patch("patches/arranged.html", {"t": None, "r": r, "unread": unread, "shell": shell})


async def _read(
    tx: Tx, viewer: MemberId, here: ConversationId, up_to: MessageId, now: datetime
) -> Thread | Refusal:
    if not _is_id(up_to):
        return Refusal.NO_SUCH_MESSAGE
    return await inbox.read(tx, viewer, here, up_to, now)


def _is_id(said: str) -> bool:
    return _ID.fullmatch(said) is not None


_ID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@act("/inbox/{id:uuid}/typing")
async def typing(visit: Visit) -> Answer:
    _ = await inbox.typing(visit.tx, visit.viewer.id, visit.id("id", ConversationId))
    return Response(status_code=204)


@act("/inbox/{id:uuid}/draft")
async def save_draft(visit: Visit) -> Answer:
    """Keeps the reply while one types."""
    here = visit.id("id", ConversationId)
    kept = await drafts.save(
        visit.tx,
        visit.viewer.id,
        Place.reply(here),
        body=visit.form.get("body", ""),
        now=visit.now,
    )
    if isinstance(kept, Refusal):
        raise Absent
    if isinstance(kept, Invalid):
        return No(next(iter(visit.errors(kept).values())), 422, f"/inbox/{here}")
    if not visit.live:
        return Done(f"/inbox/{here}")
    return Patch("patches/draft.html", {"id": here, "saved": kept is not None})


@act("/inbox/{id:uuid}/unblock")
async def unblock(visit: Visit) -> Answer:
    """Lifts the member's block, where it is what shuts this conversation."""
    here = visit.id("id", ConversationId)
    held = await conversation_of(visit.tx, visit.viewer.id, here)
    if held is None or held.counterpart is None:
        raise Absent
    refusal = await network.unblock(visit.tx, visit.viewer.id, held.counterpart, visit.now)
    if refusal is not None:
        return visit.refused(refusal, url=f"/inbox/{here}")
    return Done(f"/inbox/{here}", notice=visit.words.gettext("Unblocked."))


# Changing what was written ----------------------------------------------------------------------


@act("/inbox/{id:uuid}/messages/{message:uuid}/edit")
async def edit(visit: Visit) -> Answer:
    policy = visit.site.book.at(visit.now)
    body = text.body(visit.form.get("body", ""), policy.body_chars_max)
    url = f"/inbox/{visit.path['id']}?edit={visit.path['message']}"
    if isinstance(body, BadText):
        return No(visit.words.say(body.sentence), 422, url)
    changed = await inbox.edit(
        visit.tx,
        visit.viewer.id,
        visit.id("id", ConversationId),
        visit.id("message", MessageId),
        body=body,
        now=visit.now,
    )
    return await _changed(visit, changed)


@act("/inbox/{id:uuid}/messages/{message:uuid}/delete")
async def delete(visit: Visit) -> Answer:
    changed = await inbox.delete(
        visit.tx,
        visit.viewer.id,
        visit.id("id", ConversationId),
        visit.id("message", MessageId),
        visit.now,
    )
    return await _changed(visit, changed)


async def _changed(visit: Visit, changed: Message | Refusal) -> Answer:
    here = visit.id("id", ConversationId)
    if isinstance(changed, Refusal):
        if changed in (Refusal.NO_SUCH_CONVERSATION, Refusal.NO_SUCH_MESSAGE):
            raise Absent
        return visit.refused(changed, 409, f"/inbox/{here}")
    if not visit.live:
        return Done(f"/inbox/{here}#m-{visit.path['message']}")
    told = visit.id("message", MessageId)
    which = _up_to(changed)
    values = await _values(
        visit.tx, _reader(visit), here, visit.now, which=which, told=told, folder=_folder(visit)
    )
    assert values is not None, "who changed a message sees it"
    return Patch("patches/conversation.html", values)


def _up_to(last: Message) -> Range:
    """The part of a conversation that ends with this message."""
    return Range(before=last.number + 1)


# As it happens ----------------------------------------------------------------------------------


async def patches_for(site: Site, viewer: Viewer, words: Words, told: Told) -> str:
    """What an event of a conversation changes on this member's open pages; empty where nothing."""
    reader = Reader(viewer.id, words, site.book)
    match told:
        case TypingTold():
            return await _typing_patches(site, reader, told)
        case MessageTold() | ConversationTold() | ReceiptTold() | ReminderTold():
            return await _news(site, reader, told)
        case _:
            return ""


async def _news(
    site: Site, reader: Reader, told: MessageTold | ConversationTold | ReceiptTold | ReminderTold
) -> str:
    here = told.conversation
    message = told.message if isinstance(told, MessageTold) else None

    async def look(tx: Tx) -> dict[str, Any] | None:
        now = await site.clock.now(tx)
        which = NEWEST
        if message is not None:
            held = await conversation_of(tx, reader.id, here)
            number = None if held is None else await number_of(tx, held, message)
            which = NEWEST if number is None else Range(before=number + 1)
        return await _values(tx, reader, here, now, which=which, told=message)

    values = await site.db.reading(look)
    if values is None:
        return ""
    template = {
        MessageTold: "patches/conversation.html",
        ConversationTold: "patches/state.html",
        ReceiptTold: "patches/receipt.html",
        ReminderTold: "patches/state.html",
    }[type(told)]
    return html(template, reader.words, values)


async def _typing_patches(site: Site, reader: Reader, told: TypingTold) -> str:
    async def look(tx: Tx) -> Line | None:
        now = await site.clock.now(tx)
        return (await boxes.one_line(tx, reader.id, told.conversation, now))[0]

    line = await site.db.reading(look)
    if line is None:
        return ""
    name = name_of(reader.words, reader.id, line)
    face = avatar(Face(told.typist, name, line.photo), 28)
    values = {"id": told.conversation, "name": name, "face": face}
    return html("patches/typing.html", reader.words, values)
