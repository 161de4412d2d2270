"""Where requests go that somebody else named: nowhere but the public internet, and what was judged."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence

import pytest
import trustme
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from overture.outward import NoAnswer, Outward, Place
from tests.webhooks.conftest import Got, answering, receiving

# Documentation's addresses are none to the guard; nothing is ever sent to these, which are somebody's.
PUBLIC, PUBLIC_6 = "93.184.216.34", "2606:4700:4700::1111"
NOT_PUBLIC = "Its host leads to an address that is not on the public internet."


class Names(AbstractResolver):
    """Answers from a list, one answer each time it is asked; the last one again and again."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        self.asked.append(host)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not found:
            raise OSError(None, "no such name")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in found
        ]

    async def close(self) -> None:
        pass


class Sockets:
    """Connects to nothing, and remembers where to it should have."""

    def __init__(self) -> None:
        self.places: list[tuple[object, ...]] = []

    def __call__(self, place: Place) -> socket.socket:
        self.places.append(place[4][:2])
        raise OSError("nothing is connected to in this test")


def made(
    *answers: Sequence[str], allowed: Sequence[str] = ()
) -> tuple[Callable[[str], object], Names, Sockets]:
    names, sockets = Names(*answers), Sockets()
    outward = Outward(allowed, resolver=lambda: names, connect=sockets)
    return (lambda url: outward.post(url, {}, b"{}")), names, sockets


@pytest.mark.parametrize(
    "answer",
    [
        [PUBLIC, "127.0.0.1"],
        ["127.0.0.1", PUBLIC],
        [PUBLIC_6, PUBLIC, "::1"],
        [PUBLIC, "::ffff:127.0.0.1"],
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["fd00:ec2::254"],
        ["2002:7f00:1::"],
        ["64:ff9b::7f00:1"],
        ["fe80::1%1"],
    ],
)
async def test_a_name_that_leads_inside_even_among_others_is_not_followed(answer):
    post, names, sockets = made(answer)

    assert await post("https://rebind.example/") == NoAnswer(NOT_PUBLIC)
    assert names.asked == ["rebind.example"]
    assert sockets.places == []


async def test_what_was_judged_is_what_is_connected_to_whatever_the_name_says_next():
    post, names, sockets = made([PUBLIC], ["127.0.0.1"])

    assert await post("https://rebind.example/") == NoAnswer("It could not be connected to.")
    assert names.asked == ["rebind.example"]
    assert sockets.places == [(PUBLIC, 443)]

    assert await post("https://rebind.example/") == NoAnswer(NOT_PUBLIC)
    assert sockets.places == [(PUBLIC, 443)]


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://127.0.0.1./",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://0177.0.0.1/",
        "https://017700000001/",
        "https://0/",
        "https://[::1]/",
        "https://[::]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://[::127.0.0.1]/",
        "https://[fe80::1%25lo]/",
        "https://[2002:7f00:1::]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[fec0::1]/",
        "https://169.254.169.254/latest/meta-data/",
        "https://100.100.100.200/",
        "https://224.0.0.1/",
        "https://\uff11\uff12\uff17.0.0.1/",
        "https://127\u30020\u30020\u30021/",
        "https://localhost/",
        "https://localhost.localdomain/",
        "https://user@127.0.0.1/",
        "https://public.example@127.0.0.1/",
    ],
)
async def test_no_spelling_of_an_address_inside_is_connected_to(url):
    # Whatever is taken for a name is given the answer that a system's resolver gives to it.
    post, _, sockets = made(["127.0.0.1"])

    assert isinstance(await post(url), NoAnswer)
    assert sockets.places == []


async def test_the_systems_own_names_are_judged_by_what_the_system_answers():
    sockets = Sockets()

    assert await Outward((), connect=sockets).post("https://localhost/", {}, b"") == NoAnswer(
        NOT_PUBLIC
    )
    assert isinstance(
        await Outward(["localhost"], connect=sockets).post("https://localhost/", {}, b""), NoAnswer
    )
    assert {place[1] for place in sockets.places} == {443}


async def test_an_address_on_the_internet_is_connected_to_without_asking_for_a_name():
    post, names, sockets = made([])

    await post(f"https://{PUBLIC}:8443/")
    await post(f"https://[{PUBLIC_6}]/")

    assert names.asked == []
    assert sockets.places == [(PUBLIC, 8443), (PUBLIC_6, 443)]


async def test_a_host_that_is_allowed_is_connected_to_wherever_it_is_and_no_other():
    post, _, sockets = made(["10.0.0.7"], allowed=["Hooks.Internal"])

    await post("http://hooks.internal:8000/")
    assert sockets.places == [("10.0.0.7", 8000)]
    assert await post("http://other.internal:8000/") == NoAnswer(NOT_PUBLIC)
    assert await post("http://a.hooks.internal/") == NoAnswer(NOT_PUBLIC)
    assert len(sockets.places) == 1


async def test_no_name_and_no_socket_are_told_apart():
    post, _, _ = made([])
    assert await post("https://nowhere.example/") == NoAnswer("Its host has no address.")


async def test_neither_a_proxy_of_the_environment_nor_its_passwords_are_used(receiver, monkeypatch):
    async with receiving() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert await Outward(["127.0.0.1"]).post(receiver.url, {}, b"{}") == 204
        assert proxy.got == []
    assert "Authorization" not in receiver.got[0].headers


async def test_no_cookie_comes_back(receiver):
    outward = Outward(["127.0.0.1"])
    receiver.behaves = answering(200, **{"Set-Cookie": "a=b"})

    async with outward.session(receiver.url):
        for _ in range(2):
            assert await outward.post(receiver.url, {}, b"{}") == 200

    assert "Cookie" not in receiver.got[1].headers


async def test_connections_are_kept_while_requests_are_under_way_and_no_longer(receiver):
    outward = Outward(["127.0.0.1"])
    ports: list[object] = []

    async def behave(got: Got, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        ports.append(request.transport.get_extra_info("peername")[1])
        return web.Response()

    receiver.behaves = behave
    async with outward.session(receiver.url):
        for _ in range(3):
            await outward.post(receiver.url, {}, b"{}")
    assert len(set(ports)) == 1
    await outward.post(receiver.url, {}, b"{}")
    assert len(set(ports)) == 2
    assert outward._open == {}


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 1000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\na: " + b"b" * 100_000 + b"\r\n\r\n",
        b"\0" * 10,
        b"",
    ],
)
async def test_what_is_no_answer_is_a_failure(answer):
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        answered = await Outward(["127.0.0.1"]).post(f"http://127.0.0.1:{port}/", {}, b"{}")
    assert isinstance(answered, NoAnswer)
    assert answered.why.startswith("It")
    assert "127.0.0.1" not in answered.why


async def test_a_certificate_that_nobody_vouches_for_is_not_taken():
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1", "localhost").configure_cert(context)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        answered = await Outward(["127.0.0.1"]).post(f"https://127.0.0.1:{port}/", {}, b"{}")
    assert isinstance(answered, NoAnswer)
    assert "its certificate is not valid" in answered.why


async def test_plain_http_where_tls_is_wanted_is_said_to_be_no_secure_connection(receiver):
    url = receiver.url.replace("http:", "https:")

    answered = await Outward(["127.0.0.1"]).post(url, {}, b"{}")

    assert isinstance(answered, NoAnswer)
    assert "secure" in answered.why
