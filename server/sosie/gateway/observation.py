"""One call as it is seen from outside: its metrics, its log line and its span."""

import time
from collections.abc import Callable
from typing import Protocol

import grpc

from sosie.engine import outgoing
from sosie.engine.outgoing import Metadata
from sosie.engine.timing import StepTimes
from sosie.gateway.call_metrics import CallMetrics
from sosie.gateway.correlation import Correlation, RequestIds
from sosie.gateway.errors import find_rule
from sosie.gateway.request_log import RequestLog


class Span(Protocol):
    """What an observation asks of a call's span; tracing.CallSpan is one."""

    @property
    def trace_id(self) -> str: ...

    @property
    def metadata(self) -> Metadata: ...

    def begin_step(self, step: str) -> Callable[[BaseException | None], None]: ...

    def finish(self, code: grpc.StatusCode, reason: str, request_id: str) -> None: ...


class Observation:
    """A call under way. Made when it comes, finished once."""

    __slots__ = ("_calls", "_correlation", "_ids", "_log", "_method", "_request_id", "_span", "_start", "steps")

    def __init__(
        self,
        method: str,
        calls: CallMetrics,
        correlation: Correlation,
        *,
        ids: RequestIds,
        log: RequestLog,
        span: Span | None,
    ) -> None:
        self._start = time.perf_counter()
        self._method = method
        self._calls = calls
        self._correlation = correlation
        self._request_id = correlation.request_id
        self._ids = ids
        self._log = log
        self._span = span
        self.steps = StepTimes(span.begin_step if span else None)
        """The call's own, in which it measures where its time goes."""
        outgoing.METADATA.set(span.metadata if span else correlation.metadata)

    @property
    def request_id(self) -> str:
        """The caller's name for this call, or the gateway's where the caller gave none."""
        if not self._request_id:  # made when it is asked for: most calls go well and are not logged
            self._request_id = self._ids.make()
        return self._request_id

    def finish(self, code: grpc.StatusCode, error: Exception | None = None, caller: str = "") -> None:
        """The call was answered with `code`, because of `error` where it is not OK. `caller` is the name of its key."""
        seconds = time.perf_counter() - self._start
        counts = self._calls.methods[self._method]
        counts.codes[code.name] += 1
        if code is grpc.StatusCode.OK:  # a refusal takes no time, and would make an overloaded gateway look fast
            counts.durations.add(seconds)
        self._calls.add_steps(self.steps.seconds)
        reason = find_rule(error).reason if error else ""
        if reason in counts.refusals:
            counts.refusals[reason] += 1
        if self._span:
            self._span.finish(code, reason, self.request_id)
        if self._log.wants(self._method, code, reason):
            self._write(code, error, caller, reason, seconds)

    def _write(self, code: grpc.StatusCode, error: Exception | None, caller: str, reason: str, seconds: float) -> None:
        parent = self._correlation.parent
        self._log.write(
            self._method,
            code,
            error,
            reason=reason,
            seconds=seconds,
            steps=self.steps.seconds,
            request_id=self.request_id,
            trace_id=self._span.trace_id if self._span else parent.trace_id if parent else "",
            caller=caller,
        )
