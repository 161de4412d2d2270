"""Which hand-overs were used, in SQL: by the SHA-256 of what tells them apart."""

from datetime import datetime

from overture.store.db import Tx, one_row


async def use(tx: Tx, sha256: str, over_at: datetime) -> bool:
    """Uses one up: whether nobody had. Of two who come at once, one finds it used."""
    return await one_row(tx, _USE, (sha256, over_at)) is not None


_USE = """
    insert into handovers (hash, over_at)
    values (decode(%s, 'hex'), %s)
    on conflict (hash) do nothing
    returning over_at
"""
