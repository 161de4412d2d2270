"""What comes by itself is told on time: grants, and credits about to expire."""

from __future__ import annotations

import msgspec

from overture.store import jobs
from overture.store.migrate import migrations
from tests.jobs.conftest import Worked


async def _dates(worked: Worked, kind: str) -> list[str]:
    return [at.strftime("%d %b %H:%M") for _, at, _ in await worked.told(kind)]


async def test_each_grant_of_a_cycle_is_told_when_it_comes(worked: Worked):
    await worked.town.member("ada", premium="premium_career")

    await worked.passes(days=120)

    assert await _dates(worked, "credits.granted") == [
        "28 Feb 10:00",
        "31 Mar 10:00",
        # At the end of April the cap cuts off all of it, and nothing is told.
        "31 May 10:00",
    ]


async def test_credits_about_to_expire_are_told_twice(worked: Worked):
    ada = await worked.town.member("ada", premium="premium_career")
    await worked.passes(days=1)
    await worked.town.cancels(ada, "premium", "period_end")
    await worked.town.chooses(ada, "premium", "premium_career")

    await worked.passes(days=121)

    told = await worked.told("credits.expiring")
    assert [at.strftime("%d %b %H:%M") for _, at, _ in told] == ["17 May 10:00", "28 May 10:00"]
    payloads = [msgspec.json.decode(payload) for _, _, payload in told]
    assert [(each["credits"], each["last"]) for each in payloads] == [(5, False), (5, True)]


async def test_spent_credits_are_not_told_to_expire(worked: Worked):
    ada = await worked.town.member("ada", premium="premium_career")
    for name in ("b", "c", "d", "e", "f"):
        other = await worked.town.member(f"{name}{name}", premium="premium_career")
        await worked.town.sends(ada, other)

    await worked.passes(days=110)

    mine = [
        payload
        for _, _, payload in await worked.told("credits.expiring")
        if msgspec.json.decode(payload)["credits"] == 5
    ]
    assert len(mine) == 5  # those of the others


async def test_who_comes_back_within_a_month_is_watched_again(worked: Worked):
    ada = await worked.town.member("ada", premium="premium_career")
    await worked.passes(days=1)
    await worked.town.cancels(ada, "premium", "now")
    await worked.passes(days=1)
    await worked.town.chooses(ada, "premium", "premium_career")

    await worked.passes(days=40)

    assert await _dates(worked, "credits.granted") == ["02 Mar 10:00"]


async def test_who_was_there_before_there_was_due_work_is_told_what_comes(worked: Worked):
    ada = await worked.town.member("ada", premium="premium_career")
    grace = await worked.town.member("grace", premium="premium_career")
    await worked.town.sends(ada, grace)
    await worked.town.do(lambda tx: jobs.skip_to_now(tx, "jobs"))
    (busy,) = (each.text for each in migrations() if each.name == "busy_jobs")
    inserts = [each for each in busy.split(";") if "insert into jobs" in each]
    assert len(inserts) == 2

    for insert in inserts:
        await worked.town.do(lambda tx, insert=insert: tx.execute(insert))
    await worked.passes(days=40)

    assert len(await worked.told("inmail.reminded")) == 1
    assert await _dates(worked, "credits.granted") == ["28 Feb 10:00"] * 2
