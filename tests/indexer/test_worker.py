"""A node's worker, in this process: the local job over partitions."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

from fakes import FakeEncoder, FakeStore
from indexer_fixtures import FAST, SmallShop, WordTokenizer, make_shop, run_job
from sosie.engine.errors import BackendError
from sosie.engine.inference import Pictures
from sosie.engine.space import Parts
from sosie.indexer.catalog import Catalog
from sosie.indexer.cleaning.clean_catalog import CleaningOptions
from sosie.indexer.cluster import worker as module
from sosie.indexer.cluster.books import Books
from sosie.indexer.cluster.worker import Work, Worker
from sosie.indexer.job import JobOptions
from sosie.indexer.opening import Backends, SetupError

Open: TypeAlias = Callable[[FakeEncoder], Worker]


class BrokenEncoder(FakeEncoder):
    """Takes no pictures."""

    async def encode_images(self, pictures: Pictures, *, timeout: float) -> Parts:
        raise BackendError("the model has\nno memory left")


@pytest.fixture
def shop(tmp_path: Path) -> SmallShop:
    """A shop that says again what one of its products is, in another partition."""
    shop = make_shop(tmp_path, count=9)
    shop.products.append({**shop.products[0], "title": "Another boot"})
    shop.save()
    return shop


@pytest.fixture
async def store() -> FakeStore:
    store = FakeStore()
    await store.create(FakeEncoder().space, timeout=1)
    return store


@pytest.fixture
async def make_worker(shop: SmallShop, store: FakeStore, monkeypatch: pytest.MonkeyPatch) -> Open:
    """A worker over the shop, with this encoder."""
    collection = await store.live(timeout=1)

    def make(encoder: FakeEncoder) -> Worker:
        @asynccontextmanager
        async def open_fakes(backends: Backends, *, timeout: float) -> AsyncIterator[tuple[FakeEncoder, FakeStore]]:
            if backends.triton == "nowhere":
                raise SetupError("cannot use Triton at nowhere")
            yield encoder, store

        monkeypatch.setattr(module, "open_backends", open_fakes)
        monkeypatch.setattr(module, "open_tokenizer", lambda models, encoder, with_words: WordTokenizer())
        return Worker(make_work(shop, collection.name))

    return make


def make_work(shop: SmallShop, collection: str, **differing: Any) -> Work:
    fields: dict[str, Any] = {
        "catalog": shop.catalog,
        "images": shop.images,
        "models": shop.folder,
        "backends": Backends("triton", "store", "sosie"),
        "collection": collection,
        "options": JobOptions(batch=4, in_flight=2, threads=2, timeout=5.0, backoff=FAST),
        "cleaning": CleaningOptions(),
    }
    return Work(**{**fields, **differing})


async def index(worker: Worker, shop: SmallShop) -> list[Books]:
    """The books of each partition, of about three products."""
    assert await worker.open() == ""
    catalog = Catalog(shop.catalog)
    repeats = catalog.find_repeats()
    pieces = catalog.cut(3 * len(json.dumps(shop.products[0])))
    assert len(pieces) > 2
    books = [await worker.index(piece, repeats) for piece in pieces]
    await worker.close()
    return books


async def test_partitions_come_to_the_rows_of_the_whole(shop: SmallShop, store: FakeStore, make_worker: Open) -> None:
    """One partition after the other leaves the rows, and counts, that the local job does."""
    books = await index(make_worker(FakeEncoder()), shop)
    other = FakeStore()
    await other.create(FakeEncoder().space, timeout=1)
    report = await run_job(shop, FakeEncoder(), other)
    assert store.rows.keys() == other.rows.keys()
    for key, row in store.rows.items():
        np.testing.assert_array_equal(row.vector, other.rows[key].vector)
        assert (row.content, row.meta, row.payload) == (
            other.rows[key].content,
            other.rows[key].meta,
            other.rows[key].payload,
        )
    assert sum(each.counts["indexed"] for each in books) == report.indexed
    assert sum(each.bytes_read for each in books) == shop.catalog.stat().st_size
    assert [each.line for piece in books for each in piece.lines] == [10]


async def test_a_look_counts_what_is_under_way(shop: SmallShop, make_worker: Open) -> None:
    """A look at a worker that has done a partition gives that one's numbers."""
    worker = make_worker(FakeEncoder())
    books = await index(worker, shop)
    assert (await worker.look()).counts == books[-1].counts


async def test_a_stopped_worker_takes_up_nothing(shop: SmallShop, store: FakeStore, make_worker: Open) -> None:
    """After a stop partitions end at once, and without an error."""
    worker = make_worker(FakeEncoder())
    await worker.stop()
    books = await index(worker, shop)
    assert {each.error for each in books} == {""}
    assert store.rows == {}


async def test_a_fault_is_a_line(shop: SmallShop, make_worker: Open) -> None:
    """What ends a partition is said on one line that names the node."""
    books = await index(make_worker(BrokenEncoder()), shop)
    assert books[0].error.startswith("node ")
    assert books[0].error.endswith(": the model has no memory left")


@pytest.mark.parametrize(
    ("differing", "said"),
    [
        ({"images": Path("/nowhere")}, "/nowhere: No such file or directory"),
        ({"backends": Backends("nowhere", "store", "sosie")}, "cannot use Triton at nowhere"),
    ],
)
async def test_a_node_that_lacks_something_says_so(
    shop: SmallShop, make_worker: Open, differing: dict[str, Any], said: str
) -> None:
    """A worker that cannot open what it needs answers why, with the node's name."""
    make_worker(FakeEncoder())
    line = await Worker(make_work(shop, "sosie", **differing)).open()
    assert line.startswith("node ")
    assert line.endswith(said)
