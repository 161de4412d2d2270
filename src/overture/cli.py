"""The command line. Each command imports what it needs, so that all start quickly.

Exit status: 0 when done; 1 when it could not be done, with one sentence on standard error; 2 when it
was called wrongly; 130 or 143 when it was interrupted.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from overture.settings import MAIL, ROWS, WATCH, SettingProblem, Settings, read

if TYPE_CHECKING:
    from datetime import datetime

    from overture.actions.ledger import Verification
    from overture.app import Installation
    from overture.core.differences import Difference
    from overture.core.policy import PolicyBook
    from overture.policies import SideBySide, Step
    from overture.store import verifications
    from overture.store.db import Tx
    from overture.store.history import History
    from overture.store.tokens import TokenRow

T = TypeVar("T")
Command = Callable[..., None]

# Who acts, in the audit log.
ACTOR = "command line"
# What a mail server understands as "later": EX_TEMPFAIL of sysexits.h.
BRING_AGAIN = 75
EXITS = """\b
Exit status:
  0    done
  1    it could not be done; one sentence on standard error says why
  2    called wrongly: an unknown option, a bad setting
  130  interrupted, 143 terminated; a server ends with 0"""


class Failed(Exception):
    """What a command was asked for cannot be done; the text is a sentence that says why."""


def main() -> NoReturn:
    # A mail that a mail server brings must not be lost for a fault of ours: it is to be brought again.
    by_pipe = sys.argv[1:2] == ["mail-in"] and "--pipe" in sys.argv
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    try:
        overture.main(standalone_mode=False)
        # What is printed must be out while its failure can still be told.
        sys.stdout.flush()
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as problem:
        problem.show()
        sys.exit(BRING_AGAIN if by_pipe else problem.exit_code)
    except BrokenPipeError:
        # Whoever read us has seen enough. Nothing more may be written, not even at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as problem:
        if _debugging():
            raise
        status, sentence = _told(problem)
        click.echo(f"overture: {sentence}", err=True)
        sys.exit(BRING_AGAIN if by_pipe else status)
    sys.exit(0)


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    # Raised, so that whatever is held, such as PostgreSQL, is released on the way out.
    raise SystemExit(128 + number)


def _end_on_signals() -> None:
    """For servers, which a signal ends as it should."""

    def end(_number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)


def _debugging() -> bool:
    return os.environ.get("OVERTURE_DEBUG", "").lower() not in {"", "0", "false", "no", "off"}


def _told(problem: Exception) -> tuple[int, str]:
    """The exit status and the sentence for what went wrong."""
    import psycopg

    from overture.app import StartProblem
    from overture.core.policy import PolicyProblem
    from overture.linkedin.archive import ArchiveRefused
    from overture.linkedin.importing import ImportRefused
    from overture.sim.knobs import KnobProblem
    from overture.store.backup import BackupProblem
    from overture.store.db import Unavailable
    from overture.store.embedded import DataProblem
    from overture.store.migrate import MigrationProblem

    match problem:
        case SettingProblem() | PolicyProblem() | KnobProblem():
            return 2, str(problem)
        case Failed() | StartProblem() | DataProblem() | MigrationProblem() | BackupProblem():
            return 1, str(problem)
        case ArchiveRefused() | ImportRefused():
            return 1, str(problem)
        case Unavailable() | psycopg.OperationalError():
            reason = str(problem.__cause__ or problem).strip().splitlines()
            return 1, f"The database does not answer: {reason[0] if reason else 'no reason given'}"
        case OSError() if problem.filename is not None:
            return 1, f"{problem.filename}: {problem.strerror}."
        case _:
            kind = type(problem).__name__
            return 1, f"This should not happen ({kind}: {problem}). --debug shows where it did."


# --- Settings as options ------------------------------------------------------------------------


def _takes(*names: str) -> Callable[[Command], Command]:
    """Gives a command these settings as options, and hands it the `Settings`."""
    rows = [row for row in ROWS if row.name in names]

    def decorate(command: Command) -> Command:
        def with_settings(**given: Any) -> None:
            told = {row.name: given.pop(row.name) for row in rows}
            command(read(told, os.environ), **given)

        with_settings.__name__ = command.__name__
        with_settings.__doc__ = command.__doc__
        with_settings.__click_params__ = getattr(command, "__click_params__", [])  # pyright: ignore[reportFunctionMemberAccess]
        decorated: Command = with_settings
        for row in reversed(rows):
            default = f" [{row.variable}{f'; default {row.default}' if row.default else ''}]"
            if row.flag:
                option = click.option(
                    row.option, row.name, flag_value="true", default=None, help=row.help + default
                )
            else:
                option = click.option(
                    row.option, row.name, metavar=row.form, help=row.help + default
                )
            decorated = option(decorated)
        return decorated

    return decorate


_INSTALLATION = ("data", "database_url")
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXITS)
@click.option("--debug", is_flag=True, help="Show where a failure happened. [OVERTURE_DEBUG]")
@click.version_option(package_name="overture", message="%(package)s %(version)s")
def overture(debug: bool) -> None:
    """Metered messages between strangers on a professional network."""
    if debug:
        os.environ["OVERTURE_DEBUG"] = "1"


# --- The server ---------------------------------------------------------------------------------


@overture.command()
@_takes(*(row.name for row in ROWS if not row.secret))
def serve(settings: Settings) -> None:
    """Serve the API, until SIGTERM or Ctrl+C.

    Prints one line with the address once it answers. OVERTURE_OPERATOR_TOKEN sets the first
    operator's token.
    """
    _end_on_signals()
    from overture.serve import serve

    serve(settings)


@overture.command()
@_takes(
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
    from overture.serve import metrics_listener_of
    from overture.worker import work

    log_to_stderr(settings.log_level, settings.log_format)
    with metrics_listener_of(settings) or nullcontext() as metrics_listener:
        work(settings, lambda: click.echo("Overture works."), metrics_listener)


@overture.command("mail-in")
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
@_takes(
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
    from overture.serve import listening

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


@overture.command()
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
@_takes("host", "port")
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
    demo(settings, data=data, database_url=elsewhere, archive=archive, showing=_showing)


@overture.command()
@_takes(*_INSTALLATION)
@_as_json
def migrate(settings: Settings, as_json: bool) -> None:
    """Bring the database's schema up to date."""
    from overture import app
    from overture.store.migrate import migrate

    with app.database(settings) as url:
        applied = migrate(url)
    if as_json:
        _print_json({"applied": applied})
    elif applied:
        click.echo(f"Applied {', '.join(applied)}.")
    else:
        click.echo("The schema is up to date.")


@overture.command()
@click.option(
    "--dkim",
    "selectors",
    multiple=True,
    metavar="SELECTOR",
    help="Look for this key of DKIM's too.",
)
@_takes(*(row.name for row in ROWS if not row.secret))
@_as_json
def doctor(settings: Settings, selectors: tuple[str, ...], as_json: bool) -> None:
    """Look at all that the installation rests on, and say what to do.

    Give it the options, or the variables, that the server has. It changes nothing and sends no mail.
    Exits with 1 where something is a fault; warnings alone are 0.
    """
    from dataclasses import asdict

    from overture import app
    from overture.core.findings import Finding, Grade, fault, worst
    from overture.doctor import examine
    from overture.store.embedded import DataProblem

    def look() -> list[Finding]:
        if settings.database_url is None and not (settings.data / "postgres").exists():
            says = f"There are no data in {settings.data} yet."
            return [fault("data", says, "Start `overture serve`, or name the folder with --data.")]
        try:
            with app.database(settings) as url:
                return asyncio.run(examine(settings, url, dkim=selectors))
        except DataProblem as problem:
            return [fault("data", str(problem), "Do as it says, then look again.")]

    found = look()
    if as_json:
        _print_json({"grade": worst(found), "findings": [asdict(each) for each in found]})
    else:
        width = max(len(each.about) for each in found)
        for each in found:
            click.echo(f"{each.grade:7}  {each.about:{width}}  {each.says}")
            if each.do is not None:
                click.echo(f"{'':7}  {'':{width}}  → {each.do}")
    if worst(found) is Grade.FAULT:
        faults = sum(each.grade is Grade.FAULT for each in found)
        raise Failed(f"{faults} {'fault' if faults == 1 else 'faults'} found.")


# --- Due work -----------------------------------------------------------------------------------


@overture.group()
def jobs() -> None:
    """See what is due, and have done again what was given up."""


@jobs.command("list")
@_takes(*_INSTALLATION)
@_as_json
def jobs_list(settings: Settings, as_json: bool) -> None:
    """Show what each queue has before it, and the jobs that were given up."""
    import msgspec

    from overture.store import jobs as store

    async def look(
        installation: "Installation",
    ) -> "tuple[list[store.Waiting], list[store.Parked]]":
        async def read(tx: "Tx") -> "tuple[list[store.Waiting], list[store.Parked]]":
            now = await installation.clock.now(tx)
            parked = await store.parked(tx, cursor=None, limit=1000)
            return await store.waiting(tx, now), parked.items

        return await installation.db.reading(read)

    queues, parked = _on(settings, look)
    if as_json:
        _print_json(msgspec.to_builtins({"queues": queues, "parked": parked}))
        return
    for each in queues:
        click.echo(f"{each.queue}: {each.due} due, {each.failing} failing, {each.parked} given up")
    for job in parked:
        click.echo(f"{job.number} {job.queue} after {job.tries} tries: {job.problem}")
    if not queues:
        click.echo("Nothing waits.")


@jobs.command("replay")
@click.argument("number", type=int, required=False)
@click.option("--all", "every", is_flag=True, help="All that were given up.")
@_takes(*_INSTALLATION)
def jobs_replay(settings: Settings, number: int | None, every: bool) -> None:
    """Have a job that was given up done again, from its first try."""
    if every == (number is not None):
        raise click.UsageError("Say which: either a NUMBER or --all.")
    from overture import ids
    from overture.actions import jobs as actions

    async def replay(installation: "Installation") -> int:
        async def work(tx: "Tx") -> int:
            now = await installation.clock.now(tx)
            return await actions.replay(tx, number, actor=ACTOR, audit_id=ids.new(), now=now)

        return await installation.db.writing(work)

    count = _on(settings, replay)
    if number is not None and not count:
        raise Failed(f"No job {number} was given up.")
    click.echo(f"{count} to be done again.")


# --- Tokens and the ledger ----------------------------------------------------------------------


@overture.group()
def token() -> None:
    """Issue, list and revoke bearer tokens for the API."""


@token.command("create")
@click.option("--operator", is_flag=True, help="A token for an operator.")
@click.option("--as", "handle", metavar="HANDLE", help="A token for the member of this handle.")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(["read", "write"]),
    multiple=True,
    help="What a member's token may do; both when not given.",
)
@click.option("--label", default="", help="What it is for, to recognise it by.")
@_takes(*_INSTALLATION)
@_as_json
def token_create(
    settings: Settings,
    *,
    operator: bool,
    handle: str | None,
    scopes: tuple[str, ...],
    label: str,
    as_json: bool,
) -> None:
    """Issue a token and print it; it is shown this once."""
    if operator == (handle is not None):
        raise click.UsageError("Say whose token it is: either --operator or --as HANDLE.")
    if operator and scopes:
        raise click.UsageError("An operator's token has every scope: leave --scope out.")
    from overture import ids
    from overture.actions import tokens
    from overture.actions.fields import Invalid
    from overture.core.ids import TokenId
    from overture.core.refusals import Refusal
    from overture.store import members

    secret = ids.new_token(operator=operator)

    async def issue(installation: "Installation") -> "TokenRow":
        async def work(tx: "Tx") -> "TokenRow":
            now = await installation.clock.now(tx)
            holder = await members.profile(tx, None, handle=handle, now=now) if handle else None
            if handle and holder is None:
                raise Failed(f"There is no member with the handle {handle}.")
            issued = await tokens.issue(
                tx,
                secret,
                TokenId(ids.new()),
                member=holder.id if holder else None,
                scopes=[tokens.TokenScope(scope) for scope in scopes] or tokens.ALL_SCOPES,
                label=label,
                actor=ACTOR,
                audit_id=ids.new(),
                now=now,
            )
            if isinstance(issued, Invalid):
                raise Failed(f"--label: {issued.errors[0][1]}")
            if isinstance(issued, Refusal):
                raise Failed(issued.sentence)
            return issued

        return await installation.db.writing(work)

    issued = _on(settings, issue)
    if as_json:
        told = {"id": issued.id, "token": secret, "member_id": issued.member}
        _print_json(told | {"scopes": issued.scopes, "label": issued.label})
    else:
        click.echo(secret)


@token.command("list")
@_takes(*_INSTALLATION)
@_as_json
def token_list(settings: Settings, as_json: bool) -> None:
    """The tokens that open something now, without their texts: those are not kept."""
    from overture.store import tokens

    found = _on(settings, lambda installation: installation.db.reading(tokens.held))
    if as_json:
        _print_json(
            [
                {
                    "id": each.token.id,
                    "member_id": each.token.member,
                    "handle": each.handle,
                    "scopes": each.token.scopes,
                    "label": each.token.label,
                    "created_at": each.created_at.isoformat(),
                    "expires_at": each.token.expires_at and each.token.expires_at.isoformat(),
                }
                for each in found
            ]
        )
        return
    for each in found:
        whose = each.handle or "an operator"
        scopes = "+".join(each.token.scopes)
        until = f"until {each.token.expires_at:%Y-%m-%d}" if each.token.expires_at else ""
        told = (each.token.id, whose, scopes, each.token.label, until)
        click.echo("  ".join(part for part in told if part))


@token.command("revoke")
@click.argument("token_id", metavar="ID")
@_takes(*_INSTALLATION)
def token_revoke(settings: Settings, token_id: str) -> None:
    """End the token of this id at once."""
    from uuid import UUID

    from overture import ids
    from overture.actions import tokens
    from overture.core.ids import TokenId

    try:
        known = TokenId(str(UUID(token_id)))
    except ValueError:
        raise Failed(f"{token_id} is not the id of a token.") from None

    async def revoke(installation: "Installation") -> bool:
        async def work(tx: "Tx") -> bool:
            now = await installation.clock.now(tx)
            return await tokens.revoke(tx, known, actor=ACTOR, audit_id=ids.new(), now=now)

        return await installation.db.writing(work)

    if not _on(settings, revoke):
        raise Failed(f"There is no token {token_id}.")
    click.echo(f"The token {token_id} is revoked.")


@overture.group()
def operator() -> None:
    """Say which members may enter the console, at /ops."""


@operator.command("add")
@click.argument("handle")
@_takes(*_INSTALLATION)
def operator_add(settings: Settings, handle: str) -> None:
    """Make the member of a HANDLE an operator.

    They sign in as always, and enter the console with a second factor: a passkey or an app's code.
    """
    from overture.actions import operators
    from overture.store import operators as store

    if not _on(settings, lambda installation: _operator(installation, handle, operators.add)):
        raise Failed(
            f"{handle} is an operator already, or has no account to sign in with, or has not verified "
            "its address."
        )
    click.echo(f"{handle} may enter the console, at /ops.")
    listed = _on(settings, lambda installation: installation.db.reading(store.listed))
    if any(each.handle == handle and not each.second_factor for each in listed):
        click.echo(
            "They have no second factor yet. Until they set one up, whoever knows their password can: "
            "have them do so now."
        )


@operator.command("remove")
@click.argument("handle")
@_takes(*_INSTALLATION)
def operator_remove(settings: Settings, handle: str) -> None:
    """Make the member of a HANDLE an operator no more, at once."""
    from overture.actions import operators

    if not _on(settings, lambda installation: _operator(installation, handle, operators.remove)):
        raise Failed(f"{handle} is no operator.")
    click.echo(f"{handle} may not enter the console any more.")


@operator.command("list")
@_takes(*_INSTALLATION)
@_as_json
def operator_list(settings: Settings, as_json: bool) -> None:
    """Who may enter the console, and whether they have a second factor to do so."""
    import msgspec

    from overture.store import operators

    found = _on(settings, lambda installation: installation.db.reading(operators.listed))
    if as_json:
        _print_json(msgspec.to_builtins(found))
        return
    for each in found:
        lacking = "" if each.second_factor else "no second factor yet"
        told = (each.handle, each.name, each.email, f"since {each.since:%Y-%m-%d}", lacking)
        click.echo("  ".join(part for part in told if part))
    if not found:
        click.echo("There is no operator.")


async def _operator(
    installation: "Installation", handle: str, change: "Callable[..., Awaitable[bool]]"
) -> bool:
    from overture import ids
    from overture.store import members

    async def work(tx: "Tx") -> bool:
        now = await installation.clock.now(tx)
        member = await members.profile(tx, None, handle=handle, now=now)
        if member is None:
            raise Failed(f"There is no member with the handle {handle}.")
        return await change(tx, member.id, by=ACTOR, audit_id=ids.new(), now=now)

    return await installation.db.writing(work)


@overture.group("two-steps")
def two_steps() -> None:
    """Help members who sign in in two steps."""


@two_steps.command("off")
@click.argument("handle")
@_takes(*_INSTALLATION)
def two_steps_off(settings: Settings, handle: str) -> None:
    """Let the member of a HANDLE sign in without the second step.

    For who has lost app and recovery codes; be sure that it is they who ask. They are signed out
    everywhere.
    """
    from overture import ids
    from overture.actions import two_steps as actions
    from overture.store import members

    async def turn_off(installation: "Installation") -> None:
        async def work(tx: "Tx") -> None:
            now = await installation.clock.now(tx)
            member = await members.profile(tx, None, handle=handle, now=now)
            if member is None:
                raise Failed(f"There is no member with the handle {handle}.")
            if not await actions.turn_off_for(
                tx, member.id, actor=ACTOR, audit_id=ids.new(), now=now
            ):
                raise Failed(f"{handle} signs in in one step already.")

        return await installation.db.writing(work)

    _on(settings, turn_off)
    click.echo(f"{handle} signs in with the password alone.")


@overture.group()
def ledger() -> None:
    """Look after the ledger of credits."""


@ledger.command("verify")
@_takes(*_INSTALLATION)
@_as_json
def ledger_verify(settings: Settings, as_json: bool) -> None:
    """Replay the whole ledger against accounts, InMails and rules.

    Prints what it checked. Exits with 1 and the first discrepancy when there is one.
    """
    from dataclasses import asdict

    from overture.actions.ledger import verify

    async def check(installation: "Installation") -> "Verification":
        async with installation.db.read() as tx:
            now = await installation.clock.now(tx)
            with _showing("Verifying") as progress:
                found = await verify(tx, now, installation.book, progress)
        await _note(installation, "ledger", entries=found.entries, found=found.found)
        return found

    checked = _on(settings, check)
    if as_json:
        _print_json({"sound": checked.sound} | asdict(checked))
    else:
        t = checked.totals
        click.echo(
            f"Checked {checked.accounts:,} accounts, {checked.entries:,} entries and "
            f"{checked.inmails:,} InMails.\n"
            f"Entered: {t.granted:,} granted, {t.refunded:,} refunded, {t.adjusted:,} adjusted.\n"
            f"Left: {t.spent:,} spent, {t.expired:,} expired, {t.forfeited:,} forfeited; "
            f"{t.held:,} are held."
        )
    if not checked.sound:
        first = checked.discrepancies[0]
        places = {"member": first.member, "pool": first.pool, "entry": first.entry}
        places["conversation"] = first.conversation
        at = ", ".join(f"{name} {value}" for name, value in places.items() if value is not None)
        raise Failed(
            f"{first.sentence}{f' ({at})' if at else ''} Discrepancies in all: {checked.found:,}."
        )


@overture.group()
def audit() -> None:
    """Check the audit log."""


@audit.command("verify")
@_takes(*_INSTALLATION)
@_as_json
def audit_verify(settings: Settings, as_json: bool) -> None:
    """Check that no entry of the audit log was changed or taken out.

    Prints how far it goes and the last one's link. Keep that somewhere else: it vouches for all of
    them, also against whoever can write to the database.
    """
    from overture.actions import auditing

    async def check(installation: "Installation") -> "auditing.Checked":
        found = await installation.db.reading(auditing.verify)
        kept = found.head.number - found.dropped
        await _note(installation, "audit", entries=kept, found=int(found.broken is not None))
        return found

    checked = _on(settings, check)
    head, dropped, broken = checked.head, checked.dropped, checked.broken
    if as_json:
        told = {"entries": head.number, "dropped": dropped, "link": head.link, "broken": broken}
        _print_json(told)
    elif broken is None:
        before = f" The first {dropped} were dropped as too old." if dropped else ""
        count = checked.entries
        click.echo(f"Checked {count} entries.{before} The last one's link: {head.link or 'none'}")
    if broken is not None:
        raise Failed(f"Entry {broken} of the audit log was changed or taken out.")


async def _note(
    installation: "Installation", what: "verifications.What", *, entries: int, found: int
) -> None:
    """For those who watch over the installation; see `overture.monitoring`."""
    from overture.clock import real_now
    from overture.store import verifications

    await installation.db.writing(
        lambda tx: verifications.note(tx, what, entries=entries, found=found, at=real_now())
    )


# --- Imports ------------------------------------------------------------------------------------


@overture.group("import")
def imports() -> None:
    """Bring in what members have elsewhere."""


@imports.command("linkedin")
@click.argument("archive", type=click.Path(path_type=Path))
@click.option(
    "--as", "handle", metavar="HANDLE", required=True, help="Who imports; made when there is none."
)
@_takes(*_INSTALLATION)
@_as_json
def import_linkedin(settings: Settings, archive: Path, handle: str, as_json: bool) -> None:
    """Import a LinkedIn data export, ARCHIVE.zip, for the member of a handle.

    A server may go on meanwhile. Once more adds nothing, a newer export what is new in it. Rows that
    cannot be taken are told, and the rest goes in.
    """
    from overture import app
    from overture.linkedin import importing
    from overture.linkedin.archive import open_archive

    # Before a data folder is made for an archive that cannot be taken.
    open_archive(archive).close()

    async def run(url: str) -> importing.Report:
        async with app.opened(url, connections=2) as installation:
            async with installation.db.read() as tx:
                now = await installation.clock.now(tx)
            with _showing("Importing") as progress:
                return await importing.import_archive(
                    url, archive, handle, now=now, book=installation.book, progress=progress
                )

    with app.database(settings) as url:
        app.check_schema(url)
        report = asyncio.run(run(url))
    if as_json:
        _print_json(importing.as_json(report))
    else:
        click.echo("\n".join(importing.told(report)))


# --- Backups ------------------------------------------------------------------------------------


@overture.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
@click.option("--base", is_flag=True, help="Copy the database into its archive instead.")
@click.option(
    "--keep",
    type=click.IntRange(1),
    metavar="N",
    help="With --base: drop all copies but the newest N, and the log from before them.",
)
@_takes(*_INSTALLATION)
@_as_json
def backup(
    settings: Settings,
    *,
    file: Path | None,
    overwrite: bool,
    base: bool,
    keep: int | None,
    as_json: bool,
) -> None:
    """Write all data to FILE, or with --base into the archive. A server may go on meanwhile.

    A file restores its own moment; the archive, which `serve --archive DIR` keeps, every moment since
    its first copy.
    """
    if base == (file is not None):
        raise click.UsageError("Say where to: either a FILE or --base.")
    if keep is not None and not base:
        raise click.UsageError("--keep goes with --base.")
    if base:
        _backup_base(settings, keep, as_json=as_json)
        return
    from overture import app
    from overture.store.backup import backup

    assert file is not None, "one of the two was said"
    with app.database(settings) as url, _showing("Backing up") as progress:
        backup(url, file, progress, overwrite=overwrite)
    size = file.stat().st_size
    if as_json:
        _print_json({"file": str(file), "bytes": size})
    else:
        click.echo(f"{file} holds all data ({size:,} bytes).")


def _backup_base(settings: Settings, keep: int | None, *, as_json: bool) -> None:
    from overture.store import archive, embedded

    if settings.database_url is not None:
        raise click.UsageError(
            "--base is for the embedded PostgreSQL; docs/backup.md has the rest."
        )
    with embedded.start(settings.data) as server:
        made = archive.base(server, keep)
    if as_json:
        _print_json({"folder": str(made.folder), "at": made.at.isoformat()})
    else:
        click.echo(f"{made.folder} holds all data. Any moment from {made.at:%Y-%m-%dT%H:%M:%SZ} on")
        click.echo("can be restored: overture restore ARCHIVE --to INSTANT --data NEW")


@overture.command()
@click.argument("source", type=click.Path(path_type=Path), metavar="FILE|ARCHIVE")
@click.option(
    "--to",
    metavar="INSTANT",
    help="Of an archive: the moment to restore, as 2025-01-31T10:00:00Z; else as far as it goes.",
)
@_takes(*_INSTALLATION)
@_as_json
def restore(settings: Settings, source: Path, to: str | None, as_json: bool) -> None:
    """Bring a backup from FILE into an empty database or a new data folder, or the moment --to of an
    ARCHIVE into a new data folder."""
    if source.is_dir():
        _restore_moment(settings, source, to, as_json=as_json)
        return
    if to is not None:
        raise click.UsageError("--to goes with an archive's folder: a file holds one moment alone.")
    from overture import app
    from overture.store import backup
    from overture.store.migrate import migrate

    file = source
    # Before a data folder is made for a file that is none.
    backup.check(file)
    with app.database(settings) as url:
        with _showing("Restoring") as progress:
            backup.restore(url, file, progress)
        applied = migrate(url)
    if as_json:
        _print_json({"file": str(file), "applied": applied})
    else:
        click.echo(f"Restored {file}.")


def _restore_moment(settings: Settings, folder: Path, to: str | None, *, as_json: bool) -> None:
    from overture.settings import instant
    from overture.store import archive

    if settings.database_url is not None:
        raise click.UsageError("An archive restores into a new data folder: leave the URL out.")
    try:
        at = None if to is None else instant(to)
    except ValueError as problem:
        raise click.UsageError(f"--to: “{to}” {problem}.") from None
    begun = archive.restore(folder, settings.data, at)
    if as_json:
        _print_json(
            {"archive": str(folder), "to": at and at.isoformat(), "base": str(begun.folder)}
        )
    else:
        shown = "as far as it goes" if at is None else f"as of {at:%Y-%m-%dT%H:%M:%S.%fZ}"
        click.echo(f"Restored {folder} {shown} into {settings.data}.")
        click.echo("It has no archive of its own until it is served with --archive.")


# --- Policies -----------------------------------------------------------------------------------


@overture.group()
def policy() -> None:
    """Look at policies, the numbers of the rules, and change them from a date on."""


@policy.command("presets")
@click.option("--all", "every", is_flag=True, help="All values, also those that are as in seed.")
@_as_json
def policy_presets(every: bool, as_json: bool) -> None:
    """The policies that come with Overture, side by side, and how each differs from seed."""
    from overture import policies

    table = policies.side_by_side()
    if as_json:
        _print_json(_preset_table(table))
        return
    width = max(map(len, table.presets))
    for name, preset in table.presets.items():
        click.echo(f"{name:{width}}  {preset.about}")
    rows = [row for row in table.rows if every or row.differs]
    lines = [("", *table.presets), *((row.name, *row.values) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    click.echo()
    for line in lines:
        cells = (f"{cell:{width}}" for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
    for name, preset in table.presets.items():
        if preset.differences:
            click.echo(f"\n{name}, beside {policies.DEFAULT}:")
            _echo_differences(preset.differences)


@policy.command("list")
@_takes(*_INSTALLATION)
@_as_json
def policy_list(settings: Settings, as_json: bool) -> None:
    """The versions of this installation's policy: what held, holds and will hold, and what changed."""
    from overture import policies

    book, now = _on(settings, _book_and_now)
    told = [
        (book.versions[0], ()),
        *((each.version, each.differences) for each in policies.steps(book)),
    ]
    if as_json:
        _print_json(
            [
                {
                    "holds_from": policies.told_instant(version.holds_from),
                    "state": policies.state(version, book, now),
                    "changes": _changes(changes),
                }
                for version, changes in told
            ]
        )
        return
    for version, changes in told:
        at, state = policies.told_instant(version.holds_from), policies.state(version, book, now)
        click.echo(f"{at}  {state.replace('_', ' ')}")
        _echo_differences(changes)


@policy.command("show")
@click.argument("name_or_file", required=False, metavar="[NAME|FILE]")
@click.option("--at", metavar="DATE", help="The version of this installation that holds then.")
@_takes(*_INSTALLATION)
def policy_show(settings: Settings, name_or_file: str | None, at: str | None) -> None:
    """Print a policy, checked; without an argument what this installation has recorded."""
    from overture import policies

    if name_or_file is not None and at is not None:
        raise click.UsageError("Say either a NAME or FILE, or --at DATE.")
    if name_or_file is not None:
        document = policies.document_of(name_or_file)
        policies.load(name_or_file)
        click.echo(document, nl=False)
        return
    instant = None if at is None else policies.instant_of(at)
    book, _ = _on(settings, _book_and_now)
    versions = book.versions if instant is None else (book.at(instant),)
    click.echo("\n".join(map(policies.written, versions)), nl=False)


@policy.command("check")
@click.argument("name_or_file", metavar="FILE")
@_as_json
def policy_check(name_or_file: str, as_json: bool) -> None:
    """Say what is wrong in a policy: each mistake with its line, and what to write instead."""
    from overture import policies
    from overture.core.policy import PolicyProblem, parse

    document = policies.document_of(name_or_file)
    try:
        book = parse(document)
    except PolicyProblem as problem:
        found = problem.mistakes
    else:
        found = ()
        if not as_json:
            plans, count = len(book.versions[-1].plans), len(book.versions)
            versions = f"{count} version{'' if count == 1 else 's'}"
            click.echo(f"{name_or_file} is sound: {versions}, {plans} plans.")
    if as_json:
        _print_json(
            [
                {
                    "line": each.line,
                    "place": each.place,
                    "sentence": str(each.sentence),
                    "example": each.example or None,
                }
                for each in found
            ]
        )
    elif found:
        for each in found:
            click.echo(f"{name_or_file}: {each}")
    if found:
        count = f"{len(found)} mistake{'' if len(found) == 1 else 's'}"
        raise Failed(f"{name_or_file} has {count}.")


@policy.command("diff")
@click.argument("name_or_file", metavar="FILE")
@click.option(
    "--against",
    metavar="VERSION",
    help="A preset, a file, or a DATE: this installation's version of then. "
    "Without it, what applying the policy now would change.",
)
@_takes(*_INSTALLATION)
@_as_json
def policy_diff(settings: Settings, name_or_file: str, against: str | None, as_json: bool) -> None:
    """Say what a policy changes, and what becomes of what exists."""
    from overture import policies
    from overture.core.differences import differences
    from overture.core.policy import PolicyProblem

    chosen = policies.load(name_or_file)
    if against is None:
        book, now = _on(settings, _book_and_now)
        _, steps = policies.proposed(book, chosen, starts_at=None, now=now)
        _tell_steps(steps, as_json=as_json)
        return
    try:
        instant = policies.instant_of(against)
    except PolicyProblem:
        version = policies.load(against).versions[-1]
    else:
        version = _on(settings, _book_and_now)[0].at(instant)
    found = differences(version, chosen.versions[-1])
    if as_json:
        _print_json(_changes(found))
    elif found:
        _echo_differences(found, indent="")
    else:
        click.echo("The two say the same.")


@policy.command("apply")
@click.argument("name_or_file", metavar="FILE")
@click.option(
    "--from",
    "from_date",
    metavar="DATE",
    help="When it takes effect: a day (00:00 UTC), or an instant with its offset. "
    "Without it in a minute, or as the file's versions say.",
)
@_takes(*_INSTALLATION)
@_as_json
def policy_apply(
    settings: Settings, name_or_file: str, from_date: str | None, as_json: bool
) -> None:
    """Have a policy, a file or a preset, take effect. What happened before is never judged anew.

    A server may run meanwhile, and goes by it from that instant on.
    """
    from overture import ids, policies

    chosen = policies.load(name_or_file)
    starts_at = None if from_date is None else policies.instant_of(from_date)

    async def put(installation: "Installation") -> "list[policies.Step]":
        async def work(tx: "Tx") -> "list[policies.Step]":
            return await policies.apply(
                tx,
                chosen,
                starts_at=starts_at,
                actor=ACTOR,
                audit_id=ids.new(),
                now=await installation.clock.now(tx),
            )

        return await installation.db.writing(work)

    _tell_steps(_on(settings, put), as_json=as_json)


@policy.command("withdraw")
@click.argument("date", required=False, metavar="[DATE]")
@_takes(*_INSTALLATION)
def policy_withdraw(settings: Settings, date: str | None) -> None:
    """Take back a version that has not taken effect; the DATE says which, where there are several."""
    from overture import ids, policies

    starts_at = None if date is None else policies.instant_of(date)

    async def take_back(installation: "Installation") -> str:
        async def work(tx: "Tx") -> str:
            now = await installation.clock.now(tx)
            gone = await policies.withdraw(tx, starts_at, actor=ACTOR, audit_id=ids.new(), now=now)
            return policies.told_instant(gone.holds_from)

        return await installation.db.writing(work)

    at = _on(settings, take_back)
    click.echo(f"The version of {at} is withdrawn. What holds now goes on.")


async def _book_and_now(installation: "Installation") -> "tuple[PolicyBook, datetime]":
    return installation.book, await installation.db.reading(installation.clock.now)


def _tell_steps(steps: "list[Step]", *, as_json: bool) -> None:
    from overture import policies

    if as_json:
        _print_json(
            [
                {
                    "holds_from": policies.told_instant(each.version.holds_from),
                    "until": each.until and policies.told_instant(each.until),
                    "changes": _changes(each.differences),
                }
                for each in steps
            ]
        )
        return
    for each in steps:
        until = f", until {policies.told_instant(each.until)}" if each.until else ""
        click.echo(f"From {policies.told_instant(each.version.holds_from)} on{until}:")
        _echo_differences(each.differences)


def _echo_differences(found: "Sequence[Difference]", indent: str = "  ") -> None:
    for each in found:
        click.echo(f"{indent}{each.sentence}")


def _changes(found: "Sequence[Difference]") -> list[dict[str, str]]:
    return [
        {
            "name": each.name,
            "before": str(each.before),
            "after": str(each.after),
            "sentence": str(each.sentence),
        }
        for each in found
    ]


def _preset_table(table: "SideBySide") -> dict[str, object]:
    return {
        "presets": [
            {"name": name, "about": preset.about, "changes": _changes(preset.differences)}
            for name, preset in table.presets.items()
        ],
        "values": [
            {
                "name": row.name,
                "label": str(row.label),
                "values": dict(zip(table.presets, map(str, row.values), strict=True)),
            }
            for row in table.rows
        ],
    }


# --- The policy lab -----------------------------------------------------------------------------


@overture.command()
@click.argument("policy", metavar="POLICY")
@click.option(
    "--against",
    multiple=True,
    metavar="OTHER",
    help="Another policy, on the same members; may be given again.",
)
@click.option("--members", default=10_000, type=click.IntRange(100, 10_000_000), show_default=True)
@click.option("--months", default=12, type=click.IntRange(1, 120), show_default=True)
@click.option(
    "--seed", default=1, type=click.IntRange(0), help="The first seed.", show_default=True
)
@click.option(
    "--seeds",
    default=5,
    type=click.IntRange(1, 1000),
    help="How many seeds: the intervals are over them.",
    show_default=True,
)
@click.option(
    "--knobs",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="TOML with what is assumed of members; docs/lab.md lists it.",
)
@click.option(
    "--processes", type=click.IntRange(1), metavar="N", help="At once; as many as cores by default."
)
@click.option(
    "--replay",
    "replayed",
    is_flag=True,
    help="Play this installation's own history again instead.",
)
@click.option("--fit", is_flag=True, help="Fit the knobs to this installation's own history.")
@_takes(*_INSTALLATION)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--html", type=click.Path(path_type=Path), metavar="FILE", help="Write a page with the charts."
)
@click.option(
    "--pictures", type=click.Path(path_type=Path), metavar="DIR", help="Write the charts as SVG."
)
def simulate(
    settings: Settings,
    *,
    policy: str,
    against: tuple[str, ...],
    members: int,
    months: int,
    seed: int,
    seeds: int,
    knobs: Path | None,
    processes: int | None,
    replayed: bool,
    fit: bool,
    as_json: bool,
    html: Path | None,
    pictures: Path | None,
) -> None:
    """Try a policy, a preset's name or a FILE, on invented members, and print what comes of it.

    Senders, recipients, spammers and colluders live under its last version. The same arguments bring
    the same figures. With --replay the letters, answers and plans that this installation has recorded
    are played again under the policy, beside what they came to.
    """
    from overture import policies, sim
    from overture.core.policy import PolicyBook
    from overture.sim.knobs import Knobs, read
    from overture.store.history import history

    if not sim.is_installed():
        raise Failed("The policy lab needs numpy: pip install 'overture[lab]'.")
    from overture.sim import lab, report

    names = (policy, *against)
    if len(set(names)) < len(names):
        raise click.UsageError("Compare a policy with another one, not with itself.")
    # As if its last version had always held.
    books = {name: PolicyBook(policies.load(name).versions[-1:]) for name in names}
    turned = Knobs() if knobs is None else read(knobs.read_text(encoding="utf-8"))

    async def look(installation: "Installation") -> "tuple[History, PolicyBook, datetime]":
        async def read(tx: "Tx") -> "tuple[History, datetime]":
            now = await installation.clock.now(tx)
            return await history(tx, now), now

        found, now = await installation.db.reading(read)
        return found, installation.book, now

    own = _on(settings, look) if replayed or fit else None
    with _showing("Simulating") as progress:
        if replayed and own is not None:
            recorded, book, now = own
            outcome = lab.of_history(recorded, book, books, now, progress)
        else:
            if own is not None:
                turned = lab.fitted(turned, *own)
            experiment = lab.Experiment(
                {name: book.versions[0] for name, book in books.items()},
                members=members,
                months=months,
                seed=seed,
                seeds=seeds,
                knobs=turned,
            )
            outcome = lab.run(experiment, processes=processes, progress=progress)
    if html is not None:
        html.write_text(report.page(outcome), encoding="utf-8")
    if pictures is not None:
        report.write_pictures(outcome, pictures)
    if as_json:
        _print_json(report.as_json(outcome))
        return
    report.show(outcome)
    for written in filter(None, (html, pictures)):
        click.echo(f"Written: {written}")


# --- What the commands share --------------------------------------------------------------------


def _on(settings: Settings, work: "Callable[[Installation], Awaitable[T]]") -> T:
    """Runs work on the installation, whether or not a server runs on it."""
    from overture import app

    async def run(url: str) -> T:
        async with app.opened(url, connections=2) as installation:
            return await work(installation)

    with app.database(settings) as url:
        app.check_schema(url)
        return asyncio.run(run(url))


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


@contextmanager
def _showing(title: str) -> Generator[Callable[[int, int], None]]:
    """A bar for long work, on a terminal only: told what is done and what there is to do."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(title, total=None)

        def advance(done: int, total: int) -> None:
            shown.update(task, completed=done, total=total)

        yield advance
