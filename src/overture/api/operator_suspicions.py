"""The operator's: what looks like abuse, with its evidence."""

from enum import StrEnum

from overture import ids
from overture.actions import suspicions as actions
from overture.api.operation import Call, Who, operation
from overture.api.operator_members import actor
from overture.api.wire import Instant, Out, Page, PageQuery, page_out
from overture.core.ids import ConversationId, MemberId
from overture.core.refusals import Refusal
from overture.core.suspicions import Kind
from overture.store import suspicions as store
from overture.store.suspicions import Suspicion

TAG = "Operator"


class Wanted(StrEnum):
    """All kinds, or one of them."""

    ALL = "all"
    SAME_LETTER = "same_letter"
    LINKS = "links"
    REFUNDS = "refunds"


class SuspicionsQuery(PageQuery):
    kind: Wanted = Wanted.ALL


class PartnerOut(Out):
    """One whose answers brought the member `refunds` credits, after `median_seconds`; `returned` is
    what the member's own answers brought this one. What else ties the two: accounts made within a day
    of each other, browsers signed in from one address."""

    member_id: MemberId
    refunds: int
    returned: int
    median_seconds: int
    joined_together: bool
    same_network: bool


class SuspicionOut(Out):
    """`weight` is what was counted: letters that say the same (`same_letter`) or that lead to `place`
    (`links`), of which `conversations` are the last; or refunds that a few `partners` brought
    (`refunds`). It decides nothing."""

    member_id: MemberId
    kind: Kind
    since: Instant
    at: Instant
    weight: int
    conversations: list[ConversationId]
    place: str
    partners: list[PartnerOut]
    dismissed_at: Instant | None


@operation(
    "GET", "/operator/suspicions", summary="What looks like abuse", tag=TAG, who=Who.OPERATOR
)
async def suspicions(call: Call, query: SuspicionsQuery) -> Page[SuspicionOut]:
    """Those that nobody has dismissed; `kind`: one of them alone."""
    kind = None if query.kind is Wanted.ALL else Kind(query.kind)
    page = await store.newest(call.tx, kind=kind, cursor=query.cursor, limit=query.limit)
    return page_out(page, suspicion_out)


@operation(
    "POST",
    "/operator/suspicions/{member_id}/{kind}/dismiss",
    summary="Dismiss a suspicion",
    tag=TAG,
    who=Who.OPERATOR,
    refusals={Refusal.NO_SUCH_MEMBER: 404, Refusal.NO_SUCH_SUSPICION: 404},
)
async def dismiss(call: Call, member_id: MemberId, kind: str) -> SuspicionOut | Refusal:
    """It is nothing. It comes back once there is twice as much of it; whoever was slowed for it is so
    no more."""
    if kind not in set(Kind):
        return Refusal.NO_SUCH_SUSPICION
    dismissed = await actions.dismiss(
        call.tx,
        member_id,
        Kind(kind),
        actor=actor(call),
        audit_id=ids.new(),
        now=call.now,
    )
    return suspicion_out(dismissed) if isinstance(dismissed, Suspicion) else dismissed


def suspicion_out(found: Suspicion) -> SuspicionOut:
    evidence = found.evidence
    return SuspicionOut(
        member_id=found.member,
        kind=evidence.kind,
        since=found.since,
        at=found.at,
        weight=evidence.weight,
        conversations=list(evidence.conversations),
        place=evidence.place,
        partners=[
            PartnerOut(
                member_id=each.member_id,
                refunds=each.refunds,
                returned=each.returned,
                median_seconds=each.median_seconds,
                joined_together=each.joined_together,
                same_network=each.same_network,
            )
            for each in evidence.partners
        ],
        dismissed_at=found.dismissed_at,
    )
