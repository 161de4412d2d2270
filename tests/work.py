"""What happens by itself, in a test: the work of a town, done when the test says so."""

from __future__ import annotations

import tempfile
from pathlib import Path

from overture.app import Installation
from overture.clock import TestClock
from overture.core.seals import Secret
from overture.jobs.runner import Runner
from overture.worker import Means, make_runner
from tests.cast import Town

# What the installation of a test seals with.
SECRET = Secret(b"of this town's own, and of no other")


def runner_in(town: Town, folder: Path | None = None, **means: object) -> Runner:
    """`await runner_in(town).play(until)`, by the clock in the database; mails go into the folder."""
    where = folder or Path(tempfile.gettempdir()) / "overture-tests-mail"
    given = {
        "public_url": "https://overture.example",
        "mail_folder": str(where),
        # The tests' own receivers.
        "webhook_allow_hosts": ["127.0.0.1"],
        "mail_from": "no-reply@overture.example",
        "mail_domain": "overture.example",
    } | means
    return make_runner(Installation(town.db, TestClock(), town.book, SECRET), Means(**given))
