"""Notices on a device, as members switch them on and off."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from overture.actions import closing
from overture.core.push import encoded
from overture.push.encryption import public_key
from overture.store.db import all_rows
from overture.web.context import Push
from tests.web.conftest import Browser, Place, place_in, text_of
from tests.work import SECRET

URL = "/settings/notifications"
PLACE = {
    "endpoint": "https://push.example/send/abc",
    "p256dh": encoded(b"\x04" + b"k" * 64),
    "auth": encoded(b"a" * 16),
}


async def key() -> str:
    return await public_key(SECRET)


@pytest.fixture
async def place(database_url: str) -> AsyncIterator[Place]:
    push = Push(key, frozenset())
    async with place_in(database_url, public_url="http://localhost", push=push) as made:
        yield made


async def endpoints(place: Place) -> list[str]:
    rows = await place.town.look(
        lambda tx: all_rows(
            tx, "select push_endpoint from sessions where push_endpoint is not null"
        )
    )
    return [row[0] for row in rows]


async def switches_on(browser: Browser) -> str:
    answer = await browser.post(f"{URL}/push", PLACE)
    return text_of(await browser.follow(answer))


async def test_the_page_offers_it_with_the_key_of_this_installation(place: Place):
    ada = await place.member("ada")

    shown = await ada.get(URL)

    assert f'data-push="{await key()}"' in shown.text
    assert "On this device Off" in text_of(shown)
    assert "put the site on the home screen first" in text_of(shown)


async def test_it_is_switched_on_and_off(place: Place):
    ada = await place.member("ada")

    on = await switches_on(ada)
    assert "On this device On" in on
    assert "This browser shows you notices from now on." in on
    assert await endpoints(place) == [PLACE["endpoint"]]

    off = text_of(await ada.follow(await ada.post(f"{URL}/push/off")))
    assert "On this device Off" in off
    assert await endpoints(place) == []


async def test_it_is_of_one_browser(place: Place):
    ada = await place.member("ada")
    assert ada.id is not None
    other = await place.signed_in(ada.id)

    await switches_on(ada)

    assert "On this device Off" in text_of(await other.get(URL))


async def test_signing_out_and_closing_the_account_end_it(place: Place):
    ada, grace = await place.member("ada"), await place.member("grace")
    await switches_on(ada)
    await ada.post("/logout")
    assert await endpoints(place) == []

    await switches_on(grace)
    await place.town.do(lambda tx: closing.close(tx, grace.id, place.town.now, place.town.book))
    assert await endpoints(place) == []


@pytest.mark.parametrize(
    "bad", ["https://127.0.0.1/x", "https://[::1]/x", "http://push.example/x", ""]
)
async def test_a_place_that_must_not_be_spoken_to_is_refused(place: Place, bad: str):
    ada = await place.member("ada")

    answer = await ada.post(f"{URL}/push", PLACE | {"endpoint": bad})

    assert answer.status_code == 422
    assert "Notices cannot be sent to this browser." in text_of(answer)
    assert await endpoints(place) == []


async def test_nobody_switches_it_on_who_is_not_signed_in(place: Place):
    answer = await place.browser().post(f"{URL}/push", PLACE)

    assert answer.headers["location"].startswith("/login")


@pytest.mark.parametrize(
    ("public_url", "push"),
    [("http://overture.example", Push(key, frozenset())), ("http://localhost", None)],
    ids=["without TLS", "without the extra"],
)
async def test_where_browsers_could_not_take_notices_none_are_offered(
    database_url: str, public_url: str, push: Push | None
):
    async with place_in(database_url, push=push, public_url=public_url) as place:
        ada = await place.member("ada")

        assert "On this device" not in text_of(await ada.get(URL))
        assert (await ada.post(f"{URL}/push", PLACE)).status_code == 404
