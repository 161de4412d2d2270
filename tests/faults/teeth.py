"""Experiments that must find something: each with a mistake planted, or a promise given up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.faults.failover import failovers
from tests.faults.ground import Ground, made_unsafe
from tests.faults.kills import kills
from tests.faults.table import Row


def commits_that_do_not_wait(ground: Ground) -> Row:
    """PostgreSQL says that it has what is not on its disk yet."""
    with made_unsafe(ground) as unsafe:
        row = kills(unsafe, ["postgres"] * 2, accept_unsafe_database="true")
    return _must_find(row, "commits that do not wait for the disk")


def answers_before_commits(ground: Ground) -> Row:
    row = kills(ground, ["server", "postgres", "server"], mutant="answer_first")
    return _must_find(row, "an answer before the commit")


def charges_apart(ground: Ground) -> Row:
    row = kills(ground, ["server"] * 3, mutant="charge_apart")
    return _must_find(row, "charge and message in two transactions")


def keys_forgotten(ground: Ground) -> Row:
    """Clients that were not answered write again what is there already."""
    row = kills(ground, ["server"], mutant="keys_forgotten")
    return _must_find(row, "repeats that are further requests")


def nobody_waits_for_the_standby(ground: Ground) -> Row:
    """What the primary alone had is lost with it."""
    row = failovers(ground, synchronous=False)
    return _must_find(row, "a standby that nobody waits for")


def _must_find(row: Row, mistake: str) -> Row:
    return replace(row, name=f"must be found: {mistake}", teeth=True)


TEETH: dict[str, Callable[[Ground], Row]] = {
    "commits that do not wait": commits_that_do_not_wait,
    "answers before commits": answers_before_commits,
    "charges apart": charges_apart,
    "keys forgotten": keys_forgotten,
    "nobody waits for the standby": nobody_waits_for_the_standby,
}
