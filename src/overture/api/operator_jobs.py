"""Due work as the operator sees it: what waits, what was given up, and having that done again."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from overture import ids
from overture.actions import jobs as actions
from overture.api.operation import Call, Who, operation
from overture.api.operator_members import actor
from overture.api.problems import Problem
from overture.api.wire import In, Instant, Out, Page, PageQuery, page_out
from overture.core.ids import MemberId
from overture.store import jobs

TAG = "Operator"
_NUMBER_PATTERN = "^[1-9][0-9]{0,17}$"


class QueueOut(Out):
    """What a queue has before it: jobs that are due, jobs that failed and are tried again, and those
    that were given up."""

    queue: str
    due: int
    failing: int
    parked: int
    oldest_due_at: Instant | None


class JobsOut(Out):
    queues: Sequence[QueueOut]


class ParkedOut(Out):
    """A job that was given up. `problem` is what its last try met."""

    id: str
    queue: str
    member_id: MemberId
    due_at: Instant
    tries: int
    problem: str
    parked_at: Instant


class ReplayIn(In):
    """`id` names one job that was given up; null is all of them."""

    id: Annotated[str, Meta(pattern=_NUMBER_PATTERN)] | None = None


class ReplayOut(Out):
    replayed: int


@operation("GET", "/operator/jobs", summary="What is due", tag=TAG, who=Who.OPERATOR)
async def read_jobs(call: Call) -> JobsOut:
    found = await jobs.waiting(call.tx, call.now)
    return JobsOut(
        [
            QueueOut(each.queue, each.due, each.failing, each.parked, each.oldest_due_at)
            for each in found
        ]
    )


@operation("GET", "/operator/jobs/parked", summary="Jobs given up", tag=TAG, who=Who.OPERATOR)
async def parked_jobs(call: Call, query: PageQuery) -> Page[ParkedOut]:
    """The newest first. In real time, also where the installation has a test clock."""
    page = await jobs.parked(call.tx, cursor=query.cursor, limit=query.limit)
    return page_out(page, _out)


@operation(
    "POST",
    "/operator/jobs/replay",
    summary="Have jobs done again that were given up",
    tag=TAG,
    who=Who.OPERATOR,
    problems={404: ("no_such_job",)},
)
async def replay_jobs(call: Call, body: ReplayIn) -> ReplayOut | Problem:
    """Each from its first try."""
    replayed = await actions.replay(
        call.tx,
        None if body.id is None else int(body.id),
        actor=actor(call),
        audit_id=ids.new(),
        now=call.now,
    )
    if body.id is not None and not replayed:
        return Problem(404, "no_such_job", "No job of this id was given up.")
    return ReplayOut(replayed)


def _out(job: jobs.Parked) -> ParkedOut:
    return ParkedOut(
        id=str(job.number),
        queue=job.queue,
        member_id=job.owner,
        due_at=job.due_at,
        tries=job.tries,
        problem=job.problem,
        parked_at=job.parked_at,
    )
