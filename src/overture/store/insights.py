"""The letters to strangers that a member sent and got, for what they came to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from overture.core.ids import MemberId
from overture.store.db import Tx, all_rows


@dataclass(frozen=True, slots=True)
class Sent:
    """A letter that a member sent. `body` is None where it was not asked for; `name` is the
    recipient's, to be left out where letters are compared."""

    at: datetime
    answered_at: datetime | None
    credits: int
    chars: int
    body: str | None
    name: str


@dataclass(frozen=True, slots=True)
class Got:
    at: datetime
    answered_at: datetime | None


async def sent(
    tx: Tx, member: MemberId, since: datetime, *, limit: int, bodies: int
) -> Sequence[Sent]:
    """The letters sent from an instant on, the newest first; the first `bodies` with their text."""
    params = {"member": member, "since": since, "limit": limit, "bodies": bodies}
    return [Sent(*row) for row in await all_rows(tx, _SENT, params)]


async def got(tx: Tx, member: MemberId, since: datetime, *, limit: int) -> Sequence[Got]:
    """The letters that came from an instant on, the newest first, whatever became of them."""
    params = {"member": member, "since": since, "limit": limit}
    return [Got(*row) for row in await all_rows(tx, _GOT, params)]


# A letter's last activity is never before its start: the index brings few that are too old. What could
# not be delivered was never there to be answered.
_SENT = """
    select c.started_at, case when c.response in ('accepted', 'declined') then c.responded_at end,
        cardinality(c.refundable_until), char_length(m.body),
        case when row_number() over (order by c.started_at desc, c.id) <= %(bodies)s then m.body end,
        i.counterpart_name
    from inbox i
    join conversations c on c.owner_id = i.owner_id and c.id = i.conversation_id
    join messages m on m.owner_id = c.owner_id and m.conversation_id = c.id and m.number = 1
    where i.owner_id = %(member)s and i.begun and i.last_activity_at >= %(since)s
        and c.kind = 'inmail' and c.started_at >= %(since)s and c.state <> 'undeliverable'
    order by c.started_at desc, c.id
    limit %(limit)s
"""
_GOT = """
    select c.started_at, case when c.response in ('accepted', 'declined') then c.responded_at end
    from inbox i
    join conversations c on c.owner_id = i.home_id and c.id = i.conversation_id
    where i.owner_id = %(member)s and not i.begun and i.kind = 'inmail'
        and i.box = any('{inbox,requests,archived,spam}') and i.last_activity_at >= %(since)s
        and c.started_at >= %(since)s
    order by c.started_at desc, c.id
    limit %(limit)s
"""
