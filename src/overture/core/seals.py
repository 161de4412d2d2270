"""Seals: what an address or a link in a mail carries, so that whoever holds it may do one thing.

A seal is a few ids and a MAC over them by a secret that this installation alone has. Nobody else can
make one, nor turn one into another member's, another conversation's or another purpose's, and nothing
needs to be stored of it. Those that let one speak for a member are bound to the address that the mail
went to as well: they end when the member moves to another.

As text a seal is of a to z and 2 to 7 alone, and case does not matter: mail servers change it.
"""

import hmac
from base64 import b32decode, b32encode
from binascii import Error as NotBase32
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from overture.core.accounts import folded
from overture.core.ids import ConversationId, MemberId

# An answer link holds as long as an answer brings the credit back by the seed policy.
ANSWER_LINKS_HOLD = timedelta(days=90)
# Since anything last happened in its conversation, a reply address holds for so long.
REPLY_ADDRESSES_HOLD = timedelta(days=180)
KIND_CHARS_MAX = 40


@dataclass(frozen=True, slots=True)
class Secret:
    """What an installation seals with. It shows itself to nobody: neither in a log nor in a trace."""

    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ReplyClaim:
    """Whose reply an address claims to be, and between which ids its conversation's lies.

    There is no room for both ids whole in the 64 characters before an @. Believed only once
    `permits_reply` says so of one of the member's conversations.
    """

    member: MemberId
    first: ConversationId
    last: ConversationId


@dataclass(frozen=True, slots=True)
class AnswerClaim:
    """Whose answer a link claims to be; believed only once `permits_answer` says so."""

    member: MemberId
    conversation: ConversationId
    until: datetime


# Reply addresses ----------------------------------------------------------------------------------


def for_reply(
    secret: Secret, *, member: MemberId, conversation: ConversationId, address: str
) -> str:
    """What lets mail be this member's message in this conversation: 61 characters."""
    whole = UUID(conversation).bytes
    carried = UUID(member).bytes + whole[:_PLACE_BYTES]
    return _sealed(secret, "reply", carried, whole + folded(address).encode())


def reply_claim(seal: str) -> ReplyClaim | None:
    carried = _carried(seal)
    if carried is None or len(carried) != 16 + _PLACE_BYTES:
        return None
    member, place = carried[:16], carried[16:]
    rest = 16 - _PLACE_BYTES
    return ReplyClaim(
        MemberId(str(UUID(bytes=member))),
        ConversationId(str(UUID(bytes=place + b"\x00" * rest))),
        ConversationId(str(UUID(bytes=place + b"\xff" * rest))),
    )


def permits_reply(
    secret: Secret, seal: str, *, member: MemberId, conversation: ConversationId, address: str
) -> bool:
    """Whether it was made for this; `address` is the member's own now."""
    made = for_reply(secret, member=member, conversation=conversation, address=address)
    return _same(seal, made)


# Answer links -------------------------------------------------------------------------------------


def for_answer(
    secret: Secret,
    *,
    member: MemberId,
    conversation: ConversationId,
    address: str,
    until: datetime,
) -> str:
    """What lets a link answer this letter in the recipient's name, until then: 85 characters."""
    seconds = int(until.timestamp()).to_bytes(_SECONDS_BYTES)
    carried = UUID(member).bytes + UUID(conversation).bytes + seconds
    return _sealed(secret, "answer", carried, folded(address).encode())


def answer_claim(seal: str) -> AnswerClaim | None:
    carried = _carried(seal)
    if carried is None or len(carried) != 32 + _SECONDS_BYTES:
        return None
    try:
        until = datetime.fromtimestamp(int.from_bytes(carried[32:]), UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return AnswerClaim(
        MemberId(str(UUID(bytes=carried[:16]))),
        ConversationId(str(UUID(bytes=carried[16:32]))),
        until,
    )


def permits_answer(secret: Secret, seal: str, claim: AnswerClaim, *, address: str) -> bool:
    """Whether the claim is true; `address` is the member's own now. Whether it still holds is
    another question: `claim.until`."""
    made = for_answer(
        secret,
        member=claim.member,
        conversation=claim.conversation,
        address=address,
        until=claim.until,
    )
    return _same(seal, made)


# Unsubscribing ------------------------------------------------------------------------------------


def for_unsubscribing(secret: Secret, *, member: MemberId, kind: str) -> str:
    """What lets a link end mails of a kind to this member; it holds for good."""
    assert kind.isascii(), "a kind of mail has a plain name"
    assert 0 < len(kind) <= KIND_CHARS_MAX, "a kind of mail has a short name"
    return _sealed(secret, "unsubscribe", UUID(member).bytes + kind.encode(), b"")


def unsubscribing(secret: Secret, seal: str) -> tuple[MemberId, str] | None:
    """Whose mails of which kind such a link ends; None where it was not made here."""
    carried = _carried(seal)
    if carried is None or not 0 < len(carried) - 16 <= KIND_CHARS_MAX:
        return None
    if not (kind := carried[16:]).isascii():
        return None
    member = MemberId(str(UUID(bytes=carried[:16])))
    if not _same(seal, for_unsubscribing(secret, member=member, kind=kind.decode())):
        return None
    return member, kind.decode()


# Return addresses ---------------------------------------------------------------------------------


def for_bounce(secret: Secret, *, member: MemberId, address: str) -> str:
    """What a mail's return address carries, so that what comes back tells whose address fails: 52
    characters. It speaks for nobody."""
    return _sealed(secret, "bounce", UUID(member).bytes, folded(address).encode())


def bounce_claim(seal: str) -> MemberId | None:
    carried = _carried(seal)
    if carried is None or len(carried) != 16:
        return None
    return MemberId(str(UUID(bytes=carried)))


def permits_bounce(secret: Secret, seal: str, *, member: MemberId, address: str) -> bool:
    return _same(seal, for_bounce(secret, member=member, address=address))


# How they are made --------------------------------------------------------------------------------

_MAC_BYTES = 16
# The milliseconds that a UUIDv7 begins with: few of one member's conversations share them.
_PLACE_BYTES = 6
_SECONDS_BYTES = 5


def _sealed(secret: Secret, purpose: str, carried: bytes, bound: bytes) -> str:
    """`carried` stands in the seal; `bound` has to be known to check it."""
    said = b"\x00".join((purpose.encode(), len(carried).to_bytes(2) + carried + bound))
    mac = hmac.digest(secret.key, said, "sha256")[:_MAC_BYTES]
    return b32encode(carried + mac).decode().rstrip("=").lower()


def _carried(seal: str) -> bytes | None:
    try:
        raw = b32decode(seal.upper() + "=" * (-len(seal) % 8))
    except (NotBase32, ValueError):
        return None
    return raw[:-_MAC_BYTES] if len(raw) > _MAC_BYTES else None


def _same(seal: str, made: str) -> bool:
    # In constant time: how much of a guess is right, nobody learns.
    return hmac.compare_digest(seal.lower().encode(errors="replace"), made.encode())
