"""Members as the console names them: also those who are suspended or have closed the account."""

import re
from collections.abc import Mapping, Sequence

from overture import ids
from overture.actions import mailings
from overture.actions.fields import Invalid
from overture.actions.mailings import Addresses
from overture.core.ids import MemberId
from overture.core.refusals import Refusal
from overture.store import console
from overture.store.console import Named
from overture.store.db import Tx
from overture.web.ops.sections import actor
from overture.web.visit import Absent, Visit

UUID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

__all__ = ["Named", "addresses", "masked", "member_asked", "named"]


async def named(tx: Tx, members: Sequence[MemberId]) -> Mapping[MemberId, Named]:
    return {each.id: each for each in await console.named(tx, members)}


async def member_asked(tx: Tx, who: str) -> MemberId | None:
    """Whom an operator means by an id, a handle or an address; None where it is nobody."""
    raw = who.strip().removeprefix("@")
    if UUID.fullmatch(raw.lower()):
        found = await console.named(tx, [MemberId(raw.lower())])
        return found[0].id if found else None
    return await console.called(tx, raw.lower())


async def addresses(visit: Visit, member: MemberId) -> Addresses | Invalid:
    """A member's in whole, for the reason that the form gives. Raises Absent."""
    shown = await mailings.show_address(
        visit.tx,
        member,
        reason=visit.form.get("reason", ""),
        actor=actor(visit),
        audit_id=ids.new(),
        now=visit.now,
    )
    if isinstance(shown, Refusal):
        raise Absent
    return shown


def masked(address: str) -> str:
    """What tells the mail server, and not whose it is: a…@example.org. For a reason
    `addresses` tells it in whole."""
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}…@{domain}"
