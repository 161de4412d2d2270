"""The data as a whole: their schema, their backups, and back from these."""

from pathlib import Path

import click

from overture.cli.options import INSTALLATION, as_json, takes
from overture.cli.terminal import print_json, showing
from overture.settings import Settings


@click.command()
@takes(*INSTALLATION)
@as_json
def migrate(settings: Settings, as_json: bool) -> None:
    """Bring the database's schema up to date."""
    from overture import app
    from overture.store.migrate import migrate

    with app.database(settings) as url:
        applied = migrate(url)
    if as_json:
        print_json({"applied": applied})
    elif applied:
        click.echo(f"Applied {', '.join(applied)}.")
    else:
        click.echo("The schema is up to date.")


@click.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
@click.option("--base", is_flag=True, help="Copy the database into its archive instead.")
@click.option(
    "--keep",
    type=click.IntRange(1),
    metavar="N",
    help="With --base: drop all copies but the newest N, and the log from before them.",
)
@takes(*INSTALLATION)
@as_json
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
    with app.database(settings) as url, showing("Backing up") as progress:
        backup(url, file, progress, overwrite=overwrite)
    size = file.stat().st_size
    if as_json:
        print_json({"file": str(file), "bytes": size})
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
        print_json({"folder": str(made.folder), "at": made.at.isoformat()})
    else:
        click.echo(f"{made.folder} holds all data. Any moment from {made.at:%Y-%m-%dT%H:%M:%SZ} on")
        click.echo("can be restored: overture restore ARCHIVE --to INSTANT --data NEW")


@click.command()
@click.argument("source", type=click.Path(path_type=Path), metavar="FILE|ARCHIVE")
@click.option(
    "--to",
    metavar="INSTANT",
    help="Of an archive: the moment to restore, as 2025-01-31T10:00:00Z; else as far as it goes.",
)
@takes(*INSTALLATION)
@as_json
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
        with showing("Restoring") as progress:
            backup.restore(url, file, progress)
        applied = migrate(url)
    if as_json:
        print_json({"file": str(file), "applied": applied})
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
        print_json({"archive": str(folder), "to": at and at.isoformat(), "base": str(begun.folder)})
    else:
        shown = "as far as it goes" if at is None else f"as of {at:%Y-%m-%dT%H:%M:%S.%fZ}"
        click.echo(f"Restored {folder} {shown} into {settings.data}.")
        click.echo("It has no archive of its own until it is served with --archive.")
