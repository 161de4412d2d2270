"""Durable metered sends through `POST /api/v1/conversations`, beside pgbench doing the same effect."""

from collections.abc import Sequence

from bench.common import (
    check_credits,
    count_messages,
    database,
    median,
    refuse_miscount,
    seed_members,
    table,
)
from bench.load import Load, server, wrk
from bench.sends import BODY, prepare_peer, through_pgbench

SECONDS = 6
RUNS = 3

SEND = f"""
function request()
    local body = string.format('{{"to":"%s","subject":"A question","body":"{BODY}"}}',
        member(anyone()))
    return wrk.format("POST", "/api/v1/conversations", as(anyone()), body)
end
"""


def main(arguments: Sequence[str] = ()) -> None:
    runs = 1 if "--quick" in arguments else RUNS
    results: dict[tuple[int, int], list[Load]] = {}
    memory: dict[int, float] = {}
    peer: dict[int, list[float]] = {}
    with database("http") as url:
        seed_members(url)
        prepare_peer(url)
        for _ in range(runs):
            for clients in (8, 32):
                rate, _latencies = through_pgbench(url, clients, hot=False)
                peer.setdefault(clients, []).append(rate)
                check_credits(url)
            for processes in (1, 2):
                with server(url, processes=processes) as running:
                    wrk(running.address, SEND, at_once=32, seconds=2)
                    for at_once in (32, 128):
                        messages = count_messages(url)
                        load = wrk(running.address, SEND, at_once=at_once, seconds=SECONDS)
                        results.setdefault((processes, at_once), []).append(load)
                        # wrk goes away without waiting for what it has asked last.
                        added = count_messages(url) - messages
                        refuse_miscount(added, load.answered, at_most=at_once)
                        check_credits(url)
                    memory[processes] = running.memory_mb()
    best = max(median(rates) for rates in peer.values())
    rows: list[Sequence[object]] = [
        (f"pgbench, {clients} clients", f"{median(rates):,.0f}", "", "", "", "")
        for clients, rates in peer.items()
    ]
    for (processes, at_once), loads in results.items():
        rate = median([load.per_second for load in loads])
        rows.append(
            (
                f"HTTP, {processes} process{'es' if processes > 1 else ''}, {at_once} at once",
                f"{rate:,.0f}",
                f"{median([load.p50 for load in loads]):.1f}",
                f"{median([load.p99 for load in loads]):.1f}",
                f"{rate / best:.2f}",
                f"{memory[processes]:.0f}",
            )
        )
    table(
        "Sends over HTTP",
        ("path", "sends/s", "p50 ms", "p99 ms", "times pgbench's best", "memory MB"),
        rows,
    )
