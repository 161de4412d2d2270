"""Without a network: a page that says so, and what was written goes once there is one again."""

from __future__ import annotations

import json
import re

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.network import PASSWORD, Member, Network
from tests.browser.people import PATIENCE, Person, comes, passes, stands_still

WORDS = "I am Ada. Your talk on compilers was clear. Shall we meet?"


@pytest.fixture
def ada(network: Network) -> Member:
    return network.member("Ada", premium="premium_career")


@pytest.fixture
def grace(network: Network) -> Member:
    return network.member("Grace", premium="premium_career")


def with_worker(person: Person, path: str) -> None:
    """Loads a page, and waits until the worker serves it."""
    page = person.opens(path)
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    comes(page, lambda: page.evaluate("navigator.serviceWorker.controller !== null"))


def fetched(network: Network, path: str) -> httpx.Response:
    return httpx.get(network.address + path, timeout=PATIENCE / 1000)


def sent(network: Network, sender: Member) -> int:
    return network.count("select count(*) from messages where sender_id = %s", sender.id)


def test_it_can_be_installed(network: Network):
    manifest = fetched(network, "/manifest.webmanifest")
    told = manifest.json()

    assert manifest.headers["content-type"] == "application/manifest+json"
    assert {told["start_url"], told["scope"], told["display"]} == {"/inbox", "/", "standalone"}
    for each in told["icons"]:
        icon = fetched(network, each["src"])
        assert icon.headers["content-type"] == "image/png"
        width, height = icon.content[16:20], icon.content[20:24]
        assert f"{int.from_bytes(width)}x{int.from_bytes(height)}" == each["sizes"]
    assert any(each["purpose"] == "maskable" for each in told["icons"])


def test_the_worker_is_asked_for_anew_and_names_files_that_are_there(network: Network):
    worker = fetched(network, "/sw.js")

    assert worker.headers["cache-control"] == "no-cache"
    files = json.loads(worker.text.partition("const FILES = ")[2].partition(";")[0])
    assert len(files) > 5
    for each in files:
        assert fetched(network, each).status_code == 200


def test_a_page_without_a_network_says_so_and_comes_back_by_itself(network, visit, ada):
    person = visit(ada)
    with_worker(person, "/premium")

    person.goes_offline()
    person.opens("/settings/privacy")
    person.sees("No network")
    assert ada.name not in person.page.content()

    person.comes_back()
    expect(person.page.get_by_text("No network")).to_have_count(0)
    expect(person.page.get_by_role("heading", level=1)).to_be_visible()


def test_nothing_that_a_member_reads_is_kept_in_the_browser(visit, ada):
    person = visit(ada)
    with_worker(person, "/premium")
    for path in ("/settings/account", "/compose"):
        person.opens(path)

    kept = person.page.evaluate(
        """async () => {
            const urls = [];
            for (const name of await caches.keys()) {
                const cache = await caches.open(name);
                for (const { url } of await cache.keys()) urls.push(new URL(url).pathname);
            }
            return urls;
        }"""
    )

    assert "/offline" in kept
    assert not [path for path in kept if path != "/offline" and not path.startswith("/static/")]


def test_a_letter_sent_without_a_network_goes_once_when_there_is_one(network, visit, ada, grace):
    person = visit(ada)
    page = person.page
    page.clock.install()
    with_worker(person, f"/compose?to={grace.handle}")
    page.get_by_label("Message").fill(WORDS)
    expect(page.get_by_text("Draft saved")).to_be_visible()

    person.goes_offline()
    stands_still(page)
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    passes(page, 11_000)
    person.sees("Waits for the network")
    assert sent(network, ada) == 0

    person.comes_back()
    expect(page.get_by_text("Waits for the network")).to_have_count(0)
    page.reload()
    assert sent(network, ada) == 1


@pytest.fixture
def chat(network: Network, ada: Member, grace: Member) -> str:
    """The path of a conversation that is open to both."""
    made = network.letter(ada, grace)
    network.writes(grace, made, "Gladly.")
    return f"/inbox/{made}"


def writes(person: Person, words: str) -> None:
    person.page.get_by_label(re.compile("^Reply to")).fill(words)
    person.page.get_by_role("button", name="Send", exact=True).click()


def test_replies_wait_above_the_field_and_go_in_their_order(network, visit, ada, grace, chat):
    person, there = visit(ada), visit(grace)
    there.opens(chat)
    with_worker(person, chat)
    page = person.page

    person.goes_offline()
    for words in ("The first", "The second"):
        writes(person, words)
        expect(page.locator("[data-outbox] [data-waiting]").last).to_contain_text(words)
    expect(page.get_by_label(re.compile("^Reply to"))).to_have_value("")
    writes(person, "Not this one")
    page.locator("[data-waiting]", has_text="Not this one").get_by_role("button").click()
    expect(page.locator("[data-waiting]")).to_have_count(2)

    person.comes_back()
    expect(page.locator("[data-waiting]")).to_have_count(0)
    for each in (page, there.page):
        expect(each.locator(".msg", has_text="The second")).to_have_count(1)
    page.reload()
    expect(page.locator(".msg.me")).to_have_text(
        [re.compile("The first"), re.compile("The second")]
    )


def test_what_waits_is_there_after_the_page_was_closed(network, visit, ada, chat):
    person = visit(ada)
    with_worker(person, chat)
    person.goes_offline()
    writes(person, "Written in a tunnel")
    expect(person.page.locator("[data-waiting]")).to_have_count(1)
    person.page.close()

    elsewhere = person.tab("/premium")
    expect(elsewhere.get_by_text("Written in a tunnel")).to_be_visible()
    person.comes_back()

    expect(elsewhere.get_by_text("Written in a tunnel")).to_have_count(0)
    assert sent(network, ada) == 2


def test_what_is_refused_stays_to_be_read_until_one_signs_out(network, visit, ada, grace, chat):
    person = visit(ada)
    page = person.page
    with_worker(person, chat)
    person.goes_offline()
    writes(person, "Too late")
    expect(page.locator("[data-waiting]")).to_have_count(1)
    network.block(grace, ada)

    person.comes_back()
    person.sees("Could not be sent")
    expect(page.get_by_role("alert").filter(visible=True)).to_have_count(1)
    person.opens("/settings/account")
    person.sees("Too late")
    page.get_by_role("main").get_by_role("button", name="Sign out", exact=True).click()
    person.sees("You are signed out")
    page.get_by_label("E-mail").fill(f"{ada.handle}@overture.example")
    page.get_by_label("Password").fill(PASSWORD)
    person.button("Sign in").click()
    person.is_at("/inbox")
    page.wait_for_load_state("networkidle")
    expect(page.get_by_text("Too late")).to_have_count(0)
    assert sent(network, ada) == 1
