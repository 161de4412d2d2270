"""The console's pages with a million members, one operator at a time, with one server process."""

import random
import time
from collections.abc import Callable, Sequence
from hashlib import sha256

import httpx
import psycopg

from bench.common import Latencies, database, member_id, seed_members, table
from bench.load import server
from bench.reads import SEED

MEMBERS = 1_000_000
# So many of them have a plan, and began letters.
WITH_PLAN = 20_000
LETTERS_EACH = 5
AUDITED = 1_000_000
# Of all members, one in fifty: reported, suspected, with an address that mail comes back from, or with
# work that was given up. And the deliveries of a month to one endpoint.
TROUBLED = 50
DELIVERED = 1_000_000
ENDPOINT = "00000000-0000-7000-a000-000000000001"
VISITS = 300
# What the slowest page may take.
P99_MS = 300.0

Ask = Callable[[random.Random], str]


def main(arguments: Sequence[str] = ()) -> None:
    quick = "--quick" in arguments
    members, visits = (50_000, 50) if quick else (MEMBERS, VISITS)
    rows: list[Sequence[object]] = []
    with database("console") as url:
        seed_members(url, WITH_PLAN)
        with psycopg.connect(url, autocommit=True) as db:
            for statement in (*SEED, *MORE):
                db.execute(
                    statement,
                    {
                        "members": WITH_PLAN,
                        "each": LETTERS_EACH,
                        "messages": 5,
                        "all": members,
                        "audited": members if quick else AUDITED,
                        "troubled": members // TROUBLED,
                        "delivered": members if quick else DELIVERED,
                        "endpoint": ENDPOINT,
                        "session": sha256(b"bench-console").digest(),
                    },
                )
            db.execute("vacuum analyze")
        with server(url, processes=1) as running:
            for page, ask in pages(members).items():
                took = measured(running.address, ask, visits)
                rows.append((page, f"{took.p50:.1f}", f"{took.p99:.1f}"))
    table(
        f"Console with {members:,} members, one visit after the other",
        ("page", "p50 ms", "p99 ms"),
        rows,
    )
    slowest = max(rows, key=lambda row: float(str(row[2])))
    print(f"\nThe slowest is {slowest[0]}: {slowest[2]} ms, of {P99_MS:.0f} ms that it may take.")


def measured(address: str, ask: Ask, visits: int) -> Latencies:
    chance, took = random.Random(1), list[float]()
    with httpx.Client(base_url=address, cookies={"session": "bench-console"}) as operator:
        for visit in range(visits + 10):
            path = ask(chance)
            began = time.perf_counter()
            answer = operator.get(path)
            if answer.status_code != 200:
                raise SystemExit(f"{path} was answered with {answer.status_code}")
            # The first ones make the plans.
            if visit >= 10:
                took.append(time.perf_counter() - began)
    return Latencies.of(took)


def pages(members: int) -> dict[str, Ask]:
    def anyone(chance: random.Random) -> int:
        return chance.randint(2, members)

    def one(chance: random.Random) -> str:
        return member_id(chance.randint(2, WITH_PLAN))

    def letter(chance: random.Random) -> str:
        number = chance.randrange(WITH_PLAN * LETTERS_EACH)
        home = member_id(number // LETTERS_EACH + 1)
        return f"{home}/00000000-0000-7000-9000-{number:012x}"

    return {
        "overview": lambda _: "/ops/overview",
        "members, newest": lambda _: "/ops/members",
        "members, a first name that one in 200 has": (
            lambda chance: f"/ops/members?q=First{chance.randrange(200)}"
        ),
        "members, first and last name": (
            lambda chance: (
                f"/ops/members?q=First{anyone(chance) % 200} Last{chance.randrange(5000)}"
            )
        ),
        "members, the first two letters": lambda _: "/ops/members?q=fi",
        "members, by address": lambda c: f"/ops/members?q=member-{anyone(c)}@example.org",
        "one member": lambda chance: f"/ops/members/{one(chance)}?other=member-{anyone(chance)}",
        "ledger of one": lambda chance: f"/ops/ledger/{one(chance)}",
        "ledger of one, verified": lambda chance: f"/ops/ledger/{one(chance)}/verify",
        "conversations of one": lambda chance: f"/ops/conversations?member={one(chance)}",
        "one conversation": lambda chance: f"/ops/conversations/{letter(chance)}",
        "audit log": lambda _: "/ops/audit",
        "audit log, everybody's": lambda _: "/ops/audit?of=all",
        "audit log, about one": lambda c: f"/ops/audit?of=all&member={member_id(anyone(c))}",
        "audit log, of one kind": lambda _: "/ops/audit?of=all&action=account.signed_in",
        "reports, open": lambda _: "/ops/reports",
        "reports, decided": lambda _: "/ops/reports?state=decided",
        "one report": lambda c: f"/ops/reports/{report_id(c.randrange(members // TROUBLED) + 1)}",
        "suspicions": lambda _: "/ops/reports/suspicions",
        "jobs": lambda _: "/ops/jobs",
        "mail": lambda _: "/ops/mail",
        "webhooks": lambda _: "/ops/webhooks",
        "one endpoint": lambda _: f"/ops/webhooks/{ENDPOINT}",
        "policy": lambda _: "/ops/policy",
        "health": lambda _: "/ops/health",
    }


def report_id(number: int) -> str:
    return f"00000000-0000-7000-b000-{number:012x}"


_UUID = "('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid"
MORE = (
    """
    update members m
    set name = 'First' || n %% 200 || ' Last' || n %% 5000,
        search_text = 'first' || n %% 200 || ' last' || n %% 5000
    from (select id, split_part(handle, '-', 2)::int as n from members) numbered
    where numbered.id = m.id
    """,
    f"""
    insert into members (id, handle, name, created_at, search_text, email)
    select {_UUID}, 'member-' || n, 'First' || n %% 200 || ' Last' || n %% 5000, now(),
        'first' || n %% 200 || ' last' || n %% 5000, 'member-' || n || '@example.org'
    from generate_series(%(members)s::bigint + 1, %(all)s::bigint) n
    """,
    f"""
    insert into handles (handle, member_id)
    select 'member-' || n, {_UUID} from generate_series(1, %(all)s::bigint) n
    """,
    f"""
    insert into emails (address, member_id)
    select 'member-' || n || '@example.org', {_UUID} from generate_series(1, %(all)s::bigint) n
    """,
    f"""
    insert into accounts (member_id, email, password, verified_at)
    select {_UUID}, 'member-' || n || '@example.org', '-', now()
    from generate_series(1, %(all)s::bigint) n
    """,
    # Its chain is not looked at here.
    f"""
    insert into audit (id, at, actor, action, member_id, detail, number, link)
    select gen_random_uuid(), now() - n * interval '1 second', case when n %% 1000 = 0
            then 'token:00000000-0000-7000-8000-000000000001' else 'member:' || {_UUID} end,
        case when n %% 1000 = 0 then 'member.warned' else 'account.signed_in' end, {_UUID}, '{{}}', n,
        repeat('0', 64)
    from generate_series(1, %(audited)s::bigint) n
    """,
    f"""
    insert into reports (owner_id, id, member_id, reason, at, decided_at, measure)
    select {_UUID}, ('00000000-0000-7000-b000-' || lpad(to_hex(n), 12, '0'))::uuid,
        ('00000000-0000-7000-8000-' || lpad(to_hex(n + 1), 12, '0'))::uuid, 'spam',
        now() - n * interval '1 minute',
        case when n %% 2 = 0 then now() - n * interval '30 seconds' end,
        case when n %% 2 = 0 then 'none' end
    from generate_series(1, %(troubled)s::bigint) n
    """,
    f"""
    insert into suspicions (owner_id, kind, since, at, weight, evidence)
    select {_UUID}, 'same_letter', now() - interval '1 day', now() - n * interval '1 minute', 20,
        '{{"kind": "same_letter", "weight": 20}}'
    from generate_series(1, %(troubled)s::bigint) n
    """,
    f"""
    insert into failing_addresses (member_id, address, failed_at, why)
    select {_UUID}, 'member-' || n || '@example.org', now() - n * interval '1 minute', '5.1.1'
    from generate_series(1, %(troubled)s::bigint) n
    """,
    f"""
    insert into jobs (owner_id, queue, key, due_at, payload, parked_at, problem)
    select {_UUID}, 'mails', n::text, now() - n * interval '1 minute', '{{}}',
        now() - n * interval '30 seconds', '550 5.1.1'
    from generate_series(1, %(troubled)s::bigint) n
    """,
    """
    insert into webhook_endpoints (id, url, events, description, secrets, created_at)
    values (%(endpoint)s::uuid, 'https://example.org/overture', '{*}', '', '[]', now())
    """,
    """
    insert into webhook_deliveries
        (endpoint_id, webhook_id, type, tried_at, tries, outcome, status, milliseconds)
    select %(endpoint)s::uuid, gen_random_uuid(), 'inmail.sent', now() - n * interval '2 seconds', 1,
        case when n %% 100 = 0 then 'failed' else 'delivered' end,
        case when n %% 100 = 0 then 500 else 204 end, 20
    from generate_series(1, %(delivered)s::bigint) n
    """,
    """
    update accounts set operator_at = now()
    where member_id = '00000000-0000-7000-8000-000000000001'::uuid
    """,
    """
    insert into sessions
        (hash, id, member_id, expires_at, client, agent, factor_at, console_at, console_seen_at)
    values (%(session)s, gen_random_uuid(), '00000000-0000-7000-8000-000000000001'::uuid,
        now() + interval '1 day', '', '', now(), now(), now())
    """,
)
