"""`--prune`: which rows go, and when none does."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format

from fakes import FAKE_SPACE, FakeStore
from indexer_fixtures import FAST, make_product
from sosie.engine.store import Facets, Row, picture_key, product_key
from sosie.indexer.entry import Entry
from sosie.indexer.rejects import Reject
from sosie.indexer.retries import Retrier
from sosie.indexer.target import losses
from sosie.indexer.target.errors import RefusedError, StoppedError
from sosie.indexer.target.listed import Listed
from sosie.indexer.target.pruning import Pruned, Pruner
from sosie.v1 import product_pb2

TIMEOUT = 5.0


def make_entry(number: int = 0, *, shop: str = "norden", views: int = 1) -> Entry:
    raw = {**make_product(number, views), "shop": shop}
    return Entry(number + 1, json_format.ParseDict(raw, product_pb2.Product()))


def make_row(number: int, view: int = 0, shop: str = "norden") -> Row:
    """A row of that picture of `make_entry(number, shop=shop)`."""
    product = f"p{number}"
    return Row(
        key=picture_key(shop, product, f"v{view}"),
        product_key=product_key(shop, product),
        position=view,
        vector=np.zeros(FAKE_SPACE.size, np.float32),
        facets=Facets(shop),
        payload=product_pb2.Product(shop=shop, product_id=product).SerializeToString(),
    )


async def make_store(*rows: Row) -> FakeStore:
    store = FakeStore()
    await store.create(FAKE_SPACE, timeout=TIMEOUT)
    await store.upsert(rows, timeout=TIMEOUT)
    return store


@pytest.fixture
def listed() -> Iterator[Listed]:
    made = Listed()
    yield made
    made.close()


def read(listed: Listed, *found: Entry | Reject) -> None:
    """Reads a catalog of these to its end."""
    assert list(listed.watch(found)) == list(found)


async def prune(store: FakeStore, listed: Listed, percent: float = 100.0, left: tuple[str, ...] = ()) -> Pruned:
    retrier = Retrier(FAST, asyncio.Event())
    pruner = Pruner(store=store, listed=listed, left=left, retrier=retrier, timeout=TIMEOUT)
    return await pruner.prune(percent)


async def test_what_the_catalog_lacks_goes(listed: Listed) -> None:
    """Pictures and products that are no longer listed are deleted, and counted; all others stay."""
    store = await make_store(make_row(0, 0), make_row(0, 1), make_row(1), make_row(2))
    read(listed, make_entry(0), make_entry(2), make_entry(3))
    pruned = await prune(store, listed)
    assert set(store.rows) == {make_row(0).key, make_row(2).key}
    assert pruned.as_dict() == {
        "rows": 2,
        "shops": [{"shop": "norden", "rows": 4, "gone": 2, "left": False}],
        "other_shops_rows": 0,
    }


async def test_a_complete_catalog_costs_nothing(listed: Listed) -> None:
    """Where all is listed nothing is deleted."""
    store = await make_store(make_row(0))
    read(listed, make_entry(0))
    assert (await prune(store, listed, 0.0)).rows == 0
    assert len(store.rows) == 1


async def test_other_shops_are_left_alone(listed: Listed) -> None:
    """A catalog of one shop deletes nothing of the others, and says how many rows those have."""
    store = await make_store(make_row(0), make_row(1), make_row(0, shop="sud"), make_row(1, shop="sud"))
    read(listed, make_entry(0))
    pruned = await prune(store, listed)
    assert {row.facets.shop for row in store.rows.values()} == {"norden", "sud"}
    assert (pruned.rows, pruned.other) == (1, 2)


async def test_a_shop_that_left_goes_when_it_is_named(listed: Listed) -> None:
    """All rows of a shop that is named as gone are deleted, whatever --max-prune says."""
    store = await make_store(make_row(0), make_row(0, shop="sud"), make_row(1, shop="sud"))
    read(listed, make_entry(0))
    pruned = await prune(store, listed, 0.0, left=("sud",))
    assert {row.facets.shop for row in store.rows.values()} == {"norden"}
    assert [loss.left for loss in pruned.losses] == [True]


async def test_a_named_shop_that_is_there_is_judged_as_any(listed: Listed) -> None:
    """A shop that is named as gone, but that the catalog has, may not lose more than others."""
    store = await make_store(make_row(0), make_row(1))
    read(listed, make_entry(0))
    with pytest.raises(RefusedError, match="1 of 2 pictures of 'norden'"):
        await prune(store, listed, 10.0, left=("norden",))
    assert len(store.rows) == 2


async def test_each_shop_is_judged_alone(listed: Listed) -> None:
    """A small shop that lost half its rows stops the deletion, however few they are of all; the shop is named."""
    large = [make_row(number) for number in range(100)]
    store = await make_store(*large, make_row(0, shop="sud"), make_row(1, shop="sud"))
    read(listed, *(make_entry(number) for number in range(99)), make_entry(0, shop="sud"))
    with pytest.raises(RefusedError) as refused:
        await prune(store, listed, 10.0)
    assert "1 of 2 pictures of 'sud' (50%), more than --max-prune 10%" in str(refused.value)
    assert "norden" not in str(refused.value)
    assert len(store.rows) == 102


async def test_a_share_at_the_limit_is_allowed(listed: Listed) -> None:
    """--max-prune is the greatest share that may go."""
    store = await make_store(*(make_row(number) for number in range(10)))
    read(listed, *(make_entry(number) for number in range(9)))
    assert (await prune(store, listed, 10.0)).rows == 1


async def test_a_message_has_an_end(listed: Listed) -> None:
    """Of many shops that lose too much the five worst are named, and the others counted."""
    shops = [f"shop{number}" for number in range(7)]
    store = await make_store(*(make_row(number, shop=shop) for shop in shops for number in range(2)))
    read(listed, *(make_entry(0, shop=shop) for shop in shops))
    with pytest.raises(RefusedError, match=r"'shop4' \(50%\) and 2 of 2 more shops"):
        await prune(store, listed, 10.0)


async def test_a_rejected_product_stays(listed: Listed) -> None:
    """A product whose line is at fault keeps all of its rows."""
    store = await make_store(make_row(0), make_row(1, 0), make_row(1, 1))
    read(listed, make_entry(0), Reject(2, "title is missing", "title", "norden", "p1"))
    assert (await prune(store, listed)).rows == 0


async def test_a_rejected_second_line_protects_nothing(listed: Listed) -> None:
    """Of a product with a valid line, what that line does not list goes, whatever another line of it says."""
    store = await make_store(make_row(0, 0), make_row(0, 1))
    repeated = Reject(1, "product_id is also that of line 2", "product_id", "norden", "p0")
    read(listed, repeated, make_entry(0), repeated)
    assert (await prune(store, listed)).rows == 1


async def test_lines_without_a_name_stop_it(listed: Listed) -> None:
    """Where a line cannot be told from any product's, nothing is deleted."""
    store = await make_store(make_row(0), make_row(1))
    read(listed, make_entry(0), Reject(2, "is not a JSON object"))
    with pytest.raises(RefusedError, match="1 lines of the catalog name no product"):
        await prune(store, listed)
    assert len(store.rows) == 2


async def test_half_a_catalog_stops_it(listed: Listed) -> None:
    """A catalog that was not read to its end deletes nothing."""
    store = await make_store(make_row(0), make_row(1))
    reading = iter(listed.watch([make_entry(0), make_entry(1)]))
    next(reading)
    with pytest.raises(RefusedError, match="not read to its end"):
        await prune(store, listed)
    assert len(store.rows) == 2


async def test_it_stops_between_two_pages(listed: Listed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is to end deletes nothing further, and the next one deletes the rest."""
    monkeypatch.setattr(losses, "PAGE", 10)
    store = await make_store(*(make_row(number) for number in range(50)))
    read(listed, make_entry(0))
    stopping = asyncio.Event()
    deleted = store.delete

    async def delete(keys: Sequence[str], *, timeout: float) -> None:
        stopping.set()
        await deleted(keys, timeout=timeout)

    with monkeypatch.context() as patch:
        patch.setattr(store, "delete", delete)
        pruner = Pruner(store=store, listed=listed, left=(), retrier=Retrier(FAST, stopping), timeout=TIMEOUT)
        with pytest.raises(StoppedError):
            await pruner.prune(100.0)
    left = len(store.rows)
    assert 1 < left < 50
    assert (await prune(store, listed)).rows == left - 1


async def test_pages_are_seen_whole(listed: Listed, monkeypatch: pytest.MonkeyPatch) -> None:
    """More rows than a page has, and more products than are noted at once, are all looked at."""
    monkeypatch.setattr(losses, "PAGE", 64)
    count = 2500
    store = await make_store(*(make_row(number) for number in range(count)))
    read(listed, *(make_entry(number) for number in range(0, count, 2)))
    assert (await prune(store, listed, 50.0)).rows == count // 2
    assert set(store.rows) == {make_row(number).key for number in range(0, count, 2)}


def test_shops_are_those_with_a_valid_product(listed: Listed) -> None:
    """A shop all of whose lines are at fault is none of the catalog's."""
    lines: list[Any] = [Reject(1, "x", "title", "ost", "p1"), make_entry(0, shop="sud"), make_entry(1, shop="Ünï\n")]
    read(listed, *lines)
    assert listed.shops() == ["sud", "Ünï\n"]
    assert listed.nameless == 0
