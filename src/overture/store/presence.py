"""Who is here, in SQL. Times are of the real clock, and of one clock alone: the database's."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from overture.core.ids import MemberId
from overture.core.receipts import presence_is_shown
from overture.store.db import Tx, all_rows

# Who was not noted for so long has gone: twice what lies between two notes, and some more.
HERE = timedelta(seconds=75)


async def note(tx: Tx, members: Sequence[MemberId]) -> None:
    """These members are here now. In the order of their ids, so that two who note do not wait for
    each other in a ring."""
    await tx.execute(_NOTE, {"members": sorted(members), "here": HERE})


async def changes(tx: Tx, since: datetime | None) -> tuple[datetime, Mapping[MemberId, bool]]:
    """The instant now, and who came (True) or went since then; nobody where that is None."""
    rows = await all_rows(tx, _CHANGES, {"since": since, "here": HERE})
    return rows[0][0], {member: here for _, member, here in rows if member is not None}


async def watched(
    tx: Tx, watchers: Sequence[MemberId], others: Sequence[MemberId]
) -> list[tuple[MemberId, MemberId, bool]]:
    """Of the watchers and the others those who are related, as (watcher, other), and whether the one
    may know the other to be here."""
    rows = await all_rows(tx, _RELATED, {"watchers": list(watchers), "others": list(others)})
    return [
        (
            watcher,
            other,
            presence_is_shown(
                both_on=both_on, connected=connected, accepted=accepted, blocked=blocked
            ),
        )
        for watcher, other, both_on, connected, accepted, blocked in rows
    ]


async def here(tx: Tx, viewer: MemberId, others: Sequence[MemberId]) -> frozenset[MemberId]:
    """Of these members, those whom the viewer may see to be here now."""
    if not others:
        return frozenset()
    rows = await all_rows(tx, _HERE, {"others": list(others), "here": HERE})
    if not rows:
        return frozenset()
    found = await watched(tx, [viewer], [row[0] for row in rows])
    return frozenset(other for _, other, shown in found if shown)


_NOTE = """
    insert into presence (member_id, came_at, seen_at)
    select m, now(), now()
    from unnest(%(members)s::uuid[]) m
    order by m
    on conflict (member_id) do update
    set seen_at = now(),
        came_at = case
            when presence.seen_at < now() - %(here)s then now()
            else presence.came_at
        end
"""
# A row of its own for the instant, so that there is one also where nobody came or went.
_CHANGES = """
    select now(), null, null
    union all
    select now(), p.member_id::text, p.seen_at >= now() - %(here)s
    from presence p
    where p.came_at > %(since)s::timestamptz
        or p.seen_at between %(since)s::timestamptz - %(here)s and now() - %(here)s
"""
_HERE = """
    select p.member_id::text
    from presence p
    where p.member_id = any (%(others)s::uuid[]) and p.seen_at > now() - %(here)s
"""
_RELATED = """
    select w.id::text, o.id::text, w.receipts_and_typing and o.receipts_and_typing,
        exists (select from connections k where k.owner_id = o.id and k.member_id = w.id),
        exists (
            select from inbox i
            where i.owner_id = o.id and i.counterpart_id = w.id and i.state = 'accepted'
        ),
        exists (select from blocks b where b.owner_id = o.id and b.blocked_id = w.id)
            or exists (select from blocks b where b.owner_id = w.id and b.blocked_id = o.id)
    from (
        select k.owner_id, k.member_id
        from connections k
        where k.owner_id = any (%(others)s::uuid[]) and k.member_id = any (%(watchers)s::uuid[])
        union
        select i.owner_id, i.counterpart_id
        from inbox i
        where i.owner_id = any (%(others)s::uuid[]) and i.counterpart_id = any (%(watchers)s::uuid[])
            and i.state = 'accepted'
    ) related (other, watcher)
    join members w on w.id = related.watcher
    join members o on o.id = related.other
    where w.closed_at is null and o.closed_at is null
"""
