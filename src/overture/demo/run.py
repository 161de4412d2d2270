"""`overture demo`: a small invented network with a year behind it, served, and what to try."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from hashlib import file_digest
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from overture import app
from overture.actions import subscriptions
from overture.app import Installation, StartProblem
from overture.core.ids import MemberId
from overture.core.refusals import Refusal
from overture.demo import page
from overture.demo.cast import CAST
from overture.demo.year import Progress, play
from overture.linkedin import importing
from overture.linkedin.archive import ArchiveRefused
from overture.serve.server import one_line, serve
from overture.serve.sockets import listening
from overture.settings import Settings
from overture.store import embedded, migrate
from overture.store.db import Tx
from overture.store.installation import has_members
from overture.store.members import any_has_handle
from overture.worker import go_on_from_here

# Begins a piece of long work that is called so, and shows how far it is.
Showing = Callable[[str], AbstractContextManager[Progress]]

_NOT_A_DEMOS = "holds data that are not a demo's, and its invented people would be mixed into them."
_MARK = "DEMO.txt"
_MARK_TEXT = """\
This folder holds a demo of Overture: its people are invented, and so is all that they wrote.
`overture demo` goes on with it; once the folder is deleted, it makes another one.
"""


def demo(
    settings: Settings,
    *,
    data: Path | None,
    database_url: str | None,
    archive: Path | None,
    showing: Showing,
) -> None:
    """Serves a demo until a signal asks to stop, and makes it first where there is none.

    It lives in `data`, by default beside the folder of the installation that `settings` names, or in
    another server's database; and in no place that holds anything else. `archive` is imported first,
    unless it was before.

    Raises StartProblem, DataProblem, MigrationProblem, and what else hinders `serve`.
    """
    settings = replace(
        settings,
        data=data or settings.data.with_name(f"{settings.data.name}-demo"),
        database_url=database_url,
        policy=None,
        test_clock=None,
        operator_token=None,
        stripe_webhook_secret=None,
        processes=1,
        # Its people are invented, and those of an archive did not ask to be written to.
        smtp_host=None,
    )
    # A port in use is told before anything is made, rather than when all the rest is done.
    for each in listening(settings.host, settings.port, 1):
        each.close()
    make_and_serve = _in_folder if database_url is None else _in_database
    make_and_serve(settings, archive, showing)


def _in_folder(settings: Settings, archive: Path | None, showing: Showing) -> None:
    folder = settings.data
    if (folder / "postgres").exists() and not (folder / _MARK).exists():
        raise StartProblem(f"{folder} {_NOT_A_DEMOS} Choose an empty or a new folder with --data.")
    with ExitStack() as stack:
        lock = stack.enter_context(embedded.serve_lock(folder))
        if not (folder / _MARK).exists():
            (folder / _MARK).write_text(_MARK_TEXT, encoding="utf-8")
        imported = f"Imported: {_digest(archive)}\n" if archive else ""
        if imported in (folder / _MARK).read_text(encoding="utf-8"):
            archive = None
        url = stack.enter_context(app.database(settings))
        shown = asyncio.run(_make_ready(settings, url, archive, showing))
        if archive:
            with (folder / _MARK).open("a", encoding="utf-8") as mark:
                mark.write(imported)
        lock.release()
        # PostgreSQL is held meanwhile, so that it need not start again.
        _serve(settings, shown, str(folder))


def _in_database(settings: Settings, archive: Path | None, showing: Showing) -> None:
    with app.database(settings) as url:
        if not asyncio.run(_may_be_a_demos(url)):
            raise StartProblem(f"The database {_NOT_A_DEMOS} Choose an empty one.")
        shown = asyncio.run(_make_ready(settings, url, archive, showing))
        parts = conninfo_to_dict(url)
        _serve(settings, shown, f"the database {parts.get('dbname')} at {parts.get('host')}")


def _serve(settings: Settings, shown: page.Page, place: str) -> None:
    def announce(address: str) -> None:
        one_line(address)
        page.show(shown, address, place)

    serve(settings, announce)


async def _may_be_a_demos(url: str) -> bool:
    """Whether there is nothing of Overture's, nobody in it, or the cast."""
    if len(migrate.pending(url)) == len(migrate.migrations()):
        return True

    async def look(tx: Tx) -> bool:
        # By nothing that a schema of an earlier demo might not have yet.
        cast = [part.handle for part in CAST]
        return not await has_members(tx) or await any_has_handle(tx, cast)

    async with app.opened_database(url, connections=2) as db:
        return await db.reading(look)


def _digest(archive: Path) -> str:
    with archive.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


async def _make_ready(
    settings: Settings, url: str, archive: Path | None, showing: Showing
) -> page.Page:
    await app.prepare(settings, url, None)
    async with app.opened(url, connections=2) as installation:
        if archive:
            await _import(installation, url, archive, showing)
        if not await page.cast_is_there(installation):
            await _play(installation, showing)
        return await page.make(installation)


async def _import(installation: Installation, url: str, archive: Path, showing: Showing) -> None:
    """Imports an archive for the member “you”, who gets a plan to write to strangers with."""
    async with installation.db.read() as tx:
        now = await installation.clock.now(tx)
    with showing("Importing") as progress:
        try:
            report = await importing.import_archive(
                url, archive, page.YOU, now=now, book=installation.book, progress=progress
            )
        except (ArchiveRefused, importing.ImportRefused) as refused:
            raise StartProblem(str(refused)) from None
    sys.stdout.write("\n".join([*importing.told(report), "", ""]))
    sys.stdout.flush()
    pool, plan = "premium", "premium_career"
    if report.suggestion and report.suggestion.pool:
        pool, plan = report.suggestion.pool, report.suggestion.plan

    async def subscribe(tx: Tx) -> None:
        owner = MemberId(report.imported.owner)
        if not (await subscriptions.premium(tx, owner, now, installation.book)).premium:
            chosen = await subscriptions.choose(
                tx, owner, pool, plan, now=now, book=installation.book
            )
            assert not isinstance(chosen, Refusal), chosen

    await installation.db.writing(subscribe)


async def _play(installation: Installation, showing: Showing) -> None:
    """In one transaction: of a year that was interrupted, nothing is there."""
    with showing("A year passes") as progress:

        async def work(tx: Tx) -> None:
            now = await installation.clock.now(tx)
            await play(tx, now, installation.book, progress)
            await go_on_from_here(tx, now, installation.book)

        await installation.db.writing(work)
