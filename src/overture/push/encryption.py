"""What a push service is given: who it is from (RFC 8292), and what it cannot read (RFC 8291).

The libraries, an extra, sign and encrypt; `outward` sends, for they would go wherever a browser says.
They are imported when first needed, in a thread: that takes most of a second.
"""

import asyncio
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.util import find_spec
from typing import Any

from yarl import URL

from overture.core.push import PushAddress, encoded, signing_key
from overture.core.seals import Secret

# Services take a signature for a day at most.
_SIGNED_FOR = timedelta(hours=12)


class NoSuchKey(ValueError):
    """A browser's key that none can have."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A request to a push service, but for what it says of the notice."""

    headers: Mapping[str, str]
    body: bytes


def is_installed() -> bool:
    return find_spec("pywebpush") is not None and find_spec("py_vapid") is not None


async def public_key(secret: Secret) -> str:
    """What browsers are told, in base 64: only whom it belongs to may send them notices."""
    vapid = await _library("py_vapid")
    serialization = await _library("cryptography.hazmat.primitives.serialization")
    raw = _signer(vapid, secret).public_key.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    return encoded(raw)


async def sealed(
    text: bytes, address: PushAddress, *, secret: Secret, contact: str, now: datetime
) -> Sealed:
    """The text, for this browser alone; `contact` is where its service may complain.

    Raises NoSuchKey.
    """
    vapid, webpush = await _library("py_vapid"), await _library("pywebpush")
    told = {
        "aud": str(URL(address.endpoint).origin()),
        "sub": contact,
        "exp": int((now + _SIGNED_FOR).timestamp()),
    }
    headers: dict[str, str] = _signer(vapid, secret).sign(told)
    keys = {"p256dh": encoded(address.key), "auth": encoded(address.auth)}
    browser = webpush.WebPusher({"endpoint": address.endpoint, "keys": keys})
    try:
        body: bytes = browser.encode(text, "aes128gcm")["body"]
    except ValueError:
        # A point that lies beside the curve.
        raise NoSuchKey from None
    return Sealed(headers | {"Content-Encoding": "aes128gcm"}, body)


def _signer(vapid: Any, secret: Secret) -> Any:
    signer = vapid.Vapid02.from_raw(encoded(signing_key(secret)).encode())
    # It would refuse an address of a site with a port.
    signer.conf = {"no-strict": True}
    return signer


async def _library(name: str) -> Any:
    return await asyncio.to_thread(importlib.import_module, name)
