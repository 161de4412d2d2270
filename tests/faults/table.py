"""What experiments came to: a row each, in one table."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.faults.damage import Damage

HEADS = (
    "experiment", "faults", "tried", "acknowledged", "lost", "doubled", "off balance", "else",
    "again after, s: median", "worst",
)  # fmt: skip


@dataclass(slots=True)
class Row:
    """An experiment's outcome.

    `back_seconds`: from each fault (or, where it lasted, from its end) until the server answered again.
    `teeth`: with a mistake planted, or a promise given up, so that something must be found.
    """

    name: str
    faults: int = 0
    tried: int = 0
    acknowledged: int = 0
    found: Damage = field(default_factory=Damage)
    back_seconds: list[float] = field(default_factory=list)
    teeth: bool = False
    skipped: str = ""

    @property
    def failed(self) -> bool:
        if self.skipped:
            return False
        return self.teeth != bool(self.found.all)

    @property
    def cells(self) -> list[str]:
        if self.skipped:
            return [self.name, f"skipped: {self.skipped}"]
        found = self.found
        numbers = [self.faults, self.tried, self.acknowledged]
        numbers += map(len, (found.lost, found.doubled, found.unbalanced, found.other))
        back = self.back_seconds
        times = [f"{statistics.median(back):.2f}", f"{max(back):.2f}"] if back else ["", ""]
        return [self.name, *(f"{number:,}" for number in numbers), *times]

    def sentences(self) -> list[str]:
        """What to say beside the numbers."""
        if self.teeth:
            return [] if self.found.all else ["It must find something, and found nothing."]
        return self.found.all[:5]


def table(rows: Sequence[Row]) -> str:
    """In Markdown, as people read it in a terminal too."""
    lines = [list(HEADS), *(row.cells for row in rows)]
    widths = [
        max(len(line[at]) for line in lines if len(line) == len(HEADS)) for at in range(len(HEADS))
    ]
    widths[0] = max(len(line[0]) for line in lines)
    shown = [_line(line, widths) for line in lines]
    rule = (
        "|"
        + "|".join("-" * (width + 1) + ("-" if not at else ":") for at, width in enumerate(widths))
        + "|"
    )
    shown.insert(1, rule)
    for row in rows:
        shown += [f"{row.name}: {each}" for each in row.sentences()]
    return "\n".join(shown)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    if len(cells) == 2:
        return f"| {cells[0]:<{widths[0]}} | {cells[1]} |"
    first, *rest = zip(cells, widths, strict=True)
    return "| " + " | ".join([f"{first[0]:<{first[1]}}", *(f"{c:>{w}}" for c, w in rest)]) + " |"
