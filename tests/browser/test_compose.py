"""A letter in a real browser: written, held back, taken back, sent once and never lost."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import pytest
from axe_playwright_python.sync_playwright import Axe  # pyright: ignore[reportMissingTypeStubs]
from playwright.sync_api import Locator, Page, expect

from overture.actions import members, pace
from overture.actions.members import PreferenceChanges
from overture.core.ids import ConversationId
from overture.core.policy import Outcome
from overture.core.sending import Withdraw
from tests.browser.network import Member, Network
from tests.browser.people import NARROW, WIDE, Person, comes, passes, settle, stands_still

Visit = Callable[..., Person]

CAREER = "premium_career"
# Any page does.
PAGE = "/settings/privacy"
WORDS = "I am Ada. Your talk on compilers was clear. Shall we meet?"
HELD = re.compile("Sending to")


@pytest.fixture
def ada(network: Network) -> Member:
    return network.member("Ada", premium=CAREER)


@pytest.fixture
def grace(network: Network) -> Member:
    return network.member("Grace", premium=CAREER)


def opens(person: Person, to: Member, *, timed: bool = False, more: str = "") -> Page:
    """Opens the pop-up over a page; with `timed` the browser's clock stands still until the test moves
    it. `more` is added to the address."""
    if timed:
        person.page.clock.install()
    page = person.opens(PAGE)
    page.evaluate(
        """to => {
            const link = document.createElement("a");
            Object.assign(link, {href: `/compose?to=${to}`, id: "write", textContent: "Write"});
            link.dataset.live = "";
            document.querySelector("main").prepend(link);
        }""",
        to.handle + more,
    )
    page.locator("#write").click()
    expect(body(page)).to_be_focused()
    if timed:
        stands_still(page)
    return page


def body(page: Page) -> Locator:
    return page.locator("#over textarea")


def send(page: Page) -> None:
    page.locator("#over").get_by_role("button", name="Send").click()


def sent(network: Network, sender: Member) -> int:
    return network.count("select count(*) from messages where sender_id = %s", sender.id)


def drafts(network: Network, owner: Member) -> int:
    return network.count("select count(*) from drafts where owner_id = %s", owner.id)


def test_undo_brings_the_letter_back_with_the_focus_in_it(
    network: Network, visit: Visit, ada: Member, grace: Member
):
    person = visit(ada)
    page = opens(person, grace, timed=True)
    body(page).fill(WORDS)
    send(page)
    expect(page.get_by_text(HELD)).to_be_visible()
    expect(body(page)).to_have_count(0)
    expect(page.get_by_role("button", name="Undo")).to_be_focused()

    page.clock.fast_forward(9_000)
    page.get_by_role("button", name="Undo").click()
    passes(page, 60_000)

    expect(body(page)).to_be_focused()
    expect(body(page)).to_have_value(WORDS)
    assert sent(network, ada) == 0


def test_after_ten_seconds_it_is_sent_once_and_the_page_knows(
    network: Network, visit: Visit, ada: Member, grace: Member
):
    person = visit(ada)
    page = opens(person, grace, timed=True)
    body(page).fill(WORDS)
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text(HELD)).to_be_visible()
    assert sent(network, ada) == 0

    passes(page, 11_000)

    person.sees(f"Sent to {grace.name}. You have 4 credits left.")
    expect(page.locator("[data-compose]")).to_have_count(0)
    expect(page.get_by_text(HELD)).to_have_count(0)
    expect(page.locator("#write")).to_be_focused()
    passes(page, 60_000)
    assert sent(network, ada) == 1


def test_the_profile_it_was_written_from_tells_the_price_of_the_next(
    network: Network, visit: Visit, ada: Member, grace: Member
):
    page = visit(ada).page
    page.clock.install()
    page.goto(network.address + grace.profile)
    door = page.locator(f"#door-{grace.id}")
    expect(door).to_contain_text("An InMail costs 1 credit.")
    door.get_by_role("link", name="Write a message").click()
    body(page).fill(WORDS)
    stands_still(page)
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text(HELD)).to_be_visible()
    passes(page, 11_000)

    expect(door).to_contain_text("Your last InMail waits for an answer")
    expect(door.get_by_role("link", name="Go to that InMail")).to_be_visible()
    page.get_by_role("button", name="More").click()
    expect(page.locator("#more-menu .lead")).to_contain_text("Your last InMail waits")
    here = network.text("select id from conversations where owner_id = %s", ada.id)
    network.answers(grace, ConversationId(here), Outcome.ACCEPTED)
    expect(door).to_contain_text("Free: it goes to your open conversation")


def test_impatience_sends_no_second_one(network: Network, visit: Visit, ada: Member, grace: Member):
    person = visit(ada)
    page = opens(person, grace, timed=True)
    body(page).fill(WORDS)
    page.locator("#over").get_by_role("button", name="Send").dblclick()
    expect(page.get_by_text(HELD)).to_have_count(1)

    passes(page, 11_000)

    person.sees(f"Sent to {grace.name}. You have 4 credits left.")
    assert sent(network, ada) == 1


def test_closing_the_page_sends_at_once_and_once(
    network: Network, visit: Visit, ada: Member, grace: Member
):
    person = visit(ada)
    page = opens(person, grace)
    body(page).fill(WORDS)
    send(page)
    expect(page.get_by_text(HELD)).to_be_visible()

    page.close()

    other = visit(ada).opens(PAGE)
    comes(other, lambda: sent(network, ada) == 1 and drafts(network, ada) == 0)
    other.wait_for_timeout(300)
    assert sent(network, ada) == 1


def test_a_refusal_after_the_wait_shows_its_reason_and_the_letter(
    network: Network, visit: Visit, ada: Member, grace: Member
):
    person = visit(ada)
    page = opens(person, grace, timed=True)
    body(page).fill(WORDS)
    send(page)
    expect(page.get_by_text(HELD)).to_be_visible()
    shut = PreferenceChanges(accept_inmail=False)
    network.do(lambda tx: members.change_preferences(tx, grace.id, shut, network.now))

    passes(page, 11_000)

    alert = page.locator("#over").get_by_role("alert")
    expect(alert).to_contain_text("Nothing was sent. This member cannot be reached by InMail.")
    expect(body(page)).to_have_value(WORDS)
    expect(body(page)).to_be_focused()
    expect(page.get_by_role("button", name="Choose someone else")).to_be_visible()


def test_what_cannot_be_sent_is_told_before_the_wait(visit: Visit, ada: Member, grace: Member):
    person = visit(ada)
    page = opens(person, grace)
    party = "\N{PARTY POPPER}" * 2001
    body(page).fill(party)
    expect(page.get_by_text("2,001 / 2,000")).to_be_visible()

    send(page)

    expect(page.locator("#over").get_by_role("alert")).to_contain_text("at most 2000 can be sent")
    expect(page.get_by_text(HELD)).to_have_count(0)
    expect(body(page)).to_have_attribute("aria-invalid", "true")
    expect(body(page)).to_have_value(party)
    body(page).fill(party[:-1])
    send(page)
    expect(page.get_by_text(HELD)).to_be_visible()


# Who writes to whom, once everything is as it has to be for a no.
Prepare = Callable[[Network], tuple[Member, Member]]


def two(network: Network) -> tuple[Member, Member]:
    return network.member("Ada", premium=CAREER), network.member("Grace", premium=CAREER)


def without_a_plan(network: Network) -> tuple[Member, Member]:
    return network.member("Bo"), network.member("Grace", premium=CAREER)


def without_credits(network: Network) -> tuple[Member, Member]:
    ada, grace = two(network)
    for _ in range(5):
        network.letter(ada, network.member("Alan", premium=CAREER))
    return ada, grace


def to_one_who_takes_none(network: Network) -> tuple[Member, Member]:
    return two(network)[0], network.member("Grace", premium=CAREER, accept_inmail=False)


def to_one_who_has_blocked(network: Network) -> tuple[Member, Member]:
    ada, grace = two(network)
    network.block(grace, ada)
    return ada, grace


def to_one_without_premium(network: Network) -> tuple[Member, Member]:
    return two(network)[0], network.member("Grace")


def after_one_that_waits(network: Network) -> tuple[Member, Member]:
    ada, grace = two(network)
    network.letter(ada, grace)
    return ada, grace


def after_one_that_was_taken_back(network: Network) -> tuple[Member, Member]:
    ada, grace = two(network)
    network.act(Withdraw(ada.id, network.letter(ada, grace)))
    return ada, grace


def to_one_whom_one_has_blocked(network: Network) -> tuple[Member, Member]:
    ada, grace = two(network)
    network.block(ada, grace)
    return ada, grace


def after_many_free_ones(network: Network) -> tuple[Member, Member]:
    bo = network.member("Bo")
    for _ in range(25):
        network.letter(bo, network.member("Alan", premium=CAREER, open_profile=True))
    return bo, network.member("Grace", premium=CAREER, open_profile=True)


@dataclass(frozen=True)
class No:
    """What compose says, and the one thing that can be done; `more` is added to its address."""

    prepare: Prepare
    sentence: str
    action: str
    more: str = ""


NOES = (
    No(without_a_plan, "takes a plan with InMail credits", "See the plans"),
    No(without_credits, "no credits left; the next come on 25 December", "See My Premium"),
    No(to_one_who_takes_none, "cannot be reached by InMail", "Choose someone else"),
    No(to_one_who_has_blocked, "cannot be reached by InMail", "Choose someone else"),
    No(to_one_without_premium, "receives no InMail; you can connect", "Go to their profile"),
    No(after_one_that_waits, "Your last InMail waits", "Go to that InMail"),
    No(after_one_that_was_taken_back, "took your last InMail back", "Go to that InMail"),
    No(to_one_whom_one_has_blocked, "You have blocked", "Unblock"),
    No(after_many_free_ones, "the next can go Thu, 26 Nov", "Keep as a draft"),
    No(two, "no plan whose credits could pay", "See the plans", "&pool=recruiter"),
)


@pytest.mark.parametrize("no", NOES, ids=[each.prepare.__name__ for each in NOES])
def test_every_no_has_its_sentence_one_thing_to_do_and_keeps_the_letter(
    network: Network, visit: Visit, no: No
):
    writer, to = no.prepare(network)
    before = sent(network, writer)
    page = opens(visit(writer), to, more=no.more)
    over = page.locator("#over")

    expect(over.locator(".cost")).to_contain_text(no.sentence)
    expect(over.locator("[id^=act-] .btn")).to_have_text([no.action])
    body(page).fill(WORDS)
    expect(over.get_by_text("Draft saved")).to_be_visible()
    page.keyboard.press("Control+Enter")
    sound(page)

    over.get_by_role("button", name=re.compile("Close")).click()
    page.locator("#write").click()
    expect(body(page)).to_have_value(WORDS)
    expect(over.locator(".cost")).to_contain_text(no.sentence)
    expect(page.get_by_text(HELD)).to_have_count(0)
    assert sent(network, writer) == before


def test_whoever_writes_as_fast_as_a_program_is_slowed_down(
    network: Network, visit: Visit, ada: Member, grace: Member
):
    page = opens(visit(ada), grace, timed=True)
    body(page).fill(WORDS)
    send(page)
    expect(page.get_by_text(HELD)).to_be_visible()
    while network.do(lambda tx: pace.allows_letter(tx, ada.id)):
        pass

    passes(page, 11_000)

    expect(page.locator("#over").get_by_role("alert")).to_contain_text("You send letters too fast")
    expect(body(page)).to_have_value(WORDS)
    assert sent(network, ada) == 0


def test_the_letter_waits_through_a_navigation_and_another_letter(
    network: Network, visit: Visit, ada: Member, grace: Member
):
    alan = network.member("Alan", premium=CAREER)
    person = visit(ada)
    page = opens(person, grace, timed=True)
    body(page).fill(WORDS)
    send(page)
    expect(page.get_by_text(HELD)).to_be_visible()
    page.evaluate(
        "handle => document.getElementById('write').setAttribute('href', `/compose?to=${handle}`)",
        alan.handle,
    )
    page.locator("#write").click()
    body(page).fill("Dear Alan")

    page.get_by_role("button", name="Undo").click()
    page.clock.resume()

    expect(body(page)).to_have_value(WORDS)
    page.locator("#over").get_by_role("button", name=re.compile("Close")).click()
    comes(page, lambda: drafts(network, ada) == 2)
    page.locator("#write").click()
    expect(body(page)).to_have_value("Dear Alan")
    assert sent(network, ada) == 0


def test_what_was_typed_a_moment_ago_is_kept_when_the_page_goes_away(
    network: Network, visit: Visit, ada: Member, grace: Member
):
    person = visit(ada)
    page = opens(person, grace)
    body(page).fill("Only just")

    page.goto(person.address + PAGE)

    comes(page, lambda: drafts(network, ada) == 1)
    page = opens(person, grace)
    expect(body(page)).to_have_value("Only just")


def test_by_keyboard_alone_somebody_is_found_and_written_to(
    network: Network, visit: Visit, ada: Member, grace: Member
):
    person = visit(ada)
    page = opens(person, grace)
    alan = network.member("Alan", premium=CAREER)
    page.locator("#over").get_by_role("button", name="Change").press("Enter")
    field = page.get_by_role("combobox")
    expect(field).to_be_focused()

    page.keyboard.type(alan.name)
    best = page.get_by_role("option").first
    expect(best).to_contain_text(alan.name)
    expect(field).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("ArrowDown")
    expect(best).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")

    expect(body(page)).to_be_focused()
    expect(page.locator("#over .to")).to_contain_text(alan.name)
    page.keyboard.press("Escape")
    expect(page.locator("#over [data-compose]")).to_have_count(0)
    expect(page.locator("#write")).to_be_focused()


def test_its_key_opens_it_from_any_page_and_the_focus_goes_back(visit: Visit, ada: Member):
    person = visit(ada)
    page = person.opens("/premium")
    plans = page.get_by_role("link", name="Change plan")
    plans.focus()

    page.keyboard.press("c")
    expect(page.get_by_role("combobox")).to_be_focused()
    # As where something happened meanwhile: this piece of the page comes anew.
    page.evaluate(
        "document.querySelector('#premium').replaceWith(document.querySelector('#premium').cloneNode(true))"
    )
    page.keyboard.press("Escape")

    expect(page.locator("[data-compose]")).to_have_count(0)
    expect(plans).to_be_focused()
    person.opens("/compose")
    page.locator("#main").focus()
    page.keyboard.press("c")
    expect(page.get_by_role("combobox")).to_be_focused()
    expect(page.locator("[data-compose]")).to_have_count(1)


def test_without_a_network_it_says_so_and_keeps_the_text(visit: Visit, ada: Member, grace: Member):
    person = visit(ada)
    page = opens(person, grace)
    person.goes_offline()

    body(page).fill(WORDS)

    expect(page.locator("#over").get_by_text("Not saved")).to_be_visible()
    person.comes_back()
    expect(page.locator("#over").get_by_text("Draft saved")).to_be_visible()
    expect(page.locator("#over").get_by_text("Not saved")).to_be_hidden()


def test_sent_without_a_network_it_goes_once_when_there_is_one_again(
    network: Network, visit: Visit, ada: Member, grace: Member
):
    person = visit(ada)
    page = opens(person, grace, timed=True)
    body(page).fill(WORDS)
    page.clock.fast_forward(2_000)
    expect(page.locator("#over").get_by_text("Draft saved")).to_be_visible()
    person.goes_offline()
    send(page)
    expect(page.get_by_text(HELD)).to_be_visible()
    passes(page, 11_000)
    expect(page.locator("[data-waiting]")).to_contain_text(WORDS)
    expect(page.locator("[data-compose]")).to_have_count(0)
    assert sent(network, ada) == 0

    person.comes_back()

    expect(page.locator("[data-waiting]")).to_have_count(0)
    person.sees(f"Sent to {grace.name}. You have 4 credits left.")
    assert sent(network, ada) == 1
    comes(page, lambda: drafts(network, ada) == 0)


def test_without_a_script_it_is_sent_at_once(
    network: Network, visit: Visit, ada: Member, grace: Member
):
    person = visit(ada, java_script_enabled=False)
    page = person.opens(f"/compose?to={grace.handle}")
    page.get_by_role("textbox", name="Message").fill(WORDS)
    page.get_by_role("button", name="Save the draft").click()
    person.sees("Draft saved.")
    page.get_by_role("button", name="Change").click()
    page.get_by_role("combobox").fill(grace.name)
    page.get_by_role("button", name="Search").click()
    page.get_by_role("button", name=grace.name).first.click()

    page.get_by_role("button", name="Send").click()

    person.is_at(re.compile(r"/inbox/[0-9a-f-]+"))
    person.sees(f"Sent to {grace.name}. You have 4 credits left.")
    assert sent(network, ada) == 1


def test_on_a_phone_it_is_the_whole_screen(visit: Visit, ada: Member, grace: Member):
    person = visit(ada, viewport=NARROW)
    page = opens(person, grace)
    page.evaluate("Promise.all(document.getAnimations().map(each => each.finished))")

    box = page.locator("#over [data-compose]").bounding_box()

    assert box is not None
    assert (box["x"], box["y"], box["width"], box["height"]) == (0, 0, 390, 844)
    expect(page.locator(".app")).to_have_js_property("inert", True)
    page.locator("#over").get_by_role("button", name=re.compile("Close")).click()
    expect(page.locator(".app")).to_have_js_property("inert", False)


def test_several_pools_are_a_choice_that_changes_the_price(
    network: Network, visit: Visit, grace: Member
):
    mona = network.member("Mona", premium=CAREER, recruiter="recruiter_lite")
    page = opens(visit(mona), grace)
    expect(page.locator("#over .cost .left")).to_contain_text("5")

    page.locator("#over").get_by_label("Recruiter Lite").check()

    expect(page.locator("#over .cost .left")).to_contain_text("30")


def test_it_grows_into_a_page_of_its_own(visit: Visit, ada: Member, grace: Member):
    person = visit(ada)
    page = opens(person, grace)
    body(page).fill(WORDS)

    page.locator("#over").get_by_role("link", name="Open as a page").click()

    person.is_at("/compose")
    expect(page.locator("main textarea")).to_have_value(WORDS)
    expect(page.locator("main textarea")).to_be_focused()
    expect(page.locator("#over [data-compose]")).to_have_count(0)


def test_from_its_page_one_goes_on_while_the_letter_waits(
    network: Network, visit: Visit, ada: Member, grace: Member
):
    person = visit(ada)
    person.page.clock.install()
    page = person.opens(f"/compose?to={grace.handle}")
    page.locator("main textarea").fill(WORDS)
    stands_still(page)
    page.get_by_role("button", name="Send").click()
    person.is_at("/inbox")
    expect(page.get_by_role("button", name="Undo")).to_be_focused()

    page.get_by_role("button", name="Undo").click()

    expect(body(page)).to_have_value(WORDS)
    expect(body(page)).to_be_focused()
    send(page)
    expect(page.get_by_text(HELD)).to_be_visible()
    passes(page, 11_000)
    person.sees(f"Sent to {grace.name}. You have 4 credits left.")
    assert sent(network, ada) == 1


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_every_state_of_the_pop_up_is_accessible(
    network: Network, visit: Visit, theme: str, viewport: dict[str, int]
):
    mona = network.member("Mona", premium=CAREER, recruiter="recruiter_lite")
    grace = network.member("Grace", premium=CAREER)
    basic = network.member("Bo")
    person = visit(mona, viewport=viewport, color_scheme=theme)

    page = opens(person, grace)
    body(page).fill("Hi {name}, " + "we are looking for somebody who does this and that. " * 50)
    expect(page.locator("#over .advice li")).to_have_count(3)
    send(page)
    expect(page.locator("#over").get_by_role("alert")).to_contain_text("at most 2000")
    sound(page)
    page.locator("#over").get_by_role("button", name="Change").click()
    page.get_by_role("combobox").fill("Bo")
    expect(page.get_by_role("option").first).to_be_visible()
    page.keyboard.press("ArrowDown")
    sound(page)
    page = opens(person, basic)
    expect(page.locator("#over .cost.warn")).to_be_visible()
    sound(page)
    for path in (f"/compose?to={basic.handle}", "/compose"):
        sound(person.opens(path))


def sound(page: Page) -> None:
    """Axe finds nothing, and nothing is wider than the window."""
    settle(page)
    answer = cast("dict[str, Any]", Axe().run(page).response)  # pyright: ignore[reportUnknownMemberType]
    assert not answer["violations"], answer["violations"]
    assert page.evaluate(
        "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    )
