"""Pages that are made to hurt, and pages that are broken."""

import random
from pathlib import Path

import pytest

import sosie.crawler.shops
from sosie.crawler.rejects import Reject, Unusable
from sosie.crawler.shops.declaration import Shop, read_shop
from sosie.crawler.shops.extraction import extract
from sosie.crawler.shops.listing_pages import find_links
from sosie.crawler.shops.page import MAX_BYTES, Page
from sosie.crawler.shops.search_api import read_hits
from sosie.crawler.shops.storefront import read_storefront
from sosie.v1 import product_pb2

PAGES = Path(__file__).parent / "pages"
SHOPS = [read_shop(path) for path in sorted((Path(sosie.crawler.shops.__file__).parent / "declared").glob("*.yaml"))]
LARGE = 300_000
LD = b'<script type="application/ld+json">'

HOSTILE = {
    "deep elements": b"<div>" * LARGE,
    "deep items": b"<div itemscope itemprop=a>" * (LARGE // 26),
    "many items": b"<div itemscope itemtype=/Product><p itemprop=name>a</p></div>" * (LARGE // 60),
    "nests of items": (b"<div itemscope itemprop=a>" * 200 + b"</div>" * 200) * 40,
    "deep JSON": LD + b"[" * LARGE + b"</script>",
    "deep JSON objects": LD + b'{"a":' * (LARGE // 5) + b"</script>",
    "deep JSON in a script": b"<script>productJson =" + b"{" * LARGE + b"</script>",
    "many scripts": (LD + b'{"@type":"Product","name":"a"}</script>') * 3000,
    "many attributes": b"<a " + b" ".join(b"a%d=1" % number for number in range(30_000)) + b">",
    "an endless number": LD + b'{"@type":"Product","name":"a","sku":' + b"9" * LARGE + b"}</script>",
    "an endless exponent": LD + b'{"@type":"Product","name":"a","sku":"1","offers":{"price":1e999999}}</script>',
    "a long title": b"<h1 class=product__title>" + b"x \t\n" * LARGE,
    "terms without end": b"<dl class='product__facts'>" + b"<dt>Colour</dt><dd>x</dd>" * (LARGE // 26),
    "no text": b"\0" * 1000,
    "another encoding": "<h1 class=product__title>Кроссовки</h1>".encode("windows-1251"),
    "UTF-16 without a word": "<h1>Air</h1>".encode("utf-16-le"),
    "an entity bomb": b'<!DOCTYPE a [<!ENTITY a "aa"><!ENTITY b "&a;&a;&a;">]><h1 class=product__title>&b;</h1>',
    "an external entity": b'<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]><h1 class=product__title>&a;</h1>',
    "an XML declaration": b'<?xml version="1.0" encoding="latin-1"?><html><h1 class="product__title">Air</h1></html>',
    "half a surrogate": LD
    + rb'{"@type":"Product","name":"\ud800","sku":"1","image":"http://a.example/\ud800"}</script>',
    "types in turn": LD + b'{"@type":["Product",3,null,{}],"name":{"name":{}},"offers":[3,"x",{}]}</script>',
}

PIECES = [b"<", b'"', b"{", b"}", b"]", b"\\", b"null", b"<!--", b"\xff", b"9" * 400]


def harvest(shop: Shop, body: bytes) -> list[product_pb2.Product | Reject]:
    """What a crawl would make of the page, in every role that it may have."""
    try:
        page = Page(body, "https://shop.example/products/one")
    except Unusable:
        return []
    find_links(shop, page)
    found = [extract(shop, page).outcome]
    for read in (read_hits, read_storefront):
        try:
            found += [each.outcome for each in read(shop, page)]
        except Unusable:
            continue
    return found


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile(name: str) -> None:
    """A page that is made to hurt gives no product, no traceback, and does so soon."""
    for shop in SHOPS:
        assert all(isinstance(outcome, Reject) for outcome in harvest(shop, HOSTILE[name]))


@pytest.mark.parametrize("body", [b"", b" \n", b"x" * (MAX_BYTES + 1), b"%PDF-1.4\0\0"])
def test_no_page(body: bytes) -> None:
    """What is empty, too large or no text is refused before anything looks into it."""
    with pytest.raises(Unusable):
        Page(body)


def test_declared_encoding() -> None:
    """The header's charset counts before the page's own, and the page's own before a guess."""
    russian = "<meta charset=windows-1251><h1 class=product__title>Кроссовки</h1>".encode("windows-1251")
    assert Page(russian).selector.css("h1::text").get() == "Кроссовки"
    wrong = "<meta charset=windows-1251><h1>Кроссовки</h1>".encode()
    assert Page(wrong, content_type="text/html; charset=utf-8").selector.css("h1::text").get() == "Кроссовки"


def test_slow_expression() -> None:
    """A regular expression that takes for ever on a page is given up and told."""
    rule = {"css": "h1", "regex": "(a|aa)+$"}
    shop = Shop.model_validate({"shop": "kicks", "hosts": ["kicks.example"], "fields": {"title": rule}})
    extraction = extract(shop, Page(b"<h1>" + b"a" * 5000 + b"!</h1>"))
    (problem,) = extraction.problems
    assert problem.problem == "the expression '(a|aa)+$' takes more than 1 s"
    assert isinstance(extraction.outcome, Reject)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("path", sorted(PAGES.glob("*.*")), ids=lambda path: path.name)
def test_spoiled(path: Path) -> None:
    """A page with bytes changed, doubled and cut gives products within the bounds, or rejects."""
    page = path.read_bytes()
    shop = next((shop for shop in SHOPS if shop.shop == path.stem.split("-")[0]), SHOPS[0])
    for seed in range(600):
        for outcome in harvest(shop, spoil(page, random.Random(seed))):
            if isinstance(outcome, product_pb2.Product):
                assert 1 <= len(outcome.title) <= 512
                assert 1 <= len(outcome.pictures) <= 64
                outcome.SerializeToString()
            else:
                assert "\n" not in outcome.reason


def spoil(page: bytes, chance: random.Random) -> bytes:
    spoiled = bytearray(page)
    for _ in range(chance.randint(1, 12)):
        place = chance.randrange(len(spoiled)) if spoiled else 0
        other = chance.randrange(len(spoiled)) if spoiled else 0
        kind = chance.randrange(4)
        if kind == 0 and spoiled:
            spoiled[place] = chance.randrange(256)
        elif kind == 1:
            del spoiled[place : place + chance.randint(1, 40)]
        elif kind == 2:
            spoiled[place:place] = spoiled[other : other + chance.randint(1, 200)]
        else:
            spoiled[place:place] = chance.choice(
                [b"<", b'"', b"{", b"}", b"]", b"\\", b"null", b"<!--", b"\xff", b"9" * 400]
            )
    return bytes(spoiled)
