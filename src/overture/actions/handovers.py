"""Letting in whom the host site hands over, who is the member of their external id.

What the host says was checked before (see `overture.handover`). Whose external id nobody has is turned
away or, where hand-overs create members, is: whose verified address it is, where the host says that it
was verified there as well, and who has no external id yet; else a new member.
"""

from datetime import datetime

from overture.actions import accounts, identities
from overture.actions.accounts import Browser, Fresh, SignedIn, begin
from overture.actions.identities import Newcomer
from overture.core.accounts import PROVEN_FOR, Denied, Handover, folded
from overture.core.ids import MemberId
from overture.core.sending import Event
from overture.core.text import BadText
from overture.store import accounts as account_store
from overture.store import handovers as store
from overture.store import identities as identity_store
from overture.store import members
from overture.store.db import Conflict, Tx
from overture.store.outbox import tell


async def sign_in(
    tx: Tx,
    handover: Handover,
    browser: Browser,
    *,
    newcomer: Newcomer | None,
    frame: str | None,
    fresh: Fresh,
    at: datetime,
    now: datetime,
    before: str = "",
) -> SignedIn | Denied:
    """Signs in who this is, once; the session whose secret is `before` ends.

    `newcomer` is what a new member would start with, None where none is made; `frame` the origin of the
    pages in whose frames alone the session counts. The host's word is enough to come in; to be asked
    nothing further it must say that they signed in there only now, by the real clock `at`.
    """
    if not await store.use(tx, handover.sha256, handover.over_at):
        return Denied.HANDOVER_FAILED
    identity = handover.identity
    member = await identity_store.by_external_id(tx, identity.subject)
    if member is None:
        if newcomer is None:
            return Denied.HANDOVER_UNKNOWN
        found = await _arrive(tx, handover, newcomer, now)
        if isinstance(found, Denied):
            return found
        member = found
    else:
        opened = await identities.opened(tx, member, identity, now)
        if isinstance(opened, Denied):
            return opened
    recent = (at - PROVEN_FOR).timestamp()
    return await begin(
        tx,
        member,
        browser,
        fresh,
        now,
        by=["handover"],
        before=before,
        frame=frame,
        proven=(identity.signed_in_at or 0) >= recent,
    )


async def _arrive(
    tx: Tx, handover: Handover, newcomer: Newcomer, now: datetime
) -> MemberId | Denied:
    """Who comes with an external id that nobody has: it is theirs from now on."""
    identity = handover.identity
    if not identity.email_verified or isinstance(accounts.address(identity.email), BadText):
        return Denied.IDENTITY_UNVERIFIED
    account = await account_store.by_address(tx, folded(identity.email))
    if account is not None:
        # Whoever signed up with it has not shown that it is theirs.
        if account.verified_at is None:
            return Denied.ADDRESS_UNVERIFIED
        return await _name(tx, account.member, identity.subject, now, opens=False)
    waiting = await account_store.unopened(tx, folded(identity.email))
    if waiting is None:
        return await identities.joined(tx, identity, newcomer, now)
    named = await _name(tx, waiting.member, identity.subject, now, opens=True)
    if isinstance(named, Denied):
        return named
    opened = await identities.opened(tx, named, identity, now)
    return opened if isinstance(opened, Denied) else named


async def _name(
    tx: Tx, member: MemberId, external_id: str, now: datetime, *, opens: bool
) -> MemberId | Denied:
    """Makes the external id the member's; none who has another one is given a second."""
    own = await members.own(tx, member)
    if own is not None and own.external_id == external_id:
        # They came with it twice at once.
        return member
    if own is None or own.external_id is not None:
        return Denied.IDENTITY_TAKEN
    if not await members.name_externally(tx, member, external_id):
        # Somebody else came with it meanwhile.
        raise Conflict
    await tell(tx, [Event(member, "account.external_id_linked", now, {"opens": opens})])
    return member
