"""Day after day over the drawn shop, on a real Milvus Lite and a real Milvus server: what each change costs, in counts.

The encoder's double answers over Triton's protocol, and counts; so does what stands before the store's writes.
"""

import json
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import killed_process
from canned_triton import run_canned
from indexer_fixtures import draw_picture
from milvus_fixtures import name_collection
from served_fake import ServedFake
from sosie.engine import milvus_collection
from sosie.engine.milvus import MilvusStore
from sosie.engine.milvus_collection import MilvusCollection
from sosie.engine.store import Row
from sosie.indexer.job import JobOptions
from sosie.indexer.opening import Backends
from sosie.indexer.report import MaxRejects
from sosie.indexer.running import Settings
from sosie.indexer.session import index_catalog
from sosie.indexer.target.options import TargetOptions
from stack_fixtures import DrawnShop

pytestmark = pytest.mark.slow

LIMIT = 60.0


@dataclass
class Shop:
    """A copy of the drawn shop that a test may change."""

    folder: Path
    products: list[dict[str, Any]]

    def save(self) -> None:
        lines = [json.dumps(product) + "\n" for product in self.products]
        (self.folder / "catalog.jsonl").write_text("".join(lines))

    @property
    def pictures(self) -> int:
        return sum(len(product["pictures"]) for product in self.products)


@dataclass
class Index:
    """A place for the shop's rows; `written` and the encoder's counts are of the last run."""

    uri: str
    collection: str
    triton: ServedFake
    models: Path
    written: int = 0

    async def run(self, shop: Shop, *, prune: bool = False) -> dict[str, Any]:
        """The summary of a run, with what the encoder and the store have counted; it must come to its end."""
        self.written = self.triton.encoder.pictures_encoded = self.triton.encoder.texts_encoded = 0
        settings = Settings(
            catalog=shop.folder / "catalog.jsonl",
            images=shop.folder / "images",
            models=self.models,
            backends=Backends(self.triton.address, self.uri, self.collection),
            rejects=shop.folder / "rejects.jsonl",
            options=JobOptions(timeout=LIMIT),
            max_rejects=MaxRejects(0),
            state=self.models.parent / "state",
            target=TargetOptions(prune=prune),
        )
        outcome = await index_catalog(settings)
        assert outcome.exit_status == 0, outcome
        encoder = self.triton.encoder
        counted = {"encoded": encoder.pictures_encoded, "texts": encoder.texts_encoded, "written": self.written}
        return {**outcome.report, **counted}

    async def count(self) -> int:
        store = MilvusStore(self.uri, self.collection)
        try:
            return await store.count(timeout=LIMIT)
        finally:
            await store.close()


@pytest.fixture
def shop(drawn_shop: DrawnShop, tmp_path: Path) -> Shop:
    folder = tmp_path / "shop"
    shutil.copytree(drawn_shop.folder, folder)
    shop = Shop(folder, [json.loads(line) for line in drawn_shop.catalog.read_text().splitlines()])
    shop.save()
    return shop


@contextmanager
def name_place(kind: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    if kind == "lite":
        yield str(folder / "index.db"), "sosie"
        return
    uri = request.getfixturevalue("milvus_server").uri
    with name_collection(uri) as name:
        yield uri, name


@pytest.fixture(params=["lite", "server"])
async def index(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Index]:
    with name_place(request.param, tmp_path, request) as (uri, collection):
        async with run_canned(ServedFake(tmp_path / "models")) as triton:
            made = Index(uri, collection, triton, tmp_path / "models")
            upsert = MilvusCollection.upsert

            async def count(store: MilvusCollection, rows: Sequence[Row], *, timeout: float) -> None:
                await upsert(store, rows, timeout=timeout)
                made.written += len(rows)

            monkeypatch.setattr(MilvusCollection, "upsert", count)
            monkeypatch.setattr(milvus_collection, "is_settled", killed_process.is_settled)
            yield made


async def test_a_change_costs_what_it_changes(index: Index, shop: Shop) -> None:
    """Nothing changed: nothing is encoded or written; a price: one write; a picture: one inference; a product: gone."""
    product = shop.products[0]
    del product["pictures"][1:]
    shop.save()
    total = shop.pictures
    first = await index.run(shop)
    assert (first["indexed"], first["written"], first["encoded"] + first["shared"]) == (total, total, total)

    second = await index.run(shop)
    assert (second["unchanged"], second["written"], second["encoded"], second["texts"]) == (total, 0, 0, 0)

    product["price"]["units"] = "12345"
    shop.save()
    third = await index.run(shop)
    assert (third["rewritten"], third["written"], third["encoded"], third["texts"]) == (1, 1, 0, 0)

    draw_picture(shop.folder / "images" / product["pictures"][0]["path"], seed=1)
    fourth = await index.run(shop)
    assert (fourth["indexed"], fourth["written"], fourth["encoded"]) == (1, 1, 1)
    assert fourth["unchanged"] == total - 1
    assert await index.count() == total

    shop.products.remove(product)
    shop.save()
    kept = await index.run(shop)
    assert (kept["written"], kept["encoded"], await index.count()) == (0, 0, total)
    pruned = await index.run(shop, prune=True)
    assert (pruned["pruned"]["rows"], pruned["written"], pruned["encoded"]) == (1, 0, 0)
    assert await index.count() == total - 1
