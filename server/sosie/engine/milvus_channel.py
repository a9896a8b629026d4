"""Calls to Milvus on the event loop: to a server, or to Milvus Lite in this process for a path that ends in .db."""

import asyncio
import base64
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import grpc.aio
from pymilvus import MilvusException
from pymilvus.client.connection_manager import ConnectionConfig
from pymilvus.grpc_gen import milvus_pb2

from sosie.engine.awaiting import finish
from sosie.engine.errors import BackendUnavailableError
from sosie.engine.milvus_errors import timed_out, translate, translate_rpc
from sosie.engine.milvus_lite_log import remove_flushed_logs

_SERVICE = "/milvus.proto.milvus.MilvusService/"
_REPLIES = {
    "Search": milvus_pb2.SearchResults,
    "Query": milvus_pb2.QueryResults,
    "DescribeCollection": milvus_pb2.DescribeCollectionResponse,
}
_MAX_REPLY = 256 * 2**20  # bytes: what Milvus Lite sends at most

OPTIONS: Mapping[str, Any] = {
    "grpc.max_send_message_length": -1,
    "grpc.max_receive_message_length": _MAX_REPLY,
    # Without a ping in reach: Milvus Lite hangs up on them in the middle of a long call. What they are switched on for
    # is the time after which the kernel gives up a connection whose other end does not even acknowledge.
    "grpc.keepalive_time_ms": 3_600_000,
    "grpc.keepalive_timeout_ms": 2_000,
    "grpc.keepalive_permit_without_calls": 0,
    # One that comes back is found within a second; by default the pauses grow to two minutes.
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.min_reconnect_backoff_ms": 1_000,
    "grpc.max_reconnect_backoff_ms": 1_000,
}

_Call: TypeAlias = Callable[..., Awaitable[Any]]
_Connection: TypeAlias = tuple[grpc.aio.Channel, dict[str, _Call]]


class MilvusChannel:
    """Sends requests as bytes and gives replies as messages.

    Connects on first use, and again whenever the server was away. A cancelled call is cancelled at the server. It may
    be used from several event loops: each gets a connection of its own.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.target: ConnectionConfig | None = None
        """Where Milvus is and what it is told of the caller, once it is known."""
        self._opening = threading.Lock()
        self._metadata: tuple[tuple[str, str], ...] | None = None
        self._calls: dict[asyncio.AbstractEventLoop, _Connection] = {}

    async def call(self, method: str, request: bytes, *, timeout: float) -> Any:
        """The reply, whatever its status.

        Raises BackendUnavailableError, BackendTimeoutError after `timeout` seconds, BackendOverloadedError or
        BackendError.
        """
        known = self._calls.get(asyncio.get_running_loop())
        if known is None:
            deadline = time.monotonic() + timeout
            known = await self._connect(timeout)
            timeout = deadline - time.monotonic()
        if timeout <= 0:
            raise timed_out(self.uri)
        try:
            return await finish(known[1][method](request, timeout=timeout, metadata=self._metadata))
        except grpc.aio.AioRpcError as error:
            raise translate_rpc(error, uri=self.uri) from error

    async def close(self) -> None:
        """Ends the calls under way. Milvus Lite lets go of its .db at once."""
        known = self._calls.pop(asyncio.get_running_loop(), None)
        if known is not None:
            await known[0].close(None)
        self._calls.clear()
        if self.target is not None and self.uri.endswith(".db"):
            await asyncio.to_thread(_release_lite, self.uri)

    async def _connect(self, timeout: float) -> _Connection:
        target = await self._open_lite(timeout) if self.uri.endswith(".db") else self.open()
        loop = asyncio.get_running_loop()
        if loop not in self._calls:  # others may have waited for the same
            for ended in [each for each in self._calls if each.is_closed()]:
                del self._calls[ended]
            if target.get_handler_kwargs().get("secure"):
                channel = grpc.aio.secure_channel(
                    target.address, grpc.ssl_channel_credentials(), options=tuple(OPTIONS.items())
                )
            else:
                channel = grpc.aio.insecure_channel(target.address, options=tuple(OPTIONS.items()))
            calls: dict[str, _Call] = {
                name: channel.unary_unary(
                    _SERVICE + name, request_serializer=None, response_deserializer=reply.FromString
                )
                for name, reply in _REPLIES.items()
            }
            self._calls[loop] = (channel, calls)
        return self._calls[loop]

    async def _open_lite(self, timeout: float) -> ConnectionConfig:
        """Opening a .db takes seconds, and none where it is open already."""
        try:
            return await asyncio.wait_for(asyncio.to_thread(self.open), timeout)
        except TimeoutError as error:
            raise timed_out(self.uri) from error

    def open(self) -> ConnectionConfig:
        """Finds out the address; a .db is opened, and served on loopback. For any thread."""
        with self._opening:
            if self.target is None:
                if self.uri.endswith(".db") and not Path(self.uri).parent.is_dir():
                    raise BackendUnavailableError(f"cannot open {self.uri}: its folder does not exist")
                if self.uri.endswith(".db"):
                    remove_flushed_logs(Path(self.uri))
                try:
                    self.target = ConnectionConfig.from_uri(self.uri)
                except MilvusException as error:
                    raise translate(error, uri=self.uri, collection="") from error
                self._metadata = _make_metadata(self.target)
            return self.target


def _make_metadata(target: ConnectionConfig) -> tuple[tuple[str, str], ...] | None:
    """What pymilvus sends with each call where the address names a user or a database."""
    metadata = []
    if target.token:
        metadata.append(("authorization", base64.b64encode(target.token.encode()).decode()))
    if target.db_name:
        metadata.append(("dbname", target.db_name))
    return tuple(metadata) or None


def _release_lite(uri: str) -> None:
    """Lets go of a .db; Milvus Lite itself would hold it until the process ends."""
    from milvus_lite.server_manager import server_manager_instance  # noqa: PLC0415 - only Lite needs it

    server_manager_instance.release_server(uri)
