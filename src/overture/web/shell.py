"""What surrounds every page of a member who is signed in: the badge in the rail."""

from dataclasses import dataclass
from datetime import datetime

from overture.core.ids import MemberId
from overture.store import boxes
from overture.store.db import Tx


@dataclass(frozen=True, slots=True)
class Shell:
    """`unread` counts the conversations with something new in them."""

    unread: int


NOBODY = Shell(0)


async def shell(tx: Tx, viewer: MemberId, now: datetime) -> Shell:
    return Shell((await boxes.unread(tx, viewer, now)).focused)
