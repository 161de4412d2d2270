"""Reminding recipients of letters that wait for their answer."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from overture.core import reminders
from overture.core.ids import ConversationId, MemberId
from overture.core.jobs import DONE, Job, Moved, NewJob, Outcome
from overture.core.policy import PolicyBook
from overture.core.sending import Event
from overture.store import outbox
from overture.store import reminders as store
from overture.store.db import Tx
from overture.store.outbox import Row
from overture.store.reminders import Letter

QUEUE = "reminders"


async def plan(tx: Tx, events: Sequence[Row], book: PolicyBook) -> list[NewJob]:
    """A reminder for each letter that was sent, due by the rules of its time."""
    sent = [(row, _decode(row.payload)) for row in events if row.kind == "inmail.sent"]
    if not sent:
        return []
    zones = await store.time_zones(tx, sorted({told.recipient_id for _, told in sent}))
    return [
        NewJob(
            QUEUE,
            # With its recipient, who is reminded: closing their account drops it.
            told.recipient_id,
            str(row.sequence),
            reminders.due_at(row.at, zones.get(told.recipient_id, "UTC"), book.at(row.at)),
            {"conversation_id": told.conversation_id, "sender_id": row.owner},
        )
        for row, told in sent
    ]


async def remind(tx: Tx, jobs: Sequence[Job], now: datetime, book: PolicyBook) -> Sequence[Outcome]:
    """Reminds of those that there is still reason for, at an hour at which it is welcome."""
    letters = [_letter(job) for job in jobs]
    found = await store.waiting(tx, letters)
    outcomes: list[Outcome] = []
    due: list[Letter] = []
    for letter in letters:
        known = found.get(letter.conversation)
        at = known and reminders.remind_at(known, now, book.at(known.sent_at))
        if at is not None and at > now:
            outcomes.append(Moved(at))
            continue
        outcomes.append(DONE)
        if at is not None:
            due.append(letter)
    if due:
        await store.reminded(tx, due, now)
        await outbox.tell(tx, [_event(letter, now) for letter in due])
    return outcomes


class _Sent(msgspec.Struct):
    conversation_id: ConversationId
    recipient_id: MemberId


class _Planned(msgspec.Struct):
    conversation_id: ConversationId
    sender_id: MemberId


_decode = msgspec.json.Decoder(_Sent).decode
_decode_planned = msgspec.json.Decoder(_Planned).decode


def _letter(job: Job) -> Letter:
    planned = _decode_planned(job.payload)
    return Letter(planned.conversation_id, planned.sender_id, job.owner)


def _event(letter: Letter, now: datetime) -> Event:
    payload: dict[str, object] = {
        "conversation_id": letter.conversation,
        "recipient_id": letter.recipient,
    }
    return Event(letter.sender, "inmail.reminded", now, payload)
