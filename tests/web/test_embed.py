"""What the button of the host's pages says, and to whom: never why a letter cannot go."""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from overture.actions import network
from overture.web.embed import _script
from tests.web.conftest import Browser, Place, place_in

HOST = "https://www.host.example"
# Beside the app's own scripts, of which no page of the host's loads any.
BYTES_MAX = 2500


@pytest.fixture
async def place(database_url: str) -> AsyncIterator[Place]:
    async with place_in(database_url, embed_origins=(HOST,)) as made:
        yield made


async def asks(browser: Browser, member: str, origin: str = HOST, **query: str) -> httpx.Response:
    headers = {"Origin": origin, "Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "cross-site"}
    return await browser.http.get(
        "/embed/button", params={"member": member, **query}, headers=headers
    )


async def told(browser: Browser, member: str, **query: str) -> dict[str, Any]:
    answer = await asks(browser, member, **query)
    assert answer.status_code == 200
    return answer.json()


async def test_who_is_signed_in_is_told_the_price_and_whether_a_letter_can_go(place: Place):
    town = place.town
    ada = await place.member("ada", premium="premium_career")
    bob = await town.member("bob", premium="premium_career")
    carol = await town.member("carol")
    await town.member("basic")
    await town.do(lambda tx: network.upsert_pairs(tx, [(ada.id, carol)], town.now))

    assert (await told(ada, "bob"))["price"] == "1 credit"
    assert (await told(ada, str(bob)))["state"] == "open"
    assert (await told(ada, "carol"))["price"] == "Free"

    shut = await told(ada, "basic")
    assert (shut["state"], shut["credits"], shut["price"]) == ("unavailable", None, "")
    # Whatever the reason, and whether there is such a member: the same.
    assert await told(ada, "nobody") == shut
    assert await told(ada, "ada") == shut
    assert await told(ada, "") == shut
    assert await told(await place.signed_in(bob), "carol") == shut
    poor = await place.signed_in(await town.member("poor"))
    assert await told(poor, "bob") == shut


async def test_nobody_is_told_of_nobody(place: Place):
    await place.member("ada", premium="premium_career")
    nobody = place.browser()

    assert await told(nobody, "ada") == await told(nobody, "no-such-member")
    assert (await told(nobody, "ada"))["price"] == ""


async def test_pages_of_other_sites_may_not_read_it(place: Place):
    ada = await place.member("ada", premium="premium_career")

    for origin in ("https://evil.example", "null", f"{HOST}.evil.example", f"{HOST}:8443"):
        answer = await asks(ada, "ada", origin)
        assert "access-control-allow-origin" not in answer.headers
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    answer = await asks(ada, "ada")
    assert answer.headers["access-control-allow-origin"] == HOST
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert "Origin" in answer.headers["vary"]


async def test_it_speaks_the_language_of_its_page(place: Place):
    ada = await place.member("ada")

    arabic = await told(ada, "ada", lang="ar-EG")
    assert (arabic["lang"], arabic["dir"]) == ("ar", "rtl")
    assert not re.search("[A-Za-z]", arabic["note"])
    assert (await told(ada, "ada", lang="xx"))["lang"] == "en"


async def test_the_script_is_kept_and_asked_for_again(place: Place):
    first = await place.browser().http.get("/embed/overture.js", headers={"Origin": HOST})
    assert first.headers["content-type"].startswith("text/javascript")
    assert first.headers["cache-control"] == "public, no-cache"
    assert first.headers["access-control-allow-origin"] == "*"

    tag = {"If-None-Match": first.headers["etag"]}
    again = await place.browser().http.get("/embed/overture.js", headers=tag)
    assert (again.status_code, again.content) == (304, b"")
    older = await place.browser().http.get("/embed/overture.js", headers={"If-None-Match": '"x"'})
    assert older.status_code == 200


def test_the_script_is_small_and_says_nothing_itself():
    content, packed, _ = _script()

    assert gzip.decompress(packed) == content
    assert len(packed) <= BYTES_MAX
    source = re.sub(rb"`[^`]*`", b"", content).decode()
    # Names of parts and events, and no sentence.
    assert not [each for each in re.findall(r'"([^"]*)"', source) if re.search("[a-z] [a-z]", each)]
    assert "innerHTML" not in source
    assert "eval" not in source
