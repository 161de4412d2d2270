"""A letter answered from the mail: by its link, in a browser where nobody is signed in."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.network import Network
from tests.browser.people import NARROW, Person

CAREER = "premium_career"
Visit = Callable[..., Person]


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
def test_one_press_answers_while_the_sender_looks_on(
    network: Network, visit: Visit, scripts: bool
) -> None:
    ada, grace = network.member("Ada", premium=CAREER), network.member("Grace", premium=CAREER)
    here = network.letter(ada, grace, "Shall we talk about compilers?", "Compilers")
    sender = visit(ada)
    sender.opens(f"/inbox/{here}")
    reader = visit(viewport=NARROW, java_script_enabled=scripts)

    reader.opens(network.answer_link(grace, here, "no_thanks"))
    expect(reader.page.get_by_role("heading", name="Compilers")).to_be_visible()
    reader.page.get_by_label("Your message").fill("No thanks; ask me in autumn.")
    reader.page.get_by_role("button", name="Decline and send").click()

    expect(reader.page.get_by_role("status")).to_contain_text("You declined.")
    expect(sender.page.locator(".msg")).to_contain_text("ask me in autumn")
    expect(sender.page.locator(".stamp")).to_contain_text("BACK")
    # The same link, once more, has nothing to press.
    reader.opens(network.answer_link(grace, here, "accept"))
    expect(reader.page.get_by_role("button")).to_have_count(0)


def test_another_answer_is_a_step_away(network: Network, visit: Visit) -> None:
    ada, grace = network.member("Ada", premium=CAREER), network.member("Grace", premium=CAREER)
    here = network.letter(ada, grace)
    reader = visit()
    reader.opens(network.answer_link(grace, here, "decline"))
    reader.page.get_by_text("Other answers").click()
    reader.page.get_by_role("link", name="Accept", exact=True).click()
    reader.page.get_by_role("button", name="Accept", exact=True).click()
    expect(reader.page.get_by_role("status")).to_contain_text("You accepted.")

    reader.page.get_by_role("link", name="Open the conversation").click()
    expect(reader.page.get_by_role("heading", name="Sign in")).to_be_visible()
