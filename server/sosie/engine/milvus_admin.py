"""What writes to Milvus and administers it: pymilvus' client, which waits in threads."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeAlias, TypeVar

import grpc
from pymilvus import MilvusClient, MilvusException
from pymilvus.client.types import SegmentState

from sosie.engine.errors import BackendOverloadedError
from sosie.engine.milvus_channel import OPTIONS, MilvusChannel
from sosie.engine.milvus_errors import NOT_LOADED, timed_out, translate
from sosie.engine.milvus_layout import is_lite

_Answer = TypeVar("_Answer")

Ask: TypeAlias = Callable[[MilvusClient, str, float], _Answer]
"""A request, given the client, the name of the collection or its alias, and the seconds that are left."""

_THREADS = 4
_WAITING = 64  # requests at once, those that wait for a thread included
_INDEXED_FROM = 1024  # rows of a segment: below that a server searches it exactly, and builds no index


class ThreadedClient:
    """pymilvus' client, made on first use. Its methods may be called from any event loop."""

    def __init__(self, channel: MilvusChannel) -> None:
        self._channel = channel
        self._uri = channel.uri
        self._client: MilvusClient | None = None
        self._connecting = threading.Lock()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="milvus")
        self._room = threading.BoundedSemaphore(_WAITING)

    async def run(self, ask: Ask[_Answer], collection: str, timeout: float) -> _Answer:
        """Runs one request in a thread, within `timeout` seconds from now; loads the collection if it is not.

        Raises EngineError: BackendOverloadedError at once where 64 requests wait already.
        """
        deadline = time.monotonic() + timeout
        if not self._room.acquire(blocking=False):
            raise BackendOverloadedError(f"{_WAITING} requests wait for Milvus at {self._uri} already")
        try:
            running = self._pool.submit(self._run, ask, collection, deadline)
        except BaseException:
            self._room.release()
            raise
        try:
            # pymilvus sleeps up to 3 s between its attempts, past its own limit.
            return await asyncio.wait_for(_follow(running), timeout)
        except TimeoutError as error:
            raise timed_out(self._uri) from error

    async def close(self) -> None:
        """Waits for what runs: no longer than its timeout, and pymilvus' sleep."""
        await asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True)
        if self._client is not None:
            await asyncio.to_thread(self._client.close)

    def _run(self, ask: Ask[_Answer], collection: str, deadline: float) -> _Answer:
        def left() -> float:
            seconds = deadline - time.monotonic()
            if seconds <= 0:
                raise timed_out(self._uri)
            return seconds

        try:
            client = self._connect(left())
            try:
                return ask(client, collection, left())
            except MilvusException as error:
                if error.code != NOT_LOADED:
                    raise
            client.load_collection(collection, timeout=left())
            return ask(client, collection, left())
        except (MilvusException, grpc.RpcError) as error:
            raise translate(error, uri=self._uri, collection=collection) from error
        finally:
            self._room.release()

    def _connect(self, timeout: float) -> MilvusClient:
        with self._connecting:
            if self._client is None:
                self._channel.open()
                self._client = MilvusClient(self._uri, timeout=timeout, grpc_options=dict(OPTIONS))
            return self._client


async def _follow(running: "Future[_Answer]") -> _Answer:
    """What a thread gives; a caller that goes leaves it running, so that what waits for a thread stays counted."""
    following = asyncio.wrap_future(running)
    following.add_done_callback(lambda done: done.cancelled() or done.exception())  # also where nobody is left to look
    return await asyncio.shield(following)


def is_settled(client: MilvusClient, alias: str, timeout: float) -> bool:
    """Whether all that was flushed is searched by its own index.

    Until a server's nodes have loaded a segment's index they search an interim one, whose recall on vectors without
    clusters was 0.75: for some ten seconds after the index itself is told to be finished.
    """
    if is_lite(client, timeout):
        return True
    name = client.describe_collection(alias, timeout=timeout)["collection_name"]
    searched = {
        segment.segment_id
        for segment in client.list_loaded_segments(name, timeout=timeout)
        if segment.state == SegmentState.Sealed and (segment.index_name or segment.num_rows < _INDEXED_FROM)
    }
    return searched >= {
        segment.segment_id for segment in client.list_persistent_segments(name, timeout=timeout) if segment.num_rows
    }
