"""Reminders in SQL: what they rest on, and that they came."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from overture.core.ids import ConversationId, MemberId
from overture.core.reminders import Waiting
from overture.store.db import Tx, all_rows, as_json


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter: its conversation, its sender, with whom it lies, and who received it."""

    conversation: ConversationId
    sender: MemberId
    recipient: MemberId


async def waiting(tx: Tx, letters: Sequence[Letter]) -> dict[ConversationId, Waiting]:
    """What is known of these letters now, where they are there at all.

    Their recipients' rows and accounts are kept as they are meanwhile, so that nobody is reminded who
    has just answered or closed the account.
    """
    found = await all_rows(tx, _WAITING, {"letters": as_json([_row(each) for each in letters])})
    return {row[0]: Waiting(*row[1:]) for row in found}


async def reminded(tx: Tx, letters: Sequence[Letter], now: datetime) -> None:
    """Notes on the recipients' rows that they were reminded, and brings these on top until they are
    opened, as if they had been put off until now; what was put off until later stays so."""
    await tx.execute(_REMINDED, {"now": now, "letters": as_json([_row(each) for each in letters])})


async def time_zones(tx: Tx, members: Sequence[MemberId]) -> dict[MemberId, str]:
    return dict(await all_rows(tx, _TIME_ZONES, (list(members),)))


def _row(letter: Letter) -> dict[str, object]:
    return {
        "id": letter.conversation,
        "sender_id": letter.sender,
        "recipient_id": letter.recipient,
    }


_LETTERS = "json_to_recordset(%(letters)s) as r (id uuid, sender_id uuid, recipient_id uuid)"
_WAITING = f"""
    select c.id, c.started_at, c.state = 'pending',
        m.accept_inmail and m.closed_at is null and m.suspended_at is null and not exists (
            select from members s where s.id = r.sender_id and s.suspended_at is not null
        ) and not exists (
            select from blocks b
            where (b.owner_id, b.blocked_id)
                in ((r.sender_id, r.recipient_id), (r.recipient_id, r.sender_id))),
        exists (
            select from connections k
            where k.owner_id = r.sender_id and k.member_id = r.recipient_id),
        i.reminded_at is not null, m.time_zone
    from {_LETTERS}
    join conversations c on c.owner_id = r.sender_id and c.id = r.id
    join inbox i on i.owner_id = r.recipient_id and i.conversation_id = r.id
    join members m on m.id = r.recipient_id
    order by c.id
    for share of c, i
"""
_REMINDED = f"""
    update inbox i
    set reminded_at = %(now)s,
        snoozed_until = case
            when i.snoozed_until > %(now)s or i.box <> 'requests' then i.snoozed_until
            else %(now)s end,
        marked_unread = i.marked_unread or i.box = 'requests'
    from {_LETTERS}
    where i.owner_id = r.recipient_id and i.conversation_id = r.id
"""
_TIME_ZONES = "select id, time_zone from members where id = any (%s)"
