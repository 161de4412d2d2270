"""Watching accounts, so that what comes by itself comes on time: grants, and warnings before an expiry.

A balance needs no watch: it is settled whenever somebody looks. Its member is to be told, though.
Each account with a subscription has one job, due when there is next something to tell.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from overture.actions.subscriptions import Status, subscription_changed
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
    watches = {(job.owner, job.key): _decode_watch(job.payload) for job in jobs}
    since = {key: watch.since for key, watch in watches.items()}
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
        waited = watches[key].waits or _waits(read.account)
        events += _changed_by_itself(waited, change.account, now)
        again = notices.look_again_at(change.account, now, book)
        watch = _Watch(now, _waits(change.account))
        outcomes.append(DONE if again is None else Moved(again, msgspec.to_builtins(watch)))
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


def _changed_by_itself(waited: "_Waits | None", account: Account, now: datetime) -> list[Event]:
    """Tells that a subscription ended or changed at the end of its period, as had been asked for."""
    if waited is None or waited.until > now:
        return []
    held = account.subscription
    if held is None:
        return [subscription_changed(account, waited.plan, Status.ENDED, now, began=False)]
    if held.since == waited.until:
        return [subscription_changed(account, held.plan, Status.ACTIVE, now, began=True)]
    # It was asked for otherwise meanwhile, and told then.
    return []


def _waits(account: Account) -> "_Waits | None":
    held = account.subscription
    until = None if held is None else held.ends_at or held.changes_at
    return None if held is None or until is None else _Waits(held.plan, until)


class _Changed(msgspec.Struct):
    pool: str
    opened: bool = False


class _Waits(msgspec.Struct):
    """The plan that ends or changes then."""

    plan: str
    until: datetime


class _Watch(msgspec.Struct):
    """When the account was looked at last, and what waited then."""

    since: datetime
    waits: _Waits | None = None


_decode = msgspec.json.Decoder(_Changed).decode
_decode_watch = msgspec.json.Decoder(_Watch).decode
