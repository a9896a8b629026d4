"""Requests to Milvus as bytes, held against those of pymilvus' own client; and calls to a server that misbehaves."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc.aio
import numpy as np
import pytest
from pymilvus import MilvusClient
from pymilvus.client.prepare import Prepare
from pymilvus.grpc_gen import common_pb2, milvus_pb2, schema_pb2

from fakes import FAKE_SPACE
from sosie.engine.errors import (
    BackendError,
    BackendOverloadedError,
    BackendTimeoutError,
    BackendUnavailableError,
    EngineError,
    NoIndexError,
)
from sosie.engine.milvus import MilvusStore
from sosie.engine.milvus_admin import ThreadedClient
from sosie.engine.milvus_channel import MilvusChannel
from sosie.engine.milvus_wire import Consistency, Requests
from sosie.engine.search import Wanted, find
from sosie.engine.space import Query
from sosie.engine.store import Filter
from sosie.engine.timing import StepTimes

TIMEOUT = 5.0
VECTOR = np.linspace(-1, 1, FAKE_SPACE.size, dtype=np.float32)
BOUNDED = Consistency(common_pb2.ConsistencyLevel.Bounded, 2)

Answer = Callable[[str, bytes], Awaitable[Any]]


class ScriptedMilvus:
    """A Milvus whose every answer is what `answer(method, request)` gives; counts its calls, and those cancelled."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.calls: list[str] = []
        self.waiting = asyncio.Event()
        self.cancelled = asyncio.Event()
        self._server = grpc.aio.server()

    async def start(self) -> str:
        methods = {name: self._handle(name) for name in ("Search", "Query", "DescribeCollection")}
        service = grpc.method_handlers_generic_handler("milvus.proto.milvus.MilvusService", methods)
        self._server.add_generic_rpc_handlers((service,))
        port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        return f"http://127.0.0.1:{port}"

    async def stop(self) -> None:
        await self._server.stop(None)

    def _handle(self, name: str) -> Any:
        async def answer(request: bytes, _context: Any) -> bytes:
            self.calls.append(name)
            self.waiting.set()
            try:
                reply = await self.answer(name, request)
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
            return bytes(reply.SerializeToString())

        return grpc.unary_unary_rpc_method_handler(answer)


async def never(_method: str, _request: bytes) -> Any:
    await asyncio.Event().wait()


Script = Callable[[Answer], Awaitable[tuple[ScriptedMilvus, MilvusStore]]]


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    """Starts a Milvus that answers so, and makes a store before it."""
    made: list[tuple[ScriptedMilvus, MilvusStore]] = []

    async def start(answer: Answer) -> tuple[ScriptedMilvus, MilvusStore]:
        milvus = ScriptedMilvus(answer)
        made.append((milvus, MilvusStore(await milvus.start(), "products")))
        return made[-1]

    yield start
    for milvus, store in made:
        await store.close()
        await milvus.stop()


async def ask(store: MilvusStore, timeout: float = TIMEOUT) -> Any:
    return await store.search(VECTOR, limit=10, filter=Filter(), timeout=timeout)


@pytest.mark.parametrize("limit", [1, 40, 16_384])
@pytest.mark.parametrize("expression", ["", 'shop in ["0a"] and in_stock == true', "x" * 20_000])
def test_a_search_is_what_pymilvus_would_send(limit: int, expression: str) -> None:
    """Field for field, the bytes of a search are the message that pymilvus makes of it."""
    raw = Requests("products").search(VECTOR, limit=limit, expression=expression, consistency=BOUNDED)
    made = Prepare.search_requests_with_expr(
        "products",
        "",
        {"metric_type": "IP", "params": {"ef": max(512, limit)}},
        limit,
        data=[VECTOR.tolist()],
        expr=expression,
        output_fields=["product_key", "position", "payload"],
        consistency_level=BOUNDED.level,
        guarantee_timestamp=BOUNDED.timestamp,
        use_default_consistency=False,
    )
    assert milvus_pb2.SearchRequest.FromString(raw) == made


def test_a_query_is_what_pymilvus_would_send() -> None:
    """Field for field, the bytes of a query are the message that pymilvus makes of it."""
    raw = Requests("products").query(["key"], expression='key in ["a"]', consistency=BOUNDED)
    made = Prepare.query_request(
        "products",
        'key in ["a"]',
        ["key"],
        [],
        use_default_consistency=False,
        consistency_level=BOUNDED.level,
        guarantee_timestamp=BOUNDED.timestamp,
    )
    assert milvus_pb2.QueryRequest.FromString(raw) == made


async def test_a_cancelled_search_is_cancelled_at_the_server(script: Script) -> None:
    """Whoever stops waiting for a search stops the search."""
    milvus, store = await script(never)
    asking = asyncio.create_task(ask(store))
    await asyncio.wait_for(milvus.waiting.wait(), TIMEOUT)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.wait_for(milvus.cancelled.wait(), TIMEOUT)


async def test_a_search_that_runs_out_of_time(script: Script) -> None:
    """A server that never answers holds no caller beyond the timeout, and no thread at all."""
    milvus, store = await script(never)
    held = asyncio.create_task(ask(store, timeout=2.0))
    await asyncio.wait_for(milvus.waiting.wait(), TIMEOUT)  # on a busy machine those below may never get so far
    before = threading.active_count()
    answers = await asyncio.gather(*(ask(store, timeout=0.2) for _ in range(200)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {BackendTimeoutError}
    with pytest.raises(BackendTimeoutError):
        await held
    await asyncio.wait_for(milvus.cancelled.wait(), TIMEOUT)
    assert threading.active_count() == before
    with pytest.raises(BackendTimeoutError):
        await ask(store, timeout=0.0)


FAULTS = [
    (common_pb2.Status(code=100, reason="collection not found"), NoIndexError),
    (common_pb2.Status(code=1, error_code=1, reason="can't find collection[products]"), NoIndexError),
    (common_pb2.Status(code=8, reason="rate limit exceeded"), BackendOverloadedError),
    (common_pb2.Status(code=503, reason="channel not available"), BackendUnavailableError),
    (common_pb2.Status(code=1, reason="service not ready[proxy=1]: Initializing"), BackendUnavailableError),
    (common_pb2.Status(code=65535, reason="empty grpc client: find no available rootcoord"), BackendUnavailableError),
    (common_pb2.Status(code=65535, reason="vector dimension mismatch"), BackendError),
    (common_pb2.Status(error_code=1, reason="an old server's error"), BackendError),
]


@pytest.mark.parametrize(("status", "error"), FAULTS, ids=lambda value: getattr(value, "reason", ""))
async def test_statuses(script: Script, status: Any, error: type[EngineError]) -> None:
    """Whatever status a server answers with, it is raised in the engine's words."""

    async def refuse(_method: str, _request: bytes) -> Any:
        return milvus_pb2.SearchResults(status=status)

    _, store = await script(refuse)
    with pytest.raises(error) as caught:
        await ask(store)
    assert type(caught.value) is error


def make_reply(pictures: int, rows: int) -> Any:
    """Rows of a product each that has so many pictures, the nearest first."""
    keys = [f"{i:032}" for i in range(rows)]

    def strings(values: list[str]) -> Any:
        return schema_pb2.ScalarField(string_data=schema_pb2.StringArray(data=values))

    columns = {
        "product_key": strings(keys),
        "payload": strings(["cGF5"] * rows),
        "position": schema_pb2.ScalarField(long_data=schema_pb2.LongArray(data=[pictures << 32] * rows)),
    }
    found = schema_pb2.SearchResultData(
        ids=schema_pb2.IDs(str_id=schema_pb2.StringArray(data=keys)),
        scores=[1 - i / 100 for i in range(rows)],
        fields_data=[schema_pb2.FieldData(field_name=name, scalars=column) for name, column in columns.items()],
    )
    return milvus_pb2.SearchResults(results=found)


@pytest.mark.parametrize(("pictures", "calls"), [(1, 1), (2, 2), (0, 2)])
async def test_calls_of_a_grouped_search(script: Script, pictures: int, calls: int) -> None:
    """A grouped search is one call where all pictures came with it, and one more where some may be missing."""

    async def answer(_method: str, request: bytes) -> Any:
        return make_reply(pictures, rows=10 if b"product_key in" in request else 40)

    milvus, store = await script(answer)
    hits = await find(store, Query(FAKE_SPACE, VECTOR, {"look": 1.0}), Wanted(), timeout=TIMEOUT, steps=StepTimes())
    assert [hit.best.payload for hit in hits] == [b"pay"] * 10
    assert milvus.calls == ["Search"] * calls


async def test_a_bound_on_what_waits_for_a_thread() -> None:
    """Of requests that go through threads a bounded number wait, given up or not; the next is refused at once."""
    client = ThreadedClient(MilvusChannel("http://127.0.0.1:1"))
    client._client = object()  # none of these requests needs it
    gate = threading.Event()

    def wait(_client: MilvusClient, _name: str, _left: float) -> None:
        assert gate.wait(TIMEOUT)

    waiting = [asyncio.create_task(client.run(wait, "products", TIMEOUT)) for _ in range(64)]
    await asyncio.sleep(0)
    for each in waiting[::2]:
        each.cancel()
    await asyncio.gather(*waiting[::2], return_exceptions=True)
    with pytest.raises(BackendOverloadedError):
        await client.run(wait, "products", TIMEOUT)
    gate.set()
    await asyncio.gather(*waiting[1::2])
    client._client = None
    await client.close()
