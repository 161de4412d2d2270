"""What is stored about a member is in their export, or left out for a reason that was given."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any
from zipfile import ZipFile

import pytest

from overture.actions.export import export
from tests.cast import town_in
from tests.privacy.stored import DECIDED, NOBODY, Column, Life, lived, own_rows

# Of what the others paid for, and when they answered, the member is told through the balance alone.
OF_THE_SENDER = {("conversations", "pool"), ("conversations", "refundable_until")}


@pytest.fixture
async def life(database_url: str) -> AsyncIterator[Life]:
    async with town_in(database_url) as town:
        yield await lived(town, database_url)


async def exported(life: Life) -> dict[str, str]:
    """Its files as text; those that came with messages together, as `files/`."""
    town = life.town
    packed = await town.look(lambda tx: export(tx, life.zoe, town.now, town.book))
    found: dict[str, str] = {}
    with packed, ZipFile(packed) as archive:
        for name in archive.namelist():
            place = "files/" if name.startswith("files/") else name
            found[place] = found.get(place, "") + archive.read(name).decode(errors="replace")
    return found


async def test_each_column_is_where_the_table_says(life: Life):
    found = await exported(life)

    looked_for: set[Column] = set()
    missing: list[tuple[Column, object]] = []
    for column, value in told(life):
        place = DECIDED[column].file
        if place is None:
            continue
        looked_for.add(column)
        if not is_in(value, found[place]):
            missing.append((column, value))
    assert missing == []
    assert looked_for == {column for column, decided in DECIDED.items() if decided.file}


async def test_what_is_left_out_is_nowhere_in_it(life: Life):
    found = "".join((await exported(life)).values())

    left_out = [
        value
        for column, value in life.planted.items()
        if DECIDED[column].export.startswith("not: it would")
    ]
    assert len(left_out) > 5
    for value in left_out:
        if isinstance(value, str | bytes):
            text = value.decode() if isinstance(value, bytes) else value
            assert text not in found


def told(life: Life) -> Iterator[tuple[Column, Any]]:
    """Every value that is stored about zoe, with its column."""
    for table in sorted({table for (table, _), each in DECIDED.items() if each.file}):
        for row in own_rows(life, table):
            yield from (
                ((table, name), value)
                for name, value in row.items()
                if value is not None and str(value) != NOBODY
                if (table, name) not in OF_THE_SENDER or str(row["owner_id"]) == life.zoe
            )


def is_in(value: object, text: str) -> bool:
    """Whether a JSON file tells of a value; of one that is true or false, not which it is of."""
    match value:
        case bool():
            return json.dumps(value) in text
        case datetime():
            return value.strftime("%Y-%m-%dT%H:%M:%S") in text
        case list():
            return all(is_in(each, text) for each in value)
        case dict():
            # Numbers in it tell how large something is to be drawn.
            return all(is_in(each, text) for each in value.values() if isinstance(each, str))
        case bytes():
            return value.decode(errors="replace") in text
        case _:
            return str(value) in text
