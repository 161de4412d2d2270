"""An installation as a token sees it: typed calls, lists without pages, events without breaks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Protocol, Self, TypeVar

import httpx

from overture_client.asking import Asking, AsyncAsking, Problem, pause
from overture_client.client import AuthenticatedClient
from overture_client.events import Event, Reading
from overture_client.models.problem_out import ProblemOut

T = TypeVar("T")
Item_co = TypeVar("Item_co", covariant=True)

BASE = "/api/v1"
# The server says something every 20 seconds: whoever says nothing for a minute is gone.
SILENCE_SECONDS = 60.0


class Paged(Protocol[Item_co]):
    """A page of a list, as the generated models have it."""

    @property
    def items(self) -> list[Item_co]: ...
    @property
    def next_(self) -> Any: ...


class Overture:
    """Calls of one thread. `act_as`: the member for whom an operator's token acts."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        act_as: object = None,
        timeout: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._url, self._token, self._timeout = url, token, timeout
        self._below = transport or httpx.HTTPTransport()
        self.api = _client(url, token, act_as, timeout)
        self.http = httpx.Client(
            base_url=url.rstrip("/") + BASE,
            headers=_headers(token, act_as),
            timeout=timeout,
            transport=Asking(self._below),
        )
        self.api.set_httpx_client(self.http)

    def acting_as(self, member: object) -> Overture:
        """The same for a member, on the same connections: closing either closes both."""
        return Overture(
            self._url, self._token, act_as=member, timeout=self._timeout, transport=self._below
        )

    def call(self, ask: Callable[..., T | ProblemOut | None], /, **more: Any) -> T:
        """What `ask`, the `sync` of one of `overture_client.api`, brings. Raises Problem."""
        return _brought(ask(client=self.api, **more))

    def each(self, ask: Callable[..., Paged[T] | ProblemOut | None], /, **more: Any) -> Iterator[T]:
        """All of a list, page after page as they are needed."""
        while True:
            page = self.call(ask, **more)
            yield from page.items
            if not page.next_:
                return
            more["cursor"] = page.next_

    def events(self, after: str | None = None) -> Iterator[Event]:
        """What happens to the member, until the server says `bye`; it goes on by itself after a break.

        What comes after a break may have come before. After a `reset` read the state anew."""
        reading, tries = Reading(after), 0
        while True:
            try:
                headers = {"Last-Event-ID": reading.last_id} if reading.last_id else {}
                timeout = httpx.Timeout(self._timeout, read=SILENCE_SECONDS)
                streaming = self.http.stream("GET", "/events", headers=headers, timeout=timeout)
                with streaming as response:
                    for line in response.iter_lines():
                        tries = 0
                        for event in reading.take(line):
                            yield event
                            if event.kind == "bye":
                                return
            except httpx.TransportError:
                pass
            reading.broken()
            time.sleep(pause(tries))
            tries = min(tries + 1, 7)

    def close(self) -> None:
        self.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncOverture:
    """The same, awaited: `ask` is then the `asyncio` of one of `overture_client.api`."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        act_as: object = None,
        timeout: float = 30.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._url, self._token, self._timeout = url, token, timeout
        self._below = transport or httpx.AsyncHTTPTransport()
        self.api = _client(url, token, act_as, timeout)
        self.http = httpx.AsyncClient(
            base_url=url.rstrip("/") + BASE,
            headers=_headers(token, act_as),
            timeout=timeout,
            transport=AsyncAsking(self._below),
        )
        self.api.set_async_httpx_client(self.http)

    def acting_as(self, member: object) -> AsyncOverture:
        return AsyncOverture(
            self._url, self._token, act_as=member, timeout=self._timeout, transport=self._below
        )

    async def call(self, ask: Callable[..., Awaitable[T | ProblemOut | None]], /, **more: Any) -> T:
        return _brought(await ask(client=self.api, **more))

    async def each(
        self, ask: Callable[..., Awaitable[Paged[T] | ProblemOut | None]], /, **more: Any
    ) -> AsyncIterator[T]:
        while True:
            page = await self.call(ask, **more)
            for item in page.items:
                yield item
            if not page.next_:
                return
            more["cursor"] = page.next_

    async def events(self, after: str | None = None) -> AsyncIterator[Event]:
        reading, tries = Reading(after), 0
        while True:
            try:
                headers = {"Last-Event-ID": reading.last_id} if reading.last_id else {}
                timeout = httpx.Timeout(self._timeout, read=SILENCE_SECONDS)
                streaming = self.http.stream("GET", "/events", headers=headers, timeout=timeout)
                async with streaming as response:
                    async for line in response.aiter_lines():
                        tries = 0
                        for event in reading.take(line):
                            yield event
                            if event.kind == "bye":
                                return
            except httpx.TransportError:
                pass
            reading.broken()
            await asyncio.sleep(pause(tries))
            tries = min(tries + 1, 7)

    async def close(self) -> None:
        await self.http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _client(url: str, token: str, act_as: object, timeout: float) -> AuthenticatedClient:
    return AuthenticatedClient(
        base_url=url.rstrip("/") + BASE,
        token=token,
        headers=_headers(token, act_as),
        timeout=httpx.Timeout(timeout),
        raise_on_unexpected_status=True,
    )


def _headers(token: str, act_as: object) -> dict[str, str]:
    acting = {} if act_as is None else {"Act-As": str(act_as)}
    return {"Authorization": f"Bearer {token}", **acting}


def _brought(answer: T | ProblemOut | None) -> T:
    if isinstance(answer, ProblemOut):
        # What is refused is raised before it comes here.
        raise Problem(0, answer.to_dict())
    assert answer is not None, "every answer is described"
    return answer
