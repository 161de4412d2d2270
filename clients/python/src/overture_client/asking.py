"""How a request is made: with a key of its own, again where it may, and with what was refused told.

A request that writes takes an idempotency key along. So it can be made again after a break, a 429 or a
503 without being carried out twice, as often as `TRIES` says and no sooner than the server asks for.
"""

import asyncio
import random
import time
import uuid
from collections.abc import Mapping
from typing import Any

import httpx

TRIES = 5
# Between tries, where the server does not say how long: doubled each time, and not all at one moment.
FIRST_SECONDS, MOST_SECONDS = 0.25, 30.0
_LATER = frozenset({429, 503})
# One of the same key is under way.
_UNDER_WAY = "idempotency_in_progress"
_REPEATABLE = frozenset({"GET", "HEAD", "PUT", "DELETE"})


class Problem(Exception):
    """The server said no. `code` is stable, `detail` a sentence; `told` has all that it said."""

    def __init__(self, status: int, told: Mapping[str, Any]) -> None:
        self.status = status
        self.told = told
        self.code = str(told.get("code", ""))
        self.detail = str(told.get("detail") or told.get("title") or f"status {status}")
        super().__init__(f"{self.code or status}: {self.detail}")


def prepared(request: httpx.Request) -> bool:
    """Gives a request that creates something its key; whether it may be made more than once."""
    if request.method == "POST":
        request.headers.setdefault("Idempotency-Key", str(uuid.uuid4()))
    return request.method in _REPEATABLE or "Idempotency-Key" in request.headers


def pause(tries: int, response: httpx.Response | None = None) -> float:
    """Seconds until the next try."""
    said = "" if response is None else response.headers.get("Retry-After", "")
    if said.isascii() and said.isdigit():
        return min(float(said), MOST_SECONDS)
    return min(FIRST_SECONDS * 2**tries, MOST_SECONDS) * random.uniform(0.5, 1.0)  # noqa: S311


def is_for_later(response: httpx.Response) -> bool:
    """Whether the same request may be answered otherwise soon."""
    if response.status_code in _LATER:
        return True
    return response.status_code == 409 and _told(response).get("code") == _UNDER_WAY


def problem_of(response: httpx.Response) -> Problem:
    return Problem(response.status_code, _told(response))


def _told(response: httpx.Response) -> Mapping[str, Any]:
    try:
        told = response.json()
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


class Asking(httpx.BaseTransport):
    """Raises Problem for what is refused, and what httpx raises where nobody answers."""

    def __init__(self, below: httpx.BaseTransport) -> None:
        self._below = below

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        again = prepared(request)
        for tries in range(TRIES):
            last = not again or tries == TRIES - 1
            try:
                response = self._below.handle_request(request)
            except httpx.TransportError:
                if last:
                    raise
                time.sleep(pause(tries))
                continue
            if response.status_code < 400:
                return response
            response.read()
            response.close()
            if last or not is_for_later(response):
                raise problem_of(response)
            time.sleep(pause(tries, response))
        raise AssertionError("the last try returns or raises")

    def close(self) -> None:
        self._below.close()


class AsyncAsking(httpx.AsyncBaseTransport):
    """The same, awaited."""

    def __init__(self, below: httpx.AsyncBaseTransport) -> None:
        self._below = below

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        again = prepared(request)
        for tries in range(TRIES):
            last = not again or tries == TRIES - 1
            try:
                response = await self._below.handle_async_request(request)
            except httpx.TransportError:
                if last:
                    raise
                await asyncio.sleep(pause(tries))
                continue
            if response.status_code < 400:
                return response
            await response.aread()
            await response.aclose()
            if last or not is_for_later(response):
                raise problem_of(response)
            await asyncio.sleep(pause(tries, response))
        raise AssertionError("the last try returns or raises")

    async def aclose(self) -> None:
        await self._below.aclose()
