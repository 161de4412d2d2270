"""Drafts: what members write and have not sent, kept across their devices until they send it."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from overture.actions.fields import Fields, Invalid
from overture.core import advice, text
from overture.core.ids import ConversationId, MemberId
from overture.core.refusals import Refusal
from overture.core.text import BadText, Sentence
from overture.store import drafts as store
from overture.store.db import Tx
from overture.store.drafts import NOBODY, Draft, Kind, Listed, Place

__all__ = ["NOBODY", "Draft", "Kind", "Listed", "Place"]

LISTED_MAX = 30
# Letters with the same text count as sent to many when they went out within this time.
_LATELY = timedelta(days=14)
# A draft is kept as it was written, but for what no database of text can hold.
_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")


async def save(
    tx: Tx,
    owner: MemberId,
    place: Place,
    *,
    subject: str = "",
    body: str = "",
    pool: str | None = None,
    now: datetime,
) -> Draft | Refusal | Invalid | None:
    """Keeps what is being written in place of what was kept there; None where all of it is blank,
    which removes the draft. The text may be too long to be sent, and otherwise not fit to be sent.
    """
    no = await _unknown(tx, owner, place)
    if no is not None:
        return no
    fields = Fields()
    draft = Draft(
        place,
        fields.take("subject", _kept(subject, store.SUBJECT_CHARS_MAX)),
        fields.take("body", _kept(body, store.BODY_CHARS_MAX)),
        pool,
        now,
    )
    if (invalid := fields.invalid) is not None:
        return invalid
    if not draft.subject.strip() and not draft.body.strip():
        await store.remove(tx, owner, place)
        return None
    await store.save(tx, owner, draft)
    return draft


async def draft(tx: Tx, owner: MemberId, place: Place) -> Draft | None:
    """What the member has written in this place so far."""
    return await store.in_place(tx, owner, place)


async def replies(
    tx: Tx, owner: MemberId, conversations: Sequence[ConversationId]
) -> dict[ConversationId, Draft]:
    """The drafts of replies in any of these conversations."""
    return await store.replies(tx, owner, conversations) if conversations else {}


async def letters(tx: Tx, owner: MemberId) -> list[Listed]:
    """The letters under way, the one written on last first."""
    return await store.newest(tx, owner, (Kind.LETTER, Kind.NOBODY), LISTED_MAX)


async def discard(tx: Tx, owner: MemberId, place: Place) -> None:
    """The draft is sent, or not wanted any more."""
    await store.remove(tx, owner, place)


async def redirect(
    tx: Tx, owner: MemberId, to: MemberId, *, before: Place, now: datetime
) -> Draft | None:
    """The letter under way is to be another member's: it is moved there, and is what is left there.

    Where a letter to that member is under way already, both stay where they are: none may be lost.
    """
    there = await store.in_place(tx, owner, Place.letter(to))
    here = await store.in_place(tx, owner, before)
    if there is not None or here is None or before == Place.letter(to):
        return there
    if not await store.is_member(tx, to):
        return None
    moved = Draft(Place.letter(to), here.subject, here.body, here.pool, now)
    await store.save(tx, owner, moved)
    await store.remove(tx, owner, before)
    return moved


async def copies(tx: Tx, owner: MemberId, body: str, now: datetime) -> int:
    """How many letters that say the same, whatever their greeting, the member has sent lately."""
    tail = advice.tail(text.normal(body))
    return await store.copies(tx, owner, tail, now - _LATELY) if tail else 0


async def _unknown(tx: Tx, owner: MemberId, place: Place) -> Refusal | None:
    """Nothing is kept for a place that is not there, or that is somebody else's."""
    match place.kind:
        case Kind.REPLY:
            known = await store.has_conversation(tx, owner, ConversationId(place.id))
            return None if known else Refusal.NO_SUCH_CONVERSATION
        case Kind.LETTER:
            known = place.id != owner and await store.is_member(tx, MemberId(place.id))
            return None if known else Refusal.NO_SUCH_MEMBER
        case Kind.NOBODY:
            return None


def _kept(raw: str, chars_max: int) -> str | BadText:
    kept = text.normal(_NOT_TEXT.sub("", raw))
    if len(kept) > chars_max:
        return BadText(
            Sentence(
                "This has %(count)s characters; a draft keeps at most %(most)s.",
                count=len(kept),
                most=chars_max,
            )
        )
    return kept
