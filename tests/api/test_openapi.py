"""The OpenAPI document and the reference page: of all operations, for all to read."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import httpx

from overture.api.app import operations
from overture.core.policy import parse
from tests.api.conftest import Site, site_in
from tests.cast import POLICIES


async def document(site: Site) -> dict:
    answer = await site.http.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


async def test_every_operation_is_described(site: Site):
    described = await document(site)
    assert described["openapi"] == "3.1.0"
    for each in operations():
        told = described["paths"][each.path][each.method.lower()]
        assert told["summary"]
        assert str(each.status) in told["responses"]
        for refusal, status in each.refusals.items():
            assert f"`{refusal}`" in told["responses"][str(status)]["description"]


async def test_every_name_in_it_is_explained(site: Site):
    answer = await site.http.get("/openapi.json")
    schemas = answer.json()["components"]["schemas"]
    named = set(re.findall(r"#/components/schemas/([^\"]+)\"", answer.text))
    assert named <= set(schemas)
    assert not any("." in name for name in named), "two structs share a name"
    ids = re.findall(r'"operationId":"([^"]+)"', answer.text)
    assert len(ids) == len(set(ids))


async def test_the_policy_in_force_is_part_of_it(database_url):
    text = (
        (POLICIES / "seed.toml").read_text().replace("body_chars_max = 2000", "body_chars_max = 7")
    )
    async with site_in(database_url, book=parse(text)) as site:
        begin = (await document(site))["components"]["schemas"]["Begin"]["properties"]
        assert begin["body"]["maxLength"] == 7
        assert begin["pool"]["anyOf"][0]["enum"] == ["premium", "sales_navigator", "recruiter"]
        ada = await site.member("ada", premium="premium_career")
        grace = await site.member("grace", premium="premium_career")
        assert (await ada.writes(grace, "8 chars.")).status_code == 422
        assert (await ada.writes(grace, "7 chars")).status_code == 201


async def test_calls_are_as_public_as_the_document_says(site: Site):
    for path, methods in (await document(site))["paths"].items():
        for method, told in methods.items():
            address = re.sub(r"\{[^}]*\}", "01a206ae-50e2-768d-8c9c-477b24b2b656", path)
            answer: httpx.Response = await site.http.request(method, address)
            assert (answer.status_code != 401) == (told["security"] == []), (method, path)


class Page(HTMLParser):
    """What a page links to, names and fetches."""

    def __init__(self) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.names: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.add(tag)
        assert not any(name.startswith("on") or name == "style" for name in given)
        if "id" in given:
            self.names.append(given["id"])
        if "href" in given:
            self.links.add(given["href"])


async def test_the_reference_is_a_page_without_scripts_or_strangers(site: Site):
    answer = await site.http.get("/reference")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    page = Page()
    page.feed(answer.text)

    assert "script" not in page.tags
    assert len(page.names) == len(set(page.names))
    inside = {link[1:] for link in page.links if link.startswith("#")}
    assert inside <= set(page.names)
    for link in page.links - {f"#{name}" for name in inside}:
        assert (await site.http.get(f"/{link}")).status_code == 200
    for each in operations():
        assert each.summary.replace("'", "&#x27;") in answer.text
    style = await site.http.get("/reference.css")
    assert style.headers["content-type"] == "text/css; charset=utf-8"


async def test_a_problems_type_leads_to_its_explanation(site: Site):
    ada, basil = await site.member("ada", premium="premium_career"), await site.member("basil")
    answers = [
        await ada.writes(basil),
        await ada.post("/conversations", {"to": basil.id}),
        await ada.get("/nowhere"),
        await site.http.get("/me"),
        await site.operator.put("/operator/clock", {"now": "2001-01-01T00:00:00Z"}),
    ]
    page = Page()
    page.feed((await site.http.get("/reference")).text)
    for answer in answers:
        address, _, anchor = answer.json()["type"].partition("#")
        assert address == "/api/v1/reference"
        assert anchor in page.names


async def test_the_reference_knows_every_code_in_the_document(site: Site):
    page = Page()
    page.feed((await site.http.get("/reference")).text)
    codes = set(
        re.findall(r'"code":\{"enum":\[([^\]]+)\]', (await site.http.get("/openapi.json")).text)
    )
    named = {code.strip('"') for codes_of_one in codes for code in codes_of_one.split(",")}
    assert {"invalid", "clock_backwards", "pending_inmail"} <= named
    assert {f"problem-{code}" for code in named} <= set(page.names)
