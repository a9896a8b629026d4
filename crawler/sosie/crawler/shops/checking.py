"""What a declaration finds in one page, rule by rule, for people who write declarations."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format

from sosie.crawler.prices import quote
from sosie.crawler.rejects import Reject
from sosie.crawler.shops.declaration import Fields, Shop
from sosie.crawler.shops.extraction import FIELDS, Extraction, Value, extract
from sosie.crawler.shops.listing_pages import find_links, next_page
from sosie.crawler.shops.page import Context, Page
from sosie.crawler.shops.rules import Rule
from sosie.crawler.shops.search_api import count_pages, read_hits
from sosie.crawler.shops.storefront import read_storefront
from sosie.crawler.texts import shorten
from sosie.v1 import product_pb2

_SHOWN = 72  # characters of a value in the table
_SOURCE = 48  # of the rule that found it


@dataclass(frozen=True)
class Findings:
    """What was found in a page of a shop. A product page has one extraction, an API's answer one a product."""

    shop: Shop
    kind: str
    page: Page
    extractions: tuple[Extraction, ...] = ()
    links: tuple[str, ...] = ()
    following: str = ""
    """The next page's address, or how many pages a search has."""

    @property
    def products(self) -> int:
        return sum(isinstance(each.outcome, product_pb2.Product) for each in self.extractions)

    def as_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            "shop": self.shop.shop,
            "kind": self.kind,
            "encoding": self.page.encoding,
            "links": list(self.links),
            "following": self.following,
            "pages": [_as_dict(each) for each in self.extractions],
        }


def check(shop: Shop, body: bytes, url: str = "", *, listing: str | None = None, kind: str | None = None) -> Findings:
    """Looks into a page as a crawl would. `kind` is product, listing, search or storefront, guessed where None.

    Raises Unusable where the page is nothing of its kind, ValueError where the declaration has no such listing.
    """
    page = Page(body, url, context=_find_context(shop, listing))
    kind = kind or _guess_kind(shop, page)
    if kind == "listing":
        links = find_links(shop, page)
        return Findings(shop, kind, page, (), tuple(links), next_page(shop, page, 1, len(links)) or "")
    if kind == "search":
        hits = tuple(read_hits(shop, page))
        return Findings(shop, kind, page, hits, (), f"{count_pages(shop, page):,} pages")
    if kind == "storefront":
        return Findings(shop, kind, page, tuple(read_storefront(shop, page)))
    return Findings(shop, kind, page, (extract(shop, page),))


def _guess_kind(shop: Shop, page: Page) -> str:
    if page.json is None:
        return "product"
    if shop.storefront:
        return "storefront"
    return "search" if shop.search else "product"


def format_findings(findings: Findings) -> str:
    """The page's fields and where each was found, what no rule finds, and what becomes of it."""
    page = findings.page
    pieces = [f"{findings.shop.shop}: {findings.kind}, {page.encoding}, {len(page.text):,} characters"]
    if findings.kind == "listing":
        pieces += ["", f"{len(findings.links):,} links", *findings.links, f"next: {findings.following or 'none'}"]
        return "\n".join(pieces)
    if len(findings.extractions) != 1 or findings.kind != "product":
        total = len(findings.extractions)
        pieces.append(f"{findings.products:,} products of {total:,}" + _after(findings.following) + _first_of(total))
    if findings.extractions:
        pieces += ["", *_format_extraction(findings)]
    return "\n".join(pieces)


def _format_extraction(findings: Findings) -> list[str]:
    extraction = findings.extractions[0]
    fields, attributes = findings.shop.fields, findings.shop.attributes
    if findings.kind == "search" and findings.shop.search:
        fields, attributes = findings.shop.search.fields, findings.shop.search.attributes
    declared = _list_rules(fields, attributes)
    names = [*FIELDS, *declared, *extraction.values]
    rows = [("field", "found by", "found")]
    for name in dict.fromkeys(names):
        value = extraction.values.get(name)
        if value:
            rows.append((name, value.source, _show(value)))
        elif name == "currency" and findings.shop.currency:
            rows.append((name, "declared", quote(findings.shop.currency)))
        elif findings.kind != "storefront":
            rows.append((name, " or ".join(map(str, declared.get(name, []))) or "-", "nothing"))
    rows += [(value.field, value.source, value.problem) for value in extraction.problems]
    rows = [(name, shorten(source, _SOURCE), found) for name, source, found in rows]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    lines = [f"{name:<{widths[0]}}  {source:<{widths[1]}}  {found}" for name, source, found in rows]
    return [*lines, "", *(f"note: {note}" for note in extraction.notes), _format_outcome(extraction)]


def _format_outcome(extraction: Extraction) -> str:
    outcome = extraction.outcome
    if isinstance(outcome, Reject):
        return f"rejected: {outcome.field} {outcome.reason}".replace("  ", " ")
    return f"product {quote(outcome.product_id)}, pictures: {len(outcome.pictures)}"


def _list_rules(fields: Fields, attributes: Mapping[str, list[Rule]]) -> dict[str, list[Rule]]:
    found = {name: getattr(fields, name) or [] for name in FIELDS}
    return found | {f"@{name}": rules for name, rules in attributes.items()}


def _show(value: Value) -> str:
    first = quote(value.texts[0], _SHOWN)
    return first if len(value.texts) == 1 else f"{len(value.texts)}: {first}"


def _after(following: str) -> str:
    return f", {following}" if following else ""


def _first_of(total: int) -> str:
    return "; the first:" if total else ""


def _find_context(shop: Shop, listing: str | None) -> Context:
    if listing is None:
        return Context()
    for each in shop.listings:
        if listing in {each.name, each.url}:
            return Context(each.name, each.url, tuple(each.category))
    names = ", ".join(each.name or each.url for each in shop.listings) or "none"
    raise ValueError(f"{shop.shop} declares no listing {listing!r}, only: {names}")


def _as_dict(extraction: Extraction) -> dict[str, Any]:
    outcome = extraction.outcome
    told = {
        "values": {name: {"by": value.source, "texts": list(value.texts)} for name, value in extraction.values.items()},
        "problems": [{"field": each.field, "by": each.source, "problem": each.problem} for each in extraction.problems],
        "notes": list(extraction.notes),
    }
    if isinstance(outcome, Reject):
        return {**told, "reject": {"field": outcome.field, "reason": outcome.reason}}
    return {**told, "product": json_format.MessageToDict(outcome, preserving_proto_field_name=True)}
