"""Operations that write in conversations. What is done goes through the lane, in batches."""

from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from overture import ids
from overture.actions.conversations import Ask, KeyReused, Render, preview
from overture.api import problems
from overture.api.operation import Call, Reply, Who, operation
from overture.api.problems import Problem
from overture.api.wire import (
    LINE,
    NOT_BLANK,
    AMemberId,
    ConversationOut,
    Count,
    In,
    Instant,
    MessageOut,
    Nothing,
    Out,
    Page,
    PoolName,
    conversation_out,
    from_policy,
    message_out,
)
from overture.clock import real_now
from overture.core import text
from overture.core.contact import Contact, RemedyKind
from overture.core.conversations import Channel
from overture.core.ids import ConversationId, MemberId, MessageId
from overture.core.pace import Paced
from overture.core.policy import Outcome, Policy
from overture.core.refusals import Refusal
from overture.core.sending import Command, Done, Refused, Respond, Start, Withdraw, Write
from overture.store.idempotency import Kept

T = TypeVar("T")

TAG = "Conversations"

# Wire -------------------------------------------------------------------------------------------

Body = Annotated[str, NOT_BLANK, from_policy("body_chars_max")]
Subject = Annotated[str, LINE, from_policy("subject_chars_max")]


class ContactQuery(In):
    pool: PoolName | None = None


class RemedyOut(Out):
    """What would help: plans to choose from, an instant to wait for, or to unblock."""

    kind: RemedyKind
    at: Instant | UnsetType = UNSET
    plans: Sequence[str] | UnsetType = UNSET


class ContactOut(Out):
    """The decision. `credits` is the price; `pool` and `balance` tell of what would pay it."""

    allowed: bool
    channel: Channel | None
    credits: int
    pool: str | None
    balance: int | None
    code: Refusal | None
    remedy: RemedyOut | None


class Begin(In):
    """`pool`: which credits to use; `max_credits`: what it may cost at most, 0 for nothing."""

    to: AMemberId
    body: Body
    subject: Subject | None = None
    pool: PoolName | None = None
    max_credits: Count | None = None


class WriteOn(In):
    """A text, or a quick reply whose own text serves where none is given."""

    body: Body | None = None
    quick_reply: Annotated[str, from_policy("quick_replies")] | None = None


# What the struct cannot say: one of the two must be there.
WriteOnBody = Annotated[
    WriteOn,
    Meta(
        extra_json_schema={
            "anyOf": [
                {"required": [name], "properties": {name: {"type": "string"}}}
                for name in ("body", "quick_reply")
            ]
        }
    ),
]


class Decline(In):
    """With `block`, the sender is blocked too: "decline and don't contact again"."""

    block: bool = False


class ChargeOut(Out):
    """What was paid, and the pool's balance after it. Free: no pool, 0 credits."""

    pool: str | None
    credits: int
    balance: int | None


class Written(Out):
    """`message` and `charge` are null where nothing was added: the same response as before."""

    conversation: ConversationOut
    message: MessageOut | None
    charge: ChargeOut | None


class QuickReplyOut(Out):
    id: str
    text: str
    outcome: Outcome


# Operations -------------------------------------------------------------------------------------

# The noes of "Who may write to whom"; to oneself is 403, to an id that nobody has 404.
WRITING: Mapping[Refusal, int] = {
    Refusal.YOU_BLOCKED: 403,
    Refusal.PENDING_INMAIL: 409,
    Refusal.RECIPIENT_UNAVAILABLE: 403,
    Refusal.OPEN_PROFILE_LIMIT: 403,
    Refusal.RECIPIENT_NOT_PREMIUM: 403,
    Refusal.NOT_PREMIUM: 403,
    Refusal.NO_CREDITS: 402,
    Refusal.PRICE_EXCEEDS_MAX: 402,
}
# A first letter is held to a pace as well, which later ones are not.
BEGINNING: Mapping[Refusal, int] = {**WRITING, Refusal.SENDING_LIMIT: 429}
ANSWERING: Mapping[Refusal, int] = {
    Refusal.NO_SUCH_CONVERSATION: 404,
    Refusal.READ_ONLY: 403,
    Refusal.ALREADY_ANSWERED: 409,
    Refusal.NOT_PENDING: 409,
    Refusal.NOT_THE_RECIPIENT: 403,
}


@operation(
    "GET",
    "/members/{member_id}/contact",
    summary="May I write to this member, and at what price?",
    tag=TAG,
    refusals={Refusal.NO_SUCH_MEMBER: 404, Refusal.UNKNOWN_POOL: 422},
)
async def contact(
    call: Call, member_id: MemberId, query: ContactQuery
) -> ContactOut | Refusal | Problem:
    """The decision that a message to this member would meet now. It costs and changes nothing."""
    _check_pool(query.pool, call.book.at(call.now))
    found = await preview(
        call.tx,
        call.viewer,
        member_id,
        pool=query.pool,
        now=call.now,
        book=call.book,
        paced=_paced(call),
    )
    if found.code is Refusal.NO_SUCH_MEMBER and member_id != call.viewer:
        return Refusal.NO_SUCH_MEMBER
    return contact_out(found)


@operation(
    "POST",
    "/conversations",
    summary="Write to a member",
    tag=TAG,
    status=201,
    refusals={Refusal.NO_SUCH_MEMBER: 404, Refusal.UNKNOWN_POOL: 422, **BEGINNING},
    problems={403: (Refusal.NO_SUCH_MEMBER,)},
    carries=ContactOut,
    carried=(402, 403, 404, 409, 429),
    transaction=False,
)
async def begin(call: Call, body: Begin) -> Reply[Written] | Problem | Kept:
    """Goes into the open conversation with the member if there is one, else begins a new one.

    An InMail costs one credit, which comes back with a response in time. A no carries the fields of
    the preview: what it would have cost, why not, and what would help. A member's own token begins so
    many letters to strangers a day, fewer while the account is new (`sending_limit`).
    """
    policy = call.book.at(await call.context.instant())
    _check_pool(body.pool, policy)
    return await _ask(
        call,
        Start(
            viewer=call.viewer,
            to=body.to,
            conversation_id=ConversationId(ids.new()),
            message_id=MessageId(ids.new()),
            body=_clean("body", text.body(body.body, policy.body_chars_max)),
            subject=_clean("subject", text.line(body.subject or "", policy.subject_chars_max)),
            pool=body.pool,
            max_credits=body.max_credits,
            paced=_paced(call),
        ),
        _written,
    )


@operation(
    "POST",
    "/conversations/{conversation_id}/messages",
    summary="Write on in a conversation",
    tag=TAG,
    status=201,
    also=(200,),
    refusals={
        **ANSWERING,
        **WRITING,
        Refusal.CONVERSATION_CLOSED: 403,
        Refusal.UNKNOWN_QUICK_REPLY: 422,
    },
    carries=ContactOut,
    carried=(402, 403, 409),
    transaction=False,
)
async def write(
    call: Call, conversation_id: ConversationId, body: WriteOnBody
) -> Reply[Written] | Problem | Kept:
    """By the recipient of a pending InMail it is the response: a text accepts it, a quick reply has
    its own outcome. The same quick reply again changes nothing (200)."""
    policy = call.book.at(await call.context.instant())
    quick = None
    if body.quick_reply is not None:
        quick = policy.quick_reply(body.quick_reply)
        if quick is None:
            raise problems.refused(Refusal.UNKNOWN_QUICK_REPLY, 422)
    written = body.body if body.body is not None or quick is None else quick.text
    if written is None:
        raise problems.invalid("body", "Write a text or choose a quick reply.")
    return await _ask(
        call,
        Write(
            viewer=call.viewer,
            conversation_id=conversation_id,
            message_id=MessageId(ids.new()),
            body=_clean("body", text.body(written, policy.body_chars_max)),
            quick_reply=quick,
        ),
        _written,
    )


@operation(
    "POST",
    "/conversations/{conversation_id}/accept",
    summary="Accept an InMail",
    tag=TAG,
    refusals=ANSWERING,
    transaction=False,
)
async def accept(
    call: Call, conversation_id: ConversationId, body: Nothing
) -> Reply[ConversationOut] | Problem | Kept:
    """Both may write in the conversation from then on, and the sender's credit comes back."""
    _ = body
    return await _ask(call, Respond(call.viewer, conversation_id, Outcome.ACCEPTED), _view)


@operation(
    "POST",
    "/conversations/{conversation_id}/decline",
    summary="Decline an InMail",
    tag=TAG,
    refusals=ANSWERING,
    transaction=False,
)
async def decline(
    call: Call, conversation_id: ConversationId, body: Decline
) -> Reply[ConversationOut] | Problem | Kept:
    """The conversation is closed to the sender, whose credit comes back."""
    command = Respond(call.viewer, conversation_id, Outcome.DECLINED, block=body.block)
    return await _ask(call, command, _view)


@operation(
    "POST",
    "/conversations/{conversation_id}/withdraw",
    summary="Withdraw an InMail that was not answered",
    tag=TAG,
    refusals={
        Refusal.NO_SUCH_CONVERSATION: 404,
        Refusal.READ_ONLY: 403,
        Refusal.NOT_THE_SENDER: 403,
        Refusal.ALREADY_ANSWERED: 409,
        Refusal.NOT_PENDING: 409,
    },
    transaction=False,
)
async def withdraw(
    call: Call, conversation_id: ConversationId, body: Nothing
) -> Reply[ConversationOut] | Problem | Kept:
    """The recipient then sees only that it was withdrawn. The credit does not come back."""
    _ = body
    return await _ask(call, Withdraw(call.viewer, conversation_id), _view)


@operation("GET", "/quick-replies", summary="The quick replies", tag=TAG, who=Who.READER)
async def quick_replies(call: Call) -> Page[QuickReplyOut]:
    """Ready answers to an InMail. The text may be edited before sending; the outcome stays."""
    replies = call.book.at(call.now).quick_replies
    items = [QuickReplyOut(id=each.id, text=each.text, outcome=each.outcome) for each in replies]
    return Page(items=items, next=None)


def _paced(call: Call) -> Paced | None:
    """The operator is held to no pace, whomever they act as."""
    return None if call.by_operator else call.context.paced()


async def _ask(
    call: Call, command: Command, shape: Callable[[Done], Reply[T]]
) -> Reply[T] | Problem | Kept:
    """Puts the command into the lane; `shape` makes the answer of what was done."""
    render = None if call.once is None else _render(shape)
    answer = await call.context.sends.submit(Ask(command, call.once, render), call.viewer)
    match answer:
        case Done():
            return shape(answer)
        case Refused():
            return _no(command, answer)
        case KeyReused():
            return problems.key_reused()
        case Kept():
            return answer


def _render(shape: Callable[[Done], Reply[Any]]) -> Render:
    """The answer's status and body, to be kept in the transaction of what it tells of."""

    def render(done: Done) -> tuple[int, bytes]:
        reply = shape(done)
        return reply.status, msgspec.json.encode(reply.value)

    return render


def _written(done: Done) -> Reply[Written]:
    message, charge = done.message, done.charge
    written = Written(
        conversation=conversation_out(done.conversation),
        message=None if message is None else message_out(message),
        charge=None
        if charge is None
        else ChargeOut(pool=charge.pool, credits=charge.credits, balance=charge.balance),
    )
    return Reply(200 if message is None else 201, written)


def _view(done: Done) -> Reply[ConversationOut]:
    return Reply(200, conversation_out(done.conversation))


def _no(command: Command, refused: Refused) -> Problem:
    more = {} if refused.contact is None else msgspec.structs.asdict(contact_out(refused.contact))
    status = _STATUS[refused.code]
    if isinstance(command, Start) and command.to == command.viewer:
        status = 403
    free_at = refused.contact.remedy.at if refused.contact and refused.contact.remedy else None
    if status != 429 or free_at is None:
        return problems.refused(refused.code, status, more)
    wait = ceil((free_at - real_now()).total_seconds())
    return problems.refused(refused.code, status, more, {"Retry-After": str(max(wait, 1))})


_STATUS = {
    Refusal.NO_SUCH_MEMBER: 404,
    Refusal.CONVERSATION_CLOSED: 403,
    Refusal.NOT_THE_SENDER: 403,
    Refusal.SUSPENDED: 403,
    **BEGINNING,
    **ANSWERING,
}


def contact_out(found: Contact) -> ContactOut:
    remedy = found.remedy
    return ContactOut(
        allowed=found.allowed,
        channel=found.channel,
        credits=found.credits,
        pool=found.pool,
        balance=found.balance,
        code=found.code,
        remedy=None
        if remedy is None
        else RemedyOut(kind=remedy.kind, at=remedy.at or UNSET, plans=remedy.plans or UNSET),
    )


def _check_pool(pool: str | None, policy: Policy) -> None:
    if pool is not None and pool not in policy.pools:
        raise problems.refused(Refusal.UNKNOWN_POOL, 422)


def _clean(field: str, cleaned: str | text.BadText) -> str:
    if isinstance(cleaned, text.BadText):
        raise problems.invalid(field, cleaned.sentence)
    return cleaned
