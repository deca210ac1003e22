"""Traces (OpenTelemetry), when `OTEL_EXPORTER_OTLP_ENDPOINT` is set: from a request through the engine to activities.

Where spans go is OpenTelemetry's own configuration (`OTEL_*`). What leaves is cut down to a list of attributes:
the texts of exceptions, which may carry anything, never leave.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Status
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from temporalio.contrib.opentelemetry import TracingInterceptor

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
KEPT = frozenset(
    {
        "http.request.method",
        "http.route",
        "http.response.status_code",
        "jiebang.case",
        "temporalWorkflowID",
        "temporalRunID",
        "temporalActivityID",
        "temporalUpdateID",
    }
)
"""Attributes that may leave; all of them are references or names of ours."""


class CutDown(SpanExporter):
    """Hands spans on without anything that could be personal."""

    def __init__(self, outer: SpanExporter) -> None:
        self._outer = outer

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Hand on what is left of them."""
        return self._outer.export([_cut_down(span) for span in spans])

    def shutdown(self) -> None:
        """Nothing more comes."""
        self._outer.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Send what waits."""
        return self._outer.force_flush(timeout_millis)


def _cut_down(span: ReadableSpan) -> ReadableSpan:
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes={key: value for key, value in (span.attributes or {}).items() if key in KEPT},
        events=[_of_exception(event) for event in span.events],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _of_exception(event: Event) -> Event:
    kind = (event.attributes or {}).get("exception.type", "")
    return Event(event.name, {"exception.type": kind} if kind else {}, event.timestamp)


def provider(process: str, processor: SpanProcessor) -> TracerProvider:
    """What makes a process's spans."""
    made = TracerProvider(resource=Resource.create({"service.name": f"jiebang-{process}"}), shutdown_on_exit=False)
    made.add_span_processor(processor)
    return made


def configured(process: str, environment: Mapping[str, str] = os.environ) -> TracerProvider | None:
    """What makes a process's spans; None where nobody wants them."""
    if not environment.get(ENDPOINT):
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return provider(process, BatchSpanProcessor(CutDown(OTLPSpanExporter())))


def interceptors(tracing: TracerProvider | None) -> list[TracingInterceptor]:
    """For a client of the engine; a worker with that client traces too."""
    if tracing is None:
        return []
    interceptor = TracingInterceptor(tracing.get_tracer("jiebang.engine"))
    interceptor.text_map_propagator = TraceContextTextMapPropagator()  # no baggage: it would stand in histories
    return [interceptor]
