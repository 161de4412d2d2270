"""Work on an installation, whether or not a server runs on it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from overture.cli.failures import Failed
from overture.settings import Settings

if TYPE_CHECKING:
    from datetime import datetime

    from overture.app import Installation
    from overture.store.db import Tx
    from overture.store.members import Profile

T = TypeVar("T")

# Who acts, in the audit log.
ACTOR = "command line"


def on_installation(settings: Settings, work: "Callable[[Installation], Awaitable[T]]") -> T:
    from overture import app

    async def run(url: str) -> T:
        async with app.opened(url, connections=2) as installation:
            return await work(installation)

    with app.database(settings) as url:
        app.check_schema(url)
        return asyncio.run(run(url))


def writing(settings: Settings, work: "Callable[[Tx, datetime], Awaitable[T]]") -> T:
    """Runs work in one transaction and commits it; it is told the installation's instant."""

    async def write(installation: "Installation") -> T:
        async def at_its_instant(tx: "Tx") -> T:
            return await work(tx, await installation.clock.now(tx))

        return await installation.db.writing(at_its_instant)

    return on_installation(settings, write)


async def member_of(tx: "Tx", handle: str, now: "datetime") -> "Profile":
    """Raises Failed where the handle is nobody's."""
    from overture.store import members

    member = await members.profile(tx, None, handle=handle, now=now)
    if member is None:
        raise Failed(f"There is no member with the handle {handle}.")
    return member
