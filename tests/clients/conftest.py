"""The clients, made once for all tests; and a server that they talk to."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients import build
from tests.databases import Databases
from tests.running import Running, environment, serving


@pytest.fixture(scope="session")
def python_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The package for Python, importable as `overture_client`."""
    source = build.build_python(tmp_path_factory.mktemp("clients")) / "src"
    sys.path.insert(0, str(source))
    yield source
    sys.path.remove(str(source))


@pytest.fixture(scope="module")
def server(databases: Databases) -> Iterator[Running]:
    with serving("--database-url", databases.fresh()) as running:
        yield running


def heard(
    command: list[object], folder: Path, server: Running, bo: str, **variables: str
) -> list[str]:
    """What a page's program prints until an event tells it of a message. It has written to Bo, who
    answers, and goes on until it is heard."""
    program = subprocess.Popen(
        list(map(str, command)),
        cwd=folder,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert program.stdout is not None
    lines: queue.Queue[str] = queue.Queue()
    told: list[str] = []

    def read(stdout: Iterator[str]) -> None:
        for line in stdout:
            lines.put(line.rstrip("\n"))

    reader = threading.Thread(target=read, args=(program.stdout,))
    reader.start()
    try:
        until, acting = time.monotonic() + 60, {"Act-As": bo}
        while time.monotonic() < until and program.poll() is None:
            for box in ("requests", "inbox"):
                path = f"/api/v1/conversations?box={box}"
                for each in server.request("GET", path, headers=acting).json()["items"]:
                    path = f"/api/v1/conversations/{each['id']}/messages"
                    assert server.request("POST", path, {"body": "Yes"}, headers=acting).is_success
            try:
                told.append(lines.get(timeout=0.3))
            except queue.Empty:
                continue
            if told[-1].startswith("message"):
                return told
        while not lines.empty():
            told.append(lines.get())
        raise AssertionError("\n".join(told))
    finally:
        program.kill()
        program.wait()
        reader.join()
        program.stdout.close()
