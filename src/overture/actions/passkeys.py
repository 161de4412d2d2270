"""Passkeys: a member's devices that sign in by themselves, or take the second step.

A passkey is made and used in a ceremony, whose challenge follows from its secret: it is known to the
browser that began it, and gone once it was met. To sign in without a password, or to show again who one
is, the device must have made sure of its owner (by a finger, a face, a PIN); after the password it need
not. Whose passkey it is the device says itself, so nothing tells whether an address is known.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import TypeVar
from uuid import UUID

from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import (
    parse_authentication_credential_json,
    parse_registration_credential_json,
)
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticationCredential,
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from overture.actions import proving, two_steps
from overture.actions.accounts import Browser, Fresh, SignedIn, begin, hash_of
from overture.actions.fields import Fields, Invalid
from overture.actions.proving import Proven
from overture.core import accounts as rules
from overture.core import text
from overture.core.accounts import PASSKEYS_MAX, Ceremony, Denied
from overture.core.ids import MemberId, PasskeyId
from overture.core.sending import Event
from overture.store import accounts, attempts, ceremonies
from overture.store import passkeys as store
from overture.store.ceremonies import Begun
from overture.store.db import Tx
from overture.store.outbox import tell
from overture.store.passkeys import Passkey

T = TypeVar("T")

RELYING_PARTY = "Overture"
# What a browser sends of a passkey; a few hundred bytes usually, and some thousands with certificates.
_CREDENTIAL_CHARS_MAX = 16_384


@dataclass(frozen=True, slots=True)
class Site:
    """For what passkeys are made: `host` is the relying party, `origin` where its pages come from."""

    host: str
    origin: str


# Signing in -------------------------------------------------------------------------------------


async def begin_sign_in(tx: Tx, site: Site, browser: Browser, secret: str) -> str | Denied:
    """What the browser is to ask its devices for, as JSON: any passkey that is for this site."""
    limit = rules.CEREMONIES_FROM_CLIENT
    if not await attempts.within(tx, [(limit, limit.key(rules.network(browser.client)))]):
        return Denied.TOO_OFTEN
    await ceremonies.begin(tx, Begun(Ceremony.PASSKEY, None, {}), hash_of(secret))
    return _wanted(site, secret, (), UserVerificationRequirement.REQUIRED)


async def sign_in(
    tx: Tx,
    site: Site,
    secret: str,
    credential: str,
    browser: Browser,
    *,
    fresh: Fresh,
    now: datetime,
    before: str = "",
) -> SignedIn | Denied:
    """Signs in whose passkey it is; the session whose secret is `before` ends."""
    if await ceremonies.end(tx, hash_of(secret), Ceremony.PASSKEY) is None:
        return Denied.BEGIN_AGAIN
    shown = _parsed(credential)
    member = shown and _whose(shown)
    if shown is None or member is None or await accounts.of(tx, member, lock=True) is None:
        return Denied.WRONG_PASSKEY
    if not await _signed(tx, site, secret, member, shown, sure=True):
        return Denied.WRONG_PASSKEY
    return await begin(tx, member, browser, fresh, now, by=["passkey"], before=before)


async def begin_second_step(tx: Tx, site: Site, secret: str) -> str | Denied:
    """The same for the second step of a sign-in that was begun: one of the member's passkeys."""
    member = await two_steps.awaited(tx, secret)
    if member is None:
        return Denied.BEGIN_AGAIN
    found = await store.mine(tx, member)
    return _wanted(site, secret, found, UserVerificationRequirement.DISCOURAGED)


async def second_step(
    tx: Tx,
    site: Site,
    secret: str,
    credential: str,
    browser: Browser,
    *,
    fresh: Fresh,
    now: datetime,
    before: str = "",
) -> SignedIn | Denied:
    member = await two_steps.awaited(tx, secret)
    if member is None:
        return Denied.BEGIN_AGAIN
    shown = _parsed(credential)
    if shown is None or not await _signed(tx, site, secret, member, shown, sure=False):
        return Denied.WRONG_PASSKEY
    if await ceremonies.end(tx, hash_of(secret), Ceremony.SECOND_STEP) is None:
        return Denied.BEGIN_AGAIN
    by = ["password", "passkey"]
    return await begin(tx, member, browser, fresh, now, by=by, before=before)


# Asked again ------------------------------------------------------------------------------------


async def begin_proving(tx: Tx, site: Site, member: MemberId, secret: str) -> str:
    await ceremonies.begin(tx, Begun(Ceremony.PROVING, member, {}), hash_of(secret))
    found = await store.mine(tx, member)
    return _wanted(site, secret, found, UserVerificationRequirement.REQUIRED)


async def prove(
    tx: Tx,
    site: Site,
    member: MemberId,
    secret: str,
    credential: str,
    *,
    session: str,
    fresh: Fresh,
    now: datetime,
) -> Proven | Denied:
    """The session, with another secret, if this is one of the member's passkeys."""
    begun = await ceremonies.end(tx, hash_of(secret), Ceremony.PROVING)
    if begun is None or begun.member != member:
        return Denied.BEGIN_AGAIN
    shown = _parsed(credential)
    if shown is None or not await _signed(tx, site, secret, member, shown, sure=True):
        return Denied.WRONG_PASSKEY
    return await proving.proven(tx, member, session, fresh, now, by="passkey")


# One's own --------------------------------------------------------------------------------------


async def begin_adding(tx: Tx, site: Site, member: MemberId, secret: str) -> str:
    """What the browser is to have made, as JSON: a passkey that knows by itself whose it is."""
    account = await accounts.of(tx, member)
    assert account is not None, "who is signed in has an account"
    await ceremonies.begin(tx, Begun(Ceremony.NEW_PASSKEY, member, {}), hash_of(secret))
    options = generate_registration_options(
        rp_id=site.host,
        rp_name=RELYING_PARTY,
        user_id=UUID(member).bytes,
        user_name=account.email,
        user_display_name=account.name,
        challenge=_challenge(secret),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=_described(await store.mine(tx, member)),
    )
    return options_to_json(options)


async def add(
    tx: Tx,
    site: Site,
    member: MemberId,
    secret: str,
    credential: str,
    *,
    passkey: PasskeyId,
    name: str,
    now: datetime,
) -> Denied | Invalid | None:
    """Adds a passkey that the browser has had made, under the member's name for it."""
    fields = Fields()
    called = fields.take("name", text.line(name, rules.PASSKEY_NAME_CHARS_MAX, required=True))
    if (invalid := fields.invalid) is not None:
        return invalid
    begun = await ceremonies.end(tx, hash_of(secret), Ceremony.NEW_PASSKEY)
    if begun is None or begun.member != member:
        return Denied.BEGIN_AGAIN

    def verify() -> tuple[bytes, bytes, int, Sequence[str]]:
        made = parse_registration_credential_json(_short(credential))
        verified = verify_registration_response(
            credential=made,
            expected_challenge=_challenge(secret),
            expected_rp_id=site.host,
            expected_origin=site.origin,
            require_user_verification=True,
        )
        transports = [each.value for each in made.response.transports or ()]
        key = verified.credential_public_key
        return verified.credential_id, key, verified.sign_count, transports

    verified = _unless_hostile(verify)
    if verified is None or len(await store.mine(tx, member)) >= PASSKEYS_MAX:
        return Denied.NEW_PASSKEY_FAILED
    credential_id, public_key, uses, transports = verified
    is_new = await store.add(
        tx,
        member,
        passkey,
        credential=credential_id,
        public_key=public_key,
        uses=uses,
        transports=transports,
        name=called,
    )
    if not is_new:
        return Denied.NEW_PASSKEY_FAILED
    await tell(tx, [Event(member, "account.passkey_added", now, {"passkey": passkey})])
    return None


async def rename(tx: Tx, member: MemberId, passkey: PasskeyId, name: str) -> Invalid | bool:
    """False where the member has no such passkey."""
    fields = Fields()
    called = fields.take("name", text.line(name, rules.PASSKEY_NAME_CHARS_MAX, required=True))
    if (invalid := fields.invalid) is not None:
        return invalid
    return await store.rename(tx, member, passkey, called)


async def remove(tx: Tx, member: MemberId, passkey: PasskeyId, now: datetime) -> bool:
    """Removes one of the member's passkeys; False where there is none.

    Where it was the last thing that the second step could be taken with, there is none any more.
    """
    # Of two who remove the last two at once, one sees what the other left.
    await accounts.of(tx, member, lock=True)
    if not await store.drop(tx, member, passkey):
        return False
    await tell(tx, [Event(member, "account.passkey_removed", now, {"passkey": passkey})])
    await two_steps.turn_off_where_nothing_is_left(tx, member, now)
    return True


# Signatures -------------------------------------------------------------------------------------


async def _signed(
    tx: Tx,
    site: Site,
    secret: str,
    member: MemberId,
    shown: AuthenticationCredential,
    *,
    sure: bool,
) -> bool:
    """Whether one of the member's passkeys signed this ceremony's challenge; `sure` of its owner."""
    passkey = await store.find(tx, member, shown.raw_id)
    if passkey is None:
        return False

    def verify() -> int:
        return verify_authentication_response(
            credential=shown,
            expected_challenge=_challenge(secret),
            expected_rp_id=site.host,
            expected_origin=site.origin,
            credential_public_key=passkey.public_key,
            # One that counts must have counted on: else there are two of it.
            credential_current_sign_count=passkey.uses,
            require_user_verification=sure,
        ).new_sign_count

    uses = _unless_hostile(verify)
    return uses is not None and await store.use(tx, member, passkey, uses)


def _challenge(secret: str) -> bytes:
    return sha256(b"challenge of " + secret.encode()).digest()


def _wanted(
    site: Site, secret: str, found: Sequence[Passkey], verification: UserVerificationRequirement
) -> str:
    options = generate_authentication_options(
        rp_id=site.host,
        challenge=_challenge(secret),
        allow_credentials=_described(found),
        user_verification=verification,
    )
    return options_to_json(options)


def _described(found: Sequence[Passkey]) -> list[PublicKeyCredentialDescriptor]:
    known = {each.value for each in AuthenticatorTransport}
    return [
        PublicKeyCredentialDescriptor(
            id=each.credential,
            transports=[AuthenticatorTransport(way) for way in each.transports if way in known],
        )
        for each in found
    ]


def _parsed(credential: str) -> AuthenticationCredential | None:
    return _unless_hostile(lambda: parse_authentication_credential_json(_short(credential)))


def _whose(shown: AuthenticationCredential) -> MemberId | None:
    """Whose passkey its device says that it is."""
    handle = shown.response.user_handle
    return MemberId(str(UUID(bytes=handle))) if handle and len(handle) == 16 else None


def _short(credential: str) -> str:
    if len(credential) > _CREDENTIAL_CHARS_MAX:
        raise ValueError
    return credential


def _unless_hostile(work: Callable[[], T]) -> T | None:
    """What comes out; None where what a browser sent is no proof, or no such thing at all."""
    try:
        return work()
    except (WebAuthnException, ValueError, TypeError, LookupError, RecursionError):
        return None
