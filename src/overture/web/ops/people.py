"""Members as the console names them: also those who are suspended or have closed the account."""

import re
from collections.abc import Mapping, Sequence

from overture.core.ids import MemberId
from overture.store import console
from overture.store.console import Named
from overture.store.db import Tx

UUID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

__all__ = ["Named", "masked", "member_asked", "named"]


async def named(tx: Tx, members: Sequence[MemberId]) -> Mapping[MemberId, Named]:
    return {each.id: each for each in await console.named(tx, members)}


async def member_asked(tx: Tx, who: str) -> MemberId | None:
    """Whom an operator means by an id, a handle or an address; None where it is nobody."""
    raw = who.strip().removeprefix("@")
    if UUID.fullmatch(raw.lower()):
        found = await console.named(tx, [MemberId(raw.lower())])
        return found[0].id if found else None
    return await console.called(tx, raw.lower())


def masked(address: str) -> str:
    """What tells the mail server, and not whose it is: a…@example.org. For a reason
    `mailings.show_address` tells it in whole."""
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}…@{domain}"
