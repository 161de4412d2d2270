"""Rebuilding an account from nothing: from what was asked of it, in the order of its ledger.

What members, recipients and operators caused is taken from the record, each at its instant: what
was wished of the subscription, the spends, the answers to InMails, the adjustments. Grants,
expiries, endings and refunds that waited must come out by themselves, entry for entry.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from overture.core import credits
from overture.core.credits import Account, Change, Entry, Kind, Reason
from overture.core.ids import ConversationId, MemberId
from overture.core.policy import PolicyBook
from overture.core.refusals import Refusal


class WishKind(StrEnum):
    CHOOSE = "choose"
    CANCEL_NOW = "cancel_now"
    CANCEL_AT_PERIOD_END = "cancel_at_period_end"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a member asked of a subscription, and how many entries the account had just before."""

    at: datetime
    kind: WishKind
    after_entry: int
    plan: str | None = None


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """Where the record and the rules part: an entry's number, where one can be named."""

    sentence: str
    entry: int | None = None


def difference(
    stored: Account,
    entries: Sequence[Entry],
    wishes: Sequence[Wish],
    refundable_until: Mapping[ConversationId, Sequence[datetime]],
    book: PolicyBook,
) -> Discrepancy | None:
    """The first difference between the stored account and what its record amounts to.

    `entries` and `wishes` are all of the account's, in order. `refundable_until` tells of each
    InMail until when an answer returns its credits, one instant a credit.
    """
    rebuilt = _Rebuilt(stored.owner, stored.pool, entries, refundable_until, book)
    waiting = list(wishes)
    for entry in entries:
        while waiting and waiting[0].after_entry < entry.number:
            if (found := rebuilt.carry_out(waiting.pop(0))) is not None:
                return found
        if entry.number <= rebuilt.matched:
            continue
        if (found := rebuilt.repeat(entry)) is not None:
            return found
        if rebuilt.matched < entry.number:
            return Discrepancy(f"The rules give no such entry: {_told(entry)}.", entry.number)
    for wish in waiting:
        if (found := rebuilt.carry_out(wish)) is not None:
            return found
    return rebuilt.end_as(stored)


class _Rebuilt:
    """The account as far as it is rebuilt; `matched` entries came out as they are recorded."""

    def __init__(
        self,
        owner: MemberId,
        pool: str,
        entries: Sequence[Entry],
        refundable_until: Mapping[ConversationId, Sequence[datetime]],
        book: PolicyBook,
    ) -> None:
        self.owner = owner
        self.pool = pool
        self.account: Account | None = None
        self.recorded = entries
        self.refundable_until = refundable_until
        self.answered: dict[ConversationId, int] = {}
        self.book = book
        self.matched = 0

    def carry_out(self, wish: Wish) -> Discrepancy | None:
        if self.account is None:
            self.account = Account(self.owner, self.pool, wish.at)
        settled = credits.settle(self.account, wish.at, self.book)
        if (found := self._take(settled)) is not None:
            return found
        if self.matched != wish.after_entry:
            return Discrepancy(
                f"A wish of {wish.at} stands after entry {wish.after_entry}, but came when there "
                f"were {self.matched}.",
                self.matched,
            )
        if wish.kind is WishKind.CHOOSE:
            plan = self.book.at(wish.at).plans.get(wish.plan or "")
            if plan is None or plan.pool != self.pool:
                return Discrepancy(f"The plan {wish.plan!r}, wished at {wish.at}, does not exist.")
            return self._take(credits.choose(settled.account, plan, wish.at, self.book))
        if settled.account.subscription is None:
            return Discrepancy(f"At {wish.at} there was no subscription to cancel.")
        cancel = credits.cancel_now
        if wish.kind is WishKind.CANCEL_AT_PERIOD_END:
            cancel = credits.cancel_at_period_end
        return self._take(cancel(settled.account, wish.at, self.book))

    def repeat(self, entry: Entry) -> Discrepancy | None:
        """Does again what caused this entry, if it has not come out yet."""
        if self.account is None:
            return Discrepancy("The ledger begins before any plan was chosen.", entry.number)
        change = self._cause(self.account, entry)
        if isinstance(change, str):
            return Discrepancy(change, entry.number)
        return self._take(change)

    def end_as(self, stored: Account) -> Discrepancy | None:
        if self.account is None:
            return Discrepancy("The account exists, but no plan was ever chosen.")
        found = self._take(credits.settle(self.account, stored.settled_at, self.book))
        if found is not None:
            return found
        if self.account.settled_at > stored.settled_at:
            return Discrepancy(
                f"The account is stored as of {stored.settled_at}, before its last use."
            )
        if replace(self.account, settled_at=stored.settled_at) != stored:
            return Discrepancy(f"The account is stored as {stored}, but amounts to {self.account}.")
        return None

    def _cause(self, account: Account, entry: Entry) -> Change | str:
        follow_up = Reason.FOLLOW_UP
        match entry.kind:
            case Kind.SPEND if entry.inmail_id is not None:
                change = credits.spend(
                    account,
                    entry.at,
                    self.book,
                    inmail_id=entry.inmail_id,
                    reason=follow_up if entry.reason == follow_up else Reason.INMAIL,
                )
                return "No credit was there to spend." if isinstance(change, Refusal) else change
            case Kind.ADJUST:
                change = credits.adjust(
                    account, entry.at, self.book, credits=entry.credits, reason=entry.reason
                )
                return change.sentence if isinstance(change, Refusal) else change
            case Kind.REFUND | Kind.DEFER | Kind.NO_REFUND if entry.reason != Reason.DEFERRED:
                return self._give_back(account, entry)
            case _:
                # It must come by itself, and be due by now.
                return credits.settle(account, entry.at, self.book)

    def _give_back(self, account: Account, entry: Entry) -> Change | str:
        inmail_id = entry.inmail_id
        windows = self.refundable_until.get(inmail_id, ()) if inmail_id is not None else ()
        place = self.answered.get(inmail_id, 0) if inmail_id is not None else 0
        if inmail_id is None or place >= len(windows):
            return "It answers an InMail that paid no credit which is not answered for already."
        self.answered[inmail_id] = place + 1
        reason = Reason.RESPONSE
        if entry.reason == Reason.UNDELIVERABLE:
            reason = Reason.UNDELIVERABLE
        return credits.give_back(
            account,
            entry.at,
            self.book,
            inmail_id=inmail_id,
            refundable_until=windows[place],
            reason=reason,
        )

    def _take(self, change: Change) -> Discrepancy | None:
        """Goes on with a change if its entries are those recorded."""
        for entry in change.entries:
            if self.matched == len(self.recorded):
                return Discrepancy(f"An entry is missing: {_told(entry)}.", entry.number)
            recorded = self.recorded[self.matched]
            if recorded != entry:
                return Discrepancy(
                    f"The record says {_told(recorded)}; the rules give {_told(entry)}.",
                    recorded.number,
                )
            self.matched += 1
        self.account = change.account
        return None


def _told(entry: Entry) -> str:
    """An entry in words, with all that two of them can differ in."""
    parts = [f"{entry.kind} {entry.credits:+d} ({entry.reason}) at {entry.at.isoformat()}"]
    if entry.forfeited:
        parts.append(f"{entry.forfeited} forfeited")
    if entry.lot is not None:
        parts.append(f"lot {entry.lot}")
    if entry.expires_at is not None:
        parts.append(f"until {entry.expires_at.isoformat()}")
    if entry.inmail_id is not None:
        parts.append(f"InMail {entry.inmail_id}")
    parts += [f"plan {entry.plan}", f"balance {entry.balance}", f"link {entry.link[:12]}…"]
    return ", ".join(parts)
