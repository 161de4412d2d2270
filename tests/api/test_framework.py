"""What every operation has without asking for it: callers, addresses, limits, faults."""

from __future__ import annotations

import asyncio
import logging
from hashlib import sha256

import httpx
import pytest

from overture import ids
from overture.actions.lanes import Lane
from overture.api import app
from overture.limits import RateLimit
from overture.store.db import Unavailable, one_row
from tests.api.conftest import OPERATOR_TOKEN, Caller, Site, site_in


def code(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem = answer.json()
    assert problem["status"] == answer.status_code
    return answer.status_code, problem["code"]


# Callers ----------------------------------------------------------------------------------------


async def test_a_members_token_speaks_for_the_member(site: Site):
    ada = await site.member("ada")
    token = await site.token(ada)
    answer = await token.get("/quick-replies")
    assert answer.status_code == 200
    assert (await token.get(f"/members/{ada.id}/contact")).json()["code"] == "no_such_member"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer no-such-token",
        f"Basic {OPERATOR_TOKEN}",
        OPERATOR_TOKEN,
        f"Bearer {OPERATOR_TOKEN} more",
        f"Bearer {OPERATOR_TOKEN[:-1]}",
        "Bearer " + "a" * 5000,
        b"Bearer \xff\xfe",
    ],
)
async def test_without_a_valid_token_there_is_nothing(site: Site, header):
    headers = {} if header is None else {"Authorization": header}
    answer = await site.http.get("/quick-replies", headers=headers)
    assert code(answer) == (401, "unauthorized")
    assert answer.headers["www-authenticate"].startswith("Bearer")

    good = await site.http.get(
        "/quick-replies", headers={"Authorization": f"bearer  {OPERATOR_TOKEN}"}
    )
    assert good.status_code == 200


@pytest.mark.parametrize(
    "ended", ["revoked_at = now()", "expires_at = now() - interval '1 second'"]
)
async def test_a_token_that_has_ended_ends_at_once(site: Site, ended):
    token = await site.token(await site.member("ada"))
    assert (await token.get("/quick-replies")).status_code == 200

    digest = sha256(token.token.encode()).digest()
    await site.town.do(
        lambda tx: tx.execute(f"update tokens set {ended} where hash = %s", (digest,))
    )

    assert code(await token.get("/quick-replies")) == (401, "unauthorized")


async def test_a_closed_accounts_token_is_none(site: Site):
    ada = await site.member("ada")
    token = await site.token(ada)
    assert (await ada.delete("/me")).status_code == 204
    assert code(await token.get("/quick-replies")) == (401, "unauthorized")


async def test_scopes_limit_what_a_token_may_do(site: Site):
    ada = await site.member("ada", premium="premium_career")
    grace = await site.member("grace", premium="premium_career")
    reader, writer = await site.token(ada, "read"), await site.token(ada, "write")

    refused = await reader.writes(grace)
    assert code(refused) == (403, "insufficient_scope")
    assert 'scope="write"' in refused.headers["www-authenticate"]
    assert (await writer.writes(grace)).status_code == 201
    assert code(await writer.get("/quick-replies")) == (403, "insufficient_scope")
    assert (await reader.get("/quick-replies")).status_code == 200


async def test_an_operator_acts_as_a_member_who_exists(site: Site):
    ada = await site.member("ada")
    gone = await site.member("gone")
    await gone.delete("/me")

    async def acting(member: object) -> httpx.Response:
        return await site.operator.get("/quick-replies", headers={"Act-As": member})

    assert (await acting(ada.id)).status_code == 200
    assert code(await acting(ids.new())) == (404, "no_such_member")
    assert code(await acting(gone.id)) == (404, "no_such_member")
    for malformed in ("ada", "", ada.id.upper(), ada.id + " x", b"\xff"):
        answer = await acting(malformed)
        assert code(answer) == (400, "invalid")
        assert answer.json()["errors"][0]["field"] == "Act-As"


async def test_a_member_acts_as_nobody_else(site: Site):
    ada, grace = await site.member("ada"), await site.member("grace")
    token = await site.token(ada)
    for member in (grace.id, ada.id, "nonsense"):
        answer = await token.get("/quick-replies", headers={"Act-As": member})
        assert code(answer) == (403, "act_as_forbidden")


async def test_what_needs_a_member_tells_the_operator_so(site: Site):
    ada = await site.member("ada")
    path = f"/members/{ada.id}/contact"
    assert code(await site.operator.get(path)) == (400, "act_as_required")
    assert (await ada.get(path)).status_code == 200


async def test_what_is_the_operators_is_nobody_elses(site: Site):
    ada = await site.member("ada")
    for caller in (ada, await site.token(ada)):
        assert code(await caller.get("/operator/metrics")) == (403, "operator_only")
    assert (await site.operator.get("/operator/metrics")).status_code == 200


# Addresses --------------------------------------------------------------------------------------


async def test_unknown_addresses_and_methods_are_problems(site: Site):
    for path in ("/", "/nowhere", "/conversations/", "/quick-replies/x", "/members//contact"):
        assert code(await site.operator.get(path)) == (404, "not_found")
    assert code(await site.http.get("http://overture.example/")) == (404, "not_found")

    answer = await site.operator.delete("/quick-replies")
    assert code(answer) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET"
    for method in ("HEAD", "OPTIONS", "TRACE", "QUERY"):
        answer = await site.operator.call(method, "/operator/clock")
        assert answer.status_code == 405
        assert answer.headers["allow"] == "GET, PUT"


async def test_health_needs_no_token(site: Site, monkeypatch):
    for path in ("/healthz", "/readyz"):
        answer = await site.http.get(f"http://overture.example{path}")
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        wrong = await site.http.post(f"http://overture.example{path}")
        assert code(wrong) == (405, "method_not_allowed")

    await site.town.db.close()

    assert (await site.http.get("http://overture.example/healthz")).status_code == 200
    answer = await site.http.get("http://overture.example/readyz")
    assert code(answer) == (503, "unavailable")


async def test_answers_are_not_to_be_cached_or_guessed_at(site: Site):
    answer = await site.operator.get("/quick-replies")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


# Limits -----------------------------------------------------------------------------------------


async def test_a_members_token_is_limited_and_an_operators_is_not(database_url):
    async with site_in(database_url, requests_per_minute=5, writes_per_minute=2) as site:
        ada, grace = await site.member("ada"), await site.member("grace")
        token, other = await site.token(ada), await site.token(grace)
        writes = [await token.post("/conversations", {}) for _ in range(3)]
        assert [answer.status_code for answer in writes] == [422, 422, 429]
        assert code(writes[2]) == (429, "rate_limited")
        assert 1 <= int(writes[2].headers["retry-after"]) <= 120

        reads = [await token.get("/quick-replies") for _ in range(3)]
        assert [answer.status_code for answer in reads] == [200, 200, 429]
        assert (await other.get("/quick-replies")).status_code == 200
        for caller in (site.operator, ada):
            for _ in range(8):
                assert (await caller.get("/quick-replies")).status_code == 200


def test_a_window_slides(monkeypatch):
    now = 600.0
    monkeypatch.setattr("overture.limits.monotonic", lambda: now)
    limit = RateLimit(10)
    assert [limit.hit("ada") for _ in range(11)] == [0] * 10 + [66]
    assert limit.hit("grace") == 0

    now += 65
    assert limit.hit("ada") == 1
    now += 1
    assert [limit.hit("ada"), limit.hit("ada")] == [0, 6]
    now += 6
    assert limit.hit("ada") == 0
    now += 200
    assert [limit.hit("ada") for _ in range(11)][-2:] == [0, 34]


def test_no_limit_is_zero():
    assert not any(RateLimit(0).hit("ada") for _ in range(10_000))


# Faults -----------------------------------------------------------------------------------------


async def test_a_fault_has_a_reference_and_no_trace(site: Site, monkeypatch, caplog):
    async def broken(*_: object) -> None:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr("overture.api.operator_metrics.metrics.counts", broken)
    with caplog.at_level(logging.ERROR):
        answer = await site.operator.get("/operator/metrics")

    assert code(answer) == (500, "internal_error")
    assert "secret" not in answer.text
    assert len(caplog.records) == 1
    assert answer.json()["reference"] in caplog.text
    assert "a secret of the inside" in caplog.text


async def test_a_database_that_is_away_is_told_apart_from_a_fault(site: Site, monkeypatch):
    async def away(*_: object) -> None:
        raise Unavailable

    monkeypatch.setattr("overture.api.operator_metrics.metrics.counts", away)
    answer = await site.operator.get("/operator/metrics")
    assert code(answer) == (503, "unavailable")
    assert answer.headers["retry-after"] == "1"


async def test_a_full_lane_asks_to_come_back(site: Site, monkeypatch):
    never = asyncio.Event()

    async def stuck(commands: object) -> object:
        await never.wait()
        return [None] * len(commands)

    lane = Lane(stuck, batch_max=1, waiting_max=1)
    context = site.context
    waiting = [asyncio.create_task(lane.submit(number)) for number in (1, 2)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    filler = asyncio.create_task(lane.submit(3))
    await asyncio.sleep(0)
    full = app.api_app(_with(context, callers=lane))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(full), base_url="http://overture.example/api/v1"
    ) as http:
        answer = await Caller(http, OPERATOR_TOKEN).get("/quick-replies")
    assert code(answer) == (503, "unavailable")
    never.set()
    await asyncio.gather(*waiting, filler, return_exceptions=True)


def _with(context, **changes):
    from dataclasses import replace

    return replace(context, **changes)


# The test clock ---------------------------------------------------------------------------------


async def test_the_test_clock_moves_forward_alone(site: Site):
    assert (await site.operator.get("/operator/clock")).json() == {"now": "2025-01-31T10:00:00Z"}

    moved = await site.operator.put("/operator/clock", {"now": "2025-02-01T01:00:00.5+01:00"})
    assert (moved.status_code, moved.json()) == (200, {"now": "2025-02-01T00:00:00.500000Z"})
    same = await site.operator.put("/operator/clock", {"now": "2025-02-01T00:00:00.5Z"})
    assert same.status_code == 200
    back = await site.operator.put("/operator/clock", {"now": "2025-02-01T00:00:00Z"})
    assert code(back) == (409, "clock_backwards")
    assert (await site.operator.get("/operator/clock")).json() == moved.json()
    (noted,) = (await site.operator.get("/operator/audit")).json()["items"]
    assert noted["action"] == "clock.moved"
    assert noted["detail"] == {"from": "2025-01-31T10:00:00Z", "to": moved.json()["now"]}


@pytest.mark.parametrize(
    "now",
    [
        "2901-01-01T00:00:00Z",
        "9999-12-31T23:59:59-23:00",
        "2025-03-01T00:00:00",
        "2025-03-01",
        "tomorrow",
        "",
        0,
        None,
        "2025-02-30T00:00:00Z",
    ],
)
async def test_a_clock_that_is_no_instant_is_refused(site: Site, now):
    answer = await site.operator.put("/operator/clock", {"now": now})
    assert code(answer) == (422, "invalid")
    assert answer.json()["errors"][0]["field"] == "now"
    assert (await site.operator.get("/operator/clock")).json() == {"now": "2025-01-31T10:00:00Z"}


async def test_an_instant_before_christ_lies_in_the_past(site: Site):
    answer = await site.operator.put("/operator/clock", {"now": "0001-01-01T00:00:00+14:00"})
    assert code(answer) == (409, "clock_backwards")


async def test_real_time_has_no_clock_to_move(site: Site):
    from overture.clock import RealClock

    real = app.api_app(_with(site.context, clock=RealClock()))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(real), base_url="http://overture.example/api/v1"
    ) as http:
        operator = Caller(http, OPERATOR_TOKEN)
        assert code(await operator.get("/operator/clock")) == (404, "no_test_clock")
        moved = await operator.put("/operator/clock", {"now": "2030-01-01T00:00:00Z"})
        assert code(moved) == (404, "no_test_clock")


# Metrics ----------------------------------------------------------------------------------------


async def test_metrics_count_what_is_there(site: Site):
    ada = await site.member("ada", premium="premium_career")
    grace = await site.member("grace", premium="premium_career")
    await ada.writes(grace)

    counts = (await site.operator.get("/operator/metrics")).json()

    head = await site.town.look(lambda tx: one_row(tx, "select max(sequence) from outbox"))
    assert counts == {
        "now": "2025-01-31T10:00:00Z",
        "members": {"open": 2, "closed": 0, "unclaimed": 0, "premium": 2},
        "connections": 0,
        "conversations": [{"kind": "inmail", "state": "pending", "count": 1}],
        "messages": 1,
        "ledger": [
            {"pool": "premium", "kind": "grant", "entries": 2, "credits": 10, "forfeited": 0},
            {"pool": "premium", "kind": "spend", "entries": 1, "credits": -1, "forfeited": 0},
        ],
        "outbox_head": head[0],
    }
