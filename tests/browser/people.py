"""Someone at a browser, who notices whatever goes wrong in it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    Response,
    expect,
)

from tests.browser.network import Member

# CI machines are slow: what comes at all may take its time.
PATIENCE = 60_000

WIDE = {"width": 1280, "height": 800}
NARROW = {"width": 390, "height": 844}

# How a request ends that was overtaken by a newer one, or by a navigation; that of a script where there
# is no JavaScript; and one made with no network, which a test alone takes away, and which may be told
# when there is one again. What our own policy forbids is told on the console.
_NO_NETWORK = "net::ERR_INTERNET_DISCONNECTED"
_HARMLESS = ("net::ERR_ABORTED", "csp", _NO_NETWORK)
_STATUS = re.compile(r"the server responded with a status of 4\d\d")


@dataclass
class Person:
    """A browser of one person's own, with one tab or more. `faults` is what went wrong in it."""

    context: BrowserContext
    page: Page
    address: str
    member: Member | None = None
    faults: list[str] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)
    # With no network the browser complains of every request.
    offline: bool = False
    # Another site that they may come to.
    elsewhere: str = ""

    @property
    def me(self) -> Member:
        assert self.member
        return self.member

    def opens(self, path: str) -> Page:
        """Loads a page in the first tab."""
        self.page.goto(self.address + path)
        return self.page

    def tab(self, path: str) -> Page:
        """Loads a page in a new tab."""
        page = self.context.new_page()
        page.goto(self.address + path)
        return page

    def goes_offline(self) -> None:
        self.offline = True
        self.context.set_offline(True)

    def comes_back(self) -> None:
        self.context.set_offline(False)
        self.offline = False

    def button(self, name: str | re.Pattern[str]) -> Locator:
        return self.page.get_by_role("button", name=name)

    def link(self, name: str | re.Pattern[str]) -> Locator:
        return self.page.get_by_role("link", name=name)

    def sees(self, text: str | re.Pattern[str]) -> None:
        """Waits until this text can be read somewhere on the page."""
        expect(self.page.get_by_text(text).filter(visible=True).first).to_be_visible()

    def is_at(self, path: str | re.Pattern[str]) -> None:
        """Waits until the address has this path."""
        wanted = re.escape(path) if isinstance(path, str) else path.pattern
        expect(self.page).to_have_url(
            re.compile(re.escape(self.address) + wanted + r"(?:[?#].*)?$")
        )

    # What must not happen --------------------------------------------------------------------------

    def watch(self) -> None:
        self.context.on("console", self._console)
        self.context.on("weberror", lambda error: self.faults.append(f"error: {error.error}"))
        self.context.on("requestfailed", self._failed)
        self.context.on("response", self._answered)
        self.context.on("page", self._opened)

    def _opened(self, page: Page) -> None:
        self.pages.append(page)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning"):
            return
        # A refusal is answered with a status of 400 or more, which every browser notes.
        if _STATUS.search(message.text) or self.offline or _NO_NETWORK in message.text:
            return
        self.faults.append(f"console: {message.text} ({message.location})")

    def _failed(self, request: Request) -> None:
        if self.offline or (request.failure or "").startswith(_HARMLESS):
            return
        self.faults.append(f"request failed: {request.method} {request.url} {request.failure}")

    def _answered(self, response: Response) -> None:
        if self.elsewhere and response.url.startswith(self.elsewhere):
            return
        own = response.url.startswith(self.address)
        if (
            response.status >= 500
            or not own
            or (response.status == 404 and "/static/" in response.url)
        ):
            self.faults.append(f"answer: {response.status} {response.url}")

    def picture(self, path: Path) -> None:
        for number, page in enumerate(self.pages):
            if not page.is_closed():
                page.screenshot(path=path.with_name(f"{path.name}-{number}.png"), full_page=True)


def person(
    browser: Browser, address: str, member: Member | None, session: str | None, **options: Any
) -> Person:
    """A person at a fresh browser, signed in where a session is given."""
    settings: dict[str, Any] = {
        "viewport": WIDE,
        "locale": "en-GB",
        "timezone_id": "UTC",
        "color_scheme": "light",
        "reduced_motion": "reduce",
    } | options
    context = browser.new_context(**settings)
    context.set_default_timeout(PATIENCE)
    if session:
        context.add_cookies([{"name": "session", "value": session, "url": address}])
    made = Person(context, context.new_page(), address, member)
    made.pages.append(made.page)
    made.watch()
    return made


def comes(page: Page, true: Callable[[], bool]) -> None:
    """Waits for what the page itself does not show."""
    for _ in range(PATIENCE // 50):
        if true():
            return
        page.wait_for_timeout(50)
    raise AssertionError("It never came.")


def stands_still(page: Page) -> None:
    """From here on time passes in the page, whose clock was installed, only as the test says: however
    slow the machine is, nothing that waits its seconds is over too soon."""
    now = datetime.fromtimestamp(page.evaluate("Date.now()") / 1000, UTC)
    page.clock.pause_at(now + timedelta(minutes=10))


def passes(page: Page, milliseconds: int) -> None:
    """So much time at once; and then it goes on by itself."""
    page.clock.fast_forward(milliseconds)
    page.clock.resume()


def settle(page: Page) -> None:
    """Waits until nothing moves: colours fade from one theme to the other, if only for a moment."""
    page.evaluate(_SETTLED)


_SETTLED = """
async () => {
    for (let n = 0; n < 2; n++) await new Promise((resolve) => requestAnimationFrame(resolve));
    const ends = (each) => each.effect.getComputedTiming().endTime !== Infinity;
    const moving = document.getAnimations().filter(ends);
    await Promise.allSettled(moving.map((each) => each.finished));
}
"""
