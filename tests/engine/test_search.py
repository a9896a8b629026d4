"""From a query to products, over a store that counts its questions."""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter

import numpy as np
import pytest

from fakes import FAKE_SPACE, FakeStore
from sosie.engine.search import Breadth, Wanted, find
from sosie.engine.space import Query, Vector
from sosie.engine.store import MAX_ROWS, Facets, Filter, Match, Row
from sosie.engine.timing import StepTimes


def vector_at(cosine: float) -> Vector:
    """A row whose look has this cosine with the query's."""
    vector = np.zeros(FAKE_SPACE.size, np.float32)
    vector[0], vector[1] = cosine, np.sqrt(1 - cosine**2)
    return vector


QUERY = Query(FAKE_SPACE, 2 * vector_at(1.0), {"look": 2.0})


class CountingStore(FakeStore):
    """Notes the limit of each search; `arrange` is the order in which it gives rows of the same inner product."""

    def __init__(self, arrange: Callable[[Match], object] = attrgetter("key")) -> None:
        super().__init__()
        self.limits: list[int] = []
        self.arrange = arrange

    async def search(self, vector: Vector, *, limit: int, filter: Filter, timeout: float) -> list[Match]:
        self.limits.append(limit)
        matches = await super().search(vector, limit=len(self.rows), filter=filter, timeout=timeout)
        return sorted(matches, key=lambda match: (-match.dot, self.arrange(match)))[:limit]


async def make_store(
    products: Mapping[str, Sequence[float]],
    *,
    told: bool = False,
    arrange: Callable[[Match], object] = attrgetter("key"),
) -> CountingStore:
    """Products with a picture at each of these cosines; `told` says whether rows tell how many there are."""
    store = CountingStore(arrange)
    await store.create(FAKE_SPACE, timeout=1)
    await store.upsert(
        [
            Row(
                f"{product}-{i}",
                product,
                i,
                vector_at(cosine),
                Facets("shop"),
                f"{product}".encode(),
                pictures=len(cosines) if told else 0,
            )
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


async def test_one_search_where_rows_tell_that_all_are_there() -> None:
    """Products all of whose pictures were among the first rows need no second search."""
    store = await make_store({f"p{i}": [0.9 - i / 100, 0.895 - i / 100] for i in range(30)}, told=True)
    found = await search(store, Wanted(top_k=5))
    assert found[4] == ("p4", [0.86, 0.855])
    assert store.limits == [20]


async def test_two_searches_where_a_picture_is_missing() -> None:
    """One question more, for just the products that lack pictures, fetches what the first rows did not hold."""
    products = {f"p{i:02}": [0.9 - i / 100] for i in range(30)}
    store = await make_store({**products, "p01": [0.89, 0.1]}, told=True)
    found = await search(store, Wanted(top_k=3))
    assert found == [("p00", [0.9]), ("p01", [0.89, 0.1]), ("p02", [0.88])]
    assert store.limits == [12, 64]


async def test_min_score_saves_the_second_search() -> None:
    """Where the first rows reach below min_score, all that is above is among them."""
    store = await make_store({f"p{i}": [0.9 - i / 10, 0.1] for i in range(5)})
    assert await search(store, Wanted(top_k=3, min_score=0.65)) == [("p0", [0.9]), ("p1", [0.8]), ("p2", [0.7])]
    assert store.limits == [12]


async def test_products_behind_more_rows_than_one_search_gives() -> None:
    """A product that owns the first 16,384 rows hides no other: the rest is asked for without it."""
    store = await make_store({"b": [0.5], "c": [0.4, 0.3], "d": [0.35]}, told=True)
    crowd = vector_at(0.9)
    rows = [Row(f"crowd-{i:05}", "crowd", i, crowd, Facets("shop"), b"") for i in range(MAX_ROWS + 10)]
    await store.upsert(rows, timeout=1)
    hits = await find(store, QUERY, Wanted(top_k=3), timeout=60, steps=StepTimes())
    assert [hit.best.product_key for hit in hits] == ["crowd", "b", "c"]
    assert [picture.key for picture in hits[2].pictures] == ["c-0", "c-1"]
    assert store.limits == [12, 48, 192, 768, 3072, 12288, MAX_ROWS, MAX_ROWS]
    assert len(hits[0].pictures) == 64  # what a product can have


async def test_breadth_is_learnt() -> None:
    """Where products have one picture each, searches come to ask for one row more than the products wanted."""
    store = await make_store({f"p{i:02}": [0.9 - i / 100] for i in range(60)}, told=True)
    breadth = Breadth()
    for _ in range(40):
        hits = await find(store, QUERY, Wanted(), timeout=1, steps=StepTimes(), breadth=breadth)
        assert [hit.best.product_key for hit in hits] == [f"p{i:02}" for i in range(10)]
    assert store.limits[0] == 40
    assert store.limits[-1] == 12
    assert len(store.limits) == 40


async def test_breadth_grows_again() -> None:
    """A breadth learnt from other products costs a search, and no hit."""
    store = await make_store({f"p{i}": [0.9 - i / 10 - j / 100 for j in range(6)] for i in range(6)}, told=True)
    breadth = Breadth()
    for _ in range(40):
        breadth.learn(3, 3)
    hits = await find(store, QUERY, Wanted(top_k=3), timeout=1, steps=StepTimes(), breadth=breadth)
    assert [(hit.best.product_key, len(hit.pictures)) for hit in hits] == [("p0", 6), ("p1", 6), ("p2", 6)]
    assert store.limits == [5, 20]


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


@pytest.mark.parametrize("grouped", [True, False])
async def test_ties_are_stable(*, grouped: bool) -> None:
    """Of rows that tie across the last place the same ones are given, whatever order the store gives them in."""
    products = {f"p{i:03}": [0.5] for i in range(100)} | {"best": [0.9]}
    answers = []
    for arrange in (attrgetter("key"), lambda match: match.key[::-1], lambda match: -int(match.key.encode().hex(), 16)):
        store = await make_store(products, arrange=arrange)
        answers.append([product for product, _ in await search(store, Wanted(top_k=5, group_by_product=grouped))])
    assert answers == [["best", "p000", "p001", "p002", "p003"]] * 3


async def test_rows_that_differ_by_rounding_tie() -> None:
    """Inner products as near to each other as float32 can tell them are the same, in order and in score."""
    store = await make_store({"b": [0.5], "a": [np.nextafter(np.float32(0.5), 0)], "c": [0.4999]})
    hits = await find(store, QUERY, Wanted(), timeout=1, steps=StepTimes())
    assert [hit.best.key for hit in hits] == ["a-0", "b-0", "c-0"]
    assert hits[0].best.score == hits[1].best.score > hits[2].best.score


async def test_ungrouped_asks_once() -> None:
    """Without grouping one row more than top_k is asked for, to see that the last one does not tie."""
    store = await make_store({"a": [0.9, 0.8, 0.7], "b": [0.6]})
    assert [product for product, _ in await search(store, Wanted(top_k=2, group_by_product=False))] == ["a", "a"]
    assert store.limits == [3]


async def test_explain() -> None:
    """On request each hit's best picture says what its parts gave."""
    store = await make_store({"a": [0.9, 0.2]})
    (hit,) = await find(store, QUERY, Wanted(explain=True), timeout=1, steps=StepTimes())
    assert {part: (round(share, 4), round(cosine, 4)) for part, (share, cosine) in hit.shares.items()} == {
        "look": (0.9, 0.9)
    }
