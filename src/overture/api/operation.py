"""Operations: one declaration decodes, validates, authorises, documents and carries out a call.

    @operation(
        "POST",
        "/connections",
        summary="Invite a member to connect",
        tag="Network",
        status=201,
        refusals={Refusal.ALREADY_CONNECTED: 409, Refusal.NO_SUCH_MEMBER: 404},
    )
    async def invite(call: Call, body: Invite) -> Invitation | Refusal:
        return await network.invite(call.tx, call.viewer, body.member_id, now=call.now)

The signature says the rest. A parameter named `body` is the JSON body and `query` the parameters of
the query, both structs of `wire.In`; every other one is a placeholder of the path: of an id's type,
it is checked to be one. A `body` of bytes is taken as it comes. The return type names what succeeds
(`None`: no content) beside `Refusal`, `Invalid`, `Problem` and `Reply`, which gives a success a status
other than the first, such as 200 for what was so already.

An operation runs in one transaction, `call.tx`: a reading connection for a GET. A Refusal or
Problem takes back what was written. A POST with an Idempotency-Key is answered from the kept answer
where there is one, and its 2xx is kept in the same transaction. With `transaction=False` the
operation sees to all of that itself.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from inspect import cleandoc
from types import NoneType, UnionType
from typing import (
    IO,
    Annotated,
    Any,
    Generic,
    Literal,
    TypeVar,
    Union,  # pyright: ignore[reportDeprecated]  what `|` makes of generic types
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec

from overture.actions.fields import Invalid
from overture.api.callers import Caller
from overture.api.context import Context
from overture.api.problems import Problem
from overture.api.wire import In, Out
from overture.core.ids import (
    ComplaintId,
    ConversationId,
    EndpointId,
    FileId,
    InvitationId,
    MemberId,
    MessageId,
    ReportId,
)
from overture.core.policy import PolicyBook
from overture.core.refusals import Refusal
from overture.live.stream import Stream as Stream  # noqa: PLC0414  an answer, like those below
from overture.store.db import Tx
from overture.store.idempotency import Kept, Once

T = TypeVar("T")

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
BODY_BYTES_MAX = 64 * 1024


class Who(Enum):
    """Who may call."""

    ANYONE = "anyone, without a token"
    READER = "a member, or the operator with or without Act-As"
    MEMBER = "a member, or the operator with Act-As"
    OPERATOR = "the operator, without Act-As"


@dataclass(frozen=True, slots=True)
class Reply(Generic[T]):
    """A success with a status of its own, one of those that the operation declares in `also`."""

    status: int
    value: T


@dataclass(frozen=True, slots=True)
class Raw:
    """A success that is not JSON, with its headers: a file, perhaps one that memory need not hold."""

    body: bytes | IO[bytes]
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


async def _always() -> bool:
    return True


@dataclass(slots=True)
class Call:
    """One call of an operation: who asks, when, and what they work with."""

    context: Context
    caller: Caller | None = None
    once: Once | None = None
    last_event_id: bytes | None = None
    # Of a body of bytes, as its sender signed it.
    signature: str | None = None
    # For a Stream: whether the caller may still do this.
    still_allowed: Callable[[], Awaitable[bool]] = _always
    _tx: Tx | None = None
    _now: datetime | None = None

    @property
    def viewer(self) -> MemberId:
        """Who acts: the token's member, or whom the operator acts as."""
        assert self.caller is not None
        assert self.caller.member is not None, "this operation was declared to need a member"
        return self.caller.member

    @property
    def viewer_or_operator(self) -> MemberId | None:
        """Who acts; None is the operator."""
        return None if self.caller is None else self.caller.member

    @property
    def by_operator(self) -> bool:
        """Whether an operator's token is used, also where it acts as a member."""
        return self.caller is not None and self.caller.operator

    @property
    def tx(self) -> Tx:
        assert self._tx is not None, "this operation was declared to open its transactions itself"
        return self._tx

    @property
    def now(self) -> datetime:
        assert self._now is not None, "this operation was declared to ask the clock itself"
        return self._now

    @property
    def book(self) -> PolicyBook:
        return self.context.book

    def at(self, tx: Tx, now: datetime) -> None:
        self._tx, self._now = tx, now


Handler = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Operation:
    """A declared operation: what `dispatch` runs and `openapi` tells of."""

    method: Method
    path: str
    run: Handler
    summary: str
    about: str
    tag: str
    who: Who
    scope: str
    status: int
    also: tuple[int, ...]
    refusals: Mapping[Refusal, int]
    problems: Mapping[int, tuple[str, ...]]
    carries: Any
    carried: frozenset[int]
    parameters: Mapping[str, Any]
    body: Any
    body_optional: bool
    body_bytes_max: int
    query: type[In] | None
    answers: tuple[Any, ...]
    media_type: str
    transaction: bool
    placeholders: tuple[str, ...]
    decode: Callable[[bytes], Any] | None
    secrets: frozenset[str]
    events: Mapping[str, type[Out]]
    unhurried: bool
    while_suspended: bool
    searches: bool


def operation(
    method: Method,
    path: str,
    *,
    summary: str,
    tag: str,
    who: Who = Who.MEMBER,
    scope: Literal["read", "write"] | None = None,
    status: int = 200,
    also: tuple[int, ...] = (),
    refusals: Mapping[Refusal, int] | None = None,
    problems: Mapping[int, tuple[str, ...]] | None = None,
    carries: type | None = None,
    carried: Collection[int] = (),
    transaction: bool = True,
    media_type: str = "application/json",
    body_bytes_max: int = BODY_BYTES_MAX,
    events: Mapping[str, type[Out]] | None = None,
    unhurried: bool = False,
    while_suspended: bool = False,
    searches: bool = False,
) -> Callable[[Handler], Operation]:
    """Declares an operation; see above.

    `scope` is `read` for GET and `write` for the rest unless said otherwise. `refusals` are the
    noes that it may return, each with its status; one that is not declared is a fault. `problems`
    tells of the codes of further ones that it returns or raises itself, by status; those with a
    status of `carried` have the fields of `carries` too. `events` are those of a Stream, by name, with
    what each brings. An `unhurried` one may take as long as it takes. `while_suspended`: a member who
    is suspended may do it too. One that `searches`, by `q`, takes its turn. The docstring is the
    description.
    """

    def declare(run: Handler) -> Operation:
        hints = get_type_hints(run, include_extras=True)
        answers = tuple(_answers(hints.pop("return")))
        body, query = hints.pop("body", None), hints.pop("query", None)
        _ = hints.pop("call")
        placeholders = tuple(part[1:-1] for part in path.split("/") if part.startswith("{"))
        assert set(placeholders) == set(hints), f"{path} and its function name other placeholders"
        return Operation(
            method=method,
            path=path,
            run=run,
            summary=summary,
            about=cleandoc(run.__doc__ or ""),
            tag=tag,
            who=who,
            scope=scope or ("read" if method == "GET" else "write"),
            status=204 if answers == (NoneType,) else status,
            also=also,
            refusals=refusals or {},
            problems=problems or {},
            carries=carries,
            carried=frozenset(carried),
            parameters={name: hints[name] for name in placeholders},
            body=body,
            body_optional=body is not None and _optional(body),
            body_bytes_max=body_bytes_max,
            query=query,
            answers=answers,
            media_type=media_type,
            transaction=transaction,
            placeholders=placeholders,
            decode=None if body in (None, bytes) else msgspec.json.Decoder(body).decode,
            secrets=frozenset(name for kind in answers for name in _secrets(kind)),
            events=events or {},
            unhurried=unhurried,
            while_suspended=while_suspended,
            searches=searches,
        )

    return declare


# What a path names by an id, and the no where there is no such thing.
NO_SUCH: Mapping[Any, Refusal] = {
    MemberId: Refusal.NO_SUCH_MEMBER,
    ConversationId: Refusal.NO_SUCH_CONVERSATION,
    MessageId: Refusal.NO_SUCH_MESSAGE,
    FileId: Refusal.NO_SUCH_FILE,
    InvitationId: Refusal.NO_SUCH_INVITATION,
    ReportId: Refusal.NO_SUCH_REPORT,
    ComplaintId: Refusal.NO_SUCH_COMPLAINT,
    EndpointId: Refusal.NO_SUCH_ENDPOINT,
}


_UNIONS = (Union, UnionType)  # pyright: ignore[reportDeprecated]


def _answers(returned: Any) -> list[Any]:
    """The types of success in a return type."""
    if get_origin(returned) in _UNIONS:
        return list(dict.fromkeys(a for part in get_args(returned) for a in _answers(part)))
    if returned in (Refusal, Problem, Invalid, Kept):
        return []
    if get_origin(returned) is Reply:
        return _answers(get_args(returned)[0])
    return [returned]


def _optional(body: Any) -> bool:
    # What is annotated needs something that the struct alone cannot say.
    return (
        body is not bytes
        and get_origin(body) is not Annotated
        and all(not each.required for each in msgspec.structs.fields(body))
    )


def _secrets(answer: Any) -> list[str]:
    if not (isinstance(answer, type) and issubclass(answer, msgspec.Struct)):
        return []
    return [
        each.name
        for each in msgspec.structs.fields(answer)
        for meta in getattr(each.type, "__metadata__", ())
        if isinstance(meta, msgspec.Meta) and (meta.extra or {}).get("secret")
    ]
