"""Everything about a member, as a zip of JSON files that a person can read too."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from tempfile import TemporaryFile
from typing import IO
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import msgspec

from overture.actions.credits import LedgerEntry, ledger
from overture.actions.subscriptions import premium
from overture.core.files import File
from overture.core.ids import ConversationId, FileId, MemberId
from overture.core.policy import PolicyBook
from overture.core.refusals import Refusal
from overture.store import export as store
from overture.store import photos
from overture.store.db import Tx

_ENTRIES_AT_ONCE = 1000


async def export(tx: Tx, member: MemberId, now: datetime, book: PolicyBook) -> IO[bytes]:
    """The zip, of one moment of the database, in a file without a name that is gone once closed: with
    what others sent it may not fit into memory. `tx` is a connection outside any transaction.

    Nothing is in it that the member could not see otherwise: not what was withdrawn before they
    answered, and no token's text.
    """
    made = TemporaryFile()  # noqa: SIM115  whoever is given it closes it
    try:
        async with tx.transaction():
            await tx.execute("set transaction isolation level repeatable read, read only")
            with ZipFile(made, "w", ZIP_DEFLATED) as archive:
                await _fill(_Archive(archive, now), tx, member, now, book)
    except BaseException:
        made.close()
        raise
    _ = made.seek(0)
    return made


class _Archive:
    """The zip while it is written. Packing is left to a thread: it would hold up everybody else."""

    def __init__(self, archive: ZipFile, now: datetime) -> None:
        self._archive = archive
        self._date = (now.year, now.month, now.day, now.hour, now.minute, now.second)

    async def add(self, name: str, content: bytes) -> None:
        with self.open(name) as file:
            await asyncio.to_thread(file.write, content)

    async def add_json(self, name: str, value: object) -> None:
        await self.add(name, _pretty(value))

    def open(self, name: str) -> IO[bytes]:
        info = ZipInfo(name, max(self._date, (1980, 1, 1, 0, 0, 0)))
        info.compress_type = ZIP_DEFLATED
        info.external_attr = 0o600 << 16
        return self._archive.open(info, "w")


async def _fill(
    archive: _Archive, tx: Tx, member: MemberId, now: datetime, book: PolicyBook
) -> None:
    own = await store.own(tx, member)
    await archive.add("README.txt", _README.format(now=now).encode())
    await archive.add_json("profile.json", own.profile)
    if (photo := await photos.own(tx, member)) is not None:
        await archive.add("photo.webp", photo)
    await archive.add_json("preferences.json", own.preferences)
    await archive.add_json("connections.json", own.connections)
    await archive.add_json("invitations.json", own.invitations)
    await archive.add_json("blocks.json", own.blocks)
    running = await premium(tx, member, now, book)
    await archive.add_json("subscriptions.json", {"running": running.pools, "history": own.wishes})
    await archive.add_json("ledger.json", await _statement(tx, member, now, book))
    await archive.add_json("drafts.json", own.drafts)
    await archive.add_json("reports.json", own.reports)
    await archive.add_json("decisions.json", own.decisions)
    await archive.add_json("complaints.json", own.complaints)
    await archive.add_json("tokens.json", own.tokens)
    account = own.accounts[0] if own.accounts else {}
    await archive.add_json(
        "account.json",
        account
        and account
        | {
            "browsers_known": own.browsers,
            "links_in_mails": own.links,
            "failing_addresses": own.failing_addresses,
        },
    )
    await archive.add_json("security.json", own.security)
    await archive.add_json("sessions.json", own.sessions)
    await archive.add_json("passkeys.json", own.passkeys)
    await archive.add_json("contracts.json", own.contracts)
    await archive.add_json("identities.json", own.identities)
    with archive.open("conversations.json") as file:
        sent = await _write_conversations(file, tx, member)
    for name, conversation_id, file_id in sent:
        await archive.add(name, await store.content(tx, member, conversation_id, file_id))


async def _statement(
    tx: Tx, member: MemberId, now: datetime, book: PolicyBook
) -> list[dict[str, object]]:
    """Every entry of the ledger, with what fell due by `now` but is not stored yet."""
    lines: list[dict[str, object]] = []
    cursor: str | None = None
    while True:
        page = await ledger(
            tx, member, None, cursor=cursor, limit=_ENTRIES_AT_ONCE, now=now, book=book
        )
        assert not isinstance(page, Refusal), "a statement of all pools names none that is unknown"
        lines += [_line(each) for each in page.items]
        cursor = page.next
        if cursor is None:
            return lines


def _line(line: LedgerEntry) -> dict[str, object]:
    fields: dict[str, object] = msgspec.to_builtins(line.entry, builtin_types=(datetime,))
    return {"id": line.id, "pool": line.pool, **fields}


async def _write_conversations(
    file: IO[bytes], tx: Tx, member: MemberId
) -> list[tuple[str, ConversationId, FileId]]:
    """A list of all, written in parts: a long-standing member's does not fit into memory twice.

    Returns where in the archive their files are to be found.
    """
    files: list[tuple[str, ConversationId, FileId]] = []
    before = b"["
    after: ConversationId | None = None
    while found := await store.conversations(tx, member, after):
        after = found[-1]["id"]
        for conversation in found:
            for message in conversation["messages"]:
                message["files"] = [
                    _located(files, conversation["id"], each) for each in message["files"]
                ]
        await asyncio.to_thread(file.write, before + _items(found))
        before = b","
    await asyncio.to_thread(file.write, b"[]" if after is None else b"\n]")
    return files


def _located(
    files: list[tuple[str, ConversationId, FileId]], conversation_id: ConversationId, file: File
) -> dict[str, object]:
    name = f"files/{conversation_id}/{file.id}/{file.name}"
    files.append((name, conversation_id, file.id))
    return {"name": file.name, "kind": file.kind, "bytes": file.bytes, "is_at": name}


def _items(values: Sequence[object]) -> bytes:
    """A part of a list: its values without the brackets."""
    return _pretty(values)[1:-2]


def _pretty(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2)


_README = """\
Your data in Overture, as of {now:%d %B %Y, %H:%M} UTC.

profile.json        who you are here
photo.webp          your photo, where you have one
preferences.json    who may write to you, and how you are told
connections.json    the members you are connected with
invitations.json    invitations that you sent (outgoing) and received
blocks.json         members you have blocked
conversations.json  your conversations, each with its messages; of an InMail that was withdrawn
                    before you answered, only that
files/              the files that came with your messages and those of others; conversations.json
                    says where each is
drafts.json         what you were writing and have not sent
subscriptions.json  the plans that run, with their credits, and what you asked for over time
ledger.json         every credit that came and went, with the reason and the balance after it
reports.json        what you reported to the operator, and what became of it
decisions.json      what the operator decided of you, with the reasons
complaints.json     what you said against such decisions, and the answers
tokens.json         your access tokens, without their secret text
account.json        the address that you sign in with, since when your password is the one it is,
                    whether you sign in in two steps, when browsers you once signed in with were
                    last seen, and addresses that mail came back from; no secret is here
security.json       what concerned the safety of your account, and what the operator did to it
sessions.json       the browsers where you are signed in, and where they take notices
passkeys.json       your passkeys, by the names that you gave them
contracts.json      what you pay for with the payment provider, as far as it is known here
identities.json     who you are to the identity provider that you sign in through

Instants are in UTC (RFC 3339). Ids name the same thing in every file.
"""
