"""Bad input: a 4xx that names the field, in JSON, and nothing changed."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from overture import ids
from overture.api import problems
from overture.api.app import operations
from overture.store.db import all_rows
from tests.api.conftest import Caller, Site

# Nobody's, and the same in every process: it names tests.
UNKNOWN = "01a20000-0000-7000-8000-000000000000"


@pytest.fixture(scope="module")
def database_url(databases):
    """One for all tests here: they are to change nothing."""
    url = databases.fresh()
    yield url
    databases.drop(url)


@pytest.fixture
async def ada(site: Site) -> Caller:
    return await site.member(f"ada-{ids.new()[-12:]}", premium="premium_career")


@pytest.fixture
async def grace(site: Site) -> Caller:
    return await site.member(f"grace-{ids.new()[-12:]}", premium="premium_career")


async def everything(site: Site) -> list[Any]:
    """How many rows each table has: bad input must leave them as they are."""
    tables = await site.town.look(
        lambda tx: all_rows(
            tx,
            "select tablename from pg_tables where schemaname = 'public'",
        )
    )
    union = " union all ".join(
        f"select '{name}', count(*), coalesce(sum(hashtext(t::text)), 0) from {name} t"
        for (name,) in sorted(tables)
    )
    return await site.town.look(lambda tx: all_rows(tx, union))


async def send_raw(
    who: Caller, body: bytes, content_type: str | None = "application/json"
) -> httpx.Response:
    headers = {} if content_type is None else {"Content-Type": content_type}
    return await who.call("POST", "/conversations", content=body, headers=headers)


def assert_problem(answer: httpx.Response, status: int, code: str, field: str | None = None):
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), answer.text
    if field is not None:
        assert [error["field"] for error in problem["errors"]] == [field]
        assert problem["errors"][0]["message"]


GOOD = {"to": UNKNOWN, "body": "Hello"}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != name}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (without("to"), "to"),
        (without("body"), "body"),
        (GOOD | {"to": 7}, "to"),
        (GOOD | {"to": None}, "to"),
        (GOOD | {"to": ""}, "to"),
        (GOOD | {"to": "ada"}, "to"),
        (GOOD | {"to": UNKNOWN + "\n"}, "to"),
        (GOOD | {"to": UNKNOWN.upper()}, "to"),
        (GOOD | {"to": "\0" * 36}, "to"),
        (GOOD | {"body": None}, "body"),
        (GOOD | {"body": ["Hello"]}, "body"),
        (GOOD | {"body": ""}, "body"),
        (GOOD | {"body": "nul \0"}, "body"),
        (GOOD | {"body": "escape \x1b[31m"}, "body"),
        (GOOD | {"subject": {}}, "subject"),
        (GOOD | {"subject": "\0"}, "subject"),
        (GOOD | {"subject": "x\u2028y"}, "subject"),
        (GOOD | {"pool": 1}, "pool"),
        (GOOD | {"pool": ""}, "pool"),
        (GOOD | {"pool": "\0"}, "pool"),
        (GOOD | {"pool": "Premium"}, "pool"),
        (GOOD | {"max_credits": -1}, "max_credits"),
        (GOOD | {"max_credits": "1"}, "max_credits"),
        (GOOD | {"max_credits": 1.5}, "max_credits"),
        (GOOD | {"max_credits": True}, "max_credits"),
        (GOOD | {"max_credits": 2**31}, "max_credits"),
        (GOOD | {"max_credits": 10**400}, "max_credits"),
        (GOOD | {"unknown": 1}, "unknown"),
        (GOOD | {"": 1}, ""),
        ([], "body"),
        ("Hello", "body"),
        (None, "body"),
        (7, "body"),
    ],
    ids=lambda value: str(value)[-40:] if isinstance(value, (dict, list)) else None,
)
async def test_the_field_to_blame_is_named(site, ada, body, field):
    before = await everything(site)
    answer = await send_raw(ada, json.dumps(body).encode())
    problem = answer.json()
    assert answer.status_code == 422, answer.text
    assert problem["code"] in {"invalid", "unknown_pool"}
    assert [error["field"] for error in problem["errors"]] == [field]
    assert await everything(site) == before


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"{'to': 1}", "body"),
        (b"\xff", "body"),
        (b'{"subject": "\xff"}', "subject"),
        (b'{"\xff": 1}', "body"),
        (b'{"subject": "\xed\xa0\x80"}', "subject"),
        (b'{"subject": "\\udc00\\ud800"}', "subject"),
        (b'{"subject": "\\ud800\\u0041"}', "subject"),
        (b'"\\ud800"', "body"),
        (b'{"subject": "\\ud800' + b"[" * 40_000, "body"),
        (b'{"subject": "\\ud800", "x": ' + b"[" * 900 + b"]" * 900 + b"}", "subject"),
        (b'{"subject": "\xff", "x": ' + b"[" * 9_000 + b"]" * 9_000 + b"}", "body"),
        (b'{"body": "raw \x00"}', "body"),
        (b'{"max_credits": NaN}', "body"),
        (b'{"max_credits": Infinity}', "body"),
        (b'{"max_credits": 01}', "body"),
        (b'\xef\xbb\xbf{"body": "Hello"}', "body"),
        ('{"body": "Hello"}'.encode("utf-16"), "body"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_is_no_json_is_malformed(site, ada, body, field):
    before = await everything(site)
    assert_problem(await send_raw(ada, body), 400, "malformed", field)
    assert await everything(site) == before


async def test_nesting_without_end_is_refused(site, ada):
    for body in (b"[" * 30_000, b'{"body":' * 7_000, b'{"x":' + b"[" * 50_000):
        answer = await send_raw(ada, body)
        assert answer.status_code in {400, 422}, answer.text
        assert answer.headers["content-type"] == "application/problem+json"


async def test_of_a_field_that_stands_twice_the_last_counts(site, ada, grace):
    body = f'{{"to": "{grace.id}", "body": "one", "body": "two"}}'
    answer = await send_raw(ada, body.encode())
    assert answer.json()["message"]["body"] == "two"


async def test_a_whole_number_may_be_written_with_a_fraction_of_zero(site, ada, grace):
    half = await send_raw(ada, f'{{"to": "{grace.id}", "body": "x", "max_credits": 0.5}}'.encode())
    assert_problem(half, 422, "invalid", "max_credits")
    whole = await send_raw(ada, f'{{"to": "{grace.id}", "body": "x", "max_credits": 1.0}}'.encode())
    assert whole.status_code == 201, whole.text


async def test_what_is_unknown_or_oneself_is_blamed_on_its_field(site, ada):
    unknown = await ada.put("/me/subscriptions/premium", {"plan": "gold"})
    assert_problem(unknown, 422, "unknown_plan", "plan")
    assert_problem(await ada.get("/me/ledger?pool=gold"), 422, "unknown_pool", "pool")
    oneself = await ada.post("/connections", {"member_id": ada.id})
    assert_problem(oneself, 422, "cannot_be_yourself", "member_id")
    gives = {"member_id": ada.id, "pool": "gold", "credits": 1, "reason": "A gift"}
    assert_problem(
        await site.operator.post("/operator/credits", gives), 422, "unknown_pool", "pool"
    )


def test_every_no_to_an_input_names_its_field():
    noes = {no for each in operations() for no, status in each.refusals.items() if status == 422}
    assert noes
    for no in noes:
        assert problems.refused(no, 422).errors[0].message == no.sentence


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=latin-1",
        "application/jsonx",
        "application/problem+json",
    ],
)
async def test_a_body_is_json_and_says_so(site, ada, content_type):
    answer = await send_raw(ada, json.dumps(GOOD).encode(), content_type)
    assert_problem(answer, 415, "unsupported_media_type")

    for good in ("application/json", "Application/JSON", 'application/json;charset="UTF-8"'):
        answer = await send_raw(ada, json.dumps(GOOD).encode(), good)
        assert answer.status_code == 404


async def test_a_body_has_64_kib_at_most(site, ada):
    blank = json.dumps(GOOD).encode()
    largest = blank + b" " * (64 * 1024 - len(blank))
    assert_problem(await send_raw(ada, largest), 404, "no_such_member")
    assert_problem(await send_raw(ada, largest + b" "), 413, "too_large")
    assert_problem(await send_raw(ada, b"x" * 10_000_000), 413, "too_large")

    async def in_parts():
        for _ in range(1000):
            yield b" " * 10_000

    headers = {"Content-Type": "application/json"}
    answer = await ada.call("POST", "/conversations", content=in_parts(), headers=headers)
    assert_problem(answer, 413, "too_large")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("pool=premium&pool=premium", "pool"),
        ("pools=premium", "pools"),
        ("pool=%00", "pool"),
        ("%00=x", "\0"),
        ("pool", "pool"),
        ("=premium", ""),
        ("pool[]=premium", "pool[]"),
    ],
)
async def test_a_query_has_its_parameters_once(site, ada, grace, query, field):
    answer = await ada.get(f"/members/{grace.id}/contact?{query}")
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]

    good = await ada.get(f"/members/{grace.id}/contact?pool=premium&")
    assert good.status_code == 200


async def test_a_query_is_utf_8(site, ada, grace):
    answer = await ada.get(f"/members/{grace.id}/contact?pool=%ff")
    assert_problem(answer, 400, "malformed", "pool")
    assert_problem(await ada.get("/members?%ff=x"), 400, "malformed", "query")


async def test_an_operation_without_a_query_takes_none(site, ada):
    assert_problem(await ada.get("/quick-replies?x=1"), 422, "invalid", "x")


@pytest.mark.parametrize(
    "segment",
    [
        "x",
        "%00",
        "..%2f",
        "%ff",
        "a" * 5000,
        "'; drop table members",
        "%F0%9F%98%80",
        UNKNOWN.upper(),
    ],
)
async def test_an_id_that_is_none_is_an_unknown_one(site, ada, segment):
    for method, path in (
        ("GET", f"/members/{segment}/contact"),
        ("POST", f"/conversations/{segment}/accept"),
    ):
        answer = await ada.call(method, path)
        assert answer.status_code == 404, answer.text
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("verb", ["accept", "withdraw", "decline"])
async def test_what_needs_no_body_takes_none_or_an_empty_one(site, ada, grace, verb):
    one = (await ada.writes(grace)).json()["conversation"]["id"]
    who = ada if verb == "withdraw" else grace
    path = f"/conversations/{one}/{verb}"

    unknown = await who.post(path, {"reason": "none"})
    assert_problem(unknown, 422, "invalid", "reason")
    answer = await who.call("POST", path)
    assert answer.status_code == 200, answer.text
    assert (await who.post(path, {})).status_code == 200
