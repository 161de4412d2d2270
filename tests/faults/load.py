"""A load over HTTP: clients that write to strangers, answer and write on, whatever happens meanwhile.

Each repeats a request with its Idempotency-Key until it is told what became of it.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from overture.core.ids import MemberId
from tests.faults.damage import Acknowledged
from tests.faults.ground import Cast
from tests.faults.servers import BROKEN, Answer, Line, until_answered

CLIENTS = 16
# Between two requests of a client, so that faults meet starts and ends of transactions alike, and that
# the two cores have time left for what is killed.
PAUSE_SECONDS = 0.01
# Answers between two faults, at least: each falls into a load that runs again.
ANSWERS_BETWEEN = 60
BACK_SECONDS_MAX = 90
REPLAYED = 100
AGAIN_SECONDS = 0.05


@asynccontextmanager
async def under_load(cast: Cast, *ports: int) -> AsyncGenerator[Load]:
    """Clients of the servers on these ports. At the end each is told what became of its request."""
    load = Load(list(ports))
    pairs = itertools.product(cast.recipients, cast.senders)
    load._clients = asyncio.gather(*(load._client(number, pairs) for number in range(CLIENTS)))
    try:
        yield load
        load._over = True
        async with asyncio.timeout(BACK_SECONDS_MAX):
            await load._clients
    finally:
        load._clients.cancel()


@dataclass
class Load:
    """What the clients asked and were told so far. `ports` may change meanwhile."""

    ports: list[int]
    told: list[Acknowledged] = field(default_factory=list)
    # Requests that were sent, each repeat counted.
    tried: int = 0
    # Of those, the ones that were answered with “not now”, or not at all.
    put_off: int = 0
    _over: bool = False
    _clients: asyncio.Future[Any] = field(init=False)

    async def flows(self, at_least: int = ANSWERS_BETWEEN) -> None:
        """Returns after so many more answers."""
        wanted = len(self.told) + at_least
        async with asyncio.timeout(BACK_SECONDS_MAX):
            while len(self.told) < wanted and not self._clients.done():  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        if self._clients.done():
            self._clients.result()
            raise AssertionError("the load ended before its time: more recipients are needed")

    async def flows_for_a_moment(self) -> None:
        """Until it runs well, and by chance a bit longer."""
        await self.flows()
        await asyncio.sleep(random.uniform(0, 0.2))

    async def serves_again(self, since: float) -> float:
        """Seconds since then, once there are more answers than can have been under way before."""
        await self.flows(CLIENTS + 1)
        return time.monotonic() - since

    async def _client(self, number: int, pairs: Iterator[tuple[MemberId, MemberId]]) -> None:
        """Writes to strangers; now and then one of them answers, and the sender writes on."""
        line = Line(0)
        chance = random.Random(number)
        count = itertools.count()

        async def ask(viewer: MemberId, path: str, **body: Any) -> Answer:
            key = f"{number}-{next(count)}"
            if "body" in body:
                body["body"] = f"{key}: {body['body']}"
            answer = await self._until_answered(line, number, path, body, viewer=viewer, key=key)
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

    async def _until_answered(
        self, line: Line, number: int, path: str, body: object, *, viewer: MemberId, key: str
    ) -> Answer:
        """Of several servers, the next one is asked where one does not answer."""
        for attempt in itertools.count(number):
            self.tried += 1
            port = self.ports[attempt % len(self.ports)]
            if port != line.port:
                line.close()
                line.port = port
            try:
                answer = await line.post(path, body, as_member=viewer, key=key)
            except BROKEN:
                pass
            else:
                if answer.status != 503 and answer.code != "idempotency_in_progress":
                    return answer
            self.put_off += 1
            await asyncio.sleep(AGAIN_SECONDS)
        raise AssertionError("it asks for ever")


async def replays(port: int, told: Sequence[Acknowledged]) -> list[str]:
    """Repeats requests that were answered, many before a fault: the first answer must come."""
    line = Line(port)
    found: list[str] = []
    for each in random.sample(told, min(REPLAYED, len(told))):
        again = await until_answered(
            line, each.path, each.body, as_member=each.viewer, key=each.key
        )
        if each.answer.status < 300 and again != each.answer:
            found.append(f"Another answer than the first to {each.key}: {again.status}.")
    line.close()
    return found
