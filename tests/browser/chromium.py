"""The browser: the system's Chromium, else the one that Playwright installed."""

from __future__ import annotations

import shutil

from playwright.sync_api import Browser, Error, Playwright

from tests.browser.people import PATIENCE


def launched(playwright: Playwright) -> Browser:
    try:
        return playwright.chromium.launch(
            executable_path=shutil.which("chromium"), timeout=PATIENCE
        )
    except Error as problem:
        raise SystemExit(f"There is no Chromium: `make browser` installs it.\n{problem}") from None
