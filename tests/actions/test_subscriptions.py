"""Choosing and canceling plans: what is told before, what is written, what members see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from overture.actions import subscriptions
from overture.actions.subscriptions import CancelAt, NextGrant, Premium, Status, SubscriptionChange
from overture.core.credits import FOREVER
from overture.core.ids import MemberId
from overture.core.refusals import Refusal
from overture.store.db import all_rows
from tests.cast import SIGN_UP, Town, policy, town_in


@pytest.fixture
async def town(database_url: str) -> AsyncIterator[Town]:
    async with town_in(database_url) as made:
        yield made


def change(told: SubscriptionChange | Refusal) -> SubscriptionChange:
    assert isinstance(told, SubscriptionChange), told
    return told


async def premium(town: Town, member: MemberId) -> Premium:
    return await town.look(lambda tx: subscriptions.premium(tx, member, town.now, town.book))


async def premium_until(town: Town, member: MemberId) -> datetime | None:
    rows = await town.look(
        lambda tx: all_rows(tx, "select premium_until from members where id = %s", (member,))
    )
    return rows[0][0]


async def written(town: Town) -> dict[str, int]:
    """How many rows each table of subscriptions and credits has, and the outbox."""
    tables = ("credit_accounts", "ledger_entries", "subscription_wishes", "outbox")
    counts = {}
    for table in tables:
        rows = await town.look(lambda tx, t=table: all_rows(tx, f"select count(*) from {t}"))
        counts[table] = rows[0][0]
    return counts


async def test_a_first_subscription_grants_at_once(town: Town) -> None:
    ada = await town.member("ada")
    told = change(await town.chooses(ada, "premium", "premium_career"))

    assert (told.forfeits, told.deferred_forfeits, told.grants, told.effective_at) == (
        0,
        0,
        5,
        SIGN_UP,
    )
    view = (await premium(town, ada)).pools[0]
    assert view == told.subscription
    assert (view.plan, view.status, view.balance, view.cap) == ("premium_career", "active", 5, 15)
    assert view.next_grant == NextGrant(datetime(2025, 2, 28, 10, tzinfo=UTC), 5)
    assert view.renews_at == datetime(2025, 2, 28, 10, tzinfo=UTC)
    assert [lot.remaining for lot in view.lots] == [5]
    assert await premium_until(town, ada) == FOREVER


async def test_nobody_subscribes_to_what_does_not_exist(town: Town) -> None:
    ada = await town.member("ada")
    before = await written(town)
    assert await town.chooses(ada, "bitcoin", "premium_career") is Refusal.UNKNOWN_POOL
    assert await town.chooses(ada, "premium", "premium_gold") is Refusal.UNKNOWN_PLAN
    assert await town.chooses(ada, "premium", "recruiter_lite") is Refusal.UNKNOWN_PLAN
    assert await town.cancels(ada, "premium") is Refusal.NO_SUBSCRIPTION
    assert await town.cancels(ada, "bitcoin") is Refusal.UNKNOWN_POOL
    nobody = MemberId("00000000-0000-0000-0000-00000000dead")
    assert await town.chooses(nobody, "premium", "premium_career") is Refusal.NO_SUCH_MEMBER
    assert await written(town) == before


async def test_a_preview_tells_the_same_and_writes_nothing(town: Town) -> None:
    ada = await town.member("ada", premium="premium_career")
    town.pass_by(days=40)
    before = await written(town)
    told = [
        await town.look(
            lambda tx: subscriptions.preview_choice(
                tx, ada, "premium", "premium_business", now=town.now, book=town.book
            )
        ),
        await town.look(
            lambda tx: subscriptions.preview_cancel(
                tx, ada, "premium", CancelAt.PERIOD_END, now=town.now, book=town.book
            )
        ),
        await town.look(
            lambda tx: subscriptions.preview_cancel(
                tx, ada, "premium", CancelAt.NOW, now=town.now, book=town.book
            )
        ),
    ]
    assert await written(town) == before
    assert [(change(each).forfeits, change(each).grants) for each in told] == [
        (10, 15),
        (10, 0),
        (10, 0),
    ]

    assert change(await town.chooses(ada, "premium", "premium_business")) == told[0]


async def test_an_upgrade_happens_at_once(town: Town) -> None:
    ada = await town.member("ada", premium="premium_career")
    at = town.pass_by(days=10)
    told = change(await town.chooses(ada, "premium", "premium_business"))

    assert (told.forfeits, told.grants, told.effective_at) == (5, 15, at)
    assert (told.subscription.since, told.subscription.balance) == (at, 15)


async def test_a_downgrade_waits_and_can_be_withdrawn(town: Town) -> None:
    ada = await town.member("ada", premium="premium_business")
    town.pass_by(days=10)
    told = change(await town.chooses(ada, "premium", "premium_career"))
    end = datetime(2025, 2, 28, 10, tzinfo=UTC)

    assert (told.forfeits, told.grants, told.effective_at) == (15, 5, end)
    view = told.subscription
    assert (view.status, view.plan, view.next_plan) == (
        Status.CHANGING,
        "premium_business",
        "premium_career",
    )
    assert (view.renews_at, view.ends_at, view.next_grant) == (end, None, NextGrant(end, 5))

    back = change(await town.chooses(ada, "premium", "premium_business"))
    assert (back.forfeits, back.grants, back.subscription.status) == (0, 0, Status.ACTIVE)
    assert back.subscription.since == SIGN_UP


async def test_what_a_downgrade_tells_is_what_happens(town: Town) -> None:
    ada = await town.member("ada", premium="premium_business")
    told = change(await town.chooses(ada, "premium", "premium_career"))
    town.now = told.effective_at
    view = (await premium(town, ada)).pools[0]
    assert (view.plan, view.balance, view.since) == ("premium_career", told.grants, town.now)


async def test_a_cancel_at_the_period_s_end(town: Town) -> None:
    ada = await town.member("ada", premium="premium_career")
    told = change(await town.cancels(ada, "premium"))
    end = datetime(2025, 2, 28, 10, tzinfo=UTC)

    assert (told.forfeits, told.effective_at) == (5, end)
    view = told.subscription
    assert (view.status, view.renews_at, view.ends_at) == (Status.CANCELING, None, end)
    assert view.next_grant is None
    assert await premium_until(town, ada) == end
    assert (await premium(town, ada)).premium

    town.now = end
    assert await premium(town, ada) == Premium(False, ())
    assert await town.cancels(ada, "premium") is Refusal.NO_SUBSCRIPTION


async def test_a_cancel_now(town: Town) -> None:
    ada = await town.member("ada", premium="premium_career", recruiter="recruiter_lite")
    at = town.pass_by(days=1)
    told = change(await town.cancels(ada, "premium", "now"))

    assert (told.forfeits, told.effective_at) == (5, at)
    assert (told.subscription.status, told.subscription.ends_at) == (Status.ENDED, at)
    assert [view.pool for view in (await premium(town, ada)).pools] == ["recruiter"]
    assert await premium_until(town, ada) == FOREVER

    await town.cancels(ada, "recruiter", "now")
    assert await premium_until(town, ada) is None


async def test_premium_lasts_as_long_as_the_longest_subscription(town: Town) -> None:
    ada = await town.member("ada", premium="premium_career")
    await town.cancels(ada, "premium")
    town.pass_by(days=10)
    await town.chooses(ada, "recruiter", "recruiter_lite")
    await town.cancels(ada, "recruiter")
    assert await premium_until(town, ada) == datetime(2025, 3, 10, 10, tzinfo=UTC)


async def test_what_was_lost_before_is_not_told_as_lost_now(town: Town) -> None:
    ada = await town.member("ada", premium="premium_career")
    await town.cancels(ada, "premium")
    town.pass_by(days=60)
    told = change(await town.chooses(ada, "premium", "premium_business"))
    assert (told.forfeits, told.grants) == (0, 15)


async def test_coming_back_within_a_month_grants_nothing_now(town: Town) -> None:
    ada = await town.member("ada", premium="premium_career")
    await town.cancels(ada, "premium", "now")
    at = town.pass_by(days=5)
    told = change(await town.chooses(ada, "premium", "premium_career"))
    assert (told.grants, told.subscription.balance) == (0, 0)
    assert told.subscription.next_grant == NextGrant(datetime(2025, 3, 5, 10, tzinfo=UTC), 5)
    assert told.subscription.since == at


async def test_choosing_the_same_again_writes_nothing(town: Town) -> None:
    ada = await town.member("ada", premium="premium_career")
    before = await written(town)
    town.pass_by(days=100)
    change(await town.chooses(ada, "premium", "premium_career"))
    assert await written(town) == before


async def test_a_change_tells_its_events(town: Town) -> None:
    ada = await town.member("ada")
    await town.chooses(ada, "premium", "premium_business")
    await town.chooses(ada, "premium", "premium_career")
    kinds = await town.look(
        lambda tx: all_rows(tx, "select kind from outbox where owner_id = %s order by 1", (ada,))
    )
    assert [row[0] for row in kinds] == [
        "credits.changed",
        "member.created",
        "subscription.changed",
        "subscription.changed",
    ]


async def test_two_first_subscriptions_at_once_are_one(town: Town) -> None:
    ada = await town.member("ada")
    await asyncio.gather(*(town.chooses(ada, "premium", "premium_career") for _ in range(8)))
    assert (await premium(town, ada)).pools[0].balance == 5
    assert (await written(town))["subscription_wishes"] == 1


async def test_sends_and_plan_changes_at_once_lose_nothing(town: Town) -> None:
    ada = await town.member("ada", premium="premium_career")
    others = [await town.member(f"other-{n}", premium="premium_career") for n in range(4)]
    town.pass_by(days=3)
    sent = [town.sends(ada, other) for other in others]
    answers = await asyncio.gather(*sent, town.chooses(ada, "premium", "premium_business"))

    told = change(answers[-1])
    view = (await premium(town, ada)).pools[0]
    # Each was paid from the old plan's five or the new one's fifteen.
    assert told.forfeits + view.balance == 20 - 4


async def test_a_plan_of_the_first_of_the_month_renews_on_its_anniversary(
    database_url: str,
) -> None:
    async with town_in(database_url, policy("linkedin-premium")) as town:
        ada = await town.member("ada", sales_navigator="sales_navigator_core")
        town.now = datetime(2025, 2, 28, 12, tzinfo=UTC)
        view = (await premium(town, ada)).pools[0]
        assert view.renews_at == datetime(2025, 3, 31, 10, tzinfo=UTC)
        assert view.next_grant == NextGrant(datetime(2025, 3, 1, tzinfo=UTC), 50)
