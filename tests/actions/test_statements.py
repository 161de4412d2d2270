"""What a member sees of a pool: newest first, with names, by kind; lots by month; sums that add up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from overture.actions import credits, statements
from overture.actions.statements import Line, Rate, Sheet, Show, answers
from overture.core.credits import Kind
from overture.core.ids import MemberId
from overture.core.refusals import Refusal
from overture.store.pages import BadCursor, Page
from overture.store.statements import Opened, Sent
from tests.cast import Town, town_in


@pytest.fixture
async def town(database_url: str) -> AsyncIterator[Town]:
    async with town_in(database_url) as made:
        yield made


def day(month: int, number: int, hour: int = 0) -> datetime:
    return datetime(2025, month, number, hour, tzinfo=UTC)


async def page(
    town: Town, member: MemberId, show: Show = Show.ALL, cursor: str | None = None, limit: int = 100
) -> Page[Line]:
    found = await town.look(
        lambda tx: statements.statement(
            tx,
            member,
            "premium",
            show,
            cursor=cursor,
            limit=limit,
            now=town.now,
            book=town.book,
        )
    )
    assert isinstance(found, Page), found
    return found


async def sheet(town: Town, member: MemberId, zone: str = "UTC") -> Sheet:
    found = await town.look(
        lambda tx: statements.sheet(
            tx,
            member,
            "premium",
            Show.ALL,
            limit=20,
            now=town.now,
            book=town.book,
            zone=ZoneInfo(zone),
        )
    )
    assert isinstance(found, Sheet), found
    return found


async def played(town: Town) -> MemberId:
    """The worked example of the rules, up to 30 June."""
    ada = await town.member("ada", premium="premium_career")
    first = await town.member("grace", premium="premium_career")
    second = await town.member("alan", premium="premium_career")
    town.now = day(2, 10, 9)
    asked = await town.sends(ada, first)
    assert not isinstance(asked, Refusal)
    town.now = day(5, 11, 9)
    await town.accepts(first, asked)
    town.now = day(5, 20)
    assert not isinstance(await town.sends(ada, second), Refusal)
    town.now = day(6, 30, 10)
    return ada


async def test_a_statement_is_the_ledger_backwards(town: Town) -> None:
    ada = await played(town)

    forwards = await town.look(
        lambda tx: credits.ledger(
            tx, ada, "premium", cursor=None, limit=100, now=town.now, book=town.book
        )
    )
    assert isinstance(forwards, Page)

    backwards: list[Line] = []
    cursor = None
    while True:
        part = await page(town, ada, cursor=cursor, limit=3)
        assert len(part.items) <= 3
        backwards += part.items
        if (cursor := part.next) is None:
            break
    assert [line.entry for line in backwards] == [line.entry for line in forwards.items][::-1]


@pytest.mark.parametrize(
    ("show", "kinds"),
    [
        (Show.SPENT, [Kind.SPEND, Kind.SPEND]),
        (Show.RETURNED, [Kind.REFUND, Kind.DEFER]),
        (Show.EXPIRED, [Kind.EXPIRE, Kind.EXPIRE]),
        (Show.GRANTED, [Kind.GRANT] * 6),
        (Show.OTHER, []),
    ],
)
async def test_a_part_of_it_can_be_looked_at_alone(
    town: Town, show: Show, kinds: list[Kind]
) -> None:
    ada = await played(town)

    found = await page(town, ada, show)

    assert [line.entry.kind for line in found.items] == kinds


async def test_entries_name_whom_they_are_about_and_how_the_lot_came(town: Town) -> None:
    ada = await played(town)

    spent = (await page(town, ada, Show.SPENT)).items
    returned = (await page(town, ada, Show.RETURNED)).items
    expired = (await page(town, ada, Show.EXPIRED)).items

    assert [line.letter.name for line in spent if line.letter] == ["Alan", "Grace"]
    assert [line.letter and line.letter.response for line in returned] == ["accepted", "accepted"]
    assert [line.opened for line in expired] == [
        Opened(Kind.GRANT, day(2, 28, 10)),
        Opened(Kind.GRANT, day(1, 31, 10)),
    ]


async def test_lots_are_grouped_by_month_grants_and_returns_apart(town: Town) -> None:
    ada = await played(town)
    town.now = day(6, 1)

    seen = await sheet(town, ada)

    assert [(g.kind, g.since.month, g.remaining, g.granted) for g in seen.lots] == [
        (Kind.GRANT, 2, 5, 5),
        (Kind.GRANT, 3, 5, 5),
        (Kind.GRANT, 4, 1, 1),
        (Kind.REFUND, 5, 1, 1),
        (Kind.GRANT, 5, 3, 3),
    ]
    assert sum(group.remaining for group in seen.lots) == seen.balance == 15


async def test_months_are_those_of_the_members_own_time_zone(town: Town) -> None:
    town.now = day(1, 31, 23)
    ada = await town.member("ada", premium="premium_career")
    town.now = day(3, 15)

    there = await sheet(town, ada, "Asia/Tokyo")
    here = await sheet(town, ada, "UTC")

    assert {m.start.month: m.sums.get(Kind.GRANT) for m in here.months}[1] == 5
    assert {m.start.month: m.sums.get(Kind.GRANT) for m in there.months}[2] == 5
    assert len(here.months) == 6


async def test_the_months_add_up_to_the_balance(town: Town) -> None:
    ada = await played(town)

    seen = await sheet(town, ada)

    assert sum(sum(month.sums.values()) for month in seen.months) == seen.balance == 15
    assert seen.subscription is not None
    assert seen.subscription.balance == 15


async def test_refunds_that_wait_are_shown_with_whose_they_are(town: Town) -> None:
    ada = await town.member("ada", premium="premium_career")
    grace = await town.member("grace", premium="premium_career")
    town.now = day(2, 10, 9)
    asked = await town.sends(ada, grace)
    assert not isinstance(asked, Refusal)
    town.now = day(5, 11, 9)
    await town.accepts(grace, asked)

    seen = await sheet(town, ada)

    assert [(w.letter and w.letter.name, w.since) for w in seen.waiting] == [("Grace", town.now)]


async def test_an_ended_subscription_leaves_its_statement(town: Town) -> None:
    ada = await town.member("ada", premium="premium_career")
    await town.cancels(ada, "premium", "now")

    seen = await sheet(town, ada)

    assert (seen.subscription, seen.balance, seen.forecast) == (None, 0, None)
    assert [line.entry.kind for line in seen.statement.items] == [Kind.FORFEIT, Kind.GRANT]


async def test_who_never_had_a_pool_has_no_statement_of_it(town: Town) -> None:
    ada = await town.member("ada", premium="premium_career")

    async def ask(pool: str) -> object:
        return await town.look(
            lambda tx: statements.statement(
                tx, ada, pool, Show.ALL, cursor=None, limit=5, now=town.now, book=town.book
            )
        )

    assert await ask("recruiter") is Refusal.NO_SUBSCRIPTION
    assert await ask("nonsense") is Refusal.NO_SUBSCRIPTION


async def test_a_cursor_of_another_list_is_refused(town: Town) -> None:
    ada = await town.member("ada", premium="premium_career")

    with pytest.raises(BadCursor):
        await page(town, ada, cursor="nonsense")


async def test_a_file_has_all_pools_and_adds_up(town: Town) -> None:
    ada = await played(town)
    await town.chooses(ada, "recruiter", "recruiter_lite")
    town.pass_by(days=200)

    lines: list[Line] = []
    opened: dict[tuple[str, int], Opened] = {}
    cursor = None
    while True:
        part = await town.look(_export(town, ada, opened, cursor))
        lines += part.items
        if (cursor := part.next) is None:
            break

    for held in await town.look(lambda tx: statements.held(tx, ada, town.now, town.book)):
        assert held.balance == sum(x.entry.credits for x in lines if x.pool == held.pool)
    ends = [line for line in lines if line.entry.kind is Kind.EXPIRE]
    assert ends
    assert all(line.opened for line in ends)
    assert [x.letter and x.letter.name for x in lines if x.entry.kind is Kind.SPEND] == [
        "Grace",
        "Alan",
    ]


def _export(
    town: Town, member: MemberId, opened: dict[tuple[str, int], Opened], cursor: str | None
) -> Callable[..., object]:
    return lambda tx: statements.export(
        tx, member, opened, cursor=cursor, limit=4, now=town.now, book=town.book
    )


async def test_what_was_answered_is_told_of_the_last_ninety_days(town: Town) -> None:
    ada = await town.member("ada", premium="premium_business")
    others = [await town.member(f"other-{n}", premium="premium_career") for n in range(4)]
    asked = [await town.sends(ada, other) for other in others]
    town.pass_by(hours=30)
    for other, inmail in zip(others[:2], asked[:2], strict=True):
        assert not isinstance(inmail, Refusal)
        await town.accepts(other, inmail)

    seen = (await sheet(town, ada)).answers

    assert seen.lately == Rate(4, 2)
    assert seen.before == Rate(0, 0)
    assert seen.median == timedelta(hours=30)
    assert seen.windows[-1][1] == Rate(4, 2)
    assert len(seen.windows) == 12


def test_without_letters_there_are_no_numbers() -> None:
    told = answers([], day(6, 1))

    assert told.lately.share is None
    assert told.median is None


def test_the_ninety_days_before_stand_beside_them() -> None:
    now = day(6, 30)
    sent = [
        Sent(now - timedelta(days=120), now - timedelta(days=119)),
        Sent(now - timedelta(days=90), None),
        Sent(now - timedelta(days=89), None),
    ]

    told = answers(sent, now)

    assert (told.before, told.lately) == (Rate(2, 1), Rate(1, 0))
