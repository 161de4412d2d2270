"""The console's pages of the policy: what holds and comes, the editor, its preview, taking back."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from overture import policies
from overture.core.policy import parse
from overture.store.db import all_rows
from tests.cast import POLICIES, SIGN_UP
from tests.web.conftest import Browser, Place, text_of

SEED = (POLICIES / "seed.toml").read_text()
MINE = SEED.replace("expiry_days = 120", "expiry_days = 90")
SENTENCE = "Lots die after 90 days instead of 120: lots that exist keep their date."


@pytest.fixture
async def otto(place: Place) -> Browser:
    town = place.town
    await town.do(lambda tx: policies.put_in_force(tx, town.book, town.now))
    return await place.operator("otto")


async def submits(otto: Browser, document: str, day: str = "", time: str = "") -> httpx.Response:
    form = {"document": document, "day": day, "time": time}
    return await otto.post("/ops/policy/edit", form)


async def applies(otto: Browser, document: str, day: str = "", time: str = "") -> httpx.Response:
    """Through the preview, as its form says."""
    preview = await otto.follow(await submits(otto, document, day, time))
    assert preview.status_code == 200
    fields = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', preview.text)
    return await otto.post(
        "/ops/policy/apply", {name: html.unescape(value) for name, value in fields}
    )


async def recorded(place: Place) -> list[int]:
    book = await place.town.look(policies.in_force)
    assert book is not None
    return [each.expiry.days for each in book.versions]


async def test_what_holds_stands_there_and_the_presets_beside_it(otto: Browser):
    page = await otto.get("/ops/policy")

    told = text_of(page)
    assert "Nothing: what is in force goes on." in told
    for name, preset in policies.side_by_side().presets.items():
        assert f"/ops/policy/edit?preset={name}" in page.text
        for each in preset.differences:
            assert each.sentence in told


async def test_the_editor_begins_with_what_holds_with_a_preset_or_with_a_version(otto: Browser):
    held = await otto.get("/ops/policy/edit")
    assert "expiry_days = 120" in held.text
    preset = await otto.get("/ops/policy/edit?preset=recruiter")
    assert "expiry_days = 90" in preset.text
    first = await otto.get("/ops/policy/edit?version=1970-01-01T00:00:00Z")
    assert "expiry_days = 120" in first.text

    for nothing in ("preset=nobody", "version=2000-01-01T00:00:00Z", "draft=AAAA", "draft=é"):
        assert (await otto.get(f"/ops/policy/edit?{nothing}")).status_code == 404


async def test_the_document_can_be_taken_along_as_a_file(otto: Browser):
    assert 'href="/ops/policy/document"' in (await otto.get("/ops/policy")).text

    document = await otto.get("/ops/policy/document")

    assert document.headers["content-disposition"] == 'attachment; filename="policy.toml"'
    assert [each.expiry.days for each in parse(document.text).versions] == [120]
    assert (await otto.get("/ops/policy/document?version=2000-01-01T00:00:00Z")).status_code == 404


async def test_a_mistake_is_told_beside_its_line_and_what_was_written_stays(
    place: Place, otto: Browser
):
    wrong = MINE.replace("cap = 45", "cap = <b>")
    answer = await submits(otto, wrong)
    assert answer.status_code == 422
    assert "The policy is not valid TOML" in text_of(answer)

    answer = await submits(otto, MINE.replace("refund_days = 90", "refund_day = 90"))

    told = text_of(answer)
    assert answer.status_code == 422
    assert "Line 10 refund_day = 90" in told
    assert "is unknown here. Did you mean refund_days ?" in told
    assert "expiry_days = 90" in answer.text
    assert await recorded(place) == [120]


async def test_what_changes_is_seen_before_it_takes_effect(place: Place, otto: Browser):
    checked = await submits(otto, MINE, "2026-01-01", "09:00")
    preview = await otto.follow(checked)
    assert SENTENCE in text_of(preview)
    assert "2026-01-01T09:00:00Z" in preview.text
    assert await recorded(place) == [120]

    done = await applies(otto, MINE, "2026-01-01", "09:00")

    page = await otto.follow(done)
    assert SENTENCE in text_of(page)
    assert "/ops/policy/withdraw?at=2026-01-01T09%3A00%3A00Z" in page.text
    assert await recorded(place) == [120, 90]
    acts = await place.town.look(
        lambda tx: all_rows(tx, "select actor, action from audit where action like 'policy.%'")
    )
    assert acts == [(f"operator:{otto.id}", "policy.applied")]


async def test_without_a_day_it_takes_effect_in_a_minute(place: Place, otto: Browser):
    await applies(otto, MINE)

    book = await place.town.look(policies.in_force)
    assert book is not None
    assert book.starts[1] == SIGN_UP + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("day", "sentence"),
    [
        ("2020-01-01", "A policy cannot take effect at 2020-01-01T00:00:00Z: the past is never"),
        ("2901-01-01", "Choose an instant before the year 2900."),
        ("soon", "soonT00:00Z is no date."),
    ],
)
async def test_no_policy_takes_effect_in_the_past_or_at_no_date(
    place: Place, otto: Browser, day: str, sentence: str
):
    answer = await submits(otto, MINE, day)

    assert answer.status_code == 422
    assert sentence in text_of(answer)
    assert await recorded(place) == [120]


async def test_a_version_is_taken_back_before_it_takes_effect(place: Place, otto: Browser):
    await applies(otto, MINE, "2026-01-01")
    asked = await otto.get("/ops/policy/withdraw?at=2026-01-01T00:00:00Z")
    assert SENTENCE in text_of(asked)

    done = await otto.post("/ops/policy/withdraw", {"at": "2026-01-01T00:00:00Z"})

    assert "is withdrawn. What holds now goes on." in text_of(await otto.follow(done))
    assert await recorded(place) == [120]
    again = await otto.post("/ops/policy/withdraw", {"at": "2026-01-01T00:00:00Z"})
    assert again.status_code == 409
    for none in ("2026-01-01T00:00:00Z", "1970-01-01T00:00:00Z", ""):
        assert (await otto.get(f"/ops/policy/withdraw?at={none}")).status_code == 404


async def test_who_shows_a_second_factor_on_the_way_still_has_the_draft(
    place: Place, otto: Browser
):
    assert otto.id is not None
    await place.factor_grows_stale(otto.id)

    checked = await submits(otto, MINE, "2026-01-01")
    asked = await otto.get(checked.headers["location"])
    assert asked.headers["location"].startswith("/ops/enter?next=")
    (then,) = parse_qs(urlsplit(asked.headers["location"]).query)["next"]
    assert then == checked.headers["location"]
    draft = parse_qs(urlsplit(then).query)["draft"][0]
    unproven = await otto.post("/ops/policy/apply", {"draft": draft, "day": "2026-01-01"})
    assert unproven.headers["location"].startswith("/ops/enter")
    assert await recorded(place) == [120]

    await place.town.do(lambda tx: tx.execute("update sessions set factor_at = now()"))
    preview = await otto.get(then)
    assert SENTENCE in text_of(preview)
    assert "expiry_days = 90" in (await otto.get(f"/ops/policy/edit?draft={draft}")).text


async def test_what_changed_meanwhile_is_told_instead_of_applied(place: Place, otto: Browser):
    preview = await submits(otto, MINE, "2026-01-01")
    await applies(otto, MINE, "2025-12-01")

    answer = await otto.follow(preview)

    assert answer.status_code == 422
    assert "Nothing would change: the installation has this policy already." in text_of(answer)
    assert await recorded(place) == [120, 90]


async def test_a_document_of_several_versions_keeps_their_dates_in_the_draft(
    place: Place, otto: Browser
):
    later = policies.load("recruiter").versions[0]
    several = f"{MINE}\n{policies.written(later).replace('1970-01-01T00', '2026-05-01T00')}"

    await applies(otto, several)

    book = await place.town.look(policies.in_force)
    assert book is not None
    assert [f"{each:%Y-%m-%d}" for each in book.starts] == [
        "1970-01-01",
        "2025-01-31",
        "2026-05-01",
    ]
