"""What stands before the API and the web app: hosts, proxies, headers, how many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from overture.front import HEADERS, Surface, UnderWay, front, hosts_of

Headers = Sequence[tuple[bytes, bytes]]


class Behind:
    """An application that remembers what it was asked, and answers once it may."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append(scope)
        await self.may_answer.wait()
        own = [(b"referrer-policy", b"no-referrer")]
        await send({"type": "http.response.start", "status": 200, "headers": own})
        await send({"type": "http.response.body", "body": b"ok"})


async def ask(
    app: Any,
    *headers: tuple[bytes, bytes],
    path: str = "/",
    client: str = "127.0.0.1",
    version: str = "1.1",
) -> tuple[int, dict[str, str]]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "headers": list(headers),
        "http_version": version,
    }
    await app(scope | {"client": (client, 5)}, None, send)
    said = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], said


def host(name: str) -> tuple[bytes, bytes]:
    return b"host", name.encode("latin-1")


OURS = Surface(hosts=("inmail.example",))


@pytest.mark.parametrize(
    "name",
    [
        "inmail.example",
        "INMAIL.example",
        "inmail.example:443",
        "inmail.example.",
        "localhost:8000",
        "127.0.0.1:8000",
        "[::1]:8000",
        "192.0.2.7",
    ],
)
async def test_it_answers_to_its_names_and_to_numbers(name: str):
    assert (await ask(front(Behind(), OURS), host(name)))[0] == 200


@pytest.mark.parametrize(
    "name",
    [
        "evil.example",
        "inmail.example.evil.example",
        "xinmail.example",
        "",
        "[",
        "ÿ",
        "a" * 70000,
        "inmail.example@evil.example",
        "localhost.evil.example",
    ],
)
async def test_it_answers_to_nobody_elses_name(name: str):
    behind = Behind()

    status, headers = await ask(front(behind, OURS), host(name))

    assert status == 421
    assert headers["content-type"] == "application/problem+json"
    assert HEADERS.keys() <= {each.title() for each in headers}
    assert behind.asked == []


async def test_a_request_names_one_host():
    app = front(Behind(), Surface())

    assert (await ask(app))[0] == 400
    assert (await ask(app, host("a.example"), host("b.example")))[0] == 400
    assert (await ask(app, version="1.0"))[0] == 200


async def test_whoever_watches_over_it_need_not_know_its_name():
    app = front(Behind(), OURS)

    assert (await ask(app, host("pod-7"), path="/healthz"))[0] == 200
    assert (await ask(app, host("pod-7"), path="/api/v1/plans"))[0] == 421


@pytest.mark.parametrize(
    ("allowed", "public_url", "listens_on", "hosts"),
    [
        ([], None, "127.0.0.1", ()),
        ([], None, "localhost", ()),
        ([], None, "0.0.0.0", ("*",)),
        ([], "https://Inmail.example:8443", "0.0.0.0", ("inmail.example",)),
        (["A.example", "b.example"], "https://inmail.example", "::", ("a.example", "b.example")),
    ],
)
def test_its_names_are_those_allowed_else_the_sites_else_this_machines(
    allowed: list[str], public_url: str | None, listens_on: str, hosts: Sequence[str]
):
    assert hosts_of(allowed, public_url, listens_on) == hosts


@pytest.mark.parametrize(
    ("told", "client"),
    [
        ([], "10.0.0.1"),
        (["198.51.100.1"], "198.51.100.1"),
        # Whoever asks may have written what stands on the left.
        (["203.0.113.5, 198.51.100.1"], "198.51.100.1"),
        (["203.0.113.5, 10.0.0.1"], "203.0.113.5"),
        (["127.0.0.1, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        (["203.0.113.5", "198.51.100.1"], "198.51.100.1"),
        (["198.51.100.1, "], "10.0.0.1"),
        (["198.51.100.1, nonsense, 10.0.0.2"], "10.0.0.2"),
        (["198.51.100.1:4711"], "198.51.100.1"),
        (['"[2001:db8::1]:4711"'], "2001:db8::1"),
        (["2001:db8::1"], "2001:db8::1"),
        (["::ffff:198.51.100.1, ::ffff:10.0.0.2"], "198.51.100.1"),
        ([f"198.51.100.1{', 10.0.0.1' * 40}"], "10.0.0.1"),
    ],
)
async def test_of_those_before_it_each_believed_one_tells_of_the_next(told: list[str], client: str):
    behind = Behind()
    app = front(behind, Surface(proxies=("10.0.0.0/24",)))

    lines = [(b"x-forwarded-for", each.encode()) for each in told]
    await ask(app, host("x"), *lines, client="10.0.0.1")
    assert behind.asked[0]["client"][0] == client

    # A stranger is believed nothing, this machine not either where it is not named.
    for stranger in ("192.0.2.77", "127.0.0.1"):
        await ask(app, host("x"), *lines, client=stranger)
        assert behind.asked.pop()["client"][0] == stranger


async def test_every_answer_says_what_a_browser_may_do_with_it():
    _, headers = await ask(front(Behind(), Surface(https=True)), host("x"))

    assert headers["referrer-policy"] == "no-referrer"  # its own
    assert headers["strict-transport-security"] == "max-age=31536000"
    assert "default-src 'none'" in headers["content-security-policy"]

    _, plain = await ask(front(Behind(), Surface()), host("x"))
    assert "strict-transport-security" not in plain


async def test_one_more_than_can_be_worked_on_is_told_to_come_back():
    behind = Behind()
    behind.may_answer.clear()
    app = front(behind, Surface(requests_at_once=2))
    waiting = [asyncio.create_task(ask(app, host("x"))) for _ in range(2)]
    await asyncio.sleep(0.01)
    assert len(behind.asked) == 2

    status, headers = await ask(app, host("x"))
    assert status == 503
    assert headers["retry-after"] == "1"
    # A stream goes on beside them.
    stream = asyncio.create_task(ask(app, host("x"), path="/events"))

    behind.may_answer.set()
    assert [status for status, _ in await asyncio.gather(*waiting, stream)] == [200, 200, 200]
    assert (await ask(app, host("x")))[0] == 200


async def test_what_is_under_way_is_counted_without_the_streams():
    behind, under_way = Behind(), UnderWay()
    behind.may_answer.clear()
    app = front(behind, Surface(), under_way)
    paths = ("/", "/events", "/api/v1/members")
    asking = [asyncio.create_task(ask(app, host("a.example"), path=path)) for path in paths]
    await asyncio.sleep(0)

    assert len(behind.asked) == 3
    assert under_way.requests == 2

    behind.may_answer.set()
    await asyncio.gather(*asking)
    assert under_way.requests == 0
