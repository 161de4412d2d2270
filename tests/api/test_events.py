"""The stream of events: what a caller is told over it, where it goes on, when it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest

from overture.api.app import api_app
from overture.core.ids import TokenId
from overture.core.sending import Event as Told
from overture.live import hub as hubs
from overture.live import stream as streams
from overture.store import tokens
from overture.store.outbox import tell
from tests.api.conftest import OPERATOR_TOKEN, Caller, Site, site_in
from tests.live.listening import Reader, behind_a_socket
from tests.work import runner_in


@dataclass
class Live:
    site: Site
    http: httpx.AsyncClient

    @asynccontextmanager
    async def answer(self, caller: Caller, **headers: str) -> AsyncIterator[httpx.Response]:
        sent = {"Authorization": f"Bearer {caller.token}", **headers}
        if caller.id is not None:
            sent["Act-As"] = caller.id
        async with self.http.stream("GET", "/events", headers=sent) as answer:
            yield answer

    @asynccontextmanager
    async def stream(self, caller: Caller, after: str | None = None) -> AsyncIterator[Reader]:
        headers = {} if after is None else {"Last-Event-ID": after}
        async with self.answer(caller, **headers) as answer:
            assert answer.status_code == 200, await answer.aread()
            reader = Reader(answer)
            if after is None:
                await reader.position()
            yield reader


@asynccontextmanager
async def live_in(database_url: str) -> AsyncIterator[Live]:
    async with site_in(database_url) as site:
        await site.context.hub.start()
        try:
            async with (
                behind_a_socket(api_app(site.context)) as address,
                httpx.AsyncClient(base_url=f"{address}/api/v1", timeout=None) as http,
            ):
                yield Live(site, http)
        finally:
            await site.context.hub.stop()


@pytest.fixture
async def live(database_url: str) -> AsyncIterator[Live]:
    async with live_in(database_url) as made:
        yield made


async def pair(site: Site) -> tuple[Caller, Caller]:
    ada = await site.member("ada", premium="premium_career")
    return ada, await site.member("grace", premium="premium_career")


async def accepted(site: Site, ada: Caller, grace: Caller) -> str:
    """A conversation that ada began and grace accepted."""
    letter = (await ada.writes(grace, "A question")).json()
    path = f"/conversations/{letter['conversation']['id']}"
    assert (await grace.post(f"{path}/accept")).status_code == 200
    return path


async def test_a_letter_is_told_as_it_would_be_read(live):
    ada, grace = await pair(live.site)
    async with live.stream(ada) as of_ada, live.stream(grace) as of_grace:
        sent = (await ada.writes(grace, "First line\nsecond line", subject="A talk")).json()

        begun, message = await of_grace.next(), await of_grace.next()
        path = f"/conversations/{sent['conversation']['id']}"
        assert (begun.name, begun.data) == ("conversation", (await grace.get(path)).json())
        assert (message.name, message.data) == ("message", sent["message"])
        assert message.data["body"] == "First line\nsecond line"
        credits = await of_ada.until("credits")
        assert credits.data == {"pool": "premium", "balance": 4}
        assert (await of_ada.until("message")).data == sent["message"]


async def test_an_answer_is_told_with_the_credit_that_comes_back(live):
    ada, grace = await pair(live.site)
    sent = (await ada.writes(grace)).json()
    path = f"/conversations/{sent['conversation']['id']}"
    async with live.stream(ada) as of_ada:
        await grace.post(f"{path}/messages", {"body": "With pleasure"})

        told = {event.name: event for event in [await of_ada.next() for _ in range(3)]}

    assert told["conversation"].data["state"] == "accepted"
    assert told["message"].data["body"] == "With pleasure"
    assert told["credits"].data["balance"] == 5


async def test_of_a_withdrawn_letter_the_recipient_is_told_nothing_more(live):
    ada, grace = await pair(live.site)
    async with live.stream(grace) as of_grace:
        after = of_grace.last
        sent = (await ada.writes(grace, "A secret", subject="Hidden")).json()
        await of_grace.until("message")
        await ada.post(f"/conversations/{sent['conversation']['id']}/withdraw")

        told = await of_grace.next()

        assert (told.name, told.data["state"]) == ("conversation", "withdrawn")
        assert told.data["subject"] == ""
        assert told.data["last_message"] is None
    # Nor does it come again to who goes on from before.
    async with live.stream(grace, after) as again:
        told = await again.next()
        assert (told.name, told.data["state"]) == ("conversation", "withdrawn")
        assert "secret" not in told.text
        await live.site.operator.put("/connections", {"pairs": []})


# Receipts and typing -------------------------------------------------------------------------------

PRIVACY = [
    # state, ada's switch, grace's switch, what ada hears of grace
    ("pending", True, True, False),
    ("accepted", True, True, True),
    ("accepted", False, True, False),
    ("accepted", True, False, False),
    ("withdrawn", True, True, False),
]


@pytest.mark.parametrize(("state", "ada_on", "grace_on", "told"), PRIVACY)
async def test_receipts_and_typing_are_told_only_where_the_rules_allow(
    live, state, ada_on, grace_on, told
):
    ada, grace = await pair(live.site)
    sent = (await ada.writes(grace)).json()
    path = f"/conversations/{sent['conversation']['id']}"
    if state == "accepted":
        await grace.post(f"{path}/accept")
    if state == "withdrawn":
        await ada.post(f"{path}/withdraw")
    for caller, on in ((ada, ada_on), (grace, grace_on)):
        await caller.patch("/me/preferences", {"receipts_and_typing": on})
    async with live.stream(ada) as of_ada:
        await grace.post(f"{path}/typing")
        await grace.post(f"{path}/read", {"up_to": sent["message"]["id"]})
        # The last that is told, whatever came before it.
        await ada.put("/me/subscriptions/sales_navigator", {"plan": "sales_navigator_core"})
        names = []
        while (event := await of_ada.next()).name != "credits":
            names.append((event.name, event.data))

    assert [name for name, _ in names] == (["typing", "receipt"] if told else [])
    if told:
        conversation = sent["conversation"]["id"]
        assert names == [
            ("typing", {"conversation_id": conversation, "member_id": grace.id}),
            ("receipt", {"conversation_id": conversation, "up_to": sent["message"]["id"]}),
        ]


async def test_the_one_who_reads_hears_of_it_as_a_change_of_their_own_row(live):
    ada, grace = await pair(live.site)
    sent = (await ada.writes(grace)).json()
    path = f"/conversations/{sent['conversation']['id']}"
    async with live.stream(grace) as of_grace:
        await grace.post(f"{path}/read", {"up_to": sent["message"]["id"]})

        told = await of_grace.next()

    assert (told.name, told.data["unread"]) == ("conversation", 0)


# Going on ------------------------------------------------------------------------------------------


async def test_it_goes_on_from_the_last_id_over_a_restart(database_url):
    async with live_in(database_url) as live:
        ada, grace = await pair(live.site)
        path = await accepted(live.site, ada, grace)
        async with live.stream(ada) as of_ada:
            await grace.post(f"{path}/messages", {"body": "one"})
            first = await of_ada.next()
        await grace.post(f"{path}/messages", {"body": "two"})
    async with live_in_again(database_url) as live:
        ada, grace = (
            Caller(live.http, OPERATOR_TOKEN, ada.id),
            Caller(live.http, OPERATOR_TOKEN, grace.id),
        )
        async with live.stream(ada, first.id) as again:
            assert (await again.next()).data["body"] == "two"
            await grace.post(f"{path}/messages", {"body": "three"})
            assert (await again.next()).data["body"] == "three"


@asynccontextmanager
async def live_in_again(database_url: str) -> AsyncIterator[Live]:
    """Another server on the same data, whose operator's token is there already."""
    from overture.api.context import make_context
    from overture.clock import TestClock
    from overture.context import share
    from tests.cast import town_in

    async with town_in(database_url) as town:
        context = make_context(share(town.db, TestClock(), town.book, runner_in(town).play))
        await context.hub.start()
        async with (
            behind_a_socket(api_app(context)) as address,
            httpx.AsyncClient(base_url=f"{address}/api/v1", timeout=None) as http,
        ):
            yield Live(Site(context, town, http), http)
            await context.hub.stop()


@pytest.mark.parametrize("id_", ["yesterday", "-1", "1.5", "1" * 19, "٣"])
async def test_a_last_event_id_that_is_none_is_refused(live, id_):
    ada = await live.site.member("ada")
    headers = {b"Last-Event-ID": id_.encode()}
    async with live.http.stream(
        "GET",
        "/events",
        headers={b"Authorization": f"Bearer {OPERATOR_TOKEN}".encode(), b"Act-As": ada.id.encode()}
        | headers,
    ) as answer:
        await answer.aread()
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] == "Last-Event-ID"


async def test_an_id_that_is_unknown_here_is_told_to_begin_anew(live):
    ada = await live.site.member("ada")
    async with live.stream(ada, "999999") as stream:
        event = await stream.next()
        assert event.name == "reset"
        assert int(event.id) < 999999
        await ada.put("/me/subscriptions/premium", {"plan": "premium_career"})
        assert (await stream.next()).name == "credits"


# Who may, and until when ----------------------------------------------------------------------------


async def test_it_is_for_members_with_the_scope_to_read(live):
    ada = await live.site.member("ada")
    writer = await live.site.token(ada, "write")
    for caller, status, code in (
        (Caller(live.http, "nobody"), 401, "unauthorized"),
        (live.site.operator, 400, "act_as_required"),
        (writer, 403, "insufficient_scope"),
    ):
        async with live.answer(caller) as answer:
            await answer.aread()
            assert (answer.status_code, answer.json()["code"]) == (status, code)
    async with live.answer(await live.site.token(ada, "read")) as answer:
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"


async def test_it_ends_when_the_token_is_revoked(live, monkeypatch):
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(streams, "CHECK_SECONDS", 0.05)
    ada = await live.site.member("ada")
    secret, token = "ada-s-own-token", TokenId("01a206ae-50e2-768d-8c9c-477b24b2b656")
    row = tokens.TokenRow(token, ada.id, ("read",), "", None)
    from hashlib import sha256

    await live.site.town.do(lambda tx: tokens.add(tx, row, sha256(secret.encode()).digest()))
    async with live.stream(Caller(live.http, secret)) as stream:
        await live.site.town.do(lambda tx: tokens.revoke(tx, token))

        assert (await stream.next()).name == "bye"
        assert await stream.next() is None


async def test_it_ends_when_the_account_is_closed_and_when_the_server_stops(live):
    ada, grace = await pair(live.site)
    async with live.stream(ada) as of_ada, live.stream(grace) as of_grace:
        await live.site.town.do(
            lambda tx: tell(tx, [Told(ada.id, "member.closed", live.site.town.now, {})])
        )
        assert (await of_ada.next()).name == "bye"

        live.site.context.hub.end_streams()

        assert await of_grace.next() is None


async def test_a_reader_that_went_away_is_forgotten(live):
    ada = await live.site.member("ada")
    hub = live.site.context.hub
    async with live.stream(ada):
        assert hub.streams == 1
    async with live.stream(ada) as stream:
        await ada.put("/me/subscriptions/premium", {"plan": "premium_career"})
        await stream.next()
        assert hub.streams == 1


async def test_a_member_may_not_open_too_many(live, monkeypatch):
    monkeypatch.setattr(hubs, "STREAMS_A_MEMBER_MAX", 1)
    ada = await live.site.member("ada")
    async with live.stream(ada), live.answer(ada) as refused:
        await refused.aread()
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_streams")
        assert refused.headers["retry-after"] == "30"


async def test_heartbeats_carry_a_place_to_go_on_from(live, monkeypatch):
    monkeypatch.setattr(streams, "HEARTBEAT_SECONDS", 0.05)
    ada, grace = await pair(live.site)
    eve = await live.site.member("eve")
    async with live.stream(eve) as stream:
        began = int(stream.last)
        await ada.writes(grace)
        while int(await stream.position()) <= began:
            pass


def test_an_event_of_several_lines_is_well_formed():
    made = streams.event(streams.Piece("message", "<p>\r\none\rtwo\n\nid: 7</p>"), 4)
    assert made == (
        b"id: 4\nevent: message\ndata: <p>\ndata: one\ndata: two\ndata: \ndata: id: 7</p>\n\n"
    )


async def test_the_events_are_described(site: Site):
    described = (await site.http.get("/openapi.json")).json()
    told = described["paths"]["/events"]["get"]
    assert list(told["x-events"]) == [
        "message", "conversation", "receipt", "typing", "credits", "reminder", "decision",
    ]  # fmt: skip
    assert "text/event-stream" in told["responses"]["200"]["content"]
    page = (await site.http.get("/reference")).text
    assert "<caption>Events</caption>" in page
    assert "Last-Event-ID" in page
