"""Passwords as they are stored: argon2id, worked out beside the event loop, as many at once as there
are processors. And which of them are among the first that a guesser would try.
"""

import asyncio
import os
from base64 import b64decode
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import hash_secret

from overture.actions.lanes import Overloaded
from overture.core.accounts import password_text

T = TypeVar("T")

# 19 MiB, two passes: what OWASP asks for at the least; about 30 ms, so that a burst of sign-ins does
# not keep everybody else waiting.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
# A password that is found within so many tries is refused: a stolen hash would hold for hours only.
GUESSES_MIN = 1_000_000
# How much of a password is looked at: its beginning is no easier to guess than all of it.
_LOOKED_AT_CHARS = 40
# More than wait here would only be answered after they gave up.
WAITING_MAX = 200

_waiting = 0


async def hashed(password: str) -> str:
    """The password as it is stored. Raises Overloaded where too many wait."""
    return await _beside(lambda: _HASHER.hash(password_text(password)))


async def hashed_together(codes: Sequence[str], salt: bytes) -> list[str]:
    """Codes as they are stored, all with one salt, so that one is looked for by hashing it once."""
    return await _beside(lambda: [_HASHER.hash(each, salt=salt) for each in codes])


async def hashed_like(code: str, stored: str) -> str:
    """The code as it would be stored beside this one."""
    return await _beside(lambda: _hash_like(code, stored))


async def fits(password: str, stored: str | None) -> bool:
    """Whether this is the password that is stored; never, where none is, but as much work.

    Raises Overloaded where too many wait.
    """
    against = nobodys() if stored is None else stored
    return await _beside(lambda: _fits(password_text(password), against)) and stored is not None


async def is_guessed(password: str, known: Sequence[str]) -> bool:
    """Whether a guesser would soon try it: one of the 30,000 that leaked most often, a common word or
    name, what is `known` of the person, or one of these in capitals, with digits or signs put in.

    Raises Overloaded where too many wait.
    """
    return await _beside(lambda: _guesses(password_text(password), known) < GUESSES_MIN)


def is_outdated(stored: str) -> bool:
    """Whether it was made with other parameters than are used now: to be made anew at a sign-in."""
    return _HASHER.check_needs_rehash(stored)


@cache
def nobodys() -> str:
    """What is compared with where nobody has the address: the same work, the same time."""
    return _HASHER.hash("a password that nobody has")


def _fits(password: str, stored: str) -> bool:
    try:
        return _HASHER.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


def _hash_like(code: str, stored: str) -> str:
    parameters = extract_parameters(stored)
    salt = stored.split("$")[4]
    return hash_secret(
        code.encode(),
        b64decode(salt + "=" * (-len(salt) % 4)),
        time_cost=parameters.time_cost,
        memory_cost=parameters.memory_cost,
        parallelism=parameters.parallelism,
        hash_len=parameters.hash_len,
        type=parameters.type,
        version=parameters.version,
    ).decode()


def _guesses(password: str, known: Sequence[str]) -> float:
    # Imported late: its lists of words take memory, which only a server needs.
    from zxcvbn import zxcvbn  # noqa: PLC0415

    found = zxcvbn(password[:_LOOKED_AT_CHARS], user_inputs=[*known, "overture", "inmail"])
    return float(found["guesses"])


async def _beside(work: Callable[[], T]) -> T:
    global _waiting  # noqa: PLW0603
    if _waiting >= WAITING_MAX:
        raise Overloaded
    _waiting += 1
    try:
        return await asyncio.get_running_loop().run_in_executor(_threads(), work)
    finally:
        _waiting -= 1


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="passwords")
