"""A cleaned catalog on its way into the index: what is written anew, what is left out, and what the books say."""

import json
from pathlib import Path
from typing import Any

import pytest

from fakes import FAKE_SPACE, FakeEncoder, FakeStore
from indexer_fixtures import SmallShop, make_shop, run_job
from sosie.engine.store import picture_key
from sosie.indexer.cleaning.aliases import Aliases
from sosie.indexer.cleaning.categories import CategoryMap, ShopCategories
from sosie.indexer.cleaning.clean_catalog import CleanCatalog, CleaningOptions
from sosie.indexer.cleaning.merging import MergeRule
from sosie.indexer.cleaning.near_duplicates import NearMode, name_list
from sosie.indexer.cleaning.summary import describe
from sosie.indexer.pictures import PictureFolder
from sosie.indexer.report import Report
from sosie.v1 import product_pb2

TIMEOUT = 5.0
NOTHING: dict[str, Any] = {
    "products_changed": 0,
    "changes": {"unicode": 0, "brand": 0, "title": 0, "category": 0},
    "unmapped_categories": 0,
    "repeated_products": 0,
}


@pytest.fixture
def shop(tmp_path: Path) -> SmallShop:
    return make_shop(tmp_path, 5, views=2)


@pytest.fixture
async def store() -> FakeStore:
    store = FakeStore()
    await store.create(FAKE_SPACE, timeout=TIMEOUT)
    return store


async def index(
    shop: SmallShop, store: FakeStore, options: CleaningOptions, encoder: FakeEncoder | None = None
) -> tuple[Report, dict[str, Any]]:
    """One run, and what cleaning did in it."""
    near_duplicates = options.watch_pictures(PictureFolder(shop.images), shop.rejects, 2)
    catalog = CleanCatalog(shop.catalog, options, near_duplicates)
    return await run_job(shop, encoder, store, catalog=catalog), catalog.books


def read_row(store: FakeStore, product_id: str, picture_id: str) -> product_pb2.Product:
    return product_pb2.Product.FromString(store.rows[picture_key("norden", product_id, picture_id)].payload)


async def test_a_clean_catalog_stays_as_it_is(shop: SmallShop, store: FakeStore) -> None:
    """Without anything to clean the rows are those of a plain run, and the summary says nothing of it."""
    await run_job(shop, None, store)
    report, books = await index(shop, store, CleaningOptions())
    assert (report.unchanged, report.indexed) == (10, 0)
    assert books == NOTHING
    assert describe(books) == []


async def test_an_alias_costs_words_alone(shop: SmallShop, store: FakeStore) -> None:
    """An alias that is new encodes the words of the products concerned, and no picture; the row has the one form."""
    shop.products[0]["brand"] = "NORDEN  shoes\u200b"
    shop.save()
    await index(shop, store, CleaningOptions())
    encoder = FakeEncoder()
    aliases = Aliases(brands={"norden shoes": "Norden"})
    report, books = await index(shop, store, CleaningOptions(aliases), encoder)
    assert (encoder.pictures_encoded, encoder.texts_encoded) == (0, 1)
    assert (report.indexed, report.unchanged) == (2, 8)
    assert read_row(store, "p0", "v0").brand == "Norden"
    assert store.rows[picture_key("norden", "p0", "v0")].facets.brand == "Norden"
    assert books == {**NOTHING, "products_changed": 1, "changes": {**NOTHING["changes"], "unicode": 1, "brand": 1}}
    assert describe(books) == ["  cleaned            1  products; changes: unicode 1, brand 1"]


async def test_a_category_is_mapped_or_counted(shop: SmallShop, store: FakeStore) -> None:
    """The index filters by the house's category, and products of uncovered ones are counted."""
    shop.products[0]["category_path"] = ["Neu"]
    shop.save()
    entries = ShopCategories(exact={"women > shoes": ("Shoes",)})
    _, books = await index(shop, store, CleaningOptions(categories=CategoryMap({"norden": entries})))
    assert store.rows[picture_key("norden", "p1", "v0")].facets.category_path == ("Shoes",)
    assert (books["changes"]["category"], books["unmapped_categories"]) == (4, 1)
    assert describe(books)[1] == "  unmapped           1  products have a category that no entry covers"


async def test_a_repeated_product_is_counted_once(shop: SmallShop, store: FakeStore) -> None:
    """With another rule than the first the catalog is read twice, and changes and repeats are counted once."""
    shop.products.append({**shop.products[0], "title": "Suede boot, new\u200b"})
    shop.save()
    report, books = await index(shop, store, CleaningOptions(merge=MergeRule.LAST))
    assert (report.products, report.rejected_lines) == (5, 1)
    assert read_row(store, "p0", "v0").title == "Suede boot, new"
    assert (books["repeated_products"], books["changes"]["unicode"]) == (1, 1)
    assert describe(books)[1] == "  repeated           1  lines have a product of which another line counts"


async def test_a_dropped_picture_has_no_row(shop: SmallShop, store: FakeStore) -> None:
    """A picture that is dropped is not indexed, is no reject, and its product's rows know how many are left."""
    (shop.images / "0/1.jpg").write_bytes((shop.images / "0/0.jpg").read_bytes())
    report, books = await index(shop, store, CleaningOptions(near_duplicates=NearMode.DROP))
    assert set(store.rows) == shop.keys() - {picture_key("norden", "p0", "v1")}
    assert store.rows[picture_key("norden", "p0", "v0")].pictures == 1
    assert (report.pictures, report.rejected) == (9, 0)
    path = name_list(shop.rejects)
    assert books["near_duplicates"] == {"within_products": 1, "across_products": 0, "dropped": 1, "file": str(path)}
    assert [json.loads(line)["dropped"] for line in path.read_text().splitlines()] == [True]
    assert describe(books) == [f"  look alike         1  pairs of pictures (0 of two products, 1 dropped): {path}"]


def test_a_reading_that_is_given_up_leaves_nothing_open(shop: SmallShop) -> None:
    """Who stops in the middle leaves no file open and no thread at work."""
    options = CleaningOptions(near_duplicates=NearMode.REPORT, merge=MergeRule.NEWEST)
    watch = options.watch_pictures(PictureFolder(shop.images), shop.rejects, 2)
    entries = iter(CleanCatalog(shop.catalog, options, watch))
    next(entries)
    del entries


@pytest.mark.parametrize(
    ("rejects", "listed"),
    [("catalog.rejects.jsonl", "catalog.near-duplicates.jsonl"), ("faults.jsonl", "faults.near-duplicates.jsonl")],
)
def test_the_list_is_beside_the_rejects(rejects: str, listed: str) -> None:
    """The list's name is that of the rejects file with another ending."""
    assert name_list(Path("/shop") / rejects) == Path("/shop") / listed
