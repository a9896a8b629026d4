"""From the engine's errors to what a caller sees: one table.

A caller gets google.rpc.Status with ErrorInfo (domain and reason), BadRequest where a field is at fault and RetryInfo
where another try may succeed. What only operators may know, addresses above all, stays in the log.
"""

from dataclasses import dataclass
from functools import lru_cache

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from sosie.engine import errors as engine
from sosie.gateway.admission import DeadlineTooShortError, OverloadedError
from sosie.gateway.gate import ShuttingDownError
from sosie.gateway.keys import RateLimitedError, UnauthenticatedError

DOMAIN = "sosie.v1"


@dataclass(frozen=True)
class Rule:
    """How an error is told. `public` replaces its message; `retry_after` is in seconds."""

    code: grpc.StatusCode
    reason: str
    public: str = ""
    retry_after: float | None = None


RULES: dict[type[engine.EngineError], Rule] = {
    engine.InputError: Rule(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_INPUT"),
    engine.NotIndexedError: Rule(grpc.StatusCode.NOT_FOUND, "PICTURE_NOT_INDEXED"),
    engine.SpaceMismatchError: Rule(grpc.StatusCode.FAILED_PRECONDITION, "SPACE_MISMATCH"),
    engine.NoIndexError: Rule(
        grpc.StatusCode.FAILED_PRECONDITION, "NO_INDEX", "there is no index yet: index a catalog first"
    ),
    engine.BackendUnavailableError: Rule(
        grpc.StatusCode.UNAVAILABLE, "BACKEND_UNAVAILABLE", "the encoders or the index are away", 1.0
    ),
    engine.BackendOverloadedError: Rule(
        grpc.StatusCode.RESOURCE_EXHAUSTED, "BACKEND_OVERLOADED", "the encoders or the index are overloaded", 0.5
    ),
    engine.BackendTimeoutError: Rule(
        grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", "the deadline passed before there was an answer"
    ),
    engine.BackendError: Rule(
        grpc.StatusCode.INTERNAL, "BACKEND_FAULT", "the encoders or the index are set up wrongly, see the gateway's log"
    ),
    OverloadedError: Rule(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED"),
    UnauthenticatedError: Rule(grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"),
    RateLimitedError: Rule(grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED"),
    ShuttingDownError: Rule(grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN", retry_after=0.1),
    DeadlineTooShortError: Rule(grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_TOO_SHORT"),
}

_MAX_TEXT = 400
"""Bytes of UTF-8. A text travels up to three times in a call's trailers, and once of them escaped to three times its
length; clients take 8 KiB of trailers, and give up an answer with more than 16."""

_UNEXPECTED = Rule(grpc.StatusCode.INTERNAL, "INTERNAL", "the gateway failed, see its log")


def find_rule(error: BaseException) -> Rule:
    """The rule of an error's class; for what nobody expected, one that tells nothing."""
    known = RULES.get(type(error))  # type: ignore[arg-type]  # other errors have none
    return known or next((RULES[kind] for kind in type(error).__mro__ if kind in RULES), _UNEXPECTED)


def to_status(error: BaseException) -> grpc.Status:
    """The error as a caller sees it: a code and a message, and a google.rpc.Status in the trailing metadata."""
    rule = find_rule(error)
    fault = (_clip(error.field), _clip(error.problem)) if isinstance(error, engine.InputError) else None
    retry_after = error.retry_after if isinstance(error, OverloadedError | RateLimitedError) else rule.retry_after
    milliseconds = None if retry_after is None else max(1, round(retry_after * 1000))
    return _write_status(rule, rule.public or _clip(str(error)), fault, milliseconds)


@lru_cache(maxsize=256)
def _write_status(rule: Rule, message: str, fault: tuple[str, str] | None, retry_after: int | None) -> grpc.Status:
    """Remembered, since a flood of refusals repeats itself. `fault` is a field and its problem, the wait is in ms."""
    details: list[any_pb2.Any] = []

    def add(message: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest | error_details_pb2.RetryInfo) -> None:
        packed = any_pb2.Any()
        packed.Pack(message)
        details.append(packed)

    add(error_details_pb2.ErrorInfo(domain=DOMAIN, reason=rule.reason))
    if fault is not None:
        field, problem = fault
        violation = error_details_pb2.BadRequest.FieldViolation(field=field, description=problem)
        add(error_details_pb2.BadRequest(field_violations=[violation]))
    if retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(retry_after)
        add(error_details_pb2.RetryInfo(retry_delay=delay))
    status: grpc.Status = rpc_status.to_status(
        status_pb2.Status(code=rule.code.value[0], message=message, details=details)
    )
    return status


def _clip(text: str) -> str:
    """The text's beginning, where it is too long to travel: it may quote what a caller sent."""
    raw = text.encode()
    return text if len(raw) <= _MAX_TEXT else raw[:_MAX_TEXT].decode(errors="ignore") + "…"
