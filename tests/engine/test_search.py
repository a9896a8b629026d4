"""From a query to products, over a store that counts its questions."""

import numpy as np

from fakes import FAKE_SPACE, FakeStore
from sosie.engine.search import Wanted, find
from sosie.engine.space import Query, Vector
from sosie.engine.store import Facets, Filter, Match, Row
from sosie.engine.timing import StepTimes


def vector_at(cosine: float) -> Vector:
    """A row whose look has this cosine with the query's."""
    vector = np.zeros(FAKE_SPACE.size, np.float32)
    vector[0], vector[1] = cosine, np.sqrt(1 - cosine**2)
    return vector


QUERY = Query(FAKE_SPACE, 2 * vector_at(1.0), {"look": 2.0})


class CountingStore(FakeStore):
    def __init__(self) -> None:
        super().__init__()
        self.limits: list[int] = []

    async def search(self, vector: Vector, *, limit: int, filter: Filter, timeout: float) -> list[Match]:
        self.limits.append(limit)
        return await super().search(vector, limit=limit, filter=filter, timeout=timeout)


async def make_store(products: dict[str, list[float]]) -> CountingStore:
    """Products with a picture at each of these cosines."""
    store = CountingStore()
    await store.create(FAKE_SPACE, timeout=1)
    await store.upsert(
        [
            Row(f"{product}-{i}", product, i, vector_at(cosine), Facets("shop"), f"{product}".encode())
            for product, cosines in products.items()
            for i, cosine in enumerate(cosines)
        ],
        timeout=1,
    )
    return store


async def search(store: FakeStore, wanted: Wanted) -> list[tuple[str, list[float]]]:
    """Products with their pictures' scores."""
    hits = await find(store, QUERY, wanted, timeout=1, steps=StepTimes())
    return [(hit.best.product_key, [round(p.score, 4) for p in hit.pictures]) for hit in hits]


async def test_products_once_with_all_their_pictures() -> None:
    """Each product is one hit, at its best picture's place, with all its pictures' scores."""
    store = await make_store({"a": [0.5, 0.9], "b": [0.8], "c": [0.1, 0.2]})
    assert await search(store, Wanted()) == [("a", [0.9, 0.5]), ("b", [0.8]), ("c", [0.2, 0.1])]


async def test_over_fetch_grows_until_there_are_enough_products() -> None:
    """A product with many pictures does not push the others out of the answer."""
    store = await make_store({"crowd": list(np.linspace(0.95, 0.8, 60)), "b": [0.5], "c": [0.4], "d": [0.01]})
    found = await search(store, Wanted(top_k=3))
    assert [product for product, _ in found] == ["crowd", "b", "c"]
    assert store.limits == [12, 48, 192]


async def test_all_pictures_of_the_chosen_products() -> None:
    """Pictures beyond the first fetch are among a hit's pictures too."""
    store = await make_store({f"p{i}": [0.9 - i / 100, 0.1] for i in range(30)})
    found = await search(store, Wanted(top_k=2))
    assert found == [("p0", [0.9, 0.1]), ("p1", [0.89, 0.1])]


async def test_nothing_in_common_is_no_hit() -> None:
    """Rows at or below a score of 0 are never given, and min_score cuts above that."""
    store = await make_store({"a": [0.6, 0.2], "b": [0.0], "c": [-0.5], "d": [0.3]})
    assert await search(store, Wanted()) == [("a", [0.6, 0.2]), ("d", [0.3])]
    assert await search(store, Wanted(min_score=0.25)) == [("a", [0.6]), ("d", [0.3])]
    assert await search(store, Wanted(min_score=0.7)) == []
    assert await search(store, Wanted(group_by_product=False, min_score=0.25)) == [("a", [0.6]), ("d", [0.3])]


async def test_empty_collection() -> None:
    """An empty collection answers with nothing."""
    assert await search(await make_store({}), Wanted()) == []


async def test_ties_are_stable() -> None:
    """Rows of the same score come in the order of their keys, whatever order the store gives."""
    products = {name: [0.5] for name in "qwertyuiop"}
    found = await search(await make_store(products), Wanted())
    again = await search(await make_store(dict(reversed(products.items()))), Wanted())
    assert found == again
    assert [product for product, _ in found] == sorted(products)


async def test_ungrouped_asks_once() -> None:
    """Without grouping just top_k rows are asked for."""
    store = await make_store({"a": [0.9, 0.8, 0.7], "b": [0.6]})
    assert [product for product, _ in await search(store, Wanted(top_k=2, group_by_product=False))] == ["a", "a"]
    assert store.limits == [2]


async def test_explain() -> None:
    """On request each hit's best picture says what its parts gave."""
    store = await make_store({"a": [0.9, 0.2]})
    (hit,) = await find(store, QUERY, Wanted(explain=True), timeout=1, steps=StepTimes())
    assert {part: (round(share, 4), round(cosine, 4)) for part, (share, cosine) in hit.shares.items()} == {
        "look": (0.9, 0.9)
    }
