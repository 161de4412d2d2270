"""The rules of accounts: what a password must be, how often something may be tried, how long it holds.

Source: docs/accounts.md.
"""

import re
import unicodedata
from dataclasses import dataclass
from datetime import timedelta
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
# A browser that did not sign in for so long is a stranger's again.
DEVICE_MAX = timedelta(days=365)


class Denied(StrEnum):
    """Every expected no about accounts. None of them tells whether an address is known here."""

    WRONG_SIGN_IN = "wrong_sign_in"
    WRONG_PASSWORD = "wrong_password"  # noqa: S105
    TOO_OFTEN = "too_often"
    LINK_GONE = "link_gone"

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
# Confirming what one does with one's password.
BY_MEMBER = Limit("confirm", 10, _QUARTER)
# Mails that anyone can have sent to an address that they only name.
SIGN_UPS_FROM_CLIENT = Limit("sign up from", 20, _HOUR)
MAILS_FROM_CLIENT = Limit("mail from", 30, _HOUR)
MAILS_TO_ADDRESS = Limit("mail to", 5, _HOUR)
# Following links: their secrets cannot be guessed, but looking them up is work.
LINKS_FROM_CLIENT = Limit("link from", 100, _HOUR)


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
        return BadText(Sentence("Take at least %(count)s characters.", count=PASSWORD_CHARS_MIN))
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
