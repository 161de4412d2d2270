"""A device that makes passkeys and signs with them, as browsers hand over what it says."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from secrets import token_bytes
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

PRESENT, SURE, MADE = 0x01, 0x04, 0x40


@dataclass
class Device:
    """One passkey, at most: made by `makes`, used by `signs`. `counts`: whether it counts its uses."""

    origin: str
    host: str
    sure: bool = True
    counts: bool = True
    uses: int = 0
    handle: bytes = b""
    credential: bytes = field(default_factory=lambda: token_bytes(16))
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def makes(self, options: str) -> str:
        """What a page hands over for these options, as JSON."""
        wanted = json.loads(options)
        self.handle = _bytes(wanted["user"]["id"])
        numbers = self.key.public_key().public_numbers()
        key = {
            1: 2,
            3: -7,
            -1: 1,
            -2: numbers.x.to_bytes(32, "big"),
            -3: numbers.y.to_bytes(32, "big"),
        }
        length = len(self.credential).to_bytes(2, "big")
        told = bytes(16) + length + self.credential + cbor2.dumps(key)
        attested = {"fmt": "none", "attStmt": {}, "authData": self._told(MADE) + told}
        return self._handed(
            {
                "clientDataJSON": _text(self._said("webauthn.create", wanted["challenge"])),
                "attestationObject": _text(cbor2.dumps(attested)),
                "transports": ["internal", "a way of the future"],
            }
        )

    def signs(self, options: str, **more: Any) -> str:
        wanted = json.loads(options)
        self.uses += self.counts
        said = self._said("webauthn.get", wanted["challenge"])
        told = self._told()
        signature = self.key.sign(told + sha256(said).digest(), ec.ECDSA(SHA256()))
        return self._handed(
            {
                "clientDataJSON": _text(said),
                "authenticatorData": _text(told),
                "signature": _text(signature),
                "userHandle": _text(self.handle),
            }
            | more
        )

    def _said(self, kind: str, challenge: str) -> bytes:
        return json.dumps(
            {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        ).encode()

    def _told(self, more: int = 0) -> bytes:
        flags = PRESENT | (SURE if self.sure else 0) | more
        return sha256(self.host.encode()).digest() + bytes([flags]) + self.uses.to_bytes(4, "big")

    def _handed(self, response: dict[str, Any]) -> str:
        name = _text(self.credential)
        return json.dumps(
            {
                "id": name,
                "rawId": name,
                "type": "public-key",
                "response": response,
                "clientExtensionResults": {},
                "authenticatorAttachment": "platform",
            }
        )


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
