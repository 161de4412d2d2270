"""What happens by itself, put together: which work events make, and who does it.

It runs within `overture serve`, or alone as `overture worker`, any number of them side by side.
"""

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from overture import app, figures, monitoring, tracing
from overture.actions import (
    auditing,
    mailings,
    notifying,
    payments,
    reminders,
    suspicions,
    watching,
    webhooks,
)
from overture.app import Installation
from overture.core.jobs import Again, Done, Hopeless, Job, Moved, NewJob, Outcome
from overture.core.policy import PolicyBook
from overture.core.replies import addresses
from overture.core.webhooks import host_name
from overture.jobs.maker import READER, UNMADE, Maker, Making
from overture.jobs.runner import Outside, Queue, Runner, Within
from overture.live.horizon import LAST
from overture.mail.forgetting import Forgetting
from overture.mail.message import Letterhead
from overture.mail.operator import ToOperator
from overture.mail.outgoing import Outgoing
from overture.mail.post import Folder, Post, Ready
from overture.mail.smtp import SMTP_PORTS, Smtp
from overture.payments.door import Bookkeeper, Setup
from overture.push import delivery as push
from overture.push import encryption
from overture.push.delivery import Pushes
from overture.settings import Settings
from overture.store import jobs, mails, outbox
from overture.store.db import Database, Tx, Unavailable
from overture.store.mail_counts import Came
from overture.store.outbox import Row
from overture.webhooks.delivery import AT_ONCE, SECONDS, Delivered, Deliveries, NotTried

# How often a worker looks whether the site is asked for anything, and how long it holds.
LOOK_SECONDS = 0.1
BUSY_SECONDS = 0.5
NO_REPLY_ADDRESS = (
    "No address is known that mail could come in to. Say with --reply-address how they look."
)


@dataclass(frozen=True, slots=True)
class Means:
    """What work is done with; passed on to serving processes, so of plain values alone."""

    public_url: str
    mail_folder: str
    mail_from: str
    mail_domain: str
    smtp: Smtp | None = None
    reply_address: str | None = None
    operator_email: str | None = None
    webhook_allow_hosts: Sequence[str] = ()
    push_allow_hosts: Sequence[str] = ()
    payments: Setup | None = None
    replies_trust: str | None = None
    replies_from_own: bool = False


def means_of(settings: Settings, address: str) -> Means:
    """`address`: where the server answers, where no other address of the site is known."""
    public_url = settings.public_url or address
    domain = settings.mail_domain or _domain_of(public_url)
    return Means(
        public_url=public_url,
        mail_folder=str(settings.data / "mail"),
        mail_from=settings.mail_from or f"no-reply@{domain}",
        mail_domain=domain,
        smtp=_smtp(settings, domain),
        reply_address=settings.reply_address,
        operator_email=settings.operator_email,
        webhook_allow_hosts=settings.webhook_allow_hosts,
        push_allow_hosts=settings.push_allow_hosts,
        payments=app.payments_of(settings),
        replies_trust=settings.replies_trust,
        replies_from_own=settings.replies_from_own,
    )


def _domain_of(public_url: str) -> str:
    """A machine without a name has none to give."""
    host = urlsplit(public_url).hostname or "localhost"
    try:
        ip_address(host)
    except ValueError:
        return host
    return "localhost"


def _smtp(settings: Settings, domain: str) -> Smtp | None:
    if settings.smtp_host is None:
        return None
    security = settings.smtp_security
    return Smtp(
        host=settings.smtp_host,
        port=settings.smtp_port or SMTP_PORTS[security],
        security=security,
        user=settings.smtp_user,
        password=settings.smtp_password,
        hello=settings.smtp_hello or domain,
        seconds=settings.smtp_seconds,
        trusted=settings.smtp_trusted,
    )


def work(
    settings: Settings, announce: Callable[[], None], metrics_listener: socket.socket | None = None
) -> None:
    """Works until SIGTERM or SIGINT, beside any number of servers and other workers.

    Raises StartProblem, DataProblem, MigrationProblem, Unavailable with what hinders the start.
    """
    import uvloop  # noqa: PLC0415

    app.check_tracing(settings)
    if settings.otlp_endpoint is not None:
        tracing.start(settings.otlp_endpoint)
    with app.database(settings) as url:
        app.check_payments(settings)
        app.check_schema(url)
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        means = means_of(settings, f"http://{host}:{settings.port}")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_work(url, means, announce, metrics_listener))
    tracing.stop()


async def _work(
    url: str, means: Means, announce: Callable[[], None], metrics_listener: socket.socket | None
) -> None:
    async with (
        app.opened(url, connections=2) as installation,
        app.opened_for_work(installation) as at_work,
    ):
        site = _Site(at_work.db)
        runner = make_runner(at_work, means, busy=site.is_busy)
        pools = {"requests": installation.db.stats, "work": at_work.db.stats}
        beside = [
            asyncio.create_task(site.watch()),
            asyncio.create_task(figures.sample(pools)),
        ]
        working = asyncio.create_task(runner.run())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, working.cancel)
        announce()
        async with AsyncExitStack() as doors:
            if metrics_listener is not None:
                await doors.enter_async_context(monitoring.telling(installation, metrics_listener))
            with suppress(asyncio.CancelledError):
                await working
        for each in beside:
            _ = each.cancel()


@dataclass(slots=True)
class _Site:
    """Whether the servers beside a worker are asked for anything, as far as their database shows it."""

    db: Database
    _asked_at: float = -BUSY_SECONDS

    def is_busy(self) -> bool:
        return asyncio.get_running_loop().time() - self._asked_at < BUSY_SECONDS

    async def watch(self) -> None:
        while True:
            with suppress(Unavailable):
                if await self.db.reading(jobs.somebody_asks):
                    self._asked_at = asyncio.get_running_loop().time()
            await asyncio.sleep(LOOK_SECONDS)


async def go_on_from_here(tx: Tx, now: datetime, book: PolicyBook) -> None:
    """Plans what is still to come of all that happened, and nothing else: nobody hears of it now.

    For a past that was made rather than lived through, such as the demo's.
    """
    events = await outbox.within(tx, [(1, LAST)], LAST)
    await jobs.add(tx, await reminders.plan(tx, events, book))
    watches = watching.plan(events)
    await jobs.add(tx, [replace(each, due_at=now, payload={"since": now}) for each in watches])
    await jobs.skip_to_now(tx, READER)


def post_of(means: Means) -> Post:
    return means.smtp or Folder(Path(means.mail_folder))


def letterhead_of(means: Means) -> Letterhead:
    return Letterhead(means.public_url, means.mail_from, means.mail_domain)


def _pushes(installation: Installation, means: Means) -> Pushes:
    contact = f"mailto:{means.operator_email or means.mail_from}"
    return Pushes(
        db=installation.db,
        clock=installation.clock,
        book=installation.book,
        secret=installation.secret,
        contact=contact,
        allowed_hosts=frozenset(map(host_name, means.push_allow_hosts)),
    )


def make_runner(
    installation: Installation, means: Means, *, busy: Callable[[], bool] = lambda: False
) -> Runner:
    """What makes due work and does it; `run` or `play` it. It gives way while the process is `busy`."""
    book = installation.book
    allowed_hosts = frozenset(map(host_name, means.webhook_allow_hosts))
    deliveries = Deliveries(installation.db, allowed_hosts)
    installation.db.counted = figures.committed
    post, head = _Counted(post_of(means), installation.db), letterhead_of(means)
    outgoing = Outgoing(
        db=installation.db,
        clock=installation.clock,
        book=book,
        secret=installation.secret,
        post=post,
        head=head,
        replies=addresses(means.reply_address) if means.reply_address else None,
    )
    to_operator = ToOperator(installation.db, installation.clock, post, head, means.operator_email)
    pushes = _pushes(installation, means) if encryption.is_installed() else None
    # As long as a mail server may take for all of its steps.
    mail_seconds = 4 * means.smtp.seconds if means.smtp else 60

    async def plan_reminders(tx: Tx, events: Sequence[Row]) -> Sequence[NewJob]:
        return await reminders.plan(tx, events, book)

    async def suspect(tx: Tx, events: Sequence[Row]) -> Sequence[NewJob]:
        await suspicions.watch(tx, events)
        return ()

    async def plan_watches(tx: Tx, events: Sequence[Row]) -> Sequence[NewJob]:
        _ = tx
        return watching.plan(events)

    async def audit(tx: Tx, events: Sequence[Row]) -> Sequence[NewJob]:
        await auditing.note(tx, events)
        return ()

    async def plan_notices(tx: Tx, events: Sequence[Row]) -> Sequence[NewJob]:
        return await notifying.plan(tx, events, push_too=pushes is not None)

    async def remind(tx: Tx, jobs: Sequence[Job], now: datetime) -> Sequence[Outcome]:
        return await reminders.remind(tx, jobs, now, book)

    async def look(tx: Tx, jobs: Sequence[Job], now: datetime) -> Sequence[Outcome]:
        return await watching.look(tx, jobs, now, book)

    async def anew(tx: Tx, jobs: Sequence[Job], now: datetime) -> Sequence[Outcome]:
        _ = now
        return await maker.anew(tx, jobs)

    # Endpoints are locked before the audit log, as by whoever deletes one.
    makings: list[Making] = [
        webhooks.plan,
        audit,
        plan_reminders,
        plan_watches,
        plan_notices,
        suspect,
    ]
    always: dict[str, Queue] = {
        reminders.QUEUE: Within(remind),
        watching.QUEUE: Within(look),
        webhooks.REPLAYS: Within(webhooks.replay, at_once=1),
        mails.QUEUE: Outside(outgoing.account_letter, seconds=mail_seconds),
        mails.TO_OPERATOR: Outside(to_operator.letter, seconds=mail_seconds),
        mails.FORGET: Outside(Forgetting(Path(means.mail_folder)).mails_of),
        webhooks.ENDINGS: Within(webhooks.clear, at_once=1),
        notifying.QUEUE: Outside(outgoing.notice, seconds=mail_seconds),
        notifying.SAFETY: Outside(outgoing.notice, seconds=mail_seconds),
        notifying.DIGEST: Outside(outgoing.digest, seconds=mail_seconds),
    }
    if means.payments is not None:
        setup, db, clock = means.payments, installation.db, installation.clock
        books = Bookkeeper(setup.dealing, setup.client, db, clock, book)
        makings.append(payments.plan_endings)
        always[payments.QUEUE] = Within(books.look)
        always[payments.ENDINGS] = Outside(books.end)
    if pushes is not None:
        always[notifying.PUSH] = Outside(
            _counting("push", pushes.notice, push.Pushed), push.AT_ONCE, push.SECONDS
        )
    maker = Maker(installation.db, makings)
    always[UNMADE] = Within(anew)
    deliver = Outside(
        _counting("webhook", deliveries.deliver, Delivered),
        at_once=AT_ONCE,
        seconds=SECONDS,
        in_order=True,
        told=deliveries.told,
        meanwhile=deliveries.connected,
    )

    async def queues() -> Mapping[str, Queue]:
        return {**always, **dict.fromkeys(await deliveries.look(), deliver)}

    return Runner(installation.db, installation.clock, maker, queues, busy, _tried)


# Counting -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Counted:
    """A post whose mails are counted: in this process, and for all that ask the database."""

    post: Post
    db: Database

    async def send(self, mail: Ready) -> Done | Again | Hopeless:
        outcome = await self.post.send(mail)
        figures.delivery("mail", _outcome(outcome))
        match outcome:
            case Done():
                await mailings.count(self.db, Came.SENT)
            case Again():
                await mailings.count(self.db, Came.FAILED, outcome.why)
            case Hopeless():
                await mailings.count(self.db, Came.REFUSED, outcome.why)
        return outcome


def _counting(
    channel: str, run: Callable[[Job], Awaitable[Outcome]], delivered: type[Done]
) -> Callable[[Job], Awaitable[Outcome]]:
    """The same, counted; of what is done, only what was delivered."""

    async def counted(job: Job) -> Outcome:
        outcome = await run(job)
        if isinstance(outcome, (delivered, Again, Hopeless)) and not isinstance(outcome, NotTried):
            figures.delivery(channel, _outcome(outcome))
        return outcome

    return counted


def _outcome(outcome: Done | Again | Hopeless) -> str:
    match outcome:
        case Done():
            return "delivered"
        case Again():
            return "failed"
        case Hopeless():
            return "refused"


def _tried(queue: str, outcome: Outcome) -> None:
    match outcome:
        case Done():
            told = "done"
        case Moved():
            told = "moved"
        case Again():
            told = "failed"
        case Hopeless():
            told = "parked"
    figures.job(queue, told)
