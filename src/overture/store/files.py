"""Files in SQL. They are written with their message (`store.conversations`), read and erased here.

A file is only ever reached through the viewer's own row of its conversation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

from overture.core.ids import ConversationId, FileId, MemberId
from overture.core.sending import Record
from overture.store.db import Tx, all_rows, as_json
from overture.store.inbox import Held

# So much of a file is read at once: whoever fetches it slowly takes no more memory than that.
PART_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Stored:
    """A file of `size` bytes, and a part of what is in it."""

    name: str
    kind: str
    size: int
    part: bytes


async def space_of(tx: Tx, members: Sequence[MemberId]) -> dict[MemberId, int]:
    """How many bytes of files each of these has sent."""
    rows = await all_rows(tx, _SPACE, (as_json([{"id": each} for each in members]),))
    return dict(rows)


async def one(tx: Tx, held: Held, file_id: FileId, start: int = 0) -> Stored | None:
    """A file of a conversation that the viewer holds, with its part from `start` on."""
    return await _read(tx, _CONTENT, held, (start + 1, PART_BYTES, held.home, held.id, file_id))


async def preview(tx: Tx, held: Held, file_id: FileId) -> Stored | None:
    """The still of an image, whole, as WebP; None where there is none."""
    return await _read(tx, _PREVIEW, held, (held.home, held.id, file_id))


async def _read(
    tx: Tx, statement: LiteralString, held: Held, params: Sequence[object]
) -> Stored | None:
    if held.hidden:
        return None
    # In binary: text would double it on the way.
    cursor = await tx.execute(statement, params, binary=True)
    row = await cursor.fetchone()
    return None if row is None else Stored(*row)


async def delete_of_message(
    tx: Tx, home: MemberId, conversation_id: ConversationId, number: int
) -> None:
    """Erases the files of a message, which makes room for others of its sender's."""
    await tx.execute(
        _DELETE_OF_MESSAGE, {"home": home, "conversation": conversation_id, "number": number}
    )


def file_rows(record: Record) -> list[dict[str, Any]]:
    """What `INSERT_FILE` takes, a file each."""
    return [
        {
            "owner_id": home.sender,
            "conversation_id": home.id,
            "id": each.file.id,
            "number": message.number,
            "sender_id": message.sender,
            "name": each.file.name,
            "kind": each.file.kind,
            "content": each.content,
            "preview": each.preview,
        }
        for home, message, each in record.files
    ]


_SPACE = """
    select s.owner_id, s.bytes
    from json_to_recordset(%s) as r (id uuid)
    join file_space s on s.owner_id = r.id
"""
_CONTENT = """
    select f.name, f.kind, octet_length(f.content), substring(f.content from %s for %s)
    from files f
    where f.owner_id = %s and f.conversation_id = %s and f.id = %s
"""
_PREVIEW = """
    select f.name, 'image/webp', octet_length(f.preview), f.preview
    from files f
    where f.owner_id = %s and f.conversation_id = %s and f.id = %s and f.preview is not null
"""
_DELETE_OF_MESSAGE = """
    with gone as (
        delete from files f
        where f.owner_id = %(home)s and f.conversation_id = %(conversation)s
            and f.number = %(number)s
        returning f.sender_id, octet_length(f.content) as bytes
    ),
    blanked as (
        update messages m
        set files = null
        where m.owner_id = %(home)s and m.conversation_id = %(conversation)s
            and m.number = %(number)s and m.files is not null
    )
    update file_space s
    set bytes = s.bytes - freed.bytes
    from (select sender_id, sum(bytes) as bytes from gone group by sender_id) freed
    where s.owner_id = freed.sender_id
"""
# With the message that they go with, in `store.conversations.record`. The content is sent as it is.
INSERT_FILE = """
    insert into files (owner_id, conversation_id, id, number, sender_id, name, kind, content, preview)
    values (%(owner_id)s, %(conversation_id)s, %(id)s, %(number)s, %(sender_id)s, %(name)s, %(kind)s,
        %(content)b, %(preview)b)
"""
# Only where it still says what was read, so that two at once cannot both find the last room.
INSERT_SPACE = """
    insert into file_space (owner_id, bytes)
    select r.owner_id, r.bytes
    from json_to_recordset(%s) as r (owner_id uuid, bytes bigint)
    on conflict (owner_id) do nothing
"""
UPDATE_SPACE = """
    update file_space s
    set bytes = r.bytes
    from json_to_recordset(%s) as r (owner_id uuid, bytes bigint, bytes_before bigint)
    where s.owner_id = r.owner_id and s.bytes = r.bytes_before
"""
