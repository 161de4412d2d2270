"""The two clocks: the real one, and a test clock that stands still until it is moved."""

from datetime import UTC, datetime
from typing import Protocol

from overture.store.db import Tx, one_row


class Clock(Protocol):
    async def now(self, tx: Tx) -> datetime:
        """The instant at which what this transaction does happens."""
        ...

    def at_once(self) -> datetime | None:
        """The instant, where nothing has to be read for it."""
        ...


class RealClock:
    async def now(self, tx: Tx) -> datetime:
        _ = tx
        return real_now()

    def at_once(self) -> datetime | None:
        return real_now()


class TestClock:
    """Reads the instant from the database, so that all processes on it agree and none forgets."""

    __test__ = False

    async def now(self, tx: Tx) -> datetime:
        row = await one_row(tx, "select now from test_clock")
        assert row is not None, "an installation with a test clock has its row"
        now: datetime = row[0]
        return now

    def at_once(self) -> datetime | None:
        return None


def real_now() -> datetime:
    """For what uses real time always: lifetimes of tokens, keys and leases."""
    return datetime.now(UTC)
