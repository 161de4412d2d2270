"""Durable metered sends through `actions` with lanes, beside pgbench doing the same effect.

The peer is one function call a transaction on the same server and tables: members locked, pair and
inbox looked at, account charged, conversation, message, both inbox rows, ledger entry and events
written. Lanes and peer take turns, so that the ratio is of one run.
"""

import asyncio
import random
import re
import subprocess
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import uvloop

from bench.common import (
    MEMBERS,
    Latencies,
    check_credits,
    count_messages,
    database,
    median,
    member_id,
    policy_book,
    refuse_miscount,
    seed_members,
    table,
)
from overture import ids
from overture.actions.conversations import Ask, act
from overture.actions.lanes import Lanes
from overture.core.ids import ConversationId, MessageId
from overture.core.sending import Done, Start
from overture.store import embedded
from overture.store.db import Database

SECONDS = 4
RUNS = 3
LANES = 2
BODY = (
    "I read your talk on ledgers that explain themselves, and would like to ask you about it. " * 4
)


async def through_lanes(url: str, at_once: int, *, hot: bool) -> tuple[float, Latencies]:
    """Sends a second and their latencies, with so many in flight."""
    messages = count_messages(url)
    db = await Database.open(url)
    book = policy_book()
    lanes: Lanes[Ask, object] = Lanes(
        lambda asks: db.writing(lambda tx: act(tx, asks, datetime.now(UTC), book)), lanes=LANES
    )
    latencies: list[float] = []
    sent = 0
    stop_at = time.perf_counter() + SECONDS

    async def sender() -> None:
        nonlocal sent
        while (began := time.perf_counter()) < stop_at:
            who = random.randint(1, 10) if hot and random.random() < 0.5 else _anyone()
            answer = await lanes.submit(
                Ask(
                    Start(
                        viewer=member_id(who),
                        to=member_id(_anyone()),
                        conversation_id=ConversationId(ids.new()),
                        message_id=MessageId(ids.new()),
                        subject="A question",
                        body=BODY,
                    )
                ),
                member_id(who),
            )
            latencies.append(time.perf_counter() - began)
            sent += isinstance(answer, Done)

    began = time.perf_counter()
    await asyncio.gather(*(sender() for _ in range(at_once)))
    took = time.perf_counter() - began
    await db.close()
    refuse_miscount(count_messages(url) - messages, sent)
    return sent / took, Latencies.of(latencies)


def through_pgbench(url: str, clients: int, *, hot: bool) -> tuple[float, Latencies]:
    """The same effect by pgbench, one function call a transaction."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "send.sql"
        sender = f"random(1, {MEMBERS})"
        if hot:
            sender = f"case when random(1, 2) = 1 then random(1, 10) else {sender} end"
        script.write_text(
            f"\\set a {sender}\n\\set b random(1, {MEMBERS})\n"
            f"select bench_send(:a, :b, '{BODY}');\n"
        )
        done = subprocess.run(
            [
                str(embedded.binary("pgbench")), "-n", "-M", "prepared", "-c", str(clients),
                "-j", str(min(clients, 2)), "-T", str(SECONDS), "-f", str(script), "-l",
                "--log-prefix", f"{folder}/log", url,
            ],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        rate = re.search(r"tps = ([\d.]+)", done.stdout)
        assert rate is not None, done.stdout
        latencies = [
            int(line.split()[2]) / 1e6
            for log in Path(folder).glob("log*")
            for line in log.read_text().splitlines()
        ]
    return float(rate[1]), Latencies.of(latencies)


def prepare_peer(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(PEER)


def main(arguments: Sequence[str] = ()) -> None:
    quick = "--quick" in arguments
    runs = 1 if quick else RUNS
    with database("sends") as url:
        seed_members(url)
        prepare_peer(url)
        for hot in (False, True):
            results: dict[str, list[tuple[float, Latencies]]] = {}
            for _ in range(runs):
                for clients in (8, 32, 64):
                    found = through_pgbench(url, clients, hot=hot)
                    results.setdefault(f"pgbench, {clients} clients", []).append(found)
                    check_credits(url)
                for at_once in (32, 128, 512):
                    found = uvloop.run(through_lanes(url, at_once, hot=hot))
                    results.setdefault(f"lanes, {at_once} at once", []).append(found)
                    check_credits(url)
            best = max(
                median([rate for rate, _ in found])
                for name, found in results.items()
                if name.startswith("pgbench")
            )
            table(
                "Sends: half of them from ten members" if hot else "Sends: any of 100,000 members",
                ("path", "sends/s", "p50 ms", "p99 ms", "times pgbench's best"),
                [
                    (
                        name,
                        f"{median([rate for rate, _ in found]):,.0f}",
                        f"{median([each.p50 for _, each in found]):.1f}",
                        f"{median([each.p99 for _, each in found]):.1f}",
                        f"{median([rate for rate, _ in found]) / best:.2f}",
                    )
                    for name, found in results.items()
                ],
            )


def _anyone() -> int:
    return random.randint(1, MEMBERS)


PEER = """
create or replace function bench_send(sender bigint, recipient bigint, body text) returns integer
language plpgsql as $$
declare
    s uuid := ('00000000-0000-7000-8000-' || lpad(to_hex(sender), 12, '0'))::uuid;
    r uuid := ('00000000-0000-7000-8000-' || lpad(to_hex(recipient), 12, '0'))::uuid;
    conversation uuid := gen_random_uuid();
    message uuid := gen_random_uuid();
    account credit_accounts;
    held integer;
    lot integer;
    entries integer;
    them members;
    me members;
begin
    if s = r then return 0; end if;
    perform 1 from members where id in (s, r) order by id for key share;
    select * into me from members where id = s;
    select * into them from members where id = r;
    if exists (select from blocks where owner_id = s and blocked_id = r)
        or exists (select from blocks where owner_id = r and blocked_id = s)
        or exists (select from inbox i join conversations c
            on c.owner_id = i.home_id and c.id = i.conversation_id
            where i.owner_id = s and i.counterpart_id = r)
        or exists (select from connections where owner_id = s and member_id = r)
        or not them.accept_inmail or them.closed_at is not null
        or them.premium_until is null or them.premium_until <= now() then
        return 0;
    end if;
    select * into account from credit_accounts where owner_id = s and pool = 'premium' for update;
    held := account.balance - 1;
    entries := (account.state->>'entries')::integer + 1;
    lot := (account.state->'lots'->0->>'number')::integer;
    update credit_accounts a
    set version = a.version + 1, balance = held,
        state = jsonb_set(jsonb_set(jsonb_set(a.state::jsonb,
            '{lots,0,remaining}', to_jsonb((a.state->'lots'->0->>'remaining')::integer - 1)),
            '{entries}', to_jsonb(entries)), '{settled_at}', to_jsonb(now()))::json
    where a.owner_id = s and a.pool = 'premium';
    insert into conversations (owner_id, id, kind, recipient_id, subject, channel, state,
        started_at, pool, refundable_until, last_activity_at, sender_wrote_at, messages)
    values (s, conversation, 'inmail', r, 'A question', 'inmail', 'pending', now(), 'premium',
        array[now() + interval '90 days'], now(), now(), 1);
    insert into messages (owner_id, conversation_id, number, id, sender_id, sent_at, body)
    values (s, conversation, 1, message, s, now(), body);
    insert into inbox (owner_id, conversation_id, home_id, counterpart_id, counterpart_handle,
        counterpart_name, kind, begun, state, box, subject, last_message_id, last_sender_id,
        last_message_at, snippet, last_activity_at, unread, read_number, pending_since, credits,
        expires_refund_at)
    values
        (s, conversation, s, r, them.handle, them.name, 'inmail', true, 'pending', 'inbox',
            'A question', message, s, now(), left(body, 160), now(), 0, 1, now(), 1,
            now() + interval '90 days'),
        (r, conversation, s, s, me.handle, me.name, 'inmail', false, 'pending', 'requests',
            'A question', message, s, now(), left(body, 160), now(), 1, 0, now(), 1,
            now() + interval '90 days');
    insert into ledger_entries (owner_id, pool, number, at, kind, credits, forfeited, reason, plan,
        lot, inmail_id, balance, link)
    values (s, 'premium', entries, now(), 'spend', -1, 0, 'inmail', 'bench', lot, conversation, held,
        encode(sha256(convert_to(concat_ws(E'\\n', account.state->>'link', s, 'premium', entries,
            now(), 'spend', -1, lot, conversation, held, 'inmail'), 'UTF8')), 'hex'));
    insert into outbox (owner_id, kind, at, payload)
    values
        (s, 'credits.changed', now(), json_build_object('pool', 'premium', 'balance', held)),
        (s, 'inmail.sent', now(), json_build_object('conversation_id', conversation,
            'recipient_id', r, 'message_id', message, 'sender_id', s));
    return 1;
exception
    -- Two who write to each other at once: pgbench would end the client on an error.
    when unique_violation then
        return 0;
end $$;
"""
