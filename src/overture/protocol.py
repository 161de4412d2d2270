"""HTTP/1.1 as uvicorn reads it, with bounds on what comes before anybody looks at it.

uvicorn itself takes a request's line and headers however long they are and however long they take: a
single connection could fill the memory, and thousands that say nothing be kept for ever. And what it
cannot read at all it answers in words of its own; here that is a problem like every other no.
"""

from asyncio import TimerHandle, Transport
from typing import Any

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from overture.api import problems
from overture.api.problems import Problem

# What a request may bring beside its body: its line, its headers, and what parts of a body come in. It
# bounds what is waited for: of what was read at once, a little more may pass.
BESIDE_BYTES_MAX = 64 * 1024
# How long its line and headers may take.
HEAD_SECONDS_MAX = 30.0
# After a refusal: how long is left to read the answer, to who still sends.
LINGER_SECONDS = 2.0


class Protocol(HttpToolsProtocol):
    """One connection. To be given to uvicorn as `http`."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._beside = 0
        self._in_head = False
        self._refused = False
        self._head_timer: TimerHandle | None = None

    @override
    def connection_made(self, transport: Transport) -> None:
        super().connection_made(transport)
        self._await_head()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_timer()
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

    @override
    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    @override
    def on_headers_complete(self) -> None:
        self._in_head = False
        self._forget_timer()
        super().on_headers_complete()

    @override
    def on_body(self, body: bytes) -> None:
        self._beside -= len(body)
        super().on_body(body)

    @override
    def on_message_complete(self) -> None:
        self._beside = 0
        super().on_message_complete()

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

    def _refuse(self, problem: Problem) -> None:
        """Answers, and closes once the client had time to read it; where a request that came whole has
        no answer yet, it only closes.

        What still comes is passed over meanwhile: to close at once would reset the connection, and
        take the answer along.
        """
        self._refused = True
        self._forget_timer()
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
            + b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body)
            + body
        )
        self.transport.write_eof()
        _ = self.loop.call_later(LINGER_SECONDS, self.transport.close)
