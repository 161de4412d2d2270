"""Where the server listens: on the one port, for mail, for Prometheus; and what systemd is told."""

import asyncio
import os
import socket
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from overture.app import StartProblem
from overture.settings import Settings
from overture.worker import NO_REPLY_ADDRESS

BACKLOG = 2048
# The first of the files that systemd hands down.
_FIRST_HANDED_DOWN = 3
TAKES_NOTHING_SECONDS = 45


@dataclass(frozen=True, slots=True)
class Sockets:
    """Open and listening: `served` has one for each process, on the one port."""

    served: Sequence[socket.socket]
    mail: socket.socket | None
    metrics: socket.socket | None


@contextmanager
def opened(settings: Settings) -> Generator[Sockets]:
    """All that the server listens on. Raises StartProblem."""
    with ExitStack() as stack:
        served = handed_down(settings.processes) or listening(
            settings.host, settings.port, settings.processes
        )
        for each in served:
            stack.enter_context(each)
        if (mail := _mail_listener(settings)) is not None:
            stack.enter_context(mail)
        if (metrics := metrics_listener_of(settings)) is not None:
            stack.enter_context(metrics)
        yield Sockets(served, mail, metrics)


def handed_down(count: int) -> list[socket.socket]:
    """The socket that systemd holds for us, once for each process; none where it holds none.

    It stays open while a server ends and the next one starts: who connects meanwhile waits.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or "LISTEN_FDS" not in os.environ:
        return []
    if os.environ["LISTEN_FDS"] != "1":
        raise StartProblem(
            "systemd hands down more than one socket; Overture listens on one alone."
        )
    first = socket.socket(fileno=_FIRST_HANDED_DOWN)
    first.setblocking(False)
    os.set_inheritable(first.fileno(), False)
    return [first, *(first.dup() for _ in range(count - 1))]


def notify(said: str) -> None:
    """Tells systemd, where it wants to know."""
    where = os.environ.get("NOTIFY_SOCKET")
    if where:
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.sendto(said.encode(), "\0" + where[1:] if where.startswith("@") else where)


def listening(host: str, port: int, count: int, *, option: str = "--port") -> list[socket.socket]:
    """Listening sockets on one port, which is a free one for 0. Raises StartProblem.

    They listen from the beginning, so that nobody takes the port while the data are made ready; who
    connects meanwhile waits.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError):
        raise StartProblem(f"There is no address for the host {host}. Choose another.") from None
    family, _, _, _, where = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    sockets: list[socket.socket] = []
    try:
        # Alone first: sockets that share a port would share it with another server's as well. One that
        # the system gives is nobody's, and would be anybody's if it were let go of.
        alone = count == 1 or port != 0
        first = _listen(family, where, shared=not alone)
        if count == 1:
            return [first]
        where = first.getsockname()
        if alone:
            first.close()
        else:
            sockets += [first]
        while len(sockets) < count:
            sockets += [_listen(family, where, shared=True)]
    except OSError as problem:
        for each in sockets:
            each.close()
        raise StartProblem(
            f"Cannot listen on {host} port {port}: {(problem.strerror or str(problem)).lower()}. "
            f"Choose another port with {option}, or stop what uses it."
        ) from None
    return sockets


def _mail_listener(settings: Settings) -> socket.socket | None:
    if settings.replies_listen is None:
        return None
    if settings.reply_address is None:
        raise StartProblem(NO_REPLY_ADDRESS)
    host, _, port = settings.replies_listen.rpartition(":")
    return listening(host.strip("[]"), int(port), 1, option="--replies-listen")[0]


def metrics_listener_of(settings: Settings) -> socket.socket | None:
    if settings.metrics_listen is None:
        return None
    host, _, port = settings.metrics_listen.rpartition(":")
    return listening(host.strip("[]"), int(port), 1, option="--metrics-listen")[0]


def _listen(family: int, where: object, *, shared: bool) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind(where)  # pyright: ignore[reportArgumentType]
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Handed down to what is accepted. Who takes in nothing for so long is gone or as good as gone;
        # a stream's connection would else be kept until the system gives up, after many minutes.
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TAKES_NOTHING_SECONDS * 1000)
    made.setblocking(False)
    return made


def address_of(host: str, listener: socket.socket) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}"


async def ready(listener: tuple[str, int]) -> None:
    """Returns once the server on this address says that it is ready."""
    host, port = listener[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    while True:
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(10):
                reader, writer = await asyncio.open_connection(host, port)
                writer.write(
                    b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                )
                answer = await reader.read()
                writer.close()
                if answer.startswith(b"HTTP/1.1 200 "):
                    return
        await asyncio.sleep(0.05)
