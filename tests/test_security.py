"""The page on security names what is there: files, tests, and a reason for each no."""

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "security.md").read_text()

# Of ASVS 5.0, those that decide most here; each has to have its row.
DECISIVE = """
    1.1.2 1.2.1 1.2.2 1.2.3 1.2.4 1.2.10 1.3.6 1.3.7 1.3.11 1.3.12 1.5.2 1.5.3
    2.1.3 2.2.1 2.2.2 2.3.1 2.3.2 2.3.3 2.3.4 2.3.5 2.4.1
    3.2.1 3.2.2 3.3.2 3.3.3 3.3.4 3.4.1 3.4.3 3.4.4 3.4.5 3.4.6 3.4.8 3.5.1 3.5.3 3.5.8 3.7.3
    4.1.3 4.1.5 4.2.1 4.4.2
    6.2.4 6.2.9 6.3.1 6.3.3 6.3.8 6.4.3 6.5.1
    7.2.3 7.2.4 7.4.1 7.4.2 7.5.1 7.5.2
    8.2.1 8.2.2 8.2.3 8.3.2 8.4.1
    11.2.4 11.4.2 11.5.1 13.1.2 13.2.2 13.3.1 14.2.1 14.2.7 14.3.2
    15.1.2 15.2.1 15.2.2 15.3.2 15.3.3 15.3.4 15.4.2
    16.2.5 16.3.2 16.4.1 16.4.2 16.5.1 16.5.2 16.5.3 16.5.4
""".split()  # noqa: SIM905


@dataclass(frozen=True)
class Row:
    id: str
    asks: str
    state: str
    where: str
    tests: list[str]


def rows() -> list[Row]:
    found = re.findall(
        r"^\| (\d+\.\d+\.\d+) \| (.+?) \| (.+?) \| (.+?) \| (.*?) ?\|$", PAGE, re.MULTILINE
    )
    return [Row(*row[:4], re.findall(r"`([^`]+)`", row[4])) for row in found]


def test_every_decisive_requirement_has_its_row_once():
    ids = [row.id for row in rows()]

    assert len(DECISIVE) == 82
    assert len(ids) == len(set(ids))
    assert set(DECISIVE) <= set(ids)
    assert len(ids) == len(re.findall(r"^\| \d+\.\d+\.\d+ ", PAGE, re.MULTILINE))


def test_what_is_met_says_where_and_is_shown_and_what_is_not_says_why():
    for row in rows():
        assert row.state in ("met", "partly", "not met", "not applicable"), row
        if row.state in ("met", "partly"):
            assert files_in(row.where), row
            assert row.tests, row
        if row.state != "met":
            assert len(re.sub(r"`[^`]+`", "", row.where).strip(": ")) > 20, row
            assert row.state == "partly" or not row.tests, row


def test_every_file_that_the_page_names_is_there():
    named = files_in(PAGE)

    assert len(named) > 60
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_test_that_the_page_names_is_there():
    named = {each for row in rows() for each in row.tests}

    assert len(named) > 100
    assert [each for each in sorted(named) if not is_there(each)] == []


def test_a_test_that_is_not_there_is_noticed():
    assert is_there("tests/test_security.py::test_a_test_that_is_not_there_is_noticed")
    assert not is_there("tests/test_security.py::test_another")
    assert not is_there("tests/test_nowhere.py::test_another")


def test_the_page_for_reports_says_what_it_must():
    page = (ROOT / "SECURITY.md").read_text()

    assert re.search(r"\*\*security@[\w.-]+\.example\*\*", page)
    for part in ("Reporting a weakness", "Supported versions", "Packages", "docs/security.md"):
        assert part in page


def files_in(text: str) -> set[str]:
    names = re.findall(r"`((?:src|tests|docs|supply)/[\w./-]+|[A-Z]+\.md|[a-z]+\.lock)`", text)
    return set(names)


def is_there(named: str) -> bool:
    path, _, name = named.partition("::")
    return (ROOT / path).is_file() and name in names_in(path)


@cache
def names_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    return {
        each.name
        for each in ast.walk(tree)
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
    }
