"""Answers kept for repeats of a request, in the transaction of the effect they tell of."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from overture.core.ids import MemberId
from overture.store.db import Conflict, Tx, all_rows, as_json

# Whose keys an operator's own requests are kept under.
OPERATOR = MemberId("00000000-0000-0000-0000-000000000000")
KEPT_FOR = timedelta(hours=48)
# A mail may come again as long as its date is believed.
MAIL = "mail"
MAIL_KEPT_FOR = timedelta(days=40)


@dataclass(frozen=True, slots=True)
class Once:
    """What makes a request the same one: who acts, the method and path, the key; and its body."""

    owner: MemberId
    route: str
    key: str
    fingerprint: bytes

    @property
    def scope(self) -> tuple[MemberId, str, str]:
        return (self.owner, self.route, self.key)


@dataclass(frozen=True, slots=True)
class Kept:
    """The first answer to a request: its HTTP status and its body."""

    status: int
    body: bytes
    fingerprint: bytes


async def kept(tx: Tx, asked: Sequence[Once]) -> dict[tuple[MemberId, str, str], Kept]:
    """The answers kept so far for any of these."""
    if not asked:
        return {}
    found = await all_rows(tx, _KEPT, (as_json([_key(once) for once in asked]),))
    return {(row[0], row[1], row[2]): Kept(row[3], row[4], row[5]) for row in found}


async def keep(tx: Tx, answers: Sequence[tuple[Once, Kept]]) -> None:
    """Keeps answers. Raises Conflict where the same request was carried out meanwhile."""
    if not answers:
        return
    # In key order, so that two batches that hold the same keys queue up.
    rows = [
        _key(once)
        | {
            "fingerprint": answer.fingerprint.hex(),
            "status": answer.status,
            "response": answer.body.hex(),
        }
        for once, answer in sorted(answers, key=lambda pair: pair[0].scope)
    ]
    cursor = await tx.execute(_KEEP, (as_json(rows),))
    async with tx.pipeline():
        pass
    if cursor.rowcount != len(rows):
        raise Conflict


async def forget_old(tx: Tx) -> None:
    """Drops the keys that need not be kept any longer, by the real clock."""
    await tx.execute(_FORGET_OLD, (KEPT_FOR, MAIL, MAIL_KEPT_FOR))


def _key(once: Once) -> dict[str, object]:
    return {"owner_id": once.owner, "route": once.route, "key": once.key}


_KEPT = """
    select k.owner_id, k.route, k.key, k.status, k.response, k.fingerprint
    from json_to_recordset(%s) as r (owner_id uuid, route text, key text)
    join idempotency_keys k on k.owner_id = r.owner_id and k.route = r.route and k.key = r.key
"""
_KEEP = """
    insert into idempotency_keys (owner_id, route, key, fingerprint, status, response)
    select r.owner_id, r.route, r.key, decode(r.fingerprint, 'hex'), r.status,
        decode(r.response, 'hex')
    from json_to_recordset(%s) as r (owner_id uuid, route text, key text, fingerprint text,
        status smallint, response text)
    on conflict (owner_id, route, key) do nothing
"""
_FORGET_OLD = """
    delete from idempotency_keys
    where kept_at < now() - %s and (route <> %s or kept_at < now() - %s)
"""
