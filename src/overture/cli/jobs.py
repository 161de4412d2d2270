"""Due work: what waits, and what was given up."""

from typing import TYPE_CHECKING

import click

from overture.cli.failures import Failed
from overture.cli.installation import ACTOR, on_installation, writing
from overture.cli.options import INSTALLATION, as_json, takes
from overture.cli.terminal import print_json
from overture.settings import Settings

if TYPE_CHECKING:
    from datetime import datetime

    from overture.app import Installation
    from overture.store import jobs as store
    from overture.store.db import Tx


@click.group()
def jobs() -> None:
    """See what is due, and have done again what was given up."""


@jobs.command("list")
@takes(*INSTALLATION)
@as_json
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

    queues, parked = on_installation(settings, look)
    if as_json:
        print_json(msgspec.to_builtins({"queues": queues, "parked": parked}))
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
@takes(*INSTALLATION)
def jobs_replay(settings: Settings, number: int | None, every: bool) -> None:
    """Have a job that was given up done again, from its first try."""
    if every == (number is not None):
        raise click.UsageError("Say which: either a NUMBER or --all.")
    from overture import ids
    from overture.actions import jobs as actions

    async def replay(tx: "Tx", now: "datetime") -> int:
        return await actions.replay(tx, number, actor=ACTOR, audit_id=ids.new(), now=now)

    count = writing(settings, replay)
    if number is not None and not count:
        raise Failed(f"No job {number} was given up.")
    click.echo(f"{count} to be done again.")
