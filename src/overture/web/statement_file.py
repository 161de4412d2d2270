"""The statement of My Premium as a file for a spreadsheet."""

import csv
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from io import StringIO

from starlette.responses import StreamingResponse

from overture.actions import statements
from overture.actions.statements import Line
from overture.core.policy import PolicyBook
from overture.store.db import Tx
from overture.store.pages import Page as Lines
from overture.store.statements import Opened
from overture.web.statements import say
from overture.web.visit import Answer, Visit, page
from overture.words import Words

LINES_FILE = 500
COLUMNS = (
    "at",
    "pool",
    "plan",
    "kind",
    "reason",
    "entry",
    "credits",
    "forfeited",
    "balance",
    "lot",
    "expires_at",
    "inmail_id",
    "recipient",
    "number",
    "link",
)


@page("/premium/statement.csv", transaction=False)
async def statement_file(visit: Visit) -> Answer:
    """Every entry of every pool, oldest first, as a file for a spreadsheet."""
    now = await visit.site.instant()
    rows = _file(visit, now)
    # What goes wrong at once is still told as a page.
    first = await anext(rows)

    async def whole() -> AsyncGenerator[str]:
        yield first
        async for part in rows:
            yield part

    name = f"overture-statement-{visit.words.local(now):%Y-%m-%d}.csv"
    return StreamingResponse(
        whole(),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def _file(visit: Visit, now: datetime) -> AsyncGenerator[str]:
    """The file, a page of the ledger at a time. Its mark lets spreadsheets see that it is UTF-8."""
    site, viewer = visit.site, visit.viewer.id
    opened: dict[tuple[str, int], Opened] = {}
    cursor: str | None = None
    head = "\N{ZERO WIDTH NO-BREAK SPACE}" + _csv([COLUMNS])
    while True:
        at = cursor

        async def read(tx: Tx, at: str | None = at) -> Lines[Line]:
            return await statements.export(
                tx, viewer, opened, cursor=at, limit=LINES_FILE, now=now, book=site.book
            )

        found = await site.db.reading(read)
        yield head + _csv([_cells(line, visit.words, site.book) for line in found.items])
        head, cursor = "", found.next
        if cursor is None:
            return


def _cells(line: Line, words: Words, book: PolicyBook) -> tuple[str | int, ...]:
    entry = line.entry
    return (
        words.local(entry.at).isoformat(),
        line.pool,
        entry.plan or "",
        entry.kind,
        safe(entry.reason),
        safe(str(say(line, words, book))),
        entry.credits,
        entry.forfeited,
        entry.balance,
        "" if entry.lot is None else f"L{entry.lot}",
        words.local(entry.expires_at).isoformat() if entry.expires_at else "",
        entry.inmail_id or "",
        safe(line.letter.name if line.letter else ""),
        entry.number,
        entry.link,
    )


def safe(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return "'" + text if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _csv(rows: Sequence[Sequence[str | int]]) -> str:
    written = StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue()
