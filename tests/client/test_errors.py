"""Errors of the wire in the SDK's words."""

import time
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2

from client.canned_gateway import REFUSED, CannedGateway, status
from sosie.client import (
    AccessDenied,
    Client,
    DeadlineExceeded,
    FailedPrecondition,
    FieldViolation,
    InvalidRequest,
    NotFound,
    Overloaded,
    ServerFault,
    SosieError,
    Unavailable,
    WrongSpace,
    errors,
)


def info(reason: str) -> error_details_pb2.ErrorInfo:
    return error_details_pb2.ErrorInfo(domain="sosie.v1", reason=reason)


def test_every_status_code_has_its_error() -> None:
    """A code that gRPC adds fails here until somebody decides what it means."""
    assert set(errors._BY_CODE) == set(grpc.StatusCode) - {grpc.StatusCode.OK}


def test_an_invalid_request_names_its_fields(client: Client) -> None:
    """BadRequest's violations arrive, the first as `field`."""
    with pytest.raises(InvalidRequest, match=r"image.data: cannot be decoded") as caught:
        client.classify(REFUSED)
    assert caught.value.violations == (FieldViolation("image.data", "cannot be decoded"),)
    assert caught.value.field == "image.data"
    assert caught.value.reason == "INVALID_INPUT"
    assert isinstance(caught.value, ValueError)


def test_an_overload_says_when_to_come_back(client: Client, gateway: CannedGateway) -> None:
    """RetryInfo's delay arrives in seconds."""
    delay = error_details_pb2.RetryInfo(retry_delay=Duration(nanos=250_000_000))
    gateway.failure = status(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", info("OVERLOADED"), delay)
    with pytest.raises(Overloaded, match="full") as caught:
        client.search_by_text("boots")
    assert caught.value.retry_after == 0.25


def test_a_failed_call_is_made_once(client: Client, gateway: CannedGateway) -> None:
    """The SDK never repeats a call: only the caller knows whether time is left."""
    gateway.failure = status(grpc.StatusCode.UNAVAILABLE, "Triton is away", info("BACKEND_UNAVAILABLE"))
    with pytest.raises(Unavailable, match=r"^Triton is away$"):
        client.search_by_text("boots")
    assert len(gateway.requests) == 1


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (grpc.StatusCode.NOT_FOUND, "PICTURE_NOT_INDEXED", NotFound),
        (grpc.StatusCode.FAILED_PRECONDITION, "SPACE_MISMATCH", WrongSpace),
        (grpc.StatusCode.FAILED_PRECONDITION, "NO_INDEX", FailedPrecondition),
        (grpc.StatusCode.UNAUTHENTICATED, "NO_KEY", AccessDenied),
        (grpc.StatusCode.INTERNAL, "INTERNAL", ServerFault),
    ],
)
def test_codes_and_reasons_choose_the_error(
    client: Client, gateway: CannedGateway, code: grpc.StatusCode, reason: str, kind: type[SosieError]
) -> None:
    """The status code decides, the reason where it says more."""
    gateway.failure = status(code, "as told", info(reason))
    with pytest.raises(SosieError, match="as told") as caught:
        client.search_by_text("boots")
    assert type(caught.value) is kind
    assert caught.value.reason == reason


def test_a_gateway_that_is_not_there_is_named() -> None:
    """The message holds the address that nothing answers at."""
    with Client("127.0.0.1:1") as client, pytest.raises(Unavailable, match=r"no gateway answers at 127.0.0.1:1 "):
        client.search_by_text("boots")


def test_the_default_deadline_ends_a_call(gateway: CannedGateway) -> None:
    """Without a word about time, the client's own limit holds."""
    gateway.hold.clear()
    with Client(gateway.address, timeout=0.2) as client, pytest.raises(DeadlineExceeded, match=r"within 0.2 s"):
        client.search_by_text("boots")


def test_a_call_can_name_its_own_deadline(client: Client, gateway: CannedGateway) -> None:
    """A call's limit goes before the client's ten seconds."""
    gateway.hold.clear()
    start = time.monotonic()
    with pytest.raises(DeadlineExceeded, match=r"within 0.1 s") as caught:
        client.classify(b"\xff", timeout=0.1)
    assert time.monotonic() - start < 10
    assert isinstance(caught.value, TimeoutError)


class BrokenCall(grpc.RpcError, grpc.Call):
    """An error whose details are not what they should be, as a proxy may send it."""

    def __init__(self, metadata: Any) -> None:
        self._metadata = metadata

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.NOT_FOUND

    def details(self) -> str:
        return "gone"

    def trailing_metadata(self) -> Any:
        return self._metadata


BrokenCall.__abstractmethods__ = frozenset()  # type: ignore[attr-defined]


@pytest.mark.parametrize("metadata", [None, (), ((errors.DETAILS_KEY, b"\xff\xff\xff"),), ((errors.DETAILS_KEY, "x"),)])
def test_details_that_cannot_be_read_are_left_out(metadata: Any) -> None:
    """Code and message are enough for an error."""
    error = errors.translate(BrokenCall(metadata), target="somewhere:1", timeout=1)
    assert type(error) is NotFound
    assert (error.message, error.reason, error.retry_after) == ("gone", "", None)
