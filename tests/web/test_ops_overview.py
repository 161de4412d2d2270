"""The console's first page: what waits for somebody, and what went on."""

from __future__ import annotations

from datetime import timedelta

import pytest

from overture.core.jobs import NewJob
from overture.store import console, jobs, verifications
from overture.store.db import Tx
from tests.web.conftest import Place, text_of
from tests.web.test_ops_reports import id_of, people, reported
from tests.web.test_ops_webhooks import endpoint_in


async def test_what_waits_is_counted_with_a_way_to_it_and_so_is_what_went_on(
    place: Place, monkeypatch: pytest.MonkeyPatch
):
    otto, ada, mallory = await people(place)
    idle = text_of(await otto.get("/ops/overview"))
    assert "Reports none" in idle
    assert "Endpoints in trouble none" in idle
    assert "Letters to strangers 0" in idle
    assert "Never verified" in idle
    _ = await reported(place, ada, mallory)
    endpoint = await endpoint_in(place)

    async def fail(tx: Tx) -> None:
        await jobs.add(tx, [NewJob("a-test", id_of(ada), "1", place.town.now, {})])
        (job,) = await jobs.claim(tx, "a-test", place.town.now, limit=1, lease=timedelta(minutes=1))
        await jobs.park(tx, job, "The server hung up.")
        await tx.execute(
            "update webhook_endpoints set failing_since = now() where id = %s", (endpoint,)
        )
        await verifications.note(tx, "ledger", entries=9, found=0, at=place.town.now)
        await verifications.note(tx, "audit", entries=9, found=2, at=place.town.now)

    await place.town.do(fail)

    page = await otto.get("/ops/overview")

    said = text_of(page)
    for each in ("Reports 1", "Complaints none", "given up 1", "Endpoints in trouble 1"):
        assert each in said
    for url in ("/ops/reports", "/ops/reports/suspicions", "/ops/jobs", "/ops/webhooks"):
        assert f'<a href="{url}" data-live data-row>' in page.text
    assert "In the last 24 hours New members 3 Letters to strangers 1" in said
    assert "Ledger sound verified on" in said
    assert "Audit log 2 things were wrong" in said

    # What is switched off on purpose is in no trouble.
    off = "update webhook_endpoints set disabled_at = now() where id = %s"
    await place.town.do(lambda tx: tx.execute(off, (endpoint,)))
    assert "Endpoints in trouble none" in text_of(await otto.get("/ops/overview"))

    # Of more than can be counted each time the newest are, and the page says since when.
    monkeypatch.setattr(console, "HAPPENED_MAX", 1)
    assert "In the last 24 hours" not in text_of(await otto.get("/ops/overview"))
    monkeypatch.undo()
    await place.days_pass(2)
    assert "Letters to strangers 0" in text_of(await otto.get("/ops/overview"))


async def test_the_console_begins_with_it(place: Place):
    otto = await place.operator("otto")

    assert (await otto.get("/ops")).headers["location"] == "/ops/overview"
    page = (await otto.get("/ops/overview")).text
    # From section to section by N and P; the first has none before it.
    assert '<a href="/ops/members" data-live data-key="n">' in page
    assert 'data-key="p"' not in page
    members = (await otto.get("/ops/members")).text
    assert '<a href="/ops/overview" data-live data-key="p">' in members
    assert '<a href="/ops/ledger" data-live data-key="n">' in members
