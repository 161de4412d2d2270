"""A mail read: who wrote what, to which of our addresses, and whether a person wrote it at all.

Everything here comes from strangers. `read` never raises, and takes time in proportion to the mail's
size: what would take more, such as parts within parts within parts, is told as too large.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from email import message_from_bytes
from enum import StrEnum

from overture.core.files import KINDS
from overture.mail.incoming import automatic, bounces, flowed, headers, markup, words
from overture.mail.incoming.charsets import decoded
from overture.mail.incoming.headers import Part, attempt, param, parts, undecoded, value, values

# What postmen of the world pass on, and what five files of ours may need.
MAIL_BYTES_MAX = 25_000_000
_HEADERS_BYTES_MAX = 256_000
_HEADER_LINES_MAX = 2_000
# A mail within a mail within a mail is searched again for each of them.
_NESTED_MAX = 60
_BOUNDARIES_MAX = 2_000
_FIELD_BYTES_MAX = 4_000


class Sort(StrEnum):
    """What a mail is."""

    LETTER = "letter"
    # No person wrote it: it counts as nothing, and is answered by nothing.
    AUTOMATIC = "automatic"
    # It reads as an automatic answer, but does not say so: whoever wrote it is told.
    SUSPECTED = "suspected"
    # What we wrote to somebody came back for good.
    BOUNCE = "bounce"
    ENCRYPTED = "encrypted"
    TOO_LARGE = "too large"


@dataclass(frozen=True, slots=True)
class Attached:
    """A file as the mail names it: nothing of it is believed yet."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail as it came. Texts are empty and `sent_at` None where it does not say.

    `recipients` are the addresses in its header that it may have come to, the surest first.
    `pictures`: there were some within the text, which are left out. `why` is the mail servers' code of
    a bounce, such as 5.1.1. `results` are what they found out about the mail, the latest first.
    """

    sort: Sort
    id: str = ""
    sender: str = ""
    subject: str = ""
    sent_at: datetime | None = None
    return_path: str | None = None
    recipients: Sequence[str] = ()
    text: str = ""
    files: Sequence[Attached] = ()
    pictures: bool = False
    why: str = ""
    results: Sequence[str] = ()


def read(raw: bytes, ours: Sequence[str], *, return_path: str | None = None) -> Mail:
    """Reads a mail that answers one of ours, or came back.

    `ours` are the ends of our addresses, such as `@inmail.example.org`. `return_path` is what the
    envelope says, where there was one: empty for a mail that nobody is to answer.
    """
    if _is_too_large(raw):
        return replace(_header(message_from_bytes(_head(raw)), return_path), sort=Sort.TOO_LARGE)
    message: Part = message_from_bytes(raw)
    mail = _header(message, return_path)
    if why := bounces.address_fails(message, mail.sender, mail.return_path):
        return replace(mail, sort=Sort.BOUNCE, why=why)
    if automatic.is_automatic(message, mail.sender, mail.return_path):
        return replace(mail, sort=Sort.AUTOMATIC)
    found = _gathered(message, ours)
    if found.encrypted and not found.text:
        return replace(mail, sort=Sort.ENCRYPTED)
    return replace(
        mail,
        sort=Sort.SUSPECTED if automatic.is_suspected(mail.subject) else Sort.LETTER,
        text=found.text,
        files=tuple(found.files),
        pictures=found.pictures,
    )


# The header ---------------------------------------------------------------------------------------


def _is_too_large(raw: bytes) -> bool:
    head = _head(raw)
    if len(head) >= _HEADERS_BYTES_MAX or head.count(b"\n") > _HEADER_LINES_MAX:
        return True
    if len(raw) > MAIL_BYTES_MAX or raw.count(b"\n--") > _BOUNDARIES_MAX:
        return True
    if len(_NESTING.findall(raw)) > _NESTED_MAX:
        return True
    return any(len(each[0]) > _FIELD_BYTES_MAX for each in _FIELDS.finditer(raw))


def _head(raw: bytes) -> bytes:
    """The header, as far as it is looked at; with the empty line after it."""
    end = _HEAD_END.search(raw, 0, _HEADERS_BYTES_MAX)
    return raw[: end.end() if end else _HEADERS_BYTES_MAX]


def _header(message: Part, return_path: str | None) -> Mail:
    paths = values(message, "return-path")
    if paths and (return_path is None or not headers.addresses(paths[0])):
        return_path = next(iter(headers.addresses(paths[0])), "")
    return Mail(
        Sort.LETTER,
        id=value(message, "message-id").strip("<> "),
        sender=_sender(message),
        subject=headers.words(value(message, "subject")),
        sent_at=headers.moment(value(message, "date")),
        return_path=return_path,
        recipients=[
            address
            for name in _RECIPIENTS
            for each in values(message, name)
            for address in headers.addresses(each)
        ],
        results=values(message, "authentication-results"),
    )


def _sender(message: Part) -> str:
    """The one address that the mail says to be from; empty where it can be read in two ways."""
    found = values(message, "from")
    addresses = set(headers.addresses(found[0])) if len(found) == 1 else set[str]()
    return addresses.pop() if len(addresses) == 1 else ""


# As mail servers note where they delivered to, then as whoever wrote it did.
_RECIPIENTS = (
    *("delivered-to", "x-original-to", "x-envelope-to", "envelope-to", "x-delivered-to"),
    *("to", "cc"),
)
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_NESTING = re.compile(rb"multipart/|message/(?:rfc822|global|external)", re.IGNORECASE)
_FIELDS = re.compile(
    rb"^content-(?:type|disposition):[^\n]*(?:\n[ \t][^\n]*)*", re.IGNORECASE | re.MULTILINE
)


# The parts ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Found:
    """What was found in a mail or a part of it. `pictures`: there were some that belong to the text,
    as in signatures, and are left out."""

    text: str = ""
    files: list[Attached] = field(default_factory=list)
    pictures: bool = False
    encrypted: bool = False

    def add(self, other: "_Found") -> None:
        self.text = "\n".join(filter(None, (self.text, other.text)))
        self.files += other.files
        self.pictures |= other.pictures
        self.encrypted |= other.encrypted


def _gathered(part: Part, ours: Sequence[str]) -> _Found:
    """How deep it goes, `_is_too_large` has limited."""
    kind = part.get_content_type()
    if kind in _ENCRYPTED:
        return _Found(encrypted=True)
    inner = parts(part)
    if not inner or kind.startswith("message/"):
        return _leaf(part, kind, ours)
    match kind:
        case "multipart/alternative":
            return _best([_gathered(each, ours) for each in inner], inner)
        case "multipart/signed":
            # The other one is the signature, by whatever name.
            return _gathered(inner[0], ours)
        case "multipart/related":
            return _related(inner, ours)
        case _:
            return _mixed(inner, ours)


def _best(found: Sequence[_Found], forms: Sequence[Part]) -> _Found:
    """Of the same thing in several forms the last that says something: programs put the fullest there.

    But what was signed or encrypted by hand is only whole in plain text.
    """
    for each, part in zip(found, forms, strict=True):
        if each.encrypted or (
            part.get_content_type() == "text/plain" and _ARMOUR in _raw_text(part)
        ):
            return each
    for each in reversed(found):
        if each.text or each.files:
            return each
    return next(iter(found), _Found())


def _related(inner: Sequence[Part], ours: Sequence[str]) -> _Found:
    """The first is what is said; the others are pictures in it, unless they are said to be attached."""
    whole = _Found()
    for number, part in enumerate(inner):
        found = _gathered(part, ours)
        if number and _disposition(part) != "attachment":
            found = _Found(pictures=bool(found.files))
        whole.add(found)
    return whole


def _mixed(inner: Sequence[Part], ours: Sequence[str]) -> _Found:
    """One after the other; plain texts that follow each other are read as one, with what they quote."""
    whole, run = _Found(), list[str]()
    for part in inner:
        kind = part.get_content_type()
        if kind == "text/plain" and not _is_file(part):
            run.append(_raw_text(part))
            continue
        if not kind.startswith("image/"):
            whole.add(_Found(text=_own("\n".join(run), ours)))
            run = []
        whole.add(_gathered(part, ours))
    whole.add(_Found(text=_own("\n".join(run), ours)))
    return whole


def _leaf(part: Part, kind: str, ours: Sequence[str]) -> _Found:
    if kind in _OF_PROGRAMS or (kind == "text/calendar" and not _is_file(part)):
        return _Found()
    # What says to have parts and has none is a text.
    is_text = kind in ("text/plain", "text/html") or kind.startswith("multipart/")
    if not is_text or _is_file(part):
        return _Found(files=[Attached(_name(part, kind), _content(part))])
    text = _raw_text(part)
    if kind == "text/html":
        return _Found(text=words.own(markup.plain(text), ours))
    if text.lstrip().startswith("-----BEGIN PGP MESSAGE-----"):
        return _Found(encrypted=True)
    return _Found(text=_own(text, ours))


def _own(text: str, ours: Sequence[str]) -> str:
    return words.own(text, ours)


def _raw_text(part: Part) -> str:
    text = decoded(_text_content(part), param(part, "charset")).replace("\r\n", "\n")
    if part.get_content_type() == "text/plain" and param(part, "format").lower() == "flowed":
        return flowed.unflowed(text, delsp=param(part, "delsp").lower() == "yes")
    return text


def _text_content(part: Part) -> bytes:
    """What mailing lists and scanners write below an encoded text is not encoded, and no part of it."""
    if value(part, "content-transfer-encoding").lower() == "base64":
        head, _, rest = undecoded(part).replace("\r\n", "\n").lstrip("\n").partition("\n\n")
        if rest.strip():
            part.set_payload(head)
    return _content(part)


def _content(part: Part) -> bytes:
    found = attempt(lambda: part.get_payload(decode=True))
    if isinstance(found, bytes):
        return found
    # A mail within this one, or what says to have parts and has none.
    if inner := parts(part):
        return b"\n".join(attempt(each.as_bytes) or b"" for each in inner)
    return undecoded(part).encode("utf-8", "surrogateescape")


def _is_file(part: Part) -> bool:
    return _disposition(part) == "attachment" or bool(_file_name(part))


def _disposition(part: Part) -> str:
    return value(part, "content-disposition").partition(";")[0].strip().lower()


def _file_name(part: Part) -> str:
    name = param(part, "filename", "content-disposition") or param(part, "name")
    return headers.words(name).strip()


def _name(part: Part, kind: str) -> str:
    if name := _file_name(part):
        return name
    endings = [ending for ending, each in KINDS.items() if each == kind]
    return f"file.{endings[0]}" if endings else "file"


_ARMOUR = "-----BEGIN PGP "
_ENCRYPTED = ("multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime")
# What programs add for programs: nobody meant to send it.
_OF_PROGRAMS = frozenset(
    {
        "application/ms-tnef",
        "application/pgp-encrypted",
        "application/pgp-keys",
        "application/pgp-signature",
        "application/pkcs7-signature",
        "application/vnd.ms-tnef",
        "application/x-pkcs7-signature",
        "text/directory",
        "text/rfc822-headers",
        "text/vcard",
        "text/x-amp-html",
        "text/x-vcard",
    }
)
