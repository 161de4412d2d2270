"""Who closes the account is gone: from every table, from the mails in the folder, from new backups."""

import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from overture.actions import closing, ledger
from overture.store import embedded
from overture.store.backup import backup
from tests.cast import town_in
from tests.privacy.stored import DECIDED, KEPT, OWN, Column, Life, columns, dump, lived

# Columns that take certain words alone, so that no other can be planted.
CODES = {
    ("account_links", "purpose"),
    ("drafts", "kind"),
    ("files", "kind"),
    ("invitations", "state"),
    ("members", "theme"),
    ("members", "time_zone"),
    ("payment_contracts", "standing"),
    ("suspicions", "kind"),
    ("payment_contracts", "prices"),
    ("payment_contracts", "problem"),
}


@pytest.fixture
async def life(database_url: str) -> AsyncIterator[Life]:
    async with town_in(database_url) as town:
        yield await lived(town, database_url)


async def closes(life: Life) -> None:
    town = life.town
    assert await town.do(lambda tx: closing.close(tx, life.zoe, town.now, town.book)) is True


def test_of_every_column_it_was_decided_what_becomes_of_it(database_url: str):
    there = set(columns(database_url))

    undecided, gone = there - DECIDED.keys(), DECIDED.keys() - there
    assert not undecided, f"say in docs/privacy.md what becomes of {sorted(undecided)}"
    assert not gone, f"docs/privacy.md tells of {sorted(gone)}, which are not there"
    for column, decided in DECIDED.items():
        way, _, why = decided.erasure.partition(": ")
        assert way in ("erased", "blanked", "theirs", "nobody's") or (way == "stays" and why), (
            column
        )
        left_out = decided.export.startswith("not: ") or decided.export == "nobody's"
        assert decided.file or left_out, column


async def test_a_column_that_nobody_decided_about_is_noticed(database_url: str):
    with psycopg.connect(database_url) as connection:
        connection.execute("alter table members add column shoe_size integer")

    assert set(columns(database_url)) - DECIDED.keys() == {("members", "shoe_size")}


async def test_closing_leaves_nothing_but_what_others_keep(life: Life):
    before = dump(life.url)
    assert [column for column in texts(life) if OWN not in before[column]] == []

    await closes(life)

    after = dump(life.url)
    assert {column: text for column, text in after.items() if OWN in text} == {}
    assert [column for column, text in after.items() if "vaduz" in text] == []
    kept = {column for column, text in after.items() if KEPT in text}
    assert kept == {
        ("conversations", "subject"),
        ("messages", "body"),
        ("inbox", "subject"),
        ("inbox", "snippet"),
        # About zoe: a draft to her, a report of her.
        ("drafts", "subject"),
        ("drafts", "body"),
        ("reports", "note"),
    }
    named = {column for column, text in after.items() if life.zoe in text}
    assert named
    assert {column for column in named if DECIDED[column].is_erased} == set()
    town = life.town
    verified = await town.look(lambda tx: ledger.verify(tx, town.now, town.book))
    assert verified.discrepancies == []


async def test_a_backup_made_after_holds_nothing_of_it(life: Life, tmp_path: Path):
    backup(life.url, tmp_path / "before")
    await closes(life)
    backup(life.url, tmp_path / "after")

    assert OWN in script(tmp_path / "before").lower()
    assert OWN not in script(tmp_path / "after").lower()
    assert KEPT in script(tmp_path / "after")


def texts(life: Life) -> list[Column]:
    """The columns that are erased or blanked and may hold any text."""
    return [
        column
        for column, kind in columns(life.url).items()
        if kind in ("text", "json", "text[]", "bytea") and column not in CODES
        if DECIDED[column].erasure in ("erased", "blanked")
    ]


def script(archive: Path) -> str:
    """An archive as SQL, with its bytes, which are hexadecimal there, beside it as letters."""
    made = subprocess.run(
        [embedded.binary("pg_restore"), "--file=-", archive],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    in_bytes = (bytes.fromhex(each) for each in re.findall(r"\\\\x((?:[0-9a-f]{2})+)", made))
    return made + "\n".join(each.decode(errors="replace") for each in in_bytes)
