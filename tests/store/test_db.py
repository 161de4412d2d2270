"""Connections: their plans grow with the tables, and whoever waits for one has a turn."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from overture.store import db as store
from overture.store.db import Database, Tx, Unavailable, all_rows
from tests.cast import town_in

FIND = """
    select t.n
    from json_to_recordset(%s) as r (owner_id integer, n integer)
    join things t on t.owner_id = r.owner_id and t.n = r.n
"""
ASKED = json.dumps([{"owner_id": 1, "n": n} for n in range(100)])


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    async with town_in(database_url) as town:
        await town.db.writing(
            lambda tx: tx.execute(
                "create table things (owner_id int, n int, primary key (owner_id, n))"
            )
        )
        # Said to be empty, it is planned for as if it stayed so.
        async with town.db.read() as tx:
            await tx.execute("analyze things")
        yield town.db


async def find(tx: Tx) -> int:
    return len(await all_rows(tx, FIND, (ASKED,)))


async def reads_all(db: Database) -> list[bool]:
    """Whether the statement, as it is planned on each connection, reads the whole table."""
    found = []
    for connection in db._pool._pool:
        ((name,),) = await all_rows(
            connection, "select name from pg_prepared_statements where statement ~ 'things'"
        )
        plan = await all_rows(connection, f"explain execute {name} ('[]')")
        found.append(not any("Index Cond" in line for (line,) in plan))
    return found


async def test_a_plan_of_an_empty_table_is_made_anew_when_it_has_grown(db: Database):
    connections = len(db._pool._pool)
    for _ in range((store.REPLAN_USES // 2) * connections):
        assert await db.reading(find) == 0
    assert all(await reads_all(db)), "where this does not hold, the rest shows nothing"

    await db.writing(
        lambda tx: tx.execute("insert into things select 1, n from generate_series(0, 9999) n")
    )
    for _ in range(store.REPLAN_USES * connections):
        assert await db.reading(find) == 100

    assert not any(await reads_all(db))


def test_plans_are_made_anew_after_a_minute_too():
    connection = store._Connection.__new__(store._Connection)

    dues = [connection.plans_are_due(at) for at in (1000.0, 1059.0, 1060.0, 1061.0, 1120.0)]

    assert dues == [False, False, True, False, True]


def test_plans_are_made_anew_ever_more_seldom():
    connection = store._Connection.__new__(store._Connection)

    dues = [use for use in range(1, 100) if connection.plans_are_due(1000.0)]

    assert dues == [8, 16, 32, 64]


async def test_who_waits_for_a_connection_has_one_in_the_order_of_asking(database_url: str):
    begun: list[int] = []
    db = await Database.open(database_url, connections=2)

    async def asks(number: int) -> None:
        async def takes_its_time(tx: Tx) -> None:
            begun.append(number)
            # Longer in all than the pool is asked once.
            await tx.execute("select pg_sleep(0.05)")

        await db.reading(takes_its_time)

    try:
        async with asyncio.TaskGroup() as group:
            for number in range(24):
                group.create_task(asks(number))
        stats = db.stats()
    finally:
        await db.close()

    # Two are under way at a time; where both end at once, either may be the first to begin anew.
    assert all(abs(place - number) <= 1 for place, number in enumerate(begun)), begun
    assert stats["requests_queued"] >= 22
    assert stats["requests_errors"] == 0


async def test_who_has_no_turn_in_time_is_told_that_the_database_is_busy(
    database_url: str, monkeypatch: pytest.MonkeyPatch
):
    db = await Database.open(database_url, connections=2)
    done = asyncio.Event()
    begun = asyncio.Barrier(3)

    async def holds(_: Tx) -> None:
        await begun.wait()
        await done.wait()

    async def looks(tx: Tx) -> int:
        ((one,),) = await all_rows(tx, "select 1")
        return one

    try:
        holding = [asyncio.create_task(db.reading(holds)) for _ in range(2)]
        await begun.wait()
        with monkeypatch.context() as patch:
            patch.setattr(store, "TURN_SECONDS", 0.2)
            with pytest.raises(Unavailable):
                await db.reading(looks)
        done.set()
        await asyncio.gather(*holding)
        assert await db.reading(looks) == 1
    finally:
        await db.close()
