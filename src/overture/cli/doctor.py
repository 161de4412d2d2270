"""What the doctor finds, as a list and an exit status."""

import asyncio

import click

from overture.cli.failures import Failed
from overture.cli.options import as_json, takes
from overture.cli.terminal import print_json
from overture.settings import ROWS, Settings


@click.command()
@click.option(
    "--dkim",
    "selectors",
    multiple=True,
    metavar="SELECTOR",
    help="Look for this key of DKIM's too.",
)
@takes(*(row.name for row in ROWS if not row.secret))
@as_json
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
        print_json({"grade": worst(found), "findings": [asdict(each) for each in found]})
    else:
        width = max(len(each.about) for each in found)
        for each in found:
            click.echo(f"{each.grade:7}  {each.about:{width}}  {each.says}")
            if each.do is not None:
                click.echo(f"{'':7}  {'':{width}}  → {each.do}")
    if worst(found) is Grade.FAULT:
        faults = sum(each.grade is Grade.FAULT for each in found)
        raise Failed(f"{faults} {'fault' if faults == 1 else 'faults'} found.")
