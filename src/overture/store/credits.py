"""Credits in SQL: accounts, their ledger, and what was wished of subscriptions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from overture.core.conversations import Conversation
from overture.core.credits import Account, Entry, Kind
from overture.core.ids import ConversationId, MemberId
from overture.core.replay import Wish, WishKind
from overture.core.sending import Event
from overture.store.conversations import (
    CONVERSATION_COLUMNS,
    INSERT_ENTRIES,
    INSERT_EVENTS,
    account_row,
    conversation,
    decode_account,
    entered,
    entry_rows,
    event_rows,
)
from overture.store.db import Conflict, Tx, all_rows, as_json, note, one_row, pipelined


@dataclass(frozen=True, slots=True)
class Read:
    """An account as it is stored; `version` is 0 where it is not stored yet."""

    account: Account
    version: int


@dataclass(frozen=True, slots=True)
class Changed:
    """An account to store, the entries to add, and the wish that was carried out, if it was one."""

    account: Account
    version: int
    entries: Sequence[Entry]
    wish: Wish | None = None


@dataclass(frozen=True, slots=True)
class PremiumUntil:
    """What a change of subscriptions makes of a member's Premium."""

    member: MemberId
    until: datetime | None


async def lock_member(tx: Tx, member: MemberId) -> bool:
    """Keeps sends to and from this member waiting; False where there is no open account."""
    row = await one_row(tx, _LOCK_MEMBER, (member,))
    return row is not None and bool(row[0])


async def accounts(tx: Tx, member: MemberId) -> dict[str, Read]:
    """The member's accounts by pool, as they are stored."""
    found = await all_rows(tx, _ACCOUNTS, (member,))
    return {pool: Read(decode_account(state), version) for pool, version, state in found}


async def of_keys(tx: Tx, keys: Sequence[tuple[MemberId, str]]) -> dict[tuple[MemberId, str], Read]:
    """The accounts of these owners and pools, as they are stored."""
    params = (as_json([{"owner_id": owner, "pool": pool} for owner, pool in keys]),)
    found = await all_rows(tx, _OF_KEYS, params)
    return {
        (owner, pool): Read(decode_account(state), version) for owner, pool, version, state in found
    }


async def entries_since(
    tx: Tx, since: Mapping[tuple[MemberId, str], datetime]
) -> dict[tuple[MemberId, str], list[Entry]]:
    """Of each account, what its ledger has after an instant; of very much, the latest."""
    asked = [{"owner_id": owner, "pool": pool, "at": at} for (owner, pool), at in since.items()]
    found: dict[tuple[MemberId, str], list[Entry]] = {}
    for owner, pool, *columns in await all_rows(tx, _ENTRIES_SINCE, (as_json(asked),)):
        found.setdefault((owner, pool), []).append(entry(columns))
    return found


async def record(
    tx: Tx,
    changes: Sequence[Changed],
    events: Sequence[Event],
    premium: PremiumUntil | None = None,
) -> None:
    """Writes changes of accounts, in one round trip. Raises Conflict where one had moved on."""
    ordered = sorted(changes, key=lambda each: (each.account.owner, each.account.pool))
    rows = [account_row(each.account, each.version) for each in ordered]
    statements: list[tuple[Any, Any]] = [(_UPSERT_ACCOUNTS, (as_json(rows),))]
    entries = [(e.account.owner, e.account.pool, entry) for e in ordered for entry in e.entries]
    if entries:
        note(tx, entered(entries))
        statements.append((INSERT_ENTRIES, (as_json(entry_rows(entries)),)))
    if wishes := [_wish_row(each.account, each.wish) for each in ordered if each.wish is not None]:
        statements.append((_INSERT_WISHES, (as_json(wishes),)))
    if premium is not None:
        statements.append((_SET_PREMIUM, {"member": premium.member, "until": premium.until}))
    if events:
        statements.append((INSERT_EVENTS, (as_json(event_rows(events)),)))
    written, *added = await pipelined(tx, statements)
    if written.rowcount != len(rows) or (entries and added[0].rowcount != len(entries)):
        raise Conflict


async def entries_after(
    tx: Tx, member: MemberId, positions: Mapping[str, int], limit: int
) -> dict[str, list[Entry]]:
    """The stored entries of each pool that follow the numbers given, at most `limit` of each."""
    asked = [{"pool": pool, "number": number} for pool, number in positions.items()]
    params = {"member": member, "asked": as_json(asked), "limit": limit}
    found: dict[str, list[Entry]] = {pool: [] for pool in positions}
    for pool, *columns in await all_rows(tx, _ENTRIES_AFTER, params):
        found[pool].append(entry(columns))
    return found


def entry(row: Sequence[Any]) -> Entry:
    """An entry from ENTRY_COLUMNS."""
    return Entry(
        number=row[0],
        at=row[1],
        kind=Kind(row[2]),
        credits=row[3],
        forfeited=row[4],
        reason=row[5],
        plan=row[6],
        lot=row[7],
        expires_at=row[8],
        inmail_id=row[9],
        balance=row[10],
        link=row[11],
    )


# For the verification --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Books:
    """All that is stored of one account; `balance` and `next_due_at` have columns of their own."""

    account: Account
    balance: int
    next_due_at: datetime | None
    entries: list[Entry]
    wishes: list[Wish]
    stored: bool = True


async def count_accounts(tx: Tx) -> int:
    row = await one_row(tx, "select count(*) from credit_accounts")
    return 0 if row is None else int(row[0])


async def has_more_accounts(tx: Tx, than: int) -> bool:
    """Without counting them all."""
    return (
        await one_row(tx, "select owner_id from credit_accounts offset %s limit 1", (than,))
        is not None
    )


async def owners_after(tx: Tx, last: MemberId | None, limit: int) -> list[MemberId]:
    """Those who hold accounts or whom entries, wishes or charges name, in order of their ids."""
    found = await all_rows(tx, _OWNERS_AFTER, {"last": last or _LEAST_ID, "limit": limit})
    return [row[0] for row in found]


async def books_of(tx: Tx, owners: Sequence[MemberId]) -> list[Books]:
    """The accounts of these members with all of their record, in key order."""
    accounts, entries, wishes = await pipelined(
        tx, ((statement, (owners,)) for statement in (_ACCOUNTS_OF, _ENTRIES_OF, _WISHES_OF))
    )
    found = {
        (owner, pool): Books(decode_account(state), balance, next_due_at, [], [])
        for owner, pool, balance, next_due_at, state in await accounts.fetchall()
    }
    for owner, pool, *columns in await entries.fetchall():
        _books(found, owner, pool).entries.append(entry(columns))
    for owner, pool, at, wish, after_entry, plan in await wishes.fetchall():
        wished = Wish(at, WishKind(wish), after_entry, plan)
        _books(found, owner, pool).wishes.append(wished)
    return [found[key] for key in sorted(found)]


async def premium_of(tx: Tx, owners: Sequence[MemberId]) -> dict[MemberId, datetime | None]:
    """Until when these members are shown as Premium."""
    found = await all_rows(tx, _PREMIUM_OF, (owners,))
    return {row[0]: row[1] for row in found}


async def premium_without_account(tx: Tx, now: datetime, limit: int) -> list[MemberId]:
    """Members who are shown as Premium and never had a subscription."""
    found = await all_rows(tx, _PREMIUM_WITHOUT_ACCOUNT, {"now": now, "limit": limit})
    return [row[0] for row in found]


async def inmails_of(tx: Tx, owners: Sequence[MemberId]) -> list[Conversation]:
    """The InMails that these members began, in key order."""
    return [conversation(row) for row in await all_rows(tx, _INMAILS_OF, (owners,))]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A conversation whose messages, or whose row in a member's list, do not follow it."""

    owner: MemberId
    conversation: ConversationId
    sentence: str


async def mismatches_of(tx: Tx, owners: Sequence[MemberId], limit: int) -> list[Mismatch]:
    """Of the conversations that these members began, those that do not fit what belongs to them."""
    found = await all_rows(tx, _MISMATCHES_OF, {"owners": owners, "limit": limit})
    return [Mismatch(*row) for row in found]


def _books(found: dict[tuple[MemberId, str], Books], owner: MemberId, pool: str) -> Books:
    """The account's books; of an account that is missing, books that say so."""
    missing = Books(Account(owner, pool, _EPOCH), 0, None, [], [], stored=False)
    return found.setdefault((owner, pool), missing)


def _wish_row(account: Account, wish: Wish) -> dict[str, object]:
    return {
        "owner_id": account.owner,
        "pool": account.pool,
        "at": wish.at,
        "wish": wish.kind,
        "plan": wish.plan,
        "after_entry": wish.after_entry,
    }


_LEAST_ID = MemberId("00000000-0000-0000-0000-000000000000")
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00Z")

ENTRY_COLUMNS = """
    e.number, e.at, e.kind, e.credits, e.forfeited, e.reason, e.plan, e.lot, e.expires_at,
    e.inmail_id, e.balance, e.link
"""
_LOCK_MEMBER = "select closed_at is null from members where id = %s for update"
_ACCOUNTS = "select pool, version, state from credit_accounts where owner_id = %s"
_OF_KEYS = """
    select a.owner_id, a.pool, a.version, a.state
    from json_to_recordset(%s) as r (owner_id uuid, pool text)
    join credit_accounts a on a.owner_id = r.owner_id and a.pool = r.pool
"""
_ENTRIES_SINCE = f"""
    select r.owner_id, r.pool, {ENTRY_COLUMNS}
    from json_to_recordset(%s) as r (owner_id uuid, pool text, at timestamptz)
    cross join lateral (
        select *
        from ledger_entries l
        where l.owner_id = r.owner_id and l.pool = r.pool
        order by l.number desc
        limit 200
    ) e
    where e.at > r.at
    order by r.owner_id, r.pool, e.number
"""
# One that was read as missing (version 0) must be missing still.
_UPSERT_ACCOUNTS = """
    insert into credit_accounts as a (owner_id, pool, version, balance, next_due_at, state)
    select r.owner_id, r.pool, r.version + 1, r.balance, r.next_due_at, r.state
    from json_to_recordset(%s) as r (owner_id uuid, pool text, version bigint, balance integer,
        next_due_at timestamptz, state json)
    on conflict (owner_id, pool) do update
    set version = excluded.version, balance = excluded.balance,
        next_due_at = excluded.next_due_at, state = excluded.state
    where a.version = excluded.version - 1
"""
_INSERT_WISHES = """
    insert into subscription_wishes (owner_id, pool, number, at, wish, plan, after_entry)
    select r.owner_id, r.pool,
        1 + (select count(*) from subscription_wishes w
            where w.owner_id = r.owner_id and w.pool = r.pool),
        r.at, r.wish, r.plan, r.after_entry
    from json_to_recordset(%s) as r (owner_id uuid, pool text, at timestamptz, wish text,
        plan text, after_entry integer)
"""
_SET_PREMIUM = """
    update members set premium_until = %(until)s
    where id = %(member)s and premium_until is distinct from %(until)s
"""
_ENTRIES_AFTER = f"""
    select p.pool, {ENTRY_COLUMNS}
    from json_to_recordset(%(asked)s) as p (pool text, number integer)
    cross join lateral (
        select * from ledger_entries l
        where l.owner_id = %(member)s and l.pool = p.pool and l.number > p.number
        order by l.number
        limit %(limit)s
    ) e
    order by p.pool, e.number
"""
_OWNERS_AFTER = """
    select owner_id from (
        (select owner_id from credit_accounts where owner_id > %(last)s
            group by owner_id order by owner_id limit %(limit)s)
        union
        (select owner_id from ledger_entries where owner_id > %(last)s
            group by owner_id order by owner_id limit %(limit)s)
        union
        (select owner_id from subscription_wishes where owner_id > %(last)s
            group by owner_id order by owner_id limit %(limit)s)
        union
        (select owner_id from conversations where owner_id > %(last)s
            group by owner_id order by owner_id limit %(limit)s)
    ) known
    order by owner_id
    limit %(limit)s
"""
_ACCOUNTS_OF = """
    select owner_id, pool, balance, next_due_at, state
    from credit_accounts
    where owner_id = any(%s::uuid[])
"""
_ENTRIES_OF = f"""
    select e.owner_id, e.pool, {ENTRY_COLUMNS}
    from ledger_entries e
    where e.owner_id = any(%s::uuid[])
    order by e.owner_id, e.pool, e.number
"""
_WISHES_OF = """
    select owner_id, pool, at, wish, after_entry, plan
    from subscription_wishes
    where owner_id = any(%s::uuid[])
    order by owner_id, pool, number
"""
_PREMIUM_OF = "select id, premium_until from members where id = any(%s::uuid[])"
_PREMIUM_WITHOUT_ACCOUNT = """
    select m.id
    from members m
    where m.premium_until > %(now)s
        and not exists (select from credit_accounts a where a.owner_id = m.id)
    order by m.id
    limit %(limit)s
"""
_INMAILS_OF = f"""
    select {CONVERSATION_COLUMNS}
    from conversations c
    where c.owner_id = any(%s::uuid[]) and c.kind = 'inmail'
    order by c.owner_id, c.id
"""
# An archive's conversations are as the archive had them. A closed account has no rows left, and what
# nobody may read any more has no messages.
_MISMATCHES_OF = """
    select owner_id, id, sentence
    from (
        select c.owner_id, c.id, case
            when (c.messages <> m.count or m.count <> m.last) and not (
                    sender.closed_at is not null
                    and (c.state = 'withdrawn' or recipient.closed_at is not null))
                then format('It counts %%s messages; there are %%s, the last is number %%s.',
                    c.messages, m.count, m.last)
            when own.state <> c.state or own.last_activity_at <> c.last_activity_at
                then 'The sender''s list does not show it as it is.'
            when other.state <> c.state or other.last_activity_at <> c.last_activity_at
                then 'The recipient''s list does not show it as it is.'
            when own.state is null and sender.closed_at is null
                then 'It is missing in the sender''s list.'
            when other.state is null and recipient.closed_at is null
                then 'It is missing in the recipient''s list.'
            when own.unread > c.messages or other.unread > c.messages
                then 'More messages count as unread than there are.'
            when (own.box = 'requests') or (other.box = 'requests') <> (c.state = 'pending')
                    and other.box in ('requests', 'inbox')
                then 'It lies in the wrong box.'
            when c.state = 'pending' and exists (
                    select from conversations b
                    where b.owner_id = c.recipient_id and b.recipient_id = c.owner_id
                        and b.state = 'pending')
                then 'The recipient has an InMail pending to the sender, too.'
            end as sentence
        from conversations c
        cross join lateral (
            select count(*) as count, coalesce(max(number), 0) as last
            from messages
            where owner_id = c.owner_id and conversation_id = c.id
        ) m
        left join inbox own on own.owner_id = c.owner_id and own.conversation_id = c.id
        left join inbox other on other.owner_id = c.recipient_id and other.conversation_id = c.id
        left join members sender on sender.id = c.owner_id
        left join members recipient on recipient.id = c.recipient_id
        where c.owner_id = any(%(owners)s::uuid[]) and c.state <> 'imported'
    ) looked_at
    where sentence is not null
    order by owner_id, id
    limit %(limit)s
"""
