"""A year in which members write to strangers, and every reminder is held against what it should be.

Members of many time zones send, answer, withdraw, block, opt out and in, connect, move and leave, each
through the real action at its own instant of the test clock, which brings about what falls due between.
What happened is also noted here, apart from the database, and afterwards `wrong` says of each letter
whether its reminder came, once, in its window, and only while there was reason for it.

    python -m tests.jobs.year --members 10000

plays a whole year and prints what the reminders were like.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import random
import sys
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing as closed_after
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import msgspec
import psycopg
import uvloop

from overture import ids
from overture.actions import closing, ledger, members, network, subscriptions
from overture.actions.conversations import Ask, act
from overture.app import opened_database
from overture.core.conversations import State
from overture.core.ids import ConversationId, MemberId, MessageId
from overture.core.policy import Outcome
from overture.core.refusals import Refusal
from overture.core.reminders import due_at
from overture.core.sending import Done, Respond, Start, Withdraw, Write
from overture.jobs.runner import Runner
from overture.store import installation
from overture.store.db import WORK_OPTIONS, Tx, all_rows
from tests import databases
from tests.cast import SIGN_UP, Town, town_in
from tests.work import runner_in

# Where people live, and where clocks do as they please: half and quarter hours, shifts of half an hour,
# both sides of the date line.
ZONES = (
    "UTC", "Europe/London", "Europe/Berlin", "Europe/Lisbon", "Europe/Kyiv", "Africa/Cairo",
    "Africa/Lagos", "Africa/Casablanca", "Asia/Dubai", "Asia/Tehran", "Asia/Kolkata",
    "Asia/Kathmandu", "Asia/Shanghai", "Asia/Tokyo", "Asia/Jakarta", "Australia/Sydney",
    "Australia/Adelaide", "Australia/Lord_Howe", "Pacific/Auckland", "Pacific/Chatham",
    "Pacific/Kiritimati", "Pacific/Pago_Pago", "America/New_York", "America/Chicago",
    "America/Los_Angeles", "America/St_Johns", "America/Sao_Paulo", "America/Caracas",
    "America/Santiago", "Pacific/Marquesas",
)  # fmt: skip
PLANS = (
    ("premium", "premium_career"),
    ("premium", "premium_business"),
    ("sales_navigator", "sales_navigator_core"),
    ("recruiter", "recruiter_lite"),
)
# What becomes of a hundred letters. The rest is never answered.
FATES = {
    "answers": 34, "declines": 8, "writes": 8, "withdraws": 7, "blocks": 5, "is_blocked": 4,
    "opts_out": 5, "connects": 6, "leaves": 1, "moves": 7,
}  # fmt: skip
# Letters that are sent at one instant, as the lanes gather them, by so many members each.
SENDS_AT_ONCE_MAX = 10
MEMBERS_FOR_EACH = 50
# What becomes of letters happens once an hour, and then all of that hour. Reminders come 48 hours after
# their letters or when a morning begins, and so just before or after, but never at this instant.
HAPPENS_AT = timedelta(minutes=17, seconds=23, microseconds=389)
# After some of them it is undone again, perhaps before the reminder is due.
UNDONE = {"blocks": 0.5, "is_blocked": 0.5, "opts_out": 0.9, "connects": 0.4}


@dataclass
class History:
    """What held from when on."""

    since: list[datetime]
    values: list[object]

    @classmethod
    def of(cls, value: object, since: datetime = SIGN_UP) -> History:
        return cls([since], [value])

    def becomes(self, value: object, at: datetime) -> None:
        self.since.append(at)
        self.values.append(value)

    def at(self, instant: datetime) -> object:
        return self.values[max(0, bisect_right(self.since, instant) - 1)]

    def changes_within(self, first: datetime, last: datetime) -> bool:
        return any(first < each <= last for each in self.since)


@dataclass
class Person:
    """A member as noted here."""

    id: MemberId
    zone: History
    accepts: History
    closed_at: datetime | None = None


@dataclass
class Sent:
    """A letter as noted here; `ended` is when and how it stopped being pending."""

    id: ConversationId
    sender: Person
    recipient: Person
    at: datetime
    ended: tuple[datetime, str] | None = None


@dataclass(order=True)
class Happening:
    at: datetime
    number: int
    carry_out: Callable[[], Awaitable[None]] = field(compare=False)


@dataclass
class Year:
    """`play` it, then ask `wrong` and `summary`."""

    town: Town
    runner: Runner
    chance: random.Random
    fates: Mapping[str, int]
    people: list[Person] = field(default_factory=list[Person])
    sent: dict[ConversationId, Sent] = field(default_factory=dict[ConversationId, Sent])
    blocks: dict[tuple[MemberId, MemberId], History] = field(default_factory=dict)
    connections: dict[frozenset[MemberId], History] = field(default_factory=dict)
    reminded: dict[ConversationId, list[datetime]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter[str])
    _agenda: list[Happening] = field(default_factory=list[Happening])
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    # Playing ----------------------------------------------------------------------------------------

    async def play(
        self, people: int, days: float, letters: int, progress: Callable[[float], None]
    ) -> None:
        await self.town.do(lambda tx: installation.set_test_clock(tx, SIGN_UP))
        await self._sign_up(people, hours=min(120, int(days * 4)))
        end = SIGN_UP + timedelta(days=days)
        at_once = max(1, min(SENDS_AT_ONCE_MAX, people // MEMBERS_FOR_EACH))
        for first in range(0, letters, at_once):
            count = min(at_once, letters - first)
            self._at(
                self._some_instant(self.town.now, end - timedelta(days=4)),
                partial(self._send, count),
            )
        while self._agenda:
            happening = heapq.heappop(self._agenda)
            if happening.at >= end:
                break
            if happening.at > self.town.now:
                await self._until(happening.at)
            await happening.carry_out()
            progress((happening.at - SIGN_UP) / (end - SIGN_UP))
        await self._until(end)
        rows = await self.town.look(
            lambda tx: all_rows(
                tx,
                "select at, payload from outbox where kind = 'inmail.reminded' order by sequence",
            )
        )
        for at, payload in rows:
            letter = ConversationId(msgspec.json.decode(payload)["conversation_id"])
            self.reminded.setdefault(letter, []).append(at)

    async def _until(self, instant: datetime) -> None:
        self.town.now = instant
        await self.runner.play(instant)

    async def _sign_up(self, people: int, hours: int) -> None:
        """At whole hours, so that many members' credits come at the same instants all year."""
        chosen = sorted(self.chance.randrange(hours) for _ in range(people))
        for hour, group in itertools.groupby(chosen):
            await self._until(SIGN_UP + timedelta(hours=hour))
            joined = await self.town.db.writing(partial(self._join, count=len(list(group))))
            self.people += joined

    async def _join(self, tx: Tx, count: int) -> list[Person]:
        joined: list[Person] = []
        for number in range(len(self.people), len(self.people) + count):
            zone = self.chance.choice(ZONES)
            handle = f"member-{number}"
            new = members.NewMember(MemberId(ids.new()), handle, handle.title(), time_zone=zone)
            made = await members.create(tx, new, self.town.now)
            assert isinstance(made, members.Profile), made
            pool, plan = PLANS[number % len(PLANS)]
            chosen = await subscriptions.choose(
                tx, new.id, pool, plan, now=self.town.now, book=self.town.book
            )
            assert isinstance(chosen, subscriptions.SubscriptionChange), chosen
            joined.append(Person(new.id, History.of(zone), History.of(True)))
        return joined

    async def _lives_in(self, member: MemberId, zone: str) -> None:
        change = members.ProfileChanges(time_zone=zone)
        await self.town.do(lambda tx: members.update(tx, member, change, self.town.now))

    def _at(self, instant: datetime, carry_out: Callable[[], Awaitable[None]]) -> None:
        heapq.heappush(self._agenda, Happening(instant, next(self._numbers), carry_out))

    def _after(self, hours: float, carry_out: Callable[[], Awaitable[None]]) -> None:
        """When it next happens that what becomes of letters does, after so many hours."""
        past = self.town.now + timedelta(hours=hours) - SIGN_UP - HAPPENS_AT
        self._at(SIGN_UP + HAPPENS_AT + timedelta(hours=past // timedelta(hours=1) + 1), carry_out)

    def _some_instant(self, first: datetime, last: datetime) -> datetime:
        """To the microsecond, so that nothing happens at the very instant of a reminder."""
        return first + (last - first) * self.chance.random()

    async def _send(self, count: int) -> None:
        chosen = self.chance.sample(self.people, 2 * count)
        pairs = [
            (sender, recipient)
            for sender, recipient in zip(chosen[:count], chosen[count:], strict=True)
            if not (sender.closed_at or recipient.closed_at)
        ]
        self.counts["not sent"] += count - len(pairs)
        asks = [
            Ask(
                Start(
                    sender.id,
                    recipient.id,
                    ConversationId(ids.new()),
                    MessageId(ids.new()),
                    "May I ask you something?",
                )
            )
            for sender, recipient in pairs
        ]
        answers = await self.town.db.writing(
            lambda tx: act(tx, asks, self.town.now, self.town.book)
        )
        for (sender, recipient), answer in zip(pairs, answers, strict=True):
            if not isinstance(answer, Done):
                self.counts["not sent"] += 1
            elif answer.conversation.state is not State.PENDING:
                # An answer to a letter of theirs, or a line in an open conversation.
                self._ends(answer.conversation.id, "answered")
            elif answer.conversation.id not in self.sent:
                # Else a line more to a letter that waits, as those who are connected may write.
                self._is_sent(Sent(answer.conversation.id, sender, recipient, self.town.now))

    def _is_sent(self, sent: Sent) -> None:
        self.sent[sent.id] = sent
        rest = 100 - sum(self.fates.values())
        fate = self.chance.choices([*self.fates, ""], [*self.fates.values(), rest])[0]
        if fate:
            # Many about when the reminder is due, so that it matters which came first.
            hours = self.chance.choice(
                [self.chance.uniform(0, 72), self.chance.expovariate(1 / 60)]
            )
            self._after(hours, lambda: getattr(self, f"_{fate}")(sent))

    def _ends(self, conversation: ConversationId, how: str) -> None:
        sent = self.sent.get(conversation)
        if sent is not None and sent.ended is None:
            sent.ended = (self.town.now, how)
            self.counts[how] += 1

    async def _acts(self, sent: Sent, command: Respond | Withdraw | Write, how: str) -> None:
        answers = await self.town.db.writing(
            lambda tx: act(tx, [Ask(command)], self.town.now, self.town.book)
        )
        if isinstance(answers[0], Done) and answers[0].changed:
            self._ends(sent.id, how)

    # What becomes of letters ------------------------------------------------------------------------

    async def _answers(self, sent: Sent) -> None:
        await self._acts(sent, Respond(sent.recipient.id, sent.id, Outcome.ACCEPTED), "answered")

    async def _declines(self, sent: Sent) -> None:
        respond = Respond(sent.recipient.id, sent.id, Outcome.DECLINED)
        await self._acts(sent, respond, "answered")

    async def _writes(self, sent: Sent) -> None:
        message = MessageId(ids.new())
        await self._acts(sent, Write(sent.recipient.id, sent.id, message, "Gladly."), "answered")

    async def _withdraws(self, sent: Sent) -> None:
        await self._acts(sent, Withdraw(sent.sender.id, sent.id), "withdrawn")

    async def _blocks(self, sent: Sent) -> None:
        await self._block(sent.recipient, sent.sender)
        self._perhaps_undone("blocks", lambda: self._unblock(sent.recipient, sent.sender))

    async def _is_blocked(self, sent: Sent) -> None:
        await self._block(sent.sender, sent.recipient)
        self._perhaps_undone("is_blocked", lambda: self._unblock(sent.sender, sent.recipient))

    async def _block(self, one: Person, other: Person) -> None:
        if (
            await self.town.do(lambda tx: network.block(tx, one.id, other.id, now=self.town.now))
            is None
        ):
            self.counts["blocked"] += 1
            history = self.blocks.setdefault((one.id, other.id), History.of(False))
            history.becomes(True, self.town.now)
            self._connection(one, other).becomes(False, self.town.now)

    async def _unblock(self, one: Person, other: Person) -> None:
        if (
            await self.town.do(lambda tx: network.unblock(tx, one.id, other.id, now=self.town.now))
            is None
        ):
            self.blocks[one.id, other.id].becomes(False, self.town.now)

    async def _opts_out(self, sent: Sent) -> None:
        await self._accepts(sent.recipient, wanted=False)
        self._perhaps_undone("opts_out", lambda: self._accepts(sent.recipient, wanted=True))

    async def _accepts(self, person: Person, *, wanted: bool) -> None:
        change = members.PreferenceChanges(accept_inmail=wanted)
        done = await self.town.do(
            lambda tx: members.change_preferences(tx, person.id, change, self.town.now)
        )
        if not isinstance(done, Refusal):
            self.counts["opted out"] += not wanted
            person.accepts.becomes(wanted, self.town.now)

    async def _connects(self, sent: Sent) -> None:
        one, other = sent.sender, sent.recipient
        if one.closed_at or other.closed_at:
            return
        made = await self.town.do(
            lambda tx: network.upsert_pairs(tx, [(one.id, other.id)], self.town.now)
        )
        if not isinstance(made, Refusal):
            self.counts["connected"] += 1
            self._connection(one, other).becomes(True, self.town.now)
            self._perhaps_undone("connects", lambda: self._disconnects(one, other))

    async def _disconnects(self, one: Person, other: Person) -> None:
        if (
            await self.town.do(lambda tx: network.disconnect(tx, one.id, other.id, self.town.now))
            is None
        ):
            self._connection(one, other).becomes(False, self.town.now)

    def _connection(self, one: Person, other: Person) -> History:
        return self.connections.setdefault(frozenset((one.id, other.id)), History.of(False))

    async def _leaves(self, sent: Sent) -> None:
        leaving = self.chance.choice([sent.sender, sent.recipient])
        if leaving.closed_at:
            return
        await self.town.do(lambda tx: closing.close(tx, leaving.id, self.town.now, self.town.book))
        leaving.closed_at = self.town.now
        self.counts["left"] += 1
        for each in self.sent.values():
            if leaving in (each.sender, each.recipient):
                self._ends(each.id, "ended with an account")

    async def _moves(self, sent: Sent) -> None:
        person, zone = sent.recipient, self.chance.choice(ZONES)
        if not person.closed_at:
            self.counts["moved"] += 1
            await self._lives_in(person.id, zone)
            person.zone.becomes(zone, self.town.now)

    def _perhaps_undone(self, what: str, undo: Callable[[], Awaitable[None]]) -> None:
        if self.chance.random() < UNDONE[what]:
            hours = self.chance.choice([self.chance.uniform(0, 24), self.chance.uniform(0, 400)])
            self._after(hours, undo)

    # Checking ---------------------------------------------------------------------------------------

    def wrong(self) -> dict[str, list[str]]:
        """What is wrong with the reminders, by kind, in sentences."""
        found: dict[str, list[str]] = {}

        def say(kind: str, sent: Sent, what: str) -> None:
            found.setdefault(kind, []).append(f"{sent.id}, sent at {sent.at}: {what}")

        for each in self.sent.values():
            came = self.reminded.get(each.id, [])
            for at in came:
                if why := self._no_reason(each, at):
                    say(why, each, f"reminded at {at}")
                if not timedelta(hours=48) <= at - each.at <= timedelta(hours=72):
                    say("outside of 48 to 72 hours", each, f"reminded at {at}")
                local = at.astimezone(self._zone(each, at))
                if not 8 <= local.hour < 21:
                    say("outside of the waking hours", each, f"reminded at {local}")
            if len(came) > 1:
                say("double", each, f"reminded at {', '.join(map(str, came))}")
            planned = due_at(
                each.at, str(each.recipient.zone.at(each.at)), self.town.book.at(each.at)
            )
            latest = each.at + timedelta(hours=72)
            moved = each.recipient.zone.changes_within(each.at, planned)
            if not moved and self._no_reason(each, planned) is None:
                if came != [planned]:
                    say("missed" if not came else "not when it was due", each, f"due at {planned}")
            elif moved and not came and self._reason_holds(each, planned, latest):
                say("missed", each, f"due from {planned} on, since they moved")
        for unknown in self.reminded.keys() - self.sent.keys():
            found.setdefault("of nothing", []).append(unknown)
        return found

    def _no_reason(self, sent: Sent, at: datetime) -> str | None:
        if sent.ended is not None and sent.ended[0] <= at:
            return f"although {sent.ended[1]}"
        one, other = sent.sender.id, sent.recipient.id
        for pair in ((one, other), (other, one)):
            if pair in self.blocks and self.blocks[pair].at(at):
                return "although blocked"
        if not sent.recipient.accepts.at(at):
            return "although opted out"
        pair = frozenset((one, other))
        if pair in self.connections and self.connections[pair].at(at):
            return "although connected"
        return None

    def _reason_holds(self, sent: Sent, first: datetime, last: datetime) -> bool:
        """All the time from one instant to another."""
        hours = int((last - first) / timedelta(minutes=10)) + 1
        return all(
            self._no_reason(sent, first + timedelta(minutes=10) * number) is None
            for number in range(hours)
        )

    @staticmethod
    def _zone(sent: Sent, at: datetime) -> ZoneInfo:
        return ZoneInfo(str(sent.recipient.zone.at(at)))

    async def damage(self) -> list[str]:
        """What is wrong elsewhere: with the books, with what is told of credits, with what is left."""
        verified = await self.town.look(lambda tx: ledger.verify(tx, self.town.now, self.town.book))
        # Over whole tables, which the town's connections are not for.
        async with await psycopg.AsyncConnection.connect(self.town.db.url) as whole:
            left = await (await whole.execute(_LEFT, (self.town.now,))).fetchall()
            grants = await (await whole.execute(_GRANTS)).fetchall()
        return [
            *(f"Ledger: {each.sentence}" for each in verified.discrepancies),
            *(f"Left in {queue}: {count} jobs." for queue, count in left),
            *(f"A grant of {owner} at {at} was told {count} times." for owner, at, count in grants),
        ]

    def summary(self) -> str:
        """The distribution of the reminders."""
        hours: Counter[int] = Counter()
        local: Counter[int] = Counter()
        for each in self.sent.values():
            for at in self.reminded.get(each.id, []):
                hours[int((at - each.at) / timedelta(hours=1))] += 1
                local[at.astimezone(self._zone(each, at)).hour] += 1
        wrong = self.wrong()
        told = sum(map(len, self.reminded.values()))
        people = f"{len(self.people):,} members in {len(ZONES)} time zones"
        return "\n".join(
            [
                f"{people} sent {len(self.sent):,} letters; {told:,} reminders came.",
                ", ".join(f"{count:,} {what}" for what, count in self.counts.most_common()) + ".",
                "",
                "hours after the letter",
                *_bars(hours, range(48, 72)),
                "",
                "hour of the recipient's clock",
                *_bars(local, range(24)),
                "",
                *(
                    f"{len(wrong.get(kind, [])):,} {kind}"
                    for kind in dict.fromkeys(("missed", "double", "although answered", *wrong))
                ),
            ]
        )


def _bars(counts: Counter[int], hours: range) -> list[str]:
    most = max([*counts.values(), 1])
    return [
        f"  {hour:2} {counts[hour]:7,} {'#' * round(counts[hour] / most * 50)}"
        for hour in sorted({*hours, *counts})
    ]


_LEFT = """
    select queue, count(*) from jobs where due_at <= %s or parked_at is not null or tries > 0
    group by queue
"""
# Each grant that came by itself is told once, at its instant.
_GRANTS = """
    select e.owner_id, e.at, count(o.sequence)
    from ledger_entries e
    left join outbox o on o.kind = 'credits.granted' and o.owner_id = e.owner_id
        and o.payload ->> 'pool' = e.pool and (o.payload ->> 'granted_at')::timestamptz = e.at
        and o.at = e.at
    where e.kind = 'grant' and e.credits > 0 and e.reason in ('cycle', 'cap')
    group by e.owner_id, e.pool, e.at
    having count(o.sequence) <> 1
"""


async def played(
    url: str,
    *,
    people: int,
    days: float,
    letters: int,
    seed: int = 1,
    fates: Mapping[str, int] = FATES,
    progress: Callable[[float], None] = lambda share: None,
) -> Year:
    """A year, or less of it, in a fresh database."""
    # As the server and its runner are connected.
    async with (
        town_in(url) as town,
        opened_database(url, connections=4, options=WORK_OPTIONS) as at_work,
    ):
        runner = runner_in(Town(at_work, town.book))
        year = Year(town, runner, random.Random(seed), fates)
        await year.play(people, days, letters, progress)
        year.counts["things wrong elsewhere"] = len(await year.damage())
        return year


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.jobs.year")
    parser.add_argument("--members", type=int, default=10_000)
    parser.add_argument("--days", type=float, default=365)
    parser.add_argument("--letters", type=int, help="that are tried (default: three a member)")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    began = time.monotonic()
    last = 0

    def progress(share: float) -> None:
        nonlocal last
        if int(share * 20) > last:
            last = int(share * 20)
            print(f"{last * 5} % after {time.monotonic() - began:,.0f} s", file=sys.stderr)

    with (
        databases.temporary_folder() as folder,
        databases.server_to_throw_away(folder / "data") as server,
        closed_after(databases.Databases(admin_url=server.admin_url, role_url=server.url)) as made,
    ):
        made.forget_disk()
        year = uvloop.run(
            played(
                made.fresh(),
                people=given.members,
                days=given.days,
                letters=given.letters or 3 * given.members,
                seed=given.seed,
                progress=progress,
            )
        )
    print(year.summary())
    return 1 if year.wrong() or year.counts["things wrong elsewhere"] else 0


if __name__ == "__main__":
    sys.exit(main())
