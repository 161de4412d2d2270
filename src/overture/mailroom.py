"""Mail that comes in, put together: within `overture serve`, or alone as `overture mail-in`."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from overture import app
from overture.app import StartProblem
from overture.context import Shared, share
from overture.core.replies import addresses
from overture.core.seals import Secret
from overture.mail.incoming import maildir, pipe
from overture.mail.incoming.listener import listening
from overture.mail.incoming.reading import MAIL_BYTES_MAX
from overture.mail.incoming.returning import Returning
from overture.mail.incoming.taking import Intake
from overture.settings import Settings
from overture.worker import NO_REPLY_ADDRESS, Means, letterhead_of, make_runner, means_of, post_of


def intake_of(shared: Shared, secret: Secret, means: Means) -> Intake:
    """What takes mail in; raises StartProblem where no address is known that mail may come to."""
    if means.reply_address is None:
        raise StartProblem(NO_REPLY_ADDRESS)
    ours = addresses(means.reply_address)
    hosts = {ours.host, means.mail_domain, means.mail_from.rpartition("@")[2].lower()}
    hosts.add(urlsplit(means.public_url).hostname or ours.host)
    return Intake(
        shared=shared,
        secret=secret,
        addresses=ours,
        public_url=means.public_url,
        trusts=means.replies_trust,
        own_only=means.replies_from_own,
        ends=tuple(f"@{host}" for host in sorted(hosts)),
    )


def listen(settings: Settings, listener: socket.socket, announce: Callable[[], None]) -> None:
    """Takes mail from mail servers until SIGTERM or SIGINT.

    Raises StartProblem, DataProblem, MigrationProblem, Unavailable with what hinders the start.
    """

    async def work(intake: Intake, _returning: Returning) -> None:
        over = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, over.set)
        async with listening(intake, listener):
            announce()
            await over.wait()

    _with_intake(settings, work)


def watch(settings: Settings, folder: Path, announce: Callable[[], None]) -> None:
    """Takes what comes into a Maildir until SIGTERM or SIGINT. Raises as `listen`."""
    if not (folder / "new").is_dir():
        raise StartProblem(f"{folder} is no Maildir: it has no folder “new”.")

    async def work(intake: Intake, returning: Returning) -> None:
        watching = asyncio.create_task(maildir.watch(intake, folder, returning.give_back))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, watching.cancel)
        announce()
        with suppress(asyncio.CancelledError):
            await watching

    _with_intake(settings, work)


def take_one(settings: Settings, *, recipient: str | None, sender: str | None) -> int:
    """Takes the mail on standard input; the exit status that says what became of it.

    What is said to whoever wrote it stands on standard output. Raises as `listen`.
    """
    # One byte more than may be tells that it is too large.
    raw = sys.stdin.buffer.read(MAIL_BYTES_MAX + 1)

    async def work(intake: Intake, _returning: Returning) -> None:
        nonlocal status
        to = pipe.recipient(recipient, os.environ, raw, intake.addresses) or ""
        told = await intake.take(raw, to, pipe.return_path(sender, os.environ))
        where = f" {intake.public_url}{told.where}" if told.where else ""
        sys.stdout.write(f"{told.code} {told.sentence}{where}\n")
        status = pipe.status(told)

    status = pipe.TEMPORARY
    _with_intake(settings, work)
    return status


def _with_intake(settings: Settings, work: Callable[[Intake, Returning], Awaitable[None]]) -> None:
    async def run(url: str, means: Means) -> None:
        async with _opened(url, means) as (intake, returning):
            await work(intake, returning)

    with app.database(settings) as url:
        app.check_schema(url)
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        asyncio.run(run(url, means_of(settings, f"http://{host}:{settings.port}")))


@asynccontextmanager
async def _opened(url: str, means: Means) -> AsyncGenerator[tuple[Intake, Returning]]:
    async with app.opened(url, connections=4) as installation:
        post, head = post_of(means), letterhead_of(means)
        returning = Returning(installation.db, installation.clock, post, head)
        runner = make_runner(installation, means)
        shared = share(installation.db, installation.clock, installation.book, runner.play)
        # So that what a mail brings is seen at once, and not when the others look next.
        await shared.hub.start()
        try:
            yield intake_of(shared, installation.secret, means), returning
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await shared.sends.drain()
            await shared.hub.stop()
