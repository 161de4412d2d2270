"""The operator's: the versions of the policy, applying another one, and taking it back."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from overture import ids, policies
from overture.api import problems
from overture.api.operation import Call, Who, operation
from overture.api.operator_members import actor
from overture.api.problems import Problem
from overture.api.wire import In, Instant, Out
from overture.core.differences import Difference
from overture.core.policy import DOCUMENT_CHARS_MAX, PolicyProblem, parse

TAG = "Operator"
# As JSON escapes a character in six bytes at most.
BODY_BYTES_MAX = 6 * DOCUMENT_CHARS_MAX + 1024


class PolicyState(StrEnum):
    PAST = "past"
    IN_FORCE = "in_force"
    TO_COME = "to_come"


class PolicyChangeOut(Out):
    """`name` is what changes as the document calls it; `sentence` also says what becomes of what
    exists. A value is empty where there is none."""

    name: str
    before: str
    after: str
    sentence: str


class PolicyVersionOut(Out):
    """`changes` is what it changed of the version before it, `document` its text in TOML."""

    holds_from: Instant
    state: PolicyState
    changes: Sequence[PolicyChangeOut]
    document: str


class PoliciesOut(Out):
    """Oldest first: all that ever held, and what is to come."""

    items: Sequence[PolicyVersionOut]
    next: None


class PolicyIn(In):
    """`policy` is the name of a preset, or a document in TOML. It takes effect at `starts_at`; null is
    as soon as every server knows of it, in about a minute. A document of several versions says itself
    when each does."""

    policy: Annotated[str, Meta(min_length=1, max_length=DOCUMENT_CHARS_MAX)]
    starts_at: Instant | None = None


class PolicyQuery(In):
    preview: bool = False


class PolicyComingOut(Out):
    """`until` is when a version that was applied before replaces it; null is for good."""

    holds_from: Instant
    until: Instant | None
    changes: Sequence[PolicyChangeOut]


class PolicyAppliedOut(Out):
    """`applied` is false in a preview."""

    applied: bool
    versions: Sequence[PolicyComingOut]


class PolicyPresetOut(Out):
    """`changes` is what makes it another one than the default, which is the first."""

    name: str
    about: str
    changes: Sequence[PolicyChangeOut]
    values: Mapping[str, str]


class PolicyPresetsOut(Out):
    items: Sequence[PolicyPresetOut]
    next: None


@operation(
    "GET", "/operator/policies", summary="The versions of the policy", tag=TAG, who=Who.OPERATOR
)
async def read_policies(call: Call) -> PoliciesOut:
    book = await policies.in_force(call.tx) or call.book
    changes = [(), *(step.differences for step in policies.steps(book))]
    return PoliciesOut(
        [
            PolicyVersionOut(
                holds_from=version.holds_from,
                state=PolicyState(policies.state(version, book, call.now)),
                changes=list(map(change_out, changed)),
                document=policies.written(version),
            )
            for version, changed in zip(book.versions, changes, strict=True)
        ],
        None,
    )


@operation(
    "GET",
    "/operator/policies/presets",
    summary="The policies to choose from",
    tag=TAG,
    who=Who.OPERATOR,
)
async def read_presets(call: Call) -> PolicyPresetsOut:
    """Side by side: what each says, and how it differs from the first."""
    _ = call
    table = policies.side_by_side()
    return PolicyPresetsOut(
        [
            PolicyPresetOut(
                name=name,
                about=preset.about,
                changes=list(map(change_out, preset.differences)),
                values={row.name: str(row.values[place]) for row in table.rows},
            )
            for place, (name, preset) in enumerate(table.presets.items())
        ],
        None,
    )


@operation(
    "POST",
    "/operator/policies",
    summary="Have a policy take effect",
    tag=TAG,
    who=Who.OPERATOR,
    problems={409: ("policy_refused",)},
    body_bytes_max=BODY_BYTES_MAX,
)
async def apply_policy(
    call: Call, query: PolicyQuery, body: PolicyIn
) -> PolicyAppliedOut | Problem:
    """From an instant on: what happened before is never judged anew. `preview=true` tells what would
    change, and changes nothing. Each mistake in a document is one of the `errors`, with its line."""
    try:
        known = policies.presets()
        chosen = parse(known.get(body.policy, body.policy))
    except PolicyProblem as problem:
        return problems.invalid_fields([("policy", str(each)) for each in problem.mistakes])
    try:
        if query.preview:
            before = await policies.in_force(call.tx) or call.book
            _, steps = policies.proposed(before, chosen, starts_at=body.starts_at, now=call.now)
        else:
            steps = await policies.apply(
                call.tx,
                chosen,
                starts_at=body.starts_at,
                actor=actor(call),
                audit_id=ids.new(),
                now=call.now,
            )
    except PolicyProblem as problem:
        return Problem(409, "policy_refused", str(problem))
    return PolicyAppliedOut(
        applied=not query.preview,
        versions=[
            PolicyComingOut(
                step.version.holds_from, step.until, list(map(change_out, step.differences))
            )
            for step in steps
        ],
    )


@operation(
    "DELETE",
    "/operator/policies/{holds_from}",
    summary="Take a version back before it takes effect",
    tag=TAG,
    who=Who.OPERATOR,
    problems={404: ("no_such_version",), 409: ("policy_refused",)},
)
async def withdraw_policy(call: Call, holds_from: str) -> Problem | None:
    """`holds_from` as the list has it."""
    try:
        starts_at = policies.instant_of(holds_from)
    except PolicyProblem:
        return _NO_SUCH_VERSION
    book = await policies.in_force(call.tx) or call.book
    if starts_at not in book.starts:
        return _NO_SUCH_VERSION
    try:
        await policies.withdraw(
            call.tx, starts_at, actor=actor(call), audit_id=ids.new(), now=call.now
        )
    except PolicyProblem as problem:
        return Problem(409, "policy_refused", str(problem))
    return None


def change_out(found: Difference) -> PolicyChangeOut:
    return PolicyChangeOut(found.name, str(found.before), str(found.after), str(found.sentence))


_NO_SUCH_VERSION = Problem(404, "no_such_version", "No version of the policy has this date.")
