"""Passwords as they are stored: argon2id, worked out beside the event loop, as many at once as there
are processors.
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from overture.actions.lanes import Overloaded
from overture.core.accounts import password_text

T = TypeVar("T")

# 19 MiB, two passes: what OWASP asks for at the least; about 30 ms, so that a burst of sign-ins does
# not keep everybody else waiting.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
# More than wait here would only be answered after they gave up.
WAITING_MAX = 200

_waiting = 0


async def hashed(password: str) -> str:
    """The password as it is stored. Raises Overloaded where too many wait."""
    return await _beside(lambda: _HASHER.hash(password_text(password)))


async def fits(password: str, stored: str | None) -> bool:
    """Whether this is the password that is stored; never, where none is, but as much work.

    Raises Overloaded where too many wait.
    """
    against = nobodys() if stored is None else stored
    return await _beside(lambda: _fits(password_text(password), against)) and stored is not None


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
