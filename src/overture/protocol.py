"""HTTP/1.1 as uvicorn reads it, with bounds on what comes before anybody looks at it.

uvicorn itself takes a request's line and headers however long they are and however long they take: a
single connection could fill the memory, and thousands that say nothing be kept for ever. The same goes
for a body that comes a byte at a time, and for an answer that is taken so. And what it cannot read at
all it answers in words of its own; here that is a problem like every other no.
"""

from asyncio import TimerHandle, Transport
from functools import partial
from typing import Any

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from overture.api import problems
from overture.api.problems import Problem
from overture.front import HEADERS

# What a request may bring beside its body: its line, its headers, and what parts of a body come in. It
# bounds what is waited for: of what was read at once, a little more may pass.
BESIDE_BYTES_MAX = 64 * 1024
# How long its line and headers may take.
HEAD_SECONDS_MAX = 30.0
# How long a body may take; and a second more for so many bytes of it, which any network brings.
BODY_SECONDS = 30.0
BODY_BYTES_A_SECOND = 1024
# How long a reader may take for what lies ready: 48 KiB of it, before more is made.
TAKE_SECONDS = 60.0
# After a refusal: how long is left to read the answer, to who still sends.
LINGER_SECONDS = 2.0


_SHOWN = b"".join(f"{name.lower()}: {value}\r\n".encode() for name, value in HEADERS.items())


def protocol_with(connections_max: int) -> Any:
    """The protocol of a server that keeps so many connections; to be given to uvicorn as `http`."""
    # Those that have nothing to do, the longest so first.
    idle: dict[Protocol, None] = {}
    return partial(Protocol, connections_max=connections_max, idle=idle)


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
        **named: Any,
    ) -> None:
        super().__init__(*given, **named)
        self._connections_max = connections_max
        self._idle: dict[Protocol, None] = {} if idle is None else idle
        self._beside = 0
        self._in_head = False
        self._in_body = False
        self._refused = False
        self._head_timer: TimerHandle | None = None
        self._body_timer: TimerHandle | None = None
        self._take_timer: TimerHandle | None = None
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
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
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
    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    @override
    def on_headers_complete(self) -> None:
        self._in_head = False
        self._idle.pop(self, None)
        self._forget_timer()
        super().on_headers_complete()
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
        self._head_timer = self.loop.call_later(HEAD_SECONDS_MAX, self._give_up)

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
        body = problem.body()
        self.transport.write(
            STATUS_LINE[problem.status]
            + b"content-type: %b\r\n" % problems.MEDIA_TYPE.encode()
            + _SHOWN
            + b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body)
            + body
        )
        self.transport.write_eof()
        _ = self.loop.call_later(LINGER_SECONDS, self.transport.close)
