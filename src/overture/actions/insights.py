"""What a member's own letters came to, and what comes to them from strangers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from overture.core import insights as rules
from overture.core.advice import beyond_greeting
from overture.core.ids import MemberId
from overture.core.insights import Insights, Letter, Load, Rate
from overture.core.likeness import sketch_of, without_names
from overture.store import insights as store
from overture.store.db import Tx
from overture.store.insights import Sent

# More letters than that in a year are not read: the page then tells of the newest.
LETTERS_MAX = 5000
# To compare letters is work, of which a page may ask for so much.
COMPARED_MAX = 200
_EXCERPT_CHARS = 90


@dataclass(frozen=True, slots=True)
class Used:
    """A template: how the newest letter made of it goes on after its greeting."""

    excerpt: str
    rate: Rate


@dataclass(frozen=True, slots=True)
class Seen:
    """`oldest` is the instant from which on it tells, where there were too many letters for a year."""

    sent: Insights
    got: Load
    templates: Sequence[Used]
    oldest: datetime | None


async def seen(tx: Tx, member: MemberId, name: str, *, now: datetime, zone: tzinfo) -> Seen:
    """Of the letters of the last twelve calendar months. `name` is the member's own."""
    since = rules.since(now, zone)
    sent = await store.sent(tx, member, since, limit=LETTERS_MAX, bodies=COMPARED_MAX)
    got = await store.got(tx, member, since, limit=LETTERS_MAX)
    letters = [
        Letter(
            each.at,
            each.answered_at,
            each.credits,
            each.chars,
            b"" if each.body is None else sketch_of(each.body, (name, each.name)),
        )
        for each in sent
    ]
    found = rules.insights(letters, now, zone)
    templates = [Used(_excerpt(sent[each.first]), each.rate) for each in found.templates]
    oldest = min((rows[-1].at for rows in (sent, got) if len(rows) == LETTERS_MAX), default=None)
    return Seen(
        found, rules.load([Letter(e.at, e.answered_at) for e in got], now, zone), templates, oldest
    )


def _excerpt(letter: Sent) -> str:
    """How the letter begins after its greeting, in which the recipient's name would stand; where it
    stands again, it is left out."""
    text = " ".join(without_names(beyond_greeting(letter.body or ""), letter.name).split())
    if len(text) <= _EXCERPT_CHARS:
        return text
    kept = text[:_EXCERPT_CHARS]
    # Up to the last whole word, where words are parted at all.
    return (kept.rpartition(" ")[0] or kept) + "…"
