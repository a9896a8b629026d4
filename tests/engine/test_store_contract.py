"""What every VectorStore promises, asked of the fake, of Milvus Lite and of a Milvus server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymilvus import MilvusClient

from fakes import FAKE_SPACE, FakeStore, passes, unit
from milvus_fixtures import name_collection
from sosie.engine.errors import NoIndexError, SpaceMismatchError
from sosie.engine.milvus import MilvusStore
from sosie.engine.search import Breadth, Wanted, find
from sosie.engine.space import EmbeddingSpace, Query
from sosie.engine.store import MAX_ROWS, Digests, Facets, Filter, Match, Row, VectorStore, picture_key, product_key
from sosie.engine.timing import StepTimes

AWKWARD = ['"', "'", "\\", "%", "_", "a\nb", "\x1f", "\0", "😀", "ünï", "x' or 1 == 1", "]", "{0}", "k" * 10_000, ""]
TIMEOUT = 10.0


def make_rows(count: int = 120) -> list[Row]:
    """Rows of products of three pictures each, with facets of every kind."""
    random = np.random.default_rng(7)
    vectors = FAKE_SPACE.assemble(
        {part.name: unit(random.normal(size=(count, part.size))) for part in FAKE_SPACE.parts}
    )
    rows = []
    for i in range(count):
        product = str(i // 3)
        facets = Facets(
            shop=f"shop {i // 3 % 2}",
            brand=AWKWARD[i // 3 % len(AWKWARD)] + "Brand",
            category_path=("Men", "Tops", f"T{i % 4}")[: i % 4],
            currency=None if i % 5 == 0 else ("EUR", "USD")[i % 2],
            price_micros=None if i % 5 == 0 else i * 1_000_000,
            in_stock=i % 3 == 0,
            attributes={"colour": AWKWARD[i % len(AWKWARD)], 'k"ey\\': "v"} if i % 7 else {},
        )
        rows.append(
            Row(
                key=picture_key(facets.shop, product, str(i)),
                product_key=product_key(facets.shop, product),
                position=i % 3,
                vector=vectors[i],
                facets=facets,
                payload=f"payload {i}\0".encode(),
                content=f"c{i}",
                meta=f"m{i}",
                pictures=3,
            )
        )
    return rows


KINDS = ["fake", "lite", pytest.param("server", marks=pytest.mark.slow)]


@contextlib.asynccontextmanager
async def open_store(kind: str, request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[VectorStore]:
    if kind == "fake":
        yield FakeStore()
        return
    uri = str(folder / "test.db") if kind == "lite" else request.getfixturevalue("milvus_server").uri
    with name_collection(uri) as name:
        made = MilvusStore(uri, name)
        yield made
        await made.close()


async def fill(store: VectorStore) -> None:
    await store.create(FAKE_SPACE, timeout=TIMEOUT)
    await store.upsert(make_rows(), timeout=TIMEOUT)


@pytest.fixture(params=KINDS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[VectorStore]:
    """A store without a collection."""
    async with open_store(request.param, request, tmp_path) as made:
        yield made


@pytest.fixture
async def filled(store: VectorStore) -> VectorStore:
    """A store with the rows, which a test may change."""
    await fill(store)
    return store


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=KINDS)
async def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[VectorStore]:
    """A store with the rows, for tests that only read: a collection takes a server seconds to make."""
    async with open_store(request.param, request, tmp_path_factory.mktemp("store")) as made:
        await fill(made)
        yield made


@pytest.fixture
async def tied(store: VectorStore) -> VectorStore:
    """A store with 200 equal rows, of a product each, and with others."""
    await store.create(FAKE_SPACE, timeout=TIMEOUT)
    rows = make_rows()
    equal = [replace(rows[0], key=f"{i:032}", product_key=f"{i:032}", pictures=1) for i in range(200)]
    await store.upsert([*equal[::-1], *rows[1:]], timeout=TIMEOUT)
    return store


def with_currency(filter: Filter) -> Filter:
    """The filter as the contract allows it: prices are compared in one currency."""
    priced = filter.min_price_micros is not None or filter.max_price_micros is not None
    return replace(filter, currency="EUR") if priced and filter.currency is None else filter


async def test_search_orders_by_inner_product(shared: VectorStore) -> None:
    """A search gives the rows of the greatest inner product, the greatest first, with their payload."""
    rows = make_rows()
    query = rows[5].vector
    expected = sorted(rows, key=lambda row: -float(query @ row.vector))[:10]
    matches = await shared.search(query, limit=10, filter=Filter(), timeout=TIMEOUT)
    assert [match.key for match in matches] == [row.key for row in expected]
    assert [match.payload() for match in matches] == [row.payload for row in expected]
    assert [match.position for match in matches] == [row.position for row in expected]
    assert {match.pictures for match in matches} == {3}
    assert matches[0].dot == pytest.approx(float(query @ query), abs=1e-4)


FILTERS = [
    Filter(shops=("shop 1",)),
    Filter(shops=("shop 1", "shop 2")),
    Filter(shops=("nowhere",)),
    *(Filter(brands=(value + "bRAND",)) for value in AWKWARD),
    Filter(category_prefix=("Men",)),
    Filter(category_prefix=("Men", "Tops")),
    Filter(category_prefix=("Tops",)),
    Filter(currency="EUR"),
    Filter(currency="EUR", min_price_micros=11_000_000),
    Filter(currency="USD", min_price_micros=11_000_000, max_price_micros=43_000_000),
    Filter(in_stock=True),
    *(Filter(attributes={"colour": value}) for value in AWKWARD),
    Filter(attributes={'k"ey\\': "v", "colour": "%"}),
    Filter(product_keys=(product_key("shop 1", "1"), product_key("shop 0", "2"))),
    Filter(shops=("shop 0",), in_stock=True, currency="EUR", category_prefix=("Men",)),
]


@pytest.mark.parametrize("filter", FILTERS, ids=str)
async def test_filter(shared: VectorStore, filter: Filter) -> None:
    """A search gives just the rows that pass its filter, whatever bytes stand in its values."""
    rows = make_rows()
    matches = await shared.search(rows[0].vector, limit=200, filter=filter, timeout=TIMEOUT)
    assert {match.key for match in matches} == {row.key for row in rows if passes(row, filter)}


@pytest.mark.parametrize("limit", [1, 2, 10, 119, 120, 121, MAX_ROWS])
async def test_limit(shared: VectorStore, limit: int) -> None:
    """A search gives as many rows as it is asked for, and no more than there are."""
    rows = make_rows()
    query = rows[7].vector
    expected = sorted(rows, key=lambda row: -float(query @ row.vector))[:limit]
    matches = await shared.search(query, limit=limit, filter=Filter(), timeout=TIMEOUT)
    assert [match.key for match in matches] == [row.key for row in expected]


def some(values: Sequence[str]) -> st.SearchStrategy[str]:
    """Values that rows have, and any other text."""
    return st.sampled_from(values) | st.text(max_size=20)


PRICES = st.none() | st.integers(0, 130).map(lambda units: units * 1_000_000)
FILTERS_AT_RANDOM = st.builds(
    Filter,
    shops=st.lists(some(["shop 0", "shop 1"]), max_size=3).map(tuple),
    brands=st.lists(some([value + "BRAND" for value in AWKWARD]), max_size=6).map(tuple),
    category_prefix=st.sampled_from([(), ("Men",), ("Men", "Tops"), ("Men", "Tops", "T3"), ("Tops",)])
    | st.lists(st.text(max_size=8), max_size=8).map(tuple),
    currency=st.sampled_from([None, "EUR", "USD", "SEK"]),
    min_price_micros=PRICES,
    max_price_micros=PRICES,
    in_stock=st.booleans(),
    attributes=st.dictionaries(some(["colour", 'k"ey\\']), some([*AWKWARD, "v"]), max_size=3),
    product_keys=st.lists(
        st.sampled_from([product_key(f"shop {i % 2}", str(i)) for i in range(41)]), max_size=41, unique=True
    ).map(tuple),
    other_than=st.lists(
        st.sampled_from([product_key(f"shop {i % 2}", str(i)) for i in range(41)]), max_size=41, unique=True
    ).map(tuple),
).map(with_currency)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(filter=FILTERS_AT_RANDOM, limit=st.sampled_from([1, 5, 200]))
async def test_any_filter(shared: VectorStore, filter: Filter, limit: int) -> None:
    """Whatever is combined in a filter, a search gives the nearest of the rows that pass it."""
    rows = make_rows()
    query = rows[11].vector
    passing = sorted((row for row in rows if passes(row, filter)), key=lambda row: -float(query @ row.vector))
    matches = await shared.search(query, limit=limit, filter=filter, timeout=TIMEOUT)
    assert [match.key for match in matches] == [row.key for row in passing[:limit]]


@pytest.mark.parametrize("grouped", [True, False])
async def test_ties(tied: VectorStore, *, grouped: bool) -> None:
    """Of equal rows across the last place every store gives the same ones: those with the lowest keys."""
    query = Query(FAKE_SPACE, make_rows()[0].vector, {"look": 1.0})
    hits = await find(
        tied, query, Wanted(top_k=7, group_by_product=grouped), timeout=TIMEOUT, steps=StepTimes(), breadth=Breadth()
    )
    assert [hit.best.key for hit in hits] == [f"{i:032}" for i in range(7)]
    assert {hit.best.score for hit in hits} == {hits[0].best.score}


async def test_rows_of_an_earlier_version(filled: VectorStore) -> None:
    """A row that was written without its product's number of pictures keeps its position, and tells 0."""
    row = replace(make_rows()[5], pictures=0, facets=Facets(shop="elsewhere"))
    await filled.upsert([row], timeout=TIMEOUT)
    (match,) = await filled.search(row.vector, limit=1, filter=Filter(shops=("elsewhere",)), timeout=TIMEOUT)
    assert (match.position, match.pictures) == (row.position, 0)


async def test_probe(filled: VectorStore) -> None:
    """A probe gives the space where searches can be answered."""
    assert await filled.probe(timeout=TIMEOUT) == FAKE_SPACE


@pytest.mark.parametrize("store", KINDS[1:], indirect=True)
async def test_a_collection_that_is_not_loaded(filled: VectorStore) -> None:
    """A collection that is on disk alone, as after a restart of its server, is loaded by the first question."""
    assert isinstance(filled, MilvusStore)
    client = MilvusClient(filled.uri, timeout=TIMEOUT)
    client.release_collection(filled.collection, timeout=TIMEOUT)
    client.close()
    assert len(await filled.search(make_rows()[0].vector, limit=5, filter=Filter(), timeout=TIMEOUT)) == 5


async def test_cancelled_searches(shared: VectorStore) -> None:
    """Searches that are cancelled end at once, and leave those beside them and after them alone."""
    query = make_rows()[0].vector

    def ask() -> "asyncio.Task[list[Match]]":
        return asyncio.create_task(shared.search(query, limit=10, filter=Filter(), timeout=TIMEOUT))

    searches = [ask() for _ in range(20)]
    await asyncio.sleep(0)
    gone = [search for search in searches[::2] if search.cancel()]  # a fake has answered by now
    await asyncio.gather(*searches, ask(), return_exceptions=True)
    assert all(search.cancelled() for search in gone)
    assert all(len(search.result()) == 10 for search in searches if search not in gone)


async def test_upsert_replaces(filled: VectorStore) -> None:
    """Writing a row again replaces it, and adds none."""
    row = replace(make_rows()[3], payload=b"new", facets=Facets(shop="elsewhere"), content="c", meta="m")
    await filled.upsert([row], timeout=TIMEOUT)
    (match,) = await filled.search(row.vector, limit=10, filter=Filter(shops=("elsewhere",)), timeout=TIMEOUT)
    assert match.payload() == b"new"
    assert await filled.count(timeout=TIMEOUT) == 120
    assert await filled.digests([row.key], timeout=TIMEOUT) == {row.key: Digests("c", "m")}


async def test_flush_changes_no_answer(filled: VectorStore) -> None:
    """After a flush the same rows are there, with the same neighbours."""
    row = make_rows()[5]
    before = await filled.search(row.vector, limit=20, filter=Filter(), timeout=TIMEOUT)
    await filled.flush(timeout=TIMEOUT)
    after = await filled.search(row.vector, limit=20, filter=Filter(), timeout=TIMEOUT)
    assert [match.key for match in after] == [match.key for match in before]
    assert await filled.count(timeout=TIMEOUT) == 120


async def test_delete(filled: VectorStore) -> None:
    """Deleted rows are gone, and a key that is not there is no error."""
    keys = [row.key for row in make_rows()[:5]]
    await filled.delete([*keys, "absent"], timeout=TIMEOUT)
    assert await filled.count(timeout=TIMEOUT) == 115
    assert await filled.digests(keys, timeout=TIMEOUT) == {}


async def test_fetch(shared: VectorStore) -> None:
    """Fetch gives the vectors of those keys that are there, unchanged."""
    row = make_rows()[8]
    found = await shared.fetch([row.key, "absent"], timeout=TIMEOUT)
    assert list(found) == [row.key]
    np.testing.assert_array_equal(found[row.key], row.vector)


async def test_first_picture(shared: VectorStore) -> None:
    """A product's first picture is the one at the lowest position, and an unknown product has none."""
    assert await shared.first_picture(product_key("shop 1", "1"), timeout=TIMEOUT) == picture_key("shop 1", "1", "3")
    assert await shared.first_picture(product_key("shop 1", "absent"), timeout=TIMEOUT) is None


async def test_nothing_to_do(shared: VectorStore) -> None:
    """Empty batches are no error."""
    await shared.upsert([], timeout=TIMEOUT)
    await shared.delete([], timeout=TIMEOUT)
    assert await shared.fetch([], timeout=TIMEOUT) == {}
    assert await shared.digests([], timeout=TIMEOUT) == {}


async def test_no_collection(store: VectorStore) -> None:
    """Before `create`, every question says that there is no index."""
    with pytest.raises(NoIndexError):
        await store.space(timeout=TIMEOUT)
    with pytest.raises(NoIndexError):
        await store.search(np.ones(31, np.float32), limit=1, filter=Filter(), timeout=TIMEOUT)
    with pytest.raises(NoIndexError):
        await store.count(timeout=TIMEOUT)


async def test_space_is_kept(filled: VectorStore) -> None:
    """A collection tells the space it was built in, takes `create` again and refuses another space by name."""
    assert await filled.space(timeout=TIMEOUT) == FAKE_SPACE
    await filled.create(FAKE_SPACE, timeout=TIMEOUT)
    assert await filled.count(timeout=TIMEOUT) == 120
    other = EmbeddingSpace("other-1", FAKE_SPACE.parts, "meaning", 1.0)
    with pytest.raises(SpaceMismatchError, match=r"fake-000000000001.*other-1"):
        await filled.create(other, timeout=TIMEOUT)
