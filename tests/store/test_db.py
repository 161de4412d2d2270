"""Connections: their plans grow with the tables."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from overture.store import db as store
from overture.store.db import Database, Tx, all_rows
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
