"""What a listing page leads to: product pages, and the next page."""

from collections.abc import Iterator
from urllib.parse import parse_qsl, urlencode, urlsplit

from sosie.crawler.drafts import absolute_url
from sosie.crawler.shops.declaration import Shop
from sosie.crawler.shops.looking import LookError, look
from sosie.crawler.shops.page import Page

MAX_LINKS = 1000
"""Of one page."""


def find_links(shop: Shop, page: Page) -> list[str]:
    """The product pages, each once, without fragments; those outside of the shop's hosts are left out."""
    found: dict[str, None] = {}
    for rule in shop.links or ():
        try:
            found.update((link, None) for link in _follow(shop, page, look(rule, page)))
        except LookError:  # a check shows it; a listing page without links is counted as one
            continue
        if found:
            break
    return list(found)[:MAX_LINKS]


def next_page(shop: Shop, page: Page, number: int, links: int) -> str | None:
    """The address after page `number` of its listing, counted from 1; None at the end.

    A page without `links` is the end of numbered pages. Whoever follows must stop, too, where a page shows nothing new:
    some shops show the last page for every number after it.
    """
    paging = shop.paging
    if not paging or not links or number >= paging.last:
        return None
    if paging.parameter:
        return number_page(page.url, paging.parameter, paging.first + number)
    try:
        found = look(paging.next, page) if paging.next else []
    except LookError:
        return None
    return next(_follow(shop, page, found), None)


def number_page(url: str, parameter: str, number: int) -> str:
    """The address with the parameter set.

    >>> number_page("https://shop.example/men?sort=new&page=1", "page", 2)
    'https://shop.example/men?sort=new&page=2'
    """
    pieces = urlsplit(url)
    query = [(name, value) for name, value in parse_qsl(pieces.query, keep_blank_values=True) if name != parameter]
    return pieces._replace(query=urlencode([*query, (parameter, str(number))])).geturl()


def _follow(shop: Shop, page: Page, links: list[str]) -> Iterator[str]:
    for link in links:
        url = absolute_url(link, page.base)
        pieces = urlsplit(url)
        if pieces.hostname in shop.hosts:
            yield pieces._replace(fragment="").geturl()
