"""How fast a member may send letters from a browser: as fast as a person can, and no program.

What a letter costs and whom it may reach is the rules' business; this only keeps one who runs wild from
holding up everybody else, as the limits of the API do for tokens.
"""

from datetime import timedelta

from overture.core.accounts import Limit
from overture.core.ids import MemberId
from overture.store import attempts
from overture.store.db import Tx

LETTERS = Limit("letter", 30, timedelta(minutes=1))


async def allows_letter(tx: Tx, member: MemberId) -> bool:
    """Counts one more, and says whether it may be sent now."""
    return await attempts.within(tx, [(LETTERS, LETTERS.key(member))])
