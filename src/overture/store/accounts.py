"""Accounts in SQL: who is signed in, and with which address and password members sign in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from overture.core.accounts import (
    CONSOLE_IDLE,
    CONSOLE_MAX,
    DEVICE_MAX,
    PROVEN_FOR,
    SESSION_IDLE,
)
from overture.core.ids import MemberId
from overture.store import mails
from overture.store.db import Tx, all_rows, as_json, one_row


class Viewer(msgspec.Struct, frozen=True):
    """The member behind a browser that is signed in.

    `session` is the session's id, not its secret; `photo` the version of the member's photo. A
    `language` or `theme` of None is as the browser asks. `proven`: they have only just shown who they
    are, and need not be asked again. `suspended`: they may do next to nothing.
    `frame`: the origin of the host's pages in whose frames alone the session counts.

    `operator`: the console is for them. This browser is in it where `in_console`, and has only just
    shown a second factor where `factor_proven`.
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
    shortcuts: bool = True
    proven: bool = False
    suspended: bool = False
    frame: str | None = None
    operator: bool = False
    in_console: bool = False
    factor_proven: bool = False


@dataclass(frozen=True, slots=True)
class Account:
    """A member who can sign in. `password` is as `actions.passwords` made it, None for one who only
    comes through the identity provider; it alone does not sign in since `two_steps_at`."""

    member: MemberId
    name: str
    handle: str
    email: str
    verified_at: datetime | None
    password: str | None
    password_at: datetime
    two_steps_at: datetime | None


@dataclass(frozen=True, slots=True)
class Unopened:
    """A member who has set no password yet; not `claimed`: imported. `email` is empty without one."""

    member: MemberId
    name: str
    email: str
    claimed: bool


async def sessions_of(tx: Tx, presented: Sequence[str]) -> list[Viewer | None]:
    """Who is signed in, for each of these SHA-256 of cookies in hexadecimal; None where nobody is."""
    asked = [{"place": place, "hash": each} for place, each in enumerate(presented)]
    found: list[Viewer | None] = [None] * len(presented)
    params = {
        "asked": as_json(asked),
        "idle": SESSION_IDLE,
        "proven": PROVEN_FOR,
        "console_idle": CONSOLE_IDLE,
        "console_max": CONSOLE_MAX,
    }
    for place, *columns in await all_rows(tx, _VIEWERS, params):
        found[place] = Viewer(*columns)
    return found


async def by_address(tx: Tx, address: str) -> Account | None:
    """Whose this address is, folded as it must be, to sign in with."""
    row = await one_row(tx, _BY_ADDRESS, (address,))
    return None if row is None else Account(*row)


async def of(tx: Tx, member: MemberId, *, lock: bool = False) -> Account | None:
    """The member's account. `lock` keeps it from being changed or closed meanwhile."""
    row = await one_row(tx, _LOCKED if lock else _OF, (member,))
    return None if row is None else Account(*row)


async def unopened(tx: Tx, address: str) -> Unopened | None:
    """Who has this address, folded as it must be, and no password: rather a claimed member."""
    row = await one_row(tx, _UNOPENED, (address,))
    return None if row is None else Unopened(*row)


async def unopened_member(tx: Tx, member: MemberId) -> Unopened | None:
    """The member where they have no password yet, locked against being changed or closed."""
    row = await one_row(tx, _UNOPENED_MEMBER, (member,))
    return None if row is None else Unopened(*row)


async def take_address(tx: Tx, address: str, member: MemberId) -> bool:
    """Makes an address this member's to sign in with: whether it could be had, or was theirs."""
    return await one_row(tx, _TAKE_ADDRESS, (address, member, address, member)) is not None


async def drop_address(tx: Tx, address: str, member: MemberId) -> None:
    await tx.execute("delete from emails where address = %s and member_id = %s", (address, member))


async def add(
    tx: Tx, member: MemberId, *, email: str, password: str | None, verified: bool
) -> None:
    """Gives a member whose address was taken an account; an imported one is their own from now on."""
    await tx.execute(_ADD, (member, email, password, verified))
    await tx.execute("update members set email = %s, claimed = true where id = %s", (email, member))


async def set_password(tx: Tx, member: MemberId, password: str) -> None:
    await tx.execute(_RENEW, (password, member))


async def rehash(tx: Tx, member: MemberId, *, before: str, after: str) -> None:
    """Stores the same password made anew, where it is still the same."""
    await tx.execute(_REHASH, (after, member, before))


async def verify(tx: Tx, member: MemberId) -> None:
    await tx.execute(_VERIFY, (member,))


async def change_email(tx: Tx, member: MemberId, email: str) -> None:
    """Moves an account to an address that was taken for it, and is shown to be the member's."""
    await tx.execute(_CHANGE_EMAIL, (email, member))
    await tx.execute("update members set email = %s where id = %s", (email, member))


async def is_known_device(tx: Tx, device: str, address: str) -> bool:
    """Whether the browser of this SHA-256, in hexadecimal, signed in with this address before."""
    params = {"device": device, "address": address, "oldest": DEVICE_MAX}
    return await one_row(tx, _KNOWN_DEVICE, params) is not None


async def is_device_of(tx: Tx, device: str, member: MemberId) -> bool:
    """The same, where it is known whose address it is."""
    return await one_row(tx, _DEVICE_OF, (device, member, DEVICE_MAX)) is not None


async def know_device(tx: Tx, device: str, member: MemberId) -> None:
    await tx.execute(_KNOW_DEVICE, (device, member))


async def forget_devices(tx: Tx, member: MemberId) -> None:
    await tx.execute("delete from devices where member_id = %s", (member,))


async def prune(tx: Tx) -> None:
    """Deletes what is over: sessions, links, counted tries, browsers not seen for long."""
    await tx.execute(
        "delete from sessions where expires_at <= now() or seen_at <= now() - %s", (SESSION_IDLE,)
    )
    await tx.execute("delete from account_links where expires_at <= now()")
    await tx.execute("delete from ceremonies where expires_at <= now()")
    await tx.execute("delete from attempts where ends_at <= now()")
    await tx.execute("delete from handovers where over_at <= now()")
    await tx.execute("delete from devices where seen_at <= now() - %s", (DEVICE_MAX,))
    # Nobody waits for such a mail any more, nor need an operator see that it did not go.
    await tx.execute("delete from mails where wanted_at <= now() - interval '3 days'")
    await tx.execute(_PRUNE_PARKED, (mails.QUEUE,))


# Sessions live by the real clock, Premium by the installation's. That a session was used is noted
# every few minutes; whoever meets another at it leaves it to them. `offset 0` keeps the order of the
# look-ups: a plan made while the tables were small would go through all sessions.
_VIEWERS = """
    with asked as materialized (
        select p.place, s.hash, s.id, s.member_id, s.seen_at, s.proved_at, s.frame, s.factor_at,
            s.console_at, s.console_seen_at
        from json_to_recordset(%(asked)s) as p (place integer, hash text)
        cross join lateral (
            select s.hash, s.id, s.member_id, s.seen_at, s.proved_at, s.frame, s.factor_at,
                s.console_at, s.console_seen_at
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
    select a.place, m.id, m.handle, m.name, m.headline, m.photo, m.premium, m.language, m.time_zone,
        a.id, m.theme, m.shortcuts, a.proved_at > now() - %(proven)s, m.suspended, a.frame,
        exists (
            select from accounts c where c.member_id = a.member_id and c.operator_at is not null
        ),
        coalesce(
            a.console_at > now() - %(console_max)s
                and a.console_seen_at > now() - %(console_idle)s,
            false
        ),
        coalesce(a.factor_at > now() - %(proven)s, false)
    from asked a
    cross join lateral (
        select m.id, m.handle, m.name, m.headline, m.photo, m.language, m.time_zone, m.theme,
            m.shortcuts, m.suspended_at is not null as suspended,
            coalesce(
                m.premium_until > coalesce((select t.now from test_clock t), now()), false
            ) as premium
        from members m
        where m.id = a.member_id and m.closed_at is null
        offset 0
    ) m
"""
_ACCOUNT = """
    select a.member_id, m.name, m.handle, a.email, a.verified_at, a.password, a.password_at,
        a.two_steps_at
    from accounts a
    join members m on m.id = a.member_id and m.closed_at is null
"""
_BY_ADDRESS = f"""
    {_ACCOUNT}
    where a.member_id = (select e.member_id from emails e where e.address = %s)
"""
_OF = f"{_ACCOUNT} where a.member_id = %s"
_LOCKED = f"{_OF} for update of m, a"
_UNOPENED = """
    select m.id, m.name, m.email, m.claimed
    from members m
    where lower(m.email) = %s and m.closed_at is null
        and not exists (select from accounts a where a.member_id = m.id)
    order by m.claimed desc, m.id
    limit 1
"""
_UNOPENED_MEMBER = """
    select m.id, m.name, coalesce(m.email, ''), m.claimed
    from members m
    where m.id = %s and m.closed_at is null
        and not exists (select from accounts a where a.member_id = m.id)
    for update of m
"""
_TAKE_ADDRESS = """
    with taken as (
        insert into emails (address, member_id) values (%s, %s)
        on conflict (address) do nothing
        returning address
    )
    select address from taken
    union all
    select e.address from emails e where e.address = %s and e.member_id = %s
"""
_ADD = """
    insert into accounts (member_id, email, password, verified_at)
    values (%s, %s, %s, case when %s then now() end)
"""
_RENEW = """
    update accounts
    set password = %s, password_at = now()
    where member_id = %s
"""
_REHASH = "update accounts set password = %s where member_id = %s and password = %s"
_VERIFY = """
    update accounts
    set verified_at = coalesce(verified_at, now())
    where member_id = %s
"""
_PRUNE_PARKED = "delete from jobs where queue = %s and parked_at <= now() - interval '3 days'"
_CHANGE_EMAIL = "update accounts set email = %s, verified_at = now() where member_id = %s"
_KNOWN_DEVICE = """
    select d.hash
    from emails e
    join devices d on d.hash = decode(%(device)s, 'hex') and d.member_id = e.member_id
    where e.address = %(address)s and d.seen_at > now() - %(oldest)s
"""
_DEVICE_OF = """
    select d.hash
    from devices d
    where d.hash = decode(%s, 'hex') and d.member_id = %s and d.seen_at > now() - %s
"""
_KNOW_DEVICE = """
    insert into devices (hash, member_id) values (decode(%s, 'hex'), %s)
    on conflict (hash, member_id) do update set seen_at = now()
"""
