"""The start: all that hinders it is said before anybody is answered."""

import asyncio
import sys
from collections.abc import Callable

from overture import app, policies
from overture.handover import host_of
from overture.identity import client_of
from overture.logs import log_to_stderr
from overture.serve.orders import orders_of
from overture.serve.postgres import database
from overture.serve.processes import Processes
from overture.serve.signals import ended_by_signals
from overture.serve.sockets import address_of, notify, opened
from overture.settings import Settings


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
    with ended_by_signals():
        chosen = policies.load(settings.policy) if settings.policy else None
        identity, host = client_of(settings), host_of(settings)
        with opened(settings) as sockets, database(settings) as url:
            asyncio.run(app.prepare(settings, url, chosen))
            address = address_of(settings.host, sockets.served[0])
            orders = orders_of(settings, url, sockets, address, identity=identity, host=host)

            def answers() -> None:
                announce(address)
                notify("READY=1")

            if len(orders) == 1:
                # Imported late: a parent, which answers nothing, does without all of it.
                from overture.serve.process import answer  # noqa: PLC0415

                answer(orders[0], sockets.served[0], answers)
            else:
                asyncio.run(Processes(orders, sockets.served, answers).serve())
