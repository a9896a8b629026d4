"""A page as it came: bytes and an address, looked into as far as rules ask."""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lxml import etree
from lxml.html import HTMLParser
from parsel import Selector
from w3lib.encoding import html_to_unicode

from sosie.crawler.rejects import Unusable
from sosie.crawler.shops.markup import read_json_ld, read_microdata, read_open_graph

MAX_BYTES = 4 * 2**20
"""Of a page: no product page needs as much."""
MAX_CROWD = 5000
"""Characters of an element's start outside of quotes: libxml2 compares each attribute with all before it."""

_CROWD = re.compile(rf"<[A-Za-z][^<>]{{{MAX_CROWD},}}")
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")

_NOTHING = Selector(text="<html></html>")


@dataclass(frozen=True)
class Context:
    """Which listing led to a page."""

    name: str = ""
    url: str = ""
    category: tuple[str, ...] = ()


class Page:
    """What is in a page, each looked for once. Nothing in it is followed or loaded."""

    def __init__(
        self, body: bytes, url: str = "", *, content_type: str | None = None, context: Context | None = None
    ) -> None:
        """`content_type` is that of the answer's header: its charset counts before the page's own.

        Raises Unusable where the page is empty, longer than MAX_BYTES, or no text.
        """
        if len(body) > MAX_BYTES:
            raise Unusable("", f"the page has {len(body):,} bytes, more than {MAX_BYTES:,}")
        if not body.strip():
            raise Unusable("", "the page is empty")
        self.encoding, text = html_to_unicode(content_type, body, default_encoding="utf-8")
        if "\0" in text:
            raise Unusable("", f"the page is no text in {self.encoding}")
        if any(len(_QUOTED.sub("", crowd[0])) > MAX_CROWD for crowd in _CROWD.finditer(text)):
            raise Unusable("", "the page has an element with thousands of attributes")
        self.text = text
        self.url = url
        self.context = context or Context()

    @classmethod
    def of_item(cls, item: Any, url: str = "", context: Context | None = None) -> "Page":
        """One product of an API's answer, as a page of which all is JSON."""
        page = cls(b"{}", url, context=context)
        page.__dict__["json"] = item
        return page

    @cached_property
    def json(self) -> Any:
        """The page itself where all of it is JSON, else None."""
        return parse_json(self.text) if self.text.lstrip("\ufeff \t\r\n")[:1] in {"{", "["} else None

    @cached_property
    def selector(self) -> Selector:
        """The page as HTML, to the depth of 256 elements that libxml2 takes."""
        if self.json is not None:
            return _NOTHING
        return parse_html(self.text)

    @cached_property
    def base(self) -> str:
        """What relative addresses are relative to."""
        return self.url or self.canonical

    @cached_property
    def canonical(self) -> str:
        """The address that the page gives itself."""
        return str(self.selector.css("link[rel=canonical]::attr(href)").get("")).strip()

    @cached_property
    def json_ld(self) -> list[dict[str, Any]]:
        """All objects of the page's JSON-LD, those of a @graph too."""
        return list(read_json_ld(self.selector))

    @cached_property
    def microdata(self) -> list[dict[str, Any]]:
        """All items of the page's microdata that are no property of another, as JSON-LD would say them."""
        return read_microdata(self.selector)

    @cached_property
    def open_graph(self) -> dict[str, list[str]]:
        return read_open_graph(self.selector)


def parse_html(text: str) -> Selector:
    """The text as HTML, whatever it declares of its encoding; what libxml2 does not take is left out."""
    parser = HTMLParser(recover=True, encoding="utf-8", huge_tree=False)
    root = etree.fromstring(text.encode("utf-8", "replace") or b"<html/>", parser)
    return Selector(root=root, type="html") if root is not None else _NOTHING


def parse_json(text: str) -> Any:
    """The value, with fractions as they are written; None where it is no JSON."""
    try:
        return json.loads(text, parse_float=str, strict=False)
    except (ValueError, RecursionError):  # ValueError also where a number has thousands of digits
        return None


def find_json(text: str, start: int = 0) -> Any:
    """The JSON value that begins at the first bracket from `start` on, whatever follows it; None where it is none."""
    bracket = re.compile(r"[{\[]").search(text, start)
    if not bracket:
        return None
    try:
        return _DECODER.raw_decode(text, bracket.start())[0]
    except (ValueError, RecursionError):
        return None


_DECODER = json.JSONDecoder(parse_float=str, strict=False)
