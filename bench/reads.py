"""Inbox page and thread page as JSON, on much data and on a tenth of it, with one server process."""

from collections.abc import Sequence

import psycopg

from bench.common import MEMBERS, database, median, seed_members, table
from bench.load import Load, server, wrk

SECONDS = 6
RUNS = 3
AT_ONCE = 32
MESSAGES_EACH = 5


def main(arguments: Sequence[str] = ()) -> None:
    runs = 1 if "--quick" in arguments else RUNS
    rows: list[Sequence[object]] = []
    rates: dict[tuple[str, int], float] = {}
    for each in (1, 10):
        conversations = each * MEMBERS
        with database("reads") as url:
            seed_members(url)
            seed_conversations(url, each)
            with server(url, processes=1) as running:
                for page, script in (("inbox", INBOX), ("thread", THREAD)):
                    wrk(running.address, script % each, at_once=AT_ONCE, seconds=2)
                    loads = [
                        wrk(running.address, script % each, at_once=AT_ONCE, seconds=SECONDS)
                        for _ in range(runs)
                    ]
                    refuse_failures(loads)
                    rates[page, each] = median([load.per_second for load in loads])
                    rows.append(
                        (
                            f"{page} page",
                            f"{conversations:,}",
                            f"{conversations * MESSAGES_EACH:,}",
                            f"{rates[page, each]:,.0f}",
                            f"{median([load.p50 for load in loads]):.1f}",
                            f"{median([load.p99 for load in loads]):.1f}",
                        )
                    )
    table(
        f"Reads over HTTP, one process, {AT_ONCE} at once",
        ("page", "conversations", "messages", "pages/s", "p50 ms", "p99 ms"),
        rows,
    )
    for page in ("inbox", "thread"):
        print(f"{page}: {rates[page, 1] / rates[page, 10]:.2f} times slower on ten times the data")


def refuse_failures(loads: Sequence[Load]) -> None:
    if failed := sum(load.refused for load in loads):
        raise SystemExit(f"{failed} pages were not answered with 200")


def seed_conversations(url: str, each: int) -> None:
    """So many answered InMails begun by each member, each of five messages; all over the year."""
    with psycopg.connect(url, autocommit=True) as db:
        for statement in SEED:
            db.execute(statement, {"each": each, "members": MEMBERS, "messages": MESSAGES_EACH})
        db.execute("vacuum analyze inbox")
        db.execute("vacuum analyze conversations")
        db.execute("vacuum analyze messages")


INBOX = """
function request()
    return wrk.format("GET", "/api/v1/conversations", as(anyone())) -- %d
end
"""
THREAD = f"""
local each = %d
function request()
    local n = math.random(0, each * {MEMBERS} - 1)
    local path = string.format("/api/v1/conversations/00000000-0000-7000-9000-%%012x/messages", n)
    return wrk.format("GET", path, as(math.floor(n / each) + 1))
end
"""
# Conversation n was begun by member n / each + 1, with a member some way along the row of members.
_CONVERSATIONS = """
    select n,
        ('00000000-0000-7000-9000-' || lpad(to_hex(n), 12, '0'))::uuid as id,
        n / %(each)s::bigint + 1 as sender,
        (n / %(each)s::bigint + 1 + (n %% %(each)s::bigint + 1) * 7919) %% %(members)s::bigint + 1
            as recipient,
        now() - (n * 7 %% 31536000) * interval '1 second' as at
    from generate_series(0, %(each)s::bigint * %(members)s::bigint - 1) n
"""
_UUID = "('00000000-0000-7000-8000-' || lpad(to_hex({}), 12, '0'))::uuid"
SEED = (
    f"""
    insert into conversations (owner_id, id, kind, recipient_id, subject, channel, state,
        started_at, pool, refundable_until, response, responded_at, last_activity_at,
        recipient_wrote_at, sender_wrote_at, messages)
    select {_UUID.format("c.sender")}, c.id, 'inmail', {_UUID.format("c.recipient")},
        'A question', 'inmail', 'accepted', c.at, 'premium', array[c.at + interval '90 days'],
        'accepted', c.at, c.at, c.at, c.at, %(messages)s::integer
    from ({_CONVERSATIONS}) c
    """,
    f"""
    insert into messages (owner_id, conversation_id, number, id, sender_id, sent_at, body)
    select {_UUID.format("c.sender")}, c.id, m, gen_random_uuid(),
        case when m %% 2 = 1 then {_UUID.format("c.sender")} else {_UUID.format("c.recipient")} end,
        c.at + m * interval '1 second', repeat('A few words about the matter. ', 7)
    from ({_CONVERSATIONS}) c, generate_series(1, %(messages)s::integer) m
    """,
    f"""
    insert into inbox (owner_id, conversation_id, home_id, counterpart_id, counterpart_handle,
        counterpart_name, kind, begun, state, box, subject, last_message_id, last_sender_id,
        last_message_at, snippet, last_activity_at, unread, read_number, credits)
    select {_UUID.format("o.owner")}, c.id, {_UUID.format("c.sender")}, {_UUID.format("o.other")},
        'member-' || o.other, 'Member ' || o.other, 'inmail', o.owner = c.sender, 'accepted',
        'inbox', 'A question', gen_random_uuid(), {_UUID.format("c.sender")}, c.at,
        repeat('A few words about the matter. ', 5), c.at, c.n %% 3, 5, 1
    from ({_CONVERSATIONS}) c,
        lateral (values (c.sender, c.recipient), (c.recipient, c.sender)) o (owner, other)
    """,
)
