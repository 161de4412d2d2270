"""The test clock, where the server was started with one: it stands still but for these calls."""

from overture import ids
from overture.api import problems
from overture.api.operation import Call, Who, operation
from overture.api.operator_members import actor
from overture.api.problems import Problem
from overture.api.wire import In, Instant, Out
from overture.clock import TestClock
from overture.store import audit
from overture.store.db import Tx

TAG = "Operator"
# Anniversaries and expiries are counted ahead from here, and must still be dates.
YEAR_MAX = 2900


class SetClock(In):
    now: Instant


class ClockOut(Out):
    now: Instant


@operation(
    "GET",
    "/operator/clock",
    summary="Where the test clock stands",
    tag=TAG,
    who=Who.OPERATOR,
    problems={404: ("no_test_clock",)},
)
async def read_clock(call: Call) -> ClockOut | Problem:
    if not isinstance(call.context.clock, TestClock):
        return _NO_TEST_CLOCK
    return ClockOut(now=call.now)


@operation(
    "PUT",
    "/operator/clock",
    summary="Move the test clock forward",
    tag=TAG,
    who=Who.OPERATOR,
    problems={404: ("no_test_clock",), 409: ("clock_backwards",)},
    transaction=False,
    unhurried=True,
)
async def move_clock(call: Call, body: SetClock) -> ClockOut | Problem:
    """Does what falls due on the way, each at its instant and in its order, and answers when all of it
    is done; what fails on the outside, such as a mail, is tried again in real time. The same instant
    changes nothing; an earlier one is refused. Balances need no visit: they are played up to the clock
    whenever somebody looks."""
    if not isinstance(call.context.clock, TestClock):
        return _NO_TEST_CLOCK
    if body.now.year > YEAR_MAX:
        return problems.invalid("now", f"The test clock ends with the year {YEAR_MAX}.")
    before = await call.context.instant()
    if body.now < before:
        stands_at = f"{before:%Y-%m-%dT%H:%M:%S}Z"
        return Problem(409, "clock_backwards", f"The clock stands at {stands_at} already.")
    await call.context.play(body.now)
    now = await call.context.instant()

    async def noted(tx: Tx) -> None:
        told = {"from": before, "to": now}
        await audit.record(tx, ids.new(), now, actor=actor(call), action="clock.moved", detail=told)

    if now > before:
        await call.context.db.writing(noted)
    return ClockOut(now=now)


_NO_TEST_CLOCK = Problem(
    404, "no_test_clock", "This server runs on real time: it was not started with --test-clock."
)
