"""Whom an event of the outbox concerns, and what it tells each of them.

This is where it is decided who may learn that something happened; what they then see of it is read
through their own rows when it is delivered, by the same rules as when they ask.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from overture.core.ids import ConversationId, MemberId, MessageId

# What a member is told -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MessageTold:
    """A message was written, by the other side or by the member elsewhere; or it was changed."""

    conversation: ConversationId
    message: MessageId


@dataclass(frozen=True, slots=True)
class ConversationTold:
    """Something else of a conversation changed: its state, where it lies, what was read of it."""

    conversation: ConversationId


@dataclass(frozen=True, slots=True)
class ReceiptTold:
    """The other side may have read on: told to a member only if their own row shows it."""

    conversation: ConversationId


@dataclass(frozen=True, slots=True)
class TypingTold:
    """The other side types. Asked of the rules before it was sent; stored nowhere."""

    conversation: ConversationId
    typist: MemberId


@dataclass(frozen=True, slots=True)
class CreditsTold:
    """The member's own balance in a pool; None where something else of the subscription changed."""

    pool: str
    balance: int | None


@dataclass(frozen=True, slots=True)
class ReminderTold:
    """A letter that the member received still waits for an answer."""

    conversation: ConversationId


@dataclass(frozen=True, slots=True)
class NetworkTold:
    """An invitation came, or a connection began or ended."""

    other: MemberId


@dataclass(frozen=True, slots=True)
class DecisionTold:
    """An operator decided on the member, on a report or on a complaint of theirs: `about` which, by
    its id."""

    about: str
    id: str


@dataclass(frozen=True, slots=True)
class PresenceTold:
    """Another member came or went. Asked of the rules before it was sent; kept for no resumption."""

    other: MemberId
    here: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """The member's streams end: those of these sessions, or all of them."""

    sessions: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class SeenByOthers:
    """Who may see the member to be here is another question now; told to nobody as such."""


Told = (
    MessageTold
    | ConversationTold
    | ReceiptTold
    | TypingTold
    | CreditsTold
    | ReminderTold
    | NetworkTold
    | DecisionTold
    | PresenceTold
)

# Who is told -------------------------------------------------------------------------------------


class _Payload(msgspec.Struct):
    """The fields of the outbox's payloads that matter here."""

    conversation_id: ConversationId | None = None
    message_id: MessageId | None = None
    recipient_id: MemberId | None = None
    other_id: MemberId | None = None
    member_id: MemberId | None = None
    decision_id: str = ""
    report_id: str = ""
    complaint_id: str = ""
    pool: str = ""
    balance: int | None = None
    sessions: list[str] = msgspec.field(default_factory=list)


_decode = msgspec.json.Decoder(_Payload).decode


def concerns(
    kind: str, owner: MemberId, payload: bytes
) -> Sequence[tuple[MemberId, Told | Ended | SeenByOthers]]:
    """What an event tells whom. A kind that is not named here tells nobody."""
    noun, _, verb = kind.partition(".")
    match noun:
        case "inmail" | "message" | "conversation":
            return _in_conversation(noun, verb, owner, _decode(payload))
        case "credits" | "subscription" if verb == "changed":
            told = _decode(payload)
            return [(owner, CreditsTold(told.pool, told.balance))]
        case "connection":
            other = _decode(payload).member_id
            return [] if other is None else _in_network(verb, owner, other)
        case "account" if verb == "signed_out":
            return [(owner, Ended(frozenset(_decode(payload).sessions)))]
        case "decision" if verb == "made":
            return [(owner, DecisionTold("decision", _decode(payload).decision_id))]
        case "report" if verb == "decided":
            return [(owner, DecisionTold("report", _decode(payload).report_id))]
        case "complaint" if verb == "answered":
            return [(owner, DecisionTold("complaint", _decode(payload).complaint_id))]
        case "member" if verb in {"closed", "suspended"}:
            return [(owner, Ended(None))]
        case "preferences":
            return [(owner, SeenByOthers())]
        case "member" if verb == "blocked":
            return [(owner, SeenByOthers())]
        case _:
            return []


def _in_conversation(
    noun: str, verb: str, owner: MemberId, told: _Payload
) -> Sequence[tuple[MemberId, Told | Ended | SeenByOthers]]:
    conversation, message, other = told.conversation_id, told.message_id, told.recipient_id
    if conversation is None:
        return []
    match noun, verb:
        case "conversation", "read":
            mine = [(owner, ConversationTold(conversation))]
            if told.other_id is None:
                return mine
            return [*mine, (told.other_id, ReceiptTold(conversation))]
        case "conversation", _:
            # Starred, moved, marked as spam: the other side learns nothing of it.
            return [(owner, ConversationTold(conversation))]
        case "inmail", "reminded":
            return [] if other is None else [(other, ReminderTold(conversation))]
        case _:
            news = (
                ConversationTold(conversation)
                if message is None
                else MessageTold(conversation, message)
            )
            both = [owner] if other is None else [owner, other]
            return [(member, news) for member in both]


def _in_network(
    verb: str, owner: MemberId, other: MemberId
) -> Sequence[tuple[MemberId, Told | Ended | SeenByOthers]]:
    if verb in ("declined", "unseen"):
        # Nobody is told that they were turned down, nor by whom they are asked whom they have blocked.
        return [(owner, NetworkTold(other))]
    return [(owner, NetworkTold(other)), (other, NetworkTold(owner))]
