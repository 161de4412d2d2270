"""Real Chromium on a real server. What goes wrong in any window fails the test."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, expect, sync_playwright

from tests.browser.chromium import launched
from tests.browser.network import Member, Network, served
from tests.browser.people import PATIENCE, Person, person
from tests.databases import Databases

ROOT = Path(__file__).parent.parent.parent
PICTURES = ROOT / "shots" / "failed"

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launched(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def network(databases: Databases) -> Iterator[Network]:
    """One for all tests: each makes members of its own."""
    with served(databases.fresh(), "--webhook-allow-hosts", "127.0.0.1") as made:
        yield made


@pytest.fixture
def visit(
    chromium: Browser, network: Network, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Person]]:
    """A browser for a member, who is signed in, or for nobody: `visit(ada, viewport=NARROW)`."""
    people: list[Person] = []

    def visit(member: Member | None = None, **options: Any) -> Person:
        session = network.session(member) if member else None
        people.append(person(chromium, network.address, member, session, **options))
        return people[-1]

    yield visit
    faults = [f"{each.member and each.member.name}: {f}" for each in people for f in each.faults]
    if faults or request.node.stash.get(_FAILED, False):
        PICTURES.mkdir(parents=True, exist_ok=True)
        name = re.sub(r"\W+", "-", request.node.name).strip("-")
        for number, each in enumerate(people):
            with suppress(Error):
                each.picture(PICTURES / f"{name}-{number}")
    for each in people:
        each.context.close()
    assert not faults, "\n".join(faults)


_FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if report.when == "call":
        item.stash[_FAILED] = report.failed
    return report
