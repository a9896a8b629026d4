"""The files of the drawn shop."""

import json
import re
from pathlib import Path

import pytest
from google.protobuf.json_format import Parse
from PIL import Image

from sosie.shop.plan import PlannedProduct
from sosie.shop.writing import CATALOG, IMAGES, TRUTH, FolderTakenError, write_shop
from sosie.v1.product_pb2 import Availability, Product

Shop = tuple[Path, list[PlannedProduct]]
PRODUCTS, VIEWS, SIZE = 32, 2, 128  # of the fixture `shop`


def _products(folder: Path) -> list[Product]:
    lines = (folder / CATALOG).read_text(encoding="utf-8").splitlines()
    return [Parse(line, Product()) for line in lines]


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_lines_are_products_within_their_bounds(shop: Shop) -> None:
    """Every line parses into a Product that obeys what product.proto says."""
    products = _products(shop[0])
    assert len(products) == PRODUCTS
    assert len({(p.shop, p.product_id) for p in products}) == PRODUCTS
    for product in products:
        assert 1 <= len(product.shop) <= 64
        assert 1 <= len(product.product_id) <= 256
        assert 1 <= len(product.title) <= 512
        assert 1 <= len(product.brand) <= 128
        assert 1 <= len(product.category_path) <= 8
        assert all(1 <= len(level) <= 128 for level in product.category_path)
        assert re.fullmatch(r"[A-Z]{3}", product.price.currency_code)
        assert product.price.units >= 0
        assert 0 <= product.price.nanos <= 999_999_999
        assert product.url.startswith("https://shop.example/")
        assert len({picture.id for picture in product.pictures}) == len(product.pictures) == VIEWS
        assert product.availability != Availability.AVAILABILITY_UNSPECIFIED
        assert all(1 <= len(name) <= 64 and len(value) <= 256 for name, value in product.attributes.items())
        assert 1 <= len(product.description) <= 10_000
        assert 2025 < product.update_time.ToDatetime().year < 2027


def test_fields_have_the_protos_names(shop: Shop) -> None:
    """Lines say product_id, not productId."""
    first = json.loads((shop[0] / CATALOG).read_text(encoding="utf-8").splitlines()[0])
    assert {"product_id", "category_path", "update_time"} <= set(first)


def test_pictures_decode(shop: Shop) -> None:
    """Every picture that the catalog names is a JPEG of the size asked for, and no other file lies beside them."""
    folder, _ = shop
    named = {picture.path for product in _products(folder) for picture in product.pictures}
    assert {str(p.relative_to(folder / IMAGES)) for p in (folder / IMAGES).rglob("*") if p.is_file()} == named
    for path in named:
        with Image.open(folder / IMAGES / path) as picture:
            picture.load()
            assert picture.format == "JPEG"
            assert picture.size == (SIZE, SIZE)


def test_truth_matches_the_catalog(shop: Shop) -> None:
    """What the shop says of a product is what the answer key says of each of its pictures."""
    folder, plan = shop
    truth = json.loads((folder / TRUTH).read_text(encoding="utf-8"))["pictures"]
    assert len(truth) == PRODUCTS * VIEWS
    for product, planned in zip(_products(folder), plan, strict=True):
        assert planned.kind in product.title
        for picture in product.pictures:
            known = truth[picture.path]
            assert (known["shop"], known["product_id"]) == (product.shop, product.product_id)
            assert known["picture_id"] == picture.id
            assert known["kind"] == planned.kind
            assert known["view"] == picture.view
            assert product.attributes["colour"] == " and ".join(known["colours"])
            assert product.attributes["pattern"] == known["pattern"]
            assert all(colour in product.title for colour in known["colours"])
            assert (known["pattern"] in product.title) == (known["pattern"] != "plain")


def test_shops_brands_and_stock_vary(shop: Shop) -> None:
    """Filters have something to choose from: shops, brands, currencies, stock."""
    products = _products(shop[0])
    assert len({p.shop for p in products}) >= 3
    assert len({p.brand for p in products}) >= 8
    assert {p.price.currency_code for p in products} == {"EUR", "USD"}
    assert {Availability.IN_STOCK, Availability.OUT_OF_STOCK} <= {p.availability for p in products}


def test_a_second_run_writes_the_same_files(tmp_path: Path) -> None:
    """Files do not depend on the run nor on the number of processes that draw."""
    write_shop(tmp_path / "one", products=6, views=2, seed=5, size=64, workers=1)
    write_shop(tmp_path / "two", products=6, views=2, seed=5, size=64, workers=2)
    assert _contents(tmp_path / "one") == _contents(tmp_path / "two")


def test_another_seed_writes_another_shop(tmp_path: Path) -> None:
    """Another seed gives another catalog and other pictures under the same names."""
    write_shop(tmp_path / "one", products=4, views=1, seed=0, size=64)
    write_shop(tmp_path / "two", products=4, views=1, seed=1, size=64)
    one, two = _contents(tmp_path / "one"), _contents(tmp_path / "two")
    assert set(one) == set(two)
    assert all(one[name] != two[name] for name in one)


def test_own_folder_is_written_anew(tmp_path: Path) -> None:
    """A folder of an earlier run may be written again; pictures that are no longer in the plan go."""
    write_shop(tmp_path, products=6, views=2, size=64)
    write_shop(tmp_path, products=3, views=1, size=64)
    write_shop(tmp_path.parent / "fresh", products=3, views=1, size=64)
    assert _contents(tmp_path) == _contents(tmp_path.parent / "fresh")


def test_foreign_folder_is_refused(tmp_path: Path) -> None:
    """A folder with other files is not touched, even if it has a truth.json of its own."""
    (tmp_path / "truth.json").write_text('{"pictures": {}}')
    with pytest.raises(FolderTakenError, match="--force"):
        write_shop(tmp_path, products=1, size=64)
    assert set(_contents(tmp_path)) == {"truth.json"}


def test_force_keeps_other_files(tmp_path: Path) -> None:
    """With force, a shop is written beside what is there."""
    (tmp_path / "notes.txt").write_text("mine")
    write_shop(tmp_path, products=1, views=1, size=64, force=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert len(_products(tmp_path)) == 1


def test_truth_cannot_name_files_outside(tmp_path: Path) -> None:
    """A tampered answer key does not make a run delete files outside its pictures folder."""
    victim = tmp_path / "victim.jpg"
    victim.write_text("keep me")
    shop = tmp_path / "shop"
    write_shop(shop, products=1, views=1, size=64)
    truth = json.loads((shop / TRUTH).read_text())
    truth["pictures"].update({"../../victim.jpg": {}, str(victim): {}})
    (shop / TRUTH).write_text(json.dumps(truth))
    write_shop(shop, products=1, views=1, size=64)
    assert victim.read_text() == "keep me"


def test_progress_counts_to_the_end(tmp_path: Path) -> None:
    """Progress is told after each product."""
    heard: list[tuple[int, int]] = []
    write_shop(tmp_path, products=3, views=1, size=64, on_progress=lambda done, total: heard.append((done, total)))
    assert heard == [(1, 3), (2, 3), (3, 3)]
