"""HTTP to addresses that somebody else named: none of this machine's, its network's or its cloud's.

A name is resolved once for each connection; all that it leads to must be public, and what was judged is
what is connected to. Nothing here follows a redirect, asks the environment for a proxy, keeps a cookie
or reads an answer's body.
"""

import socket
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import AsyncResolver
from typing_extensions import override
from yarl import URL

from overture.core.addresses import is_public
from overture.core.webhooks import host_name

SECONDS = 15
# Shorter than receivers keep an idle connection, so that it is we who close it.
KEEP_ALIVE_SECONDS = 1

# Family, type, protocol, canonical name, and the address as a socket has it.
Place = tuple[int, int, int, str, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Why there was none, in a sentence for the operator that names no address."""

    why: str


class Outward:
    """Sends to hosts anywhere on the internet; to those allowed by name, wherever they are.

    Connections are kept while requests are under way, and no longer: there is nothing to close.
    """

    def __init__(
        self,
        allowed_hosts: Collection[str],
        *,
        resolver: Callable[[], AbstractResolver] = AsyncResolver,
        connect: Callable[[Place], socket.socket] | None = None,
    ) -> None:
        self._allowed = frozenset(map(host_name, allowed_hosts))
        self._resolver = resolver
        self._connect = connect or _socket
        self._open: dict[bool, _Open] = {}

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int | NoAnswer:
        """The status of the answer."""
        sent = {"User-Agent": _USER_AGENT, **headers}
        try:
            async with (
                self.session(url) as session,
                session.post(url, headers=sent, data=body, allow_redirects=False) as answer,
            ):
                return answer.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as problem:
            return NoAnswer(_why(problem))

    @asynccontextmanager
    async def session(self, url: str) -> AsyncGenerator[aiohttp.ClientSession]:
        """What this address may be asked with. Follows redirects unless told not to: tell it so."""
        allowed = host_name(_host(url)) in self._allowed
        held = self._open.get(allowed) or self._opened(allowed=allowed)
        held.users += 1
        try:
            yield held.session
        finally:
            held.users -= 1
            if not held.users:
                del self._open[allowed]
                await held.session.close()
                await held.resolver.close()

    def _opened(self, *, allowed: bool) -> "_Open":
        resolver = self._resolver() if allowed else _Judging(self._resolver())
        connector = aiohttp.TCPConnector(
            limit=0,
            resolver=resolver,
            use_dns_cache=False,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            socket_factory=self._connect if allowed else self._connect_judged,
        )
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=SECONDS),
            trust_env=False,
            auto_decompress=False,
        )
        made = self._open[allowed] = _Open(session, resolver)
        return made

    def _connect_judged(self, place: Place) -> socket.socket:
        """The last word, on the very address that is connected to, wherever it came from."""
        address = place[4][0]
        if not isinstance(address, str) or not is_public(address):
            raise NotPublic
        return self._connect(place)


class NotPublic(OSError):
    """An address that is none of the public internet."""


@dataclass(slots=True)
class _Open:
    session: aiohttp.ClientSession
    resolver: AbstractResolver
    users: int = 0


class _Judging(AbstractResolver):
    """Gives only answers of which every address is public: a mixed one is somebody's trick."""

    def __init__(self, resolver: AbstractResolver) -> None:
        self._resolver = resolver

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        if not all(is_public(each["host"]) for each in found):
            raise NotPublic
        return found

    @override
    async def close(self) -> None:
        await self._resolver.close()


def _host(url: str) -> str:
    """The host as the request will have it; none where there will be no request."""
    try:
        return URL(url).host or ""
    except ValueError:
        return ""


def _socket(place: Place) -> socket.socket:
    family, kind, protocol, _, _ = place
    return socket.socket(family, kind, protocol)


def _why(problem: Exception) -> str:
    match problem:
        case aiohttp.ClientConnectorDNSError() if isinstance(problem.os_error, NotPublic):
            return "Its host leads to an address that is not on the public internet."
        case aiohttp.ClientConnectorDNSError():
            return "Its host has no address."
        case TimeoutError():
            return f"It did not answer within {SECONDS} seconds."
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return (
                "No secure connection could be made: its certificate is not valid, or not for it."
            )
        case aiohttp.ClientConnectorError() if isinstance(problem.os_error, NotPublic):
            return "Its address is not on the public internet."
        case aiohttp.ClientConnectorError():
            return "It could not be connected to."
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
            return "It ended the connection without an answer."
        case aiohttp.ClientPayloadError() | aiohttp.ClientResponseError():
            return "Its answer was no HTTP."
        case _:
            return "It could not be asked."


_USER_AGENT = f"Overture/{version('overture')}"
