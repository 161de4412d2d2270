"""What a member sees of a pool: its lots, what comes next, its sums, and the statement backwards.

The ledger itself, oldest first and of all pools, is `actions.credits.ledger`.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from statistics import median

from overture.actions import credits as ledgers
from overture.actions.subscriptions import SubscriptionView, view_of
from overture.core import credits as rules
from overture.core.credits import Account, Entry, Kind
from overture.core.cycles import months_after
from overture.core.forecast import Forecast, forecast
from overture.core.ids import ConversationId, MemberId
from overture.core.insights import Rate, month_of
from overture.core.policy import PolicyBook
from overture.core.refusals import Refusal
from overture.store import credits as accounts
from overture.store import statements as store
from overture.store.db import Tx
from overture.store.pages import Page, decode, page_of
from overture.store.statements import Letter, Opened, Sent

MONTHS = 6
KPI_SPAN = timedelta(days=90)
WINDOW = timedelta(weeks=5)
WINDOWS = 12


class Show(StrEnum):
    """The parts of a statement that one may look at alone."""

    ALL = "all"
    SPENT = "spent"
    RETURNED = "returned"
    GRANTED = "granted"
    EXPIRED = "expired"
    OTHER = "other"


_KINDS = {
    Show.ALL: tuple(Kind),
    Show.SPENT: (Kind.SPEND,),
    Show.RETURNED: (Kind.REFUND, Kind.DEFER, Kind.NO_REFUND),
    Show.GRANTED: (Kind.GRANT,),
    Show.EXPIRED: (Kind.EXPIRE,),
    Show.OTHER: (Kind.FORFEIT, Kind.ADJUST),
}


@dataclass(frozen=True, slots=True)
class Line:
    """An entry, the letter it is about, and how the lot came that it ended."""

    pool: str
    entry: Entry
    letter: Letter | None
    opened: Opened | None


@dataclass(frozen=True, slots=True)
class Held:
    """A pool in which the member has or had a subscription; `plan` is None where it has ended.

    `ends_at` or `next_plan` is set where a cancel or a change waits.
    """

    pool: str
    balance: int
    plan: str | None = None
    next_plan: str | None = None
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LotGroup:
    """Lots that came in the same way in the same month, of which some credits remain."""

    kind: Kind
    since: datetime
    granted: int
    remaining: int
    first_expires_at: datetime
    last_expires_at: datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """A refund that waits for room. `letter` is None only where it is gone altogether."""

    letter: Letter | None
    since: datetime


@dataclass(frozen=True, slots=True)
class Month:
    """The entries of a calendar month, summed by kind: signed, as they changed the balance."""

    start: datetime
    sums: Mapping[Kind, int]


@dataclass(frozen=True, slots=True)
class Answers:
    """What became of the InMails that the pool paid: sent within 90 days, and in the 90 before.

    `windows` has the rate of those sent within the five weeks up to each instant, a week apart.
    """

    lately: Rate
    before: Rate
    median: timedelta | None
    windows: Sequence[tuple[datetime, Rate]]


@dataclass(frozen=True, slots=True)
class Sheet:
    """All that the page shows of one pool. `subscription` is None where it has ended.

    `opened` says how each lot came that the forecast speaks of.
    """

    pool: str
    balance: int
    subscription: SubscriptionView | None
    lots: Sequence[LotGroup]
    waiting: Sequence[Waiting]
    forecast: Forecast | None
    opened: Mapping[int, Opened]
    months: Sequence[Month]
    answers: Answers
    show: Show
    statement: Page[Line]


async def held(tx: Tx, member: MemberId, now: datetime, book: PolicyBook) -> tuple[Held, ...]:
    """Every pool that the member has an account in, in the policy's order."""
    read = await accounts.accounts(tx, member)
    found: list[Held] = []
    for pool in book.at(now).pools:
        if pool in read:
            account = rules.settle(read[pool].account, now, book).account
            runs = account.subscription
            found.append(
                Held(pool, account.balance, runs.plan, runs.next_plan, runs.ends_at)
                if runs
                else Held(pool, account.balance)
            )
    return tuple(found)


async def sheet(
    tx: Tx,
    member: MemberId,
    pool: str,
    show: Show,
    *,
    limit: int,
    now: datetime,
    book: PolicyBook,
    zone: tzinfo,
) -> Sheet | Refusal:
    """One pool as its page shows it, with the first `limit` lines of its statement."""
    read = (await accounts.accounts(tx, member)).get(pool)
    if read is None:
        return Refusal.NO_SUBSCRIPTION
    due = rules.settle(read.account, now, book)
    account = due.account
    this_month = month_of(now, zone)
    starts = [months_after(this_month, back) for back in range(1 - MONTHS, 1)]
    sums, opened = await store.sums_and_lots(tx, member, pool, starts, read.account.lots)
    sent = await store.sent_since(tx, member, pool, now - 2 * KPI_SPAN)
    shown, cursor = await _shown(
        tx, member, pool, show, due=due.entries, before=_NEWEST, limit=limit
    )
    asked = [each.inmail_id for each in account.deferred]
    letters, ended = await _around(tx, member, pool, shown, due=due.entries, inmails=asked)
    opened |= _openings(due.entries)
    return Sheet(
        pool=pool,
        balance=account.balance,
        subscription=view_of(account, now, book) if account.subscription else None,
        lots=_grouped(account, opened, zone),
        waiting=[Waiting(letters.get(each.inmail_id), each.since) for each in account.deferred],
        forecast=forecast(account, now, book),
        opened=opened,
        months=_months(starts, sums, due.entries),
        answers=answers(sent, now),
        show=show,
        statement=Page(_lines(pool, shown, letters, ended), cursor),
    )


async def statement(
    tx: Tx,
    member: MemberId,
    pool: str,
    show: Show,
    *,
    cursor: str | None,
    limit: int,
    now: datetime,
    book: PolicyBook,
) -> Page[Line] | Refusal:
    """A pool's statement, newest first, with what fell due by `now`. Raises BadCursor."""
    read = (await accounts.accounts(tx, member)).get(pool)
    if read is None:
        return Refusal.NO_SUBSCRIPTION
    due = rules.settle(read.account, now, book).entries
    before = _NEWEST if cursor is None else decode(cursor, tuple[int])[0]
    shown, following = await _shown(tx, member, pool, show, due=due, before=before, limit=limit)
    letters, ended = await _around(tx, member, pool, shown, due=due)
    return Page(_lines(pool, shown, letters, ended), following)


async def export(
    tx: Tx,
    member: MemberId,
    opened: dict[tuple[str, int], Opened],
    *,
    cursor: str | None,
    limit: int,
    now: datetime,
    book: PolicyBook,
) -> Page[Line]:
    """The statement of all pools, oldest first, for a file.

    `opened` is empty at first and goes from page to page: a lot is opened before it ends.
    """
    page = await ledgers.ledger(tx, member, None, cursor=cursor, limit=limit, now=now, book=book)
    assert not isinstance(page, Refusal), "all pools together are always known"
    inmails = [line.entry.inmail_id for line in page.items if line.entry.inmail_id]
    letters: dict[ConversationId, Letter] = {}
    if inmails:
        letters, _ = await store.letters_and_lots(tx, member, "", inmails, {})
    lines: list[Line] = []
    for each in page.items:
        entry = each.entry
        for lot, how in _openings([entry]).items():
            opened[each.pool, lot] = how
        letter = letters.get(entry.inmail_id) if entry.inmail_id else None
        ended = opened.get((each.pool, entry.lot)) if entry.lot else None
        lines.append(Line(each.pool, entry, letter, ended))
    return Page(lines, page.next)


def answers(sent: Sequence[Sent], now: datetime) -> Answers:
    """What became of these InMails, which are of the last twice 90 days."""
    lately = [each for each in sent if each.at > now - KPI_SPAN]
    seconds = [(each.answered_at - each.at).total_seconds() for each in lately if each.answered_at]
    ends = [now - timedelta(weeks=back) for back in reversed(range(WINDOWS))]
    return Answers(
        lately=_rate(lately),
        before=_rate(each for each in sent if each.at <= now - KPI_SPAN),
        median=timedelta(seconds=median(seconds)) if seconds else None,
        windows=[(end, _rate(e for e in sent if end - WINDOW < e.at <= end)) for end in ends],
    )


def _rate(sent: Iterable[Sent]) -> Rate:
    answered = [each.answered_at is not None for each in sent]
    return Rate(len(answered), sum(answered))


# The lines --------------------------------------------------------------------------------------


async def _shown(
    tx: Tx,
    member: MemberId,
    pool: str,
    show: Show,
    *,
    due: Sequence[Entry],
    before: int,
    limit: int,
) -> tuple[list[Entry], str | None]:
    """A page's entries, newest first, and where the next one begins."""
    kinds = _KINDS[show]
    stored = await store.entries_before(tx, member, pool, before, kinds=kinds, limit=limit + 1)
    fallen = [entry for entry in due if entry.number < before and entry.kind in kinds]
    entries = _merged(stored, fallen)[::-1]
    page = page_of(entries, limit, lambda entry: entry, lambda entry: (entry.number,))
    return list(page.items), page.next


async def _around(
    tx: Tx,
    member: MemberId,
    pool: str,
    entries: Sequence[Entry],
    *,
    due: Sequence[Entry],
    inmails: Sequence[ConversationId] = (),
) -> tuple[Mapping[ConversationId, Letter], Mapping[int, Opened]]:
    """The letters that these entries and `inmails` name, and how the lots came that they end."""
    asked = {*inmails, *(entry.inmail_id for entry in entries if entry.inmail_id)}
    known = _openings(due)
    expired = {
        entry.lot: entry.number
        for entry in entries
        if entry.kind is Kind.EXPIRE and entry.lot is not None and entry.lot not in known
    }
    if not asked and not expired:
        return {}, known
    letters, opened = await store.letters_and_lots(tx, member, pool, sorted(asked), expired)
    return letters, known | opened


def _lines(
    pool: str,
    entries: Sequence[Entry],
    letters: Mapping[ConversationId, Letter],
    opened: Mapping[int, Opened],
) -> list[Line]:
    return [
        Line(
            pool,
            entry,
            letters.get(entry.inmail_id) if entry.inmail_id else None,
            opened.get(entry.lot) if entry.kind is Kind.EXPIRE and entry.lot else None,
        )
        for entry in entries
    ]


def _merged(stored: Sequence[Entry], due: Sequence[Entry]) -> list[Entry]:
    """Oldest first. What was stored between two reads is both read and computed, and is the same."""
    by_number = {entry.number: entry for entry in (*stored, *due)}
    return [by_number[number] for number in sorted(by_number)]


def _openings(entries: Iterable[Entry]) -> dict[int, Opened]:
    return {
        entry.lot: Opened(entry.kind, entry.at)
        for entry in entries
        if entry.lot is not None and entry.expires_at is not None
    }


# Sums -------------------------------------------------------------------------------------------


def _grouped(account: Account, opened: Mapping[int, Opened], zone: tzinfo) -> list[LotGroup]:
    """The lots in the order in which they begin to expire."""
    groups: dict[tuple[Kind, datetime], LotGroup] = {}
    for lot in account.lots:
        how = opened.get(lot.number, Opened(Kind.GRANT, lot.granted_at))
        key = (how.kind, month_of(lot.granted_at, zone))
        group = groups.get(key)
        groups[key] = LotGroup(
            kind=how.kind,
            since=lot.granted_at if group is None else group.since,
            granted=lot.granted + (group.granted if group else 0),
            remaining=lot.remaining + (group.remaining if group else 0),
            first_expires_at=lot.expires_at if group is None else group.first_expires_at,
            last_expires_at=lot.expires_at,
        )
    return list(groups.values())


def _months(
    starts: Sequence[datetime], stored: Mapping[tuple[int, Kind], int], due: Sequence[Entry]
) -> list[Month]:
    """The sums of what is stored, and of what fell due since."""
    months: list[dict[Kind, int]] = [{} for _ in starts]
    for (place, kind), total in stored.items():
        months[place][kind] = total
    for entry in due:
        place = bisect_right(starts, entry.at) - 1
        if place >= 0:
            months[place][entry.kind] = months[place].get(entry.kind, 0) + entry.credits
    return [Month(start, sums) for start, sums in zip(starts, months, strict=True)]


# Above every number that an entry can have.
_NEWEST = 2**31 - 1
