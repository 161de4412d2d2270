"""What concerns the safety of accounts, noted in the audit log as it happened."""

from collections.abc import Sequence
from typing import Any

import msgspec

from overture.core.ids import audit_id
from overture.store import audit
from overture.store.db import Tx
from overture.store.outbox import Row


async def note(tx: Tx, events: Sequence[Row]) -> None:
    """Adds an entry for each event of an account's safety: signing in and out, addresses, passwords,
    second factors, and the account's end. Neither addresses nor secrets stand in events."""
    for row in events:
        if row.kind.startswith("account.") or row.kind == "member.closed":
            await audit.record(
                tx,
                audit_id(row.sequence),
                row.at,
                actor=f"member:{row.owner}",
                action=row.kind,
                member=row.owner,
                detail=_decode(row.payload),
            )


_decode = msgspec.json.Decoder(dict[str, Any]).decode
