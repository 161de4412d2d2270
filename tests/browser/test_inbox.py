"""The inbox in two windows: what one does, the other sees, without a reload."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Locator, Route, expect

from overture.core.ids import ConversationId
from overture.core.policy import Outcome
from overture.core.sending import Withdraw
from tests.browser.network import Member, Network
from tests.browser.people import NARROW, Person, comes, passes, settle, stands_still

CAREER = "premium_career"
Visit = Callable[..., Person]


def test_an_answer_comes_with_the_credit_while_the_sender_looks_on(network: Network, visit: Visit):
    ada, grace = network.member("Ada", premium=CAREER), network.member("Grace", premium=CAREER)
    here = network.letter(ada, grace, "Shall we talk about compilers?", "Compilers")
    sender, recipient = visit(ada), visit(grace)
    sender.opens(f"/inbox/{here}")
    expect(sender.page.locator(".track")).to_contain_text("Your credit comes back if")

    recipient.opens("/inbox")
    recipient.page.locator(".conv").first.click()
    recipient.link("Interested, tell me more").click()
    text = recipient.page.get_by_label(re.compile("^Answer to"))
    expect(text).to_have_value("Interested, tell me more")
    text.fill("Gladly: see https://example.org/talk")
    recipient.button("Accept and send").click()

    expect(recipient.page.locator(".msg.me")).to_contain_text("Gladly")
    expect(sender.page.locator(".msg")).to_contain_text("Gladly")
    expect(sender.page.locator(".sys")).to_contain_text("accepted. Your credit is back.")
    expect(sender.page.locator(".stamp")).to_contain_text("BACK")
    expect(sender.page.locator(".conv").first).to_contain_text("Credit back")
    expect(sender.page.locator(".bub a")).to_have_attribute("href", "https://example.org/talk")
    sender.page.get_by_label(re.compile("^Reply to")).press_sequentially("Thank")
    expect(recipient.page.locator(".typing")).to_contain_text("is typing")
    sender.page.get_by_label(re.compile("^Reply to")).fill("Thank you!")
    sender.page.keyboard.press("Control+Enter")
    expect(recipient.page.locator(".msg").last).to_contain_text("Thank you!")
    expect(sender.page.locator(".seen")).to_contain_text("Read")
    expect(sender.page.get_by_label(re.compile("^Reply to"))).to_have_value("")
    expect(sender.page.locator(".msg.me")).to_have_count(1)


def test_a_decline_waits_and_can_be_undone(network: Network, visit: Visit):
    ada, grace = network.member("Ada", premium=CAREER), network.member("Grace", premium=CAREER)
    here = network.letter(ada, grace)
    recipient = visit(grace)
    recipient.page.clock.install()
    recipient.opens(f"/inbox/{here}")

    stands_still(recipient.page)
    recipient.page.keyboard.press("d")
    expect(recipient.page.get_by_text("Declining.")).to_be_visible()
    # Above the answer, not on it.
    toast, foot = (recipient.page.locator(each).bounding_box() for each in (".toast", ".at-foot"))
    assert toast
    assert foot
    assert toast["y"] + toast["height"] <= foot["y"]
    recipient.button("Undo").click()
    expect(recipient.page.get_by_text("Declining.")).to_have_count(0)
    assert network.text("select state from conversations where id = %s", here) == "pending"

    recipient.page.get_by_role("button", name="Decline", exact=True).click()
    passes(recipient.page, 6_000)
    expect(recipient.page.locator(".track")).to_contain_text("You declined.")


def test_who_declines_for_good_says_so_once_and_the_sender_sees_what_is_left(
    network: Network, visit: Visit
):
    ada, grace = network.member("Ada", premium=CAREER), network.member("Grace", premium=CAREER)
    here = network.letter(ada, grace)
    sender, recipient = visit(ada), visit(grace)
    sender.opens(f"/inbox/{here}")
    expect(sender.page.locator(".shut")).to_contain_text("once Grace answers")
    recipient.page.clock.install()
    page = recipient.opens(f"/inbox/{here}")

    stands_still(page)
    page.get_by_role("button", name="Other ways to decline").click()
    page.get_by_role("button", name="Decline and don’t contact again").click()
    expect(page.get_by_role("button", name="Undo")).to_be_focused()
    expect(page.locator(".menu:popover-open")).to_have_count(0)
    passes(page, 6_000)

    expect(page.locator(".shut")).to_contain_text("You have blocked Ada")
    expect(page.locator(".track .said")).to_have_text("You declined.")
    expect(sender.page.locator(".track")).to_contain_text("Grace declined")
    expect(sender.page.locator(".shut")).to_contain_text("can’t be written to here any more")


def test_what_was_sent_can_be_changed_and_taken_back(network: Network, visit: Visit):
    ada, grace = network.member("Ada"), network.member("Grace")
    network.connect(ada, grace)
    here = network.letter(ada, grace, "Tuesday at eight?")
    network.writes(ada, here, "Or at nine")
    one, other = visit(ada), visit(grace)
    one.opens(f"/inbox/{here}")
    other.opens(f"/inbox/{here}")

    first = one.page.locator(".msg.me").first
    first.hover()
    first.get_by_role("link", name="Edit").click()
    one.page.get_by_label("Your message").fill("Tuesday at seven?")
    one.button("Save").click()
    expect(other.page.locator(".msg").first).to_contain_text("Tuesday at seven?")
    expect(other.page.locator(".msg").first).to_contain_text("edited")

    last = one.page.locator(".msg.me").last
    last.hover()
    last.get_by_role("button", name="Delete").click()
    expect(other.page.locator(".msg").last).to_contain_text("deleted")
    expect(one.page.locator(".msg").last).to_contain_text("You deleted this message.")
    expect(other.page.locator(".conv").first).to_contain_text("This message was deleted.")


def test_a_long_conversation_is_read_backwards_without_a_jump(network: Network, visit: Visit):
    ada, grace = network.member("Ada"), network.member("Grace")
    network.connect(ada, grace)
    here = network.letter(ada, grace, "Message 1")
    for number in range(2, 80):
        network.writes(ada, here, f"Message {number}")
    reader = visit(grace)
    page = reader.opens(f"/inbox/{here}")

    def message(number: int) -> Locator:
        return page.get_by_role("log").get_by_text(f"Message {number}", exact=True)

    expect(message(79)).to_be_in_viewport()
    message(62).scroll_into_view_if_needed()
    before = message(62).bounding_box()
    expect(message(50)).to_be_attached()
    after = message(62).bounding_box()
    assert before
    assert after
    assert abs(before["y"] - after["y"]) < 2
    for number in (45, 21, 1):
        message(number).scroll_into_view_if_needed()
        expect(message(number)).to_be_in_viewport()
    expect(page.locator(".day")).to_have_count(1)


def test_what_is_fetched_for_a_page_that_was_drawn_anew_is_not_shown_twice(
    network: Network, visit: Visit
):
    reader, here = long_conversation(network, visit, 70)
    page, waiting = reader.page, list[Route]()
    page.route("**/inbox/*before=*", lambda route: waiting.append(route))  # noqa: PLW0108
    reader.opens(f"/inbox/{here}")

    for times in (1, 2):
        page.locator(".msg").first.scroll_into_view_if_needed()
        comes(page, lambda times=times: len(waiting) == times)
        if times == 1:
            with page.expect_response(f"**/inbox/{here}"):
                page.locator(".conv").click()  # the same conversation, drawn anew
            expect(
                page.get_by_role("log").get_by_text("Message 70", exact=True)
            ).to_be_in_viewport()
    waiting[1].continue_()
    expect(page.get_by_role("log").get_by_text("Message 31", exact=True)).to_be_attached()
    with page.expect_event("requestfinished"):
        waiting[0].continue_()
    settle(page)
    expect(page.locator(".msg")).to_have_count(40)


def test_what_happened_before_the_page_was_made_may_be_told_again(network: Network, visit: Visit):
    told_up_to = network.count("select coalesce(max(sequence), 0) from outbox")
    reader, here = long_conversation(network, visit, 50)
    page = reader.page

    def told_again(route: Route) -> None:
        answer = route.fetch()
        text = re.sub(r'data-after="\d+"', f'data-after="{told_up_to}"', answer.text())
        route.fulfill(response=answer, body=text)

    page.route(f"**/inbox/{here}", told_again)
    reader.opens(f"/inbox/{here}")
    network.writes(reader.me, here, "The last")

    expect(page.get_by_role("log").get_by_text("The last", exact=True)).to_be_attached()
    shown = [*(f"Message {number}" for number in range(31, 51)), "The last"]
    expect(page.locator(".msg .bub")).to_have_text(shown)


def test_who_writes_while_looking_at_earlier_messages_sees_what_they_wrote(
    network: Network, visit: Visit
):
    reader, here = long_conversation(network, visit, 120)
    query = "select id from messages where conversation_id = %s and number = 5"
    page = reader.opens(f"/inbox/{here}?at=5#m-{network.text(query, here)}")
    fifth = page.get_by_role("log").get_by_text("Message 5", exact=True)
    # What follows is fetched, and pushes nothing away.
    expect(page.get_by_text("Message 30", exact=True)).to_be_attached()
    expect(fifth).to_be_in_viewport()

    page.get_by_label(re.compile("^Reply to")).fill("I have just read this")
    page.keyboard.press("Control+Enter")

    expect(page.locator(".msg.me")).to_be_in_viewport()
    shown = [*(f"Message {number}" for number in range(102, 121)), "I have just read this"]
    expect(page.locator(".msg .bub")).to_have_text(shown)


def long_conversation(
    network: Network, visit: Visit, messages: int
) -> tuple[Person, ConversationId]:
    """Someone to whom a connection has written so many messages."""
    ada, grace = network.member("Ada"), network.member("Grace")
    network.connect(ada, grace)
    here = network.letter(ada, grace, "Message 1")
    for number in range(2, messages + 1):
        network.writes(ada, here, f"Message {number}")
    return visit(grace), here


def test_what_is_read_stays_where_it_lies_in_the_list(network: Network, visit: Visit):
    ada, alan = network.member("Ada"), network.member("Alan")
    grace = network.member("Grace", premium=CAREER, open_profile=True)
    for each in (ada, alan):
        network.connect(each, grace)
        network.letter(each, grace, f"From {each.name}")
        network.days_pass(0.001)
    reader = visit(grace)
    page = reader.opens("/inbox")
    page.locator(".conv", has_text=ada.name).click()
    expect(page.locator("#count-focused")).to_have_text("1")

    # What is told comes in its order: that it was read has been told by the time that this is.
    network.letter(network.member("Eve"), grace, "A letter of a stranger")
    expect(page.locator("#count-other")).to_have_text("1")
    expect(page.locator(".conv .snip")).to_have_text([f"From {alan.name}", f"From {ada.name}"])


def test_a_conversation_far_down_the_list_comes_up_once(network: Network, visit: Visit):
    grace = network.member("Grace")
    threads: list[tuple[Member, ConversationId]] = []
    for number in range(45):
        other = network.member("Ada")
        network.connect(other, grace)
        threads.append((other, network.letter(other, grace, f"Letter {number}")))
        network.days_pass(0.0001)
    page = visit(grace).opens("/inbox")
    rows = page.locator(".conv")
    expect(rows).to_have_count(20)

    # One that is not shown yet, and one that was fetched as one scrolled to it.
    network.writes(*threads[2], "Up from the depths")
    expect(rows.first).to_contain_text("Up from the depths")
    rows.last.scroll_into_view_if_needed()
    expect(rows).to_have_count(41)
    network.writes(*threads[10], "Up from the middle")
    expect(rows.first).to_contain_text("Up from the middle")
    expect(rows).to_have_count(41)
    rows.last.scroll_into_view_if_needed()
    expect(rows).to_have_count(45)
    expect(page.locator("#more-lines")).to_have_count(0)


def test_a_letter_that_is_taken_back_goes_from_the_page(network: Network, visit: Visit):
    ada, grace = network.member("Ada", premium=CAREER), network.member("Grace", premium=CAREER)
    here = network.letter(ada, grace, "Shall we talk about compilers?", "Compilers")
    page = visit(grace).opens(f"/inbox/{here}")
    expect(page.locator(".letter")).to_contain_text("Shall we talk")

    network.act(Withdraw(ada.id, here))

    expect(page.locator(".sys")).to_contain_text("withdrew this InMail")
    expect(page.get_by_text("Compilers")).to_have_count(0)
    expect(page.get_by_text("Shall we talk")).to_have_count(0)


def test_what_became_of_a_letter_is_told_once_and_where_it_happened(network: Network, visit: Visit):
    ada, grace = network.member("Ada", premium=CAREER), network.member("Grace", premium=CAREER)
    here = network.letter(ada, grace, "Shall we talk about compilers?")
    network.answers(grace, here, Outcome.ACCEPTED)
    network.days_pass(0.001)
    for number in range(1, 31):
        network.writes(grace, here, f"Message {number}")
    page = visit(ada).opens(f"/inbox/{here}")
    expect(page.locator(".msg").last).to_contain_text("Message 30")

    network.writes(grace, here, "One more")

    expect(page.locator(".msg").last).to_contain_text("One more")
    expect(page.locator(".sys")).to_have_count(0)
    page.locator(".msg").first.scroll_into_view_if_needed()
    expect(page.locator(".letter + .sys")).to_contain_text("accepted")
    expect(page.locator(".sys")).to_have_count(1)


def test_single_keys_go_through_the_inbox(network: Network, visit: Visit):
    grace = network.member("Grace", premium=CAREER)
    for number in range(3):
        sender = network.member("Sender", premium=CAREER)
        network.letter(sender, grace, f"Letter {number}", f"Subject {number}")
    reader = visit(grace)
    page = reader.opens("/inbox")

    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator(".letter h2")).to_have_text("Subject 1")
    page.keyboard.press("r")
    expect(page.get_by_label(re.compile("^Answer to"))).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("u")
    expect(page.locator(".conv[aria-current]")).to_be_focused()
    page.keyboard.press("s")
    expect(page.get_by_role("button", name="Star").first).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".conv[aria-current] .mark")).to_have_count(1)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("Letter 2")
    page.keyboard.press("Enter")
    expect(page.locator(".conv")).to_have_count(1)
    page.locator(".conv").click()
    expect(page.locator(".letter h2")).to_have_text("Subject 2")
    page.goto(reader.address + "/inbox")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator(".letter h2")).to_have_text("Subject 2")
    page.keyboard.press("e")
    expect(page.get_by_text("Archived. A new message brings it back.")).to_be_visible()
    expect(page.locator(".conv")).to_have_count(2)


def test_on_a_phone_the_list_and_the_thread_follow_each_other(network: Network, visit: Visit):
    ada, grace = network.member("Ada", premium=CAREER), network.member("Grace", premium=CAREER)
    network.letter(ada, grace, "Shall we talk?", "A talk")
    reader = visit(grace, viewport=NARROW)
    page = reader.opens("/inbox")

    page.locator(".conv").click()
    expect(page.locator(".letter")).to_be_visible()
    expect(page.locator(".list")).to_be_hidden()
    page.get_by_role("link", name="Back to the inbox").click()
    expect(page.locator(".list")).to_be_visible()
    expect(page.locator(".conv")).not_to_have_class(re.compile("unread"))


def test_without_javascript_one_reads_answers_and_writes(network: Network, visit: Visit):
    ada, grace = network.member("Ada", premium=CAREER), network.member("Grace", premium=CAREER)
    here = network.letter(ada, grace, "Shall we talk?", "A talk")
    reader = visit(grace, java_script_enabled=False)
    page = reader.opens("/inbox")

    page.locator(".conv").click()
    expect(page.locator(".letter h2")).to_have_text("A talk")

    def read_number() -> int:
        query = "select read_number from inbox where owner_id = %s and conversation_id = %s"
        return network.count(query, grace.id, here)

    # By a picture that nobody sees.
    comes(page, lambda: read_number() == 1)
    page.get_by_role("link", name="Accept and reply").click()
    page.get_by_label(re.compile("^Answer to")).fill("Yes, let us.")
    page.get_by_role("button", name="Accept and send").click()
    expect(page.locator(".msg.me")).to_contain_text("Yes, let us.")
    page.get_by_label(re.compile("^Reply to")).fill("Tomorrow?")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".msg.me").last).to_contain_text("Tomorrow?")


def test_a_message_in_an_unopened_conversation_moves_it_up(network: Network, visit: Visit):
    grace = network.member("Grace")
    others = [network.member(name) for name in ("Ada", "Alan")]
    threads: list[ConversationId] = []
    for other in others:
        network.connect(other, grace)
        threads.append(network.letter(other, grace, f"Hello from {other.name}"))
        network.days_pass(0.001)
    reader = visit(grace)
    page = reader.opens("/inbox")
    expect(page.locator(".conv").first).to_contain_text(others[1].name)

    network.writes(others[0], threads[0], "Are you there?")

    expect(page.locator(".conv").first).to_contain_text("Are you there?")
    expect(page.locator(".conv")).to_have_count(2)
    expect(page.locator("#badge-inbox")).to_contain_text("2")
    expect(page).to_have_title("Inbox (2) · Overture")
    page.locator(".conv").first.click()
    expect(page.locator("#badge-inbox")).to_contain_text("1")
    expect(page).to_have_title(f"{others[0].name} · Overture")
