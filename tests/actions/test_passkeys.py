"""Passkeys: whoever has the device is in, and nobody else, however they put what they send."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import LiteralString

import argon2
import pytest

from overture import ids
from overture.actions import accounts, closing, passkeys, passwords, two_steps
from overture.actions.accounts import Browser, Fresh, NewAccount, SecondStep, SignedIn, hash_of
from overture.actions.fields import Invalid
from overture.actions.passkeys import Site
from overture.actions.proving import Proven
from overture.core import accounts as rules
from overture.core.accounts import Denied
from overture.core.ids import MemberId, PasskeyId
from overture.store import export
from overture.store import passkeys as store
from overture.store.accounts import sessions_of
from overture.store.db import all_rows
from tests.cast import town_in
from tests.devices import Device

SITE = Site("overture.example", "https://overture.example")
HOME = Browser("192.0.2.1", "Testbrowser/1.0")
PASSWORD, EMAIL = "correct horse battery", "ada@example.org"


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch):
    hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    passwords.nobodys.cache_clear()
    monkeypatch.setattr(passwords, "_HASHER", hasher)
    yield
    passwords.nobodys.cache_clear()


@pytest.fixture
async def town(database_url):
    async with town_in(database_url) as made:
        yield made


@pytest.fixture
async def ada(town):
    return await signs_up(town, EMAIL)


@pytest.fixture
async def device(town, ada):
    """A device with a passkey of the member's."""
    made = new_device()
    assert await adds(town, ada, made) is None
    return made


def new_device(**more):
    return Device(SITE.origin, SITE.host, **more)


def fresh():
    return Fresh(ids.new(), ids.new_secret(), ids.new_secret())


async def signs_up(town, email):
    new = NewAccount(MemberId(ids.new()), "Ada Byron", email, PASSWORD)
    assert await accounts.sign_up(town.db, new, HOME, ids.new(), town.now) is None
    return new.id


async def adds(town, member, device, name="Phone", spoil=lambda made: made):
    secret = ids.new_secret()
    options = await town.db.writing(lambda tx: passkeys.begin_adding(tx, SITE, member, secret))
    made = spoil(device.makes(options))
    return await town.db.writing(
        lambda tx: passkeys.add(
            tx,
            SITE,
            member,
            secret,
            made,
            passkey=PasskeyId(ids.new()),
            name=name,
            now=town.now,
        )
    )


async def wants_in(town, secret=None):
    """What a page is given that asks for a passkey."""
    secret = secret or ids.new_secret()
    options = await town.db.writing(lambda tx: passkeys.begin_sign_in(tx, SITE, HOME, secret))
    assert isinstance(options, str), options
    return secret, options


async def gets_in(town, secret, shown, site=SITE):
    return await town.db.writing(
        lambda tx: passkeys.sign_in(tx, site, secret, shown, HOME, fresh=fresh(), now=town.now)
    )


async def signs_in(town, device, **more):
    secret, options = await wants_in(town)
    return await gets_in(town, secret, device.signs(options, **more))


async def with_password(town):
    return await accounts.sign_in(town.db, EMAIL, PASSWORD, HOME, fresh=fresh(), now=town.now)


async def turns_on(town, member):
    return await two_steps.turn_on(
        town.db, member, recovery_codes=["abcdefghjk"], salt=ids.new_salt(), now=town.now
    )


async def rows(town, statement: LiteralString, *params):
    return await town.look(lambda tx: all_rows(tx, statement, params))


async def told(town):
    query = "select kind, payload from outbox where kind like 'account.%%' order by sequence"
    return {kind: json.loads(payload) for kind, payload in await rows(town, query)}


# Signing in -------------------------------------------------------------------------------------


async def test_the_device_signs_its_owner_in_and_says_who_that_is(town, ada, device):
    signed_in = await signs_in(town, device)

    assert isinstance(signed_in, SignedIn)
    (viewer,) = await town.look(lambda tx: sessions_of(tx, [hash_of(signed_in.secret)]))
    assert (viewer.id, viewer.proven) == (ada, True)
    assert (await told(town))["account.signed_in"]["by"] == ["passkey"]
    (used,) = await town.look(lambda tx: store.mine(tx, ada))
    assert used.used_at is not None
    assert isinstance(await signs_in(town, device), SignedIn)


async def test_what_a_page_is_given_tells_of_nobody(town, ada, device):
    _, options = await wants_in(town)

    assert json.loads(options)["allowCredentials"] == []
    assert json.loads(options)["rpId"] == SITE.host
    assert json.loads(options)["userVerification"] == "required"


async def test_a_passkey_is_second_step_and_first_in_one(town, ada, device):
    await turns_on(town, ada)

    assert isinstance(await signs_in(town, device), SignedIn)


async def test_what_was_signed_once_opens_nothing_again(town, ada, device):
    secret, options = await wants_in(town)
    shown = device.signs(options)
    assert isinstance(await gets_in(town, secret, shown), SignedIn)

    assert await gets_in(town, secret, shown) is Denied.BEGIN_AGAIN
    another, _ = await wants_in(town)
    assert await gets_in(town, another, shown) is Denied.WRONG_PASSKEY


async def test_what_was_signed_for_another_browser_opens_nothing(town, ada, device):
    _, options = await wants_in(town)
    mine, _ = await wants_in(town)

    assert await gets_in(town, mine, device.signs(options)) is Denied.WRONG_PASSKEY


@pytest.mark.parametrize(
    "other",
    [
        {"origin": "https://overture.evil.example"},
        {"host": "evil.example"},
        {"sure": False},
        {"credential": b"another" * 3},
        {"key": Device("", "").key},
        {"handle": bytes(16)},
        {"handle": b""},
    ],
    ids=lambda other: "-".join(f"{name} {bool(value)}" for name, value in other.items()),
)
async def test_the_right_device_on_the_wrong_site_or_the_wrong_one_opens_nothing(
    town, ada, device, other
):
    assert await signs_in(town, replace(device, **other)) is Denied.WRONG_PASSKEY
    assert isinstance(await signs_in(town, device), SignedIn)


async def test_a_passkey_opens_nobody_elses_account(town, ada, device):
    eve = await signs_up(town, "eve@example.org")

    device.handle = bytes.fromhex(eve.replace("-", ""))

    assert await signs_in(town, device) is Denied.WRONG_PASSKEY


async def test_a_copy_of_a_device_that_counts_is_noticed(town, ada, device):
    copy = replace(device)
    assert isinstance(await signs_in(town, device), SignedIn)

    assert await signs_in(town, copy) is Denied.WRONG_PASSKEY


async def test_a_device_that_does_not_count_signs_in_again_and_again(town, ada):
    device = new_device(counts=False)
    await adds(town, ada, device)

    for _ in range(3):
        assert isinstance(await signs_in(town, device), SignedIn)


async def test_one_place_may_begin_so_often(town):
    for _ in range(rules.CEREMONIES_FROM_CLIENT.count):
        await wants_in(town)

    begun = await town.db.writing(
        lambda tx: passkeys.begin_sign_in(tx, SITE, HOME, ids.new_secret())
    )
    assert begun is Denied.TOO_OFTEN


@pytest.mark.parametrize(
    "sent",
    ["", "{}", "[" * 10_000, "null", '{"id": 1}', "\ud800", "é" * 20_000, '{"response": []}'],
    ids=range(8),
)
async def test_what_is_no_passkey_is_none(town, ada, device, sent):
    secret, _ = await wants_in(town)

    assert await gets_in(town, secret, sent) is Denied.WRONG_PASSKEY
    assert await adds(town, ada, new_device(), spoil=lambda _: sent) is Denied.NEW_PASSKEY_FAILED


async def test_whatever_is_broken_of_it_opens_nothing_and_is_no_fault(town, ada, device):
    chance = random.Random(7)

    def broken(shown):
        told = json.loads(shown)
        name = chance.choice(sorted(told["response"]))
        value = told["response"][name]
        if isinstance(value, list):
            told["response"][name] = chance.choice([7, "usb", None, [7]])
        else:
            place = chance.randrange(len(value))
            other = chance.choice(["", "A", "-", "_", "é", "AAAA", "A" * 500])
            told["response"][name] = value[:place] + other + value[place + 1 :]
        return json.dumps(told)

    for _ in range(60):
        secret, options = await wants_in(town, None) if chance.random() < 0.4 else (None, None)
        if secret:
            shown = broken(device.signs(options))
            done = await gets_in(town, secret, shown)
            # What changes nothing, such as the last bits of a text, may still be it.
            assert isinstance(done, SignedIn) or done in (Denied.WRONG_PASSKEY, Denied.BEGIN_AGAIN)
        else:
            await adds(town, ada, new_device(), spoil=broken)


# The second step --------------------------------------------------------------------------------


async def second_step(town, secret, device):
    options = await town.db.writing(lambda tx: passkeys.begin_second_step(tx, SITE, secret))
    if isinstance(options, Denied):
        return options
    return await town.db.writing(
        lambda tx: passkeys.second_step(
            tx, SITE, secret, device.signs(options), HOME, fresh=fresh(), now=town.now
        )
    )


async def test_the_password_alone_signs_in_until_passkeys_are_made_the_second_step(
    town, ada, device
):
    assert isinstance(await with_password(town), SignedIn)

    assert await turns_on(town, ada) == ["abcdefghjk"]

    begun = await with_password(town)
    assert isinstance(begun, SecondStep)
    # After the password the device need not make sure of its owner.
    device.sure = False
    assert isinstance(await second_step(town, begun.secret, device), SignedIn)
    assert (await told(town))["account.signed_in"]["by"] == ["password", "passkey"]
    assert await second_step(town, begun.secret, device) is Denied.BEGIN_AGAIN


async def test_anothers_passkey_is_no_second_step(town, ada, device):
    await turns_on(town, ada)
    eve, eves = await signs_up(town, "eve@example.org"), new_device()
    await adds(town, eve, eves)
    begun = await with_password(town)

    assert await second_step(town, begun.secret, eves) is Denied.WRONG_PASSKEY
    assert isinstance(await second_step(town, begun.secret, device), SignedIn)


async def test_without_a_passkey_they_cannot_be_the_second_step(town, ada):
    assert await turns_on(town, ada) is None
    assert isinstance(await with_password(town), SignedIn)


async def test_with_the_last_passkey_goes_the_second_step(town, ada, device):
    await turns_on(town, ada)
    (passkey,) = await town.look(lambda tx: store.mine(tx, ada))

    assert await town.db.writing(lambda tx: passkeys.remove(tx, ada, passkey.id, town.now))

    assert isinstance(await with_password(town), SignedIn)
    assert await signs_in(town, device) is Denied.WRONG_PASSKEY
    assert {"account.passkey_removed", "account.two_steps_off"} <= (await told(town)).keys()


async def test_the_app_can_go_where_passkeys_stay(town, ada, device):
    await turns_on(town, ada)
    app = ids.new_code_secret()

    async def have(tx):
        await two_steps.store.set_code_app(tx, ada, app, used=0)

    await town.db.writing(have)

    assert await town.db.writing(lambda tx: two_steps.remove_app(tx, ada, town.now))

    assert isinstance(await with_password(town), SecondStep)
    assert not await town.db.writing(lambda tx: two_steps.remove_app(tx, ada, town.now))


# One's own --------------------------------------------------------------------------------------


async def test_passkeys_are_named_listed_and_removed_by_their_owner_alone(town, ada, device):
    await adds(town, ada, new_device(), name="Key")
    phone, key = await town.look(lambda tx: store.mine(tx, ada))
    assert (phone.name, key.name) == ("Phone", "Key")
    eve = await signs_up(town, "eve@example.org")

    async def does(work):
        return await town.db.writing(work)

    assert await does(lambda tx: passkeys.rename(tx, ada, key.id, " Blue key ")) is True
    assert isinstance(await does(lambda tx: passkeys.rename(tx, ada, key.id, " ")), Invalid)
    assert await does(lambda tx: passkeys.rename(tx, eve, key.id, "Mine")) is False
    assert await does(lambda tx: passkeys.remove(tx, eve, key.id, town.now)) is False
    assert await does(lambda tx: passkeys.remove(tx, ada, phone.id, town.now)) is True

    assert [each.name for each in await town.look(lambda tx: store.mine(tx, ada))] == ["Blue key"]
    assert await signs_in(town, device) is Denied.WRONG_PASSKEY


async def test_a_passkey_is_added_once_and_by_the_browser_that_began(town, ada, device):
    assert await adds(town, ada, device) is Denied.NEW_PASSKEY_FAILED

    unsure = new_device(sure=False)
    assert await adds(town, ada, unsure) is Denied.NEW_PASSKEY_FAILED
    foreign = Device("https://evil.example", SITE.host)
    assert await adds(town, ada, foreign) is Denied.NEW_PASSKEY_FAILED
    assert len(await town.look(lambda tx: store.mine(tx, ada))) == 1


async def test_a_member_has_so_many(town, ada, monkeypatch):
    monkeypatch.setattr(passkeys, "PASSKEYS_MAX", 2)
    for _ in range(2):
        assert await adds(town, ada, new_device()) is None

    assert await adds(town, ada, new_device()) is Denied.NEW_PASSKEY_FAILED


async def test_a_passkey_shows_again_who_one_is(town, ada, device):
    signed_in = await signs_in(town, device)
    await town.db.writing(lambda tx: tx.execute("update sessions set proved_at = '-infinity'"))
    (viewer,) = await town.look(lambda tx: sessions_of(tx, [hash_of(signed_in.secret)]))
    assert not viewer.proven

    async def proves(device, *, by=ada):
        secret = ids.new_secret()
        options = await town.db.writing(lambda tx: passkeys.begin_proving(tx, SITE, ada, secret))
        return await town.db.writing(
            lambda tx: passkeys.prove(
                tx,
                SITE,
                by,
                secret,
                device.signs(options),
                session=viewer.session,
                fresh=fresh(),
                now=town.now,
            )
        )

    assert await proves(replace(device, sure=False)) is Denied.WRONG_PASSKEY
    assert await proves(device, by=await signs_up(town, "eve@example.org")) is Denied.BEGIN_AGAIN
    done = await proves(device)
    assert isinstance(done, Proven)
    (viewer,) = await town.look(lambda tx: sessions_of(tx, [hash_of(done.secret)]))
    assert viewer.proven


async def test_they_are_in_ones_own_copy_of_the_data_without_their_keys(town, ada, device):
    await turns_on(town, ada)

    own = await town.look(lambda tx: export.own(tx, ada))

    assert [each["name"] for each in own.passkeys] == ["Phone"]
    assert own.accounts[0]["two_steps_since"] is not None
    assert own.accounts[0]["recovery_codes_left"] == 1
    assert device.credential.hex() not in str(own)


async def test_closing_the_account_forgets_them(town, ada, device):
    await town.do(lambda tx: closing.close(tx, ada, town.now, town.book))

    assert await rows(town, "select from passkeys") == []
    assert await signs_in(town, device) is Denied.WRONG_PASSKEY
