"""How a collection is laid out in Milvus: its index, and its shops in partitions of their own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from pymilvus import MilvusClient
from pymilvus.grpc_gen import milvus_pb2

from fakes import FAKE_SPACE
from milvus_fixtures import MilvusServer, name_collection
from sosie.engine.errors import BackendError
from sosie.engine.generations import Layout
from sosie.engine.milvus import MilvusStore
from sosie.engine.milvus_layout import check_partition_keys, choose_index
from sosie.engine.milvus_rows import make_schema
from sosie.engine.milvus_wire import Consistency, Requests

TIMEOUT = 30.0
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


async def test_shops_apart_on_lite(tmp_path: Path) -> None:
    """Milvus Lite, which has no partitions by a key, makes a collection without them."""
    async with make_store(str(tmp_path / "test.db"), Layout(by_shop=True)) as (store, client):
        schema = client.describe_collection(store.collection, timeout=TIMEOUT)
        assert not any(field.get("is_partition_key") for field in schema["fields"])


def test_the_partition_key() -> None:
    """Where shops are kept apart the shop is the partition key, and nothing else is."""
    for by_shop, keys in ((True, ["shop"]), (False, [])):
        fields = make_schema(FAKE_SPACE, by_shop=by_shop).fields
        assert [field.name for field in fields if field.is_partition_key] == keys


@pytest.mark.parametrize("version", ["v2.3.5-lite", "v2.3.22", "2.2.9"])
def test_servers_that_cannot_keep_shops_apart(version: str) -> None:
    """A server that files upserted rows wrongly is refused by its version, as long as it is one of them."""
    with pytest.raises(BackendError, match="30607"):
        check_partition_keys(version)
    for later in ("v2.4.0", "2.6.2", "v3.0.0-dev", "master-20261101"):
        check_partition_keys(later)


@pytest.mark.slow
async def test_shops_apart_on_an_old_server(milvus_server: MilvusServer) -> None:
    """Where the server cannot keep shops apart nothing is made, and a collection without is made as ever."""
    with name_collection(milvus_server.uri) as name:
        store = MilvusStore(milvus_server.uri, name)
        with pytest.raises(BackendError, match="30607"):
            await store.begin(FAKE_SPACE, layout=Layout(by_shop=True), timeout=TIMEOUT)
        assert await store.generations(timeout=TIMEOUT) == []
        await store.close()


@pytest.mark.slow
async def test_an_index_on_disk(milvus_server: MilvusServer) -> None:
    """A collection that is to be searched on disk says so to the server, and to whoever asks it afterwards."""
    async with make_store(milvus_server.uri, Layout(index="diskann")) as (store, client):
        index = client.describe_index(store.collection, index_name="vector", timeout=TIMEOUT)
        assert (index["index_type"], index["metric_type"]) == ("DISKANN", "IP")
        await store.describe(timeout=TIMEOUT)
        assert read_parameters(store._requests, 10).startswith('{"search_list":200')
