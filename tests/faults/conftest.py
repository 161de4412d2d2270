"""What the tests with faults share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import pytest

from tests.faults.ground import Ground, prepared
from tests.faults.table import Row


@pytest.fixture(scope="session")
def ground() -> Iterator[Ground]:
    """A data folder to copy, with a town in it and nothing running on it."""
    with prepared(recipients=300) as made:
        yield made


@pytest.fixture
def shown(record_property: Callable[[str, object], None]) -> Callable[[Row], Row]:
    """Has a row printed in the one table at the end of the run, and gives it back."""

    def show(row: Row) -> Row:
        record_property("faults", msgspec.json.encode(row).decode())
        return row

    return show
