"""`python -m tests.browser.shots [NAME ...]`: pictures of every page and state into shots/.

Each scene is pictured wide and narrow, light and dark, a long page as a whole; names choose those
scenes that begin so.
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import Error, sync_playwright

from tests.browser.chromium import launched
from tests.browser.people import NARROW, WIDE, Person, person, settle
from tests.browser.scenes import SCENES, demo
from tests.databases import databases

FOLDER = Path(__file__).parent.parent.parent / "shots"


_BELOW = """
() => {
    const main = document.getElementById("main");
    return main ? main.scrollHeight - main.clientHeight : 0;
}
"""


def main(names: list[str]) -> None:
    scenes = [each for each in SCENES if not names or each.name.startswith(tuple(names))]
    FOLDER.mkdir(exist_ok=True)
    failed = 0
    with databases() as made, demo(made.fresh()) as network, sync_playwright() as playwright:
        browser = launched(playwright)
        seats: dict[tuple[str | None, str, str], Person] = {}
        for scene in scenes:
            for width, size in (("desktop", WIDE), ("phone", NARROW)):
                seat = (*scene.seat, width)
                if seat not in seats:
                    member = network.known(scene.who) if scene.who else None
                    session = network.session(member) if member else None
                    seats[seat] = person(
                        browser,
                        network.address,
                        member,
                        session,
                        viewport=size,
                        locale=scene.locale,
                    )
                page = seats[seat].page
                try:
                    page.set_viewport_size(size)
                    page.emulate_media(color_scheme="light")
                    scene.play(network, seats[seat])
                    # A long page whole, though it scrolls within itself.
                    below = page.evaluate(_BELOW)
                    page.set_viewport_size(size | {"height": size["height"] + below})
                    for theme in ("light", "dark"):
                        page.emulate_media(color_scheme=theme)
                        settle(page)
                        page.screenshot(path=FOLDER / f"{scene.name}-{width}-{theme}.png")
                except (Error, AssertionError) as problem:
                    failed += 1
                    print(f"{scene.name} {width}: {problem}", file=sys.stderr)
        browser.close()
    print(f"{FOLDER} has {len(scenes)} scenes, wide and narrow, light and dark.")
    if failed:
        raise SystemExit(f"{failed} could not be pictured.")


if __name__ == "__main__":
    main(sys.argv[1:])
