"""Where a conversation lies in a member's inbox: Focused or Other, and until when it is put off.

Source: docs/rules.md, "Where the rules are silent", Inbox.
"""

from datetime import date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from overture.core.conversations import Channel

# What is put off to a day comes back when that day begins for most people.
MORNING = time(8)
SNOOZE_MAX = timedelta(days=366)


class Later(StrEnum):
    """The instants that a member may put a conversation off to."""

    THIS_EVENING = "this_evening"
    TOMORROW = "tomorrow"
    NEXT_WEEK = "next_week"
    NEXT_MONTH = "next_month"


_EVENING = time(18)


def is_focused(channel: Channel, *, begun: bool, group: bool = False) -> bool:
    """Where a new conversation lies in a member's inbox; `begun` is by that member.

    Other is for what nobody paid for or knows them for: a stranger's free letter to their Open
    Profile, and imported groups. All else is Focused, and members may move either.
    """
    return not group and (begun or channel is not Channel.OPEN_PROFILE)


def later(choice: Later, now: datetime, zone: ZoneInfo) -> datetime | None:
    """The instant that a choice means in the member's time zone; None where it is past already."""
    here = now.astimezone(zone)
    match choice:
        case Later.THIS_EVENING:
            at = _at(here.date(), _EVENING, zone)
            return at if at - now >= timedelta(hours=1) else None
        case Later.TOMORROW:
            return _at(here.date() + timedelta(days=1), MORNING, zone)
        case Later.NEXT_WEEK:
            return _at(here.date() + timedelta(days=7 - here.weekday()), MORNING, zone)
        case Later.NEXT_MONTH:
            first = (here.date().replace(day=1) + timedelta(days=32)).replace(day=1)
            return _at(first, MORNING, zone)


def may_snooze(until: datetime, now: datetime) -> bool:
    return now < until <= now + SNOOZE_MAX


def _at(day: date, of_day: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, of_day, tzinfo=zone)
