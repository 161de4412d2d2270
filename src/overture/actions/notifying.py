"""Telling members of what happened while they were not looking: what, and whether still.

`plan` makes jobs of events, for members whom mails or notices on a device reach. `news` and `pushed`
look again when a job is done: what was answered, read or withdrawn meanwhile is not told any more, nor
to whom does not want it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from overture.actions.subscriptions import Status, SubscriptionView, premium
from overture.core import notifying as rules
from overture.core.conversations import Message, Refund, Response, State
from overture.core.ids import ConversationId, InvitationId, MemberId
from overture.core.jobs import NewJob
from overture.core.notifying import (
    UNREAD_FOR,
    UNREAD_FOR_PUSH,
    Channel,
    How,
    Kind,
    Reader,
    may_tell,
)
from overture.core.policy import PolicyBook, QuickReply
from overture.store import notifying as store
from overture.store import push
from overture.store.db import Tx
from overture.store.inbox import Box
from overture.store.notifying import Mailed, Other, Thread
from overture.store.outbox import Row
from overture.store.push import Pushed

QUEUE = "mail"
# Mails about the safety of an account wait behind no others.
SAFETY = "mail:safety"
DIGEST = "mail:digest"
PUSH = "push"
# Of so many unread messages one mail shows the text.
TEXTS_MAX = 10
# How the keys of jobs begin that wait for something to be read.
_UNREAD = "message-"

# What happened: the payload of a job ---------------------------------------------------------------


class LetterCame(msgspec.Struct, tag="letter", frozen=True):
    """An InMail came; `again`: it is reminded of."""

    conversation: ConversationId
    again: bool = False


class AnswerCame(msgspec.Struct, tag="answer", frozen=True):
    conversation: ConversationId


class MessageCame(msgspec.Struct, tag="message", frozen=True):
    conversation: ConversationId


class CreditReturned(msgspec.Struct, tag="returned", frozen=True):
    """A refund that had waited for room entered, as this entry of the ledger."""

    pool: str
    number: int


class Granted(msgspec.Struct, tag="granted", frozen=True):
    pool: str
    credits: int
    forfeited: int
    granted_at: datetime


class Expiring(msgspec.Struct, tag="expiring", frozen=True):
    pool: str
    expires_at: datetime
    last: bool


class PlanChanged(msgspec.Struct, tag="plan", frozen=True):
    """`began`: the plan is another than before, or began anew."""

    pool: str
    plan: str
    status: Status
    next_plan: str | None
    began: bool


class Invited(msgspec.Struct, tag="invited", frozen=True):
    invitation: InvitationId


class Connected(msgspec.Struct, tag="connected", frozen=True):
    """The member's invitation was accepted."""

    other: MemberId


class Safety(msgspec.Struct, tag="safety", frozen=True):
    """Something that the owner of an account must hear of; `what` is the event's kind."""

    what: str
    at: datetime
    session: str | None = None


What = (
    LetterCame
    | AnswerCame
    | MessageCame
    | CreditReturned
    | Granted
    | Expiring
    | PlanChanged
    | Invited
    | Connected
    | Safety
)

# What is told ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Letter:
    """An InMail that waits; `again`: told for the second time. `back`: an answer now returns the
    sender's credit."""

    thread: Thread
    body: str
    sent_at: datetime
    again: bool
    back: bool
    quick_replies: Sequence[QuickReply]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to the reader's InMail. `message` is None where it came without words; `purse` is what
    is in the pool that paid, None where nothing was paid or the reader has no plan of it any more."""

    thread: Thread
    response: Response
    message: Message | None
    refund: Refund | None
    purse: SubscriptionView | None


@dataclass(frozen=True, slots=True)
class Messages:
    """What the reader has not read, the oldest first."""

    thread: Thread
    messages: Sequence[Message]


@dataclass(frozen=True, slots=True)
class Returned:
    """A credit is back. `undeliverable`: the recipient of the InMail closed the account; else it had
    waited for room."""

    thread: Thread | None
    purse: SubscriptionView
    undeliverable: bool


@dataclass(frozen=True, slots=True)
class Grant:
    purse: SubscriptionView
    credits: int
    forfeited: int
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Expiry:
    purse: SubscriptionView
    credits: int
    expires_at: datetime
    last: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """A subscription as it is now, `view` being None once it has ended. `began`: with this change."""

    plan: str
    view: SubscriptionView | None
    began: bool


@dataclass(frozen=True, slots=True)
class Invitation:
    other: Other
    note: str


@dataclass(frozen=True, slots=True)
class Connection:
    other: Other


@dataclass(frozen=True, slots=True)
class Alert:
    """`browser` is the one that signed in, where that is what happened and it is known still."""

    what: str
    at: datetime
    browser: store.SignedIn | None


News = (
    Letter | Answer | Messages | Returned | Grant | Expiry | Plan | Invitation | Connection | Alert
)


@dataclass(frozen=True, slots=True)
class Telling:
    """What is to be told whom, of which kind, and how soon."""

    reader: Mailed
    kind: Kind
    how: How
    news: News

    @property
    def told_up_to(self) -> tuple[ConversationId, int] | None:
        """The last message that the reader knows from this mail."""
        match self.news:
            case Letter():
                return self.news.thread.id, 1
            case Answer() if self.news.message is not None:
                return self.news.thread.id, self.news.message.number
            case Messages():
                return self.news.thread.id, self.news.messages[-1].number
            case _:
                return None


@dataclass(frozen=True, slots=True)
class Pushing:
    """What is to be told in one browser of a member's."""

    reader: Pushed
    kind: Kind
    news: News


# Making jobs ----------------------------------------------------------------------------------------


async def plan(tx: Tx, events: Sequence[Row], *, push_too: bool = False) -> list[NewJob]:
    """A job for each mail that these events may lead to, and for each notice on a device."""
    found = [job for row in events for job in _jobs(row)]
    if not found:
        return []
    owners = sorted({job.owner for job in found})
    reached = await store.reached(tx, owners)
    mails = [
        job
        for job in found
        if (reader := reached.get(job.owner)) and (reader.mails or job.queue == SAFETY)
    ]
    return [*mails, *await _pushes(tx, owners, found)] if push_too else mails


async def _pushes(tx: Tx, owners: Sequence[MemberId], found: Sequence[NewJob]) -> list[NewJob]:
    """The same for each browser of theirs that takes notices: one that fails holds up no other."""
    sessions: dict[MemberId, list[str]] = {}
    for member, session in await push.sessions_with(tx, owners):
        sessions.setdefault(member, []).append(session)
    return [_push(job, session) for job in found for session in sessions.get(job.owner, ())]


def _push(mail: NewJob, session: str) -> NewJob:
    sooner = UNREAD_FOR - UNREAD_FOR_PUSH if mail.key.startswith(_UNREAD) else timedelta(0)
    payload = {**mail.payload, "browser": session}
    return NewJob(PUSH, mail.owner, f"{mail.key}.{session}", mail.due_at - sooner, payload)


def _jobs(row: Row) -> list[NewJob]:
    """What an event may be told as: to whom, and from when on."""
    match row.kind:
        case "inmail.sent" | "inmail.reminded" | "inmail.responded" | "message.sent":
            return _of_conversation(row, _in_conversation(row.payload))
        case "credits.changed":
            changed = _in_credits(row.payload)
            returned = [CreditReturned(changed.pool, number) for number in changed.entered]
            return [_job(row, row.owner, each, f"-{each.number}") for each in returned]
        case "credits.granted":
            told = _in_grant(row.payload)
            what = Granted(told.pool, told.credits, told.forfeited, told.granted_at)
            return [_job(row, row.owner, what)]
        case "credits.expiring":
            told = _in_expiry(row.payload)
            return [_job(row, row.owner, Expiring(told.pool, told.expires_at, told.last))]
        case "subscription.changed":
            told = _in_plan(row.payload)
            what = PlanChanged(told.pool, told.plan, told.status, told.next_plan, told.began)
            return [_job(row, row.owner, what)]
        case "connection.invited":
            told = _in_network(row.payload)
            assert told.invitation_id is not None, "who invites has an invitation"
            return [_job(row, told.member_id, Invited(told.invitation_id))]
        case "connection.accepted":
            told = _in_network(row.payload)
            # Without an invitation it was an operator who connected them.
            return [_job(row, told.member_id, Connected(row.owner))] if told.invitation_id else []
        case (
            "account.signed_in"
            | "account.password_changed"
            | "account.passkey_added"
            | "account.two_steps_on"
            | "account.two_steps_off"
            | "account.code_app_added"
            | "account.recovery_code_used"
            | "account.recovery_codes_made"
            | "account.second_step_failed"
            | "account.identity_linked"
        ):
            told = _in_account(row.payload)
            # Of whom the host site lets in it tells itself, if it wants to; and with the first app
            # comes that signing in takes two steps.
            if told.known_device or told.opens or not told.again or told.by == ["handover"]:
                return []
            return [_job(row, row.owner, Safety(row.kind, row.at, told.session), queue=SAFETY)]
        case _:
            return []


def _of_conversation(row: Row, told: "_InConversation") -> list[NewJob]:
    conversation, recipient = told.conversation_id, told.recipient_id
    match row.kind:
        case "inmail.sent":
            return [_job(row, recipient, LetterCame(conversation))]
        case "inmail.reminded":
            return [_job(row, recipient, LetterCame(conversation, again=True))]
        case "inmail.responded":
            return [_job(row, row.owner, AnswerCame(conversation))]
        case _:
            reader = recipient if told.sender_id == row.owner else row.owner
            # One at a time: the first of several messages is the one that is told of them all.
            key = f"{_UNREAD}{conversation}"
            what = _encode(MessageCame(conversation))
            return [NewJob(QUEUE, reader, key, row.at + UNREAD_FOR, what)]


def _job(row: Row, reader: MemberId, what: What, part: str = "", queue: str = QUEUE) -> NewJob:
    payload = _encode(what)
    return NewJob(queue, reader, f"{payload['type']}-{row.sequence}{part}", row.at, payload)


# Looking again --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Look:
    """Who looks at what there is to tell them, and when."""

    tx: Tx
    reader: MemberId
    now: datetime
    book: PolicyBook
    channel: Channel

    async def thread(self, conversation: ConversationId) -> Thread | None:
        return await store.thread(self.tx, self.reader, conversation)

    async def purse(self, pool: str) -> SubscriptionView | None:
        held = await premium(self.tx, self.reader, self.now, self.book)
        return next((view for view in held.pools if view.pool == pool), None)


# Of which kind the news are, and whether they are about one whom the reader has blocked, or who them.
_Found = tuple[Kind, News, bool]


async def news(
    tx: Tx, reader: MemberId, payload: bytes, now: datetime, book: PolicyBook
) -> Telling | None:
    """What is to be told now of what happened; None where there is nothing any more, or no way."""
    mailed = (await store.reached(tx, [reader])).get(reader)
    if mailed is None:
        return None
    found = await _found(_Look(tx, reader, now, book, Channel.MAIL), _decode(payload))
    if found is None:
        return None
    kind, told, blocked = found
    preferences = Reader(
        (Channel.MAIL,), mailed.mails, mailed.daily, mailed.silent, suspended=mailed.suspended
    )
    how = may_tell(preferences, kind, Channel.MAIL, blocked=blocked)
    return None if how is None else Telling(mailed, kind, how, told)


async def pushed(
    tx: Tx, member: MemberId, payload: bytes, now: datetime, book: PolicyBook
) -> Pushing | None:
    """The same for a browser of the member's: that of the job."""
    reader = await push.reached(tx, member, _decode_browser(payload).browser)
    if reader is None:
        return None
    found = await _found(_Look(tx, member, now, book, Channel.PUSH), _decode(payload))
    if found is None:
        return None
    kind, told, blocked = found
    preferences = Reader(
        (Channel.PUSH,), mails=False, daily=False, silent=reader.silent, suspended=reader.suspended
    )
    how = may_tell(preferences, kind, Channel.PUSH, blocked=blocked)
    return None if how is None else Pushing(reader, kind, told)


async def _found(look: _Look, what: What) -> _Found | None:
    match what:
        case LetterCame() | AnswerCame() | MessageCame():
            return await _in_thread(look, what)
        case Invited():
            invited = await store.invitation(look.tx, look.reader, what.invitation)
            return invited and (Kind.NETWORK, Invitation(*invited), invited[0].blocked)
        case Connected():
            other = await store.connection(look.tx, look.reader, what.other)
            return other and (Kind.NETWORK, Connection(other), other.blocked)
        case Safety():
            return await _alert(look, what)
        case PlanChanged():
            told = _plan(what, await look.purse(what.pool))
            return told and (Kind.PLANS, told, False)
        case CreditReturned() | Granted() | Expiring():
            purse = await look.purse(what.pool)
            return purse and await _of_credits(look, what, purse)


async def _in_thread(look: _Look, what: LetterCame | AnswerCame | MessageCame) -> _Found | None:
    thread = await look.thread(what.conversation)
    if thread is None or thread.box is Box.SPAM:
        return None
    match what:
        case LetterCame():
            letter = await _letter(look, what, thread)
            return letter and (Kind.INMAIL, letter, thread.other.blocked)
        case AnswerCame():
            return await _answer(look, thread)
        case MessageCame():
            unread = await _unread(look, thread)
            if not unread:
                return None
            return Kind.MESSAGES, Messages(thread, unread), thread.other.blocked


async def _unread(look: _Look, thread: Thread) -> list[Message]:
    if thread.muted:
        return []
    # Of what they were told and have not read, they are not told more; a device shows but the last.
    if look.channel is Channel.MAIL and thread.told > thread.read_number:
        return []
    unread = await store.unread(look.tx, thread, TEXTS_MAX)
    # An answer's own words are told with it, which a device does at the same time.
    if look.channel is Channel.PUSH and thread.begun:
        unread = [each for each in unread if each.sent_at != thread.responded_at]
    return unread


async def _letter(look: _Look, what: LetterCame, thread: Thread) -> Letter | None:
    if thread.state is not State.PENDING or thread.begun:
        return None
    if thread.read_number and not what.again:
        return None
    first = await store.first_message(look.tx, thread)
    if first is None:
        return None
    back = thread.back_until is not None and look.now <= thread.back_until
    quick_replies = look.book.at(look.now).quick_replies
    return Letter(thread, first.body, first.sent_at, what.again, back, quick_replies)


async def _answer(look: _Look, thread: Thread) -> _Found | None:
    if not thread.begun or thread.response is None or thread.responded_at is None:
        return None
    purse = None if thread.pool is None else await look.purse(thread.pool)
    if thread.response is Response.UNDELIVERABLE:
        if purse is None or thread.refund is not Refund.REFUNDED:
            return None
        return Kind.CREDITS, Returned(thread, purse, undeliverable=True), thread.other.blocked
    message = await store.answer_in_words(look.tx, thread)
    if message is not None and thread.read_number >= message.number:
        return None
    if thread.sender_wrote_at is not None and thread.sender_wrote_at > thread.responded_at:
        return None
    answer = Answer(thread, thread.response, message, thread.refund, purse)
    return Kind.ANSWERS, answer, thread.other.blocked


async def _alert(look: _Look, what: Safety) -> _Found | None:
    browser = None
    if what.session is not None:
        browser = await store.signed_in(look.tx, look.reader, what.session)
        # They have just set the password themselves, and were told of that.
        if browser is not None and browser.alone:
            return None
    return Kind.SECURITY, Alert(what.what, what.at, browser), False


async def _of_credits(
    look: _Look, what: CreditReturned | Granted | Expiring, purse: SubscriptionView
) -> _Found | None:
    match what:
        case CreditReturned():
            inmail = await store.inmail_of_entry(look.tx, look.reader, what.pool, what.number)
            thread = None if inmail is None else await look.thread(inmail)
            blocked = thread is not None and thread.other.blocked
            return Kind.CREDITS, Returned(thread, purse, undeliverable=False), blocked
        case Granted():
            lots = [lot for lot in purse.lots if lot.granted_at == what.granted_at]
            expires_at = lots[-1].expires_at if lots else None
            return Kind.CREDITS, Grant(purse, what.credits, what.forfeited, expires_at), False
        case Expiring():
            left = sum(lot.remaining for lot in purse.lots if lot.expires_at == what.expires_at)
            if not left or what.expires_at <= look.now:
                return None
            # What goes with the plan before it can expire was told with the change.
            if purse.empties_at is not None and purse.empties_at < what.expires_at:
                return None
            return Kind.CREDITS, Expiry(purse, left, what.expires_at, what.last), False


def _plan(what: PlanChanged, view: SubscriptionView | None) -> Plan | None:
    """A change is told as things stand; where it was changed again, that is told instead."""
    if what.status is Status.ENDED:
        return Plan(what.plan, None, began=False) if view is None else None
    if view is None or (view.plan, view.status) != (what.plan, what.status):
        return None
    return Plan(view.plan, view, what.began) if view.next_plan == what.next_plan else None


# The digest -----------------------------------------------------------------------------------------


async def keep_for_digest(
    tx: Tx, telling: Telling, key: str, payload: bytes, now: datetime
) -> None:
    """Tells it in the reader's next morning, with whatever else there is by then."""
    reader = telling.reader
    day, due_at = rules.next_morning(now, reader.time_zone)
    due = NewJob(DIGEST, reader.member, day.isoformat(), due_at, {})
    await store.keep_for_digest(tx, reader.member, key, payload, due)


def without_repeats(tellings: Sequence[Telling]) -> list[Telling]:
    """What is to be told together: an answer's own words are not told once more as a message."""
    answered = {
        each.news.thread.id: each.news.message.number
        for each in tellings
        if isinstance(each.news, Answer) and each.news.message is not None
    }
    return [
        each
        for each in tellings
        if not isinstance(each.news, Messages)
        or each.news.messages[-1].number > answered.get(each.news.thread.id, 0)
    ]


# What events say ------------------------------------------------------------------------------------


class _Browser(msgspec.Struct):
    """In which browser it is to be told: the id of its session."""

    browser: str


class _InConversation(msgspec.Struct):
    conversation_id: ConversationId
    recipient_id: MemberId
    sender_id: MemberId | None = None


class _InCredits(msgspec.Struct):
    pool: str
    entered: Sequence[int] = ()


class _InGrant(msgspec.Struct):
    pool: str
    credits: int
    forfeited: int
    granted_at: datetime


class _InExpiry(msgspec.Struct):
    pool: str
    expires_at: datetime
    last: bool


class _InPlan(msgspec.Struct):
    pool: str
    plan: str
    status: Status
    next_plan: str | None
    began: bool = False


class _InNetwork(msgspec.Struct):
    member_id: MemberId
    invitation_id: InvitationId | None = None


class _InAccount(msgspec.Struct):
    session: str | None = None
    known_device: bool = False
    opens: bool = False
    again: bool = True
    by: list[str] = []


_in_conversation = msgspec.json.Decoder(_InConversation).decode
_in_credits = msgspec.json.Decoder(_InCredits).decode
_in_grant = msgspec.json.Decoder(_InGrant).decode
_in_expiry = msgspec.json.Decoder(_InExpiry).decode
_in_plan = msgspec.json.Decoder(_InPlan).decode
_in_network = msgspec.json.Decoder(_InNetwork).decode
_in_account = msgspec.json.Decoder(_InAccount).decode
_decode = msgspec.json.Decoder(What).decode
_decode_browser = msgspec.json.Decoder(_Browser).decode


def _encode(what: What) -> dict[str, object]:
    return msgspec.to_builtins(what, builtin_types=(datetime,))
