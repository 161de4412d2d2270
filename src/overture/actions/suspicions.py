"""What looks like abuse: found in what happened, after it happened, and shown to the operator.

No send waits for it: letters and answers are looked at as the outbox is read, each once.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from overture.actions.links import places
from overture.core import suspicions as rules
from overture.core.ids import ConversationId, MemberId
from overture.core.likeness import are_alike, sketch_of
from overture.core.refusals import Refusal
from overture.core.suspicions import Evidence, Kind, Returned
from overture.store import audit
from overture.store import suspicions as store
from overture.store.db import Tx
from overture.store.outbox import Row
from overture.store.suspicions import Letter, Sketched, Suspicion


class _Told(msgspec.Struct):
    conversation_id: ConversationId
    outcome: str = ""


async def watch(tx: Tx, events: Sequence[Row]) -> None:
    """Looks at the letters and answers among these events."""
    sent = [
        (row.owner, _decode(row.payload).conversation_id)
        for row in events
        if row.kind == "inmail.sent"
    ]
    if sent:
        await _look_at_letters(tx, await store.letters(tx, sent))
    answered: dict[MemberId, datetime] = {
        row.owner: row.at
        for row in events
        if row.kind == "inmail.responded" and _decode(row.payload).outcome in _ANSWERS
    }
    for member, at in sorted(answered.items()):
        await _look_at_refunds(tx, member, at)


async def dismiss(
    tx: Tx, member: MemberId, kind: Kind, *, actor: str, audit_id: str, now: datetime
) -> Suspicion | Refusal:
    """An operator finds it to be nothing; whoever was slowed for it is so no more."""
    if not await store.dismiss(tx, member, kind, now):
        return Refusal.NO_SUCH_SUSPICION
    if kind is Kind.SAME_LETTER:
        await store.slow(tx, member, None)
    detail = {"kind": kind}
    await audit.record(
        tx, audit_id, now, actor=actor, action="suspicion.dismissed", member=member, detail=detail
    )
    dismissed = await store.of(tx, member, kind)
    assert dismissed is not None, "it was dismissed only now"
    return dismissed


async def _look_at_letters(tx: Tx, letters: Sequence[Letter]) -> None:
    made = [
        Sketched(
            each.sender,
            each.conversation,
            each.at,
            sketch_of(each.body, each.names),
            places(each.body),
        )
        for each in letters
    ]
    if not made:
        return
    # Since when, for the last of each sender's.
    senders = {each.sender: each.at - rules.LETTERS_WINDOW for each in made}
    earlier = await store.sketches(tx, senders)
    await store.keep_sketches(tx, made)
    for each in made:
        own = earlier.setdefault(each.sender, [])
        if any(other.conversation == each.conversation for other in own):
            continue
        own.append(each)
        await _compare(tx, each, own)


async def _compare(tx: Tx, newest: Sketched, own: Sequence[Sketched]) -> None:
    """The newest of a sender's letters with all of them."""
    alike = [each.conversation for each in own if are_alike(each.sketch, newest.sketch)]
    evidence = rules.of_letters(alike)
    # What was dismissed slows nobody, until it has become much more.
    if evidence is not None and await _suspect(tx, newest.sender, evidence, newest.at):
        await store.slow(tx, newest.sender, newest.at + rules.SLOWED_FOR)
    for place in newest.places:
        linking = [each.conversation for each in own if place in each.places]
        if (found := rules.of_links(place, linking)) is not None:
            _ = await _suspect(tx, newest.sender, found, newest.at)


async def _look_at_refunds(tx: Tx, member: MemberId, at: datetime) -> None:
    since = at - rules.REFUNDS_WINDOW
    own = await store.refunds(tx, [member], since)
    refunds = [Returned(each.partner, each.answered_at - each.sent_at) for each in own]
    closest = rules.closest(refunds)
    if not closest:
        return
    joined_at = await store.joined_at(tx, [member, *closest])
    if member not in joined_at:
        return
    returned: dict[MemberId, int] = {}
    for each in await store.refunds(tx, closest, since):
        if each.partner == member:
            returned[each.member] = returned.get(each.member, 0) + 1
    evidence = rules.of_refunds(
        refunds,
        returned=returned,
        joined_at=joined_at,
        member=member,
        same_network=await store.in_one_network(tx, member, closest),
    )
    if evidence is not None:
        _ = await _suspect(tx, member, evidence, at)


async def _suspect(tx: Tx, member: MemberId, evidence: Evidence, at: datetime) -> bool:
    """Whether it is open now: it was not dismissed, or there is much more of it since."""
    before = await store.of(tx, member, evidence.kind)
    dismissed = before is not None and before.dismissed_at is not None
    again = before is None or rules.opens_again(evidence.weight, before.dismissed_weight)
    await store.put(tx, member, evidence, at, again=again)
    return again or not dismissed


_ANSWERS = frozenset({"accepted", "declined"})
_decode = msgspec.json.Decoder(_Told).decode
