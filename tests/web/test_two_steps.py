"""Signing in in two steps, and being asked again who one is, as people meet them."""

from __future__ import annotations

import re
import time
from urllib.parse import parse_qs, urlsplit

import argon2
import pyotp
import pytest

from overture.actions import passwords
from overture.store.db import all_rows
from tests.web.conftest import PASSWORD, Browser, Place, text_of

WRONG = "000000"


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch):
    passwords.nobodys.cache_clear()
    hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "_HASHER", hasher)
    yield
    passwords.nobodys.cache_clear()


@pytest.fixture
async def ada(place: Place) -> Browser:
    return await place.member("ada")


def app_of(page) -> pyotp.TOTP:
    """The app of someone who points a camera at the square, or copies what stands below it."""
    address = re.search(r'href="(otpauth://[^"]+)"', page.text)[1].replace("&amp;", "&")
    (secret,) = parse_qs(urlsplit(address).query)["secret"]
    assert secret in re.sub(r"\s", "", text_of(page))
    assert "<svg" in page.text
    return pyotp.TOTP(secret)


async def sets_up(ada: Browser) -> tuple[pyotp.TOTP, list[str]]:
    app = app_of(await ada.follow(await ada.post("/settings/security/app")))
    done = await ada.post("/settings/security/app/code", {"code": app.now()})
    assert done.status_code == 200, text_of(done)
    codes = re.findall(r"<li><code>([^<]+)</code>", done.text)
    assert len(codes) == 10
    return app, codes


def next_code(app: pyotp.TOTP) -> str:
    """That of the half minute to come, as that of this has been used: clocks may differ by one."""
    return app.at(time.time() + 30)


async def first_step(place: Place, ada: Browser, then: str = "") -> Browser:
    browser = place.browser()
    form = {"email": f"{ada.id}@overture.example", "password": PASSWORD}
    answer = await browser.post("/login", form | ({"next": then} if then else {}))
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login/code"), answer.headers["location"]
    assert "session" not in browser.http.cookies
    return browser


async def is_in(browser: Browser) -> bool:
    return (await browser.get("/settings/security")).status_code == 200


# Two steps --------------------------------------------------------------------------------------


async def test_an_app_is_set_up_and_its_code_asked_for_from_then_on(place: Place, ada: Browser):
    assert "Off" in text_of(await ada.get("/settings/security"))
    app, codes = await sets_up(ada)
    page = text_of(await ada.get("/settings/security"))
    assert "Authenticator app" in page
    assert "10 are left" in page
    assert not any(each in page for each in codes)

    browser = await first_step(place, ada, then="/premium?a=b")
    assert not await is_in(browser)
    page = await browser.get("/login/code?next=/premium?a=b")
    assert 'autocomplete="one-time-code"' in page.text
    wrong = await browser.post("/login/code", {"code": WRONG})
    assert (wrong.status_code, await is_in(browser)) == (422, False)
    assert "This code does not fit" in text_of(wrong)
    answer = await browser.post("/login/code", {"code": next_code(app), "next": "/premium?a=b"})

    assert answer.headers["location"] == "/premium?a=b"
    assert await is_in(browser)


async def test_a_recovery_code_gets_in_without_the_app(place: Place, ada: Browser):
    _, codes = await sets_up(ada)
    browser = await first_step(place, ada)

    wrong = await browser.post("/login/recovery", {"recovery_code": "aaaaa-aaaaa"})
    assert wrong.status_code == 422
    assert "none of your recovery codes" in text_of(wrong)
    await browser.post("/login/recovery", {"recovery_code": codes[0].upper()})

    assert await is_in(browser)
    assert "9 are left" in text_of(await browser.get("/settings/security"))


async def test_the_second_step_is_nobodys_without_the_first(place: Place, ada: Browser):
    app, codes = await sets_up(ada)
    stranger = place.browser()

    assert (await stranger.get("/login/code")).headers["location"] == "/login"
    for path, form in (
        ("/login/code", {"code": next_code(app)}),
        ("/login/recovery", {"recovery_code": codes[0]}),
    ):
        answer = await stranger.post(path, form)
        assert answer.headers["location"] == "/login"
    assert not await is_in(stranger)


async def test_the_password_lets_nobody_begin_anew_with_codes(place: Place, ada: Browser):
    await sets_up(ada)
    for _ in range(9):
        assert (await ada.post("/confirm/code", {"code": WRONG})).status_code == 422
    assert (await ada.post("/confirm", {"password": PASSWORD})).status_code == 303

    answers = [(await ada.post("/confirm/code", {"code": WRONG})).status_code for _ in range(2)]

    assert answers == [422, 429]
    told = await place.town.look(
        lambda tx: all_rows(tx, "select kind from outbox where kind like '%second_step_failed'")
    )
    assert len(told) == 1
    # Nor do codes keep from the password.
    assert (await ada.post("/confirm", {"password": PASSWORD})).status_code == 303


async def test_too_many_codes_are_told_and_wait(place: Place, ada: Browser):
    app, _ = await sets_up(ada)
    browser = await first_step(place, ada)
    for _ in range(10):
        await browser.post("/login/code", {"code": WRONG})

    answer = await browser.post("/login/code", {"code": next_code(app)})

    assert answer.status_code == 429
    assert "Codes were tried too often." in text_of(answer)


async def test_it_is_turned_off_and_the_codes_are_renewed(place: Place, ada: Browser):
    _, codes = await sets_up(ada)

    renewed = await ada.post("/settings/security/recovery-codes")
    assert renewed.status_code == 200
    assert len(set(re.findall(r"<li><code>([^<]+)</code>", renewed.text)) - set(codes)) == 10
    assert renewed.headers["cache-control"] == "no-store"

    await ada.post("/settings/security/off")
    browser = place.browser()
    form = {"email": f"{ada.id}@overture.example", "password": PASSWORD}
    assert (await browser.post("/login", form)).headers["location"] == "/inbox"


async def test_a_wrong_code_leaves_the_app_to_be_tried_again(ada: Browser):
    app = app_of(await ada.follow(await ada.post("/settings/security/app")))

    wrong = await ada.post("/settings/security/app/code", {"code": WRONG})

    assert wrong.status_code == 422
    assert app_of(wrong).secret == app.secret
    assert (await ada.post("/settings/security/app/code", {"code": app.now()})).status_code == 200
    # It was the only time that the codes were shown.
    again = await ada.post("/settings/security/app/code", {"code": app.now()})
    assert again.headers["location"] == "/settings/security"


# Asked again ------------------------------------------------------------------------------------

SENSITIVE = [
    ("GET", "/settings/account/email"),
    ("POST", "/settings/account/email"),
    ("GET", "/settings/data/close"),
    ("POST", "/settings/data/close"),
    ("GET", "/me/export"),
    ("POST", "/settings/security/app"),
    ("GET", "/settings/security/app"),
    ("POST", "/settings/security/app/code"),
    ("POST", "/settings/security/recovery-codes"),
    ("POST", "/settings/security/off"),
]


@pytest.mark.parametrize(("method", "path"), SENSITIVE)
async def test_what_nobody_may_do_in_ones_place_is_asked_about_again(
    place: Place, ada: Browser, method: str, path: str
):
    before = await place.town.look(lambda tx: all_rows(tx, "select count(*) from outbox"))
    await place.grows_stale(ada.id)

    answer = await (ada.get(path) if method == "GET" else ada.post(path, {"email": "a@b.example"}))

    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/confirm?next=/"), answer.headers["location"]
    after = await place.town.look(lambda tx: all_rows(tx, "select count(*) from outbox"))
    assert after == before
    # Right after signing in it is not.
    again = await place.signed_in(ada.id)
    answer = await again.http.request(method, path, headers={"Sec-Fetch-Site": "same-origin"})
    assert "/confirm" not in answer.headers.get("location", "")


async def test_with_the_password_one_goes_on_to_where_one_wanted(place: Place, ada: Browser):
    await place.grows_stale(ada.id)
    page = await ada.follow(await ada.get("/settings/account/email"))
    assert "Is it still you?" in text_of(page)
    form = {"next": "/settings/account/email"}

    wrong = await ada.post("/confirm", form | {"password": "not the one"})
    assert wrong.status_code == 422
    assert "This is not your password." in text_of(wrong)
    assert 'value="/settings/account/email"' in wrong.text
    done = await ada.post("/confirm", form | {"password": PASSWORD})

    assert done.headers["location"] == "/settings/account/email"
    assert (await ada.follow(done)).status_code == 200
    # Once is enough for a while.
    assert (await ada.get("/confirm?next=/settings/data")).headers["location"] == "/settings/data"


async def test_with_a_code_of_the_app_too(place: Place, ada: Browser):
    app, _ = await sets_up(ada)
    await place.grows_stale(ada.id)
    assert "Use a code of your app instead" in text_of(await ada.get("/confirm"))

    assert (await ada.post("/confirm/code", {"code": WRONG})).status_code == 422
    done = await ada.post("/confirm/code", {"code": next_code(app), "next": "/settings/data/close"})

    assert (await ada.follow(done)).status_code == 200


async def test_a_form_leads_back_to_the_page_that_it_stands_on(place: Place, ada: Browser):
    await place.grows_stale(ada.id)
    referer = {"Referer": "http://overture.example/settings/security"}

    answer = await ada.post("/settings/security/off", headers=referer)

    assert answer.headers["location"] == "/confirm?next=/settings/security"


async def test_being_asked_leads_nowhere_else(place: Place, ada: Browser):
    await place.grows_stale(ada.id)

    form = {"password": PASSWORD, "next": "https://evil.example/"}

    assert (await ada.post("/confirm", form)).headers["location"] == "/settings/account"
