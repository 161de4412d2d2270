"""Closing an account: what waits ends, the credits lapse, the personal data is erased."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

import msgspec

from overture.actions.subscriptions import CancelAt, cancel, premium
from overture.core.conversations import State
from overture.core.ids import MemberId
from overture.core.jobs import NewJob
from overture.core.policy import PolicyBook
from overture.core.refusals import Refusal
from overture.core.sending import Event
from overture.store import closing as store
from overture.store import conversations, credits, files, jobs, mails
from overture.store.closing import Pending
from overture.store.conversations import Asked
from overture.store.db import Conflict, Tx
from overture.store.outbox import tell

# So many pending InMails are decided at once, so that a much sought-after member can leave too.
_CHUNK = 500


class Forget(msgspec.Struct, frozen=True):
    """A job's payload: the mails to these addresses are to go from the folder where some lie."""

    traces: list[str]


def trace_of(address: str) -> str:
    """By what a job knows an address without telling it."""
    return sha256(address.lower().encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Outlook:
    """What closing an account would end now.

    `withdrawn` and `returned` count the pending InMails that the member sent and received; `credits`
    what all their pools hold; `file_bytes` what their files take.
    """

    withdrawn: int
    returned: int
    credits: int
    file_bytes: int


async def outlook(tx: Tx, member: MemberId, now: datetime, book: PolicyBook) -> Outlook:
    """What `close` would do now."""
    waiting = await store.pending(tx, member)
    held = await premium(tx, member, now, book)
    begun = sum(each.begun for each in waiting)
    space = await files.space_of(tx, [member])
    return Outlook(
        withdrawn=begun,
        returned=len(waiting) - begun,
        credits=sum(pool.balance for pool in held.pools),
        file_bytes=space.get(member, 0),
    )


async def close(tx: Tx, member: MemberId, now: datetime, book: PolicyBook) -> bool | Refusal:
    """Closes an account for good. False where it was closed already.

    Pending InMails that the member sent are withdrawn, those received become undeliverable and are
    refunded by the rules. Subscriptions end now. The ledger stays, without a name.
    """
    is_open = await store.lock(tx, member)
    if is_open is None:
        return Refusal.NO_SUCH_MEMBER
    if not is_open:
        return False
    await store.drop_due(tx, member)
    waiting = await store.pending(tx, member)
    for start in range(0, len(waiting), _CHUNK):
        await _end(tx, member, waiting[start : start + _CHUNK], now, book)
    for pool in sorted(await credits.accounts(tx, member)):
        # The no says that the subscription in this pool ended before: nothing is left to cancel.
        _ = await cancel(tx, member, pool, CancelAt.NOW, now=now, book=book)
    addresses = await store.addresses(tx, member)
    await store.erase(tx, member, now)
    if addresses:
        traces = Forget([trace_of(each) for each in addresses])
        await jobs.add(
            tx, [NewJob(mails.FORGET, member, "closed", now, msgspec.to_builtins(traces))]
        )
    await tell(tx, [Event(member, "member.closed", now, {})])
    return True


async def _end(
    tx: Tx, member: MemberId, waiting: Sequence[Pending], now: datetime, book: PolicyBook
) -> None:
    """Of pending InMails, those begun are withdrawn and those received cannot be delivered.

    The other side's row is not locked, unlike for a send: two who leave at once would wait for each
    other. Whoever answers, withdraws or leaves between two statements is noticed here, and later when
    the conversations are written: Conflict.
    """
    asked = [Asked(member, conversation=each.conversation_id) for each in waiting]
    loaded = await conversations.facts(tx, asked, now, book, lock=False)
    for each in waiting:
        conversation = loaded.desk.conversations[each.conversation_id]
        if conversation.state is not State.PENDING:
            raise Conflict
        if each.begun:
            loaded.desk.withdraw(conversation)
        else:
            loaded.desk.fail_to_deliver(conversation)
    await conversations.record(tx, loaded)
