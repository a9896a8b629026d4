"""One collection in Milvus, by its own name or by an alias.

Questions go over the event loop as bytes (milvus_wire, milvus_channel); what writes and administers goes through
pymilvus' client, in threads (milvus_admin).
"""

import time
from binascii import a2b_base64
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from pymilvus.client.ts_utils import get_collection_ts
from pymilvus.grpc_gen.common_pb2 import ConsistencyLevel

from sosie.engine.errors import SpaceMismatchError
from sosie.engine.generations import Collection
from sosie.engine.milvus_admin import Ask, ThreadedClient, is_settled
from sosie.engine.milvus_channel import MilvusChannel
from sosie.engine.milvus_errors import NOT_LOADED, translate_status
from sosie.engine.milvus_layout import is_on_disk, read_collection
from sosie.engine.milvus_rows import read_positions, render_beyond, render_filter, render_keys, to_record
from sosie.engine.milvus_wire import (
    Consistency,
    Requests,
    read_matches,
    read_numbers,
    read_strings,
    read_vectors,
)
from sosie.engine.space import EmbeddingSpace, Vector
from sosie.engine.store import MAX_ROWS, Digests, Filter, Held, Match, Row

_Answer = TypeVar("_Answer")

# The server fills these two in by its own clock, see ConsistencyLevel in milvus' common.proto.
_BOUNDED = Consistency(ConsistencyLevel.Bounded, 2)
_STRONG = Consistency(ConsistencyLevel.Strong, 0)
_SESSION = Consistency(ConsistencyLevel.Session, 1)  # any state, where the server tells no time of what was written


class MilvusCollection:
    """A VectorStore that is the collection of that name, or the one that an alias of that name points at."""

    def __init__(self, name: str, channel: MilvusChannel, client: ThreadedClient) -> None:
        self.uri = channel.uri
        self.collection = name
        # Strong would wait for the server's next tick of its clock, 0.2 s, in every call. Bounded sees all but the
        # last seconds, also of a server that was started anew; Session sees what was written from here, but for what
        # was deleted: servers of 2.3 do not tell when that was, and pymilvus then asks for any state at all.
        self._consistency = _BOUNDED
        self._channel = channel
        self._requests = Requests(name)
        self._client = client

    async def space(self, *, timeout: float) -> EmbeddingSpace:
        return (await self.describe(timeout=timeout)).space

    async def describe(self, *, timeout: float) -> Collection:
        """The collection under its own name. Raises NoIndexError where there is none."""
        reply = await self._ask("DescribeCollection", self._requests.describe(), timeout)
        properties = {pair.key: pair.value for pair in reply.properties}
        if is_on_disk(properties) is not self._requests.on_disk:
            self._requests = Requests(self.collection, on_disk=is_on_disk(properties))
        return read_collection(
            {
                "collection_name": reply.schema.name,  # the reply's own is what it was asked for
                "collection_id": reply.collectionID,
                "description": reply.schema.description,
                "properties": properties,
            }
        )

    async def probe(self, *, timeout: float) -> EmbeddingSpace:
        deadline = time.monotonic() + timeout
        space = await self.space(timeout=timeout)
        vector = np.full(space.size, space.size**-0.5, np.float32)
        # A server that was started anew describes its collections long before it searches them.
        await self.search(vector, limit=1, filter=Filter(), timeout=deadline - time.monotonic())
        return space

    async def create(self, space: EmbeddingSpace, *, timeout: float) -> None:
        present = await self.space(timeout=timeout)
        if present.name != space.name:
            raise SpaceMismatchError(self.collection, present.name, space.name)

    async def upsert(self, rows: Sequence[Row], *, timeout: float) -> None:
        data = [to_record(row) for row in rows]
        if data:
            if self._consistency is _BOUNDED:
                self._consistency = _SESSION
            await self._run(lambda client, name, left: client.upsert(name, data, timeout=left), timeout)

    async def flush(self, *, timeout: float) -> None:
        # Milvus Lite reads rows that it has in its log alone one by one: 120 ms for 800 of them, then 6 ms.
        await self._run(lambda client, name, left: client.flush(name, timeout=left), timeout)

    async def is_settled(self, *, timeout: float) -> bool:
        return await self._run(is_settled, timeout)

    async def delete(self, keys: Sequence[str], *, timeout: float) -> None:
        if keys:
            self._consistency = _STRONG
            await self._run(lambda client, name, left: client.delete(name, ids=list(keys), timeout=left), timeout)

    async def search(self, vector: Vector, *, limit: int, filter: Filter, timeout: float) -> list[Match]:
        request = self._requests.search(
            vector, limit=min(limit, MAX_ROWS), expression=render_filter(filter), consistency=self._since()
        )
        return read_matches(await self._ask("Search", request, timeout))

    async def fetch(self, keys: Sequence[str], *, timeout: float) -> dict[str, Vector]:
        if not keys:
            return {}
        reply = await self._query(["key", "vector"], render_keys(keys), timeout)
        return dict(zip(read_strings(reply, "key"), read_vectors(reply, "vector"), strict=True))

    async def first_picture(self, product_key: str, *, timeout: float) -> str | None:
        wanted = render_filter(Filter(product_keys=(product_key,)))
        reply = await self._query(["key", "position"], wanted, timeout)
        positions = read_positions(read_numbers(reply, "position"))
        return min(zip(positions, read_strings(reply, "key"), strict=True), default=(0, None))[1]

    async def digests(self, keys: Sequence[str], *, timeout: float) -> dict[str, Digests]:
        if not keys:
            return {}
        reply = await self._query(["key", "content", "meta"], render_keys(keys), timeout)
        pairs = zip(read_strings(reply, "content"), read_strings(reply, "meta"), strict=True)
        return {key: Digests(*pair) for key, pair in zip(read_strings(reply, "key"), pairs, strict=True)}

    async def payloads(self, keys: Sequence[str], *, timeout: float) -> dict[str, bytes]:
        if not keys:
            return {}
        reply = await self._query(["key", "payload"], render_keys(keys), timeout)
        return dict(zip(read_strings(reply, "key"), map(a2b_base64, read_strings(reply, "payload")), strict=True))

    async def page(self, *, after: str = "", limit: int, filter: Filter | None = None, timeout: float) -> list[Held]:
        passing = render_filter(filter or Filter())
        wanted = render_beyond(after) + (f" and {passing}" if passing else "")
        reply = await self._query(Held._fields, wanted, timeout, limit=limit)
        columns = [read_strings(reply, name) for name in Held._fields]
        return sorted(map(Held._make, zip(*columns, strict=True)))

    async def count(self, *, filter: Filter | None = None, timeout: float) -> int:
        # It is asked seldom and may wait; a server that has caught up for it answers what is asked next as freshly.
        expression = render_filter(filter or Filter())
        request = self._requests.query(["count(*)"], expression=expression, consistency=_STRONG)
        reply = await self._ask("Query", request, timeout)
        return int(read_numbers(reply, "count(*)")[0])

    async def close(self) -> None:
        """Does nothing: the connection is the store's."""

    def _since(self) -> Consistency:
        """How fresh the next answer must be."""
        if self._consistency is not _SESSION:
            return self._consistency
        target = self._channel.target  # known: a write came before
        written = get_collection_ts(self.collection, target.address, target.db_name) if target else None
        return Consistency(_SESSION.level, written) if written else _SESSION

    async def _run(self, ask: Ask[_Answer], timeout: float) -> _Answer:
        return await self._client.run(ask, self.collection, timeout)

    async def _query(self, fields: Sequence[str], expression: str, timeout: float, limit: int | None = None) -> Any:
        request = self._requests.query(fields, expression=expression, consistency=self._since(), limit=limit)
        return await self._ask("Query", request, timeout)

    async def _ask(self, method: str, request: bytes, timeout: float) -> Any:
        """The reply to one question, within `timeout` seconds from now."""
        deadline = time.monotonic() + timeout
        reply = await self._channel.call(method, request, timeout=timeout)
        if reply.status.code == NOT_LOADED:
            # A server that was started anew has its collections on disk only.
            await self._run(
                lambda client, name, left: client.load_collection(name, timeout=left), deadline - time.monotonic()
            )
            reply = await self._channel.call(method, request, timeout=deadline - time.monotonic())
        status = reply.status
        if status.code or status.error_code:
            raise translate_status(status.code, status.reason, uri=self.uri, collection=self.collection)
        return reply
