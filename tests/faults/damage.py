"""What faults did to the data, in sentences: one check for every experiment; nothing is what must be.

Each acknowledged request is there, once, and charged once; the tables contradict each other in nothing;
and `overture ledger verify` (`core.invariants`) finds the books sound.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString

import psycopg

from overture import policies
from overture.actions import ledger
from overture.clock import real_now
from overture.core.ids import MemberId
from overture.store.db import Database, Tx
from tests.faults.servers import Answer


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A request and the answer that its client got for it."""

    viewer: MemberId
    path: str
    body: dict[str, Any]
    key: str
    answer: Answer

    @property
    def kind(self) -> str:
        return self.path.rpartition("/")[2]


@dataclass(slots=True)
class Damage:
    """Sentences, by what they are about."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    unbalanced: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    @property
    def all(self) -> list[str]:
        return [*self.lost, *self.doubled, *self.unbalanced, *self.other]

    def add(self, more: Damage) -> None:
        self.lost += more.lost
        self.doubled += more.doubled
        self.unbalanced += more.unbalanced
        self.other += more.other


def damage(url: str, told: Sequence[Acknowledged], now: datetime | None = None) -> Damage:
    """What is wrong with the data, given what the clients were told. `now`: of the servers' clocks,
    where that is not the real one."""
    messages: dict[str, list[Any]] = {}
    for body, *place in _rows(url, "select body, conversation_id::text, id::text from messages"):
        messages.setdefault(body, []).append(place)
    found = Damage()
    _compare(
        found, told, messages, dict(_rows(url, "select id::text, response from conversations"))
    )
    found.doubled += [
        f"The message “{body}” is there {len(places)} times."
        for body, places in messages.items()
        if len(places) > 1
    ]
    found.unbalanced += [*broken_books(url), *asyncio.run(verified(url, now))]
    return found


def broken_books(url: str) -> list[str]:
    """What the tables contradict each other in: charge and message are one, so are response and
    refund, and a balance is the sum of its entries. In plain SQL, next to what verifies."""
    return [
        *(
            f"A charge without a message: InMail {inmail}."
            for (inmail,) in _rows(
                url,
                """
                select e.inmail_id from ledger_entries e
                where e.kind = 'spend' and not exists (select from conversations c
                    where c.owner_id = e.owner_id and c.id = e.inmail_id)
                """,
            )
        ),
        *(
            f"InMail {inmail} ({channel}) was charged {charged} times."
            for inmail, channel, charged in _rows(
                url,
                """
                select c.id, c.channel, count(e.number)
                from conversations c
                left join ledger_entries e
                    on e.owner_id = c.owner_id and e.inmail_id = c.id and e.kind = 'spend'
                group by c.id, c.channel
                having count(e.number) <> case when c.channel = 'inmail' then 1 else 0 end
                """,
            )
        ),
        *(
            f"InMail {inmail} (response: {response}) was returned {returned} times."
            for inmail, response, returned in _rows(
                url,
                """
                select c.id, c.response, count(e.number)
                from conversations c
                left join ledger_entries e
                    on e.owner_id = c.owner_id and e.inmail_id = c.id and e.reason <> 'deferred'
                    and e.kind in ('refund', 'defer', 'no_refund')
                where c.channel = 'inmail'
                group by c.id, c.response
                having count(e.number) <> case when c.response is null then 0 else 1 end
                """,
            )
        ),
        *(
            f"The balance of {owner} is {balance}, the sum of the entries {total}."
            for owner, balance, total in _rows(
                url,
                """
                select coalesce(a.owner_id, e.owner_id), a.balance, e.total
                from credit_accounts a
                full join (select owner_id, pool, sum(credits) as total
                    from ledger_entries group by owner_id, pool) e
                    on e.owner_id = a.owner_id and e.pool = a.pool
                where a.balance is distinct from e.total or a.balance < 0
                """,
            )
        ),
        *(
            f"{count} InMails are pending between {one} and {other}."
            for one, other, count in _rows(
                url,
                """
                select least(owner_id, recipient_id), greatest(owner_id, recipient_id), count(*)
                from conversations where state = 'pending'
                group by 1, 2 having count(*) > 1
                """,
            )
        ),
    ]


async def verified(url: str, now: datetime | None = None) -> list[str]:
    """What `overture ledger verify` finds."""
    db = await Database.open(url, connections=2)
    try:

        async def work(tx: Tx) -> list[str]:
            book = await policies.in_force(tx)
            assert book is not None
            made = await ledger.verify(tx, now or real_now(), book)
            assert made.sound == (not made.discrepancies)
            return [f"Ledger: {each.sentence} ({each.member})" for each in made.discrepancies]

        return await db.reading(work)
    finally:
        await db.close()


def _rows(url: str, statement: LiteralString) -> list[Any]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement).fetchall()


def _compare(
    found: Damage,
    told: Sequence[Acknowledged],
    messages: dict[str, list[Any]],
    responses: dict[str, str | None],
) -> None:
    """Each acknowledged request against the data."""
    for each in told:
        if each.answer.status >= 300:
            found.other.append(f"{each.key} {each.path} was refused: {each.answer.body.decode()}")
            continue
        answer = each.answer.json
        if "body" in each.body:
            place = [answer["conversation"]["id"], answer["message"]["id"]]
            if place not in messages.get(each.body["body"], []):
                found.lost.append(f"Lost: the message “{each.body['body']}” was acknowledged.")
        else:
            outcome = {"accept": "accepted", "decline": "declined"}[each.kind]
            if responses.get(answer["id"]) != outcome:
                found.lost.append(f"Lost: the {each.kind} of {answer['id']} was acknowledged.")
