"""Verifications in SQL: when ledger and audit log were last verified, and what was found."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from overture.store.db import Tx, all_rows

What = Literal["ledger", "audit"]


@dataclass(frozen=True, slots=True)
class Verified:
    """`found` is how much was wrong among so many entries; `sound_at` when last nothing was."""

    at: datetime
    entries: int
    found: int
    sound_at: datetime | None


async def note(tx: Tx, what: What, *, entries: int, found: int, at: datetime) -> None:
    params = {"kind": what, "at": at, "entries": entries, "found": found}
    await tx.execute(_NOTE, params)


async def last(tx: Tx) -> Mapping[str, Verified]:
    """The last of each kind, by the kind."""
    return {row[0]: Verified(*row[1:]) for row in await all_rows(tx, _LAST)}


_NOTE = """
    insert into verifications as v (kind, at, entries, found, sound_at)
    values (%(kind)s, %(at)s, %(entries)s, %(found)s,
        case when %(found)s::bigint = 0 then %(at)s::timestamptz end)
    on conflict (kind) do update
    set at = excluded.at, entries = excluded.entries, found = excluded.found,
        sound_at = coalesce(excluded.sound_at, v.sound_at)
"""
_LAST = "select v.kind, v.at, v.entries, v.found, v.sound_at from verifications v"
