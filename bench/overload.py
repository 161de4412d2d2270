"""Three times what the server can do, asked by people who do not wait for each other.

First as many requests as are answered, by so many clients that each wait for their answer: the best
throughput. Then three times that, open loop: each request at its instant, whatever became of those
before, on any of 2,000 connections that waits for nothing. What the server cannot do it must refuse at
once, with 429 or 503 and `Retry-After`, and go on doing what it can.
"""

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from bench.common import check_credits, count_messages, database, member_id, seed_members, table
from bench.load import OPERATOR_TOKEN, Server, server

MEMBERS = 20_000
TIMES = 3
BEST_SECONDS = 8
SECONDS = 20
QUICK_SECONDS = 6
AT_ONCE = 128
# As many may wait for an answer at once: twice what one process works on. Whoever comes
# when all of them wait finds no line.
LINES = 2_000
# A client that has no answer by then goes away.
PATIENCE_SECONDS = 10.0
TICK_SECONDS = 0.005
IN_A_ROW = 50
BODY = b"I read what you wrote about engines, and would like to ask you something."


def main(arguments: Sequence[str] = ()) -> None:
    seconds = QUICK_SECONDS if "--quick" in arguments else SECONDS
    rows: list[Sequence[object]] = []
    with database("overload") as url:
        seed_members(url, MEMBERS)
        for kind in KINDS:
            with server(url, processes=1) as running:
                rows.append(_row(kind, running, url, seconds))
                check_credits(url)
    table(
        f"{TIMES} times what one process can do",
        (
            "requests",
            "best/s",
            "offered/s",
            "served/s",
            "of the best",
            "refused/s",
            "with Retry-After",
            "other answers",
            "gave up/s",
            "p50, p99 of what was served, ms",
            "memory MB before, most, after",
            "serves again after s",
        ),
        rows,
    )


def _row(kind: str, running: Server, url: str, seconds: float) -> Sequence[object]:
    _generate(running.address, kind, seconds=2)
    best = _generate(running.address, kind, seconds=BEST_SECONDS)
    before = running.memory_mb()
    messages = count_messages(url)
    memory: list[float] = []
    loaded = _generate(
        running.address,
        kind,
        seconds=seconds,
        rate=TIMES * best.per_second,
        meanwhile=lambda: memory.append(running.memory_mb()),
    )
    added = count_messages(url) - messages
    if kind == "sends" and added < loaded.served:
        raise SystemExit(f"wrong after the run: {loaded.served} served, {added} messages added")
    return (
        kind,
        f"{best.per_second:,.0f}",
        f"{loaded.offered / loaded.seconds:,.0f}",
        f"{loaded.per_second:,.0f}",
        f"{loaded.per_second / best.per_second:.0%}",
        f"{loaded.refused / loaded.seconds:,.0f}",
        f"{loaded.told_when / loaded.refused:.0%}" if loaded.refused else "–",
        sum(loaded.others.values()) and dict(loaded.others),
        f"{(loaded.gave_up + loaded.no_line) / loaded.seconds:,.0f}",
        f"{loaded.p50:.0f}, {loaded.p99:.0f}",
        f"{before:.0f}, {max(memory, default=before):.0f}, {running.memory_mb():.0f}",
        f"{loaded.again:.1f}",
    )


# What clients do ------------------------------------------------------------------------------------


@dataclass
class Told:
    """What became of a run's requests: `gave_up` had no answer in time, `no_line` no connection.

    `again` is how many seconds after its end requests were served again, one after the other.
    """

    seconds: float = 0
    offered: int = 0
    served: int = 0
    refused: int = 0
    told_when: int = 0
    gave_up: int = 0
    no_line: int = 0
    others: Counter[str] = field(default_factory=Counter)
    p50: float = 0
    p99: float = 0
    again: float = 0

    @property
    def per_second(self) -> float:
        return self.served / self.seconds


def _generate(
    address: str,
    kind: str,
    *,
    seconds: float,
    rate: float = 0,
    meanwhile: Callable[[], None] | None = None,
) -> Told:
    """Runs clients in a process of their own: at a rate, or as many as can."""
    asked = json.dumps({"address": address, "kind": kind, "seconds": seconds, "rate": rate})
    with subprocess.Popen(
        [sys.executable, "-m", "bench.overload", asked], stdout=subprocess.PIPE, text=True
    ) as running:
        while meanwhile is not None and running.poll() is None:
            meanwhile()
            time.sleep(0.5)
        out, _ = running.communicate()
    if running.returncode != 0:
        raise SystemExit("The clients failed.")
    told = json.loads(out)
    return Told(**told | {"others": Counter(told["others"])})


def _send(rng: random.Random) -> bytes:
    body = b'{"to":"%s","subject":"A question","body":"%s"}' % (_anyone(rng), BODY)
    return (
        b"POST /api/v1/conversations HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n"
        b"Act-As: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
    ) % (OPERATOR_TOKEN.encode(), _anyone(rng), len(body), body)


def _inbox(rng: random.Random) -> bytes:
    return (
        b"GET /api/v1/conversations?box=inbox HTTP/1.1\r\nHost: localhost\r\n"
        b"Authorization: Bearer %s\r\nAct-As: %s\r\n\r\n"
    ) % (OPERATOR_TOKEN.encode(), _anyone(rng))


def _anyone(rng: random.Random) -> bytes:
    return member_id(rng.randint(1, MEMBERS)).encode()


KINDS = {"sends": _send, "inbox reads": _inbox}


class _Line(asyncio.Protocol):
    """One client's connection; `answered` is told of each answer, or of None where it broke."""

    def __init__(self, crowd: "_Crowd") -> None:
        self._crowd = crowd
        self._got = b""
        self.asked_at = 0.0
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def ask(self, request: bytes) -> None:
        self.asked_at = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, found, body = self._got.partition(b"\r\n\r\n")
        if not found:
            return
        low = head.lower()
        at = low.find(b"content-length: ")
        length = int(low[at + 16 :].partition(b"\r\n")[0]) if at >= 0 else 0
        if len(body) >= length:
            self._got = b""
            self._crowd.answered(self, int(head[9:12]), b"\r\nretry-after: " in low)

    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.lost(self)


class _Crowd:
    def __init__(self, address: str, kind: str) -> None:
        where = urlsplit(address)
        self._place = (where.hostname, where.port)
        self._make = KINDS[kind]
        self._rng = random.Random(os.getpid())
        self._idle: deque[_Line] = deque()
        self._waiting: dict[_Line, None] = {}
        self._closed_loop = False
        self._took: list[float] = []
        self.told = Told()

    async def run(self, asked: dict[str, Any]) -> Told:
        self.told.seconds = asked["seconds"]
        if asked["rate"]:
            await self._at_a_rate(asked["rate"], asked["seconds"])
        else:
            await self._as_many_as_can(asked["seconds"])
        self._took.sort()
        if self._took:
            self.told.p50 = self._took[len(self._took) // 2] * 1e3
            self.told.p99 = self._took[int(len(self._took) * 0.99)] * 1e3
        told = replace(self.told)
        if asked["rate"]:
            told.again = await self._serves_again()
        return told

    async def _as_many_as_can(self, seconds: float) -> None:
        self._closed_loop = True
        for _ in range(AT_ONCE):
            self._ask(await self._connect())
        await asyncio.sleep(seconds)
        self._closed_loop = False

    async def _serves_again(self) -> float:
        """All go away; one comes, and asks until so many in a row were served."""
        ended = time.perf_counter()
        for line in [*self._waiting, *self._idle]:
            line.transport.abort()
        self._waiting.clear()
        self._idle.clear()
        since, row = ended, 0
        line = await self._connect()
        while row < IN_A_ROW:
            served, began = self.told.served, time.perf_counter()
            self._ask(line)
            while line in self._waiting and time.perf_counter() - began < 1:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            if self.told.served > served:
                row += 1
                continue
            if line in self._waiting:
                del self._waiting[line]
                line.transport.abort()
                line = await self._connect()
            row, since = 0, time.perf_counter()
            await asyncio.sleep(0.05)
        return since - ended

    async def _at_a_rate(self, rate: float, seconds: float) -> None:
        for _ in range(LINES):
            self._idle.append(await self._connect())
        began = time.perf_counter()
        while (now := time.perf_counter() - began) < seconds:
            for _ in range(int(now * rate) - self.told.offered):
                if self._idle:
                    self._ask(self._idle.popleft())
                else:
                    self.told.offered += 1
                    self.told.no_line += 1
            await self._give_up()
            await asyncio.sleep(TICK_SECONDS)
        self.told.seconds = now

    async def _connect(self) -> _Line:
        loop = asyncio.get_running_loop()
        _, line = await loop.create_connection(lambda: _Line(self), *self._place)
        return line

    def _ask(self, line: _Line) -> None:
        self.told.offered += 1
        self._waiting[line] = None
        line.ask(self._make(self._rng))

    async def _give_up(self) -> None:
        """Who waited for too long goes, and somebody else comes; they stand in the order of asking."""
        now = time.perf_counter()
        while (
            self._waiting and now - (line := next(iter(self._waiting))).asked_at > PATIENCE_SECONDS
        ):
            del self._waiting[line]
            self.told.gave_up += 1
            line.transport.abort()
            self._idle.append(await self._connect())

    def answered(self, line: _Line, status: int, told_when: bool) -> None:
        if line not in self._waiting:
            return
        del self._waiting[line]
        if 200 <= status < 300 or status == 409:
            # Of two who write to each other twice by chance, the second is told so: that is served.
            self.told.served += 1
            self._took.append(time.perf_counter() - line.asked_at)
        elif status in (429, 503):
            self.told.refused += 1
            self.told.told_when += told_when
        else:
            self.told.others[str(status)] += 1
        if self._closed_loop:
            self._ask(line)
        else:
            self._idle.append(line)

    def lost(self, line: _Line) -> None:
        if line in self._waiting:
            del self._waiting[line]
            self.told.others["lost"] += 1
        elif line in self._idle:
            self._idle.remove(line)


def _clients() -> None:
    import uvloop

    asked = json.loads(sys.argv[1])
    told = uvloop.run(_Crowd(asked["address"], asked["kind"]).run(asked))
    print(json.dumps(vars(told)))


if __name__ == "__main__":
    _clients()
