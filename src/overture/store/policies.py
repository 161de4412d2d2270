"""The policies in force, each from an instant on."""

from collections.abc import Sequence
from datetime import datetime

from overture.store.db import Tx, all_rows, as_json, one_row


async def lock(tx: Tx) -> None:
    """Nobody else records a policy until this transaction ends. Reading goes on."""
    await tx.execute("lock table policies in share row exclusive mode")


async def recorded(tx: Tx) -> list[tuple[datetime, str]]:
    """Every version with the instant that it holds from, oldest first."""
    rows = await all_rows(tx, "select holds_from, document from policies order by holds_from")
    return [(row[0], row[1]) for row in rows]


async def mark(tx: Tx) -> str:
    """What is another one as soon as any version is."""
    row = await one_row(tx, _MARK)
    assert row is not None, "an aggregate has a row"
    told: str = row[0]
    return told


async def choice(tx: Tx) -> str | None:
    """The policy that a server was last started with; None where none was named yet."""
    row = await one_row(tx, "select document from policy_choice")
    return row[0] if row else None


async def choose(tx: Tx, document: str) -> None:
    await tx.execute(_CHOOSE, (document,))


async def record(tx: Tx, versions: Sequence[tuple[datetime, str]]) -> None:
    rows = [{"holds_from": holds_from, "document": document} for holds_from, document in versions]
    await tx.execute(_RECORD, (as_json(rows),))


async def drop(tx: Tx, starts: Sequence[datetime]) -> None:
    """Takes back versions that do not hold yet."""
    await tx.execute("delete from policies where holds_from = any(%s)", (list(starts),))


_RECORD = """
    insert into policies (holds_from, document)
    select r.holds_from, r.document
    from json_to_recordset(%s) as r (holds_from timestamptz, document text)
"""

_MARK = """
    select md5(coalesce(string_agg(document, '' order by holds_from), ''))
    from policies
"""

_CHOOSE = """
    insert into policy_choice (document) values (%s)
    on conflict (singleton) do update set document = excluded.document
"""
