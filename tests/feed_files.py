"""One boot, in two sizes, as feeds of every kind tell of it."""

import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sosie.crawler.drafts import Draft, build
from sosie.crawler.feeds.offers import Settings
from sosie.crawler.feeds.reading import Feed
from sosie.v1 import product_pb2

NOW = datetime(2026, 11, 21, tzinfo=UTC)
BASE = "https://shop.example"
SETTINGS = Settings("north", "EUR")

YANDEX = f"""<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE yml_catalog SYSTEM "shops.dtd">
<yml_catalog date="2026-11-20 08:00"><shop><name>North</name><url>{BASE}</url>
<currencies><currency id="EUR" rate="1"/></currencies>
<categories>
<category id="1">Women</category><category id="2" parentId="1">Shoes</category>
<category id="3" parentId="2">Boots</category>
</categories>
<offers>
<offer id="B-38" available="true" group_id="B"><url>{BASE}/p/b-38</url><price>89.90</price><oldprice>120</oldprice>
<currencyId>EUR</currencyId><categoryId>3</categoryId><picture>{BASE}/i/b-1.jpg</picture><picture>{BASE}/i/b-2.jpg</picture>
<name>Suede boot</name><vendor>Okapi Row</vendor><description><![CDATA[<p>Lined &amp; warm.</p>]]></description>
<param name="colour">brown</param><param name="size">38</param></offer>
<offer id="B-39" available="false" group_id="B"><url>{BASE}/p/b-39</url><price>89.90</price><oldprice>120</oldprice>
<currencyId>EUR</currencyId><categoryId>3</categoryId><picture>{BASE}/i/b-1.jpg</picture><picture>{BASE}/i/b-2.jpg</picture>
<name>Suede boot</name><vendor>Okapi Row</vendor><description>Lined &amp; warm.</description>
<param name="colour">brown</param><param name="size">39</param></offer>
</offers></shop></yml_catalog>
"""

_MERCHANT = f"""<g:image_link>{BASE}/i/b-1.jpg</g:image_link>
<g:additional_image_link>{BASE}/i/b-2.jpg</g:additional_image_link>
<g:price>120 EUR</g:price><g:sale_price>89.90 EUR</g:sale_price><g:brand>Okapi Row</g:brand>
<g:product_type>Women &gt; Shoes &gt; Boots</g:product_type><g:google_product_category>187</g:google_product_category>
<g:item_group_id>B</g:item_group_id><g:color>brown</g:color>"""

RSS = f"""<?xml version="1.0"?>
<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel><title>North</title><link>{BASE}</link>
<item><g:id>B-38</g:id><title>Suede boot</title><link>{BASE}/p/b-38</link><description>Lined &amp; warm.</description>
{_MERCHANT}<g:size>38</g:size><g:availability>in_stock</g:availability></item>
<item><g:id>B-39</g:id><title>Suede boot</title><link>{BASE}/p/b-39</link><description>Lined &amp; warm.</description>
{_MERCHANT}<g:size>39</g:size><g:availability>out of stock</g:availability></item>
</channel></rss>
"""

ATOM = f"""<?xml version="1.0"?>
<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0"><title>North</title>
<entry><g:id>B-38</g:id><title>Suede boot</title><link href="{BASE}/p/b-38"/><summary>Lined &amp; warm.</summary>
{_MERCHANT}<g:size>38</g:size><g:availability>in_stock</g:availability></entry>
<entry><id>tag:39</id><g:id>B-39</g:id><title>Suede boot</title><link href="{BASE}/p/b-39"/>
<summary>Lined &amp; warm.</summary>
{_MERCHANT}<g:size>39</g:size><g:availability>out_of_stock</g:availability></entry>
</feed>
"""

_ROWS = [
    {
        "id": f"B-{size}",
        "title": "Suede boot",
        "description": "Lined & warm.",
        "link": f"{BASE}/p/b-{size}",
        "image link": f"{BASE}/i/b-1.jpg",
        "additional image link": f"{BASE}/i/b-2.jpg",
        "availability": "in stock" if size == "38" else "out of stock",
        "price": "120 EUR",
        "sale price": "89.90 EUR",
        "brand": "Okapi Row",
        "product type": "Women > Shoes > Boots",
        "item group id": "B",
        "color": "brown",
        "size": size,
    }
    for size in ("38", "39")
]
_YANDEX_ROWS = [
    {
        "id": f"B-{size}",
        "available": "true" if size == "38" else "false",
        "group_id": "B",
        "url": f"{BASE}/p/b-{size}",
        "price": "89.90",
        "oldprice": "120",
        "currencyId": "EUR",
        "category": "Women/Shoes/Boots",
        "picture": f"{BASE}/i/b-1.jpg,{BASE}/i/b-2.jpg",
        "name": "Suede boot",
        "vendor": "Okapi Row",
        "description": '"Lined & warm."',
        "param": f'"colour|brown;size|{size}"',
    }
    for size in ("38", "39")
]


def _table(rows: list[dict[str, str]], delimiter: str) -> str:
    return "".join(delimiter.join(cells) + "\n" for cells in (rows[0], *(row.values() for row in rows)))


def make_schema_org(size: str) -> dict[str, Any]:
    """The boot in one size, as JSON-LD."""
    stock = "InStock" if size == "38" else "OutOfStock"
    old = {"@type": "PropertyValue", "name": "old_price", "value": "120 EUR"}
    return {
        "@context": "https://schema.org",
        "@type": "Product",
        "productID": f"B-{size}",
        "name": "Suede boot",
        "brand": {"@type": "Brand", "name": "Okapi Row"},
        "category": "Women > Shoes > Boots",
        "url": f"{BASE}/p/b-{size}",
        "image": [f"{BASE}/i/b-1.jpg", {"@type": "ImageObject", "url": f"{BASE}/i/b-2.jpg"}],
        "description": "Lined &amp; warm.",
        "color": "brown",
        "size": size,
        "inProductGroupWithID": "B",
        "additionalProperty": [old],
        "offers": {
            "@type": "Offer",
            "price": 89.90,
            "priceCurrency": "EUR",
            "availability": f"https://schema.org/{stock}",
        },
    }


FEEDS: Mapping[str, str] = {
    "yandex": YANDEX,
    "rss": RSS,
    "atom": ATOM,
    "csv": _table(_ROWS, ","),
    "tsv": _table(_ROWS, "\t"),
    "yandex-csv": _table(_YANDEX_ROWS, ";"),
    "schema.org": "".join(json.dumps(make_schema_org(size)) + "\n" for size in ("38", "39")),
}
"""Of every kind, all with the same two products."""

EXPECTED = {
    "shop": "north",
    "title": "Suede boot",
    "brand": "Okapi Row",
    "category_path": ["Women", "Shoes", "Boots"],
    "price": {"currency_code": "EUR", "units": "89", "nanos": 900000000},
    "description": "Lined & warm.",
}
ATTRIBUTES = {"group_id": "B", "colour": "brown", "old_price": "120 EUR"}


def read_drafts(feed: str | bytes, **options: Any) -> list[Draft]:
    """The drafts of a feed whose offers all are ones."""
    file = io.BytesIO(feed.encode() if isinstance(feed, str) else feed)
    drafts = [offer.draft for offer in Feed(file, SETTINGS, now=NOW, **options)]
    assert all(isinstance(draft, Draft) for draft in drafts), drafts
    return [draft for draft in drafts if isinstance(draft, Draft)]


def read_products(feed: str | bytes, **options: Any) -> list[product_pb2.Product]:
    """The products of a feed without a reject."""
    return [build(draft).product for draft in read_drafts(feed, **options)]
