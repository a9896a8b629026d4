"""How a collection is laid out in Milvus: its index, and its shops in partitions of their own."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from pymilvus import MilvusClient
from pymilvus.grpc_gen import milvus_pb2

from engine.test_store_contract import TIMEOUT, fill, make_rows
from fakes import FAKE_SPACE, passes
from milvus_fixtures import MilvusServer, name_collection
from sosie.engine.generations import Layout
from sosie.engine.milvus import MilvusStore
from sosie.engine.milvus_layout import choose_index
from sosie.engine.milvus_wire import Consistency, Requests
from sosie.engine.store import Filter

ANY = Consistency(2, 2)


@asynccontextmanager
async def make_store(uri: str, layout: Layout) -> AsyncIterator[tuple[MilvusStore, MilvusClient]]:
    """A store with a collection that is laid out so."""
    with name_collection(uri) as name:
        store = MilvusStore(uri, name)
        await store.create(FAKE_SPACE, layout=layout, timeout=TIMEOUT)
        client = MilvusClient(uri, timeout=TIMEOUT)
        yield store, client
        client.close()
        await store.close()


def read_parameters(store: Requests, limit: int) -> str:
    """What a search tells the index."""
    raw = store.search(np.ones(4, np.float32), limit=limit, expression="", consistency=ANY)
    pairs = milvus_pb2.SearchRequest.FromString(raw).search_params
    return next(str(pair.value) for pair in pairs if pair.key == "params")


@pytest.mark.parametrize(("limit", "wide"), [(1, 200), (20, 200), (21, 210), (40, 400), (600, 600), (16_384, 16_384)])
def test_a_search_on_disk(limit: int, wide: int) -> None:
    """A search by DISKANN looks at more candidates than it gives rows, and at no more than Milvus takes."""
    assert read_parameters(Requests("products", on_disk=True), limit) == f'{{"search_list":{wide},"metric_type":"IP"}}'
    assert limit <= wide <= max(200, 10 * limit)


def test_the_index_of_a_layout() -> None:
    """A server gets the index that is asked for, HNSW where none is; Milvus Lite has the exact one alone."""
    assert choose_index(Layout(), lite=False)[0] == choose_index(Layout(index="hnsw"), lite=False)[0] == "HNSW"
    assert choose_index(Layout(index="diskann"), lite=False) == ("DISKANN", {})
    assert choose_index(Layout(index="flat"), lite=False) == ("FLAT", {})
    assert {choose_index(Layout(index=kind), lite=True)[0] for kind in ("auto", "hnsw", "diskann")} == {"FLAT"}


@pytest.fixture(params=["lite", pytest.param("server", marks=pytest.mark.slow)])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "lite":
        yield str(tmp_path / "test.db")
    else:
        yield request.getfixturevalue("milvus_server").uri


async def test_shops_apart(uri: str) -> None:
    """Where shops have partitions of their own, every question is answered as where they have none."""
    rows = make_rows()
    async with make_store(uri, Layout(by_shop=True)) as (store, client):
        schema = client.describe_collection(store.collection, timeout=TIMEOUT)
        keys = [field["name"] for field in schema["fields"] if field.get("is_partition_key")]
        assert keys == ([] if uri.endswith(".db") else ["shop"])
        await fill(store)
        await store.upsert(rows[:30], timeout=TIMEOUT)
        await store.delete([row.key for row in rows[:6]], timeout=TIMEOUT)
        left = rows[6:]
        for passing in (Filter(), Filter(shops=("shop 1",)), Filter(shops=("shop 0", "shop 1"), in_stock=True)):
            wanted = [row for row in left if passes(row, passing)]
            found = await store.search(rows[7].vector, limit=200, filter=passing, timeout=TIMEOUT)
            best = sorted(wanted, key=lambda row: -float(rows[7].vector @ row.vector))
            assert [match.key for match in found] == [row.key for row in best]
            page = await store.page(limit=200, filter=passing, timeout=TIMEOUT)
            assert [held.key for held in page] == sorted(row.key for row in wanted)
            assert await store.count(filter=passing, timeout=TIMEOUT) == len(wanted)


@pytest.mark.slow
async def test_an_index_on_disk(milvus_server: MilvusServer) -> None:
    """A collection that is to be searched on disk says so to the server, and to whoever asks it afterwards."""
    async with make_store(milvus_server.uri, Layout(index="diskann")) as (store, client):
        index = client.describe_index(store.collection, index_name="vector", timeout=TIMEOUT)
        assert (index["index_type"], index["metric_type"]) == ("DISKANN", "IP")
        await store.describe(timeout=TIMEOUT)
        assert read_parameters(store._requests, 10).startswith('{"search_list":200')
