"""Figures: what a process counts of itself, for Prometheus.

Counting is always on and costs a microsecond or two; nobody sees it unless `overture.monitoring`
answers somewhere. Where several processes serve, each counts into files of its own (see
`in_several_processes`), and whichever answers adds them up. A figure names routes, queues, outcomes
and pools, never a member, a conversation or a text.
"""

import asyncio
import os
import resource
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    multiprocess,
)

SAMPLE_SECONDS = 1.0
# Known when the library is imported, which is why a parent sets it for its children.
_FOLDER = "PROMETHEUS_MULTIPROC_DIR"

_LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)

_requests = Counter(
    "overture_requests", "Requests that were answered.", ("route", "method", "status")
)
_request_seconds = Histogram(
    "overture_request_seconds",
    "How long requests took, the event streams apart.",
    ("route", "method"),
    buckets=_LATENCIES,
)
_under_way = Gauge(
    "overture_requests_under_way",
    "Requests that are worked on, the event streams apart.",
    multiprocess_mode="livesum",
)
_streams = Gauge(
    "overture_streams_open", "Event streams that are open.", multiprocess_mode="livesum"
)
_sends = Counter(
    "overture_sends",
    "What became of letters, messages and responses: done, repeated, key_reused, or why not.",
    ("command", "outcome"),
)
_batch_size = Histogram(
    "overture_send_batch_size", "How many commands a lane carried out together.", buckets=_SIZES
)
_credits = Counter(
    "overture_credits",
    "Credits as the ledger has them, by the kind of their entries.",
    ("pool", "kind"),
)
_jobs = Counter(
    "overture_jobs_done",
    "Tries of due work: done, moved to later, failed (it is tried again), parked (given up).",
    ("queue", "outcome"),
)
_deliveries = Counter(
    "overture_deliveries",
    "Mails, webhooks and notices on devices: delivered, failed (tried again), refused for good.",
    ("channel", "outcome"),
)
_pool_waits = Counter(
    "overture_pool_waits", "Requests for a database connection that had to wait.", ("pool",)
)
_pool_asked = Counter("overture_pool_requests", "Requests for a database connection.", ("pool",))
_pool_wait_seconds = Counter(
    "overture_pool_wait_seconds", "How long connections were waited for, in all.", ("pool",)
)
_pool_failures = Counter(
    "overture_pool_failures",
    "Requests for a database connection that got none, and connections that were lost.",
    ("pool",),
)
_pool_connections = Gauge(
    "overture_pool_connections",
    "Connections to the database: idle, in use.",
    ("pool", "state"),
    multiprocess_mode="livesum",
)
_loop_lag = Gauge(
    "overture_event_loop_lag_seconds",
    "By how much the event loop was late last, the worst of all processes.",
    multiprocess_mode="livemax",
)
_memory = Gauge(
    "overture_memory_bytes", "Resident memory of all processes.", multiprocess_mode="livesum"
)
_cpu = Counter("overture_cpu_seconds", "Processor time of all processes.")
_processes = Gauge(
    "overture_processes", "Processes that serve or work.", multiprocess_mode="livesum"
)

# What `labels` looks up under a lock each time, for what is counted with every request.
_seen: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}


# Counting -------------------------------------------------------------------------------------------


def request(route: str, method: str, status: int, seconds: float | None) -> None:
    """A request was answered; `seconds` None for a stream, which takes as long as it likes."""
    # Anybody may invent one.
    key = (route, method if method in _METHODS else "other", status)
    if key not in _seen:
        _seen[key] = (
            _requests.labels(route, key[1], str(status)),
            _request_seconds.labels(route, key[1]),
        )
    counter, histogram = _seen[key]
    counter.inc()
    if seconds is not None:
        histogram.observe(seconds)


def sends(became: Sequence[tuple[str, str]]) -> None:
    """A lane carried out a batch: each command, and what became of it."""
    _batch_size.observe(len(became))
    sent(became)


def sent(became: Sequence[tuple[str, str]]) -> None:
    """The same, of what went through no lane."""
    for command, outcome in became:
        _sends.labels(command, outcome).inc()


def committed(counts: Mapping[tuple[str, ...], int]) -> None:
    """What a transaction noted, once it is committed; see `store.db.note`."""
    for key, amount in counts.items():
        match key:
            case ("credits", pool, kind):
                _credits.labels(pool, kind).inc(amount)
            case _:
                raise AssertionError(f"nobody counts {key[0]}")


def job(queue: str, outcome: str) -> None:
    _jobs.labels(queue_label(queue), outcome).inc()


def queue_label(queue: str) -> str:
    """A queue's name without what it is for alone: endpoints, which have one each, come and go."""
    return queue.partition(":")[0]


def delivery(channel: str, outcome: str) -> None:
    _deliveries.labels(channel, outcome).inc()


# Looked at now and then -----------------------------------------------------------------------------


async def sample(
    pools: Mapping[str, Callable[[], Mapping[str, int]]],
    *,
    under_way: Callable[[], int] = lambda: 0,
    streams: Callable[[], int] = lambda: 0,
) -> None:
    """Looks each second at what costs nothing to count by itself, until it is cancelled."""
    before: dict[str, Mapping[str, int]] = {name: {} for name in pools}
    loop = asyncio.get_running_loop()
    cpu = 0.0
    _processes.set(1)
    while True:
        _under_way.set(under_way())
        _streams.set(streams())
        _memory.set(_resident_bytes())
        now = resource.getrusage(resource.RUSAGE_SELF)
        _cpu.inc(now.ru_utime + now.ru_stime - cpu)
        cpu = now.ru_utime + now.ru_stime
        for name, stats in pools.items():
            before[name] = _pool(name, before[name], stats())
        began = loop.time()
        await asyncio.sleep(SAMPLE_SECONDS)
        _loop_lag.set(max(0.0, loop.time() - began - SAMPLE_SECONDS))


def _pool(name: str, before: Mapping[str, int], now: Mapping[str, int]) -> Mapping[str, int]:
    """Counts on from what a pool told before."""

    def more(*keys: str) -> int:
        return sum(now.get(key, 0) - before.get(key, 0) for key in keys)

    _pool_asked.labels(name).inc(more("requests_num"))
    _pool_waits.labels(name).inc(more("requests_queued"))
    _pool_wait_seconds.labels(name).inc(more("requests_wait_ms") / 1000)
    _pool_failures.labels(name).inc(more("requests_errors", "connections_lost"))
    size, idle = now.get("pool_size", 0), now.get("pool_available", 0)
    _pool_connections.labels(name, "idle").set(idle)
    _pool_connections.labels(name, "in use").set(size - idle)
    return now


def _resident_bytes() -> int:
    with suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize()
    return 0


# Told -----------------------------------------------------------------------------------------------


def in_several_processes(folder: str) -> dict[str, str]:
    """Variables for children that count into this folder, which they share."""
    return {_FOLDER: folder}


def ended(pid: int, folder: str) -> None:
    """A child has ended: what it had open is open no longer. What it counted stays counted."""
    multiprocess.mark_process_dead(pid, folder)  # pyright: ignore[reportUnknownMemberType]


def registry() -> CollectorRegistry:
    """All that was counted, of all processes that count into the same folder."""
    if _FOLDER not in os.environ:
        return REGISTRY
    told = CollectorRegistry()
    _ = multiprocess.MultiProcessCollector(told)
    return told
