"""The worked example of docs/rules.md, to the second, through the HTTP API with the test clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.conftest import Caller, Site

A_DAY_90 = datetime(2025, 5, 11, 9, tzinfo=UTC)


def at(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)


async def subscribe(who: Caller, plan: str) -> dict[str, Any]:
    answer = await who.put("/me/subscriptions/premium", {"plan": plan})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def pool(who: Caller) -> dict[str, Any]:
    return (await who.get("/me/premium")).json()["pools"][0]


async def balance(who: Caller) -> tuple[int, int]:
    now = await pool(who)
    return now["balance"], now["deferred"]


async def ledger(who: Caller) -> list[tuple[Any, ...]]:
    """Instant, kind, credits, forfeited, reason and running balance of every entry."""
    answer = (await who.get("/me/ledger", params={"pool": "premium", "limit": 100})).json()
    assert answer["next"] is None
    return [
        (
            entry["at"].removesuffix("Z").replace("T", " "),
            entry["kind"],
            entry["credits"],
            entry["forfeited"],
            entry["reason"],
            entry["balance"],
        )
        for entry in answer["items"]
    ]


async def lots(who: Caller) -> list[tuple[str, str, int, int]]:
    return [
        (lot["granted_at"], lot["expires_at"], lot["granted"], lot["remaining"])
        for lot in (await pool(who))["lots"]
    ]


@pytest.mark.parametrize("look_often", [True, False], ids=["looking often", "looking late"])
async def test_the_worked_example(site: Site, look_often: bool):
    """Whether somebody looks at every step or only at the end, the ledger is the same."""

    async def is_now(text: str, *expected: int) -> None:
        await site.clock(at(text))
        if look_often:
            assert await balance(ada) == expected, text

    ada, grace, joan = [await site.member(handle) for handle in ("ada", "grace", "joan")]
    for each in (ada, grace, joan):
        await subscribe(each, "premium_career")
    await is_now("2025-01-31 10:00:00", 5, 0)
    assert await lots(ada) == [("2025-01-31T10:00:00Z", "2025-05-31T10:00:00Z", 5, 5)]

    await site.clock(at("2025-02-10 09:00:00"))
    letter_a = await ada.writes(grace, "A")
    assert letter_a.json()["charge"] == {"pool": "premium", "credits": 1, "balance": 4}

    await is_now("2025-02-28 09:59:59", 4, 0)
    await is_now("2025-02-28 10:00:00", 9, 0)
    await is_now("2025-03-31 10:00:00", 14, 0)
    await is_now("2025-04-30 10:00:00", 15, 0)

    await site.clock(A_DAY_90)
    one = letter_a.json()["conversation"]["id"]
    assert (await grace.post(f"/conversations/{one}/accept")).status_code == 200
    await is_now("2025-05-11 09:00:00", 15, 1)

    await site.clock(at("2025-05-20 00:00:00"))
    letter_b = await ada.writes(joan, "B")
    assert letter_b.json()["charge"] == {"pool": "premium", "credits": 1, "balance": 15}
    await is_now("2025-05-20 00:00:00", 15, 0)

    await is_now("2025-05-31 09:59:59", 15, 0)
    await is_now("2025-05-31 10:00:00", 15, 0)
    await is_now("2025-06-28 09:59:59", 15, 0)
    await is_now("2025-06-28 10:00:00", 10, 0)
    await is_now("2025-06-30 10:00:00", 15, 0)
    assert await lots(ada) == [
        ("2025-03-31T10:00:00Z", "2025-07-29T10:00:00Z", 5, 5),
        ("2025-04-30T10:00:00Z", "2025-08-28T10:00:00Z", 1, 1),
        ("2025-05-20T00:00:00Z", "2025-09-17T00:00:00Z", 1, 1),
        ("2025-05-31T10:00:00Z", "2025-09-28T10:00:00Z", 3, 3),
        ("2025-06-30T10:00:00Z", "2025-10-28T10:00:00Z", 5, 5),
    ]

    await site.clock(at("2025-07-03 12:00:00"))
    preview = await ada.put(
        "/me/subscriptions/premium", {"plan": "premium_business"}, params={"preview": "true"}
    )
    assert preview.json()["forfeits"] == 15
    upgraded = await subscribe(ada, "premium_business")
    assert upgraded["forfeits"] == 15
    assert (await pool(ada))["next_grant"] == {"at": "2025-08-03T12:00:00Z", "credits": 15}

    assert await ledger(ada) == [
        ("2025-01-31 10:00:00", "grant", 5, 0, "sign_up", 5),
        ("2025-02-10 09:00:00", "spend", -1, 0, "inmail", 4),
        ("2025-02-28 10:00:00", "grant", 5, 0, "cycle", 9),
        ("2025-03-31 10:00:00", "grant", 5, 0, "cycle", 14),
        ("2025-04-30 10:00:00", "grant", 1, 4, "cap", 15),
        ("2025-05-11 09:00:00", "defer", 0, 0, "response", 15),
        ("2025-05-20 00:00:00", "spend", -1, 0, "inmail", 14),
        ("2025-05-20 00:00:00", "refund", 1, 0, "deferred", 15),
        ("2025-05-31 10:00:00", "expire", -3, 0, "expired", 12),
        ("2025-05-31 10:00:00", "grant", 3, 2, "cap", 15),
        ("2025-06-28 10:00:00", "expire", -5, 0, "expired", 10),
        ("2025-06-30 10:00:00", "grant", 5, 0, "cycle", 15),
        ("2025-07-03 12:00:00", "forfeit", -15, 0, "plan_change", 0),
        ("2025-07-03 12:00:00", "grant", 15, 0, "plan_change", 15),
    ]


async def test_a_second_after_day_ninety_is_too_late(site: Site):
    ada, grace = await site.member("ada"), await site.member("grace")
    for each in (ada, grace):
        await subscribe(each, "premium_career")
    await site.clock(at("2025-02-10 09:00:00"))
    one = (await ada.writes(grace)).json()["conversation"]["id"]

    await site.clock(A_DAY_90 + timedelta(seconds=1))
    assert (await grace.post(f"/conversations/{one}/accept")).status_code == 200

    assert await balance(ada) == (15, 0)
    assert (await ledger(ada))[-1] == (
        "2025-05-11 09:00:01",
        "no_refund",
        0,
        0,
        "too_late",
        15,
    )
