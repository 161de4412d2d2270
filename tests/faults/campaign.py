"""Kills under load: clients send and answer over HTTP while the server and PostgreSQL are killed.

Each client repeats a request with its Idempotency-Key until it is told what became of it. Afterwards
`damage` says what is wrong with the data, in sentences; nothing is what must be.

    python -m tests.faults.campaign --kills 60

kills the server and PostgreSQL in turn, so many times each.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from overture import ids, policies
from overture.actions import ledger, members, subscriptions, tokens
from overture.clock import real_now
from overture.core.ids import MemberId, TokenId
from overture.core.policy import PolicyBook, parse
from overture.store import embedded, installation
from overture.store.db import Database, Tx
from overture.store.migrate import migrate
from tests.faults.servers import (
    OPERATOR_TOKEN,
    Answer,
    Line,
    Server,
    kill_postgres,
    launch,
    until_answered,
)

CLIENTS = 16
SENDERS = 32
# Between two requests of a client, so that the kills meet starts and ends of transactions alike, and
# that the two cores have time left for what is killed.
PAUSE_SECONDS = 0.01
# Answers between two kills, at least: each kill falls into a load that runs again.
ANSWERS_BETWEEN = 60
BACK_SECONDS_MAX = 60
REPLAYED = 300


# The town ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cast:
    """Who writes, who is written to."""

    senders: Sequence[MemberId]
    recipients: Sequence[MemberId]


def rich_policy() -> PolicyBook:
    """The seed's rules with a plan that does not run out of credits under load."""
    seed = policies.document_of(policies.DEFAULT)
    plenty = seed.replace("allotment = 50\ncap = 150", "allotment = 20000\ncap = 60000")
    assert plenty != seed
    return parse(plenty)


async def people(url: str, senders: int, recipients: int) -> Cast:
    """Puts members into a migrated database: senders with credits, recipients with Premium."""
    now, book = real_now(), rich_policy()
    cast = Cast(
        [MemberId(ids.new()) for _ in range(senders)],
        [MemberId(ids.new()) for _ in range(recipients)],
    )
    plan = dict.fromkeys(cast.senders, ("sales_navigator", "sales_navigator_core"))
    plan |= dict.fromkeys(cast.recipients, ("premium", "premium_career"))

    async def install(tx: Tx) -> None:
        await policies.put_in_force(tx, book, now)
        await tokens.ensure_operator_token(tx, OPERATOR_TOKEN, TokenId(ids.new()))
        # So that a server that answers before it commits still finds it when it starts.
        await installation.ensure_secret(tx, ids.new_key())

    async def join(some: Sequence[MemberId]) -> None:
        async def work(tx: Tx) -> None:
            for member in some:
                handle = f"m{member[-12:]}{member[14:18]}"
                made = await members.create(tx, members.NewMember(member, handle, handle), now)
                assert isinstance(made, members.Profile), made
                chosen = await subscriptions.choose(tx, member, *plan[member], now=now, book=book)
                assert isinstance(chosen, subscriptions.SubscriptionChange), chosen

        await db.writing(work)

    db = await Database.open(url, connections=4)
    try:
        await db.writing(install)
        everyone = list(plan)
        for at in range(0, len(plan), 160):
            await asyncio.gather(*(join(everyone[at + n : at + 160 : 4]) for n in range(4)))
    finally:
        await db.close()
    return cast


def prepare(data: Path, *, recipients: int) -> Cast:
    """A new data folder with a town in it; nothing runs on it afterwards."""
    with embedded.start(data) as server:
        migrate(server.url)
        return asyncio.run(people(server.url, SENDERS, recipients))


def make_unsafe(data: Path) -> None:
    """Lets PostgreSQL acknowledge what is not on the disk yet, and take its time to bring it there."""
    with (
        embedded.start(data) as server,
        psycopg.connect(server.admin_url, autocommit=True) as connection,
    ):
        connection.execute(f"alter role {embedded.ROLE} set synchronous_commit = off")
        connection.execute("alter system set wal_writer_delay = '10s'")
        connection.execute("alter system set wal_writer_flush_after = '1GB'")


# The load ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A request and the answer that its client got for it."""

    viewer: MemberId
    path: str
    body: dict[str, Any]
    key: str
    answer: Answer

    @property
    def kind(self) -> str:
        return self.path.rpartition("/")[2]


@dataclass
class Campaign:
    """One run: the load, the kills, and what the clients were told."""

    data: Path
    cast: Cast
    log: Path
    mutant: str | None = None
    settings: dict[str, str] = field(default_factory=dict)
    told: list[Acknowledged] = field(default_factory=list)
    back_seconds: dict[str, list[float]] = field(
        default_factory=lambda: {"server": [], "postgres": []}
    )
    _over: bool = False

    async def run(self, kills: Sequence[str]) -> None:
        """Kills "server" and "postgres" in this order under load; leaves the server running."""
        self.server = self._launch(0)
        pairs = itertools.product(self.cast.recipients, self.cast.senders)
        clients = asyncio.gather(*(self._client(number, pairs) for number in range(CLIENTS)))
        try:
            for what in kills:
                await self._load_runs(clients)
                await asyncio.sleep(random.uniform(0, 0.2))
                began = time.monotonic()
                if what == "server":
                    self.server.kill()
                    self.server = await asyncio.to_thread(self._launch, self.server.port)
                else:
                    await asyncio.to_thread(kill_postgres, self.data)
                # More answers than can have been under way before.
                await self._load_runs(clients, at_least=CLIENTS + 1)
                self.back_seconds[what].append(time.monotonic() - began)
            self._over = True
            async with asyncio.timeout(BACK_SECONDS_MAX):
                await clients
        finally:
            clients.cancel()

    async def replays(self) -> list[str]:
        """Repeats requests that were answered, many before a kill: the first answer must come."""
        line = Line(self.server.port)
        found: list[str] = []
        for each in random.sample(self.told, min(REPLAYED, len(self.told))):
            again = await until_answered(
                line, each.path, each.body, as_member=each.viewer, key=each.key
            )
            if each.answer.status < 300 and again != each.answer:
                found.append(f"Another answer than the first to {each.key}: {again.status}.")
        line.close()
        return found

    def end(self) -> None:
        """Stops all that was started, whatever state it is in."""
        if hasattr(self, "server"):
            self.server.stop()
        kill_postgres(self.data)

    def _launch(self, port: int) -> Server:
        return launch(self.log, data=self.data, port=port, mutant=self.mutant, **self.settings)

    async def _load_runs(
        self, clients: asyncio.Future[Any], at_least: int = ANSWERS_BETWEEN
    ) -> None:
        wanted = len(self.told) + at_least
        async with asyncio.timeout(BACK_SECONDS_MAX):
            while len(self.told) < wanted and not clients.done():  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        if clients.done():
            clients.result()
            raise AssertionError("the load ended before its time: more recipients are needed")

    async def _client(self, number: int, pairs: Any) -> None:
        """Writes to strangers; now and then one of them answers, and the sender writes on."""
        line = Line(0)
        chance = random.Random(number)
        count = itertools.count()

        async def ask(viewer: MemberId, path: str, **body: Any) -> Answer:
            line.port = self.server.port
            key = f"{number}-{next(count)}"
            if "body" in body:
                body["body"] = f"{key}: {body['body']}"
            answer = await until_answered(line, path, body, as_member=viewer, key=key)
            self.told.append(Acknowledged(viewer, path, body, key, answer))
            await asyncio.sleep(PAUSE_SECONDS)
            return answer

        try:
            for recipient, sender in pairs:
                begun = await ask(sender, "/conversations", to=recipient, body="May I ask you?")
                if begun.status == 201 and chance.random() < 0.3:
                    thread = f"/conversations/{begun.json['conversation']['id']}"
                    how = chance.choice(["accept", "decline", "messages"])
                    words = {"body": "You may."} if how == "messages" else {}
                    answered = await ask(recipient, f"{thread}/{how}", **words)
                    if answered.status < 300 and how != "decline":
                        await ask(sender, f"{thread}/messages", body="How is it there?")
                if self._over:
                    return
        finally:
            line.close()


# The check --------------------------------------------------------------------------------------


def damage(url: str, told: Sequence[Acknowledged]) -> list[str]:
    """What is wrong with the data, given what the clients were told."""
    messages: dict[str, list[Any]] = {}
    for body, *place in _rows(url, "select body, conversation_id::text, id::text from messages"):
        messages.setdefault(body, []).append(place)
    return [
        *_of_clients(
            told, messages, dict(_rows(url, "select id::text, response from conversations"))
        ),
        *(
            f"The message “{body}” is there {len(places)} times."
            for body, places in messages.items()
            if len(places) > 1
        ),
        *broken_books(url),
        *asyncio.run(verified(url)),
    ]


def broken_books(url: str) -> list[str]:
    """What the tables contradict each other in: charge and message are one, so are response and
    refund, and a balance is the sum of its entries. In plain SQL, next to what verifies."""
    return [
        *(
            f"A charge without a message: InMail {inmail}."
            for (inmail,) in _rows(
                url,
                """
                select e.inmail_id from ledger_entries e
                where e.kind = 'spend' and not exists (select from conversations c
                    where c.owner_id = e.owner_id and c.id = e.inmail_id)
                """,
            )
        ),
        *(
            f"InMail {inmail} ({channel}) was charged {charged} times."
            for inmail, channel, charged in _rows(
                url,
                """
                select c.id, c.channel, count(e.number)
                from conversations c
                left join ledger_entries e
                    on e.owner_id = c.owner_id and e.inmail_id = c.id and e.kind = 'spend'
                group by c.id, c.channel
                having count(e.number) <> case when c.channel = 'inmail' then 1 else 0 end
                """,
            )
        ),
        *(
            f"InMail {inmail} (response: {response}) was returned {returned} times."
            for inmail, response, returned in _rows(
                url,
                """
                select c.id, c.response, count(e.number)
                from conversations c
                left join ledger_entries e
                    on e.owner_id = c.owner_id and e.inmail_id = c.id and e.reason <> 'deferred'
                    and e.kind in ('refund', 'defer', 'no_refund')
                where c.channel = 'inmail'
                group by c.id, c.response
                having count(e.number) <> case when c.response is null then 0 else 1 end
                """,
            )
        ),
        *(
            f"The balance of {owner} is {balance}, the sum of the entries {total}."
            for owner, balance, total in _rows(
                url,
                """
                select coalesce(a.owner_id, e.owner_id), a.balance, e.total
                from credit_accounts a
                full join (select owner_id, pool, sum(credits) as total
                    from ledger_entries group by owner_id, pool) e
                    on e.owner_id = a.owner_id and e.pool = a.pool
                where a.balance is distinct from e.total or a.balance < 0
                """,
            )
        ),
        *(
            f"{count} InMails are pending between {one} and {other}."
            for one, other, count in _rows(
                url,
                """
                select least(owner_id, recipient_id), greatest(owner_id, recipient_id), count(*)
                from conversations where state = 'pending'
                group by 1, 2 having count(*) > 1
                """,
            )
        ),
    ]


def _rows(url: str, statement: LiteralString) -> list[Any]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement).fetchall()


def _of_clients(
    told: Sequence[Acknowledged],
    messages: dict[str, list[Any]],
    responses: dict[str, str | None],
) -> list[str]:
    """Each acknowledged request against the data."""
    found: list[str] = []
    for each in told:
        if each.answer.status >= 300:
            found.append(f"{each.key} {each.path} was refused: {each.answer.body.decode()}")
            continue
        answer = each.answer.json
        if "body" in each.body:
            place = [answer["conversation"]["id"], answer["message"]["id"]]
            if place not in messages.get(each.body["body"], []):
                found.append(f"Lost: the message “{each.body['body']}” was acknowledged.")
        else:
            outcome = {"accept": "accepted", "decline": "declined"}[each.kind]
            if responses.get(answer["id"]) != outcome:
                found.append(f"Lost: the {each.kind} of {answer['id']} was acknowledged.")
    return found


async def verified(url: str) -> list[str]:
    """What `overture ledger verify` finds."""
    db = await Database.open(url, connections=2)
    try:

        async def work(tx: Tx) -> list[str]:
            book = await policies.in_force(tx)
            assert book is not None
            made = await ledger.verify(tx, real_now(), book)
            assert made.sound == (not made.discrepancies)
            return [f"Ledger: {each.sentence} ({each.member})" for each in made.discrepancies]

        return await db.reading(work)
    finally:
        await db.close()


@dataclass(frozen=True, slots=True)
class Report:
    """What a campaign came to."""

    told: list[Acknowledged]
    damage: list[str]
    back_seconds: dict[str, list[float]]

    @property
    def lost(self) -> list[str]:
        return [each for each in self.damage if each.startswith("Lost")]

    def summary(self) -> str:
        back = ", ".join(
            f"{what} {len(times)} times (answers again after {min(times):.1f} to {max(times):.1f} s)"
            for what, times in self.back_seconds.items()
            if times
        )
        shown = "".join(f"\n  {each}" for each in self.damage[:5])
        return (
            f"Killed: {back}. {len(self.told)} requests acknowledged, "
            f"{len(self.damage)} things wrong.{shown}"
        )


def kill_and_check(
    data: Path,
    cast: Cast,
    log: Path,
    kills: Sequence[str],
    *,
    mutant: str | None = None,
    also: Callable[[], list[str]] | None = None,
    **settings: str,
) -> Report:
    """A campaign on a prepared folder; `also` checks more while the server still runs."""
    campaign = Campaign(data, cast, log, mutant, settings)

    async def run() -> list[str]:
        await campaign.run(kills)
        return await campaign.replays()

    try:
        found = asyncio.run(run())
        with embedded.start(data) as server:
            found += damage(server.url, campaign.told)
            if also is not None:
                found += also()
        return Report(campaign.told, found, campaign.back_seconds)
    finally:
        campaign.end()


def command_verifies(data: Path) -> list[str]:
    """What `overture ledger verify` itself says of a folder."""
    command = [sys.executable, "-m", "overture", "ledger", "verify", "--data", str(data)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [] if done.returncode == 0 else [f"overture ledger verify: {done.stdout}{done.stderr}"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.faults.campaign")
    parser.add_argument("--kills", type=int, default=60, help="kills of each (default 60)")
    parser.add_argument("--mutant", help="a fault of tests/faults/mutants.py")
    parser.add_argument("--unsafe", action="store_true", help="with synchronous_commit=off")
    parser.add_argument("--processes", default="1", help="serving processes (default 1)")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="overture-kills-"))
    try:
        data = folder / "data"
        cast = prepare(data, recipients=100 + 60 * given.kills)
        if given.unsafe:
            make_unsafe(data)
        report = kill_and_check(
            data,
            cast,
            folder / "server.log",
            ["server", "postgres"] * given.kills,
            mutant=given.mutant,
            accept_unsafe_database=str(given.unsafe).lower(),
            processes=given.processes,
        )
        print(report.summary())
        return 1 if report.damage else 0
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
