"""Notices on a device, in a real browser: switched on, shown, and gone.

The services that take notices are the browsers' makers'; browsers get here what those would give.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import expect

from overture.core.push import encoded
from tests.browser.network import Member, Network
from tests.browser.people import Person, comes

ENDPOINT = "https://push.example/send/abc"
# In place of the maker's service, which cannot be reached from here.
KEY, AUTH = encoded(b"\x04" + b"k" * 64), encoded(b"a" * 16)
SUBSCRIBES = f"""
PushManager.prototype.getSubscription = async () => null;
PushManager.prototype.subscribe = async () => ({{
  toJSON: () => ({{ endpoint: "{ENDPOINT}", keys: {{ p256dh: "{KEY}", auth: "{AUTH}" }} }}),
}});
"""
SHOWN = """async () => (await (await navigator.serviceWorker.ready).getNotifications())
  .map(({ title, tag, data, lang, dir }) => ({ title, tag, data, lang, dir }))"""
SETTINGS = "/settings/notifications"


@pytest.fixture
def ada(network: Network) -> Member:
    return network.member("Ada", premium="premium_career")


def tells(person: Person, network: Network, **notice: str) -> None:
    """The browser is told something by its maker's service."""
    page = person.page
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    session = page.context.new_cdp_session(page)
    found: list[str] = []

    def take(told: dict[str, Any]) -> None:
        ours = (each for each in told["registrations"] if network.address in each["scopeURL"])
        found.extend(each["registrationId"] for each in ours)

    session.on("ServiceWorker.workerRegistrationUpdated", take)
    session.send("ServiceWorker.enable")
    comes(page, lambda: bool(found))
    told = {"origin": network.address, "registrationId": found[0], "data": json.dumps(notice)}
    session.send("ServiceWorker.deliverPushMessage", told)


def test_it_is_switched_on_where_the_browser_may(network: Network, visit, ada: Member):
    person = visit(ada)
    person.page.context.grant_permissions(["notifications"], origin=network.address)
    person.page.add_init_script(SUBSCRIBES)
    person.opens(SETTINGS)

    person.page.get_by_role("button", name="Show notices here").click()

    expect(person.page.get_by_role("button", name="Show no more")).to_be_visible()
    kept = "select count(*) from sessions where member_id = %s and push_endpoint = %s"
    assert network.count(kept, ada.id, ENDPOINT) == 1


def test_a_browser_that_may_not_says_so(network: Network, visit, ada: Member):
    person = visit(ada)
    person.page.add_init_script("Notification.requestPermission = async () => 'denied';")
    person.opens(SETTINGS)

    person.page.get_by_role("button", name="Show notices here").click()

    expect(person.page.get_by_text("The browser was not allowed to")).to_be_visible()
    kept = "select count(*) from sessions where member_id = %s and push_endpoint is not null"
    assert network.count(kept, ada.id) == 0


def test_what_the_server_tells_is_shown_once_for_each_conversation(
    network: Network, visit, ada: Member
):
    person = visit(ada)
    person.page.context.grant_permissions(["notifications"], origin=network.address)
    person.opens("/premium")
    told = {"url": "/inbox/1", "tag": "/inbox/1", "lang": "en", "dir": "ltr"}

    tells(person, network, title="Grace wrote you an InMail", **told)
    tells(person, network, title="Grace still waits for your answer", **told)

    shown = {"title": "Grace still waits for your answer", "data": told.pop("url"), **told}
    comes(person.page, lambda: person.page.evaluate(SHOWN) == [shown])


def test_what_was_shown_goes_when_one_signs_out(network: Network, visit, ada: Member):
    person = visit(ada)
    person.page.context.grant_permissions(["notifications"], origin=network.address)
    person.opens("/settings/account")
    told = {"url": "/inbox/1", "tag": "/inbox/1", "lang": "en", "dir": "ltr"}
    tells(person, network, title="Grace wrote you an InMail", **told)
    comes(person.page, lambda: len(person.page.evaluate(SHOWN)) == 1)

    person.page.locator("form[action='/logout'] button").first.click()
    person.is_at(re.compile("/login"))

    comes(person.page, lambda: person.page.evaluate(SHOWN) == [])
