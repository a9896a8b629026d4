"""Whether a product keeps within the bounds that proto/sosie/v1/product.proto states."""

import posixpath
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from sosie.engine.currency import is_currency
from sosie.v1 import product_pb2

MAX_SHOP = 64
MAX_PRODUCT_ID = 256
MAX_TITLE = 512
MAX_BRAND = 128
MAX_CATEGORY_LEVELS = 8
MAX_CATEGORY = 128
MAX_URL = 2048
MAX_PICTURES = 64
MAX_PICTURE_ID = 128
MAX_VIEW = 64
MAX_ATTRIBUTES = 64
MAX_ATTRIBUTE_NAME = 64
MAX_ATTRIBUTE_VALUE = 256
MAX_DESCRIPTION = 10_000
MAX_NANOS = 999_999_999
MAX_UNITS = 2**63 // 10**6 - 1
"""Whole units of a price: the index counts in millionths, in 64 bits."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with one field; `problem` says what it must be and what it is."""

    field: str
    problem: str


def find_faults(product: product_pb2.Product) -> Iterator[Fault]:
    """Every bound that the product breaks, in the order of its fields."""
    yield from _check_length("shop", product.shop, 1, MAX_SHOP)
    yield from _check_length("product_id", product.product_id, 1, MAX_PRODUCT_ID)
    yield from _check_length("title", product.title, 1, MAX_TITLE)
    yield from _check_length("brand", product.brand, 0, MAX_BRAND)
    yield from _check_count("category_path", len(product.category_path), 0, MAX_CATEGORY_LEVELS, "levels")
    for place, level in enumerate(product.category_path):
        yield from _check_length(f"category_path[{place}]", level, 1, MAX_CATEGORY)
    if product.HasField("price"):
        yield from _check_price(product.price)
    yield from _check_url("url", product.url)
    yield from _check_pictures(product)
    if product.availability not in product_pb2.Availability.values():
        yield Fault("availability", f"has no meaning for {product.availability}")
    yield from _check_attributes(product)
    yield from _check_length("description", product.description, 0, MAX_DESCRIPTION)


def _check_length(field: str, text: str, least: int, most: int) -> Iterator[Fault]:
    yield from _check_count(field, len(text), least, most, "characters")


def _check_count(field: str, count: int, least: int, most: int, unit: str) -> Iterator[Fault]:
    if not least <= count <= most:
        bounds = f"{least} to {most:,}" if least else f"at most {most:,}"
        yield Fault(field, f"must have {bounds} {unit}, has {count:,}")


def _check_price(price: product_pb2.Price) -> Iterator[Fault]:
    if not is_currency(price.currency_code):
        yield Fault(
            "price.currency_code", f"must be an active ISO 4217 code such as EUR, is {_quote(price.currency_code)}"
        )
    if not 0 <= price.units <= MAX_UNITS:
        yield Fault("price.units", f"must be 0 to {MAX_UNITS:,}, is {price.units:,}")
    if not 0 <= price.nanos <= MAX_NANOS:
        yield Fault("price.nanos", f"must be 0 to {MAX_NANOS:,}, is {price.nanos:,}")


def _check_pictures(product: product_pb2.Product) -> Iterator[Fault]:
    yield from _check_count("pictures", len(product.pictures), 1, MAX_PICTURES, "entries")
    times = Counter(picture.id for picture in product.pictures)
    for place, picture in enumerate(product.pictures):
        field = f"pictures[{place}]"
        yield from _check_length(f"{field}.id", picture.id, 1, MAX_PICTURE_ID)
        if times[picture.id] > 1:
            yield Fault(f"{field}.id", f"must differ from the product's other pictures, {_quote(picture.id)} does not")
        yield from _check_path(f"{field}.path", picture.path)
        yield from _check_url(f"{field}.url", picture.url)
        yield from _check_length(f"{field}.view", picture.view, 0, MAX_VIEW)


def _check_path(field: str, path: str) -> Iterator[Fault]:
    if not path:
        yield Fault(field, "is missing: say where the file is in the pictures folder")
    elif "\0" in path:
        yield Fault(field, "holds a NUL character")
    elif path.startswith("/") or posixpath.normpath(path).split("/")[0] == "..":
        yield Fault(field, f"leads out of the pictures folder: {_quote(path)}")


def _check_url(field: str, url: str) -> Iterator[Fault]:
    if not url:
        return
    yield from _check_length(field, url, 1, MAX_URL)
    try:
        pieces = urlsplit(url)
        absolute = pieces.scheme in {"http", "https"} and bool(pieces.hostname)
    except ValueError:  # e.g. a bracket that is never closed
        absolute = False
    if not absolute or not url.isprintable() or " " in url:
        yield Fault(field, f"must be an absolute http or https address, is {_quote(url)}")


def _check_attributes(product: product_pb2.Product) -> Iterator[Fault]:
    yield from _check_count("attributes", len(product.attributes), 0, MAX_ATTRIBUTES, "entries")
    for name, value in sorted(product.attributes.items()):
        field = f"attributes[{_quote(name)}]"
        yield from _check_count(f"{field} (its name)", len(name), 1, MAX_ATTRIBUTE_NAME, "characters")
        yield from _check_length(field, value, 0, MAX_ATTRIBUTE_VALUE)


def _quote(text: str, most: int = 80) -> str:
    """The text as it is shown in a message: on one line and not too long."""
    return repr(text if len(text) <= most else text[:most] + "…")
