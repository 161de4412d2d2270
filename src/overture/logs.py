"""The log: to standard error, and without what members wrote, their addresses, tokens and cookies.

What we say ourselves names ids alone. What a fault says is another matter: a database quotes the row
that it refuses, and a parser the text that it cannot read. So of faults the log tells the kind and
where they rose, and in words only what cannot quote anybody.

As text for people, or one JSON object a line for what gathers logs; either way a line that came of a
request names it, and its conversation where it has one.
"""

import logging
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from types import TracebackType

import msgspec
from psycopg import Error
from typing_extensions import override

from overture import asked

# Those of whoever is talked with would tell addresses, or every line of it.
_QUIET = ("mail.log", "stripe", "aiohttp", "asyncio", "psycopg", "multipart", "PIL", "uvicorn")


FORMATS = ("text", "json")


def log_to_stderr(level: str, form: str = "text") -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(Lines() if form == "json" else Discreet())
    logging.basicConfig(level=level, handlers=[handler])
    for each in _QUIET:
        logging.getLogger(each).setLevel("ERROR" if level == "ERROR" else "WARNING")
    logging.getLogger("asyncio").addFilter(_without_values)


def _without_values(record: logging.LogRecord) -> bool:
    """Below what it says, asyncio shows the values that a fault is about, the fault among them."""
    record.msg = str(record.msg).partition("\n")[0]
    return True


class Discreet(logging.Formatter):
    """Tells where a fault rose, and of what it says only what quotes nobody."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s%(request)s: %(message)s")

    @override
    def formatMessage(self, record: logging.LogRecord) -> str:
        request = asked.now()
        record.request = "" if request is None else f" [{request.id}]"
        return super().formatMessage(record)

    @override
    def formatException(
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None],
    ) -> str:
        return "" if ei[1] is None else "\n".join(_told(ei[1], set()))


class Lines(Discreet):
    """One JSON object a line."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (request := asked.now()) is not None:
            told["request"] = request.id
            if request.conversation is not None:
                told["conversation"] = request.conversation
        told |= getattr(record, "about", {})
        if record.exc_info:
            told["fault"] = self.formatException(record.exc_info).splitlines()
        return msgspec.json.encode(told).decode()


def name_of(problem: BaseException) -> str:
    """What kind of fault it is, and what it says as far as that quotes nobody."""
    kind = type(problem)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    return ": ".join([name, *_words(problem)])


def _words(problem: BaseException) -> Iterator[str]:
    match problem:
        case Error():
            where = problem.diag
            # Of what is wrong with a statement, a server says which; else it may quote values.
            if where.sqlstate and where.sqlstate[:2] in _OF_STATEMENTS and where.message_primary:
                yield where.message_primary
            names = (where.sqlstate, where.table_name, where.column_name, where.constraint_name)
            yield " ".join(filter(None, names)) or "without a code"
        case OSError() if problem.strerror:
            yield problem.strerror
        case AssertionError() if problem.args:
            # A sentence of the source's, which says what must be true.
            yield str(problem.args[0])
        case _:
            pass


# Wrong statements (42), too few resources (53), an operator's doing (57), the system's faults (58, XX).
_OF_STATEMENTS = frozenset({"42", "53", "57", "58", "XX"})


def _told(problem: BaseException, seen: set[int]) -> Iterator[str]:
    """The fault, after what it came of, as tracebacks are written."""
    seen.add(id(problem))
    before = problem.__cause__ or (None if problem.__suppress_context__ else problem.__context__)
    if before is not None and id(before) not in seen:
        yield from _told(before, seen)
        yield "  from which came:" if problem.__cause__ else "  while that was dealt with:"
    yield from (line.rstrip("\n") for line in traceback.format_tb(problem.__traceback__))
    yield name_of(problem)
    if isinstance(problem, BaseExceptionGroup):
        for each in problem.exceptions:
            yield from (f"  | {line}" for line in _told(each, seen))
