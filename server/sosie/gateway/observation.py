"""One call as it is seen from outside: its metrics, its log line and its span."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import grpc
from prometheus_client import Counter, Histogram

from sosie.engine import outgoing
from sosie.engine.outgoing import Metadata
from sosie.engine.timing import StepTimes
from sosie.gateway.correlation import Correlation
from sosie.gateway.errors import find_rule
from sosie.gateway.request_log import RequestLog


class Span(Protocol):
    """What an observation asks of a call's span; tracing.CallSpan is one."""

    @property
    def trace_id(self) -> str: ...

    @property
    def metadata(self) -> Metadata: ...

    def begin_step(self, step: str) -> Callable[[BaseException | None], None]: ...

    def finish(self, code: grpc.StatusCode, reason: str) -> None: ...


class StepMetrics:
    """The histograms of steps, by step."""

    def __init__(self, histogram: Histogram, steps: Sequence[str]) -> None:
        self._histogram = histogram
        self._children = {step: histogram.labels(step) for step in steps}

    def observe(self, times: StepTimes) -> None:
        children = self._children
        for step, seconds in times.seconds.items():
            child = children.get(step)
            if child is None:
                child = children[step] = self._histogram.labels(step)
            child.observe(seconds)


@dataclass(frozen=True, slots=True)
class MethodMetrics:
    """What is counted of the calls of one method."""

    method: str
    seconds: Histogram
    codes: Mapping[grpc.StatusCode, Counter]
    refusals: Mapping[str, Counter]
    steps: StepMetrics


class Observation:
    """A call under way. Made when it comes, finished once."""

    __slots__ = ("_correlation", "_log", "_metrics", "_span", "_start", "steps")

    def __init__(self, metrics: MethodMetrics, correlation: Correlation, log: RequestLog, span: Span | None) -> None:
        self._start = time.perf_counter()
        self._metrics = metrics
        self._correlation = correlation
        self._log = log
        self._span = span
        self.steps = StepTimes(span.begin_step if span else None)
        """The call's own, in which it measures where its time goes."""
        outgoing.METADATA.set(span.metadata if span else correlation.metadata)

    @property
    def request_id(self) -> str:
        """The caller's name for this call, or the gateway's where the caller gave none."""
        return self._correlation.request_id

    def finish(self, code: grpc.StatusCode, error: Exception | None = None, caller: str = "") -> None:
        """The call was answered with `code`, because of `error` where it is not OK. `caller` is the name of its key."""
        seconds = time.perf_counter() - self._start
        metrics = self._metrics
        reason = find_rule(error).reason if error else ""
        metrics.codes[code].inc()
        if code is grpc.StatusCode.OK:  # a refusal takes no time, and would make an overloaded gateway look fast
            metrics.seconds.observe(seconds)
        metrics.steps.observe(self.steps)
        if reason in metrics.refusals:
            metrics.refusals[reason].inc()
        if self._span:
            self._span.finish(code, reason)
        if self._log.wants(code):
            parent = self._correlation.parent
            trace_id = self._span.trace_id if self._span else parent.trace_id if parent else ""
            self._log.write(
                metrics.method,
                code,
                error,
                reason=reason,
                seconds=seconds,
                steps=self.steps.seconds,
                request_id=self.request_id,
                trace_id=trace_id,
                caller=caller,
            )
