"""Due work in the console: what waits, what fails, what was given up, and having that done again."""

from __future__ import annotations

from datetime import timedelta

from overture.core.jobs import NewJob
from overture.store import jobs as store
from overture.store.db import Tx, all_rows
from tests.web.conftest import Browser, Place, text_of

QUEUE = "mail:accounts"


async def given_up(place: Place, of: Browser, *problems: str) -> list[int]:
    """The numbers of jobs of a member's that met these, and were given up."""
    town, member = place.town, of.id
    assert member

    async def give_up(tx: Tx) -> None:
        for key, problem in enumerate(problems):
            await store.add(tx, [NewJob(QUEUE, member, str(key), town.now, {})])
            (job,) = await store.claim(tx, QUEUE, town.now, limit=1, lease=timedelta(minutes=1))
            await store.park(tx, job, problem)

    await town.do(give_up)
    rows = await town.look(lambda tx: all_rows(tx, _GIVEN_UP))
    return [number for (number,) in rows]


_GIVEN_UP = "select number from jobs where parked_at is not null order by number"


async def test_what_was_given_up_is_shown_with_its_reason_and_done_again(place: Place):
    otto, ada = await place.operator("otto"), await place.member("ada")
    first, second = await given_up(place, ada, "550 5.7.1 No.", "554 Not today.")

    page = await otto.get("/ops/jobs")
    assert "550 5.7.1 No." in text_of(page)
    assert "554 Not today." in text_of(page)
    assert "Ada" in text_of(page)
    assert "Mails that accounts need" in text_of(page)

    done = await otto.post(f"/ops/jobs/{first}/replay")
    assert "It is done again" in text_of(await otto.follow(done))
    left = text_of(await otto.get("/ops/jobs"))
    assert "550 5.7.1 No." not in left
    assert "554 Not today." in left
    assert (await otto.post(f"/ops/jobs/{first}/replay")).status_code == 404
    assert (await otto.post(f"/ops/jobs/{2**63}/replay")).status_code == 404

    assert (await otto.post(f"/ops/jobs/{second}/replay")).status_code == 303
    assert "Nothing was given up." in text_of(await otto.get("/ops/jobs"))
    noted = "select actor, action, detail ->> 'id' from audit order by number"
    assert await place.town.look(lambda tx: all_rows(tx, noted)) == [
        (f"operator:{otto.id}", "jobs.replay", str(first)),
        (f"operator:{otto.id}", "jobs.replay", str(second)),
    ]


async def test_all_that_was_given_up_is_done_again_at_once(place: Place):
    otto, ada = await place.operator("otto"), await place.member("ada")
    assert "/ops/jobs/replay" not in (await otto.get("/ops/jobs")).text
    await given_up(place, ada, "Away.", "Away.", "Away.")
    assert 'action="/ops/jobs/replay"' in (await otto.get("/ops/jobs")).text

    done = await otto.post("/ops/jobs/replay")

    assert "3 jobs are done again" in text_of(await otto.follow(done))
    assert "Nothing was given up." in text_of(await otto.get("/ops/jobs"))


async def test_what_waits_and_what_fails_is_counted_and_comes_anew_by_itself(place: Place):
    otto, ada = await place.operator("otto"), await place.member("ada")
    town, member = place.town, ada.id
    assert member

    async def fail(tx: Tx) -> None:
        due = town.now - timedelta(minutes=90)
        await store.add(tx, [NewJob(QUEUE, member, key, due, {}) for key in "abc"])
        for job in await store.claim(tx, QUEUE, town.now, limit=2, lease=timedelta(minutes=1)):
            await store.again(tx, job, timedelta(hours=1), "The server hangs.")

    await town.do(fail)

    page = await otto.get("/ops/jobs")
    (row,) = [each for each in page.text.split("<tr>") if f"{QUEUE}</code></td>" in each][1:]
    assert [text.split("<")[0] for text in row.split('class="n">')[1:3]] == ["3", "1 h 30 min"]
    assert '<span class="chip warn">2</span>' in row
    assert "The server hangs." in text_of(page)
    anew = await otto.get("/ops/jobs", live="anew")
    assert '<template data-at="#jobs" data-how="replace">' in anew.text
    assert "<h1>" not in anew.text
