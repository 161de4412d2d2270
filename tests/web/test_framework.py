"""What holds for every page: who is let in, what is said of it, and what is taken."""

import pytest

from overture.web.context import make_site
from tests.web.conftest import Place, text_of
from tests.work import SECRET


async def test_a_stranger_is_asked_to_sign_in(place: Place):
    answer = await place.browser().get("/")

    assert answer.status_code == 303
    assert answer.headers["location"] == "/login"


async def test_an_unknown_page_is_a_page_that_says_so(place: Place):
    answer = await place.browser().get("/nowhere")

    assert answer.status_code == 404
    assert "There is no such page." in text_of(answer)


async def test_every_page_has_the_strict_policy(place: Place):
    answer = await place.browser().get("/nowhere")

    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_assets_are_kept_for_good_under_their_release(place: Place):
    from overture.web.assets import assets

    answer = await place.browser().get(assets().url("app.css"))

    assert answer.status_code == 200
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].startswith("text/css")
    assert (await place.browser().get("/static/older/app.css")).status_code == 404


@pytest.mark.parametrize("path", ["/static/x/../../pyproject.toml", "/static/%2e%2e/app.py"])
async def test_nothing_else_is_served_as_an_asset(place: Place, path: str):
    assert (await place.browser().get(path)).status_code == 404


async def test_who_asks_for_more_than_a_person_reads_waits(place: Place, monkeypatch):
    ada, grace = await place.member("ada"), await place.member("grace")
    nobody = place.browser()
    # The same three requests of each member a minute, in however many browsers.
    monkeypatch.setattr(place.site.requests, "_per_minute", 3)
    again = await place.signed_in(ada.id)

    for browser in (ada, again, ada):
        assert (await browser.get("/inbox")).status_code == 200
    refused = await again.get("/inbox")

    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 120
    assert "Wait a moment" in text_of(refused)
    assert (await ada.post("/settings/privacy", live="1")).status_code == 429
    assert (await ada.get(f"/photos/{grace.id}/none")).status_code == 404
    assert (await grace.get("/inbox")).status_code == 200
    assert [(await nobody.get("/login")).status_code for _ in range(5)] == [200] * 5


def test_a_member_s_browsers_may_ask_for_more_than_a_token(place: Place):
    limited = make_site(place.site, public_url="", secret=SECRET, requests_per_minute=2)

    assert [bool(limited.requests.hit("ada")) for _ in range(11)] == [False] * 10 + [True]
