"""Messages that are changed or deleted over HTTP."""

from __future__ import annotations

import pytest

from overture.actions import network
from tests.api.conftest import Caller, Site


@pytest.fixture
async def pair(site: Site) -> tuple[Caller, Caller, str]:
    """Two who are connected, and the address of Ada's message to Grace."""
    ada, grace = await site.member("ada"), await site.member("grace")
    assert ada.id
    assert grace.id
    pairs = [(ada.id, grace.id)]
    await site.town.do(lambda tx: network.upsert_pairs(tx, pairs, site.town.now))
    written = (await ada.writes(grace, "Hello")).json()
    conversation, message = written["conversation"]["id"], written["message"]["id"]
    return ada, grace, f"/conversations/{conversation}/messages/{message}"


async def test_a_changed_message_says_when(pair: tuple[Caller, Caller, str]):
    ada, grace, path = pair

    answer = await ada.patch(path, json={"body": "Good morning"})

    assert answer.status_code == 200, answer.text
    assert answer.json()["body"] == "Good morning"
    assert answer.json()["edited_at"] is not None
    seen = (await grace.get(path.rpartition("/")[0])).json()["items"][0]
    assert seen == answer.json()


async def test_a_deleted_message_keeps_its_place_without_its_text(
    pair: tuple[Caller, Caller, str],
):
    ada, grace, path = pair

    answer = await ada.delete(path)

    assert answer.status_code == 200, answer.text
    assert answer.json()["body"] == ""
    assert answer.json()["deleted_at"] is not None
    assert (await ada.delete(path)).json()["code"] == "message_deleted"
    seen = (await grace.get(path.rpartition("/")[0])).json()["items"][0]
    assert (seen["number"], seen["body"]) == (1, "")


async def test_it_takes_the_writer_and_a_text(pair: tuple[Caller, Caller, str], site: Site):
    ada, grace, path = pair
    stranger = await site.member("eve")

    blank = await ada.patch(path, json={"body": " \n"})
    assert (blank.status_code, blank.json()["errors"][0]["field"]) == (422, "body")
    others = await grace.patch(path, json={"body": "x"})
    assert (others.status_code, others.json()["code"]) == (403, "not_your_message")
    assert (await stranger.patch(path, json={"body": "x"})).status_code == 404
    assert (await stranger.delete(path)).status_code == 404


async def test_a_letter_is_withdrawn_instead(site: Site):
    ada = await site.member("ada", premium="premium_career")
    grace = await site.member("grace", premium="premium_career")
    written = (await ada.writes(grace, "Hello")).json()
    path = f"/conversations/{written['conversation']['id']}/messages/{written['message']['id']}"

    answer = await ada.delete(path)

    assert (answer.status_code, answer.json()["code"]) == (409, "letter_stays")
