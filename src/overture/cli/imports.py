"""What members have elsewhere, brought in."""

import asyncio
from pathlib import Path

import click

from overture.cli.options import INSTALLATION, as_json, takes
from overture.cli.terminal import print_json, showing
from overture.settings import Settings


@click.group("import")
def imports() -> None:
    """Bring in what members have elsewhere."""


@imports.command("linkedin")
@click.argument("archive", type=click.Path(path_type=Path))
@click.option(
    "--as", "handle", metavar="HANDLE", required=True, help="Who imports; made when there is none."
)
@takes(*INSTALLATION)
@as_json
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
            with showing("Importing") as progress:
                return await importing.import_archive(
                    url, archive, handle, now=now, book=installation.book, progress=progress
                )

    with app.database(settings) as url:
        app.check_schema(url)
        report = asyncio.run(run(url))
    if as_json:
        print_json(importing.as_json(report))
    else:
        click.echo("\n".join(importing.told(report)))
