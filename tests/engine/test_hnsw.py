"""The index that a Milvus server builds, with enough rows that it builds one, against numpy's exact search."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np
import pytest
import pytest_asyncio
from pymilvus import MilvusClient

from fakes import passes, unit
from milvus_fixtures import MilvusServer, name_collection
from sosie.engine.milvus import MilvusStore
from sosie.engine.space import EmbeddingSpace, Part, Parts, Query, Vector, build_query
from sosie.engine.store import MAX_ROWS, Facets, Filter, Row, VectorStore

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500), pytest.mark.asyncio(loop_scope="module")]

SPACE = EmbeddingSpace(
    name="hnsw-000000000001",
    parts=(
        Part("look", 64, image_weight=1.0),
        Part("colour", 16, image_weight=0.35),
        Part("meaning", 48, text_weight=0.2),
        Part("words", 48, text_weight=1.0),
    ),
    label_part="meaning",
    label_scale=10.0,
)
TIMEOUT = 30.0
SETTLED_WITHIN = 300.0
ROWS = 20_000
VIEWS = 4  # pictures of a product
CLUSTERS = 50
TITLES = 1_500  # many products have the same one
BATCH = 2_000
RARE = 200  # one row of so many has the rare brand
ROUNDING = 1e-5  # between numpy's inner products and the server's
RECALL = 0.99
FILTERS = {"none": Filter(), "one in 200": Filter(brands=("rare",)), "half": Filter(in_stock=True)}


@dataclass(frozen=True)
class Catalog:
    """A store that is filled and settled, and what it holds."""

    store: VectorStore
    client: MilvusClient
    alias: str
    rows: list[Row]

    def recall(self, found: list[float], query: Query, filter: Filter) -> float:
        """The share of the best ten found, by their inner products: what ties with the tenth is as good as it."""
        dots = np.sort(np.stack([row.vector for row in self.rows if passes(row, filter)]) @ query.vector)[::-1]
        return sum(dot >= float(dots[9]) - ROUNDING for dot in found) / 10


def draw_rows(numbers: np.random.Generator) -> list[Row]:
    """Pictures of products that come in clusters, the words of which many share."""
    products = ROWS // VIEWS
    cluster = numbers.integers(0, CLUSTERS, products)

    def draw(size: int, of_product: float, of_picture: float) -> Vector:
        centres = unit(numbers.normal(size=(CLUSTERS, size)))
        of_products = centres[cluster] + of_product * unit(numbers.normal(size=(products, size)))
        return unit(np.repeat(of_products, VIEWS, 0) + of_picture * unit(numbers.normal(size=(ROWS, size))))

    titles = unit(numbers.normal(size=(TITLES, 48)))
    vectors = SPACE.assemble(
        {
            "look": draw(64, 0.9, 0.5),
            "colour": draw(16, 1.2, 0.3),
            "meaning": draw(48, 0.8, 0.3),
            "words": np.repeat(titles[numbers.integers(0, TITLES, products)], VIEWS, 0),
        }
    )
    return [
        Row(
            key=f"{i:032}",
            product_key=f"{i // VIEWS:032}",
            position=i % VIEWS,
            vector=vectors[i],
            facets=Facets("shop", brand="rare" if i % RARE == 0 else "common", in_stock=i % 2 == 0),
            payload=b"",
            pictures=VIEWS,
        )
        for i in range(ROWS)
    ]


def draw_queries(rows: list[Row], kind: str, count: int = 25) -> list[Query]:
    """Questions near to what is there; each leaves the parts of which it does not know zero."""
    numbers = np.random.default_rng(6)

    def near(names: tuple[str, ...]) -> Parts:
        parts = SPACE.split(rows[numbers.integers(ROWS)].vector)
        return {name: unit(parts[name] + 0.5 * unit(numbers.normal(size=parts[name].size))) for name in names}

    return [
        build_query(
            SPACE,
            image=near(("look", "colour")) if "picture" in kind else None,
            text=near(("meaning", "words")) if "sentence" in kind else None,
        )
        for _ in range(count)
    ]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def catalog(milvus_server: MilvusServer) -> AsyncIterator[Catalog]:
    rows = draw_rows(np.random.default_rng(5))
    with name_collection(milvus_server.uri) as name:
        store = MilvusStore(milvus_server.uri, name)
        await store.create(SPACE, timeout=TIMEOUT)
        for start in range(0, ROWS, BATCH):
            await store.upsert(rows[start : start + BATCH], timeout=TIMEOUT)
        await store.flush(timeout=TIMEOUT)
        end = time.monotonic() + SETTLED_WITHIN
        while not await store.is_settled(timeout=TIMEOUT):
            assert time.monotonic() < end
            await asyncio.sleep(0.2)
        client = MilvusClient(milvus_server.uri, timeout=TIMEOUT)
        yield Catalog(store, client, name, rows)
        client.close()
        await store.close()


@pytest.mark.parametrize("kind", ["picture", "sentence", "picture and sentence"])
async def test_recall(catalog: Catalog, kind: str) -> None:
    """Of the ten nearest rows 0.99 are found or more, whatever parts the question leaves zero."""
    shares = []
    for query in draw_queries(catalog.rows, kind):
        matches = await catalog.store.search(query.vector, limit=10, filter=Filter(), timeout=TIMEOUT)
        shares.append(catalog.recall([match.dot for match in matches], query, Filter()))
    assert np.mean(shares) >= RECALL


@pytest.mark.parametrize("filter", FILTERS.values(), ids=FILTERS)
async def test_recall_under_filters(catalog: Catalog, filter: Filter) -> None:
    """A filter takes nothing from the recall, be it strict or lax."""
    shares = []
    for query in draw_queries(catalog.rows, "picture", count=10):
        matches = await catalog.store.search(query.vector, limit=10, filter=filter, timeout=TIMEOUT)
        shares.append(catalog.recall([match.dot for match in matches], query, filter))
    assert np.mean(shares) >= RECALL


async def test_as_many_rows_as_milvus_gives(catalog: Catalog) -> None:
    """A search gives up to 16,384 different rows, in the order of their inner products."""
    (query,) = draw_queries(catalog.rows, "picture", count=1)
    matches = await catalog.store.search(query.vector, limit=MAX_ROWS, filter=Filter(), timeout=TIMEOUT)
    assert len({match.key for match in matches}) == MAX_ROWS
    dots = [match.dot for match in matches]
    assert dots == sorted(dots, reverse=True)
    assert await catalog.store.count(timeout=TIMEOUT) == ROWS


async def test_index(catalog: Catalog) -> None:
    """A settled collection is searched by its HNSW index over inner products, in which all its rows are."""
    index = catalog.client.describe_index(catalog.alias, index_name="vector", timeout=TIMEOUT)
    assert (index["index_type"], index["metric_type"], index["state"]) == ("HNSW", "IP", "Finished")
    (segment,) = catalog.client.list_loaded_segments(
        catalog.client.describe_collection(catalog.alias, timeout=TIMEOUT)["collection_name"], timeout=TIMEOUT
    )
    assert (segment.index_name, segment.num_rows) == ("vector", ROWS)
