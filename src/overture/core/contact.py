"""Who may write to whom, and at what price: one decision for the preview, the send and all later.

Source: docs/rules.md, "Who may write to whom". The ladders below stand in the rules' order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from overture.core import credits
from overture.core.conversations import Channel, Conversation, Kind, State
from overture.core.ids import MemberId
from overture.core.policy import Policy, PolicyBook
from overture.core.refusals import Refusal

OPEN_PROFILE_WINDOW = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Party:
    """What the decision needs to know of a member."""

    id: MemberId
    handle: str
    name: str
    time_zone: str = "UTC"
    claimed: bool = True
    closed: bool = False
    accepts_inmail: bool = True
    open_profile: bool = False
    receipts_and_typing: bool = True
    premium_until: datetime | None = None
    # When the account was made; None is long ago.
    joined_at: datetime | None = None
    suspended: bool = False
    slowed_until: datetime | None = None

    @property
    def reads(self) -> bool:
        """Whether they can read what comes now: neither gone nor suspended."""
        return not self.closed and not self.suspended

    def is_premium(self, now: datetime) -> bool:
        return self.premium_until is not None and self.premium_until > now


@dataclass(slots=True)
class Pair:
    """What lies between a writer and another member. `conversations` are of the two alone."""

    connected: bool
    writer_blocked: bool
    blocked_writer: bool
    conversations: list[Conversation]


class RemedyKind(StrEnum):
    PLANS = "plans"
    WAIT = "wait"
    UNBLOCK = "unblock"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Remedy:
    kind: RemedyKind
    at: datetime | None = None
    plans: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Contact:
    """The decision. `code` is None exactly where it is a yes.

    `credits` is the price; `pool` and `balance` tell of the pool that would pay, where one would.
    `into` is the conversation that the message goes to, None for a new one, and for PENDING_INMAIL the
    one that stands in the way; `responds` says that it is the response to a pending InMail there.
    """

    code: Refusal | None
    channel: Channel | None = None
    credits: int = 0
    pool: str | None = None
    balance: int | None = None
    remedy: Remedy | None = None
    into: Conversation | None = None
    responds: bool = False

    @property
    def allowed(self) -> bool:
        return self.code is None


@dataclass(frozen=True, slots=True)
class Wallet:
    """What a writer can pay with: accounts by pool, and the last free letters to Open Profiles."""

    accounts: Mapping[str, credits.Account]
    open_profile_sends: Sequence[datetime]


def begin(
    writer: Party,
    other: Party | None,
    pair: Pair,
    wallet: Wallet,
    *,
    pool: str | None,
    max_credits: int | None = None,
    now: datetime,
    book: PolicyBook,
) -> Contact:
    """May `writer` write to `other` at all, where would it go, and what does it cost?"""
    # A request may come from an account that was closed a moment ago.
    if other is None or other.id == writer.id or writer.closed:
        return _no(Refusal.NO_SUCH_MEMBER)
    if pair.writer_blocked:
        return _no(Refusal.YOU_BLOCKED, Remedy(RemedyKind.UNBLOCK))
    reachable = not pair.blocked_writer and other.reads
    if reachable and (received := _pending_from(other.id, pair)):
        return Contact(None, Channel.MESSAGE, into=received, responds=True)
    if reachable and (pair.connected or _open_ones(pair)):
        return Contact(None, Channel.MESSAGE, into=_last_active(_open_ones(pair)))
    policy = book.at(now)
    earlier = _unanswered(writer.id, pair, policy)
    if earlier is not None and not (policy.follow_ups and earlier.state is State.PENDING):
        return Contact(Refusal.PENDING_INMAIL, remedy=_NO_REMEDY, into=earlier)
    if not reachable or not other.accepts_inmail:
        return _no(Refusal.RECIPIENT_UNAVAILABLE)
    return _price(
        other, wallet, into=earlier, pool=pool, max_credits=max_credits, now=now, book=book
    )


def write_on(
    writer: Party,
    other: Party,
    pair: Pair,
    conversation: Conversation,
    wallet: Wallet,
    *,
    now: datetime,
    book: PolicyBook,
) -> Contact:
    """The same decision for a further message of a conversation of two."""
    if pair.writer_blocked:
        return _no(Refusal.YOU_BLOCKED, Remedy(RemedyKind.UNBLOCK))
    if not conversation.shared:
        return _no(Refusal.CONVERSATION_CLOSED)
    reachable = not pair.blocked_writer and other.reads
    begun = conversation.begun_by(writer.id)
    responds = conversation.state is State.PENDING and not begun
    reopens = conversation.state is State.DECLINED and not begun
    if responds or reopens or _is_open(conversation, connected=pair.connected):
        if not reachable:
            return _no(Refusal.RECIPIENT_UNAVAILABLE)
        return Contact(None, Channel.MESSAGE, into=conversation, responds=responds)
    if not begun or conversation.state not in (State.PENDING, State.WITHDRAWN):
        return _no(Refusal.CONVERSATION_CLOSED)
    if conversation.state is State.WITHDRAWN or not book.at(now).follow_ups:
        return _no(Refusal.PENDING_INMAIL)
    if not reachable or not other.accepts_inmail:
        return _no(Refusal.RECIPIENT_UNAVAILABLE)
    return _price(other, wallet, into=conversation, pool=None, now=now, book=book)


def _price(
    other: Party,
    wallet: Wallet,
    *,
    into: Conversation | None,
    pool: str | None,
    max_credits: int | None = None,
    now: datetime,
    book: PolicyBook,
) -> Contact:
    """Rules 7 to 11: what a letter to someone who may be written to costs. `into` is a follow-up's."""
    policy = book.at(now)
    if other.open_profile and other.is_premium(now):
        return _to_open_profile(wallet, into, now, policy)
    if policy.recipient_requires_premium and not other.is_premium(now):
        return _no(Refusal.RECIPIENT_NOT_PREMIUM)
    # What one conversation costs is paid by one pool, so that its refunds have one home.
    wanted = (into.pool if into is not None else None) or pool
    account = _paying_account(wallet, wanted, now, book)
    if account is None:
        plans = policy.plans_of(wanted) if wanted else tuple(policy.plans.values())
        remedy = Remedy(RemedyKind.PLANS, plans=tuple(plan.name for plan in plans))
        return Contact(Refusal.NOT_PREMIUM, Channel.INMAIL, 1, wanted, None, remedy)
    balance = account.balance
    if balance == 0:
        grant = credits.next_grant(account, now, book)
        remedy = Remedy(RemedyKind.WAIT, at=grant[0]) if grant else Remedy(RemedyKind.NONE)
        return Contact(Refusal.NO_CREDITS, Channel.INMAIL, 1, account.pool, 0, remedy)
    if max_credits is not None and max_credits < 1:
        return Contact(
            Refusal.PRICE_EXCEEDS_MAX, Channel.INMAIL, 1, account.pool, balance, _NO_REMEDY
        )
    return Contact(None, Channel.INMAIL, 1, account.pool, balance, into=into)


def _to_open_profile(
    wallet: Wallet, into: Conversation | None, now: datetime, policy: Policy
) -> Contact:
    recent = [at for at in wallet.open_profile_sends if at > now - OPEN_PROFILE_WINDOW]
    if len(recent) < policy.open_profile_daily:
        return Contact(None, Channel.OPEN_PROFILE, into=into)
    if policy.open_profile_daily == 0:
        return Contact(Refusal.OPEN_PROFILE_LIMIT, Channel.OPEN_PROFILE, remedy=_NO_REMEDY)
    # The oldest that must leave the window before one more has a place in it.
    first_free = sorted(recent)[len(recent) - policy.open_profile_daily]
    remedy = Remedy(RemedyKind.WAIT, at=first_free + OPEN_PROFILE_WINDOW)
    return Contact(Refusal.OPEN_PROFILE_LIMIT, Channel.OPEN_PROFILE, remedy=remedy)


def _paying_account(
    wallet: Wallet, pool: str | None, now: datetime, book: PolicyBook
) -> credits.Account | None:
    """The account of the named pool, else of the first one subscribed to, settled to `now`."""
    for name in (pool,) if pool else book.at(now).pools:
        held = wallet.accounts.get(name)
        if held is not None:
            settled = credits.settle(held, now, book).account
            if settled.subscription is not None:
                return settled
    return None


def _pending_from(member: MemberId, pair: Pair) -> Conversation | None:
    return next(
        (c for c in pair.conversations if c.state is State.PENDING and c.begun_by(member)), None
    )


def _open_ones(pair: Pair) -> list[Conversation]:
    return [c for c in pair.conversations if c.shared and _is_open(c, connected=pair.connected)]


def _is_open(conversation: Conversation, *, connected: bool) -> bool:
    """Whether both may write here freely.

    An accepted InMail is open; a connection opens what is direct, imported or still pending.
    """
    if conversation.state is State.ACCEPTED:
        return True
    return connected and (conversation.kind is Kind.DIRECT or conversation.state is State.PENDING)


def _last_active(conversations: Sequence[Conversation]) -> Conversation | None:
    return max(conversations, key=lambda c: (c.last_activity_at, c.id), default=None)


def _unanswered(writer: MemberId, pair: Pair, policy: Policy) -> Conversation | None:
    """The writer's earlier InMail that keeps the door shut (rule 5).

    A pending one; or one that was withdrawn, or declined where declines do not unlock, and since
    which the other side has written nothing.
    """
    if not pair.conversations:
        return None
    heard_at = _heard_at(writer, pair)
    shut = None
    for conversation in pair.conversations:
        if not conversation.begun_by(writer):
            continue
        if conversation.state is State.PENDING:
            return conversation
        ended_at = conversation.withdrawn_at
        if conversation.state is State.DECLINED and not policy.decline_unlocks:
            ended_at = conversation.responded_at
        if ended_at is not None and (heard_at is None or heard_at <= ended_at):
            shut = conversation
    return shut


def withdrawn_at(withdrawer: MemberId, pair: Pair, now: datetime) -> datetime:
    """When a withdrawal now counts as made (rule 5): not before anything the other has written.

    Of what happens at one instant the order of the commits counts, and a test clock stands still;
    `wrote_at` sees to the other half of it.
    """
    heard_at = _heard_at(withdrawer, pair)
    return now if heard_at is None else max(now, heard_at)


def wrote_at(writer: MemberId, pair: Pair, now: datetime) -> datetime:
    """When a message now counts as written (rule 5): after all that the other has withdrawn."""
    withdrawals = (
        c.withdrawn_at
        for c in pair.conversations
        if c.withdrawn_at is not None and not c.begun_by(writer)
    )
    return max((at + timedelta.resolution for at in withdrawals if at >= now), default=now)


def _heard_at(writer: MemberId, pair: Pair) -> datetime | None:
    """When the other side last wrote to the writer, anywhere."""
    return max(
        (at for c in pair.conversations if (at := _other_wrote_at(c, writer)) is not None),
        default=None,
    )


def _other_wrote_at(conversation: Conversation, writer: MemberId) -> datetime | None:
    """When the other side last wrote here; an archive's own messages leave no such instant."""
    if conversation.begun_by(writer):
        return conversation.recipient_wrote_at
    return conversation.sender_wrote_at


_NO_REMEDY = Remedy(RemedyKind.NONE)


def _no(code: Refusal, remedy: Remedy = _NO_REMEDY) -> Contact:
    return Contact(code, remedy=remedy)
