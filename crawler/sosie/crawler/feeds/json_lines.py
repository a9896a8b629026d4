"""Feeds as JSON Lines: an object of schema.org a line, or several in a list or an @graph."""

import json
from collections.abc import Iterator
from typing import Any

from sosie.crawler.drafts import Draft
from sosie.crawler.feeds.lines import split_lines
from sosie.crawler.feeds.markup import strip_draft
from sosie.crawler.feeds.offers import Offer, Settings
from sosie.crawler.rejects import Unusable
from sosie.crawler.schema_org import drafts_of, is_product


def read_json_lines(texts: Iterator[str], settings: Settings) -> Iterator[Offer]:
    """The products of each line; a group of products gives one for each variant."""
    number = 0
    for line, text in enumerate(split_lines(texts), start=1):
        if not text.strip():
            continue
        for draft in _read_line(text, settings):
            number += 1
            yield Offer(number, line, draft)


def _read_line(text: str, settings: Settings) -> Iterator[Draft | Unusable]:
    try:
        data: Any = json.loads(text, parse_float=str, parse_int=str, parse_constant=lambda _name: None)
    except (ValueError, RecursionError) as error:
        yield Unusable("", f"is no JSON: {str(error).splitlines()[0][:200]}")
        return
    if isinstance(data, dict) and isinstance(data.get("@graph"), list):
        data = data["@graph"]
    products = [node for node in (data if isinstance(data, list) else [data]) if isinstance(node, dict)]
    products = [node for node in products if is_product(node)]
    if not products:
        yield Unusable("", "has no object whose @type is Product or ProductGroup")
    for node in products:
        for draft in drafts_of(node, settings.shop, currency=settings.currency):
            yield strip_draft(draft)
