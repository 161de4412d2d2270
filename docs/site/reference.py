"""The reference, made from the declarations that the code itself goes by."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

import click

from overture import policies
from overture.api.app import operations
from overture.api.openapi import document
from overture.api.reference import published
from overture.cli import overture
from overture.core.webhooks import EventType
from overture.policies import load
from overture.settings import ROWS

Json = dict[str, Any]


def pages() -> dict[str, str]:
    """Each page's name and its Markdown."""
    described = operations()
    openapi = document([*described, *published(described)], load("seed").versions[-1])
    return {
        "api": "\n".join(_api(openapi)),
        "shapes": "\n".join(_shapes(openapi)),
        "commands": "\n".join(_commands()),
        "settings": "\n".join(_settings()),
        "policy": "\n".join(_policy()),
        "events": "\n".join(_events(openapi)),
    }


# The API ----------------------------------------------------------------------------------------


def _api(openapi: Json) -> Iterator[str]:
    yield "# API\n"
    yield openapi["info"]["description"]
    yield "\nEvery installation serves this as a page at `/api/v1/reference`, and as OpenAPI 3.1 at"
    yield "`/api/v1/openapi.json`. What goes in and out: [shapes](shapes.md).\n"
    for tag in openapi["tags"]:
        yield f"## {tag['name']}\n"
        for path, methods in openapi["paths"].items():
            for method, each in methods.items():
                if tag["name"] in each["tags"]:
                    yield from _operation(method, path, each)


def _operation(method: str, path: str, each: Json) -> Iterator[str]:
    yield f"### `{method.upper()} {path}`\n"
    yield f"{each['summary']}.\n"
    if each.get("description"):
        yield f"{each['description']}\n"
    given = [p for p in each.get("parameters", ()) if "name" in p]
    if given:
        yield "| parameter | in | type | what |\n|---|---|---|---|"
        for p in given:
            kind, about = _cell(_shape(p.get("schema", {}))), _cell(p.get("description", ""))
            yield f"| `{p['name']}` | {p['in']} | {kind} | {about} |"
        yield ""
    body = each.get("requestBody", {}).get("content", {})
    for media, content in body.items():
        yield f"Takes {media}: {_shape(content.get('schema', {}))}.\n"
    answers = {status: _answered(answer) for status, answer in each.get("responses", {}).items()}
    yield "| status | answer |\n|---|---|"
    for status, answer in answers.items():
        yield f"| {status} | {_cell(answer)} |"
    yield ""


def _answered(answer: Json) -> str:
    shapes = [_shape(content.get("schema", {})) for content in answer.get("content", {}).values()]
    told = answer.get("description", "")
    shown = ", ".join(shape for shape in shapes if shape and "`ProblemOut`" not in shape)
    return f"{told} {shown}".strip()


def _shape(schema: Json) -> str:
    """What a value is, in words; what has a name leads to the page of shapes."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[`{name}`](shapes.md#{name.lower()})"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "prefixItems" in schema:
        return f"a list of {' and '.join(map(_shape, schema['prefixItems']))}"
    if schema.get("type") == "array":
        return f"a list of {_shape(schema.get('items', {}))}"
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(filter(None, (_shape(each) for each in schema[several])))
    if not isinstance(schema.get("type"), str):
        return ""
    more = ", ".join(filter(None, (_FORMATS.get(schema.get("format", "")), *_bounds(schema))))
    return f"`{schema['type']}`{f' ({more})' if more else ''}"


_FORMATS = {
    "date-time": "an instant",
    "date": "a day",
    "uri": "an address",
    "email": "a mail address",
}
_UUID = "^[0-9a-f]{8}("


def _bounds(schema: Json) -> Iterator[str]:
    if schema.get("pattern", "").startswith(_UUID):
        yield "an id"
    elif "maxLength" in schema:
        yield f"{schema.get('minLength', 0)} to {schema['maxLength']} characters"
    if "minimum" in schema or "maximum" in schema:
        low, high = schema.get("minimum"), schema.get("maximum")
        told = (("" if low is None else f"from {low}"), ("" if high is None else f"to {high}"))
        yield " ".join(filter(None, told))


# What goes in and out ---------------------------------------------------------------------------


def _shapes(openapi: Json) -> Iterator[str]:
    yield "# Shapes\n"
    yield "What goes into [the calls of the API](api.md) and comes out of them, as JSON. What has a"
    yield "default may be left out; fields may be added to what comes out. The names of plans and pools"
    yield "are those of the policy `seed` here.\n"
    schemas = openapi["components"]["schemas"]
    for name in sorted(schemas, key=str.lower):
        schema = schemas[name]
        yield f"## `{name}`\n"
        if schema.get("description"):
            yield f"{_cell(schema['description'])}\n"
        if "enum" in schema:
            yield f"{_shape(schema)}.\n"
        else:
            yield from _fields(schema)


# The command line -------------------------------------------------------------------------------


def _commands() -> Iterator[str]:
    yield "# Commands\n"
    yield "As `overture COMMAND --help` says it.\n"
    yield from _command(overture, "overture")


def _command(command: click.Command, name: str) -> Iterator[str]:
    context = click.Context(command, info_name=name, max_content_width=96, terminal_width=96)
    yield f"## `{name}`\n"
    yield f"```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for each in sorted(command.commands):
            yield from _command(command.commands[each], f"{name} {each}")


# Settings ---------------------------------------------------------------------------------------


def _settings() -> Iterator[str]:
    yield "# Settings\n"
    yield "Each comes from the command line, else from its variable, else from its default. What is"
    yield "secret comes from a variable alone.\n"
    yield "| option | variable | default | what |\n|---|---|---|---|"
    for row in ROWS:
        option = "" if row.secret else f"`{row.option}{'' if row.flag else ' ' + row.form}`"
        default = f"`{row.default}`" if row.default else ""
        yield f"| {_cell(option)} | `{row.variable}` | {default} | {_cell(row.help)} |"
    yield ""


# Policy -----------------------------------------------------------------------------------------


def _policy() -> Iterator[str]:
    yield "# Policies\n"
    yield "The numbers of the rules, as the documents that come with Overture have them."
    yield "[How a policy is changed](../policy.md) is told elsewhere.\n"
    for name, text in policies.presets().items():
        yield f"## `{name}`\n"
        yield f"{policies.about(text)}\n"
        yield f"```toml\n{text.strip()}\n```\n"


# Events -----------------------------------------------------------------------------------------


def _events(openapi: Json) -> Iterator[str]:
    yield "# Events\n"
    yield "What [webhooks](../webhooks.md) tell, with the fields of their `data`. The event stream of a"
    yield "member is told of with [the API](api.md).\n"
    schemas = openapi["components"]["schemas"]
    for kind in EventType:
        told = openapi["webhooks"][kind]["post"]
        yield f"## `{kind}`\n"
        about = told.get("description") or told.get("summary") or ""
        yield f"{about}\n"
        content = told["requestBody"]["content"]["application/json"]["schema"]
        yield from _fields(_data_of(content, schemas))


def _data_of(schema: Json, schemas: Mapping[str, Json]) -> Json:
    """The shape of an event's `data`."""
    whole = _resolved(schema, schemas)
    return _resolved(whole["properties"]["data"], schemas)


def _resolved(schema: Json, schemas: Mapping[str, Json]) -> Json:
    while "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    return schema


def _fields(schema: Json) -> Iterator[str]:
    yield "| field | type | what |\n|---|---|---|"
    for name, each in cast("Mapping[str, Json]", schema.get("properties", {})).items():
        # What has a name is described under it.
        about = each.get("description", "")
        if "default" in each:
            about = f"{about} Default: `{json.dumps(each['default'])}`.".strip()
        yield f"| `{name}` | {_cell(_shape(each) or '`string`')} | {_cell(about)} |"
    yield ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
