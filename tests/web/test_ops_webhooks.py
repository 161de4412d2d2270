"""Endpoints of webhooks in the console: added, changed, switched, told again, removed."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from overture import ids
from overture.actions import webhooks as actions
from overture.actions.webhooks import By
from overture.core.ids import EndpointId
from overture.core.webhooks import secret_text
from overture.store import webhooks as store
from overture.store.db import Tx, all_rows
from overture.store.webhooks import Endpoint, Outcome, Try
from tests.web.conftest import Place, text_of

ADDRESS = "https://hooks.example/overture"
REAL_NOW = datetime(2026, 11, 1, tzinfo=UTC)


async def endpoint_in(place: Place) -> EndpointId:
    made = EndpointId(ids.new())

    async def create(tx: Tx) -> None:
        done = await actions.create(
            tx,
            made,
            secret_text(ids.new_key()),
            url=ADDRESS,
            events=["*"],
            description="The ledger's own",
            allowed_hosts=(),
            by=By("a test", ids.new(), place.town.now),
        )
        assert isinstance(done, Endpoint)

    await place.town.do(create)
    return made


async def tried(place: Place, endpoint: EndpointId, *tries: Try) -> None:
    await place.town.do(lambda tx: store.log(tx, endpoint, tries, REAL_NOW))


def a_try(outcome: Outcome, problem: str | None, event: int | None = None) -> Try:
    return Try(ids.new(), event, "webhook.test", None, 1, outcome, 200, problem, 12)


async def audited(place: Place) -> list[tuple[str, str]]:
    return await place.town.look(
        lambda tx: all_rows(tx, "select actor, action from audit order by number")
    )


async def jobs_of(place: Place, queue: str) -> int:
    count = "select count(*) from jobs where queue = %s"
    found = await place.town.look(lambda tx: all_rows(tx, count, (queue,)))
    return int(found[0][0])


async def test_an_endpoint_is_shown_with_what_was_delivered_and_what_was_not(place: Place):
    otto = await place.operator("otto")
    assert "There is no endpoint." in text_of(await otto.get("/ops/webhooks"))
    endpoint = await endpoint_in(place)
    await tried(
        place,
        endpoint,
        a_try(Outcome.DELIVERED, None),
        a_try(Outcome.GIVEN_UP, "It answered 500."),
    )

    listed = await otto.get("/ops/webhooks")
    assert ADDRESS in text_of(listed)
    page = text_of(await otto.get(f"/ops/webhooks/{endpoint}"))
    assert "It answered 500." in page
    assert "The ledger's own" in page
    delivered = text_of(await otto.get(f"/ops/webhooks/{endpoint}?outcome=delivered"))
    assert "It answered 500." not in delivered
    assert (await otto.get(f"/ops/webhooks/{ids.new()}")).status_code == 404
    anew = await otto.get(f"/ops/webhooks/{endpoint}", live="anew")
    assert anew.text.startswith('<template data-at="#deliveries"')


async def test_an_endpoint_is_added_with_its_secret_shown_once_and_sent_twice_it_is_one(
    place: Place,
):
    otto = await place.operator("otto")
    once = re.search(r'name="once" value="([^"]+)"', (await otto.get("/ops/webhooks/add")).text)
    assert once
    form = {"once": once[1], "url": f" {ADDRESS} ", "event:inmail.*": "1", "description": "Books"}

    page = await otto.post("/ops/webhooks/add", form)

    (made,) = await place.town.look(store.enabled)
    assert (made.url, made.events, made.description) == (ADDRESS, ["inmail.*"], "Books")
    assert made.secrets[0].text in page.text
    again = await otto.post("/ops/webhooks/add", form)
    assert again.headers["location"] == f"/ops/webhooks/{made.id}"
    assert made.secrets[0].text not in (await otto.follow(again)).text
    assert len(await place.town.look(store.enabled)) == 1
    assert (f"operator:{otto.id}", "webhook.created") in await audited(place)


async def test_what_is_wrong_with_an_endpoint_is_told_beside_its_field(place: Place):
    otto = await place.operator("otto")
    form = {"url": "http://10.0.0.7/", "event:message.*": "1", "description": "x" * 201}

    refused = await otto.post("/ops/webhooks/add", form)

    assert refused.status_code == 422
    assert 'id="url-error"' in refused.text
    assert 'id="description-error"' in refused.text
    assert 'value="http://10.0.0.7/"' in refused.text
    assert re.search(r'name="event:message\.\*" value="1" checked', refused.text)
    of_nothing = await otto.post("/ops/webhooks/add", {"url": ADDRESS})
    assert "Choose what it is to be told of." in text_of(of_nothing)
    assert await place.town.look(store.enabled) == []


async def test_an_endpoint_is_changed_and_removed_and_that_asks_for_the_second_factor(place: Place):
    otto, endpoint = await place.operator("otto"), await endpoint_in(place)
    assert otto.id
    url, moved = f"/ops/webhooks/{endpoint}", "https://hooks.example/elsewhere"

    form = {"url": moved, "event:*": "1", "event:inmail.sent": "1", "description": ""}
    assert "Changed." in text_of(await otto.follow(await otto.post(f"{url}/edit", form)))
    (made,) = await place.town.look(store.enabled)
    assert (made.url, made.events, made.description) == (moved, ["*"], "")
    assert f'value="{moved}"' in (await otto.get(f"{url}/edit")).text
    assert (await otto.post(f"{url}/edit", form | {"url": "nowhere"})).status_code == 422

    await place.factor_grows_stale(otto.id)
    for path in ("/ops/webhooks/add", f"{url}/edit", f"{url}/remove"):
        assert (await otto.get(path)).headers["location"].startswith("/ops/enter")
        assert (await otto.post(path, form)).headers["location"].startswith("/ops/enter")
    assert await place.town.look(store.enabled) == [made]
    await place.town.do(lambda tx: tx.execute("update sessions set factor_at = now()"))

    gone = await otto.post(f"{url}/remove")
    assert "There is no endpoint." in text_of(await otto.follow(gone))
    assert await place.town.look(store.enabled) == []
    assert await jobs_of(place, actions.ENDINGS) == 1
    assert (await otto.post(f"{url}/remove")).status_code == 404
    who = f"operator:{otto.id}"
    assert {(who, "webhook.changed"), (who, "webhook.deleted")} <= set(await audited(place))


async def test_what_was_delivered_and_a_test_are_sent_again(place: Place):
    otto, endpoint = await place.operator("otto"), await endpoint_in(place)
    await tried(place, endpoint, a_try(Outcome.GIVEN_UP, "It answered 500."))
    url = f"/ops/webhooks/{endpoint}"
    page = await otto.get(url)
    number = re.search(r"deliveries/(\d+)/replay", page.text)
    assert number

    again = await otto.post(f"{url}/deliveries/{number[1]}/replay")
    assert "It is delivered again." in text_of(await otto.follow(again))
    assert (await otto.post(f"{url}/test")).status_code == 303
    assert await jobs_of(place, actions.queue_of(endpoint)) == 2
    assert (await otto.post(f"{url}/deliveries/{2**62}/replay")).status_code == 404
    assert (await otto.post(f"{url}/deliveries/{2**70}/replay")).status_code == 404
    who = f"operator:{otto.id}"
    assert (who, "webhook.replayed") in await audited(place)
    assert (who, "webhook.tested") in await audited(place)


async def test_all_since_an_instant_is_delivered_again(place: Place):
    otto, endpoint = await place.operator("otto"), await endpoint_in(place)
    url = f"/ops/webhooks/{endpoint}/replay"
    ahead = f"{place.town.now + timedelta(days=2):%Y-%m-%dT%H:%M}"

    for wrong in ("", "yesterday", "0001-01-01T00:00", ahead):
        assert (await otto.post(url, {"since": wrong})).status_code == 422
    assert await jobs_of(place, actions.REPLAYS) == 0

    before = f"{place.town.now - timedelta(days=2):%Y-%m-%dT%H:%M}"
    assert (await otto.post(url, {"since": before})).status_code == 303
    assert await jobs_of(place, actions.REPLAYS) == 1


async def test_an_endpoint_is_switched_off_and_on(place: Place):
    otto, endpoint = await place.operator("otto"), await endpoint_in(place)
    url = f"/ops/webhooks/{endpoint}"

    off = await otto.post(f"{url}/switch", {"on": "0"})
    assert "It is told of nothing now." in text_of(await otto.follow(off))
    assert "switched off" in text_of(await otto.get(url))
    assert (await otto.post(f"{url}/test")).status_code == 409
    assert (await otto.post(f"{url}/switch", {"on": "1"})).status_code == 303
    assert "switched off" not in text_of(await otto.get(url))
    assert (await otto.post(f"{url}/test")).status_code == 303
    assert (f"operator:{otto.id}", "webhook.changed") in await audited(place)


async def test_a_new_secret_is_shown_once_and_asks_for_the_second_factor(place: Place):
    otto, endpoint = await place.operator("otto"), await endpoint_in(place)
    assert otto.id
    url = f"/ops/webhooks/{endpoint}/secret"
    before = await place.town.look(lambda tx: store.one(tx, endpoint))
    assert before
    await place.factor_grows_stale(otto.id)

    assert (await otto.get(url)).headers["location"].startswith("/ops/enter")
    assert (await otto.post(url)).headers["location"].startswith("/ops/enter")
    assert await place.town.look(lambda tx: store.one(tx, endpoint)) == before
    await place.town.do(lambda tx: tx.execute("update sessions set factor_at = now()"))

    page = await otto.post(url)

    after = await place.town.look(lambda tx: store.one(tx, endpoint))
    assert after
    assert after.secrets[0].text in page.text
    assert [each.text for each in after.secrets[1:]] == [each.text for each in before.secrets]
    assert "whsec_" not in (await otto.get(url)).text
    assert (f"operator:{otto.id}", "webhook.secret_rotated") in await audited(place)
