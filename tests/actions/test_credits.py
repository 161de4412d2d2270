"""The statement, page by page, stored or computed; and an operator's adjustments."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from overture.actions import credits
from overture.actions.credits import Adjusted, LedgerEntry
from overture.core.ids import MemberId
from overture.core.refusals import Refusal
from overture.store.pages import BadCursor, Page, encode
from tests.cast import Town, town_in


@pytest.fixture
async def town(database_url: str) -> AsyncIterator[Town]:
    async with town_in(database_url) as made:
        yield made


async def page(
    town: Town,
    member: MemberId,
    pool: str | None = None,
    cursor: str | None = None,
    limit: int = 100,
) -> Page[LedgerEntry]:
    found = await town.look(
        lambda tx: credits.ledger(
            tx, member, pool, cursor=cursor, limit=limit, now=town.now, book=town.book
        )
    )
    assert isinstance(found, Page), found
    return found


async def whole(town: Town, member: MemberId, limit: int) -> list[LedgerEntry]:
    items: list[LedgerEntry] = []
    cursor: str | None = None
    while True:
        part = await page(town, member, cursor=cursor, limit=limit)
        assert len(part.items) <= limit
        items += part.items
        cursor = part.next
        if cursor is None:
            return items


async def adjusts(
    town: Town, member: MemberId, count: int, pool: str = "premium"
) -> Adjusted | Refusal:
    return await town.do(
        lambda tx: credits.adjust(
            tx,
            member,
            pool,
            credits=count,
            reason="goodwill",
            now=town.now,
            book=town.book,
        )
    )


async def test_what_fell_due_stands_in_the_statement_as_it_will_be_stored(town: Town) -> None:
    ada = await town.member("ada", premium="premium_career", recruiter="recruiter_lite")
    grace = await town.member("grace", premium="premium_career")
    town.pass_by(days=200)
    computed = await whole(town, ada, 100)
    await town.sends(ada, grace)
    await town.sends(ada, grace, "recruiter")
    stored = await whole(town, ada, 100)

    assert stored[: len(computed)] == computed
    assert [line.entry.kind for line in stored[len(computed) :]] == ["spend"]
    assert [line.entry.at for line in stored] == sorted(line.entry.at for line in stored)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
async def test_pages_of_any_size_are_the_same_statement(town: Town, limit: int) -> None:
    ada = await town.member("ada", premium="premium_career", recruiter="recruiter_lite")
    town.pass_by(days=100)
    await adjusts(town, ada, -1)
    town.pass_by(days=100)
    lines = await whole(town, ada, limit)
    assert lines == await whole(town, ada, 64)
    assert len({line.id for line in lines}) == len(lines)
    # At the sign-up's instant the policy's order of pools decides.
    assert [line.pool for line in lines[:2]] == ["premium", "recruiter"]


async def test_a_page_goes_on_where_the_last_one_ended_whatever_came_since(town: Town) -> None:
    ada = await town.member("ada", premium="premium_career")
    town.pass_by(days=60)
    first = await page(town, ada, limit=2)
    await adjusts(town, ada, -3)
    rest = await page(town, ada, cursor=first.next, limit=100)
    assert [line.entry.number for line in (*first.items, *rest.items)] == [1, 2, 3, 4]


async def test_one_pool_alone(town: Town) -> None:
    ada = await town.member("ada", premium="premium_career", recruiter="recruiter_lite")
    assert {line.pool for line in (await page(town, ada, "recruiter")).items} == {"recruiter"}
    assert (await page(town, ada, "sales_navigator")).items == []
    unknown = await town.look(
        lambda tx: credits.ledger(
            tx, ada, "bitcoin", cursor=None, limit=10, now=town.now, book=town.book
        )
    )
    assert unknown is Refusal.UNKNOWN_POOL


@pytest.mark.parametrize("cursor", ["x", encode(1), encode(-1, 0, 0), encode("a", 0, 0), encode()])
async def test_a_cursor_of_another_list_is_refused(town: Town, cursor: str) -> None:
    ada = await town.member("ada", premium="premium_career")
    with pytest.raises(BadCursor):
        await page(town, ada, cursor=cursor)


async def test_a_member_without_plans_has_an_empty_statement(town: Town) -> None:
    assert await page(town, await town.member("ada")) == Page([], None)


async def test_an_adjustment_adds_a_lot_or_takes_what_expires_first(town: Town) -> None:
    ada = await town.member("ada", premium="premium_career")
    town.now = datetime(2025, 2, 1, tzinfo=UTC)
    added = await adjusts(town, ada, 10)
    assert isinstance(added, Adjusted)
    entry = added.entry.entry
    assert (added.balance, entry.credits, entry.reason, entry.lot) == (15, 10, "goodwill", 2)
    assert entry.expires_at == datetime(2025, 6, 1, tzinfo=UTC)

    taken = await adjusts(town, ada, -6)
    assert isinstance(taken, Adjusted)
    assert (taken.balance, taken.entry.entry.credits) == (9, -6)
    assert [line.entry.kind for line in (await page(town, ada)).items] == [
        "grant",
        "adjust",
        "adjust",
    ]


async def test_adjustments_that_are_refused_write_nothing(town: Town) -> None:
    ada = await town.member("ada", premium="premium_career")
    nobody = MemberId("00000000-0000-0000-0000-00000000dead")
    assert await adjusts(town, ada, 11) is Refusal.ADJUSTS_ABOVE_CAP
    assert await adjusts(town, ada, -6) is Refusal.ADJUSTS_BELOW_ZERO
    assert await adjusts(town, ada, 1, "recruiter") is Refusal.ADJUSTS_NO_SUBSCRIPTION
    assert await adjusts(town, ada, 1, "bitcoin") is Refusal.UNKNOWN_POOL
    assert await adjusts(town, nobody, 1) is Refusal.NO_SUCH_MEMBER
    assert len((await page(town, ada)).items) == 1
