"""The way to the gateway: one channel, a deadline on every call, errors in the SDK's words.

TLS, credentials and metadata belong here. It knows no meaning of the messages that it carries.
"""

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import grpc

from sosie.client.errors import translate
from sosie.v1.visual_search_pb2_grpc import VisualSearchServiceStub

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")

CHANNEL_OPTIONS: dict[str, Any] = {
    "grpc.max_send_message_length": 21 * 2**20,  # a picture of 20 MiB and what goes with it
    "grpc.max_receive_message_length": 64 * 2**20,  # 100 products at all their bounds
}
_LOOPBACK = ("localhost:", "127.0.0.1:", "[::1]:", "unix:")


class Transport:
    """A connection to one gateway, made when the first call needs it. Safe to share between threads.

    With `credentials` it is encrypted as they say; `api_key` goes with every call.
    """

    def __init__(
        self,
        target: str,
        options: Sequence[tuple[str, Any]] = (),
        *,
        api_key: str | None = None,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        chosen = dict(CHANNEL_OPTIONS)
        if target.startswith(_LOOPBACK):
            chosen["grpc.enable_http_proxy"] = 0  # no proxy leads to this machine itself
        chosen.update(options)
        self.target = target
        self._metadata = (("authorization", f"Bearer {check_api_key(api_key)}"),) if api_key is not None else ()
        if credentials is None:
            self._channel = grpc.insecure_channel(target, options=list(chosen.items()))
        else:
            self._channel = grpc.secure_channel(target, credentials, options=list(chosen.items()))
        self.stub = VisualSearchServiceStub(self._channel)

    def call(
        self, method: "grpc.UnaryUnaryMultiCallable[RequestT, ResponseT]", request: RequestT, *, timeout: float
    ) -> ResponseT:
        """The answer to one call within `timeout` seconds. Raises SosieError; never tries twice."""
        try:
            return method(request, timeout=timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise translate(error, target=self.target, timeout=timeout) from error

    def close(self) -> None:
        """Gives up calls under way and the connection."""
        self._channel.close()


def check_timeout(timeout: float) -> float:
    """Seconds above 0. Raises ValueError for anything else: a call without an end is never right."""
    if not (math.isfinite(timeout) and timeout > 0):
        raise ValueError(f"timeout: must be a number of seconds above 0, got {timeout!r}")
    return timeout


def check_api_key(api_key: str) -> str:
    """The key, if metadata can hold it. Raises ValueError, without the key in its words."""
    if not (api_key and api_key.isascii() and api_key.isprintable() and " " not in api_key):
        raise ValueError("api_key: must be letters, digits and signs of ASCII, without blanks")
    return api_key
