"""The versions of the policy over HTTP: told, applied, refused with sentences, withdrawn."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from overture import policies
from tests.api.conftest import Site
from tests.cast import POLICIES, SIGN_UP

SEED = (POLICIES / "seed.toml").read_text()
MINE = SEED.replace("expiry_days = 120", "expiry_days = 90")
SENTENCE = "Lots die after 90 days instead of 120: lots that exist keep their date."
NEXT_YEAR = "2026-01-31T10:00:00Z"
SOON = "2025-01-31T10:01:00Z"


@pytest.fixture
async def _recorded(site: Site) -> None:
    """As `overture serve` begins."""
    await site.town.db.writing(lambda tx: policies.put_in_force(tx, site.town.book, SIGN_UP))


async def applies(site: Site, policy: str, query: str = "", **more: str) -> httpx.Response:
    return await site.operator.post(f"/operator/policies{query}", {"policy": policy} | more)


async def listed(site: Site) -> list[tuple[str, str, list[str]]]:
    answer = await site.operator.get("/operator/policies")
    assert answer.status_code == 200, answer.text
    return [
        (each["holds_from"], each["state"], [change["sentence"] for change in each["changes"]])
        for each in answer.json()["items"]
    ]


BEGINNING = ("1970-01-01T00:00:00Z", "in_force", [])


@pytest.mark.usefixtures("_recorded")
async def test_a_policy_is_seen_before_it_is_applied_from_a_date_on(site):
    seen = await applies(site, MINE, "?preview=true", starts_at=NEXT_YEAR)
    assert seen.status_code == 200, seen.text
    assert await listed(site) == [BEGINNING]

    done = await applies(site, MINE, starts_at=NEXT_YEAR)

    version = {"holds_from": NEXT_YEAR, "until": None}
    version["changes"] = [
        {"name": "expiry_days", "before": "120", "after": "90", "sentence": SENTENCE}
    ]
    assert seen.json() == {"applied": False, "versions": [version]}
    assert done.json() == {"applied": True, "versions": [version]}
    assert await listed(site) == [BEGINNING, (NEXT_YEAR, "to_come", [SENTENCE])]


@pytest.mark.usefixtures("_recorded")
async def test_a_preset_is_applied_by_its_name(site):
    done = await applies(site, "linkedin-premium")

    assert done.json()["versions"][0]["holds_from"] == SOON
    await site.clock(SIGN_UP + timedelta(minutes=1))
    assert [(at, state) for at, state, _ in await listed(site)] == [
        ("1970-01-01T00:00:00Z", "past"),
        (SOON, "in_force"),
    ]


@pytest.mark.usefixtures("_recorded")
async def test_each_mistake_of_a_document_is_told_with_its_line(site):
    wrong = SEED.replace("expiry_days", "expiry_day").replace("cap = 15", "cap = 1", 1)

    answer = await applies(site, wrong)

    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["errors"]] == ["policy", "policy"]
    assert answer.json()["errors"][0]["message"] == (
        "line 9, versions 1: `expiry_day` is unknown here. Did you mean `expiry_days`?"
    )
    assert await listed(site) == [BEGINNING]


@pytest.mark.usefixtures("_recorded")
@pytest.mark.parametrize(
    "starts_at",
    [
        "2025-01-31T10:00:59Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "2900-01-01T00:00:00Z",
    ],
)
async def test_what_cannot_take_effect_then_is_refused(site, starts_at):
    no = await applies(site, MINE, starts_at=starts_at)
    assert (no.status_code, no.json().get("code")) == (409, "policy_refused"), no.text

    assert (await applies(site, MINE, starts_at=SOON)).status_code == 200


@pytest.mark.usefixtures("_recorded")
async def test_a_version_is_withdrawn_until_it_takes_effect(site):
    await applies(site, MINE, starts_at=NEXT_YEAR)
    await applies(site, "recruiter")

    assert (await site.operator.delete(f"/operator/policies/{NEXT_YEAR}")).status_code == 204
    assert [at for at, _, _ in await listed(site)] == ["1970-01-01T00:00:00Z", SOON]
    assert (await site.operator.delete(f"/operator/policies/{NEXT_YEAR}")).status_code == 404

    await site.clock(SIGN_UP + timedelta(minutes=1))
    no = await site.operator.delete(f"/operator/policies/{SOON}")
    assert (no.status_code, no.json()["code"]) == (409, "policy_refused")
    assert no.json()["detail"].startswith(f"The version of {SOON} has taken effect")


async def test_the_presets_stand_side_by_side(site):
    items = (await site.operator.get("/operator/policies/presets")).json()["items"]

    assert [each["name"] for each in items] == list(policies.side_by_side().presets)
    assert [each["values"]["expiry_days"] for each in items] == ["120", "90", "90", "90"]
    assert items[0]["changes"] == []
    assert items[1]["changes"][0]["sentence"] == SENTENCE
