"""What an operator does in the console, in a real browser."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from axe_playwright_python.base import AXE_SCRIPT  # pyright: ignore[reportMissingTypeStubs]
from playwright.sync_api import ViewportSize, expect
from pyotp.totp import TOTP

from overture.store import operators, two_steps
from overture.store.db import Tx
from tests.browser.network import Member, Network
from tests.browser.people import Person
from tests.browser.test_pages import ALL_RULES, COLOURS, violations

CAREER = "premium_career"
SECRET = "OVERTURE" * 4
WIDE, NARROW = ViewportSize(width=1280, height=800), ViewportSize(width=390, height=844)
NARROWEST = ViewportSize(width=360, height=740)
Visit = Callable[..., Person]


@pytest.fixture
def otto(network: Network) -> Member:
    """An operator with an app, who is not in the console yet."""
    otto = network.member("Otto")

    async def becomes_one(tx: Tx) -> None:
        assert await operators.add(tx, otto.id)
        await two_steps.set_code_app(tx, otto.id, SECRET, used=0)

    network.do(becomes_one)
    return otto


@pytest.fixture
def at_work(otto: Member, visit: Visit) -> Person:
    """The operator, in the console by a code."""
    person = visit(otto)
    person.opens("/ops/members")
    person.page.get_by_label("Code").fill(TOTP(SECRET).at(int(time.time())))
    person.button("Go on").click()
    person.is_at("/ops/members")
    return person


def test_an_operator_finds_a_member_and_suspends_them(
    network: Network, at_work: Person, visit: Visit
):
    ada = network.member("Adalbert", premium=CAREER)
    page, theirs = at_work.page, visit(ada)

    page.keyboard.press("/")
    page.keyboard.type(ada.name)
    # The address says what was found last.
    expect(page).to_have_url(re.compile(rf"[?&]q={ada.name.replace(' ', '.')}(&|$)"))
    row = page.get_by_role("link", name=ada.name)
    expect(row).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    expect(row).to_be_focused()
    page.keyboard.press("Enter")
    at_work.is_at(f"/ops/members/{ada.id}")
    at_work.link("Warn or suspend").click()
    page.get_by_label("Why, as they read it").fill("You wrote the same to forty strangers.")
    at_work.button("Decide").click()
    at_work.sees(re.compile("Suspended since"))

    theirs.opens("/inbox")
    theirs.is_at("/suspended")
    theirs.sees("You wrote the same to forty strangers.")
    at_work.link("Audit log").first.click()
    at_work.sees("member.suspended")


def test_an_operator_adjusts_credits_and_reads_the_books(network: Network, at_work: Person):
    ada = network.member("Adalind", premium=CAREER)
    page = at_work.page

    at_work.opens(f"/ops/members/{ada.id}/credits")
    page.get_by_label("Credits").fill("2")
    page.get_by_label("Reason").fill("A letter was lost")
    at_work.button("Adjust").click()
    at_work.sees(re.compile("the balance is 7 now"))
    page.get_by_role("navigation", name="About this member").get_by_role(
        "link", name="Ledger"
    ).click()
    at_work.sees("Added by the operator: A letter was lost")
    at_work.link("Verify").click()
    at_work.sees(re.compile("^Sound: "))


def test_an_operator_opens_a_conversation_for_a_reason(network: Network, at_work: Person):
    ada = network.member("Adamina", premium=CAREER)
    bob = network.member("Bobby", premium=CAREER)
    conversation = network.letter(ada, bob, "What nobody else should read")
    page = at_work.page

    at_work.opens(f"/ops/conversations?member={ada.handle}")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    at_work.is_at(f"/ops/conversations/{ada.id}/{conversation}")
    expect(page.get_by_text("What nobody else should read")).to_have_count(0)
    page.get_by_label("Reason").fill("Order 12/34 of a court")
    at_work.button("Open and write it down").click()
    at_work.sees("What nobody else should read")
    at_work.opens("/ops/audit")
    at_work.sees("conversation.opened")
    at_work.sees("Order 12/34 of a court")
    at_work.link("Verify the chain").click()
    at_work.sees(re.compile("none was changed or taken out"))
    at_work.button("Leave").click()
    at_work.is_at("/inbox")
    at_work.opens("/ops/audit")
    at_work.is_at("/ops/enter")


def test_the_console_is_accessible_in_both_themes_and_widths(network: Network, at_work: Person):
    # With two pools, each of whose tables is a place of its own.
    ada = network.member("Adaline", premium=CAREER, recruiter="recruiter_lite")
    page = at_work.page
    found: list[str] = []
    paths = [
        "/ops/members",
        f"/ops/members/{ada.id}?other={at_work.me.handle}",
        f"/ops/members/{ada.id}/decide",
        f"/ops/ledger/{ada.id}",
        "/ops/audit?of=all",
    ]
    for path in paths:
        page.set_viewport_size(WIDE)
        at_work.opens(path)
        assert not at_work.faults
        page.evaluate(AXE_SCRIPT)
        for size in (WIDE, NARROW):
            page.set_viewport_size(size)
            page.emulate_media(color_scheme="light")
            found += violations(page, ALL_RULES)
            page.emulate_media(color_scheme="dark")
            found += violations(page, COLOURS)
        page.emulate_media(color_scheme="light")
        page.set_viewport_size(NARROWEST)
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > 360:
            found.append(f"{path} is {wide} wide")
        # What axe itself brought into the page.
        at_work.faults.clear()

    assert not found, "\n".join(found)
