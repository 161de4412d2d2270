"""How boxes are read: one range of one index each, and what an imported group shows."""

import json
from collections.abc import AsyncIterator

import pytest

from overture import ids
from overture.core.conversations import Kind, State
from overture.core.ids import ConversationId, MemberId
from overture.store import inbox as store
from overture.store.db import Tx, all_rows
from overture.store.inbox import Box, Participant
from tests.cast import Town, town_in


@pytest.fixture
async def town(database_url: str) -> AsyncIterator[Town]:
    async with town_in(database_url) as town:
        yield town


ROWS = """
    insert into inbox (owner_id, conversation_id, home_id, counterpart_id, kind, begun, state, box,
        last_activity_at, unread)
    select %(owner)s, gen_random_uuid(), %(owner)s, gen_random_uuid(), 'direct', n %% 2 = 0,
        'imported', (array['inbox', 'requests', 'archived', 'spam'])[1 + n %% 4],
        %(now)s::timestamptz + n * interval '1 minute', n %% 3
    from generate_series(1, 4000) n
"""
OUTSIDE = {
    Box.INBOX: "box <> 'inbox'",
    Box.REQUESTS: "box <> 'requests'",
    Box.SENT: "not begun",
    Box.UNREAD: "unread = 0 or box = 'spam'",
    Box.ARCHIVED: "box <> 'archived'",
    Box.SPAM: "box <> 'spam'",
}


async def test_a_page_of_each_box_is_one_range_of_one_index(town: Town):
    owner, other = MemberId(ids.new()), MemberId(ids.new())

    async def fill(tx: Tx) -> None:
        for each in (owner, other):
            await tx.execute(ROWS, {"owner": each, "now": town.now})

    await town.db.writing(fill)
    async with town.db.read() as tx:
        await tx.execute("analyze inbox")
    for box in Box:
        first = await town.look(lambda tx, box=box: store.page(tx, owner, box, None, 10))
        assert len(first.items) == 10
        last = first.items[-1]
        params = {
            "viewer": owner,
            "at": last.last_activity_at.isoformat(),
            "id": last.id,
            "limit": 11,
        }
        ((explained,),) = await town.look(
            lambda tx, box=box, params=params: all_rows(
                tx, "explain (analyze, buffers off, format json) " + store._PAGES[box], params
            )
        )
        plan = json.loads(explained)[0]["Plan"]
        scan = plan["Plans"][0]
        assert (plan["Node Type"], scan["Node Type"]) == ("Limit", "Index Scan"), box
        # No row is read that is not shown.
        assert "last_activity_at" in scan["Index Cond"], box
        assert scan.get("Rows Removed by Filter", 0) == 0, box
        outside = await town.look(
            lambda tx, box=box, page=first: all_rows(
                tx,
                f"select 1 from inbox where conversation_id = any(%s::uuid[])"
                f" and ({OUTSIDE[box]} or owner_id <> %s)",
                ([row.id for row in page.items], owner),
            )
        )
        assert outside == [], box


async def test_rows_of_one_instant_are_told_apart_by_their_ids(town: Town):
    owner = MemberId(ids.new())
    same_instant = ROWS.replace("+ n * interval '1 minute'", "").replace("4000", "20")
    await town.db.writing(lambda tx: tx.execute(same_instant, {"owner": owner, "now": town.now}))

    found: list[ConversationId] = []
    cursor: str | None = None
    while True:
        page = await town.look(lambda tx, at=cursor: store.page(tx, owner, Box.INBOX, at, 2))
        found += [row.id for row in page.items]
        cursor = page.next
        if cursor is None:
            break

    assert len(found) == 5
    assert found == sorted(found, reverse=True)


async def test_an_imported_group_shows_its_participants_and_nobody_in_particular(town: Town):
    ada, group = await town.member("ada"), ConversationId(ids.new())
    people = [{"id": ada, "handle": "ada", "name": "Ada"}, {"name": "Someone Else"}]
    await town.db.writing(
        lambda tx: tx.execute(
            """
            insert into inbox (owner_id, conversation_id, home_id, participants, kind, begun, state,
                box, last_activity_at)
            values (%(ada)s, %(group)s, %(ada)s, %(people)s, 'direct', true, 'imported', 'inbox',
                %(now)s)
            """,
            {"ada": ada, "group": group, "people": json.dumps(people), "now": town.now},
        )
    )

    page = await town.look(lambda tx: store.page(tx, ada, Box.INBOX, None, 30))
    thread = await town.look(lambda tx: store.one(tx, ada, group))

    assert thread is not None
    assert thread.row == page.items[0]
    assert thread.seen_up_to is None
    row = thread.row
    assert (row.kind, row.state, row.counterpart_id) == (Kind.DIRECT, State.IMPORTED, None)
    assert row.participants == [Participant("Ada", ada, "ada"), Participant("Someone Else")]
