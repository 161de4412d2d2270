"""From `overture serve` to its first answer on an existing data folder, and what it needs idle."""

import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from bench.common import median, rss_mb, table

RUNS = 5


def main(arguments: Sequence[str] = ()) -> None:
    runs = 2 if "--quick" in arguments else RUNS
    seconds: list[float] = []
    memory: list[float] = []
    with tempfile.TemporaryDirectory(prefix="overture-bench-start-", dir="/var/tmp") as folder:
        for run in range(runs + 1):
            took, megabytes = _once(Path(folder) / "data")
            if run:  # the first run makes the data folder
                seconds.append(took)
                memory.append(megabytes)
    table(
        "Start and idle",
        ("what", "median", "worst"),
        [
            ("start to first answer, s", f"{median(seconds):.2f}", f"{max(seconds):.2f}"),
            ("idle server beside PostgreSQL, MB", f"{median(memory):.0f}", f"{max(memory):.0f}"),
        ],
    )


def _once(data: Path) -> tuple[float, float]:
    began = time.perf_counter()
    running = subprocess.Popen(
        [
            str(Path(sys.executable).parent / "overture"), "serve", "--data", str(data),
            "--port", "0",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        assert running.stdout is not None
        address = running.stdout.readline().split()[-1]
        with urllib.request.urlopen(f"{address}/readyz") as answer:
            assert answer.status == 200
        took = time.perf_counter() - began
        time.sleep(1)
        return took, rss_mb(running.pid)
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(20)
