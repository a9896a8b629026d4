"""Products as rows: facets, payload, digests."""

import json
from typing import Any

import pytest
from google.protobuf import json_format

from indexer_fixtures import make_product
from sosie.engine.store import MAX_PAYLOAD, Facets, picture_key, product_key
from sosie.indexer.entry import Entry
from sosie.indexer.listing import Listing, list_pictures
from sosie.indexer.rejects import Reject
from sosie.v1 import product_pb2


def list_changed(**changes: Any) -> list[Listing]:
    product = product_pb2.Product()
    json_format.Parse(json.dumps({**make_product(7, views=2), **changes}), product)
    listed = list_pictures(Entry(3, product))
    assert not isinstance(listed, Reject), listed
    return listed


def test_each_picture_is_a_listing() -> None:
    """A product's pictures come in order, under keys of their own and one product key."""
    first, second = list_changed()
    assert first.key == picture_key("norden", "p7", "v0")
    assert second.key == picture_key("norden", "p7", "v1")
    assert first.product_key == second.product_key == product_key("norden", "p7")
    assert [first.position, second.position] == [0, 1]
    assert first.words == "Suede boot 7, Norden, Women, Shoes, colour brown"


def test_facets_are_what_filters_ask_for() -> None:
    """Facets hold the product's own values, the price in millionths."""
    assert list_changed()[0].facets == Facets(
        shop="norden",
        brand="Norden",
        category_path=("Women", "Shoes"),
        currency="EUR",
        price_micros=57_990_000,
        in_stock=True,
        attributes={"colour": "brown"},
    )


def test_a_product_without_a_price_has_none() -> None:
    """Without a price neither currency nor amount is set, so that no price filter passes."""
    facets = list_changed(price=None)[0].facets
    assert (facets.currency, facets.price_micros) == (None, None)


@pytest.mark.parametrize(
    ("nanos", "micros"), [(0, 0), (499, 0), (500, 1), (990_000_000, 990_000), (999_999_999, 10**6)]
)
def test_prices_are_rounded_to_millionths(nanos: int, micros: int) -> None:
    """Billionths of a unit become the nearest millionths."""
    price = {"currency_code": "EUR", "units": "0", "nanos": nanos}
    assert list_changed(price=price)[0].facets.price_micros == micros


@pytest.mark.parametrize(
    ("availability", "in_stock"),
    [("IN_STOCK", True), ("PREORDER", True), ("OUT_OF_STOCK", False), ("AVAILABILITY_UNSPECIFIED", False)],
)
def test_in_stock_is_what_can_be_ordered(availability: str, in_stock: bool) -> None:
    """Stock and pre-orders count as in stock, all else does not."""
    assert list_changed(availability=availability)[0].facets.in_stock is in_stock


def test_the_payload_is_the_product_without_paths() -> None:
    """A hit brings the whole product back, less the pictures' paths."""
    product = product_pb2.Product.FromString(list_changed()[0].payload)
    expected = make_product(7, views=2)
    for picture in expected["pictures"]:
        del picture["path"]
    assert json_format.MessageToDict(product, preserving_proto_field_name=True) == {
        **expected,
        "update_time": "2026-11-01T08:00:00Z",
    }


def test_a_product_too_large_for_the_index_is_rejected() -> None:
    """A product whose payload would not fit falls out whole, with its size."""
    product = product_pb2.Product()
    json_format.Parse(json.dumps({**make_product(), "description": "😀" * 10_000}), product)
    for number in range(60):
        product.attributes[f"attribute {number}"] = "é" * 256
    listed = list_pictures(Entry(3, product))
    assert isinstance(listed, Reject)
    assert listed.line == 3
    assert f"at most {MAX_PAYLOAD:,} fit" in listed.reason


def test_a_payload_at_its_bound_fits_milvus() -> None:
    """In base64, MAX_PAYLOAD bytes are at most the 65,535 characters of Milvus's longest text."""
    assert 4 * -(-MAX_PAYLOAD // 3) <= 65_535


CHANGES: dict[str, Any] = {
    "title": "Other boot",
    "price": {"currency_code": "EUR", "units": "1"},
    "url": "https://norden.example/other",
    "availability": "OUT_OF_STOCK",
    "description": "Hard.",
    "attributes": {"colour": "red"},
    "category_path": ["Men"],
}


@pytest.mark.parametrize("field", CHANGES)
def test_the_meta_digest_tells_of_every_change(field: str) -> None:
    """A change of any field changes the digest of the row."""
    assert list_changed(**{field: CHANGES[field]})[0].meta_digest("c") != list_changed()[0].meta_digest("c")


def test_the_meta_digest_is_stable() -> None:
    """The same product gives the same digest, in whatever order its attributes come."""
    attributes = {"colour": "brown", "sole": "rubber", "heel": "flat"}
    turned = dict(reversed(attributes.items()))
    first, second = (list_changed(attributes=each)[0].meta_digest("c") for each in (attributes, turned))
    assert first == second
    assert list_changed()[0].meta_digest("c") != list_changed()[0].meta_digest("d")
    assert list_changed()[0].meta_digest("c") != list_changed()[1].meta_digest("c")
