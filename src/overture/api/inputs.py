"""Input from outside: bodies, queries and path segments, turned into types or into a 4xx."""

import json
import re
from typing import Any, cast
from urllib.parse import unquote_to_bytes

import msgspec

from overture.api import problems
from overture.api.operation import NO_SUCH, Operation
from overture.api.wire import UUID_PATTERN, In

_UUID = re.compile(UUID_PATTERN[1:-1])
_AT = re.compile(r" - at `(?:key in )?\$\.?(.*?)`$")
_NUL = re.compile("\0")
_SURROGATE = re.compile("[\ud800-\udfff]")
_NAMED = re.compile(r"(?:missing required|unknown) field `(.*)`")


def path_value(kind: Any, segment: str) -> str:
    """A placeholder's value. An id that cannot be one is an unknown id."""
    no_such = NO_SUCH.get(kind)
    if no_such is not None and _UUID.fullmatch(segment) is None:
        raise problems.refused(no_such, 404)
    if not segment.isprintable():
        raise problems.not_found()
    return segment


def query_of(operation: Operation, raw: bytes) -> In | None:
    """The query's parameters; each at most once, and none that is not declared."""
    given: dict[str, str] = {}
    for part in raw.split(b"&") if raw else ():
        if not part:
            continue
        name, _, value = part.partition(b"=")
        key = _text(name, "query")
        text = _text(value, key)
        if key in given:
            raise problems.invalid(key, "This parameter stands more than once.")
        given[key] = text
    if operation.query is None:
        if given:
            raise problems.invalid(next(iter(given)), "There is no such parameter here.")
        return None
    for key, text in given.items():
        if "\0" in text:
            raise problems.invalid(key, "NUL is not allowed.")
    try:
        return msgspec.convert(given, operation.query, strict=False)
    except msgspec.ValidationError as problem:
        raise _blamed(problem, "query") from problem


def body_of(operation: Operation, raw: bytes, content_type: bytes) -> Any:
    """The JSON body as the operation's struct."""
    if not raw and operation.body_optional:
        raw = b"{}"
    elif not _is_json(content_type):
        raise problems.not_json()
    try:
        body = _decoded(operation, raw)
    except msgspec.ValidationError as problem:
        raise _blamed(problem, "body") from problem
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        if (place := _place_of_no_text(raw)) is not None:
            raise problems.malformed(place, "This is no valid Unicode text.") from problem
        # Broken JSON, nesting without end.
        raise problems.malformed("body", f"This is no valid JSON: {problem}.") from problem
    # PostgreSQL's texts cannot hold NUL; in JSON it can only come escaped.
    if b"\\u0000" in raw and (place := _place_of(_NUL, msgspec.to_builtins(body))) is not None:
        raise problems.invalid(place, "NUL is not allowed.")
    return body


def _decoded(operation: Operation, raw: bytes) -> Any:
    assert operation.decode is not None
    try:
        return operation.decode(raw)
    except msgspec.ValidationError as problem:
        if "got `float`" not in str(problem):
            raise
        # To JSON, and to the OpenAPI document, 3.0 is an integer as well.
        return msgspec.convert(_with_integers(msgspec.json.decode(raw)), operation.body)


def _with_integers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {k: _with_integers(part) for k, part in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_with_integers(part) for part in cast("list[Any]", value)]
    return value


def _text(raw: bytes, place: str) -> str:
    try:
        return unquote_to_bytes(raw.replace(b"+", b" ")).decode()
    except UnicodeDecodeError as problem:
        raise problems.malformed(place, "This is not valid UTF-8.") from problem


def _is_json(content_type: bytes) -> bool:
    kind, _, parameters = content_type.partition(b";")
    charset = parameters.strip().lower().replace(b'"', b"")
    return kind.strip().lower() == b"application/json" and charset in (b"", b"charset=utf-8")


def _blamed(problem: msgspec.ValidationError, whole: str) -> problems.Problem:
    """msgspec's sentence, and the field that it blames; `whole` where it is none of the fields."""
    text = str(problem)
    at, named = _AT.search(text), _NAMED.search(text)
    path = at[1] if at else ""
    if named:
        path = f"{path}.{named[1]}" if path else named[1]
    return problems.invalid(path if at or named else whole, _AT.sub("", text) + ".")


def _place_of_no_text(raw: bytes) -> str | None:
    """Where the body has bytes that are no UTF-8, or a lone surrogate; None where it is no JSON."""
    try:
        # Such bytes become lone surrogates too, which this decoder lets through.
        return _place_of(_SURROGATE, json.loads(raw.decode(errors="surrogateescape")))
    except (ValueError, RecursionError):
        return None


def _place_of(unwanted: re.Pattern[str], body: object) -> str | None:
    """The path of the first text in which this is found, `body` for the whole; None for no text."""
    found = _found(unwanted, body, "")
    return None if found is None else found.lstrip(".") or "body"


def _found(unwanted: re.Pattern[str], value: Any, path: str) -> str | None:
    if isinstance(value, str):
        return path if unwanted.search(value) else None
    parts: list[tuple[str, Any]] = []
    if type(value) is dict:
        named = cast("dict[str, Any]", value)
        if any(unwanted.search(name) for name in named):
            return path
        parts = [(f"{path}.{name}", part) for name, part in named.items()]
    elif type(value) is list:
        items = cast("list[Any]", value)
        parts = [(f"{path}[{place}]", part) for place, part in enumerate(items)]
    return next((place for at, part in parts if (place := _found(unwanted, part, at))), None)
