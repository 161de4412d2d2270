"""Notices on devices: where they go, who they are from, and what of them one replaces.

A browser's maker runs the service that takes notices for it. It knows each installation by a key
(RFC 8292), and reads nothing of what it passes on (RFC 8291).
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256

from overture.core.seals import Secret
from overture.core.text import BadText
from overture.core.webhooks import endpoint_url

# What a device could not be shown within so long is not shown any more.
HOLDS = timedelta(days=1)
# Longer than any service's.
ENDPOINT_CHARS_MAX = 1000
# The order of the curve P-256: keys are the numbers below it.
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_KEY_BYTES = 65
_AUTH_BYTES = 16
_NO_PLACE = BadText("Notices cannot be sent to this browser.")


@dataclass(frozen=True, slots=True)
class PushAddress:
    """Where a browser takes notices, its public key, and what it shares with us alone."""

    endpoint: str
    key: bytes = field(repr=False)
    auth: bytes = field(repr=False)


def push_address(
    endpoint: str, key: str, auth: str, allowed_hosts: Collection[str]
) -> PushAddress | BadText:
    """A place as a browser tells it, the last two in base 64. It may lead to the public internet alone,
    and to hosts that the operator allows."""
    url = endpoint_url(endpoint, allowed_hosts)
    # Services have names; an address in brackets cannot be told them as ours (RFC 8292).
    if isinstance(url, BadText) or len(url) > ENDPOINT_CHARS_MAX or "[" in url:
        return _NO_PLACE
    key_bytes, auth_bytes = _decoded(key), _decoded(auth)
    if len(key_bytes) != _KEY_BYTES or key_bytes[0] != 4 or len(auth_bytes) != _AUTH_BYTES:
        return _NO_PLACE
    return PushAddress(url, key_bytes, auth_bytes)


def signing_key(secret: Secret) -> bytes:
    """The private key by which the services know this installation: 256 bits, below the curve's order.

    It follows from the installation's secret, so there is no second one to keep and to lose.
    """
    made = b""
    while not 0 < int.from_bytes(made) < _ORDER:
        made = hmac.digest(secret.key, b"push" + made, "sha256")
    return made


def topic(of: str) -> str:
    """What a service and a device know what is `of` one thing by: the later replaces the earlier. It
    tells them nothing else."""
    return encoded(sha256(of.encode()).digest()[:24])


def encoded(raw: bytes) -> str:
    """In base 64 as addresses and the web's scripts have it, without what fills it up."""
    return urlsafe_b64encode(raw).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    """Empty for what is no base 64."""
    try:
        return urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (UnicodeEncodeError, NotBase64):
        return b""
