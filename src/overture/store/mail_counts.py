"""How many mails went out and came in, hour by hour, in SQL: for the operator, and of nobody's."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from overture.store.db import Tx, all_rows
from overture.store.jobs import need_not_last

# What is kept, by the real clock.
KEPT_FOR = timedelta(days=30)


class Came(StrEnum):
    """What became of a mail: of ours that went out, or of one that came in."""

    SENT = "sent"
    FAILED = "failed"
    REFUSED = "refused"
    TAKEN = "taken"
    PASSED_OVER = "passed_over"
    NOT_TAKEN = "not_taken"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class Count:
    """So many mails; `why` is what was met, or told, where one was not taken."""

    came: Came
    why: str
    count: int


async def add(tx: Tx, came: Came, why: str) -> None:
    """Counts one mail. That a crash may lose it harms nobody."""
    await need_not_last(tx)
    await tx.execute(_ADD, (came, why))


async def lately(tx: Tx, span: timedelta) -> Sequence[Count]:
    """What came of the mails since then, to the hour, the most first."""
    rows = await all_rows(tx, _LATELY, (span,))
    return [Count(Came(came), why, count) for came, why, count in rows]


async def forget_old(tx: Tx) -> None:
    await tx.execute("delete from mail_counts where hour < now() - %s", (KEPT_FOR,))


_ADD = """
    insert into mail_counts (hour, came, why, count)
    values (date_trunc('hour', now()), %s, %s, 1)
    on conflict (hour, came, why) do update set count = mail_counts.count + 1
"""
_LATELY = """
    select came, why, sum(count)::bigint
    from mail_counts
    where hour > now() - %s
    group by came, why
    order by sum(count) desc, came, why
"""
