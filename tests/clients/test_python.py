"""The Python client against a running server: sync, async, lists, repeats, events, refusals."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.clients.conftest import heard
from tests.docs.blocks import code
from tests.running import OPERATOR_TOKEN, Running


@pytest.fixture
def people(server: Running, request: pytest.FixtureRequest) -> tuple[str, str]:
    """Two members with a plan each."""
    made: list[str] = []
    for name in ("ada", "bo"):
        handle = f"{name}-{abs(hash(request.node.name)) % 10**8}"
        made.append(server.make_member(handle).json()["id"])
        plan = {"plan": "premium_business"}
        acting = {"Act-As": made[-1]}
        path = "/api/v1/me/subscriptions/premium"
        assert server.request("PUT", path, plan, headers=acting).is_success
    return made[0], made[1]


def test_a_letter_goes_is_listed_and_answered(
    python_client: Path, server: Running, people: tuple[str, str]
):
    from overture_client import Overture, Problem
    from overture_client.api.conversations import (
        conversations_accept,
        conversations_begin,
        inbox_conversations,
    )
    from overture_client.api.members import members_search
    from overture_client.models import Begin, Box

    ada_id, bo_id = people
    with Overture(server.address, OPERATOR_TOKEN) as overture:
        ada, bo = overture.acting_as(ada_id), overture.acting_as(bo_id)
        sent = ada.call(conversations_begin.sync, body=Begin(to=bo_id, body="May I ask you?"))
        assert sent.charge.credits_ == 1
        waiting = list(bo.each(inbox_conversations.sync, box=Box.REQUESTS))
        assert [str(each.id) for each in waiting] == [str(sent.conversation.id)]
        bo.call(conversations_accept.sync, conversation_id=str(sent.conversation.id))
        # Page by page, one member each.
        handles = {each.handle for each in overture.each(members_search.sync, q="", limit=1)}
        assert len(handles) >= 2

        with pytest.raises(Problem) as refused:
            ada.call(conversations_begin.sync, body=Begin(to=ada_id, body="To myself"))
    assert (refused.value.status, refused.value.code) == (403, "no_such_member")
    assert refused.value.detail


async def test_the_same_awaited(python_client: Path, server: Running, people: tuple[str, str]):
    from overture_client import AsyncOverture
    from overture_client.api.conversations import conversations_begin, inbox_conversations
    from overture_client.models import Begin

    ada_id, bo_id = people
    async with AsyncOverture(server.address, OPERATOR_TOKEN) as overture:
        ada = overture.acting_as(ada_id)
        sent = await ada.call(conversations_begin.asyncio, body=Begin(to=bo_id, body="May I?"))
        listed = [each async for each in ada.each(inbox_conversations.asyncio)]
    assert [str(each.id) for each in listed] == [str(sent.conversation.id)]


class Breaks(httpx.BaseTransport):
    """A network that loses answers, and a server that asks to come back: one after the other."""

    def __init__(self, *troubles: str) -> None:
        self.troubles = list(troubles)
        self.keys: list[str | None] = []
        self._below = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.keys.append(request.headers.get("Idempotency-Key"))
        trouble = self.troubles.pop(0) if self.troubles else ""
        if trouble == "busy":
            return httpx.Response(503, headers={"Retry-After": "0"}, json={"code": "unavailable"})
        answer = self._below.handle_request(request)
        if trouble == "lost":
            answer.read()
            answer.close()
            raise httpx.ReadError("the answer is lost")
        return answer

    def close(self) -> None:
        self._below.close()


def test_what_is_asked_again_is_carried_out_once(
    python_client: Path, server: Running, people: tuple[str, str]
):
    from overture_client import Overture, Problem
    from overture_client.api.conversations import conversations_begin, inbox_conversations
    from overture_client.models import Begin

    ada_id, bo_id = people
    network = Breaks("busy", "lost", "lost")
    with Overture(server.address, OPERATOR_TOKEN, act_as=ada_id, transport=network) as ada:
        sent = ada.call(conversations_begin.sync, body=Begin(to=bo_id, body="Once."))
        assert len(network.keys) == 4
        assert len(set(network.keys)) == 1
        assert network.keys[0]
        listed = list(ada.each(inbox_conversations.sync))
        assert [str(each.id) for each in listed] == [str(sent.conversation.id)]
        # And not for ever.
        network.troubles = ["busy"] * 9
        with pytest.raises(Problem, match="unavailable"):
            list(ada.each(inbox_conversations.sync))


class Cuts(httpx.AsyncBaseTransport):
    """Ends the first stream in its middle."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []
        self.opened = [asyncio.Event(), asyncio.Event()]
        self._below = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._below.handle_async_request(request)
        if request.url.path.endswith("/events"):
            self.opened[len(self.asked)].set()
            self.asked.append(request.headers.get("Last-Event-ID"))
            if len(self.asked) == 1:
                return httpx.Response(200, stream=_Cut(answer))
        return answer

    async def aclose(self) -> None:
        await self._below.aclose()


class _Cut(httpx.AsyncByteStream):
    def __init__(self, answer: httpx.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> Any:
        async for part in self._answer.stream:  # type: ignore[union-attr]
            yield part
            if b"event: conversation" in part or b"event: message" in part:
                raise httpx.ReadError("cut off")

    async def aclose(self) -> None:
        await self._answer.aclose()


async def test_events_go_on_after_a_break(
    python_client: Path, server: Running, people: tuple[str, str]
):
    from overture_client import AsyncOverture
    from overture_client.api.conversations import conversations_begin, conversations_write
    from overture_client.models import Begin, WriteOn

    ada_id, bo_id = people
    network = Cuts()
    async with AsyncOverture(server.address, OPERATOR_TOKEN, act_as=bo_id, transport=network) as bo:
        heard: list[Any] = []

        async def listen() -> None:
            async for event in bo.events():
                heard.append(event)
                if event.kind == "message" and event.data["body"] == "After the break":
                    return

        listening = asyncio.create_task(listen())
        await network.opened[0].wait()
        ada = AsyncOverture(server.address, OPERATOR_TOKEN, act_as=ada_id)
        sent = await ada.call(conversations_begin.asyncio, body=Begin(to=bo_id, body="Before it"))
        await network.opened[1].wait()
        await bo.call(
            conversations_write.asyncio,
            conversation_id=str(sent.conversation.id),
            body=WriteOn(body="After the break"),
        )
        async with asyncio.timeout(30):
            await listening
        await ada.close()
    assert network.asked[0] is None
    assert network.asked[1]
    assert "message" in [each.kind for each in heard]


def program_of(page: str, server: Running, people: tuple[str, str]) -> str:
    """What a page shows, with this server and these members in it."""
    (shown,) = code(page, "python")
    known = f"token, ada_id, bo_id = {OPERATOR_TOKEN!r}, {people[0]!r}, {people[1]!r}\n"
    return known + shown.replace("https://inmail.example.org", server.address)


def test_what_the_docs_show_runs(
    python_client: Path, server: Running, people: tuple[str, str], tmp_path: Path
):
    ada, _ = people
    cy = server.make_member(f"cy-{ada[-8:]}").json()["id"]
    plan, acting = {"plan": "premium_business"}, {"Act-As": cy}
    path = "/api/v1/me/subscriptions/premium"
    assert server.request("PUT", path, plan, headers=acting).is_success
    asks = {"to": ada, "subject": "A question", "body": "May I?"}
    assert server.request("POST", "/api/v1/conversations", asks, headers=acting).is_success
    (tmp_path / "shown.py").write_text(program_of("docs/clients.md", server, people))

    program = [sys.executable, "-u", "shown.py"]
    told = heard(program, tmp_path, server, people[1], PYTHONPATH=str(python_client))

    assert told[0] == "A question"
    assert "Yes" in told[-1]


def test_what_its_readme_shows_runs(
    python_client: Path,
    server: Running,
    people: tuple[str, str],
    capsys: pytest.CaptureFixture[str],
):
    exec(program_of("clients/python/README.md", server, people), {})

    assert capsys.readouterr().out == "\n"
