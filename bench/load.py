"""Servers under load: `overture serve` on a given database, and wrk from Debian as the generator."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.common import MEMBERS, POLICY, rss_mb

OPERATOR_TOKEN = "ovo_benchmark-only-0123456789abcdefghijklmnopqrstuv"  # not-a-secret


@dataclass(frozen=True)
class Server:
    address: str
    pid: int

    def memory_mb(self) -> float:
        """Resident memory of the server and its children; PostgreSQL is not among them."""
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.pid)],
            capture_output=True,
            text=True,
            check=False,
        ).stdout.split()
        return sum(rss_mb(int(pid)) for pid in (str(self.pid), *children))


@contextmanager
def server(url: str, *options: str, processes: int) -> Iterator[Server]:
    """`overture serve` with further options."""
    with tempfile.TemporaryDirectory() as folder:
        policy = Path(folder) / "bench.toml"
        policy.write_text(POLICY)
        running = subprocess.Popen(
            [
                str(Path(sys.executable).parent / "overture"), "serve", "--database-url", url,
                "--port", "0", "--policy", str(policy), "--processes", str(processes),
                # Many come from few members here.
                "--requests-per-minute", "0",
                *options,
            ],
            env={**os.environ, "OVERTURE_OPERATOR_TOKEN": OPERATOR_TOKEN},
            stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        try:
            assert running.stdout is not None
            line = running.stdout.readline()
            address = re.search(r"http://[\w.:-]+", line)
            if address is None:
                raise SystemExit(f"The server did not start: {line!r}")
            yield Server(address[0], running.pid)
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(20)


@dataclass(frozen=True)
class Load:
    """Answers a second that were 2xx, milliseconds, how many answers were and were not 2xx, and how
    many took more than two seconds."""

    per_second: float
    p50: float
    p99: float
    answered: int
    refused: int
    late: int


def wrk(address: str, script: str, *, at_once: int, seconds: int) -> Load:
    """Runs a Lua script with so many connections, from a process of its own."""
    if shutil.which("wrk") is None:
        raise SystemExit("This benchmark needs wrk: apt-get install wrk")
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(_COMMON + script)
        file.flush()
        out = subprocess.run(
            [
                "wrk", "-t", "1", "-c", str(at_once), "-d", f"{seconds}s", "--latency",
                "-s", file.name, address,
            ],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    numbers = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)", out)
    if numbers is None:
        raise SystemExit(f"wrk said:\n{out}")
    micros, answers, refused, late, p50, p99 = map(int, numbers.groups())
    answered = answers - refused
    return Load(answered / micros * 1e6, p50 / 1e3, p99 / 1e3, answered, refused, late)


_COMMON = f"""
local thread_number = 0
function setup(thread)
    thread:set("seed", thread_number + os.time())
    thread_number = thread_number + 1
end
function init()
    math.randomseed(seed)
end
function member(n)
    return string.format("00000000-0000-7000-8000-%012x", n)
end
function anyone()
    return math.random(1, {MEMBERS})
end
local headers = {{
    ["Authorization"] = "Bearer {OPERATOR_TOKEN}",
    ["Content-Type"] = "application/json",
}}
function as(n)
    headers["Act-As"] = member(n)
    return headers
end
function done(summary, latency)
    print("RESULT " .. summary.duration .. " " .. summary.requests .. " "
        .. summary.errors.status .. " " .. summary.errors.timeout .. " "
        .. math.floor(latency:percentile(50)) .. " " .. math.floor(latency:percentile(99)))
end
"""
