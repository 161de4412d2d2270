"""What stood in the books before they had chains is linked as if it had always been."""

from __future__ import annotations

import shutil
from dataclasses import replace
from importlib import resources
from pathlib import Path

import psycopg

from overture.store import audit
from overture.store.audit import Head
from overture.store.conversations import account_row, decode_account
from overture.store.db import Database, as_json
from overture.store.migrate import migrate
from tests.core.test_chain import OWNER, a_year

FOLDER = resources.files("overture.store") / "migrations"


def test_old_books_are_linked(empty_database_url: str, tmp_path: Path):
    for number in range(1, 9):
        (name,) = [each.name for each in FOLDER.iterdir() if each.name.startswith(f"{number:04}_")]
        shutil.copy(str(FOLDER / name), tmp_path)
    migrate(empty_database_url, tmp_path)
    account, entries = a_year()
    with psycopg.connect(empty_database_url) as db:
        db.execute(
            """
            insert into credit_accounts
            select r.* from json_to_recordset(%s) as r (owner_id uuid, pool text, version bigint,
                balance integer, next_due_at timestamptz, state json)
            """,
            (as_json([account_row(replace(account, link=""), 1)]),),
        )
        for entry in entries:
            db.execute(
                """
                insert into ledger_entries (owner_id, pool, number, at, kind, credits, forfeited,
                    reason, plan, lot, expires_at, inmail_id, balance)
                values (%s, 'premium', %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
                """,
                (
                    OWNER, entry.number, entry.at, entry.kind, entry.credits, entry.forfeited,
                    entry.reason, entry.plan, entry.lot, entry.expires_at, entry.inmail_id,
                    entry.balance,
                ),
            )  # fmt: skip
        for day in (1, 2):
            db.execute(
                """
                insert into audit (id, at, actor, action, member_id, detail)
                values (gen_random_uuid(), make_timestamptz(2025, 1, %s, 10, 0, 0.5), 'cli', 'x',
                    null, '{"reason": "why not",  "spaces": "kept"}')
                """,
                (day,),
            )

    migrate(empty_database_url)

    with psycopg.connect(empty_database_url) as db:
        links = db.execute("select link from ledger_entries order by number").fetchall()
        state = db.execute("select state from credit_accounts").fetchone()
    assert [row[0] for row in links] == [entry.link for entry in entries]
    assert state is not None
    assert decode_account(as_json(state[0])) == account


async def test_old_audit_entries_are_linked(empty_database_url: str, tmp_path: Path):
    test_old_books_are_linked(empty_database_url, tmp_path)
    db = await Database.open(empty_database_url, connections=2)

    found = await db.reading(lambda tx: audit.first_broken(tx, Head(0, ""), 100))

    assert found == (await db.reading(audit.head), None)
    assert found[0].number == 2
    await db.close()
