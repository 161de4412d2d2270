"""Whom an address or a link of a mail speaks for: what its seal permits, looked up and believed."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from overture.core import seals
from overture.core.ids import ConversationId, MemberId
from overture.core.seals import AnswerClaim, Secret
from overture.store import inbox, mailboxes
from overture.store.db import Tx
from overture.store.mailboxes import Mailbox


@dataclass(frozen=True, slots=True)
class Addressed:
    """Whose message in which conversation mail to an address is; `address` is the member's own."""

    member: MemberId
    conversation: ConversationId
    address: str


class Unsealed(Enum):
    """Why a seal permits nothing."""

    # Made up, changed, another installation's, or of a member or an address that is no more: one of
    # them looks like the other.
    UNKNOWN = "unknown"
    # It was good once.
    OVER = "over"


async def addressed(tx: Tx, secret: Secret, seal: str, now: datetime) -> Addressed | Unsealed:
    """What a reply address permits now."""
    claim = seals.reply_claim(seal)
    if claim is None:
        return Unsealed.UNKNOWN
    mailbox = await _mailbox(tx, claim.member)
    if mailbox is None:
        return Unsealed.UNKNOWN
    for conversation, active_at in await inbox.between(tx, claim.member, claim.first, claim.last):
        if seals.permits_reply(
            secret,
            seal,
            member=claim.member,
            conversation=conversation,
            address=mailbox.address,
        ):
            if now - active_at > seals.REPLY_ADDRESSES_HOLD:
                return Unsealed.OVER
            return Addressed(claim.member, conversation, mailbox.address)
    return Unsealed.UNKNOWN


async def answering(tx: Tx, secret: Secret, seal: str, now: datetime) -> AnswerClaim | Unsealed:
    """What an answer link permits now: to answer this letter in this member's name."""
    claim = seals.answer_claim(seal)
    if claim is None:
        return Unsealed.UNKNOWN
    mailbox = await _mailbox(tx, claim.member)
    if mailbox is None or not seals.permits_answer(secret, seal, claim, address=mailbox.address):
        return Unsealed.UNKNOWN
    return Unsealed.OVER if now > claim.until else claim


async def came_back(tx: Tx, secret: Secret, seal: str, why: str, now: datetime) -> bool:
    """Marks the address of the member whose mail came back for good; whether there was one to mark.

    `seal` is of the return address, or of a reply address where a mail server confuses the two.
    """
    mailbox = await _returned(tx, secret, seal) or await _replied(tx, secret, seal, now)
    if mailbox is None:
        return False
    if not mailbox.failing:
        await mailboxes.fail(tx, mailbox, why, now)
    return True


async def _returned(tx: Tx, secret: Secret, seal: str) -> Mailbox | None:
    mailbox = await _mailbox(tx, seals.bounce_claim(seal))
    if mailbox is None:
        return None
    good = seals.permits_bounce(secret, seal, member=mailbox.member, address=mailbox.address)
    return mailbox if good else None


async def _replied(tx: Tx, secret: Secret, seal: str, now: datetime) -> Mailbox | None:
    found = await addressed(tx, secret, seal, now)
    return await _mailbox(tx, found.member) if isinstance(found, Addressed) else None


async def _mailbox(tx: Tx, member: MemberId | None) -> Mailbox | None:
    return None if member is None else (await mailboxes.of(tx, [member])).get(member)
