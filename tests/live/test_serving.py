"""Streams of `overture serve`: over its processes, over its restarts, and at its end."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest

from tests.running import OPERATOR_TOKEN, PATIENCE, Running, serving


@dataclass
class Stream:
    answer: httpx.Response
    lines: Iterator[str]
    last: str = ""

    def next(self) -> tuple[str, str] | None:
        """The next event's name and data; None where the stream has ended."""
        name = ""
        for line in self.lines:
            kind, _, value = line.partition(": ")
            if kind == "id":
                self.last = value
            elif kind == "event":
                name = value
            elif kind == "data":
                return name, value
        return None


@contextmanager
def stream(server: Running, member: str, after: str | None = None) -> Iterator[Stream]:
    headers = {"Authorization": f"Bearer {OPERATOR_TOKEN}", "Act-As": member}
    if after is not None:
        headers["Last-Event-ID"] = after
    url = f"{server.address}/api/v1/events"
    with httpx.stream("GET", url, headers=headers, timeout=PATIENCE) as answer:
        assert answer.status_code == 200
        made = Stream(answer, answer.iter_lines())
        if after is None:
            made.last = next(line for line in made.lines if line.startswith("id:"))[4:]
        yield made


def subscribe(server: Running, member: str, pool: str, plan: str) -> None:
    answer = server.request(
        "PUT", f"/api/v1/me/subscriptions/{pool}", {"plan": plan}, headers={"Act-As": member}
    )
    assert answer.status_code == 200, answer.text


def test_a_stream_goes_on_in_another_run_of_the_server(database_url):
    on_it = ("--database-url", database_url)
    with serving(*on_it) as server:
        ada = server.make_member("ada").json()["id"]
        with stream(server, ada) as first:
            last = first.last
            subscribe(server, ada, "premium", "premium_career")
    with serving(*on_it) as server, stream(server, ada, last) as again:
        assert '"premium"' in again.next()[1]
        subscribe(server, ada, "recruiter", "recruiter_lite")
        while (told := again.next()) is not None and "recruiter" not in told[1]:
            pass
        assert told is not None


def test_a_stream_of_one_process_tells_what_another_one_did(database_url):
    with serving("--database-url", database_url, "--processes", 2) as server:
        ada = server.make_member("ada").json()["id"]
        # The kernel spreads connections over both: some of these streams are with each.
        for number in range(8):
            with stream(server, ada) as opened:
                pool, plan = [
                    ("premium", "premium_career"),
                    ("premium", "premium_business"),
                ][number % 2]
                subscribe(server, ada, pool, plan)
                assert opened.next() is not None


@pytest.mark.parametrize("processes", [1, 2])
def test_it_ends_in_time_although_streams_are_open(database_url, processes):
    with serving("--database-url", database_url, "--processes", processes) as server:
        ada = server.make_member("ada").json()["id"]
        with stream(server, ada) as one, stream(server, ada) as other, unread(server, ada):
            # How soon that is, `make faults` measures.
            assert server.stop() == 0
            assert one.next() is None
            assert other.next() is None


@contextmanager
def unread(server: Running, member: str) -> Iterator[None]:
    """A stream that nobody reads."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as client:
        client.sendall(
            f"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAct-As: {member}\r\n"
            f"Authorization: Bearer {OPERATOR_TOKEN}\r\n\r\n".encode()
        )
        # It has begun.
        assert client.recv(1, socket.MSG_PEEK)
        yield
