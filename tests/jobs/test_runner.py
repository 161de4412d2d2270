"""Due work is done once it is due, by one at a time, again when it failed, and never forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
import pytest

from overture import ids
from overture.actions import reminders
from overture.clock import TestClock
from overture.core.ids import MemberId
from overture.core.jobs import (
    DONE,
    TRIES_MAX,
    Again,
    Hopeless,
    Job,
    Moved,
    NewJob,
    Outcome,
    wait_after,
)
from overture.core.sending import Event
from overture.jobs.maker import READER, UNMADE, Maker
from overture.jobs.runner import BEGUN_MAX, FEW, Outside, Queue, Runner, Within
from overture.store import jobs, outbox
from overture.store.db import WORK_OPTIONS, Database, Tx, all_rows
from overture.store.outbox import Row
from tests.cast import SIGN_UP
from tests.jobs.conftest import Worked


def runner_of(worked: Worked, queues: Mapping[str, Queue], *makings: object) -> Runner:
    async def now() -> Mapping[str, Queue]:
        return queues

    db = worked.town.db
    return Runner(db, TestClock(), Maker(db, makings), now)  # type: ignore[arg-type]


def job(queue: str = "mail", key: str = "1", owner: str | None = None, hours: float = 0) -> NewJob:
    due_at = SIGN_UP + timedelta(hours=hours)
    return NewJob(queue, MemberId(owner or ids.new()), key, due_at, {"text": "hello"})


async def add(worked: Worked, *made: NewJob) -> None:
    await worked.town.do(lambda tx: jobs.add(tx, made))


async def left(worked: Worked) -> list[tuple[object, ...]]:
    return await worked.town.look(
        lambda tx: all_rows(
            tx, "select key, tries, parked_at is not null, problem from jobs order by number"
        )
    )


async def passes_real_time(worked: Worked) -> None:
    """As if all that waits to be tried again had waited, and all leases had ended."""
    await worked.town.do(
        lambda tx: tx.execute("update jobs set not_before = '-infinity', held_until = '-infinity'")
    )


async def test_the_clock_does_what_falls_due_in_its_order_each_at_its_instant(worked: Worked):
    done: list[tuple[str, datetime]] = []

    async def run(tx: Tx, due: Sequence[Job], now: datetime) -> Sequence[Outcome]:
        done.extend((each.key, now) for each in due)
        return [DONE] * len(due)

    await add(
        worked, job("b", "late", hours=5), job("a", "early", hours=2), job("a", "beyond", hours=9)
    )

    await runner_of(worked, {"a": Within(run), "b": Within(run)}).play(SIGN_UP + timedelta(hours=8))

    assert done == [
        ("early", SIGN_UP + timedelta(hours=2)),
        ("late", SIGN_UP + timedelta(hours=5)),
    ]
    assert [row[0] for row in await left(worked)] == ["beyond"]


async def test_work_that_work_makes_is_done_on_the_way(worked: Worked):
    async def first(tx: Tx, due: Sequence[Job], now: datetime) -> Sequence[Outcome]:
        await jobs.add(tx, [job("b", each.key, each.owner, hours=3) for each in due])
        return [DONE] * len(due)

    seen: list[datetime] = []

    async def second(tx: Tx, due: Sequence[Job], now: datetime) -> Sequence[Outcome]:
        seen.append(now)
        return [DONE] * len(due)

    await add(worked, job("a", hours=1))

    await runner_of(worked, {"a": Within(first), "b": Within(second)}).play(
        SIGN_UP + timedelta(days=1)
    )

    assert seen == [SIGN_UP + timedelta(hours=3)]


async def test_what_fails_is_tried_again_and_given_up_after_the_last_try(worked: Worked):
    async def fail(each: Job) -> Outcome:
        return Again(f"Nobody answers, for the {each.tries}th time.")

    runner = runner_of(worked, {"mail": Outside(fail)})
    await add(worked, job())

    for tries in range(1, TRIES_MAX + 1):
        await runner.play(SIGN_UP)
        runner._rests.clear()
        assert (await left(worked))[0][1] == tries
        await passes_real_time(worked)

    assert await left(worked) == [("1", TRIES_MAX, True, "Nobody answers, for the 10th time.")]
    await runner.play(SIGN_UP + timedelta(days=1))
    assert (await left(worked))[0][1] == TRIES_MAX

    (parked,) = (await worked.town.look(lambda tx: jobs.parked(tx, cursor=None, limit=10))).items
    assert await worked.town.do(lambda tx: jobs.replay(tx, parked.number)) == 1
    await runner.play(SIGN_UP + timedelta(days=1))
    assert (await left(worked))[0][1:3] == (1, False)


async def test_what_is_hopeless_is_given_up_at_once_and_a_fault_is_not(worked: Worked):
    async def run(each: Job) -> Outcome:
        if each.key == "fault":
            raise RuntimeError("planted")
        return Hopeless("There is no such address.")

    await add(worked, job(key="hopeless"), job(key="fault"))

    await runner_of(worked, {"mail": Outside(run)}).play(SIGN_UP)

    hopeless, fault = await left(worked)
    assert hopeless == ("hopeless", 1, True, "There is no such address.")
    assert fault[:3] == ("fault", 1, False)
    assert str(fault[3]).startswith("A fault of the server's")


async def test_more_is_written_down_of_outside_work_together_with_what_became_of_it(worked: Worked):
    heard: list[tuple[str, str]] = []
    broken = True

    async def run(each: Job) -> Outcome:
        return DONE if each.key == "good" else Hopeless("There is no such address.")

    async def told(tx: Tx, became: Sequence[tuple[Job, Outcome]], now: datetime) -> None:
        assert now == SIGN_UP
        await jobs.add(tx, [job("other", f"after-{each.key}") for each, _ in became])
        heard.extend((each.key, type(outcome).__name__) for each, outcome in became)
        if broken:
            raise RuntimeError("planted")

    await add(worked, job(key="good"), job(key="bad"))
    queues: dict[str, Queue] = {"mail": Outside(run, told=told)}

    with pytest.raises(RuntimeError):
        await runner_of(worked, queues).play(SIGN_UP)
    assert [row[0] for row in await left(worked)] == ["good", "bad"]

    broken = False
    heard.clear()
    await passes_real_time(worked)
    await runner_of(worked, queues).play(SIGN_UP)
    assert sorted(heard) == [("bad", "Hopeless"), ("good", "Done")]
    assert [row[0] for row in await left(worked)] == ["bad", "after-good", "after-bad"]


async def test_one_at_fault_holds_up_none_of_its_batch(worked: Worked):
    async def run(tx: Tx, due: Sequence[Job], now: datetime) -> Sequence[Outcome]:
        if any(each.key == "fault" for each in due):
            raise RuntimeError("planted")
        return [DONE] * len(due)

    await add(worked, *(job("a", key) for key in ("1", "2", "fault", "3")))

    await runner_of(worked, {"a": Within(run)}).play(SIGN_UP)

    assert [row[:2] for row in await left(worked)] == [("fault", 1)]


async def test_a_queue_that_hangs_delays_no_other(worked: Worked):
    hangs = asyncio.Event()
    done = asyncio.Event()

    async def hang(each: Job) -> Outcome:
        hangs.set()
        await asyncio.Event().wait()
        return DONE

    async def run(each: Job) -> Outcome:
        await hangs.wait()
        done.set()
        return DONE

    await add(worked, *(job("webhook:dead", str(n)) for n in range(20)), job("mail"))
    runner = runner_of(worked, {"webhook:dead": Outside(hang), "mail": Outside(run)})
    running = asyncio.create_task(runner.run())

    await asyncio.wait_for(done.wait(), 30)

    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_falls_due_is_begun_beside_what_hangs(worked: Worked):
    hangs, done = asyncio.Event(), asyncio.Event()

    async def run(each: Job) -> Outcome:
        if each.key == "hangs":
            hangs.set()
            await asyncio.Event().wait()
        done.set()
        return DONE

    await add(worked, job(key="hangs"))
    runner = runner_of(worked, {"mail": Outside(run)})
    running = asyncio.create_task(runner.run())
    await asyncio.wait_for(hangs.wait(), 30)

    await add(worked, job(key="later"))
    await asyncio.wait_for(done.wait(), 30)

    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_work_goes_on_while_nothing_can_be_made(worked: Worked):
    done = asyncio.Event()

    async def run(each: Job) -> Outcome:
        done.set()
        return DONE

    runner = runner_of(worked, {"mail": Outside(run)})
    # What holds the readers of events up altogether.
    await worked.town.do(lambda tx: tx.execute("alter table outbox_readers rename to gone"))
    running = asyncio.create_task(runner.run())
    await asyncio.sleep(0.1)

    await add(worked, job())
    await asyncio.wait_for(done.wait(), 30)

    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_was_under_way_at_the_end_is_given_back(worked: Worked):
    begun = asyncio.Event()

    async def run(each: Job) -> Outcome:
        if each.key == "hangs":
            begun.set()
            await asyncio.Event().wait()
        return DONE

    await add(worked, job(key="hangs"), job(key="quick"))
    running = asyncio.create_task(runner_of(worked, {"mail": Outside(run)}).run())
    await asyncio.wait_for(begun.wait(), 30)

    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert [row[:2] for row in await left(worked)] == [("hangs", 1)]
    (again,) = await worked.town.do(
        lambda tx: jobs.claim(tx, "mail", SIGN_UP, limit=9, lease=timedelta(minutes=1))
    )
    assert again.tries == 2


async def test_a_job_that_ends_its_process_each_time_is_given_up(worked: Worked):
    tried: list[int] = []

    async def run(each: Job) -> Outcome:
        tried.append(each.tries)
        return DONE

    await add(worked, job())
    runner = runner_of(worked, {"mail": Outside(run)})
    for _ in range(BEGUN_MAX):
        await worked.town.do(
            lambda tx: jobs.claim(tx, "mail", SIGN_UP, limit=1, lease=timedelta(microseconds=1))
        )

    await runner.play(SIGN_UP)

    assert tried == []
    assert [row[1:3] for row in await left(worked)] == [(BEGUN_MAX + 1, True)]
    await worked.town.do(lambda tx: jobs.replay(tx, None))
    await runner.play(SIGN_UP)
    assert tried == [1]


async def test_what_is_put_off_to_the_past_does_not_go_round_and_round(worked: Worked):
    async def run(tx: Tx, due: Sequence[Job], now: datetime) -> Sequence[Outcome]:
        return [Moved(now)] * len(due)

    await add(worked, job("a"))

    await runner_of(worked, {"a": Within(run)}).play(SIGN_UP)

    assert [row[:3] for row in await left(worked)] == [("1", 1, False)]


async def test_a_queue_in_which_all_fails_rests(worked: Worked):
    tried: list[str] = []

    async def fail(each: Job) -> Outcome:
        tried.append(each.key)
        return Again("Nobody answers.")

    await add(worked, *(job(key=str(number)) for number in range(100)))

    await runner_of(worked, {"mail": Outside(fail, at_once=3)}).play(SIGN_UP)

    assert len(tried) < 10


async def test_while_others_wait_for_answers_work_is_done_in_small_parts(worked: Worked):
    sizes: list[int] = []
    done = asyncio.Event()
    busy = True

    async def run(tx: Tx, due: Sequence[Job], now: datetime) -> Sequence[Outcome]:
        nonlocal busy
        sizes.append(len(due))
        # Nobody waits any more after the second part.
        busy = len(sizes) < 2
        if sum(sizes) == 150:
            done.set()
        return [DONE] * len(due)

    await add(worked, *(job("a", str(number)) for number in range(150)))
    runner = runner_of(worked, {"a": Within(run)})
    runner.busy = lambda: busy
    running = asyncio.create_task(runner.run())
    await asyncio.wait_for(done.wait(), 30)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert sizes == [FEW, FEW, 100, 150 - 100 - 2 * FEW]


async def test_while_others_wait_for_answers_there_is_a_rest_after_each_part(
    worked: Worked, monkeypatch: pytest.MonkeyPatch
):
    # Rests without end, so that what comes after one never comes.
    monkeypatch.setattr("overture.jobs.runner.REST_TIMES", 10**9)
    monkeypatch.setattr("overture.jobs.runner.REST_MAX_SECONDS", 3600)
    monkeypatch.setattr("overture.jobs.runner.TURN_SECONDS", 3600)
    sizes: dict[str, list[int]] = {"a": [], "b": []}
    ones: list[str] = []

    async def within(tx: Tx, due: Sequence[Job], now: datetime) -> Sequence[Outcome]:
        sizes[due[0].queue].append(len(due))
        return [DONE] * len(due)

    async def outside(each: Job) -> Outcome:
        ones.append(each.key)
        return DONE

    await add(worked, *(job(queue, str(n)) for queue in "abc" for n in range(3 * FEW)))
    queues: dict[str, Queue] = {
        "a": Within(within),
        "b": Within(within),
        "c": Outside(outside, at_once=4),
    }
    runner = runner_of(worked, queues)
    runner.busy = lambda: True
    running = asyncio.create_task(runner.run())
    async with asyncio.timeout(30):
        while not (all(sizes.values()) and len(ones) >= 4):  # noqa: ASYNC110  three queues rest
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert sizes == {"a": [FEW], "b": [FEW]}
    assert len(ones) == 4


async def test_a_test_clock_gives_way_to_nobody(worked: Worked):
    sizes: list[int] = []

    async def run(tx: Tx, due: Sequence[Job], now: datetime) -> Sequence[Outcome]:
        sizes.append(len(due))
        return [DONE] * len(due)

    await add(worked, *(job("a", str(number)) for number in range(100)))
    runner = runner_of(worked, {"a": Within(run)})
    # Whoever asks for it waits.
    runner.busy = lambda: True
    await runner.play(SIGN_UP)

    assert sizes == [100]


async def test_a_worker_sees_that_somebody_is_answered_but_not_what_other_workers_do(
    worked: Worked, database_url: str
):
    db = await Database.open(database_url, connections=2, options=WORK_OPTIONS)

    async def look(tx: Tx) -> bool:
        return await db.reading(jobs.somebody_asks)

    async def ask(tx: Tx) -> bool:
        # A transaction of its own begins with its first statement at the latest.
        _ = await all_rows(tx, "select 1")
        return await look(tx)

    assert await worked.town.db.writing(ask)
    # Its own transaction is one of a worker's. The town's connections end what they were at.
    async with asyncio.timeout(30):
        while await db.writing(look):  # noqa: ASYNC110  PostgreSQL tells nobody
            await asyncio.sleep(0.01)
    await db.close()


async def test_a_members_work_is_done_in_order_where_it_matters(worked: Worked):
    done: list[str] = []
    failing = True

    async def run(each: Job) -> Outcome:
        if each.key == "a1" and failing:
            return Again("Not yet.")
        done.append(each.key)
        return DONE

    ada, bo = ids.new(), ids.new()
    await add(
        worked,
        *(job(key=f"a{number}", owner=ada) for number in range(1, 4)),
        *(job(key=f"b{number}", owner=bo) for number in range(1, 4)),
    )
    runner = runner_of(worked, {"mail": Outside(run, in_order=True)})

    await runner.play(SIGN_UP)
    assert done == ["b1", "b2", "b3"]

    failing = False
    await passes_real_time(worked)
    await runner.play(SIGN_UP)
    assert done[3:] == ["a1", "a2", "a3"]


async def test_members_take_turns_where_order_matters(worked: Worked):
    done: list[str] = []

    async def run(each: Job) -> Outcome:
        done.append(each.key)
        return DONE

    ada, bo = ids.new(), ids.new()
    await add(
        worked,
        *(job(key=f"a{number}", owner=ada) for number in range(50)),
        *(job(key=f"b{number}", owner=bo) for number in range(3)),
    )

    await runner_of(worked, {"mail": Outside(run, at_once=1, in_order=True)}).play(SIGN_UP)

    assert max(done.index(f"b{number}") for number in range(3)) < 7
    assert [key for key in done if key[0] == "a"] == [f"a{number}" for number in range(50)]


async def test_two_workers_never_hold_the_same_job(worked: Worked, database_url: str):
    await add(worked, *(job(key=str(number)) for number in range(200)))
    other = await Database.open(database_url, connections=2)

    async def claim(db: Database) -> list[Job]:
        found: list[Job] = []
        for _ in range(40):
            found += await db.writing(
                lambda tx: jobs.claim(tx, "mail", SIGN_UP, limit=7, lease=timedelta(minutes=1))
            )
        return found

    one, two = await asyncio.gather(claim(worked.town.db), claim(other))
    await other.close()

    assert len(one) + len(two) == 200
    assert len({each.number for each in (*one, *two)}) == 200


async def test_a_job_whose_holder_died_is_done_by_another(worked: Worked):
    await add(worked, job())
    await worked.town.do(
        lambda tx: jobs.claim(tx, "mail", SIGN_UP, limit=1, lease=timedelta(milliseconds=1))
    )
    await asyncio.sleep(0.01)

    again = await worked.town.do(
        lambda tx: jobs.claim(tx, "mail", SIGN_UP, limit=1, lease=timedelta(minutes=1))
    )

    assert [each.tries for each in again] == [2]


async def test_who_held_a_job_too_long_does_not_take_off_what_others_hold(worked: Worked):
    await add(worked, job())

    async def claim(lease: timedelta) -> Job:
        (claimed,) = await worked.town.do(
            lambda tx: jobs.claim(tx, "mail", SIGN_UP, limit=1, lease=lease)
        )
        return claimed

    first = await claim(timedelta(microseconds=1))
    second = await claim(timedelta(microseconds=1))
    await worked.town.do(lambda tx: jobs.move(tx, [(second, Moved(SIGN_UP))]))
    third = await claim(timedelta(minutes=1))

    await worked.town.do(lambda tx: jobs.done(tx, [first, second]))
    assert [row[:2] for row in await left(worked)] == [("1", third.tries)]

    await worked.town.do(lambda tx: jobs.done(tx, [third]))
    assert await left(worked) == []


async def test_what_is_asked_for_while_it_is_being_done_is_done_again(worked: Worked):
    begun, asked = asyncio.Event(), asyncio.Event()
    done: list[int] = []

    async def run(each: Job) -> Outcome:
        begun.set()
        await asked.wait()
        done.append(each.tries)
        return DONE

    ada = ids.new()
    await add(worked, job(owner=ada))
    runner = runner_of(worked, {"mail": Outside(run)})
    playing = asyncio.create_task(runner.play(SIGN_UP))
    await asyncio.wait_for(begun.wait(), 30)

    await add(worked, job(owner=ada, hours=1))
    asked.set()
    while not done:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await passes_real_time(worked)
    await playing

    assert done == [1, 2]
    assert await left(worked) == []


async def test_what_was_given_up_is_tried_anew_when_it_is_asked_for(worked: Worked):
    outcomes: list[Outcome] = [Hopeless("There is no such address."), DONE]

    async def run(each: Job) -> Outcome:
        return outcomes.pop(0)

    ada = ids.new()
    runner = runner_of(worked, {"mail": Outside(run)})
    await add(worked, job(owner=ada))
    await runner.play(SIGN_UP)
    assert [row[2] for row in await left(worked)] == [True]

    await add(worked, job(owner=ada, hours=1))
    await runner.play(SIGN_UP)

    assert await left(worked) == []


async def test_what_is_asked_for_twice_at_once_is_there_once_and_early(worked: Worked):
    ada = ids.new()

    await add(worked, *(job(owner=ada, hours=hours) for hours in (3, 1, 2)))

    rows = await worked.town.look(lambda tx: all_rows(tx, "select due_at from jobs"))
    assert rows == [(SIGN_UP + timedelta(hours=1),)]


async def test_what_is_due_later_keeps_what_it_is_about(worked: Worked):
    payloads: list[bytes] = []

    async def run(tx: Tx, due: Sequence[Job], now: datetime) -> Sequence[Outcome]:
        payloads.extend(each.payload for each in due)
        return [
            Moved(now + timedelta(days=1)) if now < SIGN_UP + timedelta(days=2) else DONE
        ] * len(due)

    await add(worked, job("a"))
    runner = runner_of(worked, {"a": Within(run)})

    await runner.play(SIGN_UP + timedelta(hours=1))
    assert [row[:2] for row in await left(worked)] == [("1", 0)]
    await runner.play(SIGN_UP + timedelta(days=3))
    assert await left(worked) == []
    assert [msgspec.json.decode(each) for each in payloads] == [{"text": "hello"}] * 3


def test_waits_grow_fourfold_up_to_a_day_and_end():
    waits = [wait_after(tries, 0.5) for tries in range(1, TRIES_MAX + 1)]

    assert waits[:3] == [timedelta(seconds=10), timedelta(seconds=40), timedelta(seconds=160)]
    assert waits[-2] == timedelta(days=1)
    assert waits[-1] is None
    spread = [wait_after(1, chance) for chance in (0, 1)]
    assert spread == [timedelta(seconds=8), timedelta(seconds=12)]


# Making ---------------------------------------------------------------------------------------------


async def tell(worked: Worked, *kinds: str) -> None:
    owner = MemberId(ids.new())
    await worked.town.do(
        lambda tx: outbox.tell(tx, [Event(owner, kind, SIGN_UP, {}) for kind in kinds])
    )


def noting(seen: list[str]):
    async def make(tx: Tx, rows: Sequence[Row]) -> Sequence[NewJob]:
        seen.extend(row.kind for row in rows)
        return []

    return make


async def test_each_event_is_read_once_by_whoever_comes_first(worked: Worked, database_url: str):
    seen: list[str] = []
    other = await Database.open(database_url, connections=2)
    makers = [Maker(worked.town.db, [noting(seen)]), Maker(other, [noting(seen)])]
    await tell(worked, *(f"kind.{number}" for number in range(600)))

    for _ in range(4):
        await asyncio.gather(*(maker.step() for maker in makers))
    await other.close()

    assert sorted(seen) == sorted(f"kind.{number}" for number in range(600))


async def test_the_clock_waits_for_whoever_reads_events_right_now(
    worked: Worked, database_url: str
):
    await worked.town.member("ada", premium="premium_career")
    await worked.town.member("grace", premium="premium_career")
    (ada,), (grace,) = await worked.town.look(
        lambda tx: all_rows(tx, "select id from members order by handle")
    )
    await worked.town.sends(ada, grace)
    other = await Database.open(database_url, connections=2)
    reading, goes_on = asyncio.Event(), asyncio.Event()

    async def slowly(tx: Tx, rows: Sequence[Row]) -> Sequence[NewJob]:
        reading.set()
        await goes_on.wait()
        return await reminders.plan(tx, rows, worked.town.book)

    elsewhere = asyncio.create_task(Maker(other, [slowly]).step())
    await asyncio.wait_for(reading.wait(), 30)
    playing = asyncio.create_task(worked.runner.play(SIGN_UP + timedelta(days=30)))
    await asyncio.sleep(0.2)
    assert not playing.done()

    goes_on.set()
    await asyncio.gather(elsewhere, playing)
    await other.close()

    assert len(await worked.told("inmail.reminded")) == 1


async def test_an_event_that_commits_late_is_not_passed_over(worked: Worked):
    seen: list[str] = []
    maker = Maker(worked.town.db, [noting(seen)])
    async with worked.town.db._connection() as slow:
        await slow.execute("begin")
        await outbox.tell(slow, [Event(MemberId(ids.new()), "slow", SIGN_UP, {})])
        await tell(worked, "quick")
        await maker.step()
        assert seen == ["quick"]
        await asyncio.sleep(0.3)
        await maker.step()
        await slow.execute("commit")

    await maker.step()

    assert seen == ["quick", "slow"]


async def test_a_number_that_was_rolled_back_is_given_up(worked: Worked):
    maker = Maker(worked.town.db, [])
    async with worked.town.db._connection() as lost:
        await lost.execute("begin")
        await outbox.tell(lost, [Event(MemberId(ids.new()), "lost", SIGN_UP, {})])
        await tell(worked, "kept")
        await lost.execute("rollback")

    async def gaps() -> object:
        read = await worked.town.do(lambda tx: jobs.read_so_far(tx, READER, wait=True))
        return read.gaps if isinstance(read, jobs.Read) else None

    await maker.step()
    assert await gaps() != []
    async with asyncio.timeout(30):
        while await gaps() != []:
            await asyncio.sleep(0.1)
            await maker.step()


async def test_an_event_that_no_work_can_be_made_of_holds_up_no_other(worked: Worked):
    seen: list[str] = []
    broken = True

    async def make(tx: Tx, rows: Sequence[Row]) -> Sequence[NewJob]:
        if broken and any(row.kind == "bad" for row in rows):
            raise KeyError("planted")
        seen.extend(row.kind for row in rows)
        return []

    await tell(worked, "one", "bad", "two")
    runner = runner_of(worked, {}, make)
    while await runner.maker.step():
        pass

    assert seen == ["one", "two"]
    assert len(await left(worked)) == 1

    broken = False

    async def anew(tx: Tx, due: Sequence[Job], now: datetime) -> Sequence[Outcome]:
        return await runner.maker.anew(tx, due)

    await runner_of(worked, {UNMADE: Within(anew)}).play(SIGN_UP)
    assert seen == ["one", "two", "bad"]
    assert await left(worked) == []


async def test_what_cannot_be_made_holds_up_nothing_else_of_the_same_event(worked: Worked):
    broken = True

    async def divide(tx: Tx, rows: Sequence[Row]) -> Sequence[NewJob]:
        if broken and any(row.kind == "bad" for row in rows):
            await tx.execute("select 1 / 0")
        return [NewJob("a", row.owner, str(row.sequence), row.at, {}) for row in rows]

    async def make(tx: Tx, rows: Sequence[Row]) -> Sequence[NewJob]:
        return [NewJob("b", row.owner, str(row.sequence), row.at, {}) for row in rows]

    async def made() -> list[object]:
        query = "select queue from jobs order by queue"
        return [row[0] for row in await worked.town.look(lambda tx: all_rows(tx, query))]

    runner = runner_of(worked, {}, divide, make)
    await tell(worked, "one", "bad", "two")
    while await runner.maker.step():
        pass
    assert await made() == ["a", "a", "b", "b", "b", UNMADE]

    broken = False

    async def anew(tx: Tx, due: Sequence[Job], now: datetime) -> Sequence[Outcome]:
        return await runner.maker.anew(tx, due)

    await runner_of(worked, {UNMADE: Within(anew)}).play(SIGN_UP)
    assert await made() == ["a", "a", "a", "b", "b", "b"]


async def test_a_claim_in_order_looks_at_few_jobs_whatever_the_statistics_say(
    worked: Worked, database_url: str
):
    """They say that there are none, until somebody counts again: for the first minute of a rush."""
    db = await Database.open(database_url, connections=2, options=WORK_OPTIONS)
    async with db.read() as tx:
        await tx.execute("vacuum analyze jobs")
    for _ in range(4):
        await add(worked, *(job(key=str(number)) for number in range(500)))

    async def looked_at(tx: Tx) -> int:
        rows = await all_rows(
            tx,
            "select idx_tup_fetch + seq_tup_read from pg_stat_xact_user_tables"
            " where relname = 'jobs'",
        )
        return rows[0][0]

    async def claim(tx: Tx) -> tuple[int, int]:
        before = await looked_at(tx)
        claimed = await jobs.claim_in_order(
            tx, "mail", SIGN_UP, limit=8, lease=timedelta(minutes=1), after=MemberId(ids.new())
        )
        return len(claimed), await looked_at(tx) - before

    claimed, rows = await db.writing(claim)
    await db.close()

    assert claimed == 8
    # Of each that it is to find, that it locks, and that it holds.
    assert rows <= 4 * claimed
