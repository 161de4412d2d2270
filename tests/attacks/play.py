"""One attack on credits: what its members do, through the real actions, and what they may get by it.

An attack keeps a book of its own of who holds which plan and which letter was paid, answered or taken
back, out of what it did and was told alone. `done` holds what is stored against it.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from overture import ids
from overture.actions import (
    closing,
    conversations,
    imports,
    ledger,
    members,
    network,
    subscriptions,
)
from overture.actions.conversations import Ask, KeyReused
from overture.core.ids import ConversationId, MemberId, MessageId
from overture.core.policy import Outcome, PolicyBook
from overture.core.refusals import Refusal
from overture.core.sending import Done, Refused, Respond, Start, Withdraw, Write
from overture.store import credits as store
from overture.store import imports as imports_store
from overture.store.db import Database, Tx, all_rows
from overture.store.idempotency import Kept, Once
from tests.attacks.purse import (
    REFUND_WINDOW,
    Purse,
    Step,
    Terms,
    after_any_order,
    most_ever,
)
from tests.cast import TakenBack, Town

SECOND = timedelta(seconds=1)
INSTANT = timedelta(microseconds=1)
DAY = timedelta(days=1)
OPEN_PROFILE_DAILY = 25
# How many of the races that can be are one batch, as a lane makes of what comes at once.
BATCHED = 0.75


class Netted(AssertionError):
    """Somebody got more than the rules give."""


@dataclass(frozen=True)
class Ground:
    """Where attacks take place: a database, the policy, and members who can be written to.

    `marks` are Premium and answer only where an attack has them do it. So is the victim, who came with
    an archive and has claimed the account.
    """

    url: str
    db: Database
    book: PolicyBook
    terms: dict[str, Terms]
    marks: list[MemberId]
    victim: MemberId
    victim_person: imports.Person


@dataclass(eq=False)
class Letter:
    """An InMail as its attack knows it. `pool` is the one that paid, None where it was free."""

    id: ConversationId
    sender: MemberId
    to: MemberId
    pool: str | None
    sent_at: datetime
    answered: Outcome | None = None
    answered_in_time: bool = False
    taken_back: bool = False
    reopened: bool = False

    @property
    def waits(self) -> bool:
        return self.answered is None and not self.taken_back

    @property
    def is_open(self) -> bool:
        return self.answered is Outcome.ACCEPTED or self.reopened


# What members do ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Send:
    viewer: MemberId
    to: MemberId
    pool: str | None = None
    key: str | None = None
    body: str = "May I ask you?"


@dataclass(frozen=True)
class Answer:
    """`how` is accept, decline, write, yes or no: the last two are quick replies."""

    letter: Letter
    how: str = "accept"


@dataclass(frozen=True)
class TakeBack:
    letter: Letter


@dataclass(frozen=True)
class Choose:
    viewer: MemberId
    plan: Terms


@dataclass(frozen=True)
class Cancel:
    viewer: MemberId
    pool: str
    at: str = "now"


Act = Send | Answer | TakeBack | Choose | Cancel


@dataclass(eq=False)
class Attack:
    """Verbs are what members do at one instant; `moves` lets time pass."""

    number: int
    name: str
    ground: Ground
    rng: random.Random
    now: datetime
    story: list[str] = field(default_factory=list)
    members: list[MemberId] = field(default_factory=list)
    letters: dict[ConversationId, Letter] = field(default_factory=dict)
    done_under: dict[Once, bytes] = field(default_factory=dict)
    connections: set[frozenset[MemberId]] = field(default_factory=set)
    open_profiles: set[MemberId] = field(default_factory=set)
    free_sends: dict[MemberId, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    purses: dict[tuple[MemberId, str], set[Purse]] = field(default_factory=dict)
    first_held: dict[tuple[MemberId, str], dict[str, datetime]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    acts: int = 0

    def __post_init__(self) -> None:
        self.town = Town(self.ground.db, self.ground.book, self.now)
        self._fresh = list(self.ground.marks)
        self.rng.shuffle(self._fresh)

    # Who, and when ---------------------------------------------------------------------------------

    async def joins(self, *plans: Terms, handle: str = "", **more: Any) -> MemberId:
        who = MemberId(ids.new())
        named = handle or f"m{who.replace('-', '')[-24:]}"
        new = members.NewMember(who, named, named.title(), **more)
        made = await self._do(lambda tx: members.create(tx, new, self.now))
        assert isinstance(made, members.Profile), made
        self.members.append(who)
        for plan in plans:
            await self.does(Choose(who, plan))
        return who

    def stranger(self) -> MemberId:
        """Somebody to whom nobody has written in this attack."""
        assert self._fresh, "There are no strangers left."
        return self._fresh.pop()

    def strangers(self, count: int) -> list[MemberId]:
        return [self.stranger() for _ in range(min(count, len(self._fresh)))]

    def moves(self, to: datetime) -> None:
        self.now = max(self.now, to)
        self.story.append(f"-- {self.now:%Y-%m-%d %H:%M:%S.%f}")

    def passes(self, **duration: float) -> None:
        self.moves(self.now + timedelta(**duration))

    @property
    def plans(self) -> list[Terms]:
        return list(self.ground.terms.values())

    def plans_of(self, pool: str) -> list[Terms]:
        return [plan for plan in self.plans if plan.pool == pool]

    # What they do ----------------------------------------------------------------------------------

    async def does(self, act: Act) -> Any:
        return (await self.race([act]))[0]

    async def race(self, acts: Sequence[Act], *, batch: bool | None = None) -> list[Any]:
        """All of these at one instant: each in its own transaction, or all letters in one batch."""
        plans = any(isinstance(act, Choose | Cancel) for act in acts)
        if batch is None:
            batch = not plans and len(acts) > 1 and self.rng.random() < BATCHED
        free = [
            isinstance(act, Send) and self._is_free(act.viewer, act.to, into=None) for act in acts
        ]
        self.acts += len(acts)
        if batch:
            answers = await self._in_one(acts)
        elif len(acts) == 1:
            answers = [await self._carry_out(acts[0])]
        else:
            answers = await asyncio.gather(*(self._carry_out(act) for act in acts))
        self.story += [
            f"   {self._told(act)} -> {_said(answer)}"
            for act, answer in zip(acts, answers, strict=True)
        ]
        self._judge(acts, answers, free)
        return list(answers)

    async def sends_all(self, who: MemberId, pool: str | None = None, at_most: int = 20) -> int:
        """Letters to strangers until there is no credit left; how many went."""
        for sent in range(at_most):
            if not self._fresh or not isinstance(
                await self.does(Send(who, self.stranger(), pool)), Done
            ):
                return sent
        return at_most

    async def closes(self, who: MemberId) -> None:
        """What they wrote is withdrawn, what they received undeliverable; their credits are gone."""
        closed = await self._do(lambda tx: closing.close(tx, who, self.now, self.ground.book))
        self.story.append(f"   {self._name(who)} closes the account -> {closed}")
        assert closed is True, closed
        self.acts += 1
        refunds: dict[tuple[MemberId, str], list[Step]] = defaultdict(list)
        for letter in self.letters.values():
            if letter.waits and letter.sender == who:
                letter.taken_back = True
            elif letter.waits and letter.to == who:
                letter.answered = Outcome.DECLINED
                refunds[letter.sender, letter.pool or ""] += self._refund(letter)
        for key, steps in refunds.items():
            self._purse(key, steps)
        for owner, pool in list(self.purses):
            if owner == who:
                self.purses[owner, pool] = {
                    purse if purse.plan is None else purse.until(self.now).cancels(at_once=True)
                    for purse in self.purses[owner, pool]
                }
        self.connections = {pair for pair in self.connections if who not in pair}
        self.open_profiles.discard(who)

    async def prefers(
        self, who: MemberId, *, open_profile: bool | None = None, **more: Any
    ) -> None:
        changes = members.PreferenceChanges(open_profile=open_profile, **more)
        told = await self._do(lambda tx: members.change_preferences(tx, who, changes, self.now))
        self.story.append(f"   {self._name(who)} prefers {open_profile} {more}")
        assert not isinstance(told, Refusal), told
        if open_profile is not None:
            (self.open_profiles.add if open_profile else self.open_profiles.discard)(who)

    async def connects(self, one: MemberId, other: MemberId) -> None:
        await self._do(lambda tx: network.upsert_pairs(tx, [(one, other)], self.now))
        self.story.append(f"   {self._name(one)} and {self._name(other)} connect")
        self.connections.add(frozenset((one, other)))

    async def disconnects(self, one: MemberId, other: MemberId) -> None:
        await self._do(lambda tx: network.disconnect(tx, one, other, self.now))
        self.story.append(f"   {self._name(one)} and {self._name(other)} part")
        self.connections.discard(frozenset((one, other)))

    async def blocks(self, one: MemberId, other: MemberId, *, lifted: bool = False) -> None:
        verb = network.unblock if lifted else network.block
        await self._do(lambda tx: verb(tx, one, other, self.now))
        self.story.append(f"   {self._name(one)} {verb.__name__}s {self._name(other)}")

    async def imports(self, archive: imports.Archive) -> Any:
        """An archive changes nothing of what may be had: whatever comes of it, nothing is noted."""
        made = None
        try:
            async with imports_store.transaction(self.ground.url) as tx:
                made = await imports.bring_in(tx, archive, self.now)
                if isinstance(made, imports.NotImported):
                    raise TakenBack(Refusal.NO_SUCH_MEMBER)
        except TakenBack:
            pass
        self.acts += 1
        self.story.append(
            f"   an archive of {archive.owner.handle} comes in -> {type(made).__name__}"
        )
        return made

    # What may come of it ---------------------------------------------------------------------------

    async def done(self) -> None:
        """What is stored is what the rules give: to everybody, in every pool, to the credit."""
        await self.ground.db.reading(self._look)

    async def _look(self, tx: Tx) -> None:
        for owner in self.members:
            view = await subscriptions.premium(tx, owner, self.now, self.ground.book)
            held = {pool.pool: (pool.balance, pool.deferred) for pool in view.pools}
            for pool in {plan.pool for plan in self.plans}:
                told = held.get(pool, (0, 0))
                right = {
                    (purse.balance, purse.waiting)
                    for purse in map(self._now, self.purses.get((owner, pool), ()))
                } or {(0, 0)}
                if told not in right:
                    raise self._netted(
                        f"{self._name(owner)} holds {told} of {pool}; the rules give {right}."
                    )
        await self._look_at_the_books(tx)

    async def _look_at_the_books(self, tx: Tx) -> None:
        """The shared check; and a bound on all that was ever had, out of the letters."""
        books = await store.books_of(tx, self.members)
        inmails = await store.inmails_of(tx, self.members)
        wrong = [
            each.sentence for each in ledger.differences(books, inmails, self.now, self.ground.book)
        ]
        if wrong:
            raise self._netted("; ".join(wrong))
        paid: Counter[tuple[MemberId, str]] = Counter()
        for owner, pool, charges in await all_rows(tx, _PAID, (self.members,)):
            paid[owner, pool] += charges
        answered = Counter(
            (letter.sender, letter.pool)
            for letter in self.letters.values()
            if letter.answered_in_time
        )
        for each in books:
            key = (each.account.owner, each.account.pool)
            most = most_ever(self.first_held[key], self.ground.terms, self.now)
            if paid[key] + each.balance > most + answered[key]:
                raise self._netted(
                    f"{paid[key]} were spent and {each.balance} are left of {key[1]}, where plans "
                    f"brought {most} at most, and answers {answered[key]}."
                )
        if set(paid) - {(each.account.owner, each.account.pool) for each in books}:
            raise self._netted("Letters were paid by nobody's account.")

    def _judge(self, acts: Sequence[Act], answers: Sequence[Any], free: Sequence[bool]) -> None:
        steps: dict[tuple[MemberId, str], list[Step]] = defaultdict(list)
        # What begins a letter first: of two that cross, the other one is its answer.
        judged = sorted(
            zip(acts, answers, free, strict=True), key=lambda each: not _begins(each[1])
        )
        for act, answer, _ in judged:
            match act:
                case Send():
                    self._judge_send(act, answer, steps)
                case Choose() if not isinstance(answer, Refusal):
                    key = (act.viewer, act.plan.pool)
                    self.first_held[key].setdefault(act.plan.name, self.now)
                    steps[key].append(act.plan)
                    if answer.subscription.next_plan:
                        # It may come by itself, within the month.
                        self.first_held[key].setdefault(answer.subscription.next_plan, self.now)
                case Cancel() if not isinstance(answer, Refusal):
                    steps[act.viewer, act.pool].append(act.at)
                case _:
                    pass
        for act, answer in zip(acts, answers, strict=True):
            if isinstance(act, TakeBack) and isinstance(answer, Done):
                act.letter.taken_back = True
        for act, answer in zip(acts, answers, strict=True):
            if isinstance(answer, Done) and (letter := self._answers(act, answer)) is not None:
                steps[letter.sender, letter.pool or ""] += self._response(act, letter)
        for key, what in steps.items():
            self._purse(key, what)
        # What made it free may have been there before, or have come at the same instant.
        for act, answer, was_free in judged:
            if isinstance(act, Send) and isinstance(answer, Done) and not answer.charge.credits:
                into = None if answer.created else answer.conversation.id
                if not (was_free or self._is_free(act.viewer, act.to, into=into)):
                    raise self._netted("A letter to a stranger cost nothing.")

    def _judge_send(
        self, act: Send, answer: Any, steps: dict[tuple[MemberId, str], list[Step]]
    ) -> None:
        if isinstance(answer, Kept) and answer.body != self.done_under.get(self._once(act)):
            raise self._netted("A repeat has another answer than the first had.")
        if not isinstance(answer, Done):
            return
        if act.key is not None:
            if self._once(act) in self.done_under:
                raise self._netted("One request was carried out twice.")
            self.done_under[self._once(act)] = _kept(answer)[1]
        charge = answer.charge
        assert charge is not None
        pool = charge.pool if charge.credits else None
        if pool is None:
            self._count_free(act, answer)
        else:
            if act.pool not in (None, pool):
                raise self._netted(f"{pool} paid, where {act.pool} was to.")
            steps[act.viewer, pool] += ["spend"] * charge.credits
        if answer.created and answer.conversation.kind.value == "inmail":
            here = answer.conversation.id
            self.letters[here] = Letter(here, act.viewer, act.to, pool, self.now)

    def _count_free(self, act: Send, answer: Done) -> None:
        """Free letters to Open Profiles are counted by the rules; so many in any 24 hours."""
        if not answer.created or answer.conversation.kind.value != "inmail":
            return
        lately = [at for at in self.free_sends[act.viewer] if at > self.now - DAY]
        if len(lately) >= OPEN_PROFILE_DAILY:
            raise self._netted(f"{len(lately) + 1} free letters within a day.")
        self.free_sends[act.viewer] = [*lately, self.now]

    def _answers(self, act: Act, answer: Done) -> Letter | None:
        """The letter that this wrote in, if it was the other side who did."""
        if isinstance(act, Answer):
            return act.letter
        if isinstance(act, Send) and not answer.created:
            letter = self.letters.get(answer.conversation.id)
            return letter if letter is not None and letter.to == act.viewer else None
        return None

    def _response(self, act: Act, letter: Letter) -> list[Step]:
        """What an answer does for who paid: the first one, and no other."""
        how = act.how if isinstance(act, Answer) else "write"
        if letter.taken_back:
            raise self._netted("What was withdrawn was answered.")
        if letter.answered is not None:
            letter.reopened = letter.reopened or how == "write"
            return []
        letter.answered = Outcome.DECLINED if how in ("decline", "no") else Outcome.ACCEPTED
        return self._refund(letter)

    def _refund(self, letter: Letter) -> list[Step]:
        letter.answered_in_time = self.now <= letter.sent_at + REFUND_WINDOW
        return ["refund"] if letter.pool is not None and letter.answered_in_time else []

    def _purse(self, key: tuple[MemberId, str], steps: Sequence[Step]) -> None:
        if not steps:
            return
        before = {self._now(purse) for purse in self.purses.get(key) or {Purse(self.now)}}
        after = after_any_order(before, steps)
        if not after:
            done = Counter(getattr(step, "name", step) for step in steps)
            held = {(purse.balance, purse.waiting) for purse in before}
            raise self._netted(
                f"{self._name(key[0])} had {held} of {key[1]}, and did {dict(done)}."
            )
        self.purses[key] = after

    def _now(self, purse: Purse) -> Purse:
        return purse.until(self.now)

    def _is_free(self, viewer: MemberId, to: MemberId, into: ConversationId | None) -> bool:
        """Whether anything lets one write to the other for nothing."""
        if frozenset((viewer, to)) in self.connections:
            return True
        if to in self.open_profiles and any(
            self._now(purse).plan is not None
            for (owner, _), purses in self.purses.items()
            if owner == to
            for purse in purses
        ):
            return True
        pair = {viewer, to}
        return any(
            letter.is_open or (letter.to == viewer and (letter.waits or letter.id == into))
            for letter in self.letters.values()
            if {letter.sender, letter.to} == pair
        )

    # Carrying it out -------------------------------------------------------------------------------

    async def _carry_out(self, act: Act) -> Any:
        match act:
            case Choose():
                self.town.now = self.now
                return await self.town.chooses(act.viewer, act.plan.pool, act.plan.name)
            case Cancel():
                self.town.now = self.now
                at = "now" if act.at == "now" else "period_end"
                return await self.town.cancels(act.viewer, act.pool, at)
            case _:
                ask = self._ask(act)
                now, book = self.now, self.ground.book
                answers = await self.ground.db.writing(
                    lambda tx: conversations.act(tx, [ask], now, book)
                )
                return answers[0]

    async def _in_one(self, acts: Sequence[Act]) -> Sequence[Any]:
        asks = [self._ask(act) for act in acts]
        now, book = self.now, self.ground.book
        return await self.ground.db.writing(lambda tx: conversations.act(tx, asks, now, book))

    def _ask(self, act: Act) -> Ask:
        message = MessageId(ids.new())
        match act:
            case Send():
                here = ConversationId(ids.new())
                start = Start(act.viewer, act.to, here, message, act.body, pool=act.pool)
                return Ask(start, self._once(act), _kept) if act.key else Ask(start)
            case Answer(letter, "accept" | "decline" as how):
                outcome = Outcome.ACCEPTED if how == "accept" else Outcome.DECLINED
                return Ask(Respond(letter.to, letter.id, outcome))
            case Answer(letter, "write"):
                return Ask(Write(letter.to, letter.id, message, "You may."))
            case Answer(letter, how):
                wanted = Outcome.DECLINED if how == "no" else Outcome.ACCEPTED
                replies = self.ground.book.at(self.now).quick_replies
                quick = next(reply for reply in replies if reply.outcome is wanted)
                return Ask(Write(letter.to, letter.id, message, quick.text, quick_reply=quick))
            case TakeBack(letter):
                return Ask(Withdraw(letter.sender, letter.id))
            case _:
                raise AssertionError(act)

    def _once(self, act: Send) -> Once:
        assert act.key is not None
        fingerprint = f"{act.to} {act.pool} {act.body}".encode()
        return Once(act.viewer, "POST /conversations", act.key, fingerprint)

    async def _do(self, verb: Callable[[Tx], Awaitable[Any]]) -> Any:
        return await self.town.do(verb)

    # Telling ---------------------------------------------------------------------------------------

    def _netted(self, sentence: str) -> Netted:
        return Netted("\n".join((f"Attack {self.number}, {self.name}: {sentence}", *self.story)))

    def _name(self, member: MemberId) -> str:
        if member in self.members:
            return f"member {self.members.index(member)}"
        return f"mark {member[-6:]}"

    def _told(self, act: Act) -> str:
        match act:
            case Send():
                key = f" under {act.key}" if act.key else ""
                who, to = self._name(act.viewer), self._name(act.to)
                return f"{who} writes to {to} from {act.pool}{key}"
            case Answer():
                return f"{self._name(act.letter.to)}: {act.how} to {act.letter.id[-6:]}"
            case TakeBack():
                return f"{self._name(act.letter.sender)} takes back {act.letter.id[-6:]}"
            case Choose():
                return f"{self._name(act.viewer)} chooses {act.plan.name}"
            case Cancel():
                return f"{self._name(act.viewer)} cancels {act.pool}, {act.at}"


def _begins(answer: Any) -> bool:
    return isinstance(answer, Done) and answer.created


def _kept(answer: Done) -> tuple[int, bytes]:
    return 201, f"{answer.conversation.id} {answer.charge}".encode()


def _said(answer: Any) -> str:
    match answer:
        case Done():
            paid = f", {answer.charge}" if answer.charge else ""
            return f"done {answer.conversation.id[-6:]}{paid}"
        case Refused():
            return str(answer.code)
        case Kept() | KeyReused():
            return type(answer).__name__
        case Refusal():
            return str(answer)
        case _:
            held = answer.subscription
            return f"{held.plan} {held.status}, {held.balance} left"


_PAID = """
    select owner_id::text, pool, cardinality(refundable_until) from conversations
    where owner_id = any(%s::uuid[]) and cardinality(refundable_until) > 0
"""
