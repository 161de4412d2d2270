"""An operator tends webhooks, mail, the lab and the installation's health, in one browser."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from playwright.sync_api import Browser, Request, expect
from pyotp.totp import TOTP

from overture import ids
from overture.actions import decisions, webhooks
from overture.actions.decisions import Act
from overture.actions.webhooks import By
from overture.core.decisions import About, Ground, Measure
from overture.core.ids import ComplaintId, ConversationId, DecisionId, EndpointId
from overture.core.suspicions import Evidence, Kind
from overture.core.webhooks import secret_text
from overture.store import mail_counts, mailboxes, suspicions, two_steps
from overture.store.db import Tx
from overture.store.mail_counts import Came
from tests.browser.network import Member, Network
from tests.browser.people import WIDE, Person, comes, person
from tests.browser.test_policy import enters, is_fit_to_be_used

SECRET = "OVERTURE" * 4
CAREER = "premium_career"


@pytest.fixture(scope="module")
def desk(network: Network, chromium: Browser) -> Iterator[Person]:
    """An operator with an app, in the console: the same in every test, which need not wait for what
    comes anew by itself."""
    member = network.member("Otto")
    seated = person(chromium, network.address, member, network.session(member))
    seated.page.clock.install()
    network.do(lambda tx: two_steps.set_code_app(tx, member.id, SECRET, used=0))
    enters(network, member)
    yield seated
    seated.context.close()


@pytest.fixture
def otto(desk: Person) -> Iterator[Person]:
    desk.page.set_viewport_size({"width": WIDE["width"], "height": WIDE["height"]})
    desk.faults.clear()
    yield desk
    assert not desk.faults, "\n".join(desk.faults)


@dataclass
class Receiver:
    """Where webhooks are sent, on this machine: takes each, and remembers its id."""

    url: str
    got: list[str] = field(default_factory=list)


@contextmanager
def receiving() -> Iterator[Receiver]:
    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.got.append(self.headers["webhook-id"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Taking) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_port}/hooks")
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield receiver
        server.shutdown()
        thread.join()


def endpoint_at(network: Network, url: str) -> EndpointId:
    made = EndpointId(ids.new())
    network.do(
        lambda tx: webhooks.create(
            tx,
            made,
            secret_text(ids.new_key()),
            url=url,
            events=["member.closed"],
            description="",
            allowed_hosts={"127.0.0.1"},
            by=By("a test", ids.new(), network.now),
        )
    )
    return made


_DELIVERIES = "select count(*) from webhook_deliveries where endpoint_id = %s"


def factor_grows_stale(network: Network, member: Member) -> None:
    query = "update sessions set factor_at = factor_at - interval '11 minutes' where member_id = %s"
    network.do(lambda tx: tx.execute(query, (member.id,)))


def test_an_endpoint_is_tested_told_again_and_given_a_new_secret(network: Network, otto: Person):
    with receiving() as receiver:
        endpoint = endpoint_at(network, receiver.url)
        page = otto.opens("/ops/webhooks")
        otto.link(receiver.url).click()
        otto.button("Send a test").click()
        otto.sees("A test is on its way.")
        comes(page, lambda: network.count(_DELIVERIES, endpoint) == 1)
        # How it went comes by itself.
        page.clock.run_for(6_000)
        delivered = page.get_by_role("row").filter(has_text="webhook.test")
        expect(delivered).to_contain_text("Delivered")
        delivered.get_by_role("button", name="Deliver it again").click()
        otto.sees("It is delivered again.")
        comes(page, lambda: len(receiver.got) == 2)
        assert receiver.got[0] == receiver.got[1]
    is_fit_to_be_used(page)

    factor_grows_stale(network, otto.me)
    otto.link("Give it a new secret").click()
    otto.is_at("/ops/enter")
    page.get_by_label("Code").fill(TOTP(SECRET).at(int(time.time())))
    otto.button("Go on").click()
    otto.is_at(f"/ops/webhooks/{endpoint}/secret")
    otto.button("Give it a new secret").click()
    shown = page.locator("code.secret")
    expect(shown).to_contain_text("whsec_")
    secret = shown.inner_text()
    is_fit_to_be_used(page)
    otto.link("I have it").click()
    for path in ("", "/secret"):
        otto.opens(f"/ops/webhooks/{endpoint}{path}")
        assert secret not in page.content()
    otto.opens("/ops/audit")
    otto.sees("webhook.secret_rotated")


def test_an_endpoint_is_added_paused_changed_and_removed(network: Network, otto: Person):
    with receiving() as receiver:
        page = otto.opens("/ops/overview")
        is_fit_to_be_used(page)
        otto.link("Webhooks").click()
        otto.link("Add an endpoint").click()
        page.get_by_label("Address").fill("http://10.0.0.7/")
        page.get_by_label("All that happens").uncheck()
        page.get_by_label("member.*").check()
        otto.button("Add it, and show its secret").click()
        expect(page.get_by_role("alert")).to_be_visible()
        expect(page.get_by_label("member.*")).to_be_checked()
        is_fit_to_be_used(page)
        page.get_by_label("Address").fill(receiver.url)
        otto.button("Add it, and show its secret").click()
        expect(page.locator("code.secret")).to_contain_text("whsec_")
        otto.link("I have it").click()

        # It is told of what happens from then on.
        ada = network.member("Adeltraud")
        comes(page, lambda: len(receiver.got) == 1)
        otto.button("Switch off").click()
        otto.sees("It is told of nothing now.")
        otto.link("Change it").click()
        page.get_by_label("Description").fill(f"Asked for by {ada.name}")
        otto.button("Change it").click()
        otto.sees(f"Asked for by {ada.name}")
        otto.link("Remove it").click()
        otto.sees("Nothing more is delivered to it")
        is_fit_to_be_used(page)
        otto.button("Remove it").click()
        otto.sees("The endpoint is removed.")
        expect(otto.link(receiver.url)).to_have_count(0)


def test_what_looks_like_abuse_is_dismissed(network: Network, otto: Person):
    mallory = network.member("Mallory")
    evidence = Evidence(Kind.SAME_LETTER, 14, (ConversationId(ids.new()),))
    page = otto.opens("/ops/reports/suspicions")
    otto.sees("Nothing looks like abuse.")

    network.do(lambda tx: suspicions.put(tx, mallory.id, evidence, network.now, again=True))
    # It comes by itself, also where there was nothing.
    page.clock.run_for(11_000)
    otto.sees("14 letters to strangers within 14 days say the same.")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    is_fit_to_be_used(page)
    otto.button("It is nothing: dismiss it").click()
    otto.sees("Dismissed.")
    otto.sees("Nothing looks like abuse.")


def test_a_complaint_comes_by_itself_and_is_answered(network: Network, otto: Person):
    mallory = network.member("Mallory")
    act = Act("a test", ids.new(), DecisionId(ids.new()), network.now)
    page = otto.opens("/ops/reports/complaints")
    otto.sees("No complaint waits.")

    async def complain(tx: Tx) -> object:
        said = "Advertising breaks the terms."
        await decisions.decide(
            tx, act, mallory.id, Measure.WARNING, ground=Ground.TERMS, statement=said
        )
        return await decisions.complain(
            tx,
            mallory.id,
            ComplaintId(ids.new()),
            about=About.DECISION,
            about_id=act.decision_id,
            words="It was a joke.",
            now=network.now,
        )

    network.do(complain)
    page.clock.run_for(31_000)
    otto.sees("It was a joke.")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.get_by_label("No, what was decided stands").check()
    is_fit_to_be_used(page)
    page.get_by_label("What they read").fill("It was the third one.")
    page.keyboard.press("Control+Enter")
    otto.sees("Answered. They are told.")
    otto.sees("No complaint waits.")
    answers = "select answer from complaints where owner_id = %s"
    assert network.text(answers, mallory.id) == "It was the third one."


def test_an_address_that_mail_comes_back_from_is_shown_for_a_reason(network: Network, otto: Person):
    ada = network.member("Adelheid")

    async def fails(tx: Tx) -> str:
        await mail_counts.add(tx, Came.FAILED, "The mail server took too long.")
        mailbox = (await mailboxes.of(tx, [ada.id]))[ada.id]
        await mailboxes.fail(tx, mailbox, "5.1.1 No such user", network.now)
        return mailbox.address

    address = network.do(fails)
    page = otto.opens("/ops/mail")
    otto.sees("The mail server took too long.")
    failing = page.get_by_role("row").filter(has_text=ada.name)
    expect(failing).to_contain_text("5.1.1 No such user")
    assert address not in page.content()

    failing.get_by_text("Show it in whole").click()
    failing.get_by_label("What for").fill("Their help desk asks.")
    is_fit_to_be_used(page)
    failing.get_by_role("button", name="Show the address").click()
    expect(failing).to_contain_text(address)

    # The same of a member who is looked at, and no longer than that.
    otto.opens(f"/ops/members/{ada.id}")
    assert address not in page.content()
    page.get_by_text("Show it in whole").click()
    page.get_by_label("What for").fill("They ask by telephone.")
    otto.button("Show the address").click()
    otto.sees(address)
    otto.opens("/ops/audit")
    otto.sees("Their help desk asks.")
    otto.sees("They ask by telephone.")
    assert address not in page.content()


def test_two_policies_are_tried_in_the_lab(otto: Person):
    page = otto.opens("/ops/lab")
    page.get_by_role("combobox", name="Policy").select_option("seed")
    page.get_by_role("combobox", name="Beside").select_option("linkedin-premium")
    for label, value in (("Members", "500"), ("Months", "1"), ("Seed", "3")):
        page.get_by_label(label, exact=True).fill(value)
    otto.button("Try").click()

    # The page asks by itself until all of it is there.
    expect(page.locator("svg.chart")).to_have_count(6)
    answered = page.get_by_role("row").filter(has_text="Letters that were answered").first
    expect(answered).to_contain_text("%")
    is_fit_to_be_used(page)


def test_everything_is_examined(otto: Person):
    page = otto.opens("/ops/health")
    otto.sees("Connections to the database")
    is_fit_to_be_used(page)
    otto.link("Examine everything").click()

    otto.is_at("/ops/health/examined")
    found = page.get_by_role("region", name="What was found").get_by_role("row")
    expect(found.filter(has_text="database").first).to_contain_text("Good")
    is_fit_to_be_used(page)


def test_lists_come_anew_by_themselves_but_not_over_what_is_sought(network: Network, otto: Person):
    ada = network.member("Adelgunde", premium=CAREER)
    page = otto.opens("/ops/members")
    expect(page.get_by_role("link", name=ada.name)).to_be_visible()

    bob = network.member("Bertolt")
    page.clock.run_for(11_000)
    expect(page.get_by_role("link", name=bob.name)).to_be_visible()

    page.get_by_role("searchbox").press_sequentially(ada.name)
    page.clock.run_for(1_000)
    expect(page.get_by_role("link", name=bob.name)).to_have_count(0)
    anew: list[str] = []

    def notes(request: Request) -> None:
        if request.headers.get("x-live") == "anew":
            anew.append(request.url)

    page.on("request", notes)
    page.clock.run_for(11_000)
    # Whatever was asked for by now would be known once this has come.
    page.evaluate("fetch('/healthz').then((answer) => answer.text())")
    assert not anew
    expect(page.get_by_role("link", name=bob.name)).to_have_count(0)
    expect(page.get_by_role("link", name=ada.name)).to_be_visible()
