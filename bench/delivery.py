"""From a commit to the other browser's page: when a message stands in an open conversation."""

import json
import time
from collections.abc import Sequence
from urllib.request import Request, urlopen

from playwright.sync_api import Page, sync_playwright

from bench.common import Latencies, database, member_id, seed_members, table
from bench.load import OPERATOR_TOKEN, server
from bench.streams import seed
from tests.browser.chromium import launched

MESSAGES = 100
CONVERSATION = "00000000-0000-7000-9000-000000000000"

# Notes when each numbered text comes into the page, by the clock that Python reads too.
_WATCH = """
() => {
  window.came = {};
  new MutationObserver((records) => {
    const now = performance.timeOrigin + performance.now();
    for (const record of records)
      for (const node of record.addedNodes)
        for (const [, number] of (node.textContent ?? "").matchAll(/message (\\d+)\\./g))
          window.came[number] ??= now;
  }).observe(document.getElementById("main"), { childList: true, subtree: true });
}
"""


def main(arguments: Sequence[str] = ()) -> None:
    messages = 20 if "--quick" in arguments else MESSAGES
    with database("delivery") as url:
        seed_members(url, 2)
        seed(url, 2)
        with server(url, processes=1) as running, sync_playwright() as playwright:
            browser = launched(playwright)
            # The policy would keep the measuring script out.
            context = browser.new_context(bypass_csp=True)
            context.add_cookies([{"name": "session", "value": "secret-2", "url": running.address}])
            page = context.new_page()
            page.goto(f"{running.address}/inbox/{CONVERSATION}")
            page.wait_for_timeout(1500)  # the stream has begun
            delivery = measured(page, running.address, messages)
            browser.close()
    table(
        f"From the commit to the other browser's page, {messages} messages",
        ("p50 ms", "p99 ms"),
        [(f"{delivery.p50:.1f}", f"{delivery.p99:.1f}")],
    )


def measured(page: Page, address: str, messages: int) -> Latencies:
    page.evaluate(_WATCH)
    answered: dict[int, float] = {}
    for number in range(1, messages + 1):
        write(address, number)
        answered[number] = time.time() * 1000
        page.wait_for_function(f"window.came[{number}] !== undefined")
        page.wait_for_timeout(100)
    came = {int(number): at for number, at in page.evaluate("window.came").items()}
    # The answer comes right after the commit; now and then the event overtakes it.
    return Latencies.of([max(0.0, came[n] - at) / 1000 for n, at in answered.items()])


def write(address: str, number: int) -> None:
    request = Request(
        f"{address}/api/v1/conversations/{CONVERSATION}/messages",
        json.dumps({"body": f"This is message {number}."}).encode(),
        {
            "Authorization": f"Bearer {OPERATOR_TOKEN}",
            "Act-As": member_id(1),
            "Content-Type": "application/json",
        },
    )
    with urlopen(request) as answer:
        assert answer.status == 201
