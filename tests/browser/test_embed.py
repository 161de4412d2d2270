"""A host site's pages in a real browser: its frames, its button, and those of a site that may not."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from joserfc import jwt
from joserfc.jwk import OKPKey
from playwright.sync_api import Browser, Page, expect

from overture import ids
from tests.browser.network import Member, Network, served
from tests.browser.people import Person, passes, person, stands_still
from tests.browser.test_pages import ALL_RULES, violations
from tests.databases import Databases
from tests.docs.blocks import code

ISSUER = "a host for tests"
PAGE = """<!doctype html><html lang="{lang}" dir="{dir}"><head><title>A host</title></head>
<body><main><h1>A host</h1>{body}</main>
<p id="told" hidden></p>
<script type="module" src="{script}"></script></body></html>"""
FRAME = """<form method="post" action="{address}/handover" target="overture" id="over">
<input type="hidden" name="token" value="{token}"><input type="hidden" name="to" value="{to}">
<button>Messages</button></form>
<iframe name="overture" title="Messages" width="700" height="600"></iframe>"""
BUTTON = (
    """<p><overture-button member="{member}" handover="/go">Write to me</overture-button></p>"""
)
HEARS = """
export const heard = [];
addEventListener("message", ({ origin, data }) => {
  if (origin !== "ADDRESS") return;
  heard.push(data.type);
  if (data.type === "unread") document.getElementById("told").textContent = data.count;
});
addEventListener("overture-sent", ({ detail }) => { document.title = `sent ${detail.conversation}`; });
"""


@dataclass
class Host:
    """A site with people of its own, who are known here by their external ids."""

    address: str
    elsewhere: str
    key: OKPKey
    overture: str = ""
    # Who is signed in there.
    user: str = ""

    def token(self) -> str:
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": self.overture,
            "sub": self.user,
            "jti": ids.new(),
            "iat": now,
            "exp": now + 60,
        }
        return jwt.encode({"alg": "Ed25519"}, claims, self.key, algorithms=["Ed25519"])


def of_the_docs(kind: str, host: Host) -> list[str]:
    """What the page about embedding shows in one language, with this Overture's address in it."""
    found = code("docs/embed.md", kind)
    return [each.replace("https://inmail.example.org", host.overture) for each in found]


def shown(host: Host, member: str, *, framed: bool) -> str:
    """A page of what that page shows: a form into a window, or into a frame, and the button."""
    window, frame, button = of_the_docs("html", host)
    window = window.replace('"…"', f'"{host.token()}"').replace("compose/ada", f"compose/{member}")
    if not framed:
        return window
    fields = window.partition(">")[2].rpartition("</form>")[0].replace(f"compose/{member}", "inbox")
    button = button.replace('member="ada"', f'member="{member}"')
    return frame.replace("…", fields) + button + '<p id="badge"></p>'


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = urlsplit(self.path)
            query = {name: each[0] for name, each in parse_qs(wanted.query).items()}
            if wanted.path in ("/go", "/overture/go"):
                over = urlencode({"token": made.token(), "to": query["to"]})
                self.send_response(303)
                self.send_header("Location", f"{made.overture}/handover?{over}")
                self.end_headers()
                return
            if wanted.path == "/hears.js":
                self._answer("text/javascript", HEARS.replace("ADDRESS", made.overture))
                return
            if wanted.path == "/shown.js":
                self._answer("text/javascript", of_the_docs("javascript", made)[0])
                return
            if wanted.path in ("/shown/window", "/shown/frame"):
                body = shown(made, query["member"], framed=wanted.path.endswith("frame"))
                page = {"lang": "en", "dir": "ltr", "script": "/shown.js", "body": body}
                self._answer("text/html; charset=utf-8", PAGE.format(**page))
                return
            said = {"address": made.overture, "token": made.token(), "to": "inbox", **query}
            body = {"/frame": FRAME, "/button": BUTTON}.get(wanted.path, "").format(**said)
            body += f'<script type="module" src="{made.overture}/embed/overture.js"></script>'
            page = {"lang": "en", "dir": "ltr", **query, "script": "/hears.js", "body": body}
            self._answer("text/html; charset=utf-8", PAGE.format(**page))

        def _answer(self, kind: str, content: str) -> None:
            body = content.encode()
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            _ = format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    port = server.server_port
    made = Host(
        f"http://127.0.0.1:{port}", f"http://localhost:{port}", OKPKey.generate_key("Ed25519")
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def network(
    databases: Databases, host: Host, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Network]:
    file: Path = tmp_path_factory.mktemp("keys") / "host.pem"
    file.write_bytes(host.key.as_pem(private=False))
    options = ("--handover-issuer", ISSUER, "--handover-keys", file)
    with served(databases.fresh(), *options, "--embed-origins", host.address) as made:
        host.overture = made.address
        yield made


@pytest.fixture
def ada(network: Network, host: Host) -> Member:
    """A member whom the host knows, and who is signed in there."""
    host.user = f"user-{ids.new()}"
    ada = network.member("Ada", premium="premium_career")
    named = "update members set external_id = %s where id = %s"
    network.do(lambda tx: tx.execute(named, (host.user, ada.id)))
    taken = "insert into external_ids (external_id, member_id) values (%s, %s)"
    network.do(lambda tx: tx.execute(taken, (host.user, ada.id)))
    return ada


@pytest.fixture
def visitor(chromium: Browser, network: Network, host: Host) -> Iterator[Person]:
    """A browser that comes to the host's pages."""
    made = person(chromium, network.address, None, None)
    made.elsewhere = host.address
    yield made
    made.context.close()
    assert not made.faults, "\n".join(made.faults)


def at(visitor: Person, host: Host, path: str) -> Page:
    visitor.page.goto(host.address + path)
    return visitor.page


def test_the_host_shows_the_inbox_in_a_frame_and_hears_what_is_unread(
    network: Network, visitor: Person, host: Host, ada: Member
):
    grace = network.member("Grace", premium="premium_career")
    network.letter(grace, ada, "May I ask you something?", "A question")
    page = at(visitor, host, "/frame")

    page.get_by_role("button", name="Messages").click()

    frame = page.frame_locator("iframe")
    frame.get_by_text("A question").first.click()
    expect(frame.get_by_text("May I ask you something?").first).to_be_visible()
    expect(page.locator("#told")).to_have_text(re.compile("[01]"))
    # Not what it was signed in for.
    frame.locator(f'a[href="/in/{grace.handle}"]').first.click()
    expect(frame.get_by_text("This page is not shown inside another site.")).to_be_visible()
    # What goes on while it is shown is told too.
    network.letter(network.member("Bo", premium="premium_career"), ada)
    expect(page.locator("#told")).to_have_text(re.compile("[12]"))


def test_the_button_says_the_price_and_writes_a_letter_in_a_dialog(
    network: Network, visitor: Person, host: Host, ada: Member
):
    grace = network.member("Grace", premium="premium_career")
    page = at(visitor, host, f"/button?member={grace.handle}")
    button = page.get_by_role("button", name="InMail me")
    expect(button).to_be_visible()
    # Nobody is signed in in a frame yet: it says nothing of anybody.
    expect(page.locator("[part=price]")).to_be_empty()
    page.evaluate(AXE_SCRIPT)
    assert violations(page, ALL_RULES) == []

    button.click()
    dialog = page.get_by_role("dialog", name="Write a letter")
    expect(dialog.get_by_role("button", name="Close")).to_be_visible()
    frame = page.frame_locator("iframe")
    frame.get_by_label("Message", exact=True).fill("May I ask you one question about it?")
    frame.get_by_role("button", name="Close; the draft is kept").click()
    expect(dialog).to_have_count(0)
    expect(page.locator("[part=price]")).to_have_text("1 credit")

    page.clock.install()
    button.click()
    expect(frame.get_by_label("Message", exact=True)).to_have_value(re.compile("one question"))
    stands_still(page)
    frame.get_by_role("button", name="Send").click()
    frame.get_by_role("button", name="Undo").wait_for()
    passes(page, 11_000)
    expect(page).to_have_title(re.compile("^sent "))
    expect(button).to_have_attribute("aria-disabled", "true")
    expect(page.get_by_text("No letter can go to them now.")).to_be_visible()


def test_the_button_speaks_the_language_of_its_page(
    network: Network, visitor: Person, host: Host, ada: Member
):
    page = at(visitor, host, f"/button?member={ada.handle}&lang=ar&dir=rtl")

    expect(page.locator("overture-button button")).to_have_attribute("lang", "ar")
    expect(page.locator("overture-button button")).to_have_attribute("dir", "rtl")


def test_a_site_that_may_not_is_shown_nothing_and_told_nothing(
    chromium: Browser, network: Network, host: Host, ada: Member
):
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"{host.elsewhere}/frame")

    with page.expect_event("console", lambda each: "frame-ancestors" in each.text):
        page.get_by_role("button", name="Messages").click()

    asked = (
        f"fetch('{network.address}/embed/button?member=ada').then(() => 'told', () => 'refused')"
    )
    assert page.evaluate(asked) == "refused"
    context.close()


def test_what_the_docs_show_does_what_they_say(
    network: Network, visitor: Person, host: Host, ada: Member
):
    grace = network.member("Grace", premium="premium_career")
    bo = network.member("Bo", premium="premium_career")
    network.letter(bo, ada, "May I ask you something?", "A question")
    page = at(visitor, host, f"/shown/frame?member={grace.handle}")
    page.get_by_role("button", name="Write to Ada").click()

    expect(page.frame_locator("iframe").get_by_text("A question").first).to_be_visible()
    expect(page.locator("#badge")).to_have_text("1")
    page.get_by_role("button", name="InMail me").click()
    expect(page.get_by_role("dialog", name="Write a letter")).to_be_visible()

    at(visitor, host, f"/shown/window?member={grace.handle}")
    page.get_by_role("button", name="Write to Ada").click()
    expect(page.get_by_label("Message", exact=True)).to_be_visible()
    assert page.url == f"{network.address}/compose?to={grace.handle}"
