"""The life of a few members, as Hypothesis plays it: every rule of what they do, and time.

After each step the shared check looks at every book; beside it stand promises that need to know what
was tried: a preview and its send agree, the free letters of a day are counted, looking often at an
account or once gives the same ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from overture.actions.subscriptions import CancelAt, SubscriptionChange
from overture.core import credits
from overture.core.contact import Contact
from overture.core.conversations import Channel, State
from overture.core.credits import Account, Entry
from overture.core.cycles import months_after
from overture.core.ids import ConversationId, MemberId, MessageId
from overture.core.policy import Outcome, PolicyBook, parse
from overture.core.refusals import Refusal
from overture.core.sending import Answer, Done, Refused, Respond, Start, Withdraw, Write
from tests.cast import policy
from tests.worlds import Memory, World, id_maker

NAMES = ("ada", "grace", "alan", "mary", "edsger")
SECOND = timedelta(seconds=1)

# Small numbers reach every corner within a few steps; and on 1 June 2025 they all change.
TIGHT = """
[[versions]]
holds_from = 1970-01-01T00:00:00Z
expiry_days = 75
refund_days = 45
topups = false
decline_unlocks = true
follow_ups = false
open_profile_daily = 1
recipient_requires_premium = true
subject_chars_max = 200
body_chars_max = 2000
reminder_aim_hours = 48
reminder_latest_hours = 72
waking_from = 08:00:00
waking_until = 21:00:00
plans = [
  {name = "one", title = "One", pool = "small", allotment = 1, cap = 2},
  {name = "two", title = "Two", pool = "small", allotment = 2, cap = 3},
  {name = "pair", title = "Pair", pool = "small", allotment = 2, cap = 4},
  {name = "first", title = "1st", pool = "other", allotment = 1, cap = 3, grants_on = "first_of_month"},
]
quick_replies = [
  {id = "yes", text = "Yes", outcome = "accepted"},
  {id = "no", text = "No", outcome = "declined"},
]

[[versions]]
holds_from = 2025-06-01T00:00:00Z
expiry_days = 100
refund_days = 40
topups = false
decline_unlocks = false
follow_ups = true
open_profile_daily = 2
recipient_requires_premium = false
subject_chars_max = 200
body_chars_max = 2000
reminder_aim_hours = 48
reminder_latest_hours = 72
waking_from = 08:00:00
waking_until = 21:00:00
plans = [
  {name = "one", title = "One", pool = "small", allotment = 2, cap = 3},
  {name = "two", title = "Two", pool = "small", allotment = 1, cap = 2},
  {name = "pair", title = "Pair", pool = "small", allotment = 2, cap = 5, grants_on = "first_of_month"},
  {name = "first", title = "1st", pool = "other", allotment = 1, cap = 2},
]
quick_replies = [
  {id = "yes", text = "Yes", outcome = "accepted"},
  {id = "no", text = "No", outcome = "declined"},
]
"""


@cache
def tight() -> PolicyBook:
    return parse(TIGHT)


@cache
def early() -> PolicyBook:
    """The first version of the tight policy alone."""
    return PolicyBook(tight().versions[:1])


BOOKS: dict[str, Callable[[], PolicyBook]] = {
    "early": early,
    "tight": tight,
    "seed": cache(lambda: policy("seed")),
    "linkedin-premium": cache(lambda: policy("linkedin-premium")),
}
STARTS = [
    datetime(2025, 1, 31, 10, tzinfo=UTC),
    datetime(2024, 1, 30, 23, 59, 59, tzinfo=UTC),
    datetime(2024, 2, 29, 12, tzinfo=UTC),
    datetime(2025, 5, 1, tzinfo=UTC),
    datetime(2025, 3, 15, 8, 30, 0, 250_000, tzinfo=UTC),
]
# A conversation, who began it, and the other side.
Thread = tuple[ConversationId, MemberId, MemberId]
members = st.integers(0, len(NAMES) - 1)
numbers = st.integers(0, 63)
others = st.integers(1, len(NAMES) - 1)
seldom = st.integers(0, 3).map(lambda number: number == 3)
# An accepted InMail makes all that follows free: more is learnt from those that are declined.
outcomes = st.sampled_from([Outcome.DECLINED, Outcome.DECLINED, Outcome.ACCEPTED])
# The latest threads are the ones in which things happen.
recent = st.integers(0, 3)


class Life(RuleBasedStateMachine):
    """To be given its worlds by `begin`; the first one is the one that is asked."""

    worlds: Sequence[World]
    book: PolicyBook

    def begin(self, book: PolicyBook, now: datetime) -> Sequence[World]:
        return [Memory(book, now)]

    @initialize(
        book=st.sampled_from(["early", *BOOKS]), now=st.sampled_from(STARTS), premium=numbers
    )
    def starts(self, book: str, now: datetime, premium: int) -> None:
        self.book = BOOKS[book]()
        self.worlds = self.begin(self.book, now)
        self._ids = id_maker()
        self.members: list[MemberId] = [MemberId(next(self._ids)) for _ in NAMES]
        self.open: dict[MemberId, bool] = dict.fromkeys(self.members, True)
        self.accepts: dict[MemberId, bool] = dict.fromkeys(self.members, True)
        self.blocks: set[tuple[MemberId, MemberId]] = set()
        self.leaps = 0
        self.threads: list[Thread] = []
        self.waiting: dict[ConversationId, datetime | None] = {}
        self.free_sends: dict[MemberId, list[datetime]] = {m: [] for m in self.members}
        for place, (member, name) in enumerate(zip(self.members, NAMES, strict=True)):
            self._all(lambda world, m=member, n=name: world.join(m, n))
            if premium >> 5:
                self._all(lambda w, m=member: w.prefer(m, accept_inmail=True, open_profile=True))
            if premium >> place & 1 or place < 3:
                plans = list(self.book.at(now).plans.values())
                plan = plans[premium % len(plans)]
                self._all(lambda w, m=member, p=plan: w.choose(m, p.pool, p.name))
        self._look()

    @property
    def now(self) -> datetime:
        return self.worlds[0].now

    # Plans ------------------------------------------------------------------------------------

    @rule(member=members, plan=numbers)
    def chooses(self, member: int, plan: int) -> None:
        if self.open[who := self.members[member]]:
            plans = list(self.book.at(self.now).plans.values())
            wanted = plans[plan % len(plans)]
            told = self._all(lambda world: world.choose(who, wanted.pool, wanted.name))
            assert isinstance(told, SubscriptionChange), told
            self._look()

    @rule(member=members, pool=numbers, at=st.sampled_from(CancelAt))
    def cancels(self, member: int, pool: int, at: CancelAt) -> None:
        if self.open[who := self.members[member]]:
            name = self._pool(who, pool)
            held = self._balance(who, name)
            told = self._all(lambda world: world.cancel(who, name, at))
            if isinstance(told, SubscriptionChange) and at is CancelAt.NOW:
                assert told.forfeits == held, "The forecast is what is lost."
            self._look()

    @rule(member=members, wait=st.sampled_from([None, -1, 0, 1]), pool=numbers)
    def comes_back(self, member: int, wait: int | None, pool: int) -> None:
        """Cancels and takes the same plan again: at once, or about a month after its last grant."""
        who = self.members[member]
        running = [
            books.account
            for books in self.worlds[0].books()
            if books.account.owner == who and books.account.subscription is not None
        ]
        if not running or not self.open[who]:
            return
        account = running[pool % len(running)]
        name = account.pool
        self._all(lambda world: world.cancel(who, name, CancelAt.NOW))
        if wait is not None:
            granted_at = max(account.granted_at.values(), default=self.now)
            month = months_after(granted_at, 1) + wait * SECOND
            if month > self.now:
                self._move(month)
        plan = next(iter(account.granted_at))
        self._all(lambda world: world.choose(who, name, plan))
        self._look()

    @rule(member=members, pool=numbers, count=st.integers(-3, 3).filter(bool))
    def is_adjusted(self, member: int, pool: int, count: int) -> None:
        if self.open[who := self.members[member]]:
            name = self._pool(who, pool)
            self._all(lambda world: world.adjust(who, name, count))
            self._look()

    # Letters ----------------------------------------------------------------------------------

    @rule(sender=members, to=others, pool=numbers, most=st.sampled_from([None, None, 1, 0]))
    def sends(self, sender: int, to: int, pool: int, most: int | None) -> None:
        pools = [None, *self.book.at(self.now).pools]
        self._send(self.members[sender], self._other(sender, to), pools[pool % len(pools)], most)
        self._look()

    @rule(sender=members, to=others, days=st.integers(0, 50), outcome=outcomes)
    def sends_and_is_answered(self, sender: int, to: int, days: int, outcome: Outcome) -> None:
        """At once, after some days, or (of three times one) with the sender's next grant."""
        threads = len(self.threads)
        who = self.members[sender]
        self._send(who, self._other(sender, to), None, None)
        later = self.now + timedelta(days=days)
        if days % 3 == 2:
            later = min(self._dues(who), default=later)
        if later > self.now:
            self._move(later)
        if days % 5 == 4:
            # The sender leaves the plan meanwhile.
            self.cancels(sender, 1, CancelAt.NOW)
        if len(self.threads) > threads and self.threads[-1][0] in self.waiting:
            self.responds(0, outcome, False)

    @rule(sender=members)
    def sends_to_everybody(self, sender: int) -> None:
        for to in self.members:
            self._send(self.members[sender], to, None, None)
        self._look()

    def _send(self, sender: MemberId, to: MemberId, pool: str | None, most: int | None) -> None:
        if not self.open[sender]:
            return
        start = Start(
            sender,
            to,
            ConversationId(next(self._ids)),
            MessageId(next(self._ids)),
            "Hello",
            pool=pool,
            max_credits=most,
        )
        preview = self._all(lambda world: _plain(world.preview(sender, to, pool)))
        answer = self._all(lambda world: world.act(start))
        self._agree(preview, answer, most)
        if isinstance(answer, Done):
            if answer.created:
                self.threads.append((answer.conversation.id, sender, to))
                self._keep_waiting(answer)
            self._was_allowed(sender, to, preview)
        elif answer.code is Refusal.OPEN_PROFILE_LIMIT:
            daily = self.book.at(self.now).open_profile_daily
            assert len(self._free_of_the_day(sender)) >= daily, "Free letters ran out too early."

    def _agree(self, preview: Contact, answer: Answer, most: int | None) -> None:
        if isinstance(answer, Refused):
            if answer.code is Refusal.PRICE_EXCEEDS_MAX:
                assert most == 0, "The preview knows no highest price."
                return
            assert preview.code is answer.code, f"Told {preview.code}, then {answer.code}."
            return
        assert preview.code is None, f"Told {preview.code}, then sent."
        assert answer.charge is not None
        assert preview.credits == answer.charge.credits, "The price changed between."
        if preview.credits:
            assert preview.pool == answer.charge.pool, "Another pool paid."
            assert preview.balance is not None

    def _was_allowed(self, sender: MemberId, to: MemberId, preview: Contact) -> None:
        """What the ladder must never let through, said once more."""
        assert sender != to
        assert self.open[to], "A closed account was written to."
        assert (sender, to) not in self.blocks, "Someone wrote to whom they had blocked."
        assert (to, sender) not in self.blocks, "Someone wrote to who had blocked them."
        if preview.channel is Channel.MESSAGE:
            return
        assert self.accepts[to], "An InMail went to someone who accepts none."
        if self.book.at(self.now).recipient_requires_premium:
            until = self.worlds[0].premium_until()[to]
            assert until is not None, "An InMail went to someone without Premium."
            assert until > self.now, "An InMail went to someone whose Premium had ended."
        if preview.channel is Channel.OPEN_PROFILE:
            self.free_sends[sender].append(self.now)
            daily = self.book.at(self.now).open_profile_daily
            assert len(self._free_of_the_day(sender)) <= daily, "More free letters than a day has."

    def _free_of_the_day(self, sender: MemberId) -> list[datetime]:
        return [at for at in self.free_sends[sender] if at > self.now - timedelta(hours=24)]

    def _some_threads(self) -> bool:
        return bool(self.threads)

    @precondition(_some_threads)
    @rule(
        thread=recent,
        outcome=outcomes,
        block=seldom,
    )
    def responds(self, thread: int, outcome: Outcome, block: bool) -> None:
        conversation, sender, viewer = self._pending(thread)
        if self.open[viewer]:
            answer = self._all(
                lambda world: world.act(Respond(viewer, conversation, outcome, block=block))
            )
            if block and isinstance(answer, Done):
                self.blocks.add((viewer, sender))
            self._keep_waiting(answer)
            self._look()

    @precondition(_some_threads)
    @rule(thread=recent, outcome=outcomes, seconds=st.sampled_from([0, 1]))
    def responds_at_the_last_moment(self, thread: int, outcome: Outcome, seconds: int) -> None:
        """Or just after it."""
        until = self.waiting.get(self._pending(thread)[0])
        if until is not None and until > self.now + SECOND:
            self._move(until + seconds * SECOND)
            self.responds(thread, outcome, False)

    @precondition(_some_threads)
    @rule(thread=recent, again=st.sampled_from(Outcome))
    def responds_again(self, thread: int, again: Outcome) -> None:
        conversation, _, viewer = self._thread(thread)
        if self.open[viewer]:
            self._keep_waiting(
                self._all(lambda world: world.act(Respond(viewer, conversation, again)))
            )
            self._look()

    @precondition(_some_threads)
    @rule(thread=recent, reply=numbers)
    def replies_quickly(self, thread: int, reply: int) -> None:
        conversation, _, viewer = self._pending(thread)
        if self.open[viewer]:
            replies = self.book.at(self.now).quick_replies
            quick = replies[reply % len(replies)]
            message = MessageId(next(self._ids))
            write = Write(viewer, conversation, message, quick.text, quick_reply=quick)
            self._keep_waiting(self._all(lambda world: world.act(write)))
            self._look()

    @precondition(_some_threads)
    @rule(thread=recent, by_sender=st.booleans())
    def writes_on(self, thread: int, by_sender: bool) -> None:
        conversation, sender, recipient = self._thread(thread)
        viewer = sender if by_sender else recipient
        if self.open[viewer]:
            write = Write(viewer, conversation, MessageId(next(self._ids)), "And then")
            self._keep_waiting(self._all(lambda world: world.act(write)))
            self._look()

    @precondition(_some_threads)
    @rule(thread=recent)
    def withdraws(self, thread: int) -> None:
        conversation, sender, _ = self._thread(thread)
        if self.open[sender]:
            self._keep_waiting(self._all(lambda world: world.act(Withdraw(sender, conversation))))
            self._look()

    def _keep_waiting(self, answer: Answer) -> None:
        """What is pending, and until when an answer to it returns a credit."""
        if isinstance(answer, Done):
            view = answer.conversation
            if view.state is State.PENDING:
                self.waiting[view.id] = view.expires_refund_at
            else:
                self.waiting.pop(view.id, None)

    # Who may write to whom --------------------------------------------------------------------

    @rule(one=members, other=others, connected=seldom)
    def connects(self, one: int, other: int, connected: bool) -> None:
        left, right = self.members[one], self._other(one, other)
        if self.open[left] and self.open[right]:
            if connected:
                self._all(lambda world: world.connect(left, right))
            else:
                self._all(lambda world: world.disconnect(left, right))
            self._look()

    @rule(owner=members, other=others, blocked=seldom)
    def blocks_or_not(self, owner: int, other: int, blocked: bool) -> None:
        left, right = self.members[owner], self._other(owner, other)
        if self.open[left] and self.open[right]:
            if blocked:
                self.blocks.add((left, right))
                self._all(lambda world: world.block(left, right))
            else:
                self.blocks.discard((left, right))
                self._all(lambda world: world.unblock(left, right))

    @rule(member=members, accept=st.integers(0, 4).map(bool), open_profile=st.booleans())
    def prefers(self, member: int, accept: bool, open_profile: bool) -> None:
        if self.open[who := self.members[member]]:
            self.accepts[who] = accept
            self._all(
                lambda world: world.prefer(who, accept_inmail=accept, open_profile=open_profile)
            )

    @rule(member=members, really=st.integers(0, 7))
    def closes(self, member: int, really: int) -> None:
        who = self.members[member]
        if really == 7 and self.open[who] and sum(self.open.values()) > 2:
            self.open[who] = False
            self.blocks = {block for block in self.blocks if block[0] != who}
            self._all(lambda world: world.close(who))
            self._look()

    # Time -------------------------------------------------------------------------------------

    @rule(
        unit=st.sampled_from(["seconds", "hours", "days", "days", "weeks"]),
        count=st.integers(1, 30),
    )
    def time_passes(self, unit: str, count: int) -> None:
        self._move(self.now + timedelta(**{unit: count}))

    @precondition(lambda self: self.leaps < 2)
    @rule(days=st.integers(31, 731))
    def much_time_passes(self, days: int) -> None:
        # Where years lie between all that is done, little comes of it.
        self.leaps += 1
        self._move(self.now + timedelta(days=days))

    @rule(edge=numbers, seconds=st.sampled_from([-1, 0, 0, 1]))
    def time_comes_to_an_edge(self, edge: int, seconds: int) -> None:
        """To an instant at which something is to change, or just beside it."""
        edges = sorted({at for at in self._edges() if at > self.now + SECOND})
        if edges:
            self._move(edges[edge % len(edges)] + seconds * SECOND)

    def _edges(self) -> list[datetime]:
        found: list[datetime | None] = [self.book.change_after(self.now)]
        for books in self.worlds[0].books():
            account, held = books.account, books.account.subscription
            found += [account.next_due_at, *(lot.expires_at for lot in account.lots)]
            found += [
                at + timedelta(days=days) for at in account.granted_at.values() for days in (28, 31)
            ]
            if held is not None:
                found += [held.ends_at, held.changes_at]
        found += self.waiting.values()
        found += [sends[0] + timedelta(hours=24) for sends in self.free_sends.values() if sends]
        return [at for at in found if at is not None]

    def _move(self, later: datetime) -> None:
        if later.year > 2060:
            return
        for books in self.worlds[0].books():
            self._often_or_once(books.account, later)
        for world in self.worlds:
            world.now = later
        self._look()

    def _often_or_once(self, account: Account, later: datetime) -> None:
        """Rule 10: lateness changes nothing."""
        once = credits.settle(account, later, self.book)
        often: list[Entry] = []
        step = (later - self.now) / 3
        looks = [self.now + step, self.now + 2 * step, self.now + 2 * step + SECOND, later]
        looked_at = account
        for look in sorted(min(look, later) for look in looks):
            change = credits.settle(looked_at, look, self.book)
            often += change.entries
            looked_at = change.account
        assert list(once.entries) == often, f"Once {once.entries}, often {often}."
        same = replace(looked_at, settled_at=once.account.settled_at)
        assert same == once.account, f"Once {once.account}, often {same}."

    # Looking ----------------------------------------------------------------------------------

    def _look(self) -> None:
        for world in self.worlds:
            found = world.discrepancies()
            assert not found, "\n".join(str(each) for each in found[:3])
            self._premium_is_told(world)

    def _premium_is_told(self, world: World) -> None:
        runs = dict.fromkeys(self.members, False)
        for books in world.books():
            account = books.account
            if account.next_due_at is not None and account.next_due_at <= self.now:
                account = credits.settle(account, self.now, self.book).account
            runs[account.owner] |= account.subscription is not None
        for member, until in world.premium_until().items():
            premium = until is not None and until > self.now
            assert premium == runs[member], "Premium is shown without, or not with, a subscription."

    def _balance(self, member: MemberId, pool: str) -> int:
        for books in self.worlds[0].books():
            if (books.account.owner, books.account.pool) == (member, pool):
                return credits.settle(books.account, self.now, self.book).account.balance
        return 0

    def _pool(self, member: MemberId, number: int) -> str:
        """One in which the member has an account; now and then, or else, any."""
        held = [b.account.pool for b in self.worlds[0].books() if b.account.owner == member]
        pools = held if held and number % 4 else self.book.at(self.now).pools
        return pools[number % len(pools)]

    def _dues(self, member: MemberId) -> list[datetime]:
        """When something happens by itself in this member's accounts."""
        return [
            books.next_due_at
            for books in self.worlds[0].books()
            if books.account.owner == member and books.next_due_at is not None
        ]

    def _other(self, member: int, distance: int) -> MemberId:
        return self.members[(member + distance) % len(self.members)]

    def _thread(self, number: int) -> Thread:
        return self.threads[-1 - number % len(self.threads)]

    def _pending(self, number: int) -> Thread:
        """One that waits for its answer, where there is one."""
        pending = [each for each in self.threads if each[0] in self.waiting]
        return pending[-1 - number % len(pending)] if pending else self._thread(number)

    def _all(self, call: Callable[[World], Any]) -> Any:
        """Does it in every world; the answers are one answer."""
        answers = [call(world) for world in self.worlds]
        for answer in answers[1:]:
            assert _comparable(answer) == _comparable(answers[0]), (
                f"{type(self.worlds[0]).__name__} says {answers[0]}, the other {answer}."
            )
        return answers[0]


def _plain(contact: Contact) -> Contact:
    """A preview without the conversation itself, which the send is going to change."""
    return replace(contact, into=None)


def _comparable(answer: Any) -> Any:
    """What two worlds must agree on: not names, nor what lists show."""
    match answer:
        case Refused():
            return (answer.code, None if answer.contact is None else _plain(answer.contact))
        case Done():
            view = answer.conversation
            told = (view.id, view.kind, view.state, view.credits, view.expires_refund_at)
            return (told, answer.message, answer.charge, answer.created, answer.changed)
        case _:
            return answer
