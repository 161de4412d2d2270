"""Credits beyond sends and plans: the statement that every member can read, and an adjustment."""

from dataclasses import dataclass
from datetime import datetime

from overture.actions.fields import Fields, Invalid
from overture.core import credits as rules
from overture.core import text
from overture.core.credits import Entry
from overture.core.ids import EntryId, MemberId, entry_id
from overture.core.policy import PolicyBook
from overture.core.refusals import Refusal
from overture.core.sending import credits_changed
from overture.store import audit
from overture.store import credits as store
from overture.store.db import Tx
from overture.store.pages import BadCursor, Page, decode, encode


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """An entry of a statement; its id is the same whether it is stored yet or computed."""

    id: EntryId
    pool: str
    entry: Entry


@dataclass(frozen=True, slots=True)
class Adjusted:
    """An operator's adjustment, and the pool's balance after it."""

    entry: LedgerEntry
    balance: int


async def ledger(
    tx: Tx,
    member: MemberId,
    pool: str | None,
    *,
    cursor: str | None,
    limit: int,
    now: datetime,
    book: PolicyBook,
) -> Page[LedgerEntry] | Refusal:
    """The statement, oldest first, of one pool or of all merged, with what fell due by `now`.

    Raises BadCursor.
    """
    known = book.at(now).pools
    if pool is not None and pool not in known:
        return Refusal.UNKNOWN_POOL
    pools = known if pool is None else (pool,)
    positions = dict(zip(pools, _positions(cursor, len(pools)), strict=True))
    # Accounts before entries: what is stored between the two reads is then both computed and read,
    # and is the same.
    held = await store.accounts(tx, member)
    stored = await store.entries_after(tx, member, positions, limit + 1)
    lines: list[tuple[datetime, int, Entry]] = []
    for place, name in enumerate(pools):
        by_number = {entry.number: entry for entry in stored[name]}
        read = held.get(name)
        if read is not None and len(stored[name]) <= limit:
            for entry in rules.settle(read.account, now, book).entries:
                if entry.number > positions[name]:
                    by_number.setdefault(entry.number, entry)
        lines.extend((entry.at, place, entry) for entry in by_number.values())
    lines.sort(key=lambda line: (line[0], line[1], line[2].number))
    for _, place, entry in lines[:limit]:
        positions[pools[place]] = entry.number
    return Page(
        [_line(member, pools[place], entry) for _, place, entry in lines[:limit]],
        encode(*positions.values()) if len(lines) > limit else None,
    )


async def adjust_as_operator(
    tx: Tx,
    member: MemberId,
    pool: str,
    *,
    credits: int,
    reason: str,
    actor: str,
    audit_id: str,
    now: datetime,
    book: PolicyBook,
) -> Adjusted | Refusal | Invalid:
    """`adjust` as an operator asks for it, with its entry in the audit log."""
    fields = Fields()
    if credits == 0:
        fields.refuse("credits", "An adjustment adds or takes at least one credit.")
    why = fields.take("reason", text.line(reason, text.NOTE_CHARS_MAX, required=True))
    if (invalid := fields.invalid) is not None:
        return invalid
    made = await adjust(tx, member, pool, credits=credits, reason=why, now=now, book=book)
    if isinstance(made, Refusal):
        return made
    await audit.record(
        tx,
        audit_id,
        now,
        actor=actor,
        action="credits.adjusted",
        member=member,
        detail={"pool": pool, "credits": credits, "reason": why},
    )
    return made


async def adjust(
    tx: Tx,
    member: MemberId,
    pool: str,
    *,
    credits: int,
    reason: str,
    now: datetime,
    book: PolicyBook,
) -> Adjusted | Refusal:
    """An operator adds or takes credits, and says why. `credits` is not zero."""
    assert credits != 0, "an adjustment of nothing is refused at the edge"
    assert reason.strip(), "an adjustment has its reason"
    if pool not in book.at(now).pools:
        return Refusal.UNKNOWN_POOL
    if not await store.lock_member(tx, member):
        return Refusal.NO_SUCH_MEMBER
    read = (await store.accounts(tx, member)).get(pool)
    if read is None:
        return Refusal.ADJUSTS_NO_SUBSCRIPTION
    change = rules.adjust(read.account, now, book, credits=credits, reason=reason)
    if isinstance(change, Refusal):
        return change
    account = change.account
    event = credits_changed(change, now)
    await store.record(tx, [store.Changed(account, read.version, change.entries)], [event])
    own = next(entry for entry in change.entries if entry.kind is rules.Kind.ADJUST)
    return Adjusted(_line(member, pool, own), account.balance)


def _line(member: MemberId, pool: str, entry: Entry) -> LedgerEntry:
    return LedgerEntry(entry_id(member, pool, entry.number), pool, entry)


def _positions(cursor: str | None, pools: int) -> tuple[int, ...]:
    """How far the statement was read in each pool: the number of the last entry shown."""
    if cursor is None:
        return (0,) * pools
    positions = decode(cursor, tuple[int, ...])
    if len(positions) != pools or any(position < 0 for position in positions):
        raise BadCursor
    return positions
