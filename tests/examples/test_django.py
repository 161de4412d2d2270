"""The example host, walked from its sign-in to a letter and what it is told of it."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import util
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from tests.databases import Databases
from tests.running import PATIENCE, environment, serving

RUN = Path(__file__).parents[2] / "examples" / "django" / "run.py"


@dataclass
class Site:
    host: str
    overture: str

    @contextmanager
    def person(self, name: str) -> Iterator[httpx.Client]:
        """A browser in which this one is signed in at the host."""
        with httpx.Client(base_url=self.host, follow_redirects=True, timeout=PATIENCE) as browser:
            form = {"username": name, "password": "example", **token_in(browser.get("/sign-in"))}
            page = browser.post("/sign-in", data=form)
            assert "Sign out" in page.text, page.text
            yield browser


def token_in(page: httpx.Response) -> dict[str, str]:
    """What Django wants to have back with a form."""
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert found, page.text
    return {"csrfmiddlewaretoken": found[1]}


@pytest.fixture(scope="module")
def site(
    databases: Databases, python_client: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    run = _run()
    known = run.secrets_of_one_run()
    options = ("--database-url", databases.fresh(), *run.options(0))
    with (
        serving(*options, **known) as server,
        run.host(server.address, tmp_path_factory.mktemp("host"), known) as host,
    ):
        yield Site(host, server.address)


def _run() -> ModuleType:
    spec = util.spec_from_file_location("example_run", RUN)
    assert spec is not None
    assert spec.loader is not None
    made = util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@contextmanager
def over(person: httpx.Client, site: Site, to: str) -> Iterator[tuple[httpx.Client, str]]:
    """Goes over to Overture, as the page's script does: the browser there, and where it came to."""
    page = person.get("/overture/go", params={"to": to})
    assert page.headers["cache-control"] == "no-store"
    form = dict(re.findall(r'name="(token|to)" value="([^"]*)"', page.text))
    with httpx.Client(base_url=site.overture, timeout=PATIENCE) as there:
        answer = there.post("/handover", data=form)
        assert answer.status_code == 303
        assert form["token"] not in answer.headers["location"]
        yield there, answer.headers["location"]


def test_a_person_pays_writes_and_the_host_hears_of_it(site: Site):
    with site.person("ada") as ada, site.person("bo") as bo:
        plan = ada.get("/plan")
        assert "You have no plan." in plan.text
        form = {"pool": "premium", "plan": "premium_career", **token_in(plan)}
        assert "premium_career: 5 of 15 credits" in ada.post("/plan", data=form).text

        profile = ada.get("/people/bo").text
        assert 'member="bo" handover="/overture/go"' in profile
        with over(ada, site, "compose/bo") as (there, came_to):
            assert came_to == "/compose?to=bo"
            page = there.get(came_to).text
            fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
            letter = {**fields, "subject": "A bridge", "body": "May I ask you about one?"}
            own = {"Sec-Fetch-Site": "same-origin"}
            assert there.post("/compose", data=letter, headers=own).status_code == 303

        waiting = bo.get("/").text
        assert "A bridge" in waiting
        found = re.search(r"/overture/go\?to=(conversation/[0-9a-f-]+)", waiting)
        assert found
        with over(bo, site, found[1]) as (there, came_to):
            assert "May I ask you about one?" in there.get(came_to).text
        heard(ada, "inmail.sent")


def heard(person: httpx.Client, kind: str) -> None:
    """Waits until the host was told."""
    for _ in range(10 * PATIENCE):
        if kind in person.get("/").text:
            return
        time.sleep(0.1)
    pytest.fail(f"the host never heard of {kind}")


def test_only_what_overture_signed_is_taken_and_once(site: Site, python_client: Path):
    from django.conf import settings
    from standardwebhooks import Webhook

    hook = f"{site.host}/overture/hook"
    body = '{"type": "inmail.planted", "data": {}}'

    def sends(method: str = "POST", **more: Any) -> int:
        return httpx.request(method, hook, timeout=PATIENCE, **more).status_code

    assert sends(content=body) == 400
    assert sends("GET") == 405

    def signed(secret: str) -> dict[str, str]:
        now = datetime.now(UTC)
        signature = Webhook(secret).sign("msg_1", now, body)
        stamp = str(int(now.timestamp()))
        return {"webhook-id": "msg_1", "webhook-timestamp": stamp, "webhook-signature": signature}

    other = "whsec_" + "c2VjcmV0" * 4
    assert sends(content=body, headers=signed(other)) == 400
    mine = signed(settings.OVERTURE_WEBHOOK_SECRET_FILE.read_text())
    assert [sends(content=body, headers=mine) for _ in "ab"] == [204, 204]
    with site.person("ada") as ada:
        assert ada.get("/").text.count("inmail.planted") == 1


def test_beside_an_overture_it_wants_to_know_the_same_secrets():
    # With them it runs in the tutorial.
    started = subprocess.run(
        [sys.executable, RUN, "--beside", "http://127.0.0.1:9"],
        env=environment(OVERTURE_OPERATOR_TOKEN="a-token"),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert started.returncode == 1
    assert started.stderr.startswith("Set OVERTURE_HANDOVER_SECRET to what")


def test_nobody_is_signed_in_by_asking(site: Site):
    nobody: Any = httpx.Client(base_url=site.host, timeout=PATIENCE)
    with nobody:
        for path in ("/", "/overture/go", "/plan", "/messages"):
            assert nobody.get(path).headers["location"].startswith("/sign-in")
