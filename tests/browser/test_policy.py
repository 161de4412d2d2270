"""The operator changes the policy in the console: a mistake, what changes, and taking it back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.base import AXE_SCRIPT  # pyright: ignore[reportMissingTypeStubs]
from playwright.sync_api import Page, expect

from overture import policies
from overture.store import operators
from overture.store.db import Tx, all_rows
from tests.browser.network import Member, Network
from tests.browser.people import NARROW, WIDE, Person, settle
from tests.browser.test_pages import ALL_RULES, COLOURS, violations

SENTENCE = "Lots die after 90 days instead of 120: lots that exist keep their date."
WIDTH = "document.documentElement.scrollWidth"


@pytest.fixture
def otto(network: Network) -> Member:
    return network.member("Otto")


def enters(network: Network, member: Member) -> None:
    """Into the console, as with a second factor that was shown only now, in each browser they have."""

    async def enter(tx: Tx) -> None:
        await operators.add(tx, member.id)
        await tx.execute("update sessions set factor_at = now() where member_id = %s", (member.id,))
        query = "select id from sessions where member_id = %s"
        for (session,) in await all_rows(tx, query, (member.id,)):
            await operators.enter(tx, member.id, session)

    network.do(enter)


def is_fit_to_be_used(page: Page) -> None:
    """Accessible, wide and on a phone, light and dark; and nothing lies beside the window."""
    page.evaluate(AXE_SCRIPT)
    for size in (NARROW, WIDE):
        page.set_viewport_size({"width": size["width"], "height": size["height"]})
        page.emulate_media(color_scheme="dark")
        settle(page)
        assert not violations(page, COLOURS)
        page.emulate_media(color_scheme="light")
        settle(page)
        assert not violations(page, ALL_RULES)
        assert page.evaluate(WIDTH) <= size["width"]


@pytest.mark.parametrize(
    ("locale", "scripted"),
    [("en-GB", True), ("ar", True), ("en-GB", False)],
    ids=["in English", "in Arabic", "without a script"],
)
def test_an_operator_changes_the_policy_from_a_date_on_and_takes_it_back(
    network: Network, visit: Callable[..., Person], otto: Member, locale: str, scripted: bool
):
    person = visit(otto, locale=locale, java_script_enabled=scripted)
    enters(network, otto)
    page = person.opens("/ops/policy")

    # axe is a script itself.
    def look() -> None:
        if scripted:
            is_fit_to_be_used(page)

    look()

    page.locator(".page-head a.btn").click()
    document = page.locator("#document")
    expect(document).to_have_value(policies.written(network.book.versions[0], dated=False))
    look()
    changed = document.input_value().replace("expiry_days = 120", "expiry_days = 90")
    document.fill(changed.replace("refund_days", "refund_dais"))
    page.locator("[name=day]").fill("2030-01-01")
    page.locator(".form.policy .btn").click()
    expect(page.locator("#wrong")).to_contain_text("refund_dais = 90")
    look()

    document.fill(changed)
    page.locator(".form.policy .btn").click()
    expect(page.locator(".changes li")).to_have_count(1)
    if locale == "en-GB":
        person.sees(SENTENCE)
    look()
    page.locator(".form .btn.primary").click()
    person.is_at("/ops/policy")
    assert network.count("select count(*) from policies") == 2

    page.locator('a[href^="/ops/policy/withdraw"]').click()
    look()
    page.locator(".form .btn.primary").click()
    person.is_at("/ops/policy")
    assert network.count("select count(*) from policies") == 1
