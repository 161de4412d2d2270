"""What becomes of an account by itself, and how many InMails it takes to lose nothing of it.

All of it is told as if nothing were sent and nothing came back from now on. Built on
`core.credits.settle` alone: there is no second way to know what happens.
"""

from bisect import bisect_left
from dataclasses import dataclass
from datetime import datetime, timedelta

from overture.core.credits import Account, Entry, Kind, Reason, settle, spend
from overture.core.ids import ConversationId
from overture.core.policy import PolicyBook
from overture.core.refusals import Refusal


@dataclass(frozen=True, slots=True)
class Forecast:
    """An account up to `at`: its next grant, its change of plan or its end, whichever is first.

    `sends` is the least number of InMails that, sent now, loses nothing up to and including `at`.
    `entries` is what the ledger will say until then, `later` what it will say in the period that
    follows. What the rules take however much is sent (`already_granted`) is not counted as a loss.
    """

    at: datetime
    sends: int
    entries: tuple[Entry, ...]
    later: tuple[Entry, ...]

    @property
    def expiring(self) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if entry.kind is Kind.EXPIRE)

    @property
    def grant(self) -> Entry | None:
        """What comes at `at`; `forfeited` of it does not fit."""
        return next((entry for entry in self.entries if entry.kind is Kind.GRANT), None)

    @property
    def ending(self) -> Entry | None:
        """What a cancel or a change of plan takes at `at`."""
        return next((entry for entry in self.entries if _is_ending(entry)), None)


def forecast(account: Account, now: datetime, book: PolicyBook) -> Forecast | None:
    """None without a subscription: then nothing comes and nothing can be lost."""
    account = settle(account, now, book).account
    renewal = _renewal(account, book)
    if renewal is None:
        return None
    following = _renewal(renewal, book)
    later: tuple[Entry, ...] = ()
    if following is not None:
        later = settle(renewal, following.settled_at - timedelta.resolution, book).entries
    at = renewal.settled_at
    return Forecast(at, _sends(account, now, at, book), settle(account, at, book).entries, later)


def lost(entries: tuple[Entry, ...]) -> int:
    """Credits and waiting refunds that sending more would have saved."""
    return sum(_loss(entry) for entry in entries)


def _renewal(account: Account, book: PolicyBook) -> Account | None:
    """The account just after its next grant, change of plan or end."""
    while account.subscription is not None:
        # A new version of the policy may bring the next grant forward.
        dues = (account.next_due_at, book.change_after(account.settled_at))
        change = settle(account, min(due for due in dues if due is not None), book)
        granted = any(entry.kind is Kind.GRANT for entry in change.entries)
        if granted or change.account.subscription != account.subscription:
            return change.account
        account = change.account
    return None


def _sends(account: Account, now: datetime, until: datetime, book: PolicyBook) -> int:
    """Sending all that there is loses nothing; one send more never loses more."""

    def loses_none(one: Account) -> bool:
        return not lost(settle(one, until, book).entries)

    after = [account]
    # Few sends are the usual answer: the many are tried only where half as many did not do.
    while not loses_none(after[-1]):
        tried = len(after)
        for _ in range(tried):
            change = spend(after[-1], now, book, inmail_id=_SOME)
            if isinstance(change, Refusal):
                break
            after.append(change.account)
        assert len(after) > tried, "sending all that there is loses nothing"
    return bisect_left(after, True, key=loses_none)


def _loss(entry: Entry) -> int:
    if entry.kind is Kind.EXPIRE:
        return -entry.credits
    if entry.kind is Kind.GRANT:
        return entry.forfeited
    return entry.forfeited - entry.credits if _is_ending(entry) else 0


def _is_ending(entry: Entry) -> bool:
    return entry.kind is Kind.FORFEIT and entry.reason != Reason.ALREADY_GRANTED


_SOME = ConversationId("00000000-0000-0000-0000-000000000000")
