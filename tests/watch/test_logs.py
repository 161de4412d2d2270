"""The log in JSON: each line an object, with the ids that find what belongs together."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import code
from tests.running import OPERATOR_TOKEN, serving
from tests.watch.scraping import send_a_letter

WORD = "zyzzyva"
FROM_A_PROXY = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def lived(databases, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], Any]:
    """The lines of a server's log, and the letter that was sent meanwhile."""
    path: Path = tmp_path_factory.mktemp("logs") / "server.log"
    url = databases.fresh()
    options = ("--log-format", "json", "--log-requests", "--log-level", "debug")
    with (
        path.open("wb") as errors,
        serving("--database-url", url, *options, errors=errors) as server,
    ):
        letter = send_a_letter(server)
        place = f"/api/v1/conversations/{letter['id']}"
        as_recipient = {"Act-As": letter["recipient"]}
        server.request("GET", place, headers=as_recipient | {"X-Request-Id": FROM_A_PROXY})
        server.request("GET", f"/api/v1/conversations/{WORD}", headers=as_recipient)
        server.request("GET", place, headers=as_recipient | {"X-Request-Id": f"{WORD} {WORD}"})
        server.get(f"/inbox/{letter['id']}")
        server.get(f"/{WORD}?q={WORD}")
        server.post("/login", data={"email": f"{WORD}@example.org", "password": WORD})
        databases.execute_as_admin(url, "alter table messages rename to moved")
        assert server.request("GET", place, headers=as_recipient).status_code == 500
    databases.drop(url)
    return [json.loads(line) for line in path.read_text().splitlines()], letter


def test_every_line_says_when_how_grave_and_what(lived):
    lines, _ = lived

    assert len(lines) > 10
    for line in lines:
        assert re.fullmatch(r"2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["at"])
        assert line["level"] in ("debug", "info", "warning", "error")
        assert line["logger"]
        assert line["message"]


def test_a_request_is_told_with_its_route_its_status_and_its_conversation(lived):
    lines, letter = lived
    (read, *_) = (line for line in lines if line.get("request") == FROM_A_PROXY)

    assert read["route"] == "/api/v1/conversations/{conversation_id}"
    assert read["conversation"] == letter["id"]
    assert (read["method"], read["status"]) == ("GET", 200)
    assert read["ms"] > 0
    (shown,) = code("docs/observe.md", "json")
    assert json.loads(shown).keys() == read.keys()
    pages = [line for line in lines if line.get("route") == "/inbox/{id:uuid}"]
    assert [page["conversation"] for page in pages] == [letter["id"]]


def test_a_fault_is_found_by_its_request(lived):
    lines, letter = lived
    (answered,) = (line for line in lines if line.get("status") == 500)
    # What the server does by itself may have met the same.
    faults = [line for line in lines if "fault" in line]
    (fault,) = (line for line in faults if line.get("request") == answered["request"])

    assert fault["conversation"] == letter["id"]
    assert fault["fault"][-1].startswith("psycopg.errors.UndefinedTable")


def test_it_tells_neither_what_was_written_nor_what_was_asked_for_nor_a_token(lived):
    lines, _ = lived
    whole = json.dumps(lines, ensure_ascii=False)

    for secret in (WORD, OPERATOR_TOKEN, "marmalade"):
        assert secret not in whole


def test_an_id_is_taken_from_a_proxy_that_is_believed_and_from_nobody_else(databases, tmp_path):
    url, path = databases.fresh(), tmp_path / "server.log"
    options = ("--log-requests", "--trusted-proxies", "none")
    with (
        path.open("wb") as errors,
        serving("--database-url", url, *options, errors=errors) as server,
    ):
        server.get("/login", headers={"X-Request-Id": FROM_A_PROXY})
    databases.drop(url)

    (line,) = (each for each in path.read_text().splitlines() if "GET /login 200" in each)
    assert FROM_A_PROXY not in line
    assert re.search(r"INFO overture\.requests \[[0-9a-f-]{36}\]: GET /login 200 \d+\.\d ms$", line)
