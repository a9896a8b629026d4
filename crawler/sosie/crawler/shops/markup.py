"""What pages say for machines: JSON-LD, microdata and OpenGraph, in time that grows with the page's length only."""

import json
import re
from collections.abc import Iterator
from typing import Any

from lxml import etree
from parsel import Selector

MAX_PROPERTIES = 2000
"""Of one page's microdata: the rest of a page with more is not read."""
MAX_TEXT = 12_000
"""Characters of a property's text."""
MAX_OBJECTS = 500
"""Of one page's JSON-LD."""

_COMMENT = re.compile(r"^\s*(?:<!--|//\s*<!\[CDATA\[|/\*\s*<!\[CDATA\[\s*\*/)|(?:-->|//\s*\]\]>|/\*\s*\]\]>\s*\*/)\s*$")
_ADDRESSES = {
    "a": "href",
    "area": "href",
    "link": "href",
    "img": "src",
    "audio": "src",
    "video": "src",
    "source": "src",
    "embed": "src",
    "iframe": "src",
    "object": "data",
    "data": "value",
    "meter": "value",
    "time": "datetime",
}
"""The attribute that holds a property's value, by the element's name (HTML, "Values")."""


def read_json_ld(selector: Selector) -> Iterator[dict[str, Any]]:
    """The objects of all scripts of JSON-LD, at most MAX_OBJECTS; a script that is no JSON counts for nothing."""
    number = 0
    for script in selector.xpath("//script[contains(@type, 'ld+json')]/text()"):
        for item in _flatten(_parse(str(script.get()))):
            yield item
            number += 1
            if number == MAX_OBJECTS:
                return


def _parse(text: str) -> Any:
    try:
        return json.loads(_COMMENT.sub("", text).strip().rstrip(";"), parse_float=str, strict=False)
    except (ValueError, RecursionError):
        return None


def _flatten(value: Any) -> Iterator[dict[str, Any]]:
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict):
            yield item
            graph = item.get("@graph")
            yield from (each for each in (graph if isinstance(graph, list) else [graph]) if isinstance(each, dict))
            entity = item.get("mainEntity")
            if isinstance(entity, dict):
                yield entity


def read_open_graph(selector: Selector) -> dict[str, list[str]]:
    """The contents of the page's meta properties, by their names."""
    found: dict[str, list[str]] = {}
    for element in selector.xpath("//meta[@property and @content]")[:MAX_PROPERTIES]:
        meta = element.root  # not its attrib as a dict: names that no XML has are an error there
        found.setdefault(meta.get("property").strip(), []).append(meta.get("content").strip())
    return found


def read_microdata(selector: Selector) -> list[dict[str, Any]]:
    """The items at the top, each a dict of its type and its properties; each property is a list of texts and items.

    Properties outside of any item are those of a last one without a type. A content attribute goes before all else, as
    shops mean it. itemref is not followed.
    """
    lost: dict[str, Any] = {}
    top: list[dict[str, Any]] = []
    around: list[dict[str, Any]] = [lost]
    number = 0
    for event, element in etree.iterwalk(selector.root, events=("start", "end")):
        if not isinstance(element.tag, str):
            continue
        opens = "itemscope" in element.attrib
        if event == "end":
            if opens and len(around) > 1:
                around.pop()
            continue
        names = element.get("itemprop", "").split()
        number += bool(names) or opens
        if number > MAX_PROPERTIES:
            break
        value: Any = _value(element) if names and not opens else {}
        for name in names:
            around[-1].setdefault(name, []).append(value)
        if opens:
            value["@type"] = [kind.rstrip("/").rsplit("/", 1)[-1] for kind in element.get("itemtype", "").split()]
            if not names:
                top.append(value)
            around.append(value)
    return [*top, lost] if lost else top


def _value(element: Any) -> str:
    if (content := element.get("content")) is not None:
        return str(content)
    attribute = _ADDRESSES.get(element.tag)
    if attribute and (given := element.get(attribute)) is not None:
        return str(given)
    return element_text(element)


def element_text(element: Any) -> str:
    """What the element shows, without scripts and styles, cut at MAX_TEXT characters; blocks are lines of their own."""
    pieces: list[str] = []
    length = 0
    hidden = 0
    for event, each in etree.iterwalk(element, events=("start", "end")):
        silent = not isinstance(each.tag, str) or each.tag in _SILENT
        if event == "start":
            hidden += silent
            text = each.text
        else:
            hidden -= silent
            text = each.tail if each is not element else ""
        if hidden:
            continue
        piece = ("\n" if each.tag in _LINES else "") + (text or "")
        pieces.append(piece)
        length += len(piece)
        if length > MAX_TEXT:
            break
    return "".join(pieces)[:MAX_TEXT]


_SILENT = frozenset({"script", "style", "template", "noscript"})
_LINES = frozenset(
    {"br", "p", "div", "li", "ul", "ol", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "dt", "dd", "section"}
)
