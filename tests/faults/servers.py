"""Servers to be raced and killed: started as processes of their own, asked over plain HTTP."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from tests.ports import free_port
from tests.running import PATIENCE

OPERATOR_TOKEN = "operator-token-of-the-fault-tests"
START_SECONDS = 90
ANSWER_SECONDS = 15


@dataclass
class Server:
    """A running `overture serve`; `log` holds all that it said."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def kill(self) -> None:
        """Ends it at once, as if the power of this one process failed."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Asks it to end, and PostgreSQL with it where it is the last to use it."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()


def launch(
    log: Path,
    *,
    data: Path | None = None,
    database_url: str | None = None,
    port: int | None = None,
    mutant: str | None = None,
    also: Mapping[str, str] | None = None,
    **settings: str,
) -> Server:
    """Starts a server and returns as soon as it has said its address.

    Where no port is given it is one that nobody else takes before the server that comes after it.

    On a mutant's name the server is the one of tests/faults/mutants.py that has this fault. `also` goes
    into its environment.
    """
    port = free_port() if port is None else port
    process, begins = _begin(
        log,
        "serve",
        data=data,
        database_url=database_url,
        mutant=mutant,
        also={**(also or {}), "OVERTURE_PORT": str(port)},
        settings=settings,
    )
    server = Server(process, port, log)
    said = _until_said(server, begins, b"Overture answers at ")
    server.port = int(said.rpartition(":")[2])
    return server


def launch_worker(log: Path, *, data: Path, **settings: str) -> Server:
    """Starts a worker and returns as soon as it works."""
    process, begins = _begin(log, "worker", data=data, also={}, settings=settings)
    worker = Server(process, 0, log)
    _until_said(worker, begins, b"Overture works.")
    return worker


def _begin(
    log: Path,
    command: str,
    *,
    data: Path | None = None,
    database_url: str | None = None,
    mutant: str | None = None,
    also: Mapping[str, str],
    settings: Mapping[str, str],
) -> tuple[subprocess.Popen[bytes], int]:
    """The process, and where in the log its part begins."""
    module = ["overture"] if mutant is None else ["tests.faults.mutants", mutant]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("OVERTURE_")
    }
    environment |= {
        "OVERTURE_OPERATOR_TOKEN": OPERATOR_TOKEN,
        "OVERTURE_REQUESTS_PER_MINUTE": "0",
        "OVERTURE_WRITES_PER_MINUTE": "0",
        "OVERTURE_LOG_LEVEL": "warning",
        **also,
    }
    if data is not None:
        environment["OVERTURE_DATA"] = str(data)
    if database_url is not None:
        environment["OVERTURE_DATABASE_URL"] = database_url
    environment |= {f"OVERTURE_{name.upper()}": value for name, value in settings.items()}
    with log.open("ab") as output:
        begins = output.seek(0, os.SEEK_END)
        process = subprocess.Popen(
            [sys.executable, "-m", *module, command],
            cwd=Path(__file__).parent.parent.parent,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    return process, begins


def _until_said(server: Server, begins: int, words: bytes) -> str:
    """The last word of the line that begins so, once it is there."""
    until = time.monotonic() + START_SECONDS
    try:
        while (said := _line_with(server.log, begins, words)) is None:
            assert server.process.poll() is None, f"It did not start:\n{_tail(server.log)}"
            assert time.monotonic() < until, f"It does not answer:\n{_tail(server.log)}"
            time.sleep(0.01)
    except BaseException:
        server.kill()
        raise
    return said


def _line_with(log: Path, begins: int, words: bytes) -> str | None:
    with log.open("rb") as file:
        file.seek(begins)
        for line in file:
            if line.startswith(words) and line.endswith(b"\n"):
                return line.decode().split()[-1]
    return None


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-30:])


@contextmanager
def two_servers(folder: Path, database_url: str) -> Generator[list[Server]]:
    """Two server processes on one database."""
    servers: list[Server] = []
    try:
        for name in ("one", "two"):
            log = folder / f"server-{name}.log"
            servers.append(launch(log, database_url=database_url, accept_unsafe_database="true"))
        yield servers
    finally:
        for server in servers:
            server.stop()


# PostgreSQL -------------------------------------------------------------------------------------


def kill_postgres(data: Path) -> None:
    """Ends the whole process tree of a data folder's PostgreSQL at once; nothing where none runs."""
    with suppress(FileNotFoundError, IndexError, ValueError):
        postmaster = int((data / "postgres" / "postmaster.pid").read_text().splitlines()[0])
        stat = _stat(postmaster)
        if stat is None or stat[0] != "postgres":
            return
        # The parent first, so that it sees none of its children's ends.
        tree = [postmaster, *_children(postmaster)]
        for pid in tree:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        while any(_stat(pid) for pid in tree):
            time.sleep(0.005)


def _children(parent: int) -> list[int]:
    pids = (int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit())
    return [pid for pid in pids if (stat := _stat(pid)) and stat[1] == parent]


def _stat(pid: int) -> tuple[str, int] | None:
    """Name and parent of a process that lives."""
    try:
        head, _, tail = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, parent = tail.split()[:2]
    return None if state in "ZX" else (head.partition("(")[2], int(parent))


# HTTP -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def code(self) -> str | None:
        """The problem's code."""
        return None if self.status < 300 else self.json["code"]


# What a broken connection raises: nobody knows then whether the request was carried out.
BROKEN = (OSError, EOFError, asyncio.TimeoutError, ValueError)


class Line:
    """One keep-alive connection to a server, made anew after it broke. One request at a time."""

    def __init__(self, port: int, seconds: float = ANSWER_SECONDS) -> None:
        self.port = port
        self.seconds = seconds
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(
        self, path: str, body: object, *, as_member: str, key: str | None = None
    ) -> Answer:
        """As the operator acting as a member. Raises one of BROKEN."""
        content = msgspec.json.encode(body)
        head = (
            f"POST /api/v1{path} HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {OPERATOR_TOKEN}\r\nAct-As: {as_member}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
        )
        if key is not None:
            head += f"Idempotency-Key: {key}\r\n"
        try:
            async with asyncio.timeout(self.seconds):
                return await self._exchange(head.encode() + b"\r\n" + content)
        except BaseException:
            self.close()
            raise

    async def _exchange(self, request: bytes) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        headers = dict(line.lower().split(b": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(headers.get(b"content-length", b"0")))
        if headers.get(b"connection") == b"close":
            self.close()
        return Answer(int(head[0].split()[1]), body)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def until_answered(
    line: Line, path: str, body: object, *, as_member: str, key: str | None
) -> Answer:
    """Asks again, with the same key, until the server says what became of it."""
    while True:
        try:
            answer = await line.post(path, body, as_member=as_member, key=key)
        except BROKEN:
            await asyncio.sleep(0.02)
            continue
        if answer.status == 503 or answer.code == "idempotency_in_progress":
            await asyncio.sleep(0.02)
            continue
        return answer


@contextmanager
def lines(servers: Sequence[Server], count: int) -> Generator[list[Line]]:
    """So many connections, spread over the servers in turn. Nothing befalls these: they are waited
    for, where what has no key would be asked twice."""
    made = [Line(servers[n % len(servers)].port, 4 * ANSWER_SECONDS) for n in range(count)]
    try:
        yield made
    finally:
        for line in made:
            line.close()
