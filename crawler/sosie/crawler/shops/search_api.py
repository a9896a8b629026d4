"""Search services' JSON APIs, as Algolia's: what is asked, and what an answer holds."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

from sosie.crawler.rejects import Unusable
from sosie.crawler.shops.declaration import Listing, Shop
from sosie.crawler.shops.extraction import Extraction, extract_item
from sosie.crawler.shops.looking import search_path
from sosie.crawler.shops.page import Page
from sosie.crawler.texts import texts_of


@dataclass(frozen=True)
class SearchRequest:
    """A POST of JSON."""

    url: str
    headers: dict[str, str]
    body: bytes


def ask_hits(shop: Shop, listing: Listing, number: int) -> SearchRequest:
    """The request for page `number`, from 1, of what the listing's query finds.

    Raises ValueError where the shop declares no search.
    """
    search = shop.search
    if not search:
        raise ValueError(f"{shop.shop} declares no search")
    parameters = {"query": listing.query, "hitsPerPage": search.hits, "page": number - 1}
    if search.filters:
        parameters["filters"] = search.filters
    body = {"requests": [{"indexName": search.index, "params": urlencode(parameters)}]}
    headers = {
        "Content-Type": "application/json",
        "X-Algolia-Application-Id": search.application,
        "X-Algolia-API-Key": search.key,
    }
    return SearchRequest(search.url, headers, json.dumps(body).encode())


def read_hits(shop: Shop, page: Page) -> Iterator[Extraction]:
    """The products of one answer. Raises Unusable where it is no such answer."""
    items = search_path(shop.search.items, page.json) if shop.search else None
    if not isinstance(items, list):
        raise Unusable("", "the page is no answer of the search API: no list where search.items says")
    for item in items:
        yield extract_item(shop, Page.of_item(item, page.context.url or page.url, page.context))


def count_pages(shop: Shop, page: Page) -> int:
    """How many pages the service has of what was asked; 0 where it does not say."""
    found = next(texts_of(search_path(shop.search.pages, page.json)), "") if shop.search else ""
    return int(found) if found.isascii() and found.isdigit() and len(found) < _DIGITS else 0


_DIGITS = 9
