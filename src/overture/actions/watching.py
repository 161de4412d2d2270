"""Watching accounts, so that what comes by itself comes on time: grants, and warnings before an expiry.

A balance needs no watch: it is settled whenever somebody looks. Its member is to be told, though.
Each account with a subscription has one job, due when there is next something to tell.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from overture.core import credits, notices
from overture.core.credits import Account, Change
from overture.core.ids import MemberId
from overture.core.jobs import DONE, Job, Moved, NewJob, Outcome
from overture.core.policy import PolicyBook
from overture.core.sending import Event, credits_changed
from overture.store import credits as store
from overture.store import outbox
from overture.store.db import Tx
from overture.store.outbox import Row

QUEUE = "credits"


def plan(events: Sequence[Row]) -> list[NewJob]:
    """A watch on each account to which credits came or whose plan changed, which looks right away."""
    found: dict[tuple[MemberId, str], NewJob] = {}
    for row in events:
        if row.kind not in ("credits.changed", "subscription.changed"):
            continue
        told = _decode(row.payload)
        if told.opened or row.kind == "subscription.changed":
            job = NewJob(QUEUE, row.owner, told.pool, row.at, {"since": row.at})
            _ = found.setdefault((row.owner, told.pool), job)
    return list(found.values())


async def look(tx: Tx, jobs: Sequence[Job], now: datetime, book: PolicyBook) -> Sequence[Outcome]:
    """Settles these accounts, tells what came and what is about to go, and when to look again."""
    keys = [(job.owner, job.key) for job in jobs]
    held = await store.of_keys(tx, keys)
    since = {(job.owner, job.key): _decode_watch(job.payload).since for job in jobs}
    written = await store.entries_since(tx, since)
    changes: list[store.Changed] = []
    events: list[Event] = []
    outcomes: list[Outcome] = []
    for key in keys:
        read = held.get(key)
        if read is None:
            outcomes.append(DONE)
            continue
        change = credits.settle(read.account, now, book)
        if change.entries:
            changes.append(store.Changed(change.account, read.version, change.entries))
            events.append(credits_changed(Change(change.account, change.entries), now))
        entries = (*written.get(key, ()), *change.entries)
        events += _told(change.account, entries, since[key], now)
        again = notices.look_again_at(change.account, now, book)
        outcomes.append(DONE if again is None else Moved(again, _since(now)))
    if changes:
        await store.record(tx, changes, ())
    await outbox.tell(tx, events)
    return outcomes


def _told(
    account: Account, entries: Sequence[credits.Entry], since: datetime, now: datetime
) -> list[Event]:
    found = [
        Event(
            account.owner,
            "credits.granted",
            now,
            {
                "pool": account.pool,
                "plan": entry.plan,
                "credits": entry.credits,
                "forfeited": entry.forfeited,
                "balance": entry.balance,
                "granted_at": entry.at,
            },
        )
        for entry in notices.grants(entries, since, now)
    ]
    found += [
        Event(
            account.owner,
            "credits.expiring",
            now,
            {
                "pool": account.pool,
                "credits": each.credits,
                "expires_at": each.expires_at,
                "last": each.last,
            },
        )
        for each in notices.expiring(account, since, now)
    ]
    return found


class _Changed(msgspec.Struct):
    pool: str
    opened: bool = False


class _Watch(msgspec.Struct):
    since: datetime


_decode = msgspec.json.Decoder(_Changed).decode
_decode_watch = msgspec.json.Decoder(_Watch).decode


def _since(now: datetime) -> Mapping[str, object]:
    return {"since": now}
