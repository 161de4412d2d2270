"""kill -9 under load: what was acknowledged is there, once, and paid for once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from overture.actions.lanes import Lane
from overture.store.db import Contended, Unavailable
from tests.faults.ground import Ground
from tests.faults.kills import kills
from tests.faults.table import Row
from tests.faults.teeth import (
    answers_before_commits,
    charges_apart,
    commits_that_do_not_wait,
    keys_forgotten,
    nobody_waits_for_the_standby,
)

Shown = Callable[[Row], Row]


def test_what_was_acknowledged_survives_kills_of_server_and_postgres(
    ground: Ground, shown: Shown
) -> None:
    what = ["server", "worker", "postgres", "server"]
    row = shown(kills(ground, what, also=command_verifies))

    assert row.found.all == []
    assert row.acknowledged > 60 * len(what)
    assert len(row.back_seconds) == len(what)


def command_verifies(data: Path) -> list[str]:
    """What `overture ledger verify` itself says of a folder."""
    command = [sys.executable, "-m", "overture", "ledger", "verify", "--data", str(data)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [] if done.returncode == 0 else [f"overture ledger verify: {done.stdout}{done.stderr}"]


# The check has teeth: with a fault it fails ------------------------------------------------------


def test_commits_that_do_not_wait_for_the_disk_are_found(ground: Ground, shown: Shown) -> None:
    assert shown(commits_that_do_not_wait(ground)).found.lost


def test_what_a_standby_lacks_that_nobody_waits_for_is_found(ground: Ground, shown: Shown) -> None:
    assert shown(nobody_waits_for_the_standby(ground)).found.lost


def test_an_answer_before_the_commit_is_found(ground: Ground, shown: Shown) -> None:
    assert shown(answers_before_commits(ground)).found.lost


def test_charge_and_message_in_two_transactions_are_found(ground: Ground, shown: Shown) -> None:
    found = shown(charges_apart(ground)).found

    # Nobody was told of what is lost here: only the ledger, held against the messages, shows it.
    assert not found.lost
    assert any(each.startswith("A charge without a message") for each in found.unbalanced)
    assert any(each.startswith("Ledger: The InMail of this entry") for each in found.unbalanced)


def test_a_repeat_that_is_carried_out_again_is_found(ground: Ground, shown: Shown) -> None:
    assert shown(keys_forgotten(ground)).found.doubled


# What a lost database leaves open ----------------------------------------------------------------


async def test_a_batch_whose_commit_is_in_doubt_is_not_carried_out_again() -> None:
    carried_out: list[int] = []

    async def lose_the_commit(batch: Sequence[int]) -> Sequence[int]:
        carried_out.extend(batch)
        raise Unavailable

    lane = Lane(lose_the_commit)
    results = await asyncio.gather(*map(lane.submit, (1, 2, 3)), return_exceptions=True)

    assert [type(each) for each in results] == [Unavailable] * 3
    assert carried_out == [1, 2, 3]


async def test_a_batch_that_others_overtook_is_carried_out_one_by_one() -> None:
    async def meet_others(batch: Sequence[int]) -> Sequence[int]:
        if len(batch) > 1:
            raise Contended
        return batch

    lane = Lane(meet_others)

    assert await asyncio.gather(*map(lane.submit, (1, 2, 3))) == [1, 2, 3]
