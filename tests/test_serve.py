"""`overture serve`: its start, what it refuses, what it survives, its end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest

from overture.store import embedded
from overture.store.migrate import migrate
from tests.databases import temporary_folder
from tests.running import OPERATOR_TOKEN, PATIENCE, Running, command, serving


@pytest.fixture(scope="module")
def prepared() -> Iterator[Path]:
    """A data folder with the schema and nothing in it, to be copied: quicker than making one."""
    with temporary_folder() as folder:
        with embedded.start(folder / "data") as server:
            migrate(server.url)
        yield folder / "data"


@pytest.fixture
def data(prepared: Path) -> Iterator[Path]:
    with temporary_folder() as folder:
        shutil.copytree(prepared, folder / "data")
        yield folder / "data"


def test_it_says_its_address_once_it_answers_and_nothing_more(data):
    with serving("--data", data) as server:
        assert server.get("/readyz").status_code == 200

        assert server.stop() == 0
        assert server.process.stdout.read() == ""
    assert not postgres_runs(data)


def test_commands_work_beside_it_but_no_second_server(data):
    with serving("--data", data) as server:
        server.make_member("ada")

        second = command("serve", "--data", data, "--port", "0")
        assert second.returncode == 1
        assert f"(process {server.process.pid}) already serves the data" in second.stderr
        assert second.stderr.count("\n") == 1

        made = command("token", "create", "--as", "ada", "--data", data)
        assert made.returncode == 0, made.stderr
        ada = {"Authorization": f"Bearer {made.stdout.strip()}"}
        assert server.get("/api/v1/me", headers=ada).json()["handle"] == "ada"

        verified = command("ledger", "verify", "--json", "--data", data)
        assert json.loads(verified.stdout)["sound"], verified.stderr


def test_a_port_in_use_is_refused(database_url):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for processes in (1, 2):
            refused = command(
                *("serve", "--database-url", database_url),
                *("--port", port, "--processes", processes),
            )
            assert refused.returncode == 1
            assert f"Cannot listen on 127.0.0.1 port {port}: address already in use" in (
                refused.stderr
            )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("processes", [1, 2])
def test_what_is_under_way_is_answered_before_it_ends(database_url, number, processes):
    with serving("--database-url", database_url, "--processes", processes) as server:
        answers: list[httpx.Response] = []
        with psycopg.connect(database_url) as holder:
            holder.execute("lock table members")
            waiting = threading.Thread(target=lambda: answers.append(server.make_member("ada")))
            waiting.start()
            wait_until(lambda: waits_for_a_lock(database_url))
            server.process.send_signal(number)
            wait_until(lambda: refuses(server))
            holder.rollback()
        waiting.join()

        assert answers[0].status_code == 201
        assert server.process.wait(PATIENCE) == 0


@pytest.mark.parametrize("processes", [1, 2])
def test_who_came_before_it_ends_is_heard_although_the_request_comes_after(database_url, processes):
    with (
        serving("--database-url", database_url, "--processes", processes) as server,
        socket.create_connection(("127.0.0.1", server.port)) as asks,
        socket.create_connection(("127.0.0.1", server.port)) as says_nothing,
    ):
        # Connections are taken in their order.
        assert server.get("/healthz").status_code == 200
        server.process.terminate()
        wait_until(lambda: refuses(server))
        asks.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")

        answer = asks.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 200 "), answer
        assert b"connection: close" in answer.lower()
        assert says_nothing.recv(1) == b""
        assert server.process.wait(PATIENCE) == 0


@pytest.mark.parametrize("processes", [1, 2])
def test_it_ends_in_time_although_a_request_never_ends(database_url, processes):
    options = ("--database-url", database_url, "--processes", processes)
    with serving(*options) as server, unfinished_request(server):
        # How soon that is, `make faults` measures.
        assert server.stop() == 0


def test_a_second_signal_ends_it_at_once(database_url):
    # Else it would go on for longer than anybody waits here, and then say that all is well.
    drains = ("--drain-seconds", 2 * PATIENCE)
    with serving("--database-url", database_url, *drains) as server, unfinished_request(server):
        server.process.terminate()
        wait_until(lambda: server.get("/readyz").status_code == 503)

        assert server.stop() == 1


def test_it_starts_a_killed_postgresql_again(data):
    with serving("--data", data) as server:
        assert server.make_member("ada").status_code == 201
        before = postmaster(data)

        os.kill(before, signal.SIGKILL)
        during = server.request("GET", "/api/v1/members/ada")
        wait_until(lambda: server.request("GET", "/readyz").status_code == 200)

        assert during.status_code == 200 or "retry-after" in during.headers
        assert server.request("GET", "/api/v1/members/ada").json()["name"] == "Ada"
        assert postmaster(data) != before
        assert server.stop() == 0
    assert not postgres_runs(data)


def test_a_killed_child_is_replaced_and_a_killed_parent_takes_all_with_it(database_url):
    with serving("--database-url", database_url, "--processes", "2") as server:
        children = children_of(server.process.pid)
        assert len(children) == 2

        os.kill(children[0], signal.SIGKILL)
        for _ in range(20):
            assert server.get("/readyz").status_code == 200
        wait_until(lambda: len(children_of(server.process.pid)) == 2)

        server.process.kill()
        wait_until(lambda: refuses(server))


def test_a_database_that_may_lose_acknowledged_writes_is_refused_unless_accepted(data):
    with (data / "postgres" / "postgresql.auto.conf").open("a") as file:
        file.write("fsync = off\nfull_page_writes = off\n")

    refused = command("serve", "--data", data, "--port", "0")
    assert refused.returncode == 1
    assert "may lose what it has acknowledged: fsync and full_page_writes are off" in refused.stderr

    with serving("--data", data, "--accept-unsafe-database") as server:
        assert server.get("/readyz").status_code == 200


def test_a_newer_schema_is_refused(database_url):
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "insert into schema_migrations (number, name, checksum) values (9999, 'later', 'x')"
        )

    refused = command("serve", "--database-url", database_url, "--port", "0")

    assert refused.returncode == 1
    assert "newer than this Overture" in refused.stderr


def test_a_test_clock_stays_with_its_data(database_url):
    on_it = ("--database-url", database_url)
    with serving(*on_it, "--test-clock", "2025-01-31T10:00:00Z") as server:
        server.request("PUT", "/api/v1/operator/clock", {"now": "2025-03-01T00:00:00Z"})

    refused = command("serve", *on_it, "--port", "0")
    assert refused.returncode == 1
    assert "Start with --test-clock 2025-03-01T00:00:00Z." in refused.stderr

    with serving(*on_it, "--test-clock", "2025-01-31T10:00:00Z") as server:
        stands_at = server.request("GET", "/api/v1/operator/clock").json()["now"]
        assert stands_at == "2025-03-01T00:00:00Z"


def test_data_in_real_time_take_no_test_clock(database_url):
    on_it = ("--database-url", database_url)
    with serving(*on_it) as server:
        server.make_member("ada")

    refused = command("serve", *on_it, "--port", "0", "--test-clock", "2025-01-31T10:00:00Z")

    assert refused.returncode == 1
    assert "live in real time" in refused.stderr


def test_it_starts_soon_and_stays_small(data):
    with serving("--data", data) as server:
        # Of the processor, which others may have meanwhile; `make bench ARGS=start` looks at a clock.
        # It takes 1.3; four others at work beside it on two cores make it 1.8.
        assert processor_seconds(server.process.pid) < 3
        assert memory(server.process.pid) < 150_000_000


def test_no_policy_named_leaves_the_one_in_force(database_url):
    on_it = ("--database-url", database_url)
    with serving(*on_it, "--policy", "linkedin-premium"):
        pass
    with serving(*on_it):
        pass

    shown = command("policy", "show", *on_it).stdout

    assert shown.count("[[versions]]") == 1
    assert "expiry_days = 90" in shown


@contextmanager
def unfinished_request(server: Running) -> Iterator[None]:
    """A client that says half of what it has to say, and then nothing."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as client:
        client.sendall(
            b"POST /api/v1/members HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
            b"Content-Type: application/json\r\nExpect: 100-continue\r\n"
            + f"Authorization: Bearer {OPERATOR_TOKEN}\r\n\r\n".encode()
        )
        # It waits for the rest by now.
        assert client.recv(100).startswith(b"HTTP/1.1 100 ")
        client.sendall(b"{")
        yield


def wait_until(met, *, seconds: float = PATIENCE) -> None:
    given_up_at = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < given_up_at, "it never came to that"
        time.sleep(0.02)


def waits_for_a_lock(url: str) -> bool:
    with psycopg.connect(url) as connection:
        return bool(
            connection.execute(
                "select from pg_stat_activity "
                "where datname = current_database() and wait_event_type = 'Lock'"
            ).rowcount
        )


def refuses(server: Running) -> bool:
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


def postmaster(data: Path) -> int:
    return int((data / "postgres" / "postmaster.pid").read_text().split()[0])


def postgres_runs(data: Path) -> bool:
    return (data / "postgres" / "postmaster.pid").exists()


def processor_seconds(pid: int) -> float:
    """What a process has used of the processor so far."""
    try:
        used = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        pytest.skip("needs /proc")
    return (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> int:
    """The resident bytes of a process."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        pytest.skip("needs /proc")
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def children_of(pid: int) -> list[int]:
    try:
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    except FileNotFoundError:
        pytest.skip("needs /proc")
