"""The clients, made once for all tests; and a server that they talk to."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients import build
from tests.databases import Databases
from tests.running import Running, serving


@pytest.fixture(scope="session")
def python_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The package for Python, importable as `overture_client`."""
    source = build.build_python(tmp_path_factory.mktemp("clients")) / "src"
    sys.path.insert(0, str(source))
    yield source
    sys.path.remove(str(source))


@pytest.fixture(scope="module")
def server(databases: Databases) -> Iterator[Running]:
    with serving("--database-url", databases.fresh()) as running:
        yield running
