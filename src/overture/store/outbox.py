"""The outbox: what happened, told in the transaction that made it so."""

from collections.abc import Sequence

from overture.core.sending import Event
from overture.store.conversations import INSERT_EVENTS, event_rows
from overture.store.db import Tx, as_json


async def tell(tx: Tx, events: Sequence[Event]) -> None:
    if events:
        await tx.execute(INSERT_EVENTS, (as_json(event_rows(events)),))
