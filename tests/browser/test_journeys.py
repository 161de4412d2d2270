"""Whole stories, each with the browsers of both who take part."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.network import Member, Network
from tests.browser.people import NARROW, Person, passes, stands_still

CAREER = "premium_career"
# Longer than any letter is held back.
A_WHILE = 11_000
Visit = Callable[..., Person]


@pytest.fixture
def grace(network: Network) -> Member:
    return network.member("Grace", premium=CAREER, headline="Writes compilers")


def balance(page: Page) -> Locator:
    """The credits that the letter being written shows."""
    return page.locator("[data-compose] [data-balance]").first


def writes(person: Person, words: str) -> None:
    """Fills in the letter that is open, and lets its ten seconds pass."""
    page = person.page
    letter = page.locator("[data-compose]")
    letter.get_by_role("textbox", name="Message").fill(words)
    stands_still(page)
    letter.get_by_role("button", name="Send").click()
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    passes(page, A_WHILE)
    expect(page.get_by_role("button", name="Undo")).to_have_count(0)


def test_from_signing_up_to_an_answer_that_brings_the_credit_back(
    network: Network, visit: Visit, grace: Member
):
    ada, there = visit(), visit(grace)
    page = ada.page
    page.clock.install()
    there.opens("/inbox")

    # A stranger becomes a member with a plan.
    ada.opens("/signup")
    page.get_by_label("Your name").fill("Ada Countess")
    page.get_by_label("E-mail").fill("ada.countess@overture.example")
    page.get_by_label("Password", exact=True).fill("analytical engines hum softly")
    ada.button("Make my account").click()
    ada.is_at("/login")
    page.get_by_label("E-mail").fill("ada.countess@overture.example")
    page.get_by_label("Password", exact=True).fill("analytical engines hum softly")
    ada.button("Sign in").click()
    ada.is_at("/inbox")
    ada.sees("Nothing waits here")
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Premium").click()
    ada.link("Choose Premium Career").click()
    ada.button("Start Premium Career").click()
    ada.sees("You now have Premium Career.")

    # They find somebody, and read what a letter costs.
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Members").click()
    page.get_by_role("searchbox").press_sequentially(grace.name[:9])
    page.locator("#found").get_by_role("link", name=grace.name).first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(grace.name)
    ada.button("More").click()
    page.get_by_role("link", name=f"Message {grace.name}").click()
    letter = page.locator("[data-compose]")
    expect(letter).to_contain_text("1 credit")
    expect(balance(page)).to_have_text("5")

    # The letter arrives, and costs one.
    letter.get_by_label(re.compile("Subject")).fill("Compilers")
    writes(ada, "I am Ada. Your compilers are a wonder. May I ask you how they began?")
    expect(there.page.locator(".conv").first).to_contain_text("Ada Countess")
    ada.opens("/premium")
    expect(page.locator(".big[data-balance=premium]")).to_have_text("4")
    ada.opens("/inbox")
    page.locator(".conv").first.click()
    expect(page.locator(".track")).to_contain_text("Your credit comes back if")

    # The recipient accepts; the sender looks on.
    there.page.locator(".conv").first.click()
    expect(there.page.locator(".letter")).to_contain_text("Your compilers are a wonder.")
    there.link("Accept and reply").click()
    there.page.get_by_label(re.compile("^Answer to")).fill("With a dream of a machine.")
    there.button("Accept and send").click()
    expect(page.locator(".msg")).to_contain_text("With a dream of a machine.")
    expect(page.locator(".sys")).to_contain_text("Your credit is back")
    expect(page.locator(".stamp")).to_contain_text("BACK")

    # They write on: typing, and the receipt.
    page.get_by_label(re.compile("^Reply to")).press_sequentially("Tell")
    expect(there.page.get_by_role("status").filter(has_text="is typing")).to_be_visible()
    page.get_by_label(re.compile("^Reply to")).fill("Tell me more!")
    page.keyboard.press("Control+Enter")
    expect(there.page.locator(".msg").last).to_contain_text("Tell me more!")
    expect(page.locator(".seen")).to_contain_text("Read")
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Premium").click()
    expect(page.locator(".big[data-balance=premium]")).to_have_text("5")


def test_a_no_brings_the_credit_back_too(network: Network, visit: Visit, grace: Member):
    ada = network.member("Ada", premium=CAREER)
    here = network.letter(ada, grace)
    sender, recipient = visit(ada), visit(grace)
    sender.opens("/premium")
    expect(sender.page.locator(".big[data-balance=premium]")).to_have_text("4")

    recipient.page.clock.install()
    recipient.opens(f"/inbox/{here}")
    stands_still(recipient.page)
    recipient.page.get_by_role("button", name="Decline", exact=True).click()
    expect(recipient.page.get_by_text("Declining.")).to_be_visible()
    passes(recipient.page, A_WHILE)
    expect(recipient.page.locator(".track")).to_contain_text("You declined.")

    expect(sender.page.locator(".big[data-balance=premium]")).to_have_text("5")
    sender.opens(f"/inbox/{here}")
    expect(sender.page.locator(".stamp")).to_contain_text("BACK")


def test_a_quick_reply_is_edited_and_sent(network: Network, visit: Visit, grace: Member):
    ada = network.member("Ada", premium=CAREER)
    here = network.letter(ada, grace)
    sender, recipient = visit(ada), visit(grace)
    sender.opens(f"/inbox/{here}")

    recipient.opens(f"/inbox/{here}")
    recipient.link("No thanks").click()
    answer = recipient.page.get_by_label(re.compile("^Answer to"))
    expect(answer).to_have_value("No thanks")
    answer.fill("No thanks, but ask me in spring.")
    recipient.button("Decline and send").click()

    expect(sender.page.locator(".msg")).to_contain_text("No thanks, but ask me in spring.")
    expect(sender.page.locator(".stamp")).to_contain_text("BACK")


def test_an_open_profile_is_written_to_for_free(network: Network, visit: Visit):
    grace = network.member("Grace", premium=CAREER, open_profile=True)
    ada = visit(network.member("Ada"))
    there = visit(grace)
    # Of a stranger without a plan.
    there.opens("/inbox?box=other")
    ada.page.clock.install()

    ada.opens(grace.profile)
    ada.sees("Open Profile")
    ada.page.get_by_role("main").get_by_role("link", name="Write a message").click()
    expect(ada.page.locator("[data-compose] .cost")).to_contain_text("Free")
    writes(ada, "I am Ada and have no plan. How did you begin?")

    expect(there.page.locator(".conv").first).to_contain_text("How did you begin?")


def test_a_cancelled_plan_takes_its_credits_with_it(network: Network, visit: Visit, grace: Member):
    member = network.member("Ada", premium=CAREER)
    ada, beside = visit(member), visit(member)
    beside.opens(f"/compose?to={grace.handle}")
    expect(balance(beside.page)).to_have_text("5")

    ada.opens("/premium/cancel?pool=premium")
    ada.sees("Cancel your plan")
    ada.button("End Premium Career now").click()
    ada.sees("Premium Career has ended.")
    expect(ada.page.locator(".big[data-balance=premium]")).to_have_text("0")
    expect(balance(beside.page)).to_have_text("0")

    beside.page.reload()
    expect(beside.page.locator("[data-compose] .cost")).to_contain_text("plan")
    expect(beside.button("Send")).to_have_count(0)


def test_the_whole_exchange_by_keyboard_alone(network: Network, visit: Visit, grace: Member):
    ada = visit(network.member("Ada", premium=CAREER))
    there = visit(grace)
    keys, page = ada.page.keyboard, ada.page
    page.clock.install()
    ada.opens("/inbox")

    keys.press("c")
    expect(page.get_by_role("combobox")).to_be_focused()
    keys.type(grace.name)
    expect(page.get_by_role("option").first).to_contain_text(grace.name)
    keys.press("ArrowDown")
    keys.press("Enter")
    expect(page.get_by_role("textbox", name="Message")).to_be_focused()
    keys.type("I am Ada. May I ask you one thing?")
    stands_still(page)
    keys.press("Control+Enter")
    expect(page.get_by_role("button", name="Undo")).to_be_focused()
    passes(page, A_WHILE)
    expect(page.locator(".conv")).to_have_count(1)

    there.opens("/inbox")
    there.page.keyboard.press("j")
    there.page.keyboard.press("Enter")
    expect(there.page.locator(".letter")).to_be_visible()
    there.page.keyboard.press("r")
    answer = there.page.get_by_label(re.compile("^Answer to"))
    expect(answer).to_be_focused()
    there.page.keyboard.type("Ask away.")
    there.page.keyboard.press("Control+Enter")
    expect(there.page.locator(".msg.me")).to_contain_text("Ask away.")


def test_on_a_phone_a_letter_is_found_read_and_answered(
    network: Network, visit: Visit, grace: Member
):
    ada = network.member("Ada", premium=CAREER)
    network.letter(ada, grace, "Shall we talk about compilers?")
    there = visit(grace, viewport=NARROW, has_touch=True)

    there.opens("/inbox")
    there.page.locator(".conv").first.tap()
    expect(there.page.locator(".letter")).to_be_in_viewport()
    there.link("Accept and reply").tap()
    answer = there.page.get_by_label(re.compile("^Answer to"))
    answer.fill("Gladly.")
    send = there.button("Accept and send")
    expect(send).to_be_in_viewport(ratio=1)
    send.tap()
    expect(there.page.locator(".msg.me")).to_contain_text("Gladly.")
    there.link("Back to the inbox").tap()
    expect(there.page.locator(".conv").first).to_be_in_viewport()


def test_from_right_to_left_the_page_is_mirrored_and_names_stay_as_they_are(
    network: Network, visit: Visit, grace: Member
):
    ada = network.member("Ada", premium=CAREER)
    here = network.letter(ada, grace, "Shall we talk about compilers?")
    there = visit(grace, locale="ar")
    page = there.page

    there.opens(f"/inbox/{here}")
    expect(page.locator("html")).to_have_attribute("dir", "rtl")
    rail, main = page.locator("#rail").bounding_box(), page.locator("#main").bounding_box()
    assert rail
    assert main
    assert rail["x"] > main["x"]
    expect(page.locator("#thread").get_by_role("heading").first).to_contain_text(ada.name)
    page.locator("#thread .answer a.primary").click()
    page.locator("#thread .answer textarea").fill("بكل سرور")
    page.locator("#thread .answer button.primary").click()
    expect(page.locator(".msg.me")).to_contain_text("بكل سرور")


def test_back_and_forward_go_through_what_was_looked_at(
    network: Network, visit: Visit, grace: Member
):
    ada, eve = network.member("Ada", premium=CAREER), network.member("Eve", premium=CAREER)
    network.letter(ada, grace, "From Ada")
    network.letter(eve, grace, "From Eve")
    there = visit(grace)
    page = there.page
    there.opens("/inbox")

    page.locator(".conv", has_text=ada.name).click()
    expect(page.locator(".letter")).to_contain_text("From Ada")
    page.locator(".conv", has_text=eve.name).click()
    expect(page.locator(".letter")).to_contain_text("From Eve")
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Premium").click()
    expect(page.get_by_role("heading", name="My Premium")).to_be_visible()
    page.go_back()
    expect(page.locator(".letter")).to_contain_text("From Eve")
    page.go_back()
    expect(page.locator(".letter")).to_contain_text("From Ada")
    expect(page.locator(".conv", has_text=ada.name)).to_have_attribute("aria-current", "true")
    page.go_forward()
    expect(page.locator(".letter")).to_contain_text("From Eve")


def test_of_two_navigations_the_later_wins_however_slow_the_first(
    network: Network, visit: Visit, grace: Member
):
    ada, eve = network.member("Ada", premium=CAREER), network.member("Eve", premium=CAREER)
    slow = network.letter(ada, grace, "From Ada")
    network.letter(eve, grace, "From Eve")
    there = visit(grace)
    page = there.page
    there.opens("/inbox")
    held: list[Route] = []
    page.route(f"**/inbox/{slow}", lambda route: held.append(route))  # noqa: PLW0108

    page.locator(".conv", has_text=ada.name).click()
    page.locator(".conv", has_text=eve.name).click()
    expect(page.locator(".letter")).to_contain_text("From Eve")
    for route in held:
        route.continue_()
    page.unroute(f"**/inbox/{slow}")

    page.locator(".conv", has_text=eve.name).click()
    expect(page.locator(".letter")).to_contain_text("From Eve")
    there.is_at(re.compile(r"/inbox/(?!" + slow + ")[0-9a-f-]+"))


def test_a_reply_pressed_twice_is_sent_once(network: Network, visit: Visit, grace: Member):
    ada = network.member("Ada", premium=CAREER)
    here = network.letter(ada, grace)
    network.writes(grace, here, "Yes?")
    sender = visit(ada)
    sender.opens(f"/inbox/{here}")

    sender.page.get_by_label(re.compile("^Reply to")).fill("Only once")
    sender.page.evaluate(
        "() => { const send = document.querySelector('.reply .primary'); send.click(); send.click(); }"
    )

    expect(sender.page.locator(".msg.me")).to_have_count(1)
    sender.page.reload()
    expect(sender.page.locator(".msg.me")).to_have_count(1)


def test_a_draft_that_was_sent_does_not_come_back(network: Network, visit: Visit, grace: Member):
    ada = network.member("Ada", premium=CAREER)
    here = network.letter(ada, grace)
    network.writes(grace, here, "Yes?")
    sender = visit(ada)
    sender.opens(f"/inbox/{here}")
    text = sender.page.get_by_label(re.compile("^Reply to"))
    with sender.page.expect_response("**/draft"):
        text.fill("Half a thou")
    sender.page.reload()
    expect(text).to_have_value("Half a thou")

    text.fill("Half a thought, and the rest")
    sender.button("Send").click()

    expect(sender.page.locator(".msg.me")).to_contain_text("Half a thought, and the rest")
    expect(text).to_have_value("")
    sender.page.reload()
    expect(text).to_have_value("")
