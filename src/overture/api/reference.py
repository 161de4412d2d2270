"""The reference: a page that people read, made from the OpenAPI document, without scripts."""

import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import msgspec

from overture.api import openapi
from overture.api.operation import Call, Operation, Raw, Who, operation
from overture.api.problems import GENERAL
from overture.core.policy import Policy
from overture.core.refusals import Refusal

Json = dict[str, Any]

TAG = "About"
STYLE = Path(__file__).with_name("reference.css")
_HEADERS = {
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'",
}


def published(described: Sequence[Operation]) -> list[Operation]:
    """The operations that tell of all others, themselves included."""
    made: dict[int, tuple[bytes, bytes]] = {}

    async def texts(call: Call) -> tuple[bytes, bytes]:
        policy = call.book.at(await call.context.instant())
        if id(policy) not in made:
            made[id(policy)] = _texts([*described, *about], policy)
        return made[id(policy)]

    @operation(
        "GET",
        "/openapi.json",
        summary="This API as an OpenAPI 3.1 document",
        tag=TAG,
        who=Who.ANYONE,
        transaction=False,
    )
    async def openapi_json(call: Call) -> Raw:
        return Raw((await texts(call))[0], {"Content-Type": "application/json"})

    @operation(
        "GET",
        "/reference",
        summary="This API as a page to read",
        tag=TAG,
        who=Who.ANYONE,
        transaction=False,
        media_type="text/html",
    )
    async def reference(call: Call) -> Raw:
        headers = {"Content-Type": "text/html; charset=utf-8", **_HEADERS}
        return Raw((await texts(call))[1], headers)

    @operation(
        "GET",
        "/reference.css",
        summary="The page's style",
        tag=TAG,
        who=Who.ANYONE,
        transaction=False,
        media_type="text/css",
    )
    async def reference_css(call: Call) -> Raw:
        _ = call
        return Raw(style, {"Content-Type": "text/css; charset=utf-8", **_HEADERS})

    style = STYLE.read_bytes()
    about = [openapi_json, reference, reference_css]
    return about


def _texts(described: Sequence[Operation], policy: Policy) -> tuple[bytes, bytes]:
    document = openapi.document(described, policy)
    return msgspec.json.encode(document), page(document).encode()


def page(document: Json) -> str:
    """The whole page."""
    calls: dict[str, list[tuple[str, str, Json]]] = {}
    for path, methods in document["paths"].items():
        for method, each in methods.items():
            calls.setdefault(each["tags"][0], []).append((method, path, each))
    schemas: Json = document["components"]["schemas"]
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            "<title>Overture API</title>",
            '<link rel="stylesheet" href="reference.css"></head><body>',
            "<header><h1>Overture API</h1><p>Version 1. The same as an "
            + '<a href="openapi.json">OpenAPI document</a>.</p></header>',
            "<nav aria-label='Contents'>",
            *_contents(calls),
            "</nav><main>",
            *_prose(document["info"]["description"]),
            *(part for tag, found in calls.items() for part in _section(tag, found, document)),
            *_events_told(document),
            *_schemas(schemas),
            *_problems(document),
            "</main></body></html>",
        )
    )


def _contents(calls: dict[str, list[tuple[str, str, Json]]]) -> Iterator[str]:
    yield "<ul>"
    for tag, found in calls.items():
        yield f"<li><a href='#{_anchor(tag)}'>{escape(tag)}</a><ul>"
        for method, path, each in found:
            yield (
                f"<li><a href='#{each['operationId']}'><span class='method'>{method.upper()}</span>"
                f" {_path(path)}</a></li>"
            )
        yield "</ul></li>"
    yield "<li><a href='#events-told'>Events told by webhooks</a></li>"
    yield "<li><a href='#schemas'>Schemas</a></li><li><a href='#problems'>Problems</a></li></ul>"


def _section(tag: str, found: Sequence[tuple[str, str, Json]], document: Json) -> Iterator[str]:
    yield f"<section><h2 id='{_anchor(tag)}'>{escape(tag)}</h2>"
    for method, path, each in found:
        yield f"<article id='{each['operationId']}'>"
        yield f"<h3><span class='method {method}'>{method.upper()}</span> {_path(path)}</h3>"
        yield f"<p class='summary'>{escape(each['summary'])}</p>"
        yield from _prose(each["description"])
        yield f"<p class='caller'>For {escape(each['x-caller'])}."
        yield "</p>" if not each["security"] else f" Scope <code>{each['x-scope']}</code>.</p>"
        yield from _parameters(each["parameters"], document)
        if "requestBody" in each:
            content = each["requestBody"]["content"]["application/json"]["schema"]
            yield f"<p>Body: {_type(content)}</p>"
        if events := each.get("x-events"):
            yield "<table><caption>Events</caption>"
            for name, schema in events.items():
                yield f"<tr><th scope='row'><code>{name}</code></th><td>{_type(schema)}</td></tr>"
            yield "</table>"
        yield "<table><caption>Answers</caption>"
        for status, answer in each["responses"].items():
            told = _marked(answer["description"])
            if status.startswith("2") and (content := answer.get("content")):
                told = " ".join(_type(each["schema"]) for each in content.values())
            yield f"<tr><th scope='row'>{status}</th><td>{told}</td></tr>"
        yield "</table></article>"
    yield "</section>"


def _events_told(document: Json) -> Iterator[str]:
    told: Json = document["webhooks"]
    yield "<section><h2 id='events-told'>Events told by webhooks</h2>"
    yield "<p>A POST of <code>{type, timestamp, data}</code> to each endpoint that wants it.</p>"
    yield from _parameters(next(iter(told.values()))["post"]["parameters"], document)
    yield "<table><caption>What data is, by the type</caption>"
    for kind, methods in told.items():
        body = methods["post"]["requestBody"]["content"]["application/json"]["schema"]
        data = _type(body["properties"]["data"])
        yield f"<tr><th scope='row'><code>{kind}</code></th><td>{data}</td></tr>"
    yield "</table></section>"


def _parameters(parameters: Sequence[Json], document: Json) -> Iterator[str]:
    if not parameters:
        return
    yield "<table><caption>Parameters</caption>"
    for each in parameters:
        if "$ref" in each:
            found = document["components"]["parameters"][each["$ref"].rpartition("/")[2]]
        else:
            found = each
        told = f" {_marked(found['description'])}" if "description" in found else ""
        yield (
            f"<tr><th scope='row'><code>{escape(found['name'])}</code>"
            f"{' <em>required</em>' if found.get('required') else ''}</th>"
            f"<td>{found['in']}: {_type(found['schema'])}{told}</td></tr>"
        )
    yield "</table>"


def _schemas(schemas: Json) -> Iterator[str]:
    yield "<section><h2 id='schemas'>Schemas</h2>"
    for name, schema in schemas.items():
        yield f"<article id='schema-{escape(name)}'><h3>{escape(schema.get('title', name))}</h3>"
        if "enum" in schema:
            yield f"<p>{_type(schema)}</p>"
        yield from _prose(schema.get("description", ""))
        if schema.get("properties"):
            yield "<table><caption>Fields</caption>"
            for field, part in schema["properties"].items():
                required = " <em>required</em>" if field in schema.get("required", ()) else ""
                yield (
                    f"<tr><th scope='row'><code>{escape(field)}</code>{required}</th>"
                    f"<td>{_type(part)}</td></tr>"
                )
            yield "</table>"
        yield "</article>"
    yield "</section>"


def _problems(document: Json) -> Iterator[str]:
    """Every code of a problem, since its `type` leads here."""
    yield "<section><h2 id='problems'>Problems</h2>"
    yield from _codes("Codes of any call", {c: _marked(t) for c, t in GENERAL.items()})
    answered: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, each in methods.items():
            link = f"<a href='#{each['operationId']}'>{method.upper()} {_path(path)}</a>"
            for code in _told_codes(each):
                if code not in GENERAL and code not in _RULES:
                    answered.setdefault(code, []).append(link)
    some = {code: f"Of {', '.join(links)}." for code, links in answered.items()}
    yield from _codes("Codes of some calls", some)
    yield from _codes("Codes of the rules", {r: escape(r.sentence) for r in Refusal})
    yield "</section>"


_RULES = frozenset(map(str, Refusal))


def _told_codes(each: Json) -> Iterator[str]:
    for answer in each["responses"].values():
        for content in answer.get("content", {}).values():
            yield from content["schema"].get("properties", {}).get("code", {}).get("enum", ())


def _codes(caption: str, told: Mapping[str, str]) -> Iterator[str]:
    yield f"<table><caption>{caption}</caption>"
    for code, text in told.items():
        yield (
            f"<tr><th scope='row' id='problem-{code}'><code>{code}</code></th><td>{text}</td></tr>"
        )
    yield "</table>"


def _type(schema: Json) -> str:
    """A schema in a few words, with links to what it names."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"<a href='#schema-{escape(name)}'>{escape(name)}</a>"
    if "enum" in schema:
        return " or ".join(f"<code>{escape(str(each))}</code>" for each in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {_type(schema.get('items') or {})}"
    if "format" in schema:
        kind = f"{kind} ({schema['format']})"
    limits = [f"{word} {schema[name]:,}" for name, word in _LIMITS.items() if name in schema]
    if "default" in schema and schema["default"] is not None:
        limits.append(f"default {escape(str(schema['default']))}")
    return ", ".join([escape(str(kind)), *limits])


_LIMITS = {
    "minimum": "at least",
    "maximum": "at most",
    "minLength": "characters at least",
    "maxLength": "characters at most",
}


def _prose(text: str) -> Iterator[str]:
    for paragraph in text.split("\n\n"):
        if paragraph.strip():
            yield f"<p>{_marked(paragraph)}</p>"


def _marked(text: str) -> str:
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text, quote=False))


def _path(path: str) -> str:
    # Room to break a long path at its slashes.
    return f"<code>{escape(path).replace('/', '<wbr>/')}</code>"


def _anchor(tag: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", tag.lower())
