"""Signing in through the host's identity provider, and which member somebody there is.

What the provider says was checked before (see `overture.identity`). Who comes for the first time is, in
this order: whom the operator knows by their id there, where members' external ids are the provider's;
whose verified address it is, where the provider says that it was verified there as well; a new member.
An address that either side has not verified links nothing: it could be somebody else's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from overture.actions import accounts, proving
from overture.actions.accounts import Browser, Fresh, SignedIn, begin
from overture.actions.members import NewMember
from overture.actions.proving import Proven
from overture.core import accounts as rules
from overture.core import text
from overture.core.accounts import PROVEN_FOR, Ceremony, Denied, Identity, folded
from overture.core.ids import MemberId
from overture.core.sending import Event
from overture.core.text import BadText
from overture.store import accounts as account_store
from overture.store import attempts, ceremonies, passkeys
from overture.store import identities as store
from overture.store.ceremonies import Begun
from overture.store.db import Conflict, Tx
from overture.store.outbox import tell


@dataclass(frozen=True, slots=True)
class Newcomer:
    """What a new member starts with, should it come to one."""

    id: MemberId
    time_zone: str = "UTC"
    headline: str = ""
    external_id: str = ""


async def begin_trip(
    tx: Tx,
    browser: Browser,
    kind: Ceremony,
    trip: Mapping[str, str],
    *,
    member: MemberId | None,
    secret: str,
) -> Denied | None:
    """Notes what a browser takes along to the provider, and has to come back with."""
    limit = rules.CEREMONIES_FROM_CLIENT
    if not await attempts.within(tx, [(limit, limit.key(rules.network(browser.client)))]):
        return Denied.TOO_OFTEN
    await ceremonies.begin(tx, Begun(kind, member, trip), accounts.hash_of(secret))
    return None


async def end_trip(tx: Tx, secret: str) -> Begun | None:
    """What a browser took along, whatever it was for; it comes back once."""
    for kind in (Ceremony.IDENTITY, Ceremony.LINKING, Ceremony.PROVING_ELSEWHERE):
        begun = await ceremonies.end(tx, accounts.hash_of(secret), kind)
        if begun is not None:
            return begun
    return None


async def sign_in(
    tx: Tx,
    identity: Identity,
    browser: Browser,
    *,
    newcomer: Newcomer,
    external_ids: bool,
    fresh: Fresh,
    now: datetime,
    before: str = "",
) -> SignedIn | Denied:
    """Signs in who this is; the session whose secret is `before` ends. The provider's word is enough:
    whether there is a second step is for it to decide."""
    member = await store.whose(tx, identity)
    if member is None:
        known = await store.by_external_id(tx, identity.subject) if external_ids else None
        if known is not None:
            found = await _open_and_link(tx, known, identity, now)
        else:
            found = await _arrive(tx, identity, newcomer, now)
        if isinstance(found, Denied):
            return found
        member = found
    elif await account_store.of(tx, member, lock=True) is None:
        return Denied.IDENTITY_FAILED
    await store.use(tx, identity)
    return await begin(
        tx, member, browser, fresh, now, by=["identity"], before=before, by_identity=True
    )


async def _arrive(
    tx: Tx, identity: Identity, newcomer: Newcomer, now: datetime
) -> MemberId | Denied:
    """Whose this identity is by its address, who comes for the first time; they are linked."""
    if not identity.email_verified or isinstance(accounts.address(identity.email), BadText):
        return Denied.IDENTITY_UNVERIFIED
    account = await account_store.by_address(tx, folded(identity.email))
    if account is not None:
        # Whoever signed up with it has not shown that it is theirs.
        if account.verified_at is None:
            return Denied.ADDRESS_UNVERIFIED
        return await _link(tx, account.member, identity, now)
    waiting = await account_store.unopened(tx, folded(identity.email))
    if waiting is not None:
        return await _open_and_link(tx, waiting.member, identity, now)
    return await _join(tx, identity, newcomer, now)


async def _open_and_link(
    tx: Tx, member: MemberId, identity: Identity, now: datetime
) -> MemberId | Denied:
    """The same for a member who may have no account yet."""
    opens = await opened(tx, member, identity, now)
    if isinstance(opens, Denied):
        return opens
    return await _link(tx, member, identity, now, opens=opens)


async def opened(tx: Tx, member: MemberId, identity: Identity, now: datetime) -> bool | Denied:
    """Sees to it that the member has an account: whether it was opened for this, with the address that
    they have, or the one that comes verified."""
    if await account_store.of(tx, member, lock=True) is not None:
        return False
    waiting = await account_store.unopened_member(tx, member)
    if waiting is None:
        # They may have come in twice at once, and opened it meanwhile.
        there = await account_store.of(tx, member, lock=True) is not None
        return False if there else Denied.IDENTITY_FAILED
    same = folded(waiting.email) == folded(identity.email)
    told = accounts.address(identity.email) if identity.email_verified else ""
    email = waiting.email or ("" if isinstance(told, BadText) else told)
    verified = identity.email_verified and (same or not waiting.email)
    if not email or not await account_store.take_address(tx, folded(email), member):
        return Denied.IDENTITY_UNVERIFIED
    await account_store.add(tx, member, email=email, password=None, verified=verified)
    await tell(tx, [Event(member, "account.opened", now, {})])
    return True


async def _join(tx: Tx, identity: Identity, newcomer: Newcomer, now: datetime) -> MemberId:
    member = await joined(tx, identity, newcomer, now)
    await _link(tx, member, identity, now, opens=True)
    return member


async def joined(tx: Tx, identity: Identity, newcomer: Newcomer, now: datetime) -> MemberId:
    """Makes a member with an account of somebody whose verified address nobody has here."""
    email = accounts.address(identity.email)
    assert not isinstance(email, BadText), "looked at before"
    name = text.line(identity.name, text.NAME_CHARS_MAX, required=True)
    headline = text.line(newcomer.headline, text.HEADLINE_CHARS_MAX)
    made = NewMember(
        id=newcomer.id,
        handle="",
        name=email.partition("@")[0][: text.NAME_CHARS_MAX] if isinstance(name, BadText) else name,
        email=email,
        time_zone=newcomer.time_zone,
        headline="" if isinstance(headline, BadText) else headline,
        external_id=newcomer.external_id,
    )
    if not await accounts.join(tx, made, None, now, verified=True):
        # Somebody signed up with it meanwhile.
        raise Conflict
    return made.id


async def link(tx: Tx, member: MemberId, identity: Identity, now: datetime) -> MemberId | Denied:
    """Lets a member who is signed in sign in through the provider from now on."""
    return await _link(tx, member, identity, now)


async def _link(
    tx: Tx, member: MemberId, identity: Identity, now: datetime, *, opens: bool = False
) -> MemberId | Denied:
    """`opens`: the account begins with it."""
    if not await store.link(tx, member, identity):
        # Linked already, or meanwhile: whoever comes in twice at once is the same both times.
        return member if await store.whose(tx, identity) == member else Denied.IDENTITY_TAKEN
    await tell(tx, [Event(member, "account.identity_linked", now, {"opens": opens})])
    return member


async def unlink(tx: Tx, member: MemberId, now: datetime) -> bool:
    """The member does not sign in through the provider any more; False where there is no other way."""
    account = await account_store.of(tx, member, lock=True)
    if account is None or (account.password is None and not await passkeys.mine(tx, member)):
        return False
    if await store.drop(tx, member):
        await tell(tx, [Event(member, "account.identity_unlinked", now, {})])
    return True


async def prove(
    tx: Tx,
    member: MemberId,
    identity: Identity,
    *,
    session: str,
    fresh: Fresh,
    at: datetime,
    now: datetime,
) -> Proven | Denied:
    """The session, with another secret, if the member has just signed in there again."""
    recent = (at - PROVEN_FOR).timestamp()
    if await store.whose(tx, identity) != member or (identity.signed_in_at or 0) < recent:
        return Denied.IDENTITY_FAILED
    return await proving.proven(tx, member, session, fresh, now, by="identity")
