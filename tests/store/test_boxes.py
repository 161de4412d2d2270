"""How the inbox's folders are read: each page a range of an index, whatever else a member has."""

from collections.abc import AsyncIterator

import pytest

from overture import ids
from overture.core.ids import MemberId
from overture.store import boxes
from overture.store.boxes import Folder
from overture.store.db import Tx, all_rows
from tests.cast import Town, town_in

ROWS = """
    insert into inbox (owner_id, conversation_id, home_id, counterpart_id, kind, begun, state, box,
        last_activity_at, unread, focused, starred, snoozed_until)
    select %(owner)s, gen_random_uuid(), %(owner)s, gen_random_uuid(), 'direct', n %% 2 = 0,
        'imported', (array['inbox', 'requests', 'archived', 'spam', 'inbox'])[1 + n %% 5],
        %(now)s::timestamptz + n * interval '1 minute', (n %% 7 = 0)::integer, n %% 4 > 0,
        n %% 50 = 0,
        case when n %% 40 = 0 then %(now)s::timestamptz + n * interval '1 hour' end
    from generate_series(1, 3000) n
"""
INDEXES = {
    Folder.FOCUSED: "inbox_listed",
    Folder.OTHER: "inbox_listed",
    Folder.UNREAD: "inbox_unread",
    Folder.INMAIL: "inbox_listed",
    Folder.PENDING: "inbox_by_activity",
    Folder.STARRED: "inbox_starred",
    Folder.LATER: "inbox_snoozed",
    Folder.ARCHIVED: "inbox_by_activity",
    Folder.SPAM: "inbox_by_activity",
}
# Two ranges, of which the first rows are the page.
MERGED = (Folder.INMAIL, Folder.PENDING)


@pytest.fixture
async def town(database_url: str) -> AsyncIterator[Town]:
    async with town_in(database_url) as town:
        yield town


async def test_a_page_of_every_folder_is_a_range_of_its_index(town: Town):
    owner, other = MemberId(ids.new()), MemberId(ids.new())

    async def fill(tx: Tx) -> None:
        for each in (owner, other):
            await tx.execute(ROWS, {"owner": each, "now": town.now})

    await town.db.writing(fill)
    async with town.db.read() as tx:
        await tx.execute("analyze inbox")
        for folder, index in INDEXES.items():
            ahead = folder is Folder.LATER
            params = {
                "viewer": owner,
                "now": town.now,
                "at": "-infinity" if ahead else "infinity",
                "id": "00000000-0000-0000-0000-000000000000"
                if ahead
                else "ffffffff-ffff-ffff-ffff-ffffffffffff",
                "limit": 21,
            }
            for statements in (boxes.FORWARDS, boxes.BACKWARDS):
                explain = "explain " + statements[folder]
                plan = "\n".join(row[0] for row in await all_rows(tx, explain, params))
                assert f"using {index} on inbox" in plan, plan
                assert "Seq Scan" not in plan
                assert ("Sort" in plan) == (folder in MERGED), plan
