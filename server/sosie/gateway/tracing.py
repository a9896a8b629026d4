"""Spans of calls, exported over OTLP."""

from collections.abc import Callable
from typing import Protocol

import grpc

from sosie.engine.outgoing import Metadata
from sosie.gateway.correlation import Correlation


class CallSpan(Protocol):
    """The span of one call."""

    @property
    def trace_id(self) -> str: ...

    @property
    def metadata(self) -> Metadata: ...

    def begin_step(self, step: str) -> Callable[[BaseException | None], None]: ...

    def finish(self, code: grpc.StatusCode, reason: str) -> None: ...


class Tracing(Protocol):
    """Makes spans."""

    def begin(self, method: str, correlation: Correlation) -> CallSpan: ...
