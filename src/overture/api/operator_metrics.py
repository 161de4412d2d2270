"""What an installation holds, in numbers."""

from collections.abc import Sequence

from overture.api.operation import Call, Who, operation
from overture.api.wire import Instant, Out
from overture.store import metrics


class MemberCounts(Out):
    open: int
    closed: int
    unclaimed: int
    premium: int


class ConversationCount(Out):
    kind: str
    state: str
    count: int


class LedgerTotal(Out):
    """All entries of one kind in one pool: how many, and the sums of what they tell."""

    pool: str
    kind: str
    entries: int
    credits: int
    forfeited: int


class Metrics(Out):
    now: Instant
    members: MemberCounts
    connections: int
    conversations: Sequence[ConversationCount]
    messages: int
    ledger: Sequence[LedgerTotal]
    outbox_head: int


@operation(
    "GET",
    "/operator/metrics",
    summary="What the installation holds, in numbers",
    tag="Operator",
    who=Who.OPERATOR,
)
async def read_metrics(call: Call) -> Metrics:
    counts = await metrics.counts(call.tx, call.now)
    return Metrics(
        now=call.now,
        members=MemberCounts(
            open=counts.members[0],
            closed=counts.members[1],
            unclaimed=counts.members[2],
            premium=counts.members[3],
        ),
        connections=counts.connections,
        conversations=[
            ConversationCount(kind=kind, state=state, count=count)
            for kind, state, count in counts.conversations
        ],
        messages=counts.messages,
        ledger=[
            LedgerTotal(pool=pool, kind=kind, entries=entries, credits=total, forfeited=forfeited)
            for pool, kind, entries, total, forfeited in counts.ledger
        ],
        outbox_head=counts.outbox_head,
    )
