"""What a serving process is told."""

import resource
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from overture.core.pace import Pace
from overture.front import Surface, hosts_of
from overture.handover import Host
from overture.housekeeping import Keeping, keeping_of
from overture.identity import Client
from overture.serve.sockets import Sockets
from overture.settings import Settings, carried
from overture.worker import Means, means_of

# Open files that are no connections of clients.
FILES_BESIDE = 100


@dataclass(frozen=True, slots=True)
class Orders:
    """What a serving process is told; `listener` is the number of its open, listening socket.

    A child has them as JSON.
    """

    url: str
    listener: int
    requests_per_minute: int
    writes_per_minute: int
    pace: Pace
    log_level: str
    log_format: str
    means: Means
    keeping: Keeping
    work: bool
    surface: Surface
    connections_max: int
    settings: dict[str, Any]
    drain_seconds: int = 0
    mail_listener: int | None = None
    metrics_listener: int | None = None
    otlp_endpoint: str | None = None
    identity: Client | None = None
    host: Host | None = None
    embed_origins: Sequence[str] = ()


def orders_of(
    settings: Settings,
    url: str,
    sockets: Sockets,
    address: str,
    *,
    identity: Client | None,
    host: Host | None,
) -> list[Orders]:
    """Those of each process, in the order of the sockets. `address`: where the server answers."""
    means = means_of(settings, address)
    surface = Surface(
        hosts=hosts_of(settings.allowed_hosts, settings.public_url, settings.host),
        proxies=settings.trusted_proxies,
        https=means.public_url.startswith("https://"),
        requests_at_once=settings.requests_at_once,
        log=settings.log_requests,
    )
    return [
        Orders(
            url=url,
            listener=each.fileno(),
            requests_per_minute=settings.requests_per_minute,
            writes_per_minute=settings.writes_per_minute,
            pace=Pace(
                settings.letters_daily,
                settings.letters_daily_new,
                timedelta(days=settings.new_account_days),
            ),
            log_level=settings.log_level,
            log_format=settings.log_format,
            means=means,
            keeping=keeping_of(settings),
            work=settings.jobs,
            surface=surface,
            connections_max=_connections_max(settings.connections_max),
            settings=carried(settings),
            drain_seconds=settings.drain_seconds,
            # One process takes mail in: it comes in no such numbers.
            mail_listener=sockets.mail.fileno() if sockets.mail and not number else None,
            # One tells of all: what they count lies where it can add it up.
            metrics_listener=sockets.metrics.fileno() if sockets.metrics and not number else None,
            otlp_endpoint=settings.otlp_endpoint,
            identity=identity,
            host=host,
            embed_origins=settings.embed_origins,
        )
        for number, each in enumerate(sockets.served)
    ]


def _connections_max(wanted: int) -> int:
    """As many, but so that files are left to open for all else: the database, the log, uploads."""
    files_max, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(min(wanted, files_max - FILES_BESIDE), 1)
