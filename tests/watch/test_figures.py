"""What a running server tells Prometheus, and that dashboard and alerts ask for nothing else."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import promql_parser
import pytest
import yaml

from tests.databases import name_in
from tests.docs.blocks import code
from tests.ports import free_port
from tests.running import COMMAND, PATIENCE, command, environment
from tests.watch.scraping import Figures, scrape, send_a_letter, until, watched

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "overture.json").read_text())
ALERTS = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())
# Prometheus's own, and what shows only where PostgreSQL's log is archived.
NOT_OURS = {"up"}
ONLY_WITH_AN_ARCHIVE = {"overture_archive_age_seconds"}


@pytest.fixture(scope="module")
def lived(databases) -> Iterator[Figures]:
    """The figures of a server that has done a little of everything."""
    url = databases.fresh()
    with watched("--database-url", url) as (server, figures):
        letter = send_a_letter(server)
        again = server.request(
            "POST",
            "/api/v1/conversations",
            {"to": letter["recipient"], "subject": "Hello", "body": "Once more."},
            headers={"Act-As": letter["sender"]},
        )
        assert again.status_code == 409, again.text
        accepted = server.request(
            "POST",
            f"/api/v1/conversations/{letter['id']}/accept",
            headers={"Act-As": letter["recipient"]},
        )
        assert accepted.status_code == 200, accepted.text
        server.get("/zyzzyva")
        endpoint = {"url": f"http://127.0.0.1:{free_port()}/", "events": ["*"]}
        server.request("POST", "/api/v1/operator/webhooks", endpoint)
        signed_up = {
            "name": "Zoe",
            "email": "zoe@example.org",
            "password": "marmalade 7 lamps zyzzyva",
        }
        server.post("/signup", data=signed_up, headers=_OWN)
        for what in ("ledger", "audit"):
            assert command(what, "verify", "--database-url", url).returncode == 0
        yield until(
            figures,
            lambda found: (
                found.of("overture_deliveries_total", channel="mail") > 0
                and found.of("overture_verified_sound") == 2
                and found.of("overture_outbox_lag_events") == 0
            ),
        )
    databases.drop(url)


_OWN = {"Sec-Fetch-Site": "same-origin"}


def test_every_metric_that_the_dashboard_and_the_alerts_name_is_told(lived: Figures):
    named = {name for expression in expressions() for name in metrics_in(expression)}

    assert len(named) > 25
    assert named - NOT_OURS - ONLY_WITH_AN_ARCHIVE <= lived.samples.keys()


def test_an_invented_metric_would_be_noticed(lived: Figures):
    assert metrics_in("sum(rate(overture_nonsense_total[5m])) > 1") == {"overture_nonsense_total"}
    assert "overture_nonsense_total" not in lived.samples


def test_every_metric_of_ours_is_written_down_for_operators(lived: Figures):
    told = {
        re.sub(r"_(total|bucket|sum|count|created|info)$", "", name)
        for name in lived.samples
        if name.startswith("overture_")
    }
    written = set(
        re.findall(r"`(overture_\w+?)(?:_total|_info)?[`{]", (_DOCS / "observe.md").read_text())
    )

    assert told | ONLY_WITH_AN_ARCHIVE == written


_DOCS = Path(__file__).parents[2] / "docs"


def test_each_alert_can_be_read_says_what_is_wrong_and_is_explained():
    rules = [rule for group in ALERTS["groups"] for rule in group["rules"]]
    explained = (_DOCS / "observe.md").read_text()

    assert len({rule["alert"] for rule in rules}) == len(rules) > 10
    for rule in rules:
        assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]
        assert rule["annotations"]["summary"]
        assert rule["alert"] in explained
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))


def test_prometheus_is_told_to_look_where_the_page_has_the_server_listen():
    (shown,) = code("docs/observe.md", "yaml")
    asked = yaml.safe_load(shown)
    (job,) = asked["scrape_configs"]

    assert {job["job_name"]} == set(re.findall(r'job="(\w+)"', " ".join(expressions())))
    (listening,) = code("docs/observe.md", "sh")
    assert listening.split()[-1] == job["static_configs"][0]["targets"][0]
    assert all((DEPLOY / "prometheus" / each).exists() for each in asked["rule_files"])


def test_letters_and_credits_are_counted_once_they_are_committed(lived: Figures):
    assert lived.of("overture_sends_total", command="start", outcome="done") == 1
    assert lived.of("overture_sends_total", command="start", outcome="pending_inmail") == 1
    assert lived.of("overture_sends_total", command="respond", outcome="done") == 1
    assert lived.of("overture_credits_total", pool="premium", kind="grant") == 30
    assert lived.of("overture_credits_total", pool="premium", kind="spend") == 1
    assert lived.of("overture_credits_total", pool="premium", kind="refund") == 1
    assert lived.of("overture_send_batch_size_sum") == 3


def test_requests_are_counted_by_route_and_never_by_what_was_asked_for(lived: Figures):
    assert (
        lived.of(
            "overture_requests_total", route="/api/v1/conversations", method="POST", status="201"
        )
        == 1
    )
    assert lived.of("overture_requests_total", route="none", status="404") == 1
    assert lived.of("overture_request_seconds_count", route="/signup", method="POST") == 1
    for label in lived.labels("overture_requests_total", "route"):
        assert "zyzzyva" not in label
        assert not re.search(r"[0-9a-f]{8}-", label)


def test_what_was_verified_and_what_is_delivered_shows(lived: Figures):
    assert lived.of("overture_verified_sound", what="ledger") == 1
    assert lived.of("overture_verified_entries", what="ledger") == 4
    assert lived.of("overture_deliveries_total", channel="mail", outcome="delivered") >= 1
    assert lived.of("overture_database_up") == 1
    assert lived.labels("overture_build_info", "version") == {"0.1.0"}


def test_several_processes_are_told_of_as_one_and_a_killed_one_takes_nothing_with_it(database_url):
    options = ("--database-url", database_url, "--processes", "2", "--jobs", "false")
    with watched(*options) as (server, figures):
        before = until(figures, lambda found: found.of("overture_processes") == 2)
        assert before.of("overture_processes") == 2
        for _ in range(40):
            assert server.get("/healthz").status_code == 200
        wanted = before.of("overture_requests_total", route="/healthz") + 40
        # One is counted once it was answered.
        asked = until(
            figures,
            lambda found: found.of("overture_requests_total", route="/healthz") >= wanted,
        )
        known = asked.of("overture_requests_total", route="/healthz")
        assert known == wanted

        for child in children_of(server.process.pid):
            os.kill(child, signal.SIGKILL)
        after = until(figures_again(figures), lambda found: found.of("overture_processes") == 2)

        assert after.of("overture_processes") == 2
        assert after.of("overture_requests_total", route="/healthz") >= known


def figures_again(figures):
    """Nobody answers between the end of one and the start of the next."""

    def asked() -> Figures:
        try:
            return figures()
        except httpx.TransportError:
            return Figures("")

    return asked


def children_of(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_database_that_is_away_is_told_rather_than_hidden(databases):
    url, other = databases.fresh(), databases.empty()
    name = name_in(url)
    with watched("--database-url", url) as (_, figures):
        assert figures().of("overture_database_up") == 1
        databases.execute_as_admin(other, f"alter database {name} allow_connections false")
        databases.execute_as_admin(
            other,
            f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'",
        )
        away = until(figures, lambda found: found.of("overture_database_up") == 0)
        databases.execute_as_admin(other, f"alter database {name} allow_connections true")
        back = until(figures, lambda found: found.of("overture_database_up") == 1)

        assert away.samples["overture_database_up"] == {frozenset(): 0}
        assert back.of("overture_database_up") == 1
    databases.drop(url)
    databases.drop(other)


def test_a_worker_tells_of_itself(database_url, tmp_path):
    port = free_port()
    options = ("--database-url", database_url, "--metrics-listen", f"127.0.0.1:{port}")
    worker = subprocess.Popen(
        [*COMMAND, "worker", *options, "--data", str(tmp_path)],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert worker.stdout
        assert worker.stdout.readline() == "Overture works.\n"
        found = until(lambda: scrape(port), lambda found: found.of("overture_processes") == 1)
        assert found.of("overture_processes") == 1
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as there:
            assert there.get("/readyz").json() == {"status": "ok"}
            assert there.get("/inbox").status_code == 404
            assert there.post("/metrics").status_code == 405
    finally:
        worker.terminate()
        assert worker.wait(PATIENCE) == 0
        worker.stdout.close()


def test_the_site_itself_tells_nobody_its_figures(database_url):
    with watched("--database-url", database_url) as (server, figures):
        assert server.get("/metrics").status_code == 404
        assert figures().of("overture_database_up") == 1


def expressions() -> list[str]:
    rules = [rule["expr"] for group in ALERTS["groups"] for rule in group["rules"]]
    targets = [
        target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])
    ]
    assert targets, "the dashboard shows something"
    return rules + targets


def metrics_in(expression: str) -> set[str]:
    """Raises ValueError where Prometheus could not read it."""
    found: set[str] = set()

    def visit(node: object) -> bool:
        if isinstance(node, promql_parser.VectorSelector) and node.name:
            found.add(node.name)
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found
