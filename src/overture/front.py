"""What stands before the API and the web app: whom the server answers, as what, and how many at once.

Here and nowhere else: the headers that tell browsers what an answer may do, the names by which the
server may be asked, whose word is taken on where a request comes from, and how many it works on. Each
request is given its id here, and counted when it was answered.
"""

import logging
from asyncio import get_running_loop
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from overture import asked, figures, mirror, tracing
from overture.api import problems
from overture.api.problems import Problem

Asgi = Callable[..., Awaitable[None]]
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]

_log = logging.getLogger("overture.requests")

# What a browser may do with an answer, and who may keep it: nobody. Pages have a policy of their own,
# and so has whatever says more.
HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
# A year; only where the site is reached over https.
STRICT_TRANSPORT = "max-age=31536000"

# In place of names: whoever asks for anything is answered.
ANY_HOST = "*"
_HERE = "localhost"
_HOST_BYTES_MAX = 300
# More than any chain of proxies has.
_HOPS_MAX = 32
# As a status: the client went away before.
_NEVER_ANSWERED = 0
# Asked by those who watch over the server, by whatever name they know it.
_WATCHED = frozenset({"/healthz", "/readyz"})
_MIRRORED = frozenset({mirror.SEEN, mirror.SLOWLY})
# They do not end, and each member has so many; see `live.hub`.
_STREAMS = frozenset({"/events", "/api/v1/events"})
# Answered however many requests there are: who watches must not take a busy server for a dead one.
BESIDE_PATHS = _STREAMS | _WATCHED


@dataclass(frozen=True, slots=True)
class Surface:
    """What the server shows of itself. `hosts` are names in lower case; `proxies` are networks;
    `requests_at_once` counts in one process, without the streams. `log`: whether the log tells of
    each request."""

    hosts: Sequence[str] = (ANY_HOST,)
    proxies: Sequence[str] = ("127.0.0.0/8", "::1/128")
    https: bool = False
    requests_at_once: int = 1000
    log: bool = False


@dataclass(slots=True)
class UnderWay:
    """How many requests one process is at right now, without those of BESIDE_PATHS; and whether it is
    about to end, which /readyz says first."""

    requests: int = 0
    ending: bool = False


def hosts_of(allowed: Sequence[str], public_url: str | None, listens_on: str) -> Sequence[str]:
    """The names to answer to: those allowed, else the site's own, else, where only this machine can
    ask, none but this machine's."""
    if allowed:
        return tuple(each.lower() for each in allowed)
    if public_url is not None:
        return (urlsplit(public_url).hostname or "",)
    at = _address(listens_on)
    only_here = listens_on == _HERE if at is None else at.is_loopback
    return () if only_here else (ANY_HOST,)


def front(behind: Asgi, surface: Surface, under_way: UnderWay | None = None) -> Asgi:
    """The application as the server shows it; counts what is under way."""
    count = under_way or UnderWay()
    shown = dict(HEADERS)
    if surface.https:
        shown["Strict-Transport-Security"] = STRICT_TRANSPORT
    headers = [(name.lower().encode(), value.encode()) for name, value in shown.items()]
    clients = _Clients(surface.proxies)
    hosts = frozenset(surface.hosts)

    async def application(scope: Scope, receive: Any, send: Any) -> None:
        began = get_running_loop().time()
        status = _NEVER_ANSWERED

        async def shielded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                said = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(each for each in headers if each[0] not in said),
                ]
            await send(message)

        named: list[bytes] = []
        told: list[bytes] = []
        given: bytes | None = None
        traced: bytes | None = None
        for name, value in scope["headers"]:
            if name == b"host":
                named.append(value)
            elif name == b"x-forwarded-for":
                told.append(value)
            elif name == b"x-request-id":
                given = value
            elif name == b"traceparent":
                traced = value
        peer = scope.get("client")
        if given is not None or traced is not None:
            # An id of a stranger's own making could be somebody else's.
            given, traced = (given, traced) if peer and clients.believes(peer[0]) else (None, None)
        request = asked.begin(given)
        is_stream, is_beside = scope["path"] in _STREAMS, scope["path"] in BESIDE_PATHS
        try:
            if (no := _no_to_host(scope, named, hosts)) is not None:
                await _refuse(no, shielded)
                return
            if told and peer:
                scope["client"] = clients.behind(peer, told)
            if count.ending and scope["path"] == "/readyz":
                await _refuse(problems.unavailable(), shielded)
                return
            if not is_beside and count.requests >= surface.requests_at_once:
                await _refuse(problems.unavailable(), shielded)
                return
            if scope["path"] in _MIRRORED:
                request.route = scope["path"]
                await mirror.show(
                    scope["path"], peer, scope.get("client"), told=bool(told), send=shielded
                )
                return
            count.requests += not is_beside
            try:
                if tracing.is_on():
                    with tracing.Request(traced) as span:
                        await behind(scope, receive, shielded)
                        span.answered(scope["method"], request, status)
                else:
                    await behind(scope, receive, shielded)
            finally:
                count.requests -= not is_beside
        finally:
            took = get_running_loop().time() - began
            figures.request(request.route, scope["method"], status, None if is_stream else took)
            if surface.log:
                _tell(scope["method"], request, status, took)

    return application


def _tell(method: str, request: asked.Asked, status: int, seconds: float) -> None:
    milliseconds = round(seconds * 1000, 1)
    about = {"method": method, "route": request.route, "status": status, "ms": milliseconds}
    _log.info(
        "%s %s %d %.1f ms", method, request.route, status, milliseconds, extra={"about": about}
    )


# By which name it is asked ------------------------------------------------------------------------


def _no_to_host(scope: Scope, named: Sequence[bytes], hosts: frozenset[str]) -> Problem | None:
    # Two would be one for the proxy and one for us. Of HTTP/1.0 none is asked.
    if len(named) > 1 or (not named and scope.get("http_version") != "1.0"):
        return problems.malformed("Host", "A request names the host that it is for, once.")
    if ANY_HOST in hosts or not named or scope["path"] in _WATCHED:
        return None
    ours = len(named[0]) <= _HOST_BYTES_MAX and _is_ours(named[0], hosts)
    return None if ours else problems.wrong_host()


@lru_cache(maxsize=1024)
def _is_ours(host: bytes, hosts: frozenset[str]) -> bool:
    """Whoever asks by a number, or for this machine itself, was not led here by a stranger's name."""
    try:
        name = urlsplit(f"//{host.decode('ascii')}").hostname or ""
    except ValueError:
        return False
    name = name.removesuffix(".")
    return name in hosts or name == _HERE or _address(name) is not None


# Where a request comes from -----------------------------------------------------------------------


class _Clients:
    """Who is behind the proxies that are believed."""

    def __init__(self, proxies: Sequence[str]) -> None:
        self._networks = [ip_network(each) for each in proxies]

    def believes(self, peer: str) -> bool:
        at = _address(peer)
        return at is not None and any(at in network for network in self._networks)

    def behind(self, peer: tuple[str, int], told: Sequence[bytes]) -> tuple[str, int]:
        """From the right: each proxy adds whom it saw, and only what a believed one adds is true."""
        hops = b",".join(told).decode("latin-1").split(",")
        client = peer[0]
        for hop in reversed(hops[-_HOPS_MAX:]):
            if not self.believes(client):
                break
            further = _address(_without_port(hop.strip().strip('"')))
            if further is None:
                break
            client = str(further)
        return peer if client == peer[0] else (client, 0)


def _without_port(hop: str) -> str:
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    # As a socket for both kinds tells of the older one.
    return getattr(found, "ipv4_mapped", None) or found


async def _refuse(problem: Problem, send: Any) -> None:
    body = problem.body()
    told = {"Content-Type": problems.MEDIA_TYPE, **problem.headers}
    headers = [(name.lower().encode(), value.encode()) for name, value in told.items()]
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
