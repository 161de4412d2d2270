"""Signing in through an identity provider that answers over HTTP, and lies in every way it can."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import argon2
import httpx
import pytest
from joserfc.jwk import RSAKey

from overture import ids
from overture.actions import accounts as actions
from overture.actions import members, passwords
from overture.core.ids import MemberId
from overture.identity import KEPT_FOR, KEYS_EVERY, Client, client_of
from overture.settings import SettingProblem, read
from overture.store import accounts
from overture.store import identities as identity_store
from overture.store.db import all_rows
from tests.provider import CLIENT, SECRET, Provider, Someone, provider, secret_key
from tests.web.conftest import PASSWORD, PUBLIC_URL, Browser, Place, overtaken, text_of

ADA = Someone("ada-at-work", "ada@example.org", True, "Ada Byron")


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch):
    passwords.nobodys.cache_clear()
    hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "_HASHER", hasher)
    yield
    passwords.nobodys.cache_clear()


@pytest.fixture
def there() -> Iterator[Provider]:
    with provider() as made:
        made.someone = ADA
        yield made


@pytest.fixture
def identity_client(there: Provider) -> Client:
    return Client(there.issuer, CLIENT, SECRET, "Work", external_ids=True)


async def goes(browser: Browser, path: str = "/login/identity") -> str:
    """Follows a link to the provider, and says yes there: the path on which one comes back."""
    answer = await browser.get(path)
    assert answer.status_code == 303, text_of(answer)
    # The provider is asked over the network, as a browser would; it must not wait for us meanwhile.
    url = answer.headers["location"]
    there = await asyncio.to_thread(httpx.get, url)
    assert "Yes, go on" in there.text, url
    back = await asyncio.to_thread(httpx.post, url)
    location = back.headers["location"]
    assert location.startswith(PUBLIC_URL + "/login/identity/back?"), location
    return location.removeprefix(PUBLIC_URL)


async def signs_in(place: Place, browser: Browser | None = None) -> httpx.Response:
    browser = browser or place.browser()
    return await browser.get(await goes(browser))


async def comes_in(place: Place) -> Browser:
    browser = place.browser()
    answer = await signs_in(place, browser)
    assert answer.headers["location"] == "/inbox", text_of(await browser.follow(answer))
    return browser


async def refused(place: Place) -> str:
    """What is said to one who does not get in."""
    browser = place.browser()
    answer = await signs_in(place, browser)
    assert "session" not in browser.http.cookies
    assert answer.headers["location"] == "/login"
    return text_of(await browser.follow(answer))


async def rows(place: Place, statement: Any, *params: object) -> list[tuple[Any, ...]]:
    return await place.town.look(lambda tx: all_rows(tx, statement, params))


async def with_address(place: Place, member: MemberId, email: str, *, verified: bool) -> None:
    async def give(tx):
        await accounts.drop_address(tx, f"{member}@overture.example", member)
        await accounts.take_address(tx, email.lower(), member)
        await tx.execute(
            "update accounts set email = %s, verified_at = case when %s then now() end "
            "where member_id = %s",
            (email, verified, member),
        )

    await place.town.do(give)


# Who one is here --------------------------------------------------------------------------------


async def test_somebody_new_has_an_account_without_a_password(place: Place, there: Provider):
    page = await place.browser().get("/login")
    assert "Sign in through Work" in text_of(page)

    browser = await comes_in(place)

    ((member, name, email, password, verified),) = await rows(
        place,
        "select m.id, m.name, a.email, a.password, a.verified_at from accounts a"
        " join members m on m.id = a.member_id",
    )
    assert (name, email, password) == ("Ada Byron", "ada@example.org", None)
    assert verified is not None
    account = text_of(await browser.get("/settings/account"))
    assert "You have none: you sign in another way." in account
    # And is the same the next time, whatever their address is by then.
    there.someone = Someone("ada-at-work", "married@example.org", False, "Countess")
    await comes_in(place)
    assert await rows(place, "select member_id from identities") == [(member,)]
    assert len(await rows(place, "select from members")) == 1


async def test_no_password_fits_who_has_none(place: Place, there: Provider):
    await comes_in(place)

    for password in ("", "None", PASSWORD):
        form = {"email": "ada@example.org", "password": password}
        answer = await place.browser().post("/login", form)
        assert answer.status_code == 422
        assert "do not belong together" in text_of(answer)


async def test_a_verified_address_links_to_the_account_that_verified_it(
    place: Place, there: Provider
):
    ada = await place.member("ada")
    await with_address(place, ada.id, "Ada@Example.org", verified=True)

    browser = await comes_in(place)

    assert await rows(place, "select member_id from identities") == [(ada.id,)]
    assert "/in/ada" in text_of(await browser.get("/settings/account"))


async def test_an_address_that_the_provider_did_not_verify_links_to_nothing(
    place: Place, there: Provider
):
    ada = await place.member("ada")
    await with_address(place, ada.id, "ada@example.org", verified=True)

    for unsure in (False, None, "false", 0, "yes"):
        there.someone = Someone("eve", "ada@example.org", unsure, "Eve")
        assert "not verified where you sign in" in await refused(place)

    assert await rows(place, "select from identities") == []
    assert len(await rows(place, "select from accounts")) == 1


async def test_an_account_whose_address_nobody_verified_is_not_taken_for_the_owners(
    place: Place, there: Provider
):
    """Else whoever signed up with somebody's address would share the account with them."""
    mallory = await place.member("mallory")
    await with_address(place, mallory.id, "ada@example.org", verified=False)

    assert "nobody has shown yet that it is theirs" in await refused(place)
    assert await rows(place, "select from identities") == []


async def test_what_a_stranger_left_in_such_an_account_goes_with_the_owners_new_password(
    place: Place, there: Provider
):
    mallory = await place.member("mallory")
    there.someone = Someone("mallory-at-work", "mallory@example.org", True, "M")
    link = await goes(mallory, "/settings/security/identity")
    assert (await mallory.get(link)).status_code == 303
    await with_address(place, mallory.id, "ada@example.org", verified=False)
    secret = ids.new_secret()

    async def mail(tx):
        mine = await accounts.of(tx, mallory.id)
        await actions._with_link(tx, actions.Mail.RESET, mine, "ada@example.org", secret)

    await place.town.do(mail)
    form = {"link": secret, "password": "the real ada is here"}
    assert (await place.browser().post("/reset/new", form)).headers["location"] == "/login"

    assert await rows(place, "select from identities") == []
    there.someone = ADA
    await comes_in(place)
    assert await rows(place, "select subject from identities") == [("ada-at-work",)]


async def test_whom_the_operator_knows_by_their_id_there_is_that_member(
    place: Place, there: Provider
):
    there.someone = Someone("ada-at-work", None, None, "Ada Byron")
    new = members.NewMember(
        MemberId(ids.new()), "ada", "Ada", email="ada@work.example", external_id="ada-at-work"
    )
    await place.town.do(lambda tx: members.create(tx, new, place.town.now))

    browser = await comes_in(place)

    ((member, email, verified),) = await rows(
        place, "select member_id, email, verified_at from accounts"
    )
    # Who has the address is still to be shown.
    assert (member, email, verified) == (new.id, "ada@work.example", None)
    assert "/in/ada" in text_of(await browser.get("/settings/account"))


async def test_external_ids_of_another_kind_link_to_nobody(place: Place, there: Provider):
    """Two systems that both count from one have the same ids for different people."""
    place.site.provider.client = replace(place.site.provider.client, external_ids=False)
    there.someone = Someone("1", "ada@example.org", True, "Ada")
    new = members.NewMember(
        MemberId(ids.new()), "eve", "Eve", email="eve@work.example", external_id="1"
    )
    await place.town.do(lambda tx: members.create(tx, new, place.town.now))

    await comes_in(place)

    assert await rows(place, "select count(*) from identities where member_id = %s", new.id) == [
        (0,)
    ]


async def test_an_imported_member_is_claimed_by_their_verified_address(
    place: Place, there: Provider
):
    new = members.NewMember(
        MemberId(ids.new()), "ada", "Ada", email="ada@example.org", claimed=False
    )
    await place.town.do(lambda tx: members.create(tx, new, place.town.now))

    await comes_in(place)

    assert await rows(place, "select id, claimed from members") == [(new.id, True)]


async def test_a_member_who_has_left_is_not_let_in_again_as_the_same(place: Place, there: Provider):
    browser = await comes_in(place)
    await browser.post("/settings/data/close")
    assert await rows(place, "select from identities") == []

    await comes_in(place)

    assert len(await rows(place, "select from members where closed_at is null")) == 1
    assert len(await rows(place, "select from members")) == 2


async def test_two_at_once_make_one_member(place: Place, there: Provider):
    browsers = [place.browser() for _ in range(3)]
    links = [await goes(each) for each in browsers]

    answers = await asyncio.gather(
        *(each.get(link) for each, link in zip(browsers, links, strict=True))
    )

    assert [each.status_code for each in answers] == [303] * 3, [text_of(e) for e in answers]
    assert len(await rows(place, "select from members")) == 1
    assert len(await rows(place, "select from sessions")) == 3


async def test_who_finds_nobody_and_is_overtaken_is_the_one_who_came_first(
    place: Place, there: Provider, monkeypatch: pytest.MonkeyPatch
):
    slow, quick = place.browser(), place.browser()
    link, other = await goes(slow), await goes(quick)

    async with overtaken(monkeypatch, identity_store, "whose") as looked:
        coming = asyncio.create_task(slow.get(link))
        await looked.wait()
        assert (await quick.get(other)).headers["location"] == "/inbox"

    assert (await coming).headers["location"] == "/inbox"
    assert len(await rows(place, "select from members")) == 1
    assert len(await rows(place, "select from sessions")) == 2


async def test_whom_the_operator_knows_may_come_twice_at_once(
    place: Place, there: Provider, monkeypatch: pytest.MonkeyPatch
):
    there.someone = Someone("ada-at-work", "ada@example.org", True, "Ada")
    new = members.NewMember(
        MemberId(ids.new()), "ada", "Ada", email="ada@example.org", external_id="ada-at-work"
    )
    await place.town.do(lambda tx: members.create(tx, new, place.town.now))
    slow, quick = place.browser(), place.browser()
    link, other = await goes(slow), await goes(quick)

    # That there is no account yet is the last that the slow one finds before the quick one comes.
    async with overtaken(monkeypatch, accounts, "of") as looked:
        coming = asyncio.create_task(slow.get(link))
        await looked.wait()
        assert (await quick.get(other)).headers["location"] == "/inbox"

    assert (await coming).headers["location"] == "/inbox"
    assert await rows(place, "select member_id from identities") == [(new.id,)]


# Linking, being asked again, leaving ------------------------------------------------------------


async def test_a_member_links_the_two_and_unlinks_them(place: Place, there: Provider):
    ada = await place.member("ada")
    assert "Link the two" in text_of(await ada.get("/settings/security"))
    there.someone = Someone("ada-at-work", "whatever@example.org", False)

    done = await ada.get(await goes(ada, "/settings/security/identity"))
    assert "You can sign in through Work from now on." in text_of(await ada.follow(done))
    await comes_in(place)

    done = await ada.post("/settings/security/identity/remove")
    assert "You do not sign in through it any more." in text_of(await ada.follow(done))
    assert "not verified where you sign in" in await refused(place)


async def test_the_last_way_in_is_not_taken_away(place: Place, there: Provider):
    browser = await comes_in(place)

    done = await browser.post("/settings/security/identity/remove")

    assert "It is the only way in that you have." in text_of(await browser.follow(done))
    await comes_in(place)


async def test_one_of_there_is_one_member_here_and_the_other_way_about(
    place: Place, there: Provider
):
    await comes_in(place)
    eve = await place.member("eve")
    done = await eve.get(await goes(eve, "/settings/security/identity"))
    assert "linked already" in text_of(await eve.follow(done))

    there.someone = Someone("eve-at-work", None)
    await eve.get(await goes(eve, "/settings/security/identity"))
    there.someone = Someone("eve-at-home", None)
    done = await eve.get(await goes(eve, "/settings/security/identity"))
    assert "linked already" in text_of(await eve.follow(done))
    assert len(await rows(place, "select from identities")) == 2


async def test_what_one_began_is_not_ended_by_another_who_sits_there_by_then(
    place: Place, there: Provider
):
    ada, eve = await place.member("ada"), await place.member("eve")
    link = await goes(ada, "/settings/security/identity")
    ada.http.cookies.set("session", eve.http.cookies["session"], domain="overture.example")

    done = await ada.get(link)

    assert done.headers["location"] == "/login"
    assert await rows(place, "select from identities") == []


async def test_signing_in_there_again_shows_who_one_is(place: Place, there: Provider):
    browser = await comes_in(place)
    ((member,),) = await rows(place, "select member_id from identities")
    await place.grows_stale(member)
    page = await browser.follow(await browser.get("/settings/account/email"))
    assert "Sign in again through Work" in text_of(page)
    assert 'name="password"' not in page.text

    # Having been signed in there for long shows nothing.
    there.lies = {"auth_time": int(time.time()) - 3600}
    done = await browser.get(await goes(browser, "/confirm/identity?next=/settings/account/email"))
    assert "/confirm" in (await browser.follow(done)).headers["location"]
    there.lies = {}
    done = await browser.get(await goes(browser, "/confirm/identity?next=/settings/account/email"))

    assert (await browser.follow(done)).status_code == 200


async def test_nor_does_it_show_who_somebody_else_is(place: Place, there: Provider):
    browser = await comes_in(place)
    ((member,),) = await rows(place, "select member_id from identities")
    await place.grows_stale(member)
    there.someone = Someone("eve-at-work", "eve@example.org")

    await browser.get(await goes(browser, "/confirm/identity"))

    assert "/confirm" in (await browser.get("/settings/account/email")).headers["location"]


async def test_who_signs_out_can_sign_out_there_too(place: Place, there: Provider):
    browser = await comes_in(place)

    page = await browser.follow(await browser.post("/logout"))

    assert "perhaps not yet at Work" in text_of(page)
    answer = await browser.get("/logout/identity")
    back = await asyncio.to_thread(httpx.get, answer.headers["location"])
    assert there.signed_out == 1
    assert back.headers["location"] == PUBLIC_URL + "/login"
    # Who signed in with a password is not asked.
    ada = await place.member("ada")
    assert (await ada.post("/logout")).headers["location"] == "/login"


# What must not be believed ----------------------------------------------------------------------

LIES: dict[str, dict[str, Any]] = {
    "another nonce": {"nonce": "another"},
    "no nonce": {"nonce": None},
    "another audience": {"aud": "another"},
    "two audiences and nobody who asked": {"aud": [CLIENT, "another"]},
    "asked for by another": {"aud": [CLIENT, "another"], "azp": "another"},
    "no audience": {"aud": None},
    "another issuer": {"iss": "https://evil.example"},
    "over": {"exp": 1},
    "never over": {"exp": None},
    "of the future": {"iat": 4102444800},
    "nobody": {"sub": ""},
    "a number": {"sub": 7},
    "too long": {"sub": "x" * 300},
}


@pytest.mark.parametrize("lies", LIES.values(), ids=LIES)
async def test_a_token_that_does_not_fit_lets_nobody_in(
    place: Place, there: Provider, lies: dict[str, Any]
):
    there.lies = lies

    assert "Signing in elsewhere did not work." in await refused(place)
    assert await rows(place, "select from members") == []
    there.lies = {}
    await comes_in(place)


async def test_a_token_that_another_key_signed_lets_nobody_in(place: Place, there: Provider):
    there.signs_with = RSAKey.generate_key(2048)
    assert "did not work" in await refused(place)

    there.signs_with, there.algorithm = secret_key(), "HS256"
    assert "did not work" in await refused(place)

    there.signs_with, there.algorithm = None, "none"
    assert "did not work" in await refused(place)
    assert await rows(place, "select from members") == []


async def test_a_new_key_is_asked_for_but_not_for_everybody_who_makes_one_up(
    place: Place, there: Provider, monkeypatch
):
    await comes_in(place)
    there.new_key()
    assert "did not work" in await refused(place)
    assert there.asked.count("keys") == 1

    # Half a minute later.
    kept_at, keys = place.site.provider._keys
    place.site.provider._keys = (kept_at - 2 * KEYS_EVERY, keys)
    await comes_in(place)
    assert there.asked.count("keys") == 2


@pytest.mark.parametrize("answers", [400, 500, 302])
async def test_a_provider_that_is_broken_is_told_and_hinders_no_password(
    place: Place, there: Provider, answers: int
):
    there.answers = answers

    assert "did not work" in await refused(place)
    ada = await place.member("ada")
    form = {"email": f"{ada.id}@overture.example", "password": PASSWORD}
    assert (await place.browser().post("/login", form)).headers["location"] == "/inbox"


@pytest.mark.parametrize(
    "said",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "ftp://evil.example"},
        {"jwks_uri": None},
        {"authorization_endpoint": 7},
    ],
    ids=lambda said: next(iter(said)),
)
async def test_a_provider_that_says_of_itself_what_cannot_be_is_not_gone_to(
    place: Place, there: Provider, monkeypatch: pytest.MonkeyPatch, said: dict[str, Any]
):
    long = timedelta(hours=1)
    monkeypatch.setattr("overture.identity.FAILED_FOR", long)
    there.said = said
    browser = place.browser()

    answer = await browser.get("/login/identity")

    assert answer.headers["location"] == "/login"
    assert "did not work" in text_of(await browser.follow(answer))
    # It is not asked by each who waited for it, but soon again.
    await browser.get("/login/identity")
    assert there.asked.count("discovery") == 1
    there.said = {}
    failed_at, problem = place.site.provider._failed
    place.site.provider._failed = (failed_at - 2 * long, problem)
    await comes_in(place)


async def test_what_a_provider_said_holds_while_it_is_away(
    place: Place, there: Provider, monkeypatch
):
    await comes_in(place)
    asked_at, found = place.site.provider._discovered
    place.site.provider._discovered = (asked_at - 2 * KEPT_FOR, found)
    there.said = {"issuer": "https://evil.example"}

    await comes_in(place)

    assert there.asked.count("discovery") == 2


async def test_an_answer_that_was_not_asked_for_in_this_browser_opens_nothing(
    place: Place, there: Provider
):
    """Else one could be signed in as somebody else without noticing."""
    mallory, ada = place.browser(), place.browser()
    link = await goes(mallory)

    assert (await ada.get(link)).headers["location"] == "/login"
    await goes(ada)
    assert (await ada.get(link)).headers["location"] == "/login"
    assert "session" not in ada.http.cookies
    assert (await mallory.get(link)).headers["location"] == "/inbox"
    # And once.
    again = place.browser()
    again.http.cookies.update(mallory.http.cookies)
    assert (await again.get(link)).headers["location"] == "/login"


@pytest.mark.parametrize("change", ["state=another", "iss=https://evil.example", "code=another"])
async def test_whatever_is_changed_on_the_way_back_opens_nothing(
    place: Place, there: Provider, change: str
):
    browser = place.browser()
    link = await goes(browser)
    name = change.partition("=")[0]

    answer = await browser.get(re.sub(rf"\b{name}=[^&]*", change, link))

    assert answer.headers["location"] == "/login"
    assert "session" not in browser.http.cookies


async def test_who_says_no_there_is_back_where_they_were(place: Place, there: Provider):
    browser = place.browser()
    link = await goes(browser)

    answer = await browser.get(re.sub(r"\bcode=[^&]*", "error=access_denied", link))

    assert "did not work" in text_of(await browser.follow(answer))


async def test_one_who_is_told_of_only_later_is_the_one_of_the_token(place: Place, there: Provider):
    there.tells_later = True
    await comes_in(place)
    assert await rows(place, "select email from accounts") == [("ada@example.org",)]

    there.someone = Someone("eve", "eve@example.org")
    there.told_later = {"sub": "somebody else"}
    assert "did not work" in await refused(place)


async def test_it_leads_to_where_one_wanted_and_nowhere_else(place: Place, there: Provider):
    browser = place.browser()
    link = await goes(browser, "/login/identity?next=/premium")
    assert (await browser.get(link)).headers["location"] == "/premium"

    browser = place.browser()
    link = await goes(browser, "/login/identity?next=https://evil.example")
    assert (await browser.get(link)).headers["location"] == "/inbox"


async def test_the_log_says_why_and_nothing_of_the_member(place: Place, there: Provider, caplog):
    there.lies = {"nonce": "another"}

    await refused(place)

    (record,) = [each for each in caplog.records if each.name == "overture.web"]
    assert "nonce" in record.getMessage()
    assert "ada" not in record.getMessage().lower()


# The settings -----------------------------------------------------------------------------------


def client(**given: str) -> Client | None:
    return client_of(
        read({}, {f"OVERTURE_OIDC_{name}".upper(): each for name, each in given.items()})
    )


def test_a_provider_is_named_by_its_settings():
    assert client() is None
    known = client(issuer="https://id.example.org/realm", client_id="us", client_secret="s")
    assert known == Client("https://id.example.org/realm", "us", "s", "id.example.org")
    named = client(issuer="http://127.0.0.1:9", client_id="us", name="Work")
    assert named == Client("http://127.0.0.1:9", "us", None, "Work")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"issuer": "http://id.example.org", "client_id": "us"}, "is not https"),
        ({"issuer": "id.example.org", "client_id": "us"}, "is not of the form"),
        ({"issuer": "https://id.example.org?x", "client_id": "us"}, "is not of the form"),
        ({"issuer": "https://id.example.org"}, "go together"),
        ({"client_id": "us"}, "go together"),
    ],
    ids=range(5),
)
def test_half_a_provider_is_refused_with_a_sentence(given: dict[str, str], said: str):
    with pytest.raises(SettingProblem, match=said):
        client(**given)
