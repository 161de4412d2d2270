"""The audit log: what concerns accounts is noted as it happened, and the chain of it all is proven."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from overture.core.ids import audit_id
from overture.store import audit
from overture.store.audit import Head
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


@dataclass(frozen=True, slots=True)
class Checked:
    """How far the chain was followed, `dropped` entries that were too old apart; `broken` is the number
    of the first entry that was changed or taken out."""

    head: Head
    dropped: int
    broken: int | None

    @property
    def entries(self) -> int:
        return self.head.number - self.dropped


async def verify(tx: Tx) -> Checked:
    """Follows the whole chain, at one moment of the database. `tx` is a connection outside any
    transaction."""
    async with tx.transaction():
        await tx.execute("set transaction isolation level repeatable read, read only")
        told, at = await audit.head(tx), await audit.beginning(tx)
        dropped = at.number
        while True:
            further, broken = await audit.first_broken(tx, at, _AT_ONCE)
            if broken is not None:
                return Checked(further, dropped, broken)
            if further == at:
                return Checked(at, dropped, None if at == told else at.number + 1)
            at = further


_AT_ONCE = 10_000
_decode = msgspec.json.Decoder(dict[str, Any]).decode
