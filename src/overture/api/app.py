"""The API as an ASGI application: finds the operation, checks the caller, runs it, answers."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from os import SEEK_END
from types import ModuleType
from typing import IO, Any, cast

import msgspec

from overture import asked, ids, tracing
from overture.actions.fields import Invalid
from overture.actions.lanes import Overloaded
from overture.api import (
    account,
    conversations,
    decisions,
    events,
    inbox,
    members,
    network,
    operator_clock,
    operator_decisions,
    operator_jobs,
    operator_members,
    operator_metrics,
    operator_policies,
    operator_suspicions,
    operator_webhooks,
    payments,
    premium,
    problems,
)
from overture.api.callers import Caller, caller_of
from overture.api.context import Context
from overture.api.inputs import body_of, path_value, query_of
from overture.api.operation import Call, Operation, Raw, Reply, Stream, Who
from overture.api.problems import Problem
from overture.api.reference import published
from overture.core.refusals import Refusal
from overture.live.stream import pour
from overture.store.db import Tx, Unavailable
from overture.store.idempotency import OPERATOR, Kept, Once, keep, kept
from overture.store.pages import BadCursor

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

BASE = "/api/v1"
# Every module of operations; a new one is added here.
MODULES: tuple[ModuleType, ...] = (
    account,
    conversations,
    decisions,
    events,
    inbox,
    members,
    network,
    operator_clock,
    operator_decisions,
    operator_jobs,
    operator_members,
    operator_metrics,
    operator_policies,
    operator_suspicions,
    operator_webhooks,
    payments,
    premium,
)

# How long a request may be worked on once it has come; what it waits for then is not worth more.
WORK_SECONDS = 120.0
# Of a file, so much is read and sent at once.
_PART_BYTES = 256 * 1024

_log = logging.getLogger("overture.api")
_encode = msgspec.json.Encoder().encode


def api_app(context: Context) -> App:
    """Answers all of /api/v1, /healthz and /readyz; anything else is a 404 problem."""
    described = operations()
    return _Api(context, [*described, *published(described)])


def operations() -> list[Operation]:
    return [each for module in MODULES for each in vars(module).values() if type(each) is Operation]


@dataclass(slots=True)
class _Node:
    """A place in the tree of paths: what follows literally, what follows as a placeholder."""

    literal: dict[str, "_Node"] = field(default_factory=dict)
    placeholder: "_Node | None" = None
    methods: dict[str, Operation] = field(default_factory=dict)


@dataclass(slots=True)
class _Response:
    status: int
    body: bytes | IO[bytes]
    headers: list[tuple[bytes, bytes]]
    stream: Stream | None = None


@dataclass(slots=True)
class _Headers:
    authorization: bytes | None = None
    act_as: bytes | None = None
    last_event_id: bytes | None = None
    signature: bytes | None = None
    content_type: bytes = b""
    content_length: bytes = b""
    idempotency_key: bytes | None = None


class _TakenBack(Exception):
    """Carries an answer out of a transaction that the database is to roll back."""

    def __init__(self, answer: Refusal | Problem | Kept) -> None:
        super().__init__(answer)
        self.answer = answer


class _Gone(Exception):
    """The client went away in the middle of its request."""


class _Api:
    def __init__(self, context: Context, described: Iterable[Operation]) -> None:
        self._context = context
        self._root = _tree(described)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "the API speaks HTTP alone; the app sees to the lifespan"
        try:
            response = await self._respond(scope, receive)
        except Problem as problem:
            response = _from_problem(problem)
        except _Gone:
            return
        except (Unavailable, Overloaded, TimeoutError, asyncio.CancelledError):
            # Cancelled is what takes too long when the server ends.
            response = _from_problem(problems.unavailable())
        except Exception:  # noqa: BLE001  a fault ends here: logged once, and answered
            reference = ids.new()
            _log.exception("%s %s failed, %s", scope["method"], scope["path"], reference)
            response = _from_problem(problems.fault(reference))
        if response.stream is not None:
            await pour(response.stream, receive, send)
            return
        await send(
            {"type": "http.response.start", "status": response.status, "headers": response.headers}
        )
        if isinstance(response.body, bytes):
            await send({"type": "http.response.body", "body": response.body})
        else:
            await _send_file(response.body, send)

    async def _respond(self, scope: Scope, receive: Receive) -> _Response:
        if scope["path"] in ("/healthz", "/readyz"):
            asked.found(scope["path"])
            return await self._health(scope["method"], scope["path"])
        operation, segments = self._find(scope["method"], scope["path"])
        asked.found(BASE + operation.path)
        headers = _headers(scope["headers"])
        context = self._context
        call = Call(context, last_event_id=headers.last_event_id)
        if headers.signature is not None:
            call.signature = headers.signature.decode("latin-1")
        if operation.who is not Who.ANYONE:
            try:
                call.caller = await caller_of(
                    headers.authorization, headers.act_as, context.callers
                )
                _check_caller(operation, call.caller)
                self._check_rate(operation, call.caller)
            except Problem as problem:
                # Who shows no token at all is anybody who looks in, and nobody who tries something.
                if headers.authorization is not None:
                    whose = f"token {call.caller.token}" if call.caller else "an unknown token"
                    where = f"{operation.method} {operation.path}"
                    _log.info("%s was refused to %s: %s", where, whose, problem.code)
                raise
            call.still_allowed = partial(self._is_still, call.caller, operation, headers)
        given: dict[str, Any] = {
            name: path_value(kind, segment)
            for (name, kind), segment in zip(operation.parameters.items(), segments, strict=True)
        }
        asked.found(BASE + operation.path, given.get("conversation_id"))
        query = query_of(operation, scope["query_string"])
        if operation.query is not None:
            given["query"] = query
        if operation.body is not None:
            raw = await _body(receive, headers, operation.body_bytes_max)
            given["body"] = (
                raw if operation.body is bytes else body_of(operation, raw, headers.content_type)
            )
        if operation.method == "POST" and headers.idempotency_key is not None:
            call.once = _once(call, scope["path"], headers.idempotency_key, given.get("body"))
        # A stream's own answer comes at once: what goes on for ever is poured later.
        async with asyncio.timeout(None if operation.unhurried else WORK_SECONDS):
            if operation.searches and getattr(query, "q", ""):
                async with context.searches.turn():
                    return await self._carry_out(operation, call, given)
            return await self._carry_out(operation, call, given)

    async def _carry_out(
        self, operation: Operation, call: Call, given: Mapping[str, Any]
    ) -> _Response:
        context = self._context
        if not operation.transaction:
            return _response(operation, await _run(operation, call, given))
        if operation.method == "GET":
            return await context.db.reading(lambda tx: _read(tx, operation, call, given))
        try:
            return await context.db.writing(lambda tx: _write(tx, operation, call, given))
        except _TakenBack as taken_back:
            return _response(operation, taken_back.answer)

    async def _is_still(self, caller: Caller, operation: Operation, headers: _Headers) -> bool:
        """Whether the same request would be let in again. When that cannot be known, it stays."""
        try:
            now = await caller_of(headers.authorization, headers.act_as, self._context.callers)
            _check_caller(operation, now)
        except Problem:
            return False
        except (Unavailable, Overloaded):
            return True
        return now.member == caller.member

    async def _health(self, method: str, path: str) -> _Response:
        """/healthz: the process is up. /readyz: the database answers too."""
        if method != "GET":
            raise problems.method_not_allowed(["GET"])
        if path == "/readyz":
            async with self._context.db.read() as tx:
                await tx.execute("select 1")
        return _json(200, b'{"status":"ok"}')

    def _find(self, method: str, path: str) -> tuple[Operation, list[str]]:
        node: _Node | None = self._root
        values: list[str] = []
        for segment in path.split("/")[1:]:
            following = node.literal.get(segment)
            if following is None:
                following = node.placeholder
                values.append(segment)
            if following is None:
                raise problems.not_found()
            node = following
        if not node.methods or "" in values:
            raise problems.not_found()
        operation = node.methods.get(method)
        if operation is None:
            raise problems.method_not_allowed(list(node.methods))
        return operation, values

    def _check_rate(self, operation: Operation, caller: Caller) -> None:
        if caller.operator:
            return
        wait = self._context.requests.hit(caller.token)
        if not wait and operation.method != "GET":
            wait = self._context.writes.hit(caller.token)
        if wait:
            raise problems.rate_limited(wait)


async def _send_file(file: IO[bytes], send: Send) -> None:
    """A part at a time, and at its end the file is closed."""
    with file:
        while part := await asyncio.to_thread(file.read, _PART_BYTES):
            await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _length(body: bytes | IO[bytes]) -> int:
    if isinstance(body, bytes):
        return len(body)
    length = body.seek(0, SEEK_END)
    _ = body.seek(0)
    return length


def _tree(described: Iterable[Operation]) -> _Node:
    root = _Node()
    for operation in described:
        node = root
        for segment in (BASE + operation.path).split("/")[1:]:
            if segment.startswith("{"):
                node.placeholder = node.placeholder or _Node()
                node = node.placeholder
            else:
                node = node.literal.setdefault(segment, _Node())
        assert operation.method not in node.methods, f"{operation.path} stands twice"
        node.methods[operation.method] = operation
    return root


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> _Headers:
    headers = _Headers()
    for name, value in raw:
        if name == b"authorization":
            headers.authorization = value
        elif name == b"content-type":
            headers.content_type = value
        elif name == b"content-length":
            headers.content_length = value
        elif name == b"idempotency-key":
            headers.idempotency_key = value
        elif name == b"act-as":
            headers.act_as = value
        elif name == b"last-event-id":
            headers.last_event_id = value
        elif name == b"stripe-signature":
            headers.signature = value
    return headers


def _check_caller(operation: Operation, caller: Caller) -> None:
    if operation.who is Who.OPERATOR and (not caller.operator or caller.member is not None):
        raise problems.operator_only()
    if operation.scope not in caller.scopes and not caller.operator:
        raise problems.insufficient_scope(operation.scope)
    if operation.who is Who.MEMBER and caller.member is None:
        raise problems.act_as_required()
    if caller.suspended and not operation.while_suspended:
        raise problems.refused(Refusal.SUSPENDED, 403)


async def _body(receive: Receive, headers: _Headers, bytes_max: int) -> bytes:
    if headers.content_length.isdigit() and int(headers.content_length[:12]) > bytes_max:
        raise problems.too_large(bytes_max)
    parts: list[bytes] = []
    size = 0
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise _Gone
        parts.append(event.get("body", b""))
        size += len(parts[-1])
        if size > bytes_max:
            raise problems.too_large(bytes_max)
        if not event.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _once(call: Call, path: str, key: bytes, body: object) -> Once:
    text = key.decode("latin-1")
    if not (1 <= len(text) <= 255 and text.isascii() and text.isprintable()):
        raise problems.invalid(
            "Idempotency-Key", "It has 1 to 255 printable ASCII characters.", 400
        )
    # Of the body's meaning, so that white space and the order of its fields do not count.
    fingerprint = sha256(_encode(body)).digest()
    return Once(call.viewer_or_operator or OPERATOR, f"POST {path}", text, fingerprint)


async def _read(tx: Tx, operation: Operation, call: Call, given: Mapping[str, Any]) -> _Response:
    call.at(tx, await call.context.clock.now(tx))
    return _response(operation, await _run(operation, call, given))


async def _write(tx: Tx, operation: Operation, call: Call, given: Mapping[str, Any]) -> _Response:
    once = call.once
    if once is not None:
        before = (await kept(tx, [once])).get(once.scope)
        if before is not None:
            raise _TakenBack(_repeated(before, once))
    call.at(tx, await call.context.clock.now(tx))
    answer = await _run(operation, call, given)
    if isinstance(answer, (Refusal, Problem)):
        # A repeat that another process carried out meanwhile may be refused for its own effect.
        if once is not None and (before := (await kept(tx, [once])).get(once.scope)) is not None:
            answer = _repeated(before, once)
        raise _TakenBack(answer)
    response = _response(operation, answer)
    if once is not None:
        body = _without_secrets(operation, answer) if operation.secrets else response.body
        assert isinstance(body, bytes), "a file is never the answer to a POST"
        await keep(tx, [(once, Kept(response.status, body, once.fingerprint))])
    return response


async def _run(operation: Operation, call: Call, given: Mapping[str, Any]) -> Any:
    try:
        with tracing.action(operation.run):
            answer = await operation.run(call, **given)
    except BadCursor:
        return problems.invalid("cursor", "This is no cursor of this list; begin without one.")
    return problems.invalid_fields(answer.errors) if isinstance(answer, Invalid) else answer


def _repeated(before: Kept, once: Once) -> Kept | Problem:
    return before if before.fingerprint == once.fingerprint else problems.key_reused()


def replayed(before: Kept) -> _Response:
    """The first answer, given again."""
    response = _json(before.status, before.body)
    response.headers.append((b"idempotent-replayed", b"true"))
    return response


def _response(operation: Operation, answer: Any) -> _Response:
    if isinstance(answer, Refusal):
        return _from_problem(problems.refused(answer, operation.refusals[answer]))
    if isinstance(answer, Problem):
        return _from_problem(answer)
    if isinstance(answer, Kept):
        return replayed(answer)
    if isinstance(answer, Raw):
        headers = [(n.lower().encode(), v.encode()) for n, v in answer.headers.items()]
        headers.append((b"content-length", b"%d" % _length(answer.body)))
        return _Response(operation.status, answer.body, headers)
    if isinstance(answer, Stream):
        return _Response(operation.status, b"", [], answer)
    status, value = _success(operation, answer)
    return _json(status, b"" if value is None else _encode(value))


def _success(operation: Operation, answer: Any) -> tuple[int, Any]:
    if isinstance(answer, Reply):
        reply = cast("Reply[Any]", answer)
        return reply.status, reply.value
    return operation.status, answer


def _without_secrets(operation: Operation, answer: Any) -> bytes:
    _, value = _success(operation, answer)
    return _encode(msgspec.structs.replace(value, **dict.fromkeys(operation.secrets)))


def _json(status: int, body: bytes) -> _Response:
    if not body:
        return _Response(status, body, [])
    return _Response(
        status,
        body,
        [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
        ],
    )


def _from_problem(problem: Problem) -> _Response:
    body = problem.body()
    headers = [
        (b"content-type", problems.MEDIA_TYPE.encode()),
        (b"content-length", b"%d" % len(body)),
        *((name.lower().encode(), value.encode()) for name, value in problem.headers.items()),
    ]
    return _Response(problem.status, body, headers)
