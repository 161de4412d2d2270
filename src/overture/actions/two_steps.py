"""Signing in in two steps: after the password a code of an app, or a recovery code where it is lost.

A code opens once: the half minute that it belongs to is stored, and neither it nor one before it is
taken again. Recovery codes are shown once and stored as passwords are, all of a member's with one salt,
so that one is looked for by hashing it once. Codes live by the real clock, `at`; `now` is the instant
in the events.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hmac import compare_digest

from pyotp.hotp import HOTP
from pyotp.totp import TOTP

from overture.actions import passwords
from overture.actions.accounts import (
    Browser,
    Fresh,
    SignedIn,
    Tries,
    begin,
    hash_of,
    sign_out_everywhere,
)
from overture.core import accounts as rules
from overture.core.accounts import Ceremony, Denied
from overture.core.ids import MemberId
from overture.core.sending import Event
from overture.store import accounts, attempts, audit, ceremonies, passkeys
from overture.store import two_steps as store
from overture.store.ceremonies import Begun
from overture.store.db import Database, Tx
from overture.store.outbox import tell
from overture.store.passkeys import Passkey
from overture.store.two_steps import CodeApp

ISSUER = "Overture"


@dataclass(frozen=True, slots=True)
class TwoSteps:
    """How a member signs in: in two steps since `since`, and with what."""

    since: datetime | None
    app: CodeApp | None
    recovery_codes: int
    passkeys: Sequence[Passkey]


# The second step --------------------------------------------------------------------------------


async def awaited(tx: Tx, secret: str) -> MemberId | None:
    """Whose second step a browser is to take; None where none is."""
    found = await ceremonies.find(tx, hash_of(secret), Ceremony.SECOND_STEP)
    return found and found.member


async def by_code(
    db: Database,
    secret: str,
    code: str,
    browser: Browser,
    *,
    fresh: Fresh,
    at: datetime,
    now: datetime,
    before: str = "",
) -> SignedIn | Denied:
    """Signs in with a code of the member's app; the session whose secret is `before` ends."""

    async def work(tx: Tx) -> SignedIn | Denied:
        member = await awaited(tx, secret)
        if member is None:
            return Denied.BEGIN_AGAIN
        tried = Tries(browser, rules.CODES, member)
        known = await accounts.is_device_of(tx, hash_of(browser.device), member)
        if not await tried.may(tx, known=known):
            return Denied.CODES_TOO_OFTEN
        if not await take_code(tx, member, code, at):
            await _slip(tx, secret, member, now)
            return Denied.WRONG_CODE
        if await ceremonies.end(tx, hash_of(secret), Ceremony.SECOND_STEP) is None:
            return Denied.BEGIN_AGAIN
        await tried.right(tx)
        by = ["password", "code"]
        return await begin(tx, member, browser, fresh, now, by=by, before=before)

    return await db.writing(work)


async def by_recovery_code(
    db: Database,
    secret: str,
    code: str,
    browser: Browser,
    *,
    fresh: Fresh,
    now: datetime,
    before: str = "",
) -> SignedIn | Denied:
    """The same with a recovery code, which is used up. Raises lanes.Overloaded."""
    limit = rules.RECOVERY_FROM_CLIENT
    tries = [(limit, limit.key(rules.network(browser.client)))]

    async def look(tx: Tx) -> tuple[MemberId, list[str]] | Denied:
        member = await awaited(tx, secret)
        if member is None:
            return Denied.BEGIN_AGAIN
        if not await attempts.within(tx, tries):
            return Denied.CODES_TOO_OFTEN
        return member, await store.recovery_codes(tx, member)

    found = await db.writing(look)
    if isinstance(found, Denied):
        return found
    member, stored = found
    text = rules.recovery_code_text(code)
    hashed = await passwords.hashed_like(text, stored[0]) if stored and text else ""

    async def work(tx: Tx) -> SignedIn | Denied:
        if hashed not in stored or not await store.use_recovery_code(tx, member, hashed):
            await _slip(tx, secret, member, now)
            return Denied.WRONG_RECOVERY_CODE
        if await ceremonies.end(tx, hash_of(secret), Ceremony.SECOND_STEP) is None:
            return Denied.BEGIN_AGAIN
        left = len(await store.recovery_codes(tx, member))
        await tell(tx, [Event(member, "account.recovery_code_used", now, {"left": left})])
        by = ["password", "recovery_code"]
        return await begin(tx, member, browser, fresh, now, by=by, before=before)

    return await db.writing(work)


async def _slip(tx: Tx, secret: str, member: MemberId, now: datetime) -> None:
    """A wrong code after the right password; told once, where it is no mere slip."""
    if await ceremonies.slip(tx, hash_of(secret)) == rules.SLIPS_TOLD:
        await tell(tx, [Event(member, "account.second_step_failed", now, {})])


async def take_code(tx: Tx, member: MemberId, code: str, at: datetime) -> bool:
    """Whether the member's app shows this code now; it opens nothing again."""
    app = await store.code_app(tx, member)
    if app is None:
        return False
    counter = _counter_of(code, app.secret, rules.counters(at, used=app.used))
    return counter is not None and await store.use_counter(tx, member, app.secret, counter)


def _counter_of(code: str, secret: str, counters: Sequence[int]) -> int | None:
    """Which of these half minutes the code belongs to."""
    codes = HOTP(secret, digits=rules.CODE_DIGITS)
    text = rules.code_text(code)
    return next((each for each in counters if compare_digest(codes.at(each), text)), None)


# One's own --------------------------------------------------------------------------------------


async def mine(tx: Tx, member: MemberId) -> TwoSteps:
    account = await accounts.of(tx, member)
    return TwoSteps(
        since=account and account.two_steps_at,
        app=await store.code_app(tx, member),
        recovery_codes=len(await store.recovery_codes(tx, member)),
        passkeys=await passkeys.mine(tx, member),
    )


async def begin_app(tx: Tx, member: MemberId, app_secret: str, secret: str) -> None:
    """An app is to be told `app_secret`, and is the member's once it has made a code of it."""
    await ceremonies.begin(
        tx, Begun(Ceremony.CODE_APP, member, {"secret": app_secret}), hash_of(secret)
    )


async def app_begun(tx: Tx, member: MemberId, secret: str) -> str | None:
    """What the app is to be told; None where nothing was begun."""
    found = await ceremonies.find(tx, hash_of(secret), Ceremony.CODE_APP)
    return str(found.payload["secret"]) if found and found.member == member else None


def told_app(app_secret: str, email: str) -> str:
    """The address by which an app takes a secret, as a picture or a link."""
    codes = TOTP(app_secret, digits=rules.CODE_DIGITS, interval=rules.CODE_SECONDS)
    return codes.provisioning_uri(name=email, issuer_name=ISSUER)


async def add_app(
    db: Database,
    member: MemberId,
    secret: str,
    code: str,
    *,
    recovery_codes: Sequence[str],
    salt: bytes,
    at: datetime,
    now: datetime,
) -> Sequence[str] | Denied:
    """Makes the app that was begun the member's: it shows this code now.

    With the first one, signing in takes two steps from now on, and `recovery_codes` are the member's:
    they are returned, to be shown this once. With a later one there are none.
    """
    counters = rules.counters(at, used=0)

    async def look(tx: Tx) -> str | None:
        return await app_begun(tx, member, secret)

    app_secret = await db.reading(look)
    if app_secret is None:
        return Denied.BEGIN_AGAIN
    counter = _counter_of(code, app_secret, counters)
    if counter is None:
        return Denied.WRONG_CODE
    hashes = await passwords.hashed_together(recovery_codes, salt)

    async def work(tx: Tx) -> Sequence[str] | Denied:
        account = await accounts.of(tx, member, lock=True)
        ended = await ceremonies.end(tx, hash_of(secret), Ceremony.CODE_APP)
        if account is None or ended is None:
            return Denied.BEGIN_AGAIN
        await store.set_code_app(tx, member, app_secret, used=counter)
        again = account.two_steps_at is not None
        await tell(tx, [Event(member, "account.code_app_added", now, {"again": again})])
        if again:
            return ()
        await _turn_on(tx, member, hashes, now)
        return recovery_codes

    return await db.writing(work)


async def turn_on(
    db: Database, member: MemberId, *, recovery_codes: Sequence[str], salt: bytes, now: datetime
) -> Sequence[str] | None:
    """From now on the second step is taken with a passkey: the recovery codes, to be shown this once.

    None where the member has no passkey, or signs in in two steps already.
    """
    hashes = await passwords.hashed_together(recovery_codes, salt)

    async def work(tx: Tx) -> Sequence[str] | None:
        account = await accounts.of(tx, member, lock=True)
        if account is None or account.two_steps_at is not None:
            return None
        if not await passkeys.mine(tx, member):
            return None
        await _turn_on(tx, member, hashes, now)
        return recovery_codes

    return await db.writing(work)


async def _turn_on(tx: Tx, member: MemberId, hashes: Sequence[str], now: datetime) -> None:
    await store.turn_on(tx, member)
    await store.set_recovery_codes(tx, member, hashes)
    await tell(tx, [Event(member, "account.two_steps_on", now, {})])


async def remove_app(tx: Tx, member: MemberId, now: datetime) -> bool:
    """Forgets the member's app; False where there is none. Passkeys take the second step then."""
    await accounts.of(tx, member, lock=True)
    if not await store.drop_code_app(tx, member):
        return False
    await tell(tx, [Event(member, "account.code_app_removed", now, {})])
    await turn_off_where_nothing_is_left(tx, member, now)
    return True


async def turn_off_where_nothing_is_left(tx: Tx, member: MemberId, now: datetime) -> None:
    """A second step that can be taken with recovery codes alone would soon lock the member out."""
    if await store.code_app(tx, member) is None and not await passkeys.mine(tx, member):
        await turn_off(tx, member, now)


async def turn_off(tx: Tx, member: MemberId, now: datetime) -> bool:
    """The password alone signs in again; the app and the recovery codes are forgotten."""
    was_on = await store.turn_off(tx, member)
    if was_on:
        await tell(tx, [Event(member, "account.two_steps_off", now, {})])
    return was_on


async def turn_off_for(
    tx: Tx, member: MemberId, *, actor: str, audit_id: str, now: datetime
) -> bool:
    """The same, by an operator: the member is signed out everywhere with it."""
    if not await turn_off(tx, member, now):
        return False
    await sign_out_everywhere(tx, member, now)
    await audit.record(
        tx, audit_id, now, actor=actor, action="two_steps.off", member=member, detail={}
    )
    return True


async def renew_recovery_codes(
    db: Database, member: MemberId, codes: Sequence[str], *, salt: bytes, now: datetime
) -> Sequence[str] | None:
    """Makes these the member's recovery codes, to be shown this once; None where none are needed."""
    hashes = await passwords.hashed_together(codes, salt)

    async def work(tx: Tx) -> Sequence[str] | None:
        account = await accounts.of(tx, member, lock=True)
        if account is None or account.two_steps_at is None:
            return None
        await store.set_recovery_codes(tx, member, hashes)
        await tell(tx, [Event(member, "account.recovery_codes_made", now, {})])
        return codes

    return await db.writing(work)
