"""The composition: an installation made ready, and opened for the API, the commands and the tests."""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, MutableMapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from overture import ids, policies, tracing
from overture.actions import payments
from overture.actions.tokens import ensure_operator_token
from overture.clock import Clock, RealClock, TestClock
from overture.core.ids import TokenId
from overture.core.policy import Policy, PolicyBook
from overture.core.seals import Secret
from overture.payments import stripe
from overture.payments.door import Setup
from overture.settings import Settings
from overture.store import durability, embedded, installation, migrate
from overture.store.db import OPTIONS, WORK_OPTIONS, Database, Tx

log = logging.getLogger(__name__)


WORK_CONNECTIONS = 4


class StartProblem(Exception):
    """An installation that cannot be served as asked; the text says why and what can be done."""


@dataclass(frozen=True, slots=True)
class Installation:
    """What a command works with: the data, their clock, the policies of their times, and what the
    addresses and links in mails are sealed with."""

    db: Database
    clock: Clock
    book: PolicyBook
    secret: Secret


async def prepare(settings: Settings, url: str, chosen: PolicyBook | None) -> None:
    """Brings the data to where they can be served: schema, clock, policy, the operator's token.

    Changes nothing when it refuses for the server or its settings. Raises StartProblem,
    MigrationProblem, PolicyProblem, Unavailable.
    """
    if too_old := durability.check_version(url):
        raise StartProblem(too_old)
    if not settings.accept_unsafe_database and (off := durability.check_durability(url)):
        raise StartProblem(
            f"The database may lose what it has acknowledged: {' and '.join(off)} "
            f"{'is' if len(off) == 1 else 'are'} off. Switch {'it' if len(off) == 1 else 'them'} "
            "on, or accept the loss with --accept-unsafe-database."
        )
    check_payments(settings)
    migrate.migrate(url)

    async def begin(tx: Tx) -> None:
        clock = await _begin_clock(tx, settings.test_clock)
        now = await clock.now(tx)
        await policies.put_in_force(tx, chosen, now)
        await installation.ensure_secret(tx, ids.new_key())
        await _begin_payments(tx, settings, now)
        secret = settings.operator_token
        if secret and not await ensure_operator_token(tx, secret, TokenId(ids.new())):
            log.warning("the token in OVERTURE_OPERATOR_TOKEN was revoked, and opens nothing")

    async with opened_database(url, connections=2) as db:
        await db.writing(begin)


def payments_of(settings: Settings) -> Setup | None:
    """What the settings say of a payment provider; None where plans cost nothing."""
    if settings.stripe_webhook_secret is None:
        return None
    return Setup(
        webhook_secret=settings.stripe_webhook_secret,
        plans=dict(settings.stripe_prices),
        grace_days=settings.payment_grace_days,
        api_key=settings.stripe_api_key,
        checkout_url=settings.checkout_url,
        portal_url=settings.portal_url,
    )


def check_tracing(settings: Settings) -> None:
    """Raises StartProblem where traces are to be sent and what that takes is missing."""
    if settings.otlp_endpoint is not None and not tracing.is_installed():
        raise StartProblem(tracing.MISSING)


def check_payments(settings: Settings) -> None:
    """Raises StartProblem where plans are to be paid for and what that takes is missing."""
    if settings.stripe_webhook_secret is not None and not stripe.is_installed():
        raise StartProblem(
            "Taking payments with Stripe needs its library: pip install 'overture[stripe]'."
        )


async def _begin_payments(tx: Tx, settings: Settings, now: datetime) -> None:
    setup = payments_of(settings)
    if setup is None:
        log.info("no payment provider: members choose and change plans at no charge")
        return
    book = await policies.in_force(tx) or policies.load(policies.DEFAULT)
    plans: Policy = book.at(now)
    if unknown := sorted(set(setup.plans.values()) - plans.plans.keys()):
        raise StartProblem(
            f"--stripe-prices names {', '.join(unknown)}, which the policy does not have. "
            f"Its plans are {', '.join(plans.plans)}."
        )
    log.info("plans are paid for with %s: members are sent there to change them", stripe.NAME)
    await payments.look_at_troubled(tx, now)


@contextmanager
def database(settings: Settings) -> Generator[str]:
    """The URL of the installation's database, which answers meanwhile. Raises DataProblem."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    with embedded.start(settings.data) as server:
        yield server.url


@asynccontextmanager
async def opened_database(
    url: str, *, connections: int, options: str = OPTIONS
) -> AsyncGenerator[Database]:
    around = tracing.statement if tracing.is_on() else None
    db = await Database.open(url, connections=connections, options=options, around=around)
    try:
        yield db
    finally:
        await db.close()


@asynccontextmanager
async def opened(url: str, *, connections: int = 10) -> AsyncGenerator[Installation]:
    """An installation whose schema is up to date. Raises Unavailable."""
    async with opened_database(url, connections=connections) as db:

        async def remembered(tx: Tx) -> tuple[datetime | None, PolicyBook | None, Secret | None]:
            return (
                await installation.test_clock(tx),
                await policies.in_force(tx),
                await installation.secret(tx),
            )

        test_clock, recorded, secret = await db.reading(remembered)
        if secret is None:  # where nothing was served yet
            await db.writing(lambda tx: installation.ensure_secret(tx, ids.new_key()))
            secret = await db.reading(installation.secret)
        assert secret is not None, "it is made once, and never taken away"
        book, clock = policies.current(
            recorded or policies.load(policies.DEFAULT), test_clock=test_clock is not None
        )
        yield Installation(db, clock, book, secret)


@asynccontextmanager
async def opened_for_work(installation: Installation) -> AsyncGenerator[Installation]:
    """The same, on connections of its own: what is due never keeps those who ask from theirs.

    Raises Unavailable.
    """
    url = installation.db.url
    async with opened_database(url, connections=WORK_CONNECTIONS, options=WORK_OPTIONS) as db:
        yield replace(installation, db=db)


def check_schema(url: str) -> None:
    """Makes the schema of a database that has none, and refuses an older or newer one.

    Only `serve` and `migrate` change a schema that holds data: a command must not pull it away under
    a running server. Raises StartProblem, MigrationProblem.
    """
    missing = migrate.pending(url)
    if len(missing) == len(migrate.migrations()):
        migrate.migrate(url)
    elif missing:
        raise StartProblem(
            "The data were written by an older Overture. Make a backup with `overture backup`, "
            "stop the server if one runs, and bring them up to date with `overture migrate`."
        )


async def _begin_clock(tx: Tx, asked: datetime | None) -> Clock:
    stands_at = await installation.test_clock(tx)
    if asked is None:
        if stands_at is None:
            return RealClock()
        raise StartProblem(
            f"These data have a test clock, which stands at {stands_at:%Y-%m-%dT%H:%M:%SZ}: they "
            f"cannot be served in real time. Start with --test-clock {stands_at:%Y-%m-%dT%H:%M:%SZ}."
        )
    if stands_at is None and await installation.has_members(tx):
        raise StartProblem(
            "These data live in real time: they cannot be served with a test clock. Start without "
            "--test-clock, or give the test a data folder of its own with --data."
        )
    await installation.set_test_clock(tx, asked)
    return TestClock()


Asgi = Callable[..., Awaitable[None]]


def faces(api: Asgi, web: Asgi) -> Asgi:
    """One application of the two: the API has /api, /healthz and /readyz, the web app the rest."""

    async def application(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        path: str = scope["path"]
        of_api = path.startswith("/api/") or path in ("/api", "/healthz", "/readyz")
        await (api if of_api else web)(scope, receive, send)

    return application
