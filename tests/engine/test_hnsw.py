"""The index that a Milvus server builds, with enough rows that it builds one."""

import asyncio
import time

import numpy as np
import pytest
from pymilvus import MilvusClient

from fakes import FAKE_SPACE, passes, unit
from milvus_fixtures import MilvusServer, name_collection
from sosie.engine.milvus import MilvusStore
from sosie.engine.space import Query, build_query
from sosie.engine.store import MAX_ROWS, Facets, Filter, Row

pytestmark = pytest.mark.slow

TIMEOUT = 30.0
ROWS = 20_000
BATCH = 2_000
RARE = 200  # one row of so many has the rare brand
FILTERS = {"none": Filter(), "one in 200": Filter(brands=("rare",)), "half": Filter(in_stock=True)}


def make_rows() -> list[Row]:
    random = np.random.default_rng(5)
    vectors = FAKE_SPACE.assemble({part.name: unit(random.normal(size=(ROWS, part.size))) for part in FAKE_SPACE.parts})
    return [
        Row(
            key=f"{i:032}",
            product_key=f"{i:032}",
            position=0,
            vector=vectors[i],
            facets=Facets("shop", brand="rare" if i % RARE == 0 else "common", in_stock=i % 2 == 0),
            payload=b"",
        )
        for i in range(ROWS)
    ]


def make_queries(count: int = 10) -> list[Query]:
    """Questions by picture, which leave half of the parts zero."""
    random = np.random.default_rng(6)
    return [
        build_query(
            FAKE_SPACE, image={name: unit(random.normal(size=size)) for name, size in (("look", 12), ("colour", 3))}
        )
        for _ in range(count)
    ]


def serve_index(uri: str, name: str) -> dict[str, str]:
    """Waits until the index holds all rows, and has it searched; gives its description.

    For some 10 s more the server would answer from an interim index, with a recall of 0.73 whatever `ef` is: it is
    loaded anew.
    """
    client = MilvusClient(uri, timeout=TIMEOUT)
    end = time.monotonic() + 120
    while True:
        index: dict[str, str] = client.describe_index(name, index_name="vector", timeout=TIMEOUT)
        if index["state"] == "Finished" and int(index["indexed_rows"]) >= ROWS:
            client.release_collection(name, timeout=TIMEOUT)
            client.load_collection(name, timeout=TIMEOUT)
            client.close()
            return index
        assert time.monotonic() < end, index
        time.sleep(0.2)


async def test_neighbours_of_an_index(milvus_server: MilvusServer) -> None:
    """The HNSW index finds 0.95 of the true neighbours or more, under filters of any strictness, and up to 16,384."""
    rows = make_rows()
    with name_collection(milvus_server.uri) as name:
        store = MilvusStore(milvus_server.uri, name)
        await store.create(FAKE_SPACE, timeout=TIMEOUT)
        for start in range(0, ROWS, BATCH):
            await store.upsert(rows[start : start + BATCH], timeout=TIMEOUT)
        await store.flush(timeout=TIMEOUT)
        index = await asyncio.to_thread(serve_index, milvus_server.uri, name)
        assert (index["index_type"], index["metric_type"]) == ("HNSW", "IP")
        for chosen_by in FILTERS.values():
            chosen = [row for row in rows if passes(row, chosen_by)]
            matrix = np.stack([row.vector for row in chosen])
            found, wanted = 0, 0
            for query in make_queries():
                best = np.argsort(-(matrix @ query.vector))[:10]
                matches = await store.search(query.vector, limit=10, filter=chosen_by, timeout=TIMEOUT)
                assert len(matches) == 10
                found += len({match.key for match in matches} & {chosen[i].key for i in best})
                wanted += len(best)
            assert found >= 0.95 * wanted, chosen_by
        query = make_queries(1)[0]
        matches = await store.search(query.vector, limit=MAX_ROWS, filter=Filter(), timeout=TIMEOUT)
        assert len({match.key for match in matches}) == MAX_ROWS
        assert await store.count(timeout=TIMEOUT) == ROWS
        await store.close()
