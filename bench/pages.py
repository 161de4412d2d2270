"""Inbox and thread as HTML on a million conversations; and how soon a slow phone shows a page."""

from collections.abc import Sequence

import httpx
import psycopg
from playwright.sync_api import Browser, Page, sync_playwright

from bench.common import MEMBERS, database, median, seed_members, table
from bench.load import server, wrk
from bench.reads import refuse_failures, seed_conversations
from tests.browser.chromium import launched

PROCESSES = 2
SECONDS = 8
RUNS = 3
AT_ONCE = (8, 32)
EACH = 10
# A slow phone, as audits of pages emulate it.
SLOWER = 4
BYTES_PER_SECOND = 1_600_000 / 8
ROUND_TRIP_MS = 150


def main(arguments: Sequence[str] = ()) -> None:
    runs, each = (1, 1) if "--quick" in arguments else (RUNS, EACH)
    with database("pages") as url:
        seed_members(url)
        seed_conversations(url, each)
        seed_sessions(url)
        with server(url, processes=PROCESSES) as running:
            load(running.address, each, runs)
            show(running.address, runs)


def seed_sessions(url: str) -> None:
    """A browser for each member, whose cookie tells the number; and an account for the first."""
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(
            """
            insert into sessions (hash, id, member_id, expires_at, client, agent)
            select sha256(('bench-' || n)::bytea), gen_random_uuid(),
                ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
                now() + interval '1 day', '', 'a benchmark'
            from generate_series(1, %s) n
            """,
            (MEMBERS,),
        )
        db.execute(
            """
            insert into accounts (member_id, email, verified_at, password)
            select m.id, m.handle || '@overture.example', now(), 'none fits'
            from members m
            where m.handle = 'member-1'
            """
        )
        db.execute("vacuum analyze sessions")


# Under load -------------------------------------------------------------------------------------


def load(address: str, each: int, runs: int) -> None:
    rows: list[Sequence[object]] = []
    for name, path, script in (
        ("inbox", "/inbox", INBOX),
        ("thread", "/inbox/00000000-0000-7000-9000-000000000000", THREAD % each),
    ):
        size = check(address, path)
        wrk(address, script, at_once=AT_ONCE[-1], seconds=3)
        for at_once in AT_ONCE:
            loads = [wrk(address, script, at_once=at_once, seconds=SECONDS) for _ in range(runs)]
            refuse_failures(loads)
            rows.append(
                (
                    name,
                    f"{size:,}",
                    at_once,
                    f"{median([each.per_second for each in loads]):,.0f}",
                    f"{median([each.p50 for each in loads]):.1f}",
                    f"{median([each.p99 for each in loads]):.1f}",
                )
            )
    table(
        f"Pages as HTML on {each * MEMBERS:,} conversations, {PROCESSES} processes",
        ("page", "bytes", "at once", "pages/s", "p50 ms", "p99 ms"),
        rows,
    )


def check(address: str, path: str) -> int:
    """The page's size; it must be one that a member sees, and not the way to sign in."""
    answer = httpx.get(address + path, cookies={"session": "bench-1"})
    if answer.status_code != 200 or "Member " not in answer.text:
        raise SystemExit(f"{path} was answered with {answer.status_code}")
    return len(answer.content)


_SIGNED_IN = """
local cookies = {}
function signed_in(n)
    cookies["Cookie"] = "session=bench-" .. n
    return cookies
end
"""
INBOX = f"""{_SIGNED_IN}
function request()
    return wrk.format("GET", "/inbox", signed_in(anyone()))
end
"""
THREAD = f"""{_SIGNED_IN}
local each = %d
function request()
    local n = math.random(0, each * {MEMBERS} - 1)
    local path = string.format("/inbox/00000000-0000-7000-9000-%%012x", n)
    return wrk.format("GET", path, signed_in(math.floor(n / each) + 1))
end
"""


# On a slow phone --------------------------------------------------------------------------------


def show(address: str, runs: int) -> None:
    rows: list[Sequence[object]] = []
    with sync_playwright() as playwright:
        browser = launched(playwright)
        for name, path in PAGES.items():
            seen = [painted(browser, address, path) for _ in range(runs)]
            rows.append(
                (
                    name,
                    f"{median([each['lcp'] for each in seen]) / 1000:.2f}",
                    f"{max(each['cls'] for each in seen):.3f}",
                    f"{median([each['bytes'] for each in seen]) / 1000:.0f}",
                )
            )
        browser.close()
    table(
        f"First visit, processor {SLOWER} times slower, 1.6 Mbit/s, {ROUND_TRIP_MS} ms round trip",
        ("page", "largest paint s", "layout shift", "kB sent"),
        rows,
    )


def painted(browser: Browser, address: str, path: str) -> dict[str, float]:
    """What a first visit is like, with nothing kept from before."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, device_scale_factor=2)
    context.add_cookies([{"name": "session", "value": "bench-1", "url": address}])
    page = context.new_page()
    slow_down(page)
    page.goto(address + path, wait_until="load")
    # What is painted late or shifts after the load counts too.
    page.wait_for_timeout(1500)
    seen = page.evaluate(_SEEN)
    context.close()
    return seen


def slow_down(page: Page) -> None:
    devtools = page.context.new_cdp_session(page)
    devtools.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    devtools.send("Network.enable")
    devtools.send(
        "Network.emulateNetworkConditions",
        {
            "offline": False,
            "latency": ROUND_TRIP_MS,
            "downloadThroughput": BYTES_PER_SECOND,
            "uploadThroughput": BYTES_PER_SECOND,
        },
    )


PAGES = {
    "inbox": "/inbox",
    "thread": "/inbox/00000000-0000-7000-9000-000000000000",
    "compose": "/compose?to=member-7",
    "profile": "/in/member-7",
    "members": "/members?q=member",
    "premium": "/premium",
    "settings": "/settings/account",
}
_SEEN = """
() => new Promise((resolve) => {
    const seen = {lcp: 0, cls: 0, bytes: 0};
    const watch = (type, take) => new PerformanceObserver((list) => {
        list.getEntries().forEach(take);
    }).observe({type, buffered: true});
    watch("largest-contentful-paint", (each) => { seen.lcp = each.startTime; });
    watch("layout-shift", (each) => { if (!each.hadRecentInput) seen.cls += each.value; });
    for (const each of performance.getEntries()) seen.bytes += each.transferSize ?? 0;
    setTimeout(() => resolve(seen), 100);
})
"""
