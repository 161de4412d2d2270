"""Where ids and secrets are made: the edge, and only here."""

from secrets import token_bytes, token_urlsafe

from uuid_utils import uuid7

TOKEN_BYTES = 32


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
