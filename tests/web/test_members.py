"""The search, profiles, and what one member does about another."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from io import BytesIO

import httpx
import pytest
from PIL import Image

from overture.actions import closing, members, network, pace, reports
from overture.actions.members import PreferenceChanges, ProfileChanges
from overture.actions.photos import PHOTO_BYTES_MAX
from overture.core.ids import MemberId
from overture.core.policy import Outcome
from overture.core.sending import Respond, Withdraw
from overture.store import reports as reports_store
from overture.store.members import Profile
from overture.store.pages import Page as Listed
from tests.web.conftest import Browser, Crowd, Place, text_of

PLAN = {"premium": "premium_career"}


def me(browser: Browser) -> MemberId:
    assert browser.id is not None
    return browser.id


def main_of(answer: httpx.Response) -> str:
    """The page without what surrounds it."""
    return answer.text.partition("<main")[2].partition("</main>")[0]


async def connects(place: Place, one: MemberId, other: MemberId) -> None:
    await place.town.do(lambda tx: network.upsert_pairs(tx, [(one, other)], place.town.now))


async def blocks(place: Place, one: MemberId, other: MemberId) -> None:
    assert await place.town.do(lambda tx: network.block(tx, one, other, place.town.now)) is None


async def changes(place: Place, member: MemberId, **what: str) -> Profile:
    made = await place.town.do(
        lambda tx: members.update(tx, member, ProfileChanges(**what), place.town.now)
    )
    assert isinstance(made, Profile), made
    return made


async def prefers(
    place: Place,
    member: MemberId,
    *,
    accept_inmail: bool | None = None,
    open_profile: bool | None = None,
    receipts: bool | None = None,
) -> None:
    wanted = PreferenceChanges(accept_inmail, open_profile, receipts)
    await place.town.do(lambda tx: members.change_preferences(tx, member, wanted, place.town.now))


# The search -------------------------------------------------------------------------------------


async def test_members_are_found_by_what_is_typed_even_if_misspelt(place: Place) -> None:
    ada = await place.member("ada")
    grace = await place.town.member("grace")
    await changes(place, grace, name="Grace Hopper", headline="Compilers")

    for q in ("grace", "hop", "Hoper", "comp"):
        answer = await ada.get("/members", params={"q": q})
        assert "Grace Hopper" in text_of(answer), q
        assert f'value="{q}"' in answer.text
    assert "Grace" not in text_of(await ada.get("/members?q=zzz"))
    assert "Nobody found" in text_of(await ada.get("/members?q=zzz"))


async def test_while_one_types_the_list_alone_is_sent(place: Place) -> None:
    ada = await place.member("ada")
    await place.town.member("grace")

    answer = await ada.get("/members?q=gra", live="suggest")

    assert answer.text.startswith('<template data-at="#found">')
    assert 'href="/in/grace"' in answer.text
    assert "<main" not in answer.text


async def test_a_long_list_goes_on_where_it_ended(place: Place) -> None:
    ada = await place.member("ada")
    for number in range(25):
        await place.town.member(f"person-{number}")

    first = await ada.get("/members")
    url = re.search(r'data-more="([^"]+)"', first.text)
    assert url, "there are more"
    rest = await ada.get(url[1].replace("&amp;", "&"), live="more")

    shown = [re.findall(r'id="member-([^"]+)"', answer.text) for answer in (first, rest)]
    assert [len(each) for each in shown] == [20, 6]
    assert not set(shown[0]) & set(shown[1])
    assert "data-more" not in rest.text
    # Without a script the same address is a page.
    assert "</html>" in (await ada.get(url[1].replace("&amp;", "&"))).text


async def test_a_search_that_cannot_be_asked_is_answered_in_a_sentence(place: Place) -> None:
    ada = await place.member("ada")

    answer = await ada.get("/members", params={"q": "a" * 300})

    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert (await ada.get("/members?q=a&cursor=nonsense")).status_code == 400


async def test_rows_say_what_lies_between_and_lead_to_a_letter(place: Place) -> None:
    ada = await place.member("ada")
    grace, alan, eve = [await place.town.member(each) for each in ("grace", "alan", "eve")]
    await connects(place, me(ada), grace)
    await blocks(place, me(ada), alan)
    assert eve

    shown = main_of(await ada.get("/members"))

    assert "Connected" in shown
    assert "Blocked" in shown
    assert 'href="/compose?to=eve"' in shown
    assert 'href="/compose?to=ada"' not in shown


# A profile --------------------------------------------------------------------------------------


async def test_a_profile_says_who_someone_is(place: Place) -> None:
    ada = await place.member("ada")
    grace = await place.town.member("grace", **PLAN)
    await changes(
        place,
        grace,
        name="Grace Hopper",
        headline="Compilers",
        company="Eckert",
        location="New York",
        time_zone="America/New_York",
        about="I dislike <b>clocks</b>.\n\nMore on www.example.org.",
    )

    answer = await ada.get("/in/grace")

    said = text_of(answer)
    for part in ("Grace Hopper", "Compilers", "Eckert", "New York", "Premium member"):
        assert part in said
    assert "I dislike <b>clocks</b>." in said
    assert 'href="http://www.example.org"' in answer.text
    # 10:00 in UTC.
    assert "05:00 where they are" in said
    assert "<title>Grace Hopper" in answer.text


async def test_a_profile_has_one_address(place: Place) -> None:
    ada = await place.member("ada")
    grace = await place.town.member("grace")

    assert (await ada.get(f"/in/{grace}")).headers["location"] == "/in/grace"
    await changes(place, grace, handle="hopper")
    assert (await ada.get("/in/grace")).status_code == 404
    assert (await ada.get("/in/hopper")).status_code == 200


@pytest.mark.parametrize("path", ["", "/connect", "/report", "/block", "/disconnect"])
async def test_closed_accounts_and_those_who_never_were_are_absent(place: Place, path: str) -> None:
    ada = await place.member("ada")
    grace = await place.town.member("grace")
    await place.town.do(lambda tx: closing.close(tx, grace, place.town.now, place.town.book))

    for who in (str(grace), "grace", "nobody", "-", "%00"):
        assert (await ada.get(f"/in/{who}{path}")).status_code in (400, 404), who
    assert (await ada.post(f"/in/{grace}/block")).status_code == 404


async def test_who_is_blocked_sees_the_same_profile_as_before(place: Place) -> None:
    ada = await place.member("ada", **PLAN)
    grace = await place.town.member("grace", **PLAN)
    await connects(place, me(ada), await place.town.member("alan"))
    before = main_of(await ada.get("/in/grace"))
    await blocks(place, grace, me(ada))

    after = await ada.get("/in/grace")

    assert "Connect" in text_of(after)
    assert "cannot be reached by InMail" in text_of(after)
    # The same as for one who takes no InMail at all.
    blocked = main_of(after)
    await place.town.do(lambda tx: network.unblock(tx, grace, me(ada), place.town.now))
    await prefers(place, grace, accept_inmail=False)
    assert main_of(await ada.get("/in/grace")) == blocked
    assert before != blocked


async def test_more_leads_to_a_letter_and_says_what_it_costs(place: Place) -> None:
    ada, eve = await place.member("ada", **PLAN), await place.member("eve")
    grace = await place.town.member("grace", **PLAN)
    await place.town.member("basic")

    answer = await ada.get("/in/grace")
    lead = re.search(r'<a class="lead" href="([^"]+)".*?</a>', answer.text)
    assert lead
    assert lead[1] == "/compose?to=grace"
    assert "InMail, 1 credit of 5" in lead[0]
    assert "It comes back if they answer within 90 days." in text_of(answer)
    assert "5 left" in text_of(answer)
    assert "No Premium: connect first" in text_of(await ada.get("/in/basic"))
    assert "Takes a plan with InMail credits" in text_of(await eve.get("/in/grace"))

    await prefers(place, grace, open_profile=True)
    assert "Free: Open Profile" in text_of(await eve.get("/in/grace"))


async def test_where_a_letter_waits_or_a_conversation_is_open_the_profile_leads_there(
    place: Place,
) -> None:
    ada = await place.member("ada", **PLAN)
    grace = await place.member("grace", **PLAN)
    letter = await place.town.sends(me(ada), me(grace))

    waiting = await ada.get("/in/grace")
    assert "Your last InMail waits" in text_of(waiting)
    assert f'href="/inbox/{letter}">Go to that InMail' in waiting.text
    theirs = await grace.get("/in/ada")
    assert "Free: answers their InMail" in text_of(theirs)
    assert f'href="/inbox/{letter}"' in theirs.text

    await place.town.acts(Respond(me(grace), letter, Outcome.ACCEPTED))  # pyright: ignore[reportArgumentType]
    opened = await ada.get("/in/grace")
    assert "Free: your open conversation" in text_of(opened)
    assert f'href="/inbox/{letter}"' in opened.text


async def test_a_letter_that_was_taken_back_shuts_the_door(place: Place) -> None:
    ada = await place.member("ada", **PLAN)
    grace = await place.town.member("grace", **PLAN)
    letter = await place.town.sends(me(ada), grace)
    await place.town.acts(Withdraw(me(ada), letter))  # pyright: ignore[reportArgumentType]

    assert "You took your last InMail back" in text_of(await ada.get("/in/grace"))


async def test_who_has_no_credits_left_is_told_so(place: Place) -> None:
    ada = await place.member("ada", **PLAN)
    for number in range(6):
        other = await place.town.member(f"person-{number}", **PLAN)
        if number < 5:
            await place.town.sends(me(ada), other)

    answer = await ada.get("/in/person-5")

    assert "No credits left" in text_of(answer)
    assert 'href="/premium">See My Premium' in answer.text


async def test_a_profile_names_whom_both_know(place: Place) -> None:
    ada = await place.member("ada")
    grace = await place.town.member("grace")
    others = [await place.town.member(f"friend-{number}") for number in range(6)]
    for other in others:
        await connects(place, me(ada), other)
        await connects(place, grace, other)
    await connects(place, grace, await place.town.member("stranger"))

    said = text_of(await ada.get("/in/grace"))
    assert "7 connections" in said
    assert said.count("Friend-") == 4
    assert "And 2 more that you both know." in said

    # Those who leave, and those whom one has blocked, are not named.
    await place.town.do(lambda tx: closing.close(tx, others[0], place.town.now, place.town.book))
    await blocks(place, me(ada), others[1])
    said = text_of(await ada.get("/in/grace"))
    assert said.count("Friend-") == 4
    assert "more that you both know" not in said
    assert "Friend-1" not in said


async def test_how_often_someone_answers_is_told_of_five_letters_and_more(place: Place) -> None:
    grace = await place.town.member("grace", **PLAN)
    ada = await place.member("ada")
    for number in range(6):
        sender = await place.town.member(f"sender-{number}", **PLAN)
        letter = await place.town.sends(sender, grace)
        if number % 2:
            await place.town.acts(Respond(grace, letter, Outcome.DECLINED))  # pyright: ignore[reportArgumentType]
        if number == 3:
            await place.days_pass(8)
            assert "Answers" not in text_of(await ada.get("/in/grace"))
    # The last two came within a week.
    assert "Answers" not in text_of(await ada.get("/in/grace"))

    await place.days_pass(8)
    assert "Answers 3 of 6 InMails." in text_of(await ada.get("/in/grace"))
    # Nothing of it is told to or of those who have receipts off.
    await prefers(place, me(ada), receipts=False)
    assert "Answers" not in text_of(await ada.get("/in/grace"))
    await prefers(place, me(ada), receipts=True)
    await prefers(place, grace, receipts=False)
    assert "Answers" not in text_of(await ada.get("/in/grace"))


async def test_letters_of_more_than_a_year_ago_do_not_count(place: Place) -> None:
    grace = await place.town.member("grace", **PLAN)
    ada = await place.member("ada")
    for number in range(5):
        sender = await place.town.member(f"sender-{number}", **PLAN)
        assert await place.town.sends(sender, grace)
    await place.days_pass(360)
    assert "Answers 0 of 5 InMails." in text_of(await ada.get("/in/grace"))
    await place.days_pass(6)
    assert "Answers" not in text_of(await ada.get("/in/grace"))


# What one does about another --------------------------------------------------------------------


async def test_an_invitation_with_a_note_is_accepted_on_the_profile(place: Place) -> None:
    ada, grace = await place.member("ada"), await place.member("grace")

    page = await ada.get("/in/grace")
    assert 'popovertarget="ask-connect"' in page.text
    answer = await ada.post(f"/in/{grace.id}/connect", {"note": "We met <here>."})
    sent = await ada.follow(answer)
    assert "Your invitation is on its way." in text_of(sent)
    assert "Withdraw invitation" in text_of(sent)

    received = await grace.get("/in/ada")
    assert "Ada invites you to connect." in text_of(received)
    assert "We met <here>." in text_of(received)
    accept = re.search(r'action="(/network/[^"]+/accept)"', received.text)
    assert accept
    accepted = await grace.follow(await grace.post(accept[1], {"from": "profile"}))
    assert "You and Ada are connected." in text_of(accepted)
    assert "Free: you are connected" in text_of(await ada.get("/in/grace"))


async def test_an_invitation_can_be_declined_or_taken_back(place: Place) -> None:
    ada, grace = await place.member("ada"), await place.member("grace")
    await ada.post("/in/grace/connect")
    await ada.follow(await ada.post("/in/grace/disconnect"))
    assert "invites you" not in text_of(await grace.get("/in/ada"))

    await ada.post("/in/grace/connect")
    decline = re.search(r'action="(/network/[^"]+/decline)"', (await grace.get("/in/ada")).text)
    assert decline
    await grace.follow(await grace.post(decline[1], {"from": "profile"}))
    assert "invites you" not in text_of(await grace.get("/in/ada"))
    assert "Withdraw invitation" not in text_of(await ada.get("/in/grace"))


async def test_a_note_that_is_too_long_comes_back_as_it_was_written(place: Place) -> None:
    ada = await place.member("ada")
    await place.town.member("grace")

    answer = await ada.post("/in/grace/connect", {"note": "n" * 301})

    assert answer.status_code == 422
    assert "n" * 301 in answer.text
    assert "301 characters; at most 300" in text_of(answer)
    assert "Withdraw" not in text_of(await ada.get("/in/grace"))


async def test_a_connection_is_removed_after_a_question(place: Place) -> None:
    ada = await place.member("ada")
    grace = await place.town.member("grace")
    await connects(place, me(ada), grace)

    assert 'id="ask-disconnect"' in (await ada.get("/in/grace")).text
    assert "Remove the connection with Grace?" in text_of(await ada.get("/in/grace/disconnect"))
    answer = await ada.follow(await ada.post(f"/in/{grace}/disconnect"))

    assert "You and Grace are not connected any more." in text_of(answer)
    # A question that does not arise leads back.
    assert (await ada.get("/in/grace/disconnect")).headers["location"] == "/in/grace"


async def test_whom_one_blocks_can_be_unblocked(place: Place) -> None:
    ada, grace = await place.member("ada", **PLAN), await place.member("grace", **PLAN)

    answer = await ada.follow(await ada.post("/in/grace/block"))
    assert "You have blocked Grace." in text_of(answer)
    assert "Unblock" in text_of(answer)
    assert "You have blocked them" in text_of(answer)
    assert (await ada.get("/in/grace/connect")).headers["location"] == "/in/grace"
    assert "blocked" not in text_of(await grace.get("/in/ada"))

    answer = await ada.follow(await ada.post("/in/grace/unblock"))
    assert "You no longer block Grace." in text_of(answer)
    assert "InMail, 1 credit of 5" in text_of(answer)


async def test_a_report_reaches_the_operator_and_nobody_else(place: Place) -> None:
    ada, grace = await place.member("ada"), await place.member("grace")

    answer = await ada.post("/in/grace/report", {"reason": "spam", "note": "Sells tulips."})

    assert "Thank you." in text_of(await ada.follow(answer))
    listed = await place.town.look(lambda tx: reports_store.newest(tx, cursor=None, limit=10))
    assert [(each.member, each.reason, each.note) for each in listed.items] == [
        (me(grace), "spam", "Sells tulips.")
    ]
    assert "tulips" not in text_of(await grace.get("/inbox"))


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"note": "Look"}, "Choose what it is about."),
        ({"reason": "envy", "note": "Look"}, "Choose what it is about."),
        ({"reason": "spam", "note": "Look" * 600}, "at most 2000"),
    ],
)
async def test_a_report_that_lacks_something_comes_back(
    place: Place, form: dict[str, str], sentence: str
) -> None:
    ada = await place.member("ada")
    await place.town.member("grace")

    answer = await ada.post("/in/grace/report", form)

    assert answer.status_code == 422
    assert sentence in text_of(answer)
    assert "Look" in answer.text
    assert len(reports.Reason) == answer.text.count('name="reason"')


async def test_nothing_can_be_done_about_oneself(place: Place) -> None:
    ada = await place.member("ada")

    for path in ("connect", "block", "report", "disconnect"):
        assert (await ada.get(f"/in/ada/{path}")).headers["location"] == "/in/ada"
        answer = await ada.post("/in/ada/" + path, {"reason": "spam"})
        assert (answer.status_code, "This cannot be done to yourself." in text_of(answer)) == (
            403,
            True,
        ), path


@pytest.mark.parametrize("path", ["/members", "/in/ada", "/profile", "/in/ada/report"])
async def test_profiles_are_for_members(place: Place, path: str) -> None:
    await place.town.member("ada")

    assert (await place.browser().get(path)).headers["location"].startswith("/login?next=")


# One's own profile ------------------------------------------------------------------------------


async def test_members_change_their_own_profile(place: Place) -> None:
    ada = await place.member("ada")
    form = {
        "name": "Ada Lovelace",
        "headline": "Notes on the engine",
        "company": "",
        "location": "London",
        "handle": "lovelace",
        "about": "I count.",
    }

    answer = await ada.follow(await ada.post("/profile", form))

    assert "Your profile is saved." in text_of(answer)
    assert "Ada Lovelace" in text_of(answer)
    assert "I count." in text_of(answer)
    edit = await ada.get("/profile")
    assert all(f'value="{value}"' in edit.text for value in list(form.values())[:5] if value)
    assert ">I count.</textarea>" in edit.text


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"name": " "}, "name"),
        ({"headline": "h" * 221}, "headline"),
        ({"handle": "Ä"}, "handle"),
        ({"handle": "grace"}, "handle"),
        ({"about": "a" * 2001}, "about"),
    ],
)
async def test_what_cannot_stand_in_a_profile_is_said_at_its_field(
    place: Place, form: dict[str, str], field: str
) -> None:
    ada = await place.member("ada")
    await place.town.member("grace")
    written = {"name": "Ada", "handle": "ada", "company": "Engines"} | form

    answer = await ada.post("/profile", written)

    assert answer.status_code == 422
    assert f'id="{field}-error"' in answer.text
    assert 'value="Engines"' in answer.text
    assert "Engines" not in text_of(await ada.get("/in/ada"))


def picture(size: tuple[int, int] = (500, 400), kind: str = "JPEG") -> bytes:
    made = BytesIO()
    Image.new("RGB", size, (10, 120, 200)).save(made, kind)
    return made.getvalue()


async def upload(browser: Browser, content: bytes, *, live: str = "") -> httpx.Response:
    files = {"photo": ("me.jpg", content, "image/jpeg")}
    return await browser.post("/profile/photo", live=live, files=files)


async def test_a_photo_is_shown_wherever_its_member_is(place: Place) -> None:
    ada, grace = await place.member("ada"), await place.member("grace")

    answer = await upload(ada, picture(), live="1")
    assert "This is your photo from now on." in answer.text
    assert '<template data-at="#my-photo" data-how="replace">' in answer.text

    profile = await grace.get("/in/ada")
    found = re.search(r'src="(/photos/[^"?]+)\?size=320"', profile.text)
    assert found
    assert f"{found[1]}?size=96" in (await grace.get("/members")).text
    assert f"{found[1]}?size=96" in (await ada.get("/network")).text

    shown = await grace.get(found[1])
    assert shown.status_code == 200
    assert shown.headers["content-type"] == "image/webp"
    assert shown.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert "sandbox" in shown.headers["content-security-policy"]
    assert Image.open(BytesIO(shown.content)).size == (96, 96)
    larger = await grace.get(found[1] + "?size=320")
    assert Image.open(BytesIO(larger.content)).size == (320, 320)
    assert (await place.browser().get(found[1])).status_code == 303

    # Once it is another one, or none, the address leads nowhere.
    await ada.follow(await ada.post("/profile/photo/remove"))
    assert (await grace.get(found[1])).status_code == 404
    assert "/photos/" not in (await grace.get("/in/ada")).text


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "Choose a picture first."),
        (b"GIF89a....", "JPEG, PNG and WebP can."),
        (picture() + bytes(PHOTO_BYTES_MAX), "larger than 5 MB"),
        (bytes(4 * PHOTO_BYTES_MAX), "larger than can be sent"),
    ],
    ids=["none", "gif", "large", "huge"],
)
async def test_what_is_no_photo_is_refused_in_a_sentence(
    place: Place, content: bytes, sentence: str
) -> None:
    ada = await place.member("ada")

    for live in ("", "1"):
        answer = await upload(ada, content, live=live)
        assert answer.status_code in (413, 422)
        assert sentence in answer.text
    assert "/photos/" not in (await ada.get("/in/ada")).text


async def test_a_form_without_a_file_is_told_so(place: Place) -> None:
    ada = await place.member("ada")

    answer = await ada.post("/profile/photo", {})

    assert answer.status_code == 422
    assert "Choose a picture first." in text_of(answer)


async def test_what_one_says_of_oneself_keeps_its_lines(place: Place) -> None:
    ada = await place.member("ada")
    lines = "I count.\n\nOn paper,\nby candle-light."

    await ada.post("/profile", {"name": "Ada", "handle": "ada", "about": lines})

    assert f">{lines}</textarea>" in (await ada.get("/profile")).text


async def test_a_day_allows_so_many_invitations_and_those_alone_count_that_went(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "INVITATIONS", replace(pace.INVITATIONS, count=2))
    ada, bert = await place.member("ada"), await place.member("bert")
    for handle in ("grace", "alan"):
        await place.town.member(handle)
    # Neither what was refused, nor what answers one of theirs.
    assert (await ada.post("/in/bert/connect", {"note": "n" * 301})).status_code == 422
    await bert.post("/in/ada/connect")
    assert (await ada.post("/in/bert/connect")).status_code == 303
    assert [(await ada.post(f"/in/{who}/connect")).status_code for who in ("grace", "alan")] == [
        303,
        303,
    ]
    await ada.post("/in/alan/disconnect")

    refused = await ada.post("/in/alan/connect")

    assert refused.status_code == 429
    assert "as many members as a day allows" in text_of(refused)
    assert "Withdraw invitation" not in text_of(await ada.get("/in/alan"))


async def test_a_day_allows_so_many_reports(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "REPORTS", replace(pace.REPORTS, count=1))
    ada = await place.member("ada")
    await place.town.member("grace")
    form = {"reason": "spam"}

    statuses = [(await ada.post("/in/grace/report", form)).status_code for _ in range(2)]

    assert statuses == [303, 429]
    waiting = await place.town.look(
        lambda tx: reports_store.newest(tx, cursor=None, limit=10, decided=False)
    )
    assert len(waiting.items) == 1


@pytest.mark.parametrize("path", ["/members?q=ada", "/compose/people?q=ada"])
async def test_many_who_search_leave_the_pages_their_connections(
    place: Place, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    # The town has fewer connections than a server.
    monkeypatch.setattr(place.site.searches, "_turns", asyncio.Semaphore(2))
    searching = Crowd(2, lambda: Listed([], None))
    monkeypatch.setattr(members, "search", searching)
    ada = await place.member("ada")

    async with searching.asked(lambda: ada.get(path), times=20) as answers:
        assert (await ada.get("/inbox")).status_code == 200
    assert {each.status_code for each in answers} == {200}
    assert searching.most == 2
