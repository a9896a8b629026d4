"""What names one call in logs, traces and backends: its request id and the trace that it belongs to."""

import itertools
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from sosie.engine.outgoing import Metadata

REQUEST_ID = "x-request-id"
MAX_REQUEST_ID = 128
"""Printable ASCII characters; a longer or other one is replaced."""

_NAMES = frozenset({REQUEST_ID, "traceparent", "tracestate"})
_MAX_TRACESTATE = 512  # characters that W3C Trace Context wants passed on at least (3.3.1.5)
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


@dataclass(frozen=True, slots=True)
class TraceParent:
    """W3C Trace Context's `traceparent`: the caller's trace and span in hexadecimal digits, and its `tracestate`."""

    trace_id: str
    span_id: str
    flags: str
    state: str = ""

    @property
    def sampled(self) -> bool:
        return int(self.flags, 16) & 1 == 1

    @property
    def metadata(self) -> Metadata:
        """As it is passed on."""
        header = ("traceparent", f"00-{self.trace_id}-{self.span_id}-{self.flags}")
        return (header, ("tracestate", self.state)) if self.state else (header,)


class Correlation(NamedTuple):
    """What a caller's metadata says of its call; the request id is empty where the caller gave none."""

    request_id: str
    parent: TraceParent | None

    @property
    def metadata(self) -> Metadata:
        """What goes along to the backends: the caller's own names alone, since others mean nothing there."""
        named = ((REQUEST_ID, self.request_id),) if self.request_id else ()
        return named + self.parent.metadata if self.parent else named


_NOTHING = Correlation("", None)


def read_correlation(metadata: Iterable[tuple[str, str | bytes]]) -> Correlation:
    """What is wrong counts as absent: a caller's other systems must not fail its call."""
    found = {name: value for name, value in metadata if name in _NAMES and isinstance(value, str)}
    if not found:
        return _NOTHING
    request_id = found.get(REQUEST_ID, "")
    if not (len(request_id) <= MAX_REQUEST_ID and request_id.isascii() and request_id.isprintable()):
        request_id = ""
    traceparent = found.get("traceparent")
    return Correlation(request_id, read_traceparent(traceparent, found.get("tracestate", "")) if traceparent else None)


class RequestIds:
    """Request ids for calls that came without one; no two calls of any process get the same."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(6)
        self._count = itertools.count(1)

    def make(self) -> str:
        return f"{self._prefix}-{next(self._count):x}"


def read_traceparent(header: str, state: str = "") -> TraceParent | None:
    """The caller's span (W3C Trace Context level 1); None where the header names none."""
    match = _TRACEPARENT.fullmatch(header)
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == "ff" or (version == "00" and more) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    fits = len(state) <= _MAX_TRACESTATE and state.isascii() and state.isprintable()
    return TraceParent(trace_id, span_id, flags, state if fits else "")
