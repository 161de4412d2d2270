"""Servers with a planted fault, which the campaign of kills must find.

    python -m tests.faults.mutants answer_first serve

runs `overture serve` with it. Each widens the moment in which its fault does damage, so that a kill or
two are enough to meet it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterable
from importlib.resources.abc import Traversable
from typing import Any

from overture.actions import conversations as acts
from overture.cli import main
from overture.store import conversations, migrate
from overture.store.db import Database, Tx, pipelined

WINDOW_SECONDS = 0.06


def answer_first() -> None:
    """Says that it is done, and commits then."""
    commits_then_answers = Database.writing
    under_way: set[asyncio.Task[None]] = set()

    async def writing(self: Database, work: Callable[[Tx], Awaitable[Any]]) -> Any:
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        async def work_and_answer(tx: Tx) -> None:
            result = await work(tx)
            if not answered.done():
                answered.set_result(result)
            await asyncio.sleep(WINDOW_SECONDS)

        async def carry_out() -> None:
            try:
                await commits_then_answers(self, work_and_answer)
            except Exception as problem:  # noqa: BLE001 - handed to whoever waits
                if not answered.done():
                    answered.set_exception(problem)

        task = asyncio.create_task(carry_out())
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        return await answered

    Database.writing = writing  # type: ignore[method-assign,assignment]


def charge_apart() -> None:
    """Commits the charge in a transaction of its own, before the message."""
    accounts = conversations._UPDATE_ACCOUNTS  # pyright: ignore[reportPrivateUsage]
    charges = (accounts, conversations.INSERT_ENTRIES)

    async def in_two(tx: Tx, statements: Iterable[tuple[Any, Any]]) -> list[Any]:
        statements = list(statements)
        first = [each for each in statements if each[0] in charges]
        if not first:
            return await pipelined(tx, statements)
        charged = await pipelined(tx, first)
        await tx.execute("commit")
        await asyncio.sleep(WINDOW_SECONDS)
        await tx.execute("begin")
        rest = await pipelined(tx, [each for each in statements if each[0] not in charges])
        told = {each[0]: cursor for each, cursor in zip(first, charged, strict=True)}
        others = iter(rest)
        return [told[each[0]] if each[0] in told else next(others) for each in statements]

    conversations.pipelined = in_two  # pyright: ignore[reportPrivateLocalImportUsage]


def keys_forgotten() -> None:
    """Keeps no answer under a key, so that a repeat is another request; and answers late."""
    commits = Database.writing

    async def nothing(*_: object) -> dict[Any, Any]:
        return {}

    async def writing(self: Database, work: Callable[[Tx], Awaitable[Any]]) -> Any:
        result = await commits(self, work)
        await asyncio.sleep(WINDOW_SECONDS)
        return result

    acts.kept = nothing  # type: ignore[assignment] # pyright: ignore[reportPrivateLocalImportUsage]
    acts.keep = nothing  # type: ignore[assignment] # pyright: ignore[reportPrivateLocalImportUsage]
    Database.writing = writing  # type: ignore[method-assign,assignment]


def next_version() -> None:
    """No fault, but a version with more steps of the schema, as many as STEPS says."""
    migrate.migrations = and_more(int(os.environ["STEPS"]))


def and_more(count: int) -> Callable[..., list[migrate.Migration]]:
    """The migrations, and so many after them. Each takes a while, at its end with the messages to
    itself."""
    known = migrate.migrations

    def migrations(source: Traversable | None = None) -> list[migrate.Migration]:
        steps = known(source)
        return steps + [
            migrate.Migration(
                number,
                f"next_{number}",
                f"""
                create table next_{number} as select id, handle from members;
                select pg_sleep(0.15);
                alter table messages add column next_{number} integer;
                select pg_sleep(0.05);
                """,
            )
            for number in range(len(steps) + 1, len(steps) + 1 + count)
        ]

    return migrations


if __name__ == "__main__":
    {
        "answer_first": answer_first,
        "charge_apart": charge_apart,
        "keys_forgotten": keys_forgotten,
        "next_version": next_version,
    }[sys.argv.pop(1)]()
    main()
