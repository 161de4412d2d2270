"""The console's page of how the installation fares."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from overture.core.findings import Finding, fault, ok, warning
from overture.settings import carried, carried_back, read
from overture.store.db import Tx
from tests.web.conftest import Browser, Place, text_of


@pytest.fixture
async def otto(place: Place) -> Browser:
    return await place.operator("otto")


async def test_an_operator_sees_the_figures_and_the_work_that_waits(place: Place, otto: Browser):
    async def wait(tx: Tx) -> None:
        await tx.execute(
            "insert into jobs (owner_id, queue, key, due_at, payload, parked_at, problem) values"
            " ('00000000-0000-7000-8000-000000000001', 'mails', '1', now(), '{}', now(), 'No.')"
        )

    await place.town.db.writing(wait)
    page = await otto.get("/ops/health")

    assert page.status_code == 200
    assert "Connections to the database" in text_of(page)
    assert "mails" in text_of(page)
    assert 'data-again="10"' in page.text


async def test_nobody_else_sees_it(place: Place):
    ada = await place.member("ada")

    assert (await ada.get("/ops/health")).status_code == 404
    assert (await ada.get("/ops/health/examined")).status_code == 404


async def test_what_the_doctor_finds_is_shown_with_what_to_do(place: Place, otto: Browser):
    async def examine() -> list[Finding]:
        return [
            ok("disk", "There is room."),
            warning("dmarc", "It only watches.", "Make it p=reject."),
            fault("mail", "It does not answer.", "See the port."),
        ]

    object.__setattr__(place.site, "examine", None)
    assert (await otto.get("/ops/health/examined")).status_code == 404
    object.__setattr__(place.site, "examine", examine)
    page = await otto.get("/ops/health/examined")

    assert page.status_code == 200
    assert "Something is wrong" in text_of(page)
    for said in ("There is room.", "It only watches.", "→ Make it p=reject.", "→ See the port."):
        assert said in text_of(page)


def test_settings_go_to_another_process_and_come_back_as_they_were():
    given = read(
        {
            "data": "/srv/overture",
            "test_clock": "2026-01-31T10:00:00Z",
            "public_url": "https://inmail.example.org",
            "smtp_host": "mail.example.org",
            "stripe_prices": "price_1=premium_career",
        },
        {"OVERTURE_STRIPE_WEBHOOK_SECRET": "whsec_x"},  # not-a-secret
    )

    back = carried_back(carried(given))

    assert back == given
    assert back.test_clock == datetime(2026, 1, 31, 10, tzinfo=UTC)
    assert replace(back, port=1) != given
