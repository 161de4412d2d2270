"""How many letters to strangers a member's token may begin: the one too many beside the last one."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from overture.actions import pace
from overture.core.pace import Pace
from overture.core.suspicions import Evidence, Kind
from overture.store import suspicions
from tests.api.conftest import site_in

SLOW = Pace(daily=3, daily_new=1, new_for=timedelta(days=7))


@pytest.fixture
async def site(database_url):
    async with site_in(database_url, pace=SLOW) as made:
        yield made


async def strangers(site, count):
    return [await site.member(f"stranger-{n}", premium="premium_career") for n in range(count)]


async def test_a_new_account_begins_slowly_and_an_older_one_less_so(site):
    ada = await site.token(await site.member("ada", premium="premium_career"))
    grace, alan, joan, mary = await strangers(site, 4)

    assert (await ada.writes(grace)).status_code == 201
    refused = await ada.writes(alan)

    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (429, "sending_limit")
    assert 86_000 < int(refused.headers["retry-after"]) <= 86_400
    assert (problem["allowed"], problem["credits"], problem["balance"]) == (False, 1, 4)
    assert problem["remedy"]["kind"] == "wait"
    free_at = datetime.fromisoformat(problem["remedy"]["at"])
    assert timedelta(hours=23) < free_at - datetime.now(UTC) <= timedelta(hours=24)
    told = (await ada.get(f"/members/{alan.id}/contact")).json()
    assert (told["allowed"], told["code"]) == (False, "sending_limit")

    await site.days_pass(7)
    statuses = [(await ada.writes(each)).status_code for each in (alan, joan, mary)]
    assert statuses == [201, 201, 429]


async def test_a_member_may_invite_so_many_in_a_day_and_an_operator_for_them_any(site, monkeypatch):
    monkeypatch.setattr(pace, "INVITATIONS", replace(pace.INVITATIONS, count=1))
    member = await site.member("ada")
    ada = await site.token(member)
    grace, alan, joan = await strangers(site, 3)

    async def invites(caller, to):
        return await caller.post("/connections", {"member_id": to.id})

    assert (await invites(ada, grace)).status_code == 201
    refused = await invites(ada, alan)
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert int(refused.headers["retry-after"]) > 0
    assert (await ada.get("/connections", params={"state": "sent"})).json()["items"] != []
    assert (await invites(member, alan)).status_code == 201
    assert (await invites(member, joan)).status_code == 201


async def test_a_member_may_report_so_often_in_a_day(site, monkeypatch):
    monkeypatch.setattr(pace, "REPORTS", replace(pace.REPORTS, count=1))
    ada = await site.token(await site.member("ada"))
    (grace,) = await strangers(site, 1)
    report = {"member_id": grace.id, "reason": "spam"}

    answers = [await ada.post("/reports", report) for _ in range(2)]

    assert [each.status_code for each in answers] == [201, 429]
    assert answers[1].json()["code"] == "rate_limited"


async def test_nothing_is_charged_for_a_letter_that_goes_too_fast(site):
    member = await site.member("ada", premium="premium_career")
    ada = await site.token(member)
    grace, alan = await strangers(site, 2)

    await ada.writes(grace)
    assert (await ada.writes(alan, key="again")).status_code == 429

    ledger = (await member.get("/me/ledger")).json()["items"]
    assert [each["kind"] for each in ledger] == ["grant", "spend"]
    # The refusal freed the key: what the operator sends for the member with it is a first try.
    assert (await member.writes(alan, key="again")).status_code == 201


async def test_the_operator_is_held_to_no_pace(site):
    ada = await site.member("ada", premium="premium_career")

    for each in await strangers(site, 4):
        assert (await ada.writes(each)).status_code == 201


async def test_only_what_begins_with_a_stranger_counts(site):
    ada_as = await site.member("ada", premium="premium_career")
    ada = await site.token(ada_as)
    grace, alan = await strangers(site, 2)
    friend = await site.member("friend")
    await site.operator.put("/connections", {"pairs": [[ada_as.id, friend.id]]})

    assert (await ada.writes(friend)).status_code == 201
    begun = await ada.writes(grace)
    assert begun.status_code == 201
    assert (await ada.writes(friend, "And then")).status_code == 201
    thread = f"/conversations/{begun.json()['conversation']['id']}"
    assert (await grace.post(f"{thread}/accept")).status_code == 200
    assert (await ada.writes(grace, "Thank you")).status_code == 201

    assert (await ada.writes(alan)).status_code == 429


async def test_what_the_rules_refuse_is_told_first(site):
    ada = await site.token(await site.member("ada", premium="premium_career"))
    grace = (await strangers(site, 1))[0]
    basic = await site.member("basic")
    await ada.writes(grace)

    assert (await ada.writes(grace)).json()["code"] == "pending_inmail"
    assert (await ada.writes(basic)).json()["code"] == "recipient_not_premium"


async def test_of_letters_sent_at_once_no_more_go_than_the_pace_allows(site):
    ada = await site.token(await site.member("ada", premium="premium_career"))
    await site.days_pass(7)

    sent = await asyncio.gather(*(ada.writes(each) for each in await strangers(site, 5)))

    assert sorted(each.status_code for each in sent) == [201, 201, 201, 429, 429]


async def test_whoever_is_slowed_has_a_new_accounts_pace(site):
    member = await site.member("ada", premium="premium_career")
    ada = await site.token(member)
    await site.days_pass(30)
    grace, alan = await strangers(site, 2)
    until = site.town.now + timedelta(days=7)
    await site.town.do(lambda tx: suspicions.slow(tx, member.id, until))

    assert (await ada.writes(grace)).status_code == 201
    assert (await ada.writes(alan)).json()["code"] == "sending_limit"
    await site.days_pass(7)
    assert (await ada.writes(alan)).status_code == 201


async def test_the_operator_reads_suspicions_and_dismisses_them(site):
    ada = await site.member("ada")
    evidence = Evidence(Kind.LINKS, 12, ("c",), place="shop.example")
    now = site.town.now
    await site.town.do(lambda tx: suspicions.put(tx, ada.id, evidence, now, again=True))

    (told,) = (await site.operator.get("/operator/suspicions")).json()["items"]
    assert (told["member_id"], told["kind"], told["weight"]) == (ada.id, "links", 12)
    assert (told["place"], told["conversations"]) == ("shop.example", ["c"])
    assert (await site.operator.get("/operator/suspicions?kind=refunds")).json()["items"] == []
    path = f"/operator/suspicions/{ada.id}"
    for wrong in ("refunds", "weather"):
        refused = await site.operator.post(f"{path}/{wrong}/dismiss")
        assert (refused.status_code, refused.json()["code"]) == (404, "no_such_suspicion")
    dismissed = await site.operator.post(f"{path}/links/dismiss")
    assert (dismissed.status_code, dismissed.json()["dismissed_at"]) == (
        200,
        "2025-01-31T10:00:00Z",
    )
    assert (await site.operator.get("/operator/suspicions")).json()["items"] == []
    log = (await site.operator.get("/operator/audit")).json()["items"]
    assert (log[0]["action"], log[0]["detail"]) == ("suspicion.dismissed", {"kind": "links"})
