"""Deciding a batch of commands on conversations, and collecting what should be written.

`Desk` holds the facts of a batch: members, pairs, conversations, accounts. Commands are decided on it
in their order, each seeing what those before it did. Nothing here reads a clock or a database.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import assert_never

from overture.core import contact, credits
from overture.core.contact import Contact, Pair, Party, Remedy, RemedyKind, Wallet
from overture.core.conversations import (
    Channel,
    Conversation,
    Kind,
    Message,
    Refund,
    Response,
    State,
    response_to,
    takes_files,
    withdrawal_of,
)
from overture.core.files import SPACE_BYTES_MAX, NewFile
from overture.core.ids import ConversationId, MemberId, MessageId, made_at
from overture.core.pace import Paced, next_at
from overture.core.policy import Outcome, PolicyBook, QuickReply
from overture.core.refusals import Refusal
from overture.core.text import snippet

# Commands ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Start:
    """Write to a member, in the cheapest way the rules allow. The texts are clean already.

    `paced` is None for whom no limit holds: the operator.
    """

    viewer: MemberId
    to: MemberId
    conversation_id: ConversationId
    message_id: MessageId
    body: str
    subject: str = ""
    pool: str | None = None
    max_credits: int | None = None
    paced: Paced | None = None


@dataclass(frozen=True, slots=True)
class Write:
    """Write on in a conversation; by the recipient of a pending InMail it is the response."""

    viewer: MemberId
    conversation_id: ConversationId
    message_id: MessageId
    body: str
    quick_reply: QuickReply | None = None
    files: Sequence[NewFile] = ()


@dataclass(frozen=True, slots=True)
class Respond:
    """Accept or decline without words; a decline may block the sender too."""

    viewer: MemberId
    conversation_id: ConversationId
    outcome: Outcome
    block: bool = False


@dataclass(frozen=True, slots=True)
class Withdraw:
    viewer: MemberId
    conversation_id: ConversationId


Command = Start | Write | Respond | Withdraw

# Answers ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Charge:
    """What was paid, and the pool's balance after it. Free: no pool, no credits."""

    pool: str | None
    credits: int
    balance: int | None


@dataclass(frozen=True, slots=True)
class LastMessage:
    """What a list shows of a conversation's last message."""

    id: MessageId
    sender: MemberId | None
    sent_at: datetime
    snippet: str


@dataclass(frozen=True, slots=True)
class OwnRow:
    """What a member's own row of a conversation says beyond the conversation itself."""

    last_message: LastMessage | None
    unread: int


@dataclass(frozen=True, slots=True)
class View:
    """A conversation as one member sees it, with what its list row shows."""

    id: ConversationId
    subject: str
    kind: Kind
    state: State
    with_: Party
    last_message: LastMessage | None
    unread: int
    pending_since: datetime | None
    credits: int
    expires_refund_at: datetime | None
    last_activity_at: datetime


@dataclass(frozen=True, slots=True)
class Done:
    """A command was carried out, or found to be carried out already (`changed` is False then)."""

    conversation: View
    message: Message | None = None
    charge: Charge | None = None
    created: bool = False
    changed: bool = True


@dataclass(frozen=True, slots=True)
class Refused:
    """A command that the rules do not allow; `contact` is the preview's answer, where it decided."""

    code: Refusal
    contact: Contact | None = None


Answer = Done | Refused

# What is to be written --------------------------------------------------------------------------


@dataclass(slots=True)
class Delivery:
    """What changes in one member's own row of a conversation; the row is made where it is missing.

    `message` is the last one, None where none was added. `unread` counts the new ones that this
    member has not written; `read_number` is what they have read by writing themselves.
    """

    owner: MemberId
    conversation: Conversation
    counterpart: Party
    message: LastMessage | None = None
    unread: int = 0
    read_number: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, for those who react: ids and numbers, never texts."""

    owner: MemberId
    kind: str
    at: datetime
    payload: Mapping[str, object]


@dataclass(slots=True)
class Record:
    """All that a batch writes. Conversations are stored as they are in the end."""

    begun: dict[ConversationId, Conversation] = field(default_factory=dict)
    changed: dict[ConversationId, Conversation] = field(default_factory=dict)
    messages: list[tuple[Conversation, Message]] = field(default_factory=list)
    deliveries: dict[tuple[MemberId, ConversationId], Delivery] = field(default_factory=dict)
    accounts: dict[tuple[MemberId, str], credits.Account] = field(default_factory=dict)
    entries: list[tuple[MemberId, str, credits.Entry]] = field(default_factory=list)
    open_profile_sends: dict[MemberId, list[datetime]] = field(default_factory=dict)
    blocks: list[tuple[MemberId, MemberId]] = field(default_factory=list)
    files: list[tuple[Conversation, Message, NewFile]] = field(default_factory=list)
    file_space: dict[MemberId, int] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)


# The decision -----------------------------------------------------------------------------------


@dataclass(slots=True)
class Desk:
    """The facts of one batch, and the record of what is decided on them.

    `conversations` holds every conversation that a command or a pair may touch; a pair is found under
    (writer, other), and both directions share the same Conversation objects. `groups` are the
    imported groups that a command names: known, but not to be written in. `file_space` says how many
    bytes of files each has sent who now sends some. `begun_lately` are the real instants of the last
    letters to strangers of those who are held to a pace.
    """

    now: datetime
    book: PolicyBook
    members: Mapping[MemberId, Party]
    pairs: dict[tuple[MemberId, MemberId], Pair]
    conversations: dict[ConversationId, Conversation]
    accounts: dict[MemberId, dict[str, credits.Account]]
    open_profile_sends: dict[MemberId, list[datetime]]
    own_rows: dict[tuple[MemberId, ConversationId], OwnRow] = field(default_factory=dict)
    file_space: dict[MemberId, int] = field(default_factory=dict)
    begun_lately: dict[MemberId, list[datetime]] = field(default_factory=dict)
    record: Record = field(default_factory=Record)

    def decide(self, command: Command) -> Answer:
        # Whoever is suspended is told so at the door; this is for what was under way meanwhile.
        viewer = self.members.get(command.viewer)
        if viewer is not None and viewer.suspended:
            return Refused(Refusal.SUSPENDED)
        match command:
            case Start():
                return self._start(command)
            case Write():
                return self._write(command)
            case Respond():
                return self._respond(command)
            case Withdraw():
                return self._withdraw(command)
            case _:
                assert_never(command)

    def preview(
        self, viewer: MemberId, to: MemberId, pool: str | None, paced: Paced | None = None
    ) -> Contact:
        """The decision that `Start` would meet now."""
        return self._may_begin(viewer, to, pool, None, paced)

    def _may_begin(
        self,
        viewer: MemberId,
        to: MemberId,
        pool: str | None,
        max_credits: int | None,
        paced: Paced | None,
    ) -> Contact:
        writer = self.members[viewer]
        other = self.members.get(to)
        found = contact.begin(
            writer,
            other,
            self._pair(viewer, to),
            self._wallet(viewer),
            pool=pool,
            max_credits=max_credits,
            now=self.now,
            book=self.book,
        )
        return found if paced is None else self._in_time(writer, found, paced)

    def _in_time(self, writer: Party, found: Contact, paced: Paced) -> Contact:
        """Last of all a letter to a stranger that the rules allow is held to its writer's pace."""
        if not found.allowed or found.into is not None or found.channel is Channel.MESSAGE:
            return found
        age = timedelta.max if writer.joined_at is None else self.now - writer.joined_at
        begun = self.begun_lately.get(writer.id, ())
        slowed = writer.slowed_until is not None and writer.slowed_until > self.now
        free_at = next_at(begun, paced.pace.limit(age, slowed=slowed), paced.at)
        if free_at is None:
            return found
        remedy = Remedy(RemedyKind.WAIT, at=free_at)
        return replace(found, code=Refusal.SENDING_LIMIT, remedy=remedy)

    def _start(self, command: Start) -> Answer:
        found = self._may_begin(
            command.viewer, command.to, command.pool, command.max_credits, command.paced
        )
        if found.code is not None:
            return Refused(found.code, found)
        conversation = found.into
        created = conversation is None
        if conversation is None:
            conversation = self._begin(command, found)
        return self._add_message(
            conversation, found, command.viewer, command.message_id, command.body, created=created
        )

    def _write(self, command: Write) -> Answer:
        conversation = self.conversations.get(command.conversation_id)
        if conversation is None:
            return Refused(Refusal.NO_SUCH_CONVERSATION)
        if conversation.recipient is None:
            return Refused(Refusal.READ_ONLY)
        quick = command.quick_reply
        if quick is not None and conversation.state is not State.PENDING:
            # Answered before: the same again changes nothing, a contrary one is refused.
            again = response_to(conversation, command.viewer, quick.outcome)
            if isinstance(again, Refusal):
                return Refused(again)
            return Done(self._view(conversation, command.viewer), changed=False)
        if quick is not None and conversation.begun_by(command.viewer):
            return Refused(Refusal.NOT_THE_RECIPIENT)
        other = conversation.other(command.viewer)
        found = contact.write_on(
            self.members[command.viewer],
            self.members[other],
            self.pairs[command.viewer, other],
            conversation,
            self._wallet(command.viewer),
            now=self.now,
            book=self.book,
        )
        if found.code is not None:
            return Refused(found.code, found)
        if command.files and (no := self._no_to_files(conversation, command)) is not None:
            return Refused(no)
        return self._add_message(
            conversation,
            found,
            command.viewer,
            command.message_id,
            command.body,
            quick=quick,
            files=command.files,
        )

    def _no_to_files(self, conversation: Conversation, command: Write) -> Refusal | None:
        viewer = command.viewer
        pair = self._pair(viewer, conversation.other(viewer))
        if not takes_files(conversation, connected=pair.connected):
            return Refusal.FILES_NOT_YET
        taken = self.file_space.get(viewer, 0) + sum(each.file.bytes for each in command.files)
        return Refusal.NO_SPACE_FOR_FILES if taken > SPACE_BYTES_MAX else None

    def _respond(self, command: Respond) -> Answer:
        conversation = self.conversations.get(command.conversation_id)
        if conversation is None:
            return Refused(Refusal.NO_SUCH_CONVERSATION)
        outcome = response_to(conversation, command.viewer, command.outcome)
        if isinstance(outcome, Refusal):
            return Refused(outcome)
        if command.block:
            self._block(command.viewer, conversation.sender)
        if outcome is None:
            return Done(self._view(conversation, command.viewer), changed=False)
        self._answered(conversation, Response(outcome))
        conversation.last_activity_at = self.now
        self._deliver(conversation)
        return Done(self._view(conversation, command.viewer))

    def _withdraw(self, command: Withdraw) -> Answer:
        conversation = self.conversations.get(command.conversation_id)
        if conversation is None:
            return Refused(Refusal.NO_SUCH_CONVERSATION)
        state = withdrawal_of(conversation, command.viewer)
        if isinstance(state, Refusal):
            return Refused(state)
        if state is not None:
            self.withdraw(conversation)
        return Done(self._view(conversation, command.viewer), changed=state is not None)

    def withdraw(self, conversation: Conversation) -> None:
        """The sender takes a pending InMail back. No refund, ever."""
        conversation.state = State.WITHDRAWN
        sender = conversation.sender
        pair = self._pair(sender, conversation.other(sender))
        conversation.withdrawn_at = contact.withdrawn_at(sender, pair, self.now)
        conversation.last_activity_at = self.now
        self._touch(conversation)
        self._deliver(conversation)
        self._tell(conversation, "inmail.withdrawn")

    def fail_to_deliver(self, conversation: Conversation) -> None:
        """The recipient closes the account: a pending InMail is undeliverable, and refunded."""
        self._answered(conversation, Response.UNDELIVERABLE)
        conversation.last_activity_at = self.now
        self._deliver(conversation)

    def _begin(self, command: Start, found: Contact) -> Conversation:
        channel = found.channel
        assert channel is not None, "a yes names its channel"
        direct = channel is Channel.MESSAGE
        conversation = Conversation(
            id=command.conversation_id,
            sender=command.viewer,
            recipient=command.to,
            kind=Kind.DIRECT if direct else Kind.INMAIL,
            channel=channel,
            state=State.OPEN if direct else State.PENDING,
            subject=command.subject,
            started_at=self.now,
            last_activity_at=self.now,
            pool=found.pool,
        )
        self.conversations[conversation.id] = conversation
        if command.paced is not None and not direct:
            lately = self.begun_lately.setdefault(command.viewer, [])
            lately.append(made_at(conversation.id))
        for one, other in ((command.viewer, command.to), (command.to, command.viewer)):
            if (pair := self.pairs.get((one, other))) is not None:
                pair.conversations.append(conversation)
        self.record.begun[conversation.id] = conversation
        return conversation

    def _add_message(
        self,
        conversation: Conversation,
        found: Contact,
        viewer: MemberId,
        message_id: MessageId,
        body: str,
        *,
        quick: QuickReply | None = None,
        files: Sequence[NewFile] = (),
        created: bool = False,
    ) -> Answer:
        """Adds a message that the decision allowed, with all that follows from it."""
        charge = self._charge(conversation, found, viewer, follow_up=not created)
        if isinstance(charge, Refusal):
            return Refused(charge, found)
        pair = self._pair(viewer, conversation.other(viewer))
        conversation.wrote(viewer, self.now, contact.wrote_at(viewer, pair, self.now))
        message = Message(
            id=message_id,
            conversation_id=conversation.id,
            number=conversation.messages,
            sender=viewer,
            sent_at=self.now,
            body=body,
            quick_reply=None if quick is None else quick.id,
            files=[each.file for each in files],
        )
        self.record.messages.append((conversation, message))
        if files:
            self._keep_files(conversation, message, files, viewer)
        if found.responds:
            outcome = Outcome.ACCEPTED if quick is None else quick.outcome
            self._answered(conversation, Response(outcome))
        elif conversation.state is State.DECLINED:
            # The decliner writes after all: that opens the thread, without a second refund.
            conversation.state = State.ACCEPTED
        self._touch(conversation)
        line = LastMessage(message.id, viewer, self.now, snippet(body))
        self._deliver(conversation, line, message.number)
        sent = conversation.kind is Kind.INMAIL and created
        self._tell(
            conversation,
            "inmail.sent" if sent else "message.sent",
            message_id=message.id,
            sender_id=viewer,
        )
        self._show(conversation, viewer, line)
        return Done(self._view(conversation, viewer), message, charge, created=created)

    def _keep_files(
        self,
        conversation: Conversation,
        message: Message,
        files: Sequence[NewFile],
        viewer: MemberId,
    ) -> None:
        self.record.files.extend((conversation, message, each) for each in files)
        taken = self.file_space.get(viewer, 0) + sum(each.file.bytes for each in files)
        self.file_space[viewer] = self.record.file_space[viewer] = taken

    def _charge(
        self, conversation: Conversation, found: Contact, viewer: MemberId, *, follow_up: bool
    ) -> Charge | Refusal:
        if found.channel is Channel.OPEN_PROFILE:
            window_opens = self.now - contact.OPEN_PROFILE_WINDOW
            recent = [at for at in self.open_profile_sends.get(viewer, []) if at > window_opens]
            recent.append(self.now)
            self.open_profile_sends[viewer] = recent
            self.record.open_profile_sends[viewer] = recent
        if found.credits == 0:
            return Charge(None, 0, None)
        pool = found.pool
        assert pool is not None, "a price names the pool that pays"
        change = credits.spend(
            self.accounts[viewer][pool],
            self.now,
            self.book,
            inmail_id=conversation.id,
            reason=credits.Reason.FOLLOW_UP if follow_up else credits.Reason.INMAIL,
        )
        if isinstance(change, Refusal):
            return change
        self._store_account(change)
        conversation.pool = pool
        conversation.refundable_until.append(self.now + self.book.at(self.now).refund_window)
        return Charge(pool, found.credits, change.account.balance)

    def _answered(self, conversation: Conversation, response: Response) -> None:
        """The first response: the state it makes, and a credit back for each one charged."""
        conversation.state = State(response.value)
        conversation.response = response
        conversation.responded_at = self.now
        self._touch(conversation)
        reason = credits.Reason.RESPONSE
        if response is Response.UNDELIVERABLE:
            reason = credits.Reason.UNDELIVERABLE
        for refundable_until in conversation.refundable_until:
            assert conversation.pool is not None, "what was charged was charged to a pool"
            change = credits.give_back(
                self.accounts[conversation.sender][conversation.pool],
                self.now,
                self.book,
                inmail_id=conversation.id,
                refundable_until=refundable_until,
                reason=reason,
            )
            self._store_account(change)
            conversation.refund = _better(conversation.refund, change)
        self._tell(conversation, "inmail.responded", outcome=response.value)

    def _pair(self, writer: MemberId, other: MemberId) -> Pair:
        return self.pairs.get((writer, other)) or Pair(False, False, False, [])

    def _block(self, viewer: MemberId, blocked: MemberId) -> None:
        self.record.blocks.append((viewer, blocked))
        for one, other in ((viewer, blocked), (blocked, viewer)):
            if (pair := self.pairs.get((one, other))) is not None:
                if one == viewer:
                    pair.writer_blocked = True
                else:
                    pair.blocked_writer = True

    def _store_account(self, change: credits.Change) -> None:
        account = change.account
        key = (account.owner, account.pool)
        self.accounts.setdefault(account.owner, {})[account.pool] = account
        self.record.accounts[key] = account
        self.record.entries.extend((*key, entry) for entry in change.entries)
        if change.entries:
            self.record.events.append(credits_changed(change, self.now))

    def _touch(self, conversation: Conversation) -> None:
        if conversation.id not in self.record.begun:
            self.record.changed[conversation.id] = conversation

    def _deliver(
        self, conversation: Conversation, message: LastMessage | None = None, number: int = 0
    ) -> None:
        """Both sides' own rows follow the conversation."""
        assert conversation.recipient is not None, "a group is never written in"
        for owner in (conversation.sender, conversation.recipient):
            delivery = self.record.deliveries.get((owner, conversation.id))
            if delivery is None:
                counterpart = self.members[conversation.other(owner)]
                delivery = Delivery(owner, conversation, counterpart)
                self.record.deliveries[owner, conversation.id] = delivery
            if message is None:
                continue
            delivery.message = message
            if message.sender == owner:
                delivery.unread = 0
                delivery.read_number = number
            else:
                delivery.unread += 1

    def _tell(self, conversation: Conversation, kind: str, **more: object) -> None:
        payload: dict[str, object] = {
            "conversation_id": conversation.id,
            "recipient_id": conversation.recipient,
            **more,
        }
        self.record.events.append(Event(conversation.sender, kind, self.now, payload))

    def _show(self, conversation: Conversation, writer: MemberId, line: LastMessage) -> None:
        """Later commands of the batch see this message in their rows, as they would in the store."""
        for owner in (conversation.sender, conversation.recipient):
            if owner is None:
                continue
            row = self.own_rows.get((owner, conversation.id), OwnRow(None, 0))
            unread = 0 if owner == writer else row.unread + 1
            self.own_rows[owner, conversation.id] = OwnRow(line, unread)

    def _view(self, conversation: Conversation, viewer: MemberId) -> View:
        pending = conversation.state is State.PENDING
        # Of a withdrawn InMail the recipient sees only that it was withdrawn.
        hidden = conversation.state is State.WITHDRAWN and not conversation.begun_by(viewer)
        row = self.own_rows.get((viewer, conversation.id), OwnRow(None, 0))
        return View(
            id=conversation.id,
            subject="" if hidden else conversation.subject,
            kind=conversation.kind,
            state=conversation.state,
            with_=self.members[conversation.other(viewer)],
            last_message=None if hidden else row.last_message,
            unread=row.unread,
            pending_since=conversation.started_at if pending else None,
            credits=len(conversation.refundable_until),
            expires_refund_at=conversation.expires_refund_at if pending else None,
            last_activity_at=conversation.last_activity_at,
        )

    def _wallet(self, member: MemberId) -> Wallet:
        return Wallet(self.accounts.get(member, {}), self.open_profile_sends.get(member, ()))


def credits_changed(change: credits.Change, now: datetime) -> Event:
    """Tells that an account changed; `opened` says that credits came, which are to die one day, and
    `entered` names the entries of refunds that had waited for room."""
    account = change.account
    opened = any(entry.expires_at is not None for entry in change.entries)
    payload: dict[str, object] = {
        "pool": account.pool,
        "balance": account.balance,
        "opened": opened,
    }
    if opened and (entered := [e.number for e in change.entries if credits.had_waited(e)]):
        payload["entered"] = entered
    return Event(account.owner, "credits.changed", now, payload)


# Of several credits for one letter, the best that became of any is told.
_REFUNDS = {credits.Kind.REFUND: Refund.REFUNDED, credits.Kind.DEFER: Refund.DEFERRED}
_BEST_FIRST = (Refund.REFUNDED, Refund.DEFERRED, Refund.NONE)


def _better(before: Refund | None, change: credits.Change) -> Refund:
    """What a response did for this credit, or for another one before it."""
    this = _REFUNDS.get(change.entries[-1].kind, Refund.NONE)
    return min((each for each in (before, this) if each is not None), key=_BEST_FIRST.index)
