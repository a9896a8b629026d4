"""What each kind of feed says, and what is made of it."""

import json
from datetime import UTC, datetime

import pytest
from google.protobuf import json_format

from feed_files import ATTRIBUTES, BASE, EXPECTED, FEEDS, NOW, RSS, YANDEX, make_schema_org, read_drafts, read_products
from sosie.crawler.feeds.errors import FeedError
from sosie.crawler.feeds.formats import Format
from sosie.v1 import product_pb2


@pytest.mark.parametrize("kind", FEEDS)
def test_all_kinds_give_the_same(kind: str) -> None:
    """Whatever the feed's kind is, its products are the same: fields, pictures, variants and price."""
    products = read_products(FEEDS[kind])
    assert len(products) == 2
    for product, size in zip(products, ("38", "39"), strict=True):
        told = json_format.MessageToDict(product, preserving_proto_field_name=True)
        assert {name: told[name] for name in EXPECTED} == EXPECTED
        assert told["attributes"] == {**ATTRIBUTES, "size": size}
        assert (product.product_id, product.url) == (f"B-{size}", f"{BASE}/p/b-{size}")
        assert [picture.url for picture in product.pictures] == [f"{BASE}/i/b-1.jpg", f"{BASE}/i/b-2.jpg"]
        assert not any(picture.path for picture in product.pictures)
    assert [product.availability for product in products] == [product_pb2.IN_STOCK, product_pb2.OUT_OF_STOCK]


def offer(inner: str, attributes: str = 'id="1"') -> str:
    """A feed of Yandex with one offer."""
    picture = f"<picture>{BASE}/1.jpg</picture>"
    return f"<yml_catalog><shop><offers><offer {attributes}>{picture}{inner}</offer></offers></shop></yml_catalog>"


def item(inner: str) -> str:
    """A feed of Google with one item."""
    fields = f"<g:id>1</g:id><g:image_link>{BASE}/1.jpg</g:image_link>{inner}"
    return f"<rss xmlns:g='http://base.google.com/ns/1.0'><channel><item>{fields}</item></channel></rss>"


def test_title_without_a_name() -> None:
    """An offer of the type vendor.model is called by its type, its maker and its model."""
    feed = offer(
        "<typePrefix>Boots</typePrefix><vendor>Okapi</vendor><model>Row 7</model>", 'id="1" type="vendor.model"'
    )
    (draft,) = read_drafts(feed)
    assert (draft.title, draft.brand, draft.attributes["model"]) == ("Boots Okapi Row 7", "Okapi", "Row 7")


def test_params() -> None:
    """A param keeps its unit; values of one name are joined, each once."""
    params = (("Width", "12"), ("Colour", ""), ("Size", ""))
    inner = "".join(f'<param name="{name}" unit="cm">{value}</param>' for name, value in params)
    inner += '<param name="Size">38</param><param name="Size">39</param><param name="Size">38</param>'
    (draft,) = read_drafts(offer(inner))
    assert draft.attributes == {"Width": "12 cm", "Size": "38, 39"}


def test_roubles_of_old() -> None:
    """Yandex' RUR is the rouble, and a price with three places after its point is not a thousand times as much."""
    (product,) = read_products(offer("<name>Boot</name><price>5990.000</price><currencyId>RUR</currencyId>"))
    assert (product.price.currency_code, product.price.units) == ("RUB", 5990)


@pytest.mark.parametrize(
    ("categories", "path"),
    [
        ('<category id="1">A</category><category id="2" parentId="1">B</category>', ["A", "B"]),
        ('<category id="2" parentId="1">B</category><category id="1">A</category>', ["A", "B"]),
        ('<category id="2" parentId="9">B</category>', ["B"]),
        ('<category id="2" parentId="2">B</category>', ["B"]),
        ('<category id="1">A</category>', []),
    ],
    ids=["tree", "child first", "parent unknown", "own parent", "unknown"],
)
def test_category_trees(categories: str, path: list[str]) -> None:
    """An offer has all levels of its category; where the tree lacks something, those that it has."""
    feed = offer("<name>Boot</name><categoryId>2</categoryId>")
    (draft,) = read_drafts(feed.replace("<offers>", f"<categories>{categories}</categories><offers>"))
    assert list(draft.category_path) == path


def test_categories_in_a_circle() -> None:
    """Categories that are each other's parents do not go on for ever."""
    categories = '<category id="1" parentId="2">A</category><category id="2" parentId="1">B</category>'
    feed = offer("<name>Boot</name><categoryId>2</categoryId>")
    (draft,) = read_drafts(feed.replace("<offers>", f"<categories>{categories}</categories><offers>"))
    assert set(draft.category_path) == {"A", "B"}


@pytest.mark.parametrize(
    ("interval", "price"),
    [
        ("", "80 EUR"),
        ("2026-11-01T00:00+0100/2026-12-01T00:00+0100", "80 EUR"),
        ("2026-01-01T00:00Z/2026-02-01T00:00Z", "120 EUR"),
        ("2026-01-01/2026-02-01", "120 EUR"),
        ("soon", "80 EUR"),
    ],
)
def test_sales(interval: str, price: str) -> None:
    """The price is the one to be paid now: a sale's while it lasts."""
    sale = f"<g:sale_price_effective_date>{interval}</g:sale_price_effective_date>"
    (draft,) = read_drafts(item(f"<g:price>120 EUR</g:price><g:sale_price>80 EUR</g:sale_price>{sale}"))
    assert draft.price == price
    assert draft.attributes.get("old_price", "") == ("120 EUR" if price == "80 EUR" else "")
    assert datetime(2026, 11, 21, tzinfo=UTC) == NOW


def test_merchant_namespace_counts() -> None:
    """Where an item says a thing twice, what it says to Google counts."""
    (draft,) = read_drafts(item("<title>Boot, 20% off!</title><g:title>Boot</g:title>"))
    assert draft.title == "Boot"


def test_google_details() -> None:
    """Details of a product are its attributes, a picture of its use is marked as one."""
    detail = "<g:attribute_name>Heel</g:attribute_name><g:attribute_value>5 cm</g:attribute_value>"
    inner = f"<g:product_detail>{detail}</g:product_detail><g:lifestyle_image_link>/2.jpg</g:lifestyle_image_link>"
    (draft,) = read_drafts(item(inner))
    assert draft.attributes == {"Heel": "5 cm"}
    assert [picture.view for picture in draft.pictures] == ["", "lifestyle"]


def test_currency_of_prices_without_one() -> None:
    """A price without a currency is in the one that the caller names."""
    (product,) = read_products(item("<title>Boot</title><g:price>12.50</g:price>"))
    assert product.price.currency_code == "EUR"


def test_table_with_quotes() -> None:
    """Cells may hold delimiters, quotes and ends of lines; a comma within an address does not cut it."""
    head = "id,title,image_link,additional_image_link\n"
    row = f'1,"Boot, ""Row""\n7",{BASE}/1.jpg,"{BASE}/2,w_80.jpg,{BASE}/3.jpg"\n'
    (product,) = read_products(head + row)
    assert product.title == 'Boot, "Row" 7'
    assert [picture.url for picture in product.pictures] == [f"{BASE}/{name}.jpg" for name in ("1", "2,w_80", "3")]


def test_variants_of_a_group() -> None:
    """A ProductGroup gives a product for each variant, with what the group says of all."""
    group = {"@type": "ProductGroup", "productGroupID": "B", "name": "Boot", "brand": "Okapi", "image": f"{BASE}/1.jpg"}
    variants = [{"@type": "Product", "sku": f"B-{size}", "size": size} for size in (38, 39)]
    products = read_products(json.dumps({"@graph": [{"@type": "WebPage"}, {**group, "hasVariant": variants}]}))
    assert [product.product_id for product in products] == ["B-38", "B-39"]
    assert {(product.title, product.brand, product.attributes["group_id"]) for product in products} == {
        ("Boot", "Okapi", "B")
    }


def test_exact_prices_of_json() -> None:
    """A number in JSON is taken by its digits, not by its nearest binary fraction."""
    feed = json.dumps(make_schema_org("38")).replace("89.9", "0.07")
    (product,) = read_products(feed)
    assert product.price.nanos == 70_000_000


@pytest.mark.parametrize(
    ("feed", "said"),
    [
        ("", "is empty"),
        ("<html><body/></html>", "its first element is 'html'"),
        ("<!-- nothing -->", "has no element in its first 16 characters"),
        ("<!-- <!-- -->", "is not well-formed XML"),
        ("a,b\n1,2\n", "a table has the columns id and title"),
        ("PK\x03\x04", "is packed as zip"),
    ],
)
def test_unknown_feeds(feed: str, said: str) -> None:
    """What is no feed is refused with what it looks like."""
    with pytest.raises(FeedError, match=said):
        read_drafts(feed)


def test_format_by_name() -> None:
    """A format that is named is not guessed: then other roots are passed over, and nothing is found."""
    assert read_drafts(RSS, format=Format.YANDEX) == []
    assert read_drafts(YANDEX.replace('<?xml version="1.0" encoding="UTF-8"?>', "<!-- made by hand -->"))
