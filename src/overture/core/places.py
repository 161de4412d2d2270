"""Where in a TOML document something stands, so that a mistake can be told by its line.

The library that reads TOML forgets its lines. This reads nothing but where keys and tables begin.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

# The way to a key or table: names, and from 1 the place in a list: ("versions", 2, "plans", 1, "cap").
Path = tuple[str | int, ...]

_TOKEN = re.compile(
    r"""
    (?P<skip>[ \t\r]+ | \#[^\n]*)
    | (?P<long>\"\"\"(?:\\.|[^\\])*?\"\"\"+ | '''.*?'''+)
    | (?P<string>"(?:\\.|[^"\\\n])*" | '[^'\n]*')
    | (?P<mark>[\[\]{},=.\n])
    | (?P<bare>[^\s\[\]{},=.\#"']+ | .)
    """,
    re.VERBOSE | re.DOTALL,
)


def places(document: str) -> Mapping[Path, int]:
    """The line, from 1, of each key and of each table of a valid document.

    Of a document that is not valid it says something or other, and never fails.
    """
    return _Reading(document).found


@dataclass(slots=True)
class _Open:
    """A list or a table that is written within a value, and is not closed yet."""

    path: Path
    is_list: bool
    count: int = 0


class _Reading:
    def __init__(self, document: str) -> None:
        self.found: dict[Path, int] = {}
        self._counts: dict[Path, int] = {}
        self._table: Path = ()
        self._open: list[_Open] = []
        self._names: list[str] = []
        self._value_of: Path | None = None
        self._read(_tokens(document))

    def _read(self, tokens: Iterator[tuple[str, str, int]]) -> None:
        header: list[str] | None = None
        brackets = 0
        for kind, text, line in tokens:
            if header is not None:
                if text == "\n":
                    self._enter(header, line, is_list=brackets > 1)
                    header = None
                elif text == "[":
                    brackets += 1
                elif kind != "mark":
                    header.append(_name(kind, text))
            elif text == "[" and self._value_of is None and not self._names:
                header, brackets = [], 1
            else:
                self._take(kind, text, line)

    def _enter(self, names: list[str], line: int, *, is_list: bool) -> None:
        """`[names]` or `[[names]]`: what follows stands in this table."""
        path: Path = ()
        for number, name in enumerate(names, 1):
            path = (*path, name)
            if is_list and number == len(names):
                self._counts[path] = self._counts.get(path, 0) + 1
            if path in self._counts:
                path = (*path, self._counts[path])
        self._table = path
        _ = self.found.setdefault(path, line)

    def _take(self, kind: str, text: str, line: int) -> None:
        within = self._open[-1] if self._open else None
        if self._value_of is None:
            if text == "=" and self._names:
                base = within.path if within else self._table
                self._value_of = (*base, *self._names)
                for count in range(1, len(self._names) + 1):
                    _ = self.found.setdefault((*base, *self._names[:count]), line)
                self._names = []
            elif text == "\n" and within is None:
                self._names = []
            elif text == "}" and within is not None:
                self._close()
            elif kind != "mark":
                self._names.append(_name(kind, text))
        elif text in ("[", "{"):
            path = self._value_of
            if within is not None and within.is_list:
                within.count += 1
                path = (*within.path, within.count)
            _ = self.found.setdefault(path, line)
            self._open.append(_Open(path, text == "["))
            self._value_of = path if text == "[" else None
        elif text in ("]", "}") and within is not None:
            self._close()
        elif (text == "\n" and within is None) or (
            text == "," and within is not None and not within.is_list
        ):
            self._value_of = None

    def _close(self) -> None:
        closed = self._open.pop()
        self._names = []
        self._value_of = closed.path


def _tokens(document: str) -> Iterator[tuple[str, str, int]]:
    """What matters of the document, each with its line. A string counts as begun where it begins."""
    line = 1
    for match in _TOKEN.finditer(document):
        kind, text = match.lastgroup or "bare", match.group()
        if kind != "skip":
            yield ("string" if kind == "long" else kind), text, line
        line += text.count("\n")
    yield "mark", "\n", line


def _name(kind: str, text: str) -> str:
    # A name with escapes is not looked for: those that matter are written plainly.
    return text[1:-1] if kind == "string" else text
