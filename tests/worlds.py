"""Two worlds that the state machine plays in: one in memory on `core`, one on PostgreSQL.

Both answer the same calls, so that they can be played side by side and compared.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol, TypeVar
from uuid import UUID

from overture.actions import closing, conversations, ledger, members, network, subscriptions
from overture.actions import credits as statements
from overture.actions.ledger import Discrepancy
from overture.actions.subscriptions import CancelAt, SubscriptionChange
from overture.core import credits, invariants
from overture.core.contact import Contact, Pair, Party
from overture.core.conversations import Conversation, Kind, State
from overture.core.credits import Account, Change, Entry
from overture.core.ids import ConversationId, MemberId
from overture.core.policy import PolicyBook
from overture.core.refusals import Refusal
from overture.core.replay import Wish
from overture.core.sending import Answer, Command, Desk, Done, Record, Start
from overture.store import credits as store
from overture.store.credits import Books, Read
from overture.store.db import Database, Tx, all_rows
from tests.cast import Town

T = TypeVar("T")
_run_numbers = itertools.count(1)


def id_maker() -> Any:
    """Ids of one run: predictable, and met in no other run of this process."""
    run = next(_run_numbers)
    return (str(UUID(int=(run << 64) + number)) for number in itertools.count(1))


class World(Protocol):
    """What the machine does to a world, and reads of it. Refusals are values."""

    now: datetime

    def join(self, member: MemberId, handle: str) -> None: ...
    def prefer(self, member: MemberId, *, accept_inmail: bool, open_profile: bool) -> None: ...
    def choose(self, member: MemberId, pool: str, plan: str) -> SubscriptionChange | Refusal: ...
    def cancel(self, member: MemberId, pool: str, at: CancelAt) -> SubscriptionChange | Refusal: ...
    def adjust(self, member: MemberId, pool: str, count: int) -> int | Refusal: ...
    def preview(self, viewer: MemberId, to: MemberId, pool: str | None) -> Contact: ...
    def act(self, command: Command) -> Answer: ...
    def connect(self, one: MemberId, other: MemberId) -> None: ...
    def disconnect(self, one: MemberId, other: MemberId) -> None: ...
    def block(self, owner: MemberId, other: MemberId) -> None: ...
    def unblock(self, owner: MemberId, other: MemberId) -> None: ...
    def close(self, member: MemberId) -> None: ...
    def books(self) -> list[Books]: ...
    def discrepancies(self) -> list[Discrepancy]: ...
    def premium_until(self) -> dict[MemberId, datetime | None]: ...


@dataclass
class Memory:
    """Everything in dictionaries, decided by `core` alone."""

    book: PolicyBook
    now: datetime
    parties: dict[MemberId, Party] = field(default_factory=dict)
    connections: set[frozenset[MemberId]] = field(default_factory=set)
    blocks: set[tuple[MemberId, MemberId]] = field(default_factory=set)
    conversations: dict[ConversationId, Conversation] = field(default_factory=dict)
    accounts: dict[MemberId, dict[str, Account]] = field(default_factory=dict)
    entries: dict[tuple[MemberId, str], list[Entry]] = field(default_factory=dict)
    wishes: dict[tuple[MemberId, str], list[Wish]] = field(default_factory=dict)
    free_sends: dict[MemberId, list[datetime]] = field(default_factory=dict)
    found_right: dict[MemberId, tuple[Any, ...]] = field(default_factory=dict)

    def join(self, member: MemberId, handle: str) -> None:
        self.parties[member] = Party(member, handle, handle.title())

    def prefer(self, member: MemberId, *, accept_inmail: bool, open_profile: bool) -> None:
        self.parties[member] = replace(
            self.parties[member], accepts_inmail=accept_inmail, open_profile=open_profile
        )

    def choose(self, member: MemberId, pool: str, plan: str) -> SubscriptionChange | Refusal:
        read = self._read(member)
        decided = subscriptions._choice(read, member, pool, plan, now=self.now, book=self.book)
        return decided if isinstance(decided, Refusal) else self._carry_out(decided)

    def cancel(self, member: MemberId, pool: str, at: CancelAt) -> SubscriptionChange | Refusal:
        decided = subscriptions._cancel(self._read(member), pool, at, self.now, self.book)
        return decided if isinstance(decided, Refusal) else self._carry_out(decided)

    def adjust(self, member: MemberId, pool: str, count: int) -> int | Refusal:
        account = self.accounts.get(member, {}).get(pool)
        if account is None:
            return Refusal.ADJUSTS_NO_SUBSCRIPTION
        change = credits.adjust(account, self.now, self.book, credits=count, reason="a test")
        if isinstance(change, Refusal):
            return change
        self._store(change)
        return change.account.balance

    def preview(self, viewer: MemberId, to: MemberId, pool: str | None) -> Contact:
        return self._desk(viewer, to).preview(viewer, to, pool)

    def act(self, command: Command) -> Answer:
        if isinstance(command, Start):
            desk = self._desk(command.viewer, command.to)
        else:
            conversation = self.conversations[command.conversation_id]
            desk = self._desk(command.viewer, conversation.other(command.viewer))
        answer = desk.decide(command)
        if isinstance(answer, Done):
            self._apply(desk.record)
        return answer

    def connect(self, one: MemberId, other: MemberId) -> None:
        self.connections.add(frozenset((one, other)))
        self._turn_direct(one, other, State.CLOSED, State.OPEN)

    def disconnect(self, one: MemberId, other: MemberId) -> None:
        if (pair := frozenset((one, other))) in self.connections:
            self.connections.remove(pair)
            self._turn_direct(one, other, State.OPEN, State.CLOSED)

    def block(self, owner: MemberId, other: MemberId) -> None:
        self.blocks.add((owner, other))

    def unblock(self, owner: MemberId, other: MemberId) -> None:
        self.blocks.discard((owner, other))

    def close(self, member: MemberId) -> None:
        for conversation in list(self.conversations.values()):
            if conversation.state is State.PENDING and member in (
                conversation.sender,
                conversation.recipient,
            ):
                desk = self._desk(conversation.sender, conversation.other(conversation.sender))
                if conversation.begun_by(member):
                    desk.withdraw(conversation)
                else:
                    desk.fail_to_deliver(conversation)
                self._apply(desk.record)
        for pool in sorted(self.accounts.get(member, {})):
            self.cancel(member, pool, CancelAt.NOW)
        for other in self.parties:
            self.disconnect(member, other)
        self.blocks = {block for block in self.blocks if block[0] != member}
        self.parties[member] = replace(self.parties[member], closed=True)

    def books(self) -> list[Books]:
        return [
            Books(
                account,
                account.balance,
                account.next_due_at,
                self.entries.get((owner, pool), []),
                self.wishes.get((owner, pool), []),
            )
            for owner, pools in sorted(self.accounts.items())
            for pool, account in sorted(pools.items())
        ]

    def discrepancies(self) -> list[Discrepancy]:
        """Whose books are as they were found right at the same instant are not looked at again."""
        inmails = [c for c in self.conversations.values() if c.kind is Kind.INMAIL]
        found: list[Discrepancy] = []
        for owner, pools in self.accounts.items():
            own = [c for c in inmails if c.sender == owner]
            state = [(c.state, c.response, c.messages, len(c.refundable_until)) for c in own]
            seen = (self.now, list(map(id, pools.values())), state)
            if self.found_right.get(owner, (None,))[0] == seen:
                continue
            books = [each for each in self.books() if each.account.owner == owner]
            wrong = list(ledger.differences(books, own, self.now, self.book))
            found += wrong
            if not wrong:
                # The accounts are kept beside their identities, which are theirs only while they live.
                self.found_right[owner] = (seen, list(pools.values()))
        nobody_s = [c for c in inmails if c.sender not in self.accounts]
        found += ledger.differences([], nobody_s, self.now, self.book)
        pairs = invariants._pairs(inmails)
        return found + [Discrepancy(broken.sentence, broken.owner) for broken in pairs]

    def premium_until(self) -> dict[MemberId, datetime | None]:
        return {member: party.premium_until for member, party in self.parties.items()}

    def _read(self, member: MemberId) -> dict[str, Read]:
        return {pool: Read(account, 1) for pool, account in self.accounts.get(member, {}).items()}

    def _carry_out(self, decided: Any) -> SubscriptionChange:
        account = decided.change.account
        told = subscriptions._told(decided, self.now, self.book)
        if subscriptions._changes(decided):
            self.wishes.setdefault((account.owner, account.pool), []).append(decided.wish)
            self._store(decided.due)
            self._store(decided.change)
            until = subscriptions.premium_until(
                tuple(self.accounts[account.owner].values()), self.now, self.book
            )
            party = self.parties[account.owner]
            self.parties[account.owner] = replace(party, premium_until=until)
        return told

    def _store(self, change: Change) -> None:
        account = change.account
        self.accounts.setdefault(account.owner, {})[account.pool] = account
        self.entries.setdefault((account.owner, account.pool), []).extend(change.entries)

    def _desk(self, one: MemberId, other: MemberId) -> Desk:
        between = [
            c for c in self.conversations.values() if {c.sender, c.recipient} == {one, other}
        ]
        pairs = {}
        for viewer, seen in ((one, other), (other, one)):
            pairs[viewer, seen] = Pair(
                frozenset((one, other)) in self.connections,
                (viewer, seen) in self.blocks,
                (seen, viewer) in self.blocks,
                list(between),
            )
        return Desk(
            now=self.now,
            book=self.book,
            members=self.parties,
            pairs=pairs,
            conversations={c.id: c for c in between},
            accounts={member: dict(pools) for member, pools in self.accounts.items()},
            open_profile_sends=dict(self.free_sends),
        )

    def _apply(self, record: Record) -> None:
        self.conversations.update(record.begun)
        for (owner, pool), account in record.accounts.items():
            self.accounts[owner][pool] = account
        for owner, pool, entry in record.entries:
            self.entries.setdefault((owner, pool), []).append(entry)
        self.free_sends.update(record.open_profile_sends)
        self.blocks.update(record.blocks)

    def _turn_direct(self, one: MemberId, other: MemberId, before: State, after: State) -> None:
        for conversation in self.conversations.values():
            if {conversation.sender, conversation.recipient} == {one, other} and (
                conversation.kind is Kind.DIRECT and conversation.state is before
            ):
                conversation.state = after


class Stored:
    """The same through the actions, on a real PostgreSQL: every call is one committed transaction."""

    def __init__(
        self, runner: asyncio.Runner, db: Database, book: PolicyBook, now: datetime
    ) -> None:
        self._runner = runner
        self.town = Town(db, book, now)
        self.members: list[MemberId] = []

    @property
    def now(self) -> datetime:
        return self.town.now

    @now.setter
    def now(self, now: datetime) -> None:
        self.town.now = now

    def join(self, member: MemberId, handle: str) -> None:
        self.members.append(member)
        new = members.NewMember(member, f"{handle}-{member[:18]}"[:40].strip("-"), handle.title())
        self._do(lambda tx: members.create(tx, new, self.now))

    def prefer(self, member: MemberId, *, accept_inmail: bool, open_profile: bool) -> None:
        changes = members.PreferenceChanges(accept_inmail=accept_inmail, open_profile=open_profile)
        self._do(lambda tx: members.change_preferences(tx, member, changes, self.now))

    def choose(self, member: MemberId, pool: str, plan: str) -> SubscriptionChange | Refusal:
        return self._run(self.town.chooses(member, pool, plan))

    def cancel(self, member: MemberId, pool: str, at: CancelAt) -> SubscriptionChange | Refusal:
        return self._run(self.town.cancels(member, pool, at))

    def adjust(self, member: MemberId, pool: str, count: int) -> int | Refusal:
        adjusted = self._do(
            lambda tx: statements.adjust(
                tx, member, pool, credits=count, reason="a test", now=self.now, book=self.town.book
            )
        )
        return adjusted if isinstance(adjusted, Refusal) else adjusted.balance

    def preview(self, viewer: MemberId, to: MemberId, pool: str | None) -> Contact:
        return self._look(
            lambda tx: conversations.preview(
                tx, viewer, to, pool=pool, now=self.now, book=self.town.book
            )
        )

    def act(self, command: Command) -> Answer:
        return self._run(self.town.acts(command))

    def connect(self, one: MemberId, other: MemberId) -> None:
        self._do(lambda tx: network.upsert_pairs(tx, [(one, other)], self.now))

    def disconnect(self, one: MemberId, other: MemberId) -> None:
        self._do(lambda tx: network.disconnect(tx, one, other, self.now))

    def block(self, owner: MemberId, other: MemberId) -> None:
        self._do(lambda tx: network.block(tx, owner, other, self.now))

    def unblock(self, owner: MemberId, other: MemberId) -> None:
        self._do(lambda tx: network.unblock(tx, owner, other, self.now))

    def close(self, member: MemberId) -> None:
        closed = self._do(lambda tx: closing.close(tx, member, self.now, self.town.book))
        assert closed is True, closed

    def books(self) -> list[Books]:
        return self._look(lambda tx: store.books_of(tx, self.members))

    def discrepancies(self) -> list[Discrepancy]:
        return self._look(self._discrepancies)

    async def _discrepancies(self, tx: Tx) -> list[Discrepancy]:
        books = await store.books_of(tx, self.members)
        inmails = await store.inmails_of(tx, self.members)
        wrong = await store.mismatches_of(tx, self.members, 10)
        return [
            *ledger.differences(books, inmails, self.now, self.town.book),
            *(Discrepancy(w.sentence, w.owner, conversation=w.conversation) for w in wrong),
        ]

    def premium_until(self) -> dict[MemberId, datetime | None]:
        rows = self._look(
            lambda tx: all_rows(
                tx,
                "select id, premium_until from members where id = any(%s::uuid[])",
                (self.members,),
            )
        )
        return {row[0]: row[1] for row in rows}

    def statement(self, member: MemberId, limit: int) -> Sequence[statements.LedgerEntry]:
        """The whole statement of a member, read page by page."""
        items: list[statements.LedgerEntry] = []
        cursor: str | None = None
        while True:
            page = self._look(
                lambda tx, at=cursor: statements.ledger(
                    tx, member, None, cursor=at, limit=limit, now=self.now, book=self.town.book
                )
            )
            items += page.items
            cursor = page.next
            if cursor is None:
                return items

    def _do(self, verb: Any) -> Any:
        return self._run(self.town.do(verb))

    def _look(self, verb: Any) -> Any:
        return self._run(self.town.look(verb))

    def _run(self, what: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(what)
