"""What no page of ours sends is answered with a no, and never with a fault."""

from __future__ import annotations

import pytest

from overture import ids
from tests.web.conftest import Browser, Place
from tests.web.test_inbox import two


@pytest.mark.parametrize("at", ["0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00", "²"])
async def test_a_reminder_at_the_edge_of_the_calendar_is_refused(place: Place, at: str):
    _, grace, here = await two(place)

    assert (await grace.post(f"/inbox/{here}/snooze", {"at": at})).status_code == 422


@pytest.mark.parametrize("said", ["-" * 36, "0" * 36, "", "x"])
async def test_what_only_looks_like_an_id_is_no_message(place: Place, said: str):
    _, grace, here = await two(place)

    assert (await grace.post(f"/inbox/{here}/read", {"up_to": said})).status_code == 404
    own = {"Sec-Fetch-Site": "same-origin"}
    answer = await grace.http.get(f"/inbox/{here}/seen", params={"up_to": said}, headers=own)
    assert answer.status_code == 204


async def test_an_address_with_signs_that_are_no_text_is_no_page(place: Place):
    ada = await place.member("ada")

    for path in (f"/photos/{ids.new()}/%00", "/in/%00", "/icons/%00", f"/photos/{ids.new()}/%ED"):
        assert (await ada.get(path)).status_code == 404, path


async def _post_in(browser: Browser, path: str, field: str, raw: bytes, charset: str) -> int:
    """A form that names its own encoding, in which half of a pair can be written."""
    body = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n--x--\r\n'
    answer = await browser.http.post(
        path,
        content=body % (field.encode(), raw),
        headers={
            "Sec-Fetch-Site": "same-origin",
            "Content-Type": f"multipart/form-data; boundary=x; charset={charset}",
        },
    )
    return answer.status_code


@pytest.mark.parametrize("charset", ["unicode_escape", "raw_unicode_escape"])
async def test_half_of_a_pair_is_refused_in_whatever_encoding_it_comes(place: Place, charset: str):
    ada, nobody = await place.member("ada"), place.browser()

    for path, field in (("/profile", "headline"), ("/compose", "body"), ("/compose", "key")):
        assert await _post_in(ada, path, field, rb"\ud800 hi", charset) == 400, path
    for path, field in (("/login", "email"), ("/reset", "email"), ("/verify", "link")):
        assert await _post_in(nobody, path, field, rb"\ud800 hi", charset) == 400, path


@pytest.mark.parametrize(("live", "header"), [("", "location"), ("1", "x-go")])
async def test_an_address_in_any_script_is_gone_on_to(place: Place, live: str, header: str):
    ada = await place.member("ada")

    answer = await ada.get("/login", params={"next": "/in/漢字?a=b%20c#d"}, live=live)

    assert answer.headers[header] == "/in/%E6%BC%A2%E5%AD%97?a=b%20c#d"
