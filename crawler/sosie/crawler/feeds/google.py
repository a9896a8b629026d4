"""Offers of Google Merchant, in RSS 2.0, in Atom, or in a table with the same names.

Format: https://support.google.com/merchants/answer/7052112 (product data specification).
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from xml.etree.ElementTree import Element

from sosie.crawler.drafts import Draft, DraftPicture
from sosie.crawler.feeds.markup import strip_markup, unescape_twice
from sosie.crawler.feeds.offers import Settings, find_point, join_values

ATOM = "{http://www.w3.org/2005/Atom}"
CONTAINERS = frozenset({"rss", "channel", f"{ATOM}feed", "feed"})
ITEMS = frozenset({"item", f"{ATOM}entry", "entry"})

_NAMESPACES = ("{http://base.google.com/ns/1.0}", "{https://base.google.com/ns/1.0}")
_NAMED = {
    "color": "colour",
    "size": "size",
    "material": "material",
    "pattern": "pattern",
    "gender": "gender",
    "age_group": "age_group",
    "condition": "condition",
    "gtin": "gtin",
    "mpn": "mpn",
}
"""Attributes whose values are of use for searching, and what they are called in a catalog."""
_LEVELS = ">"
_PARTS = 2  # of an interval

Fields = dict[str, list[str]]


def read_item(item: Element, settings: Settings, now: datetime) -> Draft:
    """The draft of an <item> or an <entry>; where g:title and title differ, that of g: counts."""
    merchant: Fields = {}
    plain: Fields = {}
    details: list[tuple[str, str]] = []
    for child in item:
        namespace, _, name = str(child.tag).rpartition("}")
        fields = merchant if f"{namespace}}}" in _NAMESPACES else plain
        if name == "product_detail":
            parts = {str(part.tag).rpartition("}")[2]: (part.text or "").strip() for part in child}
            details.append((parts.get("attribute_name", ""), parts.get("attribute_value", "")))
            continue
        text = "\n".join(child.itertext()) if len(child) else child.text or ""
        if text := text.strip() or child.get("href", ""):  # Atom's <link href="…"/>
            fields.setdefault(name, []).append(text)
    return make_draft(plain | merchant, details, settings, now)


def make_draft(fields: Fields, details: list[tuple[str, str]], settings: Settings, now: datetime) -> Draft:
    """The draft of what an item says, under the names of Google.

    The price is the one to be paid at the moment `now`; during a sale the other becomes the attribute old_price.
    """

    def first(*names: str) -> str:
        return next((fields[name][0] for name in names if fields.get(name)), "")

    price, old = first("price"), ""
    if (sale := first("sale_price")) and _is_on(first("sale_price_effective_date"), now):
        price, old = sale, price
    attributes = [("group_id", first("item_group_id"))]
    attributes += [(ours, unescape_twice(value)) for theirs, ours in _NAMED.items() for value in fields.get(theirs, [])]
    attributes.append(("old_price", old if old != price else ""))
    return Draft(
        shop=settings.shop,
        product_id=first("id"),
        title=unescape_twice(first("title")),
        brand=unescape_twice(first("brand")),
        category_path=_read_category(first("product_type"), first("google_product_category")),
        price=price,
        currency="" if any(map(str.isalpha, price)) else settings.currency,
        decimal=find_point(price),
        url=first("link"),
        pictures=list(_list_pictures(fields)),
        availability=first("availability"),
        attributes=join_values([*attributes, *details]),
        description=strip_markup(first("description", "summary", "content")),
    )


def _list_pictures(fields: Fields) -> Iterator[DraftPicture]:
    for url in (*fields.get("image_link", ()), *fields.get("additional_image_link", ())):
        yield DraftPicture(url)
    for url in fields.get("lifestyle_image_link", ()):
        yield DraftPicture(url, "lifestyle")


def _read_category(own: str, google: str) -> list[str]:
    """The shop's own category, else Google's where it is not a number of its taxonomy."""
    path = own or ("" if google.isdecimal() else google)
    return [level.strip() for level in unescape_twice(path).split(_LEVELS)]


def _is_on(interval: str, now: datetime) -> bool:
    """Whether a sale takes place; one without dates, or with such that cannot be read, does.

    >>> _is_on("2026-01-01T00:00+0100/2026-02-01T00:00+0100", datetime(2026, 3, 1, tzinfo=UTC))
    False
    """
    parts = interval.split("/")
    if len(parts) != _PARTS:
        return True
    try:
        start, end = (datetime.fromisoformat(part.strip()) for part in parts)
    except ValueError:
        return True
    start, end = (moment if moment.tzinfo else moment.replace(tzinfo=UTC) for moment in (start, end))
    return start <= now <= end
