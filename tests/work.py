"""What happens by itself, in a test: the work of a town, done when the test says so."""

from __future__ import annotations

from pathlib import Path

from overture.app import Installation
from overture.clock import TestClock
from overture.jobs.runner import Runner
from overture.worker import Means, make_runner
from tests.cast import Town


def runner_in(town: Town, folder: Path = Path("/nowhere"), **means: object) -> Runner:
    """`await runner_in(town).play(until)`, by the clock in the database; mails go into the folder."""
    given = {"public_url": "https://overture.example", "mail_folder": str(folder)} | means
    return make_runner(Installation(town.db, TestClock(), town.book), Means(**given))
