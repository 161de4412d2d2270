"""CSV as exports have it: a preamble or none, columns by name, quoted fields of many lines.

Rows are read one at a time and memory stays bounded whatever the file holds: a line, a field and a
row each have a longest length.
"""

import codecs
import csv
import io
import re
import zipfile
import zlib
from collections import deque
from collections.abc import Iterator
from typing import Protocol

from overture.linkedin.records import Problem

# The longest message that LinkedIn lets anyone write has 8,000 characters; HTML makes more of it.
FIELD_CHARS_MAX = 1 << 20
ROW_CHARS_MAX = 2 << 20
# How much may be read twice to find the row after one without an end.
_REREAD_CHARS_MAX = 8 << 20
_HEADER_WITHIN_LINES = 64
_DELIMITERS = (",", ";", "\t")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NOT_IN_A_COLUMN_NAME = re.compile(r"[\s_\ufeff]+")


class Source(Protocol):
    """Where a file's bytes come from."""

    def read(self, size: int = -1, /) -> bytes: ...


class Row:
    """A row's cells by column: `row["sentat"]`. Absent columns and cells are empty."""

    __slots__ = ("_at", "_cells", "line")

    def __init__(self, line: int, cells: list[str], at: dict[str, int]) -> None:
        self.line = line
        self._cells = cells
        self._at = at

    def __getitem__(self, column: str) -> str:
        index = self._at.get(column)
        return self._cells[index] if index is not None and index < len(self._cells) else ""

    def cells(self) -> list[str]:
        return self._cells


def table(file: str, stream: Source, needed: frozenset[str]) -> Iterator[Row | Problem]:
    """The rows below the header, which is the first line to name all columns that are `needed`.

    Column names are compared without case, spaces and underscores: "Sent At" is "sentat". A file
    without a header, or one that is damaged somewhere, is a problem and ends there.
    """
    csv.field_size_limit(max(csv.field_size_limit(), FIELD_CHARS_MAX))
    lines = None
    try:
        lines = _Lines(_text(stream))
        header = _header(lines, needed)
        if header is None:
            columns = ", ".join(sorted(needed))
            yield Problem(file, 1, f"no line names the columns that are needed ({columns})")
            return
        delimiter, names = header
        yield from _rows(file, lines, delimiter, names, needed)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as damage:
        reason = f"the archive is damaged: nothing from here on could be read ({damage})"
        yield Problem(file, lines.number + 1 if lines else 1, reason)


def _rows(
    file: str, lines: "_Lines", delimiter: str, names: list[str], needed: frozenset[str]
) -> Iterator[Row | Problem]:
    # Where two columns have one name, the first is meant.
    at = {name: index for index, name in reversed(list(enumerate(names))) if name}
    last_needed = max(at[name] for name in needed)
    # Strict, or a row without its last quotation mark would swallow the next in silence.
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        line = lines.begin_row()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except (csv.Error, _TooLong):
            yield Problem(file, line, "the quotation marks do not match")
            if not lines.go_back_to_second():
                yield Problem(file, line, "too many such rows: the rest was not read")
                return
            continue
        if not cells:
            continue
        if len(cells) > len(names) and any(cell.strip() for cell in cells[len(names) :]):
            reason = f"the row has {len(cells)} columns where the header has {len(names)}"
            yield Problem(file, line, reason)
        elif len(cells) <= last_needed:
            reason = f"the row is cut short: {len(cells)} of {len(names)} columns"
            yield Problem(file, line, reason)
        else:
            yield Row(line, cells, at)


def _header(lines: "_Lines", needed: frozenset[str]) -> tuple[str, list[str]] | None:
    """Looks at physical lines, not at rows: a preamble's quotation marks need not match."""
    for _ in range(_HEADER_WITHIN_LINES):
        lines.begin_row()
        try:
            line = next(lines)
        except StopIteration:
            return None
        for delimiter in _DELIMITERS:
            try:
                cells = next(csv.reader([line], delimiter=delimiter))
            except (csv.Error, StopIteration):
                continue
            names = [_NOT_IN_A_COLUMN_NAME.sub("", cell).casefold() for cell in cells]
            if needed.issubset(names):
                return delimiter, names
    return None


class _TooLong(Exception):
    pass


class _Lines:
    """Physical lines, numbered from 1, that can be read once more from a row's second line on. An
    iterator of its own, since a generator that has raised is at its end."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self._row: list[str] = []
        self._row_number = 0
        self._row_chars = 0
        self._again: deque[str] = deque()
        self._reread_chars = 0
        self._at_line_start = True
        self.number = 0

    def begin_row(self) -> int:
        """The number of the line on which the next row begins."""
        self._row = []
        self._row_number = self.number + 1
        self._row_chars = 0
        return self._row_number

    def go_back_to_second(self) -> bool:
        """Makes the row's second line the next to be read: what follows a row without an end are
        rows again, and should go in. False if that has been done too often."""
        self._reread_chars += self._row_chars
        self._again.extendleft(reversed(self._row[1:]))
        self.number = self._row_number
        self._at_line_start = True
        return self._reread_chars <= _REREAD_CHARS_MAX

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._text.readline(FIELD_CHARS_MAX)
        if not line:
            raise StopIteration
        if self._at_line_start:
            self.number += 1
        self._at_line_start = line[-1] in "\r\n"
        self._row.append(line)
        self._row_chars += len(line)
        if self._row_chars > ROW_CHARS_MAX:
            raise _TooLong
        return line


def _text(stream: Source) -> io.TextIOWrapper:
    """UTF-8 as a rule; UTF-16 where it says so or shows it; single bytes that are not UTF-8 as
    Windows' Latin, which is what a spreadsheet program leaves behind."""
    buffered = io.BufferedReader(_Raw(stream))
    start = buffered.peek(64)[:64]
    encoding = ""
    for bom, name in _BOMS:
        if start.startswith(bom):
            encoding = name
            buffered.read(len(bom))
            break
    # ASCII in UTF-16 is every other byte nought.
    if not encoding and len(start) >= 8:
        halves = start[: len(start) // 2 * 2]
        if not any(halves[1::2]) and all(halves[::2]):
            encoding = "utf-16-le"
        elif not any(halves[::2]) and all(halves[1::2]):
            encoding = "utf-16-be"
    encoding = encoding or "utf-8"
    errors = _WINDOWS_LATIN if encoding == "utf-8" else "replace"
    return io.TextIOWrapper(buffered, encoding, errors=errors, newline="")


class _Raw(io.RawIOBase):
    """A source as the standard library's wrappers want it."""

    def __init__(self, stream: Source) -> None:
        super().__init__()
        self._stream = stream

    def readable(self) -> bool:  # pyright: ignore[reportImplicitOverride]
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # pyright: ignore[reportIncompatibleMethodOverride, reportImplicitOverride]
        view = buffer
        data = self._stream.read(len(view))
        view[: len(data)] = data
        return len(data)


_WINDOWS_LATIN = "overture.windows_latin"


def _as_windows_latin(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    wrong = error.object[error.start : error.end]
    return wrong.decode("cp1252", errors="replace"), error.end


codecs.register_error(_WINDOWS_LATIN, _as_windows_latin)
