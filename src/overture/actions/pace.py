"""How fast a member may send letters and files from a browser: as fast as a person can, and no program.
And how many they may invite, which costs nothing and is written to them, and report.

What a letter costs and whom it may reach is the rules' business; this only keeps one who runs wild from
holding up everybody else, as the limits of the API do for tokens.
"""

from datetime import timedelta

from overture.core.accounts import Limit
from overture.core.ids import MemberId
from overture.store import attempts
from overture.store.db import Tx

LETTERS = Limit("letter", 30, timedelta(minutes=1))
# Files are looked at one after the other, whoever sends them, and a small one may be a large picture.
FILES = Limit("files", 30, timedelta(minutes=10))
INVITATIONS = Limit("invitation", 50, timedelta(days=1))
# Whoever reads them is to find those of others too.
REPORTS = Limit("report", 50, timedelta(days=1))


async def allows_letter(tx: Tx, member: MemberId) -> bool:
    """Counts one more, and says whether it may be sent now."""
    return await attempts.within(tx, [(LETTERS, LETTERS.key(member))])


async def allows_files(tx: Tx, member: MemberId) -> bool:
    """The same of a message with files, or a photo."""
    return await attempts.within(tx, [(FILES, FILES.key(member))])


async def allows_invitation(tx: Tx, member: MemberId) -> bool:
    """The same of an invitation. To be asked in its transaction, so that only those that went count."""
    return await attempts.within(tx, [(INVITATIONS, INVITATIONS.key(member))])


async def allows_report(tx: Tx, member: MemberId) -> bool:
    """The same of a report."""
    return await attempts.within(tx, [(REPORTS, REPORTS.key(member))])
