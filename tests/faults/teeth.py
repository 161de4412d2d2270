"""Experiments that must find something: each with a mistake planted, or a promise given up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.faults.failover import failovers
from tests.faults.ground import Ground, made_unsafe
from tests.faults.kills import kills
from tests.faults.table import Row

# A kill may fall, by chance, where the mistake does no harm; on a busy machine more do.
CAMPAIGNS_MAX = 4


def commits_that_do_not_wait(ground: Ground) -> Row:
    """PostgreSQL says that it has what is not on its disk yet."""
    with made_unsafe(ground) as unsafe:
        return _must_find(
            "commits that do not wait for the disk",
            "lost",
            lambda: kills(unsafe, ["postgres"] * 2, accept_unsafe_database="true"),
        )


def answers_before_commits(ground: Ground) -> Row:
    what = ["server", "postgres", "server"]
    return _must_find(
        "an answer before the commit", "lost", lambda: kills(ground, what, mutant="answer_first")
    )


def charges_apart(ground: Ground) -> Row:
    return _must_find(
        "charge and message in two transactions",
        "unbalanced",
        lambda: kills(ground, ["server"] * 3, mutant="charge_apart"),
    )


def keys_forgotten(ground: Ground) -> Row:
    """Clients that were not answered write again what is there already."""
    return _must_find(
        "repeats that are further requests",
        "doubled",
        lambda: kills(ground, ["server"], mutant="keys_forgotten"),
    )


def nobody_waits_for_the_standby(ground: Ground) -> Row:
    """What the primary alone had is lost with it."""
    return _must_find(
        "a standby that nobody waits for",
        "lost",
        lambda: failovers(ground, synchronous=False),
    )


def _must_find(mistake: str, harm: str, campaign: Callable[[], Row]) -> Row:
    """The first campaign that finds this kind of harm, or the last."""
    for _ in range(CAMPAIGNS_MAX):
        row = campaign()
        if getattr(row.found, harm):
            break
    return replace(row, name=f"must be found: {mistake}", teeth=True)


TEETH: dict[str, Callable[[Ground], Row]] = {
    "commits that do not wait": commits_that_do_not_wait,
    "answers before commits": answers_before_commits,
    "charges apart": charges_apart,
    "keys forgotten": keys_forgotten,
    "nobody waits for the standby": nobody_waits_for_the_standby,
}
