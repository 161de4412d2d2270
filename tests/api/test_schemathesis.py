"""Schemathesis against the OpenAPI document: what it says holds for whatever is sent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from overture.api import openapi
from overture.api.app import operations
from overture.api.operation import Who
from overture.api.operator_clock import move_clock
from tests.api.conftest import OPERATOR_TOKEN, Site
from tests.api.server import served
from tests.running import PATIENCE

# `make soak` makes 200 of each. One call also follows what another one gave, by inferred links.
EXAMPLES = int(os.environ.get("OVERTURE_SCHEMATHESIS_EXAMPLES", "8"))
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")

# A schema cannot say which texts are cursors that a list gave out; the lists' own tests try others.
HOOKS = """
import schemathesis

@schemathesis.hook
def filter_case(context, case):
    return "cursor" not in (case.query or {})
"""

# Nor which time zones there are, which plans a pool has, which instants lie ahead, which hosts can
# be, which keys came before, what a policy's TOML may say, or that two members are not the same.
CONFIG = """
[[operations]]
include-operation-id = [
    "members_create",
    "members_update",
    "members_change_preferences",
    "network_upsert_pairs",
    "operator_members_issue_token",
    "operator_policies_apply_policy",
    "operator_webhooks_change",
    "operator_webhooks_create",
    "operator_webhooks_replay_span",
    "operator_webhooks_rotate",
    "premium_adjust",
    "premium_choose",
]
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "409", "422"]

# What is far too long is not read to its end.
[[operations]]
include-operation-id = "operator_policies_apply_policy"
checks.negative_data_rejection.expected-statuses = ["4xx"]
"""


async def prepare(site: Site) -> str:
    """A member with a plan, some letters received, and a token."""
    ada = await site.member("ada", premium="premium_career", recruiter="recruiter_lite")
    for number in range(5):
        other = await site.member(f"other-{number}", premium="premium_career")
        assert (await other.writes(ada)).status_code == 201
    return (await site.token(ada)).token


def run(url: str, token: str, *options: str, folder: Path) -> None:
    arguments = [
        str(SCHEMATHESIS),
        "run",
        f"{url}/api/v1/openapi.json",
        f"--header=Authorization: Bearer {token}",
        "--phases=examples,coverage,fuzzing,stateful",
        "--suppress-health-check=all",
        f"--max-examples={EXAMPLES}",
        "--seed=20250131",
        f"--request-timeout={PATIENCE}",
        "--continue-on-failure",
        "--no-shrink",
        "--warnings=off",
        *options,
    ]
    (folder / "hooks.py").write_text(HOOKS)
    (folder / "schemathesis.toml").write_text(CONFIG)
    # In a folder of its own: it keeps what it found beside where it runs.
    done = subprocess.run(
        arguments,
        check=False,
        capture_output=True,
        text=True,
        timeout=3000,
        cwd=folder,
        env=os.environ | {"NO_COLOR": "1", "COLUMNS": "120", "SCHEMATHESIS_HOOKS": "hooks"},
    )
    assert done.returncode == 0, done.stdout[-200_000:] + done.stderr


def test_a_members_calls_hold_what_the_document_says(database_url, tmp_path):
    with served(database_url, prepare) as (url, token):
        # Closing the account would leave nothing to try the rest with, and a stream has no end.
        not_these = ("account_close_me", "events_events")
        run(url, token, *(f"--exclude-operation-id={e}" for e in not_these), folder=tmp_path)


def test_the_operators_calls_hold_what_the_document_says(database_url, tmp_path):
    with served(database_url, prepare) as (url, _):
        run(
            url,
            OPERATOR_TOKEN,
            *(
                f"--include-operation-id={openapi.operation_id(each)}"
                for each in operations()
                # Of instants, a schema cannot say which lie ahead and not too far.
                if each.who in (Who.OPERATOR, Who.READER) and each is not move_clock
            ),
            folder=tmp_path,
        )
