"""What operators see of the gateway: metrics for Prometheus, a log line and a span for each call."""

from collections.abc import Iterable, Sequence
from importlib.metadata import version
from platform import python_version
from typing import Protocol

import grpc
from prometheus_client import CollectorRegistry, Gauge, Info, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from sosie.engine.inference import ServedModel
from sosie.gateway import errors
from sosie.gateway.call_metrics import CallMetrics
from sosie.gateway.correlation import Correlation, RequestIds, read_correlation
from sosie.gateway.observation import Observation, Span
from sosie.gateway.request_log import RequestLog
from sosie.v1 import visual_search_pb2

METHODS = tuple(visual_search_pb2.DESCRIPTOR.services_by_name["VisualSearchService"].methods_by_name)
STEPS = ("wait", "decode", "tokenize", "encode_image", "encode_text", "classify", "search", "group")
REFUSALS = ("OVERLOADED", "DEADLINE_TOO_SHORT", "RATE_LIMITED", "SHUTTING_DOWN")
"""Reasons of the table of errors: calls that were refused before any work was done for them."""

_BATCH_BUCKETS = ("1.0", "2.0", "4.0", "8.0", "16.0", "32.0", "64.0", "+Inf")

_CODES = {grpc.StatusCode.OK, grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL}


class SpanMaker(Protocol):
    """What makes the spans of calls; tracing.Tracing is one."""

    def begin(self, method: str, correlation: Correlation) -> Span | None: ...


class Telemetry:
    """The gateway's metrics in a registry of their own, with its log of calls and its traces.

    `log_sample` is the share of calls, 0 to 1, that get a log line although nothing is wrong. Without `tracing` no
    spans are made; a caller's trace is named to the backends all the same.
    """

    def __init__(self, *, log_sample: float = 0.0, tracing: SpanMaker | None = None) -> None:
        self.registry = registry = CollectorRegistry()
        codes = _CODES | {rule.code for rule in errors.RULES.values()}
        self._calls = CallMetrics(METHODS, sorted(code.name for code in codes), REFUSALS, STEPS)
        registry.register(self._calls)
        self.in_flight = Gauge("sosie_in_flight", "Calls worked on now.", ["method"], registry=registry)
        self.queued = Gauge("sosie_queued", "Calls that wait for a slot now.", ["method"], registry=registry)
        self.serving = Gauge("sosie_serving", "1 while searches can be answered.", registry=registry)
        self.loop_lag = Gauge("sosie_event_loop_lag_seconds", "How late the event loop is.", registry=registry)
        self._texts = _TextCollector()
        registry.register(self._texts)
        self._served = _ServedCollector()
        registry.register(self._served)
        Info("sosie_build", "What runs.", registry=registry).info(
            {"version": version("sosie"), "python": python_version()}
        )
        ProcessCollector(registry=registry)
        self._ids = RequestIds()
        self._log = RequestLog(log_sample)
        self._tracing = tracing

    def observe(self, method: str, metadata: Iterable[tuple[str, str | bytes]]) -> Observation:
        """Begins to watch a call of `method`, with its caller's `metadata`, in the task that answers it."""
        correlation = read_correlation(metadata)
        span = self._tracing.begin(method, correlation) if self._tracing else None
        return Observation(method, self._calls, correlation, ids=self._ids, log=self._log, span=span)

    def count_texts(self, hits: int, misses: int) -> None:
        """Sentences whose vectors were known, and those that the text encoder was asked for."""
        self._texts.hits += hits
        self._texts.misses += misses

    def note_models(self, models: Sequence[ServedModel], space: str) -> None:
        """What the model server serves and has done, and the space that is searched in, empty while there is none."""
        self._served.models = models
        self._served.space = space


class _TextCollector(Collector):
    """Sentences whose vectors were known, and others."""

    hits = 0
    misses = 0

    def describe(self) -> Iterable[Metric]:
        return [self._family()]

    def collect(self) -> Iterable[Metric]:
        family = self._family()
        family.add_metric(["hit"], self.hits)
        family.add_metric(["miss"], self.misses)
        return [family]

    def _family(self) -> CounterMetricFamily:
        return CounterMetricFamily("sosie_text_cache_lookups", "Sentences looked up.", labels=["result"])


class _ServedCollector(Collector):
    """What the model server said last; read by the thread that answers Prometheus."""

    def __init__(self) -> None:
        self.models: Sequence[ServedModel] = ()
        self.space = ""

    def describe(self) -> Iterable[Metric]:
        return self._families()

    def collect(self) -> Iterable[Metric]:
        space, info, sizes = self._families()
        if self.space:
            space.add_metric([self.space], 1)
        for model in self.models:
            info.add_metric([model.name, model.role, model.serves], 1)
            counts = model.executions.items()
            buckets = [
                (bound, sum(count for size, count in counts if size <= float(bound))) for bound in _BATCH_BUCKETS
            ]
            sizes.add_metric([model.name], buckets, sum(size * count for size, count in counts))
        return space, info, sizes

    def _families(self) -> tuple[GaugeMetricFamily, GaugeMetricFamily, HistogramMetricFamily]:
        return (
            GaugeMetricFamily("sosie_space_info", "The embedding space that is searched in.", labels=["space"]),
            GaugeMetricFamily("sosie_model_info", "A model that is ready.", labels=["model", "role", "serves"]),
            HistogramMetricFamily("sosie_batch_size", "Rows of an execution of a model.", labels=["model"]),
        )
