"""Due work: how fast reminders and webhooks go out, how soon, and what they do to sends meanwhile.

A hundred thousand letters fall due to be reminded of at once, and a hundred thousand events are to be
delivered to a receiver on this machine. Their workers are real ones. Sends go on meanwhile over HTTP,
with and without a worker at it, in turns.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path

import psycopg
import uvloop

from bench.common import MEMBERS, Latencies, database, median, seed_members, table
from bench.http import SEND
from bench.load import Load, server, wrk
from overture.store.db import WORK_NAME

COUNT = 100_000
# So many are due while there are sends: more than is done meanwhile.
DUE = 30_000
RUNS = 5
AT_ONCE = 32
SECONDS = 6
# For the lag: so many fall due, or happen, a second, for so long.
RATE = 50
LAG_SECONDS = 15
GIVE_UP_SECONDS = 1800


def main(arguments: Sequence[str] = ()) -> None:
    quick = "--quick" in arguments
    count, due, runs = (5_000, 20_000, 1) if quick else (COUNT, DUE, RUNS)
    with database("jobs") as url, receiver() as sink:
        seed_members(url, MEMBERS)
        with server(url, "--jobs", "false", processes=1):
            pass  # The policy is in force, and the reader of events is where they begin.
        rates(url, sink, count)
        lags(url, sink, 5 if quick else LAG_SECONDS)
        beside_sends(url, sink, due, runs, 4 if quick else SECONDS)


# Throughput -------------------------------------------------------------------------------------


def rates(url: str, sink: Sink, count: int) -> None:
    seed_letters(url, count, 0)
    began = time.perf_counter()
    with worker(url):
        until(url, f"select count(*) = 0 from ({_UNREAD}) unread")
        made = time.perf_counter() - began
        until(url, f"select count(*) = 0 from ({_DUE}) due")
        reminded = time.perf_counter() - began
    check(url, count)
    with endpoint(url, sink), worker(url):
        seed_events(url, count)
        began = time.perf_counter()
        while sink.count() < count:
            give_up_after(began)
            time.sleep(0.05)
        delivered = time.perf_counter() - began
        until(url, f"select count(*) = 0 from ({_DUE}) due")
    table(
        f"Due work, {count:,} of each",
        ("what", "a second"),
        [
            ("events read, and jobs made of them", f"{count / made:,.0f}"),
            ("reminders, from the event to the reminder", f"{count / reminded:,.0f}"),
            ("webhooks, from the event to the receiver", f"{count / delivered:,.0f}"),
        ],
    )


# Lag --------------------------------------------------------------------------------------------


def lags(url: str, sink: Sink, seconds: int) -> None:
    """How long after its time something comes, where little is due."""
    count = RATE * seconds
    seed_letters(url, count, 1, spread=seconds)
    with worker(url):
        # Those are jobs before they are due.
        until(url, f"select count(*) = 0 from ({_UNREAD}) unread")
        time.sleep(seconds + 4)
        until(url, f"select count(*) = 0 from ({_DUE}) due")
    with psycopg.connect(url) as db:
        found = db.execute(_REMINDER_LAGS, (count,)).fetchall()
    reminders = Latencies.of([lag for (lag,) in found])
    sink.forget()
    with endpoint(url, sink), worker(url):
        with psycopg.connect(url, autocommit=True) as db:
            for _ in range(count):
                db.execute(_ONE_EVENT)
                time.sleep(1 / RATE)
        began = time.perf_counter()
        while sink.count() < count:
            give_up_after(began)
            time.sleep(0.05)
        webhooks = Latencies.of(sink.lags())
    table(
        f"The lag where {RATE} a second fall due",
        ("what", "p50 ms", "p99 ms"),
        [
            ("a reminder, after it was due", f"{reminders.p50:.0f}", f"{reminders.p99:.0f}"),
            ("a webhook, after its event", f"{webhooks.p50:.0f}", f"{webhooks.p99:.0f}"),
        ],
    )


# Beside sends -----------------------------------------------------------------------------------


def beside_sends(url: str, sink: Sink, count: int, runs: int, seconds: int) -> None:
    """Sends with nobody at work, with the server at it, and with a worker beside the server."""
    found: dict[str, list[Load]] = {}
    for run in range(runs):
        for name, work, here in (
            ("nothing is due", None, False),
            ("reminders, by the server", seed_letters, True),
            ("webhooks, by the server", seed_events, True),
            ("reminders, by a worker", seed_letters, False),
            ("webhooks, by a worker", seed_events, False),
        ):
            with (
                endpoint(url, sink),
                server(url, "--jobs", str(here).lower(), *ALLOWED, processes=1) as running,
            ):
                if work is seed_letters:
                    seed_letters(url, count, 2 + 2 * run + here)
                elif work is seed_events:
                    seed_events(url, count)
                if work is not None and not here:
                    with worker(url):
                        load = sends(running.address, seconds)
                else:
                    load = sends(running.address, seconds)
                found.setdefault(name, []).append(load)
            if work is not None:
                unfinished = one(url, f"select count(*) > 0 from ({_DUE}) due")
                assert unfinished, "the work was over before the sends: take more"
            clear(url)
    alone = found["nothing is due"]
    table(
        f"Sends over HTTP, {AT_ONCE} at once, while {count:,} are due",
        ("meanwhile", "sends/s", "p50 ms", "p99 ms", "times the p99 of nothing"),
        [
            (
                name,
                f"{median([load.per_second for load in loads]):,.0f}",
                f"{median([load.p50 for load in loads]):.1f}",
                f"{median([load.p99 for load in loads]):.1f}",
                f"{median([a.p99 / b.p99 for a, b in zip(loads, alone, strict=True)]):.2f}",
            )
            for name, loads in found.items()
        ],
    )


def sends(address: str, seconds: int) -> Load:
    wrk(address, SEND, at_once=AT_ONCE, seconds=1)
    return wrk(address, SEND, at_once=AT_ONCE, seconds=seconds)


# What is due ------------------------------------------------------------------------------------

ALLOWED = ("--webhook-allow-hosts", "127.0.0.1")


def seed_letters(url: str, count: int, run: int, *, spread: float = 0) -> None:
    """Letters that are to be reminded of now, or over the next seconds."""
    given = {"count": count, "members": MEMBERS, "shift": run + 1, "spread": spread}
    with psycopg.connect(url, autocommit=True) as db:
        for statement in _LETTERS:
            db.execute(statement, given)
        db.execute("vacuum analyze conversations, messages, inbox, outbox")


def seed_events(url: str, count: int) -> None:
    """Messages, which nobody but webhooks makes anything of."""
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(_EVENTS, {"count": count, "members": MEMBERS})


def clear(url: str) -> None:
    """Nothing is due any more, and what happened is past."""
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("truncate jobs, webhook_deliveries")
        db.execute(
            "update outbox_readers set gaps = '[]', top = (select max(sequence) from outbox)"
        )
        db.execute("vacuum analyze jobs")


def until(url: str, true: str) -> None:
    began = time.perf_counter()
    while not one(url, true):
        give_up_after(began)
        time.sleep(0.1)


def one(url: str, query: str) -> object:
    # Not as one to whom work would give way.
    with psycopg.connect(url, autocommit=True, application_name=WORK_NAME) as db:
        row = db.execute(query).fetchone()  # type: ignore[arg-type]
        assert row is not None
        return row[0]


def give_up_after(began: float) -> None:
    if time.perf_counter() - began > GIVE_UP_SECONDS:
        raise SystemExit("Due work does not come to an end.")


def check(url: str, reminders: int) -> None:
    """Each letter was reminded of, once."""
    told = one(url, "select count(*) from outbox where kind = 'inmail.reminded'")
    letters = one(
        url,
        "select count(distinct payload ->> 'conversation_id') from outbox"
        " where kind = 'inmail.reminded'",
    )
    if told != reminders or letters != reminders:
        raise SystemExit(f"wrong after the run: {told} reminders of {letters} letters")


@contextmanager
def worker(url: str) -> Iterator[None]:
    running = subprocess.Popen(
        [
            str(Path(sys.executable).parent / "overture"), "worker", "--database-url", url, *ALLOWED,
        ],
        env={**os.environ, "OVERTURE_LOG_LEVEL": "error"},
        stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert running.stdout is not None
        assert running.stdout.readline(), "The worker did not start."
        yield
    finally:
        running.terminate()
        running.wait(20)


@contextmanager
def endpoint(url: str, sink: Sink) -> Iterator[None]:
    """One endpoint that wants messages alone."""
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(_ENDPOINT, (f"http://127.0.0.1:{sink.port}/",))
        yield
        db.execute("delete from webhook_endpoints")


# The receiver -----------------------------------------------------------------------------------


class Sink:
    """A receiver of webhooks in a process of its own."""

    def __init__(self, line: Connection) -> None:
        self._line = line
        self.port: int = line.recv()

    def count(self) -> int:
        return int(self._ask("count"))

    def lags(self) -> list[float]:
        """Seconds from each event's timestamp to its arrival."""
        return self._ask("lags")

    def forget(self) -> None:
        self._ask("forget")

    def _ask(self, what: str) -> object:
        self._line.send(what)
        return self._line.recv()


@contextmanager
def receiver() -> Iterator[Sink]:
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_receive, args=(there,))
    process.start()
    try:
        yield Sink(here)
    finally:
        process.kill()
        process.join()


def _receive(line: Connection) -> None:
    uvloop.run(_answer(line))


async def _answer(line: Connection) -> None:
    arrived: list[tuple[float, bytes]] = []

    class Receiver(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport
            self.rest = b""

        def data_received(self, data: bytes) -> None:
            self.rest += data
            while (end := self.rest.find(b"\r\n\r\n")) >= 0:
                length = re.search(rb"(?i)content-length: (\d+)", self.rest[:end])
                whole = end + 4 + (int(length[1]) if length else 0)
                if len(self.rest) < whole:
                    return
                arrived.append((time.time(), self.rest[end + 4 : whole]))
                self.rest = self.rest[whole:]
                self.transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")  # type: ignore[attr-defined]

    loop = asyncio.get_running_loop()
    listening = await loop.create_server(Receiver, "127.0.0.1", 0)
    line.send(listening.sockets[0].getsockname()[1])
    while True:
        asked = await loop.run_in_executor(None, line.recv)
        if asked == "lags":
            line.send(
                [at - datetime.fromisoformat(json.loads(body)["timestamp"]).timestamp()
                for at, body in arrived]
            )  # fmt: skip
        elif asked == "forget":
            arrived.clear()
            line.send(None)
        else:
            line.send(len(arrived))


# SQL --------------------------------------------------------------------------------------------

_MEMBER = "('00000000-0000-7000-8000-' || lpad(to_hex({}), 12, '0'))::uuid"
_PAIRS = f"""
    select gen_random_uuid() as id, n, {_MEMBER.format("n")} as sender,
        {_MEMBER.format("(n + %(shift)s) %% %(members)s + 1")} as recipient,
        now() - interval '48 hours' + interval '1 second' * %(spread)s
            * (0.2 + (n - 1)::float / %(count)s) as at
    from generate_series(1, %(count)s) n
"""
_LETTERS = (
    f"create temporary table pairs as {_PAIRS}",
    # Those of whom one has written to the other since, as sends go to anybody.
    """
    delete from pairs p
    using inbox i
    where i.owner_id = p.sender and i.counterpart_id = p.recipient
    """,
    """
    insert into conversations (owner_id, id, kind, recipient_id, subject, channel, state,
        started_at, last_activity_at, sender_wrote_at, messages)
    select sender, id, 'inmail', recipient, 'A question', 'open_profile', 'pending', at, at, at, 1
    from pairs
    """,
    """
    insert into messages (owner_id, conversation_id, number, id, sender_id, sent_at, body)
    select sender, id, 1, gen_random_uuid(), sender, at, 'May I ask you something?'
    from pairs
    """,
    """
    insert into inbox (owner_id, conversation_id, home_id, counterpart_id, counterpart_handle,
        counterpart_name, kind, begun, state, box, subject, last_activity_at, pending_since)
    select o.owner, p.id, p.sender, o.other, 'someone', 'Someone', 'inmail', o.owner = p.sender,
        'pending', case when o.owner = p.sender then 'inbox' else 'requests' end, 'A question',
        p.at, p.at
    from pairs p, lateral (values (p.sender, p.recipient), (p.recipient, p.sender)) o (owner, other)
    """,
    """
    insert into outbox (owner_id, kind, at, payload)
    select sender, 'inmail.sent', at, json_build_object('conversation_id', id,
        'recipient_id', recipient, 'sender_id', sender, 'message_id', gen_random_uuid())
    from pairs
    order by n
    """,
)
_EVENT = """
    json_build_object('conversation_id', gen_random_uuid(), 'recipient_id', gen_random_uuid(),
        'sender_id', gen_random_uuid(), 'message_id', gen_random_uuid())
"""
_EVENTS = f"""
    insert into outbox (owner_id, kind, at, payload)
    select {_MEMBER.format("n %% %(members)s + 1")}, 'message.sent', now(), {_EVENT}
    from generate_series(1, %(count)s) n
"""
_ONE_EVENT = f"""
    insert into outbox (owner_id, kind, at, payload)
    select {_MEMBER.format("floor(random() * 1000)::bigint + 1")}, 'message.sent',
        clock_timestamp(), {_EVENT}
"""
_UNREAD = """
    select from outbox o, outbox_readers r where r.name = 'jobs' and o.sequence > r.top limit 1
"""
_DUE = """
    select from jobs where parked_at is null and due_at <= now() limit 1
"""
_REMINDER_LAGS = """
    select extract(epoch from o.at - c.started_at - interval '48 hours')::float
    from (select at, payload from outbox where kind = 'inmail.reminded'
        order by sequence desc limit %s) o
    join conversations c on c.id = (o.payload ->> 'conversation_id')::uuid
"""
_ENDPOINT = """
    insert into webhook_endpoints (id, url, events, description, secrets, created_at)
    values (gen_random_uuid(), %s, '{message.sent}', '',
        json_build_array(json_build_object('text', 'whsec_' || encode(sha256('bench'), 'base64'),
            'until', null)), now())
"""
