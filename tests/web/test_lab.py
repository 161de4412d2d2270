"""The console's lab: a trial of two policies, as a page has it while it runs and when it is done."""

from __future__ import annotations

import asyncio
import re

import pytest

from overture.trials import Trials
from tests.web.conftest import Place, text_of

SMALL = "members=500&months=1&seed=3"


@pytest.fixture
def with_lab(place: Place) -> Place:
    # As the server hands it in; the site is frozen, as nothing changes it later.
    object.__setattr__(place.site, "lab", Trials())
    return place


async def test_two_policies_are_tried_and_shown_beside_each_other(with_lab: Place) -> None:
    otto = await with_lab.operator("otto")
    form = await otto.get("/ops/lab")
    assert form.status_code == 200
    assert 'name="members"' in form.text
    assert '<svg class="chart"' not in form.text

    asked = f"/ops/lab?policy=seed&other=linkedin-premium&{SMALL}"
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
    assert "linkedin-premium less seed" in text_of(done)
    assert re.search(r"<bdi>\d+\.\d ± \d+\.\d %</bdi>", done.text)
    assert "nan" not in done.text


async def test_what_lies_outside_the_bounds_is_brought_in_and_a_policy_is_no_match_for_itself(
    with_lab: Place,
) -> None:
    otto = await with_lab.operator("otto")

    alone = await otto.get(f"/ops/lab?policy=seed&other=seed&{SMALL}")
    unknown = await otto.get(f"/ops/lab?policy=seed&other=nobody&{SMALL}")

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
