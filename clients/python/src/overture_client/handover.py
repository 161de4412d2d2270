"""Handing a person over: the token that a host site signs (HS256)."""

import hmac
import json
import secrets
import time
from base64 import urlsafe_b64encode
from typing import Any

SECONDS = 60


def handover_token(
    secret: str, *, issuer: str, audience: str, external_id: str, **claims: Any
) -> str:
    """A token for one sign-in, made when the person presses.

    `secret` is OVERTURE_HANDOVER_SECRET, `issuer` its `--handover-issuer`, `audience` its
    `--public-url`. `claims`: name, email, email_verified, headline, auth_time, origin.
    """
    now = int(time.time())
    said = {
        "iss": issuer,
        "aud": audience,
        "sub": external_id,
        "iat": now,
        "exp": now + SECONDS,
        "jti": secrets.token_urlsafe(24),
        **claims,
    }
    signing = f"{_part({'alg': 'HS256', 'typ': 'JWT'})}.{_part(said)}"
    return f"{signing}.{_text(hmac.digest(secret.encode(), signing.encode(), 'sha256'))}"


def _part(said: dict[str, Any]) -> str:
    return _text(json.dumps(said, separators=(",", ":")).encode())


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
