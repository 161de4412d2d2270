"""What is only ever added to: the ledger of credits and the audit log, verified."""

from typing import TYPE_CHECKING

import click

from overture.cli.failures import Failed
from overture.cli.installation import on_installation
from overture.cli.options import INSTALLATION, as_json, takes
from overture.cli.terminal import print_json, showing
from overture.settings import Settings

if TYPE_CHECKING:
    from overture.actions import auditing
    from overture.actions.ledger import Verification
    from overture.app import Installation
    from overture.store import verifications


@click.group()
def ledger() -> None:
    """Look after the ledger of credits."""


@ledger.command("verify")
@takes(*INSTALLATION)
@as_json
def ledger_verify(settings: Settings, as_json: bool) -> None:
    """Replay the whole ledger against accounts, InMails and rules.

    Prints what it checked. Exits with 1 and the first discrepancy when there is one.
    """
    from dataclasses import asdict

    from overture.actions.ledger import verify

    async def check(installation: "Installation") -> "Verification":
        async with installation.db.read() as tx:
            now = await installation.clock.now(tx)
            with showing("Verifying") as progress:
                found = await verify(tx, now, installation.book, progress)
        await _note(installation, "ledger", entries=found.entries, found=found.found)
        return found

    checked = on_installation(settings, check)
    if as_json:
        print_json({"sound": checked.sound} | asdict(checked))
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


@click.group()
def audit() -> None:
    """Check the audit log."""


@audit.command("verify")
@takes(*INSTALLATION)
@as_json
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

    checked = on_installation(settings, check)
    head, dropped, broken = checked.head, checked.dropped, checked.broken
    if as_json:
        told = {"entries": head.number, "dropped": dropped, "link": head.link, "broken": broken}
        print_json(told)
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
