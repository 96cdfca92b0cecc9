"""Traces: one for each submission, from the request through the queue to the stages of its run.

Off unless an endpoint is named, by `PHASEGAP_TRACES_ENDPOINT` or OpenTelemetry's own variables. Spans are handed to a
thread that sends them in batches and drops what it cannot send: a collector that is slow or gone costs nothing else.
With tracing off, the trace context that a client sends is kept all the same, so that logs name its trace.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NoOpTracer, Span, SpanKind, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import Attributes

from app import __version__
from app.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

HEADER = "traceparent"
LAST_BATCH_S = 2.0
"""How long a process that ends waits for its last spans to be sent."""
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
SPOKEN = "http/protobuf"

log = structlog.get_logger(__name__)
_provider: TracerProvider | None = None
_carrier = TraceContextTextMapPropagator()


def configure_traces(settings: Settings, process: str) -> None:
    """Begin to send this process' spans, where an endpoint is named. Never raises: a service without traces works."""
    global _provider
    if not wanted(settings):
        return
    try:
        _provider = _make_provider(settings, process)
    except ImportError as error:
        log.error("traces_unavailable", reason=str(error), hint="make otel")
    except Exception as error:
        log.error("traces_unavailable", reason=str(error))


def wanted(settings: Settings) -> bool:
    """Whether spans are to be sent, by our setting or OpenTelemetry's variables."""
    chosen = os.environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or chosen == "none":
        return False
    spoken = next((os.environ[name] for name in PROTOCOLS if os.environ.get(name)), SPOKEN)
    if spoken != SPOKEN:
        log.error("traces_unavailable", reason=f"the protocol {spoken!r} is not spoken here, only {SPOKEN}")
        return False
    return bool(settings.traces_endpoint or chosen == "otlp" or any(os.environ.get(name) for name in ENDPOINTS))


def _make_provider(settings: Settings, process: str) -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    logging.getLogger("opentelemetry").setLevel(logging.ERROR)  # a collector that is away is one line a batch, not five
    ours = Resource({"service.name": "phasegap", "service.version": __version__, "phasegap.process": process})
    resource = ours.merge(OTELResourceDetector().detect())  # what the operator says of the service wins
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.traces_endpoint)))
    return provider


def end_traces() -> None:
    """Send what is left, for as long as a process that ends may wait."""
    if _provider is not None:
        last = threading.Thread(target=_provider.shutdown, name="last-spans", daemon=True)
        last.start()
        last.join(LAST_BATCH_S)


@contextmanager
def span(
    name: str, parent: Context | None = None, kind: SpanKind = SpanKind.INTERNAL, attributes: Attributes = None
) -> Iterator[Span]:
    """A span around what is done inside. Where tracing is off it goes nowhere, and the parent's trace stays current."""
    with trace.use_span(_tracer().start_span(name, parent, kind, attributes), end_on_exit=True) as started:
        yield started


def record(
    name: str, began_ns: int, ended_ns: int, parent: Context | None = None, attributes: Attributes = None
) -> None:
    """A span of something that is over; times are nanoseconds since 1970."""
    _tracer().start_span(name, parent, attributes=attributes, start_time=began_ns).end(ended_ns)


def _tracer() -> Tracer:
    return NoOpTracer() if _provider is None else _provider.get_tracer("phasegap", __version__)


def context_of(traceparent: str | None) -> Context:
    """The context of a W3C `traceparent`; an empty one where there is none or it is not well-formed."""
    return _carrier.extract({HEADER: traceparent} if traceparent else {}, context=Context())


def current_traceparent() -> str | None:
    """The span that is current, as a W3C `traceparent`."""
    carrier: dict[str, str] = {}
    _carrier.inject(carrier)
    return carrier.get(HEADER)
