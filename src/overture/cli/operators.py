"""Who may enter the console."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import click

from overture.cli.failures import Failed
from overture.cli.installation import ACTOR, member_of, on_installation, writing
from overture.cli.options import INSTALLATION, as_json, takes
from overture.cli.terminal import print_json
from overture.settings import Settings

if TYPE_CHECKING:
    from datetime import datetime

    from overture.store.db import Tx


@click.group()
def operator() -> None:
    """Say which members may enter the console, at /ops."""


@operator.command("add")
@click.argument("handle")
@takes(*INSTALLATION)
def operator_add(settings: Settings, handle: str) -> None:
    """Make the member of a HANDLE an operator.

    They sign in as always, and enter the console with a second factor: a passkey or an app's code.
    """
    from overture.actions import operators
    from overture.store import operators as store

    if not _change(settings, handle, operators.add):
        raise Failed(
            f"{handle} is an operator already, or has no account to sign in with, or has not verified "
            "its address."
        )
    click.echo(f"{handle} may enter the console, at /ops.")
    listed = on_installation(settings, lambda installation: installation.db.reading(store.listed))
    if any(each.handle == handle and not each.second_factor for each in listed):
        click.echo(
            "They have no second factor yet. Until they set one up, whoever knows their password can: "
            "have them do so now."
        )


@operator.command("remove")
@click.argument("handle")
@takes(*INSTALLATION)
def operator_remove(settings: Settings, handle: str) -> None:
    """Make the member of a HANDLE an operator no more, at once."""
    from overture.actions import operators

    if not _change(settings, handle, operators.remove):
        raise Failed(f"{handle} is no operator.")
    click.echo(f"{handle} may not enter the console any more.")


@operator.command("list")
@takes(*INSTALLATION)
@as_json
def operator_list(settings: Settings, as_json: bool) -> None:
    """Who may enter the console, and whether they have a second factor to do so."""
    import msgspec

    from overture.store import operators

    found = on_installation(
        settings, lambda installation: installation.db.reading(operators.listed)
    )
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    for each in found:
        lacking = "" if each.second_factor else "no second factor yet"
        told = (each.handle, each.name, each.email, f"since {each.since:%Y-%m-%d}", lacking)
        click.echo("  ".join(part for part in told if part))
    if not found:
        click.echo("There is no operator.")


def _change(settings: Settings, handle: str, change: Callable[..., Awaitable[bool]]) -> bool:
    from overture import ids

    async def work(tx: "Tx", now: "datetime") -> bool:
        member = await member_of(tx, handle, now)
        return await change(tx, member.id, by=ACTOR, audit_id=ids.new(), now=now)

    return writing(settings, work)
