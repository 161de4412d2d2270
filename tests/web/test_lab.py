"""The console's lab: a trial of two policies, as a page has it while it runs and when it is done."""

from __future__ import annotations

import asyncio
import re

import pytest

from overture import trials
from overture.core.refusals import Refusal
from overture.trials import Trials
from overture.web.ops.policy import packed
from tests.cast import policy
from tests.web.conftest import Browser, Place, text_of

SMALL = "members=500&months=1&seed=3"


@pytest.fixture
def with_lab(place: Place, database_url: str) -> Place:
    # As the server hands it in; the site is frozen, as nothing changes it later.
    object.__setattr__(place.site, "lab", Trials(database_url))
    return place


async def found_by(browser: Browser, asked: str) -> str:
    """What the page says once the trial is over."""
    for _ in range(600):
        if 'data-again="2"' not in (page := await browser.get(asked)).text:
            return text_of(page)
        await asyncio.sleep(0.1)
    pytest.fail("the trial does not end")


async def test_what_one_is_about_to_apply_is_tried_beside_another_policy(with_lab: Place) -> None:
    otto = await with_lab.operator("otto")
    draft = packed(policy("linkedin-premium"))
    preview = await otto.get("/ops/policy/preview", params={"draft": draft})
    to_lab = re.search(r'href="(/ops/lab\?draft=[^"]+)"', preview.text)
    assert to_lab
    form = await otto.get(to_lab[1])
    assert form.status_code == 200
    assert '<option value="draft" selected>your draft</option>' in form.text
    assert '<svg class="chart"' not in form.text

    asked = f"{to_lab[1]}&policy=seed&other=draft&{SMALL}"
    begun = await otto.get(asked)
    assert "0 of 6 runs are done." in text_of(begun)
    assert 'data-again="2"' in begun.text
    while 'data-again="2"' in (patch := await otto.get(asked, live="anew")).text:
        # The server answers others meanwhile.
        assert (await otto.get("/inbox")).status_code == 200
        await asyncio.sleep(0.2)

    assert patch.text.startswith('<template data-at="#trial"')
    done = await otto.get(asked)
    assert done.text.count('<svg class="chart"') == 6
    assert "Letters that were answered" in text_of(done)
    assert "your draft less seed" in text_of(done)
    assert re.search(r"<bdi>\d+\.\d ± \d+\.\d %</bdi>", done.text)
    assert "nan" not in done.text


async def test_what_the_members_did_is_played_again_under_another_policy(with_lab: Place) -> None:
    otto, town = await with_lab.operator("otto"), with_lab.town
    asked = f"/ops/lab?policy=in-force&other=recruiter&whose=our-own&{SMALL}"
    assert "Nobody has written to a stranger yet" in await found_by(otto, asked)
    ada, bo, cy, dee = [
        await town.member(handle, premium="premium_career") for handle in ("ada", "bo", "cy", "dee")
    ]
    sent = await town.sends(ada, bo)
    assert not isinstance(sent, Refusal)
    await town.accepts(bo, sent)
    await town.sends(ada, cy)

    told = await found_by(otto, asked)

    assert "Nobody is invented: 2 letters to strangers, up to" in told
    assert "as it was in force recruiter" in told
    assert "Letters that were answered 50.0 % 50.0 % 50.0 %" in told
    # What was found goes stale, for members write on.
    await town.sends(ada, dee)
    assert "2 letters to strangers" in await found_by(otto, asked)
    await with_lab.days_pass(1)
    assert "3 letters to strangers" in await found_by(otto, asked)


async def test_members_are_invented_after_ours(with_lab: Place) -> None:
    otto, town = await with_lab.operator("otto"), with_lab.town
    ada = await town.member("ada", premium="premium_career")
    await town.sends(ada, await town.member("bo", premium="premium_career"))
    await with_lab.days_pass(28)

    told = await found_by(
        otto, f"/ops/lab?policy=seed&other=linkedin-premium&whose=like-ours&{SMALL}"
    )

    assert "those of your members, as 1 letter to strangers up to" in told
    # Of ours two of three have that plan, of those who are invented after nobody an eighth.
    career = re.search(r"Premium Career seed (\d+)\.\d", told)
    assert career is not None
    assert int(career[1]) > 400


async def test_a_history_that_is_too_long_for_the_page_is_left_to_the_command(
    with_lab: Place, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    town = with_lab.town
    ada = await town.member("ada", premium="premium_career")
    await town.sends(ada, await town.member("bo", premium="premium_career"))
    monkeypatch.setattr(trials, "LETTERS_MAX", 0)

    said = await trials._recorded(database_url, town.now)

    assert str(said).startswith("There are more than 0 letters to strangers")


async def test_what_lies_outside_the_bounds_is_brought_in_and_a_policy_is_no_match_for_itself(
    with_lab: Place,
) -> None:
    otto = await with_lab.operator("otto")

    alone = await otto.get(f"/ops/lab?policy=seed&other=seed&{SMALL}")
    unknown = await otto.get(f"/ops/lab?policy=seed&other=nobody&{SMALL}")
    assert (await otto.get("/ops/lab?draft=nothing")).status_code == 404

    for page in (alone, unknown):
        assert page.status_code == 200
        assert "data-again" not in page.text


async def test_without_numpy_the_page_says_what_is_missing(place: Place) -> None:
    otto = await place.operator("otto")

    page = await otto.get("/ops/lab")

    assert "pip install 'overture[lab]'" in text_of(page)
    assert "<form" not in page.text[page.text.index("Policy lab</h1>") :]


async def test_the_lab_is_for_operators(with_lab: Place) -> None:
    ada = await with_lab.member("ada")

    assert (await ada.get("/ops/lab")).status_code == 404
