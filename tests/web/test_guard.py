"""Whose forms are taken: those of our own pages, as browsers tell it."""

import pytest
from starlette.datastructures import Headers

from overture.web.guard import is_own

SITE = "https://inmail.example"
ORIGIN, HOST = ("origin", SITE), ("host", "inmail.example")


@pytest.mark.parametrize(
    ("said", "own"),
    [
        ([("sec-fetch-site", "same-origin")], True),
        ([("sec-fetch-site", "same-site")], False),
        ([("sec-fetch-site", "cross-site")], False),
        # Typed into the address bar, or opened by another program: no form of ours.
        ([("sec-fetch-site", "none")], False),
        # What the browser itself says goes before what older ones said.
        ([("sec-fetch-site", "cross-site"), ORIGIN, HOST], False),
        ([ORIGIN, HOST], True),
        # By the name that the proxy asks by, the server knows itself too.
        ([("origin", "https://overture.internal"), ("host", "overture.internal")], True),
        # Where all is https, anybody on the way can write a page that is not.
        ([("origin", "http://inmail.example"), HOST], False),
        ([("origin", "https://evil.example"), HOST], False),
        ([("origin", f"{SITE}.evil.example"), HOST], False),
        ([("origin", "null"), HOST], False),
        ([("origin", ""), ("host", "")], False),
        ([HOST], False),
        ([("referer", f"{SITE}/compose"), HOST], False),
        ([], False),
    ],
)
def test_a_form_is_ours_if_the_browser_says_so(said: list[tuple[str, str]], own: bool):
    headers = Headers(raw=[(name.encode(), value.encode()) for name, value in said])

    assert is_own(headers, SITE) is own


def test_on_this_machine_pages_come_without_tls():
    headers = Headers({"origin": "http://localhost:8000", "host": "localhost:8000"})

    assert is_own(headers, "http://127.0.0.1:8000")
