"""The OpenAPI 3.1 document, from the declarations that decode and validate."""

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from inspect import cleandoc
from types import NoneType
from typing import Any, cast

import msgspec

from overture.actions.webhook_events import SHAPES
from overture.api import problems
from overture.api.operation import NO_SUCH, Operation, Raw, Stream, Who
from overture.api.wire import FROM_POLICY, UUID_PATTERN, Out
from overture.core.policy import Policy
from overture.core.refusals import Refusal

Json = dict[str, Any]

ABOUT = """\
Metered messages between strangers on a professional network.

Send `Authorization: Bearer TOKEN`. A member's token has the scopes `read` and `write`; an operator's
token does with the header `Act-As: MEMBER_ID` what that member could do. Instants are RFC 3339 in UTC,
ids are opaque strings. Errors are RFC 9457 problems with a stable `code`. Every POST honours an
`Idempotency-Key`: the same key and body get the first answer again. Lists are
`{"items": [...], "next": CURSOR|null}`, newest first unless said otherwise; give `next` back as
`cursor`. Over a rate limit: 429 with `Retry-After`.
"""


class ProblemOut(Out):
    """What is answered instead: RFC 9457, with a stable `code`; `errors` name the fields to blame."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: Sequence[problems.FieldError] | msgspec.UnsetType = msgspec.UNSET
    reference: str | msgspec.UnsetType = msgspec.UNSET


def document(described: Sequence[Operation], policy: Policy) -> Json:
    """The whole document; what the policy names is listed as it is in force."""
    schemas = _Schemas(described)
    paths: dict[str, Json] = {}
    for each in described:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Overture",
            "version": version("overture"),
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/api/v1"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(each.tag for each in described)],
        "paths": _in_force(paths, policy),
        "webhooks": {kind: {"post": _told(kind, shape, schemas)} for kind, shape in SHAPES.items()},
        "components": {
            "schemas": _in_force(schemas.components, policy),
            "parameters": _HEADERS,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A member's personal access token, or an operator's token.",
                }
            },
        },
    }


def operation_id(each: Operation) -> str:
    return f"{each.run.__module__.rpartition('.')[2]}_{each.run.__name__}"


class _Schemas:
    """The schema of each type that an operation names; structs stand under components."""

    def __init__(self, described: Iterable[Operation]) -> None:
        self._types: list[Any] = [ProblemOut, *dict.fromkeys(SHAPES.values())]
        for each in described:
            self._types += [t for t in each.answers if t not in (NoneType, Raw, Stream)]
            named = (each.body, each.query, each.carries)
            self._types += [t for t in named if t not in (None, bytes)]
            self._types += each.parameters.values()
            self._types += each.events.values()
        made: tuple[list[Json], dict[str, Json]] = _with_short_names(
            msgspec.json.schema_components(self._types, ref_template="#/components/schemas/{name}")
        )
        self._made, self.components = made
        queries = [each.query for each in described if each.query is not None]
        # A query's struct is no schema of a body: its fields stand as parameters instead.
        self._queries = {query: self.components[_name(self.of(query))] for query in queries}
        for query in self._queries:
            del self.components[_name(self.of(query))]

    def of(self, kind: Any) -> Json:
        return self._made[self._types.index(kind)]

    def parameters_of(self, query: type) -> list[Json]:
        schema = self._queries[query]
        return [
            {
                "name": name,
                "in": "query",
                "required": name in schema["required"],
                "schema": _without_null(part),
            }
            for name, part in schema["properties"].items()
        ]


def _operation(each: Operation, schemas: _Schemas) -> Json:
    made: Json = {
        "operationId": operation_id(each),
        "summary": each.summary,
        "tags": [each.tag],
        "description": each.about,
        "parameters": _parameters(each, schemas),
        "responses": _responses(each, schemas),
        "security": [] if each.who is Who.ANYONE else [{"token": []}],
        "x-caller": each.who.value,
        "x-scope": each.scope,
    }
    if each.events:
        made["x-events"] = {name: schemas.of(kind) for name, kind in each.events.items()}
    if each.body is not None:
        schema = {} if each.body is bytes else schemas.of(each.body)
        made["requestBody"] = {
            "required": not each.body_optional,
            "content": {"application/json": {"schema": schema}},
        }
    return made


def _told(kind: str, shape: type, schemas: _Schemas) -> Json:
    """What an endpoint of webhooks is sent of one type of event."""
    body: Json = {
        "type": "object",
        "properties": {
            "type": {"const": kind},
            "timestamp": {"type": "string", "format": "date-time"},
            "data": schemas.of(shape),
        },
        "required": ["type", "timestamp", "data"],
    }
    return {
        "operationId": f"told_{kind.replace('.', '_')}",
        "summary": kind,
        "description": cleandoc(shape.__doc__ or ""),
        "parameters": _SIGNED,
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {
            "2XX": {"description": "Taken; anything else is tried again."},
            "410": {"description": "No more of it: the endpoint is disabled."},
        },
    }


_SIGNED: Sequence[Json] = [
    {
        "name": name,
        "in": "header",
        "required": True,
        "description": told,
        "schema": {"type": "string"},
    }
    for name, told in (
        ("webhook-id", "The same with each delivery of one event."),
        ("webhook-timestamp", "When this delivery was signed, in seconds since 1970."),
        ("webhook-signature", "By Standard Webhooks: `v1,` and a base64 text, once a secret."),
    )
]


def _parameters(each: Operation, schemas: _Schemas) -> list[Json]:
    parameters: list[Json] = []
    for name, kind in each.parameters.items():
        schema = (
            UUID_SCHEMA
            if kind in NO_SUCH
            else {
                "minLength": 1,
                **schemas.of(kind),
            }
        )
        parameters.append({"name": name, "in": "path", "required": True, "schema": schema})
    if each.query is not None:
        parameters += schemas.parameters_of(each.query)
    if each.who in (Who.MEMBER, Who.READER):
        parameters.append({"$ref": "#/components/parameters/ActAs"})
    if each.method == "POST":
        parameters.append({"$ref": "#/components/parameters/IdempotencyKey"})
    if each.events:
        parameters.append({"$ref": "#/components/parameters/LastEventId"})
    if each.body is bytes:
        parameters.append({"$ref": "#/components/parameters/StripeSignature"})
    return parameters


UUID_SCHEMA: Json = {"type": "string", "pattern": UUID_PATTERN}
_HEADERS: Json = {
    "ActAs": {
        "name": "Act-As",
        "in": "header",
        "description": "With an operator's token: the member to act as.",
        "schema": {"type": "string", "format": "uuid"},
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "The same key and body get the first answer again, for 48 hours.",
        "schema": {
            "type": "string",
            "minLength": 1,
            "maxLength": 255,
            "pattern": "^[!-~]([ -~]*[!-~])?$",
        },
    },
    "LastEventId": {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "The id of the last event that came: what was missed since then comes first.",
        "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
    },
    "StripeSignature": {
        "name": "Stripe-Signature",
        "in": "header",
        "required": True,
        "description": "When, and an HMAC of that and the body by the webhook's secret.",
        "schema": {"type": "string"},
    },
}


def _responses(each: Operation, schemas: _Schemas) -> Json:
    responses: Json = {}
    kinds = [kind for kind in each.answers if kind is not NoneType]
    for status in (each.status, *each.also):
        responses[str(status)] = {"description": "Done."}
        if kinds and status != 204:
            schema: Json = (
                {} if {Raw, Stream} & set(kinds) else _any_of([schemas.of(kind) for kind in kinds])
            )
            responses[str(status)]["content"] = {each.media_type: {"schema": schema}}
    for status, codes in sorted(_codes(each).items()):
        carries = schemas.of(each.carries) if each.carries and status in each.carried else None
        responses[str(status)] = _problem(codes, carries)
    return responses


def _problem(codes: Sequence[str], carries: Json | None) -> Json:
    schema: Json = {
        "allOf": [{"$ref": "#/components/schemas/ProblemOut"}],
        "properties": {"code": {"enum": list(codes)}},
    }
    if carries is not None:
        schema["anyOf"] = [carries, {}]
    return {
        "description": ", ".join(f"`{code}`" for code in codes),
        "content": {problems.MEDIA_TYPE: {"schema": schema}},
    }


def _codes(each: Operation) -> Mapping[int, Sequence[str]]:
    """Every code that an operation may answer with, by status."""
    codes: dict[int, dict[str, None]] = {}

    def add(status: int, *more: str) -> None:
        codes.setdefault(status, {}).update(dict.fromkeys(more))

    for refusal, status in each.refusals.items():
        add(status, refusal)
    for status, more in each.problems.items():
        add(status, *more)
    for kind in each.parameters.values():
        add(404, NO_SUCH.get(kind, "not_found"))
    add(400, "malformed")
    add(422, "invalid")
    add(500, "internal_error")
    add(503, "unavailable")
    if each.who is not Who.ANYONE:
        add(401, "unauthorized")
        add(403, "insufficient_scope", "act_as_forbidden")
        add(400, "invalid")
        add(404, "no_such_member")
        add(429, "rate_limited")
        if each.who is not Who.OPERATOR and not each.while_suspended:
            add(403, Refusal.SUSPENDED)
    if each.who is Who.MEMBER:
        add(400, "act_as_required")
    if each.who is Who.OPERATOR:
        add(403, "operator_only")
    if each.body is not None:
        add(413, "too_large")
    if each.body not in (None, bytes):
        add(415, "unsupported_media_type")
    if each.method == "POST":
        add(400, "invalid")
        add(422, "idempotency_key_reused")
    return {status: list(found) for status, found in codes.items()}


def _with_short_names(made: Any) -> Any:
    """Of two types of one name msgspec gives the modules in full: `overture.core.credits.Kind`."""
    text = msgspec.json.encode(made).decode()
    names = {name for name in made[1] if "." in name}
    for name in names:
        *_, module, short = name.split(".")
        text = re.sub(
            rf'(?<=["/]){re.escape(name)}(?=")', f"{module.title().replace('_', '')}{short}", text
        )
    return msgspec.json.decode(text)


def _name(reference: Json) -> str:
    return reference["$ref"].rpartition("/")[2]


def _any_of(schemas: Sequence[Json]) -> Json:
    return schemas[0] if len(schemas) == 1 else {"anyOf": list(schemas)}


def _without_null(schema: Json) -> Json:
    """A query's parameter is absent rather than null."""
    if "anyOf" not in schema:
        return schema
    rest = {name: part for name, part in schema.items() if name not in ("anyOf", "default")}
    return rest | _any_of([part for part in schema["anyOf"] if part != {"type": "null"}])


def _in_force(part: Any, policy: Policy) -> Any:
    """The document with the policy's own values where a field was marked as naming them."""
    if isinstance(part, list):
        return [_in_force(each, policy) for each in cast("list[Any]", part)]
    if not isinstance(part, dict):
        return part
    part = cast("Json", part)
    made = {name: _in_force(each, policy) for name, each in part.items() if name != FROM_POLICY}
    match part.get(FROM_POLICY):
        case "pools":
            made["enum"] = list(policy.pools)
        case "plans":
            made["enum"] = list(policy.plans)
        case "quick_replies":
            made["enum"] = [reply.id for reply in policy.quick_replies]
        case "body_chars_max":
            made |= {"minLength": 1, "maxLength": policy.body_chars_max}
        case "subject_chars_max":
            made["maxLength"] = policy.subject_chars_max
        case _:
            pass
    return made
