"""What surrounds every page of a member who is signed in: the badges in the rail."""

from dataclasses import dataclass
from datetime import datetime

from overture.core.ids import MemberId
from overture.store import boxes
from overture.store.boxes import Unread
from overture.store.db import Tx


@dataclass(frozen=True, slots=True)
class Shell:
    """`unread` counts the conversations with something new in them, `invitations` those that wait."""

    unread: int
    invitations: int = 0


NOBODY = Shell(0)


async def shell(tx: Tx, viewer: MemberId, now: datetime) -> Shell:
    return shell_of(await boxes.unread(tx, viewer, now))


def shell_of(unread: Unread) -> Shell:
    return Shell(unread.focused, unread.invitations)
