"""Accounts as people meet them: signing up, in and out, links from mails, their settings."""

from __future__ import annotations

import re
from email import message_from_bytes
from email.policy import default

import argon2
import pytest

from overture import ids
from overture.actions import members, passwords
from overture.core.browsers import Told, told_of
from overture.core.ids import MemberId
from overture.store import mailboxes
from overture.store.db import all_rows
from overture.web.sessions import local
from tests.web.conftest import PASSWORD, PUBLIC_URL, text_of
from tests.work import runner_in

ADA = {
    "name": "Ada Byron",
    "email": "ada@example.org",
    "password": PASSWORD,
    "time_zone": "Europe/Paris",
}
SIGN_IN = {"email": ADA["email"], "password": PASSWORD}


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch):
    passwords.nobodys.cache_clear()
    hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "_HASHER", hasher)
    yield
    passwords.nobodys.cache_clear()


@pytest.fixture
def mailbox(place, tmp_path):
    """Sends what waits: the mails that came, as (to, subject, text)."""
    runner = runner_in(place.town, tmp_path / "mail", public_url=PUBLIC_URL)

    async def opened():
        await runner.play(place.town.now)
        mails = []
        for file in sorted((tmp_path / "mail").glob("*.eml")):
            mail = message_from_bytes(file.read_bytes(), policy=default)
            text = mail.get_body(("plain",)).get_content()
            mails.append((mail["to"].addresses[0].addr_spec, mail["subject"], text))
            file.unlink()
        return mails

    return opened


async def link_of(mailbox):
    """The path of the link in the one mail that came."""
    ((_, _, text),) = await mailbox()
    (link,) = re.findall(r"http://\S+", text)
    return link.removeprefix(PUBLIC_URL)


def hidden(answer, name):
    return re.search(rf'name="{name}" value="([^"]*)"', answer.text)[1]


async def signed_up(place, **more):
    browser = place.browser()
    answer = await browser.post("/signup", ADA | more)
    assert answer.status_code == 303, text_of(answer)
    return browser


async def signed_in(place, **more):
    browser = place.browser()
    answer = await browser.post("/login", SIGN_IN | more)
    assert (answer.status_code, answer.headers["location"]) == (303, "/inbox"), text_of(answer)
    return browser


async def is_in(browser):
    return (await browser.get("/settings/account")).status_code == 200


# Signing up and in ------------------------------------------------------------------------------


async def test_one_signs_up_signs_in_and_is_there(place):
    browser = await signed_up(place)

    page = await browser.get("/login?new=1")
    assert "sign in with the password you have just chosen" in text_of(page)
    assert 'value="ada@example.org"' in page.text
    answer = await browser.post("/login", SIGN_IN)

    assert answer.headers["location"] == "/inbox"
    account = text_of(await browser.get("/settings/account"))
    assert "ada@example.org" in account
    assert "Not verified yet" in account
    assert "/in/ada-byron" in account


async def test_the_pages_of_one_who_is_signed_in_already_lead_on(place):
    await signed_up(place)
    browser = await signed_in(place)

    assert (await browser.get("/login?next=/premium")).headers["location"] == "/premium"
    assert (await browser.get("/signup")).headers["location"] == "/inbox"


async def test_what_is_wrong_stands_beside_its_field_and_what_was_typed_stays(place):
    answer = await place.browser().post("/signup", ADA | {"email": "nobody", "password": "short"})

    assert answer.status_code == 422
    assert 'aria-describedby="email-error email-hint" aria-invalid="true"' in answer.text
    assert "This is no e-mail address." in text_of(answer)
    assert "Use at least 8 characters." in text_of(answer)
    assert 'value="Ada Byron"' in answer.text
    assert "short" not in answer.text


async def test_a_time_zone_that_the_browser_made_up_is_no_hindrance(place):
    await signed_up(place, time_zone="Mars/Base")

    zones = await place.town.look(lambda tx: all_rows(tx, "select time_zone from members"))

    assert zones == [("UTC",)]


async def test_signing_up_looks_the_same_whether_the_address_is_known_or_not(place, mailbox):
    await signed_up(place)
    await mailbox()

    known = await place.browser().post(
        "/signup", ADA | {"name": "Eve", "password": "another 1 here"}
    )
    unknown = await place.browser().post("/signup", ADA | {"email": "eve@example.org"})

    assert _shown(known) == _shown(unknown)
    assert [(to, subject) for to, subject, _ in await mailbox()] == [
        ("ada@example.org", "You have an account already"),
        ("eve@example.org", "Welcome to Overture"),
    ]


async def test_signing_in_says_the_same_of_a_wrong_password_and_an_unknown_address(place):
    await signed_up(place)

    wrong = await place.browser().post("/login", SIGN_IN | {"password": "not the one"})
    unknown = await place.browser().post("/login", SIGN_IN | {"email": "adb@example.org"})

    assert wrong.status_code == unknown.status_code == 422
    assert _shown(wrong) == _shown(unknown, "adb@example.org")
    assert "do not belong together" in text_of(wrong)


async def test_the_session_cookie_is_kept_from_scripts_and_other_sites(place):
    await signed_up(place)

    answer = await place.browser().post("/login", SIGN_IN)

    cookies = answer.headers.get_list("set-cookie")
    (session,) = [each for each in cookies if each.startswith("session=")]
    assert "HttpOnly" in session
    assert "SameSite=lax" in session
    assert "Path=/" in session


async def test_too_many_tries_are_told_and_wait(place):
    await signed_up(place)
    for _ in range(10):
        await place.browser().post("/login", SIGN_IN | {"password": "not the one"})

    answer = await place.browser().post("/login", SIGN_IN)

    assert answer.status_code == 429
    assert "tried too often" in text_of(answer)


async def test_signing_in_leads_to_where_one_wanted_to_go(place):
    await signed_up(place)
    browser = place.browser()

    asked = await browser.get("/premium?a=b")
    page = await browser.follow(asked)
    assert hidden(page, "next") == "/premium?a=b"
    answer = await browser.post("/login", SIGN_IN | {"next": "/premium?a=b"})

    assert answer.headers["location"] == "/premium?a=b"


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/\tevil",
        "//[evil",
        "evil",
        "",
    ],
)
async def test_signing_in_leads_nowhere_else(place, elsewhere):
    assert local(elsewhere) == "/inbox"


async def test_signing_out_ends_the_session(place):
    await signed_up(place)
    browser = await signed_in(place)
    session = browser.http.cookies["session"]

    answer = await browser.post("/logout")

    assert answer.headers["location"] == "/login"
    browser.http.cookies.set("session", session, domain="overture.example")
    assert not await is_in(browser)


async def test_a_form_of_another_site_signs_nobody_in_or_out(place):
    await signed_up(place)
    browser = await signed_in(place)

    foreign = {"Sec-Fetch-Site": "cross-site"}
    assert (await browser.post("/logout", headers=foreign)).status_code == 403
    assert (await place.browser().post("/login", SIGN_IN, headers=foreign)).status_code == 403
    assert await is_in(browser)


# Links from mails -------------------------------------------------------------------------------


async def test_an_address_is_verified_by_the_link_in_a_mail_once(place, mailbox):
    await signed_up(place)
    browser = await signed_in(place)
    link = await link_of(mailbox)

    # Looking does not use it up: mail programs do so by themselves.
    page = await browser.get(link)
    assert "Ada Byron signed up with ada@example.org" in text_of(await browser.get(link))
    answer = await browser.post("/verify", {"link": hidden(page, "link")})

    assert "this address is yours" in text_of(await browser.follow(answer))
    assert "Not verified" not in text_of(await browser.get("/settings/account"))
    assert (await browser.get(link)).status_code == 410


async def test_an_address_that_mail_came_back_from_is_verified_again(place, mailbox):
    await signed_up(place)
    browser = await signed_in(place)
    page = await browser.get(await link_of(mailbox))
    await browser.post("/verify", {"link": hidden(page, "link")})
    rows = await place.town.look(lambda tx: all_rows(tx, "select member_id from accounts"))
    found = (await place.town.look(lambda tx: mailboxes.of(tx, [rows[0][0]])))[rows[0][0]]
    await place.town.do(lambda tx: mailboxes.fail(tx, found, "5.1.1", place.town.now))
    assert "came back" in text_of(await browser.get("/settings/account"))

    await browser.post("/settings/account/verify")
    page = await browser.get(await link_of(mailbox))
    await browser.post("/verify", {"link": hidden(page, "link")})

    account = text_of(await browser.get("/settings/account"))
    assert "came back" not in account
    assert "Not verified" not in account


async def test_the_mail_to_verify_is_sent_again_on_request(place, mailbox):
    await signed_up(place)
    browser = await signed_in(place)
    await mailbox()

    await browser.post("/settings/account/verify")

    assert (await link_of(mailbox)).startswith("/verify?link=")


async def test_a_forgotten_password_is_set_anew(place, mailbox):
    await signed_up(place)
    old = await signed_in(place)
    await mailbox()
    browser = place.browser()

    sent = await browser.follow(await browser.post("/reset", {"email": "ada@example.org"}))
    assert "a mail with a link is on its way" in text_of(sent)
    page = await browser.get(await link_of(mailbox))
    form = {"link": hidden(page, "link"), "password": "another good one"}
    assert (await browser.post("/reset/new", form | {"password": "byron123"})).status_code == 422
    answer = await browser.post("/reset/new", form)

    assert answer.headers["location"] == "/login"
    assert not await is_in(old)
    assert (await browser.post("/login", SIGN_IN)).status_code == 422
    await signed_in(place, password="another good one")
    assert (await browser.post("/reset/new", form)).status_code == 410


async def test_asking_for_a_new_password_looks_the_same_for_an_unknown_address(place, mailbox):
    await signed_up(place)
    await mailbox()

    known = await place.browser().post("/reset", {"email": "ada@example.org"})
    unknown = await place.browser().post("/reset", {"email": "eve@example.org"})

    assert _shown(known) == _shown(unknown)
    assert [to for to, _, _ in await mailbox()] == ["ada@example.org"]


async def test_an_imported_profile_is_claimed_by_mail(place, mailbox):
    new = members.NewMember(
        MemberId(ids.new()), "grace", "Grace Hopper", email="grace@example.org", claimed=False
    )
    await place.town.do(lambda tx: members.create(tx, new, place.town.now))
    browser = place.browser()
    await browser.post("/signup", ADA | {"name": "G. Hopper", "email": "Grace@example.org"})

    ((to, subject, text),) = await mailbox()
    assert (to, subject) == ("grace@example.org", "Your profile is waiting for you")
    page = await browser.get(re.search(r"http://\S+", text)[0].removeprefix(PUBLIC_URL))
    assert "Welcome, Grace Hopper" in text_of(page)
    form = {"link": hidden(page, "link"), "password": "another good one"}
    await browser.post("/reset/new", form)

    await signed_in(place, email="grace@example.org", password="another good one")
    found = await place.town.look(lambda tx: all_rows(tx, "select id, claimed from members"))
    assert found == [(new.id, True)]


@pytest.mark.parametrize("path", ["/verify", "/reset/new"])
@pytest.mark.parametrize("link", ["", "nonsense", "é" * 100])
async def test_a_link_that_is_none_says_what_to_do(place, path, link):
    answer = await place.browser().get(path, params={"link": link})

    assert answer.status_code == 410
    assert "Ask for a new one." in text_of(answer)


# The settings -----------------------------------------------------------------------------------


async def test_the_password_is_changed_with_the_one_before(place):
    await signed_up(place)
    browser, other = await signed_in(place), await signed_in(place)
    form = {"current": PASSWORD, "password": "another good one"}

    refused = await browser.post("/settings/account/password", form | {"current": "not the one"})
    assert refused.status_code == 422
    assert "This is not your password." in text_of(refused)
    done = await browser.post("/settings/account/password", form)

    assert done.status_code == 303
    assert await is_in(browser)
    assert not await is_in(other)


async def test_the_address_is_changed_by_the_link_that_goes_to_the_new_one(place, mailbox):
    await signed_up(place)
    browser = await signed_in(place)
    await mailbox()

    form = {"email": "new@example.org"}
    refused = await browser.post("/settings/account/email", {"email": "new"})
    assert refused.status_code == 422
    assert "This is no e-mail address." in text_of(refused)
    await browser.post("/settings/account/email", form)
    ((to, _, text),) = await mailbox()
    assert to == "new@example.org"
    page = await browser.get(re.search(r"http://\S+", text)[0].removeprefix(PUBLIC_URL))
    await browser.post("/verify", {"link": hidden(page, "link")})

    assert "new@example.org" in text_of(await browser.get("/settings/account"))
    await signed_in(place, email="new@example.org")


async def test_the_handle_can_be_changed_to_one_that_nobody_has(place):
    await place.member("grace")
    await signed_up(place)
    browser = await signed_in(place)

    taken = await browser.post("/settings/account/handle", {"handle": "grace"})
    assert "Another member has this handle." in text_of(taken)
    assert (await browser.post("/settings/account/handle", {"handle": "!"})).status_code == 422
    await browser.post("/settings/account/handle", {"handle": "Countess"})

    assert "/in/countess" in text_of(await browser.get("/settings/account"))


async def test_one_sees_where_one_is_signed_in_and_ends_what_one_does_not_know(place):
    await signed_up(place)
    browser, other, third = [await signed_in(place) for _ in range(3)]

    page = await browser.get("/settings/sessions")
    assert "3 browsers" in text_of(page)
    assert text_of(page).count("This browser") == 1
    end = re.findall(r'action="(/settings/sessions/[0-9a-f-]{36}/end)"', page.text)
    assert len(end) == 2
    await browser.post(end[0])
    assert [await is_in(each) for each in (browser, other, third)].count(True) == 2

    await browser.post("/settings/sessions/others/end")
    assert [await is_in(each) for each in (browser, other, third)] == [True, False, False]

    answer = await browser.post("/settings/sessions/all/end")
    assert answer.headers["location"] == "/login"
    assert not await is_in(browser)


@pytest.mark.parametrize(
    ("forwarded", "shown"),
    [
        ("203.0.113.5, 198.51.100.1", "198.51.100.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("nonsense", "127.0.0.1"),
        ("", "127.0.0.1"),
    ],
)
async def test_a_proxy_on_this_machine_is_believed_where_browsers_come_from(
    place, forwarded, shown
):
    await signed_up(place)
    browser = place.browser()
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}

    await browser.post("/login", SIGN_IN, headers=headers)

    assert f"from {shown}" in text_of(await browser.get("/settings/sessions"))


async def test_a_proxy_elsewhere_is_not(place):
    await signed_up(place)
    place.transport.client = ("192.0.2.77", 1)
    browser = place.browser()

    await browser.post("/login", SIGN_IN, headers={"X-Forwarded-For": "198.51.100.1"})

    assert "from 192.0.2.77" in text_of(await browser.get("/settings/sessions"))


async def test_an_address_in_another_script_signs_up_and_in(place):
    browser = await signed_up(place, email="ada@例え.example")

    page = await browser.get("/login?new=1")
    assert 'value="ada@例え.example"' in page.text
    await signed_in(place, email="ada@例え.example")


async def test_nobody_ends_anothers_session(place):
    await signed_up(place)
    ada, eve = await signed_in(place), await place.member("eve")
    rows = await place.town.look(
        lambda tx: all_rows(tx, "select id from sessions where member_id <> %s", (eve.id,))
    )

    for (session,) in rows:
        await eve.post(f"/settings/sessions/{session}/end")

    assert await is_in(ada)


@pytest.mark.parametrize(
    ("agent", "told"),
    [
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
            ("Firefox", "Linux"),
        ),
        (
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, "
                "like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"
            ),
            ("Safari", "iPhone"),
        ),
        (
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
                "Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0"
            ),
            ("Edge", "Windows"),
        ),
        ("curl/8.5", (None, None)),
        ("", (None, None)),
    ],
)
def test_a_browser_is_called_what_its_owner_would_call_it(agent, told):
    assert told_of(agent) == Told(*told)


def _shown(answer, email=""):
    """Everything of an answer that a stranger can look at, as if `email` had been Ada's."""
    text = answer.text.replace(email, "ada@example.org") if email else answer.text
    names = sorted({each.partition("=")[0] for each in answer.headers.get_list("set-cookie")})
    return answer.status_code, answer.headers.get("location"), names, text
