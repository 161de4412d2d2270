"""What looks like abuse, by rules that an operator can check: each with the evidence it rests on.

A suspicion decides nothing. The one thing that follows by itself is that whoever sends one letter to
many is held to a new account's pace for a while. Source: docs/abuse.md, "Suspicions".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from statistics import median

from overture.core.ids import ConversationId, MemberId

LETTERS_WINDOW = timedelta(days=14)
# So many letters that say the same, or that link to one place.
SAME_LETTERS = 10
LINKED_LETTERS = 10
SLOWED_FOR = timedelta(days=7)

REFUNDS_WINDOW = timedelta(days=30)
REFUNDS_MIN = 6
PARTNERS_MAX = 3
PARTNERS_SHARE = 0.8
FAST = timedelta(minutes=2)
JOINED_TOGETHER = timedelta(days=1)
# Of what speaks for it, so much is kept.
EXAMPLES_MAX = 5


class Kind(StrEnum):
    """One letter to many strangers; links to one place in many; refunds among few who know it."""

    SAME_LETTER = "same_letter"
    LINKS = "links"
    REFUNDS = "refunds"


@dataclass(frozen=True, slots=True)
class Partner:
    """One whose answers brought a member credits: how many, how soon, and what ties the two."""

    member_id: MemberId
    refunds: int
    # Refunds that the member's own answers brought this one, in the same time.
    returned: int
    median_seconds: int
    joined_together: bool
    same_network: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """`weight` is what was counted: letters, or refunds. What does not belong to the kind is empty."""

    kind: Kind
    weight: int
    conversations: Sequence[ConversationId] = ()
    place: str = ""
    partners: Sequence[Partner] = ()


@dataclass(frozen=True, slots=True)
class Returned:
    """A refund: whose answer brought it, and how long that took."""

    partner: MemberId
    after: timedelta


def of_letters(alike: Sequence[ConversationId]) -> Evidence | None:
    """`alike` are a member's letters of the window that say the same as the newest, their last."""
    if len(alike) < SAME_LETTERS:
        return None
    return Evidence(Kind.SAME_LETTER, len(alike), tuple(alike[-EXAMPLES_MAX:]))


def of_links(place: str, linking: Sequence[ConversationId]) -> Evidence | None:
    """`linking` are a member's letters of the window that link to this place, the newest last."""
    if len(linking) < LINKED_LETTERS:
        return None
    return Evidence(Kind.LINKS, len(linking), tuple(linking[-EXAMPLES_MAX:]), place)


def closest(refunds: Sequence[Returned]) -> list[MemberId]:
    """The few whose answers brought most of a member's refunds; nobody where there are no such few, or
    too few refunds to tell."""
    counts: dict[MemberId, int] = {}
    for each in refunds:
        counts[each.partner] = counts.get(each.partner, 0) + 1
    most = sorted(counts, key=lambda partner: (-counts[partner], partner))[:PARTNERS_MAX]
    theirs = sum(counts[partner] for partner in most)
    enough = len(refunds) >= REFUNDS_MIN and theirs >= PARTNERS_SHARE * len(refunds)
    return most if enough else []


def of_refunds(
    refunds: Sequence[Returned],
    *,
    returned: dict[MemberId, int],
    joined_at: dict[MemberId, datetime],
    member: MemberId,
    same_network: frozenset[MemberId],
) -> Evidence | None:
    """Whether a member's refunds of the window come from few, who answer at once or do it in turn.

    Many refunds alone say that somebody writes good letters. `returned` counts the refunds that the
    member's own answers brought others; `joined_at` is when each account was made.
    """
    most = closest(refunds)
    if not most:
        return None
    after: dict[MemberId, list[timedelta]] = {partner: [] for partner in most}
    for each in refunds:
        if each.partner in after:
            after[each.partner].append(each.after)
    theirs = [span for spans in after.values() for span in spans]
    partners = tuple(
        Partner(
            partner,
            len(after[partner]),
            returned.get(partner, 0),
            round(median(span.total_seconds() for span in after[partner])),
            _together(joined_at.get(member), joined_at.get(partner)),
            partner in same_network,
        )
        for partner in most
    )
    at_once = median(span.total_seconds() for span in theirs) <= FAST.total_seconds()
    in_turn = any(partner.returned > 0 for partner in partners)
    if not at_once and not in_turn:
        return None
    return Evidence(Kind.REFUNDS, len(theirs), partners=partners)


def opens_again(weight: int, dismissed_weight: int) -> bool:
    """Whether what an operator found to be nothing has become twice as much since."""
    return weight >= 2 * dismissed_weight


def _together(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and other is not None and abs(one - other) <= JOINED_TOGETHER
