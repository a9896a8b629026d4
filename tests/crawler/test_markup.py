"""JSON-LD, microdata and OpenGraph as pages hold them."""

import doctest
import json
from types import ModuleType
from typing import Any

import pytest

from sosie.crawler import schema_org
from sosie.crawler.rejects import Reject
from sosie.crawler.shops import listing_pages, storefront
from sosie.crawler.shops.declaration import Shop
from sosie.crawler.shops.extraction import extract
from sosie.crawler.shops.page import Page
from sosie.v1 import product_pb2

SHOP = Shop(shop="any", hosts=["any.example"])
SHOE = {
    "@type": "Product",
    "name": "Air",
    "sku": "A-1",
    "image": {"@type": "ImageObject", "contentUrl": "/1.jpg"},
    "brand": {"@type": "Brand", "name": "Runner"},
    "color": "red",
    "offers": [
        {"@type": "Offer", "price": 89.5, "priceCurrency": "EUR", "availability": "https://schema.org/OutOfStock"}
    ],
}


def read(*items: Any, around: str = "{}") -> product_pb2.Product:
    scripts = "".join(
        f'<script type="application/ld+json">{around.format(json.dumps(item))}</script>' for item in items
    )
    outcome = extract(SHOP, Page(scripts.encode(), "https://any.example/air")).outcome
    assert not isinstance(outcome, Reject), outcome
    return outcome


@pytest.mark.parametrize("around", ["{}", "<!-- {} -->", '{{"@graph": [{}]}}', "[{}]", "{};", '{{"mainEntity": {}}}'])
def test_places(around: str) -> None:
    """The product is found wherever shops put it."""
    product = read(SHOE, around=around)
    assert (product.title, product.brand, product.product_id) == ("Air", "Runner", "A-1")
    assert (product.price.units, product.price.nanos, product.price.currency_code) == (89, 500_000_000, "EUR")
    assert product.pictures[0].url == "https://any.example/1.jpg"
    assert product.availability == product_pb2.OUT_OF_STOCK
    assert dict(product.attributes) == {"colour": "red", "sku": "A-1"}


def test_breadcrumbs() -> None:
    """Breadcrumbs are the category, in their order, without the shop and the product."""
    names = {1: "Home", 2: "Men", 3: "Shoes", 4: "Air"}
    entries = [{"position": place, "item": {"name": name}} for place, name in reversed(names.items())]
    product = read(SHOE, {"@type": "BreadcrumbList", "itemListElement": entries})
    assert list(product.category_path) == ["Men", "Shoes"]


def test_broken_script() -> None:
    """A script that is no JSON harms no other."""
    page = b'<script type="application/ld+json">{"name": </script>' + (
        f'<script type="application/ld+json">{json.dumps(SHOE)}</script>'.encode()
    )
    assert isinstance(extract(SHOP, Page(page, "https://any.example/air")).outcome, product_pb2.Product)


@pytest.mark.parametrize(
    ("price", "units"), [("1299.00", 1299), ("1299,00", 1299), ("1.299,00", 1299), ("1,299.00", 1299)]
)
def test_price_with_comma(price: str, units: int) -> None:
    """Prices are read as they are meant where shops write them as for people."""
    offer = {"@type": "Offer", "price": price, "priceCurrency": "EUR"}
    assert read({**SHOE, "offers": offer}).price.units == units


def test_group() -> None:
    """A page of a group is one product with the offers and pictures of its variants."""
    group = {
        "@type": "ProductGroup",
        "productGroupID": "G",
        "name": "Air",
        "hasVariant": [
            {"@type": "Product", "image": f"/{number}.jpg", "offers": {"price": "5", "priceCurrency": "EUR"}}
            for number in (1, 2)
        ],
    }
    product = read(group)
    assert (product.product_id, len(product.pictures), product.price.units) == ("G", 2, 5)


def test_open_graph() -> None:
    """Meta properties of a product page are enough for a product."""
    page = b"""<meta property="og:type" content="og:product"><meta property="og:title" content="Air">
        <meta property="og:image" content="https://any.example/1.jpg"><meta property="product:price:amount" content="5">
        <meta property="product:price:currency" content="EUR"><link rel="canonical" href="/shoes/air-1.html">"""
    product = extract(SHOP, Page(page, "https://any.example/x")).outcome
    assert isinstance(product, product_pb2.Product)
    assert (product.title, product.product_id, product.url) == ("Air", "air-1", "https://any.example/shoes/air-1.html")


@pytest.mark.parametrize("module", [schema_org, listing_pages, storefront], ids=lambda module: module.__name__)
def test_examples(module: ModuleType) -> None:
    """The examples in the docstrings are true."""
    assert doctest.testmod(module).failed == 0
