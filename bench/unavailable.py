"""Whether the time that an answer takes tells a block from an opt-out or a closed account.

Requests to all three in a random order, one after the other on one connection; the AUC is how often one
of the one kind takes longer than one of the other: 0.5 is a coin's.
"""

import random
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from hashlib import sha256
from http.client import HTTPConnection
from urllib.parse import urlsplit

import msgspec
import psycopg

from bench.common import database, median, member_id, seed_members, table
from bench.load import OPERATOR_TOKEN, server

# Of each kind, so that no single row is measured.
EACH = 300
ASKED = 2000
QUICK = 300
KINDS = ("blocked", "opted out", "opted out too", "closed")
SENDER = len(KINDS) * EACH + 1
COOKIE = "a-session-of-the-benchmark"
JSON = {"Content-Type": "application/json"}

Ask = Callable[[HTTPConnection, int], None]


def main(arguments: Sequence[str] = ()) -> None:
    asked = QUICK if "--quick" in arguments else ASKED
    with database("unavailable") as url:
        seed_members(url, SENDER)
        with server(url, processes=1) as running:
            where = urlsplit(running.address).netloc
            prepare(url, where)
            for title, ask, kinds in (
                ("POST /conversations", send, KINDS),
                # A closed account has no page left for anybody.
                ("/compose?to=", compose, KINDS[:3]),
            ):
                report(title, measure(where, ask, kinds, asked))


def prepare(url: str, where: str) -> None:
    """Each recipient does what makes them so, by the API."""
    connection = HTTPConnection(where)
    for kind in KINDS:
        for n in members_of(kind):
            match kind:
                case "blocked":
                    call(connection, "PUT", f"/blocks/{member_id(SENDER)}", n)
                case "closed":
                    call(connection, "DELETE", "/me", n)
                case _:
                    call(connection, "PATCH", "/me/preferences", n, {"accept_inmail": False})
    connection.close()
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(
            """
            insert into sessions (hash, id, member_id, expires_at, client, agent)
            values (%s, gen_random_uuid(), %s, now() + interval '1 day', '', 'a benchmark')
            """,
            (sha256(COOKIE.encode()).digest(), member_id(SENDER)),
        )
        db.execute("vacuum analyze")


def members_of(kind: str) -> range:
    first = KINDS.index(kind) * EACH + 1
    return range(first, first + EACH)


def call(
    connection: HTTPConnection, method: str, path: str, viewer: int, body: object = None
) -> tuple[int, bytes]:
    headers = JSON | {"Authorization": f"Bearer {OPERATOR_TOKEN}", "Act-As": member_id(viewer)}
    sent = None if body is None else msgspec.json.encode(body)
    connection.request(method, f"/api/v1{path}", sent, headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def send(connection: HTTPConnection, to: int) -> None:
    letter = {"to": member_id(to), "subject": "A question", "body": "A few words. " * 20}
    status, answer = call(connection, "POST", "/conversations", SENDER, letter)
    assert status == 403, answer
    assert b"recipient_unavailable" in answer, answer


def compose(connection: HTTPConnection, to: int) -> None:
    headers = {"Cookie": f"session={COOKIE}"}
    connection.request("GET", f"/compose?to={member_id(to)}", headers=headers)
    answer = connection.getresponse()
    page = answer.read()
    assert answer.status == 200, answer.status
    assert b"cannot be reached by InMail" in page, page


def measure(where: str, ask: Ask, kinds: Sequence[str], asked: int) -> dict[str, list[float]]:
    """Milliseconds, by kind."""
    chance = random.Random(1)
    order = [kind for kind in kinds for _ in range(asked)]
    chance.shuffle(order)
    taken: dict[str, list[float]] = {kind: [] for kind in kinds}
    connection = HTTPConnection(where)
    for kind in order[:200]:
        ask(connection, chance.choice(members_of(kind)))
    for kind in order:
        to = chance.choice(members_of(kind))
        began = time.perf_counter()
        ask(connection, to)
        taken[kind].append((time.perf_counter() - began) * 1000)
    connection.close()
    return taken


def report(title: str, taken: dict[str, list[float]]) -> None:
    kinds = list(taken)
    rows: list[Sequence[object]] = []
    for place, one in enumerate(kinds):
        for other in kinds[place + 1 :]:
            medians = median(taken[one]), median(taken[other])
            # Where the machine was least in the way.
            quick = fastest_tenth(taken[one]) - fastest_tenth(taken[other])
            rows.append(
                (
                    one,
                    other,
                    f"{medians[0]:.3f}",
                    f"{medians[1]:.3f}",
                    f"{(medians[0] - medians[1]) * 1000:+.0f}",
                    f"{quick * 1000:+.0f}",
                    f"{auc(taken[one], taken[other]):.3f}",
                )
            )
    asked = len(taken[kinds[0]])
    table(
        f"{title}, {asked:,} of each",
        ("one", "other", "median ms", "median ms", "µs apart", "fastest tenth, µs apart", "AUC"),
        rows,
    )


def fastest_tenth(taken: Sequence[float]) -> float:
    return sorted(taken)[len(taken) // 10]


def auc(one: Sequence[float], other: Sequence[float]) -> float:
    """How often a time of the one is longer than one of the other; equal ones count half."""
    ordered = sorted(other)
    longer = sum(bisect_left(ordered, t) + bisect_right(ordered, t) for t in one)
    return longer / 2 / len(one) / len(other)
