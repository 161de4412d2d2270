"""HTTP/1.1 as uvicorn reads it, with bounds on what comes before anybody looks at it.

uvicorn itself takes a request's line and headers however long they are and however long they take: a
single connection could fill the memory, and thousands that say nothing be kept for ever. The same goes
for a body that comes a byte at a time, and for an answer that is taken so. And what it cannot read at
all it answers in words of its own; here that is a problem like every other no.

Where as many requests are worked on as may be, further ones are refused before anything is made of
them, and who was refused is not heard again until the time that they were told has passed: however fast
they ask, their refusals must not take the time of those who are served.
"""

import re
from asyncio import AbstractEventLoop, TimerHandle, Transport
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import Any

import uvicorn
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from overture import figures
from overture.api import problems
from overture.api.problems import Problem
from overture.asked import NO_ROUTE
from overture.front import BESIDE_PATHS, HEADERS

# What a request may bring beside its body: its line, its headers, and what parts of a body come in. It
# bounds what is waited for: of what was read at once, a little more may pass.
BESIDE_BYTES_MAX = 64 * 1024
# How long its line and headers may take.
HEAD_SECONDS_MAX = 30.0
# How long it may take once the server is to end, of who came and was not heard yet.
LAST_HEAD_SECONDS = 1.0
# How long a body may take; and a second more for so many bytes of it, which any network brings.
BODY_SECONDS = 30.0
BODY_BYTES_A_SECOND = 1024
# How long a reader may take for what lies ready: 48 KiB of it, before more is made.
TAKE_SECONDS = 60.0
# After a refusal: how long is left to read the answer, to who still sends.
LINGER_SECONDS = 2.0
# For so long, as they were told, nothing is read of who was refused because there are too many.
COME_BACK_SECONDS = 1.0


class _Door:
    """How many requests came in this turn of the loop: the first of them is begun in the next one."""

    def __init__(self) -> None:
        self.coming: int = 0

    def comes(self, loop: AbstractEventLoop) -> None:
        if not self.coming:
            _ = loop.call_soon(self._begun)
        self.coming += 1

    def _begun(self) -> None:
        self.coming = 0


def _any_number() -> int:
    return 10**6


def protocol_with(connections_max: int, room: Callable[[], int] = _any_number) -> Any:
    """The protocol of a server that keeps so many connections; to be given to uvicorn as `http`.

    `room` says how many more requests may be begun.
    """
    # Those that have nothing to do, the longest so first.
    idle: dict[Protocol, None] = {}
    return partial(Protocol, connections_max=connections_max, idle=idle, room=room, door=_Door())


def http_only(application: Any, protocol: Any, **more: Any) -> uvicorn.Config:
    """Has uvicorn do HTTP by this protocol and nothing else: whom a proxy names, what is logged and
    what the server says of itself are ours."""
    return uvicorn.Config(
        application,
        interface="asgi3",
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        **more,
    )


class Server(uvicorn.Server):
    """Leaves the signals to the process that it is in: uvicorn would raise them again after its end."""

    @override
    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


class Protocol(HttpToolsProtocol):
    """One connection.

    Where there are as many as may be, the one gives way that has been idle the longest: it said nothing
    yet, or nothing since its last answer.
    """

    def __init__(
        self,
        *given: Any,
        connections_max: int = 10**6,
        idle: "dict[Protocol, None] | None" = None,
        room: Callable[[], int] = _any_number,
        door: _Door | None = None,
        **named: Any,
    ) -> None:
        super().__init__(*given, **named)
        self._room = room
        self._door = door or _Door()
        self._connections_max = connections_max
        self._idle: dict[Protocol, None] = {} if idle is None else idle
        self._beside = 0
        self._in_head = False
        self._in_body = False
        self._refused = False
        self._ending = False
        self._head_timer: TimerHandle | None = None
        self._body_timer: TimerHandle | None = None
        self._take_timer: TimerHandle | None = None
        self._back_timer: TimerHandle | None = None
        self._body_began = 0.0
        self._body_bytes = 0

    @override
    def connection_made(self, transport: Transport) -> None:
        super().connection_made(transport)
        if len(self.connections) > self._connections_max:
            if not self._idle:
                self._refuse(problems.unavailable())
                return
            longest = next(iter(self._idle))
            self._idle.pop(longest)
            longest.transport.close()
        self._idle[self] = None
        self._await_head()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._idle.pop(self, None)
        self._forget_timer()
        self._forget_body()
        self._taken()
        if self._back_timer is not None:
            self._back_timer.cancel()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._between_requests():
            if self._room() <= self._door.coming and (method := _method_of_one(data)):
                figures.request(NO_ROUTE, method, 503, None)
                self.transport.write(_BUSY)
                self.flow.pause_reading()
                self._back_timer = self.loop.call_later(COME_BACK_SECONDS, self.flow.resume_reading)
                return
            self._door.comes(self.loop)
        self._beside += len(data)
        super().data_received(data)
        if self._refused:
            return
        if self._beside > BESIDE_BYTES_MAX:
            self._refuse(problems.head_too_large(BESIDE_BYTES_MAX))
        elif self._in_head and self._head_timer is None:
            self._await_head()
        elif self._in_body and self._body_timer is None:
            self._await_body(BODY_SECONDS)

    @override
    def shutdown(self) -> None:
        """Whoever came and was not heard yet is heard, and answered once: their request may be on its
        way, and to close now would lose it."""
        if self.cycle or self._refused:
            super().shutdown()
            return
        self._ending = True
        self._forget_timer()
        self._await_head()

    def _between_requests(self) -> bool:
        """Nothing of another request is there: neither what is worked on, nor a part of one."""
        if self._beside or self._in_head or self._in_body or self.pipeline:
            return False
        cycle = self.cycle
        return not cycle or cycle.response_complete

    @override
    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    @override
    def on_headers_complete(self) -> None:
        self._in_head = False
        self._idle.pop(self, None)
        self._forget_timer()
        super().on_headers_complete()
        if self._ending:
            self.cycle.keep_alive = False
        self._in_body = True
        self._body_began, self._body_bytes = self.loop.time(), 0

    @override
    def on_body(self, body: bytes) -> None:
        self._beside -= len(body)
        self._body_bytes += len(body)
        super().on_body(body)

    @override
    def on_message_complete(self) -> None:
        self._beside = 0
        self._in_body = False
        self._forget_body()
        super().on_message_complete()

    @override
    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing() and self.cycle.response_complete:
            self._idle[self] = None

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._take_timer = self.loop.call_later(TAKE_SECONDS, self.transport.abort)

    @override
    def resume_writing(self) -> None:
        self._taken()
        super().resume_writing()

    @override
    def send_400_response(self, msg: str) -> None:
        self._refuse(problems.malformed("request", "This is no valid HTTP request."))

    def _await_head(self) -> None:
        seconds = LAST_HEAD_SECONDS if self._ending else HEAD_SECONDS_MAX
        self._head_timer = self.loop.call_later(seconds, self._give_up)

    def _forget_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if self._in_head:
            self._refuse(problems.head_too_slow())
        else:
            self.transport.close()

    def _await_body(self, seconds: float) -> None:
        self._body_timer = self.loop.call_later(seconds, self._look_at_body)

    def _look_at_body(self) -> None:
        now = self.loop.time()
        if self.flow.read_paused:
            # It is us who do not take it in.
            self._body_began, self._body_bytes = now, 0
        due = self._body_began + BODY_SECONDS + self._body_bytes / BODY_BYTES_A_SECOND
        if now < due:
            self._await_body(due - now)
        elif self.cycle.response_complete:
            # It was refused long ago, and only passed over.
            self.transport.close()
        else:
            self._refuse(problems.body_too_slow())

    def _forget_body(self) -> None:
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None

    def _taken(self) -> None:
        if self._take_timer is not None:
            self._take_timer.cancel()
            self._take_timer = None

    def _refuse(self, problem: Problem) -> None:
        """Answers, and closes once the client had time to read it; where a request that came whole has
        no answer yet, it only closes.

        What still comes is passed over meanwhile: to close at once would reset the connection, and
        take the answer along.
        """
        self._refused = True
        self._idle.pop(self, None)
        self._forget_timer()
        self._forget_body()
        self._unset_keepalive_if_required()
        if self.transport.is_closing():
            return
        cycle = self.cycle
        if cycle and not cycle.response_complete:
            if self.pipeline or cycle.response_started or not cycle.more_body:
                self.transport.close()
                return
            # Whoever waits for the rest of the body learns that nothing more comes.
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.write(_written(problem, b"connection: close\r\n"))
        self.transport.write_eof()
        _ = self.loop.call_later(LINGER_SECONDS, self.transport.close)


def _written(problem: Problem, more: bytes = b"") -> bytes:
    """A problem as it goes over the wire, with further headers."""
    body = problem.body()
    told = {"content-type": problems.MEDIA_TYPE, **problem.headers, **HEADERS}
    headers = b"".join(f"{name.lower()}: {value}\r\n".encode() for name, value in told.items())
    length = b"content-length: %d\r\n" % len(body)
    return STATUS_LINE[problem.status] + headers + length + more + b"\r\n" + body


_BUSY = _written(problems.unavailable())
_FIRST_LINE = re.compile(rb"(GET|POST|PUT|PATCH|DELETE) ([!-~]+) HTTP/1\.1\r\n")
_LENGTH = re.compile(rb"\ncontent-length: ?([0-9]{1,9})\r\n")
# What makes more of a request than a head and so many bytes.
_MORE = re.compile(
    rb"\n(?:transfer-encoding|expect|upgrade)[ \t]*:|\nconnection[ \t]*:(?! ?keep-alive\r)"
)
_BESIDE = frozenset(path.encode() for path in BESIDE_PATHS)


def _method_of_one(data: bytes) -> str | None:
    """The method, where this is one whole request of the plainest kind and nothing beyond it. Whatever
    is not is read as it always is, and may be refused later."""
    line = _FIRST_LINE.match(data)
    end = data.find(b"\r\n\r\n")
    if line is None or end < 0 or line[2].partition(b"?")[0] in _BESIDE:
        return None
    head = data[: end + 2].lower()
    if head.count(b"\n") != head.count(b"\r\n") or _MORE.search(head):
        return None
    lengths = head.count(b"content-length")
    length = _LENGTH.search(head)
    said = 0 if lengths == 0 else int(length[1]) if lengths == 1 and length is not None else None
    return line[1].decode() if said == len(data) - end - 4 else None
