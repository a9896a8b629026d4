"""schema.org's Product, from JSON-LD or microdata: its fields as texts, and as drafts."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

from sosie.crawler.drafts import Draft, DraftPicture
from sosie.crawler.prices import Mark
from sosie.crawler.texts import texts_of

Found: TypeAlias = dict[str, list[str]]
"""The texts of each field; attributes are fields whose names begin with @."""

_KINDS = frozenset({"Product", "ProductGroup", "ProductModel", "IndividualProduct", "SomeProducts", "Vehicle"})
_DEPTH = 6  # of objects within objects that are followed
_MOST = 200  # values of one property

_IDS = ("productID", "productGroupID", "sku", "mpn", "gtin13", "gtin", "gtin12", "gtin14", "gtin8")
_ATTRIBUTES = {
    "color": "colour",
    "colour": "colour",
    "material": "material",
    "size": "size",
    "pattern": "pattern",
    "sku": "sku",
    "mpn": "mpn",
    "gtin": "gtin",
    "gtin13": "gtin",
    "gtin12": "gtin",
    "model": "model",
    "countryOfOrigin": "country_of_origin",
    "inProductGroupWithID": "group_id",
}
"""schema.org's name, and the attribute's."""


def find_item(items: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The product among a page's items, else what microdata said outside of any, else nothing."""
    known = list(items)
    for item in known:
        if is_product(item):
            return item
    return next((item for item in known if "@type" not in item and "name" in item), {})


def is_product(item: dict[str, Any]) -> bool:
    """Whether its type is a product, or a group of them."""
    return not _KINDS.isdisjoint(_kinds(item))


def read_product(items: list[dict[str, Any]]) -> Found:
    """The fields of the page's product, with the levels of its breadcrumbs for a category.

    A group's offers and pictures are its variants' as well.
    """
    item = find_item(items)
    if not item:
        return {}
    variants = _objects(item.get("hasVariant"))
    offers = [offer for each in (item, *variants) for offer in _offers(each.get("offers"))]
    prices = [price for offer in offers for price in (offer, *_objects(offer.get("priceSpecification")))]
    found: Found = {
        "product_id": _first(item, *_IDS),
        "title": _first(item, "name"),
        "brand": _first(item, "brand", "manufacturer"),
        "category": _breadcrumbs(items, item) or _first(item, "category"),
        "price": [text for price in prices for text in _first(price, "price", "lowPrice")],
        "currency": [text for price in prices for text in _first(price, "priceCurrency")],
        "url": _first(item, "url"),
        "pictures": [text for each in (item, *variants) for text in _names(each.get("image"), "url", "contentUrl")],
        "availability": _availability(offers),
        "description": _first(item, "description"),
    }
    for name, attribute in _ATTRIBUTES.items():
        found.setdefault(f"@{attribute}", []).extend(_names(item.get(name), "name", "value"))
    for group in _objects(item.get("isVariantOf")):
        found["@group_id"].extend(_names(group.get("productGroupID"), "value"))
    for each in _objects(item.get("additionalProperty")):
        for name in _names(each.get("name"), "name"):
            found.setdefault(f"@{name}", []).extend(_names(each.get("value"), "name"))
    return {name: texts for name, texts in found.items() if texts}


def drafts_of(node: dict[str, Any], shop: str, *, currency: str = "", base: str = "") -> Iterator[Draft]:
    """A Product as a draft; a ProductGroup as one of each of its variants, linked by the attribute group_id.

    `currency` is that of prices that name none, `base` what addresses are relative to.
    """
    variants = _objects(node.get("hasVariant"))
    if not variants:
        yield _draft(read_product([node]), shop, currency, base)
        return
    whole = read_product([{name: value for name, value in node.items() if name != "hasVariant"}])
    group = whole.get("product_id", [])[:1]
    for variant in variants:
        own = read_product([{"@type": "Product", **variant}])
        found = {**whole, **own, "product_id": own.get("product_id", [])}
        found["@group_id"] = group or own.get("@group_id", [])
        yield _draft(found, shop, currency, base)


def split_category(levels: list[str]) -> list[str]:
    """Levels of a category; a single text may hold them all.

    >>> split_category(["Men > Shoes"]), split_category(["Men", "T-shirts/Polos"])
    (['Men', 'Shoes'], ['Men', 'T-shirts/Polos'])
    """
    if len(levels) != 1:
        return levels
    (text,) = levels
    return [level.strip() for level in text.split(">" if ">" in text else "/")]


def decimal_mark(price: str) -> Mark | None:
    """What stands before the fraction in a price of schema.org: a point, but some write a comma all the same."""
    return None if "," in price else "."


def _draft(found: Found, shop: str, currency: str, base: str) -> Draft:
    first = {name: texts[0] for name, texts in found.items() if texts}
    return Draft(
        shop=shop,
        product_id=first.get("product_id", ""),
        title=first.get("title", ""),
        brand=first.get("brand", ""),
        category_path=split_category(found.get("category", [])),
        price=first.get("price", ""),
        currency=first.get("currency") or currency,
        decimal=decimal_mark(first.get("price", "")),
        url=first.get("url", ""),
        pictures=[DraftPicture(url) for url in found.get("pictures", [])],
        availability=first.get("availability", ""),
        attributes={name[1:]: text for name, text in first.items() if name.startswith("@")},
        description=first.get("description", ""),
        base=base,
    )


def _kinds(item: dict[str, Any]) -> set[str]:
    return {kind.rstrip("/").rsplit("/", 1)[-1].removeprefix("schema:") for kind in texts_of(item.get("@type"))}


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value[:_MOST] if isinstance(value, list) else [value]


def _objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in _list(value) if isinstance(each, dict)]


def _offers(value: Any, depth: int = 0) -> Iterator[dict[str, Any]]:
    for offer in _objects(value):
        yield offer
        if depth < _DEPTH:
            yield from _offers(offer.get("offers"), depth + 1)


def _first(item: dict[str, Any], *names: str) -> list[str]:
    """The texts of the first property that has any."""
    return next((found for name in names if (found := _names(item.get(name), "name", "value"))), [])


def _names(value: Any, *inner: str, depth: int = 0) -> list[str]:
    """Texts, and of objects what they are called by."""
    texts: list[str] = []
    for each in _list(value):
        if isinstance(each, dict):
            if depth < _DEPTH:
                named = (_names(each.get(name), *inner, depth=depth + 1) for name in (*inner, "@value"))
                texts.extend(next((found for found in named if found), []))
        elif not isinstance(each, list):
            texts.extend(text for text in texts_of(each) if text.strip())
    return texts[:_MOST]


def _availability(offers: list[dict[str, Any]]) -> list[str]:
    """All offers' words, those that say it can be bought first: one size in stock is a product in stock."""
    words = [text for offer in offers for text in _names(offer.get("availability"), "name")]
    return sorted(words, key=lambda word: not word.casefold().endswith("instock"))


def _breadcrumbs(items: list[dict[str, Any]], item: dict[str, Any]) -> list[str]:
    """The page's breadcrumbs without the first, which is the shop, and without the product itself."""
    for crumbs in (*items, *_objects(item.get("breadcrumb"))):
        if "BreadcrumbList" not in _kinds(crumbs):
            continue
        entries = _objects(crumbs.get("itemListElement"))
        names = [name for entry in sorted(entries, key=_position) for name in _crumb(entry)]
        titles = set(_first(item, "name"))
        return [name for name in names[1:] if name not in titles]
    return []


def _crumb(entry: dict[str, Any]) -> list[str]:
    return (_names(entry.get("name"), "name") or _names(entry.get("item"), "name"))[:1]


def _position(entry: dict[str, Any]) -> int:
    text = next(texts_of(entry.get("position")), "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < _DEPTH else 0
