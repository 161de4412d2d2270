"""The command line: here it is put together and ends; each module beside has the commands of a noun.

A command imports what it needs when it is called, so that all start quickly.

Exit status: 0 when done; 1 when it could not be done, with one sentence on standard error; 2 when it
was called wrongly; 130 or 143 when it was interrupted.
"""

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

import click

from overture.cli import (
    database,
    doctor,
    imports,
    jobs,
    lab,
    ledger,
    operators,
    policies,
    servers,
    tokens,
    two_steps,
)
from overture.cli.failures import told

# What a mail server understands as "later": EX_TEMPFAIL of sysexits.h.
BRING_AGAIN = 75
EXITS = """\b
Exit status:
  0    done
  1    it could not be done; one sentence on standard error says why
  2    called wrongly: an unknown option, a bad setting
  130  interrupted, 143 terminated; a server ends with 0"""


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
        status, sentence = told(problem)
        click.echo(f"overture: {sentence}", err=True)
        sys.exit(BRING_AGAIN if by_pipe else status)
    sys.exit(0)


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXITS)
@click.option("--debug", is_flag=True, help="Show where a failure happened. [OVERTURE_DEBUG]")
@click.version_option(package_name="overture", message="%(package)s %(version)s")
def overture(debug: bool) -> None:
    """Metered messages between strangers on a professional network."""
    if debug:
        os.environ["OVERTURE_DEBUG"] = "1"


# Every command; a new one is added here.
for command in (
    *(servers.serve, servers.worker, servers.mail_in, servers.demo),
    *(database.migrate, database.backup, database.restore, doctor.doctor),
    *(jobs.jobs, tokens.token, operators.operator, two_steps.two_steps),
    *(ledger.ledger, ledger.audit, imports.imports, policies.policy, lab.simulate),
):
    overture.add_command(command)


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    # Raised, so that whatever is held, such as PostgreSQL, is released on the way out.
    raise SystemExit(128 + number)


def _debugging() -> bool:
    return os.environ.get("OVERTURE_DEBUG", "").lower() not in {"", "0", "false", "no", "off"}
