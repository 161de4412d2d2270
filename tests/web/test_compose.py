"""Compose through HTTP: what will happen is said in every state, and nothing written is ever lost."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from typing import Any

import httpx
import pytest

from overture import ids
from overture.actions import closing, drafts, members, network, pace
from overture.actions.drafts import NOBODY, Place
from overture.actions.members import PreferenceChanges, ProfileChanges
from overture.core.ids import ConversationId, MemberId, MessageId
from overture.core.pace import Pace
from overture.core.policy import Outcome
from overture.core.sending import Done, Respond, Start, Withdraw
from overture.store.db import all_rows
from tests.web.conftest import Browser, text_of
from tests.web.conftest import Place as Site

CAREER = {"premium": "premium_career"}
HELLO = "Hi Grace, I am Ada. Your talk on compilers was clear. Shall we meet?"


def fields(answer: httpx.Response) -> dict[str, str]:
    """The form's fields as a browser would send them."""
    page = answer.text
    found: dict[str, str] = {}
    for tag in re.findall(r"<input\b[^>]*>", page):
        named = re.search(r'\bname="([^"]*)"', tag)
        radio = 'type="radio"' in tag and " checked" not in tag
        if named and not radio:
            value = re.search(r'\bvalue="([^"]*)"', tag)
            found[named[1]] = unescape(value[1]) if value else ""
    body = re.search(r"<textarea[^>]*>\n?(.*?)</textarea>", page, re.DOTALL)
    found["body"] = unescape(body[1]) if body else ""
    return found


def fate(answer: httpx.Response) -> str:
    """What will happen, as the page says it."""
    found = re.search(r'<p class="cost[^"]*">.*?<span>(.*?)</span>', answer.text, re.DOTALL)
    assert found, text_of(answer)
    return " ".join(unescape(re.sub(r"<[^>]+>", "", found[1])).split())


def action(answer: httpx.Response) -> str:
    """The one thing to do."""
    found = re.search(r'<span id="act-[^"]*">(.*?)</span>\s*</span>', answer.text, re.DOTALL)
    assert found, text_of(answer)
    return " ".join(re.sub(r"<[^>]+>", "", found[1]).split())


async def opened(browser: Browser, to: str, **more: str) -> httpx.Response:
    answer = await browser.get("/compose", params={"to": to} | more)
    assert answer.status_code == 200, text_of(answer)
    return answer


async def sends(browser: Browser, to: str, body: str = HELLO, **more: Any) -> httpx.Response:
    form = fields(await opened(browser, to)) | {"body": body} | more
    return await browser.post("/compose", form)


async def count(site: Site, table: str) -> int:
    return (await site.town.look(lambda tx: all_rows(tx, f"select count(*) from {table}")))[0][0]  # pyright: ignore[reportArgumentType]


async def balance(site: Site, member: Browser) -> int:
    found = await site.town.look(
        lambda tx: all_rows(
            tx, "select balance from credit_accounts where owner_id = %s", (id_of(member),)
        )
    )
    return found[0][0]


def id_of(browser: Browser) -> MemberId:
    assert browser.id is not None
    return browser.id


async def connect(site: Site, one: Browser, other: Browser) -> None:
    pair = (id_of(one), id_of(other))
    await site.town.do(lambda tx: network.upsert_pairs(tx, [pair], site.town.now))


async def prefers(
    site: Site,
    member: Browser,
    *,
    accept_inmail: bool | None = None,
    open_profile: bool | None = None,
) -> None:
    wanted = PreferenceChanges(accept_inmail=accept_inmail, open_profile=open_profile)
    await site.town.do(
        lambda tx: members.change_preferences(tx, id_of(member), wanted, site.town.now)
    )


# What will happen -------------------------------------------------------------------------------


async def test_the_price_is_told_with_the_day_until_which_it_comes_back(place: Site):
    ada, _ = await place.member("ada", **CAREER), await place.member("grace", **CAREER)

    page = await opened(ada, "grace")

    # 31 January and 90 days.
    assert fate(page) == "Uses 1 credit, which comes back if Grace answers by 1 May."
    assert action(page) == "Send"
    assert "New InMail" in text_of(page)
    assert "5 left" in text_of(page)


async def test_the_day_is_that_of_the_writers_own_zone(place: Site):
    ada, _ = await place.member("ada", **CAREER), await place.member("grace", **CAREER)
    change = ProfileChanges(time_zone="Pacific/Kiritimati")
    await place.town.do(lambda tx: members.update(tx, id_of(ada), change, place.town.now))

    # 1 May 10:00 UTC.
    assert "by 2 May." in fate(await opened(ada, "grace"))


@pytest.mark.parametrize(
    ("handle", "sentence"),
    [
        ("open", "Free, whatever the answer: Open has an Open Profile."),
        ("friend", "Free: you and Friend are connected."),
        ("accepted", "Free: it goes to your open conversation with Accepted. See it"),
        ("asking", "Free: it goes to the InMail that Asking sent you, and answers it. See it"),
    ],
)
async def test_what_is_free_says_why(place: Site, handle: str, sentence: str):
    ada, other = await place.member("ada", **CAREER), await place.member(handle, **CAREER)
    if handle == "open":
        await prefers(place, other, open_profile=True)
    if handle == "friend":
        await connect(place, ada, other)
    if handle == "accepted":
        sent = await place.town.sends(id_of(ada), id_of(other))
        await place.town.acts(Respond(id_of(other), ConversationId(str(sent)), Outcome.ACCEPTED))
    if handle == "asking":
        await place.town.sends(id_of(other), id_of(ada))

    page = await opened(ada, handle)

    assert fate(page) == sentence
    assert action(page) == "Send"


async def test_without_credits_it_says_when_the_next_come(place: Site):
    ada = await place.member("ada", **CAREER)
    for n in range(5):
        await place.town.sends(id_of(ada), await place.town.member(f"m{n}", **CAREER))
    await place.town.member("grace", **CAREER)

    page = await opened(ada, "grace")

    assert fate(page) == "You have no credits left; the next come on 28 February."
    assert action(page) == "See My Premium"


async def test_without_a_plan_it_leads_to_the_plans(place: Site):
    ada, _ = await place.member("ada"), await place.member("grace", **CAREER)

    page = await opened(ada, "grace")

    assert fate(page) == "Writing to Grace takes a plan with InMail credits."
    assert action(page) == "See the plans"
    assert 'href="/premium#plans"' in page.text


async def test_who_takes_no_inmail_who_blocked_and_who_is_open_look_so(place: Site):
    ada = await place.member("ada", **CAREER)
    closed, blocking = await place.member("shut", **CAREER), await place.member("wall", **CAREER)
    await prefers(place, closed, accept_inmail=False)
    await place.town.do(lambda tx: network.block(tx, id_of(blocking), id_of(ada), place.town.now))

    for handle in ("shut", "wall"):
        page = await opened(ada, handle)
        assert fate(page) == f"{handle.title()} cannot be reached by InMail."
        assert action(page) == "Choose someone else"


async def test_a_recipient_without_premium_can_be_connected_with(place: Site):
    ada, _ = await place.member("ada", **CAREER), await place.member("grace")

    page = await opened(ada, "grace")

    assert fate(page) == "Grace has no Premium plan and receives no InMail; you can connect."
    assert 'href="/in/grace"' in page.text


async def test_an_unanswered_inmail_is_shown_and_a_withdrawn_one_told_apart(place: Site):
    ada, grace = await place.member("ada", **CAREER), await place.member("grace", **CAREER)
    sent = await place.town.sends(id_of(ada), id_of(grace))

    page = await opened(ada, "grace")
    assert fate(page) == "Your last InMail waits for an answer; then you can write again."
    assert f'href="/inbox/{sent}"' in page.text

    await place.town.acts(Withdraw(id_of(ada), ConversationId(str(sent))))
    page = await opened(ada, "grace")
    assert fate(page) == "You took your last InMail back; Grace has to write next."


async def test_a_block_of_ones_own_is_lifted_from_here_and_the_letter_stays(place: Site):
    ada, grace = await place.member("ada", **CAREER), await place.member("grace", **CAREER)
    await place.town.do(lambda tx: network.block(tx, id_of(ada), id_of(grace), place.town.now))
    page = await opened(ada, "grace")
    assert fate(page) == "You have blocked Grace, so that neither of you can write."
    assert action(page) == "Unblock"

    answer = await ada.post("/compose/unblock", fields(page) | {"body": HELLO})

    page = await ada.follow(answer)
    assert fate(page).startswith("Uses 1 credit")
    assert fields(page)["body"] == HELLO


async def test_the_daily_limit_of_free_letters_says_when_the_next_can_go(place: Site):
    ada, grace = await place.member("ada"), await place.member("grace", **CAREER)
    await prefers(place, grace, open_profile=True)
    for n in range(25):
        to = await place.signed_in(await place.town.member(f"m{n}", **CAREER))
        await prefers(place, to, open_profile=True)
        await place.town.sends(id_of(ada), id_of(to))

    page = await opened(ada, "grace")

    assert fate(page).startswith(
        "Your free letters to Open Profiles are used up; the next can go Sat"
    )
    assert action(page) == "Keep as a draft"


async def test_of_several_pools_one_is_chosen_and_pays(place: Site):
    plans = {"premium": "premium_career", "recruiter": "recruiter_lite"}
    ada, _ = await place.member("ada", **plans), await place.member("grace", **CAREER)
    page = await opened(ada, "grace")
    assert 'value="premium" checked' in page.text
    assert "Recruiter Lite 30" in text_of(page)

    form = fields(page) | {"body": HELLO, "pool": "recruiter"}
    saved = await ada.post("/compose/draft", form, live="save")
    assert '<b class="num" data-balance="recruiter">30</b>' in saved.text

    await ada.follow(await ada.post("/compose/draft", form))
    page = await opened(ada, "grace")
    assert 'value="recruiter" checked' in page.text
    await ada.post("/compose", fields(page) | {"body": HELLO})
    entries = await place.town.look(
        lambda tx: all_rows(tx, "select pool from ledger_entries where kind = 'spend'")
    )
    assert entries == [("recruiter",)]


async def test_a_pool_without_a_plan_is_refused_with_the_way_out(place: Site):
    ada, _ = await place.member("ada", **CAREER), await place.member("grace", **CAREER)

    page = await opened(ada, "grace", pool="recruiter")

    assert fate(page) == "You have no plan whose credits could pay for this letter."
    assert action(page) == "See the plans"


async def test_oneself_and_nobody_are_not_written_to(place: Site):
    ada = await place.member("ada", **CAREER)

    assert "You cannot write to yourself." in text_of(await opened(ada, "ada"))
    assert "There is no such member" in text_of(await opened(ada, "nobody-here"))


# Sending ----------------------------------------------------------------------------------------


async def test_a_letter_is_sent_and_the_draft_is_gone(place: Site):
    ada, grace = await place.member("ada", **CAREER), await place.member("grace", **CAREER)
    form = fields(await opened(ada, "grace")) | {"subject": " Compilers ", "body": HELLO}
    await ada.post("/compose/draft", form, live="save")

    answer = await ada.post("/compose", form)

    assert answer.status_code == 303
    conversation = answer.headers["location"].removeprefix("/inbox/")
    rows = await place.town.look(
        lambda tx: all_rows(
            tx,
            "select c.subject, m.body from conversations c join messages m"
            " on m.owner_id = c.owner_id and m.conversation_id = c.id where c.id = %s",
            (conversation,),
        )
    )
    assert rows == [("Compilers", HELLO)]
    assert await balance(place, ada) == 4
    assert await count(place, "drafts") == 0
    assert await balance(place, grace) == 5


async def test_a_script_is_told_the_new_balance_and_where_the_letter_is(place: Site):
    ada, _ = await place.member("ada", **CAREER), await place.member("grace", **CAREER)
    form = fields(await opened(ada, "grace")) | {"body": HELLO}

    answer = await ada.post("/compose", form, live="1")

    assert answer.status_code == 200
    assert "Sent to Grace. You have 4 credits left." in answer.text
    assert "<template data-at=\"[data-balance='premium']\">4</template>" in answer.text
    assert f'data-at="#compose-{form["key"]}" data-how="remove"' in answer.text


async def test_sent_twice_it_is_one_letter_and_one_credit(place: Site):
    ada, _ = await place.member("ada", **CAREER), await place.member("grace", **CAREER)
    form = fields(await opened(ada, "grace")) | {"body": HELLO}

    first = await ada.post("/compose", form)
    second = await ada.post("/compose", form)

    assert first.headers["location"] == second.headers["location"]
    assert await count(place, "messages") == 1
    assert await balance(place, ada) == 4


async def test_changed_after_it_was_sent_it_is_not_sent_again(place: Site):
    ada, _ = await place.member("ada", **CAREER), await place.member("grace", **CAREER)
    form = fields(await opened(ada, "grace")) | {"body": HELLO}
    await ada.post("/compose", form)

    late = await ada.post("/compose/draft", form, live="save")
    again = await ada.post("/compose", form | {"body": HELLO + "!"})

    assert (late.status_code, late.text) == (200, "")
    assert again.status_code == 409
    assert "sent before" in text_of(again)
    assert await count(place, "messages") == 1
    # What was saved too late is no draft of a letter that is on its way.
    assert await count(place, "drafts") == 0


async def test_nobody_pays_more_than_they_saw(place: Site):
    ada, grace = await place.member("ada", **CAREER), await place.member("grace", **CAREER)
    await prefers(place, grace, open_profile=True)
    form = fields(await opened(ada, "grace")) | {"body": HELLO}
    await prefers(place, grace, open_profile=False)

    refused = await ada.post("/compose", form)

    assert refused.status_code == 422
    assert "Nothing was sent: writing to Grace costs more than you were shown." in text_of(refused)
    assert fate(refused).startswith("Uses 1 credit")
    assert await count(place, "messages") == 0
    sent = await ada.post("/compose", fields(refused))
    assert sent.status_code == 303
    assert await balance(place, ada) == 4


async def test_a_refusal_shows_its_reason_and_keeps_the_letter(place: Site):
    ada, grace = await place.member("ada", **CAREER), await place.member("grace", **CAREER)
    form = fields(await opened(ada, "grace")) | {"subject": "Compilers", "body": HELLO}
    await prefers(place, grace, accept_inmail=False)

    refused = await ada.post("/compose", form, live="1")

    assert refused.status_code == 422
    assert f'data-at="#problems-{form["key"]}"' in refused.text
    assert "Nothing was sent. This member cannot be reached by InMail." in refused.text
    assert "Choose someone else" in refused.text
    again = await opened(ada, "grace")
    assert (fields(again)["subject"], fields(again)["body"]) == ("Compilers", HELLO)
    assert await balance(place, ada) == 5


async def test_too_many_at_once_are_slowed_down_and_kept(
    place: Site, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pace, "LETTERS", replace(pace.LETTERS, count=1))
    ada = await place.member("ada", **CAREER)
    await place.member("grace", **CAREER)
    await place.member("alan", **CAREER)

    assert (await sends(ada, "grace")).status_code == 303
    slowed = await sends(ada, "alan")

    assert slowed.status_code == 429
    assert "You send letters too fast. This one is kept: wait a minute." in text_of(slowed)
    assert fields(await opened(ada, "alan"))["body"] == HELLO
    assert await balance(place, ada) == 4


async def test_whoever_began_as_many_as_a_day_allows_is_told_before_they_write(
    place: Site, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Pace, "limit", lambda self, age, *, slowed: 1)
    ada = await place.member("ada", **CAREER)
    await place.member("grace", **CAREER)
    await place.member("alan", **CAREER)

    before = await opened(ada, "alan")
    assert "Uses 1 credit" in fate(before)
    assert (await sends(ada, "grace")).status_code == 303
    told = await opened(ada, "alan")

    assert fate(told).startswith("You have begun as many letters to strangers as a day allows;")
    assert action(told) == "Keep as a draft"
    # The page stood open meanwhile.
    refused = await ada.post("/compose", fields(before) | {"body": HELLO})
    assert refused.status_code == 429
    assert "Nothing was sent. You have begun as many letters to strangers" in text_of(refused)
    assert fields(await opened(ada, "alan"))["body"] == HELLO
    assert await balance(place, ada) == 4


async def test_a_refusal_is_told_on_any_page_when_the_letter_is_not_there(place: Site):
    ada, grace = await place.member("ada", **CAREER), await place.member("grace", **CAREER)
    form = fields(await opened(ada, "grace")) | {"body": HELLO}
    await prefers(place, grace, accept_inmail=False)

    refused = await ada.post("/compose", form, live="1")

    away = f'data-at="body:not(:has(#problems-{form["key"]})) #notices"'
    assert away in refused.text
    assert 'href="/compose?to=grace"' in refused.text


async def test_whether_it_can_be_sent_is_known_before_it_waits(place: Site):
    ada, grace = await place.member("ada", **CAREER), await place.member("grace", **CAREER)
    form = fields(await opened(ada, "grace"))

    fine = await ada.post("/compose/check", form | {"body": HELLO}, live="save")
    blank = await ada.post("/compose/check", form | {"body": "  "}, live="save")
    nobody = await ada.post("/compose/check", form | {"to": "", "body": HELLO}, live="save")
    await prefers(place, grace, accept_inmail=False)
    refused = await ada.post("/compose/check", form | {"body": HELLO}, live="save")

    assert [each.status_code for each in (fine, blank, nobody, refused)] == [200, 422, 422, 422]
    assert "Write something: the text is empty." in blank.text
    assert "Choose whom to write to." in nobody.text
    assert "Grace cannot be reached by InMail." in refused.text
    assert await count(place, "messages") == 0


@pytest.mark.parametrize(
    ("unit", "chars"),
    [
        ("\N{PARTY POPPER}", 1),
        # A letter and its accent are stored as one.
        ("e\N{COMBINING ACUTE ACCENT}", 1),
        # However these look, they are two.
        ("\N{WOMAN}\N{ZERO WIDTH JOINER}", 2),
        ("\r\n", 1),
    ],
)
async def test_letters_are_counted_in_code_points_as_they_are_stored(
    place: Site, unit: str, chars: int
):
    ada, _ = await place.member("ada", **CAREER), await place.member("grace", **CAREER)
    fits = "x" + unit * (1998 // chars) + "x"
    form = fields(await opened(ada, "grace"))

    over = await ada.post("/compose", form | {"body": fits + "y"})
    kept = await opened(ada, "grace")
    sent = await ada.post("/compose", form | {"body": fits})

    assert (over.status_code, sent.status_code) == (422, 303)
    assert "The text has 2001 characters; at most 2000 can be sent." in text_of(over)
    # Shown, and not cut.
    for page in (over, kept):
        assert "2,001 / 2,000" in text_of(page)
        assert fields(page)["body"].endswith("xy")


async def test_a_subject_is_counted_the_same_way(place: Site):
    ada, _ = await place.member("ada", **CAREER), await place.member("grace", **CAREER)
    subject = "\N{PARTY POPPER}" * 200

    over = await sends(ada, "grace", subject=subject + "x")
    assert over.status_code == 422
    assert "201 / 200" in text_of(over)
    assert (await sends(ada, "grace", subject=subject)).status_code == 303


async def test_an_answer_goes_to_their_inmail_and_gives_them_their_credit_back(place: Site):
    ada, grace = await place.member("ada"), await place.member("grace", **CAREER)
    inmail = await place.town.sends(id_of(grace), id_of(await place.member("eve", **CAREER)))
    assert isinstance(inmail, str)
    await place.town.chooses(id_of(ada), "premium", "premium_career")
    theirs = await place.town.sends(id_of(grace), id_of(ada))

    answer = await sends(ada, "grace", body="Gladly.")

    assert answer.headers["location"] == f"/inbox/{theirs}"
    assert await balance(place, grace) == 4


# Drafts -----------------------------------------------------------------------------------------


async def test_what_is_typed_is_kept_and_is_there_on_another_device(place: Site):
    ada, _ = await place.member("ada", **CAREER), await place.member("grace", **CAREER)
    form = fields(await opened(ada, "grace")) | {"subject": "Compilers", "body": "Hi"}

    saved = await ada.post("/compose/draft", form, live="save")

    assert "Draft saved" in saved.text
    # What stands on the page already is not said again.
    again = await ada.post("/compose/draft", form | {"saved": "1"}, live="save")
    assert "Draft saved" not in again.text
    phone = await place.signed_in(id_of(ada))
    there = fields(await opened(phone, "grace"))
    assert (there["subject"], there["body"]) == ("Compilers", "Hi")


async def test_a_letter_to_nobody_yet_goes_to_whom_one_picks(place: Site):
    ada, grace = await place.member("ada", **CAREER), await place.member("grace", **CAREER)
    page = await ada.get("/compose")
    form = fields(page) | {"body": HELLO}
    people = await ada.get(f"/compose/people?key={form['key']}&q=gra", live="suggest")
    assert 'data-handle="grace"' in people.text
    assert 'role="option"' in people.text
    assert "1 member" in people.text

    page = await ada.follow(await ada.post("/compose/to", form | {"pick": "grace"}))

    assert fields(page)["body"] == HELLO
    assert fate(page).startswith("Uses 1 credit")
    left = await place.town.look(lambda tx: drafts.draft(tx, id_of(ada), NOBODY))
    there = await place.town.look(
        lambda tx: drafts.draft(tx, id_of(ada), Place.letter(id_of(grace)))
    )
    assert left is None
    assert there is not None
    assert there.body == HELLO


async def test_the_recipient_is_changed_in_the_pop_up_without_losing_a_word(place: Site):
    ada, _ = await place.member("ada", **CAREER), await place.member("grace", **CAREER)
    await place.member("alan", **CAREER)
    opened_there = await ada.get("/compose?to=grace", live="over")
    assert '<template data-at="#over">' in opened_there.text
    form = fields(opened_there) | {"body": HELLO}

    picking = await ada.post("/compose/change", form, live="1")
    chosen = await ada.post("/compose/to", fields(picking) | {"pick": "alan"}, live="1")

    assert 'role="combobox"' in picking.text
    assert fields(picking)["body"] == HELLO
    assert fields(chosen)["body"] == HELLO
    assert "Alan" in chosen.text
    kept = await ada.post("/compose/keep", fields(picking), live="1")
    assert fate(kept).startswith("Uses 1 credit")


async def test_a_letter_begun_before_is_not_overwritten_by_another(place: Site):
    ada, _ = await place.member("ada", **CAREER), await place.member("grace", **CAREER)
    form = fields(await opened(ada, "grace")) | {"body": "Dear Grace"}
    await ada.post("/compose/draft", form, live="save")
    form = fields(await ada.get("/compose")) | {"body": "Dear you"}

    page = await ada.follow(await ada.post("/compose/to", form | {"pick": "grace"}))

    assert fields(page)["body"] == "Dear Grace"
    assert "kept among your drafts" in text_of(page)
    listed = text_of(await opened(ada, "grace"))
    assert "Letters you have begun To nobody yet" in listed
    assert "Dear you" in listed


async def test_without_a_script_people_are_found_on_the_page(place: Site):
    ada, _ = await place.member("ada", **CAREER), await place.member("grace", **CAREER)
    form = fields(await ada.get("/compose")) | {"body": HELLO, "q": "grace"}

    page = await ada.follow(await ada.post("/compose/find", form))

    assert 'name="pick" value="grace"' in page.text
    assert fields(page)["body"] == HELLO


async def test_a_discarded_letter_is_gone(place: Site):
    ada, _ = await place.member("ada", **CAREER), await place.member("grace", **CAREER)
    form = fields(await opened(ada, "grace")) | {"body": HELLO}
    await ada.post("/compose/draft", form, live="save")

    gone = await ada.post("/compose/discard", form | {"pop": "1"}, live="1")

    assert f'data-at="#compose-{form["key"]}" data-how="remove"' in gone.text
    assert fields(await opened(ada, "grace"))["body"] == ""


async def test_a_letter_to_someone_who_left_meanwhile_is_not_lost(place: Site):
    ada, grace = await place.member("ada", **CAREER), await place.member("grace", **CAREER)
    form = fields(await opened(ada, "grace")) | {"body": HELLO}
    await place.town.do(lambda tx: closing.close(tx, id_of(grace), place.town.now, place.town.book))

    refused = await ada.post("/compose", form)

    assert refused.status_code == 422
    assert fields(refused)["body"] == HELLO
    listed = await ada.get("/compose")
    assert "To a member who has left" in text_of(listed)
    there = await ada.get(f"/compose?to={grace.id}")
    assert "There is no such member" in text_of(there)
    assert fields(there)["body"] == HELLO
    await place.member("alan", **CAREER)
    moved = await ada.follow(await ada.post("/compose/to", fields(there) | {"pick": "alan"}))
    assert fields(moved)["body"] == HELLO
    assert "To a member who has left" not in text_of(await ada.get("/compose"))


async def test_what_changes_meanwhile_is_shown_with_the_next_save(place: Site):
    ada, grace = await place.member("ada", **CAREER), await place.member("grace", **CAREER)
    form = fields(await opened(ada, "grace")) | {"body": HELLO}
    same = await ada.post("/compose/draft", form, live="save")
    assert 'class="cost' not in same.text

    await connect(place, ada, grace)
    changed = await ada.post("/compose/draft", form, live="save")

    assert fate(changed) == "Free: you and Grace are connected."


async def test_a_stranger_cannot_see_or_keep_a_letter(place: Site):
    await place.member("grace", **CAREER)
    stranger = place.browser()

    assert (await stranger.get("/compose?to=grace")).headers["location"].startswith("/login")
    assert (await stranger.post("/compose", {"body": "x"})).headers["location"].startswith("/login")


# Advice -----------------------------------------------------------------------------------------


async def test_advice_comes_while_one_writes_and_keeps_nothing_back(place: Site):
    ada, _ = await place.member("ada", **CAREER), await place.member("grace", **CAREER)
    form = fields(await opened(ada, "grace")) | {"body": "Hi {first_name}, how are you"}

    saved = await ada.post("/compose/draft", form, live="save")
    assert "“{first_name}” is still to be filled in." in unescape(saved.text)
    unchanged = await ada.post("/compose/draft", form | {"advised": "placeholder"}, live="save")
    assert "to be filled in" not in unchanged.text
    page = await opened(ada, "grace")
    assert "to be filled in" in text_of(page)

    assert (await ada.post("/compose", form)).status_code == 303


async def test_the_same_letter_to_many_is_noticed(place: Site):
    ada = await place.member("ada", premium="premium_business")
    rest = (
        "\n\nyour work is known to me. I am looking for someone like you to join us. Shall we talk?"
    )
    for name in ("grace", "alan", "eve"):
        to = await place.town.member(name, **CAREER)
        start = Start(id_of(ada), to, ConversationId(ids.new()), MessageId(ids.new()), name + rest)
        assert isinstance(await place.town.acts(start), Done)
    await place.member("bob", **CAREER)
    form = fields(await opened(ada, "bob")) | {"body": "Hi Bob," + rest}

    saved = await ada.post("/compose/draft", form, live="save")

    assert "You have sent this text 3 times lately" in saved.text


async def test_what_people_wrote_is_shown_and_never_run(place: Site):
    ada, _ = await place.member("ada", **CAREER), await place.member("grace", **CAREER)
    evil = "</textarea><script>alert(1)</script>\"'>"
    form = fields(await opened(ada, "grace")) | {"body": evil, "subject": evil}
    await ada.post("/compose/draft", form, live="save")

    page = await opened(ada, "grace")

    assert "<script>alert" not in page.text
    assert fields(page)["body"] == evil
    assert fields(page)["subject"] == evil
    people = await ada.get("/compose/people", params={"key": '"><b>', "q": evil}, live="suggest")
    assert "<b>" not in people.text.replace("<b>Grace", "")
