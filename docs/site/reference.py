"""The reference, made from the declarations that the code itself goes by."""

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
    yield "`/api/v1/openapi.json`, with the shapes of all that goes in and out.\n"
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
        yield "| parameter | in | what |\n|---|---|---|"
        for p in given:
            yield f"| `{p['name']}` | {p['in']} | {_cell(p.get('description', ''))} |"
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
    shown = ", ".join(shape for shape in shapes if shape and shape != "`ProblemOut`")
    return f"{told} {shown}".strip()


def _shape(schema: Json) -> str:
    if "$ref" in schema:
        return f"`{schema['$ref'].rpartition('/')[2]}`"
    if schema.get("type") == "array":
        return f"a list of {_shape(schema.get('items', {}))}"
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(filter(None, (_shape(each) for each in schema[several])))
    return f"`{schema['type']}`" if isinstance(schema.get("type"), str) else ""


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
        yield from _fields(_data_of(content, schemas), schemas)


def _data_of(schema: Json, schemas: Mapping[str, Json]) -> Json:
    """The shape of an event's `data`."""
    whole = _resolved(schema, schemas)
    return _resolved(whole["properties"]["data"], schemas)


def _resolved(schema: Json, schemas: Mapping[str, Json]) -> Json:
    while "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    return schema


def _fields(schema: Json, schemas: Mapping[str, Json]) -> Iterator[str]:
    yield "| field | type | what |\n|---|---|---|"
    for name, each in cast("Mapping[str, Json]", schema.get("properties", {})).items():
        about = each.get("description") or _resolved(each, schemas).get("description", "")
        yield f"| `{name}` | {_shape(each) or '`string`'} | {_cell(about)} |"
    yield ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
