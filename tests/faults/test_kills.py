"""kill -9 under load: what was acknowledged is there, once, and paid for once."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from overture.actions.lanes import Lane
from overture.store.db import Contended, Unavailable
from tests.faults.campaign import (
    Cast,
    Report,
    command_verifies,
    kill_and_check,
    make_unsafe,
    prepare,
)
from tests.faults.servers import kill_postgres


@pytest.fixture(scope="module")
def prepared() -> Iterator[tuple[Path, Cast]]:
    """A data folder to copy, with a town in it and nothing running on it."""
    folder = Path(tempfile.mkdtemp(prefix="overture-kills-"))
    try:
        yield folder, prepare(folder / "data", recipients=500)
    finally:
        kill_postgres(folder / "data")
        shutil.rmtree(folder)


@pytest.fixture
def data(prepared: tuple[Path, Cast]) -> Iterator[Path]:
    """A copy of the prepared folder, of this test's own."""
    folder = Path(tempfile.mkdtemp(prefix="overture-kills-"))
    # With the owner of the files, who is PostgreSQL's own user where we are root.
    subprocess.run(["cp", "-a", prepared[0] / "data", folder / "data"], check=True)
    yield folder / "data"
    kill_postgres(folder / "data")
    shutil.rmtree(folder)


def killed(
    data: Path, prepared: tuple[Path, Cast], kills: Sequence[str], **how: str | None
) -> Report:
    log = data.parent / "server.log"
    report = kill_and_check(data, prepared[1], log, kills, **how)  # type: ignore[arg-type]
    print(report.summary())
    return report


def test_what_was_acknowledged_survives_kills_of_server_and_postgres(
    data: Path, prepared: tuple[Path, Cast]
) -> None:
    report = kill_and_check(
        data,
        prepared[1],
        data.parent / "server.log",
        ["server", "postgres"] * 5,
        also=lambda: command_verifies(data),
    )
    print(report.summary())

    assert report.damage == []
    assert len(report.told) > 500
    assert [len(times) for times in report.back_seconds.values()] == [5, 5]


# The campaign has teeth: with a fault it fails ---------------------------------------------------


def test_commits_that_do_not_wait_for_the_disk_are_found(
    data: Path, prepared: tuple[Path, Cast]
) -> None:
    make_unsafe(data)

    report = killed(data, prepared, ["postgres"] * 2, accept_unsafe_database="true")

    assert report.lost


@pytest.mark.parametrize("what", ["server", "postgres"])
def test_an_answer_before_the_commit_is_found(
    data: Path, prepared: tuple[Path, Cast], what: str
) -> None:
    report = killed(data, prepared, [what] * 2, mutant="answer_first")

    assert report.lost


def test_charge_and_message_in_two_transactions_are_found(
    data: Path, prepared: tuple[Path, Cast]
) -> None:
    report = killed(data, prepared, ["server"] * 3, mutant="charge_apart")

    # Nobody was told of what is lost here: only the ledger, held against the messages, shows it.
    assert not report.lost
    assert any(each.startswith("A charge without a message") for each in report.damage)
    assert any(each.startswith("Ledger: The InMail of this entry") for each in report.damage)


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
