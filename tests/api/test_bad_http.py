"""Bad HTTP on a real socket: an answer that is no 5xx, and a server that goes on."""

from __future__ import annotations

import gzip
import json
import re
import socket
import time
from contextlib import ExitStack

import pytest

from overture import protocol
from tests.api.conftest import OPERATOR_TOKEN, Site
from tests.api.server import served
from tests.running import PATIENCE

AUTH = f"Host: x\r\nAuthorization: Bearer {OPERATOR_TOKEN}\r\n".encode()
JSON = b"Content-Type: application/json\r\n"


async def nothing(_: Site) -> None:
    pass


@pytest.fixture(scope="module")
def port(databases):
    url = databases.fresh()
    with served(url, nothing) as (address, _):
        yield int(address.rpartition(":")[2])
    databases.drop(url)


def exchange(port: int, sent: bytes) -> tuple[int, bytes]:
    """The status and the whole of the first answer; like a simple client, it sends all of it first."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as peer:
        peer.sendall(sent)
        return answer_on(peer)


def answer_on(peer: socket.socket) -> tuple[int, bytes]:
    received = b""
    while b"\r\n\r\n" not in received and (part := peer.recv(65536)):
        received += part
    length = re.search(rb"content-length: (\d+)", received)
    end = received.index(b"\r\n\r\n") + 4 + (int(length[1]) if length else 0)
    while len(received) < end and (part := peer.recv(65536)):
        received += part
    return int(received.split(b" ", 2)[1]), received


GET, POST = b"GET /api/v1/plans HTTP/1.1\r\n", b"POST /api/v1/members HTTP/1.1\r\n" + AUTH + JSON
END = b" HTTP/1.1\r\n" + AUTH + b"\r\n"
BAD = {
    "a path that is no ASCII": b"GET /api/v1/\xff\xfe" + END,
    "a path that is no UTF-8": b"GET /api/v1/members/%ff/contact" + END,
    "NUL in the path": b"GET /api/v1/members/%00" + END,
    "a surrogate in the path": b"GET /api/v1/members/%ed%a0%80" + END,
    "a query that is no ASCII": b"GET /api/v1/members?q=\xff" + END,
    "a surrogate in the query": b"GET /api/v1/members?q=%ed%a0%80" + END,
    "slashes": b"GET //api//v1" + END,
    "a whole URL": b"GET http://x/api/v1/nowhere" + END,
    "a star": b"OPTIONS *" + END,
    "an unknown method": b"BREW /api/v1/plans" + END,
    "a header that is no text": GET + AUTH + b"Act-As: \xff\x01\r\n\r\n",
    "a token that is no text": GET + b"Host: x\r\nAuthorization: Bearer \x80\r\n\r\n",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n{}",
    "a length beyond all": POST + b"Content-Length: 99999999999999999999\r\n\r\n{}",
    "a large body": POST + b"Content-Length: 10000000\r\n\r\n" + b" " * 10_000_000,
    "an address without end": b"GET /" + b"a" * 1_000_000 + END,
    "a header without end": GET + b"Host: x\r\nX: " + b"a" * 10_000_000 + b"\r\n\r\n",
    "headers without end": GET + b"a: b\r\n" * 1_000_000 + b"\r\n",
    "a broken chunk": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "nonsense": b"nonsense\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}


@pytest.mark.parametrize("sent", BAD.values(), ids=BAD.keys())
def test_bad_http_is_answered_with_a_4xx(port, sent):
    status, answer = exchange(port, sent)
    assert 400 <= status < 500, answer
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    assert json.loads(body)["status"] == status

    assert exchange(port, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")[0] == 200


@pytest.mark.parametrize("size", [70_000, 10_000_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_passed_over_and_the_connection_goes_on(port, size, chunked):
    smuggled = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    body = b" " * size + smuggled
    head = f"Content-Length: {len(body)}\r\n\r\n".encode()
    if chunked:
        head = b"Transfer-Encoding: chunked\r\n\r\n"
        body = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as peer:
        # All of it is sent before the answer is looked at, which must still be there then.
        peer.sendall(POST + head + body)
        status, answer = answer_on(peer)
        assert status == 413
        assert b'"code":"too_large"' in answer
        assert answer.count(b"HTTP/1.1") == 1

        peer.sendall(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer_on(peer)[0] == 404


def test_what_comes_beside_the_body_has_64_kib_at_most(port):
    half = b"X: " + b"a" * 32_000 + b"\r\n"
    get = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as peer:
        # For each request anew.
        for _ in range(3):
            peer.sendall(get + half + b"\r\n")
            assert answer_on(peer)[0] == 404
        peer.sendall(get + half * 2 + half)
        assert answer_on(peer)[0] == 431
        assert peer.recv(100) == b""


def test_what_stands_behind_a_body_in_parts_has_its_limit_too(port):
    trailers = b"".join(b"x%d: %b\r\n" % (n, b"a" * 1000) for n in range(1000))
    body = b"2\r\n{}\r\n0\r\n" + trailers + b"\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as peer:
        peer.sendall(POST + b"Transfer-Encoding: chunked\r\n\r\n" + body)
        assert answer_on(peer)[0] == 431


def test_a_request_that_came_whole_is_not_answered_for_by_the_nonsense_behind_it(port):
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as peer:
        peer.sendall(POST + b"Content-Length: 2\r\n\r\n{}" + b"nonsense\r\n\r\n")
        assert b"".join(iter(lambda: peer.recv(65536), b"")) == b""


def test_a_body_is_never_unpacked(port):
    packed = gzip.compress(b" " * 10_000_000 + b"{}")
    head = f"Content-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    assert exchange(port, POST + head + packed)[0] == 400


@pytest.mark.parametrize("said", [b"", GET + b"Host: x"])
def test_who_does_not_come_to_the_end_of_the_headers_is_let_go(port, monkeypatch, said):
    monkeypatch.setattr(protocol, "HEAD_SECONDS_MAX", 0.3)
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as peer:
        peer.sendall(said)
        received = b"".join(iter(lambda: peer.recv(65536), b""))
    assert received[:12] == (b"HTTP/1.1 408" if said else b"")


def test_who_comes_to_it_in_time_has_all_the_time_there_is(port, monkeypatch):
    # Not so short that a busy machine takes as long between the connection and the head.
    monkeypatch.setattr(protocol, "HEAD_SECONDS_MAX", 1.0)
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as peer:
        peer.sendall(POST + b"Content-Length: 2\r\n\r\n")
        time.sleep(1.2)
        peer.sendall(b"{}")
        assert answer_on(peer)[0] == 422
        time.sleep(1.2)
        peer.sendall(POST + b"Content-Length: 2\r\n\r\n{}")
        assert answer_on(peer)[0] == 422


def test_a_body_that_comes_too_slowly_is_not_waited_for(port, monkeypatch):
    monkeypatch.setattr(protocol, "BODY_SECONDS", 0.3)
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as peer:
        peer.sendall(POST + b"Content-Length: 1000\r\n\r\n{")
        received = b"".join(iter(lambda: peer.recv(65536), b""))
    assert received[:12] == b"HTTP/1.1 408"
    assert b'"code":"body_too_slow"' in received


def test_a_body_has_a_second_more_for_each_kilobyte(port, monkeypatch):
    monkeypatch.setattr(protocol, "BODY_SECONDS", 0.2)
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as peer:
        peer.sendall(POST + b"Content-Length: 20482\r\n\r\n{" + b" " * 20_480)
        time.sleep(0.5)
        peer.sendall(b"}")
        assert answer_on(peer)[0] == 422


def test_what_was_refused_is_passed_over_for_so_long_only(port, monkeypatch):
    monkeypatch.setattr(protocol, "BODY_SECONDS", 0.3)
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as peer:
        peer.sendall(POST + b"Content-Length: 10000000\r\n\r\n{")
        assert answer_on(peer)[0] == 413
        assert b"".join(iter(lambda: peer.recv(65536), b"")) == b""


def test_an_answer_that_nobody_takes_is_given_up(port, monkeypatch):
    monkeypatch.setattr(protocol, "TAKE_SECONDS", 0.3)
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.settimeout(PATIENCE)
        peer.connect(("127.0.0.1", port))
        # More answers than any buffer between the two holds, of which none is read.
        with pytest.raises(ConnectionError):
            ask_for_ever(peer)


def ask_for_ever(peer: socket.socket) -> None:
    while True:
        peer.sendall(b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
        time.sleep(0.02)


def test_where_there_is_no_room_the_one_gives_way_that_says_nothing(databases):
    url = databases.fresh()
    ask = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    with served(url, nothing, connections_max=3) as (address, _), ExitStack() as peers:
        port = int(address.rpartition(":")[2])

        def connect() -> socket.socket:
            return peers.enter_context(
                socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
            )

        def begin() -> socket.socket:
            peer = connect()
            peer.sendall(POST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
            assert answer_on(peer)[0] == 100
            return peer

        busy = [begin(), begin()]
        silent = connect()
        assert exchange(port, ask)[0] == 200
        assert silent.recv(100) == b""

        # All have begun something: who comes now is told so.
        busy.append(begin())
        status, answer = exchange(port, ask)
        assert status == 503
        assert b"\r\nretry-after: 1\r\n" in answer
        for peer in busy:
            peer.sendall(b"{}")
            assert answer_on(peer)[0] == 422
    databases.drop(url)


def test_where_too_many_are_under_way_others_are_told_when_to_come_back(databases, monkeypatch):
    monkeypatch.setattr(protocol, "COME_BACK_SECONDS", 0.05)
    url = databases.fresh()
    ask = b"GET /api/v1/plans HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n"
    ask %= OPERATOR_TOKEN.encode()
    with served(url, nothing, requests_at_once=2) as (address, _), ExitStack() as peers:
        port = int(address.rpartition(":")[2])

        def connect() -> socket.socket:
            return peers.enter_context(
                socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
            )

        def answer_to(peer: socket.socket, request: bytes) -> tuple[int, bool]:
            """The status, and whether it says when to come back."""
            peer.sendall(request)
            status, answer = answer_on(peer)
            return status, b"\r\nretry-after: 1\r\n" in answer

        busy = [connect(), connect()]
        for peer in busy:
            peer.sendall(POST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
            assert answer_on(peer)[0] == 100

        waits = connect()
        # Plain or not, whole or in pieces, it is refused alike; and the connection is heard again.
        first, _, rest = ask.partition(b"Host")
        for request in (ask, ask.replace(b"Host: x", b"Host: x\r\nConnection: keep-alive")):
            assert answer_to(waits, request) == (503, True)
        waits.sendall(first)
        assert answer_to(waits, b"Host" + rest) == (503, True)
        # Whoever watches learns that the server lives.
        assert answer_to(waits, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")[0] == 200

        for peer in busy:
            assert answer_to(peer, b"{}")[0] == 422
        assert answer_to(waits, ask)[0] == 200
    databases.drop(url)


PLAIN = b"POST /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize(
    ("sent", "method"),
    [
        (PLAIN, "POST"),
        (PLAIN.replace(b"Host: x", b"Connection: keep-alive"), "POST"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET"),
        # There is more of it, less of it, or another behind it.
        (PLAIN[:-1], None),
        (PLAIN + b"}", None),
        (PLAIN + PLAIN, None),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", None),
        # Its length can be read in two ways, or is said otherwise.
        (PLAIN.replace(b"Length: 2", b"Length: 2\r\nContent-Length: 3"), None),
        (PLAIN.replace(b"Length: 2", b"Length : 2"), None),
        (PLAIN.replace(b"Length: 2", b"Length: +2"), None),
        (PLAIN.replace(b"Host: x\r\n", b"Host: x\n"), None),
        (PLAIN.replace(b"Host: x", b"Transfer-Encoding: chunked"), None),
        (PLAIN.replace(b"Host: x", b"expect: 100-continue"), None),
        (PLAIN.replace(b"Host: x", b"Connection: close"), None),
        # It is no such request.
        (PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"), None),
        (PLAIN.replace(b"POST", b"HEAD"), None),
        (PLAIN.replace(b"/a?b", b"/a b"), None),
        (PLAIN.replace(b"/a?b", b"/healthz?b"), None),
        (b"\r\n" + PLAIN, None),
        (b"", None),
    ],
)
def test_only_a_plain_whole_request_is_refused_without_being_read(sent: bytes, method: str | None):
    assert protocol._method_of_one(sent) == method
