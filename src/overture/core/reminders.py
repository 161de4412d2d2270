"""The one reminder of a pending InMail: when it is due, and whether there is still reason for it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from overture.core.policy import Policy

# The latest instant is one at which it may be aimed, and nothing is done in no time.
_GRACE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A letter that may be reminded of. `reachable`: its recipient accepts InMail and has an account,
    neither side is suspended, and neither has blocked the other. `time_zone` is the recipient's, an
    IANA name."""

    sent_at: datetime
    pending: bool
    reachable: bool
    connected: bool
    reminded: bool
    time_zone: str


def due_at(sent_at: datetime, time_zone: str, policy: Policy) -> datetime:
    """The instant of the reminder for an InMail that is still pending then.

    Aimed at `reminder_aim` after the send, moved forward into the recipient's waking hours, never
    later than `reminder_latest`. `time_zone` is an IANA name. Source: docs/rules.md, "Reminder".
    """
    zone = ZoneInfo(time_zone)
    aim = (sent_at + policy.reminder_aim).astimezone(zone)
    if aim.time() < policy.waking_from:
        aim = datetime.combine(aim.date(), policy.waking_from, zone)
    elif aim.time() >= policy.waking_until:
        aim = datetime.combine(aim.date() + timedelta(days=1), policy.waking_from, zone)
    return min(aim.astimezone(UTC), sent_at + policy.reminder_latest)


def remind_at(letter: Waiting, now: datetime, policy: Policy) -> datetime | None:
    """When to remind of a letter: `now` or earlier is now; None where there is no reason any more.

    Later than now where the recipient's hours are others than when it was planned: the server was
    away, or they moved. What has become too late is left out. Source: docs/rules.md, "Reminder".
    """
    if not letter.pending or not letter.reachable or letter.connected or letter.reminded:
        return None
    latest = letter.sent_at + policy.reminder_latest
    if now > latest + _GRACE:
        return None
    planned = due_at(letter.sent_at, letter.time_zone, policy)
    local = now.astimezone(ZoneInfo(letter.time_zone))
    if planned > now or policy.waking_from <= local.time() < policy.waking_until:
        return planned
    # Late, and asleep by now: the next morning, if that is not too late.
    day = local.date() + timedelta(days=0 if local.time() < policy.waking_from else 1)
    return min(datetime.combine(day, policy.waking_from, local.tzinfo).astimezone(UTC), latest)
