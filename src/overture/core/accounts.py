"""The rules of accounts: what a password must be, how often something may be tried, how long it holds.

Source: docs/accounts.md.
"""

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from ipaddress import IPv6Address, ip_address
from itertools import pairwise

from overture.core import text
from overture.core.text import BadText, Sentence

PASSWORD_CHARS_MIN = 8
PASSWORD_CHARS_MAX = 256
# Fewer digits alone are a date, or are guessed in no time.
DIGITS_MIN = 12

GUESSED = BadText("This is one of the first passwords that anyone would try. Take another.")

# A browser stays signed in for so long without use, and for so long at most.
SESSION_IDLE = timedelta(days=30)
SESSION_MAX = timedelta(days=180)
# Who has shown who they are is not asked again for so long, before what nobody may do in their place.
PROVEN_FOR = timedelta(minutes=10)
# The console stays open in an operator's browser for so long without use, and for so long at most.
CONSOLE_IDLE = timedelta(minutes=30)
CONSOLE_MAX = timedelta(hours=12)
# What counts as a second factor: what a stranger who knows the password does not have.
FACTORS = frozenset({"code", "passkey"})
# What was begun in a browser is to be ended within so long.
CEREMONY_MAX = timedelta(minutes=10)
# What a host site signs to hand somebody over holds for so long at most.
HANDOVER_MAX = timedelta(seconds=120)
# A browser that did not sign in for so long is a stranger's again.
DEVICE_MAX = timedelta(days=365)


class Denied(StrEnum):
    """Every expected no about accounts. None of them tells whether an address is known here."""

    WRONG_SIGN_IN = "wrong_sign_in"
    WRONG_PASSWORD = "wrong_password"  # noqa: S105
    TOO_OFTEN = "too_often"
    LINK_GONE = "link_gone"
    WRONG_CODE = "wrong_code"
    WRONG_RECOVERY_CODE = "wrong_recovery_code"
    CODES_TOO_OFTEN = "codes_too_often"
    BEGIN_AGAIN = "begin_again"
    WRONG_PASSKEY = "wrong_passkey"
    NEW_PASSKEY_FAILED = "new_passkey_failed"
    IDENTITY_FAILED = "identity_failed"
    IDENTITY_UNVERIFIED = "identity_unverified"
    ADDRESS_UNVERIFIED = "address_unverified"
    IDENTITY_TAKEN = "identity_taken"
    HANDOVER_FAILED = "handover_failed"
    HANDOVER_UNKNOWN = "handover_unknown"

    @property
    def sentence(self) -> str:
        """What happened and what can be done about it."""
        return _SENTENCES[self]


_SENTENCES = {
    Denied.WRONG_SIGN_IN: Sentence(
        "This e-mail address and password do not belong together. Check both and try again."
    ),
    Denied.WRONG_PASSWORD: Sentence("This is not your password. Try again."),
    Denied.TOO_OFTEN: Sentence(
        "That was tried too often. Wait a while, or set a new password by e-mail."
    ),
    Denied.LINK_GONE: Sentence(
        "This link was used before, or is too old, or incomplete. Ask for a new one."
    ),
    Denied.WRONG_CODE: Sentence(
        "This code does not fit, or was used before. Take the one that your app shows now."
    ),
    Denied.WRONG_RECOVERY_CODE: Sentence(
        "This is none of your recovery codes, or it was used before. Try another."
    ),
    Denied.CODES_TOO_OFTEN: Sentence(
        "Codes were tried too often. Wait a while, or take another way."
    ),
    Denied.WRONG_PASSKEY: Sentence(
        "This passkey opens nothing here. Take another, or sign in with your password."
    ),
    Denied.NEW_PASSKEY_FAILED: Sentence(
        "The passkey could not be added: it is here already, or is not of a kind that can be used."
    ),
    Denied.IDENTITY_FAILED: Sentence(
        "Signing in elsewhere did not work. Try again, or take another way."
    ),
    Denied.IDENTITY_UNVERIFIED: Sentence(
        "Your e-mail address is not verified where you sign in. Verify it there and try again."
    ),
    Denied.ADDRESS_UNVERIFIED: Sentence(
        "Your address has an account here, but nobody has shown yet that it is theirs. Set a new "
        "password by e-mail to make it yours, and try again."
    ),
    Denied.IDENTITY_TAKEN: Sentence(
        "One of the two is linked already: this account to another sign-in, or it to another account."
    ),
    Denied.HANDOVER_FAILED: Sentence(
        "The site that you came from could not sign you in here. Go back to it and try again."
    ),
    Denied.HANDOVER_UNKNOWN: Sentence(
        "The site that you came from has not told us of you yet. Go back to it and ask there."
    ),
    Denied.BEGIN_AGAIN: Sentence("That took too long, or was done already. Begin again."),
}


class Purpose(StrEnum):
    """What a link in a mail permits: to say that an address is one's own, to change to it, or to set
    a password, which for one who has none yet makes the account theirs."""

    VERIFY = "verify"
    EMAIL = "email"
    PASSWORD = "password"  # noqa: S105

    @property
    def lifetime(self) -> timedelta:
        return timedelta(hours=1) if self is Purpose.PASSWORD else timedelta(days=3)


class Ceremony(StrEnum):
    """What is begun in a browser and ended there soon."""

    # The password was right; the second step is to come.
    SECOND_STEP = "second_step"
    # An app was told its secret; its first code is to come.
    CODE_APP = "code_app"
    # A passkey is to be made; to sign in; to show again who one is.
    NEW_PASSKEY = "new_passkey"
    PASSKEY = "passkey"
    PROVING = "proving"
    # A browser goes to the identity provider and comes back: to sign in; to link the two; to show
    # again who one is.
    IDENTITY = "identity"
    LINKING = "linking"
    PROVING_ELSEWHERE = "proving_elsewhere"


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody as the host's identity provider knows them, and told in a way that can be believed.

    `email` and `name` are empty where it did not say; `signed_in_at` is in seconds since 1970.
    """

    issuer: str
    subject: str
    email: str
    email_verified: bool
    name: str
    signed_in_at: int | None


@dataclass(frozen=True, slots=True)
class Handover:
    """Somebody whom the host site has signed in and hands over, told in a way that can be believed.

    `identity.subject` is their external id. `origin` is that of the page in whose frame they are to be
    signed in, empty where it did not say. `sha256` tells the hand-over from any other; nobody is let in
    by it after `over_at`.
    """

    identity: Identity
    headline: str
    origin: str
    sha256: str
    over_at: datetime


# How often ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` tries of a kind within a window, which begins with the first."""

    name: str
    count: int
    window: timedelta

    def key(self, *of: str) -> str:
        """Under which the tries of these are counted; nobody can read out of it whose they are."""
        return sha256("\0".join((self.name, *of)).encode()).hexdigest()


_QUARTER = timedelta(minutes=15)
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)

# Signing in. Where strangers reach the limit of an address, browsers that signed in to it before may
# still try, and its owner can set a new password by e-mail: nobody can lock a member out.
FROM_CLIENT = Limit("sign in from", 60, _QUARTER)
FROM_CLIENT_TO_ADDRESS = Limit("sign in from to", 10, _QUARTER)
BY_STRANGERS_TO_ADDRESS = Limit("sign in to", 50, _HOUR)
BY_DEVICE_TO_ADDRESS = Limit("sign in by to", 10, _QUARTER)
# The second step, by the one who knows the password. Three codes in a million fit at a time: strangers
# together need years. They cannot keep the owner out either: a browser of the owner's is counted by
# itself, and recovery codes, too many to be guessed, are counted by where they are tried alone.
CODE_FROM_CLIENT = Limit("code from", 30, _QUARTER)
CODE_FROM_CLIENT_TO_MEMBER = Limit("code from to", 10, _QUARTER)
CODE_BY_STRANGERS_TO_MEMBER = Limit("code to", 20, _HOUR)
CODE_BY_DEVICE_TO_MEMBER = Limit("code by to", 10, _QUARTER)
RECOVERY_FROM_CLIENT = Limit("recovery code from", 10, _QUARTER)
# What begins without anything being known of who asks.
CEREMONIES_FROM_CLIENT = Limit("begin from", 60, _QUARTER)
# So many wrong codes after a right password, or in a browser that is signed in, are told: somebody else
# may know the one, or sit at the other.
SLIPS_TOLD = 3
# Showing again who one is, with a password or a code: each counted by itself, so that who knows the one
# cannot begin anew with it to guess the other.
BY_MEMBER = Limit("confirm", 10, _QUARTER)
CODES_BY_MEMBER = Limit("confirm by code", 10, _QUARTER)
# Mails that a member can have sent to addresses that they only name.
MAILS_BY_MEMBER = Limit("mail by", 10, _HOUR)
# Mails that anyone can have sent to an address that they only name.
SIGN_UPS_FROM_CLIENT = Limit("sign up from", 20, _HOUR)
MAILS_FROM_CLIENT = Limit("mail from", 30, _HOUR)
MAILS_TO_ADDRESS = Limit("mail to", 5, _HOUR)
# Following links: their secrets cannot be guessed, but looking them up is work.
LINKS_FROM_CLIENT = Limit("link from", 100, _HOUR)


@dataclass(frozen=True, slots=True)
class Limits:
    """How often one may try to get in as somebody, by who tries."""

    by_device: Limit
    from_client: Limit
    from_client_to: Limit
    by_strangers: Limit


SIGNING_IN = Limits(
    BY_DEVICE_TO_ADDRESS, FROM_CLIENT, FROM_CLIENT_TO_ADDRESS, BY_STRANGERS_TO_ADDRESS
)
CODES = Limits(
    CODE_BY_DEVICE_TO_MEMBER,
    CODE_FROM_CLIENT,
    CODE_FROM_CLIENT_TO_MEMBER,
    CODE_BY_STRANGERS_TO_MEMBER,
)


def network(client: str) -> str:
    """Whom tries are counted for: an IPv4 address, or the 64 bits of an IPv6 one that are a site's."""
    try:
        address = ip_address(client.partition("%")[0])
    except ValueError:
        return client
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(IPv6Address(int(address) >> 64 << 64))
    return str(address)


# Codes ---------------------------------------------------------------------------------------------

# Codes are made, and hold, as RFC 6238 has it and all apps do: six digits, of half a minute each.
CODE_SECONDS = 30
CODE_DIGITS = 6
RECOVERY_CODES = 10
PASSKEYS_MAX = 20
PASSKEY_NAME_CHARS_MAX = 60


def counters(at: datetime, *, used: int) -> list[int]:
    """The half minutes whose codes are taken at this instant: clocks may be off by one, and none is
    taken that was used, nor any before it."""
    now = int(at.timestamp()) // CODE_SECONDS
    return [each for each in (now, now - 1, now + 1) if each > used]


def code_text(raw: str) -> str:
    """The digits of a code, in whatever script and however grouped."""
    return "".join(str(unicodedata.digit(each)) for each in raw if each.isdecimal())


def recovery_code_text(raw: str) -> str:
    """A recovery code as it is hashed, however it was grouped and written."""
    return re.sub(r"[^0-9a-z]", "", raw.lower())[:_RECOVERY_CHARS_MAX]


def grouped(recovery_code: str) -> str:
    """A recovery code as it is shown: in two parts."""
    half = len(recovery_code) // 2
    return f"{recovery_code[:half]}-{recovery_code[half:]}"


_RECOVERY_CHARS_MAX = 64

# Names and passwords ------------------------------------------------------------------------------


def folded(email: str) -> str:
    """An address as it is looked up: two that differ in case alone are one."""
    return unicodedata.normalize("NFC", email.strip()).lower()


def password_text(raw: str) -> str:
    """A password as it is hashed: however the keyboard composed its letters."""
    return unicodedata.normalize("NFC", raw)


def bad_password(password: str, *, name: str, email: str) -> BadText | None:
    """Why this is no password for this person; None where it is one."""
    if len(password) < PASSWORD_CHARS_MIN:
        return BadText(Sentence("Use at least %(count)s characters.", count=PASSWORD_CHARS_MIN))
    if len(password) > PASSWORD_CHARS_MAX:
        return BadText(Sentence("Take at most %(count)s characters.", count=PASSWORD_CHARS_MAX))
    if _is_trivial(password):
        return GUESSED
    if _tells_of(password, name, email):
        return BadText("This has your name or e-mail address in it. Take another.")
    return None


def told_by(name: str, email: str) -> list[str]:
    """What anyone who wants to guess a person's password here knows to begin with."""
    parts = [*re.split(r"[\W_]+", name), *re.split(r"[\W_]+", email)]
    return [part for part in parts if len(part) >= 3]


def handle_forms(name: str, member: str) -> list[str]:
    """Handles for a new member, the nicest first; the last one is nobody else's."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    base = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    # What is random of a UUIDv7 stands at its end.
    suffix = member.replace("-", "")[::-1]
    forms = [base[:40].strip("-")] if len(base) > 1 else []
    forms += [f"{(base or 'member')[: 39 - n].strip('-')}-{suffix[:n]}" for n in (4, 8)]
    return [
        form for form in (*forms, f"member-{suffix}") if not isinstance(text.handle(form), BadText)
    ]


def _is_trivial(password: str) -> bool:
    """Whether it is a well-known one, or one key again and again, or keys in a row."""
    low = password.casefold()
    if low.strip("0123456789!?.@#$*") in _TRIVIAL or len(set(low)) <= 2:
        return True
    if low.isdigit() and len(low) < DIGITS_MIN:
        return True
    steps = {ord(after) - ord(before) for before, after in pairwise(low)}
    return len(steps) == 1 or any(low in row or low in row[::-1] for row in _ROWS)


def _tells_of(password: str, name: str, email: str) -> bool:
    """Whether little else is in it than a person's name or address."""
    left = text.fold(password)
    own = told_by(text.fold(name), text.fold(email))
    for part in sorted(own, key=len, reverse=True):
        left = left.replace(part, "")
    # Four letters of one's own beside the name are as good as none.
    return text.fold(password) != left and len(left) < 5


# Each as it is without the digits and signs that people put around it.
_TRIVIAL = frozenset(
    """
    abcabc adobe asdf asdfasdf asdfgh asdfghjkl azerty baseball batman changeme charlie computer
    corvette default dragon football freedom google hello iloveyou inmail internet jordan killer
    letmein linkedin login master michael monkey mustang overture overtures pass passw passwd password
    passwords passwort pa$$word pokemon princess qazwsx qazwsxedc qwer qwert qwerty qwertyui
    qwertyuiop qwertz qwertzuiop secret shadow starwars summer sunshine superman test testtest trustno
    user welcome whatever winter zaq12wsx zxcvbn zxcvbnm
    """.split()  # noqa: SIM905
)
_ROWS = ("01234567890123456789", "abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm",
         "1q2w3e4r5t6y7u8i9o0p", "1qaz2wsx3edc4rfv5tgb")  # fmt: skip
