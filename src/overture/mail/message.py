"""A mail as mail servers take it: who it is from and to, how it hangs together with others, both forms.

Whatever a member wrote goes into a header only as the text of a header or as the name in an `Address`:
it can neither end one, nor begin another, nor become an address.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address, BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, Policy

from email_validator import EmailNotValidError, validate_email
from typing_extensions import override

from overture.mail.page import page
from overture.mail.plain import plain
from overture.mail.post import Ready
from overture.mail.said import Said
from overture.words import Words


class _Whole(UnstructuredHeader, BaseHeader):
    """A header of ids or addresses, which stays on its line: broken up or encoded, as Python does it
    with what is long, mail programs do not know it again. What ends a line never gets here."""

    @override
    def fold(self, *, policy: Policy) -> str:
        return f"{self.name}: {self}{policy.linesep}"


def _headers() -> HeaderRegistry:
    made = HeaderRegistry()
    for name in ("message-id", "in-reply-to", "references", "list-unsubscribe"):
        made.map_to_type(name, _Whole)
    return made


# Seven bits on every way: no server has to be asked what it takes.
_POLICY = SMTP.clone(cte_type="7bit", header_factory=_headers())
# A header longer than this is cut: lists show less of it anyway.
_HEADER_CHARS_MAX = 200


class BadAddress(ValueError):
    """An address that no mail can be sent to."""


@dataclass(frozen=True, slots=True)
class Letterhead:
    """What all mails of an installation have in common: the site they lead to, the address they come
    from, and the domain of their ids."""

    public_url: str
    sender: str
    domain: str


@dataclass(frozen=True, slots=True)
class Cover:
    """What stands around one mail.

    `name` is unlike any other's, and the same if it is sent again; `at` is when it is written. `thread`
    is the name of the mail that it follows, which need never have been sent. `sender` is whose words
    it brings.
    """

    name: str
    at: datetime
    to: str
    to_name: str
    sender: str = "Overture"
    thread: str | None = None
    reply_to: str | None = None
    returns_to: str | None = None
    more: Mapping[str, str] = field(default_factory=dict[str, str])


def mail(said: Said, cover: Cover, words: Words, head: Letterhead) -> Ready:
    """The mail, ready to go. Raises BadAddress."""
    to = _ascii(cover.to)
    made = EmailMessage(policy=_POLICY)
    try:
        made["From"] = Address(_header(cover.sender), addr_spec=head.sender)
        made["To"] = Address(_header(cover.to_name), addr_spec=to)
    except (ValueError, MessageError) as problem:
        raise BadAddress(str(problem)) from None
    made["Subject"] = _header(said.subject)
    made["Date"] = cover.at
    made["Message-ID"] = _id(cover.name, head)
    if cover.thread is not None and cover.thread != cover.name:
        made["In-Reply-To"] = made["References"] = _id(cover.thread, head)
    if cover.reply_to is not None:
        made["Reply-To"] = Address(_header(cover.sender), addr_spec=cover.reply_to)
    # So that nothing answers it by itself.
    made["Auto-Submitted"] = "auto-generated"
    for name, value in cover.more.items():
        made[name] = value
    made.set_content(plain(said, head.public_url))
    made.add_alternative(page(said, words, head.public_url), subtype="html")
    # Content sets the headers of content anew.
    made["Content-Language"] = words.language
    return Ready(cover.name, to, cover.returns_to or head.sender, made)


def _id(name: str, head: Letterhead) -> str:
    return f"<{name}@{head.domain}>"


def _ascii(address: str) -> str:
    """The address as every mail server understands it. Raises BadAddress."""
    try:
        found = validate_email(address, check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError as problem:
        raise BadAddress(str(problem)) from None
    assert found.ascii_email is not None, "one without SMTPUTF8 has a form in ASCII"
    return found.ascii_email


def _header(text: str) -> str:
    """A text as one line of what is seen: without controls, and without marks that turn it round.

    Nor does it pass for a text that is encoded already, in which anything could be hidden.
    """
    seen = "".join(each if _is_seen(each) else " " for each in text)
    return " ".join(seen.replace("=?", "= ?").split())[:_HEADER_CHARS_MAX]


def _is_seen(char: str) -> bool:
    return char in _JOINERS or unicodedata.category(char) not in _UNSEEN


# Controls, formats such as direction overrides, surrogates, and the two separators of lines; not the
# joiners, though, which some scripts are written with.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
