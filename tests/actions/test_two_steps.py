"""Two steps: codes open once, cannot be guessed, and nobody is kept out by others."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import LiteralString

import argon2
import pyotp
import pytest

from overture import ids
from overture.actions import accounts, closing, passwords, proving, two_steps
from overture.actions.accounts import Browser, Fresh, NewAccount, SecondStep, SignedIn, hash_of
from overture.actions.proving import Proven
from overture.core import accounts as rules
from overture.core.accounts import Denied
from overture.core.ids import MemberId
from overture.store.accounts import prune, sessions_of
from overture.store.db import all_rows
from tests.cast import town_in
from tests.waiting_mails import next_one

HOME, ELSEWHERE = Browser("192.0.2.1", "Testbrowser/1.0"), Browser("198.51.100.7")
PASSWORD, EMAIL = "correct horse battery", "ada@example.org"
AT = datetime(2026, 5, 1, 12, 0, 10, tzinfo=UTC)
HALF_MINUTE = timedelta(seconds=30)


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch):
    passwords.nobodys.cache_clear()
    hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "_HASHER", hasher)
    yield
    passwords.nobodys.cache_clear()


@pytest.fixture
async def town(database_url):
    async with town_in(database_url) as made:
        yield made


def fresh():
    return Fresh(ids.new(), ids.new_secret(), ids.new_secret())


@pytest.fixture
async def ada(town):
    new = NewAccount(MemberId(ids.new()), "Ada Byron", EMAIL, PASSWORD)
    assert await accounts.sign_up(town.db, new, HOME, ids.new(), town.now) is None
    ((member,),) = await rows(town, "select member_id from accounts")
    return member


@pytest.fixture
def app():
    """The secret that the member's app was told."""
    return ids.new_code_secret()


@pytest.fixture
async def codes(town, ada, app):
    """The member signs in in two steps; these are the recovery codes."""
    return await sets_up(town, ada, app)


async def sets_up(town, member, app, at=AT - 10 * HALF_MINUTE):
    secret = ids.new_secret()
    await town.db.writing(lambda tx: two_steps.begin_app(tx, member, app, secret))
    done = await adds(town, member, secret, code(app, at), at)
    assert not isinstance(done, Denied), done
    return done


async def adds(town, member, secret, shown, at=AT):
    return await two_steps.add_app(
        town.db,
        member,
        secret,
        shown,
        recovery_codes=[ids.new_recovery_code() for _ in range(rules.RECOVERY_CODES)],
        salt=ids.new_salt(),
        at=at,
        now=town.now,
    )


def code(app, at=AT):
    return pyotp.TOTP(app).at(at)


async def signs_in(town, browser=HOME, password=PASSWORD):
    return await accounts.sign_in(town.db, EMAIL, password, browser, fresh=fresh(), now=town.now)


async def first_step(town, browser=HOME):
    done = await signs_in(town, browser)
    assert isinstance(done, SecondStep)
    return done.secret


async def second_step(town, secret, shown, browser=HOME, at=AT):
    return await two_steps.by_code(
        town.db, secret, shown, browser, fresh=fresh(), at=at, now=town.now
    )


async def recovers(town, secret, shown, browser=HOME):
    return await two_steps.by_recovery_code(
        town.db, secret, shown, browser, fresh=fresh(), now=town.now
    )


async def rows(town, statement: LiteralString, *params):
    return await town.look(lambda tx: all_rows(tx, statement, params))


async def runs(town, statement: LiteralString, *params):
    await town.db.writing(lambda tx: tx.execute(statement, params))


async def told(town):
    """What happened to accounts, in its order."""
    found = await rows(
        town, "select kind, payload from outbox where kind like 'account.%%' order by 1"
    )
    return {kind: json.loads(payload) for kind, payload in found}


async def who(town, secret):
    (viewer,) = await town.look(lambda tx: sessions_of(tx, [hash_of(secret)]))
    return viewer


# Setting it up ----------------------------------------------------------------------------------


async def test_an_app_is_the_members_once_it_has_made_a_code(town, ada, app):
    secret = ids.new_secret()
    await town.db.writing(lambda tx: two_steps.begin_app(tx, ada, app, secret))
    assert await adds(town, ada, secret, "000000") is Denied.WRONG_CODE
    assert isinstance(await signs_in(town), SignedIn)

    made = await adds(town, ada, secret, code(app))

    assert len(set(made)) == rules.RECOVERY_CODES
    assert isinstance(await signs_in(town), SecondStep)
    assert await adds(town, ada, secret, code(app)) is Denied.BEGIN_AGAIN
    assert {"account.code_app_added", "account.two_steps_on"} <= (await told(town)).keys()


async def test_nobody_ends_what_another_began(town, ada, app):
    secret = ids.new_secret()
    eve = await town.member("eve")
    await town.db.writing(lambda tx: two_steps.begin_app(tx, ada, app, secret))

    assert await adds(town, eve, secret, code(app)) is Denied.BEGIN_AGAIN
    assert await rows(town, "select from code_apps") == []


async def test_another_app_takes_the_place_of_the_first_and_the_recovery_codes_stay(
    town, ada, app, codes
):
    another = ids.new_code_secret()

    assert await sets_up(town, ada, another) == ()

    secret = await first_step(town)
    assert await second_step(town, secret, code(app)) is Denied.WRONG_CODE
    assert isinstance(await second_step(town, secret, code(another)), SignedIn)
    assert isinstance(await recovers(town, await first_step(town), codes[0]), SignedIn)


async def test_turned_off_the_password_alone_signs_in_and_no_code_is_kept(town, ada, codes):
    assert await town.db.writing(lambda tx: two_steps.turn_off(tx, ada, town.now))

    assert isinstance(await signs_in(town), SignedIn)
    assert await rows(town, "select from code_apps") == []
    assert await rows(town, "select from recovery_codes") == []
    assert "account.two_steps_off" in await told(town)
    assert not await town.db.writing(lambda tx: two_steps.turn_off(tx, ada, town.now))


def test_the_address_for_apps_names_the_account_and_its_issuer():
    address = two_steps.told_app("ABCD" * 8, EMAIL)

    assert address.startswith("otpauth://totp/Overture:ada%40example.org?secret=ABCD")
    assert "issuer=Overture" in address


# The second step --------------------------------------------------------------------------------


async def test_the_code_of_the_app_signs_in_after_the_password(town, ada, app, codes):
    signed_in = await second_step(town, await first_step(town), code(app))

    assert isinstance(signed_in, SignedIn)
    viewer = await who(town, signed_in.secret)
    assert (viewer.id, viewer.proven) == (ada, True)
    assert (await told(town))["account.signed_in"]["by"] == ["password", "code"]


async def test_a_code_without_the_password_opens_nothing(town, ada, app, codes):
    assert await second_step(town, ids.new_secret(), code(app)) is Denied.BEGIN_AGAIN


async def test_a_code_never_opens_twice_nor_does_one_before_it(town, ada, app, codes):
    first, second = await first_step(town), await first_step(town)
    assert isinstance(await second_step(town, first, code(app)), SignedIn)

    assert await second_step(town, second, code(app)) is Denied.WRONG_CODE
    earlier = code(app, AT - HALF_MINUTE)
    assert await second_step(town, second, earlier) is Denied.WRONG_CODE
    later = AT + HALF_MINUTE
    assert isinstance(await second_step(town, second, code(app, later), at=later), SignedIn)


async def test_of_two_with_one_code_at_once_one_gets_in(town, ada, app, codes):
    secrets = [await first_step(town) for _ in range(6)]

    done = await asyncio.gather(*(second_step(town, each, code(app)) for each in secrets))

    assert sorted(type(each).__name__ for each in done) == ["Denied"] * 5 + ["SignedIn"]


async def test_the_code_that_set_the_app_up_opens_nothing_either(town, ada, app):
    await sets_up(town, ada, app, at=AT)

    assert await second_step(town, await first_step(town), code(app)) is Denied.WRONG_CODE


@pytest.mark.parametrize("off", [-1, 0, 1])
async def test_clocks_may_be_half_a_minute_apart(town, app, codes, off):
    shown = code(app, AT + off * HALF_MINUTE)

    assert isinstance(await second_step(town, await first_step(town), shown), SignedIn)


@pytest.mark.parametrize("off", [-2, 2])
async def test_and_no_further(town, app, codes, off):
    shown = code(app, AT + off * HALF_MINUTE)

    assert await second_step(town, await first_step(town), shown) is Denied.WRONG_CODE


@pytest.mark.parametrize("write", ["{} {}", "{}-{}", " {}{} "])
async def test_a_code_is_read_however_it_is_grouped(town, ada, app, codes, write):
    shown = code(app)

    done = await second_step(town, await first_step(town), write.format(shown[:3], shown[3:]))

    assert isinstance(done, SignedIn)


def test_a_code_is_read_in_any_script():
    assert rules.code_text("١٢٣ ۴۵۶") == "123456"
    assert rules.code_text("½²abc") == ""


async def test_the_second_step_waits_ten_minutes(town, ada, app, codes):
    secret = await first_step(town)
    await runs(town, "update ceremonies set expires_at = now()")

    assert await second_step(town, secret, code(app)) is Denied.BEGIN_AGAIN
    assert await recovers(town, secret, codes[0]) is Denied.BEGIN_AGAIN
    await town.db.writing(prune)
    assert await rows(town, "select from ceremonies") == []


async def test_a_new_password_ends_what_was_begun_with_the_one_before(town, ada, app, codes):
    await runs(town, "update accounts set verified_at = now()")
    secret = await first_step(town)
    await accounts.ask_for_password(town.db, EMAIL, HOME, ids.new(), town.now, language="en")
    link = ids.new_secret()

    async def letters(tx):
        while (wanted := await next_one(tx)) is not None:
            await accounts.letter(tx, wanted, link if wanted.kind == "reset" else ids.new_secret())
            await tx.execute("delete from mails where id = %s", (wanted.id,))

    await town.db.writing(letters)
    assert await accounts.set_password(town.db, link, "another good one", HOME, town.now) == ada

    assert await second_step(town, secret, code(app)) is Denied.BEGIN_AGAIN
    # And it is no way round the second step.
    assert isinstance(await signs_in(town, password="another good one"), SecondStep)


async def test_a_wrong_password_and_an_unknown_address_look_the_same_in_two_steps_too(
    town, ada, codes, monkeypatch
):
    against: list[str] = []
    compare = passwords._fits
    monkeypatch.setattr(
        passwords, "_fits", lambda text, stored: (against.append(stored), compare(text, stored))[1]
    )

    wrong = await signs_in(town, password="not the one")
    unknown = await accounts.sign_in(
        town.db, "eve@example.org", "not the one", HOME, fresh=fresh(), now=town.now
    )

    assert wrong is unknown is Denied.WRONG_SIGN_IN
    assert len(against) == 2
    assert await rows(town, "select from ceremonies") == []


# Recovery codes ---------------------------------------------------------------------------------


async def test_each_recovery_code_signs_in_once(town, ada, codes):
    first, second = await first_step(town), await first_step(town)

    assert isinstance(await recovers(town, first, codes[3]), SignedIn)

    assert await recovers(town, second, codes[3]) is Denied.WRONG_RECOVERY_CODE
    assert isinstance(await recovers(town, second, codes[4]), SignedIn)
    events = await told(town)
    assert events["account.recovery_code_used"] == {"left": 8}
    assert events["account.signed_in"]["by"] == ["password", "recovery_code"]


async def test_a_recovery_code_is_read_however_it_was_written_down(town, ada, codes):
    shown = rules.grouped(codes[0]).upper().replace("-", " - ")

    assert isinstance(await recovers(town, await first_step(town), shown), SignedIn)


@pytest.mark.parametrize("wrong", ["", "-", "aaaaa-aaaaa", "é" * 5000])
async def test_what_is_no_recovery_code_opens_nothing(town, ada, codes, wrong):
    assert await recovers(town, await first_step(town), wrong) is Denied.WRONG_RECOVERY_CODE


async def test_of_two_with_one_recovery_code_at_once_one_gets_in(town, ada, codes):
    secrets = [await first_step(town) for _ in range(4)]

    done = await asyncio.gather(*(recovers(town, each, codes[0]) for each in secrets))

    assert sorted(type(each).__name__ for each in done) == ["Denied"] * 3 + ["SignedIn"]


async def test_new_recovery_codes_end_those_before(town, ada, codes):
    made = await two_steps.renew_recovery_codes(
        town.db, ada, ["abcdefghjk"], salt=ids.new_salt(), now=town.now
    )

    assert made == ["abcdefghjk"]
    secret = await first_step(town)
    assert await recovers(town, secret, codes[0]) is Denied.WRONG_RECOVERY_CODE
    assert isinstance(await recovers(town, secret, "abcde-fghjk"), SignedIn)


async def test_who_signs_in_in_one_step_has_no_use_for_recovery_codes(town, ada):
    made = await two_steps.renew_recovery_codes(
        town.db, ada, ["abcdefghjk"], salt=ids.new_salt(), now=town.now
    )

    assert made is None
    assert await rows(town, "select from recovery_codes") == []


async def test_recovery_codes_are_stored_as_passwords_are_and_survive_other_parameters(
    town, ada, codes, monkeypatch
):
    stored = [row[0] for row in await rows(town, "select hash from recovery_codes")]
    assert all(each.startswith("$argon2id$") for each in stored)
    assert len({each.split("$")[4] for each in stored}) == 1
    assert not any(each in "".join(stored) for each in codes)

    monkeypatch.setattr(
        passwords, "_HASHER", argon2.PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)
    )
    assert isinstance(await recovers(town, await first_step(town), codes[0]), SignedIn)


def test_a_fresh_recovery_code_is_hard_to_guess_and_easy_to_copy():
    made = {ids.new_recovery_code() for _ in range(1000)}

    assert len(made) == 1000
    assert all(re.fullmatch("[2-9a-hjkmnp-z]{10}", each) for each in made)
    assert all(rules.recovery_code_text(rules.grouped(each)) == each for each in made)


# Guessing, and keeping others out ---------------------------------------------------------------


async def test_who_knows_the_password_cannot_guess_the_code(town, ada, app, codes):
    secret = await first_step(town, ELSEWHERE)
    for _ in range(10):
        assert await second_step(town, secret, "000000", ELSEWHERE) is Denied.WRONG_CODE

    assert await second_step(town, secret, code(app), ELSEWHERE) is Denied.CODES_TOO_OFTEN
    # Neither by beginning again.
    again = await first_step(town, ELSEWHERE)
    assert await second_step(town, again, code(app), ELSEWHERE) is Denied.CODES_TOO_OFTEN


async def test_many_places_together_cannot_either_nor_keep_the_owner_out(town, ada, app, codes):
    own = await second_step(town, await first_step(town), code(app, AT - 2 * HALF_MINUTE),
                            at=AT - 2 * HALF_MINUTE)  # fmt: skip
    for place in range(20):
        stranger = Browser(f"203.0.113.{place}")
        secret = await first_step(town, stranger)
        assert await second_step(town, secret, "000000", stranger) is Denied.WRONG_CODE
    stranger = Browser("203.0.113.99")
    secret = await first_step(town, stranger)
    assert await second_step(town, secret, code(app), stranger) is Denied.CODES_TOO_OFTEN

    known = replace(HOME, device=own.device)
    secret = await first_step(town, known)
    assert isinstance(await second_step(town, secret, code(app), known), SignedIn)
    # A recovery code gets in from anywhere.
    secret = await first_step(town, ELSEWHERE)
    assert isinstance(await recovers(town, secret, codes[0], ELSEWHERE), SignedIn)


async def test_one_place_may_try_so_many_recovery_codes(town, ada, codes):
    secret = await first_step(town)
    for _ in range(10):
        assert await recovers(town, secret, "aaaaaaaaaa") is Denied.WRONG_RECOVERY_CODE

    assert await recovers(town, secret, codes[0]) is Denied.CODES_TOO_OFTEN


async def test_wrong_codes_after_the_right_password_are_told_once(town, ada, app, codes):
    secret = await first_step(town)
    for _ in range(2):
        await second_step(town, secret, "000000")
    assert "account.second_step_failed" not in await told(town)

    for _ in range(3):
        await second_step(town, secret, "000000")

    count = "select count(*) from outbox where kind = 'account.second_step_failed'"
    assert await rows(town, count) == [(1,)]


async def test_nothing_that_opens_anything_is_told_or_kept_longer_than_needed(
    town, ada, app, codes
):
    await second_step(town, await first_step(town), code(app))
    await recovers(town, await first_step(town), codes[0])

    kept = json.dumps(await rows(town, "select payload::text from outbox"))
    for each in (app, code(app), *codes):
        assert each not in kept
    assert await rows(town, "select from ceremonies") == []


async def test_closing_the_account_forgets_app_and_codes(town, ada, codes):
    secret = await first_step(town)
    await town.do(lambda tx: closing.close(tx, ada, town.now, town.book))

    for table in ("code_apps", "recovery_codes", "ceremonies"):
        assert await rows(town, f"select from {table}") == [], table
    assert await recovers(town, secret, codes[0]) is Denied.BEGIN_AGAIN


# Asked again ------------------------------------------------------------------------------------


async def proves(town, member, session, password=PASSWORD):
    return await proving.by_password(
        town.db, member, password, session=session, fresh=fresh(), now=town.now
    )


async def test_who_signed_in_a_while_ago_is_asked_again(town, ada):
    signed_in = await signs_in(town)
    assert (await who(town, signed_in.secret)).proven
    await runs(town, "update sessions set proved_at = now() - interval '10 minutes'")
    viewer = await who(town, signed_in.secret)
    assert not viewer.proven

    assert await proves(town, ada, viewer.session, "not the one") is Denied.WRONG_PASSWORD
    done = await proves(town, ada, viewer.session)

    assert isinstance(done, Proven)
    assert (await who(town, done.secret)).proven
    # The session is the same, its secret another.
    assert (await who(town, done.secret)).session == viewer.session
    assert await who(town, signed_in.secret) is None
    assert (await told(town))["account.proven"] == {"session": viewer.session, "by": "password"}


async def test_a_code_shows_it_as_well_and_only_once(town, ada, app, codes):
    signed_in = await second_step(town, await first_step(town), code(app))
    session = (await who(town, signed_in.secret)).session
    later = AT + HALF_MINUTE

    async def shows(shown):
        return await proving.by_code(
            town.db, ada, shown, session=session, fresh=fresh(), at=later, now=town.now
        )

    assert await shows(code(app)) is Denied.WRONG_CODE
    assert isinstance(await shows(code(app, later)), Proven)
    assert await shows(code(app, later)) is Denied.WRONG_CODE


async def test_who_took_over_a_browser_can_guess_neither(town, ada, app, codes):
    signed_in = await second_step(town, await first_step(town), code(app))
    session = (await who(town, signed_in.secret)).session

    async def shows(shown):
        return await proving.by_code(
            town.db, ada, shown, session=session, fresh=fresh(), at=AT + HALF_MINUTE, now=town.now
        )

    assert [await shows("000000") for _ in range(10)] == [Denied.WRONG_CODE] * 10
    assert await shows(code(app, AT + HALF_MINUTE)) is Denied.CODES_TOO_OFTEN
    # Whoever knows the password begins nothing anew with it; nor do codes keep its owner out.
    assert isinstance(await proves(town, ada, session), Proven)
    assert await shows(code(app, AT + HALF_MINUTE)) is Denied.CODES_TOO_OFTEN

    wrong = [await proves(town, ada, session, "not the one") for _ in range(10)]
    assert wrong == [Denied.WRONG_PASSWORD] * 10
    assert await proves(town, ada, session) is Denied.TOO_OFTEN


async def test_a_session_that_has_ended_is_not_shown_anything(town, ada):
    signed_in = await signs_in(town)
    session = (await who(town, signed_in.secret)).session
    await town.do(lambda tx: accounts.sign_out_everywhere(tx, ada, town.now))

    assert await proves(town, ada, session) is Denied.BEGIN_AGAIN
    assert await rows(town, "select from sessions") == []
