"""Proving the ledger: every account rebuilt from its record, every promise checked."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from overture.actions.subscriptions import premium_until
from overture.core import credits
from overture.core.conversations import Conversation
from overture.core.credits import Account, Change
from overture.core.ids import ConversationId, MemberId
from overture.core.invariants import Facts, Held, Totals, check
from overture.core.policy import PolicyBook
from overture.core.replay import difference
from overture.store import credits as store
from overture.store.credits import Books
from overture.store.db import Tx

# Accounts done so far, and accounts in all.
Progress = Callable[[int, int], None]

MEMBERS_AT_ONCE = 200
TOLD_MAX = 10


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """Something in the books that is not as it must be, and where."""

    sentence: str
    member: MemberId | None = None
    pool: str | None = None
    entry: int | None = None
    conversation: ConversationId | None = None


@dataclass(slots=True)
class Verification:
    """What was checked. `discrepancies` holds the first few; `found` counts them all."""

    accounts: int = 0
    entries: int = 0
    inmails: int = 0
    found: int = 0
    discrepancies: list[Discrepancy] = field(default_factory=list)
    totals: Totals = field(default_factory=Totals)

    @property
    def sound(self) -> bool:
        return self.found == 0


async def verify(
    tx: Tx, now: datetime, book: PolicyBook, progress: Progress | None = None
) -> Verification:
    """Replays the whole ledger against accounts, rules, InMails, lists and who counts as Premium.

    It looks at one moment of the database, so a server may go on writing. `tx` is a connection
    outside any transaction. Memory is bounded by what a few hundred members hold.
    """
    made = Verification()
    async with tx.transaction():
        await tx.execute("set transaction isolation level repeatable read, read only")
        # Looking through all members takes as long as it takes.
        await tx.execute("set local statement_timeout = 0")
        accounts = await store.count_accounts(tx)
        last: MemberId | None = None
        while owners := await store.owners_after(tx, last, MEMBERS_AT_ONCE):
            last = owners[-1]
            await _look_at(tx, owners, made, now, book)
            if progress is not None:
                progress(made.accounts, accounts)
        never = await store.premium_without_account(tx, now, TOLD_MAX)
        _tell(made, [Discrepancy(_PREMIUM_WRONG, member) for member in never])
    if not made.totals.conserved:
        _tell(made, [Discrepancy(f"Credits were made or lost: {made.totals}.")])
    return made


async def verify_member(tx: Tx, member: MemberId, now: datetime, book: PolicyBook) -> Verification:
    """The same for one member's accounts alone, and the InMails that they began."""
    made = Verification()
    async with tx.transaction():
        await tx.execute("set transaction isolation level repeatable read, read only")
        await _look_at(tx, [member], made, now, book)
    if not made.totals.conserved:
        _tell(made, [Discrepancy(f"Credits were made or lost: {made.totals}.", member)])
    return made


async def _look_at(
    tx: Tx, owners: Sequence[MemberId], made: Verification, now: datetime, book: PolicyBook
) -> None:
    books = await store.books_of(tx, owners)
    inmails = await store.inmails_of(tx, owners)
    wrong = await store.mismatches_of(tx, owners, TOLD_MAX)
    shown = await store.premium_of(tx, owners)
    discrepancies = [
        *differences(books, inmails, now, book),
        *_premium(books, shown, now, book),
        *map(_mismatch, wrong),
    ]
    _add(made, books, inmails, discrepancies)


def differences(
    books: Sequence[Books], inmails: Sequence[Conversation], now: datetime, book: PolicyBook
) -> Iterator[Discrepancy]:
    """What is wrong with these members' books: all of their accounts, and all InMails they began."""
    windows = {inmail.id: inmail.refundable_until for inmail in inmails}
    held: list[Held] = []
    for each in books:
        account = each.account
        if not each.stored:
            sentence = "There are entries or wishes, but no account of it is stored."
            yield Discrepancy(sentence, account.owner, account.pool)
            continue
        found = difference(account, each.entries, each.wishes, windows, book)
        if found is not None:
            yield Discrepancy(found.sentence, account.owner, account.pool, found.entry)
        if (each.balance, each.next_due_at) != (account.balance, account.next_due_at):
            sentence = (
                "Balance and next due instant do not stand in their columns as in the account."
            )
            yield Discrepancy(sentence, account.owner, account.pool)
        # What fell due since is looked at as well, as members see it. What is broken stays as it is.
        due = Change(account, ()) if found else credits.settle(account, now, book)
        held.append(Held(due.account, (*each.entries, *due.entries)))
    for broken in check(Facts(book, held, inmails)):
        yield Discrepancy(broken.sentence, broken.owner, broken.pool, broken.entry, broken.inmail)


def _premium(
    books: Sequence[Books],
    shown: Mapping[MemberId, datetime | None],
    now: datetime,
    book: PolicyBook,
) -> Iterator[Discrepancy]:
    """Who is shown as Premium, and receives InMail, has a subscription; and until as long."""
    held: dict[MemberId, list[Account]] = {member: [] for member in shown}
    for each in books:
        if each.stored and each.account.owner in held:
            held[each.account.owner].append(each.account)
    for member, accounts in held.items():
        until = shown[member]
        told = until if until is not None and until > now else None
        if told != premium_until(accounts, now, book):
            yield Discrepancy(_PREMIUM_WRONG, member)


_PREMIUM_WRONG = "The member's Premium does not last as long as their subscriptions."


def _add(
    made: Verification,
    books: Sequence[Books],
    inmails: Sequence[Conversation],
    discrepancies: Sequence[Discrepancy],
) -> None:
    made.accounts += len(books)
    made.entries += sum(len(each.entries) for each in books)
    made.inmails += len(inmails)
    for each in books:
        made.totals.add(Held(each.account, each.entries))
    _tell(made, discrepancies)


def _tell(made: Verification, discrepancies: Sequence[Discrepancy]) -> None:
    made.found += len(discrepancies)
    made.discrepancies.extend(discrepancies[: TOLD_MAX - len(made.discrepancies)])


def _mismatch(wrong: store.Mismatch) -> Discrepancy:
    return Discrepancy(wrong.sentence, wrong.owner, conversation=wrong.conversation)
