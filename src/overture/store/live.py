"""What the hub asks of the database besides the outbox: to wake others, and to be woken."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

from psycopg import AsyncConnection

from overture.core.conversations import Message
from overture.core.ids import ConversationId, MemberId, MessageId
from overture.store.db import LOST, Database, Tx, Unavailable, all_rows, as_json, pipelined
from overture.store.inbox import Thread, decode_files, one

OUTBOX = "overture_outbox"
TYPING = "overture_typing"


async def announce(tx: Tx, name: str) -> None:
    """Wakes those who listen. `name` is the caller's, so that it does not wake itself.

    In a transaction of its own, which no write waits for; nothing is lost if it is not durable.
    """
    await pipelined(
        tx,
        (
            ("begin", None),
            ("set local synchronous_commit = off", None),
            ("select pg_notify(%s, %s)", (OUTBOX, name)),
            ("commit", None),
        ),
    )


@asynccontextmanager
async def listening(db: Database) -> AsyncGenerator[AsyncIterator[tuple[str, str]]]:
    """What is announced from now on, as (channel, payload), on a connection of its own.

    Raises Unavailable, also later on.
    """
    try:
        async with await AsyncConnection.connect(db.url, autocommit=True) as connection:
            await connection.execute("listen overture_outbox")
            await connection.execute("listen overture_typing")

            async def notices() -> AsyncGenerator[tuple[str, str]]:
                async for notice in connection.notifies():
                    yield notice.channel, notice.payload

            yield notices()
    except LOST as problem:
        raise Unavailable from problem


async def messages(
    tx: Tx, asked: Sequence[tuple[MemberId, ConversationId, MessageId]]
) -> list[Message | None]:
    """Messages as these viewers see them in their own conversations; None where they do not."""
    rows = [
        {"place": place, "viewer": viewer, "conversation": conversation, "message": message}
        for place, (viewer, conversation, message) in enumerate(asked)
    ]
    found: list[Message | None] = [None] * len(asked)
    for row in await all_rows(tx, _MESSAGES, (as_json(rows),)):
        files = () if row[8] is None else decode_files(row[8])
        found[row[0]] = Message(*row[1:8], files=files, edited_at=row[9], deleted_at=row[10])
    return found


async def threads(tx: Tx, asked: Sequence[tuple[MemberId, ConversationId]]) -> list[Thread | None]:
    """Conversations as these viewers see them; None where they have none of this id."""
    return [await one(tx, viewer, conversation) for viewer, conversation in asked]


# Of a withdrawn InMail the recipient sees only that it was withdrawn. A conversation is read from its
# end, where what was just written stands.
_MESSAGES = """
    select a.place, m.*
    from json_to_recordset(%s)
        as a (place integer, viewer uuid, conversation uuid, message uuid)
    join inbox i on i.owner_id = a.viewer and i.conversation_id = a.conversation
        and (i.begun or i.state <> 'withdrawn')
    cross join lateral (
        select m.id::text, m.conversation_id::text, m.number, m.sender_id::text, m.sent_at,
            m.body, m.quick_reply, m.files, m.edited_at, m.deleted_at
        from messages m
        where m.owner_id = i.home_id and m.conversation_id = i.conversation_id
            and m.id = a.message
        order by m.number desc
        limit 1
    ) m
"""
