"""Idempotency-Key: the same request is carried out once, however often it comes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from overture.store.db import one_row
from tests.api.conftest import Caller, Site, site_in


@pytest.fixture
async def ada(site: Site) -> Caller:
    return await site.member("ada", premium="premium_career")


@pytest.fixture
async def grace(site: Site) -> Caller:
    return await site.member("grace", premium="premium_career")


async def count(site: Site, table: str) -> int:
    row = await site.town.look(lambda tx: one_row(tx, f"select count(*) from {table}"))
    return row[0]


async def test_the_same_key_and_body_get_the_first_answer_again(site, ada, grace):
    first = await ada.writes(grace, key="k")
    again = await ada.writes(grace, key="k")

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert await count(site, "messages") == 1


async def test_white_space_and_the_order_of_fields_do_not_matter(site, ada, grace):
    first = await ada.writes(grace, key="k")
    body = f'{{ "body" : "Hello",\n "to": "{grace.id}" }}'.encode()
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json; charset=utf-8"}
    again = await ada.call("POST", "/conversations", content=body, headers=headers)
    assert again.content == first.content


async def test_the_same_key_with_another_body_is_refused(site, ada, grace):
    await ada.writes(grace, key="k")
    other = await ada.writes(grace, "Good bye", key="k")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert await count(site, "messages") == 1


async def test_fifty_at_once_are_one_message_and_one_charge(site, ada, grace):
    answers = await asyncio.gather(*(ada.writes(grace, key="k") for _ in range(50)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert await count(site, "messages") == 1
    preview = await ada.get(f"/members/{(await site.member('joan')).id}/contact")
    assert preview.status_code == 200
    spent = await site.town.look(
        lambda tx: one_row(tx, "select count(*) from ledger_entries where kind = 'spend'")
    )
    assert spent == (1,)


async def test_fifty_at_once_through_two_servers_are_one_too(site, ada, grace, database_url):
    async with site_in(database_url) as other_site:
        ada_there = Caller(other_site.http, ada.token, ada.id)
        answers = await asyncio.gather(
            *(who.writes(grace, key="k") for who in [ada, ada_there] * 25)
        )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert await count(site, "messages") == 1


async def test_a_refusal_frees_the_key(site, ada):
    basil = await site.member("basil")
    refused = await ada.writes(basil, key="k")
    assert refused.json()["code"] == "recipient_not_premium"

    await site.town.chooses(basil.id, "premium", "premium_career")

    assert (await ada.writes(basil, key="k")).status_code == 201


async def test_keys_are_of_the_member_the_method_and_the_path(site, ada, grace):
    joan = await site.member("joan", premium="premium_career")
    first = await ada.writes(grace, key="k")
    theirs = await joan.writes(grace, key="k")
    assert theirs.status_code == 201
    assert theirs.content != first.content

    one = first.json()["conversation"]["id"]
    on = await grace.post(
        f"/conversations/{one}/messages", {"body": "Hello"}, headers={"Idempotency-Key": "k"}
    )
    assert on.status_code == 201
    assert "idempotent-replayed" not in on.headers


async def test_a_members_token_and_the_operator_acting_as_them_share_keys(site, ada, grace):
    first = await ada.writes(grace, key="k")
    own = await site.token(ada)
    assert (await own.writes(grace, key="k")).content == first.content


async def test_kept_answers_outlive_the_server(site, ada, grace, database_url):
    first = await ada.writes(grace, key="k")
    async with site_in(database_url) as restarted:
        again = await Caller(restarted.http, ada.token, ada.id).writes(grace, key="k")
    assert again.content == first.content


@pytest.mark.parametrize("verb", ["accept", "decline", "withdraw"])
async def test_every_post_honours_the_key(site, ada, grace, verb):
    one = (await ada.writes(grace)).json()["conversation"]["id"]
    who = ada if verb == "withdraw" else grace
    headers = {"Idempotency-Key": "k"}
    first = await who.post(f"/conversations/{one}/{verb}", headers=headers)
    again = await who.post(f"/conversations/{one}/{verb}", headers=headers)
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"


async def test_a_post_in_a_transaction_of_its_own_honours_it_too(site, ada, grace):
    path = "/connections"
    headers = {"Idempotency-Key": "k"}
    body = {"member_id": grace.id}
    first = await ada.post(path, body, headers=headers)
    again = await ada.post(path, body, headers=headers)
    assert first.status_code == 201, first.text
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    other = await ada.post(path, body | {"note": "Hello"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")

    refused = await ada.post(path, body, headers={"Idempotency-Key": "other"})
    assert refused.status_code == 409
    await grace.delete(f"/connections/{ada.id}")


@pytest.mark.parametrize("key", ["", "k" * 256, "with space", "tab\t", "é".encode(), b"\xff\xfe"])
async def test_a_key_has_1_to_255_ascii_characters(site, ada, grace, key: Any):
    body = {"to": grace.id, "body": "Hello"}
    answer = await ada.post("/conversations", body, headers={"Idempotency-Key": key})
    if key == "with space":
        assert answer.status_code == 201
        return
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"
    assert await count(site, "messages") == 0

    longest = await ada.post("/conversations", body, headers={"Idempotency-Key": "k" * 255})
    assert longest.status_code == 201
