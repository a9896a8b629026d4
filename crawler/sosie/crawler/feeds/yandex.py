"""Offers of Yandex Market Language, in XML or in a table with the same names.

Format: https://yandex.ru/support/marketplace/ru/assortment/fields/ and, for tables, its section on CSV.
"""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from sosie.crawler.drafts import Draft, DraftPicture
from sosie.crawler.feeds.markup import strip_markup, unescape_twice
from sosie.crawler.feeds.offers import Settings, find_point, join_values

CONTAINERS = frozenset({"yml_catalog", "shop", "categories", "offers"})

_MAX_LEVELS = 32  # of the categories' tree: a deeper one goes round in a circle, or means nothing to people
_MAX_CATEGORIES = 200_000
_NAMED = {
    "model": "model",
    "vendorCode": "vendor_code",
    "barcode": "gtin",
    "country_of_origin": "country_of_origin",
}
"""Elements that become attributes, and their names."""


class Categories:
    """The tree of a feed's categories, which stands before its offers."""

    def __init__(self) -> None:
        self._nodes: dict[str, tuple[str, str]] = {}
        self._paths: dict[str, list[str]] = {}

    def add(self, element: Element) -> None:
        """Takes note of a <category>; those beyond 200,000 are not kept, and their offers have no category."""
        if (name := (element.text or "").strip()) and len(self._nodes) < _MAX_CATEGORIES:
            self._nodes[element.get("id", "")] = name, element.get("parentId", "")
            self._paths.clear()

    def path(self, id: str) -> list[str]:
        """From the widest to the one with this id; empty where the tree does not have it."""
        if (known := self._paths.get(id)) is None:
            known = self._paths[id] = list(reversed(list(self._climb(id)))) if id in self._nodes else []
        return known

    def _climb(self, id: str) -> Iterator[str]:
        at = id
        for _ in range(_MAX_LEVELS):
            name, parent = self._nodes[at]
            yield name
            if parent not in self._nodes or parent == at:
                return
            at = parent


def read_offer(offer: Element, categories: Categories, settings: Settings) -> Draft:
    """The draft of an <offer>. The price is the one to be paid, `oldprice` becomes the attribute old_price."""
    fields: dict[str, str] = {}
    pictures: list[DraftPicture] = []
    properties: list[tuple[str, str]] = []
    for child in offer:
        tag, text = child.tag, (child.text or "").strip()
        if tag == "param":
            unit = child.get("unit")
            properties.append((child.get("name", ""), f"{text} {unit}" if unit and text else text))
        elif tag == "picture":
            pictures.append(DraftPicture(text))
        elif tag == "description" and len(child):  # HTML as elements, without CDATA
            fields[tag] = "\n".join(child.itertext())
        elif text and tag not in fields:
            fields[tag] = text
    fields.update((name, said) for name in ("id", "available", "group_id") if (said := offer.get(name)))
    return make_draft(fields, pictures, properties, categories.path(fields.get("categoryId", "")), settings)


def make_draft(
    fields: dict[str, str],
    pictures: list[DraftPicture],
    properties: list[tuple[str, str]],
    category_path: list[str],
    settings: Settings,
) -> Draft:
    """The draft of what an offer says, under the names of Yandex."""
    get = fields.get
    currency = get("currencyId", "") or settings.currency
    currency = "RUB" if currency == "RUR" else currency
    old = get("oldprice", "")
    attributes = [("group_id", get("group_id", "")), ("old_price", f"{old} {currency}" if old else "")]
    attributes += [(ours, unescape_twice(fields[theirs])) for theirs, ours in _NAMED.items() if theirs in fields]
    return Draft(
        shop=settings.shop,
        product_id=get("id", ""),
        title=unescape_twice(get("name", "") or _compose_title(fields)),
        brand=unescape_twice(get("vendor", "")),
        category_path=category_path,
        price=get("price", ""),
        currency=currency,
        decimal=find_point(get("price", "")),
        url=get("url", ""),
        pictures=pictures,
        availability=get("available", ""),
        attributes=join_values(attributes + properties),
        description=strip_markup(get("description", "")),
    )


def _compose_title(fields: dict[str, str]) -> str:
    """Offers of the type vendor.model have no name."""
    return " ".join(fields[name] for name in ("typePrefix", "vendor", "model") if name in fields)
