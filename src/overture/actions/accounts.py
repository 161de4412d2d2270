"""Accounts: sign up, sign in and out, say which address and password are one's own.

Nobody learns here whether an address is known: whoever signs up with one, or asks for a new password,
gets the same answer after the same work, and the rest is said in a mail to that address. A password is
worked out between two transactions, so that no connection waits for it.

Sessions, links and limits live by the real clock; `now` below is the instant in the events. Secrets
are made at the edge and stored as their SHA-256.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

from email_validator import EmailNotValidError, validate_email

from overture.actions import members, passwords
from overture.actions.fields import Fields, Invalid, time_zone
from overture.actions.links import own_name
from overture.actions.members import EMAIL_CHARS_MAX, NewMember
from overture.core import accounts as rules
from overture.core import text
from overture.core.accounts import Ceremony, Denied, Limit, Limits, Purpose, folded
from overture.core.ids import MemberId
from overture.core.refusals import Refusal
from overture.core.sending import Event
from overture.core.text import BadText
from overture.store import accounts as store
from overture.store import (
    attempts,
    ceremonies,
    identities,
    links,
    mailboxes,
    mails,
    passkeys,
    sessions,
    two_steps,
)
from overture.store.accounts import Account, Unopened
from overture.store.attempts import Try
from overture.store.ceremonies import Begun
from overture.store.db import Conflict, Database, Tx
from overture.store.links import Link
from overture.store.mails import Wanted
from overture.store.outbox import tell

_AGENT_CHARS_MAX = 300


class Mail(StrEnum):
    """What a mail says. Those that bring a link name its purpose in `_PURPOSES`."""

    WELCOME = "welcome"
    VERIFY = "verify"
    EMAIL = "email"
    # The address has an account here already.
    KNOWN = "known"
    RESET = "reset"
    # To the address that was theirs: another one is now.
    MOVED = "moved"
    # The member was imported, or made by the operator, and has no password yet.
    CLAIM = "claim"
    OPEN = "open"


_PURPOSES = {
    Mail.WELCOME: Purpose.VERIFY,
    Mail.VERIFY: Purpose.VERIFY,
    Mail.EMAIL: Purpose.EMAIL,
    Mail.RESET: Purpose.PASSWORD,
    Mail.CLAIM: Purpose.PASSWORD,
    Mail.OPEN: Purpose.PASSWORD,
}


@dataclass(frozen=True, slots=True)
class Browser:
    """Who asks: the address it comes from, what it calls itself, the secret of its device cookie."""

    client: str
    agent: str = ""
    device: str = ""


@dataclass(frozen=True, slots=True)
class Fresh:
    """What a new session is made of: its id, its secret, and a device's, should it need one."""

    id: str
    secret: str
    device: str


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who is signed in now. The browser is to keep both secrets."""

    member: MemberId
    secret: str
    device: str


@dataclass(frozen=True, slots=True)
class SecondStep:
    """The password was right, and a second step is to come. The browser is to keep the secret."""

    secret: str


@dataclass(frozen=True, slots=True)
class NewAccount:
    """Someone who signs up, the texts as they were written."""

    id: MemberId
    name: str
    email: str
    password: str
    time_zone: str = "UTC"
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail to be sent; `secret` is that of its link, where it brings one."""

    kind: Mail
    to: str
    name: str
    secret: str | None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a link that still holds is for. `opens`: the member has no password yet."""

    purpose: Purpose
    name: str
    email: str
    opens: bool


# Signing up -------------------------------------------------------------------------------------


async def sign_up(
    db: Database, new: NewAccount, browser: Browser, mail: str, now: datetime
) -> Invalid | Denied | None:
    """Makes an account, unless the address has one; either way a mail, of the id `mail`, says so.

    None, too, either way. The new member signs in with the password.
    """
    fields = Fields()
    name = fields.take("name", own_name(new.name))
    email = fields.take("email", address(new.email))
    zone = fields.take("time_zone", time_zone(new.time_zone))
    if (bad := await _bad_password(new.password, name=new.name, email=new.email)) is not None:
        fields.refuse("password", bad.sentence)
    if (invalid := fields.invalid) is not None:
        return invalid
    may, mails_go = await _counts(
        db,
        _of_client(rules.SIGN_UPS_FROM_CLIENT, browser),
        (rules.MAILS_TO_ADDRESS, rules.MAILS_TO_ADDRESS.key(folded(email))),
    )
    if not may:
        return Denied.TOO_OFTEN
    stored = await passwords.hashed(new.password)

    async def work(tx: Tx) -> None:
        waiting = await store.unopened(tx, folded(email))
        # Everything is done also where the address is known, and then taken back: the same work.
        await tx.execute("savepoint signing_up")
        joining = NewMember(id=new.id, handle="", name=name, email=email, time_zone=zone)
        made = await join(tx, joining, stored, now, verified=False)
        is_new = made and waiting is None
        if not is_new:
            await tx.execute("rollback to savepoint signing_up")
        kind = Mail.WELCOME if is_new else Mail.KNOWN if waiting is None else Mail.RESET
        if mails_go:
            member = new.id if is_new else None
            await mails.want(tx, Wanted(mail, kind.value, email, member, new.language), now)

    await db.writing(work)
    return None


async def join(
    tx: Tx, new: NewMember, password: str | None, now: datetime, *, verified: bool
) -> bool:
    """Makes the member and the account; False, to be taken back, where the address is another's."""
    assert new.email is not None, "an account has an address"
    had = await store.take_address(tx, folded(new.email), new.id)
    for handle in rules.handle_forms(new.name, new.id):
        made = await members.create(tx, replace(new, handle=handle), now)
        if made is Refusal.HANDLE_TAKEN:
            continue
        if made is Refusal.EXTERNAL_ID_TAKEN:
            # Somebody came with it meanwhile.
            raise Conflict
        assert not isinstance(made, Refusal | Invalid), made
        await store.add(tx, new.id, email=new.email, password=password, verified=verified)
        await tell(tx, [Event(new.id, "account.signed_up", now, {})])
        return had
    raise AssertionError("the last of the forms is nobody else's")


# Signing in and out -----------------------------------------------------------------------------


async def sign_in(
    db: Database,
    email: str,
    password: str,
    browser: Browser,
    *,
    fresh: Fresh,
    now: datetime,
    before: str = "",
) -> SignedIn | SecondStep | Denied:
    """Signs a browser in, in a session of its own; the one whose secret is `before` ends.

    A member who signs in in two steps is not in yet: see `two_steps`. Raises lanes.Overloaded where
    too many passwords wait to be compared.
    """
    to = folded(email)
    tried = Tries(browser, rules.SIGNING_IN, to)

    async def look(tx: Tx) -> tuple[bool, Account | None]:
        known = await store.is_known_device(tx, hash_of(browser.device), to)
        return await tried.may(tx, known=known), await store.by_address(tx, to)

    may, account = await db.writing(look)
    if not may:
        return Denied.TOO_OFTEN
    fits = await passwords.fits(password, account.password if account else None)
    if account is None or account.password is None or not fits:
        return Denied.WRONG_SIGN_IN
    renewed = account.password
    if passwords.is_outdated(renewed):
        renewed = await passwords.hashed(password)

    async def work(tx: Tx) -> SignedIn | SecondStep | Denied:
        current = await store.of(tx, account.member, lock=True)
        # Changed or closed meanwhile.
        if current is None or current.password != account.password:
            return Denied.WRONG_SIGN_IN
        if current.password is not None and renewed != current.password:
            await store.rehash(tx, account.member, before=current.password, after=renewed)
        await tried.right(tx)
        if current.two_steps_at is not None:
            begun = Begun(Ceremony.SECOND_STEP, account.member, {})
            await ceremonies.begin(tx, begun, hash_of(fresh.secret))
            return SecondStep(fresh.secret)
        return await begin(tx, account.member, browser, fresh, now, by=["password"], before=before)

    return await db.writing(work)


async def begin(
    tx: Tx,
    member: MemberId,
    browser: Browser,
    fresh: Fresh,
    now: datetime,
    *,
    by: Sequence[str],
    before: str,
    by_identity: bool = False,
    frame: str | None = None,
    proven: bool = True,
) -> SignedIn:
    """A new session for one who has shown who they are, `by` which means; that of `before` ends.

    A device that is not known is made known, under a new secret. `frame` and `proven`: see
    `store.sessions.add`.
    """
    if before:
        _ = await sign_out(tx, before, now)
    known = await store.is_device_of(tx, hash_of(browser.device), member)
    device = browser.device if known else fresh.device
    await sessions.add(
        tx,
        member,
        session=fresh.id,
        sha256=hash_of(fresh.secret),
        client=browser.client,
        agent=browser.agent[:_AGENT_CHARS_MAX],
        by_identity=by_identity,
        frame=frame,
        proven=proven,
        factor=not rules.FACTORS.isdisjoint(by),
    )
    await store.know_device(tx, hash_of(device), member)
    payload = {"session": fresh.id, "known_device": known, "by": list(by)}
    if frame is not None:
        payload["frame"] = frame
    await tell(tx, [Event(member, "account.signed_in", now, payload)])
    return SignedIn(member, fresh.secret, device)


async def sign_out(tx: Tx, secret: str, now: datetime) -> bool:
    """Ends the session of this secret, if there is one: whether it came of the identity provider."""
    ended = await sessions.end(tx, hash_of(secret))
    if ended is None:
        return False
    member, session, by_identity = ended
    await _tell_ended(tx, member, [session], now)
    return by_identity


async def sign_out_one(tx: Tx, member: MemberId, session: str, now: datetime) -> bool:
    """Ends one of the member's sessions by its id; False where there is none."""
    ended = await sessions.end_one(tx, member, session)
    if ended:
        await _tell_ended(tx, member, [session], now)
    return ended


async def sign_out_everywhere(
    tx: Tx, member: MemberId, now: datetime, *, but: str | None = None
) -> int:
    """Ends all of the member's sessions, or all `but` the one of this id: how many."""
    ended = await sessions.end_all(tx, member, but=but)
    if ended:
        await _tell_ended(tx, member, ended, now)
    return len(ended)


async def _tell_ended(tx: Tx, member: MemberId, ended: Sequence[str], now: datetime) -> None:
    await tell(tx, [Event(member, "account.signed_out", now, {"sessions": list(ended)})])


class Tries:
    """The tries of one browser to get in as one whom it names: by an address, or by a member's id.

    A browser that signed in as them before is counted by itself. All others are counted by where they
    come from, and then together: in this order, so that one place alone cannot use up what strangers
    have together.
    """

    def __init__(self, browser: Browser, limits: Limits, whom: str) -> None:
        self._known = False
        client = rules.network(browser.client)
        by_device, from_client = limits.by_device, limits.from_client
        from_to, strangers = limits.from_client_to, limits.by_strangers
        self._own = (by_device, by_device.key(hash_of(browser.device), whom))
        self._from_to = (from_to, from_to.key(client, whom))
        self._from = (from_client, from_client.key(client))
        self._strangers = (strangers, strangers.key(whom))

    async def may(self, tx: Tx, *, known: bool) -> bool:
        """Counts a try: whether it may be made."""
        self._known = known
        if known:
            return await attempts.within(tx, [self._own])
        if not await attempts.within(tx, [self._from, self._from_to]):
            return False
        return await attempts.within(tx, [self._strangers])

    async def right(self, tx: Tx) -> None:
        """It was right: the try does not count, nor do one's own slips before it."""
        await attempts.forget(tx, [self._own, self._from_to])
        if not self._known:
            await attempts.forgive(tx, [self._from, self._strangers])


# What mails are for -----------------------------------------------------------------------------


async def ask_for_password(
    db: Database, email: str, browser: Browser, mail: str, now: datetime, *, language: str
) -> Invalid | Denied | None:
    """Has a mail written to the address, whose link sets a new password: if it is known at all.

    Whether it is, is looked up where the mail is written: nothing here can tell.
    """
    fields = Fields()
    to = fields.take("email", _some_address(email))
    if (invalid := fields.invalid) is not None:
        return invalid
    may, mails_go = await _counts(
        db,
        _of_client(rules.MAILS_FROM_CLIENT, browser),
        (rules.MAILS_TO_ADDRESS, rules.MAILS_TO_ADDRESS.key(folded(to))),
    )
    if not may:
        return Denied.TOO_OFTEN
    if mails_go:
        wanted = Wanted(mail, Mail.RESET.value, to, None, language)
        await db.writing(lambda tx: mails.want(tx, wanted, now))
    return None


async def ask_to_verify(
    tx: Tx, member: MemberId, mail: str, now: datetime, *, language: str
) -> Denied | None:
    """Has another mail written, with which the member shows that the address is theirs."""
    account = await store.of(tx, member)
    if account is None or account.verified_at is not None:
        return None
    to_address = rules.MAILS_TO_ADDRESS
    if not await attempts.within(tx, [(to_address, to_address.key(folded(account.email)))]):
        return Denied.TOO_OFTEN
    wanted = Wanted(mail, Mail.VERIFY.value, account.email, member, language)
    await mails.want(tx, wanted, now)
    return None


async def letter(tx: Tx, wanted: Wanted, secret: str) -> Letter | None:
    """The mail that was wanted, as things stand when it is written; None where none is due.

    `secret` becomes that of its link.
    """
    to = folded(wanted.address)
    account = await store.by_address(tx, to)
    match Mail(wanted.kind):
        case Mail.RESET:
            if account is not None:
                return await _with_link(tx, Mail.RESET, account, account.email, secret)
            waiting = await store.unopened(tx, to)
            if waiting is None:
                return None
            kind = Mail.OPEN if waiting.claimed else Mail.CLAIM
            return await _with_link(tx, kind, waiting, waiting.email, secret)
        case Mail.WELCOME | Mail.VERIFY as kind:
            if account is None or account.member != wanted.member or account.verified_at:
                return None
            return await _with_link(tx, kind, account, account.email, secret)
        case Mail.EMAIL:
            if account is not None and account.member != wanted.member:
                return Letter(Mail.KNOWN, account.email, account.name, None)
            mine = await store.of(tx, wanted.member) if wanted.member else None
            return mine and await _with_link(tx, Mail.EMAIL, mine, wanted.address, secret)
        case Mail.KNOWN:
            return account and Letter(Mail.KNOWN, account.email, account.name, None)
        case Mail.MOVED:
            mine = await store.of(tx, wanted.member) if wanted.member else None
            return mine and Letter(Mail.MOVED, wanted.address, mine.name, None)
        case Mail.CLAIM | Mail.OPEN:
            raise AssertionError("these are what a RESET turns out to be")


async def asked(tx: Tx, secret: str) -> Asked | None:
    """What a link is for; None where it does not hold any more. Looking does not use it up."""
    link = await links.find(tx, hash_of(secret), list(Purpose))
    if link is None:
        return None
    account = await store.of(tx, link.member)
    if account is not None:
        return Asked(link.purpose, account.name, link.email, opens=False)
    waiting = await store.unopened_member(tx, link.member)
    return waiting and Asked(link.purpose, waiting.name, link.email, opens=True)


async def verify(
    tx: Tx, secret: str, mail: str, now: datetime, *, language: str
) -> MemberId | Denied:
    """Whoever follows the link has read a mail to the address: it is theirs.

    The link of a change of address makes that one the account's. The one before it gets a mail about
    that, of the id `mail`, if it had been shown to be theirs.
    """
    link = await links.use(tx, hash_of(secret), [Purpose.VERIFY, Purpose.EMAIL])
    account = await store.of(tx, link.member, lock=True) if link else None
    if link is None or account is None:
        return Denied.LINK_GONE
    if link.purpose is Purpose.VERIFY:
        if folded(account.email) != folded(link.email):
            return Denied.LINK_GONE
        await store.verify(tx, account.member)
        await mailboxes.works(tx, account.member)
        await tell(tx, [Event(account.member, "account.email_verified", now, {})])
        return account.member
    if not await store.take_address(tx, folded(link.email), account.member):
        return Denied.LINK_GONE
    before = folded(account.email)
    if before != folded(link.email):
        await store.drop_address(tx, before, account.member)
        if account.verified_at is not None:
            moved = Wanted(mail, Mail.MOVED.value, account.email, account.member, language)
            await mails.want(tx, moved, now)
    await store.change_email(tx, account.member, link.email)
    await mailboxes.works(tx, account.member)
    await links.drop(tx, account.member)
    await tell(tx, [Event(account.member, "account.email_changed", now, {})])
    return account.member


async def set_password(
    db: Database, secret: str, password: str, browser: Browser, now: datetime
) -> MemberId | Invalid | Denied:
    """Sets a password by a link. Every session ends, and no other link of the member holds.

    Who had no password has an account from now on; an imported member is their own.
    """
    purposes = [Purpose.PASSWORD]

    async def look(tx: Tx) -> Asked | Denied | None:
        if not await attempts.within(tx, [_of_client(rules.LINKS_FROM_CLIENT, browser)]):
            return Denied.TOO_OFTEN
        return await asked(tx, secret) if await links.find(tx, hash_of(secret), purposes) else None

    found = await db.writing(look)
    if isinstance(found, Denied):
        return found
    if found is None:
        return Denied.LINK_GONE
    if (invalid := await _bad_new_password(password, found.name, found.email)) is not None:
        return invalid
    stored = await passwords.hashed(password)

    async def work(tx: Tx) -> MemberId | Denied:
        link = await links.use(tx, hash_of(secret), purposes)
        if link is None:
            return Denied.LINK_GONE
        account = await store.of(tx, link.member, lock=True)
        opened = (
            await _renew(tx, account, link, stored) if account else await _open(tx, link, stored)
        )
        if not opened:
            return Denied.LINK_GONE
        kind = "account.password_changed" if account else "account.opened"
        await tell(tx, [Event(link.member, kind, now, {})])
        await links.drop(tx, link.member)
        await ceremonies.drop(tx, link.member)
        await store.forget_devices(tx, link.member)
        await sign_out_everywhere(tx, link.member, now)
        to = rules.BY_STRANGERS_TO_ADDRESS
        await attempts.forget(tx, [(to, to.key(folded(link.email)))])
        return link.member

    return await db.writing(work)


async def _renew(tx: Tx, account: Account, link: Link, password: str) -> bool:
    if folded(account.email) != folded(link.email):
        return False
    if account.verified_at is None:
        # Somebody else may have signed up with the address, and left a way in behind.
        await _close_other_ways(tx, account.member)
    await store.set_password(tx, account.member, password)
    await store.verify(tx, account.member)
    await mailboxes.works(tx, account.member)
    return True


async def _close_other_ways(tx: Tx, member: MemberId) -> None:
    await two_steps.turn_off(tx, member)
    await identities.drop(tx, member)
    for passkey in await passkeys.mine(tx, member):
        await passkeys.drop(tx, member, passkey.id)


async def _open(tx: Tx, link: Link, password: str) -> bool:
    waiting = await store.unopened_member(tx, link.member)
    # The operator may have changed the address since.
    if waiting is None or folded(waiting.email) != folded(link.email):
        return False
    return await _give(tx, waiting, link.email, password)


async def open_for(
    tx: Tx, member: MemberId, *, otherwise: str, password: str, now: datetime
) -> bool:
    """Opens an account for a member who has none, as a demo does: whether it did.

    It has the member's address, `otherwise` where they have none. `password` is as it is stored.
    """
    waiting = await store.unopened_member(tx, member)
    if waiting is None or not await _give(tx, waiting, waiting.email or otherwise, password):
        return False
    await tell(tx, [Event(member, "account.opened", now, {})])
    return True


async def _give(tx: Tx, waiting: Unopened, email: str, password: str) -> bool:
    if not await store.take_address(tx, folded(email), waiting.member):
        return False
    await store.add(tx, waiting.member, email=email, password=password, verified=True)
    await mailboxes.works(tx, waiting.member)
    return True


async def _with_link(tx: Tx, kind: Mail, whose: Account | Unopened, to: str, secret: str) -> Letter:
    await links.add(tx, Link(whose.member, _PURPOSES[kind], to), hash_of(secret))
    return Letter(kind, to, whose.name, secret)


# One's own account ------------------------------------------------------------------------------


async def account(tx: Tx, member: MemberId) -> Account:
    """The account of a member who is signed in."""
    found = await store.of(tx, member)
    assert found is not None, "who is signed in has an account"
    return found


async def mail_fails(tx: Tx, member: MemberId) -> bool:
    """Whether mail to the member's address came back for good."""
    mailbox = (await mailboxes.of(tx, [member])).get(member)
    return mailbox is not None and mailbox.failing


async def change_password(
    db: Database,
    member: MemberId,
    *,
    current: str,
    new: str,
    session: str,
    fresh: Fresh,
    now: datetime,
) -> SignedIn | Invalid | Denied:
    """Changes the password; all browsers but that of `session` are signed out. It gets a new secret."""
    own = await confirmed(db, member, current)
    if isinstance(own, Denied):
        return own
    if (invalid := await _bad_new_password(new, own.name, own.email)) is not None:
        return invalid
    stored = await passwords.hashed(new)

    async def work(tx: Tx) -> SignedIn | Denied:
        locked = await store.of(tx, member, lock=True)
        if locked is None or locked.password != own.password:
            return Denied.WRONG_PASSWORD
        await store.set_password(tx, member, stored)
        await links.drop(tx, member)
        await ceremonies.drop(tx, member)
        await store.forget_devices(tx, member)
        await store.know_device(tx, hash_of(fresh.device), member)
        await sign_out_everywhere(tx, member, now, but=session)
        await sessions.prove(tx, member, session, hash_of(fresh.secret), factor=False)
        await tell(tx, [Event(member, "account.password_changed", now, {})])
        return SignedIn(member, fresh.secret, fresh.device)

    return await db.writing(work)


async def change_email(
    db: Database, member: MemberId, email: str, mail: str, now: datetime, *, language: str
) -> Invalid | Denied | None:
    """Has a mail written to the new address; it is the account's once its link is followed."""
    fields = Fields()
    to = fields.take("email", address(email))
    if (invalid := fields.invalid) is not None:
        return invalid

    async def work(tx: Tx) -> Denied | None:
        to_address, by_member = rules.MAILS_TO_ADDRESS, rules.MAILS_BY_MEMBER
        tries = [(to_address, to_address.key(folded(to))), (by_member, by_member.key(member))]
        if not await attempts.within(tx, tries):
            return Denied.TOO_OFTEN
        await mails.want(tx, Wanted(mail, Mail.EMAIL.value, to, member, language), now)
        return None

    return await db.writing(work)


async def confirmed(db: Database, member: MemberId, password: str) -> Account | Denied:
    """The member's account, if this is its password: for what nobody may do in their place."""
    tries = [(rules.BY_MEMBER, rules.BY_MEMBER.key(member))]

    async def look(tx: Tx) -> Account | Denied | None:
        if not await attempts.within(tx, tries):
            return Denied.TOO_OFTEN
        return await store.of(tx, member)

    own = await db.writing(look)
    if isinstance(own, Denied):
        return own
    if not await passwords.fits(password, own.password if own else None) or own is None:
        return Denied.WRONG_PASSWORD
    await db.writing(lambda tx: attempts.forget(tx, tries))
    return own


# Texts and counts -------------------------------------------------------------------------------


def address(raw: str) -> str | BadText:
    """An e-mail address to sign in with, as it is written to."""
    line = text.line(raw, EMAIL_CHARS_MAX, required=True)
    if isinstance(line, BadText):
        return line
    try:
        return validate_email(line, check_deliverability=False, allow_smtputf8=False).normalized
    except EmailNotValidError:
        return BadText("This is no e-mail address.")


def _some_address(raw: str) -> str | BadText:
    """An address that a member may have been given: by the operator, or by an archive."""
    line = text.line(raw, EMAIL_CHARS_MAX, required=True)
    if isinstance(line, BadText) or "@" in line:
        return line
    return BadText("This is no e-mail address.")


async def _bad_new_password(password: str, name: str, email: str) -> Invalid | None:
    bad = await _bad_password(password, name=name, email=email)
    return None if bad is None else Invalid((("password", bad.sentence),))


async def _bad_password(password: str, *, name: str, email: str) -> BadText | None:
    """Why this is no password for this person, by the rules and by what guessers try first."""
    bad = rules.bad_password(password, name=name, email=email)
    if bad is None and await passwords.is_guessed(password, rules.told_by(name, email)):
        return rules.GUESSED
    return bad


def hash_of(secret: str) -> str:
    """How a secret is stored: its SHA-256, in hexadecimal."""
    return sha256(secret.encode()).hexdigest()


def _of_client(limit: Limit, browser: Browser) -> Try:
    return limit, limit.key(rules.network(browser.client))


async def _counts(db: Database, first: Try, second: Try) -> tuple[bool, bool]:
    """Counts a try by each limit, by the second only where the first allows it."""

    async def work(tx: Tx) -> tuple[bool, bool]:
        allowed = await attempts.within(tx, [first])
        return allowed, allowed and await attempts.within(tx, [second])

    return await db.writing(work)
