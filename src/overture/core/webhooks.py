"""Webhooks: what endpoints can be told, how it is signed, and when one is given up.

By Standard Webhooks 1.0: each event has an id that is the same however often it is delivered, and is
signed with a secret that its endpoint alone shares.
"""

import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import SplitResult, urlsplit
from uuid import UUID, uuid5

from overture.core.addresses import is_public
from overture.core.ids import EndpointId
from overture.core.text import BadText

URL_CHARS_MAX = 2000
OVERLAP_MAX = timedelta(days=7)

# For so long nothing may be taken, however often it is tried, before an endpoint is switched off.
GIVEN_UP_AFTER = timedelta(days=5)
# Where nothing was even tried for longer than any wait between tries, failing begins anew.
LULL = timedelta(hours=36)


class EventType(StrEnum):
    """What happened, as endpoints are told of it; of the outbox's kinds those of the same name."""

    INMAIL_SENT = "inmail.sent"
    INMAIL_RESPONDED = "inmail.responded"
    INMAIL_WITHDRAWN = "inmail.withdrawn"
    INMAIL_REMINDED = "inmail.reminded"
    MESSAGE_SENT = "message.sent"
    MESSAGE_EDITED = "message.edited"
    MESSAGE_DELETED = "message.deleted"
    CREDITS_CHANGED = "credits.changed"
    SUBSCRIPTION_CHANGED = "subscription.changed"
    MEMBER_CREATED = "member.created"
    MEMBER_CHANGED = "member.changed"
    MEMBER_CLOSED = "member.closed"
    MEMBER_BLOCKED = "member.blocked"
    MEMBER_UNBLOCKED = "member.unblocked"
    REPORT_CREATED = "report.created"


# Sent because an operator asks for it, whatever the endpoint wants to hear of.
TEST = "webhook.test"
ALL = "*"


def filters() -> Sequence[str]:
    """What an endpoint can want: everything, all of a noun, or one type."""
    nouns = dict.fromkeys(f"{each.partition('.')[0]}.*" for each in EventType)
    return (ALL, *nouns, *EventType)


def wants(wanted: Collection[str], kind: str) -> bool:
    """Whether an endpoint with these filters is told of events of this type."""
    return ALL in wanted or kind in wanted or f"{kind.partition('.')[0]}.*" in wanted


def event_id(endpoint: EndpointId, number: int, at: datetime) -> str:
    """The id by which a receiver knows an event again: the same with each delivery of it.

    The instant is a part of it because data restored from a backup give out numbers anew.
    """
    return str(uuid5(UUID(endpoint), f"{number}/{at.isoformat()}"))


# Secrets and signatures -----------------------------------------------------------------------------

SECRET_PREFIX = "whsec_"  # noqa: S105  what every secret begins with


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """A key as text, `whsec_` and base64; it signs until `until`, or for good."""

    text: str = field(repr=False)
    until: datetime | None = None


def secret_text(key: bytes) -> str:
    return SECRET_PREFIX + b64encode(key).decode()


def rotated(
    secrets: Sequence[SigningSecret], fresh: str, overlap: timedelta, now: datetime
) -> Sequence[SigningSecret]:
    """The fresh secret first; those before it sign for as long as the overlap, at most."""
    until = now + overlap
    kept = [replace(each, until=min(each.until or until, until)) for each in secrets]
    return [
        SigningSecret(fresh),
        *(each for each in kept if each.until is not None and each.until > now),
    ]


def signatures(
    secrets: Sequence[SigningSecret], webhook_id: str, body: bytes, now: datetime
) -> tuple[str, str]:
    """The timestamp of a delivery, and one signature for each secret that holds, as headers have it."""
    timestamp = str(int(now.timestamp()))
    content = f"{webhook_id}.{timestamp}.".encode() + body
    holding = [each for each in secrets if each.until is None or each.until > now]
    return timestamp, " ".join(f"v1,{_signature(each, content)}" for each in holding)


def _signature(secret: SigningSecret, content: bytes) -> str:
    key = b64decode(secret.text.removeprefix(SECRET_PREFIX))
    return b64encode(hmac.digest(key, content, "sha256")).decode()


# Addresses ------------------------------------------------------------------------------------------

_LABELS = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?")
# What some programs take for an IPv4 address: 2130706433, 0x7f.1, 127.1.
_NUMBER_AT_END = re.compile(r"(^|\.)([0-9]+|0x[0-9a-f]*)\.?$")


def endpoint_url(raw: str, allowed_hosts: Collection[str]) -> str | BadText:
    """The address of an endpoint, of which the public internet must be able to be told.

    A host that the operator allows may be anywhere, and be spoken to without TLS. Where a name leads is
    seen, and judged, each time that it is connected to.
    """
    text = raw.strip()
    if len(text) > URL_CHARS_MAX or not text.isascii() or not text.isprintable():
        return BadText("This is no address of at most 2,000 ASCII characters.")
    parts = _split(text)
    if parts is None or parts.scheme not in ("https", "http") or "\\" in text or " " in text:
        return BadText("Write the whole address, such as https://example.org/webhooks.")
    if "@" in parts.netloc or "#" in text:
        return BadText("An address of a webhook has no user, password or fragment.")
    host = (parts.hostname or "").lower()
    if not _is_host(host, bracketed="[" in parts.netloc):
        return BadText("This has no host, or one that cannot be.")
    if host_name(host) in allowed_hosts:
        return text
    if parts.scheme != "https":
        return BadText("Webhooks go by https alone, except to hosts that a setting allows.")
    if not _may_be_public(host):
        return BadText("This host is not on the public internet; a setting can allow it by name.")
    return text


def host_name(raw: str) -> str:
    """A host as allowed ones are compared: `[::1]` is `::1`, `Example.org.` is `example.org`."""
    return raw.strip().lower().removeprefix("[").removesuffix("]").rstrip(".")


def _split(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _is_host(host: str, *, bracketed: bool) -> bool:
    try:
        if bracketed:
            _ = IPv6Address(host)
        elif _NUMBER_AT_END.search(host):
            _ = IPv4Address(host)
        else:
            return len(host) <= 253 and _LABELS.fullmatch(host) is not None
    except ValueError:
        return False
    return True


def _may_be_public(host: str) -> bool:
    name = host_name(host)
    if ":" in name or _NUMBER_AT_END.search(name):
        return is_public(name)
    return name != "localhost" and not name.endswith(".localhost")
