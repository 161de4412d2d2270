"""The way into the console, how long it stays open, and the audit log."""

from __future__ import annotations

import re
import time

import argon2
import pyotp
import pytest

from overture.actions import passwords
from overture.store import accounts, operators, two_steps
from overture.store.db import Tx, all_rows
from tests.web.conftest import PASSWORD, Browser, Place, text_of

SECRET = "OVERTURE" * 4
NOBODY = "00000000-0000-7000-8000-000000000000"
PAGES = ("/ops", "/ops/enter", "/ops/audit", "/ops/audit/verify")


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch):
    passwords.nobodys.cache_clear()
    hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "_HASHER", hasher)
    yield
    passwords.nobodys.cache_clear()


@pytest.fixture
async def otto(place: Place) -> Browser:
    """An operator who is signed in, by the password alone, and has an app."""
    otto = await place.member("otto")

    async def becomes_one(tx: Tx) -> None:
        assert otto.id
        assert await operators.add(tx, otto.id)
        await two_steps.turn_on(tx, otto.id)
        await two_steps.set_code_app(tx, otto.id, SECRET, used=0)

    await place.town.do(becomes_one)
    return otto


def code(seconds: int = 0) -> str:
    return pyotp.TOTP(SECRET).at(time.time() + seconds)


async def audited(place: Place) -> list[tuple[str, str]]:
    return await place.town.look(
        lambda tx: all_rows(tx, "select actor, action from audit order by number")
    )


async def passes(place: Place, columns: str, interval: str) -> None:
    """So much time, in every browser."""
    changed = ", ".join(f"{each} = {each} - interval '{interval}'" for each in columns.split())
    await place.town.do(lambda tx: tx.execute(f"update sessions set {changed}"))


async def test_to_who_is_no_operator_there_is_no_console(place: Place):
    nobody, ada = place.browser(), await place.member("ada")
    unknown = await ada.get("/opera")

    for path in PAGES:
        assert (await nobody.get(path)).status_code == 404
        answer = await ada.get(path)
        assert answer.status_code == 404
        assert text_of(answer) == text_of(unknown)
    assert (await ada.post("/ops/enter/code", {"code": "1"})).status_code == 404
    assert 'href="/ops"' not in (await ada.get("/inbox")).text


async def test_an_operator_enters_with_a_code_and_stands_in_the_audit_log(
    place: Place, otto: Browser
):
    asked = await otto.get("/ops/audit?of=all")
    assert asked.headers["location"] == "/ops/enter?next=/ops/audit%3Fof%3Dall"
    door = await otto.follow(asked)
    assert "Show your second factor" in text_of(door)

    wrong = await otto.post("/ops/enter/code", {"code": "000000", "next": "/ops/audit"})
    assert wrong.status_code == 422
    assert (await otto.get("/ops/audit")).status_code == 303

    entered = await otto.post("/ops/enter/code", {"code": code(), "next": "/ops/audit?of=all"})
    assert entered.headers["location"] == "/ops/audit?of=all"
    assert (await otto.follow(entered)).status_code == 200
    assert (f"operator:{otto.id}", "operator.entered") in await audited(place)
    assert 'href="/ops"' in (await otto.get("/inbox")).text


async def test_a_password_is_no_second_factor(place: Place, otto: Browser):
    assert (await otto.post("/confirm", {"password": PASSWORD})).status_code == 303

    assert (await otto.post("/ops/enter")).headers["location"].startswith("/ops/enter?")
    assert (await otto.get("/ops/audit")).status_code == 303
    assert (await audited(place)) == []


# What would make another second factor, or leave none to be asked for.
CHANGES = (
    "/settings/security/app",
    "/settings/security/app/code",
    "/settings/security/app/remove",
    "/settings/security/off",
    "/settings/security/passkeys",
    "/settings/security/passkeys/options",
    f"/settings/security/passkeys/{NOBODY}/remove",
)


async def test_nobody_makes_up_a_second_factor_with_the_password(place: Place, otto: Browser):
    for path in CHANGES:
        assert (await otto.post("/confirm", {"password": PASSWORD})).status_code == 303
        refused = await otto.post(path)
        assert refused.headers["location"].startswith("/confirm?factor=1&next="), path
    assert (await otto.get("/settings/security/app")).headers["location"].startswith("/confirm?f")

    page = await otto.get("/confirm?factor=1&next=/settings/security")
    assert page.status_code == 200
    assert 'type="password"' not in page.text
    form = {"factor": "1", "next": "/settings/security"}
    wrong = await otto.post("/confirm/code", form | {"code": "000000"})
    assert wrong.status_code == 422
    assert 'type="password"' not in wrong.text
    shown = await otto.post("/confirm/code", form | {"code": code()})
    assert shown.headers["location"] == "/settings/security"

    begun = await otto.post("/settings/security/app")
    assert begun.headers["location"] == "/settings/security/app"
    assert (await otto.follow(begun)).status_code == 200


async def test_others_change_theirs_and_an_operator_sets_up_the_first(place: Place):
    ada, otto = await place.member("ada"), await place.member("otto")

    async def steps(tx: Tx) -> None:
        assert ada.id
        assert otto.id
        await two_steps.set_code_app(tx, ada.id, SECRET, used=0)
        assert await operators.add(tx, otto.id)

    await place.town.do(steps)
    for each in (ada, otto):
        begun = await each.post("/settings/security/app")
        assert begun.headers["location"] == "/settings/security/app"


async def test_whose_address_nobody_verified_becomes_no_operator(place: Place):
    otto = await place.member("otto")

    async def becomes_one(tx: Tx) -> list[bool]:
        await tx.execute("update accounts set verified_at = null where member_id = %s", (otto.id,))
        before = await operators.add(tx, otto.id)
        await accounts.verify(tx, otto.id)
        return [before, await operators.add(tx, otto.id)]

    assert await place.town.do(becomes_one) == [False, True]


async def test_who_signs_in_with_a_code_is_not_asked_for_the_next_one(place: Place, otto: Browser):
    browser = place.browser()
    email = f"{otto.id}@overture.example"
    await browser.post("/login", {"email": email, "password": PASSWORD, "next": "/ops/audit"})
    await browser.post("/login/code", {"code": code(), "next": "/ops/audit"})
    assert (await browser.get("/ops/audit")).status_code == 303
    assert "autofocus>Enter" in (await browser.get("/ops/enter")).text

    entered = await browser.post("/ops/enter", {"next": "/ops/audit"})

    assert (await browser.follow(entered)).status_code == 200


async def test_without_a_second_factor_one_is_led_to_set_one_up(place: Place):
    otto = await place.member("otto")
    await place.town.do(lambda tx: operators.add(tx, otto.id))

    door = await otto.get("/ops/enter")

    assert 'href="/settings/security"' in door.text
    assert "You have neither yet" in text_of(door)
    assert "/ops/enter/code" not in door.text


@pytest.mark.parametrize(
    ("columns", "within", "over"),
    [
        ("console_seen_at", "29 minutes", "2 minutes"),
        ("console_at", "11 hours 59 minutes", "2 minutes"),
    ],
)
async def test_the_console_shuts_by_itself(place: Place, columns: str, within: str, over: str):
    otto = await place.operator("otto")
    await place.factor_grows_stale(otto.id)
    await passes(place, columns, within)
    assert (await otto.get("/ops/audit", live="anew")).status_code == 200

    # What the page asks by itself kept nothing open.
    await passes(place, columns, over)

    assert (await otto.get("/ops/audit")).headers["location"].startswith("/ops/enter")


async def test_who_uses_the_console_stays_in_it(place: Place):
    otto = await place.operator("otto")
    await passes(place, "console_seen_at", "29 minutes")
    assert (await otto.get("/ops/audit")).status_code == 200
    await passes(place, "console_seen_at", "29 minutes")
    assert (await otto.get("/ops/audit")).status_code == 200


async def test_who_leaves_shows_a_second_factor_to_come_back(place: Place):
    otto = await place.operator("otto")
    assert (await otto.post("/ops/leave")).headers["location"] == "/inbox"

    assert (await otto.get("/ops/audit")).status_code == 303
    assert (await otto.post("/ops/enter")).headers["location"].startswith("/ops/enter")
    assert (await otto.get("/ops/audit")).status_code == 303
    assert (f"operator:{otto.id}", "operator.left") in await audited(place)


async def test_who_is_an_operator_no_more_is_out_at_once(place: Place):
    otto = await place.operator("otto")
    assert (await otto.get("/ops/audit")).status_code == 200

    await place.town.do(lambda tx: operators.remove(tx, otto.id))

    assert (await otto.get("/ops/audit")).status_code == 404


async def test_only_pages_of_the_console_are_gone_on_to(place: Place, otto: Browser):
    for then in ("https://elsewhere.example/", "//elsewhere.example", "/inbox", "/ops/enter"):
        page = await otto.get(f"/ops/enter?next={then}")
        assert re.search(r'name="next" value="([^"]*)"', page.text)[1] == "/ops"


# The audit log ------------------------------------------------------------------------------------


async def test_the_audit_log_is_found_in_and_proven(place: Place):
    otto, ada = await place.operator("otto"), await place.member("ada")
    await otto.post("/ops/leave")
    await place.town.do(
        lambda tx: tx.execute("update sessions set factor_at = now() where factor_at is null")
    )
    await otto.post("/ops/enter")

    page = text_of(await otto.get("/ops/audit"))
    assert "operator.entered" in page
    assert "Otto" in page
    kind = text_of(await otto.get("/ops/audit?action=operator.left"))
    assert kind.count("operator.left") > kind.count("operator.entered")
    assert "Nothing of that kind" in text_of(await otto.get("/ops/audit?member=ada"))
    assert "operator.left" in text_of(await otto.get(f"/ops/audit?member={otto.id}"))
    assert "There is no such member" in text_of(await otto.get("/ops/audit?member=nobody"))
    assert "Nothing of that kind" in text_of(await otto.get("/ops/audit?until=2001-01-01"))
    assert ada.id

    assert "2 entries" in text_of(await otto.get("/ops/audit/verify"))
    await place.town.do(_forge)
    assert "Entry 1 was changed or taken out" in text_of(await otto.get("/ops/audit/verify"))


async def _forge(tx: Tx) -> None:
    await tx.execute("grant update on audit to current_user")
    await tx.execute("update audit set actor = 'nobody' where number = 1")
    await tx.execute("revoke update on audit from current_user")


@pytest.mark.parametrize("day", ["9999-12-31", "0001-01-01", "yesterday"])
async def test_a_day_at_the_edge_of_the_calendar_is_no_fault(place: Place, day: str):
    otto = await place.operator("otto")

    assert (await otto.get("/ops/audit", params={"until": day})).status_code == 200
