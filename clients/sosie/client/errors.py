# ruff: noqa: N818 - named for what happened, as gRPC's status codes are; the root says that they are errors
"""What can go wrong in a call.

    SosieError
    ├── InvalidRequest       the request is at fault; `violations` say which fields, and what to change (a ValueError)
    ├── NotFound             a picture that was named is not in the index (a LookupError)
    ├── AccessDenied         the gateway does not let this caller in
    ├── FailedPrecondition   the service is not set up for the question, e.g. there is no index yet
    │   └── WrongSpace       index and encoders speak of different embedding spaces
    ├── Overloaded           more calls than the gateway takes at once; try again after `retry_after` seconds
    ├── Unavailable          gateway, encoders or index are away; try again with back-off
    ├── DeadlineExceeded     no answer within the call's time limit (a TimeoutError)
    ├── Cancelled            the call was given up before it was answered
    └── ServerFault          the gateway failed, or speaks another version of the contract

`translate` makes them from gRPC's own errors; nothing else does.
"""

from dataclasses import dataclass
from typing import ClassVar

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

DETAILS_KEY = "grpc-status-details-bin"


@dataclass(frozen=True)
class FieldViolation:
    """A field of the request, as the contract names it (e.g. "image.crop"), and what is wrong with it."""

    field: str
    description: str


@dataclass(frozen=True)
class ErrorDetails:
    """What an error carries besides its message, from google.rpc's details.

    `reason` is the gateway's own word for it in capitals, "" where the error did not come from the gateway.
    `retry_after` is in seconds.
    """

    reason: str = ""
    violations: tuple[FieldViolation, ...] = ()
    retry_after: float | None = None


class SosieError(Exception):
    """The root of all that a call raises on purpose. `code` is the name of the gRPC status code."""

    code: ClassVar[str] = "UNKNOWN"

    def __init__(self, message: str, details: ErrorDetails | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details or ErrorDetails()

    @property
    def reason(self) -> str:
        """The gateway's own word for it, e.g. "SPACE_MISMATCH"; "" where the gateway was not reached."""
        return self.details.reason

    @property
    def retry_after(self) -> float | None:
        """The seconds after which the gateway asks to try again, None where it does not say."""
        return self.details.retry_after


class InvalidRequest(SosieError, ValueError):
    """The request is at fault; the same one will fail again."""

    code = "INVALID_ARGUMENT"

    @property
    def violations(self) -> tuple[FieldViolation, ...]:
        """Each faulty field that the gateway named."""
        return self.details.violations

    @property
    def field(self) -> str:
        """The first faulty field, e.g. "options.top_k"; "" where none was named."""
        return self.violations[0].field if self.violations else ""


class NotFound(SosieError, LookupError):
    """A picture that was named is not in the index."""

    code = "NOT_FOUND"


class AccessDenied(SosieError):
    """The gateway, or what stands before it, does not let this caller in."""

    code = "PERMISSION_DENIED"


class FailedPrecondition(SosieError):
    """The service is not set up for the question."""

    code = "FAILED_PRECONDITION"


class WrongSpace(FailedPrecondition):
    """The index was built in another embedding space than the encoders'; the message names both."""


class Overloaded(SosieError):
    """The gateway refused the call for want of room: nothing was done."""

    code = "RESOURCE_EXHAUSTED"


class Unavailable(SosieError):
    """The gateway, an encoder or the index cannot be reached."""

    code = "UNAVAILABLE"


class DeadlineExceeded(SosieError, TimeoutError):
    """No answer within the call's time limit."""

    code = "DEADLINE_EXCEEDED"


class Cancelled(SosieError):
    """The call was given up before it was answered."""

    code = "CANCELLED"


class ServerFault(SosieError):
    """The gateway failed, or does not know the call: its log says more."""

    code = "INTERNAL"


_BY_CODE: dict[grpc.StatusCode, type[SosieError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.OUT_OF_RANGE: InvalidRequest,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.UNAUTHENTICATED: AccessDenied,
    grpc.StatusCode.PERMISSION_DENIED: AccessDenied,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Overloaded,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.CANCELLED: Cancelled,
    grpc.StatusCode.ABORTED: ServerFault,
    grpc.StatusCode.ALREADY_EXISTS: ServerFault,
    grpc.StatusCode.DATA_LOSS: ServerFault,
    grpc.StatusCode.INTERNAL: ServerFault,
    grpc.StatusCode.UNIMPLEMENTED: ServerFault,
    grpc.StatusCode.UNKNOWN: ServerFault,
}

_BY_REASON: dict[str, type[SosieError]] = {"SPACE_MISMATCH": WrongSpace}


def translate(error: grpc.RpcError, *, target: str, timeout: float) -> SosieError:
    """The error of this tree that says what gRPC's does; `target` and `timeout` (seconds) are the call's."""
    if not isinstance(error, grpc.Call):
        return ServerFault(str(error))
    details = read_details(error)
    kind = _BY_REASON.get(details.reason) or _BY_CODE.get(error.code(), ServerFault)
    message = error.details() or error.code().name
    if not details.reason and kind is Unavailable:
        message = f"no gateway answers at {target} ({message})"
    elif not details.reason and kind is DeadlineExceeded:
        message = f"no answer from {target} within {timeout:g} s"
    return kind(message, details)


def read_details(call: grpc.Call) -> ErrorDetails:
    """The google.rpc.Status that travels beside an error; empty where there is none, or none that can be read."""
    raw = dict(call.trailing_metadata() or ()).get(DETAILS_KEY, b"")
    status = Status()
    try:
        status.ParseFromString(raw if isinstance(raw, bytes) else b"")
    except DecodeError:  # what stands between us and the gateway may put anything there
        return ErrorDetails()
    info, request, retry = ErrorInfo(), BadRequest(), RetryInfo()
    for detail in status.details:
        for message in (info, request, retry):
            if detail.Is(message.DESCRIPTOR):
                detail.Unpack(message)
    return ErrorDetails(
        reason=info.reason,
        violations=tuple(FieldViolation(v.field, v.description) for v in request.field_violations),
        retry_after=retry.retry_delay.ToTimedelta().total_seconds() if retry.HasField("retry_delay") else None,
    )
