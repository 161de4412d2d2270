"""The demo's year: the cast plays it through the real actions, on a clock that runs ahead of itself.

Chance is seeded, so that every demo has the same people, letters and habits; only the dates differ.
What comes within a few hours is done at once, in one batch, at one instant.
"""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from random import Random
from zoneinfo import ZoneInfo

from overture import ids
from overture.actions import (
    closing,
    conversations,
    inbox,
    members,
    network,
    reports,
    subscriptions,
)
from overture.actions.conversations import Ask
from overture.core.cycles import months_after
from overture.core.ids import ConversationId, InvitationId, MemberId, MessageId, ReportId
from overture.core.policy import Outcome, PolicyBook
from overture.core.sending import Command, Done, Refused, Respond, Start, Withdraw, Write
from overture.demo import letters
from overture.demo.cast import CAST, Part
from overture.store.db import Tx
from overture.store.members import Profile
from overture.store.reports import Report

# Days played so far, and days in all.
Progress = Callable[[int, int], None]

DAYS = 365
BATCH = timedelta(hours=3)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)

# InMails in 30 days that a plan's holder begins.
_PACE = {
    "premium_career": 1.6,
    "premium_business": 1.6,
    "sales_navigator_core": 2.2,
    "recruiter_lite": 2.2,
}
# When who signed up: whole months before the end of the year, and days before that.
_SIGN_UPS = {
    "rosina-rondo": (2, 10),
    "nemorino-nonet": (1, 16),
    "hare-hornpipe": (1, 7),
    "erda-euphonium": (5, 20),
    "colline-coda": (3, 25),
    "ottavio-oboe": (6, 9),
    "wotan-waltz": (8, 10),
    "tosca-timpani": (9, 12),
}
# They save their credits; Ottavio writes three letters, whose answers come when he has no room.
_SAVERS = ("rosina-rondo", "erda-euphonium", "colline-coda", "ottavio-oboe")
# Who has something to show on every page: they write four times as often, so many days before the end
# of the year, to strangers who have not written to them before.
_BUSY = {"figaro-fermata": 110}
# Letters that nobody answers, since the year ends or who has them leaves: from whom, to whom, how many
# days before the end.
_WAITING = (
    ("erda-euphonium", "figaro-fermata", 0.7),
    ("colline-coda", "figaro-fermata", 2.4),
    ("figaro-fermata", "giovanni-gavotte", 46),
)
# They have spent their last credit when the year ends.
_SPENDERS = ("nemorino-nonet", "hare-hornpipe")
# Who changed plans, and how many days before the end of the year: a plan to choose, or an end.
_CHANGES: tuple[tuple[str, int, str | subscriptions.CancelAt], ...] = (
    ("zerlina-zither", 200, "premium_business"),
    ("orfeo-organ", 190, subscriptions.CancelAt.PERIOD_END),
    ("alfredo-alto", 120, "premium_business"),
    ("onegin-octave", 100, subscriptions.CancelAt.NOW),
    ("onegin-octave", 95, "premium_career"),
    ("zerlina-zither", 80, "premium_career"),
    ("orfeo-organ", 60, "premium_career"),
    ("wotan-waltz", 6, "premium_career"),
    ("tosca-timpani", 5, subscriptions.CancelAt.PERIOD_END),
)
_LEAVES = ("giovanni-gavotte", 45)
# What the console has to judge: how many days before the end somebody reports the newest letter, why.
_REPORTS = (
    (9, reports.Reason.SPAM, "The same text came to three of us this week."),
    (1.2, reports.Reason.OTHER, "We met in Vienna, it says. I have never been to Vienna."),
)
_PARTS = {part.handle: part for part in CAST}


async def play(tx: Tx, now: datetime, book: PolicyBook, progress: Progress) -> None:
    """Makes the cast, and plays the year that ends at `now`. All of it in the given transaction."""
    year = _Year(tx, now, book, Random("overture"))
    year.arrange()
    await year.run(progress)


@dataclass(frozen=True, slots=True)
class _Say:
    """A command that is made when its time has come, or is not (None); `then` has its answer."""

    make: Callable[[], Command | None]
    then: Callable[[Done, datetime], None]


Verb = Callable[[datetime], Awaitable[object]]


@dataclass(slots=True)
class _Year:
    tx: Tx
    end: datetime
    book: PolicyBook
    rng: Random
    members: dict[str, MemberId] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    written: set[frozenset[str]] = field(default_factory=set)
    connected: list[tuple[Part, Part]] = field(default_factory=list)
    # The letters that were sent to strangers: by whom, to whom.
    sent: list[tuple[Part, Part, ConversationId]] = field(default_factory=list)
    # Instant, place in the order of planning, what happens.
    _plan: list[tuple[datetime, int, _Say | Verb]] = field(default_factory=list)
    _places: count[int] = field(default_factory=count)

    @property
    def start(self) -> datetime:
        return self.end - DAYS * DAY

    # The clock --------------------------------------------------------------------------------

    def at(self, instant: datetime, what: _Say | Verb) -> None:
        """Plans something; what would come after the year never does."""
        if instant <= self.end:
            heapq.heappush(self._plan, (instant, next(self._places), what))

    async def run(self, progress: Progress) -> None:
        while self._plan:
            until = self._plan[0][0] + BATCH
            batch: list[_Say | Verb] = []
            now = self.start
            while self._plan and self._plan[0][0] <= until:
                now, _, what = heapq.heappop(self._plan)
                batch.append(what)
            for what in batch:
                if not isinstance(what, _Say):
                    await what(now)
            await self._say([what for what in batch if isinstance(what, _Say)], now)
            progress((now - self.start).days, DAYS)

    async def _say(self, said: Sequence[_Say], now: datetime) -> None:
        made = [(each, command) for each in said if (command := each.make()) is not None]
        if not made:
            return
        asks = [Ask(command) for _, command in made]
        answers = await conversations.act(self.tx, asks, now, self.book)
        for (each, _), answer in zip(made, answers, strict=True):
            assert isinstance(answer, Done | Refused), "nothing is asked under a key"
            # A no is part of the life that is played: somebody was too early, or not welcome.
            if isinstance(answer, Done):
                each.then(answer, now)

    def _in_days(self, now: datetime, least: float, most: float, part: Part) -> datetime:
        """Some time from now, moved into the member's working hours."""
        local = (now + self.rng.uniform(least, most) * DAY).astimezone(ZoneInfo(part.time_zone))
        minutes = self.rng.randrange(8 * 60, 18 * 60)
        if local.hour >= 18:
            local = local.replace(hour=0, minute=0) + DAY
        if local.hour < 8:
            local = local.replace(hour=minutes // 60, minute=minutes % 60)
        if local.weekday() > 4:
            local += (7 - local.weekday()) * DAY
        return local.astimezone(self.end.tzinfo)

    def _ago(self, days: float) -> datetime:
        return self.end - days * DAY

    def _signed_up(self, months: int, days: int) -> datetime:
        """The instant from which so many months and days have passed at the end of the year."""
        anniversary = self.end - days * DAY - self.rng.randrange(60) * MINUTE
        return months_after(anniversary, -months)

    # Who there is -----------------------------------------------------------------------------

    def arrange(self) -> None:
        for part in CAST:
            self._arrange(part)
        self.at(self.start + 2 * DAY, self._know_each_other)
        for _ in range(220):
            self.at(self._ago(self.rng.uniform(0.2, 350)), self._invite)
        for _ in range(90):
            day = self.start + self.rng.uniform(3, DAYS) * DAY
            self.at(day, _Say(self._drop_a_line, self._line_dropped))
        for handle, days, change in _CHANGES:
            self.at(self._ago(days), self._changing(handle, change))
        # The demo's page has her write to him, as one stranger to another.
        self.written.add(frozenset(("rosina-rondo", "figaro-fermata")))
        for sender, to, days in _WAITING:
            self.written.add(frozenset((sender, to)))
            self._arrange_letter(_PARTS[sender], self._ago(days), unanswered=True, to=_PARTS[to])
        handle, days = _LEAVES
        self.at(self._ago(days), self._leaving(handle))
        self.at(self._ago(150), self._blocking("gilda-glockenspiel", "escamillo-encore"))
        self.at(self._ago(30), self._blocking("pamina-prelude", "scarpia-staccato"))
        for ago, reason, note in _REPORTS:
            self.at(self._ago(ago), self._reporting(reason, note))

    def _arrange(self, part: Part) -> None:
        """One member: when they join, sign up, and write."""
        since = _SIGN_UPS.get(part.handle)
        if since is not None:
            sign_up = self._signed_up(*since)
        elif len(part.plans) > 1 or self.rng.random() < 0.7:
            sign_up = self._ago(self.rng.uniform(330, 362))
        else:
            sign_up = self._ago(self.rng.uniform(40, 300))
        joins = max(self.start, sign_up - self.rng.uniform(0, 20) * DAY)
        self.at(joins, self._joining(part))
        for plan in part.plans:
            self.at(sign_up, self._changing(part.handle, plan))
            sign_up += self.rng.uniform(1, 40) * DAY
            if part.handle not in _SAVERS:
                self._arrange_letters(part, plan, sign_up)
        if not part.plans:
            for _ in range(2):
                self._arrange_letter(part, self._ago(self.rng.uniform(1, 300)), free=True)
        if part.handle == "ottavio-oboe":
            for days in (19, 16, 13):
                self._arrange_letter(part, self._ago(days), answered_at=self._ago(days / 4))
        if part.handle in _SPENDERS:
            for _ in range(15):
                self._arrange_letter(part, self._ago(self.rng.uniform(0.05, 4)), unanswered=True)

    def _arrange_letters(self, part: Part, plan: str, since: datetime) -> None:
        pool = self.book.at(self.end).plans[plan].pool
        pace = _PACE[plan] * self.rng.uniform(0.6, 1.5)
        at = since + self.rng.uniform(0, 10) * DAY
        if (days := _BUSY.get(part.handle)) is not None:
            at, pace = self._ago(days), 4 * pace if plan == part.plans[0] else pace
        while at < self.end:
            self._arrange_letter(part, at, pool=pool)
            at += self.rng.expovariate(pace / 30) * DAY

    def _joining(self, part: Part) -> Verb:
        async def join(now: datetime) -> None:
            member = MemberId(ids.new())
            new = members.NewMember(
                id=member,
                handle=part.handle,
                name=part.name,
                headline=part.headline,
                company=part.company,
                location=part.location,
                time_zone=part.time_zone,
                email=f"{part.handle}@overture.example",
            )
            made = await members.create(self.tx, new, now)
            assert isinstance(made, Profile), made
            self.members[part.handle] = member
            if part.about:
                about = members.ProfileChanges(about=part.about)
                await members.update(self.tx, member, about, now)
            if part.open_profile or not part.accept_inmail:
                wanted = members.PreferenceChanges(
                    accept_inmail=part.accept_inmail, open_profile=part.open_profile
                )
                await members.change_preferences(self.tx, member, wanted, now)

        return join

    def _changing(self, handle: str, change: str | subscriptions.CancelAt) -> Verb:
        async def carry_out(now: datetime) -> None:
            member = self.members[handle]
            if isinstance(change, subscriptions.CancelAt):
                changed = await subscriptions.cancel(
                    self.tx, member, "premium", change, now=now, book=self.book
                )
            else:
                pool = self.book.at(now).plans[change].pool
                changed = await subscriptions.choose(
                    self.tx, member, pool, change, now=now, book=self.book
                )
            assert isinstance(changed, subscriptions.SubscriptionChange), changed

        return carry_out

    def _leaving(self, handle: str) -> Verb:
        async def leave(now: datetime) -> None:
            self.gone.add(handle)
            await closing.close(self.tx, self.members[handle], now, self.book)

        return leave

    def _blocking(self, handle: str, other: str) -> Verb:
        async def block(now: datetime) -> None:
            await network.block(self.tx, self.members[handle], self.members[other], now)

        return block

    def _reporting(self, reason: reports.Reason, note: str) -> Verb:
        async def report(now: datetime) -> None:
            sender, reader, conversation = next(
                each
                for each in reversed(self.sent)
                if not self.gone & {each[0].handle, each[1].handle} and each[1].handle not in _BUSY
            )
            reported = await reports.report(
                self.tx,
                self.members[reader.handle],
                ReportId(ids.new()),
                member=self.members[sender.handle],
                conversation=conversation,
                reason=reason,
                note=note,
                now=now,
            )
            assert isinstance(reported, Report), reported

        return report

    def _here(self) -> list[Part]:
        return [
            part for part in CAST if part.handle in self.members and part.handle not in self.gone
        ]

    # The network ------------------------------------------------------------------------------

    async def _know_each_other(self, now: datetime) -> None:
        here = self._here()
        drawn = [tuple(self.rng.sample(here, 2)) for _ in range(110)]
        pairs = [(a, b) for a, b in drawn if frozenset((a.handle, b.handle)) not in self.written]
        for one, other in pairs:
            self._connect(one, other)
        wanted = [(self.members[one.handle], self.members[other.handle]) for one, other in pairs]
        await network.upsert_pairs(self.tx, wanted, now)

    async def _invite(self, now: datetime) -> None:
        inviter, invitee = self.rng.sample(self._here(), 2)
        if frozenset((inviter.handle, invitee.handle)) in self.written:
            return
        invitation = InvitationId(ids.new())
        await network.invite(
            self.tx,
            self.members[inviter.handle],
            self.members[invitee.handle],
            note=letters.note(self.rng, inviter, invitee),
            invitation_id=invitation,
            now=now,
        )
        chance = self.rng.random()
        if chance < 0.8:
            accepts = chance < 0.7

            async def answer(then: datetime) -> None:
                if {inviter.handle, invitee.handle} & self.gone:
                    return
                verb = network.accept if accepts else network.decline
                await verb(self.tx, self.members[invitee.handle], invitation, then)
                if accepts:
                    self._connect(inviter, invitee)

            self.at(self._in_days(now, 0.1, 6, invitee), answer)

    def _connect(self, one: Part, other: Part) -> None:
        self.connected.append((one, other))
        self.written.add(frozenset((one.handle, other.handle)))

    def _drop_a_line(self) -> Command | None:
        """One connection writes to another."""
        pairs = [pair for pair in self.connected if not self.gone & {each.handle for each in pair}]
        if not pairs:
            return None
        writer, other = self.rng.choice(pairs)
        return Start(
            self.members[writer.handle],
            self.members[other.handle],
            ConversationId(ids.new()),
            MessageId(ids.new()),
            letters.news(self.rng, writer, other),
        )

    def _line_dropped(self, done: Done, now: datetime) -> None:
        writer = self._part(done.conversation.with_.id)
        if self.rng.random() < 0.8:
            text = letters.news_answered(self.rng)
            self.at(self._in_days(now, 0.02, 2, writer), self._writing(writer, done, text))

    # Letters and what becomes of them -----------------------------------------------------------

    def _arrange_letter(
        self,
        sender: Part,
        at: datetime,
        *,
        pool: str | None = None,
        free: bool = False,
        unanswered: bool = False,
        answered_at: datetime | None = None,
        to: Part | None = None,
    ) -> None:
        """A letter to a stranger, or to the one named, and what its recipient makes of it."""
        recipient: Part | None = None

        def make() -> Command | None:
            nonlocal recipient
            recipient = to or self._stranger(sender, free=free)
            if recipient is None:
                return None
            costs = not recipient.open_profile
            paying = pool or "premium"
            subject, body = letters.first_letter(
                self.rng, sender, recipient, paying if costs else None
            )
            return Start(
                self.members[sender.handle],
                self.members[recipient.handle],
                ConversationId(ids.new()),
                MessageId(ids.new()),
                body,
                subject,
                pool if costs else None,
            )

        def then(done: Done, now: datetime) -> None:
            assert recipient is not None, "a letter that was sent has its recipient"
            self.sent.append((sender, recipient, done.conversation.id))
            if answered_at is not None:
                text = letters.answer(self.rng, sender, recipient, accepts=True)
                self.at(answered_at, self._writing(recipient, done, text))
            elif not unanswered:
                self._react(sender, recipient, done, now)

        moved = at if unanswered else self._in_days(at, 0, 0, sender)
        self.at(moved, _Say(make, then))

    def _stranger(self, sender: Part, *, free: bool) -> Part | None:
        """Whom to write to next: somebody who can be reached, as far as the sender can see."""
        if sender.handle in self.gone or sender.handle not in self.members:
            return None
        fitting = [
            part
            for part in self._here()
            if part is not sender
            and (part.open_profile if free else part.plans)
            and (part.accept_inmail or self.rng.random() < 0.1)
            and (part.handle not in _BUSY or self.rng.random() < 0.2)
            and frozenset((sender.handle, part.handle)) not in self.written
        ]
        if not fitting:
            return None
        chosen = self.rng.choice(fitting)
        self.written.add(frozenset((sender.handle, chosen.handle)))
        return chosen

    def _react(self, sender: Part, recipient: Part, done: Done, now: datetime) -> None:
        soon = self._in_days(now, 0.05, 5, recipient)
        chance = self.rng.random()
        if chance < 0.36:
            text = letters.answer(self.rng, sender, recipient, accepts=True)
            self.at(soon, self._writing(recipient, done, text, then=self._talk(sender, recipient)))
        elif chance < 0.54:
            reply = "interested" if chance < 0.48 else "maybe_later"
            self.at(soon, self._replying(recipient, done, reply, self._talk(sender, recipient)))
        elif chance < 0.62:
            self.at(soon, self._replying(recipient, done, "no_thanks"))
        elif chance < 0.66:
            text = letters.answer(self.rng, sender, recipient, accepts=False)
            self.at(soon, self._responding(recipient, done, Outcome.DECLINED))
            # They decline, and then explain themselves after all.
            self.at(soon + BATCH + MINUTE, self._writing(recipient, done, text))
        elif chance < 0.72:
            block = chance < 0.68
            self.at(soon, self._responding(recipient, done, Outcome.DECLINED, block=block))
        elif chance < 0.76:
            self.at(soon, self._responding(recipient, done, Outcome.ACCEPTED))
        elif chance < 0.80:
            late = self._in_days(now, 91, 130, recipient)
            text = letters.answer(self.rng, sender, recipient, accepts=True)
            self.at(late, self._writing(recipient, done, text))
        elif chance < 0.88:
            self.at(self._in_days(now, 6, 40, sender), self._withdrawing(sender, done))
        if 0.66 <= chance < 0.97:
            self.at(self._in_days(now, 0.01, 2, recipient), self._reading(recipient, done))
        if chance >= 0.985:
            self.at(soon, self._putting_away(recipient, done))

    def _talk(self, sender: Part, recipient: Part) -> Callable[[Done, datetime], None]:
        """They write on for a while, in turns, the sender first; some connect in the end."""
        begin = self.rng.randrange(0, 12, 2)
        turns = self.rng.choice((0, 1, 2, 2, 3, 4, 6))

        def go_on(turn: int) -> Callable[[Done, datetime], None]:
            writer, other = (sender, recipient) if turn % 2 == 0 else (recipient, sender)

            def then(done: Done, now: datetime) -> None:
                if turn < turns:
                    text = letters.chat(begin + turn, writer, other)
                    at = self._in_days(now, 0.02, 2, writer)
                    self.at(at, self._writing(writer, done, text, then=go_on(turn + 1)))
                elif turns:
                    self.at(self._in_days(now, 0.02, 1, writer), self._reading(writer, done))

            return then

        return go_on(0)

    def _writing(
        self,
        writer: Part,
        done: Done,
        text: str,
        then: Callable[[Done, datetime], None] | None = None,
    ) -> _Say:
        conversation = done.conversation.id

        def make() -> Command | None:
            if writer.handle in self.gone:
                return None
            member = self.members[writer.handle]
            return Write(member, conversation, MessageId(ids.new()), text)

        return _Say(make, then or _nothing)

    def _replying(
        self,
        recipient: Part,
        done: Done,
        reply: str,
        then: Callable[[Done, datetime], None] | None = None,
    ) -> _Say:
        quick = self.book.at(self.end).quick_reply(reply)
        assert quick is not None, "the demo's policy has these quick replies"
        conversation = done.conversation.id

        def make() -> Command | None:
            if recipient.handle in self.gone:
                return None
            member = self.members[recipient.handle]
            return Write(member, conversation, MessageId(ids.new()), quick.text, quick)

        return _Say(make, then or _nothing)

    def _responding(
        self, recipient: Part, done: Done, outcome: Outcome, *, block: bool = False
    ) -> _Say:
        conversation = done.conversation.id

        def make() -> Command | None:
            if recipient.handle in self.gone:
                return None
            return Respond(self.members[recipient.handle], conversation, outcome, block)

        return _Say(make, _nothing)

    def _withdrawing(self, sender: Part, done: Done) -> _Say:
        conversation = done.conversation.id

        def make() -> Command | None:
            if sender.handle in self.gone:
                return None
            return Withdraw(self.members[sender.handle], conversation)

        return _Say(make, _nothing)

    def _reading(self, reader: Part, done: Done) -> Verb:
        message = done.message

        async def read(now: datetime) -> None:
            if message is not None and reader.handle not in self.gone:
                viewer = self.members[reader.handle]
                await inbox.read(self.tx, viewer, message.conversation_id, message.id, now)

        return read

    def _putting_away(self, recipient: Part, done: Done) -> Verb:
        async def put_away(now: datetime) -> None:
            if recipient.handle not in self.gone:
                viewer = self.members[recipient.handle]
                await inbox.mark_spam(self.tx, viewer, done.conversation.id, now)

        return put_away

    def _part(self, member: MemberId) -> Part:
        return next(part for part in CAST if self.members.get(part.handle) == member)


def _nothing(_done: Done, _now: datetime) -> None:
    """What follows most things."""
