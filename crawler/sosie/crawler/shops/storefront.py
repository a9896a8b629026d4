"""Shopify's storefronts: /products.json, and that of each collection, a page of products at a time."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

from sosie.crawler.rejects import Unusable
from sosie.crawler.shops.declaration import Shop
from sosie.crawler.shops.extraction import Extraction, Value, finish
from sosie.crawler.shops.page import Page
from sosie.crawler.texts import texts_of

PAGE = 250
"""Products of a page, the most that a storefront gives."""
_OPTIONS = {"color": "colour", "colour": "colour", "farbe": "colour", "couleur": "colour", "size": "size"}


def products_url(listing: str, number: int) -> str:
    """Where page `number`, from 1, of a listing's products is.

    >>> products_url("https://shop.example/collections/men?sort_by=price", 2)
    'https://shop.example/collections/men/products.json?limit=250&page=2'
    """
    pieces = urlsplit(listing)
    path = pieces.path.rstrip("/")
    return pieces._replace(path=f"{path}/products.json", query=f"limit={PAGE}&page={number}", fragment="").geturl()


def read_storefront(shop: Shop, page: Page) -> Iterator[Extraction]:
    """The products of one answer; none is the end of the listing. Raises Unusable where it is no such answer.

    Variants of a product are sizes or colours of it: the first that is in stock says what it costs, all options are
    attributes.
    """
    products = page.json.get("products") if isinstance(page.json, dict) else None
    if not isinstance(products, list):
        raise Unusable("", "the page is no products.json of a storefront")
    for product in products:
        if isinstance(product, dict):
            yield finish(shop, Page.of_item(product, page.url, page.context), _read(product, page.url))


def _read(product: dict[str, Any], url: str) -> dict[str, Value]:
    variants = _objects(product.get("variants"))
    available = [each for each in variants if each.get("available")]
    sold = (available or variants or [{}])[0]
    handle = _text(product.get("handle"))
    fields: dict[str, list[str]] = {
        "product_id": [_text(product.get("id"))],
        "title": [_text(product.get("title"))],
        "brand": [_text(product.get("vendor"))],
        "category": [_text(product.get("product_type"))],
        "price": [_text(sold.get("price"))],
        "url": [urljoin(url, f"/products/{handle}")] if handle else [],
        "pictures": [_text(image.get("src")) for image in _objects(product.get("images"))],
        "availability": ["true" if available else "false"] if any("available" in each for each in variants) else [],
        "description": [_text(product.get("body_html"))],
        "@slug": [handle],
        "@old_price": [_text(sold.get("compare_at_price"))],
        "@sku": [_text(sold.get("sku"))],
    }
    for option in _objects(product.get("options")):
        name = _text(option.get("name"))
        values = ", ".join(texts_of(option.get("values")))
        if name and values not in {"", "Default Title"}:
            fields.setdefault(f"@{_OPTIONS.get(name.casefold(), name)}", [values])
    return {
        name: Value(name, "storefront", tuple(text for text in texts if text))
        for name, texts in fields.items()
        if any(texts)
    }


def _objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return next(texts_of(value), "")
