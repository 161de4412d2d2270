"""What a page about a member shows beside the profile, in one round trip."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from overture.core.ids import InvitationId, MemberId
from overture.store.db import Tx, pipelined
from overture.store.network import CARD_COLUMNS, Card

# So many of those whom both are connected with are named.
SHARED_MAX = 4
# How often a member answers is read off so many of their last conversations.
_CONVERSATIONS_MAX = 500


@dataclass(frozen=True, slots=True)
class Answers:
    """Of the InMails that a member received in some time, how many they answered."""

    received: int
    answered: int


@dataclass(frozen=True, slots=True)
class Beside:
    """`shared`: some of those whom the viewer is connected with too, but for those they blocked.

    `invitation` is the member's own that waits for the viewer, and `note` stands in it. `receipts`:
    both have receipts on.
    """

    time_zone: str
    receipts: bool
    connections: int
    shared: Sequence[Card]
    invitation: InvitationId | None
    note: str
    answers: Answers


async def beside(
    tx: Tx, viewer: MemberId, member: MemberId, *, since: datetime, until: datetime, now: datetime
) -> Beside:
    """Of a member who is there; the answers are to InMails begun from `since` to `until`."""
    of = {
        "viewer": viewer,
        "member": member,
        "now": now,
        "since": since,
        "until": until,
        "shared_max": SHARED_MAX,
        "conversations_max": _CONVERSATIONS_MAX,
    }
    facts, shared, answers = await pipelined(tx, ((_FACTS, of), (_SHARED, of), (_ANSWERS, of)))
    time_zone, receipts, connections, invitation, note = await facts.fetchone()
    return Beside(
        time_zone=time_zone,
        receipts=receipts,
        connections=connections,
        shared=[Card(*row) for row in await shared.fetchall()],
        invitation=invitation,
        note=note or "",
        answers=Answers(*(await answers.fetchone())),
    )


_FACTS = """
    select m.time_zone, m.receipts_and_typing and v.receipts_and_typing,
        (select count(*) from connections k where k.owner_id = m.id), i.id, i.note
    from members m
    join members v on v.id = %(viewer)s
    left join invitations i on i.owner_id = v.id and i.other_id = m.id and not i.outgoing
        and i.state = 'pending'
    where m.id = %(member)s
"""
_SHARED = f"""
    select {CARD_COLUMNS}
    from (
        select mine.member_id
        from connections mine
        join connections theirs on theirs.owner_id = %(member)s
            and theirs.member_id = mine.member_id
        where mine.owner_id = %(viewer)s and %(viewer)s <> %(member)s::uuid
            and not exists (
                select from blocks b
                where b.owner_id = %(viewer)s and b.blocked_id = mine.member_id
            )
        order by mine.since desc, mine.member_id desc
        limit %(shared_max)s
    ) k
    join members m on m.id = k.member_id
"""
# What was withdrawn left no time to answer.
_ANSWERS = """
    select count(*), count(*) filter (where c.responded_at is not null)
    from (
        select i.home_id, i.conversation_id, i.kind, i.begun, i.state
        from inbox i
        where i.owner_id = %(member)s
        order by i.conversation_id desc
        limit %(conversations_max)s
    ) i
    join conversations c on c.owner_id = i.home_id and c.id = i.conversation_id
    where i.kind = 'inmail' and not i.begun and i.state in ('pending', 'accepted', 'declined')
        and c.started_at > %(since)s and c.started_at <= %(until)s
"""
