"""The short form of `make faults`: each fault once or twice, and what it must leave unharmed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.clocks import clocks_jump
from tests.faults.cuts import KINDS, cuts
from tests.faults.disk import disk_full
from tests.faults.failover import failovers
from tests.faults.ground import Ground
from tests.faults.migrating import migrations_killed
from tests.faults.pairs import two_servers
from tests.faults.restoring import backups_restored, points_in_time_reached
from tests.faults.stopping import stops
from tests.faults.table import Row

Shown = Callable[[Row], Row]


def harmless(row: Row) -> bool:
    """Whether a load went through it, and nothing is wrong afterwards. Skips what cannot be tried."""
    if row.skipped:
        pytest.skip(row.skipped)
    assert row.found.all == []
    assert row.back_seconds
    assert row.acknowledged > 60
    return True


def test_a_network_that_breaks_stalls_and_delays_harms_nothing(
    ground: Ground, shown: Shown
) -> None:
    row = shown(cuts(ground))

    assert harmless(row)
    assert row.faults == len(KINDS)


def test_a_full_disk_harms_nothing(ground: Ground, shown: Shown) -> None:
    row = shown(disk_full(ground))

    assert harmless(row)
    assert row.tried > row.acknowledged


def test_clocks_that_jump_harm_nothing(ground: Ground, shown: Shown) -> None:
    assert harmless(shown(clocks_jump(ground)))


def test_one_of_two_servers_goes_on_where_the_other_was_killed(
    ground: Ground, shown: Shown
) -> None:
    row = shown(two_servers(ground, times=1))

    assert harmless(row)
    assert row.tried > row.acknowledged


def test_a_migration_killed_in_the_middle_is_begun_again(ground: Ground, shown: Shown) -> None:
    assert harmless(shown(migrations_killed(ground, times=1)))


def test_a_backup_made_under_load_holds_what_was_acknowledged_before(
    ground: Ground, shown: Shown
) -> None:
    assert harmless(shown(backups_restored(ground)))


def test_a_point_in_time_comes_back_from_the_archived_log_to_the_row(
    ground: Ground, shown: Shown
) -> None:
    assert harmless(shown(points_in_time_reached(ground)))


def test_a_synchronous_standby_takes_over_without_a_loss(ground: Ground, shown: Shown) -> None:
    assert harmless(shown(failovers(ground)))


def test_a_server_that_is_asked_to_end_answers_first_and_its_streams_go_on_elsewhere(
    ground: Ground, shown: Shown
) -> None:
    assert harmless(shown(stops(ground)))
