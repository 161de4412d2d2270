"""Open event streams: how soon a message reaches the other side, and what a stream takes of memory."""

import asyncio
import json
import random
import re
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

import psycopg

from bench.common import Latencies, database, member_id, seed_members, table
from bench.load import OPERATOR_TOKEN, Server, server

STREAMS = 2_000
# Messages a second, between members picked at random.
RATE = 50
SECONDS = 20


def main(arguments: Sequence[str] = ()) -> None:
    seconds = 5 if "--quick" in arguments else SECONDS
    streams = 500 if "--quick" in arguments else STREAMS
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    rows: list[Sequence[object]] = []
    with database("streams") as url:
        seed_members(url, streams)
        seed(url, streams)
        for what in ("api", "pages"):
            for processes in (1, 2):
                with server(url, processes=processes) as running:
                    run = Run(running, what, streams, processes)
                    asyncio.run(run.measure(seconds))
                    rows.append(run.row())
    table(
        f"{streams:,} open streams, {RATE} messages a second",
        (
            "streams",
            "p50 ms",
            "p99 ms",
            "from the request on, p50 ms",
            "kB a stream",
            "lost",
            "refused",
        ),
        rows,
    )


@dataclass
class Run:
    """One server with its streams."""

    running: Server
    what: str
    streams: int
    processes: int
    kilobytes: float = 0
    refused: int = 0
    asked_at: dict[int, float] = field(default_factory=dict[int, float])
    answered_at: dict[int, float] = field(default_factory=dict[int, float])
    arrived_at: dict[int, float] = field(default_factory=dict[int, float])
    readers: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(
        default_factory=list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]
    )

    async def measure(self, seconds: int) -> None:
        # What a process takes once, it should have taken already.
        await self.send(0, asyncio.Queue())
        before = self.running.memory_mb()
        for first in range(0, self.streams, 100):
            numbers = range(first + 1, min(first + 100, self.streams) + 1)
            self.readers += await asyncio.gather(*(self.open(n) for n in numbers))
        await asyncio.sleep(2)
        self.kilobytes = (self.running.memory_mb() - before) * 1024 / len(self.readers)
        reading = [
            asyncio.create_task(self.read(n, reader))
            for n, (reader, _) in enumerate(self.readers, 1)
        ]
        self.asked_at.clear()
        idle: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        began = loop.time()
        sending: list[asyncio.Task[None]] = []
        for number in range(1, seconds * RATE + 1):
            await asyncio.sleep(max(0, began + number / RATE - loop.time()))
            sending.append(asyncio.create_task(self.send(number, idle)))
        await asyncio.gather(*sending)
        await asyncio.sleep(2)
        for task in reading:
            task.cancel()
        for _, writer in self.readers:
            writer.close()

    async def open(self, number: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A stream of this member's, once it has begun."""
        if self.what == "api":
            path = "/api/v1/events"
            headers = f"Authorization: Bearer {OPERATOR_TOKEN}\r\nAct-As: {member_id(number)}\r\n"
        else:
            path, headers = "/events", f"Cookie: session=secret-{number}\r\n"
        reader, writer = await self.connect()
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())
        head = await reader.readuntil(b"id: ")
        assert head.startswith(b"HTTP/1.1 200"), head
        return reader, writer

    async def read(self, number: int, stream: asyncio.StreamReader) -> None:
        rest = b""
        while chunk := await stream.read(65536):
            now = time.perf_counter()
            rest += chunk
            for found in _NUMBER.finditer(rest):
                sent, side = int(found[1]), int(found[2])
                # The side to which the message was written.
                if side == number:
                    self.arrived_at.setdefault(sent, now)
            # What may be the beginning of another.
            rest = rest[-64:]

    async def send(
        self, number: int, idle: "asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]]"
    ) -> None:
        """Writes in the conversation of a pair: members n and n + half of all."""
        half = self.streams // 2
        pair = random.randrange(half)
        one, other = pair + 1, pair + 1 + half
        if number % 2:
            one, other = other, one
        body = json.dumps({"body": f"bench {number} to {other}."}).encode()
        reader, writer = await self.connect() if idle.empty() else idle.get_nowait()
        self.asked_at[number] = time.perf_counter()
        writer.write(
            f"POST /api/v1/conversations/00000000-0000-7000-9000-{pair:012x}/messages HTTP/1.1\r\n"
            f"Host: localhost\r\nAuthorization: Bearer {OPERATOR_TOKEN}\r\nAct-As: {member_id(one)}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = await reader.readuntil(b"\r\n\r\n")
        self.answered_at[number] = time.perf_counter()
        length = re.search(rb"content-length: (\d+)", head)
        answer = await reader.readexactly(int(length[1]) if length else 0)
        if head.startswith(b"HTTP/1.1 503"):
            self.refused += 1
            del self.asked_at[number]
        else:
            assert head.startswith(b"HTTP/1.1 201"), (head, answer)
        idle.put_nowait((reader, writer))

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self.running.address.removeprefix("http://").split(":")
        return await asyncio.open_connection(host, int(port))

    def row(self) -> Sequence[object]:
        arrived = [number for number in self.asked_at if number in self.arrived_at]
        # The answer comes right after the commit; now and then the event overtakes it.
        delivery = Latencies.of(
            [max(0.0, self.arrived_at[n] - self.answered_at[n]) for n in arrived]
        )
        whole = Latencies.of([self.arrived_at[n] - self.asked_at[n] for n in arrived])
        kind = "of the API" if self.what == "api" else "of pages"
        processes = "1 process" if self.processes == 1 else f"{self.processes} processes"
        return (
            f"{kind}, {processes}",
            f"{delivery.p50:.1f}",
            f"{delivery.p99:.1f}",
            f"{whole.p50:.1f}",
            f"{self.kilobytes:.0f}",
            len(self.asked_at) - len(arrived),
            self.refused,
        )


_NUMBER = re.compile(rb"bench (\d+) to (\d+)\.")


def seed(url: str, streams: int) -> None:
    """A session for each member, and an accepted conversation for each pair."""
    half = streams // 2
    with psycopg.connect(url, autocommit=True) as db:
        with db.cursor().copy(
            "copy sessions (hash, id, member_id, expires_at, client, agent) from stdin"
        ) as rows:
            for n in range(1, streams + 1):
                digest = "\\x" + sha256(f"secret-{n}".encode()).hexdigest()
                rows.write_row((digest, member_id(n), member_id(n), "infinity", "", "bench"))
        for statement in _SEED:
            db.execute(statement, {"half": half})
        db.execute("analyze")


_UUID = "('00000000-0000-7000-8000-' || lpad(to_hex({}), 12, '0'))::uuid"
_PAIRS = f"""
    select ('00000000-0000-7000-9000-' || lpad(to_hex(n), 12, '0'))::uuid as id,
        {_UUID.format("n + 1")} as one, {_UUID.format("n + 1 + %(half)s::bigint")} as other
    from generate_series(0, %(half)s::bigint - 1) n
"""
_SEED = (
    f"""
    insert into conversations (owner_id, id, kind, recipient_id, subject, channel, state,
        started_at, response, responded_at, last_activity_at, recipient_wrote_at, sender_wrote_at,
        messages)
    select p.one, p.id, 'inmail', p.other, 'A question', 'inmail', 'accepted', now(), 'accepted',
        now(), now(), now(), now(), 1
    from ({_PAIRS}) p
    """,
    f"""
    insert into messages (owner_id, conversation_id, number, id, sender_id, sent_at, body)
    select p.one, p.id, 1, gen_random_uuid(), p.one, now(), 'May I ask you something?'
    from ({_PAIRS}) p
    """,
    f"""
    insert into inbox (owner_id, conversation_id, home_id, counterpart_id, counterpart_handle,
        counterpart_name, kind, begun, state, box, subject, last_activity_at, read_number)
    select o.owner, p.id, p.one, o.other, 'someone', 'Someone', 'inmail', o.owner = p.one,
        'accepted', 'inbox', 'A question', now(), 1
    from ({_PAIRS}) p, lateral (values (p.one, p.other), (p.other, p.one)) o (owner, other)
    """,
)
