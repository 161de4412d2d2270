"""What an installation remembers of itself."""

from datetime import datetime

from overture.core.seals import Secret
from overture.store.db import Tx, one_row


async def test_clock(tx: Tx) -> datetime | None:
    """Where the test clock stands; None in an installation on real time."""
    row = await one_row(tx, "select now from test_clock")
    return row[0] if row else None


async def set_test_clock(tx: Tx, at_least: datetime) -> None:
    """Makes this an installation with a test clock, and moves the clock here unless it is past."""
    await tx.execute(
        """
        insert into test_clock (now) values (%s)
        on conflict (singleton) do update set now = greatest(test_clock.now, excluded.now)
        """,
        (at_least,),
    )


async def has_members(tx: Tx) -> bool:
    return await one_row(tx, "select from members limit 1") is not None


async def secret(tx: Tx) -> Secret | None:
    """What the installation seals with; None as long as it has none."""
    row = await one_row(tx, "select key from installation_secret")
    return Secret(row[0]) if row else None


async def ensure_secret(tx: Tx, fresh: bytes) -> None:
    """Gives the installation this secret for good, unless it has one already."""
    await tx.execute(
        "insert into installation_secret (key) values (%s) on conflict (singleton) do nothing",
        (fresh,),
    )
