"""All that members did with credits and letters to strangers, for the policy lab to play again."""

from dataclasses import dataclass
from datetime import datetime

from overture.core.conversations import Channel, Response
from overture.core.credits import Kind
from overture.core.ids import ConversationId, MemberId
from overture.core.replay import Wish, WishKind
from overture.store.db import Tx, all_rows, one_row


@dataclass(frozen=True, slots=True)
class Wished:
    owner: MemberId
    pool: str
    wish: Wish


@dataclass(frozen=True, slots=True)
class Deed:
    """An entry that somebody caused: a spend, an answer, an operator's adjustment."""

    owner: MemberId
    pool: str
    number: int
    at: datetime
    kind: Kind
    credits: int
    reason: str
    inmail_id: ConversationId | None


@dataclass(frozen=True, slots=True)
class Letter:
    """An InMail as it was begun, and what became of it; free where no pool paid."""

    id: ConversationId
    sender: MemberId
    recipient: MemberId
    channel: Channel
    pool: str | None
    sent_at: datetime
    response: Response | None
    answered_at: datetime | None
    withdrawn_at: datetime | None


@dataclass(frozen=True, slots=True)
class Habits:
    """How many members there are, and what they allow."""

    members: int
    premium: int
    open_profiles: int
    opted_out: int


@dataclass(frozen=True, slots=True)
class History:
    wishes: list[Wished]
    deeds: list[Deed]
    letters: list[Letter]
    habits: Habits


async def letters_up_to(tx: Tx, most: int) -> int:
    """How many letters it has; `most` where there are as many or more."""
    row = await one_row(tx, _LETTERS_UP_TO, {"most": most})
    assert row is not None, "a count is always told"
    return row[0]


async def history(tx: Tx, now: datetime) -> History:
    """The whole of it, as it is at `now`: some 500 bytes of memory for each letter."""
    wishes = [
        Wished(owner, pool, Wish(at, WishKind(wish), after_entry, plan))
        for owner, pool, at, wish, after_entry, plan in await all_rows(tx, _WISHES)
    ]
    deeds = [
        Deed(owner, pool, number, at, Kind(kind), credits, reason, inmail_id)
        for owner, pool, number, at, kind, credits, reason, inmail_id in await all_rows(tx, _DEEDS)
    ]
    letters = [
        Letter(
            id,
            sender,
            recipient,
            Channel(channel),
            pool,
            sent_at,
            Response(response) if response else None,
            answered_at,
            withdrawn_at,
        )
        for (
            id, sender, recipient, channel, pool, sent_at, response, answered_at, withdrawn_at
        ) in await all_rows(tx, _LETTERS)
    ]  # fmt: skip
    counted = await one_row(tx, _HABITS, {"now": now})
    assert counted is not None, "counts are always told"
    return History(wishes, deeds, letters, Habits(*counted))


_LETTERS_UP_TO = """
    select count(*)
    from (
        select from conversations
        where kind = 'inmail' and recipient_id is not null and state <> 'imported'
        limit %(most)s
    ) found
"""
_WISHES = """
    select owner_id, pool, at, wish, after_entry, plan
    from subscription_wishes
    order by at, owner_id, pool, number
"""
# A refund that had waited for room comes by itself, as grants and expiries do.
_DEEDS = """
    select owner_id, pool, number, at, kind, credits, reason, inmail_id
    from ledger_entries
    where kind in ('spend', 'adjust', 'no_refund', 'defer')
        or (kind = 'refund' and reason <> 'deferred')
    order by at, owner_id, pool, number
"""
_LETTERS = """
    select id, owner_id, recipient_id, channel, pool, started_at, response, responded_at,
        withdrawn_at
    from conversations
    where kind = 'inmail' and recipient_id is not null and state <> 'imported'
    order by started_at, id
"""
_HABITS = """
    select count(*),
        count(*) filter (where premium_until > %(now)s),
        count(*) filter (where premium_until > %(now)s and open_profile),
        count(*) filter (where not accept_inmail)
    from members
    where claimed and closed_at is null
"""
