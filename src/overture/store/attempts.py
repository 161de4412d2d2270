"""How often something was tried, in SQL: counted for all processes together, by the real clock."""

from collections.abc import Sequence

from overture.core.accounts import Limit
from overture.store.db import Tx, all_rows, as_json

# A limit, and under which of its keys a try is counted.
Try = tuple[Limit, str]


async def within(tx: Tx, tries: Sequence[Try]) -> bool:
    """Counts one more of each: whether none of them is more than its limit allows."""
    rows = [
        {"key": key, "seconds": int(limit.window.total_seconds())}
        for limit, key in sorted(tries, key=lambda each: each[1])
    ]
    counted = dict(await all_rows(tx, _COUNT, (as_json(rows),)))
    return all(counted[key] <= limit.count for limit, key in tries)


async def counted(tx: Tx, tried: Try) -> int:
    """Counts one more: how many there are now."""
    limit, key = tried
    row = {"key": key, "seconds": int(limit.window.total_seconds())}
    ((_, count),) = await all_rows(tx, _COUNT, (as_json([row]),))
    return count


async def forgive(tx: Tx, tries: Sequence[Try]) -> None:
    """Takes back one of each, for tries that turned out to be right."""
    await tx.execute(_FORGIVE, (as_json(sorted(key for _, key in tries)),))


async def forget(tx: Tx, tries: Sequence[Try]) -> None:
    """Begins to count anew."""
    await tx.execute(_FORGET, (as_json(sorted(key for _, key in tries)),))


# In the order of the keys, so that two who count the same ones wait for each other only once.
_COUNT = """
    insert into attempts (key, count, ends_at)
    select decode(r.key, 'hex'), 1, now() + make_interval(secs => r.seconds)
    from json_to_recordset(%s) as r (key text, seconds integer)
    on conflict (key) do update
    set count = case when attempts.ends_at > now() then attempts.count + 1 else 1 end,
        ends_at = case when attempts.ends_at > now() then attempts.ends_at else excluded.ends_at end
    returning encode(key, 'hex'), count
"""
_FORGIVE = """
    update attempts
    set count = count - 1
    where key = any (array(select decode(value, 'hex') from json_array_elements_text(%s)))
        and count > 0
"""
_FORGET = """
    delete from attempts
    where key = any (array(select decode(value, 'hex') from json_array_elements_text(%s)))
"""
