"""When the one reminder of a pending InMail is due."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from overture.core.policy import Policy


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
