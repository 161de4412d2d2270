"""What every test may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, settings

from tests import databases as _databases
from tests.faults.table import Row, table

# How long a machine takes says nothing about the code.
settings.register_profile("overture", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("overture")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Browser tests run in a process of their own: `pytest tests/browser`."""
    if collection_path.name == "browser" and not any("browser" in each for each in config.args):
        return True
    return None


@pytest.fixture(scope="session")
def databases() -> Iterator[_databases.Databases]:
    """Makes as many databases as a test needs: `databases.fresh()`, `.empty()`, `.drop(url)`."""
    with _databases.databases() as made:
        yield made


@pytest.fixture
def database_url(databases: _databases.Databases) -> Iterator[str]:
    """A database of this test's own, with Overture's schema and nothing in it."""
    url = databases.fresh()
    yield url
    databases.take_back(url)


@pytest.fixture
def empty_database_url(databases: _databases.Databases) -> Iterator[str]:
    """A database of this test's own, without any schema."""
    url = databases.empty()
    yield url
    databases.drop(url)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The one table of the experiments with faults, from whichever processes they ran in."""
    rows = [
        msgspec.json.decode(value, type=Row)
        for outcome in ("passed", "failed", "skipped")
        for report in terminalreporter.getreports(outcome)
        if report.when == "call"
        for name, value in report.user_properties
        if name == "faults"
    ]
    if rows:
        terminalreporter.section("faults")
        terminalreporter.write_line(table(rows))
