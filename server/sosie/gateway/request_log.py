"""One line for each call that is worth one."""

import logging
import random
from collections.abc import Mapping
from typing import Any

import grpc

from sosie.engine.errors import EngineError, InputError
from sosie.gateway.logs import leaves_out

_LOG = logging.getLogger(__name__)

# The caller's own doing and told to it. It can send such calls at any rate, and nothing needs an operator's eye.
_CALLERS_OWN = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.CANCELLED,
    }
)


class RequestLog:
    """Writes of calls that went well, or failed by their caller's own doing, the share `sample`; of others all.

    Questions, pictures and keys are never written, nor what an error quotes of them: of a caller's mistake only the
    field is named.
    """

    def __init__(self, sample: float) -> None:
        self._sample = sample

    def wants(self, method: str, code: grpc.StatusCode, reason: str) -> bool:
        """Whether a call that ended so gets its line. In a flood of refusals most get none, and are counted."""
        if code is grpc.StatusCode.OK or code in _CALLERS_OWN:
            return self._sample > 0 and random.random() < self._sample  # noqa: S311 - no secret
        return not leaves_out((method, code.name, reason))

    def write(
        self,
        method: str,
        code: grpc.StatusCode,
        error: Exception | None,
        *,
        reason: str,
        seconds: float,
        steps: Mapping[str, float],
        request_id: str,
        trace_id: str,
        caller: str,
    ) -> None:
        """Empty strings are left out."""
        fields: dict[str, Any] = {
            "method": method,
            "code": code.name,
            "reason": reason,
            "seconds": round(seconds, 6),
            "steps": {step: round(taken, 6) for step, taken in steps.items()},
            "request_id": request_id,
            "trace_id": trace_id,
            "caller": caller,
        }
        unexpected = error if error and not isinstance(error, EngineError) else None
        if isinstance(error, InputError):
            fields["field"] = error.field.partition("[")[0]  # what stands in brackets is the caller's
        elif error and not unexpected and code not in _CALLERS_OWN:
            fields["error"] = str(error)
        _LOG.log(
            _level(code, unexpected),
            "%s %s",
            method,
            code.name,
            exc_info=unexpected,
            extra={
                "fields": {name: value for name, value in fields.items() if value not in ("", {})},
                "kind": (method, code.name, reason),
            },
        )


def _level(code: grpc.StatusCode, unexpected: Exception | None) -> int:
    if unexpected:
        return logging.ERROR
    return logging.INFO if code is grpc.StatusCode.OK or code in _CALLERS_OWN else logging.WARNING
