"""The real command line as processes: servers to talk to, commands to look at."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import IO, Any

import httpx

OPERATOR_TOKEN = "an-operator-token-for-tests"
COMMAND = [sys.executable, "-m", "overture"]
# In seconds. What comes within one where nothing else runs may take so long on a busy machine.
PATIENCE = 60


@dataclass
class Running:
    """A server that answers."""

    process: subprocess.Popen[str]
    address: str

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def request(
        self, method: str, path: str, body: object = None, **options: Any
    ) -> httpx.Response:
        """As the operator, on a connection of its own."""
        headers = {"Authorization": f"Bearer {OPERATOR_TOKEN}"} | options.pop("headers", {})
        return httpx.request(
            method, self.address + path, json=body, headers=headers, timeout=PATIENCE, **options
        )

    def get(self, path: str, **options: Any) -> httpx.Response:
        """As nobody, on a connection of its own."""
        return httpx.get(self.address + path, timeout=PATIENCE, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return httpx.post(self.address + path, timeout=PATIENCE, **options)

    def make_member(self, handle: str) -> httpx.Response:
        return self.request("POST", "/api/v1/members", {"handle": handle, "name": handle.title()})

    def stop(self, number: int = signal.SIGTERM) -> int:
        """The exit status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def environment(**settings: str) -> dict[str, str]:
    """Ours, without what would tell Overture something."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("OVERTURE_")}
    return ours | settings


def on(arguments: Sequence[object]) -> dict[str, str]:
    """What a server on a database of the tests' must be told: that server never waits for the disk."""
    return {"OVERTURE_ACCEPT_UNSAFE_DATABASE": "true"} if "--database-url" in arguments else {}


def command(*arguments: object, **settings: str) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env=environment(**(on(arguments) | settings)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        check=False,
    )


@contextmanager
def serving(
    *options: object, errors: IO[bytes] | None = None, **settings: str
) -> Iterator[Running]:
    """`overture serve` on any free port, with variables, stopped at the end if it still runs. Its log
    goes into `errors`, or where the test's own goes."""
    # What it puts into a folder, such as mails, goes with it.
    folder = TemporaryDirectory(prefix="overture-tests-")
    given = {"OVERTURE_OPERATOR_TOKEN": OPERATOR_TOKEN, "OVERTURE_DATA": folder.name}
    process = subprocess.Popen(
        [*COMMAND, "serve", "--port", "0", *map(str, options)],
        env=environment(**(given | on(options) | settings)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
    )
    assert process.stdout
    try:
        line = process.stdout.readline()
        assert line, f"the server ended with {process.wait()} instead of answering"
        yield Running(process, line.rpartition(" ")[2].strip())
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        process.stdout.close()
        folder.cleanup()
