"""Who is here: members with an open stream, in whichever process, told to those who may know.

Every process notes its own members in one table, all at once and every `NOTE_SECONDS`; who was not
noted for `store.presence.HERE` has gone. So a page that is loaded anew, or a server that starts again,
makes nobody come and go.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial

from overture.core.ids import MemberId
from overture.live.told import PresenceTold
from overture.store import presence as store
from overture.store.db import Database, Tx

NOTE_SECONDS = 30.0
# Those who come are noted together, soon.
GATHER_SECONDS = 1.0


class Presence:
    """`members` gives those with a stream in this process, `tell` reaches their streams."""

    def __init__(
        self,
        db: Database,
        members: Callable[[], Sequence[MemberId]],
        tell: Callable[[MemberId, PresenceTold], None],
    ) -> None:
        self._db = db
        self._members = members
        self._tell = tell
        self._coming = asyncio.Event()
        self._new: set[MemberId] = set()
        self._again: set[MemberId] = set()
        # Up to when it was looked who came and went, by the database's clock.
        self._looked_at: datetime | None = None

    def came(self, member: MemberId) -> None:
        """The member has opened a stream."""
        self._new.add(member)
        self._coming.set()

    def look_again(self, member: MemberId) -> None:
        """Others may not see the member any more who saw them until now."""
        self._again.add(member)
        self._coming.set()

    async def keep(self) -> None:
        """Notes and tells, for ever. Raises Unavailable; to be called again then."""
        noted_at = 0.0
        clock = asyncio.get_running_loop().time
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(NOTE_SECONDS):
                    await self._coming.wait()
                    await asyncio.sleep(GATHER_SECONDS)
            self._coming.clear()
            new, self._new = self._new, set()
            noted: Sequence[MemberId] = sorted(new)
            if clock() - noted_at >= NOTE_SECONDS:
                noted_at, noted = clock(), sorted(self._members())
            await self._db.reading(partial(self._note, noted))

    async def _note(self, members: Sequence[MemberId], tx: Tx) -> None:
        if members:
            await store.note(tx, members)
        now, changed = await store.changes(tx, self._looked_at)
        self._looked_at = now
        watchers, again = self._members(), self._again
        self._again = set()
        if not watchers or not (changed or again):
            return
        for watcher, other, shown in await store.watched(tx, watchers, [*changed, *again]):
            if not shown and other in again:
                self._tell(watcher, PresenceTold(other, here=False))
            elif shown and other in changed:
                self._tell(watcher, PresenceTold(other, changed[other]))
