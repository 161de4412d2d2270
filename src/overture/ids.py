"""Where ids and secrets are made: the edge, and only here."""

from base64 import b32encode
from secrets import choice, token_bytes, token_urlsafe

from uuid_utils import uuid7

TOKEN_BYTES = 32
# What an app that makes codes is told: as long as the hash that it is used with.
CODE_SECRET_BYTES = 20
# None of them reads as another.
_LEGIBLE = "23456789abcdefghjkmnpqrstuvwxyz"
RECOVERY_CODE_CHARS = 10


def new() -> str:
    """A fresh UUIDv7 as text: later ones sort after earlier ones."""
    return str(uuid7())


def new_token(*, operator: bool = False) -> str:
    """The text of a fresh bearer token. Its beginning tells whose kind it is, also to a scanner."""
    return ("ovo_" if operator else "ovt_") + token_urlsafe(TOKEN_BYTES)


def new_secret() -> str:
    """The text of a fresh cookie or link: 256 bits that nobody guesses."""
    return token_urlsafe(TOKEN_BYTES)


def new_key() -> bytes:
    """A fresh key of 256 bits, to seal with."""
    return token_bytes(TOKEN_BYTES)


def new_code_secret() -> str:
    """The text of a fresh secret for an app that makes codes, in base 32."""
    return b32encode(token_bytes(CODE_SECRET_BYTES)).decode()


def new_recovery_code() -> str:
    """A fresh code to write down: 49 bits, in characters that are told apart."""
    return "".join(choice(_LEGIBLE) for _ in range(RECOVERY_CODE_CHARS))


def new_salt() -> bytes:
    return token_bytes(16)
