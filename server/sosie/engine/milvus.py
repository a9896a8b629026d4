"""The index in Milvus: Milvus Lite for a path that ends in .db, a server for http(s)://.

This file and milvus_rows alone import pymilvus.
"""

import asyncio
import base64
import logging
import re
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import grpc
import numpy as np
from pymilvus import MilvusClient, MilvusException

from sosie.engine.errors import (
    BackendError,
    BackendTimeoutError,
    BackendUnavailableError,
    EngineError,
    NoIndexError,
    SpaceMismatchError,
)
from sosie.engine.milvus_rows import make_schema, render_filter, to_record
from sosie.engine.space import EmbeddingSpace, Vector
from sosie.engine.store import MAX_ROWS, Digests, Filter, Match, Row

_Answer = TypeVar("_Answer")

_SPACE_PROPERTY = "sosie.space"
_THREADS = 8  # a call waits in a thread: this bounds how many wait on Milvus at once
_NOT_FOUND = 100  # Milvus's error codes
_NOT_LOADED = 101
_HNSW = {"M": 16, "efConstruction": 200}
_HNSW_EF = 256  # recall@10 of 0.98 to 1.0 on vectors with zero parts, see docs/architecture.md

_QUIET: dict[str, Any] = {
    # pymilvus pings every 10 s; Milvus Lite hangs up on that in the middle of a long call.
    "grpc.keepalive_time_ms": 3_600_000,
    "grpc.keepalive_permit_without_calls": False,
}


class MilvusStore:
    """A VectorStore in Milvus, under an alias that points at the live collection.

    Connects on first use, and again whenever the server was away. Its methods may be called from any event loop.
    """

    def __init__(self, uri: str, collection: str) -> None:
        self.uri = uri
        self.collection = collection
        # Strong would wait for the server's next tick of its clock, 0.2 s, in every call. Bounded sees all but the
        # last seconds, also of a server that was started anew; Session sees what was written from here, but for what
        # was deleted: servers of 2.3 do not tell when that was, and pymilvus then asks for any state at all.
        self._consistency = "Bounded"
        self._client: MilvusClient | None = None
        self._connecting = threading.Lock()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="milvus")
        # They print each error with its traceback; here it is raised, and said once.
        for name in ("pymilvus", "milvus_lite"):
            logging.getLogger(name).setLevel(logging.CRITICAL)

    async def space(self, *, timeout: float) -> EmbeddingSpace:
        description = await self._call(_describe, timeout)
        text = description.get("properties", {}).get(_SPACE_PROPERTY) or description.get("description", "")
        return EmbeddingSpace.from_json(text)

    async def create(self, space: EmbeddingSpace, *, timeout: float) -> None:
        try:
            present = await self.space(timeout=timeout)
        except NoIndexError:
            await self._call(lambda client, name, left: _create(client, name, space, left), timeout)
            return
        if present.name != space.name:
            raise SpaceMismatchError(self.collection, present.name, space.name)

    async def upsert(self, rows: Sequence[Row], *, timeout: float) -> None:
        data = [to_record(row) for row in rows]
        if data:
            if self._consistency == "Bounded":
                self._consistency = "Session"
            await self._call(lambda client, name, left: client.upsert(name, data, timeout=left), timeout)

    async def flush(self, *, timeout: float) -> None:
        # Milvus Lite reads rows that it has in its log alone one by one: 120 ms for 800 of them, then 6 ms.
        await self._call(lambda client, name, left: client.flush(name, timeout=left), timeout)

    async def delete(self, keys: Sequence[str], *, timeout: float) -> None:
        if keys:
            self._consistency = "Strong"
            await self._call(lambda client, name, left: client.delete(name, ids=list(keys), timeout=left), timeout)

    async def search(self, vector: Vector, *, limit: int, filter: Filter, timeout: float) -> list[Match]:
        def ask(client: MilvusClient, name: str, left: float) -> Any:
            return client.search(
                name,
                data=[vector.tolist()],
                limit=min(limit, MAX_ROWS),
                filter=render_filter(filter),
                output_fields=["key", "product_key", "position", "payload"],
                search_params={"metric_type": "IP", "params": {"ef": max(_HNSW_EF, min(limit, MAX_ROWS))}},
                timeout=left,
                consistency_level=self._consistency,
            )

        (hits,) = await self._call(ask, timeout)
        return [
            Match(
                key=hit["entity"]["key"],
                product_key=hit["entity"]["product_key"],
                position=hit["entity"]["position"],
                dot=hit["distance"],
                payload=base64.b64decode(hit["entity"]["payload"]),
            )
            for hit in hits
        ]

    async def fetch(self, keys: Sequence[str], *, timeout: float) -> dict[str, Vector]:
        records = await self._get(keys, ["key", "vector"], timeout)
        return {record["key"]: np.asarray(record["vector"], np.float32) for record in records}

    async def first_picture(self, product_key: str, *, timeout: float) -> str | None:
        def ask(client: MilvusClient, name: str, left: float) -> Any:
            wanted = render_filter(Filter(product_keys=(product_key,)))
            return client.query(
                name,
                filter=wanted,
                output_fields=["key", "position"],
                timeout=left,
                consistency_level=self._consistency,
            )

        records = await self._call(ask, timeout)
        return min(records, key=lambda record: record["position"])["key"] if records else None

    async def digests(self, keys: Sequence[str], *, timeout: float) -> dict[str, Digests]:
        records = await self._get(keys, ["key", "content", "meta"], timeout)
        return {record["key"]: Digests(record["content"], record["meta"]) for record in records}

    async def count(self, *, timeout: float) -> int:
        def ask(client: MilvusClient, name: str, left: float) -> Any:
            return client.query(
                name, filter="", output_fields=["count(*)"], timeout=left, consistency_level=self._consistency
            )

        records = await self._call(ask, timeout)
        return int(records[0]["count(*)"])

    async def close(self) -> None:
        await asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True)
        if self._client is not None:
            await asyncio.to_thread(self._client.close)
            _release_lite(self.uri)

    async def _get(self, keys: Sequence[str], fields: list[str], timeout: float) -> Any:
        if not keys:
            return []

        def ask(client: MilvusClient, name: str, left: float) -> Any:
            return client.get(
                name, ids=list(keys), output_fields=fields, timeout=left, consistency_level=self._consistency
            )

        return await self._call(ask, timeout)

    async def _call(self, ask: Callable[[MilvusClient, str, float], _Answer], timeout: float) -> _Answer:
        """Runs one request in a thread, within `timeout` seconds from now."""
        deadline = time.monotonic() + timeout
        running = asyncio.get_running_loop().run_in_executor(self._pool, self._run, ask, deadline)
        try:
            # pymilvus sleeps up to 3 s between its attempts, past its own limit.
            return await asyncio.wait_for(running, timeout)
        except TimeoutError as error:
            raise BackendTimeoutError(f"Milvus at {self.uri} did not answer in time") from error

    def _run(self, ask: Callable[[MilvusClient, str, float], _Answer], deadline: float) -> _Answer:
        def left() -> float:
            seconds = deadline - time.monotonic()
            if seconds <= 0:
                raise BackendTimeoutError(f"no time was left to ask Milvus at {self.uri}")
            return seconds

        try:
            client = self._connect(left())
            try:
                return ask(client, self.collection, left())
            except MilvusException as error:
                if error.code != _NOT_LOADED:
                    raise
            # A server that was started anew has its collections on disk only.
            client.load_collection(self.collection, timeout=left())
            return ask(client, self.collection, left())
        except (MilvusException, grpc.RpcError) as error:
            raise self._translate(error) from error

    def _connect(self, timeout: float) -> MilvusClient:
        with self._connecting:
            if self._client is None:
                if self.uri.endswith(".db") and not Path(self.uri).parent.is_dir():
                    raise BackendUnavailableError(f"cannot open {self.uri}: its folder does not exist")
                self._client = MilvusClient(self.uri, timeout=timeout, grpc_options=_QUIET)
            return self._client

    def _translate(self, error: Any) -> EngineError:
        """A failed call in the engine's words."""
        rpc = isinstance(error, grpc.RpcError)
        code = error.code() if rpc else error.code
        text = str(error.details() if rpc else error.message)
        if code == _NOT_FOUND or "can't find collection" in text:
            return NoIndexError(f"there is no collection {self.collection!r} at {self.uri}: index a catalog first")
        if "Open local milvus failed" in text:
            return BackendUnavailableError(
                f"cannot open {self.uri}: another process has it open (give the address of the one that serves it), "
                "or it was not written by this version of Milvus Lite"
            )
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            return BackendTimeoutError(f"Milvus at {self.uri} did not answer in time")
        if code == grpc.StatusCode.UNAVAILABLE or "Fail connecting" in text or "Retry timeout" in text:
            return BackendUnavailableError(f"Milvus at {self.uri} cannot be reached")
        return BackendError(f"Milvus at {self.uri}: {text}")


def _describe(client: MilvusClient, name: str, timeout: float) -> dict[str, Any]:
    description: dict[str, Any] = client.describe_collection(name, timeout=timeout)
    return description


def _create(client: MilvusClient, alias: str, space: EmbeddingSpace, timeout: float) -> None:
    """Makes the collection and points the alias at it; what a killed run left half done is completed."""
    name = re.sub(r"\W", "_", f"{alias}_{space.name}")
    if not client.has_collection(name, timeout=timeout):
        # The server in the PyPI package `milvus` is v2.3.5-lite, and a whole one.
        lite = client.get_server_version(timeout=timeout).startswith("milvus_lite")
        index = client.prepare_index_params()
        if lite:
            # Exact, and the only kind there whose filters keep their recall; Lite is for small catalogs.
            index.add_index("vector", index_type="FLAT", metric_type="IP")
        else:
            index.add_index("vector", index_type="HNSW", metric_type="IP", params=_HNSW)
        client.create_collection(
            name,
            schema=make_schema(space),
            index_params=index,
            properties={_SPACE_PROPERTY: space.to_json()},
            timeout=timeout,
        )
    client.create_alias(name, alias, timeout=timeout)


def _release_lite(uri: str) -> None:
    """Lets go of a .db at once; Milvus Lite itself would hold it until the process ends."""
    if uri.endswith(".db"):
        from milvus_lite.server_manager import server_manager_instance  # noqa: PLC0415 - only Lite needs it

        server_manager_instance.release_server(uri)
