"""Accounts in SQL: who is signed in, and with which address and password members sign in."""

from collections.abc import Sequence
from datetime import timedelta

import msgspec

from overture.core.ids import MemberId
from overture.store.db import Tx, all_rows, as_json

# A session ends when it is not used for so long.
SESSION_IDLE = timedelta(days=30)


class Viewer(msgspec.Struct, frozen=True):
    """The member behind a browser that is signed in.

    `session` is the session's id, not its secret; `photo` the version of the member's photo. A
    `language` or `theme` of None is as the browser asks.
    """

    id: MemberId
    handle: str
    name: str
    headline: str
    photo: str | None
    premium: bool
    language: str | None
    time_zone: str
    session: str
    theme: str | None = None


async def sessions_of(tx: Tx, presented: Sequence[str]) -> list[Viewer | None]:
    """Who is signed in, for each of these SHA-256 of cookies in hexadecimal; None where nobody is."""
    asked = [{"place": place, "hash": each} for place, each in enumerate(presented)]
    found: list[Viewer | None] = [None] * len(presented)
    params = {"asked": as_json(asked), "idle": SESSION_IDLE}
    for place, *columns in await all_rows(tx, _VIEWERS, params):
        found[place] = Viewer(*columns)
    return found


# Sessions live by the real clock, Premium by the installation's. That a session was used is noted
# every few minutes; whoever meets another at it leaves it to them. `offset 0` keeps the order of the
# look-ups: a plan made while the tables were small would go through all sessions.
_VIEWERS = """
    with asked as materialized (
        select p.place, s.hash, s.id, s.member_id, s.seen_at
        from json_to_recordset(%(asked)s) as p (place integer, hash text)
        cross join lateral (
            select s.hash, s.id, s.member_id, s.seen_at
            from sessions s
            where s.hash = decode(p.hash, 'hex') and s.expires_at > now()
                and s.seen_at > now() - %(idle)s
            offset 0
        ) s
    ),
    seen as (
        update sessions s
        set seen_at = now()
        where s.hash = any (array(
            select o.hash
            from sessions o
            where o.hash = any (array(
                    select a.hash from asked a where a.seen_at < now() - interval '5 minutes'
                ))
            for update skip locked
        ))
    )
    select a.place, m.id, m.handle, m.name, m.headline, null, m.premium, m.language, m.time_zone,
        a.id, m.theme
    from asked a
    cross join lateral (
        select m.id, m.handle, m.name, m.headline, m.language, m.time_zone, m.theme,
            coalesce(
                m.premium_until > coalesce((select t.now from test_clock t), now()), false
            ) as premium
        from members m
        where m.id = a.member_id and m.closed_at is null
        offset 0
    ) m
"""
