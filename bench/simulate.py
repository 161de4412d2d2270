"""The policy lab at its size: a million members for twelve months, on as many cores as policies."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence

from bench.common import table

MEMBERS = 1_000_000
MONTHS = 12
GOAL = "under 10 minutes and 4 GB on 2 cores"


def main(arguments: Sequence[str] = ()) -> None:
    members, months = (50_000, 3) if "--quick" in arguments else (MEMBERS, MONTHS)
    rows: list[Sequence[object]] = []
    for policies in (("seed",), ("seed", "linkedin-premium")):
        rows.append(_once(policies, members, months))
        if "--one" in arguments:
            break
    table(
        f"Simulating {members:,} members for {months} months (goal: {GOAL})",
        (
            "policies at once", "minutes", "CPU seconds", "peak MB a process", "letters",
            "letters/CPU s",
        ),
        rows,
    )  # fmt: skip


def _once(policies: Sequence[str], members: int, months: int) -> Sequence[object]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    asked = [sys.executable, "-m", "overture", "simulate", policies[0], "--json"]
    for other in policies[1:]:
        asked += ["--against", other]
    asked += ["--members", str(members), "--months", str(months), "--seeds", "1"]
    done = subprocess.run(asked, stdout=subprocess.PIPE, check=True, env=dict(os.environ))
    took = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    found = json.loads(done.stdout)
    assert [each["policy"] for each in found["policies"]] == list(policies)
    letters = sum(each["overall"]["sent"]["mean"] for each in found["policies"]) * members * months
    assert letters > members, "a million members write more than one letter each in a year"
    # Of children, and of theirs, the largest that any process ever was.
    peak = after.ru_maxrss / 1024
    return (
        ", ".join(policies), f"{took / 60:.1f}", f"{cpu:.0f}", f"{peak:,.0f}", f"{letters:,.0f}",
        f"{letters / cpu:,.0f}",
    )  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
