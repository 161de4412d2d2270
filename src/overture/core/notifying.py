"""Whether a member is told of something outside the site, by which channel, and how soon.

Asked when something happened and again when it is told: what was right then may not be now. Mails, the
daily digest and push all ask here. Source: docs/mail.md, "Who is told of what".
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum, StrEnum
from zoneinfo import ZoneInfo

from overture.core.boxes import MORNING
from overture.core.text import Sentence

# What a member has not read after so long, they are told of: who looks at the page has read it sooner.
UNREAD_FOR = timedelta(minutes=10)
UNREAD_FOR_PUSH = timedelta(minutes=1)


class Kind(StrEnum):
    """What a member may be told of, as they choose it; nobody can choose not to hear of SECURITY."""

    INMAIL = "inmail"
    ANSWERS = "answers"
    MESSAGES = "messages"
    NETWORK = "network"
    CREDITS = "credits"
    PLANS = "plans"
    SECURITY = "security"


# How each is called where members choose.
NAMES = {
    Kind.INMAIL: Sentence("Letters that come, and a reminder of those that wait"),
    Kind.ANSWERS: Sentence("Answers to your letters"),
    Kind.MESSAGES: Sentence("Messages that you have not read"),
    Kind.NETWORK: Sentence("Invitations and new connections"),
    Kind.CREDITS: Sentence("Credits that come, come back, or are about to expire"),
    Kind.PLANS: Sentence("Changes of your plans"),
    Kind.SECURITY: Sentence("The safety of your account"),
}
# What members choose, in the order in which they are asked.
CHOICES = tuple(kind for kind in Kind if kind is not Kind.SECURITY)
# An answer to what a member just did has no place in tomorrow's digest.
_NEVER_DAILY = (Kind.PLANS, Kind.SECURITY)


class Channel(StrEnum):
    MAIL = "mail"
    PUSH = "push"


class How(Enum):
    AT_ONCE = "at once"
    # With whatever else there is to tell, in the member's morning.
    DAILY = "daily"


@dataclass(frozen=True, slots=True)
class Reader:
    """What decides over telling a member.

    `reached_by` are the channels that lead to them: mail only where the address was shown to be theirs
    and nothing came back from it. `mails` is their switch for all mails, `daily` that they want one a
    day, and `silent` of which kinds they want to hear nothing. `suspended` members could do nothing
    about what they are told.
    """

    reached_by: Collection[Channel]
    mails: bool
    daily: bool
    silent: Collection[str]
    closed: bool = False
    suspended: bool = False


def may_tell(reader: Reader, kind: Kind, channel: Channel, *, blocked: bool = False) -> How | None:
    """Whether and how a member is told; None where they are not.

    `blocked`: what is told is about another member, and one of the two has blocked the other.
    """
    if reader.closed or channel not in reader.reached_by:
        return None
    if kind is Kind.SECURITY:
        return How.AT_ONCE
    if blocked or reader.suspended or kind in reader.silent:
        return None
    if channel is not Channel.MAIL:
        return How.AT_ONCE
    if not reader.mails:
        return None
    return How.DAILY if reader.daily and kind not in _NEVER_DAILY else How.AT_ONCE


def next_morning(now: datetime, time_zone: str) -> tuple[date, datetime]:
    """When a member's next digest is due, and its day where they live."""
    zone = ZoneInfo(time_zone)
    here = now.astimezone(zone)
    day = here.date() if here.time() < MORNING else here.date() + timedelta(days=1)
    return day, datetime.combine(day, MORNING, zone).astimezone(UTC)
