"""`make faults`: every experiment with faults, one after the other, and one table of what they did."""

from __future__ import annotations

import argparse
import platform
import random
import sys
import time
from collections.abc import Callable, Sequence

from tests.faults.clocks import clocks_jump
from tests.faults.cuts import KINDS, cuts
from tests.faults.disk import disk_full
from tests.faults.failover import failovers
from tests.faults.ground import Ground, prepared
from tests.faults.kills import kills
from tests.faults.migrating import migrations_killed
from tests.faults.pairs import two_servers
from tests.faults.restoring import backups_restored, points_in_time_reached
from tests.faults.stopping import stops
from tests.faults.table import Row, table
from tests.faults.teeth import TEETH

RECIPIENTS = 1500
# Longer than a statement may take, and a client waits.
LONG_FROZEN_SECONDS = 34
ENDED_SECONDS_MAX = 5
Experiment = Callable[[Ground], Row]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument(
        "--kills", type=int, default=210, help="kills in all (default 210); 0: none"
    )
    parser.add_argument("--times", type=int, default=10, help="of the other faults (default 10)")
    parser.add_argument("--only", metavar="WORD", help="experiments with this word in their name")
    given = parser.parse_args()
    chosen = {
        name: experiment
        for name, experiment in experiments(given.kills, given.times).items()
        if given.only is None or given.only in name
    }
    rows: list[Row] = []
    began = time.monotonic()
    with prepared(recipients=RECIPIENTS) as ground:
        for name, experiment in chosen.items():
            print(f"{name} ...", file=sys.stderr, flush=True)
            rows.append(experiment(ground))
            # Whoever breaks it off has seen as much.
            print(table(rows[-1:]), file=sys.stderr, flush=True)
    print(table(rows))
    took = (time.monotonic() - began) / 60
    print(f"\n{took:.0f} minutes, {platform.machine()}, {platform.system()} {platform.release()}")
    return any(row.failed for row in rows)


def experiments(kill_count: int, times: int) -> dict[str, Experiment]:
    killed: dict[str, Experiment] = {"kills": lambda ground: kills(ground, _mixed(kill_count))}
    return {
        **(killed if kill_count else {}),
        "two servers": lambda ground: two_servers(ground, times),
        "cuts": lambda ground: cuts(ground, KINDS * times),
        "disk": lambda ground: disk_full(ground, times),
        "clocks": clocks_jump,
        "backups": lambda ground: backups_restored(ground, times),
        "points in time": lambda ground: points_in_time_reached(ground, times),
        "failover": lambda ground: failovers(ground, times),
        "failover, frozen": lambda ground: failovers(ground, frozen_seconds=LONG_FROZEN_SECONDS),
        "stops": lambda ground: stops(ground, times, seconds_max=ENDED_SECONDS_MAX),
        "migrating": lambda ground: migrations_killed(ground, times),
        **{f"teeth: {name}": planted for name, planted in TEETH.items()},
    }


def _mixed(count: int) -> Sequence[str]:
    """Of each a third, in any order."""
    what = [("server", "worker", "postgres")[number % 3] for number in range(count)]
    random.shuffle(what)
    return what


if __name__ == "__main__":
    sys.exit(main())
