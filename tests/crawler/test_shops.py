"""The declared shops, on pages of their shapes."""

import json
from pathlib import Path

import pytest
from google.protobuf import json_format

import sosie.crawler.shops
from sosie.crawler.rejects import Reject, Unusable
from sosie.crawler.shops.declaration import Shop, read_shop
from sosie.crawler.shops.extraction import Extraction, extract
from sosie.crawler.shops.listing_pages import find_links, next_page
from sosie.crawler.shops.page import Context, Page
from sosie.crawler.shops.search_api import ask_hits, count_pages, read_hits
from sosie.crawler.shops.storefront import products_url, read_storefront
from sosie.v1 import product_pb2

PAGES = Path(__file__).parent / "pages"
DECLARED = Path(sosie.crawler.shops.__file__).parent / "declared"
HARVEST = PAGES / "harvest.json"


def load(name: str) -> Shop:
    return read_shop(DECLARED / f"{name}.yaml")


def read_page(name: str, url: str = "", context: Context | None = None) -> Page:
    return Page((PAGES / name).read_bytes(), url, context=context)


def describe(extraction: Extraction) -> object:
    outcome = extraction.outcome
    if isinstance(outcome, Reject):
        return {"reject": f"{outcome.field} {outcome.reason}", "product_id": outcome.product_id}
    return json_format.MessageToDict(outcome, preserving_proto_field_name=True)


def harvest() -> dict[str, list[object]]:
    """What each declared shop gives from its pages."""
    found: dict[str, list[object]] = {}
    for name, url in {
        "sneakerbaas": "https://www.sneakerbaas.com/products/runner-90-dune?variant=2",
        "superkicks": "https://www.superkicks.in/products/court-classic-white-green",
        "footshop": "https://www.footshop.com/en/mens-shoes/204417-trail-one-gtx.html",
    }.items():
        shop = load(name)
        first = shop.listings[0]
        context = Context(first.name, first.url, tuple(first.category))
        found[name] = [describe(extract(shop, read_page(f"{name}.html", url, context)))]
    for name in ("highsnobiety", "kickscrew"):
        shop = load(name)
        first = shop.listings[0]
        context = Context(first.name, first.url, tuple(first.category))
        hits = list(read_hits(shop, read_page(f"{name}.json", "", context)))
        whole = extract(shop, read_page(f"{name}.html", "", context), hits[0].values)
        found[name] = [describe(whole), *map(describe, hits[1:])]
    return found


def test_harvest() -> None:
    """Each shop's pages give what the golden file says."""
    assert harvest() == json.loads(HARVEST.read_text())


@pytest.mark.parametrize("path", sorted(DECLARED.glob("*.yaml")), ids=lambda path: path.stem)
def test_declared(path: Path) -> None:
    """Each declaration is valid and called as its shop."""
    assert read_shop(path).shop == path.stem


@pytest.mark.parametrize(
    ("name", "listings"),
    [("sneakerbaas", 4), ("superkicks", 8), ("footshop", 3), ("highsnobiety", 1), ("kickscrew", 1)],
)
def test_listings(name: str, listings: int) -> None:
    """Each shop has the collections that it is known for."""
    assert len(load(name).listings) == listings


def test_links() -> None:
    """A listing page gives each product page of the shop once, and the next page by its number."""
    shop = load("sneakerbaas")
    page = read_page("sneakerbaas-listing.html", "https://www.sneakerbaas.com/collections/men?sort=new")
    links = find_links(shop, page)
    assert links == [
        "https://www.sneakerbaas.com/products/runner-90-dune",
        "https://www.sneakerbaas.com/products/court-low-white",
    ]
    assert next_page(shop, page, 1, len(links)) == "https://www.sneakerbaas.com/collections/men?sort=new&page=2"


def test_end_of_pages() -> None:
    """A page without links, and the last page that the declaration allows, have no next one."""
    shop = load("sneakerbaas")
    page = read_page("sneakerbaas-listing.html", "https://www.sneakerbaas.com/collections/men")
    assert next_page(shop, page, 3, 0) is None
    assert next_page(shop, page, 100, 48) is None


def test_linked_next_page() -> None:
    """The next page may be linked on the one before, in the shop's own hosts only."""
    shop = load("footshop")
    inside = Page(b"<a rel=next href='?page=2'>", "https://www.footshop.com/en/5-mens-shoes")
    outside = Page(b"<a rel=next href='//else.example/2'>", "https://www.footshop.com/en/5-mens-shoes")
    assert next_page(shop, inside, 1, 48) == "https://www.footshop.com/en/5-mens-shoes?page=2"
    assert next_page(shop, outside, 1, 48) is None


def test_search_request() -> None:
    """A search is asked for a hundred hits of a page, with the shop's key."""
    shop = load("highsnobiety")
    request = ask_hits(shop, shop.listings[0], 3)
    asked = json.loads(request.body)["requests"]
    assert asked == [
        {"indexName": "products_en", "params": "query=sneakers&hitsPerPage=100&page=2&filters=in_stock%3Atrue"}
    ]
    assert request.headers["X-Algolia-Application-Id"] == "HIGHSNOBIETY"
    assert count_pages(shop, read_page("highsnobiety.json")) == 7


def test_pictures_of_hit_first() -> None:
    """The hit's picture stays the main one, the page's others follow, and the hit's words stay."""
    shop = load("highsnobiety")
    hit = next(read_hits(shop, read_page("highsnobiety.json")))
    product = extract(shop, read_page("highsnobiety.html"), hit.values).outcome
    assert isinstance(product, product_pb2.Product)
    assert product.title == "Cloud Runner"
    assert [picture.url.rsplit("/", 1)[1] for picture in product.pictures] == ["main.jpg", "sole.jpg"]


def test_storefront() -> None:
    """A storefront's products.json gives each product, the variant that is in stock says its price."""
    shop = Shop(
        shop="loft", hosts=["shop.example"], currency="EUR", storefront="shopify", brands={"Loft": ["Loft & Lin"]}
    )
    url = products_url("https://shop.example/collections/hats", 1)
    found = list(read_storefront(shop, read_page("storefront.json", url)))
    hat, card = (each.outcome for each in found)
    assert isinstance(hat, product_pb2.Product)
    assert (hat.title, hat.product_id, hat.price.units, hat.price.currency_code) == ("Wool Beanie", "6601", 39, "EUR")
    assert hat.url == "https://shop.example/products/wool-beanie"
    assert hat.description == "Merino & cashmere."
    assert dict(hat.attributes) == {"slug": "wool-beanie", "sku": "WB-M", "colour": "Navy, Moss", "size": "S, M"}
    assert isinstance(card, Reject)
    assert card.field == "pictures"


@pytest.mark.parametrize("body", [b"<html>blocked</html>", b"[]", b'{"products": 3}', b'{"products": ['])
def test_no_storefront(body: bytes) -> None:
    """What is no products.json is refused, so that it is not taken for the end of a listing."""
    shop = Shop(shop="loft", hosts=["shop.example"], storefront="shopify")
    with pytest.raises(Unusable, match="no products"):
        list(read_storefront(shop, Page(body)))


@pytest.mark.parametrize("body", [b"<html>blocked</html>", b"{}", b'{"results": [{"hits": "none"}]}'])
def test_no_answer(body: bytes) -> None:
    """What is no answer of a search is refused, so that it is not taken for the end of the hits."""
    with pytest.raises(Unusable, match="no answer of the search"):
        list(read_hits(load("kickscrew"), Page(body)))
