"""Every page and state: accessible in both themes and widths, still, without overflow, in its place."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page

from overture.web.assets import assets
from tests.browser.network import Network
from tests.browser.people import NARROW, PATIENCE, WIDE, Person, person, settle
from tests.browser.scenes import SCENES, Scene, demo
from tests.databases import Databases

# Compressed as they are served, all of them together, in bytes.
SCRIPTS_MAX = 15_000
STYLES_MAX = 14_000
SHIFT_MAX = 0.05

ALL_RULES = {"resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}}
# With the other theme nothing else changes.
COLOURS = {"resultTypes": ["violations"], "runOnly": ["color-contrast"]}


@pytest.fixture(scope="module")
def network(databases: Databases) -> Iterator[Network]:
    with demo(databases.fresh()) as made:
        yield made


@pytest.fixture(scope="module")
def seats(network: Network, chromium: Browser) -> Iterator[dict[tuple[str | None, str], Person]]:
    """A browser for each member, kept from scene to scene."""
    made: dict[tuple[str | None, str], Person] = {}
    yield made
    for each in made.values():
        each.context.close()


@pytest.fixture
def at(
    network: Network, chromium: Browser, seats: dict[tuple[str | None, str], Person], scene: Scene
) -> Person:
    if scene.seat not in seats:
        member = network.known(scene.who) if scene.who else None
        session = network.session(member) if member else None
        seats[scene.seat] = person(chromium, network.address, member, session, locale=scene.locale)
    seated = seats[scene.seat]
    seated.faults.clear()
    seated.page.set_viewport_size(WIDE)
    seated.page.emulate_media(color_scheme="light")
    return seated


every_scene = pytest.mark.parametrize("scene", SCENES, ids=[each.name for each in SCENES])


@every_scene
def test_the_page_is_accessible_in_both_themes_and_widths(
    network: Network, at: Person, scene: Scene
):
    page = at.page
    page.set_viewport_size(NARROW)
    at.opens(scene.address(network))
    assert page.evaluate(_SHIFT) <= SHIFT_MAX
    page.set_viewport_size(WIDE)
    scene.play(network, at)
    # Before axe, whose own styles our policy forbids.
    assert not at.faults
    assert page.evaluate(_SHIFT) <= SHIFT_MAX
    page.evaluate(AXE_SCRIPT)

    found = []
    for size in (WIDE, NARROW):
        page.set_viewport_size(size)
        page.emulate_media(color_scheme="light")
        found += violations(page, ALL_RULES)
        page.emulate_media(color_scheme="dark")
        found += violations(page, COLOURS)
        found += page.evaluate(_CUT_OFF)

    assert not found, "\n".join(found)
    page.set_viewport_size({"width": 360, "height": 740})
    settle(page)
    assert not page.evaluate(_TOO_WIDE)


def violations(page: Page, options: dict[str, Any]) -> list[str]:
    """What axe finds: the rule, the window, the element."""
    settle(page)
    answer = page.evaluate("(options) => axe.run(options)", options)
    window = page.evaluate("[innerWidth, matchMedia('(prefers-color-scheme: dark)').matches]")
    return [
        f"{each['id']} {window}: {node['html'][:300]} {json.dumps(node['any'][:1])[:300]}"
        for each in answer["violations"]
        for node in each["nodes"]
    ]


_TOO_WIDE = """
() => {
    const most = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= most) return [];
    return [...document.querySelectorAll("body *")]
        .filter((each) => each.getBoundingClientRect().right > most + 1)
        .map((each) => each.outerHTML.slice(0, 200));
}
"""
# What can be pressed is whole, but in a row that is scrolled along.
_CUT_OFF = """
() => [...document.querySelectorAll("a[href], button, input, textarea, select")]
    .filter((each) => {
        const {left, right, width} = each.getBoundingClientRect();
        const whole = left >= -1 && right <= innerWidth + 1;
        if (whole || width < 2 || !each.checkVisibility()) return false;
        for (let at = each.parentElement; !at.matches("main, body"); at = at.parentElement)
            if (/auto|scroll/.test(getComputedStyle(at).overflowX)) return false;
        return !each.closest(".skip, .vh");
    })
    .map((each) => `cut off at ${innerWidth}: ${each.outerHTML.slice(0, 200)}`)
"""
_SHIFT = """
() => new Promise((resolve) => {
    let shift = 0;
    new PerformanceObserver((list) => {
        for (const each of list.getEntries()) if (!each.hadRecentInput) shift += each.value;
    }).observe({type: "layout-shift", buffered: true});
    setTimeout(() => resolve(shift), 0);
})
"""


@every_scene
def test_there_is_no_script_or_style_within_the_page(network: Network, scene: Scene):
    cookies = {"session": network.session(network.known(scene.who))} if scene.who else {}

    for live in ({}, {"X-Live": "1"}):
        answer = httpx.get(
            network.address + scene.address(network),
            cookies=cookies,
            headers=live,
            timeout=PATIENCE / 1000,
        )

        reader = Inline()
        reader.feed(answer.text)
        assert not reader.found


class Inline(HTMLParser):
    """Finds what a strict Content-Security-Policy would not run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "style" or (tag == "script" and not given.get("src")):
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            if name == "style" or name.startswith("on") or (value or "").startswith("javascript:"):
                self.found.append(f"<{tag} {name}={value!r}>")


def test_scripts_and_styles_are_small():
    files = assets().files
    scripts = sum(len(gzip.compress(f.plain, 9)) for n, f in files.items() if n.endswith(".js"))

    assert scripts <= SCRIPTS_MAX
    assert len(files["app.css"].gzipped) <= STYLES_MAX
