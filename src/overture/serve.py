"""The server: its socket and processes, its start, its watch over PostgreSQL, its end.

One process serves alone. With more, the parent holds the database and the sockets and answers nothing
itself: each child has a listening socket of its own on the one port (SO_REUSEPORT), between which the
kernel spreads the connections. The parent keeps them all open, so that what arrives for a child that
died waits for its successor.
"""

import asyncio
import gc
import logging
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any, NoReturn

import msgspec

from overture import app, figures, policies, tracing
from overture.app import StartProblem
from overture.core.pace import Pace
from overture.core.webhooks import host_name
from overture.front import Surface, UnderWay, front, hosts_of
from overture.handover import Host, host_of
from overture.housekeeping import Keeping, keep_house, keeping_of
from overture.identity import Client, client_of
from overture.logs import log_to_stderr
from overture.settings import Settings, carried, carried_back
from overture.store import archive, embedded
from overture.worker import NO_REPLY_ADDRESS, Means, means_of

log = logging.getLogger(__name__)

# Together, with PostgreSQL's own end, within five seconds of the signal.
DRAIN_SECONDS = 2
CHILD_SECONDS = 3
WATCH_SECONDS = 0.25
BACKLOG = 2048
# The first of the files that systemd hands down.
_FIRST_HANDED_DOWN = 3
TAKES_NOTHING_SECONDS = 45
# Open files that are no connections of clients.
FILES_BESIDE = 100


@dataclass(frozen=True, slots=True)
class Orders:
    """What a serving process is told; `listener` is the number of its open, listening socket."""

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


def one_line(address: str) -> None:
    """The one line that `overture serve` prints."""
    sys.stdout.write(f"Overture answers at {address}\n")
    sys.stdout.flush()


def serve(settings: Settings, announce: Callable[[str], None] = one_line) -> None:
    """Serves until SIGTERM or SIGINT; announces the address once it answers.

    A signal before that raises SystemExit.

    Raises StartProblem, PolicyProblem, DataProblem, MigrationProblem, Unavailable and
    psycopg.OperationalError with what hinders the start.
    """
    log_to_stderr(settings.log_level, settings.log_format)
    app.check_tracing(settings)
    with _ended_by_signals(), ExitStack() as stack:
        chosen = policies.load(settings.policy) if settings.policy else None
        client, host = client_of(settings), host_of(settings)
        sockets = handed_down(settings.processes) or listening(
            settings.host, settings.port, settings.processes
        )
        for each in sockets:
            stack.callback(each.close)
        mail_listener = _mail_listener(settings)
        if mail_listener is not None:
            stack.callback(mail_listener.close)
        metrics_listener = metrics_listener_of(settings)
        if metrics_listener is not None:
            stack.callback(metrics_listener.close)
        url = settings.database_url
        if url is not None and settings.archive is not None:
            raise StartProblem(
                "--archive is for the embedded PostgreSQL. Of your own, archive the log as "
                "docs/backup.md says."
            )
        if url is None:
            stack.enter_context(embedded.serve_lock(settings.data))
            server = stack.enter_context(archive.started(settings.data, settings.archive))
            stack.enter_context(_watched(server))
            url = server.url
        asyncio.run(app.prepare(settings, url, chosen))
        address = address_of(settings.host, sockets[0])

        def answers() -> None:
            announce(address)
            notify("READY=1")

        means = means_of(settings, address)
        surface = Surface(
            hosts=hosts_of(settings.allowed_hosts, settings.public_url, settings.host),
            proxies=settings.trusted_proxies,
            https=means.public_url.startswith("https://"),
            requests_at_once=settings.requests_at_once,
            log=settings.log_requests,
        )
        orders = [
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
                mail_listener=mail_listener.fileno() if mail_listener and not number else None,
                # One tells of all: what they count lies where it can add it up.
                metrics_listener=(
                    metrics_listener.fileno() if metrics_listener and not number else None
                ),
                otlp_endpoint=settings.otlp_endpoint,
                identity=client,
                host=host,
                embed_origins=settings.embed_origins,
            )
            for number, each in enumerate(sockets)
        ]
        if len(orders) == 1:
            _run(_answer(orders[0], sockets[0], answers))
        else:
            asyncio.run(_Processes(orders, sockets, answers).serve())


# --- Sockets and the address --------------------------------------------------------------------


def handed_down(count: int) -> list[socket.socket]:
    """The socket that systemd holds for us, once for each process; none where it holds none.

    It stays open while a server ends and the next one starts: who connects meanwhile waits.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or "LISTEN_FDS" not in os.environ:
        return []
    if os.environ["LISTEN_FDS"] != "1":
        raise StartProblem(
            "systemd hands down more than one socket; Overture listens on one alone."
        )
    first = socket.socket(fileno=_FIRST_HANDED_DOWN)
    first.setblocking(False)
    os.set_inheritable(first.fileno(), False)
    return [first, *(first.dup() for _ in range(count - 1))]


def notify(said: str) -> None:
    """Tells systemd, where it wants to know."""
    where = os.environ.get("NOTIFY_SOCKET")
    if where:
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.sendto(said.encode(), "\0" + where[1:] if where.startswith("@") else where)


def listening(host: str, port: int, count: int, *, option: str = "--port") -> list[socket.socket]:
    """Listening sockets on one port, which is a free one for 0. Raises StartProblem.

    They listen from the beginning, so that nobody takes the port while the data are made ready; who
    connects meanwhile waits.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError):
        raise StartProblem(f"There is no address for the host {host}. Choose another.") from None
    family, _, _, _, where = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    sockets: list[socket.socket] = []
    try:
        # Alone first: sockets that share a port would share it with another server's as well. One that
        # the system gives is nobody's, and would be anybody's if it were let go of.
        alone = count == 1 or port != 0
        first = _listen(family, where, shared=not alone)
        if count == 1:
            return [first]
        where = first.getsockname()
        if alone:
            first.close()
        else:
            sockets += [first]
        while len(sockets) < count:
            sockets += [_listen(family, where, shared=True)]
    except OSError as problem:
        for each in sockets:
            each.close()
        raise StartProblem(
            f"Cannot listen on {host} port {port}: {(problem.strerror or str(problem)).lower()}. "
            f"Choose another port with {option}, or stop what uses it."
        ) from None
    return sockets


def _mail_listener(settings: Settings) -> socket.socket | None:
    if settings.replies_listen is None:
        return None
    if settings.reply_address is None:
        raise StartProblem(NO_REPLY_ADDRESS)
    host, _, port = settings.replies_listen.rpartition(":")
    return listening(host.strip("[]"), int(port), 1, option="--replies-listen")[0]


def metrics_listener_of(settings: Settings) -> socket.socket | None:
    if settings.metrics_listen is None:
        return None
    host, _, port = settings.metrics_listen.rpartition(":")
    return listening(host.strip("[]"), int(port), 1, option="--metrics-listen")[0]


def _connections_max(wanted: int) -> int:
    """As many, but so that files are left to open for all else: the database, the log, uploads."""
    files_max, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(min(wanted, files_max - FILES_BESIDE), 1)


def _listen(family: int, where: object, *, shared: bool) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind(where)  # pyright: ignore[reportArgumentType]
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Handed down to what is accepted. Who takes in nothing for so long is gone or as good as gone;
        # a stream's connection would else be kept until the system gives up, after many minutes.
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TAKES_NOTHING_SECONDS * 1000)
    made.setblocking(False)
    return made


def address_of(host: str, listener: socket.socket) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}"


async def _ready(listener: tuple[str, int]) -> None:
    """Returns once the server on this address says that it is ready."""
    host, port = listener[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    while True:
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(10):
                reader, writer = await asyncio.open_connection(host, port)
                writer.write(
                    b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                )
                answer = await reader.read()
                writer.close()
                if answer.startswith(b"HTTP/1.1 200 "):
                    return
        await asyncio.sleep(0.05)


# --- One serving process ------------------------------------------------------------------------


def _run(work: Coroutine[Any, Any, None]) -> None:
    import uvloop  # noqa: PLC0415

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)


async def _answer(
    orders: Orders, listener: socket.socket, announce: Callable[[], None], *, child: bool = False
) -> None:
    """Answers until a signal; ends when what was under way is done."""
    # Imported late: a parent, which answers nothing, does without them.
    import uvicorn  # noqa: PLC0415

    from overture import doctor, monitoring  # noqa: PLC0415
    from overture.api.app import api_app  # noqa: PLC0415
    from overture.api.context import make_context  # noqa: PLC0415
    from overture.context import share  # noqa: PLC0415
    from overture.mail.incoming.listener import listening as receiving  # noqa: PLC0415
    from overture.mailroom import intake_of  # noqa: PLC0415
    from overture.payments.door import open_door  # noqa: PLC0415
    from overture.protocol import protocol_with  # noqa: PLC0415
    from overture.push import encryption  # noqa: PLC0415
    from overture.trials import trials  # noqa: PLC0415
    from overture.web.app import web_app  # noqa: PLC0415
    from overture.web.context import Push, make_site  # noqa: PLC0415
    from overture.worker import make_runner  # noqa: PLC0415

    started = asyncio.Event()
    if orders.otlp_endpoint is not None:
        tracing.start(orders.otlp_endpoint)

    class Server(uvicorn.Server):
        """Leaves the signals to us: uvicorn would raise them again after its end."""

        async def startup(  # pyright: ignore[reportImplicitOverride]
            self, sockets: list[socket.socket] | None = None
        ) -> None:
            await super().startup(sockets)
            started.set()

        @contextmanager
        def capture_signals(self) -> Generator[None]:
            yield

    async with (
        app.opened(orders.url) as installation,
        app.opened_for_work(installation) as at_work,
    ):
        under_way = UnderWay()
        runner = make_runner(at_work, orders.means, busy=lambda: under_way.requests > 0)
        db, clock, book = installation.db, installation.clock, installation.book
        setup = orders.means.payments
        door = None if setup is None else open_door(setup, db, clock, book)
        shared = share(db, clock, book, runner.play, door, pace=orders.pace)
        context = make_context(
            shared,
            requests_per_minute=orders.requests_per_minute,
            writes_per_minute=orders.writes_per_minute,
            webhook_allow_hosts=orders.means.webhook_allow_hosts,
        )
        push = None
        if encryption.is_installed():
            hosts = frozenset(map(host_name, orders.means.push_allow_hosts))
            push = Push(partial(encryption.public_key, installation.secret), hosts)
        site = make_site(
            shared,
            public_url=orders.means.public_url,
            secret=installation.secret,
            identity=orders.identity,
            host=orders.host,
            embed_origins=orders.embed_origins,
            webhook_allow_hosts=orders.means.webhook_allow_hosts,
            push=push,
            lab=trials(orders.url),
            examine=partial(doctor.examine, carried_back(orders.settings), orders.url),
            requests_per_minute=orders.requests_per_minute,
        )

        def room() -> int:
            return orders.surface.requests_at_once - under_way.requests

        server = Server(
            uvicorn.Config(
                front(app.faces(api_app(context), web_app(site)), orders.surface, under_way),
                interface="asgi3",
                http=protocol_with(orders.connections_max, room),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=BACKLOG,
                # Longer than proxies keep an idle connection, so that it is they who close it.
                timeout_keep_alive=75,
                timeout_graceful_shutdown=DRAIN_SECONDS,
            )
        )

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
            shared.hub.end_streams()

        _on_signals(stop)
        if child:
            _on_end_of_input(stop)

        async def announce_when_ready() -> None:
            await started.wait()
            if not child:  # whose parent asks for all of them
                await _ready(listener.getsockname())
            announce()

        _collect_less()
        await shared.hub.start()
        async with AsyncExitStack() as doors, asyncio.TaskGroup() as tasks:
            if orders.mail_listener is not None:
                intake = intake_of(shared, installation.secret, orders.means)
                door = socket.socket(fileno=os.dup(orders.mail_listener))
                await doors.enter_async_context(receiving(intake, door))
            if orders.metrics_listener is not None:
                told = socket.socket(fileno=os.dup(orders.metrics_listener))
                await doors.enter_async_context(
                    monitoring.telling(installation, told, is_ready=lambda: not under_way.ending)
                )
            pools = {"requests": db.stats, "work": at_work.db.stats}
            sampling = figures.sample(
                pools, under_way=lambda: under_way.requests, streams=lambda: shared.hub.streams
            )
            beside = [
                tasks.create_task(sampling),
                tasks.create_task(announce_when_ready()),
                tasks.create_task(
                    keep_house(installation, orders.keeping, Path(orders.means.mail_folder))
                ),
            ]
            if orders.work:
                beside.append(tasks.create_task(runner.run()))
            await server.serve(sockets=[listener])
            for task in beside:
                task.cancel()
        await shared.hub.stop()
        # What still waits for the database by now is given up: whoever asked is gone.
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await context.drain()
                await site.drain()
        # In a thread: the collector may be away.
        await asyncio.to_thread(tracing.stop)


def _collect_less() -> None:
    """Spares the garbage collector what was made at the start, and most of its rounds.

    Nearly all that a request makes is freed by counting references; under a load of sends the
    collector took 11 % of the process's time.
    """
    _ = gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _on_signals(stop: Callable[[], None]) -> None:
    """The first signal asks to stop, a second one ends at once."""
    loop = asyncio.get_running_loop()
    asked = False

    def handle() -> None:
        nonlocal asked
        if asked:
            _exit_at_once()
        asked = True
        stop()

    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, handle)


def _exit_at_once() -> NoReturn:
    os._exit(1)


def _on_end_of_input(stop: Callable[[], None]) -> None:
    """A child whose parent was killed stops: its standard input is the parent's to hold open."""

    def handle() -> None:
        if not os.read(0, 1):
            asyncio.get_running_loop().remove_reader(0)
            stop()

    asyncio.get_running_loop().add_reader(0, handle)


@contextmanager
def _ended_by_signals() -> Generator[None]:
    """Until an event loop takes the signals over, they end the process, but not before all it
    holds is released."""

    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        # Not a KeyboardInterrupt, for which Python makes exit statuses of its own.
        raise SystemExit(0)

    before = {each: signal.signal(each, stop) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# --- PostgreSQL ---------------------------------------------------------------------------------


@contextmanager
def _watched(server: embedded.Embedded) -> Generator[None]:
    """Starts PostgreSQL again whenever it was killed."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(WATCH_SECONDS):
            if server.is_running():
                continue
            log.error("PostgreSQL ended unexpectedly; starting it again")
            try:
                server.revive()
            except embedded.DataProblem as problem:
                log.error("PostgreSQL could not be started again: %s", problem)
                over.wait(2)
            else:
                log.warning("PostgreSQL runs again")

    watcher = threading.Thread(target=watch, name="postgres-watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


# --- Several serving processes ------------------------------------------------------------------


class _Processes:
    """The parent's view of its children, one an order."""

    def __init__(
        self,
        orders: Sequence[Orders],
        sockets: Sequence[socket.socket],
        announce: Callable[[], None],
    ) -> None:
        self._orders = orders
        self._sockets = sockets
        self._announce = announce
        # Where they count, so that one of them can tell of all; see `figures`.
        self._figures = TemporaryDirectory(prefix="overture-figures-")
        self._children: dict[int, asyncio.subprocess.Process] = {}
        self._ready: set[int] = set()
        self._all_ready = asyncio.Event()
        self._stopping = asyncio.Event()
        self._problem: StartProblem | None = None

    async def serve(self) -> None:
        """Until a signal. Raises StartProblem when a child cannot even start."""
        _on_signals(self._stop)
        try:
            async with asyncio.TaskGroup() as tasks:
                for each in self._orders:
                    tasks.create_task(self._keep(each))
                announcing = tasks.create_task(self._announce_when_ready())
                await self._stopping.wait()
                announcing.cancel()
        finally:
            self._kill()
            self._figures.cleanup()
        if self._problem:
            raise self._problem

    def _stop(self) -> None:
        if self._stopping.is_set():
            return
        self._stopping.set()
        notify("STOPPING=1")
        # The kernel refuses new connections once nobody holds the sockets any more.
        for each in self._sockets:
            each.close()
        for child in self._children.values():
            with suppress(ProcessLookupError):
                child.terminate()
        seconds = CHILD_SECONDS + self._orders[0].drain_seconds
        asyncio.get_running_loop().call_later(seconds, self._kill)

    def _kill(self) -> None:
        for child in self._children.values():
            with suppress(ProcessLookupError):
                child.kill()

    async def _keep(self, orders: Orders) -> None:
        """One child, and its successors."""
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            began = loop.time()
            passed = (orders.listener, orders.mail_listener, orders.metrics_listener)
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "overture.serve"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                pass_fds=tuple(filter(None, passed)),
                env=os.environ | figures.in_several_processes(self._figures.name),
                # A terminal's interrupt reaches the parent alone, which passes it on once.
                start_new_session=True,
            )
            assert child.stdin
            assert child.stdout
            self._children[orders.listener] = child
            if self._stopping.is_set():
                child.terminate()
            with suppress(ConnectionError):
                child.stdin.write(msgspec.json.encode(orders) + b"\n")
                await child.stdin.drain()
            if await child.stdout.readline():
                self._ready.add(orders.listener)
                if len(self._ready) == len(self._orders):
                    self._all_ready.set()
            status = await child.wait()
            del self._children[orders.listener]
            figures.ended(child.pid, self._figures.name)
            if self._stopping.is_set():
                return
            if orders.listener not in self._ready:
                self._problem = StartProblem(
                    "A serving process could not start; the lines above say why."
                )
                self._stop()
                return
            log.error("a serving process ended unexpectedly (%d); starting another", status)
            await asyncio.sleep(max(0.0, 1 - (loop.time() - began)))

    async def _announce_when_ready(self) -> None:
        await self._all_ready.wait()
        await _ready(self._sockets[0].getsockname())
        self._announce()


def _be_child() -> None:
    with _ended_by_signals():
        # Unbuffered: what is left of the input tells, by its end, that the parent has gone.
        line = b""
        while not line.endswith(b"\n"):
            if not (more := os.read(0, 65536)):
                return
            line += more
        orders = msgspec.json.decode(line, type=Orders)
        log_to_stderr(orders.log_level, orders.log_format)
        listener = socket.socket(fileno=orders.listener)
        _run(_answer(orders, listener, _say_ready, child=True))


def _say_ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _be_child()
