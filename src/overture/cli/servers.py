"""Commands that go on until a signal: the server, the worker, the mailroom and the demo."""

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

from overture.cli.options import takes
from overture.cli.terminal import showing
from overture.settings import MAIL, ROWS, WATCH, Settings, read


@click.command()
@takes(*(row.name for row in ROWS if not row.secret))
def serve(settings: Settings) -> None:
    """Serve the API, until SIGTERM or Ctrl+C.

    Prints one line with the address once it answers. OVERTURE_OPERATOR_TOKEN sets the first
    operator's token.
    """
    _end_on_signals()
    from overture.serve.server import serve

    serve(settings)


@click.command()
@takes(
    *("data", "database_url", "public_url", "host", "port", *WATCH),
    *("stripe_prices", "payment_grace_days", "webhook_allow_hosts", "push_allow_hosts"),
    *MAIL,
)
def worker(settings: Settings) -> None:
    """Do what is due (reminders, mails, webhooks) until SIGTERM or Ctrl+C.

    `overture serve` does it by itself unless it was started with --jobs false. Any number of workers
    may run side by side. Without --public-url, links lead to the server's --host and --port.
    """
    _end_on_signals()
    from contextlib import nullcontext

    from overture.logs import log_to_stderr
    from overture.serve.sockets import metrics_listener_of
    from overture.worker import work

    log_to_stderr(settings.log_level, settings.log_format)
    with metrics_listener_of(settings) or nullcontext() as metrics_listener:
        work(settings, lambda: click.echo("Overture works."), metrics_listener)


@click.command("mail-in")
@click.option(
    "--listen", metavar="HOST:PORT", help="Take mail from a mail server, by LMTP or SMTP."
)
@click.option("--pipe", is_flag=True, help="Take the one mail on standard input.")
@click.option(
    "--maildir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Take what lies in a Maildir, and what comes into it.",
)
@click.option("--recipient", metavar="ADDRESS", help="With --pipe: to which address it came.")
@click.option("--sender", metavar="ADDRESS", help="With --pipe: its envelope's sender.")
@takes(
    *("data", "database_url", "public_url", "host", "port", "log_level", "log_format"),
    *("replies_trust", "replies_from_own", *MAIL),
)
def mail_in(
    settings: Settings,
    *,
    listen: str | None,
    pipe: bool,
    maildir: Path | None,
    recipient: str | None,
    sender: str | None,
) -> None:
    """Take in the replies that members write by mail, and what comes back of mails.

    With --listen and --maildir until SIGTERM or Ctrl+C; with --pipe one mail, whose fate the exit
    status tells, as sysexits has it. `overture serve --replies-listen HOST:PORT` listens by itself.
    """
    from overture.logs import log_to_stderr
    from overture.serve.sockets import listening

    log_to_stderr(settings.log_level, settings.log_format)
    if (listen is not None) + pipe + (maildir is not None) != 1:
        raise click.UsageError(
            "Say whence mail comes: --listen HOST:PORT, --maildir DIR or --pipe."
        )
    from overture import mailroom

    if pipe:
        # Ends of the mail server's own making apart, none may lose the mail: it is brought again.
        sys.exit(mailroom.take_one(settings, recipient=recipient, sender=sender))
    _end_on_signals()
    if maildir is not None:
        mailroom.watch(settings, maildir, lambda: click.echo(f"Overture takes mail from {maildir}"))
        return
    where = read({"replies_listen": listen}, {}).replies_listen
    if where is None:
        raise click.UsageError("--listen: say at which HOST:PORT.")
    host, _, port = where.rpartition(":")
    with listening(host.strip("[]"), int(port), 1, option="--listen")[0] as listener:
        name = f"{host}:{listener.getsockname()[1]}"
        mailroom.listen(settings, listener, lambda: click.echo(f"Overture takes mail at {name}"))


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The folder of the demo (default: beside the user's data folder).",
)
@click.option(
    "--database-url",
    metavar="URL",
    help="A PostgreSQL 15 or newer to make it in, in a database that is empty or a demo's.",
)
@click.option(
    "--archive",
    type=click.Path(path_type=Path),
    metavar="ZIP",
    help="A LinkedIn data export to import first, for a member “you”.",
)
@click.option(
    "--code",
    is_flag=True,
    help="Print the code that the demo's operator signs in with now, and end.",
)
@takes("host", "port")
def demo(
    settings: Settings,
    *,
    data: Path | None,
    database_url: str | None,
    archive: Path | None,
    code: bool,
) -> None:
    """Serve a small invented network, and print what to try.

    It is made at the first start, with a year of letters and of ledger, in an embedded database of
    its own; the next start goes on with it.
    """
    if code:
        from overture.clock import real_now
        from overture.demo.page import code_now

        click.echo(code_now(real_now()))
        return
    _end_on_signals()
    from overture.demo.run import demo

    # OVERTURE_DATABASE_URL names the real data: a demo has another place only where told so.
    elsewhere = read({"database_url": database_url}, {}).database_url
    demo(settings, data=data, database_url=elsewhere, archive=archive, showing=showing)


def _end_on_signals() -> None:
    """For servers, which a signal ends as it should."""

    def end(_number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
