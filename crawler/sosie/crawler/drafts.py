"""From what a source says of a product to a line of a catalog, within the bounds of sosie.v1.Product."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from typing import NamedTuple
from urllib.parse import quote as escape
from urllib.parse import urljoin, urlsplit

from sosie.crawler.availability import parse_availability
from sosie.crawler.prices import Mark, PriceError, parse_price, quote
from sosie.crawler.rejects import Unusable
from sosie.crawler.texts import shorten, tidy, tidy_lines
from sosie.v1 import product_pb2

MAX_SHOP = 64
MAX_PRODUCT_ID = 256
MAX_TITLE = 512
MAX_BRAND = 128
MAX_CATEGORY_LEVELS = 8
MAX_CATEGORY = 128
MAX_URL = 2048
MAX_PICTURES = 64
MAX_VIEW = 64
MAX_ATTRIBUTES = 64
MAX_ATTRIBUTE_NAME = 64
MAX_ATTRIBUTE_VALUE = 256
MAX_DESCRIPTION = 10_000

_PLAIN_ADDRESS = re.compile(
    r"https?://[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*(?::\d{1,5})?(?:[/?][\w.,:;=&%+@~!$'()*?/-]*)?", re.ASCII
)
_IN_ADDRESSES = "!#$%&'()*+,/:;=?@[]~"  # what an address may hold unescaped, and % of what is escaped already


class DraftPicture(NamedTuple):
    """Where a picture is, and what it shows where the source says so."""

    url: str
    view: str = ""


@dataclass(frozen=True)
class Draft:
    """A product in the words of its source: nothing is checked yet, addresses may be relative to `base`."""

    shop: str
    product_id: str
    title: str
    brand: str = ""
    category_path: Sequence[str] = ()
    price: str = ""
    currency: str = ""
    decimal: Mark | None = None
    url: str = ""
    pictures: Sequence[DraftPicture] = ()
    availability: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    update_time: datetime | None = None
    base: str = ""


class Built(NamedTuple):
    """A product, and what of the draft is not in it, e.g. "description is cut to 10,000 characters"."""

    product: product_pb2.Product
    notes: tuple[str, ...]


def build(draft: Draft) -> Built:
    """The product that a draft describes.

    What names the product or says what it costs must be right; of the rest what is beyond its bounds is cut, what is
    wrong left out, and noted. Raises Unusable where shop, id, title or picture are missing or too long, or a price is
    given that is none or has no currency.
    """
    notes: list[str] = []
    product = product_pb2.Product(
        shop=_require("shop", draft.shop, MAX_SHOP),
        product_id=_require("product_id", draft.product_id, MAX_PRODUCT_ID),
        title=_require("title", draft.title, MAX_TITLE),
        brand=_cut("brand", tidy(draft.brand), MAX_BRAND, notes),
        category_path=_read_categories(draft.category_path, notes),
        availability=parse_availability(draft.availability),
        description=_cut("description", tidy_lines(draft.description), MAX_DESCRIPTION, notes),
    )
    if draft.price.strip():
        product.price.CopyFrom(_read_price(draft))
    if draft.url.strip():
        product.url = _read_url(draft.url, draft.base, "url", notes)
    product.pictures.extend(_read_pictures(draft, notes))
    if not product.pictures:
        raise Unusable("pictures", f"must have 1 to {MAX_PICTURES} entries, has 0")
    product.attributes.update(_read_attributes(draft.attributes, notes))
    if draft.update_time:
        product.update_time.FromDatetime(draft.update_time.astimezone(UTC))
    return Built(product, tuple(notes))


def picture_id(url: str) -> str:
    """16 hexadecimal digits of the BLAKE2 hash of a picture's address: the same whatever its place is."""
    return blake2b(url.encode(), digest_size=8).hexdigest()


def absolute_url(url: str, base: str = "") -> str:
    """The address as a browser would ask it; empty where it is none, or longer than the contract allows.

    >>> absolute_url("/a b.jpg", "https://shop.example/shoes")
    'https://shop.example/a%20b.jpg'
    """
    if _PLAIN_ADDRESS.fullmatch(url) and len(url) <= MAX_URL:  # most are
        return url
    try:
        joined = escape(urljoin(base or "https:", url.strip()), safe=_IN_ADDRESSES)
        pieces = urlsplit(joined)
        right = pieces.scheme in {"http", "https"} and bool(pieces.hostname)
    except ValueError:  # e.g. a bracket that is never closed, or half of a surrogate pair
        return ""
    return joined if right and len(joined) <= MAX_URL else ""


def _require(name: str, written: str, most: int) -> str:
    text = tidy(written)
    if not 1 <= len(text) <= most:
        raise Unusable(name, f"must have 1 to {most:,} characters, has {len(text):,}")
    if "\N{REPLACEMENT CHARACTER}" in text:
        raise Unusable(name, f"is in another encoding than its source declares: {quote(text)}")
    return text


def _cut(name: str, text: str, most: int, notes: list[str]) -> str:
    if len(text) > most:
        notes.append(f"{name} is cut to {most:,} characters")
    return shorten(text, most)


def _read_categories(levels: Sequence[str], notes: list[str]) -> list[str]:
    path = [_cut("category_path", level, MAX_CATEGORY, notes) for level in map(tidy, levels) if level]
    if len(path) > MAX_CATEGORY_LEVELS:
        notes.append(f"category_path is cut to {MAX_CATEGORY_LEVELS} levels")
    return path[:MAX_CATEGORY_LEVELS]


def _read_price(draft: Draft) -> product_pb2.Price:
    try:
        return parse_price(draft.price, draft.currency, decimal=draft.decimal)
    except PriceError as error:
        raise Unusable("price", str(error)) from error


def _read_url(written: str, base: str, name: str, notes: list[str]) -> str:
    url = absolute_url(written, base)
    if not url:
        notes.append(f"{name} is no address and left out: {quote(written)}")
    return url


def _read_pictures(draft: Draft, notes: list[str]) -> Iterator[product_pb2.Picture]:
    seen: set[str] = set()
    for place, picture in enumerate(draft.pictures):
        url = _read_url(picture.url, draft.base, f"pictures[{place}]", notes)
        if not url or url in seen:
            continue
        if len(seen) == MAX_PICTURES:
            notes.append(f"pictures are cut to {MAX_PICTURES}")
            return
        seen.add(url)
        yield product_pb2.Picture(id=picture_id(url), url=url, view=shorten(tidy(picture.view), MAX_VIEW))


def _read_attributes(written: Mapping[str, str], notes: list[str]) -> dict[str, str]:
    attributes: dict[str, str] = {}
    for name, value in written.items():
        name_, value_ = tidy(name), tidy(value)
        if not name_ or not value_ or name_ in attributes:
            continue
        if len(attributes) == MAX_ATTRIBUTES:
            notes.append(f"attributes are cut to {MAX_ATTRIBUTES}")
            break
        short = _cut("an attribute's name", name_, MAX_ATTRIBUTE_NAME, notes)
        attributes[short] = _cut(f"attributes[{quote(short)}]", value_, MAX_ATTRIBUTE_VALUE, notes)
    return attributes
