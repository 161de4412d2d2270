"""Errors as RFC 9457 problems: what every no and every fault looks like on the wire."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec

from overture.core.refusals import Refusal

MEDIA_TYPE = "application/problem+json"
TYPES_AT = "/api/v1/reference#problem-"


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field: its path in the body, or the name of a parameter."""

    field: str
    message: str


@dataclass(eq=False)
class Problem(Exception):
    """An answer other than what was asked for. Operations return it or raise it, as reads better.

    `more` are further members of the document, such as the preview's fields in the no of a send.
    """

    status: int
    code: str
    detail: str
    errors: Sequence[FieldError] = ()
    more: Mapping[str, Any] = field(default_factory=dict[str, Any])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "type": TYPES_AT + self.code,
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        if self.errors:
            document["errors"] = self.errors
        return document | dict(self.more)

    def body(self) -> bytes:
        # A sentence is more than a text, of which a program is told the text.
        return msgspec.json.encode(self.document(), enc_hook=str)


def refused(
    refusal: Refusal,
    status: int,
    more: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Problem:
    """The rules' own no, with its sentence; as a no to the input (422) with the field to blame."""
    errors = (FieldError(_BLAMED[refusal], refusal.sentence),) if status == 422 else ()
    return Problem(status, refusal, refusal.sentence, errors, more or {}, headers or {})


_BLAMED = {
    Refusal.UNKNOWN_POOL: "pool",
    Refusal.UNKNOWN_PLAN: "plan",
    Refusal.UNKNOWN_QUICK_REPLY: "quick_reply",
    Refusal.CANNOT_BE_YOURSELF: "member_id",
}


def invalid(field_name: str, message: str, status: int = 422) -> Problem:
    """Input that cannot be taken, and the field that is to blame."""
    return Problem(
        status, "invalid", f"{field_name}: {message}", errors=(FieldError(field_name, message),)
    )


def invalid_fields(errors: Sequence[tuple[str, str]]) -> Problem:
    """The same for several fields at once."""
    told = [FieldError(name, message) for name, message in errors]
    detail = " ".join(f"{each.field}: {each.message}" for each in told)
    return Problem(422, "invalid", detail, errors=told)


def malformed(field_name: str, message: str) -> Problem:
    """Input that cannot even be read, and where: a field, or the whole body or query."""
    return Problem(
        400, "malformed", f"{field_name}: {message}", errors=(FieldError(field_name, message),)
    )


def not_found() -> Problem:
    return Problem(404, "not_found", "There is nothing at this address.")


def method_not_allowed(allowed: Sequence[str]) -> Problem:
    methods = ", ".join(sorted(allowed))
    return Problem(
        405,
        "method_not_allowed",
        f"This address answers {methods} only.",
        headers={"Allow": methods},
    )


def too_large(bytes_max: int) -> Problem:
    # The connection stays: the server passes over what is left of the body. To close it while the
    # client still sends would reset it, and take the answer along.
    return Problem(413, "too_large", f"The body may have {bytes_max} bytes at most.")


def head_too_large(bytes_max: int) -> Problem:
    return Problem(
        431,
        "head_too_large",
        f"The address and the headers may have {bytes_max} bytes at most, all together.",
    )


def head_too_slow() -> Problem:
    return Problem(408, "head_too_slow", "The request did not come to the end of its headers.")


def body_too_slow() -> Problem:
    return Problem(408, "body_too_slow", "The body came too slowly to wait for its end.")


def wrong_host() -> Problem:
    return Problem(
        421,
        "wrong_host",
        "This server does not answer by that name. Its operator lists its names with --allowed-hosts.",
    )


def not_json() -> Problem:
    return Problem(
        415, "unsupported_media_type", "Send the body as JSON: Content-Type: application/json."
    )


def unauthorized() -> Problem:
    return Problem(
        401,
        "unauthorized",
        "Send a valid token: Authorization: Bearer TOKEN.",
        headers={"WWW-Authenticate": 'Bearer realm="overture"'},
    )


def insufficient_scope(scope: str) -> Problem:
    return Problem(
        403,
        "insufficient_scope",
        f"This token lacks the scope '{scope}'.",
        headers={
            "WWW-Authenticate": f'Bearer realm="overture", error="insufficient_scope", '
            f'scope="{scope}"'
        },
    )


def operator_only() -> Problem:
    return Problem(403, "operator_only", "Only the operator's own token may do this.")


def act_as_required() -> Problem:
    return Problem(
        400,
        "act_as_required",
        "This needs a member: send the header Act-As: MEMBER_ID with the operator's token.",
    )


def act_as_forbidden() -> Problem:
    return Problem(403, "act_as_forbidden", "Only an operator's token may act as a member.")


def key_reused() -> Problem:
    return Problem(
        422,
        "idempotency_key_reused",
        "This Idempotency-Key came before with another body; take a fresh key.",
    )


def rate_limited(seconds: int) -> Problem:
    return Problem(
        429,
        "rate_limited",
        f"Too many requests. Come back in {seconds} seconds.",
        headers={"Retry-After": str(seconds)},
    )


def unavailable() -> Problem:
    return Problem(
        503,
        "unavailable",
        "Overture is busy or its database is away. Try again, with the same Idempotency-Key.",
        headers={"Retry-After": "1"},
    )


def fault(reference: str) -> Problem:
    return Problem(
        500,
        "internal_error",
        f"Something broke here. The operator finds it in the log by the reference {reference}.",
        more={"reference": reference},
    )


# What the codes above mean, for the reference. Those of the rules have their sentences.
GENERAL: Mapping[str, str] = {
    "invalid": "A field, parameter or header cannot be taken as it is; `errors` names it.",
    "malformed": "The request cannot be read: no HTTP, no UTF-8 or no JSON.",
    "too_large": "The body is larger than this call takes.",
    "head_too_large": "Address and headers are larger than the server takes.",
    "head_too_slow": "The headers did not come to their end in time.",
    "body_too_slow": "The body came too slowly.",
    "wrong_host": "The server does not answer by the name in `Host`.",
    "unsupported_media_type": "The body is not said to be JSON.",
    "not_found": "There is nothing at this address.",
    "method_not_allowed": "The address answers other methods; `Allow` lists them.",
    "unauthorized": "There is no token, or one that opens nothing any more.",
    "insufficient_scope": "The token lacks the scope that this call needs.",
    "operator_only": "The call takes an operator's token, without `Act-As`.",
    "act_as_required": "The call needs a member: an operator says which one with `Act-As`.",
    "act_as_forbidden": "`Act-As` stands beside a member's own token.",
    "idempotency_key_reused": "The `Idempotency-Key` came before, with another body.",
    "rate_limited": "Too many requests; `Retry-After` says when there is room again.",
    "unavailable": "Overture is busy, or its database away. Try again, with the same key.",
    "internal_error": "A fault, which stands in the operator's log under the `reference`.",
}
