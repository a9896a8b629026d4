"""A catalog from day to day: runs of the indexer over it whose inferences and writes are counted.

The encoder's double answers over Triton's protocol, and counts; so does what stands before the store's writes.
"""

import contextlib
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from canned_triton import run_canned
from indexer_fixtures import draw_picture
from served_fake import ServedFake
from sosie.engine.milvus import MilvusStore
from sosie.engine.milvus_collection import MilvusCollection
from sosie.engine.store import Row
from sosie.indexer.job import JobOptions
from sosie.indexer.opening import Backends
from sosie.indexer.report import MaxRejects
from sosie.indexer.running import Settings
from sosie.indexer.session import index_catalog
from sosie.indexer.target.options import TargetOptions

LIMIT = 60.0


@dataclass
class DailyShop:
    """A catalog that may be changed, with its pictures."""

    catalog: Path
    images: Path
    products: list[dict[str, Any]]

    def save(self) -> None:
        self.catalog.write_text("".join(json.dumps(product) + "\n" for product in self.products))

    @property
    def pictures(self) -> int:
        return sum(len(product["pictures"]) for product in self.products)


@dataclass
class CountedIndex:
    """A place for the shop's rows; `written` is of the last run."""

    uri: str
    collection: str
    triton: ServedFake
    folder: Path
    written: int = 0

    async def run(self, shop: DailyShop, *, prune: bool = False) -> dict[str, Any]:
        """The summary of a run, which must come to its end, with what encoder and store have counted."""
        encoder = self.triton.encoder
        self.written = encoder.pictures_encoded = encoder.texts_encoded = 0
        settings = Settings(
            catalog=shop.catalog,
            images=shop.images,
            models=self.folder / "models",
            backends=Backends(self.triton.address, self.uri, self.collection),
            rejects=self.folder / "rejects.jsonl",
            options=JobOptions(timeout=LIMIT),
            max_rejects=MaxRejects(0),
            state=self.folder / "state",
            target=TargetOptions(prune=prune),
        )
        outcome = await index_catalog(settings)
        assert outcome.exit_status == 0, outcome
        counted = {"encoded": encoder.pictures_encoded, "texts": encoder.texts_encoded, "written": self.written}
        return {**outcome.report, **counted, "rows": await self.count()}

    async def count(self) -> int:
        store = MilvusStore(self.uri, self.collection)
        try:
            return await store.count(timeout=LIMIT)
        finally:
            await store.close()


@contextlib.asynccontextmanager
async def open_index(uri: str, collection: str, folder: Path) -> AsyncIterator[CountedIndex]:
    """A counted index, in an empty `folder`."""
    async with run_canned(ServedFake(folder / "models")) as triton:
        index = CountedIndex(uri, collection, triton, folder)
        with count_writes(index):
            yield index


@contextlib.contextmanager
def count_writes(index: CountedIndex) -> Iterator[None]:
    upsert = MilvusCollection.upsert
    patched: Any = MilvusCollection

    async def count(store: MilvusCollection, rows: Sequence[Row], *, timeout: float) -> None:
        await upsert(store, rows, timeout=timeout)
        index.written += len(rows)

    patched.upsert = count
    try:
        yield
    finally:
        patched.upsert = upsert


async def live_through(index: CountedIndex, shop: DailyShop) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Gives the summary of each day's run, with the day's name; the first product's first picture is what changes."""
    product = shop.products[0]
    del product["pictures"][1:]
    shop.save()
    yield "all new", await index.run(shop)
    yield "unchanged", await index.run(shop)
    product["price"]["units"] = "12345"
    shop.save()
    yield "one price", await index.run(shop)
    draw_picture(shop.images / product["pictures"][0]["path"], seed=1)
    yield "one picture", await index.run(shop)
    shop.products.remove(product)
    shop.save()
    yield "one product less", await index.run(shop)
    yield "one product less, --prune", await index.run(shop, prune=True)


def check(summaries: dict[str, dict[str, Any]], pictures: int) -> None:
    """Raises AssertionError unless each day cost what it changed; `pictures` are those of the first day."""
    first = summaries["all new"]
    assert first["indexed"] == first["written"] == first["rows"] == first["encoded"] + first["shared"] == pictures
    costs = {
        day: tuple(summary[name] for name in ("unchanged", "rewritten", "written", "encoded", "rows"))
        for day, summary in summaries.items()
        if day != "all new"
    }
    assert costs == {
        "unchanged": (pictures, 0, 0, 0, pictures),
        "one price": (pictures - 1, 1, 1, 0, pictures),
        "one picture": (pictures - 1, 0, 1, 1, pictures),
        "one product less": (pictures - 1, 0, 0, 0, pictures),
        "one product less, --prune": (pictures - 1, 0, 0, 0, pictures - 1),
    }
    assert summaries["unchanged"]["texts"] == summaries["one price"]["texts"] == 0
    assert summaries["one product less, --prune"]["pruned"]["rows"] == 1
