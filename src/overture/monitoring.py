"""Tells Prometheus how an installation fares, on a listener of its own: /metrics, /healthz, /readyz.

What processes count of themselves is in `overture.figures`; what the database knows is asked for here,
at most every few seconds, however often anybody looks. It asks for no password, so it is for the inside
of your network alone.
"""

import asyncio
import logging
import platform
import socket
from collections.abc import AsyncGenerator, Callable, Iterator, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from overture import figures
from overture.app import Installation
from overture.protocol import Server, http_only, protocol_with
from overture.store.db import Tx, Unavailable
from overture.store.metrics import State, state
from overture.store.migrate import migrations

ASK_SECONDS = 2.0
# How long the database may take; a scrape is given up sooner or later too.
ANSWER_SECONDS = 5.0
_CONNECTIONS_MAX = 50
_JSON = "application/json"

_log = logging.getLogger(__name__)


@asynccontextmanager
async def telling(
    installation: Installation,
    listener: socket.socket,
    *,
    is_ready: Callable[[], bool] = lambda: True,
) -> AsyncGenerator[None]:
    """Answers on the listener meanwhile."""
    teller, protocol = _Teller(installation, is_ready), protocol_with(_CONNECTIONS_MAX)
    server = Server(http_only(teller, protocol, timeout_graceful_shutdown=1))
    serving = asyncio.create_task(server.serve([listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving


@dataclass(slots=True)
class _Teller:
    """The application behind the listener."""

    installation: Installation
    is_ready: Callable[[], bool]
    _asked_at: float = -ASK_SECONDS
    _state: State | None = None
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        _ = receive
        status, kind, body = 404, "text/plain", b"There are /metrics, /healthz and /readyz.\n"
        if scope["method"] not in ("GET", "HEAD"):
            status, body = 405, b"This is only to be read.\n"
        elif scope["path"] == "/metrics":
            accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
            status, (kind, body) = 200, await self._metrics(accept)
        elif scope["path"] == "/healthz":
            status, kind, body = 200, _JSON, b'{"status":"ok"}'
        elif scope["path"] == "/readyz":
            up = self.is_ready() and await self._look() is not None
            status, kind = (200 if up else 503), _JSON
            body = b'{"status":"ok"}' if up else b'{"status":"not ready"}'
        headers = [
            (b"content-type", kind.encode()),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _metrics(self, accept: str) -> tuple[str, bytes]:
        found = await self._look()
        encode, kind = choose_encoder(accept)

        def told() -> bytes:
            asked = CollectorRegistry()
            asked.register(_Asked(found))
            return encode(figures.registry()) + encode(asked)

        # Reading what other processes counted takes a while.
        return kind, _joined(await asyncio.to_thread(told))

    async def _look(self) -> State | None:
        """What the database knows, as of a few seconds ago at most; None where it does not answer."""
        async with self._asking:
            now = asyncio.get_running_loop().time()
            if now - self._asked_at >= ASK_SECONDS:
                self._state = await self._ask()
                self._asked_at = now if self._state is not None else -ASK_SECONDS
        return self._state

    async def _ask(self) -> State | None:
        async def work(tx: Tx) -> State:
            return await state(tx, await self.installation.clock.now(tx))

        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self.installation.db.reading(work)
        except (Unavailable, TimeoutError):
            return None
        except Exception:  # noqa: BLE001  what processes count is told all the same
            _log.exception("the database could not be asked how it fares")
            return None


def _joined(text: bytes) -> bytes:
    """Two expositions as one: in OpenMetrics, the end is said once, at the end."""
    end = b"# EOF\n"
    return text.replace(end, b"") + end if text.endswith(end) else text


@dataclass(slots=True, eq=False)
class _Asked(Collector):
    """What was asked of the database, as Prometheus has it."""

    state: State | None

    @override
    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily(
            "overture_build",
            "What runs here.",
            {
                "version": version("overture"),
                "python": platform.python_version(),
                "schema": migrations()[-1].label,
            },
        )
        yield _gauge(
            "overture_database_up", "Whether the database answers.", int(self.state is not None)
        )
        if self.state is not None:
            yield from _of_server(self.state)
            yield from _of_work(self.state)
            yield from _of_verifications(self.state)


def _of_server(state: State) -> Iterator[Metric]:
    server = state.server
    yield _gauge("overture_database_bytes", "How large the database is.", server.bytes)
    yield _gauge(
        "overture_database_connections",
        "Connections that the PostgreSQL server has, of anybody.",
        server.connections,
    )
    yield _gauge(
        "overture_database_connections_max", "How many it can have.", server.connections_max
    )
    yield _gauge(
        "overture_database_oldest_transaction_seconds",
        "How long the oldest open transaction has been open.",
        server.oldest_seconds,
    )
    yield CounterMetricFamily(
        "overture_archive_failures",
        "Tries to archive a piece of PostgreSQL's log that failed.",
        server.archive_failures,
    )
    if server.archived_seconds is not None:
        yield _gauge(
            "overture_archive_age_seconds",
            "How long ago a piece of PostgreSQL's log was last archived.",
            server.archived_seconds,
        )


def _of_work(state: State) -> Iterator[Metric]:
    events = GaugeMetricFamily(
        "overture_outbox_lag_events", "Events that a reader has not read yet.", labels=["reader"]
    )
    seconds = GaugeMetricFamily(
        "overture_outbox_lag_seconds",
        "How old the first event is that a reader has not read yet.",
        labels=["reader"],
    )
    for lag in state.lags:
        events.add_metric([lag.reader], lag.events)
        seconds.add_metric([lag.reader], lag.seconds)
    jobs = GaugeMetricFamily(
        "overture_jobs",
        "Due work: due by now, failing (it was tried), parked (given up, waits for the operator).",
        labels=["queue", "state"],
    )
    oldest = GaugeMetricFamily(
        "overture_jobs_oldest_seconds", "How long the oldest due work is due.", labels=["queue"]
    )
    for queue, (due, failing, parked, age) in _by_label(state).items():
        jobs.add_metric([queue, "due"], due)
        jobs.add_metric([queue, "failing"], failing)
        jobs.add_metric([queue, "parked"], parked)
        oldest.add_metric([queue], age)
    endpoints = GaugeMetricFamily(
        "overture_webhook_endpoints", "Endpoints of webhooks.", labels=["state"]
    )
    endpoints.add_metric(["enabled"], state.webhooks[0])
    endpoints.add_metric(["disabled"], state.webhooks[1])
    yield from (events, seconds, jobs, oldest, endpoints)


def _by_label(state: State) -> dict[str, tuple[int, int, int, float]]:
    """Queues by the name that figures have for them; several may have one."""
    found: dict[str, tuple[int, int, int, float]] = {}
    for each in state.waiting:
        due, failing, parked, age = found.get(figures.queue_label(each.queue), (0, 0, 0, 0.0))
        late = 0.0
        if each.oldest_due_at is not None:
            late = max(0.0, (state.at - each.oldest_due_at).total_seconds())
        found[figures.queue_label(each.queue)] = (
            due + each.due,
            failing + each.failing,
            parked + each.parked,
            max(age, late),
        )
    return found


def _of_verifications(state: State) -> Iterator[Metric]:
    at = GaugeMetricFamily(
        "overture_verified_timestamp_seconds",
        "When the ledger or the audit log was last verified.",
        labels=["what"],
    )
    sound = GaugeMetricFamily(
        "overture_verified_sound", "Whether nothing was found wrong then.", labels=["what"]
    )
    entries = GaugeMetricFamily(
        "overture_verified_entries", "How many entries that went over.", labels=["what"]
    )
    for what, verified in sorted(state.verified.items()):
        at.add_metric([what], verified.at.timestamp())
        sound.add_metric([what], int(verified.found == 0))
        entries.add_metric([what], verified.entries)
    yield from (at, sound, entries)


def _gauge(name: str, about: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, about, value)
