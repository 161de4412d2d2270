"""What the benchmarks share: a database with members in it, percentiles, tables, memory."""

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from overture.core import credits
from overture.core.ids import MemberId
from overture.core.policy import PolicyBook, parse
from overture.store import embedded
from overture.store.conversations import INSERT_ENTRIES, account_row, entry_rows
from overture.store.db import as_json
from overture.store.migrate import migrate

MEMBERS = 100_000
POOL = "premium"
# Just now: an account that lay for years would first have to play its grants.
SIGNED_UP_AT = datetime.now(UTC)

# A plan so large that a benchmark never runs out of credits: what is measured is the send.
POLICY = """
[[versions]]
holds_from = 1970-01-01T00:00:00Z
expiry_days = 3650
refund_days = 90
topups = false
decline_unlocks = true
follow_ups = false
open_profile_daily = 25
recipient_requires_premium = true
subject_chars_max = 200
body_chars_max = 2000
reminder_aim_hours = 48
reminder_latest_hours = 72
waking_from = 00:00:00
waking_until = 23:59:59
plans = [{name = "bench", title = "Bench", pool = "premium", allotment = 100000, cap = 1000000}]
"""


def policy_book() -> PolicyBook:
    return parse(POLICY)


def member_id(number: int) -> MemberId:
    """Members are numbered, so that SQL and Python can both name one at random."""
    return MemberId(f"00000000-0000-7000-8000-{number:012x}")


@contextmanager
def database(name: str) -> Iterator[str]:
    """A fresh embedded PostgreSQL with durable settings, migrated; gone afterwards."""
    root = os.environ.get("OVERTURE_BENCH_DIR", "/var/tmp")
    with (
        tempfile.TemporaryDirectory(prefix=f"overture-bench-{name}-", dir=root) as folder,
        embedded.start(Path(folder) / "data") as server,
    ):
        migrate(server.url)
        yield server.url


def seed_members(url: str, count: int = MEMBERS) -> None:
    """So many Premium members, each with one lot of credits."""
    book = policy_book()
    plan = book.at(SIGNED_UP_AT).plans["bench"]
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(
            """
            insert into members (id, handle, name, created_at, premium_until, search_text)
            select ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
                'member-' || n, 'Member ' || n, %s, %s, 'member ' || n
            from generate_series(1, %s) n
            """,
            (SIGNED_UP_AT, credits.FOREVER, count),
        )
        for first in range(1, count + 1, 10_000):
            changes = [
                credits.choose(
                    credits.Account(member_id(n), POOL, SIGNED_UP_AT), plan, SIGNED_UP_AT, book
                )
                for n in range(first, min(first + 10_000, count + 1))
            ]
            db.execute(
                """
                insert into credit_accounts
                select r.* from json_to_recordset(%s) as r (owner_id uuid, pool text,
                    version bigint, balance integer, next_due_at timestamptz, state json)
                """,
                (as_json([account_row(change.account, 1) for change in changes]),),
            )
            entries = [(c.account.owner, POOL, e) for c in changes for e in c.entries]
            db.execute(INSERT_ENTRIES, (as_json(entry_rows(entries)),))
        db.execute("vacuum analyze")
        db.execute("checkpoint") if _is_superuser(db) else None


def check_credits(url: str) -> None:
    """What must hold after every run: sums equal balances, a charge a message, nothing negative."""
    with psycopg.connect(url) as db:
        for what, query in _CHECKS.items():
            row = db.execute(query).fetchone()
            if row is None or row[0] != 0:
                raise SystemExit(f"wrong after the run: {what}: {row}")


def count_messages(url: str) -> int:
    """How many there are once no more come: a load generator goes away before its last answers."""
    with psycopg.connect(url, autocommit=True) as db:
        before = -1
        while (row := db.execute("select count(*) from messages").fetchone()) != (before,):
            assert row is not None
            before = row[0]
            time.sleep(0.2)
    return before


def refuse_miscount(added: int, answered: int, *, at_most: int = 0) -> None:
    """Every answered send is a message; beyond them, at most those whose answer nobody waited for."""
    if not answered <= added <= answered + at_most:
        raise SystemExit(f"wrong after the run: {answered} sends answered, {added} messages added")


@dataclass(frozen=True)
class Latencies:
    """Milliseconds."""

    p50: float
    p99: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Latencies":
        ordered = sorted(seconds)
        return cls(ordered[len(ordered) // 2] * 1e3, ordered[int(len(ordered) * 0.99)] * 1e3)


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints a Markdown table, ready for docs/benchmarks.md."""
    print(f"\n### {title}\n")
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |", flush=True)


def rss_mb(pid: int) -> float:
    """Resident memory of one process, in megabytes."""
    out = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True
    )
    return int(out.stdout) / 1024


def _is_superuser(db: psycopg.Connection[tuple[object, ...]]) -> bool:
    row = db.execute("select current_setting('is_superuser') = 'on'").fetchone()
    return bool(row and row[0])


_CHECKS = {
    "balance is not the sum of its entries": """
        select count(*) from (
            select a.owner_id from credit_accounts a join ledger_entries e using (owner_id, pool)
            group by a.owner_id, a.pool, a.balance having sum(e.credits) <> a.balance) wrong
    """,
    "charges without a message, or messages without a charge": """
        select count(*) from (select inmail_id from ledger_entries where kind = 'spend') e
        full join (select id from conversations where channel = 'inmail') c on c.id = e.inmail_id
        where e.inmail_id is null or c.id is null
    """,
    "conversations without a row for each side": """
        select (select count(*) from conversations) * 2 - (select count(*) from inbox)
    """,
    "messages that their conversation does not count, or the other way about": """
        select (select coalesce(sum(messages), 0) from conversations) - (select count(*) from messages)
    """,
}
