"""A small shop on disk, and the job run over it with the engine's doubles."""

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fakes import FakeEncoder
from sosie.engine.inference import Encoder, Tokens
from sosie.engine.store import VectorStore, picture_key
from sosie.indexer.catalog import Catalog
from sosie.indexer.job import Job, JobOptions
from sosie.indexer.pictures import PictureFolder
from sosie.indexer.rejects import RejectsFile
from sosie.indexer.report import Report
from sosie.indexer.retries import Backoff
from sosie.indexer.target.ledger import Ledger

FAST = Backoff(attempts=3, first=0.001, longest=0.001)


class WordTokenizer:
    """A number for each word, by a hash of it."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def encode(self, sentences: Sequence[str]) -> Tokens:
        self.sentences += sentences
        ids = [[_number(word) for word in sentence.split()] for sentence in sentences]
        longest = max(map(len, ids))
        return np.array([row + [0] * (longest - len(row)) for row in ids], np.int64)


def _number(word: str) -> int:
    return int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big") + 1


def draw_picture(path: Path, seed: int) -> None:
    """A JPEG of 12 x 12 pixels; another seed is another picture."""
    pixels = np.random.default_rng(seed).integers(0, 255, (12, 12, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, "JPEG")


@dataclass
class SmallShop:
    """A catalog of `products` in protobuf's JSON mapping, and its pictures."""

    folder: Path
    products: list[dict[str, Any]]

    @property
    def catalog(self) -> Path:
        return self.folder / "catalog.jsonl"

    @property
    def images(self) -> Path:
        return self.folder / "images"

    @property
    def rejects(self) -> Path:
        return self.folder / "catalog.rejects.jsonl"

    def save(self) -> None:
        """Writes the catalog as `products` are now."""
        self.catalog.write_text("".join(json.dumps(product) + "\n" for product in self.products))

    def keys(self) -> set[str]:
        """The keys of all pictures in the catalog."""
        return {
            picture_key(product["shop"], product["product_id"], picture["id"])
            for product in self.products
            for picture in product["pictures"]
        }

    def read_rejects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.rejects.read_text().splitlines()] if self.rejects.exists() else []


def make_shop(folder: Path, count: int, views: int = 2) -> SmallShop:
    """`count` products with `views` pictures each, drawn and saved."""
    shop = SmallShop(folder, [make_product(number, views) for number in range(count)])
    for number in range(count):
        for view in range(views):
            draw_picture(shop.images / f"{number}/{view}.jpg", seed=number * views + view)
    shop.save()
    return shop


def make_product(number: int = 0, views: int = 1) -> dict[str, Any]:
    """A product that uses every field."""
    return {
        "shop": "norden",
        "product_id": f"p{number}",
        "title": f"Suede boot {number}",
        "brand": "Norden",
        "category_path": ["Women", "Shoes"],
        "price": {"currency_code": "EUR", "units": str(50 + number), "nanos": 990_000_000},
        "url": f"https://norden.example/p/{number}",
        "pictures": [
            {"id": f"v{view}", "path": f"{number}/{view}.jpg", "url": f"https://norden.example/{number}/{view}.jpg"}
            for view in range(views)
        ],
        "availability": "IN_STOCK",
        "attributes": {"colour": "brown"},
        "description": "Soft.",
        "update_time": "2026-11-01T08:00:00Z",
    }


async def run_job(
    shop: SmallShop,
    encoder: Encoder | None,
    store: VectorStore,
    *,
    tokenizer: WordTokenizer | None = None,
    **options: Any,
) -> Report:
    """One run of the job over the shop; raises what it raises."""
    with RejectsFile(shop.rejects) as rejects, ThreadPoolExecutor(2) as pool:
        report = Report(rejects)
        job = make_job(shop, encoder or FakeEncoder(), store, report, pool, tokenizer=tokenizer, **options)
        await job.run()
    return report


def make_job(
    shop: SmallShop,
    encoder: Encoder,
    store: VectorStore,
    report: Report,
    pool: ThreadPoolExecutor,
    *,
    tokenizer: WordTokenizer | None = None,
    catalog: Catalog | None = None,
    ledger: Ledger | None = None,
    **options: Any,
) -> Job:
    """The job over the shop, with a back-off that does not slow tests down."""
    return Job(
        catalog=catalog or Catalog(shop.catalog),
        folder=PictureFolder(shop.images),
        encoder=encoder,
        tokenizer=tokenizer or WordTokenizer(),
        store=store,
        report=report,
        pool=pool,
        ledger=ledger,
        options=JobOptions(**{"batch": 4, "in_flight": 2, "threads": 2, "timeout": 5.0, "backoff": FAST, **options}),
    )
