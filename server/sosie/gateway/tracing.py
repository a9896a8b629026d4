"""Spans of calls by OpenTelemetry, exported over OTLP. Imported only where traces are wanted.

Made by hand: a library that wraps every rpc doubles the gateway's own share of a call.
"""

import asyncio
import logging
import os
import random
import threading
from collections.abc import Callable, Sequence
from importlib.metadata import version

import grpc
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    TraceState,
    set_span_in_context,
)

from sosie.engine import outgoing
from sosie.engine.outgoing import Metadata
from sosie.gateway.correlation import Correlation, TraceParent
from sosie.v1 import visual_search_pb2

_LOG = logging.getLogger(__name__)

_SERVICE = visual_search_pb2.DESCRIPTOR.services_by_name["VisualSearchService"].full_name

_QUEUE = 4096  # spans; what comes while it is full replaces the oldest
_BATCH = 512
_PAUSE = 2.0  # seconds between two batches that are not full
_EXPORT_TIMEOUT = 5.0
_CLOSING_TIME = 2.0

# Steps that ask another server.
_ASKING = frozenset({"encode_image", "encode_text", "classify", "search"})

# What OpenTelemetry's conventions for rpc count as the server's failure; the others are the caller's.
_FAILURES = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)


def start_tracing(endpoint: str, sample: float) -> "Tracing":
    """Sends spans to the OTLP/HTTP receiver at `endpoint`, http(s)://host:port; nothing waits for it to be there.

    Calls whose caller decided on a trace follow it; of the others the share `sample` (0 to 1) is traced.
    OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES and OTEL_EXPORTER_OTLP_HEADERS mean what OpenTelemetry says.
    """
    for name in ("exporter.otlp.proto.http.trace_exporter", "sdk._shared_internal"):
        logging.getLogger(f"opentelemetry.{name}").setLevel(logging.CRITICAL)  # _Exporter says it, once
    exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=_EXPORT_TIMEOUT)
    return Tracing(_Exporter(exporter, endpoint), sample)


class Tracing:
    """Makes the spans of calls."""

    def __init__(self, exporter: SpanExporter, sample: float) -> None:
        resource = Resource.create(
            {
                "service.name": os.environ.get("OTEL_SERVICE_NAME", "sosie-gateway"),
                "service.version": version("sosie"),
            }
        )
        self._sample = sample
        self._exporter = exporter
        self._provider = TracerProvider(ALWAYS_ON, resource, shutdown_on_exit=False)
        self._provider.add_span_processor(
            BatchSpanProcessor(
                exporter,
                max_queue_size=_QUEUE,
                schedule_delay_millis=_PAUSE * 1000,
                max_export_batch_size=_BATCH,
            )
        )
        self._tracer = self._provider.get_tracer("sosie.gateway", version("sosie"))

    def begin(self, method: str, correlation: Correlation) -> "CallSpan | None":
        """The span of a call of `method`, below its caller's where that named one; None where it is not sampled.

        Decided here, as OpenTelemetry's ParentBased(TraceIdRatioBased) does: asking the library costs 25 us a call.
        """
        parent = correlation.parent
        if not (random.random() < self._sample if parent is None else parent.sampled):  # noqa: S311 - no secret
            return None
        context = Context()
        if parent is not None:
            context = set_span_in_context(NonRecordingSpan(_read_context(parent)), context)
        span = self._tracer.start_span(
            f"{_SERVICE}/{method}",
            context,
            SpanKind.SERVER,
            {
                "rpc.system.name": "grpc",
                "rpc.method": f"{_SERVICE}/{method}",
            },
        )
        return CallSpan(self._tracer, span, correlation)

    def close(self) -> None:
        """Exports what waits, within two seconds. Blocks."""
        closing = threading.Thread(target=self._provider.shutdown, name="close-tracing", daemon=True)
        closing.start()
        closing.join(_CLOSING_TIME)
        if closing.is_alive():
            self._exporter.shutdown()  # ends a wait for the next try


class CallSpan:
    """One sampled call's span, with a child for each of its steps."""

    __slots__ = ("_context", "_correlation", "_span", "_tracer", "trace_id")

    def __init__(self, tracer: Tracer, span: Span, correlation: Correlation) -> None:
        self._tracer = tracer
        self._span = span
        self._correlation = correlation
        self._context = set_span_in_context(span, Context())
        self.trace_id = format(span.get_span_context().trace_id, "032x")
        """In hexadecimal digits."""

    @property
    def metadata(self) -> Metadata:
        """What names the call, below this span, to the backends."""
        return self._name(self._span)

    def finish(self, code: grpc.StatusCode, reason: str, request_id: str) -> None:
        """The call was answered with `code`, for the table's `reason` where it is not OK."""
        self._span.set_attribute("sosie.request_id", request_id)
        self._span.set_attribute("rpc.response.status_code", code.name)
        if reason:
            self._span.set_attribute("error.type", reason)
        if code in _FAILURES:
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()

    def begin_step(self, step: str) -> Callable[[BaseException | None], None]:
        """Begins the span of a step; what is returned ends it, with the error that ended the step."""
        kind = SpanKind.CLIENT if step in _ASKING else SpanKind.INTERNAL
        span = self._tracer.start_span(step, self._context, kind)
        before = outgoing.METADATA.set(self._name(span))

        def end(error: BaseException | None) -> None:
            outgoing.METADATA.reset(before)
            if error is not None and not isinstance(error, asyncio.CancelledError):
                span.set_status(Status(StatusCode.ERROR))
                span.set_attribute("error.type", type(error).__name__)  # its words may quote the caller
            span.end()

        return end

    def _name(self, span: Span) -> Metadata:
        return self._correlation._replace(parent=_write_context(span.get_span_context())).metadata


class _Exporter(SpanExporter):
    """Another exporter, whose failures are one line in the log, and one when they are over."""

    def __init__(self, exporter: SpanExporter, endpoint: str) -> None:
        self._exporter = exporter
        self._endpoint = endpoint
        self._lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            if self._lost:
                _LOG.info("spans are taken again at %s, %d were lost", self._endpoint, self._lost)
            self._lost = 0
            return result
        if not self._lost:
            _LOG.warning("spans are lost: %s does not take them", self._endpoint)
        self._lost += len(spans)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


def _read_context(parent: TraceParent) -> SpanContext:
    return SpanContext(
        int(parent.trace_id, 16),
        int(parent.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(int(parent.flags, 16)),
        trace_state=TraceState.from_header([parent.state]) if parent.state else None,
    )


def _write_context(context: SpanContext) -> TraceParent:
    trace_id, span_id = format(context.trace_id, "032x"), format(context.span_id, "016x")
    state = context.trace_state.to_header() if context.trace_state else ""
    return TraceParent(trace_id, span_id, format(context.trace_flags, "02x"), state)
