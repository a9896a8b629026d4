"""What every GenerationStore promises, asked of the fake, of Milvus Lite and of a Milvus server."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from fakes import FAKE_SPACE, FakeStore, unit
from milvus_fixtures import name_collection
from sosie.engine.errors import InputError, NoIndexError, SpaceMismatchError
from sosie.engine.generations import GenerationStore, State
from sosie.engine.milvus import MilvusStore
from sosie.engine.space import EmbeddingSpace, Part
from sosie.engine.store import Facets, Filter, Row, VectorStore

TIMEOUT = 30.0
OTHER_SPACE = EmbeddingSpace("other-000000000001", (Part("look", 5, image_weight=1.0),), "look", 1.0)


def make_rows(count: int, *, space: EmbeddingSpace = FAKE_SPACE, shop: str = "shop") -> list[Row]:
    """Rows with keys of hexadecimal digits, in no order."""
    numbers = np.random.default_rng(count)
    return [
        Row(
            key=numbers.bytes(16).hex(),
            product_key=f"{i // 2:032}",
            position=i % 2,
            vector=unit(numbers.normal(size=space.size)),
            facets=Facets(shop),
            payload=f"payload {i}".encode(),
            content=f"c{i}",
            meta=f"m{i}",
            pictures=2,
        )
        for i in range(count)
    ]


async def fill(store: VectorStore, rows: Sequence[Row]) -> None:
    await store.upsert(rows, timeout=TIMEOUT)


async def states(store: GenerationStore) -> list[tuple[str, State, int]]:
    return [(each.collection.name, each.state, each.rows) for each in await store.generations(timeout=TIMEOUT)]


KINDS = ["fake", "lite", pytest.param("server", marks=pytest.mark.slow)]
QUICK = KINDS[:2]
"""Those that make a collection in less than seconds."""


@pytest_asyncio.fixture(params=KINDS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[GenerationStore]:
    """A store without a collection."""
    if request.param == "fake":
        yield FakeStore()
        return
    uri = str(tmp_path / "test.db") if request.param == "lite" else request.getfixturevalue("milvus_server").uri
    with name_collection(uri) as name:
        made = MilvusStore(uri, name)
        yield made
        await made.close()


async def test_the_life_of_a_collection(store: GenerationStore) -> None:
    """A collection is made beside the live one, takes its place, gives it back, and is dropped; each is listed."""
    assert await states(store) == []
    with pytest.raises(NoIndexError):
        await store.live(timeout=TIMEOUT)
    await store.create(FAKE_SPACE, timeout=TIMEOUT)
    await fill(store, make_rows(4))
    first = await store.live(timeout=TIMEOUT)
    second = await store.begin(OTHER_SPACE, timeout=TIMEOUT)
    await fill(store.at(second.name), make_rows(6, space=OTHER_SPACE))
    assert await states(store) == [(first.name, State.LIVE, 4), (second.name, State.BUILDING, 6)]
    assert (first.space, second.space) == (FAKE_SPACE, OTHER_SPACE)
    assert first.identity != second.identity
    assert await store.space(timeout=TIMEOUT) == FAKE_SPACE

    await store.switch(second.name, timeout=TIMEOUT)
    assert await states(store) == [(second.name, State.LIVE, 6), (first.name, State.PREVIOUS, 4)]
    assert await store.live(timeout=TIMEOUT) == second
    assert await store.count(timeout=TIMEOUT) == 6
    found = await store.search(np.ones(OTHER_SPACE.size, np.float32), limit=9, filter=Filter(), timeout=TIMEOUT)
    assert len(found) == 6

    await store.switch(first.name, timeout=TIMEOUT)
    await store.switch(first.name, timeout=TIMEOUT)
    assert await states(store) == [(first.name, State.LIVE, 4), (second.name, State.PREVIOUS, 6)]

    await store.drop(second.name, timeout=TIMEOUT)
    assert await states(store) == [(first.name, State.LIVE, 4)]


@pytest.mark.parametrize("store", QUICK, indirect=True)
async def test_what_is_left_over_is_listed(store: GenerationStore) -> None:
    """What was begun and never became live, and what was live before the previous one, are orphans."""
    names = []
    for _ in range(3):
        names.append((await store.begin(FAKE_SPACE, timeout=TIMEOUT)).name)
        await store.switch(names[-1], timeout=TIMEOUT)
    abandoned = (await store.begin(FAKE_SPACE, timeout=TIMEOUT)).name
    building = (await store.begin(FAKE_SPACE, timeout=TIMEOUT)).name
    oldest, previous, live = names
    listed = await states(store)
    assert listed[:3] == [(live, State.LIVE, 0), (previous, State.PREVIOUS, 0), (building, State.BUILDING, 0)]
    assert {name for name, _, _ in listed[3:]} == {oldest, abandoned}
    assert {state for _, state, _ in listed[3:]} == {State.ORPHAN}
    for name in (oldest, abandoned, building, previous):
        await store.drop(name, timeout=TIMEOUT)
    assert await states(store) == [(live, State.LIVE, 0)]


async def test_the_live_collection_is_not_dropped(store: GenerationStore) -> None:
    """The live collection is refused to whoever would drop it, and so is what the alias does not have."""
    await store.create(FAKE_SPACE, timeout=TIMEOUT)
    name = (await store.live(timeout=TIMEOUT)).name
    with pytest.raises(InputError, match=name):
        await store.drop(name, timeout=TIMEOUT)
    for ask in (store.drop, store.switch):
        with pytest.raises(NoIndexError, match="elsewhere"):
            await ask("elsewhere", timeout=TIMEOUT)
    assert [state for _, state, _ in await states(store)] == [State.LIVE]


async def test_a_collection_of_ones_own(store: GenerationStore) -> None:
    """A store that is at a collection stays there, makes none, and says so once it is dropped."""
    await store.create(FAKE_SPACE, timeout=TIMEOUT)
    await fill(store, make_rows(4))
    first = await store.live(timeout=TIMEOUT)
    bound = store.at(first.name)
    second = await store.begin(FAKE_SPACE, timeout=TIMEOUT)
    await store.switch(second.name, timeout=TIMEOUT)
    await bound.close()
    assert await store.count(timeout=TIMEOUT) == 0
    assert await bound.count(timeout=TIMEOUT) == 4
    assert await bound.probe(timeout=TIMEOUT) == FAKE_SPACE
    with pytest.raises(SpaceMismatchError):
        await bound.create(OTHER_SPACE, timeout=TIMEOUT)
    await store.drop(first.name, timeout=TIMEOUT)
    vector = np.ones(FAKE_SPACE.size, np.float32)
    for ask in (
        bound.search(vector, limit=1, filter=Filter(), timeout=TIMEOUT),
        bound.fetch(["0"], timeout=TIMEOUT),
        bound.probe(timeout=TIMEOUT),
        bound.create(FAKE_SPACE, timeout=TIMEOUT),
    ):
        with pytest.raises(NoIndexError):
            await ask


@pytest.mark.parametrize("store", QUICK, indirect=True)
async def test_a_name_that_is_used_again(store: GenerationStore) -> None:
    """A collection tells itself from every other one, also from one of the same space made before it."""
    seen = set()
    for _ in range(2):
        collection = await store.begin(FAKE_SPACE, timeout=TIMEOUT)
        assert await store.at(collection.name).space(timeout=TIMEOUT) == FAKE_SPACE
        seen.add(collection.identity)
        await store.drop(collection.name, timeout=TIMEOUT)
    assert len(seen) == 2
    assert "" not in seen


async def test_pages(store: GenerationStore) -> None:
    """Pages give every row once, by its key, also where rows were replaced and deleted in between."""
    await store.create(FAKE_SPACE, timeout=TIMEOUT)
    ours, theirs = make_rows(300), make_rows(301, shop="another shop")[:300]
    for half in (slice(150), slice(150, 300)):  # a server has them in several segments
        await fill(store, [*ours[half], *theirs[half]])
        await store.flush(timeout=TIMEOUT)
    await fill(store, [replace(row, content="new", meta="new") for row in ours[::7]])
    await store.delete([row.key for row in ours[::11]], timeout=TIMEOUT)
    left = [row.key for i, row in enumerate(ours) if i % 11]
    everything = sorted([*left, *(row.key for row in theirs)])
    for limit, passing, expected in (
        (100, None, everything),
        (16_384, None, everything),
        (150, Filter(shops=("shop",)), sorted(left)),
        (len(left), Filter(shops=("shop",)), sorted(left)),
    ):
        seen: list[str] = []
        page = await store.page(limit=limit, filter=passing, timeout=TIMEOUT)
        while page:
            assert len(page) <= limit
            seen += [held.key for held in page]
            page = (
                await store.page(after=page[-1].key, limit=limit, filter=passing, timeout=TIMEOUT)
                if len(page) == limit
                else []
            )
        assert seen == expected
    assert await store.count(filter=Filter(shops=("shop",)), timeout=TIMEOUT) == len(left)
    assert await store.count(timeout=TIMEOUT) == len(everything)
    row = min((row for i, row in enumerate(ours) if i % 7 == 0 and i % 11), key=lambda row: row.key)
    (held,) = [held for held in await store.page(limit=700, timeout=TIMEOUT) if held.key == row.key]
    assert held == (row.key, row.product_key, "new", "new")
    assert await store.payloads([row.key, "absent"], timeout=TIMEOUT) == {row.key: row.payload}
    assert await store.payloads([], timeout=TIMEOUT) == {}
