"""Help for members who sign in in two steps."""

from typing import TYPE_CHECKING

import click

from overture.cli.failures import Failed
from overture.cli.installation import ACTOR, member_of, writing
from overture.cli.options import INSTALLATION, takes
from overture.settings import Settings

if TYPE_CHECKING:
    from datetime import datetime

    from overture.store.db import Tx


@click.group("two-steps")
def two_steps() -> None:
    """Help members who sign in in two steps."""


@two_steps.command("off")
@click.argument("handle")
@takes(*INSTALLATION)
def two_steps_off(settings: Settings, handle: str) -> None:
    """Let the member of a HANDLE sign in without the second step.

    For who has lost app and recovery codes; be sure that it is they who ask. They are signed out
    everywhere.
    """
    from overture import ids
    from overture.actions import two_steps as actions

    async def turn_off(tx: "Tx", now: "datetime") -> None:
        member = await member_of(tx, handle, now)
        if not await actions.turn_off_for(tx, member.id, actor=ACTOR, audit_id=ids.new(), now=now):
            raise Failed(f"{handle} signs in in one step already.")

    writing(settings, turn_off)
    click.echo(f"{handle} signs in with the password alone.")
