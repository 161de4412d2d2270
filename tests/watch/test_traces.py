"""Traces, as a collector of OpenTelemetry's receives them."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from overture import app, tracing
from overture.app import StartProblem
from overture.settings import read
from tests.running import OPERATOR_TOKEN, serving
from tests.watch.scraping import send_a_letter

NAME = "zora"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@contextmanager
def collecting() -> Iterator[tuple[str, list]]:
    """A collector: its address, and the spans that came in."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    spans: list = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            told = ExportTraceServiceRequest.FromString(body)
            assert self.path == "/v1/traces"
            for resource in told.resource_spans:
                for scope in resource.scope_spans:
                    spans.extend(scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", spans
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def lived(databases) -> list:
    """The spans of a server's life."""
    url = databases.fresh()
    with (
        collecting() as (address, spans),
        serving("--database-url", url, "--otlp-endpoint", address) as server,
    ):
        letter = send_a_letter(server, NAME)
        server.request(
            "GET",
            f"/api/v1/conversations/{letter['id']}",
            headers={"Act-As": letter["recipient"], "traceparent": f"00-{TRACE}-{PARENT}-01"},
        )
        # What is left is sent at the end.
        assert server.stop() == 0
    databases.drop(url)
    return spans


def test_a_request_leads_to_its_action_and_to_its_statements(lived):
    request = named(lived, "GET /api/v1/conversations/{conversation_id}")
    action = child(lived, request, "overture.api.inbox.")
    statement = child(lived, action, "select")

    assert request.trace_id.hex() == TRACE
    assert request.parent_span_id.hex() == PARENT
    assert about(statement)["db.system.name"] == "postgresql"
    assert " from inbox " in about(statement)["db.query.text"]


def test_a_letter_leads_through_the_lane_to_the_statements_of_its_batch(lived):
    request = named(lived, "POST /api/v1/conversations")
    action = child(lived, request, "overture.api.conversations.")
    batch = child(lived, action, "batch")

    statements = [each for each in lived if each.parent_span_id == batch.span_id]
    assert about(batch)["overture.commands"] == "1"
    assert any("insert into messages" in about(each)["db.query.text"] for each in statements)
    assert about(request)["http.response.status_code"] == "201"


def test_no_span_tells_what_was_written_or_opens_anything(lived):
    whole = "".join(str(each) for each in lived)

    assert len(lived) > 20
    # The name is none that could stand in a number to the base of sixteen.
    for secret in ("zyzzyva", OPERATOR_TOKEN, NAME):
        assert secret not in whole


def test_without_the_extra_a_server_that_is_to_trace_says_so(monkeypatch: pytest.MonkeyPatch):
    asked = read({"otlp_endpoint": "http://127.0.0.1:4318"}, {})
    app.check_tracing(asked)
    monkeypatch.setattr(tracing, "find_spec", lambda _name: None)

    with pytest.raises(StartProblem, match=r"pip install 'overture\[otel\]'"):
        app.check_tracing(asked)
    app.check_tracing(read({}, {}))


def named(spans: list, name: str):
    found = [each for each in spans if each.name == name]
    assert found, sorted({each.name for each in spans})
    return found[0]


def child(spans: list, parent, beginning: str):
    found = [
        each
        for each in spans
        if each.parent_span_id == parent.span_id and each.name.startswith(beginning)
    ]
    assert found, [each.name for each in spans if each.parent_span_id == parent.span_id]
    return found[0]


def about(span) -> dict[str, str]:
    return {
        each.key: each.value.string_value or str(each.value.int_value) for each in span.attributes
    }
