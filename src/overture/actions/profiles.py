"""What members learn of each other on a profile's page, beside the profile itself."""

from datetime import datetime, timedelta

from overture.core.ids import MemberId
from overture.store import profiles as store
from overture.store.db import Tx
from overture.store.profiles import Answers, Beside

# How often someone answers is said of so many InMails or more: of fewer it would tell of single ones.
ANSWERS_MIN = 5
ANSWERS_SPAN = timedelta(days=365)
# Who got a letter within these days has not left it unanswered yet.
ANSWER_TIME = timedelta(days=7)


async def beside(
    tx: Tx, viewer: MemberId, member: MemberId, now: datetime
) -> tuple[Beside, Answers | None]:
    """What stands beside the profile of a member who is there, and how often they answer InMail.

    That is told like a receipt: only where both have receipts on.
    """
    found = await store.beside(
        tx, viewer, member, since=now - ANSWERS_SPAN, until=now - ANSWER_TIME, now=now
    )
    told = found.receipts and viewer != member and found.answers.received >= ANSWERS_MIN
    return found, found.answers if told else None
