"""Settings: every choice changes what it says, and says what it does."""

from __future__ import annotations

import json
import re
from io import BytesIO
from zipfile import ZipFile

import httpx
import pytest

from overture import context, ids
from overture.actions import closing, members, network
from overture.actions.inbox import read, thread
from overture.core import seals
from overture.core.ids import ConversationId, MemberId
from overture.core.notifying import CHOICES, Kind
from overture.core.refusals import Refusal
from overture.core.seals import Secret
from overture.core.sending import Done, Start
from overture.store.inbox import Thread
from overture.store.members import MailPreferences
from tests.web.conftest import Browser, Crowd, Place, text_of
from tests.work import SECRET

PAGES = ("display", "inmail", "privacy", "notifications", "data")


def checked(answer: httpx.Response, name: str) -> bool:
    found = re.search(rf'<input[^>]*name="{name}"[^>]*>', answer.text)
    assert found, f"there is no {name}"
    return "checked" in found[0]


def me(browser: Browser) -> MemberId:
    assert browser.id is not None
    return browser.id


@pytest.mark.parametrize("name", PAGES)
async def test_a_page_of_the_settings_says_where_one_is(place: Place, name: str) -> None:
    ada = await place.member("ada")

    answer = await ada.get(f"/settings/{name}")

    assert answer.status_code == 200
    assert f'<a href="/settings/{name}" data-live aria-current="page">' in answer.text
    assert "%(" not in answer.text
    assert (await place.browser().get(f"/settings/{name}")).status_code == 303


async def test_the_settings_begin_with_the_account(place: Place) -> None:
    ada = await place.member("ada")

    assert (await ada.get("/settings")).headers["location"] == "/settings/account"


async def test_a_choice_is_saved_without_leaving_the_page(place: Place) -> None:
    ada = await place.member("ada")

    answer = await ada.post("/settings/notifications", {}, live="1")

    assert answer.status_code == 200
    assert 'role="status"' in answer.text
    assert "Saved." in answer.text
    assert "x-go" not in answer.headers
    assert not checked(await ada.get("/settings/notifications"), "email_notifications")


async def test_without_a_script_a_choice_is_saved_by_a_plain_form(place: Place) -> None:
    ada = await place.member("ada")

    page = await ada.follow(await ada.post("/settings/notifications", {}))

    assert "Saved." in text_of(page)
    assert not checked(page, "email_notifications")
    await ada.post("/settings/notifications", {"email_notifications": "on"})
    assert checked(await ada.get("/settings/notifications"), "email_notifications")


# Who may write ------------------------------------------------------------------------------------


async def test_who_accepts_no_inmail_gets_none(place: Place) -> None:
    ada = await place.member("ada", premium="premium_career")
    grace = await place.member("grace", premium="premium_career")

    await grace.post("/settings/inmail", {})
    assert await place.town.sends(me(ada), me(grace)) is Refusal.RECIPIENT_UNAVAILABLE

    await grace.post("/settings/inmail", {"accept_inmail": "on"})
    assert not isinstance(await place.town.sends(me(ada), me(grace)), Refusal)


async def test_an_open_profile_is_written_to_free_once_premium_is_held(place: Place) -> None:
    ada, grace = await place.member("ada"), await place.member("grace")
    choice = {"accept_inmail": "on", "open_profile": "on"}

    page = await grace.follow(await grace.post("/settings/inmail", choice))
    assert checked(page, "open_profile")
    assert "Open Profile has no effect until you hold Premium." in text_of(page)
    assert await place.town.sends(me(ada), me(grace)) is Refusal.RECIPIENT_NOT_PREMIUM

    await place.town.chooses(me(grace), "premium", "premium_career")
    assert "no effect" not in text_of(await grace.get("/settings/inmail"))
    assert not isinstance(await place.town.sends(me(ada), me(grace)), Refusal)


# What is told -------------------------------------------------------------------------------------


async def conversation(place: Place, one: Browser, other: Browser) -> ConversationId:
    """A direct conversation, in which `one` has written and `other` has read it."""
    town = place.town
    await town.do(lambda tx: network.upsert_pairs(tx, [(me(one), me(other))], town.now))
    begun = ConversationId("01980000-0000-7000-8000-000000000001")
    message = "01980000-0000-7000-8000-000000000002"
    done = await town.acts(Start(me(one), me(other), begun, message, "Hello"))  # pyright: ignore[reportArgumentType]
    assert isinstance(done, Done)
    await town.do(lambda tx: read(tx, me(other), begun, message, town.now))  # pyright: ignore[reportArgumentType]
    return begun


@pytest.mark.parametrize("who", ["the writer", "the reader"])
async def test_whoever_turns_receipts_off_neither_side_sees_any(place: Place, who: str) -> None:
    ada, grace = await place.member("ada"), await place.member("grace")
    begun = await conversation(place, ada, grace)

    async def seen() -> object:
        found = await place.town.look(lambda tx: thread(tx, me(ada), begun))
        assert isinstance(found, Thread)
        return found.seen_up_to

    assert await seen() is not None
    chooser = ada if who == "the writer" else grace
    await chooser.post("/settings/privacy", {})
    assert not checked(await chooser.get("/settings/privacy"), "receipts_and_typing")
    assert await seen() is None

    await chooser.post("/settings/privacy", {"receipts_and_typing": "on"})
    assert await seen() is not None


async def test_a_member_is_unblocked_where_blocks_are_listed(place: Place) -> None:
    ada, grace = await place.member("ada"), await place.member("grace")
    await place.town.do(lambda tx: network.block(tx, me(ada), me(grace), place.town.now))
    assert "Unblock Grace" in (await ada.get("/settings/privacy")).text

    done = await ada.post(f"/settings/privacy/unblock/{me(grace)}", live="1")

    assert f"#blocked-{me(grace)}" in done.text
    assert "You have blocked nobody." in text_of(await ada.get("/settings/privacy"))


# How it looks -------------------------------------------------------------------------------------

DISPLAY = {"language": "", "time_zone": "Europe/Berlin", "theme": "", "shortcuts": "on"}


async def test_times_are_shown_in_the_chosen_zone(place: Place) -> None:
    ada = await place.member("ada")
    assert "now it is 10:00 there" in text_of(await ada.get("/settings/display"))

    page = await ada.follow(await ada.post("/settings/display", DISPLAY))

    assert "now it is 11:00 there" in text_of(page)


async def test_a_time_zone_that_there_is_not_is_named_and_nothing_is_saved(place: Place) -> None:
    ada = await place.member("ada")

    page = await ada.post("/settings/display", DISPLAY | {"time_zone": "Berlin", "theme": "dark"})

    assert page.status_code == 422
    assert 'role="alert"' in page.text
    assert 'value="Berlin"' in page.text
    assert "data-theme" not in (await ada.get("/settings/display")).text


async def test_every_zone_on_offer_can_be_chosen(place: Place) -> None:
    ada = await place.member("ada")
    page = (await ada.get("/settings/display")).text
    offered = re.findall(r'<option value="([^"]+)" label=', page)

    assert {"UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York"} <= set(offered)
    for zone in (offered[1], offered[len(offered) // 2], offered[-1]):
        saved = await ada.post("/settings/display", DISPLAY | {"time_zone": zone})
        assert saved.status_code == 303, zone


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_a_theme_holds_on_every_page(place: Place, theme: str) -> None:
    ada = await place.member("ada")

    await ada.post("/settings/display", DISPLAY | {"theme": theme})
    assert f'data-theme="{theme}"' in (await ada.get("/settings/inmail")).text

    await ada.post("/settings/display", DISPLAY)
    assert "data-theme" not in (await ada.get("/settings/inmail")).text


async def test_single_keys_can_be_switched_off(place: Place) -> None:
    ada = await place.member("ada")
    assert 'data-keys="off"' not in (await ada.get("/settings/inmail")).text

    await ada.post(
        "/settings/display", {name: value for name, value in DISPLAY.items() if name != "shortcuts"}
    )

    assert 'data-keys="off"' in (await ada.get("/settings/inmail")).text


# The data, and leaving ----------------------------------------------------------------------------


async def test_the_export_is_a_zip_of_everything(place: Place) -> None:
    ada = await place.member("ada")

    answer = await ada.get("/me/export")

    assert answer.headers["content-type"] == "application/zip"
    assert "attachment" in answer.headers["content-disposition"]
    with ZipFile(BytesIO(answer.content)) as archive:
        assert json.loads(archive.read("profile.json"))["handle"] == "ada"
    assert (await place.browser().get("/me/export")).status_code == 303


async def test_leaving_is_told_in_numbers_before_it_is_done(place: Place) -> None:
    ada = await place.member("ada", premium="premium_career")
    grace = await place.member("grace", premium="premium_career")
    ned = await place.member("ned", premium="premium_career")
    await place.town.sends(me(ada), me(grace))
    await place.town.sends(me(ned), me(ada))

    told = text_of(await ada.get("/settings/data/close"))

    assert "1 InMail of yours that waits for an answer is withdrawn." in told
    assert "1 InMail that waits for your answer cannot be delivered any more." in told
    assert "Your plans end, and 4 credits are lost." in told
    assert "withdrawn" not in text_of(await grace.get("/settings/data/close"))


async def test_who_leaves_has_left(place: Place) -> None:
    ada = await place.member("ada")

    left = await ada.post("/settings/data/close")

    assert left.headers["location"] == "/login"
    assert (await ada.get("/settings/data")).headers["location"].startswith("/login")


# Mails --------------------------------------------------------------------------------------------


def unsubscribe_link(member: MemberId, kind: str) -> str:
    return f"/unsubscribe/{seals.for_unsubscribing(SECRET, member=member, kind=kind)}"


async def chosen(place: Place, member: MemberId) -> MailPreferences:
    found = await place.town.look(lambda tx: members.mail_preferences(tx, member))
    assert isinstance(found, MailPreferences)
    return found


async def test_which_mails_come_is_chosen_by_kind_and_for_all(place: Place) -> None:
    ada = await place.member("ada")
    before = await ada.get("/settings/notifications")
    assert all(checked(before, kind) for kind in CHOICES)
    assert 'name="security"' not in before.text

    form = {"email_notifications": "on", "how": "daily", "inmail": "on", "credits": "on"}
    page = await ada.follow(await ada.post("/settings/notifications", form))

    assert [kind for kind in CHOICES if checked(page, kind)] == [Kind.INMAIL, Kind.CREDITS]
    assert (await chosen(place, me(ada))).daily
    assert (await chosen(place, me(ada))).on


async def test_who_has_not_shown_their_address_is_told_that_no_mails_come(place: Place) -> None:
    ada = await place.member("ada")
    sentence = "Mails come once you have shown that your address is yours."
    assert sentence not in text_of(await ada.get("/settings/notifications"))

    await place.town.do(lambda tx: tx.execute("update accounts set verified_at = null"))

    assert sentence in text_of(await ada.get("/settings/notifications"))


async def test_a_link_in_a_mail_ends_mails_of_its_kind_after_one_more_press(place: Place) -> None:
    ada = me(await place.member("ada"))
    anyone = place.browser()
    link = unsubscribe_link(ada, "messages")

    page = await anyone.get(link)
    assert "Messages that you have not read" in text_of(page)
    assert (await chosen(place, ada)).silent == frozenset()
    done = await anyone.post(link)

    assert "You get no more such mails" in text_of(done)
    assert (await chosen(place, ada)).silent == {Kind.MESSAGES}
    assert (await chosen(place, ada)).on


async def test_a_mail_program_ends_them_with_one_request_of_its_own(place: Place) -> None:
    """RFC 8058: no cookie, no page of ours, and the same once more."""
    ada = me(await place.member("ada"))
    program = place.browser().http
    form = {"List-Unsubscribe": "One-Click"}

    for _ in range(2):
        answer = await program.post(unsubscribe_link(ada, "inmail"), data=form)
        assert answer.status_code == 200

    assert (await chosen(place, ada)).silent == {Kind.INMAIL}


async def test_the_link_of_a_digest_ends_all_mails(place: Place) -> None:
    ada = me(await place.member("ada"))

    await place.browser().post(unsubscribe_link(ada, "everything"))

    assert not (await chosen(place, ada)).on


async def test_a_link_that_was_made_up_ends_nothing(place: Place) -> None:
    ada = me(await place.member("ada"))
    link = unsubscribe_link(ada, "inmail")
    other = seals.for_unsubscribing(
        Secret(b"another installation's own secret"), member=ada, kind="inmail"
    )

    for seal in (
        link[:-1] + ("a" if link[-1] != "a" else "b"),
        "/unsubscribe/x",
        f"/unsubscribe/{other}",
    ):
        assert (await place.browser().get(seal)).status_code == 404
        assert (await place.browser().post(seal)).status_code == 404

    assert (await chosen(place, ada)).silent == frozenset()


async def test_the_link_of_one_who_has_left_says_the_same(place: Place) -> None:
    ada = me(await place.member("ada"))
    await place.town.do(lambda tx: closing.close(tx, ada, place.town.now, place.town.book))

    answer = await place.browser().post(unsubscribe_link(ada, "inmail"))

    assert "You get no more such mails" in text_of(answer)


async def test_many_who_take_their_data_along_leave_the_pages_their_connections(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way = Crowd(context.EXPORTS_AT_ONCE, lambda: BytesIO(b"a zip"))
    monkeypatch.setattr(context, "export", under_way)
    monkeypatch.setattr(context, "EXPORTS_FETCHED_BY_ONE", 20)
    ada = await place.member("ada")

    async with under_way.asked(lambda: ada.get("/me/export"), times=20) as answers:
        assert (await ada.get("/inbox")).status_code == 200
    assert {each.status_code for each in answers} == {200}
    assert under_way.most == context.EXPORTS_AT_ONCE


async def test_what_is_fetched_slowly_is_on_the_disk_so_often_and_no_more(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def packs(*_: object) -> BytesIO:
        return BytesIO(b"a zip")

    monkeypatch.setattr(context, "export", packs)
    ada = await place.member("ada")
    assert ada.id
    by_ada = [await place.site.export(ada.id) for _ in range(context.EXPORTS_FETCHED_BY_ONE)]

    assert (await ada.get("/me/export")).status_code == 503
    by_ada.pop()
    assert (await ada.get("/me/export")).content == b"a zip"

    free = context.EXPORTS_FETCHED - len(by_ada)
    others = [await place.site.export(MemberId(ids.new())) for _ in range(free)]
    assert (await ada.get("/me/export")).status_code == 503
    others.pop()
    assert (await ada.get("/me/export")).content == b"a zip"
