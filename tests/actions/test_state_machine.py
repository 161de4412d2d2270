"""Members' lives through the actions on a real PostgreSQL, beside the same lives on core alone."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from overture.core import credits
from overture.core.policy import PolicyBook
from overture.store.db import Database
from tests.machine import Life
from tests.worlds import Memory, Stored, World

# `make soak` plays 10,000.
RUNS = int(os.environ.get("OVERTURE_MACHINE_RUNS", "50"))


class StoredLife(Life):
    """Every answer of the store is the answer of core; and every page of a statement is one."""

    runner: ClassVar[asyncio.Runner]
    db: ClassVar[Database]

    def begin(self, book: PolicyBook, now: datetime) -> Sequence[World]:
        return [Memory(book, now), Stored(self.runner, self.db, book, now)]

    def teardown(self) -> None:
        if not hasattr(self, "worlds"):
            return
        memory, stored = self.worlds
        assert isinstance(stored, Stored)
        assert memory.books() == stored.books(), "The store's books are not those of core."
        for member in self.members:
            due = {
                (books.account.pool, entry.number): entry
                for books in memory.books()
                if books.account.owner == member
                for entry in (
                    *books.entries,
                    *credits.settle(books.account, self.now, self.book).entries,
                )
            }
            told = stored.statement(member, limit=max(1, len(due) // 3))
            assert {(line.pool, line.entry.number): line.entry for line in told} == due
            assert len(told) == len(due), "An entry stands twice in the statement."
            assert [line.entry.at for line in told] == sorted(line.entry.at for line in told)


def test_members_lives_on_postgresql(database_url: str) -> None:
    with asyncio.Runner() as runner:
        StoredLife.runner = runner
        StoredLife.db = runner.run(Database.open(database_url, connections=2))
        try:
            run_state_machine_as_test(
                StoredLife,
                settings=settings(
                    max_examples=RUNS,
                    stateful_step_count=50,
                    deadline=None,
                    database=None,
                    print_blob=True,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(StoredLife.db.close())
