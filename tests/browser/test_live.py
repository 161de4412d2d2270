"""The event stream in real browsers: many tabs on one connection, and who is here."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from overture.core.ids import ConversationId
from overture.core.policy import Outcome
from tests.browser.network import Member, Network
from tests.browser.people import Person

CAREER = "premium_career"
Visit = Callable[..., Person]


@pytest.fixture
def ada(network: Network) -> Member:
    return network.member("Ada", premium=CAREER)


@pytest.fixture
def grace(network: Network) -> Member:
    return network.member("Grace", premium=CAREER)


@pytest.fixture
def open_one(network: Network, ada: Member, grace: Member) -> ConversationId:
    """A conversation that grace accepted."""
    made = network.letter(ada, grace, "May I ask you something?")
    network.answers(grace, made, Outcome.ACCEPTED)
    return made


def test_nine_tabs_are_kept_up_to_date_over_one_connection(
    network: Network, visit: Visit, ada: Member, grace: Member, open_one: ConversationId
):
    person = visit(ada)
    streams: list[str] = []
    person.context.on("request", lambda r: streams.append(r.url) if "/events" in r.url else None)
    person.opens(f"/inbox/{open_one}")
    tabs = [person.page, *(person.tab(f"/inbox/{open_one}") for _ in range(8))]

    network.writes(grace, open_one, "To all nine")

    for tab in tabs:
        expect(tab.locator(".msg").last).to_contain_text("To all nine")
    assert len(streams) == 1

    # The one that read is closed: another takes over, and nothing is lost between.
    tabs.pop(0).close()
    network.writes(grace, open_one, "To the other eight")
    for tab in tabs:
        expect(tab.locator(".msg").last).to_contain_text("To the other eight")
        expect(tab.locator(".msg")).to_have_count(2)


def test_what_happened_while_the_connection_was_broken_is_there_afterwards(
    network: Network, visit: Visit, ada: Member, grace: Member, open_one: ConversationId
):
    person = visit(ada)
    page = person.opens(f"/inbox/{open_one}")
    network.writes(grace, open_one, "Before")
    expect(page.locator(".msg").last).to_contain_text("Before")

    person.goes_offline()
    network.writes(grace, open_one, "Meanwhile")
    person.comes_back()

    expect(page.locator(".msg").last).to_contain_text("Meanwhile")
    expect(page.locator(".msg")).to_have_count(2)


def test_connections_see_who_is_here_and_others_do_not(
    network: Network, visit: Visit, ada: Member, grace: Member, open_one: ConversationId
):
    here = visit(ada).opens(f"/inbox/{open_one}")
    dot = here.locator(f"[data-here='{grace.id}'] > b").first
    expect(dot).to_have_count(0)

    visit(grace).opens("/inbox")

    expect(dot).to_be_visible()
    expect(dot).to_have_attribute("aria-label", "Active now")
    # A page that is opened later asks.
    expect(
        visit(ada).opens("/inbox").locator(f"[data-here='{grace.id}'] > b").first
    ).to_be_visible()
    eve = network.member("Eve", premium=CAREER)
    network.letter(eve, grace, "A first letter")
    stranger = visit(eve)
    with stranger.page.expect_response("**/here?*"):
        stranger.opens("/inbox")
    expect(stranger.page.locator(f"[data-here='{grace.id}']").first).to_be_attached()
    expect(stranger.page.locator(f"[data-here='{grace.id}'] > b")).to_have_count(0)
