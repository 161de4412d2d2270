"""Policies as files, and as what an installation keeps of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from overture import policies
from overture.core.policy import PolicyBook, PolicyProblem, parse
from overture.store.db import Database

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
async def db(database_url) -> AsyncIterator[Database]:
    made = await Database.open(database_url, connections=2)
    yield made
    await made.close()


async def choose(db: Database, chosen: PolicyBook | None, now: datetime = NOW) -> PolicyBook:
    """What an installation that is started with this policy then goes by, as it is recorded."""
    book = await db.writing(lambda tx: policies.put_in_force(tx, chosen, now))
    assert await db.reading(policies.in_force) == book
    return book


def expiries(book: PolicyBook) -> list[tuple[datetime, int]]:
    return [(version.holds_from, version.expiry.days) for version in book.versions]


def book(*versions: tuple[datetime, int]) -> PolicyBook:
    """The seed with these numbers of days until a lot expires, each from an instant on."""
    seed = policies.load("seed").versions[0]
    return PolicyBook(
        tuple(
            replace(seed, holds_from=holds_from, expiry=timedelta(days=days))
            for holds_from, days in versions
        )
    )


BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
LAST_YEAR = NOW - timedelta(days=365)
NEXT_YEAR = NOW + timedelta(days=365)


@pytest.mark.parametrize("name", policies.presets())
def test_a_version_is_written_and_read_back(name):
    for version in policies.load(name).versions:
        assert parse(policies.written(version)).versions == (version,)


def test_a_title_of_any_characters_is_written_and_read_back():
    seed = policies.load("seed").versions[0]
    replies = [replace(seed.quick_replies[0], text='“Yes” \\ "no"\n\t\x7f\x01 – 🦊')]

    version = replace(seed, quick_replies=tuple(replies))

    assert parse(policies.written(version)).versions == (version,)


async def test_a_new_installation_takes_the_chosen_policy_as_it_is(db):
    chosen = book((BEGINNING, 100), (LAST_YEAR, 110), (NEXT_YEAR, 130))
    assert await choose(db, chosen) == chosen


async def test_a_new_installation_takes_the_seed_when_none_is_chosen(db):
    assert await choose(db, None) == policies.load("seed")


async def test_the_same_policy_again_records_nothing(db):
    first = await choose(db, policies.load("seed"))
    assert await choose(db, policies.load("seed"), NOW + timedelta(days=1)) == first
    assert await choose(db, None, NOW + timedelta(days=2)) == first


async def test_another_policy_holds_from_now_on(db):
    await choose(db, book((BEGINNING, 100)))
    after = await choose(db, book((BEGINNING, 90)))
    assert expiries(after) == [(BEGINNING, 100), (NOW, 90)]

    back = await choose(db, book((BEGINNING, 100)), NOW + timedelta(days=1))
    assert expiries(back) == [(BEGINNING, 100), (NOW, 90), (NOW + timedelta(days=1), 100)]


async def test_a_file_changes_the_future_and_never_the_past(db):
    await choose(db, book((BEGINNING, 100), (NEXT_YEAR, 130)))

    after = await choose(db, book((BEGINNING, 50), (LAST_YEAR, 100), (NEXT_YEAR, 140)))

    assert expiries(after) == [(BEGINNING, 100), (NEXT_YEAR, 140)]


async def test_two_changes_while_a_test_clock_stands_both_count(db):
    await choose(db, book((BEGINNING, 100)))
    await choose(db, book((BEGINNING, 90)))
    after = await choose(db, book((BEGINNING, 80)))

    just_after = NOW + timedelta(microseconds=1)
    assert expiries(after) == [(BEGINNING, 100), (NOW, 90), (just_after, 80)]
    assert await choose(db, book((BEGINNING, 80))) == after


async def test_a_policy_that_drops_a_plan_cannot_follow(db):
    before = await choose(db, policies.load("seed"))
    seed = policies.load("seed").versions[0]
    plans = {name: plan for name, plan in seed.plans.items() if name != "recruiter_lite"}

    with pytest.raises(PolicyProblem, match="drops the plan recruiter_lite"):
        await choose(db, PolicyBook((replace(seed, plans=plans),)))
    assert await choose(db, None) == before
