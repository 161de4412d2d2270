"""`verify` finds what is wrong with the books, and nothing where nothing is."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from zipfile import ZipFile

import psycopg
import pytest

from overture import ids
from overture.actions.export import export
from overture.actions.ledger import MEMBERS_AT_ONCE, Verification, verify
from overture.core.ids import MemberId
from overture.core.policy import Outcome
from overture.core.sending import Respond, Withdraw
from overture.store import audit
from overture.store.audit import Head
from overture.store.db import Tx, one_row
from tests.cast import Town, town_in
from tests.docs.blocks import code


@pytest.fixture
async def town(database_url: str) -> AsyncIterator[Town]:
    async with town_in(database_url) as made:
        await _live(made)
        yield made


async def _live(town: Town) -> None:
    """Half a year of a few members: every kind of entry, and an InMail of every state."""
    ada = await town.member("ada", premium="premium_career", recruiter="recruiter_lite")
    others = [await town.member(f"other-{n}", premium="premium_career") for n in range(6)]
    sent = []
    for other in others:
        town.pass_by(days=1)
        sent.append(await town.sends(ada, other, "premium"))
    town.pass_by(days=80)
    for other, inmail in zip(others, sent[:4], strict=False):
        await town.acts(Respond(other, inmail, Outcome.DECLINED))
    await town.acts(Withdraw(ada, sent[4]))
    town.pass_by(days=9)
    for other in others[:4]:
        inmail = await town.sends(ada, other, "recruiter")
        await town.accepts(other, inmail)
    await town.cancels(ada, "recruiter")
    town.pass_by(days=60)
    await town.chooses(ada, "premium", "premium_business")
    await town.chooses(ada, "premium", "premium_career")
    town.pass_by(days=40)
    await town.chooses(ada, "recruiter", "recruiter_lite")


async def verified(town: Town) -> Verification:
    async with town.db.read() as tx:
        return await verify(tx, town.now, town.book)


async def test_books_that_are_right(town: Town) -> None:
    found = await verified(town)
    assert found.sound, found.discrepancies
    assert (found.accounts, found.inmails) == (8, 9)
    assert found.entries > 20
    assert found.totals.conserved
    assert found.totals.spent == 9


async def test_progress_is_told(town: Town) -> None:
    told: list[tuple[int, int]] = []
    async with town.db.read() as tx:
        await verify(tx, town.now, town.book, lambda done, total: told.append((done, total)))
    assert told == [(8, 8)]


async def test_more_members_than_are_looked_at_at_once(town: Town) -> None:
    for number in range(MEMBERS_AT_ONCE + 5):
        await town.member(f"one-of-many-{number}", premium="premium_career")
    told: list[int] = []
    async with town.db.read() as tx:
        found = await verify(tx, town.now, town.book, lambda done, _: told.append(done))
    assert found.sound, found.discrepancies
    assert found.accounts == 8 + MEMBERS_AT_ONCE + 5
    assert len(told) == 2


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (
            "update credit_accounts set balance = balance + 1 where pool = 'premium'",
            "columns",
        ),
        (
            """update credit_accounts set state = jsonb_set(state::jsonb, '{lots,0,remaining}', '9')
            where json_array_length(state -> 'lots') > 0""",
            "amounts to",
        ),
        (
            """update credit_accounts set state = jsonb_set(state::jsonb, '{subscription,since}',
            '"2025-03-01T00:00:00Z"') where state ->> 'subscription' is not null""",
            "amounts to",
        ),
        ("update credit_accounts set next_due_at = null", "columns"),
        ("delete from credit_accounts", "no account of it is stored"),
        ("delete from ledger_entries where kind = 'refund'", "The record says"),
        ("delete from ledger_entries where kind = 'spend'", "The record says"),
        ("delete from ledger_entries", "is missing"),
        ("update ledger_entries set credits = 6 where kind = 'grant'", "The record says"),
        ("update ledger_entries set at = at + interval '1 s' where kind = 'grant'", "grant"),
        (
            "update ledger_entries set expires_at = expires_at + interval '1 s'",
            "The record says",
        ),
        ("update ledger_entries set lot = lot + 1 where kind = 'spend'", "The record says"),
        (
            """insert into ledger_entries select owner_id, pool, number + 1000, at, kind, credits,
            forfeited, reason, plan, lot, expires_at, inmail_id, balance, link from ledger_entries
            where kind = 'refund'""",
            "not answered for already",
        ),
        (
            """insert into ledger_entries select owner_id, pool, number + 1000, at, kind, credits,
            forfeited, reason, plan, lot, expires_at, inmail_id, balance, link from ledger_entries
            where kind = 'expire'""",
            "no such entry",
        ),
        ("update ledger_entries set link = md5(link) where number = 1", "The record says"),
        (
            """update credit_accounts set state = jsonb_set(state::jsonb, '{link}', '"x"')
            where state ->> 'link' <> ''""",
            "amounts to",
        ),
        ("delete from subscription_wishes", "before any plan was chosen"),
        ("update subscription_wishes set plan = 'premium_business'", "The record says"),
        ("update subscription_wishes set plan = 'gold' where wish = 'choose'", "does not exist"),
        (
            "update conversations set refundable_until = '{}' where pool = 'premium'",
            "paid no credit",
        ),
        ("delete from conversations where response is not null", "none of this member's"),
        (
            """update conversations set response = null, responded_at = null, state = 'pending'
            where state = 'accepted'""",
            "should tell what the response did",
        ),
        (
            """update conversations set state = 'accepted', response = 'accepted',
            responded_at = started_at where state = 'withdrawn'""",
            "should tell what the response did",
        ),
        ("update conversations set messages = 2 where kind = 'inmail'", "messages"),
        ("delete from messages", "messages"),
        (
            "update inbox set state = 'accepted' where state = 'withdrawn' and begun",
            "sender's list",
        ),
        ("delete from inbox where not begun", "missing in the recipient's list"),
        ("update members set premium_until = null", "Premium does not last as long"),
        (
            "update members set premium_until = premium_until - interval '1 s'",
            "Premium does not last as long",
        ),
        (
            """insert into members (id, handle, name, created_at, premium_until, search_text)
            values (gen_random_uuid(), 'eve', 'Eve', now(), 'infinity', 'eve')""",
            "Premium does not last as long",
        ),
    ],
)
async def test_books_that_were_tampered_with(
    town: Town, database_url: str, damage: str, sentence: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute("grant all on all tables in schema public to current_user")
        other.execute(damage)
    found = await verified(town)
    assert not found.sound
    told = [each.sentence for each in found.discrepancies]
    assert any(sentence in each for each in told), told
    assert len(told) <= 10
    assert found.found >= len(told)


# The chain ------------------------------------------------------------------------------------------


async def test_members_can_check_their_export_with_what_the_docs_say(town: Town, tmp_path: Path):
    (checking,) = code("docs/ledger.md", "python")
    ada = await town.look(lambda tx: one_row(tx, "select id from members where handle = 'ada'"))
    assert ada
    packed = await town.look(lambda tx: export(tx, MemberId(ada[0]), town.now, town.book))
    with packed, ZipFile(packed) as archive:
        archive.extractall(tmp_path)

    def check() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", checking]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    right = await asyncio.to_thread(check)
    assert right.returncode == 0, right.stderr
    assert right.stdout.startswith("Nothing was changed.")

    file = tmp_path / "ledger.json"
    entries = json.loads(file.read_text())
    entries[3]["credits"] += 1
    file.write_text(json.dumps(entries))
    wrong = await asyncio.to_thread(check)
    assert wrong.returncode == 1
    assert "was changed" in wrong.stderr


async def audited(town: Town, count: int) -> None:
    for number in range(count):
        await town.do(
            lambda tx, number=number: audit.record(
                tx, ids.new(), town.now, actor="cli", action="x", detail={"number": number}
            )
        )


async def broken(town: Town) -> int | None:
    async def look(tx: Tx) -> int | None:
        at, found = await audit.first_broken(tx, Head(0, ""), 100)
        return found or (None if at == await audit.head(tx) else at.number + 1)

    return await town.look(look)


@pytest.mark.parametrize(
    ("harm", "entry"),
    [
        ("update audit set detail = '{}' where number = 3", 3),
        ("update audit set actor = 'token:x' where number = 2", 2),
        ("update audit set at = at + interval '1 s' where number = 5", 5),
        ("update audit set link = md5(link) where number = 4", 4),
        ("delete from audit where number = 1", 1),
        ("delete from audit where number = 3", 3),
        ("delete from audit where number = 5", 5),
        ("update audit set number = number + 1 where number = 5", 5),
    ],
)
async def test_an_audit_log_that_was_tampered_with(
    town: Town, database_url: str, harm: str, entry: int
):
    await audited(town, 5)
    assert await broken(town) is None

    with psycopg.connect(database_url, autocommit=True) as db:
        db.execute("grant update, delete on audit to current_user")
        db.execute(harm)

    assert await broken(town) == entry


async def test_audit_entries_made_at_once_follow_each_other(town: Town):
    await asyncio.gather(*(audited(town, 5) for _ in range(6)))

    assert await broken(town) is None
    assert (await town.look(audit.head)).number == 30
