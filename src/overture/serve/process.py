"""One serving process: what it is put together of, and how it ends."""

import asyncio
import gc
import os
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import uvicorn
import uvloop
from typing_extensions import override

from overture import app, doctor, figures, monitoring, tracing
from overture.api.app import api_app
from overture.api.context import Context, make_context
from overture.app import Installation
from overture.context import Shared, share
from overture.core.webhooks import host_name
from overture.front import UnderWay, front
from overture.housekeeping import keep_house
from overture.jobs.runner import Runner
from overture.mail.incoming.listener import listening as receiving
from overture.mailroom import intake_of
from overture.payments.door import open_door
from overture.protocol import Server, http_only, protocol_with
from overture.push import encryption
from overture.serve.orders import Orders
from overture.serve.signals import on_signals
from overture.serve.sockets import BACKLOG, notify, ready
from overture.settings import carried_back
from overture.trials import trials
from overture.web.app import web_app
from overture.web.context import Push, Site, make_site
from overture.worker import make_runner

# Together, with PostgreSQL's own end, within five seconds of the signal.
DRAIN_SECONDS = 2


def answer(
    orders: Orders, listener: socket.socket, announce: Callable[[], None], *, child: bool = False
) -> None:
    """Answers until a signal; ends when what was under way is done."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_answer(orders, listener, announce, child=child))


async def _answer(
    orders: Orders, listener: socket.socket, announce: Callable[[], None], *, child: bool
) -> None:
    if orders.otlp_endpoint is not None:
        tracing.start(orders.otlp_endpoint)
    async with (
        app.opened(orders.url) as installation,
        app.opened_for_work(installation) as at_work,
    ):
        under_way = UnderWay()
        runner = make_runner(at_work, orders.means, busy=lambda: under_way.requests > 0)
        faces = _faces(orders, installation, runner)
        shared = faces.shared
        server = _server(orders, faces, under_way)
        _end_when_told(orders, server, faces, under_way, child=child)
        _collect_less()
        await shared.hub.start()
        pools = {"requests": installation.db.stats, "work": at_work.db.stats}
        async with (
            _doors(orders, installation, shared, under_way),
            asyncio.TaskGroup() as tasks,
        ):
            sampling = figures.sample(
                pools, under_way=lambda: under_way.requests, streams=lambda: shared.hub.streams
            )
            mails = Path(orders.means.mail_folder)
            beside = [
                tasks.create_task(sampling),
                tasks.create_task(_announce_when_ready(server, listener, announce, child=child)),
                tasks.create_task(keep_house(installation, orders.keeping, mails)),
            ]
            if orders.work:
                beside.append(tasks.create_task(runner.run()))
            await server.serve(sockets=[listener])
            for task in beside:
                task.cancel()
        await shared.hub.stop()
        await faces.drain()
        # In a thread: the collector may be away.
        await asyncio.to_thread(tracing.stop)


# --- The faces ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Faces:
    """The API and the web app, and what they share."""

    shared: Shared
    api: Context
    web: Site

    async def drain(self) -> None:
        """What still waits for the database by now is given up: whoever asked is gone."""
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await self.api.drain()
                await self.web.drain()


def _faces(orders: Orders, installation: Installation, runner: Runner) -> _Faces:
    db, clock, book = installation.db, installation.clock, installation.book
    setup = orders.means.payments
    door = None if setup is None else open_door(setup, db, clock, book)
    shared = share(db, clock, book, runner.play, door, pace=orders.pace)
    api = make_context(
        shared,
        requests_per_minute=orders.requests_per_minute,
        writes_per_minute=orders.writes_per_minute,
        webhook_allow_hosts=orders.means.webhook_allow_hosts,
    )
    web = make_site(
        shared,
        public_url=orders.means.public_url,
        secret=installation.secret,
        identity=orders.identity,
        host=orders.host,
        embed_origins=orders.embed_origins,
        webhook_allow_hosts=orders.means.webhook_allow_hosts,
        push=_push(orders, installation),
        lab=trials(orders.url),
        examine=partial(doctor.examine, carried_back(orders.settings), orders.url),
        requests_per_minute=orders.requests_per_minute,
    )
    return _Faces(shared, api, web)


def _push(orders: Orders, installation: Installation) -> Push | None:
    if not encryption.is_installed():
        return None
    hosts = frozenset(map(host_name, orders.means.push_allow_hosts))
    return Push(partial(encryption.public_key, installation.secret), hosts)


# --- The server ---------------------------------------------------------------------------------


class _Server(Server):
    """Tells when it has begun."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.has_begun: asyncio.Event = asyncio.Event()

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.has_begun.set()


def _server(orders: Orders, faces: _Faces, under_way: UnderWay) -> _Server:
    def room() -> int:
        return orders.surface.requests_at_once - under_way.requests

    application = app.faces(api_app(faces.api), web_app(faces.web))
    return _Server(
        http_only(
            front(application, orders.surface, under_way),
            protocol_with(orders.connections_max, room),
            backlog=BACKLOG,
            # Longer than proxies keep an idle connection, so that it is they who close it.
            timeout_keep_alive=75,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
    )


async def _announce_when_ready(
    server: _Server, listener: socket.socket, announce: Callable[[], None], *, child: bool
) -> None:
    await server.has_begun.wait()
    if not child:  # whose parent asks for all of them
        await ready(listener.getsockname())
    announce()


@asynccontextmanager
async def _doors(
    orders: Orders, installation: Installation, shared: Shared, under_way: UnderWay
) -> AsyncGenerator[None]:
    """Listens meanwhile where this process is told to: for mail that comes in, and for Prometheus."""
    async with AsyncExitStack() as doors:
        if orders.mail_listener is not None:
            intake = intake_of(shared, installation.secret, orders.means)
            taken = socket.socket(fileno=os.dup(orders.mail_listener))
            await doors.enter_async_context(receiving(intake, taken))
        if orders.metrics_listener is not None:
            told = socket.socket(fileno=os.dup(orders.metrics_listener))
            await doors.enter_async_context(
                monitoring.telling(installation, told, is_ready=lambda: not under_way.ending)
            )
        yield


def _collect_less() -> None:
    """Spares the garbage collector what was made at the start, and most of its rounds.

    Nearly all that a request makes is freed by counting references; under a load of sends the
    collector took 11 % of the process's time.
    """
    _ = gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


# --- Its end ------------------------------------------------------------------------------------


def _end_when_told(
    orders: Orders, server: _Server, faces: _Faces, under_way: UnderWay, *, child: bool
) -> None:
    """Told to stop, /readyz says so at once, and after the time for that is nothing taken any more."""

    def stop() -> None:
        if under_way.ending:
            return
        under_way.ending = True
        if not child:
            notify("STOPPING=1")
        asyncio.get_running_loop().call_later(orders.drain_seconds, end)

    def end() -> None:
        server.should_exit = True
        # Streams go on for as long as they may: the server would wait for them.
        faces.shared.hub.end_streams()

    on_signals(stop)
    if child:
        _on_end_of_input(stop)


def _on_end_of_input(stop: Callable[[], None]) -> None:
    """A child whose parent was killed stops: its standard input is the parent's to hold open."""

    def handle() -> None:
        if not os.read(0, 1):
            asyncio.get_running_loop().remove_reader(0)
            stop()

    asyncio.get_running_loop().add_reader(0, handle)
