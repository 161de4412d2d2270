"""Traces for OpenTelemetry: a request, the action that it asked for, the statements that this took.

Off unless `start` was called, and then nothing here costs more than a look at one name. A span tells
routes, names of functions, and statements as they stand in the source; never an address, a parameter or
anything that somebody wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from overture.asked import Asked

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, SpanContext, Tracer

MISSING = "Traces need OpenTelemetry's libraries: pip install 'overture[otel]'."

_NOTHING: AbstractContextManager[Any] = nullcontext()
_SERVER_ERROR = 500

_tracer: Tracer | None = None
_provider: TracerProvider | None = None


def is_installed() -> bool:
    return find_spec("opentelemetry") is not None and (
        find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    )


def is_on() -> bool:
    return _tracer is not None


def start(endpoint: str) -> None:
    """From now on, traces go to a collector at this address by OTLP over HTTP.

    How many are taken, and under which further names, say OpenTelemetry's own variables
    (OTEL_TRACES_SAMPLER, OTEL_RESOURCE_ATTRIBUTES).
    """
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    global _tracer, _provider  # noqa: PLW0603
    names = {SERVICE_NAME: "overture", SERVICE_VERSION: version("overture")}
    _provider = TracerProvider(resource=Resource.create(names))
    exporter = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces")
    _provider.add_span_processor(BatchSpanProcessor(exporter))
    _tracer = _provider.get_tracer("overture", version("overture"))


def stop() -> None:
    """Sends what was not sent yet, and traces no more."""
    global _tracer, _provider  # noqa: PLW0603
    if _provider is not None:
        _provider.shutdown()
    _tracer = _provider = None


# Spans ----------------------------------------------------------------------------------------------


class Request:
    """The span of a request; `given` is the `traceparent` of a proxy that is believed."""

    def __init__(self, given: bytes | None) -> None:
        self._given = given
        self._opened: AbstractContextManager[Span] | None = None
        self._span: Span | None = None

    def __enter__(self) -> Request:
        if _tracer is None:
            return self
        from opentelemetry.trace import SpanKind  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415
            TraceContextTextMapPropagator,
        )

        carrier = {} if self._given is None else {"traceparent": self._given.decode("latin-1")}
        context = TraceContextTextMapPropagator().extract(carrier)
        self._opened = _tracer.start_as_current_span("request", context, SpanKind.SERVER)
        self._span = self._opened.__enter__()
        return self

    def answered(self, method: str, asked: Asked, status: int) -> None:
        if self._span is None:
            return
        from opentelemetry.trace import StatusCode  # noqa: PLC0415

        self._span.update_name(f"{method} {asked.route}")
        told = {
            "http.request.method": method,
            "http.route": asked.route,
            "http.response.status_code": status,
            "overture.request": asked.id,
        }
        if asked.conversation is not None:
            told["overture.conversation"] = asked.conversation
        self._span.set_attributes(told)
        if status >= _SERVER_ERROR:
            self._span.set_status(StatusCode.ERROR)

    def __exit__(self, *_problem: object) -> None:
        # A fault is not recorded: what it says may quote somebody. The log tells of it.
        if self._opened is not None:
            self._opened.__exit__(None, None, None)


def action(run: Callable[..., Any]) -> AbstractContextManager[Any]:
    """The span of what a route does, by the name of the function that does it."""
    return _NOTHING if _tracer is None else _span(f"{run.__module__}.{run.__qualname__}")


def statement(text: str) -> AbstractContextManager[Any]:
    """The span of a statement, by its text as it stands in the source; in a pipeline, of sending it."""
    if _tracer is None:
        return _NOTHING
    words = " ".join(text.split())
    told = {"db.system.name": "postgresql", "db.query.text": words}
    return _span(words.partition(" ")[0], told)


def here() -> SpanContext | None:
    """Where a command comes from that goes into a batch with others."""
    if _tracer is None:
        return None
    from opentelemetry.trace import get_current_span  # noqa: PLC0415

    return get_current_span().get_span_context()


def batch(whence: Sequence[SpanContext | None]) -> AbstractContextManager[Any]:
    """The span of what was done for several at once: under the first's, with links to the others'."""
    if _tracer is None:
        return _NOTHING
    from opentelemetry.trace import (  # noqa: PLC0415
        Link,
        NonRecordingSpan,
        set_span_in_context,
    )

    known = [each for each in whence if each is not None and each.is_valid]
    return _tracer.start_as_current_span(
        "batch",
        set_span_in_context(NonRecordingSpan(known[0])) if known else None,
        attributes={"overture.commands": len(whence)},
        links=[Link(each) for each in known[1:]],
        record_exception=False,
        set_status_on_exception=False,
    )


def _span(name: str, told: dict[str, str] | None = None) -> AbstractContextManager[Any]:
    assert _tracer is not None, "who asks for a span has looked"
    return _tracer.start_as_current_span(
        name, attributes=told, record_exception=False, set_status_on_exception=False
    )
