"""One server after the other, and nobody is turned away."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from overture.settings import SettingProblem, read
from tests.running import PATIENCE, environment, serving

_HAND_DOWN = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""


@contextmanager
def started_by_systemd(
    listener: socket.socket, *options: object
) -> Iterator[subprocess.Popen[str]]:
    """A server that is handed the socket as systemd does it, once it answers."""
    arguments = [sys.executable, "-m", "overture", "serve", *map(str, options)]
    process = subprocess.Popen(
        [sys.executable, "-c", _HAND_DOWN, str(listener.fileno()), *arguments],
        env=environment(OVERTURE_ACCEPT_UNSAFE_DATABASE="true", LISTEN_FDS="1"),
        pass_fds=[listener.fileno()],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline().startswith("Overture answers at ")
        yield process
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0
        process.stdout.close()


@pytest.mark.parametrize("processes", [1, 2])
def test_who_comes_while_one_server_ends_and_the_next_one_starts_waits_and_is_answered(
    database_url: str, processes: int
):
    options = ("--database-url", database_url, "--processes", processes, "--jobs", "false")
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/healthz"
        over = threading.Event()
        answers: list[object] = []

        def ask() -> None:
            while not over.is_set():
                try:
                    answers.append(httpx.get(address, timeout=PATIENCE).status_code)
                except httpx.HTTPError as problem:
                    answers.append(type(problem).__name__)

        with started_by_systemd(listener, *options):
            askers = [threading.Thread(target=ask) for _ in range(4)]
            for each in askers:
                each.start()
            wait_for(answers, 8)
        before = len(answers)
        with started_by_systemd(listener, *options):
            # Who waited in between, and others after them.
            wait_for(answers, before + 8)
            over.set()
            for each in askers:
                each.join()

    assert set(answers) == {200}


def wait_for(answers: list[object], count: int) -> None:
    until = time.monotonic() + PATIENCE
    while len(answers) < count:
        assert time.monotonic() < until, answers[-3:]
        time.sleep(0.02)


def test_it_is_ready_no_more_before_it_ends_and_answers_until_then(database_url: str):
    # So long that even a busy machine makes a member meanwhile.
    with serving("--database-url", database_url, "--drain-seconds", "8") as server:
        assert server.get("/readyz").status_code == 200
        server.process.send_signal(signal.SIGTERM)
        while (ready := server.get("/readyz").status_code) == 200:
            pass
        assert ready == 503
        assert server.make_member("ada").status_code == 201
        assert server.process.wait(PATIENCE) == 0


def test_systemd_is_told_when_it_answers_and_when_it_ends(database_url: str, tmp_path: Path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(tmp_path / "notify"))
        told.settimeout(PATIENCE)
        options = ("--database-url", database_url, "--jobs", "false")
        with serving(*options, NOTIFY_SOCKET=str(tmp_path / "notify")) as server:
            assert told.recv(100) == b"READY=1"
            assert server.stop() == 0
            assert told.recv(100) == b"STOPPING=1"


def test_secrets_come_from_files_as_containers_and_systemd_give_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "overture_operator_token").write_text("a-token-long-enough\n")
    named = {"OVERTURE_OPERATOR_TOKEN_FILE": str(tmp_path / "overture_operator_token")}

    assert read({}, named).operator_token == "a-token-long-enough"
    assert (
        read({}, {"CREDENTIALS_DIRECTORY": str(tmp_path)}).operator_token == "a-token-long-enough"
    )
    assert read({}, named | {"OVERTURE_OPERATOR_TOKEN": "x" * 20}).operator_token == "x" * 20
    assert read({}, {"CREDENTIALS_DIRECTORY": str(tmp_path)}).smtp_password is None
    with pytest.raises(SettingProblem, match=r"OVERTURE_SMTP_PASSWORD_FILE: .* no such file"):
        read({}, {"OVERTURE_SMTP_PASSWORD_FILE": str(tmp_path / "none")})
